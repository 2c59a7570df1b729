package access

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// plainFind is the index as a loop.
func plainFind(prefixes []netip.Prefix, a netip.Addr) int32 {
	for i, p := range prefixes {
		if plainPrefix(p).Contains(plain(a)) {
			return int32(i)
		}
	}
	return NoRule
}

func checkIndex(t *testing.T, prefixes []netip.Prefix, addrs []netip.Addr) {
	t.Helper()
	index := newAddressIndex(prefixes)
	for _, spans := range [][]span{index.v4, index.v6} {
		for i, s := range spans {
			if s.last.less(s.first) || i > 0 && !spans[i-1].last.less(s.first) {
				t.Fatalf("newAddressIndex(%v) = %v, want disjoint spans in order", prefixes, spans)
			}
		}
	}
	for _, p := range prefixes { // the edges of every prefix, and one beyond
		if p = plainPrefix(p); !p.IsValid() {
			continue
		}
		first, last := p.Addr(), lastAddr(p)
		addrs = append(addrs, first, first.Prev(), last, last.Next())
	}
	for _, a := range addrs {
		if got, want := index.find(a), plainFind(prefixes, a); got != want {
			t.Fatalf("find(%v) in %v = %d, want %d", a, prefixes, got, want)
		}
	}
}

// lastAddr is the last address of a prefix, by setting its host bits.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestAddressIndex(t *testing.T) {
	addrs := []netip.Addr{{}, netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("255.255.255.255"), netip.MustParseAddr("::"),
		netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), netip.MustParseAddr("::ffff:203.0.113.7"), netip.MustParseAddr("fe80::1%eth0"),
		netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("::203.0.113.7")}
	for _, texts := range [][]string{
		{},
		{"0.0.0.0/0"},
		{"::/0"},
		{"0.0.0.0/0", "::/0"},
		{"0.0.0.0/1", "128.0.0.0/1"},
		{"128.0.0.0/1", "0.0.0.0/1"},
		{"255.255.255.255/32", "0.0.0.0/32"},
		{"203.0.113.0/24", "203.0.113.7/32", "203.0.112.0/22"},
		{"203.0.113.7/32", "203.0.113.0/24", "203.0.112.0/22"},
		{"203.0.113.7/32", "203.0.113.7/32"},
		{"203.0.113.0/25", "203.0.113.128/25", "203.0.113.0/24"},
		{"203.0.113.77/24"},
		{"::ffff:203.0.113.0/120"},
		{"::ffff:0.0.0.0/96"},
		{"::ffff:0.0.0.0/90"},
		{"::/1", "8000::/1", "ffff::/16"},
		{"fe80::/10"},
		{"2001:db8::/64", "2001:db8::/65", "2001:db8::/63"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
	} {
		var prefixes []netip.Prefix
		for _, s := range texts {
			prefixes = append(prefixes, netip.MustParsePrefix(s))
		}
		checkIndex(t, prefixes, addrs)
		checkIndex(t, append(prefixes, netip.Prefix{}), addrs)
		checkIndex(t, append([]netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("1.2.3.4"), 99)}, prefixes...), addrs)
	}
}

// TestAddressIndexRandom puts many crowded sets of prefixes to the index.
func TestAddressIndexRandom(t *testing.T) {
	for seed := range uint64(2_000) {
		p := pool{rand.New(rand.NewPCG(seed, 7))}
		checkIndex(t, many(p, 12, p.prefix), many(p, 12, p.addr))
	}
}

// FuzzAddressIndex reads prefixes of 6 or 18 bytes: family, address, bits.
func FuzzAddressIndex(f *testing.F) {
	f.Add([]byte{4, 203, 0, 113, 0, 24, 4, 203, 0, 113, 7, 32}, []byte{203, 0, 113, 7})
	f.Add([]byte{4, 0, 0, 0, 0, 0}, []byte{255, 255, 255, 255})
	f.Add([]byte{6, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 128}, make([]byte, 16))
	f.Add([]byte{6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 203, 0, 113, 0, 120}, []byte{203, 0, 113, 7})
	f.Fuzz(func(t *testing.T, rules, address []byte) {
		var prefixes []netip.Prefix
		for len(rules) > 0 && len(prefixes) < 64 {
			n := 4
			if rules[0] == 6 {
				n = 16
			}
			if len(rules) < n+2 {
				break
			}
			a, _ := netip.AddrFromSlice(rules[1 : n+1])
			prefixes = append(prefixes, netip.PrefixFrom(a, int(rules[n+1])%(a.BitLen()+2)))
			rules = rules[n+2:]
		}
		a, _ := netip.AddrFromSlice(address)
		checkIndex(t, prefixes, []netip.Addr{a})
	})
}

// TestFilter: whatever the number of principals, each of them is found among
// groups that nobody knows, and of the others hardly any.
func TestFilter(t *testing.T) {
	for _, n := range []int{0, 1, minPieces - 1, minPieces, 4000, maxPieces, maxPieces + 1} {
		principals := map[GUID]*holder{}
		for i := range n {
			principals[spread(i)] = &holder{}
		}
		f := newFilter(principals)
		groups := make([]GUID, 0, 2*n+200)
		for i := range n {
			groups = append(groups, spread(i), spread(i+1_000_000))
		}
		for i := range 200 {
			groups = append(groups, spread(i+2_000_000))
		}
		found, more := map[GUID]bool{}, 0
		for i := f.next(groups, 0); i < len(groups); i = f.next(groups, i+1) {
			found[groups[i]] = true
			if principals[groups[i]] == nil {
				more++
			}
		}
		for p := range principals {
			if !found[p] {
				t.Fatalf("%d principals: %v is not found", n, p)
			}
		}
		if most := len(groups) / 20; more > most {
			t.Errorf("%d principals: %d of %d groups are taken for known, want at most %d", n, more, len(groups), most)
		}
	}
}

// spread is a GUID whose bytes are as those of a random one.
func spread(n int) GUID {
	var g GUID
	h := (uint64(n) + 1) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	binary.BigEndian.PutUint64(g[:8], h*0xbf58476d1ce4e5b9)
	h ^= h >> 32
	binary.BigEndian.PutUint64(g[8:], h*0x94d049bb133111eb)
	return g
}
