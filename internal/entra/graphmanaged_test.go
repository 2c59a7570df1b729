package entra

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/store"
)

// managed makes a managed identity in the home tenant.
func (w *world) managed(t *testing.T, name, resource string, user bool) Principal {
	t.Helper()
	var tx store.Tx
	m := w.Manage(&tx)
	p, err := m.Create(w.home.ID, name, resource, user)
	if err == nil {
		err = w.store.Commit(t.Context(), &tx)
	}
	m.Finish(t.Context(), err == nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGraphManaged: what Graph shows of managed identities, and what it lets
// nobody change of them: that is their resource's.
func TestGraphManaged(t *testing.T) {
	w := newWorld(t)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), nil)
	if err := w.Edit(nil).SetAdministrator(t.Context(), w.alice.Object, true); err != nil {
		t.Fatal(err)
	}
	const in = "/subscriptions/s/resourceGroups/g/providers/"
	vm := w.managed(t, "vm", in+"Microsoft.Compute/virtualMachines/vm", false)
	one := w.managed(t, "one", in+"Microsoft.ManagedIdentity/userAssignedIdentities/one", true)
	bearer := w.bearer(t, w.alice, graphURL)
	sp := "/servicePrincipals/" + vm.Object.String()
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string // a part of the answer
	}{
		{"PATCH", sp, `{"displayName":"other"}`, 400, "lives and dies with its resource"},
		{"PATCH", sp, `{"displayName":"vm"}`, 204, ""},
		{"POST", sp + "/addPassword", `{}`, 400, "lives and dies with its resource"},
		{"POST", sp + "/federatedIdentityCredentials", `{"name":"abc","issuer":"https://i.example","subject":"s","audiences":["a"]}`, 400, "lives and dies with its resource"},
		{"DELETE", sp, ``, 400, "lives and dies with its resource"},
		{"PATCH", sp, `{"accountEnabled":false}`, 204, ""},
		{"GET", sp, ``, 200, `"accountEnabled":false`},
		{"PATCH", sp, `{"accountEnabled":true}`, 204, ""},
		{"GET", "/servicePrincipals?$filter=servicePrincipalType%20eq%20'ManagedIdentity'%20and%20displayName%20eq%20'one'", ``, 200, one.Object.String()},
		{"GET", "/servicePrincipals?$filter=servicePrincipalType%20eq%20'Application'%20and%20displayName%20eq%20'one'", ``, 200, `"value":[]`},
		{"GET", "/users?$filter=servicePrincipalType%20eq%20'Application'", ``, 200, `"value":[]`},
	} {
		r := httptest.NewRequest(row.method, graphURL+"/v1.0"+row.path, strings.NewReader(row.body))
		r.Header.Set("Authorization", bearer)
		answer := httptest.NewRecorder()
		if h.ServeHTTP(answer, r); answer.Code != row.status || !strings.Contains(answer.Body.String(), row.want) {
			t.Errorf("%s %s %s = %d %s, want %d with %s", row.method, row.path, row.body, answer.Code, answer.Body, row.status, row.want)
		}
	}
	for p, names := range map[Principal][]any{
		vm:  {"isExplicit=False", "/subscriptions/s/resourcegroups/g/providers/Microsoft.Compute/virtualMachines/vm"},
		one: {"isExplicit=True", "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one"},
	} {
		r := get(graphURL + "/v1.0/servicePrincipals/" + p.Object.String())
		r.Header.Set("Authorization", bearer)
		status, got := ask(t, h, r)
		want := map[string]any{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#servicePrincipals/$entity", "id": p.Object.String(),
			"accountEnabled": true, "displayName": p.DisplayName, "appDisplayName": p.DisplayName, "appId": p.App.String(), "appOwnerOrganizationId": nil,
			"servicePrincipalNames": []any{p.App.String()}, "servicePrincipalType": "ManagedIdentity", "alternativeNames": names}
		if diff := cmp.Diff(want, got); status != 200 || diff != "" {
			t.Errorf("%s = %d: %s", p.DisplayName, status, diff)
		}
	}
}
