package vault

import (
	"encoding/base64"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestBackupRestore(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	r.set(t, "My-Secret", "1")
	if _, err := r.Set(ctx, "my-secret", SecretInput{Value: "2", ContentType: "text", Tags: []Tag{{"b", "1"}, {"a", "2"}}, NotBefore: At(1)}); err != nil {
		t.Fatal(err)
	}
	r.set(t, "my-secret", "3")
	before := must(r.store.Range(ctx, "", "", 0))
	wantVersions := must(r.Versions(ctx, "my-secret", "", 25))
	blob := must(r.BackUp(ctx, "MY-SECRET"))
	if _, err := r.Delete(ctx, "my-secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Restore(ctx, blob); !errors.Is(err, IsDeleted) {
		t.Errorf("Restore over a deleted secret = %v, want %v", err, IsDeleted)
	}
	if err := r.Purge(ctx, "my-secret"); err != nil {
		t.Fatal(err)
	}
	restored := must(r.Restore(ctx, blob))
	if restored.Name != "My-Secret" || restored.Version.Value != "3" {
		t.Errorf("Restore = %s with %q, want My-Secret with its latest value", restored.Name, restored.Version.Value)
	}
	if after := must(r.store.Range(ctx, "", "", 0)); len(after) != len(before) {
		t.Errorf("%d items after the restore, want %d", len(after), len(before))
	}
	ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Objects.life" || p.String() == "Objects.versions" }, cmp.Ignore())
	if diff := cmp.Diff(wantVersions, must(r.Versions(ctx, "my-secret", "", 25)), cmp.AllowUnexported(Object{}), ignore); diff != "" {
		t.Errorf("versions changed by backup and restore (-want +got):\n%s", diff)
	}
	// Another vault of the subscription takes it as well: a copy of its own.
	other := newRig()
	other.Key = testRoot.Key("vault/2")
	other.Terms.Subscription = "S1"
	must(other.Restore(ctx, blob))
}

func TestBackupRefused(t *testing.T) {
	r := newRig()
	r.set(t, "a", "1")
	blob := must(r.BackUp(t.Context(), "a"))
	foreign := func(change func(*Terms)) error {
		o := newRig()
		change(&o.Terms)
		_, err := o.Restore(t.Context(), blob)
		return err
	}
	fresh := func(blob string) error { _, err := newRig().Restore(t.Context(), []byte(blob)); return err }
	asKey := func() error {
		o := newRig()
		c := o.collection()
		c.kind = "keys"
		_, err := c.restore(t.Context(), o.Backup, blob)
		return err
	}
	otherServer := newRig()
	otherServer.Backup = testRoot.Key("another root")
	_, stranger := otherServer.Restore(t.Context(), blob)
	for _, tt := range []struct {
		what      string
		got, want error
	}{
		{"as it is", fresh(string(blob)), nil},
		{"another subscription", foreign(func(t *Terms) { t.Subscription = "s2" }), BackupForeign},
		{"another geography", foreign(func(t *Terms) { t.Geography = "United States" }), BackupForeign},
		{"another kind", asKey(), BackupMalformed},
		{"another server", stranger, BackupMalformed},
		{"empty", fresh(""), BackupMalformed},
		{"text", fresh("backup"), BackupMalformed},
		{"another format", fresh(strings.Replace(string(blob), "\x01", "\x02", 1)), BackupMalformed},
		{"longer", fresh(string(blob) + "x"), BackupMalformed},
		{"shorter", fresh(string(blob[:len(blob)-1])), BackupMalformed},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("Restore(%s) = %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	for i := range blob {
		bent := []byte(string(blob))
		bent[i] ^= 1
		if err := fresh(string(bent)); err == nil {
			t.Errorf("Restore of a blob with byte %d changed works", i)
		}
	}
}

func TestBackupOfMostVersions(t *testing.T) {
	r := newRig()
	for range MaxBackup {
		r.set(t, "a", "x")
	}
	blob := must(r.BackUp(t.Context(), "a"))
	if o := must(newRig().Restore(t.Context(), blob)); o.versions != MaxBackup {
		t.Errorf("restored with %d versions, want %d", o.versions, MaxBackup)
	}
	r.set(t, "a", "x")
	if _, err := r.BackUp(t.Context(), "a"); !errors.Is(err, TooManyVersions) {
		t.Errorf("BackUp of %d versions = %v, want %v", MaxBackup+1, err, TooManyVersions)
	}
}

// TestBackupRows: a certificate's versions stand beside those of its key and
// its secret, and of no other.
func TestBackupRows(t *testing.T) {
	id := func(c string) Version { return Version{ID: strings.Repeat(c, 32)} }
	for _, tt := range []struct {
		rows [][]Version
		ok   bool
	}{
		{[][]Version{{id("a"), id("a"), id("a")}, {id("b"), id("b"), id("b")}}, true},
		{[][]Version{{id("a"), id("a"), id("b")}}, false},
		{[][]Version{{id("a"), id("a")}}, false},
		{[][]Version{{id("x"), id("x"), id("x")}}, false},
		{nil, false},
	} {
		if _, _, err := decodeBackup(string(backupContent(&Object{Name: "a"}, tt.rows)), 3); (err == nil) != tt.ok {
			t.Errorf("decodeBackup(%v) = %v, want ok %v", tt.rows, err, tt.ok)
		}
	}
}

func FuzzBackupContent(f *testing.F) {
	for _, name := range []string{"backup-secrets-1", "backup-keys-2", "backup-certificates-2"} {
		text, err := os.ReadFile("testdata/" + name + ".b64")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(must(base64.StdEncoding.DecodeString(strings.TrimSpace(string(text))))))
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, width := range []int{1, 3} {
			o, rows, err := decodeBackup(s, width)
			if err != nil {
				continue
			}
			again, more, err := decodeBackup(string(backupContent(&o, rows)), width)
			if err != nil || !cmp.Equal(o, again, cmp.AllowUnexported(Object{}), cmpopts.EquateEmpty()) || !cmp.Equal(rows, more, cmpopts.EquateEmpty()) {
				t.Errorf("decodeBackup(%q) does not survive: %v", s, err)
			}
		}
	})
}

func FuzzBackup(f *testing.F) {
	r := newRig()
	if _, err := r.Set(f.Context(), "a", SecretInput{Value: "v"}); err != nil {
		f.Fatal(err)
	}
	blob := must(r.BackUp(f.Context(), "a"))
	f.Add(blob)
	f.Add(blob[:40])
	f.Add([]byte(backupMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, err := r.collection().openBackup(r.Backup, b, 1)
		if err == nil && string(b) != string(blob) {
			t.Errorf("openBackup(%q) opens a blob nobody made", b)
		}
	})
}
