package dns

import (
	"encoding/json"
	"net/netip"
	"strings"

	"postern/internal/estate"
)

// private is the private zones of an estate, as the networks see them. It is
// made once for a state of the networks and never changed.
type private struct {
	network *estate.Network
	// links are the zones that each network sees, by name. Of zones with
	// one name, the first linked one counts; the service allows no second.
	links map[*estate.VirtualNetwork]map[string]*link
}

// link is a private zone as one network sees it.
type link struct {
	zone *zone
	// redirect is true when the link falls back to the internet for names
	// that the zone does not have (spec: ResolutionPolicy NxDomainRedirect).
	redirect bool
}

// zone is a private zone.
type zone struct {
	*estate.Zone
	authority *Authority
	// nodes are the names that exist, relative to the zone, those in
	// between included ("b" for a record "a.b").
	nodes map[string]*node
}

// node is what a name of a private zone has.
type node struct {
	v4, v6 addresses
	alias  string // absolute and lower-case; "" for none
	ttl    uint32 // of the alias
}

type addresses struct {
	list []netip.Addr
	ttl  uint32
}

// compile reads the private zones of a snapshot.
func compile(s *estate.Snapshot) *private {
	p := &private{network: s.Network(), links: map[*estate.VirtualNetwork]map[string]*link{}}
	for _, source := range p.network.Zones {
		z, redirects := newZone(s, source)
		for _, v := range p.network.Networks {
			key := estate.Key(v.ID)
			if !source.Linked(key) {
				continue
			}
			if p.links[v] == nil {
				p.links[v] = map[string]*link{}
			}
			if p.links[v][z.authority.Zone] == nil {
				p.links[v][z.authority.Zone] = &link{z, redirects[key]}
			}
		}
	}
	return p
}

// recordSet is a record set of a private zone (spec: RecordSet); only what
// can lead to a vault is read.
type recordSet struct {
	Properties struct {
		TTL         uint32 `json:"ttl"`
		AAAARecords []struct {
			Address string `json:"ipv6Address"`
		} `json:"aaaaRecords"`
		CNAMERecord struct {
			Name string `json:"cname"`
		} `json:"cnameRecord"`
		SOARecord *struct {
			Host    string  `json:"host"`
			Email   string  `json:"email"`
			Serial  uint32  `json:"serialNumber"`
			Refresh uint32  `json:"refreshTime"`
			Retry   uint32  `json:"retryTime"`
			Expire  uint32  `json:"expireTime"`
			Minimum *uint32 `json:"minimumTtl"`
		} `json:"soaRecord"`
	} `json:"properties"`
}

// newZone compiles a zone, and finds the networks whose links fall back to
// the internet. The records of addresses are those of the estate; other
// record sets are read from their documents.
func newZone(s *estate.Snapshot, source *estate.Zone) (*zone, map[string]bool) {
	z := &zone{Zone: source, nodes: map[string]*node{}}
	// The SOA of a new private zone of the service.
	z.authority = &Authority{Zone: source.Name + ".", Master: "azureprivatedns.net.", Mailbox: "azureprivatedns-host.microsoft.com.",
		TTL: 3600, Serial: 1, Refresh: 3600, Retry: 300, Expire: 2419200, Minimum: negativeTTL}
	z.node("@")
	for name, set := range source.Records {
		n := z.node(name)
		n.v4.ttl = set.TTL
		for _, a := range set.Addresses {
			if a.Is4() {
				n.v4.list = append(n.v4.list, a)
			}
		}
	}
	redirects := map[string]bool{}
	for _, r := range s.Under(source.ID, "") {
		kind := r.Type[strings.LastIndexByte(r.Type, '/')+1:]
		switch {
		case strings.EqualFold(r.Type, estate.TypeZoneLink):
			if network, redirect := readLink(r); redirect {
				redirects[network] = true
			}
		case strings.EqualFold(r.Type, estate.TypePrivateZone), strings.EqualFold(kind, "A"):
		default:
			z.add(r, kind)
		}
	}
	return z, redirects
}

