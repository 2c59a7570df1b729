package acme

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
	"postern/internal/issuance"
)

// start runs a Pebble and a postern that asks it, with a vault.
func start(t *testing.T, vault string, keys bound) (*authority, *lab.Postern) {
	t.Helper()
	a := &authority{dir: t.TempDir(), address: lab.Address(t), management: lab.Address(t), roots: x509.NewCertPool()}
	challenge := lab.Address(t)
	_, text, err := net.SplitHostPort(challenge)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	a.configure(t, keys, port)
	a.start(t)
	file := filepath.Join(t.TempDir(), "postern.yaml")
	config := fmt.Sprintf("certificates:\n  acme:\n    directory: https://%s/dir\n    terms: accepted\n    hosts: ['*.example', postern.localhost]\n    caFile: %s\n    challenge: %s\n",
		a.address, filepath.Join(a.dir, "cert.pem"), challenge)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p := lab.Start(t, "--config", file)
	p.Vault(t, vault, nil)
	return a, p
}

// operation is what is read of a pending operation (spec:
// CertificateOperation).
type operation struct {
	Status string
	Error  *struct{ Code, Message string }
	Target string
}

// created creates a certificate of a host and follows the operation to its
// end; between is called when it has begun.
func created(t *testing.T, p *lab.Postern, vault, name, props string, between func()) operation {
	t.Helper()
	policy := json.RawMessage(`{"policy":{"issuer":{"name":"pebble"},"key_props":{"kty":"EC","crv":"P-256"},"x509_props":` + props + `}}`)
	status, answer := p.Call(t, vault, http.MethodPost, "/certificates/"+name+"/create", policy)
	if status != http.StatusAccepted {
		t.Fatalf("create = %d: %s", status, answer)
	}
	between()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var o operation
		if status, answer = p.Call(t, vault, http.MethodGet, "/certificates/"+name+"/pending", nil); status != http.StatusOK {
			t.Fatalf("pending = %d: %s", status, answer)
		}
		if err := json.Unmarshal(answer, &o); err != nil {
			t.Fatal(err)
		}
		if o.Status != "inProgress" {
			return o
		}
	}
	t.Fatalf("the operation does not end: %s", answer)
	return operation{}
}

// resource makes the vault's issuer.
func (a *authority) resource(t *testing.T, p *lab.Postern, vault, credentials string) {
	t.Helper()
	body := json.RawMessage(`{"provider":"ACME","credentials":` + credentials + `,"org_details":{"admin_details":[{"email":"someone@contoso.com"}]}}`)
	if status, answer := p.Call(t, vault, http.MethodPut, "/certificates/issuers/pebble", body); status != http.StatusOK {
		t.Fatalf("the issuer = %d: %s", status, answer)
	}
}

// secret reads the secret behind a certificate and holds its chain against
// the authority's root.
func (a *authority) secret(t *testing.T, p *lab.Postern, vault, name, host string) *issuance.Bundle {
	t.Helper()
	status, answer := p.Call(t, vault, http.MethodGet, "/secrets/"+name, nil)
	var secret struct{ Value, ContentType string }
	if err := json.Unmarshal(answer, &secret); err != nil || status != http.StatusOK {
		t.Fatalf("the secret = %d: %s", status, answer)
	}
	b, err := issuance.Import(secret.Value, "", secret.ContentType)
	if err != nil {
		t.Fatal(err)
	}
	between := x509.NewCertPool()
	for _, c := range b.Chain {
		between.AddCert(c)
	}
	if _, err := b.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: a.issuers(t), Intermediates: between}); err != nil {
		t.Errorf("Verify(%s) = %v, want a chain to the authority's root", host, err)
	}
	return b
}

func samePublic(a, b *issuance.Bundle) bool {
	return string(a.Leaf.RawSubjectPublicKeyInfo) == string(b.Leaf.RawSubjectPublicKeyInfo)
}

// TestVault: a vault's issuer with the provider ACME issues, through the wire
// and through a crash between the steps; the next version has a key of its
// own.
func TestVault(t *testing.T) {
	a, p := start(t, "acme", nil)
	a.resource(t, p, "acme", "null")
	o := created(t, p, "acme", "site", `{"subject":"CN=www.contoso.example"}`, func() { p.Crash(t) })
	if o.Status != "completed" || !strings.HasSuffix(o.Target, "/certificates/site") {
		t.Fatalf("the operation ended as %+v, want it completed", o)
	}
	first := a.secret(t, p, "acme", "site", "www.contoso.example")
	status, answer := p.Call(t, "acme", http.MethodGet, "/certificates/site", nil)
	var shown struct{ CER string }
	if err := json.Unmarshal(answer, &shown); err != nil || status != http.StatusOK || shown.CER != base64.StdEncoding.EncodeToString(first.Leaf.Raw) {
		t.Errorf("the certificate = %d: %s, want the one in the secret", status, answer)
	}
	if o := created(t, p, "acme", "site", `{"subject":"CN=www.contoso.example"}`, func() {}); o.Status != "completed" {
		t.Fatalf("the second operation ended as %+v, want it completed", o)
	}
	second := a.secret(t, p, "acme", "site", "www.contoso.example")
	if second.Leaf.Equal(first.Leaf) || samePublic(second, first) {
		t.Errorf("the second version is the first")
	}
	if o := created(t, p, "acme", "blocked", `{"subject":"CN=blocked.example"}`, func() {}); o.Status != "failed" || o.Error == nil || !strings.Contains(o.Error.Message, "blocked.example") {
		t.Errorf("the operation for a host that the authority does not certify ended as %+v, want it failed with a reason", o)
	}
}

// TestVaultRefuses: what the operator did not list, and what the server
// answers by itself, is refused at once; nothing is begun.
func TestVaultRefuses(t *testing.T) {
	a, p := start(t, "acme", nil)
	a.resource(t, p, "acme", "null")
	for _, host := range []string{"www.contoso.com", "*.contoso.example", "login.postern.localhost", "acme.vault.postern.localhost"} {
		body := json.RawMessage(`{"policy":{"issuer":{"name":"pebble"},"x509_props":{"subject":"CN=` + host + `"}}}`)
		if status, answer := p.Call(t, "acme", http.MethodPost, "/certificates/no/create", body); status != http.StatusBadRequest || !strings.Contains(string(answer), host) {
			t.Errorf("create for %s = %d: %s, want 400 that names it", host, status, answer)
		}
	}
	if status, answer := p.Call(t, "acme", http.MethodGet, "/certificates/no/pending", nil); status != http.StatusNotFound {
		t.Errorf("pending = %d: %s, want 404", status, answer)
	}
}

// TestVaultExternalAccount: the issuer's credentials are an external account
// of the authority's.
func TestVaultExternalAccount(t *testing.T) {
	secret := base64.RawURLEncoding.EncodeToString([]byte(lab.Planted + "mac-key-of-32-bytes-or-more-..."))
	a, p := start(t, "acme", bound{"customer-1": secret})
	a.resource(t, p, "acme", `{"account_id":"customer-1","pwd":"`+secret+`"}`)
	if o := created(t, p, "acme", "site", `{"subject":"CN=www.contoso.example"}`, func() {}); o.Status != "completed" {
		t.Fatalf("the operation ended as %+v, want it completed", o)
	}
	a.secret(t, p, "acme", "site", "www.contoso.example")
}
