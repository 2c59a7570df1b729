package entra

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// asserter makes client assertions of any form.
type asserter struct {
	t      testing.TB
	key    *rsa.PrivateKey
	der    []byte
	header map[string]string // raw JSON by name
	claims map[string]string
	serial int
}

// newCertificate is a self-signed certificate that holds for a day around
// start.
func newCertificate(t testing.TB, from, until time.Time) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotBefore: from, NotAfter: until}
	return key, must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))(t)
}

func sum256(der []byte) string {
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newAsserter(t testing.TB, w *world) *asserter {
	key, der := newCertificate(t, start.Add(-time.Hour), start.Add(24*time.Hour))
	app, now := w.alice.App.String(), w.clock.Now().Unix()
	return &asserter{t: t, key: key, der: der,
		header: map[string]string{"alg": `"PS256"`, "typ": `"JWT"`, "x5t#S256": `"` + sum256(der) + `"`},
		claims: map[string]string{"aud": `"` + publicLogin + "/" + w.home.ID.String() + `/oauth2/v2.0/token"`, "iss": `"` + app + `"`, "sub": `"` + app + `"`,
			"iat": fmt.Sprint(now), "nbf": fmt.Sprint(now), "exp": fmt.Sprint(now + 600)}}
}

// edited is an object with some members replaced; "" leaves one out.
func edited(of map[string]string, edits []string) string {
	c := maps.Clone(of)
	for i := 0; i < len(edits); i += 2 {
		c[edits[i]] = edits[i+1]
	}
	var members []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] != "" {
			members = append(members, `"`+name+`":`+c[name])
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// claim and head are assertions with claims or header members replaced; each
// has a jti of its own.
func (a *asserter) claim(edits ...string) string { return a.make(nil, edits) }
func (a *asserter) head(edits ...string) string  { return a.make(edits, nil) }

func (a *asserter) make(header, claims []string) string {
	a.serial++
	h := edited(a.header, header)
	c := edited(a.claims, append([]string{"jti", fmt.Sprintf(`"id-%d"`, a.serial)}, claims...))
	if strings.Contains(h, `"RS256"`) {
		return signWith(a.t, a.key, h, c)
	}
	return pss(a.t, a.key, h, c)
}

func pss(t testing.TB, key *rsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	signature := must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))(t)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// code is the number of an AADSTS code in an answer; 0 for a token.
func code(body map[string]any) int {
	if list := asList(body["error_codes"]); len(list) == 1 {
		return int(list[0].(float64))
	}
	return 0
}

// TestCertificateAssertions: the corpus of forged client assertions.
func TestCertificateAssertions(t *testing.T) {
	w := newWorld(t)
	a, other := newAsserter(t, w), newAsserter(t, w)
	e, ctx := w.Edit(nil), t.Context()
	must(e.AddCertificate(ctx, w.alice.Object, "laptop", a.der))(t)
	old := newAsserter(t, w)
	old.key, old.der = newCertificate(t, start.Add(-2*time.Hour), start.Add(-time.Hour))
	old.header["x5t#S256"] = `"` + sum256(old.der) + `"`
	must(e.AddCertificate(ctx, w.alice.Object, "old", old.der))(t)
	strangers := newAsserter(t, w)
	must(e.AddCertificate(ctx, w.stranger.Object, "", strangers.der))(t)
	legacy := sha1.Sum(a.der)
	x5t, kid := `"`+base64.RawURLEncoding.EncodeToString(legacy[:])+`"`, `"`+strings.ToUpper(hex.EncodeToString(legacy[:]))+`"`
	now := w.clock.Now().Unix()
	at := func(s int64) string { return fmt.Sprint(now + s) }
	home := w.home.ID.String()
	aud := func(s string) string { return a.claim("aud", `"`+s+`"`) }
	app, foreign := w.alice.App.String(), `"11111111-2222-3333-4444-555555555555"`
	good := a.claim()
	parts := strings.Split(good, ".")
	type row struct {
		name, assertion string
		want            int
	}
	rows := []row{
		{"good", good, 0},
		{"RS256", a.head("alg", `"RS256"`), 0},
		{"x5t alone", a.head("x5t#S256", "", "x5t", x5t), 0},
		{"kid alone", a.head("x5t#S256", "", "kid", kid), 0},
		{"thumbprint as MSAL for Go has it", a.head("x5t#S256", `"`+base64.StdEncoding.EncodeToString(must(base64.RawURLEncoding.DecodeString(sum256(a.der)))(t))+`"`), 0},
		{"x5c beside", a.head("x5c", `["`+base64.StdEncoding.EncodeToString(a.der)+`"]`), 0},
		{"typ missing", a.head("typ", ""), 0},
		{"aud of version 1.0", aud(publicLogin + "/" + home + "/oauth2/token"), 0},
		{"aud of the private name", aud(privateLogin + "/" + home + "/oauth2/v2.0/token"), 0},
		{"aud the issuer", aud(publicLogin + "/" + home + "/v2.0"), 0},
		{"aud the sts issuer", aud("https://sts.windows.net/" + home + "/"), 0},
		{"aud by domain", aud(publicLogin + "/home.example/oauth2/v2.0/token"), 0},
		{"client in capitals", a.claim("iss", `"`+strings.ToUpper(app)+`"`, "sub", `"`+strings.ToUpper(app)+`"`), 0},
		{"expired within the skew", a.claim("nbf", at(-600), "exp", at(-299)), 0},
		{"empty", "", 50027},
		{"no JWT", "abc", 50027},
		{"two parts", parts[0] + "." + parts[1], 50027},
		{"four parts", good + ".AAAA", 50027},
		{"padded", good + "=", 50027},
		{"blank behind", good + " ", 50027},
		{"too long", a.claim("x", `"`+strings.Repeat("x", MaxToken)+`"`), 50027},
		{"alg none", b64(`{"alg":"none","x5t#S256":"`+sum256(a.der)+`"}`) + "." + parts[1] + ".AAAA", 700027},
		{"alg HS256", b64(`{"alg":"HS256","x5t#S256":"`+sum256(a.der)+`"}`) + "." + parts[1] + ".AAAA", 700027},
		{"alg missing", a.head("alg", ""), 50027},
		{"alg PS384", a.head("alg", `"PS384"`), 700027},
		{"alg of the other padding", swap(a.head("alg", `"RS256"`), b64(edited(a.header, nil))), 700027},
		{"alg twice", swap(good, b64(`{"alg":"PS256","alg":"PS256","x5t#S256":"`+sum256(a.der)+`"}`)), 50027},
		{"crit", a.head("crit", `["exp"]`), 50027},
		{"compressed", a.head("zip", `"DEF"`), 50027},
		{"nested", a.head("cty", `"JWT"`), 50027},
		{"typ of another kind", a.head("typ", `"at+jwt"`), 50027},
		{"thumbprint missing", a.head("x5t#S256", ""), 700027},
		{"thumbprint a number", a.head("x5t#S256", "1"), 50027},
		{"thumbprint empty", a.head("x5t#S256", `""`), 700027},
		{"thumbprint of another certificate", a.head("x5t#S256", `"`+sum256(other.der)+`"`), 700027},
		{"thumbprint of ours, key another's", other.head("x5t#S256", `"`+sum256(a.der)+`"`), 700027},
		{"thumbprints that contradict", a.head("x5t#S256", `"`+sum256(other.der)+`"`, "x5t", x5t), 700027},
		{"certificate that is not registered", other.claim(), 700027},
		{"certificate of another application", strangers.claim(), 700027},
		{"certificate that has run out", old.claim(), 700027},
		{"key in the header", other.head("x5t#S256", "", "jwk", jwkOf(t, other.key)), 700027},
		{"key behind a URL", other.head("x5t#S256", "", "jku", `"https://127.0.0.1:1/"`), 700027},
		{"chain in the header", other.head("x5t#S256", "", "x5c", `["`+base64.StdEncoding.EncodeToString(other.der)+`"]`), 700027},
		{"signature of another payload", parts[0] + "." + b64(edited(a.claims, []string{"jti", `"x"`})) + "." + parts[2], 700027},
		{"signature all zeros", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), 700027},
		{"aud missing", a.claim("aud", ""), 700023},
		{"aud a list of two", a.claim("aud", `["`+publicLogin+"/"+home+`/oauth2/v2.0/token","x"]`), 700023},
		{"aud of another tenant", aud(publicLogin + "/" + w.away.ID.String() + "/oauth2/v2.0/token"), 700023},
		{"aud of common", aud(publicLogin + "/common/oauth2/v2.0/token"), 700023},
		{"aud of another host", aud("https://login.evil.example/" + home + "/oauth2/v2.0/token"), 700023},
		{"aud of a host alike", aud(publicLogin + ".evil.example/" + home + "/oauth2/v2.0/token"), 700023},
		{"aud over http", aud("http://login.microsoftonline.com/" + home + "/oauth2/v2.0/token"), 700023},
		{"aud with more behind it", aud(publicLogin + "/" + home + "/oauth2/v2.0/tokens"), 700023},
		{"aud of the vault", aud(vaultAudience), 700023},
		{"sub of another", a.claim("sub", foreign), 700021},
		{"sub missing", a.claim("sub", ""), 50027},
		{"iss missing", a.claim("iss", ""), 50027},
		{"iss of another", a.claim("iss", foreign), 700211},
		{"iss a list", a.claim("iss", `["`+app+`"]`), 50027},
		{"exp missing", a.claim("exp", ""), 700024},
		{"exp text", a.claim("exp", `"`+at(60)+`"`), 700024},
		{"times with fractions, as MSAL for Python has them", a.claim("exp", at(60)+".5", "iat", at(0)+".1234567"), 0},
		{"exp with an exponent", a.claim("exp", at(60)+"e0"), 700024},
		{"exp with an exponent behind a fraction", a.claim("exp", at(60)+".5e9"), 700024},
		{"expired", a.claim("nbf", at(-900), "exp", at(-300)), 700024},
		{"for too long", a.claim("exp", at(90_000)), 700024},
		{"not yet", a.claim("nbf", at(301)), 700024},
		{"nbf after exp", a.claim("nbf", at(200), "exp", at(100)), 700024},
		{"nbf text", a.claim("nbf", `"0"`), 700024},
		{"iat text", a.claim("iat", `"0"`), 700024},
		{"jti missing", a.claim("jti", ""), 50027},
		{"jti empty", a.claim("jti", `""`), 50027},
		{"jti a number", a.claim("jti", "1"), 50027},
		{"jti too long", a.claim("jti", `"`+strings.Repeat("x", 257)+`"`), 50027},
		{"jti of one that was shown", a.claim("jti", `"id-1"`), 50013},
		{"shown again", good, 50013},
		{"claims no object", pss(t, a.key, edited(a.header, nil), `[]`), 50027},
		{"claim twice", pss(t, a.key, edited(a.header, nil), `{"iss":"x",`+edited(a.claims, nil)[1:]), 50027},
	}
	login := w.Login(testName, quiet)
	for _, row := range rows {
		status, body := ask(t, login, post(publicLogin+"/"+home+"/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", app,
			"client_assertion_type", assertionType, "client_assertion", row.assertion, "scope", vaultAudience+"/.default"))
		if got := code(body); got != row.want || (status == 200) != (row.want == 0) || (body["access_token"] != nil) != (row.want == 0) {
			t.Errorf("%s = %d, AADSTS%d, want AADSTS%d", row.name, status, got, row.want)
		}
	}
	if len(rows) < 70 {
		t.Errorf("%d rows", len(rows))
	}
	token := func(form ...string) int {
		_, body := ask(t, login, post(publicLogin+"/"+home+"/oauth2/v2.0/token", append([]string{"grant_type", "client_credentials", "client_assertion_type", assertionType}, form...)...))
		return code(body)
	}
	again := a.claim()
	for _, row := range []struct {
		name string
		got  int
		want int
	}{
		{"without client_id", token("client_assertion", again, "scope", vaultAudience+"/.default"), 0},
		{"the same for another resource", token("client_assertion", again, "scope", graphURL+"/.default"), 0},
		{"the same once more", token("client_assertion", again, "scope", graphURL+"/.default"), 50013},
		{"another client", token("client_id", w.stranger.App.String(), "client_assertion", a.claim(), "scope", vaultAudience+"/.default"), 700016},
		{"client no GUID", token("client_id", "alice", "client_assertion", a.claim(), "scope", vaultAudience+"/.default"), 700016},
		{"and a secret", token("client_id", app, "client_secret", w.secret, "client_assertion", a.claim(), "scope", vaultAudience+"/.default"), 90013},
		{"another type", token("client_assertion_type", "x", "client_assertion", a.claim()), 90013},
	} {
		if row.got != row.want {
			t.Errorf("%s = AADSTS%d, want AADSTS%d", row.name, row.got, row.want)
		}
	}
}

