package entra

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"postern/access"
)

// provider is an OpenID provider on the network.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	keys     []jose.JSONWebKey
	status   int    // in place of 200
	redirect string // in place of keys
	padding  int    // bytes behind the keys
	asked    int    // how often for keys
}

func newProvider(t testing.TB) *provider {
	p := &provider{status: http.StatusOK}
	p.Server = httptest.NewTLSServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == "/.well-known/openid-configuration" {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/keys")
		return
	}
	if r.URL.Path != "/keys" {
		http.NotFound(w, r)
		return
	}
	p.asked++
	if p.redirect != "" {
		http.Redirect(w, r, p.redirect, http.StatusFound)
		return
	}
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	_, _ = w.Write([]byte(strings.Repeat(" ", p.padding)))
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// foreignWorld is a world that trusts a provider, whose tokens count as those
// of a tenant that only it has.
type foreignWorld struct {
	*world
	*provider
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	issuer ForeignIssuer
	verify *Verifier
}

const (
	outerTenant   = "aaaaaaaa-0000-4000-8000-000000000001"
	outerAudience = "api://vaults"
)

func newForeignWorld(t testing.TB) *foreignWorld {
	t.Helper()
	f := &foreignWorld{world: newWorld(t), provider: newProvider(t)}
	f.rsa = must(rsa.GenerateKey(rand.Reader, 2048))(t)
	f.ec = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	f.keys = []jose.JSONWebKey{{Key: f.rsa.Public(), KeyID: "r", Use: "sig"}, {Key: f.ec.Public(), KeyID: "e"}, {Key: f.rsa.Public(), KeyID: "p", Algorithm: "PS256"}}
	f.options.Transport = f.Client().Transport
	f.reopen(t)
	f.issuer = ForeignIssuer{Issuer: f.URL, Audiences: []string{outerAudience}, Tenant: outerTenant, KeysURL: f.URL + "/keys"}
	f.trust(t, f.issuer)
	f.verify = f.Verifier([]string{vaultAudience})
	return f
}

func (f *foreignWorld) trust(t testing.TB, list ...ForeignIssuer) {
	t.Helper()
	if err := f.TrustIssuers(list); err != nil {
		t.Fatal(err)
	}
}

// claims are those of a good token, with changes: nil leaves one out.
func (f *foreignWorld) claims(edits ...any) map[string]any {
	now := f.clock.Now().Unix()
	c := map[string]any{"iss": f.URL, "sub": "alice", "aud": outerAudience, "azp": "cli", "iat": now, "nbf": now, "exp": now + 3600}
	for i := 0; i < len(edits); i += 2 {
		c[edits[i].(string)] = edits[i+1]
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token signs claims.
func token(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"typ": "JWT"}}
	if alg == jose.ES256 {
		o.ExtraHeaders["typ"] = "at+jwt" // RFC 9068
	}
	if kid != "" {
		o.ExtraHeaders["kid"] = kid
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o))(t)
	return must(must(signer.Sign(must(json.Marshal(claims))(t)))(t).CompactSerialize())(t)
}

// crafted is a token of a header and a signature of one's own.
func crafted(header string, claims []byte, sign func(input string) []byte) string {
	b := base64.RawURLEncoding.EncodeToString
	input := b([]byte(header)) + "." + b(claims)
	return input + "." + b(sign(input))
}

