package who

import (
	"encoding/json"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// The roles that are taken: Owner, and by Elevate User Access Administrator.
const (
	roleOwner   = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	roleElevate = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
)

// elevate gives an administrator of the subscription's directory the role at
// the root of the tenant. No assignment is asked for it.
func (t *trial) elevate(d *done) bool {
	root := estate.Place(t.home, "/")
	if t.search.snapshot.TenantOf(t.id()) == "" {
		root = "/" // nothing tells what stands above
	}
	for _, p := range t.actors {
		if p.Administrator && p.Tenant == t.home && !t.allowed(p, actionAssign, root) {
			d.action, d.scope, d.role, d.by = actionElevate, "/", roleElevate, t.own(p)
			return t.give(roleElevate, p, root)
		}
	}
	return false
}

// customRole is a role definition of the estate's own.
type customRole struct {
	resource *estate.Resource
	scopes   []string // where it is assignable
	// managed is true when it is assigned at a management group, where no
	// role with data actions is.
	managed bool
}

func readCustomRole(r *estate.Resource) customRole {
	var doc struct {
		Properties struct {
			Scopes []string `json:"assignableScopes"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(r.Body, &doc) // a role that cannot be read is assignable nowhere
	return customRole{resource: r, scopes: doc.Properties.Scopes}
}

// needs is what changing the role takes: the action wherever it is
// assignable.
func (c *customRole) needs(x *search) []need {
	var list []need
	tenant := x.snapshot.TenantOf(c.resource.Scope())
	for _, scope := range c.scopes {
		if g, err := access.ParseGUID(tenant); err == nil {
			scope = estate.Place(g, scope)
		}
		list = append(list, need{actionDefine, scope})
	}
	return list
}

// widen is the ways to widen the custom roles of the estate.
func (t *trial) widen() []*trial {
	var list []*trial
	for i := range t.search.custom {
		next, d := t.next(WidenRole)
		if next.widenRole(&t.search.custom[i], d) {
			list = append(list, next)
		}
	}
	return list
}

func (t *trial) widenRole(c *customRole, d *done) bool {
	needs := c.needs(t.search)
	if len(needs) == 0 || !t.take(d, needs[0].action, needs[0].scope, needs[1:]...) {
		return false
	}
	d.role = strings.ToLower(c.resource.Name)
	everything := map[string]any{"actions": []any{"*"}}
	if !c.managed {
		everything["dataActions"] = []any{"*"}
	}
	return t.editOf(c.resource, func(properties map[string]any) bool {
		properties["permissions"] = []any{everything}
		return true
	})
}

// wanted are the actions for which a role is taken.
func (t *trial) wanted() []need {
	id := t.id()
	list := []need{{actionVault, id}, {actionPolicies, id}, {actionApprove, id}, {actionDeploy, id}, {actionJoin, id}, {actionConnection, id + ownConnection}}
	if t.conditional {
		list = append(list, need{actionAssign, id})
	}
	return list
}

// lacking is which of them nobody may do yet, a bit each.
func (t *trial) lacking() uint32 {
	var set uint32
	for i, n := range t.wanted() {
		if t.may(n.action, n.scope) == nil {
			set |= 1 << i
		}
	}
	return set
}

// takeRoles is the ways to take a role: Owner at the nearest scope, and
// where conditions allow others alone, each that gives something else.
func (t *trial) takeRoles(w Write) []*trial {
	lacks, movable := t.lacking(), t.deniedAbove()
	if lacks == 0 && !movable || w == TakeMore && (len(t.done) == 0 || t.done[len(t.done)-1].write != TakeRole) {
		return nil
	}
	var list []*trial
	had := map[uint32]bool{lacks: !movable}
	for _, role := range t.takeable() {
		for _, scope := range t.over(t.id()) {
			next, d := t.next(w)
			if !next.assign(role, nil, scope, d) {
				continue
			}
			if left := next.lacking(); !had[left] {
				had[left] = true
				list = append(list, next)
			}
			break
		}
		if len(list) == 1 && role == roleOwner {
			break // no other gives more
		}
	}
	return list
}

// takeable are the roles that an actor may assign to itself somewhere at the
// vault or above it, Owner whatever it may. What a class may as things are
// is asked once.
func (t *trial) takeable() []string {
	list := []string{roleOwner}
	if !t.conditional {
		return list
	}
	had, ok := t.search.takeable[t.class]
	if ok && t.start == nil && t.class != 0 {
		return had
	}
	for _, role := range t.search.control {
		if slices.ContainsFunc(t.over(t.id()), func(scope string) bool { return t.mayAssign(nil, role, scope) != nil }) {
			list = append(list, role)
		}
	}
	if t.start == nil && t.class != 0 {
		t.search.takeable[t.class] = list
	}
	return list
}

// assignRole gives the reader a role that holds the operation.
func (t *trial) assignRole(reader *Principal, object string, d *done) bool {
	if t.vault.Rules.Model != access.ModelRBAC {
		return false
	}
	scopes := t.over(t.id())
	if object != "" && t.search.question.Operation.Info().Named {
		scopes = append(scopes, t.id()+"/"+t.search.question.Operation.Info().Kind.String()+"/"+object)
	}
	for _, scope := range scopes {
		for _, role := range t.dataRoles() {
			if _, builtin := roles.ByName(role); !builtin && !strings.HasPrefix(scope, "/subscriptions/") {
				continue // no custom role with data actions is assigned there
			}
			if t.assign(role, reader, scope, d) {
				return true
			}
		}
	}
	return false
}

// dataRoles are the roles that hold the operation, as they are after the
// writes that are done.
func (t *trial) dataRoles() []string {
	list := t.search.roles
	for _, d := range t.done {
		if d.write == WidenRole {
			list = append(list[:len(list):len(list)], d.role)
		}
	}
	return list
}

// groupAbove is the management group that the subscription is in, unless it
// is the root group.
func (t *trial) groupAbove() (string, bool) {
	above := t.snapshot.Above("/subscriptions/" + t.vault.Subscription)
	if len(above) < 3 {
		return "", false
	}
	return above[0], true
}

// deniedAbove reports whether something is denied at a management group that
// the subscription can be moved away from.
func (t *trial) deniedAbove() bool {
	above := t.snapshot.Above("/subscriptions/" + t.vault.Subscription)
	return slices.ContainsFunc(above[:max(0, len(above)-2)], func(group string) bool { return t.search.denied[group] })
}

// takeGroupRole assigns Owner at the subscription's management group.
func (t *trial) takeGroupRole(d *done) bool {
	group, ok := t.groupAbove()
	return ok && t.deniedAbove() && t.may(actionGroup, group) == nil && t.assign(roleOwner, nil, group, d)
}

// moveSubscription moves the subscription into the root group. Other groups
// are no better: who may move it may assign any role in it.
func (t *trial) moveSubscription(d *done) bool {
	group, ok := t.groupAbove()
	at := "/subscriptions/" + t.vault.Subscription
	res := t.search.subscriptions[t.vault.Subscription]
	if !ok || !t.deniedAbove() || !t.take(d, actionGroup, group, need{actionAssign, at}) {
		return false
	}
	var doc map[string]any
	if json.Unmarshal(res.Body, &doc) != nil {
		return false
	}
	delete(doc, "managementGroup")
	body, err := json.Marshal(doc)
	if err != nil {
		return false
	}
	next := *res
	next.Body = body
	return t.with([]*estate.Resource{&next})
}

// controlRoles are the roles besides Owner that hold an action for which one is
// taken. What a custom role holds may change.
func (x *search) controlRoles() []string {
	actions := []string{actionVault, actionPolicies, actionApprove, actionConnection, actionDeploy, actionJoin, actionAssign, actionDefine, actionGroup,
		actionDropGroup, actionDropNetwork, actionRule, actionAssociate, actionAssociation}
	for i := range x.takings {
		if !slices.Contains(actions, x.takings[i].action) {
			actions = append(actions, x.takings[i].action)
		}
	}
	c := access.Caller{Token: access.TokenValid, Object: fresh}
	var list []string
	for _, d := range roles.All() {
		holder := access.NewAuthority([]access.Assignment{{Principal: fresh, Scope: "/", Role: d.Role()}}, nil)
		if d.Name != roleOwner && slices.ContainsFunc(actions, func(action string) bool { return holder.Authorize(&c, action, "/").Allowed() }) {
			list = append(list, d.Name)
		}
	}
	for i := range x.custom {
		list = append(list, strings.ToLower(x.custom[i].resource.Name))
	}
	return list
}
