package enrollment_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	. "postern/internal/enrollment"
	"postern/internal/issuance"
	"postern/internal/issuance/acme"
	"postern/internal/keyring"
	"postern/internal/seal"
	"postern/internal/store/memory"
	"postern/internal/vault"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var testRoot = func() *seal.Root {
	dir := must(os.MkdirTemp("", "enrollment"))
	defer os.RemoveAll(dir)
	return must(seal.Create(dir, rand.Reader))
}()

// rig is one vault and a desk whose provider "shop" is a real authority.
type rig struct {
	*Desk
	store *memory.Store
	shop  *shop
	now   time.Time
	ids   int
}

func newRig() *rig {
	r := &rig{store: memory.New(), shop: newShop(), now: time.Unix(1_700_000_000, 0).UTC()}
	r.Desk = New(nil, map[string]Provider{"shop": r.shop})
	return r
}

// certs are the certificates at the moment of the rig's clock.
func (r *rig) certs() *vault.Certificates {
	return &vault.Certificates{Terms: vault.Terms{Name: "v", RetentionDays: 90}, Space: r.store, Key: testRoot.Key("vault/1"), Now: r.now,
		NewVersion: func() string {
			r.ids++
			sum := sha256.Sum256(fmt.Append(nil, r.ids))
			return hex.EncodeToString(sum[:16])
		}}
}

// issuer sets an issuer of the vault.
func (r *rig) issuer(t *testing.T, name, provider string, enabled bool) {
	t.Helper()
	i := &Issuer{Provider: provider, Enabled: enabled}
	if _, err := r.certs().SetIssuer(t.Context(), name, must(i.Encode())); err != nil {
		t.Fatal(err)
	}
}

// policy is a complete policy for an issuer; more is put into key_props.
func (r *rig) policy(issuer, more string) *issuance.Policy {
	p := must(issuance.ParsePolicy([]byte(`{"key_props":{"kty":"EC","crv":"P-256"` + more + `},"x509_props":{"subject":"CN=a","sans":{"dns_names":["a.test"]}},"issuer":{"name":"` + issuer + `"}}`)))
	return must(p.Complete(r.now))
}

func (r *rig) create(t *testing.T, name, issuer, more string) vault.Pending {
	t.Helper()
	p, err := r.Create(t.Context(), r.certs(), name, Application{Policy: r.policy(issuer, more), Tags: []vault.Tag{{Name: "a", Value: "b"}}})
	if err != nil {
		t.Fatalf("Create(%s) = %v", issuer, err)
	}
	return p
}

// versions are the identifiers of a certificate's versions, each with its
// key and its secret.
func (r *rig) versions(t *testing.T, name string) []string {
	t.Helper()
	c := r.certs()
	page, err := c.Versions(t.Context(), name, "", 25)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	keys := vault.Keys{Terms: c.Terms, Space: c.Space, Key: c.Key, Now: c.Now, NewVersion: c.NewVersion}
	secrets := vault.Secrets{Terms: c.Terms, Space: c.Space, Key: c.Key, Now: c.Now, NewVersion: c.NewVersion}
	for _, item := range page.Certificates {
		id := item.Object.Version.ID
		ids = append(ids, id)
		_, content, err := keys.Get(t.Context(), name, id)
		if err != nil {
			t.Fatalf("the key of %s/%s: %v", name, id, err)
		}
		secret, err := secrets.Get(t.Context(), name, id)
		if err != nil {
			t.Fatalf("the secret of %s/%s: %v", name, id, err)
		}
		bundle := must(issuance.Import(secret.Version.Value, "", secret.Version.ContentType))
		private := must(keyring.Open(content.Material))
		if !private.Private().Public().(*ecdsa.PublicKey).Equal(bundle.Leaf.PublicKey) || string(bundle.Leaf.Raw) != string(item.Content.CER) {
			t.Errorf("%s/%s: certificate, key and secret do not belong together", name, id)
		}
	}
	return ids
}

// shop is an authority that issues with the third question.
type shop struct {
	mu    sync.Mutex
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	polls int
	fail  error
	wrong bool
}

func newShop() *shop {
	s := &shop{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, NotAfter: time.Unix(2_000_000_000, 0), IsCA: true, BasicConstraintsValid: true}
	s.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, s.key.Public(), s.key))))
	return s
}

func (s *shop) Begin(account acme.Account, _ []byte) ([]byte, error) {
	if err := account.Check(); err != nil {
		return nil, err
	}
	return []byte("0"), nil
}

