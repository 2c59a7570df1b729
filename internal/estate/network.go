package estate

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"postern/access"
)

// The types of resource that networks are made of.
const (
	TypeVirtualNetwork  = "Microsoft.Network/virtualNetworks"
	TypeSubnet          = "Microsoft.Network/virtualNetworks/subnets"
	TypePrivateEndpoint = "Microsoft.Network/privateEndpoints"
	TypeZoneGroup       = "Microsoft.Network/privateEndpoints/privateDnsZoneGroups"
	TypeInterface       = "Microsoft.Network/networkInterfaces"
	TypePrivateZone     = "Microsoft.Network/privateDnsZones"
	TypeRecordSetA      = "Microsoft.Network/privateDnsZones/A"
	TypeZoneLink        = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"
	TypePerimeter       = "Microsoft.Network/networkSecurityPerimeters"
)

// KeyVaultEndpoint is the name of the service endpoint that makes a subnet
// known to vaults.
const KeyVaultEndpoint = "Microsoft.KeyVault"

// Network is the networks of the estate: what perimeter and DNS ask. It is
// part of a snapshot and never changed.
type Network struct {
	// Networks are in the order of their ids.
	Networks []*VirtualNetwork
	// Endpoints are the private endpoints, in the order of their ids.
	Endpoints []*Endpoint
	// Zones are the private DNS zones, in the order of their ids.
	Zones []*Zone

	subnets  map[string]*Subnet // by Key
	byAddr   map[netip.Addr][]*Endpoint
	byLink   map[uint32]*Endpoint
	prefixes []subnetPrefix // the longest first
	spans    []subnetSpan   // the same for SubnetOf: disjoint, in order
}

type subnetPrefix struct {
	prefix netip.Prefix
	subnet *Subnet
}

// VirtualNetwork is a virtual network (spec: VirtualNetwork).
type VirtualNetwork struct {
	ID, Name, Location string
	Prefixes           []netip.Prefix
	// Servers are the DNS servers of the network; none means the platform's.
	Servers []netip.Addr
	Subnets []*Subnet
}

// Subnet is one subnet of a virtual network (spec: Subnet). In ARM it is a
// part of the network's document and a resource of its own.
type Subnet struct {
	// ID is as it is written in the document, Key its Key.
	ID, Key, Name string
	Network       *VirtualNetwork
	Prefixes      []netip.Prefix
	// KeyVault is true when the service endpoint Microsoft.KeyVault is on.
	KeyVault bool
}

// Endpoint is a private endpoint to a vault (spec: PrivateEndpoint).
type Endpoint struct {
	ID, Name, Location string
	// Subnet is nil when it is not part of the estate.
	Subnet *Subnet
	// Addr is the private address that the endpoint has in its subnet.
	Addr netip.Addr
	// Vault is the Key of the vault, Connection the Key of the connection
	// that stands on the vault's side.
	Vault, Connection string
	// Link is the identifier by which a balancer's PROXY header names the
	// connection (linkIdentifier).
	Link uint32
	// State is that of the connection on the vault's side; a connection
	// that is not there is Disconnected.
	State access.EndpointState
}

// Zone is a private DNS zone (spec: PrivateZone).
type Zone struct {
	// Name is lower-case, without a trailing dot.
	ID, Name string
	// Records are the A records by lower-case relative name ("@" for the
	// zone itself, "*" for a wildcard).
	Records map[string]RecordSet
	// Links are the Keys of the virtual networks that see the zone.
	Links []string
}

// RecordSet is the A records of one name.
type RecordSet struct {
	TTL       uint32 // seconds
	Addresses []netip.Addr
}

// Linked reports whether a virtual network (by Key) sees the zone.
func (z *Zone) Linked(network string) bool { return slices.Contains(z.Links, network) }

// Subnet finds a subnet by its id.
func (n *Network) Subnet(id string) (*Subnet, bool) { s, ok := n.subnets[Key(id)]; return s, ok }

// EndpointAt finds the private endpoint with an address. An address that
// endpoints of several networks have proves nothing.
func (n *Network) EndpointAt(a netip.Addr) (*Endpoint, bool) {
	if list := n.byAddr[a]; len(list) == 1 {
		return list[0], true
	}
	return nil, false
}

