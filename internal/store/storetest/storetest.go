// Package storetest is the contract of package store as tests. Every store
// runs all of them, without exceptions.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/store"
)

// Run holds the stores that open makes to the contract. Each call of open
// gives an empty store, which the suite closes.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"PutGetDelete", testPutGetDelete},
		{"EmptyValue", testEmptyValue},
		{"Range", testRange},
		{"Limits", testLimits},
		{"LaterOperationsWin", testLaterOperationsWin},
		{"Conflicts", testConflicts},
		{"ConflictChangesNothing", testConflictChangesNothing},
		{"RevisionsAreNeverUsedAgain", testRevisions},
		{"ConditionsSeeTheStateBefore", testConditionsBefore},
		{"ValuesAreTheCallers", testValuesAreTheCallers},
		{"EndedContext", testEndedContext},
		{"ConcurrentCounters", testConcurrentCounters},
		{"ConcurrentTransfers", testConcurrentTransfers},
		{"WriteSkew", testWriteSkew},
		{"Closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { s.Close() })
			test.run(t, s)
		})
	}
	t.Run("Model", func(t *testing.T) { testModel(t, open) })
}

// rows reads a range as "key=value" rows.
func rows(t *testing.T, s store.Store, prefix, after string, limit int) []string {
	t.Helper()
	items, err := s.Range(t.Context(), prefix, after, limit)
	if err != nil {
		t.Fatalf("Range(%q, %q, %d) = %v", prefix, after, limit, err)
	}
	var out []string
	for _, item := range items {
		out = append(out, item.Key+"="+string(item.Value))
	}
	return out
}

func get(t *testing.T, s store.Store, key string) store.Item {
	t.Helper()
	item, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%q) = %v", key, err)
	}
	return item
}

// transaction makes a Tx in one expression.
func transaction(fill func(tx *store.Tx)) *store.Tx {
	var tx store.Tx
	fill(&tx)
	return &tx
}

func commit(t *testing.T, s store.Store, fill func(tx *store.Tx)) {
	t.Helper()
	if err := s.Commit(t.Context(), transaction(fill)); err != nil {
		t.Fatalf("Commit = %v, want nil", err)
	}
}

func wantCommit(t *testing.T, s store.Store, want error, fill func(tx *store.Tx)) {
	t.Helper()
	if err := s.Commit(t.Context(), transaction(fill)); !errors.Is(err, want) {
		t.Errorf("Commit = %v, want %v", err, want)
	}
}

func wantRows(t *testing.T, s store.Store, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, rows(t, s, "", "", 0)); diff != "" {
		t.Errorf("the store (-want +got):\n%s", diff)
	}
}

func testPutGetDelete(t *testing.T, s store.Store) {
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of an empty store = %v, want %v", err, store.ErrNotFound)
	}
	commit(t, s, func(tx *store.Tx) { tx.Put("a", []byte("1")); tx.Put("b", []byte("2")) })
	item := get(t, s, "a")
	if item.Key != "a" || string(item.Value) != "1" || item.Revision == 0 {
		t.Errorf("Get(a) = %+v, want value 1 at a revision", item)
	}
	commit(t, s, func(tx *store.Tx) { tx.Put("a", []byte("3")); tx.Delete("b"); tx.Delete("absent") })
	wantRows(t, s, "a=3")
	if again := get(t, s, "a"); again.Revision == item.Revision {
		t.Errorf("revision after a change = %d, want another than before", again.Revision)
	}
	if _, err := s.Get(t.Context(), "b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of a deleted key = %v, want %v", err, store.ErrNotFound)
	}
	commit(t, s, func(*store.Tx) {})
	wantRows(t, s, "a=3")
}

func testEmptyValue(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) { tx.Put("nil", nil); tx.Put("empty", []byte{}) })
	wantRows(t, s, "empty=", "nil=")
	if item := get(t, s, "nil"); len(item.Value) != 0 || item.Revision == 0 {
		t.Errorf("Get of an empty value = %+v, want an item without bytes", item)
	}
}

