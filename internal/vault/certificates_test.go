package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// three is what the store has of a name: for each kind where it stands and
// its latest version.
func three(t *testing.T, r *rig, name string) (found []string) {
	t.Helper()
	for _, kind := range []string{kindCertificates, kindKeys, kindSecrets} {
		c := &collection{kind: kind, space: r.store, key: r.Key, now: r.Now}
		for where, key := range map[string]string{"live": c.liveKey(name), "deleted": c.deletedKey(name)} {
			if _, o, ok, err := c.read(t.Context(), key); err != nil {
				t.Fatal(err)
			} else if ok {
				found = append(found, where+" "+kind+" "+content(kind, &o.Version))
			}
		}
	}
	return found
}

// TestCertificateLife follows the three through all they can go through.
func TestCertificateLife(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	check := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, three(t, r, "my-cert")); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", what, diff)
		}
		checkIndexes(t, r)
	}
	in := someCertificate("1")
	in.Expires, in.Tags, in.Policy = At(r.Now.AddDate(1, 0, 0).Unix()), []Tag{{"a", "b"}}, []byte(`{"p":1}`)
	first, x, err := r.certificates().Import(ctx, "My-Cert", in)
	check("import", err, "live certificates cer 1", "live keys key 1", "live secrets secret 1")
	if string(x.CER) != "cer 1" || first.Policy != `{"p":1}` || first.Version.ContentType != "application/x-pkcs12" || first.Version.Value != "" {
		t.Errorf("Import = %+v, %+v", first, x)
	}
	second, _, err := r.certificates().Import(ctx, "MY-CERT", someCertificate("2"))
	check("a second version", err, "live certificates cer 2", "live keys key 2", "live secrets secret 2")
	if second.Name != "My-Cert" || second.Policy != `{"p":1}` || second.Version.Previous != first.Version.ID {
		t.Errorf("the second version is %+v", second)
	}
	for _, version := range []string{first.Version.ID, second.Version.ID} {
		s, serr := r.Get(ctx, "my-cert", version)
		k, _, kerr := r.keys().Get(ctx, "my-cert", version)
		if serr != nil || kerr != nil || !s.Version.Managed || !k.Version.Managed || s.Name != "My-Cert" || s.Version.Tags != nil {
			t.Errorf("version %s has the secret %+v, %v and the key %+v, %v", version, s, serr, k, kerr)
		}
		if s.Version.Previous != map[bool]string{true: first.Version.ID}[version == second.Version.ID] {
			t.Errorf("version %s has the previous version %q", version, s.Version.Previous)
		}
	}
	_, _, err = r.certificates().Update(ctx, "my-cert", first.Version.ID, CertificatePatch{Enabled: No, NotBefore: At(1), Expires: At(2), Tags: []Tag{}, Policy: becomes(`{"p":2}`)})
	check("an update", err, "live certificates cer 2", "live keys key 2", "live secrets secret 2")
	k, _, _ := r.keys().Get(ctx, "my-cert", first.Version.ID)
	o, _, _ := r.certificates().Get(ctx, "my-cert", first.Version.ID)
	for _, v := range []Version{k.Version, o.Version} {
		if v.Enabled || v.NotBefore != At(1) || v.Expires != At(2) {
			t.Errorf("the update reached %+v, want it disabled from 1 to 2", v)
		}
	}
	if o.Policy != `{"p":2}` || o.Version.Tags == nil {
		t.Errorf("the update left %+v", o)
	}
	if _, err := r.Get(ctx, "my-cert", first.Version.ID); !errors.Is(err, Disabled) {
		t.Errorf("Get of the secret of a disabled version = %v, want %v", err, Disabled)
	}
	blob, err := r.certificates().BackUp(ctx, "my-cert")
	check("a backup", err, "live certificates cer 2", "live keys key 2", "live secrets secret 2")
	gone, _, err := r.certificates().Delete(ctx, "My-cert")
	check("a deletion", err, "deleted certificates cer 2", "deleted keys key 2", "deleted secrets secret 2")
	if got, _, err := r.certificates().GetDeleted(ctx, "my-cert"); err != nil || !cmp.Equal(got, gone, cmp.AllowUnexported(Object{})) {
		t.Errorf("GetDeleted = %+v, %v", got, err)
	}
	_, _, err = r.certificates().Recover(ctx, "my-cert")
	check("a recovery", err, "live certificates cer 2", "live keys key 2", "live secrets secret 2")
	_ = must2(r.certificates().Delete(ctx, "my-cert"))
	check("a purge", r.certificates().Purge(ctx, "my-cert"))
	if left := r.dump(t); len(left) != 0 {
		t.Errorf("%d items are left after the purge, %s first", len(left), left[0].Key)
	}
	restored, _, err := r.certificates().Restore(ctx, blob)
	check("a restore", err, "live certificates cer 2", "live keys key 2", "live secrets secret 2")
	if restored.Version.ID != second.Version.ID || restored.Policy != `{"p":2}` {
		t.Errorf("Restore = %+v", restored)
	}
	if s := must(r.Get(ctx, "my-cert", "")); s.Version.Previous != first.Version.ID || !s.Version.Managed {
		t.Errorf("the restored secret is %+v", s.Version)
	}
	_ = must2(r.certificates().Delete(ctx, "my-cert"))
	r.Now = r.Now.AddDate(0, 0, 90)
	r.sweep(ctx)
	check("its time", nil)
	if left := r.dump(t); len(left) != 0 {
		t.Errorf("%d items are left after the sweep, %s first", len(left), left[0].Key)
	}
}

