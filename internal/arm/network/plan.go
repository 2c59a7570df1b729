package network

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/arm/privatelink"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/region"
)

// Limits of a network (documentation: networking limits).
const (
	maxPrefixes = 1000
	maxSubnets  = 3000
)

// plan checks the properties of a virtual network and brings them into the
// form in which the service answers them (spec: VirtualNetwork).
type plan struct {
	// id, name and location are the network's.
	id, name, location string
	marks              marks
	// old is the properties as they were; nil for a new network.
	old *ordered.Object
}

// What clients send back and what is the service's own.
var (
	readOnly       = []string{"provisioningState", "resourceGuid"}
	readOnlySubnet = []string{"provisioningState", "ipConfigurations", "ipConfigurationProfiles", "privateEndpoints",
		"resourceNavigationLinks", "serviceAssociationLinks", "purpose"}
)

// complete turns the properties of a request into those of the network. The
// subnets of a network stay when a request does not speak of them.
func (p *plan) complete(sent *ordered.Object) (*ordered.Object, error) {
	rest := sent.Clone()
	if rest == nil {
		return nil, malformed("properties must be an object")
	}
	for _, name := range readOnly {
		rest.Delete(name)
	}
	space, spaces, err := p.space(rest.Object("addressSpace"))
	if err != nil {
		return nil, err
	}
	if before, had := p.old.Clone().Get("subnets"); had {
		if _, spoken := rest.Get("subnets"); !spoken {
			rest.Set("subnets", before)
		}
	}
	subnets, err := p.subnets(rest, spaces)
	if err != nil {
		return nil, err
	}
	if err := servers(rest); err != nil {
		return nil, err
	}
	if err := word(rest, "privateEndpointVNetPolicies", "Disabled", "Basic"); err != nil {
		return nil, err
	}
	guid := p.old.Text("resourceGuid")
	if guid == "" {
		guid = privatelink.GUID(p.marks.guid)
	}
	next := ordered.New(field("provisioningState", "Succeeded"), field("resourceGuid", guid), field("addressSpace", space),
		field("subnets", values(subnets)), field("virtualNetworkPeerings", []any{}), field("enableDdosProtection", false))
	for _, m := range rest.Members() {
		if own := m.Name; m.Value != nil && !strings.EqualFold(own, "addressSpace") && !strings.EqualFold(own, "subnets") {
			next.Set(own, m.Value)
		}
	}
	return next, nil
}

// servers checks dhcpOptions.dnsServers: addresses.
func servers(props *ordered.Object) error {
	if !props.Has("dhcpOptions") {
		props.Delete("dhcpOptions")
		return nil
	}
	options := props.Object("dhcpOptions")
	list, err := texts(options, "dnsServers")
	if options == nil || err != nil || len(list) > maxPrefixes {
		return malformed("dhcpOptions.dnsServers must be a list of addresses")
	}
	for _, text := range list {
		if _, err := netip.ParseAddr(text); err != nil {
			return fault.New(http.StatusBadRequest, "InvalidIPAddressFormat", "IP address %.60s is not formatted correctly.", text)
		}
	}
	options.Set("dnsServers", values(list))
	return nil
}

// reserved are the ranges that no network may have (documentation: virtual
// network FAQ). The loopback range, which the cloud refuses too, is let
// pass: on one machine there are no other addresses to come from.
var reserved = []netip.Prefix{netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("168.63.129.16/32")}

// prefix reads one address prefix of a resource.
func prefix(resource, text string) (netip.Prefix, error) {
	got, err := netip.ParsePrefix(text)
	if err != nil || got.Addr().Is4In6() {
		return netip.Prefix{}, fault.New(http.StatusBadRequest, "InvalidAddressPrefixFormat", "Address prefix %.60s of resource %s is not"+
			" formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24.", text, resource)
	}
	if got.Masked() != got {
		return netip.Prefix{}, fault.New(http.StatusBadRequest, "InvalidCIDRNotation", "The address prefix %s in resource %s has an invalid"+
			" CIDR notation. For the given prefix length, the address prefix should be %s.", text, resource, got.Masked())
	}
	return got, nil
}

