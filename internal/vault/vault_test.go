package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/seal"
	"postern/internal/store"
	"postern/internal/store/memory"
)

// testRoot is one root key for all tests of the package.
var testRoot = func() *seal.Root {
	dir := must(os.MkdirTemp("", "vault"))
	defer os.RemoveAll(dir)
	return must(seal.Create(dir, rand.Reader))
}()

// counting is a Space that counts calls; before is run ahead of each
// Commit.
type counting struct {
	Space
	gets, ranges, commits int
	before                func()
}

func (c *counting) Get(ctx context.Context, key string) (store.Item, error) {
	c.gets++
	return c.Space.Get(ctx, key)
}

func (c *counting) Range(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	c.ranges++
	return c.Space.Range(ctx, prefix, after, limit)
}

func (c *counting) Commit(ctx context.Context, tx *store.Tx) error {
	c.commits++
	if c.before != nil {
		c.before()
	}
	return c.Space.Commit(ctx, tx)
}

// rig is the secrets of one vault over a memory store.
type rig struct {
	Secrets
	store *memory.Store
	calls *counting
	ids   []string        // every identifier that was made, in order
	seen  map[string]bool // the versions that exist, as the model has it
}

func newRig() *rig {
	r := &rig{store: memory.New()}
	r.calls = &counting{Space: r.store}
	r.Secrets = Secrets{
		Terms: Terms{Name: "v", Subscription: "s1", Geography: "Europe", RetentionDays: 90},
		Space: r.calls, Key: testRoot.Key("vault/1"), Backup: testRoot.Key("backup"),
		Now: time.Unix(1_700_000_000, 0).UTC(),
		NewVersion: func() string {
			sum := sha256.Sum256(fmt.Append(nil, len(r.ids)))
			r.ids = append(r.ids, hex.EncodeToString(sum[:16]))
			return r.ids[len(r.ids)-1]
		},
	}
	return r
}

func (r *rig) set(t *testing.T, name string, values ...string) (ids []string) {
	t.Helper()
	for _, v := range values {
		o, err := r.Set(t.Context(), name, SecretInput{Value: v})
		if err != nil {
			t.Fatalf("Set(%q) = %v", name, err)
		}
		ids = append(ids, o.Version.ID)
	}
	return ids
}