func (s *shop) Poll(_ context.Context, state, csr []byte) ([]byte, [][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls++
	if s.fail != nil {
		return state, nil, s.fail
	}
	if state[0] < '2' {
		return []byte{state[0] + 1}, nil, nil
	}
	request := must(x509.ParseCertificateRequest(csr))
	public := request.PublicKey
	if s.wrong {
		public = s.key.Public()
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: request.Subject, NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0)}
	return state, [][]byte{must(x509.CreateCertificate(rand.Reader, template, s.cert, public, s.key)), s.cert.Raw}, nil
}

func (s *shop) Forget([]byte) {}

// advance takes an operation on until it ends, a minute for each step.
func (r *rig) advance(t *testing.T, name string) vault.Pending {
	t.Helper()
	for range 10 {
		p, err := r.Advance(t.Context(), r.certs(), name)
		if err != nil {
			t.Fatalf("Advance = %v", err)
		}
		if p.Status != vault.StatusInProgress {
			return p
		}
		r.now = r.now.Add(time.Minute)
	}
	t.Fatal("the operation does not end")
	return vault.Pending{}
}

func TestIssuersOfAllKinds(t *testing.T) {
	for _, tt := range []struct {
		issuer, provider string
		status           vault.Status
		code, subject    string // the error's code, the issuer's name in the certificate
	}{
		{"Self", "", vault.StatusCompleted, "", "CN=a"},
		{"sElF", "", vault.StatusCompleted, "", "CN=a"},
		{"one", "Shop", vault.StatusCompleted, "", "CN=shop"},
		{"one", "Test", vault.StatusFailed, CodeIssuer, ""},
	} {
		r := newRig()
		if tt.provider != "" {
			r.issuer(t, tt.issuer, tt.provider, true)
		}
		begun := r.create(t, "c", tt.issuer, "")
		p := r.advance(t, "c")
		if p.Status != tt.status || p.ErrorCode != tt.code || p.Request != begun.Request {
			t.Errorf("issuer %s of %s: %+v, want %s", tt.issuer, tt.provider, p, tt.status)
		}
		if tt.subject == "" {
			continue
		}
		o, content, err := r.certs().Get(t.Context(), "c", "")
		if err != nil {
			t.Fatal(err)
		}
		leaf := must(x509.ParseCertificate(content.CER))
		if leaf.Issuer.String() != tt.subject || o.Version.Expires != vault.At(leaf.NotAfter.Unix()) || !cmp.Equal(o.Version.Tags, []vault.Tag{{Name: "a", Value: "b"}}) {
			t.Errorf("issuer %s: a certificate of %s, %+v", tt.issuer, leaf.Issuer, o.Version)
		}
		if got := r.versions(t, "c"); len(got) != 1 || got[0] != p.Target {
			t.Errorf("issuer %s: versions %v, want %s", tt.issuer, got, p.Target)
		}
		// What has ended stays as it is.
		if again, err := r.Advance(t.Context(), r.certs(), "c"); err != nil || again.Status != p.Status || again.Target != p.Target {
			t.Errorf("Advance after the end = %+v, %v", again, err)
		}
	}
}

func TestCreateRefused(t *testing.T) {
	r := newRig()
	r.issuer(t, "off", "shop", false)
	half := "x"
	if _, err := r.certs().SetIssuer(t.Context(), "half", must((&Issuer{Provider: "shop", Enabled: true, Account: &half}).Encode())); err != nil {
		t.Fatal(err)
	}
	r.create(t, "busy", "Unknown", "")
	before := must(r.store.Range(t.Context(), "", "", 0))
	refused := new(acme.Refused)
	for _, tt := range []struct {
		name, issuer string
		is           func(error) bool
	}{
		{"c", "nobody", func(err error) bool { return errors.Is(err, ErrNoIssuer) }},
		{"c", "off", func(err error) bool { return errors.Is(err, ErrIssuerDisabled) }},
		{"c", "half", func(err error) bool { return errors.As(err, &refused) }},
		{"BUSY", "Self", func(err error) bool { return errors.Is(err, vault.InProgress) }},
	} {
		if _, err := r.Create(t.Context(), r.certs(), tt.name, Application{Policy: r.policy(tt.issuer, "")}); !tt.is(err) {
			t.Errorf("Create(%s, %s) = %v", tt.name, tt.issuer, err)
		}
	}
	if diff := cmp.Diff(before, must(r.store.Range(t.Context(), "", "", 0))); diff != "" {
		t.Errorf("refused creations change the store (-before +after):\n%s", diff)
	}
}

