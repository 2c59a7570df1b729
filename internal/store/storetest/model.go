package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/internal/store"
)

// testModel runs random transactions and reads against the store and against
// a map, which must always agree.
func testModel(t *testing.T, open func(t *testing.T) store.Store) {
	s := open(t)
	t.Cleanup(func() { s.Close() })
	// A store is expensive to make, so all runs share one: each begins by
	// emptying it.
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, ctx: t, s: s, items: map[string]modelItem{}}
		m.empty()
		rt.Repeat(map[string]func(*rapid.T){
			"commit": m.commit,
			"get":    m.get,
			"range":  m.ranges,
		})
	})
}

// modelItem is what the model knows of a key: its value, and the number of
// the transaction that wrote it.
type modelItem struct {
	value string
	at    int
}

type model struct {
	t     *rapid.T
	ctx   *testing.T
	s     store.Store
	items map[string]modelItem
	// commits numbers the transactions; read is every item the store ever
	// gave out, with the number that the model had for it.
	commits int
	read    []readItem
}

type readItem struct {
	item store.Item
	at   int
}

var (
	keys   = rapid.StringMatching(`[ab]/[xyz]{1,2}|[ab]`)
	values = rapid.SampledFrom([]string{"", "v", "w", strings.Repeat("long", 2000)})
)

func (m *model) empty() {
	items, err := m.s.Range(m.ctx.Context(), "", "", 0)
	if err != nil {
		m.t.Fatal(err)
	}
	var tx store.Tx
	for _, item := range items {
		tx.Delete(item.Key)
	}
	if err := m.s.Commit(m.ctx.Context(), &tx); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) commit(t *rapid.T) {
	var tx store.Tx
	want := error(nil)
	for range rapid.IntRange(0, 2).Draw(t, "conditions") {
		if len(m.read) > 0 && rapid.Bool().Draw(t, "unchanged") {
			r := rapid.SampledFrom(m.read).Draw(t, "item")
			tx.Unchanged(r.item)
			if m.items[r.item.Key].at != r.at {
				want = store.ErrConflict
			}
			continue
		}
		key := keys.Draw(t, "absent")
		tx.Absent(key)
		if _, ok := m.items[key]; ok {
			want = store.ErrConflict
		}
	}
	m.commits++
	next := map[string]modelItem{}
	for k, v := range m.items {
		next[k] = v
	}
	for range rapid.IntRange(0, 4).Draw(t, "operations") {
		key := keys.Draw(t, "key")
		if rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
			tx.Delete(key)
			delete(next, key)
			continue
		}
		value := values.Draw(t, "value")
		tx.Put(key, []byte(value))
		next[key] = modelItem{value, m.commits}
	}
	if err := m.s.Commit(m.ctx.Context(), &tx); !errors.Is(err, want) {
		t.Fatalf("Commit(%+v) = %v, want %v", tx, err, want)
	}
	if want == nil {
		m.items = next
	}
}

func (m *model) get(t *rapid.T) {
	key := keys.Draw(t, "key")
	item, err := m.s.Get(m.ctx.Context(), key)
	want, ok := m.items[key]
	if !ok {
		if !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Get(%q) = %v, %v, want %v", key, item, err, store.ErrNotFound)
		}
		return
	}
	if err != nil || string(item.Value) != want.value {
		t.Fatalf("Get(%q) = %q, %v, want %q", key, item.Value, err, want.value)
	}
	m.read = append(m.read, readItem{item, want.at})
}

func (m *model) ranges(t *rapid.T) {
	prefix := rapid.SampledFrom([]string{"", "a", "a/", "b/x", "c"}).Draw(t, "prefix")
	after := rapid.OneOf(rapid.Just(""), keys).Draw(t, "after")
	limit := rapid.IntRange(-1, 4).Draw(t, "limit")
	var want []string
	for key := range m.items {
		if strings.HasPrefix(key, prefix) && key > after {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	if limit > 0 && len(want) > limit {
		want = want[:limit]
	}
	items, err := m.s.Range(m.ctx.Context(), prefix, after, limit)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, item := range items {
		got = append(got, item.Key)
		if w := m.items[item.Key]; string(item.Value) != w.value {
			t.Fatalf("Range: value of %q = %q, want %q", item.Key, item.Value, w.value)
		}
		m.read = append(m.read, readItem{item, m.items[item.Key].at})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("Range(%q, %q, %d) (-want +got):\n%s", prefix, after, limit, diff)
	}
}
