package who

import (
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// Guard is one thing that would stop a step, and so the path: it has one of
// the three parts.
type Guard struct {
	// Fields are properties that an Azure Policy keeps as they are, of the
	// resource with the id Resource.
	Fields   []string
	Resource string
	// Actions are taken away from who makes the step, at Scope and above.
	Actions []string
	Scope   string
	// Administrator no longer administers the directory, or is no longer an
	// owner of Owned.
	Administrator, Owned access.GUID
}

// fields are the properties that a write changes.
var fields = map[Write][]string{
	ChangeTenant: {"properties.tenantId"}, UseRoles: {"properties.enableRbacAuthorization"}, UsePolicies: {"properties.enableRbacAuthorization"},
	AddPolicy: {"properties.accessPolicies"}, OpenNetwork: {"properties.publicNetworkAccess", "properties.networkAcls"},
	Connect: {"properties.privateEndpointConnections"}, ApproveWaiting: {"properties.privateEndpointConnections"},
	AllowTemplates: {"properties.enabledForTemplateDeployment", "properties.networkAcls", "properties.publicNetworkAccess"},
	RelaxPerimeter: {"properties.accessMode"},
}

// instead are the actions by which a write can be made as well.
var instead = map[Write][]string{
	AddPolicy: {actionPolicies, actionVault}, Connect: {actionApprove, actionConnection},
	TakeIdentity: {actionGiveIdentity, actionFederate}, Federate: {actionGiveIdentity, actionFederate},
	LeavePerimeter: {actionAssociation, actionDropNetwork, actionDropGroup},
}

// guards are what stops a step. Of an action that an earlier step may have
// earned nothing can be taken away: what stops that step stops this one.
func (p *Path) guards(d *done, scope string, earned bool) []Guard {
	var list []Guard
	if names := fields[d.write]; names != nil {
		at := scope
		if d.write != RelaxPerimeter {
			at = p.asked.vault.Resource.ID
		}
		list = append(list, Guard{Fields: names, Resource: at})
	}
	switch {
	case d.write == Elevate, d.action == "" && p.actor(d).Administrator && !slices.Contains(d.target.Owners, p.actor(d).Object):
		return append(list, Guard{Administrator: p.actor(d).Object})
	case d.action == "":
		return append(list, Guard{Administrator: p.actor(d).Object, Owned: d.target.Object})
	case earned:
		return list
	}
	actions := []string{d.action}
	if other := instead[d.write]; slices.Contains(other, d.action) {
		actions = other
	}
	return append(list, Guard{Actions: actions, Scope: scope})
}

// actor is who makes a write; for the principal itself what is known of it.
func (p *Path) actor(d *done) *Principal {
	if d.by != nil {
		return d.by
	}
	return p.self
}

// short is an action without its namespace.
func short(action string) string {
	_, rest, _ := strings.Cut(action, "/")
	return rest
}

// String says what to do.
func (g *Guard) String() string {
	switch {
	case len(g.Fields) > 0:
		names := make([]string, len(g.Fields))
		for i, f := range g.Fields {
			names[i] = strings.TrimPrefix(f, "properties.")
		}
		return "an Azure Policy that denies changes of " + strings.Join(names, " and ")
	case slices.Contains(g.Actions, actionAssign):
		return "take roleAssignments/write at " + estate.Shown(g.Scope) + " away, or give it under a condition on roles and principals"
	case len(g.Actions) > 0:
		names := make([]string, len(g.Actions))
		for i, a := range g.Actions {
			names[i] = short(a)
		}
		return "take " + strings.Join(names, " and ") + " away"
	case !g.Owned.IsZero():
		return "take it off the owners"
	}
	return "take the administrator's role in the directory away"
}
