package arm

import (
	"strings"

	"postern/internal/iac"
)

// az prints the resources of networks without the level "properties", and
// what is listed in them likewise. These are the lists whose items have one.
var flatLists = []string{"subnets", "privateLinkServiceConnections", "manualPrivateLinkServiceConnections", "ipConfigurations",
	"privateEndpointConnections", "virtualNetworkPeerings", "delegations", "privateDnsZoneConfigs"}

// ofNetwork reports whether a type is of the provider of networks.
func ofNetwork(typ string) bool { return strings.HasPrefix(strings.ToLower(typ), "microsoft.network/") }

// raised is a resource as ARM has it: flattened objects get the level
// "properties" again. What has it stays as it is.
func raised(n *iac.Node) *iac.Node {
	if n.Kind != iac.Object {
		return n
	}
	properties := n.Get("properties")
	flat := properties.None()
	if flat {
		properties = without(n, "properties")
	}
	inner := &iac.Node{Kind: properties.Kind, Text: properties.Text, Why: properties.Why, At: properties.At}
	for _, m := range properties.Members {
		inner.Members = append(inner.Members, iac.Member{Name: m.Name, Value: raisedItems(m)})
	}
	out := &iac.Node{Kind: iac.Object, At: n.At, Members: []iac.Member{{Name: "properties", Value: inner}}}
	out.Members = append(out.Members, without(n, "properties").Members...)
	return out
}

// raisedItems raises the items of one of the lists.
func raisedItems(m iac.Member) *iac.Node {
	for _, name := range flatLists {
		if m.Value.Kind != iac.Array || !iac.SameFold(m.Name, name) {
			continue
		}
		out := &iac.Node{Kind: iac.Array, At: m.Value.At}
		for _, item := range m.Value.Items {
			out.Items = append(out.Items, raised(item))
		}
		return out
	}
	return m.Value
}

// MentionsNetworks reports whether data speaks of the networks that callers
// of vaults are in, or of what names them.
func MentionsNetworks(data []byte) bool {
	folded := strings.ToLower(string(utf8Text(data)))
	for _, word := range []string{"microsoft.network/virtualnetworks", "microsoft.network/privateendpoints", "microsoft.network/privatednszones",
		"microsoft.network/networksecurityperimeters", "microsoft.network/networkinterfaces"} {
		if strings.Contains(folded, word) {
			return true
		}
	}
	return false
}
