package posterntest

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/config"
)

// TestForeignIssuer: another server is an issuer of this one, whose tenant
// reaches its own vaults here and nothing else, as long as it is trusted.
func TestForeignIssuer(t *testing.T) {
	q := Start(t)
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // its keys, by a name that is there
		answer, err := q.Client().Get(q.LoginURL + "/" + q.TenantID + "/discovery/keys")
		if err != nil {
			http.Error(w, "no keys", http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(front.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal([]config.Issuer{{Issuer: "https://sts.windows.net/" + q.TenantID + "/", KeysURL: front.URL + "/keys", CAFile: ca}})
	if err != nil {
		t.Fatal(err)
	}
	p := Start(t, WithSetting("issuers", string(list)))
	theirs, ours := p.CreateVault("kv-theirs"), p.CreateVault("kv-ours")
	policy := map[string]any{"tenantId": q.TenantID, "objectId": q.ObjectID, "permissions": map[string]any{"secrets": []string{"all"}}}
	status, answer := p.Do("PATCH", p.ManagementURL+theirs.ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{
		"tenantId": q.TenantID, "enableRbacAuthorization": false, "accessPolicies": []any{policy}}})
	if status != http.StatusOK {
		t.Fatalf("PATCH = %d %s", status, answer)
	}
	token := q.Token("https://vault.azure.net")
	issuer := "https://sts.windows.net/" + q.TenantID + "/"
	try := func(step, method, target string, body any, want int, word string) {
		t.Helper()
		if status, answer := p.DoAs(token, method, target, body); status != want || !strings.Contains(string(answer), word) {
			t.Errorf("%s: %s %s = %d %s, want %d with %q", step, method, target, status, answer, want, word)
		}
	}
	value := map[string]any{"value": "v"}
	try("its vault", "PUT", theirs.URL+"/secrets/a?api-version=7.4", value, http.StatusOK, `"v"`)
	try("its vault", "GET", theirs.URL+"/secrets/a?api-version=7.4", nil, http.StatusOK, `"v"`)
	try("another vault", "GET", ours.URL+"/secrets/a?api-version=7.4", nil, http.StatusUnauthorized, "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/"+p.TenantID+"/, ")
	try("another vault", "GET", ours.URL+"/secrets/a?api-version=7.4", nil, http.StatusUnauthorized, ", found "+issuer+".")
	token = q.Token("https://management.azure.com")
	try("control plane", "GET", p.ManagementURL+ours.ID+"?api-version=2026-02-01", nil, http.StatusUnauthorized, "")
	token = q.Token("https://graph.microsoft.com")
	try("Graph", "POST", strings.Replace(p.LoginURL, "login.", "graph.", 1)+"/v1.0/users", map[string]any{"displayName": "x"}, http.StatusForbidden, "")
	token = q.Token("https://vault.azure.net")
	if _, err := p.server.Reload(config.Default()); err != nil {
		t.Fatal(err)
	}
	try("after a reload without it", "GET", theirs.URL+"/secrets/a?api-version=7.4", nil, http.StatusUnauthorized, "AKV10")
	bad := config.Default()
	bad.Issuers = []config.Issuer{{Issuer: "http://a.example"}}
	if _, err := p.server.Reload(bad); err == nil || !strings.Contains(err.Error(), "issuers: ") {
		t.Errorf("Reload(an issuer without TLS) = %v", err)
	}
}
