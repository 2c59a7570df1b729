package entra

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/access"
	"postern/internal/names"
	"postern/internal/seal"
	"postern/internal/store"
	"postern/internal/store/memory"
)

// clock is a clock that stands until it is moved.
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

var (
	start    = time.Date(2026, 11, 22, 10, 0, 0, 500e6, time.UTC)
	testName = names.New("postern.localhost", 8443)
	quiet    = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// world is a directory with two tenants and a principal in each.
type world struct {
	*Directory
	clock           *clock
	store           *memory.Store
	root            *seal.Root
	options         Options
	home, away      Tenant
	alice, stranger Principal // in home, in away
	secret          string    // alice's
}

func newWorld(t testing.TB) *world {
	t.Helper()
	root, err := seal.Create(t.TempDir(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{clock: &clock{now: start}, store: memory.New(), root: root}
	w.options = Options{Now: w.clock.Now}
	w.reopen(t)
	ctx := context.Background()
	w.home = must(w.CreateTenant(ctx, "Home", "home.example"))(t)
	w.away = must(w.CreateTenant(ctx, "Away", ""))(t)
	if w.alice, w.secret, err = w.CreateServicePrincipal(ctx, w.home.ID, "alice"); err != nil {
		t.Fatal(err)
	}
	if w.stranger, _, err = w.CreateServicePrincipal(ctx, w.away.ID, "stranger"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) reopen(t testing.TB) {
	t.Helper()
	d, err := Open(context.Background(), w.store, w.root, w.options)
	if err != nil {
		t.Fatal(err)
	}
	w.Directory = d
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// bearer is an Authorization header with a fresh token.
func (w *world) bearer(t testing.TB, p Principal, audience string) string {
	t.Helper()
	token, _, err := w.Token(p, audience)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

const vaultAudience = "https://vault.azure.net"

func TestDirectorySurvivesReopening(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	header := w.bearer(t, w.alice, vaultAudience)
	more := must(w.AddSecret(ctx, w.alice.Object, nil))(t)
	before := []any{w.Tenants(), w.Principals(w.home.ID), w.Principals(w.away.ID), w.jwks("x")}
	w.reopen(t)
	if diff := cmp.Diff(before, []any{w.Tenants(), w.Principals(w.home.ID), w.Principals(w.away.ID), w.jwks("x")}); diff != "" {
		t.Errorf("after reopening: %s", diff)
	}
	if got := w.Verifier([]string{vaultAudience}).Verify(header).Token; got != access.TokenValid {
		t.Errorf("a token from before = %v, want %v", got, access.TokenValid)
	}
	p := w.state.Load().objects[w.alice.Object]
	for _, row := range []struct {
		secret string
		want   bool
	}{{w.secret, true}, {more, true}, {"", false}, {w.secret[:39], false}, {w.secret + "x", false}, {strings.ToUpper(w.secret), false}} {
		if got := accepts(row.secret, start, &p.proofs) == rightSecret; got != row.want {
			t.Errorf("accepts(%q) = %v, want %v", row.secret, got, row.want)
		}
	}
	if accepts("", start) != wrongSecret || accepts("", start, &nobody) != wrongSecret || accepts(w.secret, start, &nobody) != wrongSecret {
		t.Error("nobody accepts a secret")
	}
}

func TestLookups(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for range 2 {
		if _, _, err := w.CreateServicePrincipal(ctx, w.home.ID, "twin"); err != nil {
			t.Fatal(err)
		}
	}
	alice, stranger, none := w.alice, w.stranger, Principal{}
	find := func(p Principal, ok bool) Principal {
		if ok == (p == none) {
			t.Errorf("found = %v with %v", ok, p)
		}
		return p
	}
	for _, row := range []struct {
		name      string
		got, want Principal
	}{
		{"by object", find(w.PrincipalByObject(alice.Object)), alice},
		{"by object of nobody", find(w.PrincipalByObject(alice.App)), none},
		{"by zero object", find(w.PrincipalByObject(access.GUID{})), none},
		{"by app", find(w.PrincipalByApp(w.home.ID, alice.App)), alice},
		{"by app in another tenant", find(w.PrincipalByApp(w.away.ID, alice.App)), none},
		{"by app wherever", find(w.PrincipalByApp(access.GUID{}, stranger.App)), stranger},
		{"by name", find(w.PrincipalByName(w.home.ID, "ALICE")), alice},
		{"by name of another tenant", find(w.PrincipalByName(w.home.ID, "stranger")), none},
		{"by a name of two", find(w.PrincipalByName(w.home.ID, "twin")), none},
	} {
		if row.got != row.want {
			t.Errorf("%s = %v, want %v", row.name, row.got, row.want)
		}
	}
	for _, row := range []struct {
		name string
		want Tenant
		ok   bool
	}{
		{w.home.ID.String(), w.home, true},
		{strings.ToUpper(w.home.ID.String()), w.home, true},
		{"HOME.example", w.home, true},
		{"", Tenant{}, false},
		{"nowhere.example", Tenant{}, false},
		{"00000000-0000-0000-0000-000000000000", Tenant{}, false},
	} {
		if got, ok := w.TenantByName(row.name); got != row.want || ok != row.ok {
			t.Errorf("TenantByName(%q) = %v, %v, want %v, %v", row.name, got, ok, row.want, row.ok)
		}
	}
}

func TestRefusedChanges(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	tenant := func(name, domain string) error { _, err := w.CreateTenant(ctx, name, domain); return err }
	create := func(tenant access.GUID, name string) error {
		_, _, err := w.CreateServicePrincipal(ctx, tenant, name)
		return err
	}
	for range maxSecrets - 1 {
		must(w.AddSecret(ctx, w.stranger.Object, nil))(t)
	}
	_, full := w.AddSecret(ctx, w.stranger.Object, nil)
	_, nobody := w.AddSecret(ctx, w.away.ID, nil)
	for _, row := range []struct {
		name      string
		got, want error
	}{
		{"domain of another tenant", tenant("x", "HOME.example"), ErrTaken},
		{"no name", tenant("", "a.example"), ErrName},
		{"line break in a name", tenant("a\nb", ""), ErrName},
		{"bad domain", tenant("x", "a..b"), ErrName},
		{"path as domain", tenant("x", "a/b"), ErrName},
		{"principal without tenant", create(access.GUID{}, "x"), ErrNoTenant},
		{"principal in no tenant", create(w.alice.Object, "x"), ErrNoTenant},
		{"principal without name", create(w.home.ID, ""), ErrName},
		{"one secret too many", full, ErrSecrets},
		{"secret for nobody", nobody, ErrNoPrincipal},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s = %v, want %v", row.name, row.got, row.want)
		}
	}
	for _, o := range []Options{{Skew: MaxSkew + 1}, {TokenLife: time.Millisecond}, {KeyLife: time.Minute}} {
		if _, err := Open(ctx, memory.New(), w.root, o); err == nil {
			t.Errorf("Open(%+v) = nil, want an error", o)
		}
	}
}

// TestFaults: after a change that failed, the directory is what the store
// holds, whether the change reached it or not.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		fault memory.Fault
		want  int
	}{{memory.Fail, 1}, {memory.Lose, 2}} {
		w.store.Faults = func(c memory.Call) memory.Fault {
			if c.Verb == memory.Commit {
				return row.fault
			}
			return memory.Work
		}
		if _, _, err := w.CreateServicePrincipal(context.Background(), w.home.ID, "x"); !errors.Is(err, memory.ErrInjected) {
			t.Errorf("fault %v: %v, want %v", row.fault, err, memory.ErrInjected)
		}
		if got := len(w.Principals(w.home.ID)); got != row.want {
			t.Errorf("fault %v: %d principals, want %d", row.fault, got, row.want)
		}
	}
}

// TestSealed: nothing of the directory lies open in the store, and no value
// can be moved to another key.
func TestSealed(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	items := must(w.store.Range(ctx, "", "", 0))(t)
	for _, item := range items {
		for _, text := range []string{"alice", "Home", w.secret, w.alice.App.String(), "private", "salt"} {
			if strings.Contains(string(item.Value), text) {
				t.Errorf("%s holds %q in the open", item.Key, text)
			}
		}
		if strings.Contains(item.Key, "alice") {
			t.Errorf("key %s tells a name", item.Key)
		}
	}
	moved := store.Tx{}
	moved.Put(principalPrefix+w.alice.Object.String(), must(w.store.Get(ctx, principalPrefix+w.stranger.Object.String()))(t).Value)
	if err := w.store.Commit(ctx, &moved); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, w.store, w.root, w.options); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("Open with a value moved = %v, want %v", err, seal.ErrSealed)
	}
}

func TestSecretsAreEven(t *testing.T) {
	w := newWorld(t)
	count := map[rune]int{}
	for range 500 {
		s, _, err := w.newSecret()
		if err != nil || len(s) != secretLength {
			t.Fatalf("newSecret = %q, %v, want %d characters", s, err, secretLength)
		}
		for _, c := range s {
			count[c]++
		}
	}
	for _, c := range base62 { // 20,000 draws of 62: 323 each, 18 to a sigma
		if n := count[c]; n < 200 || n > 450 {
			t.Errorf("%c came %d times, want about 323", c, n)
		}
	}
}

func TestRotation(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	v := w.Verifier([]string{vaultAudience})
	ids := func() (out []string) {
		for _, k := range w.jwks("") {
			out = append(out, k.ID)
		}
		return out
	}
	first := ids()
	header := w.bearer(t, w.alice, vaultAudience)
	if err := w.RotateKeys(ctx); err != nil {
		t.Fatal(err)
	}
	second := ids()
	if len(second) != 2 || second[1] != first[0] {
		t.Fatalf("keys after a rotation = %v, want a new one and %v", second, first)
	}
	check := func(want access.TokenState) {
		t.Helper()
		if got := v.Verify(header).Token; got != want {
			t.Errorf("Verify at %v = %v, want %v", w.clock.Now(), got, want)
		}
	}
	check(access.TokenValid)
	w.clock.add(time.Hour + MaxSkew - time.Second)
	check(access.TokenValid)
	w.reopen(t)
	v = w.Verifier([]string{vaultAudience})
	check(access.TokenValid)
	w.clock.add(time.Second)
	check(access.TokenUnknownKey)
	if diff := cmp.Diff(second[:1], ids()); diff != "" {
		t.Errorf("published keys: %s", diff)
	}
	if err := w.rotateWhenDue(ctx); err != nil || len(ids()) != 1 {
		t.Errorf("rotateWhenDue before its time = %v, %v, want nothing", err, ids())
	}
	w.clock.add(30 * 24 * time.Hour)
	if err := w.rotateWhenDue(ctx); err != nil {
		t.Fatal(err)
	}
	if got := ids(); len(got) != 2 || got[1] != second[0] {
		t.Errorf("keys after the second rotation = %v, want a new one and %v", got, second[0])
	}
	if items := must(w.store.Range(ctx, signingPrefix, "", 0))(t); len(items) != 2 {
		t.Errorf("%d keys in the store, want 2: the first is forgotten", len(items))
	}
}

// TestRotationHappensOnce: of many requests that find the key due, one makes
// the next.
func TestRotationHappensOnce(t *testing.T) {
	w := newWorld(t)
	w.clock.add(31 * 24 * time.Hour)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := w.rotateWhenDue(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(w.jwks("")); got != 2 {
		t.Errorf("%d keys, want 2", got)
	}
}