// TestProviderSays: what ends an operation, and what does not.
func TestProviderSays(t *testing.T) {
	for _, tt := range []struct {
		what   string
		do     func(r *rig)
		status vault.Status
		code   string
		passes bool
	}{
		{"nothing yet", func(*rig) {}, vault.StatusInProgress, "", false},
		{"down", func(r *rig) { r.shop.fail = errors.New("down") }, vault.StatusInProgress, "", true},
		{"refused", func(r *rig) { r.shop.fail = &acme.Refused{Reason: "No.", Hint: "ask"} }, vault.StatusFailed, CodeRejected, false},
		{"refused inside", func(r *rig) { r.shop.fail = fmt.Errorf("x: %w", &acme.Refused{Reason: "No."}) }, vault.StatusFailed, CodeRejected, false},
		{"another's certificate", func(r *rig) { r.shop.wrong = true }, vault.StatusFailed, CodeIssuer, false},
		{"issuer gone", func(r *rig) { must(r.certs().DeleteIssuer(context.Background(), "one")) }, vault.StatusFailed, CodeIssuer, false},
	} {
		r := newRig()
		r.issuer(t, "one", "shop", true)
		r.create(t, "c", "one", "")
		tt.do(r)
		var p vault.Pending
		var err error
		for range 3 {
			if p, err = r.Advance(t.Context(), r.certs(), "c"); tt.what == "another's certificate" {
				r.now = r.now.Add(time.Minute)
			}
		}
		if p.Status != tt.status || p.ErrorCode != tt.code {
			t.Errorf("%s: %s %q (%v), want %s %q", tt.what, p.Status, p.ErrorCode, err, tt.status, tt.code)
		}
		if tt.what != "another's certificate" && r.shop.polls > 1 {
			t.Errorf("%s: asked %d times within a second, want once", tt.what, r.shop.polls)
		}
		if tt.status == vault.StatusInProgress {
			r.shop.fail = nil
			if p := r.advance(t, "c"); p.Status != vault.StatusCompleted {
				t.Errorf("%s: afterwards %s, want it completed", tt.what, p.Status)
			}
		}
	}
	r := newRig()
	r.issuer(t, "one", "shop", true)
	r.create(t, "c", "one", "")
	r.shop.fail = errors.New("down")
	unanswered := new(Unanswered)
	r.store.Faults = func(c memory.Call) memory.Fault {
		if c.Verb == memory.Commit {
			return memory.Fail
		}
		return memory.Work
	}
	if _, err := r.Advance(t.Context(), r.certs(), "c"); !errors.Is(err, memory.ErrInjected) || errors.As(err, &unanswered) {
		t.Errorf("Advance where nothing can be kept = %v, want that", err)
	}
	r.store.Faults = nil
	if p, err := r.Advance(t.Context(), r.certs(), "c"); !errors.As(err, &unanswered) || unanswered.Issuer != "one" || p.Status != vault.StatusInProgress {
		t.Errorf("Advance of one that is down = %v, %v, want to be told so", p.Status, err)
	}
}

// TestAtOnce: of many who take an operation on at once, one does.
func TestAtOnce(t *testing.T) {
	for _, issuer := range []string{"Self", "one"} {
		r := newRig()
		r.issuer(t, "one", "shop", true)
		r.create(t, "c", issuer, "")
		for range 4 {
			var wg sync.WaitGroup
			certs := make([]*vault.Certificates, 8)
			for i := range certs {
				certs[i] = r.certs()
				certs[i].NewVersion = func() string { var b [16]byte; _, _ = rand.Read(b[:]); return hex.EncodeToString(b[:]) }
			}
			for _, c := range certs {
				wg.Go(func() {
					if _, err := r.Advance(t.Context(), c, "c"); err != nil && !errors.Is(err, vault.NoPending) {
						t.Errorf("Advance = %v", err)
					}
				})
			}
			wg.Wait()
			r.now = r.now.Add(time.Minute)
		}
		if got := r.versions(t, "c"); len(got) != 1 {
			t.Errorf("issuer %s: %d versions, want 1", issuer, len(got))
		}
	}
}