// readLink reads a link (spec: VirtualNetworkLink): the Key of its network,
// and whether it falls back to the internet.
func readLink(r *estate.Resource) (network string, redirect bool) {
	var doc struct {
		Properties struct {
			Policy  string `json:"resolutionPolicy"`
			Network struct {
				ID string `json:"id"`
			} `json:"virtualNetwork"`
		} `json:"properties"`
	}
	if json.Unmarshal(r.Body, &doc) != nil {
		return "", false
	}
	return estate.Key(doc.Properties.Network.ID), strings.EqualFold(doc.Properties.Policy, "NxDomainRedirect")
}

// add adds a record set that is not of type A. A name whose sets are of
// types that are not read exists all the same.
func (z *zone) add(r *estate.Resource, kind string) {
	var doc recordSet
	if json.Unmarshal(r.Body, &doc) != nil {
		return
	}
	n := z.node(strings.ToLower(r.Name))
	switch {
	case strings.EqualFold(kind, "SOA") && r.Name == "@":
		z.begin(&doc)
	case strings.EqualFold(kind, "AAAA"):
		n.v6.ttl = doc.Properties.TTL
		for _, a := range doc.Properties.AAAARecords {
			if addr, err := netip.ParseAddr(a.Address); err == nil && addr.Is6() {
				n.v6.list = append(n.v6.list, addr.WithZone(""))
			}
		}
	case strings.EqualFold(kind, "CNAME"):
		if name, ok := absolute(doc.Properties.CNAMERecord.Name); ok {
			n.alias, n.ttl = name, doc.Properties.TTL
		}
	}
}

// begin replaces what the zone's SOA record says by its record set. Names
// that cannot stand in a record stay.
func (z *zone) begin(doc *recordSet) {
	given, soa := doc.Properties.SOARecord, z.authority
	if given == nil || given.Minimum == nil {
		return
	}
	if name, ok := absolute(given.Host); ok {
		soa.Master = name
	}
	if name, ok := absolute(given.Email); ok {
		soa.Mailbox = name
	}
	soa.TTL, soa.Serial, soa.Refresh = doc.Properties.TTL, given.Serial, given.Refresh
	soa.Retry, soa.Expire, soa.Minimum = given.Retry, given.Expire, *given.Minimum
}

// absolute is a host name, lower-case and with a dot at its end; ok is false
// for what cannot stand in a record.
func absolute(host string) (string, bool) {
	name := lower(strings.TrimSuffix(host, "."))
	if name == "" || len(name) > 253 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	return name + ".", true
}

// node is the node of a name; it is made, and those above it, when it is not
// there.
func (z *zone) node(name string) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	n := &node{}
	z.nodes[name] = n
	if above := parent(name); above != "" {
		z.node(above)
	}
	return n
}

// lookup finds a name of the zone, or the wildcard that stands for it (RFC
// 4592: that of the closest encloser, the longest name above it that
// exists).
func (l *link) lookup(h *hop, rel string, t Type, ttl uint32) {
	h.authority, h.why = l.zone.authority, whyRecord
	n := l.zone.nodes[rel]
	if n == nil {
		h.why = whyWildcard
		n = l.zone.wildcard(rel)
	}
	if n == nil {
		h.why = whyNoRecord
		return
	}
	h.exists = true
	set := &n.v4
	switch {
	case n.alias != "" && t != TypeSOA:
		h.target, h.ttl = n.alias, n.ttl
	case t == TypeAAAA, t == TypeANY && len(n.v4.list) == 0:
		set = &n.v6
		fallthrough
	case t == TypeA, t == TypeANY:
		h.set, h.ttl = set.list, set.ttl
	}
	if h.ttl == 0 {
		h.ttl = ttl
	}
	if h.target == "" && len(h.set) == 0 {
		h.why = whyNoType
	}
}

func (z *zone) wildcard(rel string) *node {
	for above := parent(rel); above != ""; above = parent(above) {
		if z.nodes[above] != nil {
			return z.nodes["*."+above]
		}
	}
	return z.nodes["*"]
}
