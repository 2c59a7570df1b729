package keyvault

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/names"
)

const (
	iss    = "iss=https://sts.windows.net/" + tenant + "/"
	caller = "appid=" + application + ";oid=" + officer + ";" + iss
)

// body is a refusal as the service writes it.
func body(code, message, inner string) string {
	message = string(must(json.Marshal(message)))
	message = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(message)
	if inner != "" {
		inner = `,"innererror":{"code":"` + inner + `"}`
	}
	return `{"error":{"code":"` + code + `","message":` + message + inner + `}}`
}

// TestUnauthorized holds the 401s to their texts, lengths and challenge.
func TestUnauthorized(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		token   string
		length  int // 0: not recorded
		message string
	}{
		{"", 97, "AKV10000: Request is missing a Bearer or PoP token."},
		{"audience", 0, "AKV10022: Invalid audience. Expected https://vault.postern.localhost:8443, found: https://management.azure.com."},
		{"foreign", 0, "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/" + tenant + "/, https://sts.windows.net/f8cdef31-a31e-4b4a-93e4-5f571e91255a/, https://sts.windows.net/e2d54eb5-3869-4f70-8578-dee5fc7331f4/, https://sts.windows.net/33e01921-4d64-4f8c-a055-5bdaffd5e33d/, https://sts.windows.net/975f013f-7f24-47e8-a7d3-abc4752bf346/, found https://sts.windows.net/99999999-9999-9999-9999-999999999999/."},
		{"key", 0, "AKV10046: Unable to resolve the key used for signature validation. EncodedJwtHeader: 'eyJhbGciOiJSUzI1NiJ9'."},
		{"expired", 96, "[TokenExpired] Error validating token: 'S2S12086'."},
		{"early", 0, "[AggregatedAuthenticationFailure] Error validating token: 'S2S17001'."},
		{"malformed", 0, "[AggregatedAuthenticationFailure] Error validating token: 'S2S17001'."},
	} {
		got := r.send(host, tt.token, "GET", "/secrets/a?api-version=7.4", "")
		if want := body("Unauthorized", tt.message, ""); got.status != 401 || got.body != want {
			t.Errorf("token %q = %d %s\nwant 401 %s", tt.token, got.status, got.body, want)
		}
		if tt.length != 0 && len(got.body) != tt.length {
			t.Errorf("token %q: Content-Length %d, want the recorded %d", tt.token, len(got.body), tt.length)
		}
		want := `Bearer authorization="https://login.postern.localhost:8443/` + tenant + `", resource="https://vault.postern.localhost:8443"`
		if got := got.header["WWW-Authenticate"]; len(got) != 1 || got[0] != want {
			t.Errorf("token %q: WWW-Authenticate %q, want %q", tt.token, got, want)
		}
	}
	public := r.send("kv.vault.azure.net", "", "GET", "/", "").want(t, 401)
	want := `Bearer authorization="https://login.microsoftonline.com/` + tenant + `", resource="https://vault.azure.net"`
	if got := public.header["WWW-Authenticate"][0]; got != want {
		t.Errorf("challenge of the public name %q, want %q", got, want)
	}
}

