package posture

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"postern/internal/estate"
)

// resolverCause: whoever asks the DNS for the caller is in no network that
// sees private zones (document: DNS Resolution Issues, "For on-premises:
// configure conditional forwarder").
func (x *explaining) resolverCause(code string) Cause {
	w := x.way
	switch {
	case w.Subnet != nil && w.Resolver == x.question.Resolver:
		return Cause{code, fmt.Sprintf("%s, which asks for the caller, is in no declared network: the resolver of the network, %s, would see its zones", w.Resolver, platformDNS), nil}
	case w.Subnet != nil:
		v := w.Subnet.Network
		return Cause{code, fmt.Sprintf("the network %s has a DNS server of its own, %s, in no declared network: have it forward vaultcore.azure.net to %s from a network that the zone is linked to, or use %[3]s",
			v.Name, w.Resolver, platformDNS), []string{fmt.Sprintf("az network vnet update --resource-group %s --name %s --dns-servers %s", groupOf(v.ID), plain(v.Name, "VNET"), platformDNS)}}
	case !w.Resolver.IsPrivate() && !w.Resolver.IsLoopback():
		return Cause{code, fmt.Sprintf("%s is on the internet, where the name leads to the public address: a private endpoint is reached from networks only; "+
			"an app that is integrated with a network comes from there until it sends its traffic and its DNS through the network", w.Resolver),
			[]string{settings("APP", "GROUP", []string{"WEBSITE_VNET_ROUTE_ALL=1", "WEBSITE_DNS_SERVER=" + platformDNS.String()})}}
	}
	return Cause{code, fmt.Sprintf("%s is in no declared network: on-premises, forward vaultcore.azure.net and vault.azure.net to a resolver in a network that the private zone is linked to "+
		"(the last command prints its address)", w.Resolver), x.forwarder()}
}

// forwarder makes a resolver that on-premises can forward to, in a network
// that sees the private zone.
func (x *explaining) forwarder() []string {
	v := x.linkedNetwork()
	if v == nil {
		return []string{`az dns-resolver create --resource-group GROUP --name kv-resolver --location LOCATION --id NETWORK-ID`,
			`az dns-resolver inbound-endpoint create --resource-group GROUP --dns-resolver-name kv-resolver --name inbound --location LOCATION ` +
				`--ip-configurations "[{private-ip-allocation-method:Dynamic,id:SUBNET-ID}]"`}
	}
	group, location := groupOf(v.ID), plain(v.Location, "LOCATION")
	prefix := "PREFIX"
	if p, ok := free(v); ok {
		prefix = p.String()
	}
	return []string{
		fmt.Sprintf("az network vnet subnet create --resource-group %s --vnet-name %s --name dns-inbound --address-prefixes %s --delegations Microsoft.Network/dnsResolvers",
			group, plain(v.Name, "VNET"), prefix),
		fmt.Sprintf("az dns-resolver create --resource-group %s --name kv-resolver --location %s --id %s", group, location, plain(v.ID, "NETWORK-ID")),
		fmt.Sprintf(`az dns-resolver inbound-endpoint create --resource-group %s --dns-resolver-name kv-resolver --name inbound --location %s --ip-configurations "[{private-ip-allocation-method:Dynamic,id:%s}]"`,
			group, location, plain(v.ID+"/subnets/dns-inbound", "SUBNET-ID")),
		fmt.Sprintf(`az dns-resolver inbound-endpoint show --resource-group %s --dns-resolver-name kv-resolver --name inbound --query "ipConfigurations[0].privateIpAddress" --output tsv`, group),
	}
}

// linkedNetwork is a network that sees the private zone; that of an endpoint
// when there is none.
func (x *explaining) linkedNetwork() *estate.VirtualNetwork {
	n := x.snapshot.Network()
	for _, z := range n.Zones {
		for _, v := range n.Networks {
			if z.Name == privateZone && z.Linked(estate.Key(v.ID)) {
				return v
			}
		}
	}
	for _, e := range x.endpoints() {
		if e.Subnet != nil {
			return e.Subnet.Network
		}
	}
	return nil
}

// resolverSize is the smallest subnet that a resolver's endpoint can have.
const resolverSize = 28

// free is a range of a network that no subnet has.
func free(v *estate.VirtualNetwork) (netip.Prefix, bool) {
	for _, space := range v.Prefixes {
		if !space.Addr().Is4() || space.Bits() > resolverSize {
			continue
		}
		p := netip.PrefixFrom(space.Addr(), resolverSize)
		for tries := 0; tries < 1<<12 && space.Contains(p.Addr()); tries++ {
			taken := overlapping(v, p)
			if !taken.IsValid() {
				return p, true
			}
			// On behind whatever is there.
			next := lastAddr(p)
			if taken.Bits() < resolverSize {
				next = lastAddr(taken)
			}
			p = netip.PrefixFrom(next.Next(), resolverSize)
		}
	}
	return netip.Prefix{}, false
}

// overlapping is the range of a subnet that overlaps with p; none for a zero
// Prefix.
func overlapping(v *estate.VirtualNetwork, p netip.Prefix) netip.Prefix {
	for _, s := range v.Subnets {
		for _, other := range s.Prefixes {
			if other.Overlaps(p) {
				return other
			}
		}
	}
	return netip.Prefix{}
}

// lastAddr is the last address of an IPv4 range.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}

// farNote says what DNS and rules do not: that packets need a way between
// the caller's network and the endpoint's.
func (x *explaining) farNote() {
	w := x.way
	if w.Place.Kind == ByEndpoint || w.Endpoint == nil || w.Endpoint.Subnet == nil {
		return
	}
	there := w.Endpoint.Subnet.Network
	switch {
	case w.Subnet == nil:
		x.note(fmt.Sprintf("%s is in the network %s: packets get there only through a VPN or ExpressRoute", w.Endpoint.Addr, there.Name))
	case w.Subnet.Network != there && !x.peered(w.Subnet.Network, there):
		x.note(fmt.Sprintf("%s is in the network %s, and no peering with %s was read: packets get there only if the two are connected", w.Endpoint.Addr, there.Name, w.Subnet.Network.Name))
	}
}

// peered reports whether a network's document has a peering with another.
func (x *explaining) peered(v, other *estate.VirtualNetwork) bool {
	var doc struct {
		Properties struct {
			Peerings []struct {
				Properties struct {
					Remote struct {
						ID string `json:"id"`
					} `json:"remoteVirtualNetwork"`
				} `json:"properties"`
			} `json:"virtualNetworkPeerings"`
		} `json:"properties"`
	}
	if r, ok := x.snapshot.Resource(v.ID); ok {
		_ = json.Unmarshal(r.Body, &doc) // what cannot be read connects nothing
	}
	for _, p := range doc.Properties.Peerings {
		if strings.EqualFold(p.Properties.Remote.ID, other.ID) {
			return true
		}
	}
	return false
}