// TestStoreFails lets each call to the store fail in turn, while a
// certificate is created, issued and renewed. The step is repeated by who
// comes next; in the end everything is there once.
func TestStoreFails(t *testing.T) {
	for _, issuer := range []string{"Self", "one"} {
		for _, how := range []memory.Fault{memory.Fail, memory.Lose} {
			for failing := 1; ; failing++ {
				r := newRig()
				r.issuer(t, "one", "shop", true)
				calls := 0
				r.store.Faults = func(memory.Call) memory.Fault {
					if calls++; calls == failing {
						return how
					}
					return memory.Work
				}
				again := func(do func() error) {
					t.Helper()
					err := do()
					if err != nil && !errors.Is(err, memory.ErrInjected) && !errors.Is(err, vault.NoPending) {
						t.Fatalf("%s, %v at call %d: %v", issuer, how, failing, err)
					}
					if err != nil {
						if err := do(); err != nil && !errors.Is(err, vault.InProgress) {
							t.Fatalf("%s, %v at call %d: again %v", issuer, how, failing, err)
						}
					}
				}
				finish := func() {
					for range 8 {
						again(func() error { _, err := r.Advance(t.Context(), r.certs(), "c"); return err })
						r.now = r.now.Add(time.Minute)
					}
				}
				again(func() error {
					_, err := r.Create(t.Context(), r.certs(), "c", Application{Policy: r.policy(issuer, "")})
					return err
				})
				finish()
				r.now = r.now.AddDate(0, 11, 0)
				if issuer == "one" {
					r.now = time.Unix(1_799_000_000, 0)
				}
				again(func() error { _, _, err := r.Renew(t.Context(), r.certs(), "c"); return err })
				finish()
				r.store.Faults = nil
				p, err := r.certs().Pending(t.Context(), "c")
				if got := r.versions(t, "c"); err != nil || p.Status != vault.StatusCompleted || issuer == "Self" && len(got) != 2 {
					t.Fatalf("%s, %v at call %d: %d versions, the last operation %s (%v)", issuer, how, failing, len(got), p.Status, err)
				}
				if calls < failing {
					break
				}
			}
		}
	}
}

func TestRenew(t *testing.T) {
	for _, tt := range []struct {
		more string
		same bool
	}{{"", false}, {`,"reuse_key":true`, true}} {
		r := newRig()
		r.create(t, "c", "Self", tt.more)
		r.advance(t, "c")
		if _, due, err := r.Renew(t.Context(), r.certs(), "c"); due || err != nil {
			t.Errorf("Renew at once = %v, %v, want nothing to do", due, err)
		}
		_, before, _ := r.certs().Get(t.Context(), "c", "")
		r.now = r.now.AddDate(0, 10, 0) // 80 % of a year have passed
		p, due, err := r.Renew(t.Context(), r.certs(), "c")
		if !due || err != nil || p.Status != vault.StatusCompleted || !p.Renewal {
			t.Fatalf("Renew = %+v, %v, %v, want it done", p, due, err)
		}
		o, after, _ := r.certs().Get(t.Context(), "c", "")
		old, next := must(x509.ParseCertificate(before.CER)), must(x509.ParseCertificate(after.CER))
		if same := next.PublicKey.(*ecdsa.PublicKey).Equal(old.PublicKey); same != tt.same {
			t.Errorf("reuse%q: the same key %v, want %v", tt.more, same, tt.same)
		}
		if !next.NotAfter.After(old.NotAfter) || !cmp.Equal(o.Version.Tags, []vault.Tag{{Name: "a", Value: "b"}}) || len(r.versions(t, "c")) != 2 {
			t.Errorf("renewed: until %v after %v, tags %v", next.NotAfter, old.NotAfter, o.Version.Tags)
		}
		if _, due, err := r.Renew(t.Context(), r.certs(), "c"); due || err != nil {
			t.Errorf("Renew of the new one = %v, %v, want nothing to do", due, err)
		}
	}
}

// TestReuse: a key is used again where it fits the policy.
func TestReuse(t *testing.T) {
	r := newRig()
	public := func() *ecdsa.PublicKey {
		r.advance(t, "c")
		_, content, err := r.certs().Get(t.Context(), "c", "")
		if err != nil {
			t.Fatal(err)
		}
		return must(x509.ParseCertificate(content.CER)).PublicKey.(*ecdsa.PublicKey)
	}
	create := func(curve string, more ...string) *ecdsa.PublicKey {
		p := must(issuance.ParsePolicy([]byte(`{"key_props":{"kty":"EC","crv":"` + curve + `","reuse_key":true` + strings.Join(more, "") + `},"x509_props":{"subject":"CN=a"},"issuer":{"name":"Self"}}`)))
		if _, err := r.Create(t.Context(), r.certs(), "c", Application{Policy: must(p.Complete(r.now))}); err != nil {
			t.Fatal(err)
		}
		return public()
	}
	first, second, third := create("P-256"), create("P-256"), create("P-384")
	if !first.Equal(second) || third.Curve != elliptic.P384() {
		t.Errorf("reuse: the same %v, then on %s; want the same, then a new one on P-384", first.Equal(second), third.Curve.Params().Name)
	}
	// A key that was made to stay does so.
	kept := create("P-256", `,"exportable":false`)
	again, leaves := create("P-256", `,"exportable":false`), create("P-256")
	if !kept.Equal(again) || kept.Equal(leaves) {
		t.Errorf("a key that may not leave is used again %v, and then in a secret %v; want true, false", kept.Equal(again), kept.Equal(leaves))
	}
}

