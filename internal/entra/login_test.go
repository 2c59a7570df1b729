package entra

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/access"
)

const (
	publicLogin  = "https://login.microsoftonline.com"
	privateLogin = "https://login.postern.localhost:8443"
)

// ask sends one request and returns status and the answer as JSON.
func ask(t testing.TB, h http.Handler, r *http.Request) (int, map[string]any) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s %s: body %q: %v", r.Method, r.URL, rec.Body, err)
	}
	if got := rec.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
		t.Errorf("%s %s: content type %q, want JSON", r.Method, r.URL, got)
	}
	if got := rec.Header().Get("Cache-Control"); !strings.Contains(got, "no-store") {
		t.Errorf("%s %s: Cache-Control %q, want no-store", r.Method, r.URL, got)
	}
	return rec.Code, body
}

func get(url string) *http.Request { return httptest.NewRequest("GET", url, nil) }

// post is a token request; form is name, value, ….
func post(url string, form ...string) *http.Request {
	return postRaw(url, encode(form...))
}

func encode(form ...string) string {
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Add(form[i], form[i+1])
	}
	return v.Encode()
}

func postRaw(url, body string) *http.Request {
	r := httptest.NewRequest("POST", url, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

func TestOpenID(t *testing.T) {
	w := newWorld(t)
	h := w.Login(testName, quiet)
	home := w.home.ID.String()
	sts := "https://sts.windows.net/" + home + "/"
	for _, row := range []struct{ url, token, keys, issuer string }{
		{publicLogin + "/" + home + "/v2.0/.well-known/openid-configuration", publicLogin + "/" + home + "/oauth2/v2.0/token", publicLogin + "/" + home + "/discovery/v2.0/keys", publicLogin + "/" + home + "/v2.0"},
		{publicLogin + "/" + home + "/v2.0/.well-known/openid-configuration?", publicLogin + "/" + home + "/oauth2/v2.0/token", publicLogin + "/" + home + "/discovery/v2.0/keys", publicLogin + "/" + home + "/v2.0"},
		{publicLogin + "/" + home + "/.well-known/openid-configuration", publicLogin + "/" + home + "/oauth2/token", publicLogin + "/" + home + "/discovery/keys", sts},
		{publicLogin + "/HOME.example/v2.0/.well-known/openid-configuration", publicLogin + "/" + home + "/oauth2/v2.0/token", publicLogin + "/" + home + "/discovery/v2.0/keys", publicLogin + "/" + home + "/v2.0"},
		{"https://login.windows.net/" + home + "/v2.0/.well-known/openid-configuration", publicLogin + "/" + home + "/oauth2/v2.0/token", publicLogin + "/" + home + "/discovery/v2.0/keys", publicLogin + "/" + home + "/v2.0"},
		{publicLogin + "/common/v2.0/.well-known/openid-configuration", publicLogin + "/common/oauth2/v2.0/token", publicLogin + "/common/discovery/v2.0/keys", publicLogin + "/{tenantid}/v2.0"},
		{publicLogin + "/organizations/v2.0/.well-known/openid-configuration", publicLogin + "/organizations/oauth2/v2.0/token", publicLogin + "/organizations/discovery/v2.0/keys", publicLogin + "/{tenantid}/v2.0"},
		{privateLogin + "/" + home + "/v2.0/.well-known/openid-configuration", privateLogin + "/" + home + "/oauth2/v2.0/token", privateLogin + "/" + home + "/discovery/v2.0/keys", privateLogin + "/" + home + "/v2.0"},
		{privateLogin + "/adfs/.well-known/openid-configuration", privateLogin + "/adfs/oauth2/token", privateLogin + "/adfs/discovery/keys", privateLogin + "/adfs"},
		{privateLogin + "/adfs/aad/" + home + "/.well-known/openid-configuration", privateLogin + "/" + home + "/oauth2/v2.0/token", privateLogin + "/" + home + "/discovery/v2.0/keys", privateLogin + "/" + home + "/v2.0"},
		{privateLogin + "/adfs/aad/organizations/.well-known/openid-configuration", privateLogin + "/adfs/aad/organizations/oauth2/v2.0/token", privateLogin + "/adfs/aad/organizations/discovery/v2.0/keys", privateLogin + "/adfs/aad/organizations/v2.0"},
	} {
		status, doc := ask(t, h, get(row.url))
		if status != 200 {
			t.Errorf("GET %s = %d %v, want 200", row.url, status, doc)
			continue
		}
		got := []any{doc["token_endpoint"], doc["jwks_uri"], doc["issuer"]}
		if diff := cmp.Diff([]any{row.token, row.keys, row.issuer}, got); diff != "" {
			t.Errorf("GET %s: %s", row.url, diff)
		}
		for _, name := range []string{"authorization_endpoint", "device_authorization_endpoint"} {
			if s, _ := doc[name].(string); !strings.HasPrefix(s, row.token[:strings.Index(row.token, "/oauth2")]) {
				t.Errorf("GET %s: %s = %q, want it beside %s", row.url, name, s, row.token)
			}
		}
		// What the document names is there.
		if status, keys := ask(t, h, get(row.keys)); status != 200 || len(keys["keys"].([]any)) != 1 {
			t.Errorf("GET %s = %d %v, want one key", row.keys, status, keys)
		}
		status, answer := ask(t, h, post(row.token, "grant_type", "client_credentials", "client_id", w.alice.App.String(), "client_secret", w.secret, "scope", vaultAudience+"/.default"))
		if status != 200 {
			t.Errorf("POST %s = %d %v, want 200", row.token, status, answer)
		}
	}
}

func TestKeysDocument(t *testing.T) {
	w := newWorld(t)
	_, doc := ask(t, w.Login(testName, quiet), get(publicLogin+"/common/discovery/v2.0/keys"))
	key := doc["keys"].([]any)[0].(map[string]any)
	current := w.state.Load().keys.current
	n, err := base64.RawURLEncoding.DecodeString(key["n"].(string))
	if err != nil || new(big.Int).SetBytes(n).Cmp(current.private.N) != 0 {
		t.Errorf("n = %v, want that of the key", key["n"])
	}
	delete(key, "n")
	want := map[string]any{"kty": "RSA", "use": "sig", "kid": current.id, "x5t": current.id, "e": "AQAB",
		"x5c": []any{base64.StdEncoding.EncodeToString(current.certificate)}, "issuer": publicLogin + "/{tenantid}/v2.0"}
	if diff := cmp.Diff(want, key); diff != "" {
		t.Error(diff)
	}
}

func TestInstanceDiscovery(t *testing.T) {
	w := newWorld(t)
	h := w.Login(testName, quiet)
	home := w.home.ID.String()
	tail := "/v2.0/.well-known/openid-configuration"
	for _, row := range []struct{ host, version, authority, want string }{
		{publicLogin, "1.1", publicLogin + "/" + home + "/oauth2/v2.0/authorize", publicLogin + "/" + home + tail},
		{publicLogin, "1.0", publicLogin + "/" + home + "/oauth2/v2.0/authorize", publicLogin + "/" + home + tail},
		{publicLogin, "1.1", privateLogin + "/" + home + "/oauth2/v2.0/authorize", privateLogin + "/" + home + tail},
		{publicLogin, "1.1", "https://login.postern.localhost/" + home + "/oauth2/v2.0/authorize", privateLogin + "/" + home + tail},
		{privateLogin, "1.1", privateLogin + "/organizations/oauth2/v2.0/authorize", privateLogin + "/organizations" + tail},
		{publicLogin, "1.1", "https://evil.example/" + home + "/x", publicLogin + "/" + home + tail},
		{publicLogin, "1.1", "https://evil.example/a%2F..%2Fb/x", publicLogin + "/common" + tail},
		{publicLogin, "", "", publicLogin + "/common" + tail},
		{publicLogin, "1.1", ":", publicLogin + "/common" + tail},
	} {
		status, doc := ask(t, h, get(row.host+"/common/discovery/instance?"+encode("api-version", row.version, "authorization_endpoint", row.authority)))
		if status != 200 || doc["tenant_discovery_endpoint"] != row.want {
			t.Errorf("instance(%s, %s) = %d %v, want %s", row.host, row.authority, status, doc["tenant_discovery_endpoint"], row.want)
		}
		aliases := fmt.Sprint(doc["metadata"])
		for _, name := range []string{"login.microsoftonline.com", "login.windows.net", "login.postern.localhost:8443"} {
			if !strings.Contains(aliases, name) {
				t.Errorf("metadata %s lacks %s", aliases, name)
			}
		}
	}
	for _, query := range []string{"api-version=2.0", "api-version=1.0&api-version=1.1", "api-version=%zz", strings.Repeat("x", maxQuery+1)} {
		if status, doc := ask(t, h, get(publicLogin+"/common/discovery/instance?"+query)); status != 400 {
			t.Errorf("instance?%.40s = %d %v, want 400", query, status, doc)
		}
	}
	if status, _ := ask(t, h, get(publicLogin+"/common/discovery/instance?api%2Dversion=1.1")); status != 200 {
		t.Errorf("a name that is percent-encoded = %d, want 200", status)
	}
}

func TestTokenAnswer(t *testing.T) {
	w := newWorld(t)
	h := w.Login(testName, quiet)
	home := w.home.ID.String()
	app := w.alice.App.String()
	url := publicLogin + "/" + home + "/oauth2/v2.0/token"
	claims := `{"access_token":{"xms_cc":{"values":["CP1"]}}}`
	expires := start.Truncate(time.Second).Add(time.Hour).Unix()
	basic := func(id, secret string) *http.Request {
		r := post(url, "grant_type", "client_credentials", "scope", vaultAudience+"/.default")
		r.SetBasicAuth(id, secret)
		return r
	}
	with := func(url string, more ...string) *http.Request {
		return post(url, append([]string{"grant_type", "client_credentials", "client_id", app, "client_secret", w.secret}, more...)...)
	}
	v1 := map[string]any{"token_type": "Bearer", "expires_in": "3599", "ext_expires_in": "3599", "expires_on": fmt.Sprint(expires), "not_before": fmt.Sprint(expires - 3600), "resource": "https://management.azure.com/"}
	v2 := map[string]any{"token_type": "Bearer", "expires_in": 3599.0, "ext_expires_in": 3599.0, "expires_on": float64(expires)}
	for _, row := range []struct {
		name, audience string
		request        *http.Request
		answer         map[string]any
	}{
		{"MSAL Go", vaultAudience, with(url, "scope", "https://vault.azure.net/.default openid offline_access profile", "claims", claims, "client_info", "1"), v2},
		{"bare scope and a query", vaultAudience, with(url+"?client-request-id="+home, "scope", "https://vault.azure.net/.default"), v2},
		{"two slashes", "https://vault.azure.net/", with(url, "scope", "https://vault.azure.net//.default"), v2},
		{"az", "https://management.core.windows.net/", with(url, "scope", "https://management.core.windows.net//.default"), v2},
		{"private vault", "https://vault.postern.localhost:8443", with(url, "scope", "https://vault.postern.localhost:8443/.default"), v2},
		{"private management", "https://management.postern.localhost:8443/", with(url, "scope", "https://management.postern.localhost:8443//.default"), v2},
		{"graph", "https://graph.microsoft.com", with(url, "scope", "https://graph.microsoft.com/.default"), v2},
		{"version 1", "https://management.azure.com/", with(publicLogin+"/"+home+"/oauth2/token", "resource", "https://management.azure.com/"), v1},
		{"AD FS", vaultAudience, with(privateLogin+"/adfs/oauth2/token", "scope", "https://vault.azure.net/.default"), v2},
		{"AD FS of a tenant", vaultAudience, with(privateLogin+"/adfs/aad/"+home+"/oauth2/v2.0/token", "scope", "https://vault.azure.net/.default"), v2},
		{"home of the application", vaultAudience, with(privateLogin+"/organizations/oauth2/v2.0/token", "scope", "https://vault.azure.net/.default"), v2},
		{"Basic", vaultAudience, basic(app, w.secret), v2},
		{"app id in capitals", vaultAudience, basic(strings.ToUpper(app), w.secret), v2},
	} {
		status, answer := ask(t, h, row.request)
		token, _ := answer["access_token"].(string)
		delete(answer, "access_token")
		if diff := cmp.Diff(row.answer, answer); status != 200 || diff != "" {
			t.Errorf("%s = %d: %s", row.name, status, diff)
			continue
		}
		id := w.Verifier([]string{row.audience}).Verify("Bearer " + token)
		if id.Token != access.TokenValid || id.Object != w.alice.Object || id.Tenant != w.home.ID || id.Audience != row.audience {
			t.Errorf("%s: the token says %+v, want alice for %s", row.name, id, row.audience)
		}
	}
}

func TestTokenClaims(t *testing.T) {
	w := newWorld(t)
	token := strings.TrimPrefix(w.bearer(t, w.alice, vaultAudience), "Bearer ")
	var header, payload map[string]any
	for i, to := range []any{&header, &payload} {
		raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err := json.Unmarshal(raw, to); err != nil {
			t.Fatal(err)
		}
	}
	kid := w.state.Load().keys.current.id
	if diff := cmp.Diff(map[string]any{"typ": "JWT", "alg": "RS256", "kid": kid, "x5t": kid}, header); diff != "" {
		t.Error(diff)
	}
	if s, _ := payload["uti"].(string); len(s) != 22 {
		t.Errorf("uti = %q, want 22 characters", s)
	}
	delete(payload, "uti")
	now := float64(start.Unix())
	issuer := "https://sts.windows.net/" + w.home.ID.String() + "/"
	object, app := w.alice.Object.String(), w.alice.App.String()
	want := map[string]any{"aud": vaultAudience, "iss": issuer, "iat": now, "nbf": now, "exp": now + 3600, "appid": app, "appidacr": "1",
		"idp": issuer, "idtyp": "app", "oid": object, "sub": object, "tid": w.home.ID.String(), "ver": "1.0"}
	if diff := cmp.Diff(want, payload); diff != "" {
		t.Error(diff)
	}
}

func TestTokenRefused(t *testing.T) {
	w := newWorld(t)
	var logged bytes.Buffer
	h := w.Login(testName, slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	home := w.home.ID.String()
	app := w.alice.App.String()
	url := publicLogin + "/" + home + "/oauth2/v2.0/token"
	nobody := "99999999-0000-0000-0000-000000000000"
	good := []string{"grant_type", "client_credentials", "client_id", app, "client_secret", w.secret, "scope", vaultAudience + "/.default"}
	with := func(name, value string) *http.Request {
		form := slices.Clone(good)
		for i := 0; i < len(form); i += 2 {
			if form[i] == name {
				form[i+1] = value
				return post(url, form...)
			}
		}
		return post(url, append(form, name, value)...)
	}
	header := func(r *http.Request, name, value string) *http.Request { r.Header.Set(name, value); return r }
	for _, row := range []struct {
		name    string
		request *http.Request
		status  int
		error   string
		code    float64
	}{
		{"wrong secret", with("client_secret", "not-the-secret"), 401, "invalid_client", 7000215},
		{"another's letter case", with("client_secret", strings.ToLower(w.secret)), 401, "invalid_client", 7000215},
		{"unknown app", with("client_id", nobody), 400, "unauthorized_client", 700016},
		{"app id no GUID", with("client_id", "alice"), 400, "unauthorized_client", 700016},
		{"app of another tenant", with("client_id", w.stranger.App.String()), 400, "unauthorized_client", 700016},
		{"object id for app id", with("client_id", w.alice.Object.String()), 400, "unauthorized_client", 700016},
		{"tenant not found", post(publicLogin+"/"+nobody+"/oauth2/v2.0/token", good...), 400, "invalid_request", 90002},
		{"tenant by a strange name", post(publicLogin+"/x%00y/oauth2/v2.0/token", good...), 400, "invalid_request", 90002},
		{"grant password", with("grant_type", "password"), 400, "unsupported_grant_type", 70003},
		{"grant refresh", with("grant_type", "refresh_token"), 400, "unauthorized_client", 700016},
		{"no grant", with("grant_type", ""), 400, "invalid_request", 900144},
		{"no client", with("client_id", ""), 400, "invalid_request", 900144},
		{"no secret", with("client_secret", ""), 401, "invalid_client", 7000218},
		{"no scope", with("scope", ""), 400, "invalid_request", 900144},
		{"scope without .default", with("scope", "https://vault.azure.net/user_impersonation"), 400, "invalid_scope", 1002012},
		{"scope of nothing", with("scope", "/.default"), 400, "invalid_scope", 1002012},
		{"scope openid alone", with("scope", "openid profile"), 400, "invalid_scope", 1002012},
		{"two resources", with("scope", "https://vault.azure.net/.default https://graph.microsoft.com/.default"), 400, "invalid_scope", 70011},
		{"foreign resource", with("scope", "https://evil.example/.default"), 400, "invalid_resource", 500011},
		{"resource with two slashes", with("scope", "https://vault.azure.net///.default"), 400, "invalid_resource", 500011},
		{"resource of a vault", with("scope", "https://myvault.vault.azure.net/.default"), 400, "invalid_resource", 500011},
		{"resource in version 2", with("resource", "https://vault.azure.net"), 400, "invalid_request", 901002},
		{"no resource in version 1", post(publicLogin+"/"+home+"/oauth2/token", good[:6]...), 400, "invalid_request", 900144},
		{"long claims", with("claims", strings.Repeat("x", maxClaims+1)), 400, "invalid_request", 90013},
		{"twice the client", postRaw(url, encode(good...)+"&client_id="+nobody), 400, "invalid_request", 90013},
		{"twice the scope, once encoded", postRaw(url, encode(good...)+"&sc%6fpe=x"), 400, "invalid_request", 90013},
		{"semicolons", postRaw(url, strings.ReplaceAll(encode(good...), "&", ";")), 400, "invalid_request", 90013},
		{"bad escapes", postRaw(url, encode(good...)+"&x=%zz"), 400, "invalid_request", 90013},
		{"not UTF-8", postRaw(url, encode(good...)+"&x=%ff"), 400, "invalid_request", 90013},
		{"too many", postRaw(url, encode(good...)+strings.Repeat("&a", maxParameters)), 400, "invalid_request", 90013},
		{"too large", postRaw(url, encode(good...)+"&x="+strings.Repeat("x", maxForm)), 413, "invalid_request", 90013},
		{"JSON", header(postRaw(url, `{"grant_type":"client_credentials"}`), "Content-Type", "application/json"), 400, "invalid_request", 90013},
		{"no content type", header(postRaw(url, encode(good...)), "Content-Type", ""), 400, "invalid_request", 90013},
		{"parameters in the query", post(url + "?" + encode(good...)), 400, "invalid_request", 900144},
		{"Bearer for Basic", header(post(url, good...), "Authorization", "Bearer x"), 400, "invalid_request", 90013},
		{"two ways to say who", header(post(url, good...), "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(app+":"+w.secret))), 400, "invalid_request", 90013},
		{"Basic of a wrong secret", header(post(url, good[0], good[1], good[6], good[7]), "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(app+":x"))), 401, "invalid_client", 7000215},
		{"GET of the token endpoint", get(url), 405, "invalid_request", 900561},
		{"POST of a document", post(publicLogin + "/common/v2.0/.well-known/openid-configuration"), 405, "invalid_request", 900561},
		{"POST of instance discovery", post(publicLogin + "/common/discovery/instance"), 405, "invalid_request", 900561},
		{"unknown tenant's document", get(publicLogin + "/" + nobody + "/v2.0/.well-known/openid-configuration"), 400, "invalid_request", 90002},
		{"unknown tenant's document, AD FS", get(publicLogin + "/adfs/aad/" + nobody + "/.well-known/openid-configuration"), 400, "invalid_request", 90002},
		{"root", get(publicLogin + "/"), 404, "invalid_request", 90023},
		{"unknown path", get(publicLogin + "/common/oauth2/v2.0/authorize"), 404, "invalid_request", 90023},
		{"two slashes before the route", get(publicLogin + "//discovery/v2.0/keys"), 404, "invalid_request", 90023},
		{"dots", get(publicLogin + "/x/../common/discovery/v2.0/keys"), 404, "invalid_request", 90023},
		{"slash behind the route", get(publicLogin + "/common/discovery/v2.0/keys/"), 404, "invalid_request", 90023},
	} {
		status, body := ask(t, h, row.request)
		codes, _ := body["error_codes"].([]any)
		if status != row.status || body["error"] != row.error || len(codes) != 1 || codes[0] != row.code {
			t.Errorf("%s = %d %v %v, want %d %s %v", row.name, status, body["error"], codes, row.status, row.error, row.code)
		}
		prefix := fmt.Sprintf("AADSTS%.0f: ", row.code)
		description, _ := body["error_description"].(string)
		if !strings.HasPrefix(description, prefix) || !strings.HasSuffix(description, " Timestamp: 2026-11-22 10:00:00Z") {
			t.Errorf("%s: error_description = %q, want %s… Timestamp: …", row.name, description, prefix)
		}
		if body["timestamp"] != "2026-11-22 10:00:00Z" || len(fmt.Sprint(body["trace_id"])) != 36 {
			t.Errorf("%s: timestamp, trace_id = %v, %v", row.name, body["timestamp"], body["trace_id"])
		}
		if strings.Contains(description, w.secret) || strings.ContainsFunc(description, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%s: error_description = %q, want no secret and no control character", row.name, description)
		}
	}
	for _, secret := range []string{w.secret, "not-the-secret"} {
		if strings.Contains(logged.String(), secret) {
			t.Errorf("the log holds the secret %q", secret)
		}
	}
	if !strings.Contains(logged.String(), "7000215") {
		t.Error("the log does not tell of a wrong secret")
	}
}

// TestTokenGolden holds one error to Entra's form, byte for byte but for the
// ids.
func TestTokenGolden(t *testing.T) {
	w := newWorld(t)
	app := w.alice.App.String()
	r := post(publicLogin+"/"+w.home.ID.String()+"/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", app, "client_secret", "x", "scope", "x/.default")
	r.Header.Set("client-request-id", app)
	rec := httptest.NewRecorder()
	w.Login(testName, quiet).ServeHTTP(rec, r)
	trace := rec.Header().Get("x-ms-request-id")
	want := `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '` + app +
		`'. Trace ID: ` + trace + ` Correlation ID: ` + app + ` Timestamp: 2026-11-22 10:00:00Z","error_codes":[7000215],"timestamp":"2026-11-22 10:00:00Z","trace_id":"` + trace + `","correlation_id":"` + app +
		`","error_uri":"https://login.microsoftonline.com/error?code=7000215"}`
	if diff := cmp.Diff(want, rec.Body.String()); diff != "" {
		t.Error(diff)
	}
}

// TestTokenRotates: the token endpoint changes a key that is due, and a store
// that fails does not stop it from answering.
func TestTokenRotates(t *testing.T) {
	w := newWorld(t)
	h := w.Login(testName, quiet)
	before := w.state.Load().keys.current.id
	w.clock.add(30 * 24 * time.Hour)
	ask(t, h, post(publicLogin+"/common/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", w.alice.App.String(), "client_secret", w.secret, "scope", vaultAudience+"/.default"))
	if got := w.state.Load().keys.current.id; got == before {
		t.Error("the key that was due still signs")
	}
	w.clock.add(30 * 24 * time.Hour)
	w.store.Close()
	if status, body := ask(t, h, post(publicLogin+"/common/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", w.alice.App.String(), "client_secret", w.secret, "scope", vaultAudience+"/.default")); status != 200 {
		t.Errorf("with the store closed = %d %v, want 200", status, body)
	}
}

func FuzzTokenForm(f *testing.F) {
	w := newWorld(f)
	h := w.Login(testName, quiet)
	good := encode("grant_type", "client_credentials", "client_id", w.alice.App.String(), "client_secret", w.secret, "scope", vaultAudience+"/.default")
	path := "/" + w.home.ID.String() + "/oauth2/v2.0/token"
	for _, body := range []string{good, "", "&", "=", "a=%", "grant_type=client_credentials", good + "&scope=x", strings.ReplaceAll(good, w.secret, "x"), "grant_type=password&username=a&password=b"} {
		f.Add(path, body, "")
		f.Add("/adfs/oauth2/token", body, "Basic YTpi")
	}
	f.Fuzz(func(t *testing.T, path, body, authorization string) {
		r := postRaw(publicLogin+"/", body)
		r.URL.Path = path
		r.Header.Set("Authorization", authorization)
		status, answer := ask(t, h, r)
		knows := strings.Contains(body+authorization, w.secret) || strings.HasPrefix(authorization, "Basic ") || strings.Contains(body, "%")
		if status == 200 && answer["access_token"] != nil && !knows {
			t.Errorf("POST %q %q = a token, want none without the secret", path, body)
		}
		if status >= 500 {
			t.Errorf("POST %q %q = %d", path, body, status)
		}
	})
}

func FuzzDiscoveryQuery(f *testing.F) {
	w := newWorld(f)
	h := w.Login(testName, quiet)
	for _, q := range []string{"", "api-version=1.1&authorization_endpoint=https%3A%2F%2Flogin.microsoftonline.com%2Fcommon%2Foauth2", "api%2Dversion=1.0", "authorization_endpoint=https://[::1", "authorization_endpoint=//\x00", "a=1&a=2", "%"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := get(publicLogin + "/common/discovery/instance")
		r.URL.RawQuery = query
		status, doc := ask(t, h, r)
		if status == 400 {
			return
		}
		where, _ := doc["tenant_discovery_endpoint"].(string)
		if status != 200 || !strings.HasPrefix(where, publicLogin+"/") && !strings.HasPrefix(where, privateLogin+"/") {
			t.Errorf("?%q = %d %s, want a URL of this server", query, status, where)
		}
	})
}