// space checks addressSpace: prefixes that do not overlap.
func (p *plan) space(sent *ordered.Object) (*ordered.Object, []netip.Prefix, error) {
	list, err := texts(sent, "addressPrefixes")
	if err != nil {
		return nil, nil, err
	}
	if len(list) == 0 || len(list) > maxPrefixes {
		return nil, nil, malformed("addressSpace.addressPrefixes must name at least one prefix")
	}
	var spaces []netip.Prefix
	for _, text := range list {
		next, err := prefix(p.id, text)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range reserved {
			if next.Overlaps(r) {
				return nil, nil, fault.New(http.StatusBadRequest, "AddressPrefixNotAllowed", "The address prefix %s of virtual network %s overlaps"+
					" with the range %s, which is reserved.", next, p.name, r)
			}
		}
		spaces = append(spaces, next)
	}
	if i, ok := overlapping(spaces); ok {
		return nil, nil, fault.New(http.StatusBadRequest, "NetcfgInvalidIPAddressPrefix", "The address prefix %s of virtual network %s overlaps"+
			" with another one of its address space.", spaces[i], p.name)
	}
	next := sent.Clone()
	next.Set("addressPrefixes", values(list))
	return next, spaces, nil
}

// overlapping finds the last prefix of a list that overlaps with another
// one. Prefixes contain each other or are apart, so that in order of their
// addresses each needs to be compared with one before it alone: the last that
// is in no other.
func overlapping(list []netip.Prefix) (last int, found bool) {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := list[a].Addr().Compare(list[b].Addr()); c != 0 {
			return c
		}
		return cmp.Compare(list[a].Bits(), list[b].Bits())
	})
	last = -1
	outer := 0
	for i := 1; i < len(order); i++ {
		if list[order[outer]].Overlaps(list[order[i]]) {
			last = max(last, order[outer], order[i])
			continue
		}
		outer = i
	}
	return last, last >= 0
}

// subnets checks all subnets: each one, their names, and that they do not
// overlap.
func (p *plan) subnets(props *ordered.Object, spaces []netip.Prefix) ([]*ordered.Object, error) {
	list, err := objects(props, "subnets")
	if err != nil {
		return nil, err
	}
	if len(list) > maxSubnets {
		return nil, fault.New(http.StatusBadRequest, "SubnetCountLimitReached", "Cannot create more than %d subnets for virtual network %s.", maxSubnets, p.id)
	}
	done := make([]*ordered.Object, len(list))
	names := map[string]bool{}
	var all []netip.Prefix
	var owner []string
	for i, sent := range list {
		name := sent.Text("name")
		if err := checkName(name); err != nil {
			return nil, err
		}
		if folded := strings.ToLower(name); names[folded] {
			return nil, fault.New(http.StatusBadRequest, "DuplicateResourceName", "Resource %s has two child resources with the same name (%s).", p.id, name)
		} else {
			names[folded] = true
		}
		var prefixes []netip.Prefix
		if done[i], prefixes, err = p.subnet(name, sent, spaces); err != nil {
			return nil, err
		}
		for _, each := range prefixes {
			all, owner = append(all, each), append(owner, name)
		}
	}
	if i, found := overlapping(all); found {
		return nil, fault.New(http.StatusBadRequest, "NetcfgSubnetRangesOverlap", "Subnet '%s' is not valid because its IP address range overlaps"+
			" with that of an existing subnet in virtual network '%s'.", owner[i], p.name)
	}
	return done, nil
}

// subnet checks one subnet (spec: Subnet).
func (p *plan) subnet(name string, sent *ordered.Object, spaces []netip.Prefix) (*ordered.Object, []netip.Prefix, error) {
	props := sent.Object("properties").Clone()
	if props == nil {
		return nil, nil, malformed("the properties of subnet " + name + " must be an object")
	}
	for _, each := range readOnlySubnet {
		props.Delete(each)
	}
	id := p.id + "/subnets/" + name
	prefixes, err := p.ranges(id, name, props, spaces)
	if err != nil {
		return nil, nil, err
	}
	for _, step := range []func(string, *ordered.Object) error{p.services, p.delegations} {
		if err := step(id, props); err != nil {
			return nil, nil, err
		}
	}
	if err := word(props, "privateEndpointNetworkPolicies", "Disabled", "Enabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled"); err != nil {
		return nil, nil, err
	}
	if err := word(props, "privateLinkServiceNetworkPolicies", "Enabled", "Disabled"); err != nil {
		return nil, nil, err
	}
	next := ordered.New(field("provisioningState", "Succeeded"))
	for _, m := range props.Members() {
		if m.Value != nil {
			next.Set(m.Name, m.Value)
		}
	}
	return ordered.New(field("name", name), field("id", id), field("etag", p.marks.etag()), field("properties", next),
		field("type", "Microsoft.Network/virtualNetworks/subnets")), prefixes, nil
}

