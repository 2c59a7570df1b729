package vault

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJudge: every write that makes or changes an object is judged before it
// happens, once and as it will be; what the judge refuses changes nothing.
func TestJudge(t *testing.T) {
	ctx := t.Context()
	key := someKey("1")
	public := someKey("1")
	public.Material = nil
	pairs := someKey("key 1")
	pairs.Material = nil
	pairs.Public = []byte("public key 1")
	rotation := func(r *rig) Stamp { return At(r.Now.AddDate(0, 0, 10).Unix()) }
	in := someCertificate("1")
	in.Policy, in.Tags = []byte("policy"), []Tag{{"a", "b"}}
	leaf := &CertificateContent{CER: in.CER}
	secretBlob, keyBlob, certificateBlob := []byte(nil), []byte(nil), []byte(nil)
	for _, tt := range []struct {
		what string
		do   func(r *rig) error
		want []Proposal // without dates
	}{
		{"set", func(r *rig) error {
			return only(r.Set(ctx, "s", SecretInput{Value: "v", ContentType: "c", Tags: []Tag{{"a", "b"}}}))
		},
			[]Proposal{{Kind: "secrets", Operation: "set", Name: "s", Version: Version{Enabled: true, ContentType: "c", Tags: []Tag{{"a", "b"}}}}}},
		{"update a secret", func(r *rig) error { return only(r.Update(ctx, "own", "", SecretPatch{Enabled: No})) }, []Proposal{{Kind: "secrets", Operation: "update", Name: "own"}}},
		{"recover a secret", func(r *rig) error { return only(r.Recover(ctx, "gone")) }, []Proposal{{Kind: "secrets", Operation: "recover", Name: "gone", Version: Version{Enabled: true}}}},
		{"restore a secret", func(r *rig) error { return only(r.Restore(ctx, secretBlob)) }, []Proposal{{Kind: "secrets", Operation: "restore", Name: "own", Version: Version{Enabled: true}}}},
		{"create a key", func(r *rig) error { return only2(r.keys().Add(ctx, "k", KeyInput{Content: key})) }, []Proposal{{Kind: "keys", Operation: "create", Name: "k", Version: Version{Enabled: true}, Key: &public}}},
		{"import a key", func(r *rig) error { return only2(r.keys().Add(ctx, "k", KeyInput{Content: key, Imported: true})) }, []Proposal{{Kind: "keys", Operation: "import", Name: "k", Version: Version{Enabled: true}, Key: &public}}},
		{"update a key", func(r *rig) error { return only2(r.keys().Update(ctx, "key", "", KeyPatch{Enabled: No})) }, []Proposal{{Kind: "keys", Operation: "update", Name: "key", Key: &public}}},
		{"rotate a key", func(r *rig) error {
			return only2(r.keys().Rotate(ctx, "key", func(k KeyContent) (KeyInput, error) { return KeyInput{Content: k}, nil }))
		},
			[]Proposal{{Kind: "keys", Operation: "rotate", Name: "key", Version: Version{Enabled: true}, Key: &public}}},
		{"set a rotation policy", func(r *rig) error {
			return only2(r.keys().SetRotationPolicy(ctx, "key", RotationPolicy{Actions: []RotationAction{{Type: "Rotate", AfterCreate: "P10D"}}}))
		},
			[]Proposal{{Kind: "keys", Operation: "policy", Name: "key", Version: Version{Enabled: true}, Key: &public, Rotation: At(1),
				Policy: `{"actions":[{"type":"Rotate","after":"P10D"},{"type":"Notify","before":"P30D"}],"created":1700000000,"updated":1700000000}`}}},
		{"recover a key", func(r *rig) error { return only2(r.keys().Recover(ctx, "gone")) }, []Proposal{{Kind: "keys", Operation: "recover", Name: "gone", Version: Version{Enabled: true}, Key: &public}}},
		{"restore a key", func(r *rig) error { return only2(r.keys().Restore(ctx, keyBlob)) }, []Proposal{{Kind: "keys", Operation: "restore", Name: "key", Version: Version{Enabled: true}, Key: &public}}},
		{"import a certificate", func(r *rig) error { return only2(r.certificates().Import(ctx, "c", in)) },
			[]Proposal{{Kind: "certificates", Operation: "import", Name: "c", Version: Version{Enabled: true, ContentType: in.SecretContentType, Tags: in.Tags}, Key: &pairs, Certificate: leaf, Policy: "policy"}}},
		{"begin a certificate", func(r *rig) error {
			return only(r.certificates().Begin(ctx, "c", Pending{Request: "r", Key: in.Key}, []byte("p")))
		},
			[]Proposal{{Kind: "certificates", Operation: "create", Name: "c", Key: &pairs, Policy: "p"}}},
		{"begin the next version", func(r *rig) error {
			return only(r.certificates().Begin(ctx, "cert", Pending{Request: "r", Key: in.Key}, []byte("p")))
		},
			[]Proposal{{Kind: "certificates", Operation: "create", Name: "cert", Version: Version{Enabled: true, ContentType: in.SecretContentType, Tags: in.Tags}, Key: &pairs, Certificate: leaf, Policy: "p"}}},
		{"complete a certificate", func(r *rig) error { return only2(r.certificates().Complete(ctx, "hollow", "r", in)) },
			[]Proposal{{Kind: "certificates", Operation: "create", Name: "hollow", Version: Version{Enabled: true, ContentType: in.SecretContentType, Tags: in.Tags}, Key: &pairs, Certificate: leaf, Policy: "policy"}}},
		{"update a certificate", func(r *rig) error {
			return only2(r.certificates().Update(ctx, "cert", "", CertificatePatch{Enabled: No, Policy: becomes("q")}))
		},
			[]Proposal{{Kind: "certificates", Operation: "update", Name: "cert", Version: Version{ContentType: in.SecretContentType, Tags: in.Tags}, Key: &pairs, Certificate: leaf, Policy: "q"}}},
		{"set a certificate's policy", func(r *rig) error {
			return only2(r.certificates().Update(ctx, "cert", "", CertificatePatch{Policy: becomes("q")}))
		},
			[]Proposal{{Kind: "certificates", Operation: "policy", Name: "cert", Version: Version{Enabled: true, ContentType: in.SecretContentType, Tags: in.Tags}, Key: &pairs, Certificate: leaf, Policy: "q"}}},
		{"recover a certificate", func(r *rig) error { return only2(r.certificates().Recover(ctx, "gone-cert")) },
			[]Proposal{{Kind: "certificates", Operation: "recover", Name: "gone-cert", Version: Version{Enabled: true, ContentType: in.SecretContentType, Tags: in.Tags}, Key: &pairs, Certificate: leaf, Policy: "policy"}}},
		{"restore a certificate", func(r *rig) error { return only2(r.certificates().Restore(ctx, certificateBlob)) },
			[]Proposal{{Kind: "certificates", Operation: "restore", Name: "cert", Version: Version{Enabled: true, ContentType: in.SecretContentType, Tags: in.Tags}, Key: &pairs, Certificate: leaf, Policy: "policy"}}},
		{"what makes nothing", func(r *rig) error {
			_ = must2(r.certificates().Delete(ctx, "cert"))
			_ = must2(r.keys().Delete(ctx, "key"))
			must(r.Delete(ctx, "own"))
			return nil
		}, nil},
	} {
		r := newRig()
		r.set(t, "own", "v")
		secretBlob = must(r.BackUp(ctx, "own"))
		r.set(t, "gone", "v")
		must(r.Delete(ctx, "gone"))
		_ = must2(r.keys().Add(ctx, "key", KeyInput{Content: key}))
		keyBlob = must(r.keys().BackUp(ctx, "key"))
		_ = must2(r.keys().Add(ctx, "gone", KeyInput{Content: key}))
		_ = must2(r.keys().Delete(ctx, "gone"))
		for _, name := range []string{"cert", "gone-cert"} {
			_ = must2(r.certificates().Import(ctx, name, in))
		}
		certificateBlob = must(r.certificates().BackUp(ctx, "cert"))
		_ = must2(r.certificates().Delete(ctx, "gone-cert"))
		must(r.certificates().Begin(ctx, "hollow", Pending{Request: "r"}, []byte("p")))
		if kind := map[string]func(){"restore a secret": func() { must(r.Delete(ctx, "own")); _ = r.Purge(ctx, "own") },
			"restore a key":         func() { _ = must2(r.keys().Delete(ctx, "key")); _ = r.keys().Purge(ctx, "key") },
			"restore a certificate": func() { _ = must2(r.certificates().Delete(ctx, "cert")); _ = r.certificates().Purge(ctx, "cert") },
		}[tt.what]; kind != nil {
			kind()
		}
		var got []Proposal
		refusal := errors.New("denied by a policy")
		r.Terms.Judge = func(_ context.Context, p Proposal) error { got = append(got, p); return refusal }
		before := r.dump(t)
		err := tt.do(r)
		if tt.want == nil {
			if err != nil || got != nil {
				t.Errorf("%s = %v, judged as %v, want it not judged", tt.what, err, got)
			}
			continue
		}
		if !errors.Is(err, refusal) {
			t.Errorf("%s that is refused = %v, want %v", tt.what, err, refusal)
		}
		if diff := cmp.Diff(before, r.dump(t)); diff != "" {
			t.Errorf("%s that is refused changes the store:\n%s", tt.what, diff)
		}
		for i := range got {
			if got[i].Rotation.Known && got[i].Rotation == rotation(r) {
				got[i].Rotation = At(1)
			}
			got[i].Version.ID, got[i].Version.Created, got[i].Version.Updated = "", 0, 0
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s is judged as (-want +got):\n%s", tt.what, diff)
		}
		r.Terms.Judge = func(context.Context, Proposal) error { return nil }
		if err := tt.do(r); err != nil {
			t.Errorf("%s that is allowed = %v", tt.what, err)
		}
	}
}
