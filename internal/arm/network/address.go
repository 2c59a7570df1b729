package network

import (
	"encoding/binary"
	"net/http"
	"net/netip"

	"postern/internal/estate"
	"postern/internal/fault"
)

// usable is the first and the last address of a subnet that a resource can
// have: the service keeps the first four and the last one (documentation:
// virtual network FAQ).
func usable(p netip.Prefix) (first, last uint32) {
	base := number(p.Masked().Addr())
	return base + 4, (base | (1<<(32-p.Bits()) - 1)) - 1
}

func number(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }

func address(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// free is the first address of a subnet that nothing has.
func free(prefixes []netip.Prefix, taken []occupant) (netip.Addr, bool) {
	used := map[uint32]bool{}
	for _, o := range taken {
		if o.addr.Is4() {
			used[number(o.addr)] = true
		}
	}
	for _, p := range prefixes {
		if !p.Addr().Is4() {
			continue
		}
		// The loop ends one address after the last that is used at most.
		for first, last := usable(p); first <= last; first++ {
			if !used[first] {
				return address(first), true
			}
		}
	}
	return netip.Addr{}, false
}

// place is the address of a new endpoint: the one that was asked for, if
// nothing speaks against it, or the first free one. configuration is the id
// of the IP configuration that is to have it.
func place(o *order, subnet *estate.Subnet, taken []occupant, configuration string) (netip.Addr, error) {
	if !o.address.IsValid() {
		addr, ok := free(subnet.Prefixes, taken)
		if !ok {
			return addr, fault.New(http.StatusBadRequest, "SubnetIsFull", "Subnet %s with address prefix %s does not have enough capacity for 1"+
				" IP addresses.", subnet.Name, first(subnet.Prefixes))
		}
		return addr, nil
	}
	inside := netip.Prefix{}
	for _, p := range subnet.Prefixes {
		if p.Contains(o.address) {
			inside = p
		}
	}
	if !inside.IsValid() {
		return o.address, fault.New(http.StatusBadRequest, "PrivateIPAddressNotInSubnet", "Private static IP address %s does not belong to the range"+
			" of subnet prefix %s.", o.address, first(subnet.Prefixes))
	}
	if low, high := usable(inside); number(o.address) < low || number(o.address) > high {
		return o.address, fault.New(http.StatusBadRequest, "PrivateIPAddressInReservedRange", "Private static IP address %s falls within reserved IP"+
			" range of subnet prefix %s.", o.address, inside)
	}
	for _, other := range taken {
		if other.addr == o.address {
			return o.address, fault.New(http.StatusBadRequest, "PrivateIPAddressIsAllocated", "IP configuration %s is using the private IP address %s"+
				" which is already allocated to resource %s.", configuration, o.address, other.id)
		}
	}
	return o.address, nil
}

func first(prefixes []netip.Prefix) string {
	if len(prefixes) == 0 {
		return ""
	}
	return prefixes[0].String()
}
