//go:build linux

package journal_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"postern/internal/journal"
	"postern/internal/store"
	"postern/internal/store/bolt"
)

// typical is the record of a request as the data plane writes it.
func typical() *journal.Record {
	r := &journal.Record{Time: time.Now(), OperationName: "SecretSet", OperationVersion: "2025-07-01",
		ResourceID:    "/subscriptions/6b8f3f5e-0f2a-4d55-9a55-6f1f6d1f0d10/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/myvault",
		CorrelationID: "6b8f3f5e-0f2a-4d55-9a55-6f1f6d1f0d10", CallerIP: netip.MustParseAddr("203.0.113.7"),
		RequestURI: "https://myvault.vault.azure.net/secrets/database-password/4387e9f3d6e14c459867679a90fd0f79?api-version=2025-07-01",
		ID:         "https://myvault.vault.azure.net/secrets/database-password/4387e9f3d6e14c459867679a90fd0f79",
		ClientInfo: "azsdk-go-azsecrets/v1.5.1 (go1.26; linux)", TLSVersion: "TLS1_3", AddrAuthType: "PublicIP",
		AddressAuthorized: journal.Yes, RBACAuthorized: journal.Yes, AssignmentID: "6b8f3f5e0f2a4d559a556f1f6d1f0d10",
		Identity: journal.Identity{Object: "6b8f3f5e-0f2a-4d55-9a55-6f1f6d1f0d10", App: "6b8f3f5e-0f2a-4d55-9a55-6f1f6d1f0d11",
			Issuer: "https://sts.windows.net/6b8f3f5e-0f2a-4d55-9a55-6f1f6d1f0d12/", Type: "app"}}
	r.Answered(200)
	return r
}

// BenchmarkAppend is what a request pays for its record.
func BenchmarkAppend(b *testing.B) {
	j, err := journal.Open(b.TempDir(), journal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	r := typical()
	b.ReportAllocs()
	for b.Loop() {
		if err := j.Append(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommitAlone and BenchmarkCommit64 tell how many durable changes
// there are, each committed with its record and delivered, for each append
// and fdatasync of the same bytes to a plain file: the least that a durable
// write can cost. The two take turns, so that what else the machine does
// meets both.
func BenchmarkCommitAlone(b *testing.B) { benchmarkCommit(b, 1) }

// BenchmarkCommit64 is BenchmarkCommitAlone with 64 writers.
func BenchmarkCommit64(b *testing.B) { benchmarkCommit(b, 64) }

func benchmarkCommit(b *testing.B, writers int) {
	dir := b.TempDir()
	s, err := bolt.Open(filepath.Join(dir, "store.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{Store: s})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	raw, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()

	object := make([]byte, 1024) // a secret's version, sealed, with its attributes
	_, outbox := j.Outbox(typical())
	line := slices.Concat(object, outbox)
	const round = 64 // changes that a writer makes before the other side's turn
	var n atomic.Int64
	var ratios []float64
	commits, changes := s.Commits(), 0
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
				r := typical()
				for range round {
					put(b, s, j, r, fmt.Sprintf("o/vault/secrets/%06d", n.Add(1)%10_000), object)
				}
			})
		}
		wg.Wait()
		each := time.Since(start) / time.Duration(round*writers)
		changes += round * writers
		ratios = append(ratios, float64(base)/float64(each))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "×raw")
	b.ReportMetric(float64(s.Commits()-commits)/float64(changes), "bbolt-commits/op")
}

// put makes one change durable, as the data plane does.
func put(b *testing.B, s *bolt.Store, j *journal.Journal, r *journal.Record, key string, object []byte) {
	var tx store.Tx
	tx.Put(key, object)
	outbox, value := j.Outbox(r)
	tx.Put(outbox, value)
	if err := s.Commit(b.Context(), &tx); err != nil {
		b.Error(err)
	}
	if err := j.Deliver(r, outbox); err != nil {
		b.Error(err)
	}
}
