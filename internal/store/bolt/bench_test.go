package bolt

import (
	"fmt"
	"path/filepath"
	"testing"

	"postern/internal/store"
)

// BenchmarkGet reads one of 10,000 keys.
func BenchmarkGet(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "store.db"))
	var tx store.Tx
	for n := range 10_000 {
		tx.Put(fmt.Sprintf("o/vault/secrets/%06d", n), make([]byte, 300))
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