// busy is a provider whose answer takes its time.
type busy struct {
	entered, answer chan struct{}
	polls           int
}

func (b *busy) Begin(acme.Account, []byte) ([]byte, error) { return []byte("begun"), nil }
func (b *busy) Poll(context.Context, []byte, []byte) ([]byte, [][]byte, error) {
	b.polls++
	b.entered <- struct{}{}
	<-b.answer
	return []byte("ordered"), nil, nil
}
func (b *busy) Forget([]byte) {}

// TestOneAsks: while a provider is being asked, whoever polls learns that it
// is not done yet, and asks nobody.
func TestOneAsks(t *testing.T) {
	r, b := newRig(), &busy{entered: make(chan struct{}), answer: make(chan struct{})}
	r.Desk = New(nil, map[string]Provider{"busy": b})
	r.issuer(t, "ca", "busy", true)
	r.create(t, "c", "ca", "")
	certs := r.certs() // what the first one works with is its own
	var wg sync.WaitGroup
	wg.Go(func() {
		if p, err := r.Advance(t.Context(), certs, "c"); err != nil || string(p.Extra) != "ordered" {
			t.Errorf("Advance of the one who asks = %s, %v", p.Extra, err)
		}
	})
	<-b.entered
	for range 5 {
		if p, err := r.Advance(t.Context(), r.certs(), "c"); err != nil || p.Status != vault.StatusInProgress || string(p.Extra) != "begun" {
			t.Errorf("meanwhile Advance = %s with %s, %v, want it in progress as it was", p.Status, p.Extra, err)
		}
	}
	close(b.answer)
	wg.Wait()
	if b.polls != 1 {
		t.Errorf("the provider was asked %d times, want once", b.polls)
	}
}

// TestTaken: an operation whose name was taken by a key of its own fails for
// good, and the key is in no request and no certificate.
func TestTaken(t *testing.T) {
	for _, issuer := range []string{"Self", "shop"} {
		r := newRig()
		r.issuer(t, "shop", "shop", true)
		r.create(t, "c", issuer, `,"reuse_key":true`)
		c := r.certs()
		keys := &vault.Keys{Terms: c.Terms, Space: c.Space, Key: c.Key, Now: c.Now, NewVersion: c.NewVersion}
		if _, _, err := keys.Add(t.Context(), "C", vault.KeyInput{Content: vault.KeyContent{Type: "EC", Material: []byte("own")}}); err != nil {
			t.Fatal(err)
		}
		p, err := r.certs().Pending(t.Context(), "c")
		for range 20 {
			if err == nil && p.Status != vault.StatusInProgress {
				break
			}
			r.now = r.now.Add(time.Minute)
			p, err = r.Advance(t.Context(), r.certs(), "c")
		}
		if err != nil || p.Status != vault.StatusFailed || p.ErrorCode != CodeTaken {
			t.Errorf("%s: an operation whose name is taken = %s %q, %v, want it failed with %q", issuer, p.Status, p.ErrorCode, err, CodeTaken)
		}
		if _, err := c.PrivateKey(t.Context(), "c", ""); !errors.Is(err, vault.NotFound) {
			t.Errorf("%s: PrivateKey of another's key = %v, want %v", issuer, err, vault.NotFound)
		}
	}
}