// TestForbidden holds the 403s of both gates to their texts.
func TestForbidden(t *testing.T) {
	r := newRig(t)
	r.deps.DenialNote = "The request is not allowed."
	r.Handler = Handler(r.deps)
	public, subnet := r.origin, r.origin
	subnet.Path, subnet.Subnet = access.PathSubnet, "/subscriptions/s/subnets/x"
	unknown := strings.ReplaceAll(caller, officer, stranger)
	managed := *r.callers["Bearer stranger"]
	managed.IdentityResource = "/subscriptions/s/x"
	managed.Groups = []access.GUID{access.MustGUID(officer[:35] + "9"), access.MustGUID(officer[:35] + "8")}
	r.callers["Bearer managed"] = &managed
	rbacText := func(who, action, resource, vault string) string {
		return "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: " + who +
			"\r\nAction: 'Microsoft.KeyVault/vaults/" + action + "'\r\nResource: '/subscriptions/" + subscription + "/resourcegroups/rg/providers/microsoft.keyvault/vaults/" + resource +
			"'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\nVault: " + vault + ";location=eastus\r\n"
	}
	for _, tt := range []struct {
		what           string
		origin         access.Origin
		vault, token   string
		path           string
		message, inner string
	}{
		{"F1", public, "closed", "officer", "/secrets/a", "Client address is not authorized and caller is not a trusted service.\r\nClient address: 203.0.113.7\r\nCaller: " + caller + "\r\nVault: closed;location=eastus", "ForbiddenByFirewall"},
		{"F1s", subnet, "closed", "officer", "/secrets/a", "Client address is not authorized and caller is not a trusted service.\r\nClient address: 203.0.113.7 from unknown subnet\r\nCaller: " + caller + "\r\nVault: closed;location=eastus", "ForbiddenByFirewall"},
		{"F2", public, "sealed", "officer", "/secrets/a", "Client address is not authorized and caller was ignored because bypass is set to None\r\nClient address: 203.0.113.7\r\nCaller: " + caller + "\r\nVault: sealed;location=eastus", "ForbiddenByFirewall"},
		{"F4", public, "private", "officer", "/secrets/a", "Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\nCaller: " + caller + "\r\nVault: private;location=eastus", "ForbiddenByConnection"},
		{"F4 with an identity", public, "private", "managed", "/secrets/a", "Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\nCaller: " + unknown + ";xms_mirid=/subscriptions/s/x\r\nVault: private;location=eastus", "ForbiddenByConnection"},
		{"F5", public, "privatesealed", "officer", "/secrets/a", "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices' and PublicNetworkAccess is set to 'Disabled'.\r\nVault: privatesealed;location=eastus", "ForbiddenByConnection"},
		{"A1", public, "kv", "stranger", "/secrets/Some-Name/" + strings.Repeat("0", 32), rbacText(unknown, "secrets/getSecret/action", "kv/secrets/some-name", "kv"), "ForbiddenByRbac"},
		{"A1 of a list", public, "kv", "stranger", "/secrets", rbacText(unknown, "secrets/readMetadata/action", "kv", "kv"), "ForbiddenByRbac"},
		{"A1 of no name", public, "kv", "stranger", "/secrets/..%2fx", rbacText(unknown, "secrets/getSecret/action", "kv", "kv"), "ForbiddenByRbac"},
		{"A2", public, "policies", "stranger", "/secrets/a", "The user, group or application '" + unknown + "' does not have secrets get permission on key vault 'policies;location=eastus'. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287", "ForbiddenByPolicy"},
		{"A2 with groups", public, "policies", "managed", "/secrets", "The user, group or application '" + strings.Replace(unknown, ";iss", ";numgroups=2;iss", 1) + ";xms_mirid=/subscriptions/s/x' does not have secrets list permission on key vault 'policies;location=eastus'. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287", "ForbiddenByPolicy"},
	} {
		r.origin = tt.origin
		got := r.send(vaultHost(tt.vault), tt.token, "GET", tt.path, "") // no api-version: the refusal comes first
		if want := body("Forbidden", tt.message, tt.inner); got.status != 403 || got.body != want {
			t.Errorf("%s = %d\n got %s\nwant %s", tt.what, got.status, got.body, want)
		}
		noted := strings.HasSuffix(r.ledger.last().ResultDescription, "\r\n"+r.deps.DenialNote)
		if network := strings.HasPrefix(tt.what, "F"); noted != network {
			t.Errorf("%s: recorded as %q, want the note there: %v", tt.what, r.ledger.last().ResultDescription, network)
		}
	}
}

