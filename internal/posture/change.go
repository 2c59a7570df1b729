package posture

import (
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/dns"
	"postern/internal/roles"
)

// change is what has to change before the gate that refused lets the caller
// pass, and what to know before.
func (x *explaining) change(step access.Step) (causes []Cause, advice string) {
	info := x.request.Operation.Info()
	switch {
	case step.Gate == access.GateNetwork && x.way.Lost != "":
		return append(x.dnsCauses(), x.appCauses()...), ""
	case step.Gate == access.GateNetwork:
		causes, advice = x.networkCauses(step)
		// The name comes first: with it put right, the firewall is not asked.
		// On the internet it is right, and the firewall is what there is.
		firewall := step.Reason == access.FirewallNotTrusted || step.Reason == access.FirewallBypassNone
		if x.way.Endpoint != nil || x.isOutside() && firewall {
			return causes, advice
		}
		name := append(x.dnsCauses(), x.appCauses()...)
		if len(x.endpoints()) == 0 && len(x.vault.Rules.Connections) == 0 {
			return append(causes, name...), advice // there is no endpoint to lead to
		}
		for _, c := range causes {
			if !slices.ContainsFunc(name, func(other Cause) bool { return other.Code == c.Code }) {
				name = append(name, c)
			}
		}
		return name, advice
	}
	switch step.Reason {
	case access.WrongTenant:
		return []Cause{{"wrong-tenant", "the token is of another tenant than the vault's", []string{"az login --tenant " + plain(x.vault.Tenant, "TENANT")}}},
			"the caller needs an identity in the vault's tenant"
	case access.NoAssignment:
		if len(x.late) > 0 {
			return x.identityCauses(), ""
		}
		return append([]Cause{{"role-missing", fmt.Sprintf("no role that holds %s is assigned to the caller", info.DataAction),
			[]string{fmt.Sprintf("az role assignment create --role %q --assignee-object-id %s --assignee-principal-type ServicePrincipal --scope %s",
				leastRole(x.request.Operation), x.request.Caller.Object, x.scope())}}}, x.identityCauses()...), "a new assignment takes some minutes to count in Azure"
	case access.NoPolicy, access.OnlyOnBehalf:
		return append([]Cause{{"policy-missing", fmt.Sprintf("no access policy gives the caller %s %s", info.Kind, info.Permission),
			[]string{fmt.Sprintf("az keyvault set-policy --name %s --resource-group %s --object-id %s --%s-permissions %s",
				x.name(), x.group(), x.request.Caller.Object, strings.TrimSuffix(info.Kind.String(), "s"), info.Permission)}}}, x.identityCauses()...), ""
	case access.DenyAssigned:
		return nil, "a deny assignment is taken away by whoever made it; no role outweighs it"
	}
	return nil, ""
}

// besides is what is wrong although the request would be served: it will be
// in the way when public access goes. A caller on the internet is not one of
// those whose name ought to lead elsewhere.
func (x *explaining) besides() []Cause {
	if x.way.Endpoint != nil {
		return x.appCauses()
	}
	if x.isOutside() {
		return nil
	}
	causes := x.dnsCauses()
	if len(causes) > 0 {
		causes = append(causes, x.appCauses()...)
	}
	return causes
}

// isOutside reports whether the caller is on the internet.
func (x *explaining) isOutside() bool {
	addr := x.request.Origin.Addr
	return x.way.Subnet == nil && !addr.IsPrivate() && !addr.IsLoopback()
}

// headline says why the name leads to the public address, to a caller who is
// refused there and would not be at an approved private endpoint.
func (x *explaining) headline(step access.Step) string {
	d := x.way.DNS
	if step.Gate != access.GateNetwork || d == nil || d.Private || x.way.Endpoint != nil || x.way.Lost != "" || x.request.Origin.Service != "" {
		return ""
	}
	approved := ""
	for _, e := range x.endpoints() {
		if e.State == access.EndpointApproved {
			approved = e.Name
		}
	}
	if approved == "" {
		return ""
	}
	there := "the firewall refuses the caller there"
	if step.Reason == access.PublicDisabledNotTrusted || step.Reason == access.PublicDisabledBypassNone {
		there = "public access is disabled"
	}
	return fmt.Sprintf("the name resolves to the public address because %s; %s, although the private endpoint %s is approved", x.because(), there, approved)
}

// because is why the name leads to the public address.
func (x *explaining) because() string {
	w := x.way
	if len(w.DNS.Findings) == 0 {
		return "nothing says otherwise"
	}
	switch first := w.DNS.Findings[0]; first.Cause {
	case dns.OtherResolver:
		return fmt.Sprintf("%s, who asks the DNS, is in no declared network: no private zone is seen from there", w.Resolver)
	case dns.ZoneNotLinked:
		return x.unlinked()
	default:
		return sentence(first.Message)
	}
}

// unlinked says what the private zone is linked to instead of the caller's
// network.
func (x *explaining) unlinked() string {
	asking := "the caller's network"
	if s, ok := x.snapshot.Network().SubnetOf(x.way.Resolver); ok {
		asking = s.Network.Name
	}
	for _, z := range x.snapshot.Network().Zones {
		if z.Name != privateZone {
			continue
		}
		if len(z.Links) == 0 {
			return fmt.Sprintf("the private zone %s is linked to no network", privateZone)
		}
		var linked []string
		for _, l := range z.Links {
			linked = append(linked, x.written(l))
		}
		return fmt.Sprintf("the private zone %s is linked to %s and not to %s, where the question comes from", privateZone, strings.Join(linked, ", "), asking)
	}
	return fmt.Sprintf("there is no private zone %s", privateZone)
}

// written is the name of a network as it is written, for its Key.
func (x *explaining) written(key string) string {
	if r, ok := x.snapshot.Resource(key); ok {
		return r.Name
	}
	return lastSegment(key)
}

// leastRole is the built-in role that allows an operation and the fewest
// others, asked of the decision itself.
func leastRole(o access.Operation) string {
	best, fewest := "", 0
	for _, d := range roles.All() {
		if !roleAllows(d.Role(), o) {
			continue
		}
		count := 0
		for _, other := range access.Operations() {
			if roleAllows(d.Role(), other) {
				count++
			}
		}
		if best == "" || count < fewest {
			best, fewest = d.RoleName, count
		}
	}
	return best
}

// anyone is a principal of no tenant in particular, for questions about a
// role rather than about somebody.
var anyone = access.GUID{15: 1}

func roleAllows(role *access.Role, o access.Operation) bool {
	const id = "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/v"
	rules := &access.Rules{ID: id, Tenant: anyone, PublicAccess: access.PublicEnabled, DefaultAction: access.Allow, Model: access.ModelRBAC,
		Assignments: []access.Assignment{{ID: "a", Principal: anyone, Scope: id, Role: role}}}
	request := access.Request{Origin: access.Origin{Path: access.PathPublic},
		Caller: access.Caller{Token: access.TokenValid, Tenant: anyone, Object: anyone}, Operation: o}
	return access.Explain(rules, &request).Decision.Allowed()
}