func TestForeignTokens(t *testing.T) {
	f := newForeignWorld(t)
	f.trust(t, f.issuer, ForeignIssuer{Issuer: "https://other.example", Tenant: outerTenant, KeysURL: f.URL + "/none"})
	other := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	rs := func(edits ...any) string { return token(t, jose.RS256, f.rsa, "r", f.claims(edits...)) }
	now := f.clock.Now().Unix()
	plain := must(json.Marshal(f.claims()))(t)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(f.rsa.Public()))(t)})
	mac := func(key []byte) func(string) []byte {
		return func(in string) []byte { h := hmac.New(sha256.New, key); h.Write([]byte(in)); return h.Sum(nil) }
	}
	der := must(x509.MarshalPKIXPublicKey(f.rsa.Public()))(t)
	for _, row := range []struct {
		name, token string
		want        access.TokenState
	}{
		{"RS256", rs(), access.TokenValid},
		{"ES256", token(t, jose.ES256, f.ec, "e", f.claims()), access.TokenValid},
		{"PS256", token(t, jose.PS256, f.rsa, "p", f.claims()), access.TokenValid},
		{"our audience", rs("aud", vaultAudience), access.TokenValid},
		{"audience in an array", rs("aud", []string{outerAudience}), access.TokenValid},
		{"no nbf", rs("nbf", nil), access.TokenValid},
		{"tid of the tenant it counts as", rs("tid", outerTenant), access.TokenValid},
		{"other audience", rs("aud", "api://others"), access.TokenWrongAudience},
		{"two audiences", rs("aud", []string{outerAudience, "api://others"}), access.TokenMalformed},
		{"no audience", rs("aud", nil), access.TokenMalformed},
		{"no exp", rs("exp", nil), access.TokenMalformed},
		{"exp as text", rs("exp", "soon"), access.TokenMalformed},
		{"expired", rs("exp", now-301), access.TokenExpired},
		{"expired within the skew", rs("exp", now-200), access.TokenValid},
		{"not yet", rs("nbf", now+301), access.TokenNotYetValid},
		{"not yet within the skew", rs("nbf", now+200), access.TokenValid},
		{"no subject", rs("sub", nil), access.TokenMalformed},
		{"empty subject", rs("sub", ""), access.TokenMalformed},
		{"subject is a number", rs("sub", 7), access.TokenMalformed},
		{"subject with a line break", rs("sub", "a\nb"), access.TokenMalformed},
		{"unknown idtyp", rs("idtyp", "device"), access.TokenMalformed},
		{"tid of a tenant here", rs("tid", f.home.ID.String()), access.TokenMalformed},
		{"tid of a stranger", rs("tid", "bbbbbbbb-0000-4000-8000-000000000001"), access.TokenMalformed},
		{"object of somebody here", rs("sub", f.alice.Object.String()), access.TokenMalformed},
		{"unknown kid", token(t, jose.RS256, f.rsa, "x", f.claims()), access.TokenUnknownKey},
		{"no kid", token(t, jose.RS256, f.rsa, "", f.claims()), access.TokenMalformed},
		{"other key under the kid", token(t, jose.RS256, other, "r", f.claims()), access.TokenMalformed},
		{"kid of a key of another kind", token(t, jose.RS256, f.rsa, "e", f.claims()), access.TokenMalformed},
		{"algorithm that the key does not sign with", token(t, jose.RS256, f.rsa, "p", f.claims()), access.TokenMalformed},
		{"RS512", token(t, jose.RS512, f.rsa, "r", f.claims()), access.TokenMalformed},
		{"alg none", crafted(`{"alg":"none","kid":"r"}`, plain, func(string) []byte { return []byte("x") }), access.TokenMalformed},
		{"alg none without a signature", crafted(`{"alg":"none","kid":"r"}`, plain, func(string) []byte { return nil }), access.TokenMalformed},
		{"HS256 with the public key as PEM", crafted(`{"alg":"HS256","kid":"r"}`, plain, mac(public)), access.TokenMalformed},
		{"HS256 with the public key as DER", crafted(`{"alg":"HS256","kid":"r"}`, plain, mac(der)), access.TokenMalformed},
		{"crit", crafted(`{"alg":"RS256","kid":"r","crit":["b64"]}`, plain, mac(der)), access.TokenMalformed},
		{"kid twice", crafted(`{"alg":"RS256","kid":"r","kid":"e"}`, plain, mac(der)), access.TokenMalformed},
		{"issuer that cannot be reached", rs("iss", "https://other.example"), access.TokenUnknownKey},
		{"issuer that is not trusted", rs("iss", "https://evil.example"), access.TokenUnknownKey},
		{"issuer with a slash", rs("iss", f.URL+"/"), access.TokenUnknownKey},
		{"issuer of a tenant here", rs("iss", Issuer(f.home.ID), "tid", f.home.ID.String()), access.TokenUnknownKey},
	} {
		got := f.verify.Verify("Bearer " + row.token)
		if got.Token != row.want {
			t.Errorf("Verify(%s) = %v, want %v", row.name, got.Token, row.want)
		}
		if again := f.verify.Verify("Bearer " + row.token); (again == got) != (row.want == access.TokenValid) {
			t.Errorf("Verify(%s) again: known = %v", row.name, again == got)
		}
	}
	if got := f.verify.Verify(f.bearer(t, f.alice, vaultAudience)).Token; got != access.TokenValid {
		t.Errorf("Verify(a token of this directory) = %v", got)
	}
	header := "Bearer " + rs()
	if got := testing.AllocsPerRun(100, func() { f.verify.Verify(header) }); got != 0 {
		t.Errorf("Verify of a foreign token that is known: %v allocations, want 0", got)
	}
}

