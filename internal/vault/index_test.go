package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/store"
	"postern/internal/store/memory"
)

// older makes the store what a postern without indexes would have left.
func (r *rig) older(t *testing.T) {
	t.Helper()
	var tx store.Tx
	for _, item := range r.dump(t) {
		if strings.HasPrefix(item.Key, duePrefix) || strings.HasPrefix(item.Key, purgePrefix) || item.Key == indexedKey {
			tx.Delete(item.Key)
		}
	}
	if err := r.store.Commit(t.Context(), &tx); err != nil {
		t.Fatal(err)
	}
}

// TestIndexOfAnOlderFolder: one walk puts everything into the indexes, and
// is not made again.
func TestIndexOfAnOlderFolder(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	if indexed := must(r.upkeep().Indexed(ctx)); !indexed {
		t.Error("an empty vault is not indexed")
	}
	for i := range batch + 20 {
		in := SecretInput{Value: "v"}
		if i%3 == 0 {
			in.Expires = At(r.Now.Unix() + int64(i))
		}
		must(r.Set(ctx, fmt.Sprint("s", i), in))
		if i%7 == 0 {
			must(r.Delete(ctx, fmt.Sprint("s", i)))
		}
	}
	r.older(t)
	if indexed := must(r.upkeep().Indexed(ctx)); indexed {
		t.Error("an older folder is indexed before the walk")
	}
	if err := r.upkeep().Index(ctx); err != nil {
		t.Fatal(err)
	}
	checkIndexes(t, r)
	if indexed := must(r.upkeep().Indexed(ctx)); !indexed {
		t.Error("the vault is not indexed after the walk")
	}
	r.Now = r.Now.AddDate(1, 0, 0)
	r.sweep(ctx)
	if gone := must(r.ListDeleted(ctx, "", 25)); len(gone.Objects) != 0 {
		t.Errorf("%d deleted secrets are left after the sweep", len(gone.Objects))
	}
	r.overwrite(t, indexedKey, []byte{indexedVersion + 1})
	if indexed := must(r.upkeep().Indexed(ctx)); indexed {
		t.Error("indexes of another make count as these")
	}
}

// TestIndexWhileOthersWrite: objects that change under the walk are in the
// indexes all the same.
func TestIndexWhileOthersWrite(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	for i := range 5 {
		must(r.Set(ctx, fmt.Sprint("s", i), SecretInput{Expires: At(r.Now.Unix())}))
	}
	r.older(t)
	other := r.Secrets
	other.Space = r.store
	changes := []func() error{
		func() error { return only(other.Delete(ctx, "s2")) },
		func() error { return only(other.Update(ctx, "s1", "", SecretPatch{Tags: []Tag{{"a", "b"}}})) },
		func() error { return only(other.Update(ctx, "s3", "", SecretPatch{Expires: At(5)})) },
	}
	r.calls.before = func() {
		if len(changes) > 0 {
			if err := changes[0](); err != nil {
				t.Error(err)
			}
			changes = changes[1:]
		}
	}
	if err := r.upkeep().Index(ctx); err != nil {
		t.Fatal(err)
	}
	r.calls.before = nil
	checkIndexes(t, r)
	damaged := must(r.store.Get(ctx, "secrets/s4"))
	r.overwrite(t, "secrets/s4", damaged.Value[:20])
	if err := r.upkeep().Index(ctx); !errors.Is(err, errRecord) {
		t.Errorf("Index over a damaged record = %v, want %v", err, errRecord)
	}
}

// TestUpkeepReadsWhatIsDue: neither the scheduler nor the sweep reads more
// than what they have to do, whatever the vault holds.
func TestUpkeepReadsWhatIsDue(t *testing.T) {
	for _, fill := range []int{10, 1000} {
		r := newRig()
		ctx := t.Context()
		for i := range fill {
			must(r.Set(ctx, fmt.Sprint("fill", i), SecretInput{Expires: At(r.Now.AddDate(1, 0, 0).Unix())}))
			must(r.Set(ctx, fmt.Sprint("gone", i), SecretInput{}))
			must(r.Delete(ctx, fmt.Sprint("gone", i)))
		}
		must(r.Set(ctx, "due", SecretInput{Expires: At(r.Now.AddDate(0, 0, 5).Unix())}))
		read := 0
		space := reads{Space: r.store, items: &read}
		*r.calls = counting{Space: space}
		due := must(Due(ctx, r.Space, r.Now, 100))
		gone := must(Outlived(ctx, r.Space, r.Now, 100))
		if len(due) != 1 || len(gone) != 0 || r.calls.ranges != 2 || r.calls.gets != 0 {
			t.Errorf("Due and Outlived with %d secrets = %d, %d in %d ranges and %d gets", fill, len(due), len(gone), r.calls.ranges, r.calls.gets)
		}
		if read > 200 {
			t.Errorf("Due and Outlived read %d items of %d secrets", read, fill)
		}
	}
}