func testRange(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) {
		for _, key := range []string{"b/2", "a", "b/10", "b", "b/", "c/1", "b0", "b/1", "b/\xff", "\x00"} {
			tx.Put(key, nil)
		}
	})
	for _, test := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"", "", 0, "\x00 a b b/ b/1 b/10 b/2 b/\xff b0 c/1"},
		{"b/", "", 0, "b/ b/1 b/10 b/2 b/\xff"},
		{"b/", "", -1, "b/ b/1 b/10 b/2 b/\xff"},
		{"b/", "", 2, "b/ b/1"},
		{"b/", "b/1", 2, "b/10 b/2"},
		{"b/", "b/1", 100, "b/10 b/2 b/\xff"},
		{"b/", "b/11", 0, "b/2 b/\xff"},
		{"b/", "a", 1, "b/"},
		{"b/", "b/\xff", 0, ""},
		{"b/", "c", 0, ""},
		{"", "b0", 0, "c/1"},
		{"d", "", 0, ""},
		{"b/10", "", 0, "b/10"},
	} {
		items, err := s.Range(t.Context(), test.prefix, test.after, test.limit)
		if err != nil {
			t.Fatalf("Range(%q, %q, %d) = %v", test.prefix, test.after, test.limit, err)
		}
		var keys []string
		for _, item := range items {
			keys = append(keys, item.Key)
		}
		if got := strings.Join(keys, " "); got != test.want {
			t.Errorf("Range(%q, %q, %d) = %q, want %q", test.prefix, test.after, test.limit, got, test.want)
		}
	}
}

func testLimits(t *testing.T, s store.Store) {
	long, big := strings.Repeat("k", store.MaxKey), make([]byte, store.MaxValue)
	commit(t, s, func(tx *store.Tx) { tx.Put(long, big) })
	if item := get(t, s, long); len(item.Value) != store.MaxValue {
		t.Errorf("len(value) = %d, want %d", len(item.Value), store.MaxValue)
	}
	for name, fill := range map[string]func(*store.Tx){
		"empty key":           func(tx *store.Tx) { tx.Put("", nil) },
		"long key":            func(tx *store.Tx) { tx.Put(long+"k", nil) },
		"big value":           func(tx *store.Tx) { tx.Put("k", append(big, 0)) },
		"delete of empty key": func(tx *store.Tx) { tx.Delete("") },
		"condition on empty":  func(tx *store.Tx) { tx.Absent("") },
		"condition on long":   func(tx *store.Tx) { tx.Absent(long + "k") },
	} {
		tx := transaction(func(tx *store.Tx) { tx.Put("beside", nil) })
		fill(tx)
		if err := s.Commit(t.Context(), tx); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Commit with %s = %v, want %v", name, err, store.ErrInvalid)
		}
	}
	if _, err := s.Get(t.Context(), "beside"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what stood beside an invalid operation = %v, want %v", err, store.ErrNotFound)
	}
	for _, key := range []string{"", long + "k"} {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of a key of %d bytes = %v, want %v", len(key), err, store.ErrNotFound)
		}
	}
}

func testLaterOperationsWin(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) {
		tx.Put("a", []byte("1"))
		tx.Delete("a")
		tx.Put("a", []byte("2"))
		tx.Put("b", []byte("1"))
		tx.Delete("b")
	})
	wantRows(t, s, "a=2")
}

func testConflicts(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) { tx.Put("a", []byte("1")) })
	first := get(t, s, "a")
	wantCommit(t, s, store.ErrConflict, func(tx *store.Tx) { tx.Absent("a"); tx.Put("a", []byte("x")) })
	commit(t, s, func(tx *store.Tx) { tx.Unchanged(first); tx.Put("a", []byte("2")) })
	wantCommit(t, s, store.ErrConflict, func(tx *store.Tx) { tx.Unchanged(first); tx.Put("a", []byte("x")) })
	wantCommit(t, s, store.ErrConflict, func(tx *store.Tx) { tx.Unchanged(first) })
	second := get(t, s, "a")
	commit(t, s, func(tx *store.Tx) { tx.Unchanged(second); tx.Absent("b"); tx.Delete("a") })
	wantCommit(t, s, store.ErrConflict, func(tx *store.Tx) { tx.Unchanged(second); tx.Put("a", []byte("x")) })
	commit(t, s, func(tx *store.Tx) { tx.Absent("a"); tx.Put("a", []byte("3")) })
	wantRows(t, s, "a=3")
}

