package estate

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// plainSubnetOf is SubnetOf by reading the prefixes one after the other.
func plainSubnetOf(prefixes []subnetPrefix, a netip.Addr) *Subnet {
	for i, p := range prefixes {
		if !p.prefix.Contains(a) {
			continue
		}
		for _, other := range prefixes[i+1:] {
			if other.prefix.Contains(a) && other.subnet.Network != p.subnet.Network {
				return nil
			}
		}
		return p.subnet
	}
	return nil
}

// networkOf makes a network of prefixes, as compileNetwork does.
func networkOf(prefixes []subnetPrefix) *Network {
	slices.SortStableFunc(prefixes, func(a, b subnetPrefix) int { return b.prefix.Bits() - a.prefix.Bits() })
	return &Network{prefixes: prefixes, spans: disjoint(prefixes)}
}

// FuzzSubnetOf holds the sorted form equal to the plain one, at the ends of
// every prefix and beside them.
func FuzzSubnetOf(f *testing.F) {
	f.Add([]byte{0, 10, 0, 0, 0, 16, 1, 10, 0, 1, 0, 24, 2, 10, 0, 1, 0, 25})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 32, 9, 0, 0, 0, 0, 0, 8, 255, 255, 255, 255, 128})
	f.Add([]byte{0, 10, 0, 0, 0, 8, 4, 10, 0, 0, 0, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		var networks [4]VirtualNetwork
		var prefixes []subnetPrefix
		for ; len(data) >= 6 && len(prefixes) < 64; data = data[6:] {
			a := netip.AddrFrom4([4]byte(data[1:5]))
			if data[0]&8 != 0 { // spread over the IPv6 space, mapped addresses included
				b := a.As16()
				if data[0]&16 == 0 {
					copy(b[:], data[1:5])
				}
				a = netip.AddrFrom16(b)
			}
			p, err := a.Prefix(int(data[5]) % (a.BitLen() + 1))
			if err != nil {
				t.Fatal(err)
			}
			prefixes = append(prefixes, subnetPrefix{p, &Subnet{Name: fmt.Sprint(len(prefixes)), Network: &networks[data[0]&3]}})
		}
		n := networkOf(prefixes)
		asked := []netip.Addr{{}, netip.MustParseAddr("fe80::1%eth0")}
		for _, p := range prefixes {
			for _, a := range []netip.Addr{p.prefix.Addr(), lastAddr(p.prefix)} {
				asked = append(asked, a, a.Prev(), a.Next(), a.Unmap(), a.WithZone("x"))
			}
		}
		for _, a := range asked {
			got, ok := n.SubnetOf(a)
			if want := plainSubnetOf(n.prefixes, a); got != want || ok != (want != nil) {
				t.Fatalf("SubnetOf(%v) in %v = %v, want %v", a, n.prefixes, got, want)
			}
		}
	})
}

// BenchmarkSubnetOf is of a thousand subnets in four networks.
func BenchmarkSubnetOf(b *testing.B) {
	var prefixes []subnetPrefix
	for i := range 1000 {
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], 10<<24|uint32(i)<<8)
		prefixes = append(prefixes, subnetPrefix{netip.PrefixFrom(netip.AddrFrom4(raw), 24), &Subnet{Network: &VirtualNetwork{}}})
	}
	n := networkOf(prefixes)
	a := netip.MustParseAddr("10.3.200.9")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := n.SubnetOf(a); !ok {
			b.Fatal("not found")
		}
	}
}
