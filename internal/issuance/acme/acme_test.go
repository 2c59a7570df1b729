package acme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func request(t testing.TB, r *x509.CertificateRequest) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func common(name string) *x509.CertificateRequest {
	return &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
}

func TestIdentifiers(t *testing.T) {
	for _, c := range []struct {
		name string
		r    *x509.CertificateRequest
		want []identifier
	}{
		{"common name", common("WWW.contoso.com"), []identifier{{DNS: "www.contoso.com"}}},
		{"both", &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.com"}, DNSNames: []string{"b.com", "A.com"}}, []identifier{{DNS: "b.com"}, {DNS: "a.com"}}},
		{"address", &x509.CertificateRequest{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}}, []identifier{{Address: "192.0.2.1"}, {Address: "2001:db8::1"}}},
		{"address as a name", common("192.0.2.1"), []identifier{{Address: "192.0.2.1"}}},
	} {
		got, err := identifiers(request(t, c.r))
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: identifiers = %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

// TestBeginRefuses: what no authority would grant is refused before anybody
// is asked.
func TestBeginRefuses(t *testing.T) {
	key, err := NewAccountKey()
	if err != nil {
		t.Fatal(err)
	}
	good := Account{Key: key}
	many := make([]string, maxNames+1)
	for i := range many {
		many[i] = strings.Repeat("a", i%60+1) + "." + strings.Repeat("b", i/60+1) + ".com"
	}
	mailbox, place := common("a.com"), common("a.com")
	mailbox.EmailAddresses, place.URIs = []string{"a@b.c"}, []*url.URL{{Scheme: "https", Host: "a.com"}}
	for _, c := range []struct {
		name    string
		account Account
		r       *x509.CertificateRequest
		reason  string
	}{
		{"wildcard", good, common("*.contoso.com"), "http-01"}, {"a person", good, common("My Name"), "host name"}, {"one label", good, common("intranet"), "host name"},
		{"nothing", good, &x509.CertificateRequest{}, "names no host"}, {"mailbox", good, mailbox, "mailboxes"}, {"place", good, place, "mailboxes"},
		{"many", good, &x509.CertificateRequest{DNSNames: many}, "names, more than"},
		{"half a binding", Account{Key: key, ID: "x"}, common("a.com"), "half there"}, {"no MAC key", Account{Key: key, ID: "x", Secret: "?"}, common("a.com"), "not a MAC key"},
		{"no mailbox", Account{Key: key, Contacts: []string{"nobody"}}, common("a.com"), "not an e-mail address"},
		{"a parameter", Account{Key: key, Contacts: []string{"a@b?subject=x"}}, common("a.com"), "not an e-mail address"},
	} {
		_, err := anybody().Begin(c.account, request(t, c.r))
		var end *Refused
		if !errors.As(err, &end) || !strings.Contains(end.Reason, c.reason) || end.Hint == "" {
			t.Errorf("%s: Begin = %v, want a refusal that says %q and has a hint", c.name, err, c.reason)
		}
	}
	if _, err := anybody().Begin(Account{Key: []byte("x")}, request(t, common("a.com"))); err == nil {
		t.Errorf("Begin with a damaged key = nil, want an error")
	}
	if _, err := anybody().Begin(good, []byte("x")); err == nil {
		t.Errorf("Begin with a damaged request = nil, want an error")
	}
}

// anybody is an issuer that lets every host be certified.
func anybody() *Issuer { return &Issuer{Hosts: []string{"*"}} }

// TestHosts: what may be certified, and what may not.
func TestHosts(t *testing.T) {
	key, err := NewAccountKey()
	if err != nil {
		t.Fatal(err)
	}
	served := func(h string) bool { return strings.HasSuffix(h, ".vault.contoso.com") }
	for _, c := range []struct {
		hosts   []string
		name    string
		allowed bool
	}{
		{nil, "contoso.com", false}, {[]string{"contoso.com"}, "contoso.com", true}, {[]string{"contoso.com"}, "www.contoso.com", false},
		{[]string{"*.Contoso.com"}, "a.www.contoso.com", true}, {[]string{"*.contoso.com"}, "contoso.com", false}, {[]string{"*.contoso.com"}, "xcontoso.com", false},
		{[]string{"*"}, "contoso.com", true}, {[]string{"*"}, "my.vault.contoso.com", false}, {[]string{"*.contoso.com"}, "my.vault.contoso.com", false},
		{[]string{"*"}, "192.0.2.1", true}, {[]string{"192.0.2.1"}, "192.0.2.1", true}, {[]string{"*.2.1"}, "192.0.2.1", false}, {[]string{""}, "contoso.com", false},
	} {
		i := &Issuer{Hosts: c.hosts, Served: served}
		_, err := i.Begin(Account{Key: key}, request(t, common(c.name)))
		var end *Refused
		if (err == nil) != c.allowed || err != nil && (!errors.As(err, &end) || !strings.Contains(end.Reason, c.name) || end.Hint == "") {
			t.Errorf("Begin for %s where %v are listed = %v, want it allowed: %v", c.name, c.hosts, err, c.allowed)
		}
	}
}

// TestBindings: the key in each alphabet of base64, with and without padding.
func TestBindings(t *testing.T) {
	for _, secret := range []string{"-_8", "-_8=", "+/8", "+/8="} {
		b, err := Account{ID: "x", Secret: secret}.binding()
		if err != nil || string(b.Key) != "\xfb\xff" || b.KID != "x" {
			t.Errorf("binding(%s) = %+v, %v, want fbff", secret, b, err)
		}
	}
}

// TestDeadline: an issuance is not polled for ever.
func TestDeadline(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	i := &Issuer{Directory: "https://127.0.0.1:1/", Hosts: []string{"*"}, Responder: new(Responder), Now: func() time.Time { return now }}
	key, err := NewAccountKey()
	if err != nil {
		t.Fatal(err)
	}
	csr := request(t, common("a.com"))
	state, err := i.Begin(Account{Key: key}, csr)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(patience + time.Second)
	var end *Refused
	if _, _, err := i.Poll(t.Context(), state, csr); !errors.As(err, &end) || end.Hint == "" {
		t.Errorf("Poll after a day = %v, want a refusal with a hint", err)
	}
}

// TestDirectoryIsHTTPS: nothing is asked in clear.
func TestDirectoryIsHTTPS(t *testing.T) {
	for _, directory := range []string{"http://127.0.0.1/dir", "", "https://", "https://user:word@127.0.0.1/", "file:///etc/passwd", "://"} {
		if _, err := (&Issuer{Directory: directory}).client(nil, ""); err == nil || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("client of %q = %v, want an error with a hint", directory, err)
		}
	}
}

// TestFence: an authority that leads elsewhere, or talks without end, is not
// followed.
func TestFence(t *testing.T) {
	var asked int
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	authority := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case "/long":
			_, _ = w.Write(make([]byte, maxAnswer+1))
		case "/fits":
			_, _ = w.Write(make([]byte, maxAnswer-1))
		}
	}))
	defer authority.Close()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	client := &http.Client{Transport: newFence(strings.TrimPrefix(authority.URL, "https://"), roots), CheckRedirect: noRedirect}
	for _, c := range []struct {
		url, err string
		status   int
	}{
		{authority.URL + "/fits", "", 200}, {authority.URL + "/redirect", "", 302}, {authority.URL + "/long", "too long", 200},
		{elsewhere.URL, "another host", 0}, {strings.Replace(authority.URL, "https", "http", 1), "another host", 0}, {"https://metadata.internal/", "another host", 0},
	} {
		res, err := client.Get(c.url)
		status := 0
		if err == nil {
			status = res.StatusCode
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		if status != c.status || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("GET %s = %d, %v, want %d, %q", c.url, status, err, c.status, c.err)
		}
	}
	if asked != 0 {
		t.Errorf("somebody else was asked %d times, want 0", asked)
	}
}