// TestForeignCallers: who a token is about, by provider and mapping.
func TestForeignCallers(t *testing.T) {
	f := newForeignWorld(t)
	const oid, app, group = "cccccccc-0000-4000-8000-000000000001", "cccccccc-0000-4000-8000-000000000002", "cccccccc-0000-4000-8000-000000000003"
	mirid := "/subscriptions/" + oid + "/resourceGroups/g/providers/Microsoft.Web/sites/s"
	v1, v2 := "https://sts.windows.net/"+outerTenant+"/", "https://login.microsoftonline.com/"+outerTenant+"/v2.0"
	entra := []any{"iss", v1, "tid", outerTenant, "oid", oid, "appid", app, "idtyp", "app", "azp", nil, "sub", oid, "groups", []string{group}, "xms_mirid", mirid}
	space := derived(urlSpace, f.URL)
	alice := derived(space, "alice").String()
	own := func(claims map[string]string) ForeignIssuer { i := f.issuer; i.Claims = claims; return i }
	real := func(name, tenant string, claims map[string]string) ForeignIssuer {
		return ForeignIssuer{Issuer: name, Audiences: []string{outerAudience}, KeysURL: f.URL + "/keys", Tenant: tenant, Claims: claims}
	}
	for _, row := range []struct {
		name   string
		issuer ForeignIssuer
		edits  []any
		want   string
	}{
		{"any provider", own(nil), nil, outerTenant + " " + alice + " " + derived(derived(space, "app"), "cli").String() + " app [] alice "},
		{"subject that is a GUID", own(nil), []any{"sub", oid}, outerTenant + " " + oid + " " + derived(derived(space, "app"), "cli").String() + " app [] " + oid + " "},
		{"subject that is another's derived GUID", own(nil), []any{"sub", alice, "azp", nil}, outerTenant + " " + derived(space, alice).String() + "  app [] " + alice + " "},
		{"subject in capitals", own(nil), []any{"sub", strings.ToUpper(oid), "azp", nil}, outerTenant + " " + derived(space, strings.ToUpper(oid)).String() + "  app [] " + strings.ToUpper(oid) + " "},
		{"groups and resource unasked", own(nil), []any{"groups", []string{"ops"}, "xms_mirid", mirid, "azp", nil}, outerTenant + " " + alice + "  app [] alice "},
		{"mapped", own(map[string]string{"groups": "roles", "user": "email", "resource": "mirid", "app": "none"}), []any{"roles", []string{"ops"}, "email", "a@b.example", "mirid", mirid, "scp", "x"}, outerTenant + " " + alice + "  user [" + derived(derived(space, "group"), "ops").String() + "] a@b.example " + strings.ToLower(mirid)},
		{"mapped tid of another meaning", own(map[string]string{"tenant": "none", "app": "none"}), []any{"tid", "acme"}, outerTenant + " " + alice + "  app [] alice "},
		{"Entra v1", real(v1, "", nil), entra, outerTenant + " " + oid + " " + app + " app [" + group + "]  "},
		{"Entra v1, resource mapped", real(v1, "", map[string]string{"resource": "xms_mirid"}), entra, outerTenant + " " + oid + " " + app + " app [" + group + "]  " + strings.ToLower(mirid)},
		{"Entra v2, a person", real(v2, "", nil), []any{"iss", v2, "tid", outerTenant, "oid", oid, "azp", app, "scp", "x", "preferred_username", "a@b.example"}, outerTenant + " " + oid + " " + app + " user [] a@b.example "},
		{"Entra counts as a tenant here", real(v1, f.home.ID.String(), nil), entra, f.home.ID.String() + " " + oid + " " + app + " app [" + group + "]  "},
		{"Entra as a tenant here, somebody of it", real(v1, f.home.ID.String(), nil), append(entra[:len(entra):len(entra)], "oid", f.alice.Object.String(), "groups", nil), f.home.ID.String() + " " + f.alice.Object.String() + " " + app + " app []  "},
		{"Entra as a tenant here, somebody of another", real(v1, f.home.ID.String(), nil), append(entra[:len(entra):len(entra)], "oid", f.stranger.Object.String()), ""},
		{"Entra, group of somebody here", real(v1, "", nil), append(entra[:len(entra):len(entra)], "groups", []string{f.alice.Object.String()}), ""},
		{"Entra with the tid of another", real(v1, "", nil), append(entra[:len(entra):len(entra)], "tid", oid), ""},
		{"Entra with the tid it counts as", real(v1, f.home.ID.String(), nil), append(entra[:len(entra):len(entra)], "tid", f.home.ID.String()), ""},
		{"Entra without oid", real(v1, "", nil), append(entra[:len(entra):len(entra)], "oid", nil), ""},
		{"groups not a list", real(v1, "", nil), append(entra[:len(entra):len(entra)], "groups", "x"), ""},
	} {
		f.trust(t, row.issuer)
		got := f.verify.Verify("Bearer " + token(t, jose.RS256, f.rsa, "r", f.claims(row.edits...)))
		text := ""
		if got.Token == access.TokenValid {
			text = fmt.Sprintf("%s %s %s %s %v %s %s", got.Tenant, got.ObjectID, got.AppID, got.IDType, got.Groups, got.UPN, got.IdentityResource)
		}
		if diff := cmp.Diff(row.want, text); diff != "" {
			t.Errorf("%s: caller (-want +got):\n%s", row.name, diff)
		}
	}
}

