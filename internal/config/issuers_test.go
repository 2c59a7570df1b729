package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestIssuers: the list is the same from a file and in words, and a change
// of it is a difference that a reload applies.
func TestIssuers(t *testing.T) {
	const list = `[{issuer: "https://a.example", tenant: t, audiences: [x, y], keysURL: "https://a.example/k", claims: {groups: roles}}, {issuer: "https://b.example", keysFile: k, caFile: c}]`
	want := []Issuer{{Issuer: "https://a.example", Tenant: "t", Audiences: []string{"x", "y"}, KeysURL: "https://a.example/k", Claims: map[string]string{"groups": "roles"}},
		{Issuer: "https://b.example", KeysFile: "k", CAFile: "c"}}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("issuers: "+list+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	read, said := Default(), Default()
	if err := read.Load(file); err != nil {
		t.Fatal(err)
	}
	for _, s := range said.Settings() {
		if s.Key != "issuers" {
			continue
		}
		if err := s.Set(list); err != nil {
			t.Errorf("Set = %v", err)
		}
		for _, bad := range []string{"[{isuer: x}]", "{", "x"} {
			if err := s.Set(bad); err == nil {
				t.Errorf("Set(%s) = nil, want an error", bad)
			}
		}
	}
	if diff := cmp.Diff(want, read.Issuers); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	none := Default()
	if got := Differences(&none, &read); len(got) != 1 || got[0].Key != "issuers" || !got[0].Reload {
		t.Errorf("Differences = %v, want issuers", got)
	}
}