// ranges reads addressPrefix and addressPrefixes of a subnet: inside of the
// network, IPv4 no smaller than /29, IPv6 exactly /64.
func (p *plan) ranges(id, name string, props *ordered.Object, spaces []netip.Prefix) ([]netip.Prefix, error) {
	list, err := texts(props, "addressPrefixes")
	if err != nil {
		return nil, err
	}
	if one, ok := props.Get("addressPrefix"); ok && one != nil {
		text, isText := one.(string)
		if !isText {
			return nil, malformed("addressPrefix must be a string")
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	if len(list) == 0 || len(list) > maxPrefixes {
		return nil, malformed("subnet " + name + " needs an addressPrefix")
	}
	var prefixes []netip.Prefix
	for _, text := range list {
		next, err := prefix(id, text)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(spaces, func(s netip.Prefix) bool { return s.Bits() <= next.Bits() && s.Contains(next.Addr()) }) {
			return nil, fault.New(http.StatusBadRequest, "NetcfgSubnetRangeOutsideVnet", "Subnet '%s' is not valid because its IP address range is"+
				" outside the IP address range of virtual network '%s'.", name, p.name)
		}
		if next.Addr().Is4() && next.Bits() > 29 || next.Addr().Is6() && next.Bits() != 64 {
			return nil, fault.New(http.StatusBadRequest, "NetcfgInvalidSubnet", "Subnet '%s' is not valid in virtual network '%s'.", name, p.name).
				WithHint("the smallest subnet is a /29; one of IPv6 is a /64")
		}
		prefixes = append(prefixes, next)
	}
	return prefixes, nil
}

// services checks the service endpoints and fills in what the service adds:
// the state, and the locations from which the service is reached.
func (p *plan) services(_ string, props *ordered.Object) error {
	list, err := objects(props, "serviceEndpoints")
	if err != nil || list == nil {
		return err
	}
	kept, seen := []any{}, map[string]bool{}
	for _, each := range list {
		service := each.Text("service")
		folded := strings.ToLower(service)
		if len(service) > 100 || !strings.HasPrefix(folded, "microsoft.") {
			return fault.New(http.StatusBadRequest, "InvalidServiceEndpointService", "The service '%.100s' of a service endpoint is not valid.", service)
		}
		if seen[folded] {
			continue
		}
		seen[folded] = true
		next := ordered.New(field("provisioningState", "Succeeded"), field("service", service), field("locations", p.locations(folded)))
		for _, m := range each.Members() {
			if !strings.EqualFold(m.Name, "provisioningState") && m.Value != nil {
				next.Set(m.Name, m.Value)
			}
		}
		kept = append(kept, next)
	}
	props.Set("serviceEndpoints", kept)
	return nil
}

// locations are those of a service endpoint: everywhere, but for storage the
// network's region and its pair (recorded).
func (p *plan) locations(service string) []any {
	known, ok := region.Find(p.location)
	if service != "microsoft.storage" || !ok {
		return []any{"*"}
	}
	if known.Paired == "" {
		return []any{known.Name}
	}
	return []any{known.Name, known.Paired}
}

// delegations fills in what the service adds to them (spec: Delegation).
func (p *plan) delegations(id string, props *ordered.Object) error {
	list, err := objects(props, "delegations")
	if err != nil {
		return err
	}
	done := []any{}
	for _, each := range list {
		name, of := each.Text("name"), each.Object("properties").Clone()
		service := of.Text("serviceName")
		if name == "" || service == "" {
			return malformed("a delegation needs a name and a serviceName")
		}
		of.Set("provisioningState", "Succeeded")
		if !of.Has("actions") {
			of.Set("actions", []any{"Microsoft.Network/virtualNetworks/subnets/action"})
		}
		done = append(done, ordered.New(field("name", name), field("id", id+"/delegations/"+name), field("etag", p.marks.etag()),
			field("properties", of), field("type", "Microsoft.Network/virtualNetworks/subnets/delegations")))
	}
	props.Set("delegations", done)
	return nil
}