// TestRefusalPure covers the reasons that the rig's vaults do not reach.
func TestRefusalPure(t *testing.T) {
	r := newRig(t)
	v, _ := r.deps.Snapshot().Vault("kv")
	own := *v
	rules := *v.Rules
	rules.DenyAssignments = []access.DenyAssignment{{ID: "dddd"}}
	own.Rules = &rules
	view := View{Vault: &own, Family: names.New("postern.localhost", 8443).Private}
	request := &access.Request{Origin: r.origin, Caller: r.callers["Bearer officer"].Caller, Operation: access.SecretGet, Object: "a"}
	for _, tt := range []struct {
		reason access.Reason
		status int
		length int // 0: not recorded
		want   string
	}{
		{access.PerimeterDenied, 403, 0, body("Forbidden", "Request was not allowed by NSP rules and the client address is not authorized and caller was ignored because bypass is set to None\r\nClient address: 203.0.113.7\r\nCaller: appid="+application+";oid="+officer+"\r\nVault: kv;location=eastus", "ForbiddenByFirewall")},
		{access.Throttled, 429, 146, body("Throttled", "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached", "")},
		{access.OnlyOnBehalf, 403, 0, body("Forbidden", "The policy requires the caller '"+caller+"' to use on-behalf-of (OBO) flow. For more information on OBO, please see https://go.microsoft.com/fwlink/?linkid=2152310", "ForbiddenByPolicy")},
		{access.Undecided, 403, 0, body("Forbidden", "Caller is not authorized to perform action on resource.", "")},
	} {
		f := Refusal(view, request, access.Decision{Reason: tt.reason, Rule: access.NoRule})
		if got := string(f.KeyVault()); f.Status != tt.status || got != tt.want {
			t.Errorf("Refusal(%v) = %d %s\nwant %d %s", tt.reason, f.Status, got, tt.status, tt.want)
		}
		if got := len(f.KeyVault()); tt.length != 0 && got != tt.length {
			t.Errorf("Refusal(%v) has %d bytes, want the recorded %d", tt.reason, got, tt.length)
		}
	}
	denied := Refusal(view, request, access.Decision{Reason: access.DenyAssigned, Rule: 0})
	if !strings.Contains(denied.Message, "\r\nDenyAssignmentId: 'dddd'\r\n") {
		t.Errorf("Refusal(DenyAssigned) = %q, want the deny assignment named", denied.Message)
	}
	// Every reason that denies has an answer; none is a success.
	for reason := access.Undecided; reason < access.ByAssignment; reason++ {
		if f := Refusal(view, request, access.Decision{Reason: reason, Rule: access.NoRule}); f.Status < 400 || f.Message == "" {
			t.Errorf("Refusal(%v) = %d %q", reason, f.Status, f.Message)
		}
	}
}

// TestEveryRouteRefused sends every row of the table to closed doors: the
// answer must be the gate's, whatever the body and the query are.
func TestEveryRouteRefused(t *testing.T) {
	r := newRig(t)
	replace := strings.NewReplacer("{name}", "a", "{version}", strings.Repeat("0", 32))
	if s, c := len(secretRoutes), len(certificateRoutes); s != 12 || c != 27 {
		t.Errorf("%d routes of secrets and %d of certificates, want the 12 and 27 of the specification", s, c)
	}
	seen := map[access.Operation]bool{}
	for _, route := range Routes() {
		seen[route.Operation] = true
		path := replace.Replace(route.Pattern)
		for _, tt := range []struct {
			vault, token string
			status       int
			inner        string
		}{
			{"kv", "", 401, ""},
			{"kv", "expired", 401, ""},
			{"kv", "foreign", 401, ""},
			{"kv", "stranger", 403, "ForbiddenByRbac"},
			{"policies", "stranger", 403, "ForbiddenByPolicy"},
			{"closed", "officer", 403, "ForbiddenByFirewall"},
			{"closed", "expired", 403, "ForbiddenByFirewall"},
			{"closed", "", 401, ""},
			{"private", "officer", 403, "ForbiddenByConnection"},
		} {
			for _, bad := range []string{"", "garbage"} {
				got := r.send(vaultHost(tt.vault), tt.token, route.Method, path, bad)
				if got.status != tt.status || tt.inner != "" && !strings.Contains(got.body, `"innererror":{"code":"`+tt.inner+`"}`) {
					t.Errorf("%s %s at %s as %q = %d %s, want %d %s", route.Method, path, tt.vault, tt.token, got.status, got.body, tt.status, tt.inner)
				}
				wantName := route.Operation.String()
				if tt.token == "" {
					wantName = "Authentication"
				}
				if rec := r.ledger.last(); rec.Status != tt.status || rec.OperationName != wantName {
					t.Errorf("%s %s as %q is recorded as %s %d, want %s %d", route.Method, path, tt.token, rec.OperationName, rec.Status, wantName, tt.status)
				}
			}
		}
		// Allowed, the same requests get as far as their shape.
		r.send(host, "officer", route.Method, path, "").want(t, 400)
	}
	for _, o := range access.Operations() {
		if (o.Info().Kind == access.KindSecret || o.Info().Kind == access.KindCertificate) && !seen[o] {
			t.Errorf("no route for %v", o)
		}
	}
	if items := must(r.store.Range(t.Context(), "o/", "", 0)); len(items) != 0 {
		t.Errorf("refused requests left %d items", len(items))
	}
}