func swap(token, header string) string { return header + token[strings.IndexByte(token, '.'):] }

func jwkOf(t testing.TB, key *rsa.PrivateKey) string {
	return string(must(json.Marshal(jose.JSONWebKey{Key: &key.PublicKey}))(t))
}

// TestReplaysAreBounded: when the memory is full of what still counts,
// nothing more is accepted; what has run out makes room.
func TestReplaysAreBounded(t *testing.T) {
	r := &replays{}
	for i := range maxReplays {
		if !r.first(fmt.Sprint(i), "x", "", start, start.Add(time.Minute)) {
			t.Fatalf("assertion %d is refused", i)
		}
	}
	if r.first("more", "x", "", start, start.Add(time.Minute)) {
		t.Error("one more than the limit is accepted")
	}
	if !r.first("more", "x", "", start.Add(time.Minute), start.Add(2*time.Minute)) || len(r.seen) != 1 {
		t.Errorf("after a minute: %d are remembered", len(r.seen))
	}
}

// outside stands for all issuers on the network.
type outside struct {
	answers map[string]string // by URL; "" is a redirect
	down    bool
	asked   int
}

func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	o.asked++
	if o.down {
		return nil, errors.New("down")
	}
	text, ok := o.answers[r.URL.String()]
	answer := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}
	switch {
	case !ok:
		answer.StatusCode = 404
	case text == "":
		answer.StatusCode = 302
		answer.Header.Set("Location", "https://evil.example/keys")
	}
	return answer, nil
}

