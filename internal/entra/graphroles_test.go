package entra

import (
	"strings"
	"testing"
)

// TestGraphRoles: everybody in a tenant sees who administers it.
func TestGraphRoles(t *testing.T) {
	w := newWorld(t)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), nil)
	if err := w.Edit(nil).SetAdministrator(t.Context(), w.alice.Object, true); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		as     Principal
		path   string
		status int
		ids    string
	}{
		{w.alice, "", 200, administratorRole},
		{w.alice, "/" + administratorRole + "/members", 200, w.alice.Object.String()},
		{w.stranger, "/" + administratorRole + "/members", 200, ""},
		{w.alice, "/00000000-0000-0000-0000-000000000001/members", 404, ""},
		{w.alice, "/" + administratorRole + "/scopedMembers", 404, ""},
	} {
		r := get(graphURL + "/v1.0/directoryRoles" + row.path)
		r.Header.Set("Authorization", w.bearer(t, row.as, graphURL))
		status, body := ask(t, h, r)
		var ids []string
		for _, v := range asList(body["value"]) {
			ids = append(ids, v.(map[string]any)["id"].(string))
		}
		if got := strings.Join(ids, " "); status != row.status || got != row.ids {
			t.Errorf("GET /directoryRoles%s as %s = %d %q, want %d %q", row.path, row.as.DisplayName, status, got, row.status, row.ids)
		}
	}
	r := get(graphURL + "/v1.0/directoryRoles/" + administratorRole)
	r.Header.Set("Authorization", w.bearer(t, w.alice, graphURL))
	if status, body := ask(t, h, r); status != 200 || body["displayName"] != "Global Administrator" {
		t.Errorf("GET the role = %d %v, want it", status, body)
	}
}
