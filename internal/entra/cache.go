package entra

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// The cache is a table of buckets: an entry's place follows from its hash,
// so that a look-up reads at most one bucket and nobody waits for anybody.
const (
	buckets = 1024
	ways    = 4
)

// cache remembers the tokens that were found valid, under one keyring and
// with certain foreign issuers. It holds no more than buckets × ways of them.
type cache struct {
	keys    *keyring
	foreign *foreigners
	table   [buckets][ways]atomic.Pointer[entry]
}

// entry is one token that was found valid; it is never changed.
type entry struct {
	sum         [sha256.Size]byte
	identity    *Identity
	from, until int64 // Unix microseconds, between which it holds
}

// cacheSlot holds the cache of the current keyring.
type cacheSlot struct{ p atomic.Pointer[cache] }

// of is the cache for a keyring and foreign issuers. Others than the last
// ones begin an empty cache: nothing that the old keys vouched for is
// remembered.
func (s *cacheSlot) of(keys *keyring, foreign *foreigners) *cache {
	old := s.p.Load()
	if old != nil && old.keys == keys && old.foreign == foreign {
		return old
	}
	fresh := &cache{keys: keys, foreign: foreign}
	s.p.CompareAndSwap(old, fresh) // when another was faster, this one serves one request
	return fresh
}

// bucket is where a hash belongs; its other bytes choose nothing, so nobody
// can aim at a bucket without hashing for it.
func (c *cache) bucket(sum *[sha256.Size]byte) *[ways]atomic.Pointer[entry] {
	return &c.table[binary.LittleEndian.Uint16(sum[:])%buckets]
}

// get finds what is known of a token at a moment; nil for nothing.
func (c *cache) get(sum *[sha256.Size]byte, now time.Time) *Identity {
	b := c.bucket(sum)
	for i := range b {
		if e := b[i].Load(); e != nil && e.sum == *sum {
			if t := now.UnixMicro(); t < e.from || t >= e.until {
				return nil
			}
			return e.identity
		}
	}
	return nil
}

// put remembers a token: in place of itself, in a free place, or in place of
// the one in its bucket that runs out first.
func (c *cache) put(sum *[sha256.Size]byte, id *Identity, from, until time.Time) {
	e := &entry{sum: *sum, identity: id, from: from.UnixMicro(), until: until.UnixMicro()}
	b := c.bucket(sum)
	place, first := 0, int64(0)
	for i := range b {
		old := b[i].Load()
		if old == nil || old.sum == e.sum {
			place = i
			break
		}
		if i == 0 || old.until < first {
			place, first = i, old.until
		}
	}
	b[place].Store(e)
}
