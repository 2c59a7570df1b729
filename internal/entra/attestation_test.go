package entra

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestAttested: an attestation of a trusted authority is read, whatever form
// its keys are published in; every other is refused with one error.
func TestAttested(t *testing.T) {
	f := newForeignWorld(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: f.clock.Now(), NotAfter: f.clock.Now().AddDate(1, 0, 0)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, f.rsa.Public(), f.rsa))(t)
	set := `{"keys":[{"kty":"RSA","kid":"r","x5c":["` + base64.StdEncoding.EncodeToString(der) + `"]},{"kty":"RSA","kid":"torn","x5c":["AAAA"]}]}`
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	sign := func(edits ...any) string { return token(t, jose.RS256, f.rsa, "r", f.claims(edits...)) }
	if _, _, err := f.Attested(sign()); !errors.Is(err, ErrAttestation) {
		t.Errorf("Attested before any authority is trusted = %v, want ErrAttestation", err)
	}
	for what, a := range map[string]AttestationAuthority{"a file of certificates": {Issuer: f.URL + "/", KeysFile: file},
		"the provider's metadata": {Issuer: f.URL}, "a URL": {Issuer: f.URL, KeysURL: f.URL + "/keys"}} {
		if err := f.TrustAttestation([]AttestationAuthority{a}); err != nil {
			t.Fatalf("TrustAttestation(%s) = %v", what, err)
		}
		issuer, claims, err := f.Attested(sign("n", 12345678901234567))
		if err != nil || issuer != f.URL || claims["n"] != json.Number("12345678901234567") {
			t.Errorf("Attested with keys of %s = %q, %v, %v", what, issuer, claims["n"], err)
		}
	}
	now := f.clock.Now().Unix()
	good := strings.Split(sign(), ".")
	for what, token := range map[string]string{
		"no token": "", "two parts": good[0] + "." + good[1], "no signature": good[0] + "." + good[1] + ".", "other claims": good[0] + "." + strings.Split(sign("a", 1), ".")[1] + "." + good[2],
		"another issuer": sign("iss", "https://other.example"), "no issuer": sign("iss", nil), "an issuer that is a list": sign("iss", []string{f.URL}),
		"expired": sign("exp", now-301), "no end": sign("exp", nil), "an end in words": sign("exp", "soon"), "not yet": sign("nbf", now+301), "nbf in words": sign("nbf", "now"),
		"an unknown kid": token(t, jose.RS256, f.rsa, "none", f.claims()), "no kid": token(t, jose.RS256, f.rsa, "", f.claims()), "RS512": token(t, jose.RS512, f.rsa, "r", f.claims()),
		"too long": sign("x", strings.Repeat("x", 128<<10)),
	} {
		if issuer, claims, err := f.Attested(token); !errors.Is(err, ErrAttestation) || issuer != "" || claims != nil {
			t.Errorf("Attested(%s) = %q, %v, %v, want ErrAttestation", what, issuer, claims, err)
		}
	}
}

func TestAttestersRefused(t *testing.T) {
	f := newForeignWorld(t)
	for _, list := range [][]AttestationAuthority{
		{{Issuer: "http://a.example"}}, {{}}, {{Issuer: "https://a.example", KeysURL: "http://a.example/k"}}, {{Issuer: "https://a.example", KeysURL: "https://a.example/k", KeysFile: "k"}},
		{{Issuer: "https://a.example", KeysFile: "/nonexistent"}}, {{Issuer: "https://a.example", CAFile: "/nonexistent"}},
		{{Issuer: "https://a.example"}, {Issuer: "https://a.example/"}}, make([]AttestationAuthority, 65),
	} {
		if err := f.TrustAttestation(list); !errors.Is(err, ErrAttesters) {
			t.Errorf("TrustAttestation(%+v) = %v, want ErrAttesters", list, err)
		}
	}
}
