package attack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postern/posterntest"
)

// number is a part of a private key, as bytes that must not be found: raw, in
// hexadecimal digits or in either alphabet of base64.
type number struct {
	what  string
	bytes []byte
}

func (n number) in(data []byte) bool {
	if bytes.Contains(data, n.bytes) || bytes.Contains(bytes.ToLower(data), []byte(hex.EncodeToString(n.bytes))) {
		return true
	}
	for shift := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, shift), n.bytes...))
			if text = text[(shift*8+5)/6:]; bytes.Contains(data, []byte(text[:len(text)-2])) {
				return true
			}
		}
	}
	return false
}

// numbersOf are what is secret of a key: some bytes out of the middle of each
// number.
func numbersOf(what string, key any) []number {
	part := func(name string, n *big.Int) number {
		b := n.Bytes()
		return number{what + ", " + name, b[len(b)/2-9 : len(b)/2+9]}
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return []number{part("d", k.D), part("p", k.Primes[0]), part("q", k.Primes[1]), part("dp", k.Precomputed.Dp), part("qi", k.Precomputed.Qinv)}
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		return []number{part("d", new(big.Int).SetBytes(d))}
	}
	panic("no key that is known")
}

func encodeJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func url64(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// jwkOf is a key pair as ImportKey takes it.
func jwkOf(t testing.TB, key any) map[string]any {
	t.Helper()
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return map[string]any{"kty": "RSA", "n": url64(k.N), "e": "AQAB", "d": url64(k.D), "p": url64(k.Primes[0]), "q": url64(k.Primes[1]),
			"dp": url64(k.Precomputed.Dp), "dq": url64(k.Precomputed.Dq), "qi": url64(k.Precomputed.Qinv)}
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:]), "d": encode(d)}
	}
	t.Fatal("no key that is known")
	return nil
}

// certified is a certificate for a key, signed by itself.
func certified(t testing.TB, key *ecdsa.PrivateKey, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "planted"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// pemOf is a certificate with its key as text.
func pemOf(t testing.TB, certificate *x509.Certificate, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestPlantedKeys: nothing of a private key, no password of a file or of an
// issuer, no plain text and nothing secret of a webhook is found in any file
// of the data folder, in the log, in the metrics or in a refusal, whether it
// was taken or refused; backups hold nothing that can be read.
func TestPlantedKeys(t *testing.T) {
	t.Parallel()
	s := &planted{t: t, marks: map[string]string{}}
	log, dir, outside := &safeBuffer{}, filepath.Join(t.TempDir(), "data"), t.TempDir()
	header := filepath.Join(outside, "header")
	if err := os.WriteFile(header, []byte(s.mark("a webhook's header")), 0o600); err != nil {
		t.Fatal(err)
	}
	hooks := encodeJSON(t, []map[string]any{{"name": "sink", "url": "https://127.0.0.1:1/x?code=" + s.mark("a webhook's key"), "header": "X-Key", "headerFile": header}})
	p := posterntest.Start(t, posterntest.WithData(dir), posterntest.WithLog(log), posterntest.WithMetrics(), posterntest.WithSetting("events.webhooks", hooks))
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []number
	fresh := func(what string) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, numbersOf(what, key)...)
		return key
	}
	numbers = append(numbers, numbersOf("an RSA key", rsaKey)...)
	none := func(where string, data []byte) {
		t.Helper()
		for _, place := range s.found(data) {
			t.Errorf("%s tells %s", where, place)
		}
		for _, n := range numbers {
			if n.in(data) {
				t.Errorf("%s tells %s", where, n.what)
			}
		}
	}
	plantKeys(h, s, rsaKey, fresh, none)
	plantFiles(h, s, fresh, none)
	p.Upkeep()
	metrics := send(t, http.DefaultClient, request{method: "GET", url: p.Metrics})
	if metrics.status != 200 {
		t.Errorf("the metrics = %d", metrics.status)
	}
	none("the metrics", []byte(metrics.body))
	for name, data := range files(t, dir) {
		none("while it runs, "+name, data)
	}
	p.Stop()
	for name, data := range files(t, dir) {
		none("when it has stopped, "+name, data)
	}
	none("the log", log.bytes())
	if !numbers[0].in([]byte("x"+url64(rsaKey.D))) || !numbers[0].in(append([]byte("xy"), rsaKey.D.Bytes()...)) {
		t.Error("a number that lies about openly is not found: the search is blind")
	}
}

