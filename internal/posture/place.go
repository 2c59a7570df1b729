package posture

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/estate"
	"postern/internal/trusted"
)

// PlaceKind is how a place is named. The zero value is by address.
type PlaceKind uint8

// The kinds of place.
const (
	ByAddress PlaceKind = iota
	BySubnet
	ByEndpoint
	ByService
	ByPerimeter
)

// String is the word in front of the colon; "" for an address.
func (k PlaceKind) String() string {
	return [...]string{"", "subnet", "endpoint", "service", "perimeter"}[k]
}

// Place is where somebody says that a caller is.
type Place struct {
	Kind PlaceKind
	// Name is the name or the id of the subnet, the private endpoint or the
	// network security perimeter, or the name of the trusted service.
	Name string
	// Addr is the caller's address. Without one, a subnet and an endpoint
	// stand for any caller in the subnet; a service has none.
	Addr netip.Addr
}

// PlaceForms is how places are written.
const PlaceForms = `203.0.113.7, 2001:db8::7, subnet:NETWORK/SUBNET, endpoint:NAME, service:"Azure Backup", perimeter:NAME; with @ADDRESS behind a name for one address of it`

// ParsePlace reads an address, or KIND:NAME[@ADDRESS].
func ParsePlace(text string) (Place, error) {
	for kind := BySubnet; kind <= ByPerimeter; kind++ {
		name, ok := cutFold(text, kind.String()+":")
		if !ok {
			continue
		}
		p := Place{Kind: kind, Name: name}
		if i := strings.LastIndexByte(name, '@'); i >= 0 {
			addr, err := parseAddr(name[i+1:])
			if err != nil {
				return Place{}, err
			}
			p.Name, p.Addr = name[:i], addr
		}
		if strings.Trim(p.Name, "/ ") == "" {
			return Place{}, fmt.Errorf("%q names no %s", text, kind)
		}
		return p, nil
	}
	addr, err := parseAddr(text)
	return Place{Addr: addr}, err
}

func cutFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// parseAddr reads one address, without range and zone.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is not an address", text)
	}
	return addr.Unmap(), nil
}

// UnknownPlaceError is a place that is not there, or that several are.
type UnknownPlaceError struct {
	Place Place
	// Known are the names that there are, in order.
	Known []string
	// Several is true when the name fits more than one of them.
	Several bool
}

// Error says what was looked for.
func (e *UnknownPlaceError) Error() string {
	if e.Several {
		return fmt.Sprintf("more than one %s is called %q", e.Place.Kind, e.Place.Name)
	}
	return fmt.Sprintf("there is no %s %q", e.Place.Kind, e.Place.Name)
}

// Hint lists what there is.
func (e *UnknownPlaceError) Hint() string {
	const most = 12
	switch {
	case e.Place.Kind == ByService:
		if len(e.Known) == 0 {
			return "the trusted services are listed in the documentation of the service"
		}
		return "did you mean: " + strings.Join(e.Known, ", ")
	case len(e.Known) == 0 && e.Place.Kind == ByEndpoint:
		return "no private endpoint was read"
	case len(e.Known) == 0:
		return "no " + e.Place.Kind.String() + " was read"
	case len(e.Known) > most:
		return "known are " + strings.Join(e.Known[:most], ", ") + " and " + plural(len(e.Known)-most, "other")
	}
	return "known are " + strings.Join(e.Known, ", ")
}

// spot is a place that was found.
type spot struct {
	subnet    *estate.Subnet
	endpoint  *estate.Endpoint
	perimeter *estate.Resource
	service   string
	addr      netip.Addr
}

// find looks a place up; list is the list of trusted services.
func (p Place) find(s *estate.Snapshot, list string) (spot, error) {
	n := s.Network()
	at := spot{addr: p.Addr}
	var err error
	switch p.Kind {
	case ByAddress:
		at.subnet, _ = n.SubnetOf(p.Addr)
	case BySubnet:
		var subnets []*estate.Subnet
		for _, v := range n.Networks {
			subnets = append(subnets, v.Subnets...)
		}
		if at.subnet, err = pick(p, subnets, func(s *estate.Subnet) (string, string) { return s.ID, subnetName(s) }); err == nil {
			at.addr, err = p.within(n, at.subnet)
		}
	case ByEndpoint:
		if at.endpoint, err = pick(p, n.Endpoints, func(e *estate.Endpoint) (string, string) { return e.ID, e.Name }); err == nil && at.endpoint.Subnet != nil {
			at.subnet = at.endpoint.Subnet
			if !p.Addr.IsValid() {
				at.addr, err = p.within(n, at.subnet)
			}
		}
	case ByService:
		service, ok := trusted.Named(list, p.Name)
		if !ok {
			return at, &UnknownPlaceError{Place: p, Known: trusted.Near(list, p.Name)}
		}
		at.service = service.Name
	case ByPerimeter:
		at.perimeter, err = pick(p, s.Under("", estate.TypePerimeter), func(r *estate.Resource) (string, string) { return r.ID, r.Name })
	}
	return at, err
}

// pick finds the one of a list that a place names: by its id, by its name,
// or by the last segment of that.
func pick[T any](p Place, list []T, name func(T) (id, name string)) (T, error) {
	var found []T
	var known []string
	wanted := strings.TrimRight(p.Name, "/")
	for _, item := range list {
		id, label := name(item)
		known = append(known, label)
		if estate.Key(id) == estate.Key(wanted) || strings.EqualFold(label, wanted) || strings.EqualFold(lastSegment(label), wanted) {
			found = append(found, item)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	slices.Sort(known)
	var none T
	return none, &UnknownPlaceError{Place: p, Known: slices.Compact(known), Several: len(found) > 1}
}

// subnetName is NETWORK/SUBNET.
func subnetName(s *estate.Subnet) string { return s.Network.Name + "/" + s.Name }

// reserved is how many addresses at the beginning of a subnet the service
// keeps for itself: callers have those after.
const reserved = 4

// within is the caller's address in a subnet: the given one, or the first
// that a caller can have and no private endpoint has.
func (p Place) within(n *estate.Network, s *estate.Subnet) (netip.Addr, error) {
	if p.Addr.IsValid() {
		if !slices.ContainsFunc(s.Prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(p.Addr) }) {
			return netip.Addr{}, fmt.Errorf("%s is not in the subnet %s (%s)", p.Addr, subnetName(s), prefixes(s.Prefixes))
		}
		return p.Addr, nil
	}
	for _, prefix := range s.Prefixes {
		addr := prefix.Addr()
		for range reserved {
			addr = addr.Next()
		}
		for ; prefix.Contains(addr); addr = addr.Next() {
			if !slices.ContainsFunc(n.Endpoints, func(e *estate.Endpoint) bool { return e.Addr == addr }) {
				return addr, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("the subnet %s has no address for a caller", subnetName(s))
}

func prefixes(list []netip.Prefix) string {
	if len(list) == 0 {
		return "no prefix"
	}
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}
