package posture

import (
	"fmt"

	"postern/access"
	"postern/internal/iac"
)

// words says what a gate found, and where the rule stands that it names.
func (x *explaining) words(step access.Step) (string, iac.Position) {
	switch step.Gate {
	case access.GateToken:
		return "a bearer token comes with the request", iac.Position{}
	case access.GateNetwork:
		return x.networkWords(step)
	case access.GateIdentity:
		return x.identityWords(step)
	case access.GateThrottle:
		return "budget is left", iac.Position{}
	case access.GatePermission:
		return x.permissionWords(step)
	}
	return "", iac.Position{}
}

func (x *explaining) networkWords(step access.Step) (string, iac.Position) {
	if x.way.Lost != "" {
		return x.way.Lost, iac.Position{}
	}
	acls := x.Property("networkAcls")
	if step.Outcome == access.Passed {
		switch step.Admitted {
		case access.AdmittedOpen:
			n := x.defaultAction()
			return n.stated("defaultAction") + ": every address is admitted", n.node.At
		case access.AdmittedIP:
			n := item(acls.Get("ipRules"), step.Rule)
			return fmt.Sprintf("networkAcls.ipRules[%d], %s, holds the address", step.Rule, n.Get("value").Text), n.At
		case access.AdmittedSubnet:
			n := item(acls.Get("virtualNetworkRules"), step.Rule)
			return fmt.Sprintf("networkAcls.virtualNetworkRules[%d] is the subnet %s", step.Rule, n.Get("id").Text), n.At
		case access.AdmittedPrivateEndpoint:
			n := item(x.Property("privateEndpointConnections"), step.Rule)
			return "the connection of the private endpoint " + x.way.Endpoint.Name + " is approved; no rule is asked", n.At
		case access.AdmittedTrusted:
			return "the caller is a trusted service and bypass is AzureServices", acls.Get("bypass").At
		case access.AdmittedPerimeter:
			return "the network security perimeter admits it", iac.Position{}
		}
	}
	addr := x.caller()
	public, action, bypass := x.publicAccess(), x.defaultAction(), x.bypass()
	switch step.Reason {
	case access.FirewallNotTrusted:
		return "no rule holds " + addr + ", " + action.stated("defaultAction") + ", and the caller is not a trusted service", action.node.At
	case access.FirewallBypassNone:
		return "no rule holds " + addr + ", " + action.stated("defaultAction") + ", and trusted services are not asked for because bypass is None", action.node.At
	case access.PublicDisabledNotTrusted:
		return "publicNetworkAccess is Disabled, and the caller is not a trusted service; address rules are not asked", public.node.At
	case access.PublicDisabledBypassNone:
		return "publicNetworkAccess is Disabled, and " + bypass.stated("bypass") + "; address rules are not asked", public.node.At
	case access.PerimeterDenied:
		return "the network security perimeter decides, and none of its rules admits " + addr, public.node.At
	}
	return step.Reason.String(), iac.Position{}
}

// caller is what the network rules see of the caller.
func (x *explaining) caller() string {
	o := &x.request.Origin
	switch {
	case o.Path == access.PathPrivateEndpoint:
		return "the connection of the private endpoint " + x.way.Endpoint.Name
	case o.Path == access.PathSubnet && x.way.Subnet != nil:
		return "the subnet " + subnetName(x.way.Subnet)
	case o.Subnet != "" && x.way.Subnet != nil:
		return fmt.Sprintf("%s of the subnet %s, whose service endpoint is off", o.Addr, subnetName(x.way.Subnet))
	case o.Addr == nowhere:
		return "the caller"
	}
	return o.Addr.String()
}

// item is the element of an array that a rule index names; Absent when the
// document has fewer.
func item(n *iac.Node, i int32) *iac.Node {
	if i < 0 || int(i) >= len(n.Items) {
		return n.Get("")
	}
	return n.Items[i]
}

func (x *explaining) identityWords(step access.Step) (string, iac.Position) {
	at := x.Property("tenantId").At
	switch {
	case step.Outcome == access.Passed:
		return "the token is of the vault's tenant " + x.vault.Tenant, at
	case step.Reason == access.WrongTenant:
		return "the token is of tenant " + x.request.Caller.Tenant.String() + ", the vault trusts " + x.vault.Tenant, at
	}
	return step.Reason.String(), at
}

func (x *explaining) permissionWords(step access.Step) (string, iac.Position) {
	info, rules := x.request.Operation.Info(), x.vault.Rules
	switch {
	case step.Reason == access.ByAssignment && int(step.Rule) < len(rules.Assignments):
		a := rules.Assignments[step.Rule]
		return fmt.Sprintf("the role %s, assigned at %s, holds %s", a.Role.Name, a.Scope, info.DataAction), x.assignmentAt(a.ID)
	case step.Reason == access.ByPolicy:
		return fmt.Sprintf("accessPolicies[%d] gives %s %s", step.Rule, info.Kind, info.Permission), item(x.Property("accessPolicies"), step.Rule).At
	case step.Reason == access.ByFlag && int(step.Rule) < len(rules.Enabled):
		flag := rules.Enabled[step.Rule]
		return fmt.Sprintf("%s lets the %s in, without an entry", flag.Flag, flag.Service.Name), x.Property(flag.Flag).At
	case step.Reason == access.NoAssignment:
		return fmt.Sprintf("no role assignment of %s at or above the vault holds %s", x.request.Caller.Object, info.DataAction), x.rbac().node.At
	case step.Reason == access.DenyAssigned:
		return "a deny assignment takes " + info.DataAction + " away", iac.Position{}
	case step.Reason == access.NoPolicy:
		return fmt.Sprintf("no access policy gives %s %s %s", x.request.Caller.Object, info.Kind, info.Permission), x.Property("accessPolicies").At
	case step.Reason == access.OnlyOnBehalf:
		return fmt.Sprintf("accessPolicies[%d] gives it to the user together with an application only", step.Rule), item(x.Property("accessPolicies"), step.Rule).At
	}
	return step.Reason.String(), iac.Position{}
}

// assignmentAt is where a role assignment stands.
func (x *explaining) assignmentAt(name string) iac.Position {
	for _, r := range x.all {
		if r.Type == iac.TypeRoleAssignment && iac.SameFold(lastSegment(r.ID), name) {
			return r.Body.At
		}
	}
	return iac.Position{}
}
