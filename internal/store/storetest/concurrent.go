package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"postern/internal/store"
)

// number reads a number kept at a key; 0 when there is none.
func number(t *testing.T, s store.Store, key string) (store.Item, uint64, bool) {
	item, err := s.Get(t.Context(), key)
	if errors.Is(err, store.ErrNotFound) {
		return store.Item{Key: key}, 0, true
	}
	if err != nil || len(item.Value) != 8 {
		t.Errorf("Get(%q) = %v, %v, want 8 bytes", key, item, err)
		return item, 0, false
	}
	return item, binary.BigEndian.Uint64(item.Value), true
}

func putNumber(tx *store.Tx, key string, n uint64) {
	tx.Put(key, binary.BigEndian.AppendUint64(nil, n))
}

// testConcurrentCounters: no increment is lost, and each that was told to be
// a conflict was none.
func testConcurrentCounters(t *testing.T, s store.Store) {
	const workers, increments, counters = 8, 25, 3
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := 0; i < increments; {
				key := fmt.Sprint("n", (w+i)%counters)
				item, n, ok := number(t, s, key)
				if !ok {
					return
				}
				var tx store.Tx
				tx.Unchanged(item)
				putNumber(&tx, key, n+1)
				tx.Put(fmt.Sprintf("log/%d/%d", w, i), nil)
				switch err := s.Commit(t.Context(), &tx); {
				case err == nil:
					i++
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("Commit = %v, want nil or %v", err, store.ErrConflict)
					return
				}
			}
		})
	}
	wg.Wait()
	var sum uint64
	for c := range counters {
		_, n, _ := number(t, s, fmt.Sprint("n", c))
		sum += n
	}
	if want := uint64(workers * increments); sum != want {
		t.Errorf("sum of the counters = %d, want %d", sum, want)
	}
	if got := len(rows(t, s, "log/", "", 0)); got != workers*increments {
		t.Errorf("keys written beside the counters = %d, want %d", got, workers*increments)
	}
}

// testConcurrentTransfers: what is moved between accounts never appears nor
// vanishes, in no state that a reader sees in one Range.
func testConcurrentTransfers(t *testing.T, s store.Store) {
	const workers, transfers, accounts, each = 6, 20, 4, 100
	commit(t, s, func(tx *store.Tx) {
		for a := range accounts {
			putNumber(tx, fmt.Sprint("account/", a), each)
		}
	})
	total := func() (sum uint64) {
		items, err := s.Range(t.Context(), "account/", "", 0)
		if err != nil {
			t.Errorf("Range = %v", err)
		}
		for _, item := range items {
			sum += binary.BigEndian.Uint64(item.Value)
		}
		return sum
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range transfers {
				from, to := fmt.Sprint("account/", (w+i)%accounts), fmt.Sprint("account/", (w+i+1+i%2)%accounts)
				a, n, _ := number(t, s, from)
				b, m, _ := number(t, s, to)
				if n == 0 {
					continue
				}
				var tx store.Tx
				tx.Unchanged(a)
				tx.Unchanged(b)
				putNumber(&tx, from, n-1)
				putNumber(&tx, to, m+1)
				if err := s.Commit(t.Context(), &tx); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("Commit = %v", err)
				}
				if got := total(); got != accounts*each {
					t.Errorf("sum of the accounts = %d, want %d", got, accounts*each)
				}
			}
		})
	}
	wg.Wait()
}

// testWriteSkew: of two transactions that each rely on what the other
// changes, one fails. Snapshot isolation would let both pass.
func testWriteSkew(t *testing.T, s store.Store) {
	for round := range 20 {
		x, y := fmt.Sprintf("x%d", round), fmt.Sprintf("y%d", round)
		commit(t, s, func(tx *store.Tx) { tx.Put(x, []byte("on")); tx.Put(y, []byte("on")) })
		onX, onY := get(t, s, x), get(t, s, y)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, key := range []string{x, y} {
			wg.Go(func() {
				var tx store.Tx
				tx.Unchanged(onX)
				tx.Unchanged(onY)
				tx.Put(key, []byte("off"))
				errs[i] = s.Commit(t.Context(), &tx)
			})
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("Commits that exclude one another = %v, %v, want one nil", errs[0], errs[1])
		}
	}
}
