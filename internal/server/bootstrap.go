package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// The files of the data folder that people and programs read.
const (
	// AdminFile holds the administrator's identifiers, AdminSecretFile the
	// client secret and nothing else, mode 0600.
	AdminFile       = "admin.json"
	AdminSecretFile = "admin.secret"
	// InfoFile tells where the server listens; it is there while it runs.
	InfoFile = "server.json"
)

// Admin is the administrator that the first start makes: a service principal
// with Owner and Key Vault Administrator on the subscription.
type Admin struct {
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	ClientID       string `json:"clientId"`
	ObjectID       string `json:"objectId"`
}

// bootstrap makes tenant, subscription, resource group and administrator on
// the first start. A first start that was cut off is taken up again: the
// file AdminFile is written last.
func (s *Server) bootstrap(ctx context.Context) (Admin, error) {
	path := filepath.Join(s.options.Data, AdminFile)
	text, err := os.ReadFile(path)
	if err == nil {
		var a Admin
		if err := json.Unmarshal(text, &a); err != nil {
			return Admin{}, fmt.Errorf("reading %s: %w", path, err)
		}
		return a, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return Admin{}, fmt.Errorf("reading %s: %w", path, err)
	}
	tenant, err := s.directory.CreateTenant(ctx, "Postern", "")
	if err != nil {
		return Admin{}, fmt.Errorf("making the first tenant: %w", err)
	}
	principal, secret, err := s.directory.CreateServicePrincipal(ctx, tenant.ID, "postern-admin")
	if err != nil {
		return Admin{}, fmt.Errorf("making the administrator: %w", err)
	}
	subscription, err := newGUID(s.options.Random)
	if err != nil {
		return Admin{}, err
	}
	a := Admin{tenant.ID.String(), subscription, principal.App.String(), principal.Object.String()}
	if err := s.firstResources(ctx, a); err != nil {
		return Admin{}, err
	}
	if err := writePrivate(filepath.Join(s.options.Data, AdminSecretFile), []byte(secret)); err != nil {
		return Admin{}, err
	}
	text, err = json.MarshalIndent(a, "", "  ")
	if err != nil {
		return Admin{}, err
	}
	return a, writePrivate(path, append(text, '\n'))
}

// appoint makes the administrator one of the directory too, where its tenant
// has none: at the first start, and on data folders from before there were any.
func (s *Server) appoint(ctx context.Context) error {
	tenant, err := access.ParseGUID(s.admin.TenantID)
	if err != nil || len(s.directory.Administrators(tenant)) > 0 {
		return err
	}
	object, err := access.ParseGUID(s.admin.ObjectID)
	if err != nil {
		return err
	}
	if _, there := s.directory.PrincipalByObject(object); !there {
		return nil
	}
	return s.directory.Edit(nil).SetAdministrator(ctx, object, true)
}

// firstResources makes the subscription, a resource group and the
// administrator's role assignments in one change.
func (s *Server) firstResources(ctx context.Context, a Admin) error {
	scope := "/subscriptions/" + a.SubscriptionID
	now := s.options.Now().UTC()
	return s.estate.Change(ctx, func(_ *estate.Snapshot, d *estate.Draft) error {
		d.AtOnce()
		put := func(id, typ, name, location string, body map[string]any) error {
			body["id"], body["name"] = id, name
			text, err := json.Marshal(body)
			d.Put(&estate.Resource{ID: id, Type: typ, Name: name, Location: location, Body: text, Created: now, Changed: now})
			return err
		}
		errs := []error{
			put(scope, estate.TypeSubscription, a.SubscriptionID, "", map[string]any{
				"subscriptionId": a.SubscriptionID, "tenantId": a.TenantID, "displayName": "Postern", "state": "Enabled"}),
			put(scope+"/resourceGroups/postern", estate.TypeResourceGroup, "postern", "eastus", map[string]any{
				"type": estate.TypeResourceGroup, "location": "eastus", "properties": map[string]any{"provisioningState": "Succeeded"}}),
		}
		for _, name := range []string{"Owner", "Key Vault Administrator"} {
			role, ok := roles.ByRoleName(name)
			if !ok {
				return fmt.Errorf("the role %q is not in the table", name)
			}
			assignment := derivedGUID(scope, a.ObjectID, role.Name)
			errs = append(errs, put(scope+"/providers/"+estate.TypeRoleAssignment+"/"+assignment, estate.TypeRoleAssignment, assignment, "",
				map[string]any{"type": estate.TypeRoleAssignment, "properties": map[string]any{
					"roleDefinitionId": scope + "/providers/" + roles.Type + "/" + role.Name,
					"principalId":      a.ObjectID, "principalType": "ServicePrincipal", "scope": scope,
					"createdOn": now.Format(time.RFC3339Nano), "updatedOn": now.Format(time.RFC3339Nano),
					"createdBy": "", "updatedBy": ""}}))
		}
		return errors.Join(errs...)
	})
}

// newGUID is a random identifier (version 4).
func newGUID(random io.Reader) (string, error) {
	var g access.GUID
	if _, err := io.ReadFull(random, g[:]); err != nil {
		return "", fmt.Errorf("making an identifier: %w", err)
	}
	g[6], g[8] = g[6]&0x0f|0x40, g[8]&0x3f|0x80
	return g.String(), nil
}

// derivedGUID is the same identifier for the same names (version 8).
func derivedGUID(of ...string) string {
	h := sha256.New()
	for _, s := range of {
		_, _ = io.WriteString(h, hex.EncodeToString([]byte(s))+"/")
	}
	var g access.GUID
	copy(g[:], h.Sum(nil))
	g[6], g[8] = g[6]&0x0f|0x80, g[8]&0x3f|0x80
	return g.String()
}

// writePrivate writes a file that only its owner can read, whole or not at
// all.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
