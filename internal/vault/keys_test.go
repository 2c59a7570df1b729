package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKeyUse is the table of which key may be used for what, and when.
func TestKeyUse(t *testing.T) {
	all := []KeyUse{UseEncrypt, UseDecrypt, UseWrap, UseUnwrap, UseSign, UseVerify, UseRelease}
	every := []string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify"}
	opens := map[KeyUse]bool{UseDecrypt: true, UseUnwrap: true, UseVerify: true, UseRelease: true}
	r := newRig()
	now := r.Now.Unix()
	for _, tt := range []struct {
		what   string
		in     KeyInput
		refuse func(u KeyUse) error
	}{
		{"enabled", KeyInput{}, func(KeyUse) error { return nil }},
		{"disabled", KeyInput{Enabled: No}, func(KeyUse) error { return Disabled }},
		{"disabled and expired", KeyInput{Enabled: No, Expires: At(1)}, func(KeyUse) error { return Disabled }},
		{"within its dates", KeyInput{NotBefore: At(now), Expires: At(now + 1)}, func(KeyUse) error { return nil }},
		{"a clock's difference early", KeyInput{NotBefore: At(now + Leeway)}, func(KeyUse) error { return nil }},
		{"a clock's difference late", KeyInput{Expires: At(now - Leeway + 1)}, func(KeyUse) error { return nil }},
		{"early", KeyInput{NotBefore: At(now + Leeway + 1)}, func(u KeyUse) error { return unless(opens[u], NotYetValid) }},
		{"late", KeyInput{Expires: At(now - Leeway)}, func(u KeyUse) error { return unless(opens[u], Expired) }},
		{"without operations", KeyInput{Content: KeyContent{Operations: []string{}}}, func(u KeyUse) error { return unless(u == UseRelease, NotPermitted) }},
		{"for signing alone", KeyInput{Content: KeyContent{Operations: []string{"sign"}}}, func(u KeyUse) error { return unless(u == UseSign || u == UseRelease, NotPermitted) }},
		{"in another case", KeyInput{Content: KeyContent{Operations: []string{"Sign"}}}, func(u KeyUse) error { return unless(u == UseRelease, NotPermitted) }},
	} {
		if tt.in.Content.Operations == nil {
			tt.in.Content.Operations = every
		}
		o := must2(r.keys().Add(t.Context(), "a", tt.in))
		for _, u := range all {
			if _, _, err := r.keys().Use(t.Context(), "A", strings.ToUpper(o.Version.ID), u); !errors.Is(err, tt.refuse(u)) {
				t.Errorf("%s of a key that is %s = %v, want %v", u, tt.what, err, tt.refuse(u))
			}
		}
		if _, _, err := r.keys().Get(t.Context(), "a", ""); err != nil {
			t.Errorf("Get of a key that is %s = %v", tt.what, err)
		}
	}
	if _, _, err := r.keys().Use(t.Context(), "none", "", UseSign); !errors.Is(err, NotFound) {
		t.Errorf("Use of nothing = %v, want %v", err, NotFound)
	}
}

func unless(ok bool, r Refusal) error {
	if ok {
		return nil
	}
	return r
}

func TestKeyUpdate(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	old := must2(r.keys().Add(ctx, "My-Key", KeyInput{Content: someKey("1")}))
	_ = must2(r.keys().Add(ctx, "my-key", KeyInput{Content: someKey("2")}))
	r.Now = r.Now.AddDate(0, 0, 1)
	o, content, err := r.keys().Update(ctx, "MY-KEY", old.Version.ID, KeyPatch{Operations: &[]string{}, Enabled: No, NotBefore: At(1), Expires: At(2), Tags: []Tag{{"a", "b"}}})
	if err != nil || o.Name != "My-Key" || len(content.Operations) != 0 || string(content.Material) != "1" {
		t.Errorf("Update = %s, %+v, %v", o.Name, content, err)
	}
	want := Version{ID: old.Version.ID, NotBefore: At(1), Expires: At(2), Created: old.Version.Created, Updated: r.Now.Unix(), Tags: []Tag{{"a", "b"}}}
	if diff := cmp.Diff(want, o.Version); diff != "" {
		t.Errorf("Update makes (-want +got):\n%s", diff)
	}
	if o, content, _ := r.keys().Get(ctx, "my-key", ""); !o.Version.Enabled || len(content.Operations) != 2 {
		t.Errorf("Update of an older version changes the latest: %+v", content)
	}
	if o, _, err := r.keys().Update(ctx, "my-key", old.Version.ID, KeyPatch{Enabled: Yes}); err != nil || !o.Version.Enabled || o.Version.Tags == nil {
		t.Errorf("Update of a disabled key = %+v, %v", o.Version, err)
	}
}

