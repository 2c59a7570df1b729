package vault

import (
	"context"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// fatal is what of *testing.T and *rapid.T a check needs.
type fatal interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}

// checkIndexes holds the two indexes to the objects: every key that an
// object has is there, and no other.
func checkIndexes(t fatal, r *rig) {
	t.Helper()
	items, err := r.store.Range(context.Background(), "", "", 0)
	if err != nil {
		t.Fatalf("reading the store: %v", err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	for _, item := range items {
		prefix, rest, _ := strings.Cut(item.Key, "/")
		switch kind := strings.TrimPrefix(prefix, "deleted"); kind {
		case "due", "purge":
			got[item.Key] = true
		case kindSecrets, kindKeys, kindCertificates:
			c := &collection{kind: kind, key: r.Key, now: r.Now}
			o, err := c.openObject(item)
			if err != nil {
				t.Fatalf("%v", err)
			}
			if key := c.indexKey(&o); key != "" {
				want[key] = true
			}
		case kindPending:
			_, p, _, err := (&Certificates{Space: r.store, Key: r.Key}).readPending(context.Background(), rest)
			if err != nil {
				t.Fatalf("%v", err)
			}
			if key := p.indexKey(); key != "" {
				want[key] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the indexes are not what the objects say (-want +got):\n%s", diff)
	}
}