// overwrite puts a value behind the vault's back.
func (r *rig) overwrite(t *testing.T, key string, value []byte) {
	t.Helper()
	var tx store.Tx
	tx.Put(key, value)
	if err := r.store.Commit(t.Context(), &tx); err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	old := r.set(t, "live", "1", "2")[0]
	r.set(t, "off", "1")
	if _, err := r.Update(ctx, "off", "", SecretPatch{Enabled: No}); err != nil {
		t.Fatal(err)
	}
	r.set(t, "gone", "1")
	if _, err := r.Delete(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	blob, err := r.BackUp(ctx, "live")
	if err != nil {
		t.Fatal(err)
	}
	get := func(n, v string) error { _, err := r.Get(ctx, n, v); return err }
	set := func(n string) error { _, err := r.Set(ctx, n, SecretInput{}); return err }
	object := func(_ Object, err error) error { return err }
	page := func(_ Page, err error) error { return err }
	protected := r.Secrets
	protected.Terms.PurgeProtected = true
	for _, tt := range []struct {
		what string
		got  error
		want error
	}{
		{"get", get("live", ""), nil},
		{"get an older version, in capitals", get("LIVE", strings.ToUpper(old)), nil},
		{"get nothing", get("none", ""), NotFound},
		{"get an unknown version", get("live", strings.Repeat("0", 32)), NotFound},
		{"get what is no version", get("live", "../x"), NotFound},
		{"get the deleted", get("gone", ""), NotFound},
		{"get the disabled", get("off", ""), Disabled},
		{"set the deleted", set("Gone"), IsDeleted},
		{"update nothing", object(r.Update(ctx, "none", "", SecretPatch{})), NotFound},
		{"update the deleted", object(r.Update(ctx, "gone", "", SecretPatch{})), NotFound},
		{"delete nothing", object(r.Delete(ctx, "none")), NotFound},
		{"delete twice", object(r.Delete(ctx, "gone")), NotFound},
		{"get a live one as deleted", object(r.GetDeleted(ctx, "live")), NotDeleted},
		{"recover a live one", object(r.Recover(ctx, "live")), NotDeleted},
		{"purge a live one", r.Purge(ctx, "live"), NotDeleted},
		{"purge the protected", protected.Purge(ctx, "gone"), Protected},
		{"versions of nothing", page(r.Versions(ctx, "none", "", 25)), NotFound},
		{"restore over a live one", object(r.Restore(ctx, blob)), Exists},
		{"back up nothing", func() error { _, err := r.BackUp(ctx, "none"); return err }(), NotFound},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s = %v, want %v", tt.what, tt.got, tt.want)
		}
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat
	tags := func(n int, t Tag) (all []Tag) {
		for range n {
			all = append(all, t)
		}
		return all
	}
	for _, tt := range []struct {
		name string
		in   SecretInput
		want string // the property; "" for none
	}{
		{"a", SecretInput{}, ""},
		{long("a", 127), SecretInput{}, ""},
		{"-", SecretInput{}, ""},
		{"0Az-", SecretInput{}, ""},
		{"", SecretInput{}, "name"},
		{long("a", 128), SecretInput{}, "name"},
		{"a_b", SecretInput{}, "name"},
		{"a/b", SecretInput{}, "name"},
		{"ä", SecretInput{}, "name"},
		{"a", SecretInput{Value: long("x", 25600)}, ""},
		{"a", SecretInput{Value: long("x", 25601)}, "value"},
		{"a", SecretInput{ContentType: long("ä", 255)}, ""},
		{"a", SecretInput{ContentType: long("ä", 256)}, "contentType"},
		{"a", SecretInput{Tags: tags(15, Tag{"n", "v"})}, ""},
		{"a", SecretInput{Tags: tags(16, Tag{"n", "v"})}, "tags"},
		{"a", SecretInput{Tags: tags(1, Tag{long("ä", 512), long("ä", 512)})}, ""},
		{"a", SecretInput{Tags: tags(1, Tag{long("n", 513), "v"})}, "tags"},
		{"a", SecretInput{Tags: tags(1, Tag{"n", long("v", 513)})}, "tags"},
	} {
		_, err := newRig().Set(t.Context(), tt.name, tt.in)
		got := ""
		if invalid := new(Invalid); errors.As(err, &invalid) {
			got = invalid.Property
		} else if err != nil {
			t.Errorf("Set(%.10q) = %v", tt.name, err)
		}
		if got != tt.want {
			t.Errorf("Set(%.10q, %+.60v) refuses %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

func TestRecoveryLevel(t *testing.T) {
	for _, tt := range []struct {
		days      int
		protected bool
		want      string
	}{
		{90, false, "Recoverable+Purgeable"},
		{90, true, "Recoverable"},
		{89, false, "CustomizedRecoverable+Purgeable"},
		{7, true, "CustomizedRecoverable"},
	} {
		if got := (Terms{RetentionDays: tt.days, PurgeProtected: tt.protected}).RecoveryLevel(); got != tt.want {
			t.Errorf("RecoveryLevel(%d, %v) = %q, want %q", tt.days, tt.protected, got, tt.want)
		}
	}
}

// TestStoreCalls holds every operation to its number of calls.
func TestStoreCalls(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	old := r.set(t, "a", "1", "2", "3")[0]
	for i := range 60 {
		r.set(t, fmt.Sprint("fill-", i), "x")
	}
	var blob []byte
	for _, tt := range []struct {
		what                  string
		do                    func() error
		gets, ranges, commits int
	}{
		{"get the latest", func() error { _, err := r.Get(ctx, "a", ""); return err }, 1, 0, 0},
		{"get a version", func() error { _, err := r.Get(ctx, "a", old); return err }, 2, 0, 0},
		{"set a new version", func() error { _, err := r.Set(ctx, "a", SecretInput{}); return err }, 1, 0, 1},
		{"set a new secret", func() error { _, err := r.Set(ctx, "b", SecretInput{}); return err }, 2, 0, 1},
		{"update the latest", func() error { _, err := r.Update(ctx, "a", "", SecretPatch{}); return err }, 1, 0, 1},
		{"update a version", func() error { _, err := r.Update(ctx, "a", old, SecretPatch{}); return err }, 2, 0, 1},
		{"list", func() error { _, err := r.List(ctx, "", 25); return err }, 0, 1, 0},
		{"list the second page", func() error { _, err := r.List(ctx, "fill-3", 25); return err }, 0, 1, 0},
		{"versions", func() error { _, err := r.Versions(ctx, "a", "", 25); return err }, 1, 1, 0},
		{"versions of a secret with one", func() error { _, err := r.Versions(ctx, "b", "", 25); return err }, 1, 0, 0},
		{"back up", func() (err error) { blob, err = r.BackUp(ctx, "a"); return err }, 1, 1, 0},
		{"delete", func() error { _, err := r.Delete(ctx, "a"); return err }, 1, 0, 1},
		{"get the deleted", func() error { _, err := r.GetDeleted(ctx, "a"); return err }, 1, 0, 0},
		{"list the deleted", func() error { _, err := r.ListDeleted(ctx, "", 25); return err }, 0, 1, 0},
		{"recover", func() error { _, err := r.Recover(ctx, "a"); return err }, 1, 0, 1},
		{"delete again", func() error { _, err := r.Delete(ctx, "a"); return err }, 1, 0, 1},
		{"purge", func() error { return r.Purge(ctx, "a") }, 1, 1, 1},
		{"restore", func() error { _, err := r.Restore(ctx, blob); return err }, 2, 0, 1},
	} {
		*r.calls = counting{Space: r.store}
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		if got, want := []int{r.calls.gets, r.calls.ranges, r.calls.commits}, []int{tt.gets, tt.ranges, tt.commits}; !cmp.Equal(got, want) {
			t.Errorf("%s costs %v gets, ranges and commits, want %v", tt.what, got, want)
		}
	}
}

func TestGetAllocations(t *testing.T) {
	r := newRig()
	r.set(t, "a", "value")
	r.calls.Space = fixed{must(r.store.Get(t.Context(), "secrets/a"))}
	got := testing.AllocsPerRun(200, func() {
		if _, err := r.Get(context.Background(), "a", ""); err != nil {
			t.Error(err)
		}
	})
	// The key in the space, the opened record and the text it is cut from;
	// the rest is the cipher's.
	if got > 6 {
		t.Errorf("Get allocates %v times, want at most 6", got)
	}
}

// fixed is a Space that answers every Get with one item.
type fixed struct{ item store.Item }

func (f fixed) Get(context.Context, string) (store.Item, error) { return f.item, nil }
func (f fixed) Range(context.Context, string, string, int) ([]store.Item, error) {
	return nil, store.ErrClosed
}
func (f fixed) Commit(context.Context, *store.Tx) error { return store.ErrClosed }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestMovedRecord shows that a record is bound to the key it stands at.
func TestMovedRecord(t *testing.T) {
	r := newRig()
	r.set(t, "a", "mine")
	r.set(t, "b", "theirs")
	item := must(r.store.Get(t.Context(), "secrets/b"))
	r.overwrite(t, "secrets/a", item.Value)
	if _, err := r.Get(t.Context(), "a", ""); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("Get of a record moved from another key = %v, want %v", err, seal.ErrSealed)
	}
}

func TestNothingReadableInStore(t *testing.T) {
	r := newRig()
	in := SecretInput{Value: "planted-value", ContentType: "planted-type", Tags: []Tag{{"planted-name", "planted-tag"}}}
	for range 2 {
		if _, err := r.Set(t.Context(), "a", in); err != nil {
			t.Fatal(err)
		}
	}
	blob := must(r.BackUp(t.Context(), "a"))
	for _, item := range append(must(r.store.Range(t.Context(), "", "", 0)), store.Item{Key: "blob", Value: blob}) {
		if strings.Contains(string(item.Value), "planted") {
			t.Errorf("%s holds a planted word in the open", item.Key)
		}
	}
}

func TestContention(t *testing.T) {
	r := newRig()
	r.set(t, "a", "0")
	other := r.Secrets
	other.Space = r.store
	rounds := 0
	r.calls.before = func() {
		if rounds++; rounds <= 3 {
			if _, err := other.Set(t.Context(), "a", SecretInput{Value: "other"}); err != nil {
				t.Error(err)
			}
		}
	}
	mine := r.set(t, "a", "mine")[0]
	if o := must(r.Get(t.Context(), "a", "")); o.Version.ID != mine || o.versions != 5 {
		t.Errorf("after contention: version %s of %d, want %s of 5", o.Version.ID, o.versions, mine)
	}
	r.calls.before = func() { _, _ = other.Set(t.Context(), "a", SecretInput{}) }
	if _, err := r.Set(t.Context(), "a", SecretInput{}); !errors.Is(err, Contended) {
		t.Errorf("Set that always comes second = %v, want %v", err, Contended)
	}
}

func TestPurgeOfManyVersions(t *testing.T) {
	r := newRig()
	for range 2*batch + 10 {
		r.set(t, "a", "x")
	}
	if _, err := r.BackUp(t.Context(), "a"); !errors.Is(err, TooManyVersions) {
		t.Errorf("BackUp of %d versions = %v, want %v", 2*batch+10, err, TooManyVersions)
	}
	if _, err := r.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := r.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	r.set(t, "a", "new")
	if p := must(r.Versions(t.Context(), "a", "", 25)); len(p.Objects) != 1 {
		t.Errorf("a new secret has %d versions, want 1", len(p.Objects))
	}
	if n, err := r.sweepOnce(t.Context()); n != 2 || err != nil {
		t.Errorf("Sweep = %d, %v, want 2 transactions", n, err)
	}
	if items := must(r.store.Range(t.Context(), "", "", 0)); len(items) != 1 {
		t.Errorf("%d items are left, want the new secret alone", len(items))
	}
}

func TestScheduledPurge(t *testing.T) {
	r := newRig()
	r.Terms.RetentionDays = 7
	r.Terms.PurgeProtected = true
	r.set(t, "a", "1", "2")
	r.set(t, "b", "1")
	gone := must(r.Delete(t.Context(), "a"))
	must(r.Delete(t.Context(), "b"))
	if want := r.Now.Unix() + 7*86400; gone.Purge != want {
		t.Errorf("scheduled purge %d, want %d", gone.Purge, want)
	}
	r.Now = r.Now.AddDate(0, 0, 7).Add(-time.Second)
	must(r.GetDeleted(t.Context(), "a"))
	r.Now = r.Now.Add(time.Second)
	if _, err := r.GetDeleted(t.Context(), "a"); !errors.Is(err, NotDeleted) {
		t.Errorf("GetDeleted after the scheduled purge = %v, want %v", err, NotDeleted)
	}
	if p := must(r.ListDeleted(t.Context(), "", 25)); len(p.Objects) != 0 {
		t.Errorf("ListDeleted after the scheduled purge has %d, want 0", len(p.Objects))
	}
	if _, err := r.Recover(t.Context(), "a"); !errors.Is(err, NotDeleted) {
		t.Errorf("Recover after the scheduled purge = %v, want %v", err, NotDeleted)
	}
	r.set(t, "A", "new")
	if n, err := r.sweepOnce(t.Context()); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v, want 1", n, err)
	}
	if items := must(r.store.Range(t.Context(), "", "", 0)); len(items) != 1 {
		t.Errorf("%d items are left, want 1", len(items))
	}
}