// plantKeys has keys imported, used, moved around and refused.
func plantKeys(h *hand, s *planted, rsaKey *rsa.PrivateKey, fresh func(string) *ecdsa.PrivateKey, none func(string, []byte)) {
	ec := fresh("an EC key")
	for name, key := range map[string]any{"rsa": rsaKey, "ec": ec} {
		a := h.want(200, "PUT", "/keys/"+name, encodeJSON(h.t, map[string]any{"key": jwkOf(h.t, key), "tags": map[string]string{"t": s.mark("a key's tag " + name)}}))
		delete(s.marks, "a key's tag "+name) // it is in the answer, as it should be
		none("the answer to an import", []byte(a.body))
		blob := h.want(200, "POST", "/keys/"+name+"/backup", "").body
		var value struct{ Value string }
		if err := json.Unmarshal([]byte(blob), &value); err != nil {
			h.t.Fatal(err)
		}
		raw, err := base64.RawURLEncoding.DecodeString(value.Value)
		if err != nil {
			h.t.Fatal(err)
		}
		none("the backup", raw)
		h.want(200, "DELETE", "/keys/"+name, "")
		h.want(204, "DELETE", "/deletedkeys/"+name, "")
		h.want(200, "POST", "/keys/restore", blob)
	}
	plain := func(place string) string { return base64.RawURLEncoding.EncodeToString([]byte(s.mark(place))) }
	for _, alg := range []string{"RSA-OAEP-256", "RSA1_5"} {
		var sealed struct{ Value string }
		a := h.want(200, "POST", "/keys/rsa/encrypt", `{"alg":"`+alg+`","value":"`+plain("a plain text "+alg)+`"}`)
		if err := json.Unmarshal([]byte(a.body), &sealed); err != nil {
			h.t.Fatal(err)
		}
		h.want(200, "POST", "/keys/rsa/decrypt", `{"alg":"`+alg+`","value":"`+sealed.Value+`"}`)
	}
	bad := jwkOf(h.t, fresh("a key of wrong numbers"))
	bad["x"] = jwkOf(h.t, ec)["x"]
	for _, q := range []struct{ method, path, body string }{
		{"PUT", "/keys/bad", encodeJSON(h.t, map[string]any{"key": bad})},
		{"PUT", "/keys/bad", encodeJSON(h.t, map[string]any{"key": map[string]any{"kty": "RSA", "n": "AQ", "e": "AQAB", "d": plain("a wrong d")}})},
		{"PUT", "/keys/bad", encodeJSON(h.t, map[string]any{"key": map[string]any{"kty": "EC", "d": s.mark("a d that is no base64") + "*"}})},
		{"PUT", "/keys/bad", encodeJSON(h.t, map[string]any{"key": map[string]any{"kty": "RSA", "key_hsm": plain("a sealed key"), "d": plain("a d beside it")}})},
		{"PUT", "/keys/bad", `{"key":"` + s.mark("a key that is a text") + `"}`},
		{"PUT", "/keys/bad", `{"key":{"kty":"EC","d":"` + s.mark("a body cut off")},
		{"PUT", "/keys/bad?" + s.mark("a query"), `{}`},
		{"POST", "/keys/rsa/decrypt", `{"alg":"RSA1_5","value":"` + plain("a wrong ciphertext") + `"}`},
		{"POST", "/keys/rsa/unwrapkey", `{"alg":"RSA-OAEP","value":"` + s.mark("no base64") + `!"}`},
		{"POST", "/keys/ec/encrypt", `{"alg":"RSA1_5","value":"` + plain("the plain text of a wrong key") + `"}`},
		{"POST", "/keys/rsa/encrypt", `{"alg":"A256GCM","value":"` + plain("the plain text of a wrong algorithm") + `","iv":"` + plain("an iv") + `"}`},
		{"POST", "/keys/restore", `{"value":"` + s.mark("a wrong backup") + `"}`},
		{"POST", "/keys/ec/release", `{"target":"` + s.mark("an attestation") + `.` + s.mark("the claims of an attestation") + `.x"}`},
		{"PUT", "/keys/ec/rotationpolicy", `{"attributes":{"expiryTime":"` + s.mark("a period") + `"}}`},
	} {
		a := h.do(q.method, q.path, q.body)
		if a.status < 400 || a.status >= 500 {
			h.t.Errorf("%s %s = %d %s, want a refusal", q.method, q.path, a.status, a.body)
		}
		none("the refusal of "+q.path, []byte(a.body))
	}
}