// TestTwoAuthorizations: two headers are no token at all.
func TestTwoAuthorizations(t *testing.T) {
	r := newRig(t)
	req := httptest.NewRequest("GET", "/secrets/a?api-version=7.4", nil)
	req.Host = host
	req.Header["Authorization"] = []string{"Bearer officer", "Bearer officer"}
	r.answer(req).want(t, 401)
}

func TestHeaders(t *testing.T) {
	r := newRig(t)
	r.do("PUT", "/secrets/a", `{"value":"x"}`).want(t, 200)
	ask := func(id, token string) answer {
		req := httptest.NewRequest("GET", "/secrets/a?api-version=7.4", nil)
		req.Host = host
		req.Header.Set("X-Ms-Client-Request-Id", id)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return r.answer(req)
	}
	want := map[string]string{
		"Cache-Control": "no-cache", "Pragma": "no-cache", "Expires": "-1", "Content-Type": "application/json; charset=utf-8",
		"Strict-Transport-Security": "max-age=31536000;includeSubDomains", "X-Content-Type-Options": "nosniff",
		"x-ms-keyvault-region": "eastus", "x-ms-client-request-id": "client-1", "x-ms-keyvault-service-version": serviceVersion,
		"x-ms-keyvault-network-info": "conn_type=Ipv4;addr=203.0.113.7;act_addr_fam=InterNetwork;",
	}
	for _, token := range []string{"officer", "stranger", ""} {
		got := ask("client-1", token)
		for name, value := range want {
			if v := got.header[name]; len(v) != 1 || v[0] != value {
				t.Errorf("as %q: %s = %q, want %q", token, name, v, value)
			}
		}
		if id := got.header["x-ms-request-id"][0]; access.MustGUID(id).String() != id {
			t.Errorf("x-ms-request-id %q is not a GUID", id)
		}
		if rec := r.ledger.last(); rec.CorrelationID != "client-1" {
			t.Errorf("correlation %q, want client-1", rec.CorrelationID)
		}
	}
	if got := ask("client-1", "officer").header["x-ms-keyvault-rbac-assignment-id"]; len(got) != 1 || got[0] != strings.ReplaceAll(assignmentID, "-", "") {
		t.Errorf("x-ms-keyvault-rbac-assignment-id %q", got)
	}
	for _, bad := range []string{"", "a\tb", "ä", strings.Repeat("x", 200)} {
		if got, ok := ask(bad, "officer").header["x-ms-client-request-id"]; ok {
			t.Errorf("x-ms-client-request-id %.20q is echoed as %q", bad, got)
		}
	}
	gone := r.do("DELETE", "/secrets/a", "").want(t, 200)
	gone = r.do("DELETE", "/deletedsecrets/a", "").want(t, 204)
	if _, ok := gone.header["Content-Type"]; ok || gone.body != "" {
		t.Errorf("204 has Content-Type %q and body %q, want neither", gone.header["Content-Type"], gone.body)
	}
}
