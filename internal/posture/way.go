package posture

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"postern/access"
	"postern/internal/dns"
	"postern/internal/estate"
	"postern/internal/iac"
	"postern/internal/names"
	"postern/internal/perimeter"
)

// Way is how a caller at a place gets to the vault: what the vault's name
// means there, and as what the connection arrives.
type Way struct {
	Place Place
	// Subnet is the declared subnet that the caller is in; nil for none.
	Subnet *estate.Subnet
	// Endpoint is the private endpoint that the connection comes through;
	// nil for the public address.
	Endpoint *estate.Endpoint
	// Resolver is the address by which the DNS knows who asks: the caller's,
	// or that of a forwarder.
	Resolver netip.Addr
	// DNS is what the name means there; nil when it does not matter, or is
	// not known, of which DNSDoubt says why.
	DNS      *dns.Diagnosis
	DNSDoubt string
	// Lost says why no connection to the vault is made; "" when one is.
	Lost string
	// Origin is what the vault sees.
	Origin access.Origin
}

// publicAddress stands for the public address of a vault, which only the
// service knows.
var publicAddress = netip.IPv4Unspecified()

// platformDNS is the resolver that the service has in every network. It
// answers each network by the zones that are linked to it.
var platformDNS = netip.MustParseAddr("168.63.129.16")

// travel finds the way of the question's place.
func (x *explaining) travel(s *estate.Snapshot) (*Way, error) {
	at, err := x.question.Place.find(s, x.question.Services)
	if err != nil {
		return nil, err
	}
	w := &Way{Place: x.question.Place, Subnet: at.subnet}
	x.resolve(w, s, at.addr)
	h := perimeter.Hop{Source: netip.AddrPortFrom(at.addr, 0), Service: at.service}
	if at.perimeter != nil {
		h.Perimeter = estate.Key(at.perimeter.ID)
	}
	if w.Place.Kind == BySubnet {
		h.Subnet = at.subnet.Key
	}
	n := s.Network()
	switch {
	case at.endpoint != nil:
		w.Endpoint = at.endpoint
		if e, ok := n.EndpointAt(at.endpoint.Addr); ok && e == at.endpoint {
			h.Destination = netip.AddrPortFrom(e.Addr, 443)
		} else {
			h.Link = at.endpoint.Link
		}
	case w.DNS != nil:
		w.follow(n, &h)
	}
	if !at.addr.IsValid() {
		at.addr = nowhere
		h.Source = netip.AddrPortFrom(nowhere, 0)
		x.note(nowhere.String() + " stands for the caller's address, which is not known; @ADDRESS behind the place says it")
	}
	w.Origin = perimeter.Attribute(n, h)
	if at.endpoint != nil && w.Origin.Path != access.PathPrivateEndpoint {
		// An endpoint without address and link carries no connection that a
		// vault would know.
		w.Origin = access.Origin{Path: access.PathPrivateEndpoint, Addr: at.addr, Endpoint: at.endpoint.Connection}
	}
	return w, nil
}

// resolve asks what the vault's name means at the place.
func (x *explaining) resolve(w *Way, s *estate.Snapshot, addr netip.Addr) {
	n := s.Network()
	connected := len(x.vault.Rules.Connections) > 0
	switch {
	case w.Place.Kind == ByService, w.Place.Kind == ByPerimeter, !addr.IsValid():
		return
	case !x.question.Whole && len(n.Networks) == 0:
		if connected {
			x.note("no network was read, so where the vault's name leads is not told: add the output of az network vnet list, private-endpoint list, private-dns zone list, " +
				"private-dns link vnet list and private-dns record-set list")
		}
		return
	case len(n.Networks) == 0 && !connected:
		return
	}
	w.Resolver = x.resolver(w, addr)
	if w.DNSDoubt = x.dnsDoubt(w, s, addr); w.DNSDoubt != "" {
		return
	}
	w.DNS = dns.Trace(&dns.View{Snapshot: s, Names: names.New("postern.localhost", 443), Public: publicAddress, TTL: 60, Client: w.Resolver},
		x.vault.Resource.Name+".vault.azure.net")
}

