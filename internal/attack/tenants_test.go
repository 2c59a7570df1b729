package attack

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/posterntest"
)

// TestTenantsApart: the login and graph planes keep tenants apart: nobody
// signs in where he does not belong, and nobody sees who else is there.
func TestTenantsApart(t *testing.T) {
	t.Parallel()
	p, foreign := withForeigner(t)
	someone := p.CreatePrincipal("someone-of-ours")
	endpoint := func(tenant string) string { return p.LoginURL + "/" + tenant + "/oauth2/v2.0/token" }
	form := func(client, secret string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret}, "scope": {vaultResource + "/.default"}}
	}
	with := func(v url.Values, name, value string) url.Values { v.Set(name, value); return v }
	for _, tt := range []struct {
		what, tenant string
		form         url.Values
	}{
		{"ours at the other tenant", foreign.tenant, form(someone.ClientID, someone.Secret)},
		{"theirs at our tenant", p.TenantID, form(foreign.client, foreign.secret)},
		{"ours at no tenant", "11111111-1111-4111-8111-111111111111", form(someone.ClientID, someone.Secret)},
		{"another's secret", p.TenantID, form(someone.ClientID, p.ClientSecret)},
		{"the object as the client", p.TenantID, form(someone.ObjectID, someone.Secret)},
		{"no secret", p.TenantID, form(someone.ClientID, "")},
		{"a secret and a blank", p.TenantID, form(someone.ClientID, someone.Secret+" ")},
		{"a secret in capitals", p.TenantID, form(someone.ClientID, strings.ToUpper(someone.Secret))},
		{"a resource of nobody", p.TenantID, with(form(someone.ClientID, someone.Secret), "scope", "https://evil.example/.default")},
		{"two resources", p.TenantID, with(form(someone.ClientID, someone.Secret), "scope", vaultResource+"/.default https://management.azure.com/.default")},
		{"a password", p.TenantID, with(form(someone.ClientID, someone.Secret), "grant_type", "password")},
		{"an assertion", p.TenantID, with(form(someone.ClientID, someone.Secret), "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")},
	} {
		a := send(t, p.Client(), request{method: "POST", url: endpoint(tt.tenant), body: tt.form.Encode(), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
		if a.status < 400 || a.status >= 500 || strings.Contains(a.body, "access_token") {
			t.Errorf("%s = %d %s, want a refusal", tt.what, a.status, a.body)
		}
	}
	// Where no tenant is named, everybody signs in at home.
	p.CreateVault("kv1")
	for _, place := range []string{"common", "organizations"} {
		for want, bearer := range map[int]string{403: token(t, p, place, someone.ClientID, someone.Secret, vaultResource), 401: token(t, p, place, foreign.client, foreign.secret, vaultResource)} {
			if a := send(t, p.Client(), request{method: "GET", url: p.VaultURL("kv1") + "/secrets" + api, token: bearer}); a.status != want {
				t.Errorf("a token of %s = %d %s, want %d", place, a.status, a.body, want)
			}
		}
	}
	graph := strings.Replace(p.LoginURL, "//login.", "//graph.", 1)
	list := func(bearer, path string) answer {
		return send(t, p.Client(), request{method: "GET", url: graph + "/v1.0/servicePrincipals" + path, token: bearer})
	}
	ours := p.TokenFor(someone.ClientID, someone.Secret, graph)
	theirs := token(t, p, foreign.tenant, foreign.client, foreign.secret, graph)
	for _, path := range []string{"", "/" + p.ObjectID, "/" + foreign.object, "?$filter=appId%20eq%20'" + p.ClientID + "'", "?$filter=appId%20eq%20'" + foreign.client + "'"} {
		if a := list(ours, path); strings.Contains(a.body, `"`+foreign.client+`"`) {
			t.Errorf("we see them at %q: %d %s", path, a.status, a.body)
		}
		if a := list(theirs, path); strings.Contains(a.body, `"`+p.ClientID+`"`) || strings.Contains(a.body, `"`+someone.ClientID+`"`) {
			t.Errorf("they see us at %q: %d %s", path, a.status, a.body)
		}
		if a := list("", path); a.status != 401 {
			t.Errorf("nobody at %q = %d %s, want 401", path, a.status, a.body)
		}
		if a := list(p.Token(vaultResource), path); a.status != 401 {
			t.Errorf("a vault's token at %q = %d %s, want 401", path, a.status, a.body)
		}
	}
	if a := list(ours, ""); !strings.Contains(a.body, someone.ClientID) {
		t.Errorf("we do not see ourselves: %d %s", a.status, a.body)
	}
}

// TestForwardedAddresses: what a request says of where it comes from opens
// no door.
func TestForwardedAddresses(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("closed", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices", "ipRules": []any{map[string]any{"value": "203.0.113.0/24"}}}})
	header := http.Header{}
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Azure-Clientip", "X-Azure-Socketip", "X-Original-Forwarded-For", "Client-Ip", "Via", "X-Ms-Client-Ip", "X-Ms-Private-Endpoint-Id", "X-Ms-Keyvault-Network-Info"} {
		header.Set(name, "203.0.113.7")
	}
	header.Set("Forwarded", "for=203.0.113.7;host=closed.vault.azure.net;proto=https")
	a := send(t, p.Client(), request{method: "GET", url: p.VaultURL("closed") + "/secrets/a" + api, token: p.Token(vaultResource), header: header})
	if a.status != 403 || !strings.Contains(a.body, "Client address: 127.0.0.1") {
		t.Errorf("with forwarded addresses = %d %s, want F1 from the socket's address", a.status, a.body)
	}
	recorded(t, p.Data, []answer{a})
	if r := records(t, p.Data)[a.id][0]; r.CallerIP.String() != "127.0.0.1" {
		t.Errorf("recorded from %v, want the socket's address", r.CallerIP)
	}
}