func TestReleasePolicy(t *testing.T) {
	policy := func(data string, immutable bool) *ReleasePolicy {
		return &ReleasePolicy{ContentType: "c", Data: []byte(data), Immutable: immutable}
	}
	exportable := func(p *ReleasePolicy) KeyInput {
		k := someKey("1")
		k.Exportable, k.Release = true, p
		return KeyInput{Content: k}
	}
	r := newRig()
	ctx := t.Context()
	add := func(in KeyInput) error { return only2(r.keys().Add(ctx, "a", in)) }
	patch := func(p *ReleasePolicy) error { return only2(r.keys().Update(ctx, "a", "", KeyPatch{Release: p})) }
	wrong := &Invalid{}
	for _, tt := range []struct {
		what string
		err  error
		ok   bool
	}{
		{"exportable without a policy", add(exportable(nil)), false},
		{"exportable with one", add(exportable(policy("1", false))), true},
		{"a later version without one", add(exportable(nil)), true},
		{"another policy", patch(policy("2", false)), true},
		{"made immutable", patch(policy("2", true)), true},
		{"set to what it is", patch(policy("2", true)), true},
		{"changed after that", patch(policy("3", true)), false},
		{"made mutable again", patch(policy("2", false)), false},
		{"a new version that is not exportable", add(KeyInput{Content: someKey("2")}), true},
		{"a policy for that", patch(policy("2", false)), false},
		{"a policy that is too large", patch(policy(strings.Repeat("x", maxRelease+1), false)), false},
	} {
		if (tt.err == nil) != tt.ok || tt.err != nil && !errors.As(tt.err, &wrong) {
			t.Errorf("%s: %v, want ok %v", tt.what, tt.err, tt.ok)
		}
	}
}

func TestKeyLimits(t *testing.T) {
	long := strings.Repeat
	content := func(change func(*KeyContent)) KeyInput { k := someKey("x"); change(&k); return KeyInput{Content: k} }
	for _, tt := range []struct {
		name string
		in   KeyInput
		want string
	}{
		{"a", KeyInput{}, ""},
		{"a_b", KeyInput{}, "name"},
		{long("a", 128), KeyInput{}, "name"},
		{"a", KeyInput{Tags: []Tag{{long("ä", 256), long("ä", 256)}}}, ""},
		{"a", KeyInput{Tags: []Tag{{long("n", 257), "v"}}}, "tags"},
		{"a", KeyInput{Tags: []Tag{{"n", long("v", 257)}}}, "tags"},
		{"a", KeyInput{Tags: make([]Tag, 15)}, ""},
		{"a", KeyInput{Tags: make([]Tag, 16)}, "tags"},
		{"a", content(func(k *KeyContent) { k.Operations = make([]string, 17) }), "key_ops"},
		{"a", content(func(k *KeyContent) { k.Material = make([]byte, maxMaterial+1) }), "key"},
		{"a", content(func(k *KeyContent) { k.Size = -1 }), "key_size"},
	} {
		got := ""
		if invalid := new(Invalid); errors.As(only2(newRig().keys().Add(t.Context(), tt.name, tt.in)), &invalid) {
			got = invalid.Property
		}
		if got != tt.want {
			t.Errorf("Add(%.10q, %.60v) refuses %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

// TestFirstKey: what must be the first version is made where there is no
// key, and nowhere else.
func TestFirstKey(t *testing.T) {
	r := newRig()
	first := KeyInput{Content: someKey("first"), First: true}
	if _, _, err := r.keys().Add(t.Context(), "a", first); err != nil {
		t.Fatalf("Add = %v", err)
	}
	if _, _, err := r.keys().Add(t.Context(), "a", first); !errors.Is(err, Exists) {
		t.Errorf("Add again = %v, want Exists", err)
	}
	if page, err := r.keys().Versions(t.Context(), "a", "", 9); err != nil || len(page.Keys) != 1 {
		t.Errorf("%d versions, %v, want 1", len(page.Keys), err)
	}
}

// TestKeyValuesStayInside: what goes out of lists and metadata has no
// material.
func TestKeyValuesStayInside(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	for range 3 {
		_ = must2(r.keys().Add(ctx, "a", KeyInput{Content: someKey("planted")}))
	}
	o, _, _ := r.keys().Get(ctx, "a", "")
	items := append(must(r.keys().List(ctx, "", 25)).Keys, must(r.keys().Versions(ctx, "a", "", 25)).Keys...)
	if len(items) != 4 {
		t.Errorf("List and Versions have %d items, want 1 and 3", len(items))
	}
	for _, i := range append(items, KeyItem{Object: o}) {
		if i.Object.Version.Value != "" || i.Content.Material != nil {
			t.Errorf("an item has the value %q and the material %q", i.Object.Version.Value, i.Content.Material)
		}
	}
	for _, item := range r.dump(t) {
		if strings.Contains(string(item.Value), "planted") {
			t.Errorf("%s holds material in the open", item.Key)
		}
	}
}
