package upkeep

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/estate"
	"postern/internal/eventgrid"
	"postern/internal/journal"
	"postern/internal/names"
	"postern/internal/seal"
	"postern/internal/store/memory"
	"postern/internal/vault"
)

// TestReady: nobody reads what waits for a webhook that is left alone for a
// while, and one that answers is not kept waiting by it.
func TestReady(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	v := &estate.Vault{Resource: &estate.Resource{Name: "kv1"}}
	resting, other := post{hook: &eventgrid.Hook{}, next: at.Add(1)}, post{hook: &eventgrid.Hook{Filter: eventgrid.Filter{Vaults: []string{"kv2"}}}}
	for _, tt := range []struct {
		what  string
		posts []*post
		want  bool
	}{
		{"no webhook", nil, false}, {"one that rests", []*post{&resting}, false}, {"one for another vault", []*post{&other}, false},
		{"one", []*post{{hook: &eventgrid.Hook{}, next: at}}, true}, {"one beside one that rests", []*post{&resting, {hook: &eventgrid.Hook{}}}, true},
	} {
		k := &Keeper{Now: func() time.Time { return at }, posts: tt.posts}
		if got := k.ready(v); got != tt.want {
			t.Errorf("ready with %s = %v, want %v", tt.what, got, tt.want)
		}
	}
}

// house is a controller of vaults over a store in memory.
func house(t *testing.T, now func() time.Time, vaults ...string) (*admission.Controller, *estate.Snapshot) {
	t.Helper()
	dir := t.TempDir()
	root, err := seal.Create(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	st := memory.New()
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	var resources []*estate.Resource
	for _, name := range vaults {
		resources = append(resources, &estate.Resource{ID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/" + name, Type: estate.TypeVault, Name: name, UID: name, Location: "eastus",
			Body: json.RawMessage(`{"properties":{}}`)})
	}
	snapshot, _ := estate.New(resources, estate.Options{})
	if len(snapshot.Vaults()) != len(vaults) {
		t.Fatal("not all vaults are there")
	}
	return &admission.Controller{Store: st, Root: root, Journal: j, Now: now}, snapshot
}

// secretsOf are the secrets of a vault.
func secretsOf(c *admission.Controller, v *estate.Vault, now time.Time) *vault.Secrets {
	g := c.Maintain(v, "SecretSet")
	return &vault.Secrets{Terms: g.Terms(), Space: g, Key: g.Key(), Now: now, NewVersion: func() string {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails
		return fmt.Sprintf("%x", b)
	}}
}

// TestShare: a vault with much to do does not keep the others waiting; what
// it could not do is done by the passes that follow.
func TestShare(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	now := func() time.Time { at = at.Add(time.Second); return at } // every look takes its time
	c, snapshot := house(t, now, "busy", "other")
	left := func(name string) int {
		t.Helper()
		v, _ := snapshot.Vault(name)
		due, err := vault.Due(t.Context(), c.Maintain(v, "Look"), time.Unix(2_000_000_000, 0), 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(due)
	}
	for name, n := range map[string]int{"busy": 40, "other": 1} {
		v, _ := snapshot.Vault(name)
		for i := range n {
			if _, err := secretsOf(c, v, at).Set(t.Context(), fmt.Sprint("s", i), vault.SecretInput{Value: "v", Expires: vault.At(at.Unix())}); err != nil {
				t.Fatal(err)
			}
		}
	}
	k := &Keeper{Snapshot: func() *estate.Snapshot { return snapshot }, Admission: c, Names: names.New("postern.localhost", 8443), Now: now, Log: slog.New(slog.DiscardHandler)}
	k.Pass(t.Context())
	if busy, other := left("busy"), left("other"); busy == 0 || busy == 40 || other != 0 {
		t.Errorf("after a pass %d and %d are left, want some of the vault with 40 and none of the other", busy, other)
	}
	for range 40 {
		k.Pass(t.Context())
	}
	if busy := left("busy"); busy != 0 {
		t.Errorf("after many passes %d are left, want none", busy)
	}
}

// TestSilentHook: however much waits for a webhook that does not answer, the
// others are told of everything, and a second time of nothing.
func TestSilentHook(t *testing.T) {
	c, snapshot := house(t, time.Now, "kv1")
	v, _ := snapshot.Vault("kv1")
	var told []string
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var events []struct {
			Subject string
			Data    struct{ ValidationCode string }
		}
		if err := json.NewDecoder(r.Body).Decode(&events); err != nil || len(events) != 1 {
			t.Errorf("the webhook got %+v, %v", events, err)
			return
		}
		if code := events[0].Data.ValidationCode; code != "" {
			_ = json.NewEncoder(w).Encode(map[string]string{"validationResponse": code})
			return
		}
		told = append(told, events[0].Subject)
	}))
	defer listener.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	hooks := []*eventgrid.Hook{{Name: "gone", URL: gone.URL}, {Name: "there", URL: listener.URL}}
	for _, h := range hooks {
		if err := h.Open(); err != nil {
			t.Fatal(err)
		}
		defer h.Close()
	}
	k := &Keeper{Snapshot: func() *estate.Snapshot { return snapshot }, Admission: c, Hooks: hooks, Names: names.New("postern.localhost", 8443), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	c.Events = k.Wanted
	k.opened.Do(k.open)
	k.page = 2
	var want []string
	for i := range 7 {
		name := fmt.Sprint("s", i)
		if _, err := secretsOf(c, v, time.Now()).Set(t.Context(), name, vault.SecretInput{Value: "v"}); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	for range 3 {
		k.Deliver(t.Context(), true)
	}
	slices.Sort(told)
	if !slices.Equal(told, want) {
		t.Errorf("the webhook that answers was told of %q, want %q", told, want)
	}
}