// resolver is who the DNS sees asking for a caller.
func (x *explaining) resolver(w *Way, addr netip.Addr) netip.Addr {
	servers := []netip.Addr{x.question.Resolver}
	if !x.question.Resolver.IsValid() {
		servers = nil
		if w.Subnet != nil {
			servers = w.Subnet.Network.Servers
		}
	}
	if len(servers) == 0 || servers[0] == platformDNS {
		return addr
	}
	return servers[0]
}

// follow goes to where the name leads.
func (w *Way) follow(n *estate.Network, h *perimeter.Hop) {
	for _, a := range w.DNS.Addresses {
		if a == publicAddress {
			return
		}
		if e, ok := n.EndpointAt(a); ok {
			w.Endpoint, h.Destination = e, netip.AddrPortFrom(a, 443)
			return
		}
	}
	switch {
	case len(w.DNS.Addresses) > 0:
		w.Lost = fmt.Sprintf("the name leads to %s, which is no private endpoint: nothing of the vault answers there", w.DNS.Addresses[0])
	case w.DNS.Code == dns.Success.String() && len(w.DNS.Steps) > 0 && !slices.Contains(w.DNS.Steps[len(w.DNS.Steps)-1].Answer, "elsewhere"):
		w.Lost = "the name has no address there: no connection is made"
	case w.DNS.Code == dns.NoSuchName.String():
		w.Lost = "the name does not exist there (NXDOMAIN): no connection is made"
	case w.DNS.Code == dns.ServerFailure.String():
		w.Lost = "the name leads in a circle (SERVFAIL): no connection is made"
	default:
		w.DNSDoubt = "the name leads to " + w.DNS.Steps[len(w.DNS.Steps)-1].Name + ", which another resolver answers"
	}
}

// dnsDoubt says what was not read of that on which the meaning of the name
// depends.
func (x *explaining) dnsDoubt(w *Way, s *estate.Snapshot, addr netip.Addr) string {
	n := s.Network()
	if w.Place.Kind == BySubnet {
		if found, _ := n.SubnetOf(addr); found != w.Subnet && w.Resolver == addr {
			return addr.String() + " is in subnets of several networks, and the DNS knows callers by address"
		}
	}
	if len(x.question.Unread) > 0 {
		return x.question.Unread[0]
	}
	if x.question.Whole {
		return ""
	}
	if len(n.Zones) == 0 && w.Subnet != nil {
		return "no private DNS zone was read: add the output of az network private-dns zone list, link vnet list and record-set list"
	}
	for _, z := range n.Zones {
		if d := x.zoneDoubt(s, z); d != "" {
			return d
		}
	}
	for i := range x.vault.Properties.PrivateEndpointConnections {
		id := x.vault.Properties.PrivateEndpointConnections[i].Properties.PrivateEndpoint.ID
		k := slices.IndexFunc(n.Endpoints, func(e *estate.Endpoint) bool { return estate.Key(e.ID) == estate.Key(id) })
		switch {
		case id == "" || x.vault.Rules.Connections[i].State != access.EndpointApproved:
		case k < 0:
			return "the private endpoint " + lastSegment(id) + " was not read: add the output of az network private-endpoint list"
		case !n.Endpoints[k].Addr.IsValid():
			return "the address of the private endpoint " + lastSegment(id) + " was not read: add the output of az network nic list"
		}
	}
	return ""
}

// zoneDoubt compares what was read of a zone with what it says it has.
func (x *explaining) zoneDoubt(s *estate.Snapshot, z *estate.Zone) string {
	if !strings.Contains(z.Name, "vault") {
		return ""
	}
	body := &iac.Node{}
	for _, r := range x.all {
		if iac.SameFold(r.ID, z.ID) {
			body = r.Body
		}
	}
	links := len(s.Under(z.ID, estate.TypeZoneLink))
	sets := len(s.Under(z.ID, "")) - links - 1
	says := func(name string) int {
		count, err := strconv.Atoi(body.Get("properties", name).Text)
		if err != nil {
			return 0
		}
		return count
	}
	switch {
	case says("numberOfVirtualNetworkLinks") > links:
		return "the links of the private zone " + z.Name + " were not read: add the output of az network private-dns link vnet list"
	case says("numberOfRecordSets") > sets+1: // the SOA is one of them, and may not have been read
		return "the records of the private zone " + z.Name + " were not read: add the output of az network private-dns record-set list"
	}
	return ""
}
