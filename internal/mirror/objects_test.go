package mirror_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/mirror"
)

// read is one member of an object of the site, "" when there is no such
// object.
func (s *site) read(t *testing.T, path string, members ...string) string {
	t.Helper()
	status, answer := s.Do("GET", s.side.URL+path+"?api-version=2026-04-01", nil)
	if status != 200 {
		return ""
	}
	var at any
	if err := json.Unmarshal(answer, &at); err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		at = at.(map[string]any)[m]
	}
	text, err := json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(string(text), `"`)
}

const policy = `{"policy":{"issuer":{"name":"Self"},"x509_props":{"subject":"CN=web"},"key_props":{"kty":"EC","crv":"P-256","exportable":EXPORTABLE},` +
	`"secret_props":{"contentType":"application/x-pem-file"}},"tags":{"a":"b"}}`

// await asks for a certificate's operation, which issues it.
func (s *site) await(t *testing.T, name string) {
	t.Helper()
	for range 5 {
		if s.read(t, "/certificates/"+name+"/pending", "status") == "completed" {
			return
		}
	}
	t.Fatalf("the certificate %s is not issued", name)
}

func TestCertificates(t *testing.T) {
	from, to := newSite(t, "first"), newSite(t, "second")
	from.send(t, "POST", "/certificates/open/create", []byte(strings.Replace(policy, "EXPORTABLE", "true", 1)))
	from.send(t, "POST", "/certificates/closed/create", []byte(strings.Replace(policy, "EXPORTABLE", "false", 1)))
	from.await(t, "open")
	from.await(t, "closed")
	options := mirror.Options{From: from.side, To: to.side}
	want := []string{"left certificates/closed", "create certificates/open"}
	if got := run(t, options); cmp.Diff(want, steps(got)) != "" {
		t.Errorf("the first run (-want +got):\n%s", cmp.Diff(want, steps(got)))
	}
	for _, tt := range []struct{ path, member string }{
		{"/certificates/open", "cer"}, {"/certificates/open", "x5t"}, {"/certificates/open", "tags"}, {"/secrets/open", "value"}, {"/secrets/open", "contentType"},
	} {
		if f, g := from.read(t, tt.path, tt.member), to.read(t, tt.path, tt.member); f == "" || f != g {
			t.Errorf("%s of %s = %q, want %q", tt.member, tt.path, g, f)
		}
	}
	if f, g := from.read(t, "/keys/open", "key", "x"), to.read(t, "/keys/open", "key", "x"); f == "" || f != g {
		t.Errorf("the key = %q, want %q", g, f)
	}
	if got := run(t, options); got.Count(mirror.Same) != 1 || got.Count(mirror.Left) != 1 {
		t.Errorf("the second run: %v, want open the same", steps(got))
	}
	from.send(t, "PATCH", "/certificates/open/", []byte(`{"tags":{"c":"d"}}`))
	from.send(t, "PATCH", "/certificates/open/policy", []byte(`{"lifetime_actions":[{"trigger":{"days_before_expiry":10},"action":{"action_type":"AutoRenew"}}]}`))
	if got := run(t, options); got.Count(mirror.Amend) != 1 {
		t.Errorf("after a change of tags and policy: %v, want one amended", steps(got))
	}
	if got := to.read(t, "/certificates/open", "tags", "c"); got != "d" {
		t.Errorf("the tag c = %q, want d", got)
	}
	from.send(t, "POST", "/certificates/open/create", []byte(strings.Replace(policy, "EXPORTABLE", "true", 1)))
	from.await(t, "open")
	if got := run(t, options); got.Count(mirror.Update) != 1 {
		t.Errorf("after a renewal: %v, want one update", steps(got))
	}
	if f, g := from.read(t, "/certificates/open", "cer"), to.read(t, "/certificates/open", "cer"); f != g {
		t.Error("after a renewal the certificates differ")
	}
	to.send(t, "DELETE", "/certificates/open", nil)
	if got := run(t, options); got.Count(mirror.Recover) != 1 {
		t.Errorf("after a deletion: %v, want it recovered", steps(got))
	}
}

func TestKeys(t *testing.T) {
	from, other := newSite(t, "first"), newSite(t, "second")
	near := from.CreateVault("nearby")
	from.send(t, "POST", "/keys/k/create", []byte(`{"kty":"EC","tags":{"a":"b"}}`))
	kinds := []mirror.Kind{mirror.Keys}
	within := mirror.Options{From: from.side, To: mirror.Side{URL: near.URL, Credential: from.side.Credential, Client: from.side.Client}, Kinds: kinds}
	nearby := &site{Postern: from.Postern, side: within.To}
	for _, want := range []string{"create keys/k", "same keys/k"} {
		if got := steps(run(t, within)); cmp.Diff([]string{want}, got) != "" {
			t.Errorf("within one server: %v, want %s", got, want)
		}
	}
	if f, g := from.read(t, "/keys/k", "key", "x"), nearby.read(t, "/keys/k", "key", "x"); f == "" || f != g {
		t.Errorf("the key = %q, want %q", g, f)
	}
	from.send(t, "PATCH", "/keys/k/", []byte(`{"key_ops":["verify"],"tags":{"c":"d"}}`))
	if got := steps(run(t, within)); cmp.Diff([]string{"amend keys/k"}, got) != "" {
		t.Errorf("after a change: %v, want it amended", got)
	}
	if got := nearby.read(t, "/keys/k", "key", "key_ops"); got != `["verify"]` {
		t.Errorf("key_ops = %s", got)
	}
	from.send(t, "POST", "/keys/k/rotate", nil)
	if got := run(t, within); got.Count(mirror.Left) != 1 || !strings.Contains(got.Steps[0].Reason, "another key") {
		t.Errorf("after a rotation: %+v, want it left", got.Steps)
	}
	away := mirror.Options{From: from.side, To: other.side, Kinds: kinds}
	if got := run(t, away); got.Count(mirror.Left) != 1 || !strings.Contains(got.Steps[0].Reason, "does not take the backup") {
		t.Errorf("to another subscription: %+v, want it left", got.Steps)
	}
}