// TestCertificateRefusals: the names of the three, and who may change them.
func TestCertificateRefusals(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	c, k := r.certificates(), r.keys()
	protected := *c
	protected.Terms.PurgeProtected = true
	imports := func(name string) error { return only2(c.Import(ctx, name, someCertificate("x"))) }
	begins := func(name string) error { return only(c.Begin(ctx, name, Pending{Request: "r"}, nil)) }
	_ = must2(c.Import(ctx, "live", someCertificate("1")))
	blob := must(c.BackUp(ctx, "live"))
	_ = must2(c.Import(ctx, "gone", someCertificate("1")))
	goneBlob := must(c.BackUp(ctx, "gone"))
	_ = must2(c.Delete(ctx, "gone"))
	r.set(t, "own-secret", "1")
	_ = must2(k.Add(ctx, "own-key", KeyInput{Content: someKey("1")}))
	r.set(t, "gone-secret", "1")
	must(r.Delete(ctx, "gone-secret"))
	_ = must2(k.Add(ctx, "gone-key", KeyInput{Content: someKey("1")}))
	_ = must2(k.Delete(ctx, "gone-key"))
	must(c.Begin(ctx, "hollow", Pending{Request: "r"}, nil))
	rotate := func(KeyContent) (KeyInput, error) { return KeyInput{Content: someKey("2")}, nil }
	before := r.dump(t)
	for _, tt := range []struct {
		what string
		got  error
		want error
	}{
		{"import over an own secret", imports("Own-Secret"), Exists},
		{"import over an own key", imports("own-key"), Exists},
		{"import over a deleted certificate", imports("gone"), IsDeleted},
		{"import over a deleted secret", imports("gone-secret"), IsDeleted},
		{"import over a deleted key", imports("gone-key"), IsDeleted},
		{"begin over an own secret", begins("own-secret"), Exists},
		{"begin over an own key", begins("own-key"), Exists},
		{"begin over a deleted certificate", begins("gone"), IsDeleted},
		{"begin over a deleted secret", begins("gone-secret"), IsDeleted},
		{"begin over a deleted key", begins("gone-key"), IsDeleted},
		{"begin twice", begins("hollow"), InProgress},
		{"restore over a live one", only2(c.Restore(ctx, blob)), Exists},
		{"restore over a deleted one", only2(c.Restore(ctx, goneBlob)), IsDeleted},
		{"set the secret", only(r.Set(ctx, "live", SecretInput{})), Managed},
		{"update the secret", only(r.Update(ctx, "live", "", SecretPatch{Enabled: No})), Managed},
		{"delete the secret", only(r.Delete(ctx, "live")), Managed},
		{"back up the secret", only(r.BackUp(ctx, "live")), Managed},
		{"recover the secret", only(r.Recover(ctx, "gone")), Managed},
		{"purge the secret", r.Purge(ctx, "gone"), Managed},
		{"add to the key", only2(k.Add(ctx, "live", KeyInput{Content: someKey("2")})), Managed},
		{"update the key", only2(k.Update(ctx, "live", "", KeyPatch{Enabled: No})), Managed},
		{"rotate the key", only2(k.Rotate(ctx, "live", rotate)), Managed},
		{"set the key's rotation policy", only2(k.SetRotationPolicy(ctx, "live", RotationPolicy{})), Managed},
		{"delete the key", only2(k.Delete(ctx, "live")), Managed},
		{"back up the key", only(k.BackUp(ctx, "live")), Managed},
		{"recover the key", only2(k.Recover(ctx, "gone")), Managed},
		{"purge the key", k.Purge(ctx, "gone"), Managed},
		{"set the deleted secret", only(r.Set(ctx, "gone", SecretInput{})), IsDeleted},
		{"add to the deleted key", only2(k.Add(ctx, "gone", KeyInput{})), IsDeleted},
		{"get nothing", only2(c.Get(ctx, "none", "")), NotFound},
		{"get an unknown version", only2(c.Get(ctx, "live", strings.Repeat("0", 32))), NotFound},
		{"update nothing", only2(c.Update(ctx, "none", "", CertificatePatch{})), NotFound},
		{"set the policy of nothing", only2(c.Update(ctx, "none", "", CertificatePatch{Policy: becomes("p")})), NotFound},
		{"delete nothing", only2(c.Delete(ctx, "none")), NotFound},
		{"recover a live one", only2(c.Recover(ctx, "live")), NotDeleted},
		{"purge a live one", c.Purge(ctx, "live"), NotDeleted},
		{"purge a protected one", protected.Purge(ctx, "gone"), Protected},
		{"back up nothing", only(c.BackUp(ctx, "none")), NotFound},
		{"back up one that is not issued", only(c.BackUp(ctx, "hollow")), NotFound},
		{"complete another request", only2(c.Complete(ctx, "hollow", "other", someCertificate("1"))), NoPending},
		{"complete without an operation", only2(c.Complete(ctx, "live", "r", someCertificate("1"))), NoPending},
		{"change no operation", only(c.ChangePending(ctx, "live", func(*Pending) error { return nil })), NoPending},
		{"drop no operation", only(c.DropPending(ctx, "live")), NoPending},
		{"read no operation", only(c.Pending(ctx, "live")), NoPending},
		{"restore a certificate as a secret", only(r.Restore(ctx, blob)), BackupMalformed},
		{"restore a certificate as a key", only2(k.Restore(ctx, blob)), BackupMalformed},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s = %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	if diff := cmp.Diff(before, r.dump(t)); diff != "" {
		t.Errorf("refusals changed the store (-before +after):\n%s", diff)
	}
}

func TestCertificateLimits(t *testing.T) {
	long := strings.Repeat
	for _, tt := range []struct {
		name   string
		change func(in *CertificateInput)
		want   string
	}{
		{"a", func(*CertificateInput) {}, ""},
		{"a_b", func(*CertificateInput) {}, "name"},
		{"a", func(in *CertificateInput) { in.CER = nil }, "cer"},
		{"a", func(in *CertificateInput) { in.CER = make([]byte, maxCER+1) }, "cer"},
		{"a", func(in *CertificateInput) { in.SecretValue = long("x", MaxValue+1) }, "value"},
		{"a", func(in *CertificateInput) { in.SecretContentType = long("x", 256) }, "contentType"},
		{"a", func(in *CertificateInput) { in.Tags = []Tag{{long("n", 257), ""}} }, "tags"},
		{"a", func(in *CertificateInput) { in.Tags = make([]Tag, 16) }, "tags"},
		{"a", func(in *CertificateInput) { in.Policy = make([]byte, maxPolicy+1) }, "policy"},
		{"a", func(in *CertificateInput) { in.Key.Material = make([]byte, maxMaterial+1) }, "key"},
	} {
		in := someCertificate("1")
		tt.change(&in)
		got := ""
		if invalid := new(Invalid); errors.As(only2(newRig().certificates().Import(t.Context(), tt.name, in)), &invalid) {
			got = invalid.Property
		}
		if got != tt.want {
			t.Errorf("Import(%q) refuses %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestHollowCertificate: what is asked for and not issued is an object of its
// own, without a key and a secret.
func TestHollowCertificate(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	c := r.certificates()
	must(c.Begin(ctx, "My-Cert", Pending{Request: "r", Key: someKey("1"), Tags: []Tag{{"a", "b"}}}, []byte(`{"p":1}`)))
	names := func(p CertificatePage, err error) string {
		t.Helper()
		var all []string
		for _, i := range must(p, err).Certificates {
			all = append(all, i.Object.Name)
		}
		return strings.Join(all, " ")
	}
	if got := names(c.List(ctx, "", 25, false)) + "," + names(c.List(ctx, "", 25, true)) + "," + names(c.Versions(ctx, "my-cert", "", 25)); got != ",My-Cert," {
		t.Errorf("List without and with pending, Versions = %q, want it in the second alone", got)
	}
	o, x, err := c.Get(ctx, "my-cert", "")
	if err != nil || x.CER != nil || o.Version.Enabled || o.Policy != `{"p":1}` || !cmp.Equal(o.Version.Tags, []Tag{{"a", "b"}}) {
		t.Errorf("Get = %+v, %+v, %v", o, x, err)
	}
	o, _, err = c.Update(ctx, "my-cert", "", CertificatePatch{Enabled: Yes, Expires: At(1), Tags: []Tag{}, Policy: becomes(`{"p":2}`)})
	if err != nil || o.Version.Enabled || o.Version.Expires.Known || len(o.Version.Tags) != 0 || o.Policy != `{"p":2}` {
		t.Errorf("Update = %+v, %v, want its tags and policy changed alone", o, err)
	}
	if got := three(t, r, "my-cert"); !cmp.Equal(got, []string{"live certificates "}) {
		t.Errorf("there are %q", got)
	}
	_ = must2(c.Delete(ctx, "my-cert"))
	if _, err := c.Pending(ctx, "my-cert"); !errors.Is(err, NoPending) {
		t.Errorf("Pending after the deletion = %v, want %v", err, NoPending)
	}
	if got := names(c.ListDeleted(ctx, "", 25, false)) + "," + names(c.ListDeleted(ctx, "", 25, true)); got != ",My-Cert" {
		t.Errorf("ListDeleted without and with pending = %q, want it in the second alone", got)
	}
	r.set(t, "my-cert", "own")
	_ = must2(c.Recover(ctx, "my-cert"))
	free := func() {
		t.Helper()
		must(r.Delete(ctx, "my-cert"))
		if err := r.Purge(ctx, "my-cert"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Begin(ctx, "my-cert", Pending{Request: "s", Key: someKey("1")}, nil); !errors.Is(err, Exists) {
		t.Errorf("Begin when a secret took the name = %v, want %v", err, Exists)
	}
	free()
	must(c.Begin(ctx, "my-cert", Pending{Request: "s", Key: someKey("1")}, nil))
	r.set(t, "my-cert", "own")
	if _, _, err := c.Complete(ctx, "my-cert", "s", someCertificate("1")); !errors.Is(err, Exists) {
		t.Errorf("Complete when a secret took the name = %v, want %v", err, Exists)
	}
	free()
	_ = must2(c.Complete(ctx, "my-cert", "s", someCertificate("1")))
	if p := must(c.Versions(ctx, "my-cert", "", 25)); len(p.Certificates) != 1 {
		t.Errorf("Versions has %d after the first one was issued, want 1", len(p.Certificates))
	}
}

// TestPending follows an operation from its begin to its end.
func TestPending(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	begin := must(r.certificates().Begin(ctx, "a", Pending{Request: "r1", CSR: []byte("csr"), Key: someKey("planted"), Extra: []byte("planted order"),
		Issuer: []byte(`{"name":"i"}`), Enabled: No, Tags: []Tag{{"a", "b"}}, Poll: At(r.Now.Unix() + 60)}, []byte(`{"p":1}`)))
	checkIndexes(t, r)
	if got := must(r.certificates().Pending(ctx, "A")); !cmp.Equal(got, begin) || got.Status != StatusInProgress || got.Name != "a" {
		t.Errorf("Pending = %+v, want %+v", got, begin)
	}
	for _, item := range r.dump(t) {
		if strings.Contains(string(item.Value), "planted") {
			t.Errorf("%s is not sealed", item.Key)
		}
	}
	r.Now = r.Now.Add(59e9)
	if due := must(Due(ctx, r.Space, r.Now, 10)); len(due) != 0 {
		t.Errorf("Due too early = %v", due)
	}
	r.Now = r.Now.Add(1e9)
	due := must(Due(ctx, r.Space, r.Now, 10))
	if want := []DueObject{{kindPending, "a", r.Now.Unix()}}; !cmp.Equal(due, want) {
		t.Fatalf("Due = %v, want %v", due, want)
	}
	if _, moments, err := r.upkeep().Moments(ctx, due[0]); err != nil || !cmp.Equal(moments, []Moment{{Poll, r.Now.Unix()}}) {
		t.Errorf("Moments = %v, %v", moments, err)
	}
	if err := r.upkeep().Postpone(ctx, due[0], r.Now.Add(60e9)); err != nil {
		t.Fatal(err)
	}
	checkIndexes(t, r)
	must(r.certificates().ChangePending(ctx, "a", func(p *Pending) error { p.Cancel, p.Extra = true, []byte("next"); return nil }))
	refusal := errors.New("no")
	if _, err := r.certificates().ChangePending(ctx, "a", func(*Pending) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("ChangePending whose fn refuses = %v, want %v", err, refusal)
	}
	o, x, err := r.certificates().Complete(ctx, "a", "r1", CertificateInput{CER: []byte("leaf"), SecretValue: "s", SecretContentType: "pem"})
	if err != nil || o.Version.Enabled || string(x.CER) != "leaf" || !cmp.Equal(o.Version.Tags, []Tag{{"a", "b"}}) {
		t.Errorf("Complete = %+v, %+v, %v", o, x, err)
	}
	checkIndexes(t, r)
	if _, k, err := r.keys().Get(ctx, "a", o.Version.ID); err != nil || string(k.Material) != "planted" {
		t.Errorf("the key is %+v, %v, want that of the operation", k, err)
	}
	p := must(r.certificates().Pending(ctx, "a"))
	if p.Status != StatusCompleted || p.Target != o.Version.ID || p.Key.Material != nil || p.Extra != nil || string(p.CSR) != "csr" || !p.Cancel {
		t.Errorf("the completed operation is %+v", p)
	}
	if _, _, err := r.certificates().Complete(ctx, "a", "r1", someCertificate("1")); !errors.Is(err, NoPending) {
		t.Errorf("Complete twice = %v, want %v", err, NoPending)
	}
	must(r.certificates().Begin(ctx, "a", Pending{Request: "r2"}, []byte(`{"p":2}`)))
	if o, _, err := r.certificates().Get(ctx, "a", ""); err != nil || o.Policy != `{"p":2}` || o.versions != 1 {
		t.Errorf("Get while the next one is made = %+v, %v, want the version there is and the new policy", o, err)
	}
	if p := must(r.certificates().DropPending(ctx, "a")); p.Request != "r2" {
		t.Errorf("DropPending = %+v", p)
	}
	if _, _, err := r.certificates().Get(ctx, "a", ""); err != nil {
		t.Errorf("Get after DropPending = %v", err)
	}
}

// TestCertificatePolicy: a change of the policy alone leaves the versions as
// they are.
func TestCertificatePolicy(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	in := someCertificate("1")
	in.Policy = []byte("old")
	made := must2(r.certificates().Import(ctx, "a", in))
	r.Now = r.Now.AddDate(0, 0, 1)
	o, x, err := r.certificates().Update(ctx, "A", "", CertificatePatch{Policy: func(p string) ([]byte, error) { return []byte(p + " new"), nil }})
	if err != nil || o.Policy != "old new" || !cmp.Equal(o.Version, made.Version) || string(x.CER) != "cer 1" {
		t.Errorf("Update = %+v, %+v, %v", o, x, err)
	}
	refusal := errors.New("no")
	no := func(string) ([]byte, error) { return nil, refusal }
	for _, p := range []CertificatePatch{{Policy: no}, {Policy: no, Enabled: No}} {
		if _, _, err := r.certificates().Update(ctx, "a", "", p); !errors.Is(err, refusal) {
			t.Errorf("Update whose policy is refused = %v, want %v", err, refusal)
		}
	}
	if _, _, err := r.certificates().Update(ctx, "a", "", CertificatePatch{Policy: becomes(strings.Repeat("x", maxPolicy+1))}); err == nil {
		t.Error("Update with a policy too large works")
	}
	if k, err := r.certificates().PrivateKey(ctx, "a", ""); err != nil || string(k.Material) != "key 1" {
		t.Errorf("PrivateKey = %+v, %v", k, err)
	}
}

func TestIssuersAndContacts(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	c := r.certificates()
	for _, err := range []error{only(c.Issuer(ctx, "none")), only(c.DeleteIssuer(ctx, "none")), only(c.Contacts(ctx)), only(c.DeleteContacts(ctx)),
		only(c.ChangeIssuer(ctx, "none", func(b []byte) ([]byte, error) { return b, nil }))} {
		if !errors.Is(err, NotFound) {
			t.Errorf("of nothing: %v, want %v", err, NotFound)
		}
	}
	for _, name := range []string{"My-Issuer", "b", "c"} {
		must(c.SetIssuer(ctx, name, []byte("planted "+name)))
	}
	if i := must(c.SetIssuer(ctx, "my-issuer", []byte("planted 2"))); i.Name != "My-Issuer" {
		t.Errorf("SetIssuer = %+v, want the name as it was first written", i)
	}
	if i := must(c.ChangeIssuer(ctx, "MY-ISSUER", func(b []byte) ([]byte, error) { return append(b, '+'), nil })); string(i.Body) != "planted 2+" {
		t.Errorf("ChangeIssuer = %s", i.Body)
	}
	if i := must(c.Issuer(ctx, "my-issuer")); i.Name != "My-Issuer" || string(i.Body) != "planted 2+" {
		t.Errorf("Issuer = %+v", i)
	}
	var names []string
	for after, more := "", true; more; more = after != "" {
		p := must(c.ListIssuers(ctx, after, 2))
		for _, i := range p.Issuers {
			names = append(names, i.Name)
		}
		after = p.Next
	}
	if want := []string{"b", "c", "My-Issuer"}; !cmp.Equal(names, want) {
		t.Errorf("ListIssuers = %q, want %q", names, want)
	}
	if err := c.SetContacts(ctx, []byte("planted contacts")); err != nil {
		t.Fatal(err)
	}
	for _, item := range r.dump(t) {
		if strings.Contains(string(item.Value), "planted") {
			t.Errorf("%s is not sealed", item.Key)
		}
	}
	if b := must(c.Contacts(ctx)); string(b) != "planted contacts" {
		t.Errorf("Contacts = %s", b)
	}
	if b := must(c.DeleteContacts(ctx)); string(b) != "planted contacts" {
		t.Errorf("DeleteContacts = %s", b)
	}
	for _, name := range []string{"my-issuer", "b", "c"} {
		must(c.DeleteIssuer(ctx, name))
	}
	if left := r.dump(t); len(left) != 0 {
		t.Errorf("%d items are left", len(left))
	}
	for _, err := range []error{only(c.SetIssuer(ctx, "a b", nil)), c.SetContacts(ctx, make([]byte, maxDocument+1))} {
		if invalid := new(Invalid); !errors.As(err, &invalid) {
			t.Errorf("outside of the limits: %v, want Invalid", err)
		}
	}
}