func testConflictChangesNothing(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) { tx.Put("a", []byte("1")); tx.Put("b", []byte("1")) })
	before := get(t, s, "b")
	wantCommit(t, s, store.ErrConflict, func(tx *store.Tx) {
		tx.Put("a", []byte("x"))
		tx.Delete("b")
		tx.Put("c", []byte("x"))
		tx.Unchanged(before)
		tx.Absent("a")
	})
	wantRows(t, s, "a=1", "b=1")
	if after := get(t, s, "b"); after.Revision != before.Revision {
		t.Errorf("revision after a conflict = %d, want %d", after.Revision, before.Revision)
	}
}

// testRevisions: a key that is made again, even with the same value, is not
// what it was.
func testRevisions(t *testing.T, s store.Store) {
	seen := map[store.Revision]bool{}
	for range 5 {
		commit(t, s, func(tx *store.Tx) { tx.Put("a", []byte("same")) })
		item := get(t, s, "a")
		if seen[item.Revision] {
			t.Fatalf("revision %d was used before", item.Revision)
		}
		seen[item.Revision] = true
		ranged, err := s.Range(t.Context(), "a", "", 1)
		if err != nil || len(ranged) != 1 || ranged[0].Revision != item.Revision {
			t.Errorf("Range = %+v, %v, want the revision that Get reads, %d", ranged, err, item.Revision)
		}
		commit(t, s, func(tx *store.Tx) { tx.Delete("a") })
	}
}

// testConditionsBefore: conditions are about what was there before the
// transaction, whatever it does itself.
func testConditionsBefore(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) { tx.Put("a", []byte("1")); tx.Absent("a") })
	item := get(t, s, "a")
	commit(t, s, func(tx *store.Tx) { tx.Delete("a"); tx.Put("a", []byte("2")); tx.Unchanged(item) })
	wantRows(t, s, "a=2")
}

func testValuesAreTheCallers(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) { tx.Put("a", []byte("1")) })
	get(t, s, "a").Value[0] = 'x'
	items, err := s.Range(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	items[0].Value[0] = 'x'
	_ = append(items[0].Value, "more"...)
	wantRows(t, s, "a=1")
}

func testEndedContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, transaction(func(tx *store.Tx) { tx.Put("a", nil) })); !errors.Is(err, ctx.Err()) {
		t.Errorf("Commit with an ended context = %v, want %v", err, ctx.Err())
	}
	if _, err := s.Get(ctx, "a"); !errors.Is(err, ctx.Err()) {
		t.Errorf("Get with an ended context = %v, want %v", err, ctx.Err())
	}
	if _, err := s.Range(ctx, "a", "", 0); !errors.Is(err, ctx.Err()) {
		t.Errorf("Range with an ended context = %v, want %v", err, ctx.Err())
	}
	wantRows(t, s)
}

func testClosed(t *testing.T, s store.Store) {
	commit(t, s, func(tx *store.Tx) { tx.Put("a", nil) })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { // either is right, but nothing else
			err := s.Commit(t.Context(), transaction(func(tx *store.Tx) { tx.Put(fmt.Sprint(i), nil) }))
			if err != nil && !errors.Is(err, store.ErrClosed) {
				t.Errorf("Commit beside Close = %v, want nil or %v", err, store.ErrClosed)
			}
		})
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v, want nil", err)
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("Close() again = %v, want nil", err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get after Close = %v, want %v", err, store.ErrClosed)
	}
	if _, err := s.Range(t.Context(), "", "", 0); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Range after Close = %v, want %v", err, store.ErrClosed)
	}
	wantCommit(t, s, store.ErrClosed, func(tx *store.Tx) { tx.Put("a", nil) })
}
