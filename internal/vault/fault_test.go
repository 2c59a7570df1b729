package vault

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/store/memory"
)

// furnish puts keys, certificates and what is due into a vault.
func (r *rig) furnish(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	_ = must2(r.keys().Add(ctx, "key", KeyInput{Content: someKey("1")}))
	_ = must2(r.keys().SetRotationPolicy(ctx, "key", RotationPolicy{Actions: []RotationAction{{Type: RotateAction, AfterCreate: "P30D"}}}))
	for _, name := range []string{"cert", "gone-cert"} {
		_ = must2(r.certificates().Import(ctx, name, someCertificate("1")))
		_ = must2(r.certificates().Import(ctx, name, someCertificate("2")))
	}
	_ = must2(r.certificates().Delete(ctx, "gone-cert"))
	must(r.certificates().Begin(ctx, "wanted", Pending{Request: "r", Key: someKey("w")}, []byte("p")))
	must(r.Set(ctx, "due", SecretInput{Expires: At(r.Now.Unix())}))
}

// savedCertificate is a backup of a certificate that is gone.
func (r *rig) savedCertificate(t *testing.T) []byte {
	t.Helper()
	ctx := t.Context()
	_ = must2(r.certificates().Import(ctx, "saved-cert", someCertificate("s")))
	blob := must(r.certificates().BackUp(ctx, "saved-cert"))
	_ = must2(r.certificates().Delete(ctx, "saved-cert"))
	if err := r.certificates().Purge(ctx, "saved-cert"); err != nil {
		t.Fatal(err)
	}
	return blob
}

// TestStoreFails lets each call of each operation fail in turn: the error
// comes out, and a call that did nothing has changed nothing.
func TestStoreFails(t *testing.T) {
	object := func(_ Object, err error) error { return err }
	page := func(_ Page, err error) error { return err }
	ctx := t.Context()
	keys, certificates := (*rig).keys, (*rig).certificates
	again := func(k KeyContent) (KeyInput, error) { return KeyInput{Content: k}, nil }
	var blob, certBlob []byte
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
		"sweep":            func(r *rig) error { r.Now = r.Now.AddDate(1, 0, 0); return only(r.sweepOnce(ctx)) },
		"index":            func(r *rig) error { return r.upkeep().Index(ctx) },

		"get a key":    func(r *rig) error { return only2(keys(r).Get(ctx, "key", "")) },
		"use a key":    func(r *rig) error { return only2(keys(r).Use(ctx, "key", "", UseSign)) },
		"create a key": func(r *rig) error { return only2(keys(r).Add(ctx, "new", KeyInput{Content: someKey("n")})) },
		"rotate":       func(r *rig) error { return only2(keys(r).Rotate(ctx, "key", again)) },
		"rotate if due": func(r *rig) error {
			r.Now = r.Now.AddDate(0, 0, 50)
			return only2(keys(r).RotateIfDue(ctx, "key", again))
		},
		"rotation policy": func(r *rig) error { return only2(keys(r).SetRotationPolicy(ctx, "key", RotationPolicy{})) },
		"list keys":       func(r *rig) error { return only(keys(r).List(ctx, "", 5)) },

		"get a certificate":    func(r *rig) error { return only2(certificates(r).Get(ctx, "cert", "")) },
		"import a certificate": func(r *rig) error { return only2(certificates(r).Import(ctx, "new", someCertificate("n"))) },
		"import a version":     func(r *rig) error { return only2(certificates(r).Import(ctx, "cert", someCertificate("n"))) },
		"update a certificate": func(r *rig) error {
			return only2(certificates(r).Update(ctx, "cert", "", CertificatePatch{Enabled: No, Policy: becomes("p")}))
		},
		"delete a certificate":    func(r *rig) error { return only2(certificates(r).Delete(ctx, "cert")) },
		"recover a certificate":   func(r *rig) error { return only2(certificates(r).Recover(ctx, "gone-cert")) },
		"purge a certificate":     func(r *rig) error { return certificates(r).Purge(ctx, "gone-cert") },
		"back up a certificate":   func(r *rig) error { return only(certificates(r).BackUp(ctx, "cert")) },
		"restore a certificate":   func(r *rig) error { return only2(certificates(r).Restore(ctx, certBlob)) },
		"list certificates":       func(r *rig) error { return only(certificates(r).List(ctx, "", 5, true)) },
		"versions of certificate": func(r *rig) error { return only(certificates(r).Versions(ctx, "cert", "", 5)) },
		"begin":                   func(r *rig) error { return only(certificates(r).Begin(ctx, "new", Pending{Request: "n"}, []byte("p"))) },
		"begin a version": func(r *rig) error {
			return only(certificates(r).Begin(ctx, "cert", Pending{Request: "n"}, []byte("p")))
		},
		"change pending": func(r *rig) error {
			return only(certificates(r).ChangePending(ctx, "wanted", func(p *Pending) error { p.Cancel = true; return nil }))
		},
		"complete":      func(r *rig) error { return only2(certificates(r).Complete(ctx, "wanted", "r", someCertificate("n"))) },
		"drop pending":  func(r *rig) error { return only(certificates(r).DropPending(ctx, "wanted")) },
		"set an issuer": func(r *rig) error { return only(certificates(r).SetIssuer(ctx, "i", []byte("b"))) },
		"list issuers":  func(r *rig) error { return only(certificates(r).ListIssuers(ctx, "", 5)) },
		"set contacts":  func(r *rig) error { return certificates(r).SetContacts(ctx, []byte("b")) },

		"due":      func(r *rig) error { return only(Due(ctx, r.Space, r.Now, 5)) },
		"moments":  func(r *rig) error { return only2(r.upkeep().Moments(ctx, DueObject{kindSecrets, "due", r.Now.Unix()})) },
		"announce": func(r *rig) error { return only(r.upkeep().Announce(ctx, DueObject{kindSecrets, "due", 0}, Expiry)) },
		"postpone": func(r *rig) error {
			return r.upkeep().Postpone(ctx, DueObject{kindSecrets, "due", 0}, r.Now.AddDate(0, 0, 1))
		},
		"events":  func(r *rig) error { return only(r.upkeep().Events(ctx, nil, 5)) },
		"indexed": func(r *rig) error { return only(r.upkeep().Indexed(ctx)) },
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
				r.furnish(t)
				certBlob = r.savedCertificate(t)
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
				if what == "sweep" || what == "index" {
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
