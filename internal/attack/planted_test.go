package attack

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/posterntest"
)

// planted is secrets that were given to the server, by the mark that each of
// them holds somewhere: where it was put → the mark.
type planted struct {
	t     *testing.T
	marks map[string]string
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// mark makes a mark of 18 letters and digits for a place.
func (p *planted) mark(place string) string {
	var b [18]byte
	if _, err := rand.Read(b[:]); err != nil {
		p.t.Fatal(err)
	}
	for i := range b {
		b[i] = base62[b[i]%62]
	}
	if p.marks[place] != "" {
		p.t.Fatalf("two marks are called %q", place)
	}
	p.marks[place] = string(b[:])
	return string(b[:])
}

// shapes are secrets of all sorts around a mark.
var shapes = []struct {
	name string
	make func(mark string) string
}{
	{"short", func(m string) string { return m }},
	{"lines", func(m string) string {
		return "-----BEGIN PRIVATE KEY-----\r\n" + m + "\n" + m + "\n-----END PRIVATE KEY-----\n"
	}},
	{"base64", func(m string) string { return base64.StdEncoding.EncodeToString([]byte(m+m)) + m + "==" }},
	{"quotes", func(m string) string { return `p"ä\` + m + "\t<&>\x7f\u2028" + m }},
	{"connection", func(m string) string { return "Server=tcp:db;Password=" + m + ";Encrypt=true" }},
	{"longest", func(m string) string {
		return strings.Repeat("x", 12000) + m + strings.Repeat("y", 25<<10-12000-2*len(m)) + m
	}},
}

// forms are the ways in which bytes may be found again: each is looked for
// without regard to the case of letters, but for base64.
func forms(mark string) (folded, exact [][]byte) {
	for _, form := range []string{mark, hex.EncodeToString([]byte(mark)), utf16(mark), percent(mark)} {
		folded = append(folded, []byte(strings.ToLower(form)))
	}
	// Three ways for a text to lie in the groups of base64; what touches
	// its neighbours is cut off.
	for shift := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte("\x00\x00"[:shift] + mark))
		text = text[(shift*8+5)/6:]
		exact = append(exact, []byte(text[:len(text)-2]))
	}
	return folded, exact
}

func utf16(s string) string {
	var b []byte
	for i := range len(s) {
		b = append(b, s[i], 0)
	}
	return string(b)
}

func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString("%" + hex.EncodeToString([]byte{s[i]}))
	}
	return b.String()
}

// found lists the places whose mark is in the data.
func (p *planted) found(data []byte) (places []string) {
	lower := bytes.ToLower(data)
	// A file in PEM has its base64 in lines.
	flat := []byte(strings.NewReplacer("\\n", "", "\n", "").Replace(string(data)))
	for place, mark := range p.marks {
		folded, exact := forms(mark)
		if slices.ContainsFunc(folded, func(n []byte) bool { return bytes.Contains(lower, n) }) ||
			slices.ContainsFunc(exact, func(n []byte) bool { return bytes.Contains(data, n) || bytes.Contains(flat, n) }) {
			places = append(places, place)
		}
	}
	slices.Sort(places)
	return places
}

// files reads every file of a folder; sockets hold nothing.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = bytes.ReplaceAll(text, make([]byte, 4096), nil) // empty pages of the store
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPlantedSecrets: no value of a secret, no private key, no password, no
// token and no client secret is found in any file of the data folder or in
// the log, in whatever form.
func TestPlantedSecrets(t *testing.T) {
	t.Parallel()
	log := &safeBuffer{}
	dir := filepath.Join(t.TempDir(), "data") // made by the server
	p := posterntest.Start(t, posterntest.WithData(dir), posterntest.WithLog(log), posterntest.WithMetrics())
	s := &planted{t: t, marks: map[string]string{}}
	s.marks["the administrator's secret"] = p.ClientSecret
	plantInBodies(p, s)
	plantCertificates(p, s)
	plantInKeys(p, s)
	plantFailures(p, s)
	plantCredentials(p, s)
	plantQueries(p, s)
	for _, place := range s.found(log.bytes()) {
		t.Errorf("the log tells %s", place)
	}
	look := func(when string) {
		for name, data := range files(t, dir) {
			for _, place := range s.found(data) {
				if name != "admin.secret" || place != "the administrator's secret" {
					t.Errorf("%s, %s tells %s", when, name, place)
				}
			}
		}
	}
	look("while it runs")
	p.Stop()
	look("when it has stopped")
	// A mark that lies about openly is found: the search is not blind.
	for place, mark := range s.marks {
		for _, data := range []string{"..." + mark, "x" + base64.StdEncoding.EncodeToString([]byte("ab"+mark+"cd")), strings.ToUpper(hex.EncodeToString([]byte(mark)))} {
			if !slices.Contains(s.found([]byte(data)), place) {
				t.Fatalf("found(%s) does not tell %s", data, place)
			}
		}
	}
}

// plantInBodies plants values where they belong, and moves them around.
func plantInBodies(p *posterntest.Postern, s *planted) {
	p.CreateVault("kv1")
	kv, arm := p.VaultURL("kv1"), p.ManagementURL+p.VaultID("kv1")+"/secrets/"
	for _, shape := range shapes {
		name := "data-" + shape.name
		value := func(step string) string { return shape.make(s.mark(shape.name + " " + step)) }
		must(s.t, p, "PUT", kv+"/secrets/"+name+api, map[string]any{"value": value("set"), "contentType": s.mark(shape.name + " content type"),
			"tags": map[string]string{"tag": s.mark(shape.name + " tag")}})
		must(s.t, p, "PUT", kv+"/secrets/"+name+api, map[string]any{"value": value("second version")})
		must(s.t, p, "PATCH", kv+"/secrets/"+name+api, map[string]any{"contentType": s.mark(shape.name + " update"), "value": value("update with a value")})
		var backup struct{ Value string }
		if err := json.Unmarshal([]byte(must(s.t, p, "POST", kv+"/secrets/"+name+"/backup"+api, nil)), &backup); err != nil {
			s.t.Fatal(err)
		}
		blob, err := base64.RawURLEncoding.DecodeString(backup.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, place := range s.found(blob) {
			s.t.Errorf("the backup tells %s", place)
		}
		must(s.t, p, "DELETE", kv+"/secrets/"+name+api, nil)
		must(s.t, p, "POST", kv+"/deletedsecrets/"+name+"/recover"+api, nil)
		must(s.t, p, "DELETE", kv+"/secrets/"+name+api, nil)
		must(s.t, p, "DELETE", kv+"/deletedsecrets/"+name+api, nil)
		must(s.t, p, "POST", kv+"/secrets/restore"+api, map[string]string{"value": backup.Value})
		must(s.t, p, "PUT", arm+"arm-"+shape.name+armAPI, map[string]any{"tags": map[string]string{"t": s.mark(shape.name + " arm tag")},
			"properties": map[string]any{"value": value("arm"), "contentType": s.mark(shape.name + " arm content type")}})
		must(s.t, p, "PATCH", arm+"arm-"+shape.name+armAPI, map[string]any{"properties": map[string]any{"value": value("arm patch")}})
	}
}

// plantFailures plants values in requests that are refused.
func plantFailures(p *posterntest.Postern, s *planted) {
	kv, arm := p.VaultURL("kv1")+"/secrets/failed"+api, p.ManagementURL+p.VaultID("kv1")+"/secrets/failed"+armAPI
	keys, there := p.VaultURL("kv1")+"/keys/failed", p.VaultURL("kv1")+"/keys/there"
	must(s.t, p, "POST", there+"/create"+api, map[string]any{"kty": "EC"})
	stranger := p.CreatePrincipal("planted-stranger")
	for _, tt := range []struct {
		place  string
		bearer string
		method string
		url    string
		body   func(mark string) string
	}{
		{"a value that is too long", "admin", "PUT", kv, func(m string) string { return `{"value":"` + m + strings.Repeat("z", 26<<10) + `"}` }},
		{"a value that is an object", "admin", "PUT", kv, func(m string) string { return `{"value":{"` + m + `":"` + m + `"}}` }},
		{"a value that is a list", "admin", "PUT", kv, func(m string) string { return `{"value":["` + m + `"]}` }},
		{"a member named twice", "admin", "PUT", kv, func(m string) string { return `{"value":"` + m + `","value":"` + m + `"}` }},
		{"a body that is cut off", "admin", "PUT", kv, func(m string) string { return `{"value":"` + m }},
		{"a body that is no JSON", "admin", "PUT", kv, func(m string) string { return m }},
		{"a stamp", "admin", "PUT", kv, func(m string) string { return `{"value":"v","attributes":{"exp":"` + m + `"}}` }},
		{"a flag", "admin", "PUT", kv, func(m string) string { return `{"value":"v","attributes":{"enabled":"` + m + `"}}` }},
		{"tags that are a string", "admin", "PUT", kv, func(m string) string { return `{"value":"v","tags":"` + m + `"}` }},
		{"a content type that is too long", "admin", "PUT", kv, func(m string) string { return `{"value":"v","contentType":"` + strings.Repeat(m, 20) + `"}` }},
		{"an unknown member", "admin", "PUT", kv, func(m string) string { return `{"` + m + `":"` + m + `"}` }},
		{"a corrupt backup", "admin", "POST", p.VaultURL("kv1") + "/secrets/restore" + api, func(m string) string { return `{"value":"` + m + `"}` }},
		{"a value without a right", "stranger", "PUT", kv, func(m string) string { return `{"value":"` + m + `"}` }},
		{"a value without a token", "", "PUT", kv, func(m string) string { return `{"value":"` + m + `"}` }},
		{"a value without an api-version", "admin", "PUT", strings.TrimSuffix(kv, api), func(m string) string { return `{"value":"` + m + `"}` }},
		{"a value to a vault that is not there", "admin", "PUT", strings.Replace(kv, "//kv1.", "//none.", 1), func(m string) string { return `{"value":"` + m + `"}` }},
		{"a value by a wrong method", "admin", "POST", kv, func(m string) string { return `{"value":"` + m + `"}` }},
		{"a key type", "admin", "POST", keys + "/create" + api, func(m string) string { return `{"kty":"` + m + `"}` }},
		{"a curve", "admin", "POST", keys + "/create" + api, func(m string) string { return `{"kty":"EC","crv":"` + m + `"}` }},
		{"a key operation", "admin", "POST", keys + "/create" + api, func(m string) string { return `{"kty":"EC","key_ops":["` + m + `"]}` }},
		{"a number of a key", "admin", "PUT", keys + api, func(m string) string { return `{"key":{"kty":"RSA","n":"` + m + `","e":"AQAB","d":"` + m + `"}}` }},
		{"a number that is no base64", "admin", "PUT", keys + api, func(m string) string { return `{"key":{"kty":"EC","crv":"P-256","d":"` + m + `%"}}` }},
		{"a number that is an object", "admin", "PUT", keys + api, func(m string) string { return `{"key":{"kty":"EC","crv":"P-256","d":{"` + m + `":1}}}` }},
		{"a key that is a string", "admin", "PUT", keys + api, func(m string) string { return `{"key":"` + m + `"}` }},
		{"a key of the wrong curve", "admin", "PUT", keys + api, func(m string) string {
			return `{"key":{"kty":"EC","crv":"P-256","x":"` + m + `","y":"` + m + `","d":"` + m + `"}}`
		}},
		{"an algorithm", "admin", "POST", there + "/sign" + api, func(m string) string { return `{"alg":"` + m + `","value":"AAAA"}` }},
		{"a digest", "admin", "POST", there + "/sign" + api, func(m string) string { return `{"alg":"ES256","value":"` + m + `"}` }},
		{"a plain text", "admin", "POST", there + "/encrypt" + api, func(m string) string { return `{"alg":"RSA-OAEP","value":"` + m + `"}` }},
		{"an attestation", "admin", "POST", there + "/release" + api, func(m string) string { return `{"target":"` + m + `"}` }},
		{"an expiry time", "admin", "PUT", there + "/rotationpolicy" + api, func(m string) string { return `{"attributes":{"expiryTime":"` + m + `"}}` }},
		{"a backup of a key", "admin", "POST", p.VaultURL("kv1") + "/keys/restore" + api, func(m string) string { return `{"value":"` + m + `"}` }},
		{"an arm value that is too long", "arm", "PUT", arm, func(m string) string { return `{"properties":{"value":"` + m + strings.Repeat("z", 26<<10) + `"}}` }},
		{"an arm value that is an object", "arm", "PUT", arm, func(m string) string { return `{"properties":{"value":{"x":"` + m + `"}}}` }},
		{"an arm value named twice", "arm", "PUT", arm, func(m string) string { return `{"properties":{"value":"` + m + `","value":"` + m + `"}}` }},
		{"an arm stamp", "arm", "PUT", arm, func(m string) string { return `{"properties":{"value":"v","attributes":{"exp":"` + m + `"}}}` }},
		{"an arm flag", "arm", "PUT", arm, func(m string) string { return `{"properties":{"value":"v","attributes":{"enabled":"` + m + `"}}}` }},
		{"an arm body that is cut off", "arm", "PUT", arm, func(m string) string { return `{"properties":{"value":"` + m }},
		{"arm properties that are a string", "arm", "PUT", arm, func(m string) string { return `{"properties":"` + m + `"}` }},
		{"arm tags that are a string", "arm", "PUT", arm, func(m string) string { return `{"tags":"` + m + `","properties":{"value":"v"}}` }},
		{"an arm tag that is too long", "arm", "PUT", arm, func(m string) string {
			return `{"tags":{"t":"` + strings.Repeat(m, 30) + `"},"properties":{"value":"v"}}`
		}},
		{"an arm tag that is a list", "arm", "PUT", arm, func(m string) string { return `{"tags":{"t":["` + m + `"]},"properties":{"value":"v"}}` }},
		{"an arm value to a vault that is not there", "arm", "PUT", strings.Replace(arm, "/vaults/kv1/", "/vaults/none/", 1), func(m string) string { return `{"properties":{"value":"` + m + `"}}` }},
		{"an arm value without a right", "arm stranger", "PUT", arm, func(m string) string { return `{"properties":{"value":"` + m + `"}}` }},
		{"an arm key", "arm", "PUT", strings.Replace(arm, "/secrets/", "/keys/", 1), func(m string) string { return `{"properties":{"kty":"` + m + `"}}` }},
	} {
		bearer := ""
		switch tt.bearer {
		case "admin":
			bearer = p.Token(vaultResource)
		case "stranger":
			bearer = p.TokenFor(stranger.ClientID, stranger.Secret, vaultResource)
		case "arm":
			bearer = p.Token(p.ManagementURL)
		case "arm stranger":
			bearer = p.TokenFor(stranger.ClientID, stranger.Secret, p.ManagementURL)
		}
		mark := s.mark(tt.place)
		a := send(s.t, p.Client(), request{method: tt.method, url: tt.url, token: bearer, body: tt.body(mark)})
		if a.status < 400 || a.status >= 500 {
			s.t.Errorf("%s = %d %s, want a refusal", tt.place, a.status, a.body)
		}
		if strings.Contains(a.body, mark) {
			s.t.Errorf("%s: the answer repeats it: %s", tt.place, a.body)
		}
	}
}

// plantCredentials shows tokens and client secrets, right and wrong ones.
func plantCredentials(p *posterntest.Postern, s *planted) {
	someone := p.CreatePrincipal("planted-client")
	s.marks["a client's secret"] = someone.Secret
	good := p.TokenFor(someone.ClientID, someone.Secret, vaultResource)
	parts := strings.Split(good, ".")
	s.marks["a token's signature"] = parts[2][:40]
	kv := p.VaultURL("kv1") + "/secrets/a" + api
	list := p.ManagementURL + "/subscriptions" + armAPI
	graph := strings.Replace(p.LoginURL, "//login.", "//graph.", 1) + "/v1.0/me"
	for _, target := range []string{kv, list, graph} {
		for _, header := range []string{
			"Bearer " + good, "bearer " + good + "x", "Bearer " + s.mark("a bearer without dots "+target), "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+s.mark("basic "+target))),
			"PoP " + s.mark("a pop token "+target), s.mark("a header without a scheme " + target), "Bearer " + parts[0] + "." + parts[1] + "." + s.mark("a wrong signature "+target),
		} {
			send(s.t, p.Client(), request{method: "GET", url: target, header: http.Header{"Authorization": {header}}})
		}
		send(s.t, p.Client(), request{method: "GET", url: target, header: http.Header{"Authorization": {"Bearer " + good, "Bearer " + s.mark("a second header "+target)},
			"Cookie": {"session=" + s.mark("a cookie "+target)}, "Proxy-Authorization": {s.mark("proxy authorization " + target)},
			"Referer": {"https://x/?" + s.mark("a referer "+target)}, "X-Api-Key": {s.mark("an api key " + target)}}})
	}
	login := p.LoginURL + "/" + p.TenantID + "/oauth2/v2.0/token"
	form := func(place, target string, change func(v url.Values, mark string)) {
		v := url.Values{"grant_type": {"client_credentials"}, "client_id": {someone.ClientID}, "client_secret": {someone.Secret}, "scope": {vaultResource + "/.default"}}
		change(v, s.mark(place))
		send(s.t, p.Client(), request{method: "POST", url: target, body: v.Encode(), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}})
	}
	form("a wrong client secret", login, func(v url.Values, m string) { v.Set("client_secret", m) })
	form("a secret as the client", login, func(v url.Values, m string) { v.Set("client_id", m) })
	form("a secret as the scope", login, func(v url.Values, m string) { v.Set("scope", m) })
	form("a secret as the resource", login, func(v url.Values, m string) { v.Set("scope", m+"/.default") })
	form("a secret as the grant", login, func(v url.Values, m string) { v.Set("grant_type", m) })
	form("a secret as an assertion", login, func(v url.Values, m string) { v.Set("client_assertion", m) })
	form("a secret as a password", login, func(v url.Values, m string) { v.Set("grant_type", "password"); v.Set("password", m) })
	form("a parameter name", login, func(v url.Values, m string) { v[m] = []string{"a", "b"} })
	form("a secret as the tenant", strings.Replace(login, p.TenantID, "x"+s.mark("the tenant of a login"), 1), func(v url.Values, m string) { v.Set("client_secret", m) })
	form("a secret in the query of the login", login+"?client_secret="+s.mark("the query of a login"), func(v url.Values, m string) { v.Set("client_secret", m) })
	form("a secret of the old endpoint", strings.Replace(login, "/v2.0", "", 1), func(v url.Values, m string) { v.Set("resource", m) })
}

// plantQueries puts tokens and secrets into queries. A journal has the
// request's address; what stands in parameters nobody here knows is not for
// it.
func plantQueries(p *posterntest.Postern, s *planted) {
	admin, arm := p.Token(vaultResource), p.Token(p.ManagementURL)
	for _, query := range []string{"&access_token=%", "&client_secret=%", "&sig=%&se=2026", "&Authorization=Bearer+%", "&password=%", "&%", "&%=", "&x;api-version=%", "&a=1&b=%%", "&code=%#f"} {
		for _, target := range []struct{ name, url, bearer string }{
			{"data plane", p.VaultURL("kv1") + "/secrets/a" + api, admin},
			{"data plane without a token", p.VaultURL("kv1") + "/secrets/a" + api, ""},
			{"unknown path", p.VaultURL("kv1") + "/unknown" + api, admin},
			{"control plane", p.ManagementURL + p.VaultID("kv1") + armAPI, arm},
			{"control plane without a token", p.ManagementURL + p.VaultID("kv1") + armAPI, ""},
			{"unknown resource", p.ManagementURL + p.VaultID("kv1") + "/unknown" + armAPI, arm},
		} {
			text := strings.ReplaceAll(query, "%", s.mark(target.name+query))
			send(s.t, p.Client(), request{method: "GET", url: target.url + text, token: target.bearer})
		}
	}
}

// TestNamesAreRecorded: what stands where an audit log has to look is in the
// journal as it was sent, and nowhere else. Who puts a secret into the name
// of an object has published it.
func TestNamesAreRecorded(t *testing.T) {
	t.Parallel()
	log := &safeBuffer{}
	p := posterntest.Start(t, posterntest.WithLog(log))
	p.CreateVault("kv1")
	s := &planted{t: t, marks: map[string]string{}}
	admin := p.Token(vaultResource)
	send(t, p.Client(), request{method: "GET", url: p.VaultURL("kv1") + "/secrets/" + s.mark("name") + api, token: admin,
		header: http.Header{"User-Agent": {s.mark("agent")}, "X-Ms-Client-Request-Id": {s.mark("id")}}})
	send(t, p.Client(), request{method: "GET", url: p.ManagementURL + p.VaultID("kv1") + "/" + s.mark("path") + armAPI, token: p.Token(p.ManagementURL)})
	p.Stop()
	for name, data := range files(t, p.Data) {
		got := strings.Join(s.found(data), " ")
		want := ""
		if strings.HasPrefix(name, "journal/") && strings.HasSuffix(name, ".jsonl") {
			want = "agent id name path"
		}
		if got != want {
			t.Errorf("%s tells %q, want %q", name, got, want)
		}
	}
	if got := s.found(log.bytes()); len(got) > 0 {
		t.Errorf("the log tells %q", got)
	}
}

// TestFileModes: what is secret is its owner's alone; only certificates are
// for everybody.
func TestFileModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	p := posterntest.Start(t, posterntest.WithData(dir))
	p.CreateVault("kv1")
	setSecret(t, p, "kv1", "a", "v")
	public := []string{"ca.pem", "ca-bundle.pem", "truststore.p12"}
	check := func() {
		if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(0o600)
			switch {
			case d.IsDir():
				want = 0o700
			case slices.Contains(public, d.Name()):
				want = 0o644
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s has mode %o, want %o", path, got, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	check()
	p.Stop()
	check()
}
