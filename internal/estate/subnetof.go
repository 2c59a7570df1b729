package estate

import (
	"net/netip"
	"slices"
	"sort"
)

// subnetSpan is a run of addresses of one family, both ends included, and
// the subnet that they are proved to be in.
type subnetSpan struct {
	first, last netip.Addr
	subnet      *Subnet
}

// SubnetOf finds the subnet whose prefix holds an address, the longest of
// several in one network. When subnets of several networks do, none is
// proved and ok is false.
func (n *Network) SubnetOf(a netip.Addr) (s *Subnet, ok bool) {
	if a.Zone() != "" {
		return nil, false // no prefix holds an address with a zone
	}
	lo, hi := 0, len(n.spans)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if n.spans[mid].last.Less(a) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(n.spans) || a.Less(n.spans[lo].first) {
		return nil, false
	}
	return n.spans[lo].subnet, true
}

// disjoint cuts prefixes, the longest first, into disjoint spans in order:
// what SubnetOf searches. Addresses that are in subnets of several networks
// are in no span.
func disjoint(prefixes []subnetPrefix) []subnetSpan {
	if len(prefixes) == 0 {
		return nil
	}
	var cuts []netip.Addr // where the set of prefixes that hold an address may change
	begin := make([]int, len(prefixes))
	for i, p := range prefixes {
		begin[i] = i
		cuts = append(cuts, p.prefix.Addr())
		if after := lastAddr(p.prefix).Next(); after.IsValid() {
			cuts = append(cuts, after)
		}
	}
	slices.SortFunc(cuts, netip.Addr.Compare)
	cuts = slices.Compact(cuts)
	sort.SliceStable(begin, func(i, j int) bool {
		return prefixes[begin[i]].prefix.Addr().Less(prefixes[begin[j]].prefix.Addr())
	})
	var spans []subnetSpan
	var open []int // those that hold the current cut, as indexes
	at := 0
	for i, cut := range cuts {
		for ; at < len(begin) && prefixes[begin[at]].prefix.Addr() == cut; at++ {
			open = append(open, begin[at])
		}
		open = slices.DeleteFunc(open, func(k int) bool { return !prefixes[k].prefix.Contains(cut) })
		subnet := only(prefixes, open)
		if subnet == nil {
			continue
		}
		last := lastAddr(prefixes[slices.Min(open)].prefix)
		if i+1 < len(cuts) && cuts[i+1].BitLen() == cut.BitLen() {
			last = cuts[i+1].Prev()
		}
		if k := len(spans) - 1; k >= 0 && spans[k].subnet == subnet && spans[k].last.Next() == cut {
			spans[k].last = last
			continue
		}
		spans = append(spans, subnetSpan{cut, last, subnet})
	}
	return spans
}

// only is the subnet of the longest of the open prefixes, if all of them
// are of one network.
func only(prefixes []subnetPrefix, open []int) *Subnet {
	if len(open) == 0 {
		return nil
	}
	longest := prefixes[slices.Min(open)].subnet
	for _, k := range open {
		if prefixes[k].subnet.Network != longest.Network {
			return nil
		}
	}
	return longest
}

// lastAddr is the last address of a masked prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
