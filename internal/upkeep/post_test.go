package upkeep

import (
	"testing"
	"time"

	"postern/internal/estate"
	"postern/internal/eventgrid"
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