// TestTenantsHereAreNotForeign: an issuer that is this directory's, or that
// would be a tenant of it without having been given its name, is nobody.
func TestTenantsHereAreNotForeign(t *testing.T) {
	f := newForeignWorld(t)
	home := f.home.ID.String()
	v1, v2 := Issuer(f.home.ID), "https://login.microsoftonline.com/"+home+"/v2.0"
	f.trust(t, ForeignIssuer{Issuer: v1, Tenant: home, KeysURL: f.URL + "/keys"}, ForeignIssuer{Issuer: v2, KeysURL: f.URL + "/keys"})
	for name, want := range map[string]access.TokenState{v1: access.TokenUnknownKey, v2: access.TokenMalformed} {
		show := token(t, jose.RS256, f.rsa, "r", f.claims("iss", name, "tid", home, "oid", f.alice.Object.String(), "appid", f.alice.App.String(), "idtyp", "app", "aud", vaultAudience))
		if got := f.verify.Verify("Bearer " + show).Token; got != want {
			t.Errorf("Verify(%s) = %v, want %v", name, got, want)
		}
	}
	if got := f.verify.Verify(f.bearer(t, f.alice, vaultAudience)).Token; got != access.TokenValid {
		t.Errorf("Verify(a token of this directory) = %v", got)
	}
}

// TestForeignKeys: keys are asked for when they are needed, seldom, and
// outlive an outage of a day.
func TestForeignKeys(t *testing.T) {
	f := newForeignWorld(t)
	next := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	try := func(step, kid string, key *rsa.PrivateKey, want access.TokenState, asked int) {
		t.Helper()
		if got := f.verify.Verify("Bearer " + token(t, jose.RS256, key, kid, f.claims("exp", f.clock.Now().Unix()+90000))).Token; got != want || f.count() != asked {
			t.Errorf("%s: Verify = %v after %d requests, want %v after %d", step, got, f.count(), want, asked)
		}
	}
	try("the first token", "r", f.rsa, access.TokenValid, 1)
	long := "Bearer " + token(t, jose.RS256, f.rsa, "r", f.claims("exp", f.clock.Now().Unix()+90000))
	known := f.verify.Verify(long)
	if known.Token != access.TokenValid || f.verify.Verify(long) != known {
		t.Error("a token is not known again")
	}
	f.set(func() { f.keys = []jose.JSONWebKey{{Key: next.Public(), KeyID: "n"}} })
	try("unknown kid within a minute", "n", next, access.TokenUnknownKey, 1)
	try("known kid", "r", f.rsa, access.TokenValid, 1)
	f.clock.add(time.Minute)
	try("unknown kid after a minute", "n", next, access.TokenValid, 2)
	try("kid that is gone", "r", f.rsa, access.TokenUnknownKey, 2)
	if got := f.verify.Verify(long).Token; got != access.TokenUnknownKey {
		t.Errorf("a token known under keys that are gone: %v", got)
	}
	f.set(func() { f.status = http.StatusServiceUnavailable })
	f.clock.add(time.Hour)
	try("an outage after an hour", "n", next, access.TokenValid, 3)
	try("an outage, a moment later", "n", next, access.TokenValid, 3)
	f.trust(t, f.issuer)
	try("an outage and a reload", "n", next, access.TokenValid, 4)
	f.clock.add(22*time.Hour + 59*time.Minute + 59*time.Second)
	last := "Bearer " + token(t, jose.RS256, next, "n", f.claims("exp", f.clock.Now().Unix()+90000))
	if got := f.verify.Verify(last).Token; got != access.TokenValid {
		t.Errorf("within a day of the outage: %v", got)
	}
	f.clock.add(time.Second)
	if got := f.verify.Verify(last).Token; got != access.TokenUnknownKey {
		t.Errorf("after a day of the outage: %v", got)
	}
	f.set(func() { f.status = http.StatusOK })
	f.clock.add(time.Minute)
	if got := f.verify.Verify(last).Token; got != access.TokenValid {
		t.Errorf("after the outage: %v", got)
	}
	f.trust(t)
	if got := f.verify.Verify(last).Token; got == access.TokenValid {
		t.Error("an issuer that is trusted no more is")
	}
}