// reads is a Space that counts the items it hands out.
type reads struct {
	Space
	items *int
}

func (s reads) Range(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	items, err := s.Space.Range(ctx, prefix, after, limit)
	*s.items += len(items)
	return items, err
}

// TestStoreCallsOfKeysAndCertificates holds the operations to their number
// of calls.
func TestStoreCallsOfKeysAndCertificates(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	old := must2(r.keys().Add(ctx, "k", KeyInput{Content: someKey("1")})).Version.ID
	_ = must2(r.keys().Add(ctx, "k", KeyInput{Content: someKey("2")}))
	for i := range 60 {
		_ = must2(r.keys().Add(ctx, fmt.Sprint("fill-", i), KeyInput{Content: someKey("x")}))
	}
	again := func(k KeyContent) (KeyInput, error) { return KeyInput{Content: k}, nil }
	var blob []byte
	for _, tt := range []struct {
		what                  string
		do                    func() error
		gets, ranges, commits int
	}{
		{"use the latest", func() error { return only2(r.keys().Use(ctx, "k", "", UseSign)) }, 1, 0, 0},
		{"use a version", func() error { return only2(r.keys().Use(ctx, "k", old, UseSign)) }, 2, 0, 0},
		{"get the latest", func() error { return only2(r.keys().Get(ctx, "k", "")) }, 1, 0, 0},
		{"create a version", func() error { return only2(r.keys().Add(ctx, "k", KeyInput{Content: someKey("3")})) }, 1, 0, 1},
		{"create", func() error { return only2(r.keys().Add(ctx, "n", KeyInput{Content: someKey("1")})) }, 2, 0, 1},
		{"rotate", func() error { return only2(r.keys().Rotate(ctx, "k", again)) }, 1, 0, 1},
		{"set the rotation policy", func() error { return only2(r.keys().SetRotationPolicy(ctx, "k", RotationPolicy{})) }, 1, 0, 1},
		{"list", func() error { return only(r.keys().List(ctx, "", 25)) }, 0, 1, 0},
		{"delete", func() error { return only2(r.keys().Delete(ctx, "k")) }, 1, 0, 1},
		{"import a certificate", func() error { return only2(r.certificates().Import(ctx, "c", someCertificate("1"))) }, 6, 0, 1},
		{"import a version", func() error { return only2(r.certificates().Import(ctx, "c", someCertificate("2"))) }, 3, 0, 1},
		{"get a certificate", func() error { return only2(r.certificates().Get(ctx, "c", "")) }, 1, 0, 0},
		{"get its secret", func() error { return only(r.Get(ctx, "c", "")) }, 1, 0, 0},
		{"use its key", func() error { return only2(r.keys().Use(ctx, "c", "", UseSign)) }, 1, 0, 0},
		{"list certificates", func() error { return only(r.certificates().List(ctx, "", 25, false)) }, 0, 1, 0},
		{"update a certificate", func() error { return only2(r.certificates().Update(ctx, "c", "", CertificatePatch{Enabled: Yes})) }, 3, 0, 1},
		{"back up a certificate", func() (err error) { blob, err = r.certificates().BackUp(ctx, "c"); return err }, 3, 3, 0},
		{"delete a certificate", func() error { return only2(r.certificates().Delete(ctx, "c")) }, 4, 0, 1},
		{"recover a certificate", func() error { return only2(r.certificates().Recover(ctx, "c")) }, 3, 0, 1},
		{"delete it again", func() error { return only2(r.certificates().Delete(ctx, "c")) }, 4, 0, 1},
		{"purge a certificate", func() error { return r.certificates().Purge(ctx, "c") }, 3, 3, 1},
		{"restore a certificate", func() error { return only2(r.certificates().Restore(ctx, blob)) }, 6, 0, 1},
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

// TestRaces lets somebody else take a name between the reading and the
// writing: whoever comes second is refused, and nothing is half there.
func TestRaces(t *testing.T) {
	ctx := t.Context()
	plus := func(k KeyContent) (KeyInput, error) {
		k.Material = append(k.Material, '+')
		return KeyInput{Content: k}, nil
	}
	for _, tt := range []struct {
		what        string
		first, mine func(r *rig) error
		want        error
		live        []string
	}{
		{"a secret before a certificate", func(r *rig) error { return only(r.Set(ctx, "a", SecretInput{Value: "v"})) },
			func(r *rig) error { return only2(r.certificates().Import(ctx, "a", someCertificate("1"))) }, Exists, []string{"live secrets v"}},
		{"a key before a certificate", func(r *rig) error { return only2(r.keys().Add(ctx, "a", KeyInput{Content: someKey("k")})) },
			func(r *rig) error { return only(r.certificates().Begin(ctx, "a", Pending{Request: "r"}, nil)) }, Exists, []string{"live keys k"}},
		{"a certificate before a secret", func(r *rig) error { return only2(r.certificates().Import(ctx, "a", someCertificate("1"))) },
			func(r *rig) error { return only(r.Set(ctx, "a", SecretInput{Value: "v"})) }, Managed,
			[]string{"live certificates cer 1", "live keys key 1", "live secrets secret 1"}},
		{"a certificate before another", func(r *rig) error { return only2(r.certificates().Import(ctx, "a", someCertificate("1"))) },
			func(r *rig) error { return only2(r.certificates().Import(ctx, "a", someCertificate("2"))) }, nil,
			[]string{"live certificates cer 2", "live keys key 2", "live secrets secret 2"}},
		{"two operations", func(r *rig) error { return only(r.certificates().Begin(ctx, "a", Pending{Request: "1"}, nil)) },
			func(r *rig) error { return only(r.certificates().Begin(ctx, "a", Pending{Request: "2"}, nil)) }, InProgress,
			[]string{"live certificates "}},
		{"a cancellation before the completion", func(r *rig) error {
			return only(r.certificates().ChangePending(ctx, "b", func(p *Pending) error { p.Status = StatusCancelled; return nil }))
		}, func(r *rig) error { return only2(r.certificates().Complete(ctx, "b", "r", someCertificate("1"))) }, NoPending, nil},
		{"a new operation before a deletion", func(r *rig) error {
			_ = must(r.certificates().DropPending(ctx, "b"))
			return only(r.certificates().Begin(ctx, "b", Pending{Request: "2"}, nil))
		}, func(r *rig) error { return only2(r.certificates().Delete(ctx, "b")) }, nil, nil},
		{"a date to ask before a deletion", func(r *rig) error {
			return only(r.certificates().ChangePending(ctx, "b", func(p *Pending) error { p.Poll = At(5); return nil }))
		}, func(r *rig) error { return only2(r.certificates().Delete(ctx, "b")) }, nil, nil},
		{"an operation taken up before a new one", func(r *rig) error {
			return only(r.certificates().ChangePending(ctx, "b", func(p *Pending) error { p.Status, p.Poll = StatusInProgress, At(5); return nil }))
		}, func(r *rig) error {
			direct := r.certificates()
			direct.Space = r.store
			must(direct.ChangePending(ctx, "b", func(p *Pending) error { p.Status = StatusFailed; return nil }))
			return only(r.certificates().Begin(ctx, "b", Pending{Request: "2"}, nil))
		}, InProgress, nil},
		{"an issuer before a change of it", func(r *rig) error { return only(r.certificates().SetIssuer(ctx, "i", []byte("theirs"))) },
			func(r *rig) error {
				i, err := r.certificates().ChangeIssuer(ctx, "i", func(b []byte) ([]byte, error) { return append(b, '+'), nil })
				if string(i.Body) != "theirs+" {
					t.Errorf("the issuer is %q, want theirs+", i.Body)
				}
				return err
			}, nil, nil},
		{"a rotation before another", func(r *rig) error { return only2(r.keys().Rotate(ctx, "k", plus)) },
			func(r *rig) error { return only2(r.keys().Rotate(ctx, "k", plus)) }, nil, nil},
	} {
		r := newRig()
		must(r.certificates().Begin(ctx, "b", Pending{Request: "r", Key: someKey("b")}, nil))
		must(r.certificates().SetIssuer(ctx, "i", []byte("mine")))
		_ = must2(r.keys().Add(ctx, "k", KeyInput{Content: someKey("k")}))
		other := newRig()
		other.store, other.Space, other.ids = r.store, r.store, make([]string, 50)
		raced := false
		r.calls.before = func() {
			if !raced {
				raced = true
				if err := tt.first(other); err != nil {
					t.Errorf("%s: the first fails: %v", tt.what, err)
				}
			}
		}
		if err := tt.mine(r); !errors.Is(err, tt.want) {
			t.Errorf("%s: the second = %v, want %v", tt.what, err, tt.want)
		}
		if diff := cmp.Diff(tt.live, three(t, r, "a")); diff != "" {
			t.Errorf("%s leaves (-want +got):\n%s", tt.what, diff)
		}
		checkIndexes(t, r)
		if p, err := r.certificates().Pending(ctx, "b"); err == nil && three(t, r, "b")[0] != "live certificates " {
			t.Errorf("%s leaves the operation %+v of %q", tt.what, p, three(t, r, "b"))
		}
		if _, k, _ := r.keys().Get(ctx, "k", ""); tt.what == "a rotation before another" && string(k.Material) != "k++" {
			t.Errorf("%s leaves the key %q, want k++", tt.what, k.Material)
		}
	}
}

// TestForgetIsGuarded: a key of an index that looks left over is not removed
// when the object has taken it up in the meantime.
func TestForgetIsGuarded(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	r.set(t, "a", "1")
	r.overwrite(t, "due/000000000007/secrets/a", []byte{1})
	other := r.Secrets
	other.Space = r.store
	r.calls.before = func() {
		must(other.Update(ctx, "a", "", SecretPatch{Expires: At(7 + nearExpiry)}))
	}
	if _, _, err := r.upkeep().Moments(ctx, DueObject{kindSecrets, "a", 7}); err != nil {
		t.Fatal(err)
	}
	checkIndexes(t, r)
}

// TestNameTakenFromTheOutlived: a certificate's time has come, and its name
// is somebody else's by the time of the sweep.
func TestNameTakenFromTheOutlived(t *testing.T) {
	r := newRig()
	r.Terms.RetentionDays = 7
	ctx := t.Context()
	_ = must2(r.certificates().Import(ctx, "a", someCertificate("1")))
	_ = must2(r.certificates().Delete(ctx, "a"))
	r.Now = r.Now.AddDate(0, 0, 7)
	r.set(t, "a", "own")
	must(r.Delete(ctx, "a"))
	_ = must2(r.keys().Add(ctx, "a", KeyInput{Content: someKey("own")}))
	r.sweep(ctx)
	if got := three(t, r, "a"); !cmp.Equal(got, []string{"live keys own", "deleted secrets own"}) {
		t.Errorf("the sweep leaves %q", got)
	}
	checkIndexes(t, r)
}

// TestCrashBetweenTheSteps: a certificate is begun, and the server dies at
// each commit on the way, applied or not; whoever goes on finds a state that
// can be gone on from.
func TestCrashBetweenTheSteps(t *testing.T) {
	ctx := t.Context()
	for crash := range 4 {
		for _, fault := range []memory.Fault{memory.Fail, memory.Lose} {
			r := newRig()
			commits := 0
			r.store.Faults = func(c memory.Call) memory.Fault {
				if c.Verb != memory.Commit {
					return memory.Work
				}
				if commits++; commits-1 == crash {
					return fault
				}
				return memory.Work
			}
			steps := 0
			for done := false; !done; steps++ {
				if steps > 10 {
					t.Fatalf("crash %d at commit %d: it does not go on", fault, crash)
				}
				p, err := r.certificates().Pending(ctx, "a")
				switch {
				case errors.Is(err, NoPending):
					_ = only(r.certificates().Begin(ctx, "a", Pending{Request: "r", Key: someKey("k")}, []byte("p")))
				case err != nil:
					t.Fatal(err)
				case p.Status == StatusCompleted:
					done = true
				case p.Extra == nil:
					_ = only(r.certificates().ChangePending(ctx, "a", func(p *Pending) error { p.Extra = []byte("ordered"); return nil }))
				default:
					in := someCertificate("1")
					in.Key = KeyContent{}
					_ = only2(r.certificates().Complete(ctx, "a", "r", in))
				}
			}
			if got := three(t, r, "a"); !cmp.Equal(got, []string{"live certificates cer 1", "live keys k", "live secrets secret 1"}) {
				t.Errorf("crash %d at commit %d leaves %q", fault, crash, got)
			}
			if o := must(r.Get(ctx, "a", "")); o.versions != 1 {
				t.Errorf("crash %d at commit %d: %d versions were made, want 1", fault, crash, o.versions)
			}
		}
	}
}

func TestCertificateBackupOfMostVersions(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	for range MaxBackup {
		_ = must2(r.certificates().Import(ctx, "a", someCertificate("1")))
	}
	blob := must(r.certificates().BackUp(ctx, "a"))
	if o := must2(newRig().certificates().Restore(ctx, blob)); o.versions != MaxBackup {
		t.Errorf("restored with %d versions, want %d", o.versions, MaxBackup)
	}
	_ = must2(r.certificates().Import(ctx, "a", someCertificate("1")))
	if _, err := r.certificates().BackUp(ctx, "a"); !errors.Is(err, TooManyVersions) {
		t.Errorf("BackUp of %d versions = %v, want %v", MaxBackup+1, err, TooManyVersions)
	}
}