func TestMerge(t *testing.T) {
	r := newRig()
	if _, _, err := r.Merge(t.Context(), r.certs(), "c", Delivery{}); !errors.Is(err, vault.NoPending) {
		t.Errorf("Merge without an operation = %v", err)
	}
	p := r.create(t, "c", "unknown", "")
	if p, err := r.Advance(t.Context(), r.certs(), "c"); err != nil || p.Status != vault.StatusInProgress || !IsMerged(&p) {
		t.Errorf("Advance of what is to be merged = %v, %v, want nothing done", p.Status, err)
	}
	public := must(x509.ParseCertificateRequest(p.CSR)).PublicKey
	template := &x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: r.now, NotAfter: r.now.AddDate(1, 0, 0)}
	der := must(x509.CreateCertificate(rand.Reader, template, r.shop.cert, public, r.shop.key))
	o, content, err := r.Merge(t.Context(), r.certs(), "c", Delivery{Chain: [][]byte{r.shop.cert.Raw, der}, Enabled: vault.No, Tags: []vault.Tag{}})
	if err != nil || string(content.CER) != string(der) || o.Version.Enabled || len(o.Version.Tags) != 0 {
		t.Errorf("Merge = %+v, %v", o.Version, err)
	}
	if _, _, err := r.Merge(t.Context(), r.certs(), "c", Delivery{Chain: [][]byte{der}}); !errors.Is(err, ErrNotInProgress) {
		t.Errorf("Merge after it = %v, want %v", err, ErrNotInProgress)
	}
	r.issuer(t, "one", "shop", true)
	r.create(t, "d", "one", "")
	held := new(Held)
	if _, _, err := r.Merge(t.Context(), r.certs(), "d", Delivery{Chain: [][]byte{der}}); !errors.As(err, &held) || held.Issuer != "one" {
		t.Errorf("Merge of what an issuer delivers = %v", err)
	}
}

// TestInTurn: who waits for a key waits no longer than its client, and keys
// on curves do not wait at all.
func TestInTurn(t *testing.T) {
	d := New(nil, nil)
	block, entered := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for range Slots(d) {
		wg.Go(func() { _ = InTurn(t.Context(), d, func() error { entered <- struct{}{}; <-block; return nil }) })
		<-entered
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.NewKey(ctx, keyring.Spec{Type: keyring.RSA, Size: 4096}); !errors.Is(err, context.Canceled) {
		t.Errorf("NewKey of a client that is gone = %v, want %v", err, context.Canceled)
	}
	if _, err := d.Open(ctx, "x", "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Open for a client that is gone = %v, want %v", err, context.Canceled)
	}
	if _, err := d.ImportKey(ctx, keyring.JWK{Type: keyring.RSA, N: []byte{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("ImportKey without primes for a client that is gone = %v, want %v", err, context.Canceled)
	}
	if _, err := d.ImportKey(ctx, keyring.JWK{Type: keyring.RSA, N: []byte{1}, P: []byte{1}}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("ImportKey with primes = %v, want it refused at once", err)
	}
	if _, err := d.NewKey(ctx, keyring.Spec{Type: keyring.EC, Curve: keyring.P384}); err != nil {
		t.Errorf("NewKey on a curve = %v", err)
	}
	close(block)
	wg.Wait()
	if _, err := d.NewKey(t.Context(), keyring.Spec{Type: keyring.RSA, Size: 2048}); err != nil {
		t.Errorf("NewKey when it is its turn = %v", err)
	}
}

func TestIssuerIsKept(t *testing.T) {
	account, password := "user", "planted"
	i := &Issuer{Provider: "Shop", Account: &account, Password: &password, Organization: &Organization{ID: "1", Administrators: []Administrator{{FirstName: "a", LastName: "b", Email: "c@d", Phone: "e"}}}, Enabled: true, Created: 1, Updated: 2}
	data := must(i.Encode())
	i.Name = "One"
	got, err := DecodeIssuer(vault.Issuer{Name: "One", Body: data})
	if diff := cmp.Diff(i, got); err != nil || diff != "" {
		t.Errorf("DecodeIssuer: %v (-want +got):\n%s", err, diff)
	}
	key := string(got.Key)
	if must(got.Encode()); string(got.Key) != key || key == "" {
		t.Error("the key of the account changes, or there is none")
	}
	if _, err := DecodeIssuer(vault.Issuer{Body: []byte("x")}); err == nil {
		t.Error("DecodeIssuer reads what is none")
	}
	for _, name := range []string{"Self", "SELF", "unknown", "Unknown"} {
		if !Reserved(name) || Reserved(name+"x") {
			t.Errorf("Reserved(%s) is not true, or that of another name is", name)
		}
	}
	for _, err := range []error{ErrNoIssuer, ErrIssuerDisabled, ErrNotInProgress, &Held{"a"}, &Unanswered{"a", errors.New("b")}} {
		if !strings.HasPrefix(err.Error(), "enrollment: ") {
			t.Errorf("%v does not say where it is from", err)
		}
	}
}