// TestForeignKeysRefused: answers that are not keys of the issuer.
func TestForeignKeysRefused(t *testing.T) {
	elsewhere := newProvider(t)
	for _, row := range []struct {
		name   string
		change func(f *foreignWorld)
	}{
		{"redirect to another host", func(f *foreignWorld) { elsewhere.keys, f.redirect = f.keys, elsewhere.URL+"/keys" }},
		{"larger than the limit", func(f *foreignWorld) { f.padding = maxKeys }},
		{"an error with keys", func(f *foreignWorld) { f.status = http.StatusInternalServerError }},
		{"no keys", func(f *foreignWorld) { f.keys = nil }},
		{"short keys", func(f *foreignWorld) { f.keys = []jose.JSONWebKey{{Key: []byte("0123456789abcdef"), KeyID: "r"}} }},
		{"keys to encrypt", func(f *foreignWorld) { f.keys[0].Use, f.keys = "enc", f.keys[:1] }},
	} {
		f := newForeignWorld(t)
		f.set(func() { row.change(f) })
		if got := f.verify.Verify("Bearer " + token(t, jose.RS256, f.rsa, "r", f.claims())); got.Token != access.TokenUnknownKey || got.ObjectID != "" {
			t.Errorf("%s: Verify = %v %s, want %v", row.name, got.Token, got.ObjectID, access.TokenUnknownKey)
		}
	}
	if n := elsewhere.count(); n > 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// TestForeignSources: keys by provider metadata, from a file, from a host
// with an authority of its own.
func TestForeignSources(t *testing.T) {
	f := newForeignWorld(t)
	dir := t.TempDir()
	keys, ca := filepath.Join(dir, "keys.json"), filepath.Join(dir, "ca.pem")
	write := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keys, must(json.Marshal(jose.JSONWebKeySet{Keys: f.keys}))(t))
	write(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}))
	f.options.Transport = nil
	f.reopen(t)
	f.verify = f.Verifier([]string{vaultAudience})
	for _, row := range []struct {
		name   string
		change func(*ForeignIssuer)
		want   access.TokenState
	}{
		{"metadata", func(i *ForeignIssuer) { i.KeysURL, i.CAFile = "", ca }, access.TokenValid},
		{"authority", func(i *ForeignIssuer) { i.CAFile = ca }, access.TokenValid},
		{"unknown authority", func(*ForeignIssuer) {}, access.TokenUnknownKey},
		{"file", func(i *ForeignIssuer) { i.KeysURL, i.KeysFile = "", keys }, access.TokenValid},
	} {
		i := f.issuer
		row.change(&i)
		f.trust(t, i)
		if got := f.verify.Verify("Bearer " + token(t, jose.ES256, f.ec, "e", f.claims())).Token; got != row.want {
			t.Errorf("%s: Verify = %v, want %v", row.name, got, row.want)
		}
	}
}

