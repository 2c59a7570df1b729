package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/names"
	"postern/internal/seal"
)

// clock is a clock that stands until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type fixture struct {
	dir   string
	root  *seal.Root
	clock *clock
	hosts []string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	root, err := seal.Create(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{dir, root, &clock{now: time.Now()}, names.New("postern.localhost", 8443).Hosts()}
}

func (f *fixture) open(t *testing.T) *Authority {
	t.Helper()
	a, err := OpenCA(f.dir, f.root, f.hosts, Options{Now: f.clock.Now, Roots: []string{filepath.Join(f.dir, "roots.pem")}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// leafOf is the certificate that a handshake at this moment gets.
func leafOf(t *testing.T, a *Authority) *x509.Certificate {
	t.Helper()
	c, err := a.TLS().GetCertificate(&tls.ClientHelloInfo{ServerName: "whatever"})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

// forge signs a certificate for a name with the authority's key, as a thief
// of the key would.
func forge(t *testing.T, a *Authority, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: a.now().Add(-time.Hour),
		NotAfter: a.now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	change(c)
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestLeafVerifies(t *testing.T) {
	f := newFixture(t)
	a := f.open(t)
	leaf := leafOf(t, a)
	for _, host := range append(slices.Clone(f.hosts), "localhost", "127.0.0.1", "::1", "myvault.vault.azure.net", "myvault.vault.postern.localhost") {
		host = strings.Replace(host, "*.", "some-vault.", 1)
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: a.Pool(), CurrentTime: f.clock.Now()}); err != nil {
			t.Errorf("Verify(%q) = %v, want nil", host, err)
		}
	}
	for _, host := range []string{"example.com", "a.b.vault.azure.net", "vault.azure.net", "127.0.0.2", "evil.localhost"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: a.Pool(), CurrentTime: f.clock.Now()}); err == nil {
			t.Errorf("Verify(%q) = nil, want an error", host)
		}
	}
}

// TestConstraints shows that whoever trusts the authority trusts it for the
// served names alone, even when its key is stolen.
func TestConstraints(t *testing.T) {
	a := newFixture(t).open(t)
	dns := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.DNSNames = names }
	}
	for _, row := range []struct {
		name   string
		change func(*x509.Certificate)
		ok     bool
	}{
		{"a served name", dns("login.postern.localhost"), true},
		{"a later plane of the suffix", dns("portal.postern.localhost"), true},
		{"foreign name", dns("example.com"), false},
		{"served and foreign name", dns("login.postern.localhost", "example.com"), false},
		{"parent of a public name", dns("azure.net"), false},
		{"sibling of a public name", dns("storage.azure.net"), false},
		{"sibling of the login host", dns("outlook.microsoftonline.com"), false},
		{"name that ends alike", dns("evilvault.azure.net"), false},
		{"loopback address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 9, 9, 9)} }, true},
		{"other address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }, false},
		{"other IPv6 address", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.ParseIP("2001:db8::1")} }, false},
		{"client certificate", func(c *x509.Certificate) {
			dns("localhost")(c)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, false},
	} {
		_, err := forge(t, a, row.change).Verify(x509.VerifyOptions{Roots: a.Pool(), CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if row.name == "client certificate" {
			_, err = forge(t, a, row.change).Verify(x509.VerifyOptions{Roots: a.Pool(), CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		}
		if (err == nil) != row.ok {
			t.Errorf("%s: Verify = %v, want ok %v", row.name, err, row.ok)
		}
	}
	critical := false
	for _, e := range a.certificate.Extensions {
		critical = critical || e.Id.String() == "2.5.29.30" && e.Critical
	}
	if !critical {
		t.Error("name constraints are not critical")
	}
}

func TestDomains(t *testing.T) {
	public := []string{"graph.microsoft.com", "localhost", "login.microsoftonline.com", "login.windows.net", "management.azure.com", "management.core.windows.net", "vault.azure.net"}
	for _, suffix := range []string{"postern.localhost", "kv.example.org"} {
		want := append(slices.Clone(public), suffix)
		slices.Sort(want)
		if diff := cmp.Diff(want, domains(names.New(suffix, 443).Hosts())); diff != "" {
			t.Errorf("domains(%s): %s", suffix, diff)
		}
	}
}

func TestLeafRotates(t *testing.T) {
	f := newFixture(t)
	a := f.open(t)
	first := leafOf(t, a)
	steps := []struct {
		add   time.Duration
		fresh bool
	}{{59 * 24 * time.Hour, false}, {2 * 24 * time.Hour, true}, {time.Hour, false}, {400 * 24 * time.Hour, true}, {-200 * 24 * time.Hour, true}}
	for i, s := range steps {
		f.clock.add(s.add)
		next := leafOf(t, a)
		if got := !next.Equal(first); got != s.fresh {
			t.Errorf("step %d: fresh leaf = %v, want %v", i, got, s.fresh)
		}
		if now := f.clock.Now(); now.Before(next.NotBefore) || now.After(next.NotAfter) {
			t.Errorf("step %d: leaf of %v to %v does not hold at %v", i, next.NotBefore, next.NotAfter, now)
		}
		first = next
	}
}

// TestLeafIsMadeOnce: handshakes that find a leaf due at once get one leaf.
func TestLeafIsMadeOnce(t *testing.T) {
	f := newFixture(t)
	a := f.open(t)
	f.clock.add(80 * 24 * time.Hour)
	leaves := make([]*leaf, 8)
	var wg sync.WaitGroup
	for i := range leaves {
		wg.Go(func() { leaves[i], _ = a.current() })
	}
	wg.Wait()
	for i, l := range leaves {
		if l == nil || l != leaves[0] {
			t.Fatalf("leaf %d = %p, want %p", i, l, leaves[0])
		}
	}
}

func TestReopen(t *testing.T) {
	f := newFixture(t)
	first := f.open(t)
	if again := f.open(t); !again.certificate.Equal(first.certificate) {
		t.Error("a second start made another authority")
	}
	if leafOf(t, f.open(t)).PublicKeyAlgorithm != x509.ECDSA {
		t.Error("the leaf is not ECDSA")
	}
	if life := first.certificate.NotAfter.Sub(f.clock.Now()).Round(time.Hour); life != authorityLife {
		t.Errorf("the authority's life = %v, want %v", life, authorityLife)
	}
	f.hosts = names.New("kv.example.org", 443).Hosts()
	moved := f.open(t)
	if moved.certificate.Equal(first.certificate) || !moved.key.Equal(first.key) {
		t.Error("another suffix: want another certificate of the same key")
	}
	f.clock.add(authorityLife - authorityRest + time.Hour)
	if late := f.open(t); late.certificate.Equal(moved.certificate) {
		t.Error("less than a year left: want another certificate")
	}
}

func TestFiles(t *testing.T) {
	f := newFixture(t)
	a := f.open(t)
	for _, row := range []struct {
		name string
		mode os.FileMode
	}{{CertificateFile, 0o644}, {sealedFile, 0o600}} {
		info, err := os.Stat(filepath.Join(f.dir, row.name))
		if err != nil || info.Mode().Perm() != row.mode {
			t.Errorf("%s: mode = %v, %v, want %v", row.name, info.Mode(), err, row.mode)
		}
	}
	if err := os.WriteFile(a.Path(), []byte("another's"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.open(t)
	if got, _ := os.ReadFile(a.Path()); !bytes.Equal(got, a.PEM()) {
		t.Error("a changed ca.pem was not put right")
	}
	sealed, _ := os.ReadFile(filepath.Join(f.dir, sealedFile))
	der, _ := x509.MarshalPKCS8PrivateKey(a.key)
	if bytes.Contains(sealed, der[len(der)-32:]) {
		t.Error("the key lies open in the data folder")
	}
	sealed[len(sealed)/2] ^= 1
	if err := os.WriteFile(filepath.Join(f.dir, sealedFile), sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCA(f.dir, f.root, f.hosts, Options{}); err == nil {
		t.Error("OpenCA of an altered file = nil, want an error")
	}
	if _, err := OpenCA(f.dir, f.root, nil, Options{}); err == nil {
		t.Error("OpenCA without hosts = nil, want an error")
	}
	left, _ := filepath.Glob(filepath.Join(f.dir, ".*"))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestBundle(t *testing.T) {
	f := newFixture(t)
	other := newFixture(t).open(t)
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("not to be copied")})
	roots := slices.Concat([]byte("# a comment\n"), other.PEM(), key, []byte("rubbish"))
	a := f.open(t)
	for _, row := range []struct {
		name  string
		roots []byte
		want  [][]byte
	}{
		{"no roots", nil, [][]byte{a.certificate.Raw}},
		{"roots", roots, [][]byte{a.certificate.Raw, other.certificate.Raw}},
		{"again", roots, [][]byte{a.certificate.Raw, other.certificate.Raw}},
	} {
		if row.roots != nil {
			if err := os.WriteFile(filepath.Join(f.dir, "roots.pem"), row.roots, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		path, err := a.Bundle()
		if err != nil {
			t.Fatalf("%s: Bundle = %v", row.name, err)
		}
		text, _ := os.ReadFile(path)
		var got [][]byte
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			got = append(got, block.Bytes)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s", row.name, diff)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 {
			t.Errorf("%s: mode = %v, want 0644", row.name, info.Mode())
		}
	}
}

// serve answers TLS on loopback until the test ends.
func serve(t *testing.T, a *Authority) (address string) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", a.TLS())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return listener.Addr().String()
}

func TestHandshake(t *testing.T) {
	a := newFixture(t).open(t)
	address := serve(t, a)
	cache := tls.NewLRUClientSessionCache(4)
	for _, row := range []struct {
		host  string
		max   uint16
		proto string
		ok    bool
	}{
		{"myvault.vault.azure.net", tls.VersionTLS13, "h2", true},
		{"login.microsoftonline.com", tls.VersionTLS12, "http/1.1", true},
		{"127.0.0.1", tls.VersionTLS13, "h2", true},
		{"login.postern.localhost", tls.VersionTLS11, "h2", false},
		{"example.com", tls.VersionTLS13, "h2", false},
	} {
		c, err := tls.Dial("tcp", address, &tls.Config{ServerName: row.host, RootCAs: a.Pool(), MinVersion: tls.VersionTLS10, MaxVersion: row.max, NextProtos: []string{row.proto}})
		if (err == nil) != row.ok {
			t.Errorf("Dial(%s, %x) = %v, want ok %v", row.host, row.max, err, row.ok)
		}
		if err == nil {
			if got := c.ConnectionState().NegotiatedProtocol; got != row.proto {
				t.Errorf("Dial(%s): protocol %q, want %q", row.host, got, row.proto)
			}
			c.Close()
		}
	}
	for i := range 2 {
		c, err := tls.Dial("tcp", address, &tls.Config{ServerName: "localhost", RootCAs: a.Pool(), MaxVersion: tls.VersionTLS12, ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().DidResume; got != (i == 1) {
			t.Errorf("handshake %d: resumed = %v, want %v", i, got, i == 1)
		}
		c.Close()
	}
}

// TestForeignTools asks OpenSSL and curl what they think of the authority.
func TestForeignTools(t *testing.T) {
	f := newFixture(t)
	a := f.open(t)
	write := func(name string, c *x509.Certificate) string {
		path := filepath.Join(f.dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	leaf := write("leaf.pem", leafOf(t, a))
	foreign := write("foreign.pem", forge(t, a, func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }))
	_, port, _ := net.SplitHostPort(serve(t, a))
	verify := func(host, file string) []string {
		return []string{"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", a.Path(), "-verify_hostname", host, file}
	}
	curl := func(host string) []string {
		return []string{"curl", "-sS", "--noproxy", "*", "--cacert", a.Path(), "--resolve", host + ":" + port + ":127.0.0.1", "https://" + host + ":" + port + "/"}
	}
	for _, row := range []struct {
		argv []string
		ok   bool
	}{
		{verify("login.microsoftonline.com", leaf), true},
		{verify("myvault.vault.azure.net", leaf), true},
		{verify("myvault.vault.postern.localhost", leaf), true},
		{verify("example.com", leaf), false},
		{verify("example.com", foreign), false},
		{curl("myvault.vault.azure.net"), true},
		{curl("myvault.vault.postern.localhost"), true},
		{curl("localhost"), true},
		{curl("example.com"), false},
	} {
		if _, err := exec.LookPath(row.argv[0]); err != nil {
			t.Logf("left out, there is no %s: %v", row.argv[0], row.argv[1:])
			continue
		}
		out, err := exec.Command(row.argv[0], row.argv[1:]...).CombinedOutput()
		if (err == nil) != row.ok {
			t.Errorf("%v = %v, want ok %v: %s", row.argv, err, row.ok, out)
		}
	}
}
