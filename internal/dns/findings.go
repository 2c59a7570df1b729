package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/names"
)

// Cause is why a client does not get the private address of a vault (guide
// to private endpoints, §10.1). The zero value is none.
type Cause uint8

// The causes.
const (
	// ZoneNotLinked: the private zone is not linked to the client's network.
	ZoneNotLinked Cause = iota + 1
	// NoRecord: the linked zone has no A record for the vault.
	NoRecord
	// WrongAddress: the record points to another address than the
	// endpoint's.
	WrongAddress
	// NotApproved: no connection is approved, so there is no privatelink
	// alias.
	NotApproved
	// OtherResolver: the client does not ask from a declared network: it is
	// on-premises without a conditional forwarder, or asks a resolver that
	// does not know the private zones.
	OtherResolver
	// WrongZone: a zone of a wrong name takes the right one's place.
	WrongZone
)

// String is the cause as a word for programs.
func (c Cause) String() string {
	return [...]string{"none", "zone-not-linked", "no-record", "wrong-address", "not-approved", "other-resolver", "wrong-zone"}[c]
}

// MarshalText implements encoding.TextMarshaler.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Finding is one cause, and what removes it.
type Finding struct {
	Cause   Cause  `json:"cause"`
	Message string `json:"message"`
	// Fix are az commands, in their order. Words in capitals stand for what
	// is not known.
	Fix []string `json:"fix"`
}

// examination is all that findings are made from.
type examination struct {
	*narrator
	vault     *estate.Vault
	name      string // of the vault, lower-case
	endpoints []*estate.Endpoint
	links     map[string]*link // the zones that the client sees
	asked     map[string]bool  // the ids of private zones that answered
}

// examine begins to examine the name of a vault; nil for other names.
func (n *narrator) examine(name string) *examination {
	label, ok := below(lower(name), privateZone)
	if h := n.view.Names.Resolve(shown(name)); h.Plane == names.Vault {
		label, ok = h.Vault, true
	}
	v, found := n.view.Snapshot.Vault(label)
	if !ok || !found {
		return nil
	}
	x := &examination{narrator: n, vault: v, name: label}
	for _, e := range n.view.Snapshot.Network().Endpoints {
		if e.Vault == estate.Key(v.Resource.ID) {
			x.endpoints = append(x.endpoints, e)
		}
	}
	_, x.links = n.view.prepared()
	return x
}

// private reports whether all of some addresses are those of approved
// endpoints.
func (x *examination) private(addrs []netip.Addr) bool {
	for _, a := range addrs {
		if !slices.ContainsFunc(x.endpoints, func(e *estate.Endpoint) bool { return e.State == access.EndpointApproved && e.Addr == a }) {
			return false
		}
	}
	return len(addrs) > 0
}

// findings are the causes, in an order in which they can be removed.
func (x *examination) findings(d *Diagnosis) []Finding {
	if d.Private {
		return nil
	}
	x.asked = map[string]bool{}
	for _, s := range d.Steps {
		x.asked[s.ZoneID] = s.ZoneID != ""
	}
	var list []Finding
	wanted := len(x.endpoints) > 0 || len(x.vault.Rules.Connections) > 0
	if wanted && !approved(x.vault) {
		list = append(list, x.notApproved())
	}
	if x.subnet == nil {
		if wanted {
			list = append(list, x.otherResolver())
		}
		return list
	}
	list = append(list, x.wrongZones()...)
	right := x.right()
	switch {
	case right == nil && wanted:
		list = append(list, x.notLinked())
	case right != nil:
		list = append(list, x.record(right, wanted)...)
	}
	return list
}

// right is the private zone that the vault's privatelink name belongs into,
// as the client sees it; nil when it sees none.
func (x *examination) right() *link {
	if l := x.links[x.name+"."+privateZone]; l != nil {
		return l
	}
	return x.links[privateZone]
}

// misnomers are names that are often taken for privatelink.vaultcore.azure.net.
var misnomers = []string{"vault.azure.net", "privatelink.vault.azure.net", "vaultcore.azure.net", "privatelink.azure.net",
	"privatelink.vaultcore.windows.net", "privatelink.vault.core.windows.net"}

// wrongZones finds the zones that the client sees and that answer in place
// of the right one, or are called nearly like it.
func (x *examination) wrongZones() []Finding {
	var list []Finding
	for _, z := range x.view.Snapshot.Network().Zones {
		l := x.links[z.Name+"."]
		right := z.Name+"." == privateZone || z.Name+"." == x.name+"."+privateZone
		if l == nil || l.zone.Zone != z || right || !x.asked[z.ID] && !slices.Contains(misnomers, z.Name) {
			continue
		}
		does := "no name of a vault leads into it"
		if x.asked[z.ID] {
			does = "it hides all names below " + z.Name + " from the network"
		}
		fix := []string{x.unlink(z)}
		if x.right() == nil {
			fix = append(x.linkCommands(), fix...)
		}
		list = append(list, Finding{WrongZone, fmt.Sprintf("The private zone %s that is linked to network %s has the wrong name: %s. The zone must be called %s.",
			z.Name, x.subnet.Network.Name, does, shown(privateZone)), fix})
	}
	return list
}