// EndpointByLink finds the private endpoint with a link identifier.
func (n *Network) EndpointByLink(link uint32) (*Endpoint, bool) {
	e, ok := n.byLink[link]
	return e, ok
}

// Network is the networks of the snapshot; never nil.
func (s *Snapshot) Network() *Network { return s.network }

// networkTypes are the types that the network is compiled from.
func isNetworkType(typ string) bool {
	return len(typ) > 18 && strings.EqualFold(typ[:18], "Microsoft.Network/")
}

// compileNetwork reads all networks. It comes after the vaults, whose
// connections have the state.
func (s *Snapshot) compileNetwork() {
	n := &Network{subnets: map[string]*Subnet{}, byAddr: map[netip.Addr][]*Endpoint{}, byLink: map[uint32]*Endpoint{}}
	zones := map[string]*Zone{}
	for _, key := range s.order {
		r := s.resources[key]
		switch {
		case strings.EqualFold(r.Type, TypeVirtualNetwork):
			n.addNetwork(r)
		case strings.EqualFold(r.Type, TypePrivateZone):
			z := &Zone{ID: r.ID, Name: strings.ToLower(strings.TrimSuffix(r.Name, ".")), Records: map[string]RecordSet{}}
			zones[key] = z
			n.Zones = append(n.Zones, z)
		}
	}
	for _, key := range s.order {
		r := s.resources[key]
		switch {
		case strings.EqualFold(r.Type, TypeSubnet):
			n.addSubnetResource(r)
		case strings.EqualFold(r.Type, TypePrivateEndpoint):
			n.addEndpoint(r, s)
		case strings.EqualFold(r.Type, TypeRecordSetA), strings.EqualFold(r.Type, TypeZoneLink):
			if z := zones[key[:strings.LastIndexByte(key[:strings.LastIndexByte(key, '/')], '/')]]; z != nil {
				z.add(r)
			}
		}
	}
	slices.SortStableFunc(n.prefixes, func(a, b subnetPrefix) int { return cmp.Compare(b.prefix.Bits(), a.prefix.Bits()) })
	n.spans = disjoint(n.prefixes)
	s.network = n
}

type subnetDocument struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Properties struct {
		AddressPrefix    string   `json:"addressPrefix"`
		AddressPrefixes  []string `json:"addressPrefixes"`
		ServiceEndpoints []struct {
			Service string `json:"service"`
		} `json:"serviceEndpoints"`
	} `json:"properties"`
}

func (n *Network) addNetwork(r *Resource) {
	var doc struct {
		Properties struct {
			AddressSpace struct {
				AddressPrefixes []string `json:"addressPrefixes"`
			} `json:"addressSpace"`
			DHCPOptions struct {
				DNSServers []string `json:"dnsServers"`
			} `json:"dhcpOptions"`
			Subnets []subnetDocument `json:"subnets"`
		} `json:"properties"`
	}
	// What cannot be read proves nothing: the network stays without it.
	_ = json.Unmarshal(r.Body, &doc)
	v := &VirtualNetwork{ID: r.ID, Name: r.Name, Location: r.Location, Prefixes: parsePrefixes(doc.Properties.AddressSpace.AddressPrefixes)}
	for _, text := range doc.Properties.DHCPOptions.DNSServers {
		if a, err := netip.ParseAddr(text); err == nil {
			v.Servers = append(v.Servers, a)
		}
	}
	n.Networks = append(n.Networks, v)
	for _, sub := range doc.Properties.Subnets {
		if sub.ID == "" {
			sub.ID = r.ID + "/subnets/" + sub.Name
		}
		n.addSubnet(v, sub)
	}
}

// addSubnetResource adds a subnet that is a resource of its own, as files
// have it; one that its network's document has already stays.
func (n *Network) addSubnetResource(r *Resource) {
	if _, known := n.subnets[Key(r.ID)]; known {
		return
	}
	var doc subnetDocument
	_ = json.Unmarshal(r.Body, &doc)
	doc.ID = r.ID
	if doc.Name == "" {
		doc.Name = r.Name
	}
	parent := Key(r.ID)
	parent = parent[:max(0, strings.LastIndex(parent, "/subnets/"))]
	for _, v := range n.Networks {
		if Key(v.ID) == parent {
			n.addSubnet(v, doc)
			return
		}
	}
}

