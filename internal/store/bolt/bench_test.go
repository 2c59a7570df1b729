package bolt

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"postern/internal/store"
)

// benchValue is about what a small secret's version and the journal record
// of its change take.
var benchValue = make([]byte, 1024)

// settled is how many delivered records are deleted at a time.
const settled = 1024

// put commits what a change of one object commits: the object and the record
// of the change.
func put(tb testing.TB, s *Store, n int64) {
	var tx store.Tx
	tx.Put(fmt.Sprintf("o/vault/secrets/%06d", n%10_000), benchValue)
	tx.Put(fmt.Sprintf("j/%016d", n), benchValue)
	if n%settled == 0 { // the journal deletes delivered records in batches
		for i := n - settled; i < n; i++ {
			tx.Delete(fmt.Sprintf("j/%016d", i))
		}
	}
	if err := s.Commit(tb.Context(), &tx); err != nil {
		tb.Error(err)
	}
}

// BenchmarkCommitAlone and BenchmarkCommit64 tell how many durable commits
// there are for each append and fdatasync of the same bytes to a plain file,
// which is the least that a durable write can cost. The two take turns, so
// that what else the machine does meets both.
func BenchmarkCommitAlone(b *testing.B) { benchmarkCommit(b, 1) }

// BenchmarkCommit64 is BenchmarkCommitAlone with 64 writers.
func BenchmarkCommit64(b *testing.B) { benchmarkCommit(b, 64) }

func benchmarkCommit(b *testing.B, writers int) {
	dir := b.TempDir()
	s, err := Open(filepath.Join(dir, "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	raw, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	line := slices.Concat(benchValue, benchValue)
	const round = 64 // commits a writer makes before the other side's turn
	var n atomic.Int64
	var ratios []float64
	commits := s.Commits()
	done := 0
	for b.Loop() {
		start := time.Now()
		for range round {
			if _, err := raw.Write(line); err != nil {
				b.Fatal(err)
			}
			if err := unix.Fdatasync(int(raw.Fd())); err != nil {
				b.Fatal(err)
			}
		}
		base := time.Since(start) / round
		start = time.Now()
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range round {
					put(b, s, n.Add(1))
				}
			})
		}
		wg.Wait()
		each := time.Since(start) / time.Duration(round*writers)
		done += round * writers
		ratios = append(ratios, float64(base)/float64(each))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "×raw")
	b.ReportMetric(float64(s.Commits()-commits)/float64(done), "bbolt-commits/op")
}

// BenchmarkGet reads one of 10,000 keys.
func BenchmarkGet(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var tx store.Tx
	for n := range 10_000 {
		tx.Put(fmt.Sprintf("o/vault/secrets/%06d", n), benchValue[:300])
	}
	if err := s.Commit(b.Context(), &tx); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "o/vault/secrets/004711"); err != nil {
			b.Fatal(err)
		}
	}
}
