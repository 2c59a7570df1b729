package posture

import (
	"fmt"
	"strings"

	"postern/access"
	"postern/internal/roles"
)

// change is the commands that open the gate which refused, and what to know
// before they are run.
func (x *explaining) change(step access.Step) (commands []string, advice string) {
	info := x.request.Operation.Info()
	switch step.Reason {
	case access.FirewallNotTrusted, access.FirewallBypassNone:
		return x.changeFirewall()
	case access.PublicDisabledNotTrusted, access.PublicDisabledBypassNone:
		return []string{fmt.Sprintf("az network private-endpoint create --name %s-endpoint --resource-group %s --vnet-name VNET --subnet SUBNET "+
				"--private-connection-resource-id %s --group-id vault --connection-name %s", x.name(), x.group(), x.scope(), x.name())},
			"the other way is az keyvault update --public-network-access Enabled, which puts the firewall in charge again"
	case access.PerimeterDenied:
		return []string{"az network perimeter profile access-rule create --perimeter-name PERIMETER --profile-name PROFILE --resource-group " +
			x.group() + " --name RULE --address-prefixes " + x.request.Origin.Addr.String() + "/" + fmt.Sprint(x.request.Origin.Addr.BitLen())}, ""
	case access.WrongTenant:
		return []string{"az login --tenant " + x.vault.Tenant}, "the caller needs an identity in the vault's tenant"
	case access.NoAssignment:
		return []string{fmt.Sprintf("az role assignment create --role %q --assignee-object-id %s --assignee-principal-type ServicePrincipal --scope %s",
			leastRole(x.request.Operation), x.request.Caller.Object, x.scope())}, "a new assignment takes some minutes to count in Azure"
	case access.NoPolicy, access.OnlyOnBehalf:
		return []string{fmt.Sprintf("az keyvault set-policy --name %s --resource-group %s --object-id %s --%s-permissions %s",
			x.name(), x.group(), x.request.Caller.Object, strings.TrimSuffix(info.Kind.String(), "s"), info.Permission)}, ""
	case access.DenyAssigned:
		return nil, "a deny assignment is taken away by whoever made it; no role outweighs it"
	}
	return nil, ""
}

func (x *explaining) changeFirewall() ([]string, string) {
	addr := x.request.Origin.Addr
	switch {
	case addr.Is6():
		return nil, "address rules hold IPv4 only: use a private endpoint, or an IPv4 address"
	case addr.IsPrivate(), addr.IsLoopback():
		return []string{fmt.Sprintf("az keyvault network-rule add --name %s --resource-group %s --subnet SUBNET-ID", x.name(), x.group())},
			"address rules cannot hold a private address: it arrives as one only through a subnet's service endpoint or a private endpoint"
	}
	return []string{fmt.Sprintf("az keyvault network-rule add --name %s --resource-group %s --ip-address %s/32", x.name(), x.group(), addr)}, ""
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