func (n *Network) addSubnet(v *VirtualNetwork, doc subnetDocument) {
	s := &Subnet{ID: doc.ID, Key: Key(doc.ID), Name: doc.Name, Network: v,
		Prefixes: parsePrefixes(append(doc.Properties.AddressPrefixes, doc.Properties.AddressPrefix))}
	for _, e := range doc.Properties.ServiceEndpoints {
		s.KeyVault = s.KeyVault || strings.EqualFold(e.Service, KeyVaultEndpoint)
	}
	v.Subnets = append(v.Subnets, s)
	n.subnets[s.Key] = s
	for _, p := range s.Prefixes {
		n.prefixes = append(n.prefixes, subnetPrefix{p, s})
	}
}

func parsePrefixes(texts []string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil && !slices.Contains(list, p.Masked()) {
			list = append(list, p.Masked())
		}
	}
	return list
}

func (n *Network) addEndpoint(r *Resource, s *Snapshot) {
	type connection struct {
		Name       string `json:"name"`
		Properties struct {
			Target string `json:"privateLinkServiceId"`
			State  struct {
				Status string `json:"status"`
			} `json:"privateLinkServiceConnectionState"`
		} `json:"properties"`
	}
	var doc struct {
		Properties struct {
			Subnet struct {
				ID string `json:"id"`
			} `json:"subnet"`
			Automatic []connection `json:"privateLinkServiceConnections"`
			Manual    []connection `json:"manualPrivateLinkServiceConnections"`
			// Where the service keeps the address and the link: the fields
			// that clients read.
			CustomDNS []struct {
				Addresses []string `json:"ipAddresses"`
			} `json:"customDnsConfigs"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(r.Body, &doc)
	e := &Endpoint{ID: r.ID, Name: r.Name, Location: r.Location, State: access.EndpointDisconnected}
	e.Subnet = n.subnets[Key(doc.Properties.Subnet.ID)]
	for _, c := range append(doc.Properties.Automatic, doc.Properties.Manual...) {
		e.Vault = Key(c.Properties.Target)
		break
	}
	for _, c := range doc.Properties.CustomDNS {
		for _, text := range c.Addresses {
			if a, err := netip.ParseAddr(text); err == nil && !e.Addr.IsValid() {
				e.Addr = a
			}
		}
	}
	e.find(s)
	n.Endpoints = append(n.Endpoints, e)
	if e.Addr.IsValid() {
		n.byAddr[e.Addr] = append(n.byAddr[e.Addr], e)
	}
	if e.Link != 0 {
		n.byLink[e.Link] = e
	}
}

// find takes connection, link and state from the vault's side.
func (e *Endpoint) find(s *Snapshot) {
	res, ok := s.resources[e.Vault]
	if !ok || res.Deleted != nil {
		return
	}
	v := s.vaults[strings.ToLower(res.Name)]
	if v == nil {
		return
	}
	for i := range v.Properties.PrivateEndpointConnections {
		c := &v.Properties.PrivateEndpointConnections[i]
		if Key(c.Properties.PrivateEndpoint.ID) != Key(e.ID) {
			continue
		}
		e.Connection, e.State = Key(c.ID), v.Rules.Connections[i].State
		if link, err := strconv.ParseUint(string(c.Properties.Link), 10, 32); err == nil {
			e.Link = uint32(link)
		}
		return
	}
}

// add adds a record set or a link to its zone.
func (z *Zone) add(r *Resource) {
	var doc struct {
		Properties struct {
			TTL      uint32 `json:"ttl"`
			ARecords []struct {
				Address string `json:"ipv4Address"`
			} `json:"aRecords"`
			Network struct {
				ID string `json:"id"`
			} `json:"virtualNetwork"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(r.Body, &doc)
	if strings.EqualFold(r.Type, TypeZoneLink) {
		z.Links = append(z.Links, Key(doc.Properties.Network.ID))
		return
	}
	set := RecordSet{TTL: doc.Properties.TTL}
	for _, a := range doc.Properties.ARecords {
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			set.Addresses = append(set.Addresses, addr)
		}
	}
	z.Records[strings.ToLower(r.Name)] = set
}
