package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"postern/internal/store"
	"postern/internal/store/storetest"
)

func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return openStore(t, filepath.Join(t.TempDir(), "store.db"))
	})
}

func commitPut(t *testing.T, s *Store, key string) {
	t.Helper()
	var tx store.Tx
	tx.Put(key, []byte(key))
	if err := s.Commit(t.Context(), &tx); err != nil {
		t.Error(err)
	}
}

// TestCommitBudget ensures that a lone transaction costs one commit of
// bbolt, that those queued behind a commit share the next one, and that one
// that changes nothing costs none.
func TestCommitBudget(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "store.db"))
	for i := range 3 {
		before := s.Commits()
		commitPut(t, s, fmt.Sprint("alone", i))
		if got := s.Commits() - before; got != 1 {
			t.Errorf("bbolt commits of a lone transaction = %d, want 1", got)
		}
	}

	before := s.Commits()
	s.writer.turn <- struct{}{} // as if a commit were under way
	var wg sync.WaitGroup
	const together = 64
	for i := range together {
		wg.Go(func() { commitPut(t, s, fmt.Sprint("together", i)) })
	}
	for queued := 0; queued < together; {
		s.writer.mu.Lock()
		queued = len(s.writer.queue)
		s.writer.mu.Unlock()
		runtime.Gosched()
	}
	<-s.writer.turn
	wg.Wait()
	if got := s.Commits() - before; got != 1 {
		t.Errorf("bbolt commits of %d transactions that were queued = %d, want 1", together, got)
	}

	before = s.Commits()
	var tx store.Tx
	tx.Absent("alone0")
	tx.Put("alone0", nil)
	if err := s.Commit(t.Context(), &tx); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit = %v, want %v", err, store.ErrConflict)
	}
	if err := s.Commit(t.Context(), new(store.Tx)); err != nil {
		t.Errorf("Commit of nothing = %v, want nil", err)
	}
	if got := s.Commits() - before; got != 0 {
		t.Errorf("bbolt commits of transactions that change nothing = %d, want 0", got)
	}
}

// TestGroup ensures that within a group each transaction sees those before
// it, and that one that conflicts fails alone.
func TestGroup(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "store.db"))
	tests := []struct {
		fill func(*store.Tx)
		want error
	}{
		{func(tx *store.Tx) { tx.Absent("a"); tx.Put("a", []byte("first")) }, nil},
		{func(tx *store.Tx) { tx.Absent("a"); tx.Put("a", []byte("second")); tx.Put("b", nil) }, store.ErrConflict},
		{func(tx *store.Tx) { tx.Absent("b"); tx.Put("c", nil) }, nil},
		{func(tx *store.Tx) { tx.Absent("c"); tx.Delete("a") }, store.ErrConflict},
		{func(tx *store.Tx) { tx.Delete("c") }, nil},
	}
	group := make([]*request, len(tests))
	for i, test := range tests {
		group[i] = &request{tx: new(store.Tx)}
		test.fill(group[i].tx)
	}
	if err := s.commitGroup(group); err != nil {
		t.Fatal(err)
	}
	for i, r := range group {
		if !errors.Is(r.err, tests[i].want) {
			t.Errorf("transaction %d of the group = %v, want %v", i, r.err, tests[i].want)
		}
	}
	items, err := s.Range(t.Context(), "", "", 0)
	if err != nil || len(items) != 1 || string(items[0].Value) != "first" {
		t.Errorf("the store = %v, %v, want a=first alone", items, err)
	}
}

// TestReopen ensures that items and revisions survive, and that revisions go
// on from where they were.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := openStore(t, path)
	commitPut(t, s, "a")
	before, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	after, err := s.Get(t.Context(), "a")
	if err != nil || string(after.Value) != "a" || after.Revision != before.Revision {
		t.Errorf("Get after reopening = %+v, %v, want %+v", after, err, before)
	}
	commitPut(t, s, "b")
	if b, err := s.Get(t.Context(), "b"); err != nil || b.Revision <= after.Revision {
		t.Errorf("revision of the next transaction = %d, %v, want more than %d", b.Revision, err, after.Revision)
	}
}

// TestInUse ensures that a second opener is refused, not left waiting.
func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	openStore(t, path)
	if _, err := Open(path); !errors.Is(err, ErrInUse) {
		t.Errorf("Open of a store in use = %v, want %v", err, ErrInUse)
	}
}

func TestGroupSize(t *testing.T) {
	sized := func(n int) *request {
		tx := new(store.Tx)
		tx.Put("k", make([]byte, n))
		return &request{tx: tx}
	}
	for _, test := range []struct {
		queue []*request
		want  int
	}{
		{[]*request{sized(1)}, 1},
		{[]*request{sized(maxGroup + 1)}, 1},
		{[]*request{sized(1), sized(maxGroup)}, 1},
		{[]*request{sized(1), sized(2), sized(3)}, 3},
		{[]*request{sized(maxGroup / 2), sized(maxGroup/2 - 2), sized(1)}, 2},
	} {
		if got := groupSize(test.queue); got != test.want {
			t.Errorf("groupSize of %d = %d, want %d", len(test.queue), got, test.want)
		}
	}
}

// TestDamagedValue ensures that a value no store wrote is an error, not an
// item.
func TestDamagedValue(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "store.db"))
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketName).Put([]byte("a"), []byte("short")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, errCorrupt) {
		t.Errorf("Get = %v, want %v", err, errCorrupt)
	}
	if _, err := s.Range(t.Context(), "", "", 0); !errors.Is(err, errCorrupt) {
		t.Errorf("Range = %v, want %v", err, errCorrupt)
	}
}

// TestBrokenDisk ensures that after a failed flush nothing is written any
// more, and that everyone is told.
func TestBrokenDisk(t *testing.T) {
	disk := errors.New("disk")
	calls := 0
	var w writer
	w.start(func([]*request) error { calls++; return disk })
	for range 3 {
		tx := new(store.Tx)
		tx.Put("a", nil)
		if err := w.do(tx); !errors.Is(err, disk) {
			t.Errorf("Commit with a broken disk = %v, want %v", err, disk)
		}
	}
	if calls != 1 {
		t.Errorf("groups written = %d, want 1", calls)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("1234567"))
	f.Add(make([]byte, 8))
	f.Add(encode([]byte("value"), 1))
	f.Add(encode(nil, 1<<63))
	f.Fuzz(func(t *testing.T, raw []byte) {
		item, err := decode("k", raw)
		if err != nil {
			return
		}
		if again := encode(item.Value, uint64(item.Revision)); !bytes.Equal(again, raw) {
			t.Errorf("encode(decode(%x)) = %x", raw, again)
		}
	})
}
