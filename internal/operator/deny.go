package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/access"
	"postern/internal/estate"
)

// Deny asks for a deny assignment. Clients of the control plane can read
// them and nothing else: the service, too, makes them by itself.
type Deny struct {
	// Name is what it is called, Scope where it stands: an ARM id, or "/"
	// or a management group of the tenant.
	Name  string `json:"name"`
	Scope string `json:"scope"`
	// Tenant is an id or a domain; "" is the administrator's.
	Tenant string `json:"tenant,omitempty"`

	Actions        []string `json:"actions,omitempty"`
	NotActions     []string `json:"notActions,omitempty"`
	DataActions    []string `json:"dataActions,omitempty"`
	NotDataActions []string `json:"notDataActions,omitempty"`
	// Principals are object ids of whom it denies; none means everybody but
	// Exclude.
	Principals []string `json:"principals,omitempty"`
	Exclude    []string `json:"exclude,omitempty"`
}

// Denied is a deny assignment that was made.
type Denied struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Deny makes a deny assignment.
func (c *Client) Deny(ctx context.Context, in Deny) (Denied, error) {
	return ask[Denied](ctx, c, http.MethodPost, "denies", in)
}

// RemoveDeny takes one away, by the GUID that is its name.
func (c *Client) RemoveDeny(ctx context.Context, name string) (Denied, error) {
	return ask[Denied](ctx, c, http.MethodPost, "denies/"+url.PathEscape(name)+"/remove", none{})
}

// maxDenied bounds the lists of a deny assignment.
const maxDenied = 1000

// checkDeny refuses what the estate would read as more than it says.
func checkDeny(in *Deny) error {
	if in.Name == "" || len(in.Name) > 260 || !strings.HasPrefix(in.Scope, "/") || len(in.Scope) > 2048 {
		return wrong(http.StatusBadRequest, "", "a deny assignment needs a name and a scope")
	}
	if len(in.Actions)+len(in.DataActions) == 0 {
		return wrong(http.StatusBadRequest, `actions ["*"] denies the control plane, dataActions ["*"] the data plane`, "a deny assignment without actions denies nothing")
	}
	for _, list := range [][]string{in.Actions, in.NotActions, in.DataActions, in.NotDataActions, in.Principals, in.Exclude} {
		if len(list) > maxDenied {
			return wrong(http.StatusBadRequest, "", "a list of a deny assignment has at most %d members", maxDenied)
		}
	}
	for _, list := range [][]string{in.Principals, in.Exclude} {
		for _, id := range list {
			if g, err := access.ParseGUID(id); err != nil || g.IsZero() {
				return wrong(http.StatusBadRequest, "", "%q is not the object id of a principal", id)
			}
		}
	}
	return nil
}

func (a *api) deny(r *http.Request, in Deny) (any, error) {
	if err := checkDeny(&in); err != nil {
		return nil, err
	}
	tenant := a.Tenant
	if in.Tenant != "" {
		t, ok := a.Directory.TenantByName(in.Tenant)
		if !ok {
			return nil, wrong(http.StatusNotFound, "", "there is no tenant %q", in.Tenant)
		}
		tenant = t.ID
	}
	name, err := a.Identifier()
	if err != nil {
		return nil, err
	}
	shown := strings.TrimRight(in.Scope, "/") + "/providers/" + estate.TypeDenyAssignment + "/" + name
	res := &estate.Resource{ID: estate.Place(tenant, shown), Type: estate.TypeDenyAssignment, Name: name, Created: a.Now(), Changed: a.Now()}
	if res.Body, err = denyDocument(&in, shown, name, a.Now()); err != nil {
		return nil, err
	}
	rec, err := a.begin(r, "DenyAssignmentCreate")
	if err != nil {
		return nil, err
	}
	err = a.Estate.Change(r.Context(), func(s *estate.Snapshot, d *estate.Draft) error {
		if err := a.scopeExists(s, tenant, in.Scope); err != nil {
			return err
		}
		d.Put(res)
		rec.of("denyAssignments/"+name, "name", in.Name, "scope", in.Scope)
		rec.into(d.Tx())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return Denied{ID: shown, Name: name}, rec.deliver()
}

// scopeExists refuses a scope that is nothing: a misspelt one would protect
// nothing. The objects of a vault need not exist.
func (a *api) scopeExists(s *estate.Snapshot, tenant access.GUID, scope string) error {
	if strings.Trim(scope, "/") == "" || estate.Key(scope) == estate.Key("/providers/"+estate.TypeManagementGroup+"/"+tenant.String()) {
		return nil
	}
	id := scope
	if parts := strings.Split(strings.Trim(scope, "/"), "/"); len(parts) == 10 && strings.EqualFold(parts[5]+"/"+parts[6], estate.TypeVault) {
		id = "/" + strings.Join(parts[:8], "/")
	}
	if _, ok := s.Resource(estate.Place(tenant, id)); !ok {
		return wrong(http.StatusNotFound, "", "there is no resource %s", scope)
	}
	return nil
}

// denyDocument is a deny assignment as the control plane shows it (spec:
// DenyAssignment).
func denyDocument(in *Deny, id, name string, at time.Time) ([]byte, error) {
	type principal struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	}
	of := func(ids []string) []principal {
		list := []principal{}
		for _, each := range ids {
			list = append(list, principal{strings.ToLower(each), "ServicePrincipal"})
		}
		return list
	}
	principals := of(in.Principals)
	if len(principals) == 0 {
		// documented: all principals
		principals = []principal{{access.GUID{}.String(), "SystemDefined"}}
	}
	list := func(l []string) []string { return append([]string{}, l...) }
	when := at.UTC().Format("2006-01-02T15:04:05.0000000Z")
	text, err := json.Marshal(map[string]any{"id": id, "type": estate.TypeDenyAssignment, "name": name, "properties": map[string]any{
		"denyAssignmentName": in.Name, "description": nil, "scope": in.Scope, "doNotApplyToChildScopes": false, "isSystemProtected": true,
		"permissions": []any{map[string]any{"actions": list(in.Actions), "notActions": list(in.NotActions), "dataActions": list(in.DataActions),
			"notDataActions": list(in.NotDataActions)}},
		"principals": principals, "excludePrincipals": of(in.Exclude), "createdOn": when, "updatedOn": when}})
	if err != nil {
		return nil, fmt.Errorf("encoding a deny assignment: %w", err)
	}
	return text, nil
}

func (a *api) removeDeny(r *http.Request, _ none) (any, error) {
	name := strings.ToLower(r.PathValue("name"))
	rec, err := a.begin(r, "DenyAssignmentDelete")
	if err != nil {
		return nil, err
	}
	gone := Denied{Name: name}
	err = a.Estate.Change(r.Context(), func(s *estate.Snapshot, d *estate.Draft) error {
		for _, res := range s.Under("", estate.TypeDenyAssignment) {
			if res.Name == name {
				gone.ID = estate.Shown(res.ID)
				d.Delete(res.ID)
				rec.of("denyAssignments/"+name, "id", gone.ID)
				rec.into(d.Tx())
				return nil
			}
		}
		return wrong(http.StatusNotFound, "", "there is no deny assignment %q", name)
	})
	if err != nil {
		return nil, err
	}
	return gone, rec.deliver()
}