// plantFiles has certificates imported and refused, and issuers with
// passwords.
func plantFiles(h *hand, s *planted, fresh func(string) *ecdsa.PrivateKey, none func(string, []byte)) {
	key := fresh("the key of a file")
	leaf := certified(h.t, key, nil)
	password := s.mark("the password of a file")
	file, err := pkcs12.Modern.Encode(key, leaf, nil, password)
	if err != nil {
		h.t.Fatal(err)
	}
	pfx := base64.StdEncoding.EncodeToString(file)
	h.want(200, "POST", "/certificates/file/import", encodeJSON(h.t, map[string]any{"value": pfx, "pwd": password}))
	text := fresh("the key of a text")
	kept := pemOf(h.t, certified(h.t, text, nil), text)
	h.want(200, "POST", "/certificates/text/import", encodeJSON(h.t, map[string]any{"value": kept, "policy": map[string]any{"key_props": map[string]any{"exportable": false}}}))
	none("the secret of a key that may not leave", []byte(h.want(200, "GET", "/secrets/text", "").body))
	blob := h.want(200, "POST", "/certificates/file/backup", "").body
	none("the backup of a certificate", []byte(blob))
	lone := fresh("a key without its certificate")
	for _, body := range []map[string]any{
		{"value": pfx, "pwd": s.mark("a wrong password")}, {"value": pfx, "pwd": s.mark("a password that is too long") + strings.Repeat("x", 2000)}, {"value": pfx, "pwd": []string{s.mark("a password that is a list")}},
		{"value": pemOf(h.t, leaf, lone)}, {"value": strings.ReplaceAll(pemOf(h.t, leaf, lone), "-----END PRIVATE KEY-----", "")}, {"value": s.mark("a file that is none")},
		{"value": "-----BEGIN PRIVATE KEY-----\n" + s.mark("a key that is none") + "\n-----END PRIVATE KEY-----\n"}, {"value": "-----BEGIN " + s.mark("a block") + "-----\nAAAA\n"},
	} {
		a := h.do("POST", "/certificates/bad/import", encodeJSON(h.t, body))
		if a.status != 400 {
			h.t.Errorf("a bad import = %d %s, want 400", a.status, a.body)
		}
		none("the refusal of an import", []byte(a.body))
	}
	issuer := func(method, place string, want int, more map[string]any) {
		body := map[string]any{"provider": "Shop", "credentials": map[string]any{"account_id": "a", "pwd": s.mark(place)}}
		for name, v := range more {
			body[name] = v
		}
		none(place, []byte(h.want(want, method, "/certificates/issuers/shop", encodeJSON(h.t, body)).body))
	}
	issuer("PUT", "an issuer's password", 200, nil)
	issuer("PATCH", "an issuer's next password", 200, nil)
	issuer("PUT", "the password of an issuer that is refused", 400, map[string]any{"provider": 5})
	for _, path := range []string{"/certificates/issuers/shop", "/certificates/issuers"} {
		none("GET "+path, []byte(h.want(200, "GET", path, "").body))
	}
	h.want(202, "POST", "/certificates/shop/create", ellipticPolicy("shop", true, false))
	none("a pending operation", []byte(h.want(200, "GET", "/certificates/shop/pending", "").body))
	none("a deleted issuer", []byte(h.want(200, "DELETE", "/certificates/issuers/shop", "").body))
}