// notLinked: the client's network does not see the zone.
func (x *examination) notLinked() Finding {
	message := fmt.Sprintf("There is no private zone %s, so nobody in network %s resolves the vault's private address.", shown(privateZone), x.subnet.Network.Name)
	if x.zone() != nil {
		message = fmt.Sprintf("The private zone %s is not linked to network %s, where the client is (subnet %s).", shown(privateZone), x.subnet.Network.Name, x.subnet.Name)
	}
	return Finding{ZoneNotLinked, message, x.linkCommands()}
}

// record looks at the vault's record in the zone that the client sees.
func (x *examination) record(l *link, wanted bool) []Finding {
	rel := "@"
	if l.zone.Name+"." == privateZone {
		rel = x.name
	}
	n := l.zone.nodes[rel]
	if n == nil {
		n = l.zone.wildcard(rel)
	}
	if n == nil || len(n.v4.list) == 0 && n.alias == "" {
		if !wanted {
			return nil
		}
		return []Finding{{NoRecord, fmt.Sprintf("The private zone %s is linked to network %s, but has no A record for %s.", l.zone.Name, x.subnet.Network.Name, x.name),
			[]string{x.zoneGroup(l.zone.ID)}}}
	}
	for _, a := range n.v4.list {
		if slices.ContainsFunc(x.endpoints, func(e *estate.Endpoint) bool { return e.Addr == a }) {
			continue
		}
		fix := []string{x.recordCommand(l, rel, "remove", a.String()+" --keep-empty-record-set")}
		message := fmt.Sprintf("The A record of %s in zone %s points to %s, which is no private endpoint of the vault.", x.name, l.zone.Name, a)
		if e := x.endpoint(); e != nil && e.Addr.IsValid() {
			message = fmt.Sprintf("The A record of %s in zone %s points to %s; private endpoint %s has %s.", x.name, l.zone.Name, a, e.Name, e.Addr)
			fix = append(fix, x.recordCommand(l, rel, "add", e.Addr.String()))
		}
		return []Finding{{WrongAddress, message, fix}}
	}
	return nil
}

// notApproved: no connection carries traffic.
func (x *examination) notApproved() Finding {
	f := Finding{Cause: NotApproved, Message: fmt.Sprintf("No private endpoint connection of vault %s is approved (%s), so its name is not an alias of %s.%s.",
		x.name, x.connections(x.name), x.name, shown(privateZone))}
	for i, c := range x.vault.Rules.Connections {
		if c.State == access.EndpointPending || c.State == access.EndpointRejected {
			id := x.vault.Properties.PrivateEndpointConnections[i].ID
			f.Fix = append(f.Fix, fmt.Sprintf("az keyvault private-endpoint-connection approve --vault-name %s --resource-group %s --name %s",
				word(x.vault.Resource.Name, "VAULT"), groupOf(x.vault.Resource.ID), word(id[strings.LastIndexByte(id, '/')+1:], "CONNECTION")))
		}
	}
	if len(f.Fix) > 0 {
		return f
	}
	name, group, subnet := "ENDPOINT", groupOf(x.vault.Resource.ID), "SUBNET-ID"
	if e := x.endpoint(); e != nil {
		name, group = word(e.Name, name), groupOf(e.ID)
		if e.Subnet != nil {
			subnet = word(e.Subnet.ID, subnet)
		}
		f.Fix = append(f.Fix, fmt.Sprintf("az network private-endpoint delete --resource-group %s --name %s", group, name))
	}
	f.Fix = append(f.Fix, fmt.Sprintf("az network private-endpoint create --resource-group %s --name %s --subnet %s --private-connection-resource-id %s --group-id vault --connection-name %s-connection",
		group, name, subnet, word(x.vault.Resource.ID, "VAULT-ID"), name))
	return f
}

// otherResolver: the question does not come from a network that sees zones.
func (x *examination) otherResolver() Finding {
	return Finding{OtherResolver, fmt.Sprintf("%s is in %s, so it gets public answers. On-premises, forward vault.azure.net and vaultcore.azure.net to a resolver "+
		"whose address is in a network that the zone is linked to; for an app, integrate it with the network and send its questions to that network's resolver.", x.view.Client, strings.TrimSuffix(x.nowhere(), ",")),
		[]string{"az dns-resolver inbound-endpoint create --resource-group GROUP --dns-resolver-name RESOLVER --name inbound --location " + word(x.vault.Resource.Location, "LOCATION") +
			" --ip-configurations \"[{private-ip-allocation-method:Dynamic,id:SUBNET-ID}]\"",
			"az webapp config appsettings set --resource-group GROUP --name APP --settings WEBSITE_DNS_SERVER=168.63.129.16 WEBSITE_VNET_ROUTE_ALL=1"}}
}

// zone is the zone of the right name, linked or not; nil for none.
func (x *examination) zone() *estate.Zone {
	for _, z := range x.view.Snapshot.Network().Zones {
		if z.Name+"." == privateZone {
			return z
		}
	}
	return nil
}

// endpoint is the endpoint whose address the client should get: an approved
// one first, of its own network first.
func (x *examination) endpoint() *estate.Endpoint {
	var best *estate.Endpoint
	score := -1
	for _, e := range x.endpoints {
		s := 0
		if e.State == access.EndpointApproved {
			s += 2
		}
		if x.subnet != nil && e.Subnet != nil && e.Subnet.Network == x.subnet.Network {
			s++
		}
		if s > score {
			best, score = e, s
		}
	}
	return best
}