// TestIssuersRefused: what cannot be a foreign issuer; the ones before stay.
func TestIssuersRefused(t *testing.T) {
	f := newForeignWorld(t)
	with := func(change func(*ForeignIssuer)) []ForeignIssuer {
		i := f.issuer
		change(&i)
		return []ForeignIssuer{i}
	}
	for name, list := range map[string][]ForeignIssuer{
		"twice":              {f.issuer, f.issuer},
		"too many":           make([]ForeignIssuer, maxForeign+1),
		"plain HTTP":         with(func(i *ForeignIssuer) { i.Issuer = "http://a.example" }),
		"plain HTTP keys":    with(func(i *ForeignIssuer) { i.KeysURL = "http://a.example/keys" }),
		"keys of a file URL": with(func(i *ForeignIssuer) { i.KeysURL = "file:///etc/keys" }),
		"URL and file":       with(func(i *ForeignIssuer) { i.KeysFile = "keys.json" }),
		"file not there":     with(func(i *ForeignIssuer) { i.KeysURL, i.KeysFile = "", filepath.Join(t.TempDir(), "keys.json") }),
		"authority missing":  with(func(i *ForeignIssuer) { i.CAFile = filepath.Join(t.TempDir(), "ca.pem") }),
		"no tenant":          with(func(i *ForeignIssuer) { i.Tenant = "" }),
		"tenant not a GUID":  with(func(i *ForeignIssuer) { i.Tenant = "home.example" }),
		"empty audience":     with(func(i *ForeignIssuer) { i.Audiences = []string{""} }),
		"unknown claim":      with(func(i *ForeignIssuer) { i.Claims = map[string]string{"oid": "sub"} }),
		"no object":          with(func(i *ForeignIssuer) { i.Claims = map[string]string{"object": "none"} }),
	} {
		if err := f.TrustIssuers(list); !errors.Is(err, ErrIssuers) {
			t.Errorf("TrustIssuers(%s) = %v, want ErrIssuers", name, err)
		}
	}
	if got := f.verify.Verify("Bearer " + token(t, jose.RS256, f.rsa, "r", f.claims())).Token; got != access.TokenValid {
		t.Errorf("the issuers before: %v", got)
	}
}

// TestDerived: the GUIDs are those that uuidgen --sha1 makes.
func TestDerived(t *testing.T) {
	// RFC 9562 appendix A.4 has the space of DNS names.
	dns := urlSpace
	dns[3] = 0x10
	if got, want := derived(dns, "www.example.com").String(), "2ed6657d-e927-568b-95e1-2665a8aea6a2"; got != want {
		t.Errorf("derived(www.example.com) = %s, want %s", got, want)
	}
}

// FuzzForeignClaims: whatever a provider signs, its tokens stay in their
// tenant and name nobody of this directory.
func FuzzForeignClaims(f *testing.F) {
	w := newWorld(f)
	for _, s := range []string{`{"sub":"alice"}`, `{"sub":"` + w.alice.Object.String() + `"}`, `{"oid":"` + w.alice.Object.String() + `","tid":"` + outerTenant + `","appid":"` + w.alice.App.String() + `","groups":["` + w.stranger.Object.String() + `"]}`,
		`{"sub":"a","scp":"x","idtyp":"user","xms_mirid":"/subscriptions/x","upn":"\u0000"}`, `{"sub":"a","tid":"` + w.home.ID.String() + `","_claim_names":{"groups":"src1"}}`} {
		f.Add(s)
	}
	if err := w.TrustIssuers([]ForeignIssuer{{Issuer: "https://a.example", Tenant: outerTenant, Claims: map[string]string{"groups": "groups"}}, {Issuer: "https://sts.windows.net/" + outerTenant + "/"}}); err != nil {
		f.Fatal(err)
	}
	tenant := must(access.ParseGUID(outerTenant))(f)
	f.Fuzz(func(t *testing.T, payload string) {
		members, err := readObject([]byte(payload))
		if err != nil {
			return
		}
		for _, i := range w.foreign.Load().issuers {
			r := reading{directory: w.Directory, state: w.state.Load(), now: start, identity: &Identity{}}
			if !r.readForeignCaller(i, members) {
				continue
			}
			id := r.identity
			bad := id.Tenant != tenant || id.Object.IsZero() || id.Issuer != i.Issuer || id.IdentityResource != "" || !id.Subscription.IsZero() || hasControl(id.Text)
			for _, g := range append(id.Groups, id.Object) {
				bad = bad || w.state.Load().objects[g] != nil
			}
			if bad {
				t.Errorf("readForeignCaller(%s) = %+v", payload, id)
			}
		}
	})
}
