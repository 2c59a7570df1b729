package keyvault

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/internal/journal"
	"postern/internal/store/memory"
	"postern/internal/throttle"
)

// The key of RFC 7515, appendix A.3.
const (
	ecX = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
	ecY = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	ecD = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"

	ecImport = `{"key":{"kty":"EC","crv":"P-256","x":"` + ecX + `","y":"` + ecY + `","d":"` + ecD + `"}`
	ecPublic = `"crv":"P-256","x":"` + ecX + `","y":"` + ecY + `"`
)

// TestKeyLife walks one key through its life and holds every body to its
// bytes.
func TestKeyLife(t *testing.T) {
	r := newRig(t)
	ids := 0
	r.deps.Random = countingReader{&ids}
	r.Handler = Handler(r.deps)
	const base = "https://kv.vault.postern.localhost:8443"
	const attributes = `"attributes":{"enabled":true,"nbf":1,"exp":4102444800,"created":1700000000,"updated":1700000000,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90,"exportable":false,"hsmPlatform":"0"}`
	const plain = `"attributes":{"enabled":true,"created":1700000000,"updated":1700000000,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90,"exportable":false,"hsmPlatform":"0"}`
	gone := `"recoveryId":"` + base + `/deletedkeys/My-Key","deletedDate":1700000000,"scheduledPurgeDate":1707776000,`
	first := `"key":{"kid":"` + base + `/keys/My-Key/V1","kty":"EC","key_ops":["sign","verify"],` + ecPublic + `},`
	second := `"key":{"kid":"` + base + `/keys/My-Key/V2","kty":"EC","key_ops":["verify"],` + ecPublic + `},`
	old := strings.NewReplacer(`,"exportable":false,"hsmPlatform":"0"`, "", `,"recoverableDays":90`, "").Replace
	v1, v2 := fmt.Sprintf("%032x", 0x02), fmt.Sprintf("%032x", 0x08)
	policy := `{"id":"` + base + `/keys/My-Key/rotationpolicy","lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}},{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Notify"}}],"attributes":{"expiryTime":"P90D","created":1700000000,"updated":1700000000}}`
	var blob string
	for _, tt := range []struct{ method, path, body, want string }{
		{"PUT", "/keys/My-Key?api-version=7.6", ecImport + `,"tags":{"z":"1"},"attributes":{"nbf":1,"exp":4102444800}}`, `{` + first + attributes + `,"tags":{"z":"1"}}`},
		{"GET", "/keys/my-key/?api-version=7.6", "", `{` + first + attributes + `,"tags":{"z":"1"}}`},
		{"GET", "/keys/my-key/V1?api-version=7.0", "", `{` + first + old(attributes) + `,"tags":{"z":"1"}}`},
		{"PATCH", "/keys/my-key?api-version=7.6", `{"tags":{}}`, `{` + first + attributes + `,"tags":{}}`},
		{"PUT", "/keys/my-key?api-version=2026-04-01", strings.Replace(ecImport, `"kty"`, `"key_ops":["verify"],"kty"`, 1) + `}`, `{` + second + plain + `}`},
		{"GET", "/keys?api-version=7.6", "", `{"value":[{"kid":"` + base + `/keys/My-Key",` + plain + `}],"nextLink":null}`},
		{"GET", "/keys/my-key/versions?api-version=7.6", "", `{"value":[{"kid":"` + base + `/keys/My-Key/V1",` + attributes + `,"tags":{}},{"kid":"` + base + `/keys/My-Key/V2",` + plain + `}],"nextLink":null}`},
		{"GET", "/keys/my-key/rotationpolicy?api-version=7.6", "", `{"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Notify"}}],"attributes":null}`},
		{"PUT", "/keys/my-key/rotationpolicy?api-version=7.6", `{"lifetimeActions":[{"action":{"type":"rotate"},"trigger":{"timeAfterCreate":"P30D","timeBeforeExpiry":null}}],"attributes":{"expiryTime":"P90D"}}`, policy},
		{"GET", "/keys/my-key/rotationpolicy?api-version=7.3", "", policy},
		{"POST", "/keys/my-key/backup?api-version=7.6", "", "BLOB"},
		{"DELETE", "/keys/my-key?api-version=7.6", "", `{` + gone + second + plain + `}`},
		{"GET", "/deletedkeys?api-version=7.6", "", `{"value":[{` + gone + `"kid":"` + base + `/keys/My-Key",` + plain + `}],"nextLink":null}`},
		{"GET", "/deletedkeys/my-key?api-version=7.6", "", `{` + gone + second + plain + `}`},
		{"POST", "/deletedkeys/my-key/recover?api-version=7.6", "", `{` + second + plain + `}`},
		{"DELETE", "/keys/my-key?api-version=7.6", "", `{` + gone + second + plain + `}`},
		{"DELETE", "/deletedkeys/my-key?api-version=7.6", "", ``},
		{"POST", "/keys/restore?api-version=7.6", `{"value":"BLOB"}`, `{` + second + plain + `}`},
		{"GET", "/keys/my-key/rotationpolicy?api-version=7.6", "", policy},
		{"GET", "/keys/my-key/V1?api-version=2016-10-01", "", `{` + first + old(attributes) + `,"tags":{}}`},
	} {
		ids := strings.NewReplacer("V1", v1, "V2", v2, "BLOB", blob)
		got := r.send(host, "officer", tt.method, ids.Replace(tt.path), ids.Replace(tt.body))
		want := ids.Replace(tt.want)
		if tt.want == "BLOB" {
			blob = strings.TrimSuffix(strings.TrimPrefix(got.body, `{"value":"`), `"}`)
			want = got.body
		}
		if got.status != 200 && got.status != 204 || got.body != want {
			t.Errorf("%s %s = %d\n got %s\nwant %s", tt.method, tt.path, got.status, got.body, want)
		}
	}
}

