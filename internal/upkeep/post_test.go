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

// TestSilentHook: however much waits for a webhook that does not answer, the
// others are told of everything, and a second time of nothing.
func TestSilentHook(t *testing.T) {
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
	defer j.Close()
	snapshot, _ := estate.New([]*estate.Resource{{ID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv1", Type: estate.TypeVault, Name: "kv1", UID: "u", Location: "eastus",
		Body: json.RawMessage(`{"properties":{}}`)}}, estate.Options{})
	v, ok := snapshot.Vault("kv1")
	if !ok {
		t.Fatal("no vault")
	}
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
	c := &admission.Controller{Store: st, Root: root, Journal: j, Now: time.Now}
	k := &Keeper{Snapshot: func() *estate.Snapshot { return snapshot }, Admission: c, Hooks: hooks, Names: names.New("postern.localhost", 8443), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	c.Events = k.Wanted
	k.opened.Do(k.open)
	k.page = 2
	ids := 0
	var want []string
	for i := range 7 {
		g := c.Maintain(v, "SecretSet")
		s := vault.Secrets{Terms: g.Terms(), Space: g, Key: g.Key(), Now: time.Now(), NewVersion: func() string { ids++; return fmt.Sprintf("%032x", ids) }}
		name := fmt.Sprint("s", i)
		if _, err := s.Set(t.Context(), name, vault.SecretInput{Value: "v"}); err != nil {
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