// TestDirectoryLeadsElsewhere: an authority whose directory names another
// host, as one would that wants this server to ask there for it.
func TestDirectoryLeadsElsewhere(t *testing.T) {
	authority := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"newNonce": "https://metadata.internal/nonce", "newAccount": "https://metadata.internal/a", "newOrder": "https://metadata.internal/o"})
	}))
	defer authority.Close()
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate())
	i := &Issuer{Directory: authority.URL, Hosts: []string{"a.com"}, Roots: roots, Responder: new(Responder)}
	key, err := NewAccountKey()
	if err != nil {
		t.Fatal(err)
	}
	csr := request(t, common("a.com"))
	state, err := i.Begin(Account{Key: key}, csr)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := i.Poll(t.Context(), state, csr); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("Poll = %v, want an error that names the other host", err)
	}
}

func TestResponder(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &Responder{Now: func() time.Time { return now }}
	if err := r.present(map[string]string{"t1": "t1.key", "t2": "t2.key"}, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	r.forget(map[string]string{"t2": ""})
	check := func(method, path string, status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(method, "http://a.com"+path, nil))
		if w.Code != status || body != "" && w.Body.String() != body {
			t.Errorf("%s %s = %d %q, want %d %q", method, path, w.Code, w.Body, status, body)
		}
	}
	const at = "/.well-known/acme-challenge/"
	check("GET", at+"t1", 200, "t1.key")
	check("HEAD", at+"t1", 200, "")
	check("POST", at+"t1", 404, "")
	for _, path := range []string{at + "t2", at, at + "T1", at + "t1/", "/t1", "/", "/.well-known/acme-challenge", at + "../acme-challenge/t1"} {
		check("GET", path, 404, "")
	}
	now = now.Add(time.Hour)
	check("GET", at+"t1", 404, "")
	many := map[string]string{}
	for i := range maxTokens {
		many[strings.Repeat("x", i%100)+string(rune('a'+i%26))+time.Duration(i).String()] = "y"
	}
	if err := r.present(many, now.Add(time.Hour)); err != nil {
		t.Errorf("present = %v, want room for %d where one is over", err, len(many))
	}
	if err := r.present(map[string]string{"one more": ""}, now); err == nil || !strings.Contains(err.Error(), "hint:") {
		t.Errorf("present of one more = %v, want an error with a hint", err)
	}
}

// FuzzState: whatever was kept, reading it does not fail otherwise than with
// an error, and nobody is asked.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"names":[{"dns":"a.com"}],"deadline":9999999999,"answers":{"a":"b"},"order":"https://elsewhere/order"}`))
	f.Add([]byte(`{"account":{"Key":"AA=="},"names":[{}]}`))
	csr := request(f, common("a.com"))
	f.Fuzz(func(t *testing.T, state []byte) {
		i := &Issuer{Responder: new(Responder)}
		i.Forget(state)
		if _, chain, err := i.Poll(t.Context(), state, csr); err == nil || chain != nil {
			t.Errorf("Poll(%q) = %v, %v, want an error", state, chain, err)
		}
	})
}
