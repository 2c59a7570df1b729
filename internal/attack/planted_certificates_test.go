package attack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"postern/posterntest"
)

// plantedKey is a private key that holds a mark: its number is the mark.
func (p *planted) plantedKey(place string) *ecdsa.PrivateKey {
	p.t.Helper()
	number := make([]byte, 32)
	copy(number[1:], p.mark(place)) // less than the order of the curve
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), number)
	if err != nil {
		p.t.Fatal(err)
	}
	return key
}

// certified is a certificate of a key.
func (p *planted) certified(key *ecdsa.PrivateKey) *x509.Certificate {
	p.t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "planted"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return leaf
}

// file is a certificate with its planted key as PKCS#12 in base64, or as PEM
// without a password.
func (p *planted) file(place, password string) string {
	p.t.Helper()
	key := p.plantedKey(place)
	leaf := p.certified(key)
	if password != "" {
		der, err := pkcs12.Modern.Encode(key, leaf, nil, password)
		if err != nil {
			p.t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
}

// plantCertificates plants private keys, the passwords of files and those of
// issuers. Only the secret of a certificate tells its key.
func plantCertificates(p *posterntest.Postern, s *planted) {
	p.CreateVault("kv2")
	kv := p.VaultURL("kv2")
	silent := func(what, answer string) {
		s.t.Helper()
		if places := s.found([]byte(answer)); len(places) > 0 {
			s.t.Errorf("%s tells %q", what, places)
		}
	}
	for _, f := range []struct{ name, password string }{{"pfx", s.mark("the password of a file")}, {"pem", ""}} {
		at := kv + "/certificates/" + f.name
		body := map[string]any{"value": s.file("the key of a file "+f.name, f.password), "tags": map[string]string{"t": "x"}}
		if f.password != "" {
			body["pwd"] = f.password
		}
		silent("an import", must(s.t, p, "POST", at+"/import"+api, body))
		silent("a certificate", must(s.t, p, "GET", at+api, nil))
		silent("the key of a certificate", must(s.t, p, "GET", kv+"/keys/"+f.name+api, nil))
		silent("a list", must(s.t, p, "GET", kv+"/secrets"+api, nil))
		if text := must(s.t, p, "GET", kv+"/secrets/"+f.name+"/?api-version=2026-04-01&outContentType=application/x-pem-file", nil); len(s.found([]byte(text))) != 1 {
			s.t.Errorf("the secret of %s tells %q, want its key alone", f.name, s.found([]byte(text)))
		}
		var backup struct{ Value string }
		if err := json.Unmarshal([]byte(must(s.t, p, "POST", at+"/backup"+api, nil)), &backup); err != nil {
			s.t.Fatal(err)
		}
		blob, _ := base64.RawURLEncoding.DecodeString(backup.Value)
		silent("a backup", string(blob))
		silent("a deletion", must(s.t, p, "DELETE", at+api, nil))
		must(s.t, p, "DELETE", kv+"/deletedcertificates/"+f.name+api, nil)
		silent("a restored certificate", must(s.t, p, "POST", kv+"/certificates/restore"+api, map[string]string{"value": backup.Value}))
	}
	silent("a certificate that stays", must(s.t, p, "POST", kv+"/certificates/stays/import"+api, map[string]any{
		"value": s.file("a key that stays", ""), "policy": map[string]any{"key_props": map[string]any{"exportable": false}}}))
	silent("the secret of a certificate that stays", must(s.t, p, "GET", kv+"/secrets/stays"+api, nil))
	issuer := kv + "/certificates/issuers/one" + api
	silent("an issuer", must(s.t, p, "PUT", issuer, map[string]any{"provider": "Test", "credentials": map[string]string{"account_id": "x", "pwd": s.mark("an issuer's password")}}))
	silent("a changed issuer", must(s.t, p, "PATCH", issuer, map[string]any{"credentials": map[string]string{"pwd": s.mark("an issuer's second password")}}))
	silent("an issuer that is read", must(s.t, p, "GET", issuer, nil))
	silent("the issuers", must(s.t, p, "GET", kv+"/certificates/issuers"+api, nil))
	must(s.t, p, "POST", kv+"/certificates/failing/create"+api, map[string]any{"policy": map[string]any{"key_props": map[string]any{"kty": "EC"}, "x509_props": map[string]any{"subject": "CN=x"}, "issuer": map[string]string{"name": "one"}}})
	silent("a failed operation", must(s.t, p, "GET", kv+"/certificates/failing/pending"+api, nil))
	silent("a deleted issuer", must(s.t, p, "DELETE", issuer, nil))
	for _, tt := range []struct{ place, path, body string }{
		{"a wrong password", "/certificates/failed/import", `{"value":"` + s.file("the key behind a wrong password", "right") + `","pwd":"%"}`},
		{"a password that is a list", "/certificates/failed/import", `{"value":"x","pwd":["%"]}`},
		{"a file that is none", "/certificates/failed/import", `{"value":"-----BEGIN PRIVATE KEY-----\n%\n-----END PRIVATE KEY-----"}`},
		{"a block of another kind", "/certificates/failed/import", `{"value":"-----BEGIN % KEY-----\nAAAA\n-----END % KEY-----"}`},
		{"a policy of a wrong kind", "/certificates/failed/create", `{"policy":{"key_props":{"kty":{"%":1}}}}`},
		{"a chain that is none", "/certificates/failed/pending/merge", `{"x5c":["%"]}`},
		{"a backup that is none", "/certificates/restore", `{"value":"%"}`},
	} {
		mark := s.mark(tt.place)
		a := send(s.t, p.Client(), request{method: http.MethodPost, url: kv + tt.path + api, token: p.Token(vaultResource), body: strings.ReplaceAll(tt.body, "%", mark)})
		if a.status < 400 || a.status >= 500 || strings.Contains(a.body, mark) {
			s.t.Errorf("%s = %d %s, want a refusal that does not repeat it", tt.place, a.status, a.body)
		}
	}
}
