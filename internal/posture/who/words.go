package who

import (
	"fmt"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// Step is one write of a path, in words.
type Step struct {
	Write Write
	// Action is what the control plane asks for, Scope where.
	Action, Scope string
	// Role is the GUID of the role that is assigned, if one is.
	Role string
	// Text says what is written, Guard what would stop it.
	Text, Guard string
}

// String is the write in JSON.
func (w Write) String() string {
	return [...]string{"take-role", "take-perimeter-role", "leave-perimeter", "change-tenant", "use-roles", "use-policies", "add-policy", "assign-role",
		"open-network", "connect", "approve-waiting", "allow-templates"}[w]
}

// Steps are the writes of the path, in their order; none for what is so
// already.
func (p *Path) Steps() []Step {
	list := make([]Step, 0, len(p.plan))
	for _, d := range p.plan {
		s := Step{Write: d.write, Action: d.action, Scope: translate(d.scope, p.from, p.vault), Role: d.role}
		s.Text, s.Guard = p.words(&d, s.Scope)
		list = append(list, s)
	}
	return list
}

// translate is a scope of one vault's plan at another vault.
func translate(scope string, from, to *estate.Vault) string {
	if from == to {
		return scope
	}
	if rest, ok := strings.CutPrefix(scope, from.Resource.ID+"/"); ok {
		return to.Resource.ID + "/" + rest
	}
	own := ancestors(to.Resource.ID)
	for i, a := range ancestors(from.Resource.ID) {
		if a == scope {
			return own[i]
		}
	}
	return scope
}

// forWhom is the reader in the words of a step.
func (p *Path) forWhom() string {
	switch {
	case p.Reader == Itself && p.Others:
		return "itself, or anybody else of the vault's tenant"
	case p.Reader == Itself:
		return "itself"
	case p.Reader == Foreign:
		return "a principal of the other tenant"
	case !p.To.IsZero():
		return p.To.String()
	}
	return "a principal of its choice"
}

// words are what a write does, and what would stop it.
func (p *Path) words(d *done, scope string) (text, guard string) {
	const policy = "an Azure Policy that denies it"
	info := p.operation.Info()
	name := d.role
	if r, ok := roles.ByName(d.role); ok {
		name = r.RoleName
	}
	assign := "take roleAssignments/write away at " + scope + " and above, or give it under a condition on the roles and principals it may name"
	switch d.write {
	case TakeRole, TakePerimeterRole:
		return "assigns " + name + " to itself at " + scope, assign
	case AssignRole:
		return fmt.Sprintf("assigns %s to %s at %s", name, p.forWhom(), scope), assign
	case LeavePerimeter:
		return "deletes the vault's association with its network security perimeter", "a delete lock on the association, or take the action away"
	case ChangeTenant:
		return "changes properties.tenantId to " + map[bool]string{true: "a tenant of its own", false: "its own tenant"}[p.Reader == Foreign] + ", which takes the policies of others away",
			"an Azure Policy that denies another properties.tenantId, a read-only lock, or take vaults/write away"
	case UseRoles:
		return "sets properties.enableRbacAuthorization to true", policy + ", a read-only lock, or take vaults/write away"
	case UsePolicies:
		return "sets properties.enableRbacAuthorization to false", policy + " (Key Vaults should use RBAC, effect Deny), or take vaults/write away"
	case AddPolicy:
		guard := "the RBAC permission model, held by an Azure Policy; or take vaults/accessPolicies/write and vaults/write away"
		return fmt.Sprintf("adds an access policy with %s %s for %s", info.Kind, info.Permission, p.forWhom()), guard
	case OpenNetwork:
		return "sets publicNetworkAccess to Enabled and networkAcls.defaultAction to Allow", "an Azure Policy that denies public network access, an enforced network security perimeter, or take vaults/write away"
	case Connect:
		return "approves a private endpoint in a network of its own", "take " + strings.TrimPrefix(d.action, "Microsoft.KeyVault/") + " away, or an Azure Policy on private endpoint connections"
	case ApproveWaiting:
		return "approves the private endpoint connections that wait or were rejected", "remove those connections, or take " + strings.TrimPrefix(d.action, "Microsoft.KeyVault/") + " away"
	case AllowTemplates:
		return "sets enabledForTemplateDeployment to true and networkAcls.bypass to AzureServices", policy + ", or take vaults/deploy/action away"
	}
	return d.write.String(), ""
}

// Guard is what stops a path that needs no write: one by template, or one
// that is there now.
func (p *Path) Guard() string {
	switch {
	case p.Template:
		return "set enabledForTemplateDeployment to false, or take Microsoft.KeyVault/vaults/deploy/action away"
	case len(p.plan) > 0:
		return ""
	case p.vault.Rules.Model == access.ModelRBAC:
		return "remove the role assignment, or a deny assignment"
	}
	return "remove the access policy"
}

// Right is the rule that gives a principal the right that a path rests on;
// "" when its steps make it.
func (a *Answer) Right(p *Principal, path *Path, q Question) string {
	if path.Template {
		return "vaults/deploy/action, and enabledForTemplateDeployment"
	}
	if q.Operation == access.NoOperation {
		q.Operation = access.SecretGet
	}
	rules := a.Vault.Rules
	r := access.Request{Caller: p.caller(), Operation: q.Operation, Object: strings.ToLower(q.Object)}
	if path.Object != "" {
		r.Object = path.Object
	}
	for _, step := range access.Explain(rules, &r).Steps {
		if step.Gate != access.GatePermission || step.Outcome != access.Passed {
			continue
		}
		switch step.Reason {
		case access.ByAssignment:
			by := &rules.Assignments[step.Rule]
			return "the role " + by.Role.Name + " at " + by.Scope
		case access.ByPolicy:
			return fmt.Sprintf("the access policy accessPolicies[%d]", step.Rule)
		}
	}
	return ""
}
