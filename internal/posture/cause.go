package posture

import (
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/dns"
	"postern/internal/estate"
	"postern/internal/trusted"
)

// Cause is one thing that stands in a caller's way, or will.
type Cause struct {
	// Code names the cause for programs: "ip-not-listed".
	Code string `json:"code"`
	Text string `json:"text"`
	// Fix are the commands that remove it, in their order; words in capitals
	// stand for what is not known. There may be none.
	Fix []string `json:"fix"`
}

// Commands are the fixes of all causes, in their order.
func (e *Explanation) Commands() []string {
	var list []string
	for _, c := range e.Causes {
		list = append(list, c.Fix...)
	}
	return list
}

// networkCauses are why the network gate refuses (document: 403 Forbidden
// Errors, Private Endpoint Connection States), and what to know before they
// are removed.
func (x *explaining) networkCauses(step access.Step) (causes []Cause, advice string) {
	o := &x.request.Origin
	if step.Reason == access.PerimeterDenied {
		return []Cause{{"perimeter-rule-missing", "no inbound rule of the network security perimeter admits the caller", []string{
			"az network perimeter profile access-rule create --perimeter-name PERIMETER --profile-name PROFILE --resource-group " + x.group() +
				" --name RULE --address-prefixes " + addressPrefix(o)}}}, ""
	}
	if x.way.Endpoint != nil {
		if c, ok := x.endpointCause(x.way.Endpoint); ok {
			causes = append(causes, c)
		}
	}
	if o.Service != "" {
		more, advice := x.serviceCauses()
		return append(causes, more...), advice
	}
	switch step.Reason {
	case access.PublicDisabledNotTrusted, access.PublicDisabledBypassNone:
		advice = "the other way is " + x.update("--public-network-access Enabled") + ", which puts the firewall in charge again"
		if len(x.endpoints()) == 0 {
			causes = append(causes, Cause{"private-endpoint-missing", "public access is disabled, and the vault has no private endpoint", []string{
				fmt.Sprintf("az network private-endpoint create --name %s-endpoint --resource-group %s --vnet-name VNET --subnet SUBNET "+
					"--private-connection-resource-id %s --group-id vault --connection-name %s", x.name(), x.group(), x.scope(), x.name())}})
		}
		return causes, advice
	}
	if o.Path == access.PathPrivateEndpoint {
		return causes, ""
	}
	if o.Subnet != "" && x.way.Subnet != nil {
		return append(causes, x.subnetCauses(x.way.Subnet)...), ""
	}
	c, advice := x.addressCause()
	return append(causes, c), advice
}

// addressPrefix is the caller's address as a range of one.
func addressPrefix(o *access.Origin) string {
	if o.Addr == nowhere {
		return "ADDRESS/PREFIX"
	}
	return fmt.Sprintf("%s/%d", o.Addr, o.Addr.BitLen())
}

// addressCause: no address rule holds the caller.
func (x *explaining) addressCause() (Cause, string) {
	addr := x.request.Origin.Addr
	c := Cause{Code: "ip-not-listed", Text: fmt.Sprintf("no address rule of the firewall holds %s", addr)}
	switch {
	case addr == nowhere:
		return Cause{Code: c.Code, Text: "no address rule of the firewall holds the caller", Fix: []string{x.rule("--ip-address ADDRESS")}}, ""
	case addr.Is6():
		return c, "address rules hold IPv4 only: use a private endpoint, or an IPv4 address"
	case addr.IsPrivate(), addr.IsLoopback():
		c.Fix = []string{x.rule("--subnet SUBNET-ID")}
		return c, "address rules cannot hold a private address: it arrives as one only through a subnet's service endpoint or a private endpoint"
	}
	c.Fix = []string{x.rule("--ip-address " + addr.String() + "/32")}
	return c, ""
}

// rule is "az keyvault network-rule add" with options.
func (x *explaining) rule(options string) string {
	return fmt.Sprintf("az keyvault network-rule add --name %s --resource-group %s %s", x.name(), x.group(), options)
}

// subnetCauses: the service endpoint is off, or no rule names the subnet.
func (x *explaining) subnetCauses(s *estate.Subnet) []Cause {
	var causes []Cause
	if !s.KeyVault {
		services := append(x.subnetServices(s), estate.KeyVaultEndpoint)
		causes = append(causes, Cause{"service-endpoint-off", fmt.Sprintf("the service endpoint %s is not enabled on the subnet %s, so no rule can know the subnet", estate.KeyVaultEndpoint, subnetName(s)),
			[]string{fmt.Sprintf("az network vnet subnet update --resource-group %s --vnet-name %s --name %s --service-endpoints %s",
				groupOf(s.Network.ID), plain(s.Network.Name, "VNET"), plain(s.Name, "SUBNET"), strings.Join(services, " "))}})
	}
	if !slices.ContainsFunc(x.vault.Rules.SubnetRules, func(r access.SubnetRule) bool { return r.Subnet == s.Key }) {
		causes = append(causes, Cause{"vnet-rule-missing", fmt.Sprintf("no virtual network rule of the firewall names the subnet %s", subnetName(s)),
			[]string{x.rule("--subnet " + plain(s.ID, "SUBNET-ID"))}})
	}
	return causes
}

// endpointCause is what is wrong with a private endpoint; ok is false for
// one that carries traffic to the vault (document: Private Endpoint
// Connection States).
func (x *explaining) endpointCause(e *estate.Endpoint) (c Cause, ok bool) {
	if e.Vault != "" && e.Vault != estate.Key(x.vault.Resource.ID) {
		return Cause{"endpoint-of-another-vault", fmt.Sprintf("the private endpoint %s leads to the vault %s", e.Name, lastSegment(e.Vault)), nil}, true
	}
	return x.stateCause(e.Name, e.Connection, e.State, e)
}

