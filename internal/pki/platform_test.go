package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/internal/seal"
	"postern/internal/store"
	"postern/internal/store/memory"
)

// stage is a platform with a store and a clock.
type stage struct {
	t     *testing.T
	store *memory.Store
	root  *seal.Root
	clock *clock
	*Platform
}

func newStage(t *testing.T) *stage {
	t.Helper()
	root, err := seal.Create(t.TempDir(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, store: memory.New(), root: root, clock: &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}
	s.open()
	return s
}

// open opens the platform anew, as a restart does.
func (s *stage) open() {
	s.t.Helper()
	p, err := OpenPlatform(context.Background(), s.store, s.root, s.clock.Now)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Platform = p
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s *stage) issue(service string, life time.Duration) (*x509.Certificate, Issued) {
	s.t.Helper()
	text, issued, err := s.Issue(context.Background(), service, &newKey(s.t).PublicKey, life, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return parse(s.t, text), issued
}

func parse(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil || len(rest) != 0 {
		t.Fatalf("not one PEM block: %s", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// proves is what a certificate proves: a service, or "" and why not.
func (s *stage) proves(c *x509.Certificate) string {
	service, until, err := s.Prove([]*x509.Certificate{c})
	switch {
	case err != nil && !errors.Is(err, ErrProof):
		s.t.Errorf("Prove fails with %v, want ErrProof", err)
	case err == nil && !until.Equal(c.NotAfter):
		s.t.Errorf("Prove holds until %v, want %v", until, c.NotAfter)
	}
	return service
}

func TestPlatformCertificates(t *testing.T) {
	s := newStage(t)
	for _, service := range []string{"Azure Backup", "Azure Front Door Standard/Premium", "Exchange Online & SharePoint Online", "ä%2f?#", strings.Repeat("x", 256)} {
		c, issued := s.issue(service, 0)
		if got := s.proves(c); got != service {
			t.Errorf("a certificate of %q proves %q", service, got)
		}
		if c.NotAfter.Sub(c.NotBefore) != PlatformLife || !issued.Until.Equal(c.NotAfter) || c.IsCA || len(c.DNSNames)+len(c.IPAddresses) != 0 {
			t.Errorf("certificate of %q: %v to %v, CA %v", service, c.NotBefore, c.NotAfter, c.IsCA)
		}
		if got, want := c.URIs[0].String(), "postern://service/"+url.PathEscape(service); got != want {
			t.Errorf("URI = %s, want %s", got, want)
		}
	}
	list := s.Certificates()
	s.open()
	if again := s.Certificates(); len(list) != 5 || len(again) != 5 || again[0].Serial != list[0].Serial {
		t.Errorf("after a restart %d certificates, want %d", len(again), len(list))
	}
}

// TestPlatformProofEnds: by time, by revocation, across restarts.
func TestPlatformProofEnds(t *testing.T) {
	s := newStage(t)
	short, _ := s.issue("Azure Backup", time.Hour)
	long, issued := s.issue("Azure Batch", MaxPlatformLife)
	s.clock.add(time.Hour + time.Second)
	if s.proves(short) != "" || s.proves(long) != "Azure Batch" {
		t.Errorf("after an hour: %q, %q, want the second alone", s.proves(short), s.proves(long))
	}
	before := s.Revision()
	revoked, err := s.Revoke(context.Background(), strings.ToUpper(issued.Serial), nil)
	if err != nil || revoked.Revoked.IsZero() || s.Revision() == before {
		t.Fatalf("Revoke = %+v, %v, revision %d after %d", revoked, err, s.Revision(), before)
	}
	if got := s.proves(long); got != "" {
		t.Errorf("revoked, it proves %q", got)
	}
	s.clock.add(time.Minute)
	if again, err := s.Revoke(context.Background(), issued.Serial, nil); err != nil || !again.Revoked.Equal(revoked.Revoked) {
		t.Errorf("Revoke again = %+v, %v, want the first time", again, err)
	}
	s.open()
	if got := s.proves(long); got != "" {
		t.Errorf("revoked and restarted, it proves %q", got)
	}
	if _, err := s.Revoke(context.Background(), "00", nil); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("Revoke of nothing = %v", err)
	}
	s.clock.add(MaxPlatformLife + remembered)
	s.issue("Azure Backup", 0)
	if got := len(s.Certificates()); got != 1 {
		t.Errorf("%d certificates are remembered, want 1", got)
	}
	s.clock.add(-MaxPlatformLife - remembered - time.Hour - 2*time.Minute)
	if got := s.proves(short); got != "" {
		t.Errorf("not remembered, it proves %q", got)
	}
}

// TestForgedProofs: everything that somebody without the authority's key
// can make, and what the authorities themselves could be misused for.
func TestForgedProofs(t *testing.T) {
	s := newStage(t)
	real, _ := s.issue("Azure Backup", 0)
	other := newStage(t)
	foreign, _ := other.issue("Azure Backup", 0)
	names := newFixture(t).open(t)
	leaf, err := names.current()
	if err != nil {
		t.Fatal(err)
	}
	sign := func(change func(*x509.Certificate), parent *x509.Certificate, with *ecdsa.PrivateKey) *x509.Certificate {
		k := newKey(t)
		template := &x509.Certificate{SerialNumber: real.SerialNumber, Subject: pkix.Name{CommonName: "Azure Backup"}, URIs: real.URIs, NotBefore: real.NotBefore,
			NotAfter: real.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true}
		change(template)
		if with == nil {
			parent, with = template, k
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &k.PublicKey, with)
		if err != nil {
			t.Fatal(err)
		}
		return parse(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	asIs := func(*x509.Certificate) {}
	for _, tt := range []struct {
		name string
		c    *x509.Certificate
	}{
		{"self-signed", sign(asIs, nil, nil)},
		{"of another server's platform, which has the same name", foreign},
		{"of the authority of the server's names", sign(asIs, names.certificate, names.key)},
		{"the server's own", leaf.certificate.Leaf},
		{"the platform authority's own", s.certificate},
		{"with our key, a serial number that is known", sign(asIs, s.certificate, s.key)},
		{"with our key, a new serial number", sign(func(c *x509.Certificate) { c.SerialNumber = big.NewInt(7) }, s.certificate, s.key)},
		{"with our key, for servers", sign(func(c *x509.Certificate) {
			c.ExtKeyUsage, c.DNSNames, c.URIs = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"localhost"}, nil
		}, s.certificate, s.key)},
		{"not yet valid", sign(func(c *x509.Certificate) { c.NotBefore = s.clock.Now().Add(time.Hour) }, s.certificate, s.key)},
	} {
		if got := s.proves(tt.c); got != "" {
			t.Errorf("a certificate %s proves %q", tt.name, got)
		}
	}
	if _, _, err := s.Prove(nil); !errors.Is(err, ErrProof) {
		t.Errorf("Prove of nothing = %v", err)
	}
	if s.proves(real) != "Azure Backup" {
		t.Error("the real one proves nothing")
	}
	// And a server with a certificate of the platform's is trusted by nobody,
	// not even by a client that were told to trust it.
	server := sign(func(c *x509.Certificate) {
		c.ExtKeyUsage, c.DNSNames, c.URIs = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []string{"login.microsoftonline.com"}, nil
	}, s.certificate, s.key)
	if _, err := server.Verify(x509.VerifyOptions{Roots: s.Pool(), DNSName: "login.microsoftonline.com", CurrentTime: s.clock.Now()}); err == nil {
		t.Error("the platform authority vouches for a server's name")
	}
}

func TestPlatformRefuses(t *testing.T) {
	s := newStage(t)
	p256, p224 := newKey(t), &ecdsa.PrivateKey{}
	if k, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader); err == nil {
		p224 = k
	}
	for _, tt := range []struct {
		service string
		key     *ecdsa.PublicKey
		life    time.Duration
		want    error
	}{
		{"Azure Backup", &p256.PublicKey, MaxPlatformLife + time.Second, ErrLife},
		{"Azure Backup", &p256.PublicKey, time.Second, ErrLife},
		{"Azure Backup", &p256.PublicKey, -time.Hour, ErrLife},
		{"Azure Backup", &p224.PublicKey, 0, ErrPlatformKey},
		{"Azure Backup", nil, 0, ErrPlatformKey},
		{"", &p256.PublicKey, 0, nil},
		{strings.Repeat("x", 257), &p256.PublicKey, 0, nil},
	} {
		if _, _, err := s.Issue(context.Background(), tt.service, tt.key, tt.life, nil); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("Issue(%.20q, %v) = %v, want %v", tt.service, tt.life, err, tt.want)
		}
	}
	if got := len(s.Certificates()); got != 0 {
		t.Errorf("%d certificates were issued", got)
	}
}

// TestPlatformLastsAndMoves: its certificate is made anew in time, and what
// it issued goes on; what is stored opens nowhere else.
func TestPlatformLastsAndMoves(t *testing.T) {
	s := newStage(t)
	first := s.certificate
	s.clock.add(authorityLife - authorityRest)
	c, _ := s.issue("Azure Backup", 0)
	s.open()
	if s.certificate.Equal(first) || s.proves(c) != "Azure Backup" {
		t.Errorf("renewed %v, and an older certificate proves %q", !s.certificate.Equal(first), s.proves(c))
	}
	elsewhere := newStage(t)
	if _, err := OpenPlatform(context.Background(), s.store, elsewhere.root, s.clock.Now); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("opened with another root key: %v", err)
	}
}

// TestPlatformRecords: what a caller adds is committed with the change, or
// not at all.
func TestPlatformRecords(t *testing.T) {
	s := newStage(t)
	ctx := context.Background()
	note := func(tx *store.Tx, c Issued) { tx.Put("j/"+c.Service, []byte(c.Serial)) }
	_, issued, err := s.Issue(ctx, "Azure Backup", &newKey(t).PublicKey, 0, note)
	if err != nil {
		t.Fatal(err)
	}
	if item, err := s.store.Get(ctx, "j/Azure Backup"); err != nil || string(item.Value) != issued.Serial {
		t.Errorf("the record is %q, %v, want %s", item.Value, err, issued.Serial)
	}
	refuse := func(tx *store.Tx, _ Issued) { tx.Absent("j/Azure Backup") }
	if _, err := s.Revoke(ctx, issued.Serial, refuse); !errors.Is(err, store.ErrConflict) || !s.Certificates()[0].Revoked.IsZero() {
		t.Errorf("a change that was not committed: %v, %+v", err, s.Certificates()[0])
	}
}