// kid is the URL of the version that an answer is about.
func (a answer) kid(tb testing.TB) string {
	tb.Helper()
	return a.want(tb, 200).object(tb)["key"].(map[string]any)["kid"].(string)
}

// value is the bytes that an operation answers with.
func (a answer) value(tb testing.TB) string {
	tb.Helper()
	return a.want(tb, 200).object(tb)["value"].(string)
}

// digests are as long as the algorithms want them.
func b64(length int) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("d", length)))
}

// TestKeyOperations makes a key of every type and uses it with every
// algorithm.
func TestKeyOperations(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		create  string
		signing map[string]int // algorithm → length of the digest
		sealing []string
	}{
		{`{"kty":"RSA"}`, map[string]int{"RS256": 32, "RS384": 48, "RS512": 64, "PS256": 32, "PS384": 48, "PS512": 64, "RSNULL": 36}, []string{"RSA-OAEP", "RSA-OAEP-256", "RSA1_5"}},
		{`{"kty":"EC","crv":"P-256"}`, map[string]int{"ES256": 32}, nil},
		{`{"kty":"EC","key_size":384}`, map[string]int{"ES384": 48}, nil},
		{`{"kty":"EC","crv":"P-521"}`, map[string]int{"ES512": 64}, nil},
		{`{"kty":"EC","crv":"P-256K"}`, map[string]int{"ES256K": 32}, nil},
	} {
		name := fmt.Sprintf("k%d", len(tt.create)) + strings.Map(func(r rune) rune {
			if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, tt.create)
		kid := r.do("POST", "/keys/"+name+"/create", tt.create).kid(t)
		path := strings.TrimPrefix(kid, "https://"+host)
		for alg, length := range tt.signing {
			body := `{"alg":"` + alg + `","value":"` + b64(length) + `"}`
			signature := r.do("POST", path+"/sign", body).want(t, 200)
			if got := signature.object(t)["kid"]; got != kid {
				t.Errorf("%s: kid %v, want %s", alg, got, kid)
			}
			verify := func(digest, signature string) string {
				return r.do("POST", "/keys/"+name+"/verify", `{"alg":"`+alg+`","digest":"`+digest+`","value":"`+signature+`"}`).want(t, 200).body
			}
			if got := verify(b64(length), signature.value(t)); got != `{"value":true}` {
				t.Errorf("%s verify = %s, want true", alg, got)
			}
			if got := verify(b64(length), "AAAA"+signature.value(t)[4:]); got != `{"value":false}` {
				t.Errorf("%s verify of another signature = %s, want false", alg, got)
			}
		}
		for _, alg := range tt.sealing {
			for _, pair := range [][2]string{{"encrypt", "decrypt"}, {"wrapkey", "unwrapkey"}} {
				sealed := r.do("POST", "/keys/"+name+"/"+pair[0], `{"alg":"`+alg+`","value":"`+b64(32)+`"}`).value(t)
				if got := r.do("POST", path+"/"+pair[1], `{"alg":"`+alg+`","value":"`+sealed+`"}`).value(t); got != b64(32) {
					t.Errorf("%s %s = %s, want %s", alg, pair[1], got, b64(32))
				}
			}
		}
	}
}

