// Package attestation is an authority that says of an environment what the
// release policy of a key asks for, as an attestation service does: an HTTPS
// server with provider metadata, a set of keys, and tokens.
package attestation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is one authority.
type Authority struct {
	// URL is its address, which is also the issuer of its tokens.
	URL string
	// Roots is the certificate that its clients must trust, PEM.
	Roots []byte
	// Target is the environment's own key, to which keys are released.
	Target *rsa.PrivateKey

	signing *rsa.PrivateKey
}

var encoded = base64.RawURLEncoding.EncodeToString

// Start starts an authority; it ends with the test.
func Start(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{signing: newRSA(t), Target: newRSA(t)}
	mux := http.NewServeMux()
	answer := func(path string, body func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(body())
		})
	}
	answer("/.well-known/openid-configuration", func() any {
		return map[string]any{"issuer": a.URL, "jwks_uri": a.URL + "/keys", "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"}}
	})
	answer("/keys", func() any { return map[string]any{"keys": []any{jwk(&a.signing.PublicKey, "signing", "sign")}} })
	answer("/generate-test-token", func() any { return map[string]any{"token": a.Token(t, nil)} })
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{a.certificate(t)}}
	server.StartTLS()
	t.Cleanup(server.Close)
	a.URL = server.URL
	return a
}

func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func jwk(key *rsa.PublicKey, kid, use string) map[string]any {
	return map[string]any{"kty": "RSA", "kid": kid, "use": use[:3], "key_ops": []string{use}, "n": encoded(key.N.Bytes()),
		"e": encoded(big.NewInt(int64(key.E)).Bytes())}
}

// certificate is the server's, of its own.
func (a *Authority) certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "attestation"}, IPAddresses: []net.IP{{127, 0, 0, 1}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a.Roots = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Token says of an environment that it is a test of the SDKs, and which key
// is the environment's. The claims can be changed before they are signed.
func (a *Authority) Token(t testing.TB, change func(claims map[string]any)) string {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{"iss": a.URL, "iat": now, "nbf": now, "exp": now + 3600, "sdk-test": true,
		"x-ms-inittime": map[string]any{}, "x-ms-runtime": map[string]any{"keys": []any{jwk(&a.Target.PublicKey, "target", "encrypt")}},
		"maa-ehd": "sdk-test"}
	if change != nil {
		change(claims)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Error(err)
	}
	input := encoded(fmt.Appendf(nil, `{"alg":"RS256","typ":"JWT","kid":"signing","jku":%q}`, a.URL+"/keys")) + "." + encoded(text)
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.signing, crypto.SHA256, sum[:])
	if err != nil {
		t.Error(err)
	}
	return input + "." + encoded(signature)
}

// Arguments are those of `postern serve` that lets it ask this authority.
func (a *Authority) Arguments(t testing.TB) []string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "attestation:\n- issuer: %s\n  caFile: %s\n", a.URL, a.File(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--config", config}
}

// File is a file with the certificate that its clients must trust.
func (a *Authority) File(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "attestation.pem")
	if err := os.WriteFile(file, a.Roots, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
