package posterntest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"postern/internal/operator"
)

const (
	secretsUser = "4633458b-17de-408a-b874-0445c86b69e6"
	owner       = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	ownRole     = "0aaaaaaa-0000-4000-8000-000000000002"
	groupsPath  = "/providers/Microsoft.Management/managementGroups/"
)

// hand is a test's way to the control plane as the administrator.
type hand struct {
	t *testing.T
	p *Postern
	n int
}

func (h *hand) must(status int, method, path string, body any) string {
	h.t.Helper()
	got, answer := h.p.Do(method, h.p.ManagementURL+path+"?api-version=2022-04-01", body)
	if got != status {
		h.t.Fatalf("%s %s = %d %s, want %d", method, path, got, answer, status)
	}
	return string(answer)
}

// assign gives a role and returns the id of the assignment.
func (h *hand) assign(scope, role, principal string) string {
	h.t.Helper()
	h.n++
	id := strings.TrimRight(scope, "/") + "/providers/Microsoft.Authorization/roleAssignments/00000000-0000-4000-8000-" + strings.Repeat("0", 11) + string(rune('0'+h.n))
	h.must(201, http.MethodPut, id, map[string]any{"properties": map[string]any{"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + role, "principalId": principal}})
	return id
}

// reads asks for a secret as somebody else.
func (h *hand) reads(who Principal, v Vault, secret string, want int, text string) {
	h.t.Helper()
	status, answer := h.p.DoAs(h.p.TokenFor(who.ClientID, who.Secret, "https://vault.azure.net"), http.MethodGet, v.URL+"/secrets/"+secret+"?api-version=7.4", nil)
	if status != want || !strings.Contains(string(answer), text) {
		h.t.Errorf("GET %s/secrets/%s = %d %s, want %d with %s", v.Name, secret, status, answer, want, text)
	}
}

// TestRightsFromEveryScope: the same right reaches a secret from the root, a
// management group, the subscription, the group, the vault and the secret,
// by a built-in role and by a custom one; and a deny assignment ends it.
func TestRightsFromEveryScope(t *testing.T) {
	p := Start(t)
	h := &hand{t: t, p: p}
	v := p.CreateVault("kv-scopes")
	for _, name := range []string{"a", "b"} {
		if status, answer := p.Do(http.MethodPut, v.URL+"/secrets/"+name+"?api-version=7.4", map[string]any{"value": "v"}); status != 200 {
			t.Fatalf("setting a secret: %d %s", status, answer)
		}
	}
	who := p.CreatePrincipal("reader")
	const refused = "ForbiddenByRbac"
	h.reads(who, v, "a", 403, refused)

	subscription := "/subscriptions/" + p.SubscriptionID
	h.must(403, http.MethodPut, groupsPath+"top", map[string]any{})
	h.must(200, http.MethodPost, "/providers/Microsoft.Authorization/elevateAccess", nil)
	h.must(200, http.MethodPost, "/providers/Microsoft.Authorization/elevateAccess", nil)
	h.assign(groupsPath+p.TenantID, owner, p.ObjectID)
	h.must(200, http.MethodPut, groupsPath+"top", map[string]any{})
	h.must(200, http.MethodPut, groupsPath+"low", map[string]any{"properties": map[string]any{"details": map[string]any{"parent": map[string]any{"id": groupsPath + "top"}}}})
	h.must(200, http.MethodPut, groupsPath+"low/subscriptions/"+p.SubscriptionID, nil)
	h.must(201, http.MethodPut, subscription+"/providers/Microsoft.Authorization/roleDefinitions/"+ownRole, map[string]any{"properties": map[string]any{
		"roleName": "Value reader", "assignableScopes": []string{subscription}, "permissions": []any{map[string]any{"dataActions": []string{"Microsoft.KeyVault/vaults/secrets/*/action"}, "notDataActions": []string{"*/readMetadata/action"}}}}})

	for _, row := range []struct {
		scope, role string
		other       int // for the other secret
	}{
		{"/", secretsUser, 200}, {groupsPath + p.TenantID, secretsUser, 200}, {groupsPath + "top", secretsUser, 200}, {groupsPath + "low", secretsUser, 200},
		{subscription, secretsUser, 200}, {subscription, ownRole, 200}, {subscription + "/resourceGroups/" + Group, secretsUser, 200},
		{v.ID, secretsUser, 200}, {v.ID, ownRole, 200}, {v.ID + "/secrets/a", secretsUser, 403}, {v.ID + "/secrets/a", ownRole, 403},
	} {
		h.n = 5
		id := h.assign(row.scope, row.role, who.ObjectID)
		h.reads(who, v, "a", 200, `"value":"v"`)
		h.reads(who, v, "b", row.other, "")
		denied, err := p.Operator().Deny(context.Background(), operator.Deny{Name: "no", Scope: row.scope, DataActions: []string{"*"}, Principals: []string{who.ObjectID}})
		if err != nil {
			t.Fatal(err)
		}
		h.reads(who, v, "a", 403, refused)
		if got := h.must(200, http.MethodGet, denied.ID, nil); !strings.Contains(got, `"denyAssignmentName":"no"`) {
			t.Errorf("the deny assignment = %s", got)
		}
		if _, err := p.Operator().RemoveDeny(context.Background(), denied.Name); err != nil {
			t.Fatal(err)
		}
		h.reads(who, v, "a", 200, `"value":"v"`)
		h.must(200, http.MethodDelete, id, nil)
		h.reads(who, v, "a", 403, refused)
	}
}

// TestRightsGoWithTheVault: deleting a vault takes the assignments at it and
// at its objects, and recovering it brings none back.
func TestRightsGoWithTheVault(t *testing.T) {
	p := Start(t)
	h := &hand{t: t, p: p}
	v := p.CreateVault("kv-gone")
	who := p.CreatePrincipal("reader")
	p.Do(http.MethodPut, v.URL+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
	at := []string{h.assign(v.ID, secretsUser, who.ObjectID), h.assign(v.ID+"/secrets/a", secretsUser, who.ObjectID)}
	h.reads(who, v, "a", 200, "")
	h.must(200, http.MethodDelete, v.ID, nil)
	h.must(200, http.MethodPut, v.ID, map[string]any{"location": "eastus", "properties": map[string]any{"createMode": "recover"}})
	h.reads(who, v, "a", 403, "ForbiddenByRbac")
	for _, id := range at {
		h.must(404, http.MethodGet, id, nil)
	}
}

// TestAuthorizationSurvives: what was made is there after a restart, and
// decides as before.
func TestAuthorizationSurvives(t *testing.T) {
	data := t.TempDir()
	p := Start(t, WithData(data))
	h := &hand{t: t, p: p}
	who := p.CreatePrincipal("reader")
	v := p.CreateVault("kv-again")
	p.Do(http.MethodPut, v.URL+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
	h.must(200, http.MethodPost, "/providers/Microsoft.Authorization/elevateAccess", nil)
	h.assign("/", secretsUser, who.ObjectID)
	if _, err := p.Operator().Deny(context.Background(), operator.Deny{Name: "no", Scope: v.ID + "/secrets/a", DataActions: []string{"*/getSecret/action"}, Exclude: []string{p.ObjectID}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.reads(who, v, "a", 403, "ForbiddenByRbac")
		h.reads(who, v, "none", 404, "SecretNotFound")
		p.Stop()
		p = Start(t, WithData(data))
		h.p, v.URL = p, p.VaultURL(v.Name)
	}
}

// TestDenyIsChecked: a deny assignment that would deny nothing, or nobody,
// or anything nowhere, is not made.
func TestDenyIsChecked(t *testing.T) {
	p := Start(t)
	all := []string{"*"}
	for _, in := range []operator.Deny{
		{}, {Name: "x", Scope: "/"}, {Name: "x", Actions: all}, {Scope: "/", Actions: all}, {Name: "x", Scope: "/subscriptions/none", Actions: all},
		{Name: "x", Scope: "/", Actions: all, Principals: []string{"bob"}}, {Name: "x", Scope: "/", Actions: all, Exclude: []string{"00000000-0000-0000-0000-000000000000"}},
		{Name: "x", Scope: groupsPath + "none", Actions: all}, {Name: "x", Scope: "/", Actions: all, Tenant: "none"}, {Name: "x", Scope: "/", Actions: make([]string, 1001)},
	} {
		if made, err := p.Operator().Deny(context.Background(), in); err == nil {
			text, _ := json.Marshal(in)
			t.Errorf("Deny(%.200s) = %+v, want an error", text, made)
		}
	}
	if _, err := p.Operator().RemoveDeny(context.Background(), "00000000-0000-4000-8000-000000000001"); err == nil {
		t.Error("removing what is not there is no error")
	}
}
