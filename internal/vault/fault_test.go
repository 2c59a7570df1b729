package vault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/store/memory"
)

// TestStoreFails lets each call of each operation fail in turn: the error
// comes out, and a call that did nothing has changed nothing.
func TestStoreFails(t *testing.T) {
	object := func(_ Object, err error) error { return err }
	page := func(_ Page, err error) error { return err }
	var blob []byte
	for what, do := range map[string]func(r *rig) error{
		"get":           func(r *rig) error { return object(r.Get(t.Context(), "live", "")) },
		"get a version": func(r *rig) error { return object(r.Get(t.Context(), "live", r.ids[0])) },
		"set":           func(r *rig) error { return object(r.Set(t.Context(), "live", SecretInput{})) },
		"set a new one": func(r *rig) error { return object(r.Set(t.Context(), "new", SecretInput{})) },
		"update":        func(r *rig) error { return object(r.Update(t.Context(), "live", "", SecretPatch{Enabled: Yes})) },
		"update a version": func(r *rig) error {
			return object(r.Update(t.Context(), "live", r.ids[0], SecretPatch{Expires: At(1), NotBefore: At(1)}))
		},
		"delete":           func(r *rig) error { return object(r.Delete(t.Context(), "live")) },
		"list":             func(r *rig) error { return page(r.List(t.Context(), "", 5)) },
		"list the deleted": func(r *rig) error { return page(r.ListDeleted(t.Context(), "", 5)) },
		"versions":         func(r *rig) error { return page(r.Versions(t.Context(), "live", "", 5)) },
		"get the deleted":  func(r *rig) error { return object(r.GetDeleted(t.Context(), "gone")) },
		"recover":          func(r *rig) error { return object(r.Recover(t.Context(), "gone")) },
		"purge":            func(r *rig) error { return r.Purge(t.Context(), "gone") },
		"back up":          func(r *rig) error { _, err := r.BackUp(t.Context(), "live"); return err },
		"restore":          func(r *rig) error { return object(r.Restore(t.Context(), blob)) },
		"sweep":            func(r *rig) error { r.Now = r.Now.AddDate(1, 0, 0); _, err := r.sweepOnce(t.Context()); return err },
	} {
		t.Run(what, func(t *testing.T) {
			for failing := 1; ; failing++ {
				r := newRig()
				r.set(t, "saved", "1", "2")
				blob = must(r.BackUp(t.Context(), "saved"))
				must(r.Delete(t.Context(), "saved"))
				if err := r.Purge(t.Context(), "saved"); err != nil {
					t.Fatal(err)
				}
				r.ids = nil
				r.set(t, "live", "1", "2")
				r.set(t, "gone", "1", "2")
				must(r.Delete(t.Context(), "gone"))
				before := must(r.store.Range(t.Context(), "", "", 0))
				calls := 0
				r.store.Faults = func(memory.Call) memory.Fault {
					if calls++; calls == failing {
						return memory.Fail
					}
					return memory.Work
				}
				err := do(r)
				r.store.Faults = nil
				if calls < failing {
					if err != nil {
						t.Errorf("without a fault: %v", err)
					}
					return
				}
				if !errors.Is(err, memory.ErrInjected) {
					t.Errorf("call %d fails: %v, want %v", failing, err, memory.ErrInjected)
				}
				if what == "sweep" {
					continue // several transactions, each whole
				}
				if diff := cmp.Diff(before, must(r.store.Range(t.Context(), "", "", 0))); diff != "" {
					t.Errorf("call %d fails and the store changes (-before +after):\n%s", failing, diff)
				}
			}
		})
	}
}

// TestDamagedRecords: a record that was tampered with is an error, never a
// secret and never "not found".
func TestDamagedRecords(t *testing.T) {
	for _, key := range []string{"secrets/a", "secretsversions/a/"} {
		r := newRig()
		old := r.set(t, "a", "1", "2")[0]
		items := must(r.store.Range(t.Context(), key, "", 1))
		for _, value := range [][]byte{nil, {1}, items[0].Value[:20], append(items[0].Value[:20:20], make([]byte, 40)...)} {
			r.overwrite(t, items[0].Key, value)
			_, err := r.Get(t.Context(), "a", old)
			if !errors.Is(err, errRecord) {
				t.Errorf("Get with %s damaged = %v, want %v", key, err, errRecord)
			}
		}
	}
}

func TestErrorsSaySomething(t *testing.T) {
	for r := NotFound; r <= Contended; r++ {
		if r.Error() == "" || r.Error() == "vault: no refusal" {
			t.Errorf("Refusal %d has no text", r)
		}
	}
	if got := fmt.Sprint(&Invalid{"tags", "are more than 15"}); got != "vault: tags are more than 15" {
		t.Errorf("Invalid reads %q", got)
	}
	if ValidName("a_b") || !ValidName("a-b") {
		t.Error("ValidName(a_b), ValidName(a-b) are not false, true")
	}
}