// TestKeyStoreCalls bounds what the operations read and write: one read for
// a use of the latest version.
func TestKeyStoreCalls(t *testing.T) {
	r := newRig(t)
	var calls [3]int
	r.store.Faults = func(c memory.Call) memory.Fault {
		calls[c.Verb]++
		return memory.Work
	}
	r.do("PUT", "/keys/k", ecImport+"}").want(t, 200)
	signature := r.do("POST", "/keys/k/sign", `{"alg":"ES256","value":"`+b64(32)+`"}`).value(t)
	for _, tt := range []struct {
		method, path, body string
		gets, commits      int
	}{
		{"GET", "/keys/k", "", 1, 0},
		{"POST", "/keys/k/sign", `{"alg":"ES256","value":"` + b64(32) + `"}`, 1, 0},
		{"POST", "/keys/k/verify", `{"alg":"ES256","digest":"` + b64(32) + `","value":"` + signature + `"}`, 1, 0},
		{"PATCH", "/keys/k", `{"tags":{"a":"b"}}`, 1, 1},
		{"POST", "/keys/new/create", `{"kty":"EC"}`, 3, 1},
		{"POST", "/keys/k/rotate", ``, 1, 1},
	} {
		calls = [3]int{}
		r.do(tt.method, tt.path, tt.body).want(t, 200)
		if want := [3]int{tt.gets, 0, tt.commits}; calls != want {
			t.Errorf("%s %s: %v gets, ranges and commits, want %v", tt.method, tt.path, calls, want)
		}
	}
}

// BenchmarkSign is a signature through the data plane, without connection,
// token and disk.
func BenchmarkSign(b *testing.B) {
	r := newRig(b)
	r.ledger.silent = true
	r.do("POST", "/keys/k/create", `{"kty":"RSA"}`).want(b, 200)
	body := `{"alg":"RS256","value":"` + b64(32) + `"}`
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("POST", "/keys/k/sign?api-version=7.4", strings.NewReader(body))
		req.Host = host
		req.Header.Set("Authorization", "Bearer officer")
		w := &discard{header: map[string][]string{}}
		r.ServeHTTP(w, req)
	}
}

// TestKeyRecords: the journal says which version was used with which
// algorithm, and which version a change made.
func TestKeyRecords(t *testing.T) {
	r := newRig(t)
	kid := r.do("POST", "/keys/k/create", `{"kty":"EC"}`).kid(t)
	made := r.ledger.last()
	r.do("POST", "/keys/k/sign", `{"alg":"ES256","value":"`+b64(32)+`"}`).want(t, 200)
	used := r.ledger.last()
	r.do("POST", "/keys/k/sign", `{"alg":"ES384","value":"`+b64(32)+`"}`).want(t, 400)
	wrong := r.ledger.last()
	r.do("POST", "/keys/k/sign", `{"alg":"planted","value":"`+b64(32)+`"}`).want(t, 400)
	unknown := r.ledger.last()
	next := r.do("POST", "/keys/k/rotate", "").kid(t)
	rotated := r.ledger.last()
	r.do("POST", "/keys/gone/rotate", "").want(t, 404)
	none := r.ledger.last()
	for _, tt := range []struct {
		got  journal.Record
		want string
	}{
		{made, "KeyCreate 200 " + kid + " []"},
		{used, "KeySign 200 " + kid + " [{algorithm ES256}]"},
		{wrong, "KeySign 400 " + kid + " [{algorithm ES384}]"},
		{unknown, "KeySign 400 " + kid + " []"},
		{rotated, "KeyRotate 200 " + next + " []"},
		{none, "KeyRotate 404 https://" + host + "/keys/gone []"},
	} {
		if got := fmt.Sprint(tt.got.OperationName, " ", tt.got.Status, " ", tt.got.ID, " ", tt.got.Properties); got != tt.want {
			t.Errorf("record %q, want %q", got, tt.want)
		}
		if text := fmt.Sprintf("%+v", tt.got); strings.Contains(text, "planted") || strings.Contains(text, b64(32)) {
			t.Errorf("record holds what was sent: %s", text)
		}
	}
}

