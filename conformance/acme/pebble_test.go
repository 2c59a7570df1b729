package acme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"postern/conformance/lab"
)

// authority is a Pebble: its program, its address, the roots that vouch for
// it, and the port on which it looks for proofs.
type authority struct {
	dir, address, management string
	line                     []string
	roots                    *x509.CertPool
	handler                  atomic.Pointer[http.Handler] // what answers the proofs
	process                  *exec.Cmd
}

// bound are the MAC keys of a Pebble that asks for external accounts.
type bound map[string]string

// newAuthority makes a Pebble that is not running yet; it looks for proofs
// where the test answers.
func newAuthority(t *testing.T, keys bound) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), address: lab.Address(t), management: lab.Address(t), roots: x509.NewCertPool()}
	a.configure(t, keys, a.serve(t))
	return a
}

// configure says on which port Pebble looks for proofs.
func (a *authority) configure(t *testing.T, keys bound, port int) {
	t.Helper()
	a.certify(t)
	config := map[string]any{
		"listenAddress": a.address, "managementListenAddress": a.management,
		"certificate": filepath.Join(a.dir, "cert.pem"), "privateKey": filepath.Join(a.dir, "key.pem"),
		"httpPort": port, "tlsPort": 1, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"domainBlocklist": []string{"blocked.example"}, "keyAlgorithm": "ecdsa",
	}
	if keys != nil {
		config["externalAccountBindingRequired"], config["externalAccountMACKeys"] = true, keys
	}
	text, err := json.Marshal(map[string]any{"pebble": config})
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "config.json", text)
	a.line = []string{pebble(t), "-config", filepath.Join(a.dir, "config.json"), "-dnsserver", resolver(t)}
	t.Cleanup(a.stop)
}

// pebble builds the program.
func pebble(t *testing.T) string {
	t.Helper()
	lab.Cache(t, "locks")
	defer lab.Lock(t, "pebble")()
	program := filepath.Join(lab.Cache(t, "bin"), "pebble")
	lab.Do(t, 5*time.Minute, "", "go", "build", "-o", program, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	return program
}

// start runs Pebble and waits for its directory.
func (a *authority) start(t *testing.T) {
	t.Helper()
	a.process = exec.Command(a.line[0], a.line[1:]...)
	a.process.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_CHAIN_LENGTH=2")
	log, err := os.Create(filepath.Join(a.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	a.process.Stdout, a.process.Stderr = log, log
	if err := a.process.Start(); err != nil {
		t.Fatalf("starting Pebble: %v", err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := a.get("https://" + a.address + "/dir"); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("Pebble does not answer: %v", err)
		}
	}
}

// stop kills it; it keeps nothing.
func (a *authority) stop() {
	if a.process != nil {
		_ = a.process.Process.Kill()
		_ = a.process.Wait()
		a.process = nil
	}
}

func (a *authority) get(url string) ([]byte, error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.roots}, DisableKeepAlives: true}
	client := http.Client{Timeout: 5 * time.Second, Transport: transport}
	res, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// issuers are the roots that vouch for the certificates of this run.
func (a *authority) issuers(t *testing.T) *x509.CertPool {
	t.Helper()
	text, err := a.get("https://" + a.management + "/roots/0")
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("reading Pebble's root: %v\n%s", err, text)
	}
	return pool
}

// certify makes the certificate with which Pebble serves.
func (a *authority) certify(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Pebble's host"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.roots.AppendCertsFromPEM(text)
	a.write(t, "cert.pem", text)
	a.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func (a *authority) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve listens where proofs are looked for, and returns the port.
func (a *authority) serve(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := a.handler.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// resolver is a DNS server by which every name is this machine. Pebble asks
// over TCP.
func resolver(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(m)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { _ = server.Shutdown() })
	return l.Addr().String()
}