// stateCause is what the state of a connection asks for; e may be nil when
// the endpoint was not read.
func (x *explaining) stateCause(name, connection string, state access.EndpointState, e *estate.Endpoint) (Cause, bool) {
	id := connection
	for i := range x.vault.Properties.PrivateEndpointConnections {
		if c := x.vault.Properties.PrivateEndpointConnections[i].ID; estate.Key(c) == connection {
			id = c // as it is written
		}
	}
	approve := []string{fmt.Sprintf("az keyvault private-endpoint-connection approve --vault-name %s --resource-group %s --name %s",
		x.name(), x.group(), plain(lastSegment(id), "CONNECTION"))}
	switch state {
	case access.EndpointApproved:
		return Cause{}, false
	case access.EndpointPending:
		return Cause{"endpoint-pending", fmt.Sprintf("the connection of the private endpoint %s is Pending: it awaits approval and carries nothing; approve the connection", name), approve}, true
	case access.EndpointRejected:
		return Cause{"endpoint-rejected", fmt.Sprintf("the connection of the private endpoint %s is Rejected, by an owner of the vault; re-create or approve it", name), approve}, true
	}
	text := fmt.Sprintf("the private endpoint %s is Disconnected: it is deleted or broken, or the vault no longer has its connection; re-create it", name)
	group, subnet := x.group(), "SUBNET-ID"
	var fix []string
	if e != nil {
		group = groupOf(e.ID)
		if e.Subnet != nil {
			subnet = plain(e.Subnet.ID, subnet)
		}
		fix = append(fix, fmt.Sprintf("az network private-endpoint delete --resource-group %s --name %s", group, plain(name, "ENDPOINT")))
	}
	fix = append(fix, fmt.Sprintf("az network private-endpoint create --resource-group %s --name %s --subnet %s --private-connection-resource-id %s --group-id vault --connection-name %s",
		group, plain(name, "ENDPOINT"), subnet, x.scope(), plain(name, "ENDPOINT")))
	return Cause{"endpoint-disconnected", text, fix}, true
}

// endpoints are the private endpoints that lead to the vault.
func (x *explaining) endpoints() []*estate.Endpoint {
	var list []*estate.Endpoint
	for _, e := range x.snapshot.Network().Endpoints {
		if e.Vault == estate.Key(x.vault.Resource.ID) {
			list = append(list, e)
		}
	}
	return list
}

// stateCauses are those of all connections of the vault that carry nothing.
func (x *explaining) stateCauses() []Cause {
	var causes []Cause
	known := map[string]bool{}
	for _, e := range x.endpoints() {
		known[e.Connection] = true
		if c, ok := x.endpointCause(e); ok {
			causes = append(causes, c)
		}
	}
	for i, c := range x.vault.Rules.Connections {
		if known[c.ID] {
			continue
		}
		name := lastSegment(x.vault.Properties.PrivateEndpointConnections[i].Properties.PrivateEndpoint.ID)
		if cause, ok := x.stateCause(name, c.ID, c.State, nil); ok {
			causes = append(causes, cause)
		}
	}
	return causes
}

// dnsCauses are what is wrong with the meaning of the name (document: DNS
// Resolution Issues).
func (x *explaining) dnsCauses() []Cause {
	if x.way.DNS == nil {
		return nil
	}
	var causes []Cause
	for _, f := range x.way.DNS.Findings {
		switch f.Cause {
		case dns.NotApproved:
			causes = append(causes, x.stateCauses()...)
		case dns.OtherResolver:
			causes = append(causes, x.resolverCause(f.Cause.String()))
		default:
			causes = append(causes, Cause{f.Cause.String(), sentence(f.Message), f.Fix})
		}
	}
	return causes
}

// sentence is a message as part of a line: without a capital and a stop.
func sentence(message string) string {
	return strings.ToLower(message[:min(1, len(message))]) + strings.TrimSuffix(message[min(1, len(message)):], ".")
}

// privateZone is the zone that names of vaults with a private endpoint lead
// into.
const privateZone = "privatelink.vaultcore.azure.net"

// serviceCauses: the caller is on the compute of a trusted service, and is
// refused all the same.
func (x *explaining) serviceCauses() ([]Cause, string) {
	name := x.request.Origin.Service
	service, ok := trusted.Named(x.question.Services, name)
	switch rule := service.Rule(); {
	case !ok:
		return nil, ""
	case !x.vault.Rules.Bypass:
		return []Cause{{"bypass-none", "networkAcls.bypass is None: no trusted service is let through", []string{x.update("--bypass AzureServices")}}}, ""
	case !slices.Contains(rule.Operations, x.request.Operation):
		return []Cause{{"not-in-scenario", fmt.Sprintf("%s is trusted for other operations: %s", name, service.Scenario), nil}},
			"for this operation it needs an address rule or a private endpoint, like everybody else"
	default:
		text := fmt.Sprintf("the identity is not one of %s: it acts as the application %s", name, service.App)
		if len(rule.ResourceTypes) > 0 {
			text += ", or as the managed identity of " + strings.Join(rule.ResourceTypes, ", ")
		}
		return []Cause{{"identity-not-trusted", text, nil}}, "the token must be the service's own; being on its compute does not suffice"
	}
}

// plain is a text for a command that somebody will paste: any other than a
// name or an id is not put into it.
func plain(text, placeholder string) string {
	if text == "" || text[0] == '-' || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") != "" {
		return placeholder
	}
	return text
}

// groupOf is the resource group of an id, for a command.
func groupOf(id string) string { return plain((&estate.Resource{ID: id}).Group(), "GROUP") }