// TestKeyCosts: operations of keys take of the budget what the service says.
func TestKeyCosts(t *testing.T) {
	r := newRig(t)
	weighted := func(budget int64) {
		r.deps.Admission.SetBudget(throttle.New(throttle.Profile{Vault: budget, Weighted: true}, nil, r.deps.Now))
	}
	for name, body := range map[string]string{"ec": `{"kty":"EC"}`, "rsa": `{"kty":"RSA"}`, "rsa3072": `{"kty":"RSA","key_size":3072}`, "hsm": `{"kty":"EC-HSM"}`} {
		r.premium("POST", "/keys/"+name+"/create", body).want(t, 200)
	}
	for _, tt := range []struct {
		path, body string
		cost       int64
	}{
		{"/keys/ec/sign", `{"alg":"ES256","value":"` + b64(32) + `"}`, 1},
		{"/keys/hsm/sign", `{"alg":"ES256","value":"` + b64(32) + `"}`, 2},
		{"/keys/rsa/sign", `{"alg":"RS256","value":"` + b64(32) + `"}`, 1},
		{"/keys/rsa3072/sign", `{"alg":"RS256","value":"` + b64(32) + `"}`, 4},
		{"/keys/x/create", `{"kty":"EC"}`, 200},
		{"/keys/y/create", `{"kty":"EC-HSM"}`, 400},
		{"/keys/ec/rotate", ``, 200},
	} {
		weighted(tt.cost)
		r.premium("POST", tt.path, tt.body).want(t, 200)
		r.premium("POST", tt.path, tt.body).want(t, 429)
		if tt.cost > 1 {
			weighted(1)
			if got := r.premium("POST", tt.path, tt.body).want(t, 429); !strings.Contains(got.body, "Throttled") {
				t.Errorf("%s beyond the budget = %s", tt.path, got.body)
			}
		}
	}
	// The key of a certificate is a key that is made, too.
	const certificate = `{"policy":{"issuer":{"name":"Unknown"},"x509_props":{"subject":"CN=a"},"key_props":{"kty":"EC","crv":"P-256"}}}`
	weighted(int64(throttle.CreateKey))
	r.premium("POST", "/certificates/one/create", certificate).want(t, 202)
	r.premium("POST", "/certificates/two/create", certificate).want(t, 429)
	weighted(1000)
	if got := r.premium("GET", "/keys/ec/versions", "").want(t, 200).object(t)["value"].([]any); len(got) != 2 {
		t.Errorf("%d versions after refused rotations, want 2", len(got))
	}
}

// TestUnsupportedKeyType: a type is repeated if the specification knows it,
// and nothing else that a client sends in its place.
func TestUnsupportedKeyType(t *testing.T) {
	for _, tt := range []struct{ kty, shown string }{
		{"oct", "oct"}, {"oct-HSM", "oct-HSM"}, {"oct-HSMplanted", ""}, {"oct-HSM-HSM", ""}, {"planted", ""}, {"octplanted", ""}, {"RSAplanted", ""},
	} {
		got := unsupportedKeyType(tt.kty).Message
		if tt.shown != "" && !strings.Contains(got, tt.shown) || tt.shown == "" && strings.Contains(got, tt.kty) {
			t.Errorf("unsupportedKeyType(%q) = %q, want it to show %q of it", tt.kty, got, tt.shown)
		}
	}
}
