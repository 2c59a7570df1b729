package dns

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/estate"
	"postern/internal/names"
)

const (
	group    = "/subscriptions/cccccccc-0000-0000-0000-000000000001/resourceGroups/rg"
	networks = group + "/providers/Microsoft.Network/"
)

func resource(typ, id, location, body string) *estate.Resource {
	return &estate.Resource{ID: id, Type: typ, Name: id[strings.LastIndexByte(id, '/')+1:], Location: location, Body: []byte(body)}
}

// vault is a vault with a private endpoint connection of each of the
// endpoints, given as name=state.
func vault(name, location string, endpoints ...string) *estate.Resource {
	id := group + "/providers/Microsoft.KeyVault/vaults/" + name
	var list []string
	for _, e := range endpoints {
		endpoint, state, _ := strings.Cut(e, "=")
		list = append(list, fmt.Sprintf(`{"id":"%s/privateEndpointConnections/%s","properties":{"privateEndpoint":{"id":"%sprivateEndpoints/%s"},"privateLinkServiceConnectionState":{"status":%q}}}`,
			id, endpoint, networks, endpoint, state))
	}
	return resource(estate.TypeVault, id, location, `{"properties":{"tenantId":"aaaaaaaa-0000-0000-0000-000000000001","privateEndpointConnections":[`+strings.Join(list, ",")+`]}}`)
}

// network is a virtual network with subnets, given as name=prefix.
func network(name string, subnets ...string) *estate.Resource {
	id := networks + "virtualNetworks/" + name
	var list []string
	for _, s := range subnets {
		sub, prefix, _ := strings.Cut(s, "=")
		list = append(list, fmt.Sprintf(`{"id":"%s/subnets/%s","name":%q,"properties":{"addressPrefix":%q}}`, id, sub, sub, prefix))
	}
	return resource(estate.TypeVirtualNetwork, id, "eastus", `{"properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]},"subnets":[`+strings.Join(list, ",")+`]}}`)
}

func endpoint(name, subnet, vault, addr string) *estate.Resource {
	id := networks + "privateEndpoints/" + name
	return resource(estate.TypePrivateEndpoint, id, "eastus", fmt.Sprintf(`{"properties":{"subnet":{"id":"%svirtualNetworks/%s"},
		"privateLinkServiceConnections":[{"properties":{"privateLinkServiceId":"%s/providers/Microsoft.KeyVault/vaults/%s"}}],
		"customDnsConfigs":[{"ipAddresses":[%q]}]}}`, networks, subnet, group, vault, addr))
}

const core = "privatelink.vaultcore.azure.net"

func privateDNS(zone string) *estate.Resource {
	return resource(estate.TypePrivateZone, networks+"privateDnsZones/"+zone, "global", `{}`)
}

func linkTo(zone, network, policy string) *estate.Resource {
	return resource(estate.TypeZoneLink, networks+"privateDnsZones/"+zone+"/virtualNetworkLinks/"+network, "global",
		fmt.Sprintf(`{"properties":{"virtualNetwork":{"id":"%svirtualNetworks/%s"},"resolutionPolicy":%q}}`, networks, network, policy))
}

func record(zone, name string, ttl int, addrs ...string) *estate.Resource {
	var list []string
	for _, a := range addrs {
		list = append(list, fmt.Sprintf(`{"ipv4Address":%q}`, a))
	}
	return resource(estate.TypeRecordSetA, networks+"privateDnsZones/"+zone+"/A/"+name, "", fmt.Sprintf(`{"properties":{"ttl":%d,"aRecords":[%s]}}`, ttl, strings.Join(list, ",")))
}

func recordOf(kind, zone, name, properties string) *estate.Resource {
	return resource("Microsoft.Network/privateDnsZones/"+kind, networks+"privateDnsZones/"+zone+"/"+kind+"/"+name, "", `{"properties":{"ttl":30,`+properties+`}}`)
}

// drawing is the architecture of the guide to private endpoints, and a vault
// beside it that has no endpoint.
func drawing() []*estate.Resource {
	return []*estate.Resource{
		vault("myvault", "eastus", "kv-private-endpoint=Approved"), vault("plain", "West Europe"), deleted("gone"),
		network("myvnet", "app-subnet=10.0.1.0/24", "aks-subnet=10.0.2.0/24", "pe-subnet=10.0.3.0/24"),
		network("other", "default=10.9.0.0/24"),
		endpoint("kv-private-endpoint", "myvnet/subnets/pe-subnet", "myvault", "10.0.3.4"),
		privateDNS(core), linkTo(core, "myvnet", ""), record(core, "myvault", 10, "10.0.3.4"),
	}
}

func deleted(name string) *estate.Resource {
	r := vault(name, "eastus")
	r.Deleted = &estate.Deletion{}
	return r
}

const (
	inside  = "10.0.1.7"
	outside = "203.0.113.9"
	public  = "198.51.100.1"
)

func view(client string, resources ...*estate.Resource) *View {
	s, _ := estate.New(resources, estate.Options{})
	return &View{Snapshot: s, Names: names.New("postern.localhost", 8443), Public: netip.MustParseAddr(public), TTL: 60,
		Client: netip.MustParseAddr(client)}
}

// text is an answer in one line: the chain, then "SOA zone" for a negative
// one, "-> name" for one that goes on elsewhere.
func text(a Answer) string {
	words := []string{a.Code.String()}
	for _, r := range a.Records {
		words = append(words, fmt.Sprintf("%s %d %s", r.Name, r.TTL, r.Type))
		switch {
		case r.Target != "":
			words = append(words, r.Target)
		case r.Authority != nil:
			words = append(words, r.Authority.Master)
		default:
			words = append(words, r.Addr.String())
		}
	}
	if a.Authority != nil {
		words = append(words, "SOA", a.Authority.Zone)
	}
	if a.Elsewhere != "" {
		words = append(words, "->", a.Elsewhere)
	}
	return strings.Join(words, " ")
}

func ask(t *testing.T, v *View, name string, typ Type, want string) {
	t.Helper()
	if got := text(Resolve(v, Question{name, typ})); got != want {
		t.Errorf("Resolve(%s, %s from %s) =\n  %s, want\n  %s", name, typ, v.Client, got, want)
	}
}

func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}