// TestFederation: tokens of issuers that are known, by keys that are given
// or fetched, through rotation and outage.
func TestFederation(t *testing.T) {
	w := newWorld(t)
	net := &outside{answers: map[string]string{}}
	w.options.Transport = net
	w.reopen(t)
	e, ctx, login := w.Edit(nil), t.Context(), w.Login(testName, quiet)
	const cluster, file, moved = "https://cluster.example/a", "https://file.example", "https://moved.example"
	subject, audience := "system:serviceaccount:default:app", "api://AzureADTokenExchange"
	for i, issuer := range []string{cluster, file, moved, "https://unknown.example"} {
		must(e.Federate(ctx, w.alice.Object, Federation{Name: fmt.Sprint("fed", i), Issuer: issuer, Subject: subject, Audiences: []string{audience}}))(t)
	}
	key, second := must(rsa.GenerateKey(rand.Reader, 2048))(t), must(rsa.GenerateKey(rand.Reader, 2048))(t)
	set := func(kid string, k *rsa.PrivateKey) string {
		return string(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &k.PublicKey, KeyID: kid, Algorithm: "RS256", Use: "sig"}}}))(t))
	}
	net.answers[cluster+"/.well-known/openid-configuration"] = `{"issuer":"` + cluster + `","jwks_uri":"https://keys.example/a"}`
	net.answers["https://keys.example/a"] = set("1", key)
	net.answers[moved+"/keys"] = ""
	for _, k := range []KnownIssuer{{Issuer: cluster}, {Issuer: file, Keys: json.RawMessage(set("1", key))}, {Issuer: moved, KeysURL: moved + "/keys"}} {
		if err := e.SetIssuer(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	show := func(k *rsa.PrivateKey, kid, issuer, sub, aud string, life int64) int {
		now := w.clock.Now().Unix()
		token := signWith(t, k, `{"alg":"RS256","kid":"`+kid+`"}`, fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":[%q],"nbf":%d,"exp":%d}`, issuer, sub, aud, now, now+life))
		_, body := ask(t, login, post(publicLogin+"/"+w.home.ID.String()+"/oauth2/v2.0/token", "grant_type", "client_credentials", "client_id", w.alice.App.String(),
			"client_assertion_type", assertionType, "client_assertion", token, "scope", vaultAudience+"/.default"))
		return code(body)
	}
	for _, row := range []struct {
		name, kid, issuer, sub, aud string
		key                         *rsa.PrivateKey
		life                        int64
		want                        int
	}{
		{"by discovery", "1", cluster, subject, audience, key, 60, 0},
		{"by file", "1", file, subject, audience, key, 60, 0},
		{"shown again", "1", file, subject, audience, key, 60, 0},
		{"another's key", "1", cluster, subject, audience, second, 60, 700027},
		{"kid unknown", "2", cluster, subject, audience, key, 60, 700027},
		{"another subject", "1", cluster, subject + "x", audience, key, 60, 700213},
		{"subject in capitals", "1", cluster, strings.ToUpper(subject), audience, key, 60, 700213},
		{"another audience", "1", cluster, subject, "sts.amazonaws.com", key, 60, 700212},
		{"issuer with a slash", "1", cluster + "/", subject, audience, key, 60, 700211},
		{"issuer nobody federated with", "1", "https://evil.example", subject, audience, key, 60, 700211},
		{"issuer that is not known here", "1", "https://unknown.example", subject, audience, key, 60, 50166},
		{"issuer that sends elsewhere", "1", moved, subject, audience, key, 60, 50166},
		{"expired", "1", cluster, subject, audience, key, -400, 700024},
	} {
		if got := show(row.key, row.kid, row.issuer, row.sub, row.aud, row.life); got != row.want {
			t.Errorf("%s = AADSTS%d, want AADSTS%d", row.name, got, row.want)
		}
	}
	asked := net.asked
	net.answers["https://keys.example/a"] = set("2", second)
	for range 5 {
		show(second, "2", cluster, subject, audience, 60)
	}
	if net.asked != asked {
		t.Errorf("asked %d times within half a minute of a failure, want none", net.asked-asked)
	}
	w.clock.add(time.Minute)
	if got := show(second, "2", cluster, subject, audience, 60); got != 0 {
		t.Errorf("after rotation = AADSTS%d", got)
	}
	net.down = true
	for _, row := range []struct {
		after time.Duration
		want  int
	}{{2 * time.Hour, 0}, {21 * time.Hour, 0}, {2 * time.Hour, 50166}} {
		w.clock.add(row.after)
		if got := show(second, "2", cluster, subject, audience, 60); got != row.want {
			t.Errorf("%v into the outage = AADSTS%d, want AADSTS%d", row.after, got, row.want)
		}
	}
}

// TestFederationsRefused: what cannot be a federated credential or an issuer.
func TestFederationsRefused(t *testing.T) {
	w := newWorld(t)
	e, ctx := w.Edit(nil), t.Context()
	const cluster, subject = "https://cluster.example/a", "s1"
	must(e.Federate(ctx, w.alice.Object, Federation{Name: "fed0", Issuer: cluster, Subject: subject, Audiences: []string{"a"}}))(t)
	for _, f := range []Federation{
		{Name: "ab", Issuer: cluster, Subject: "s", Audiences: []string{"a"}}, {Name: "a b c", Issuer: cluster, Subject: "s", Audiences: []string{"a"}},
		{Name: "abc", Issuer: "http://x.example", Subject: "s", Audiences: []string{"a"}}, {Name: "abc", Issuer: cluster, Audiences: []string{"a"}},
		{Name: "abc", Issuer: cluster, Subject: "s"}, {Name: "abc", Issuer: cluster, Subject: "s", Audiences: []string{"a", "b"}},
		{Name: "fed0", Issuer: "https://x.example", Subject: "s", Audiences: []string{"a"}}, {Name: "abc", Issuer: cluster, Subject: subject, Audiences: []string{"a"}},
	} {
		if _, err := e.Federate(ctx, w.alice.Object, f); !errors.Is(err, ErrFederation) {
			t.Errorf("Federate(%+v) = %v, want %v", f, err, ErrFederation)
		}
	}
	for _, k := range []KnownIssuer{{Issuer: "http://x.example"}, {Issuer: "x"}, {Issuer: cluster, KeysURL: "http://x.example"}, {Issuer: cluster, Keys: json.RawMessage(`{"keys":[]}`)}, {Issuer: cluster, Keys: json.RawMessage(`[]`)}} {
		if err := e.SetIssuer(ctx, k); !errors.Is(err, ErrIssuer) {
			t.Errorf("SetIssuer(%+v) = %v, want %v", k, err, ErrIssuer)
		}
	}
}

func FuzzReadAssertion(f *testing.F) {
	for _, s := range []string{"", "a.b.c", b64(`{"alg":"PS256"}`) + "." + b64(`{"iss":"a","sub":"b"}`) + ".AAAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := readAssertion(s); ok && (a.issuer == "" || a.subject == "" || a.header.algorithm == "" && a.signedBy(nil, jose.RS256)) {
			t.Errorf("readAssertion(%q) = %+v", s, a)
		}
	})
}
