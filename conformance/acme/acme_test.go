package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/issuance"
	"postern/internal/issuance/acme"
)

// order is an issuance as a vault has it: a policy, a key, the request and
// what is remembered.
type order struct {
	key   crypto.Signer
	csr   []byte
	state []byte
}

// issuer is postern's side, with an empty responder, as after a start.
func (a *authority) issuer() *acme.Issuer {
	i := &acme.Issuer{Directory: "https://" + a.address + "/dir", Roots: a.roots, AgreeTerms: true, Hosts: []string{"*"}, Responder: &acme.Responder{}}
	var h http.Handler = i.Responder
	a.handler.Store(&h)
	return i
}

func account(t *testing.T) acme.Account {
	t.Helper()
	key, err := acme.NewAccountKey()
	if err != nil {
		t.Fatal(err)
	}
	return acme.Account{Key: key, Contacts: []string{"someone@contoso.com"}}
}

// newOrder makes the request of a policy's x509_props.
func newOrder(t *testing.T, i *acme.Issuer, who acme.Account, key crypto.Signer, x509Props string) *order {
	t.Helper()
	p, err := issuance.ParsePolicy([]byte(`{"issuer":{"name":"pebble"},"x509_props":` + x509Props + `}`))
	if err == nil {
		p, err = p.Complete(time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	o := &order{key: key}
	if o.csr, err = p.Request(key); err != nil {
		t.Fatal(err)
	}
	if o.state, err = i.Begin(who, o.csr); err != nil {
		t.Fatal(err)
	}
	return o
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// poll takes an order on until it has ended one way or the other. Errors that
// pass are collected.
func (o *order) poll(t *testing.T, next func() *acme.Issuer) (chain [][]byte, passed []error, err error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		o.state, chain, err = next().Poll(t.Context(), o.state, o.csr)
		var end *acme.Refused
		if chain != nil || errors.As(err, &end) {
			return chain, passed, err
		}
		if err != nil {
			passed = append(passed, err)
		}
	}
	t.Fatalf("there is neither a certificate nor a refusal; what passed: %v", passed)
	return nil, nil, nil
}

// certificate polls until there is one, merges it as a vault does and holds
// it against the authority's root.
func (o *order) certificate(t *testing.T, a *authority, next func() *acme.Issuer, names ...string) *issuance.Bundle {
	t.Helper()
	chain, _, err := o.poll(t, next)
	if err != nil {
		t.Fatalf("Poll = %v, want a certificate", err)
	}
	b, err := issuance.Merge(o.csr, o.key, chain)
	if err != nil {
		t.Fatal(err)
	}
	between := x509.NewCertPool()
	for _, c := range b.Chain {
		between.AddCert(c)
	}
	for _, n := range names {
		if _, err := b.Leaf.Verify(x509.VerifyOptions{DNSName: n, Roots: a.issuers(t), Intermediates: between}); err != nil {
			t.Errorf("Verify(%s) = %v, want a chain to the authority's root", n, err)
		}
	}
	return b
}

func same(i *acme.Issuer) func() *acme.Issuer { return func() *acme.Issuer { return i } }

// TestIssueAndRenew: a certificate of two names, and the next one by the same
// account, with RSA.
func TestIssueAndRenew(t *testing.T) {
	a := newAuthority(t, nil)
	a.start(t)
	i, who := a.issuer(), account(t)
	const props = `{"subject":"CN=www.contoso.example","sans":{"dns_names":["www.contoso.example","contoso.example"]}}`
	first := newOrder(t, i, who, newKey(t), props).certificate(t, a, same(i), "www.contoso.example", "contoso.example")
	if len(first.Chain) != 2 {
		t.Errorf("the chain has %d certificates above the leaf, want 2", len(first.Chain))
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	second := newOrder(t, i, who, key, props).certificate(t, a, same(i), "www.contoso.example")
	if first.Leaf.SerialNumber.Cmp(second.Leaf.SerialNumber) == 0 {
		t.Errorf("the renewed certificate has the serial number of the first")
	}
}

// TestAddress: a certificate for an address, with no subject.
func TestAddress(t *testing.T) {
	a := newAuthority(t, nil)
	a.start(t)
	i := a.issuer()
	b := newOrder(t, i, account(t), newKey(t), `{"sans":{"ipAddresses":["127.0.0.1"]}}`).certificate(t, a, same(i))
	if len(b.Leaf.IPAddresses) != 1 || b.Leaf.IPAddresses[0].String() != "127.0.0.1" {
		t.Errorf("the certificate is for %v, want 127.0.0.1", b.Leaf.IPAddresses)
	}
}

// TestRestartBetweenSteps: every step is taken by a server that has just
// started and knows nothing but the state.
func TestRestartBetweenSteps(t *testing.T) {
	a := newAuthority(t, nil)
	a.start(t)
	o := newOrder(t, a.issuer(), account(t), newKey(t), `{"subject":"CN=a.example","sans":{"dns_names":["a.example","b.example","c.example"]}}`)
	o.certificate(t, a, a.issuer, "a.example", "b.example", "c.example")
}

// TestRefusals: what ends an issuance, and what is said of it.
func TestRefusals(t *testing.T) {
	a := newAuthority(t, nil)
	a.start(t)
	for _, c := range []struct {
		name, props, problem, reason string
		alter                        func(*acme.Issuer)
	}{
		{"proof", `{"subject":"CN=a.example"}`, "urn:ietf:params:acme:error:unauthorized", "did not find the proof for a.example", a.misplace},
		{"blocked", `{"subject":"CN=blocked.example"}`, "urn:ietf:params:acme:error:rejectedIdentifier", "blocked.example", nil},
		{"terms", `{"subject":"CN=a.example"}`, "", "terms of service", func(i *acme.Issuer) { i.AgreeTerms = false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := a.issuer()
			if c.alter != nil {
				c.alter(i)
			}
			chain, _, err := newOrder(t, i, account(t), newKey(t), c.props).poll(t, same(i))
			var end *acme.Refused
			if !errors.As(err, &end) || chain != nil || end.Problem != c.problem || !strings.Contains(end.Reason, c.reason) || end.Hint == "" {
				t.Errorf("Poll = %v, want a refusal %q that says %q and has a hint", err, c.problem, c.reason)
			}
		})
	}
}

// misplace answers proofs with somebody else's.
func (a *authority) misplace(*acme.Issuer) {
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/")+".of-somebody-else")
	})
	a.handler.Store(&h)
}

// TestAuthorityDown: it is down when the certificate is created, comes, goes
// after the order was made and comes back with all forgotten.
func TestAuthorityDown(t *testing.T) {
	a := newAuthority(t, nil)
	i := a.issuer()
	o := newOrder(t, i, account(t), newKey(t), `{"subject":"CN=a.example"}`)
	down := func(when string) {
		t.Helper()
		var err error
		var end *acme.Refused
		if o.state, _, err = i.Poll(t.Context(), o.state, o.csr); err == nil || errors.As(err, &end) || !strings.Contains(err.Error(), "hint:") {
			t.Errorf("%s: Poll = %v, want an error that passes, with a hint", when, err)
		}
	}
	down("before it was ever up")
	a.start(t)
	before := len(o.state)
	for !strings.Contains(string(o.state), `"order":"https://`) {
		var err error
		if o.state, _, err = i.Poll(t.Context(), o.state, o.csr); err != nil {
			t.Fatalf("Poll = %v after %d bytes of state, want an order", err, before)
		}
	}
	a.stop()
	down("with an order made")
	a.start(t)
	o.certificate(t, a, same(i), "a.example")
}

// TestExternalAccount: an authority that knows its customers.
func TestExternalAccount(t *testing.T) {
	mac := make([]byte, 32)
	if _, err := rand.Read(mac); err != nil {
		t.Fatal(err)
	}
	good := base64.RawURLEncoding.EncodeToString(mac)
	bad := base64.RawURLEncoding.EncodeToString(append(mac[1:], 0))
	a := newAuthority(t, bound{"customer-1": good})
	a.start(t)
	i := a.issuer()
	for _, c := range []struct{ name, id, secret, reason string }{
		{"none", "", "", "knows from elsewhere"},
		{"wrong key", "customer-1", bad, "refused"},
		{"unknown", "customer-2", good, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			who := account(t)
			who.ID, who.Secret = c.id, c.secret
			_, _, err := newOrder(t, i, who, newKey(t), `{"subject":"CN=a.example"}`).poll(t, same(i))
			var end *acme.Refused
			if !errors.As(err, &end) || !strings.Contains(end.Reason, c.reason) || strings.Contains(err.Error(), good) {
				t.Errorf("Poll = %v, want a refusal that says %q", err, c.reason)
			}
		})
	}
	who := account(t)
	who.ID, who.Secret = "customer-1", good
	newOrder(t, i, who, newKey(t), `{"subject":"CN=a.example"}`).certificate(t, a, same(i), "a.example")
}
