package keysmith_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keyring"
	. "postern/internal/keysmith"
	"postern/internal/seal"
	"postern/internal/store/memory"
	"postern/internal/vault"
)

// TestSpec: what is filled in, and what is refused, of a request.
func TestSpec(t *testing.T) {
	for _, tt := range []struct {
		request Request
		want    keyring.Spec
		refused string
	}{
		{Request{Type: "RSA"}, keyring.Spec{Type: "RSA", Size: 2048}, ""},
		{Request{Type: "RSA-HSM", Size: 4096, Exponent: 3, Curve: "P-256"}, keyring.Spec{Type: "RSA", Size: 4096, Exponent: 3}, ""},
		{Request{Type: "RSA", Size: -1}, keyring.Spec{Type: "RSA", Size: -1}, ""},
		{Request{Type: "RSA", Size: 1<<32 + 2048}, keyring.Spec{Type: "RSA", Size: 1 << 20}, ""},
		{Request{Type: "EC"}, keyring.Spec{Type: "EC", Curve: "P-256"}, ""},
		{Request{Type: "EC-HSM", Size: 521}, keyring.Spec{Type: "EC", Curve: "P-521"}, ""},
		{Request{Type: "EC", Size: 256, Curve: "P-256K"}, keyring.Spec{Type: "EC", Curve: "P-256K"}, ""},
		{Request{Type: "EC", Size: 2048}, keyring.Spec{Type: "EC", Curve: "P-256"}, ""},
		{Request{Type: "oct"}, keyring.Spec{}, "keysmith: no such type of key"},
		{Request{Type: "oct-HSM"}, keyring.Spec{}, "keysmith: no such type of key"},
		{Request{Type: "RSA-HSM-HSM"}, keyring.Spec{}, "keysmith: no such type of key"},
		{Request{}, keyring.Spec{}, "keysmith: no such type of key"},
	} {
		got, err := tt.request.Spec()
		if tt.refused != "" {
			if err == nil || err.Error() != tt.refused {
				t.Errorf("Spec(%+v) = %v, want %s", tt.request, err, tt.refused)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("Spec(%+v) = %+v, %v, want %+v", tt.request, got, err, tt.want)
		}
	}
}

// newKeys is an empty vault.
func newKeys(t *testing.T) *vault.Keys {
	t.Helper()
	root, err := seal.Create(t.TempDir(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ids := 0
	return &vault.Keys{Space: memory.New(), Key: root.Key("vault"), Now: time.Unix(1_700_000_000, 0),
		NewVersion: func() string { ids++; return fmt.Sprintf("%032x", ids) }}
}

func makeKey(_ context.Context, s keyring.Spec) (*keyring.Key, error) {
	return keyring.Generate(rand.Reader, s)
}

// add makes a version of a request.
func add(t *testing.T, keys *vault.Keys, name string, r Request) {
	t.Helper()
	spec, err := r.Spec()
	if err != nil {
		t.Fatal(err)
	}
	k, err := makeKey(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.Add(t.Context(), name, vault.KeyInput{Content: r.Content(k)}); err != nil {
		t.Fatal(err)
	}
}

// TestCheck: which keys a vault can have, and what of a key stays.
func TestCheck(t *testing.T) {
	keys := newKeys(t)
	policy := func(value string, immutable bool) *vault.ReleasePolicy {
		return &vault.ReleasePolicy{ContentType: ReleaseContentType, Immutable: immutable,
			Data: []byte(`{"version":"1.0.0","anyOf":[{"authority":"https://a.example","allOf":[{"claim":"c","equals":"` + value + `"}]}]}`)}
	}
	soft, fixed, other := policy("1", false), policy("1", true), policy("2", true)
	add(t, keys, "plain", Request{Type: "EC-HSM"})
	add(t, keys, "out", Request{Type: "EC-HSM", Exportable: true, Release: soft})
	add(t, keys, "fixed", Request{Type: "EC-HSM", Exportable: true, Release: fixed})
	for _, tt := range []struct {
		name    string
		premium bool
		request Request
		want    error
	}{
		{"new", false, Request{Type: "RSA"}, nil},
		{"new", false, Request{Type: "EC"}, nil},
		{"new", true, Request{Type: "RSA-HSM"}, nil},
		{"new", false, Request{Type: "RSA-HSM"}, NoHardware},
		{"new", true, Request{Type: "oct-HSM"}, Type},
		{"new", false, Request{Type: "RSA", Exportable: true, Release: soft}, NotPremium},
		{"new", true, Request{Type: "RSA", Exportable: true, Release: soft}, Software},
		{"new", true, Request{Type: "EC-HSM", Exportable: true}, PolicyMissing},
		{"new", true, Request{Type: "EC-HSM", Release: soft}, PolicySuperfluous},
		{"new", true, Request{Type: "EC-HSM", Exportable: true, Release: soft}, nil},
		{"plain", true, Request{Type: "EC-HSM", Exportable: true, Release: soft}, Changed},
		{"plain", true, Request{Type: "EC-HSM"}, nil},
		{"plain", true, Request{Type: "EC"}, nil},
		{"out", true, Request{Type: "EC"}, Changed},
		{"out", true, Request{Type: "EC-HSM"}, Changed},
		{"out", true, Request{Type: "EC-HSM", Exportable: true}, nil},
		{"out", true, Request{Type: "EC-HSM", Exportable: true, Release: other}, nil},
		{"fixed", true, Request{Type: "EC-HSM", Exportable: true}, nil},
		{"fixed", true, Request{Type: "EC-HSM", Exportable: true, Release: fixed}, nil},
		{"fixed", true, Request{Type: "EC-HSM", Exportable: true, Release: soft}, Immutable},
		{"fixed", true, Request{Type: "EC-HSM", Exportable: true, Release: other}, Immutable},
	} {
		if got := tt.request.Check(t.Context(), keys, tt.name, tt.premium); got != tt.want {
			t.Errorf("Check(%s, premium %v, %+v) = %v, want %v", tt.name, tt.premium, tt.request, got, tt.want)
		}
	}
}

// TestCheckRelease: a policy that is not understood is refused when it is
// written.
func TestCheckRelease(t *testing.T) {
	for _, tt := range []struct {
		contentType, data string
		want              string
	}{
		{ReleaseContentType, `{"anyOf":[{"authority":"https://a.example","anyOf":[{"claim":"c","equals":"1"}]}]}`, ""},
		{"application/json", `{"anyOf":[{"authority":"https://a.example","anyOf":[{"claim":"c","equals":"1"}]}]}`, ""},
		{"text/plain", `{}`, "release: contentType is not application/json"},
		{"", `{}`, "release: contentType is not application/json"},
		{ReleaseContentType, ``, "release: the policy is not an object"},
		{ReleaseContentType, `{}`, "release: the policy names no authority: anyOf is missing"},
	} {
		got := ""
		if err := CheckRelease(&vault.ReleasePolicy{ContentType: tt.contentType, Data: []byte(tt.data)}); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("CheckRelease(%q, %s) = %q, want %q", tt.contentType, tt.data, got, tt.want)
		}
	}
	if err := CheckRelease(nil); err != nil {
		t.Errorf("CheckRelease(nil) = %v, want nil", err)
	}
}

// TestNext: a rotated key is like the one before, with other material.
func TestNext(t *testing.T) {
	keys := newKeys(t)
	ops := []string{"sign"}
	for _, r := range []Request{
		{Type: "RSA", Size: 3072, Operations: &ops},
		{Type: "RSA", Exponent: 17},
		{Type: "EC-HSM", Curve: "P-384", Exportable: true, Release: &vault.ReleasePolicy{Data: []byte("1")}},
		{Type: "EC", Curve: "P-256K"},
	} {
		add(t, keys, "k", r)
		_, before, err := keys.Get(t.Context(), "k", "")
		if err != nil {
			t.Fatal(err)
		}
		_, after, err := keys.Rotate(t.Context(), "k", Next(t.Context(), makeKey))
		if err != nil {
			t.Fatalf("Rotate(%+v) = %v", r, err)
		}
		k, err := keyring.Open(after.Material)
		if err != nil || string(after.Material) == string(before.Material) || string(k.PublicMaterial()) != string(after.Public) {
			t.Errorf("Rotate(%+v): material is not new, or not that of the public part (%v)", r, err)
		}
		if public, ok := k.Public().(*rsa.PublicKey); ok && r.Exponent != 0 && int64(public.E) != r.Exponent {
			t.Errorf("Rotate(%+v): exponent %d", r, public.E)
		}
		before.Material, before.Public, after.Material, after.Public = nil, nil, nil, nil
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("Rotate(%+v) (-before +after):\n%s", r, diff)
		}
	}
}
