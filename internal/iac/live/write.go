package live

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"postern/access"
)

// Caller is who the client is to the resource manager: what its own token
// says. It decides nothing; the server does.
func (c *Client) Caller(ctx context.Context) (access.Caller, error) {
	token, err := c.token(ctx, c.audience)
	if err != nil {
		return access.Caller{}, err
	}
	var claims struct {
		Object string   `json:"oid"`
		Tenant string   `json:"tid"`
		Groups []string `json:"groups"`
	}
	parts := strings.Split(token, ".")
	unreadable := errors.New("the token of the resource manager cannot be read")
	if len(parts) != 3 {
		return access.Caller{}, unreadable
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return access.Caller{}, unreadable
	}
	caller := access.Caller{Token: access.TokenValid}
	if caller.Object, err = access.ParseGUID(claims.Object); err != nil {
		return access.Caller{}, unreadable
	}
	if caller.Tenant, err = access.ParseGUID(claims.Tenant); err != nil {
		return access.Caller{}, unreadable
	}
	for _, g := range claims.Groups {
		if id, err := access.ParseGUID(g); err == nil {
			caller.Groups = append(caller.Groups, id)
		}
	}
	return caller, nil
}

// Assign makes a role assignment with a name (a GUID) at a scope. One of the
// same principal and role that is there already is as good (spec:
// RoleAssignments_Create; 409 RoleAssignmentExists).
func (c *Client) Assign(ctx context.Context, scope, name, role string, principal access.GUID, typ string) error {
	c.progress("assigning a role to %s", principal)
	properties := map[string]string{"principalId": principal.String(), "roleDefinitionId": subscriptionOf(scope) + "/providers/Microsoft.Authorization/roleDefinitions/" + role}
	if typ != "" {
		properties["principalType"] = typ
	}
	err := c.send(ctx, http.MethodPut, escaped(scope)+"/providers/Microsoft.Authorization/roleAssignments/"+name+"?api-version="+assignmentVersion, properties)
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusConflict && strings.HasPrefix(status.Says, "RoleAssignmentExists:") {
		return nil
	}
	return err
}

// subscriptionOf is the part of an id up to its subscription.
func subscriptionOf(id string) string {
	parts := strings.SplitN(id, "/", 4)
	if len(parts) < 3 {
		return ""
	}
	return strings.Join(parts[:3], "/")
}

// UseRoles lets a vault go by role assignments (spec: Vaults_Update).
func (c *Client) UseRoles(ctx context.Context, vault string) error {
	c.progress("changing the permission model of %s", vault)
	return c.send(ctx, http.MethodPatch, escaped(vault)+"?api-version="+vaultVersion, map[string]bool{"enableRbacAuthorization": true})
}

// send writes properties.
func (c *Client) send(ctx context.Context, method, path string, properties any) error {
	body, err := json.Marshal(map[string]any{"properties": properties})
	if err != nil {
		return err
	}
	token, err := c.token(ctx, c.audience)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%q is not a path", path)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer of %s: %w", req.URL.Redacted(), err)
	case resp.StatusCode/100 != 2:
		return &StatusError{URL: req.URL.Redacted(), Status: resp.StatusCode, Says: says(data)}
	}
	return nil
}
