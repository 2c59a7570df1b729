package pki

import (
	"os"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"postern/internal/seal"
)

func TestTrustStoreHoldsTheAuthority(t *testing.T) {
	dir := t.TempDir()
	root, err := seal.Create(dir, zeros{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := OpenCA(dir, root, []string{"login.postern.localhost", "*.vault.postern.localhost"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	path, err := a.TrustStore()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pkcs12.DecodeTrustStore(data, TrustStorePassword)
	if err != nil {
		t.Fatal(err)
	}
	if len(certs) == 0 || !certs[0].Equal(a.certificate) {
		t.Fatalf("the trust store begins with %d other certificates, want the authority", len(certs))
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
