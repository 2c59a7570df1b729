package who

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// done is a write that was made: by whom, by which action, and where.
type done struct {
	write Write
	// by is who is taken over and makes it; nil for the principal itself.
	by            *Principal
	action, scope string
	// also is what else the same call needs.
	also []need
	// role is the GUID of the role that was assigned or widened.
	role string
	// target is who is taken over.
	target *Principal
	// earned is true when the right to it comes from a write before.
	earned bool
}

// need is an action and where it is asked for.
type need struct{ action, scope string }

// trial is a small estate in some state: the vault, what the perimeters and
// the directory of roles say of it, and the assignments of those in play.
type trial struct {
	search *search
	home   access.GUID // the tenant of the subscription; zero when not known
	// actors make the writes: the principal itself, and who is taken over.
	actors []*Principal
	// conditional is true when some assignment of theirs may say which roles
	// they may assign.
	conditional bool
	// class is the id of the actor's class, 0 where the answer is not shared.
	class    int
	snapshot *estate.Snapshot
	// vault is the vault as it is after the writes that are done, start the
	// trial before them.
	vault *estate.Vault
	start *trial
	done  []done
	// Of a principal alone: the roles besides Owner that it may assign
	// somewhere, and the trial once it has elevated its access.
	assignable []string
	elevated   *trial
}

// with is the trial after a change of its documents.
func (t *trial) with(put []*estate.Resource, gone ...string) bool {
	t.snapshot = t.snapshot.With(put, gone...)
	t.search.compiled++
	if t.vault == t.search.nowhere {
		return true
	}
	var ok bool
	t.vault, ok = t.snapshot.Vault(strings.ToLower(t.vault.Resource.Name))
	return ok
}

// id is that of the vault.
func (t *trial) id() string { return t.vault.Resource.ID }

// own is how done names an actor.
func (t *trial) own(by *Principal) *Principal {
	if by == t.actors[0] {
		return nil
	}
	return by
}

// of reports whether a principal is of the tenant that a scope belongs to:
// the control plane takes no other's token.
func (t *trial) of(p *Principal, scope string) bool {
	home := t.home
	if !strings.HasPrefix(scope, t.id()) {
		if other, err := access.ParseGUID(t.search.snapshot.TenantOf(scope)); err == nil {
			home = other
		}
	}
	return home.IsZero() || p.Tenant == home
}

// may asks the control plane for one who may do all of it; nil for nobody.
func (t *trial) may(action, scope string, also ...need) *Principal {
	for _, p := range t.actors {
		if t.allowed(p, action, scope) && !slices.ContainsFunc(also, func(n need) bool { return !t.allowed(p, n.action, n.scope) }) {
			return p
		}
	}
	return nil
}

func (t *trial) allowed(p *Principal, action, scope string) bool {
	c := p.caller()
	return t.of(p, scope) && t.snapshot.Authority().Authorize(&c, action, scope).Allowed()
}

// take notes who makes a write and what it needs, and reports whether there
// is anybody.
func (t *trial) take(d *done, action, scope string, also ...need) bool {
	d.action, d.scope, d.also = action, scope, also
	by := t.may(action, scope, also...)
	if by == nil {
		return false
	}
	d.by = t.own(by)
	d.earned = t.start != nil && t.start.may(action, scope, also...) == nil
	return true
}

// mayAssign asks for one who may assign a role to somebody, itself where to
// is nil. Conditions may ask what the somebody is; one that the directory
// does not know is said to be what the condition wants, as a client may say
// it.
func (t *trial) mayAssign(to *Principal, role, scope string) *Principal {
	for _, p := range t.actors {
		if t.assigns(p, to, role, scope) {
			return p
		}
	}
	return nil
}

func (t *trial) assigns(p, to *Principal, role, scope string) bool {
	if !t.conditional || !t.of(p, scope) {
		return t.allowed(p, actionAssign, scope)
	}
	if to == nil {
		to = p
	}
	c := p.caller()
	for _, kind := range []string{"ServicePrincipal", "User", "Group"} {
		if to.Known && kind != to.kind() {
			continue
		}
		w := access.Written{Role: role, Principal: to.Object.String(), Type: kind}
		if t.snapshot.Authority().AuthorizeAssignment(&c, actionAssign, scope, w).Allowed() {
			return true
		}
	}
	return false
}

// assign adds a role assignment to the estate, for who writes it where to is
// nil.
func (t *trial) assign(role string, to *Principal, scope string, d *done) bool {
	by := t.takeAssigned(role, to, scope, d)
	if by == nil {
		return false
	}
	if to == nil {
		to = by
	}
	return t.give(role, to, scope)
}

// takeAssigned notes who assigns a role; nil for nobody.
func (t *trial) takeAssigned(role string, to *Principal, scope string, d *done) *Principal {
	by := t.mayAssign(to, role, scope)
	if by == nil {
		return nil
	}
	d.action, d.scope, d.role, d.by = actionAssign, scope, role, t.own(by)
	d.earned = t.start != nil && t.start.mayAssign(to, role, scope) == nil
	return by
}

// give is the change of the documents that assigning a role is.
func (t *trial) give(role string, to *Principal, scope string) bool {
	body, err := json.Marshal(map[string]any{"properties": map[string]any{"principalId": to.Object.String(),
		"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + role, "scope": scope}})
	if err != nil {
		return false
	}
	name := fmt.Sprintf("who-%d", len(t.done))
	return t.with([]*estate.Resource{{ID: strings.TrimRight(scope, "/") + "/providers/" + estate.TypeRoleAssignment + "/" + name,
		Type: estate.TypeRoleAssignment, Name: name, Body: body}})
}

// edit changes the properties of the vault's document.
func (t *trial) edit(change func(properties map[string]any) bool) bool {
	return t.editOf(t.vault.Resource, change)
}

// editOf changes the properties of a document.
func (t *trial) editOf(res *estate.Resource, change func(properties map[string]any) bool) bool {
	var doc map[string]any
	if json.Unmarshal(res.Body, &doc) != nil {
		return false
	}
	properties, _ := doc["properties"].(map[string]any)
	if properties == nil || !change(properties) {
		return false
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return false
	}
	next := *res
	next.Body = body
	return t.with([]*estate.Resource{&next})
}

// over are the scopes of a resource: itself, those in its id, the management
// groups above and the root, the nearest first.
func (t *trial) over(id string) []string {
	list := ancestors(id)
	at := len(list) - 1
	return append(append(list[:at:at], t.snapshot.Above(list[max(0, at-1)])...), "/")
}

// ancestors are the resource and the scopes above it, the nearest first.
func ancestors(id string) []string {
	list := []string{id}
	parts := strings.Split(id, "/")
	for _, n := range []int{5, 3} { // /subscriptions/x/resourceGroups/y, /subscriptions/x
		if len(parts) > n {
			list = append(list, strings.Join(parts[:n], "/"))
		}
	}
	return append(list, "/")
}
