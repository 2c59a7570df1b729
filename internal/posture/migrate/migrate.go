// Package migrate proposes the role assignments that stand in for the access
// policies of a vault, and names what would change for whom.
//
// No rule of the decision is stated here: what somebody reaches by the
// policies, by a role, and by the assignments that are there already and do
// not count yet, is asked of package access. So what is named is what will
// be: the reach after the change is the reach before it, without what is
// named as lost and with what is named as gained.
package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// Options say what is wanted.
type Options struct {
	// Home is the tenant of the vault's subscription, whose principals
	// alone can be assigned roles; the zero value is not known.
	Home access.GUID
	// Least gives no principal more than it had: what no role holds without
	// holding more is lost. Otherwise nothing is lost, and what roles hold
	// besides is gained.
	Least bool
}

// Proposal is what to do about one vault, and what comes of it.
type Proposal struct {
	Vault *estate.Vault
	// RBAC is true when the vault goes by role assignments already: its
	// policies do not count, and there is nothing to convert.
	RBAC bool
	// Elsewhere is the tenant of the subscription, where it is another than
	// the vault's: then nobody whose tokens the vault takes can be assigned
	// a role.
	Elsewhere access.GUID
	// Principals are those of the policies in their order, then those for
	// whom assignments begin to count, by their ids.
	Principals []Principal
	// Left are the entries that no role assignment stands in for.
	Left []Left
}

// Principal is what changes for one principal of the vault's tenant.
type Principal struct {
	Object access.GUID
	// Entries are its entries in accessPolicies: additive, so they are
	// converted together.
	Entries []int
	// Roles are those to assign at the vault.
	Roles []*roles.Definition
	// Held is true when it has assignments already that reach the vault.
	Held bool
	// Storage are its permissions for storage accounts, which no role has.
	Storage []string
	// Changes are what it gains and loses: the first for every object that
	// has no further element, which are those that differ.
	Changes []Change
}

// Change is what a principal loses and gains.
type Change struct {
	// Object is the name of the only object that it is about; "" for all
	// that have no element of their own, and for the vault as a whole.
	Object string
	// Conditional are the operations, lost ones among them, that a condition
	// allows for some requests and not for others.
	Lost, Gained, Conditional []access.Operation
}

// none reports whether nothing changes.
func (c *Change) none() bool { return len(c.Lost)+len(c.Gained)+len(c.Conditional) == 0 }

// Left is an entry that cannot be converted.
type Left struct {
	Entry                       int
	Tenant, Object, Application access.GUID
	// Why says it in words.
	Why string
	// Lost are the operations that the identity no longer has, at one object
	// at least.
	Lost []access.Operation
}

// Loses reports whether anybody loses anything.
func (p *Proposal) Loses() bool {
	for i := range p.Principals {
		if len(p.Principals[i].Storage) > 0 {
			return true
		}
		for _, c := range p.Principals[i].Changes {
			if len(c.Lost) > 0 {
				return true
			}
		}
	}
	return slices.ContainsFunc(p.Left, func(l Left) bool { return len(l.Lost) > 0 })
}

// Assignment is one role assignment of a proposal.
type Assignment struct {
	// Name is a GUID that follows from the rest: proposed twice, it is the
	// same assignment.
	Name      string
	Principal access.GUID
	Role      *roles.Definition
}

// Assignments are those of the proposal, in the order of its principals.
func (p *Proposal) Assignments() []Assignment {
	var list []Assignment
	for i := range p.Principals {
		for _, role := range p.Principals[i].Roles {
			list = append(list, Assignment{assignmentName(p.Vault.Rules.ID, p.Principals[i].Object, role.Name), p.Principals[i].Object, role})
		}
	}
	return list
}

// assignmentName is a GUID of version 8 (RFC 9562 §5.8) made of a digest.
func assignmentName(vault string, principal access.GUID, role string) string {
	sum := sha256.Sum256([]byte(estate.Key(vault) + "\n" + principal.String() + "\n" + role))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// After is the vault as it is once the proposal was applied.
func (p *Proposal) After() *access.Rules {
	rules := *p.Vault.Rules
	rules.Model = access.ModelRBAC
	rules.Assignments = slices.Clone(rules.Assignments)
	for _, a := range p.Assignments() {
		rules.Assignments = append(rules.Assignments, access.Assignment{ID: a.Name, Principal: a.Principal, Scope: rules.ID, Role: a.Role.Role()})
	}
	return &rules
}

// Propose makes the proposal for a vault.
func Propose(v *estate.Vault, o Options) *Proposal {
	p := &Proposal{Vault: v, RBAC: v.Rules.Model == access.ModelRBAC}
	if p.RBAC {
		return p
	}
	if !o.Home.IsZero() && o.Home != v.Rules.Tenant {
		p.Elsewhere = o.Home
	}
	before, now := newReach(v.Rules), *v.Rules
	now.Model = access.ModelRBAC
	held := newReach(&now).without()
	at := map[access.GUID]int{}
	for i, e := range v.Rules.Policies {
		if p.left(i, &e) {
			continue
		}
		n, there := at[e.Object]
		if !there {
			n = len(p.Principals)
			at[e.Object] = n
			p.Principals = append(p.Principals, Principal{Object: e.Object})
		}
		p.Principals[n].Entries = append(p.Principals[n].Entries, i)
		p.Principals[n].storage(v, i)
	}
	for i := range p.Principals {
		one := &p.Principals[i]
		one.Roles = cover(before.of(one.Object, ""), held.of(one.Object, ""), o.Least)
	}
	p.dormant(at)
	after := newReach(p.After())
	p.changes(before, after)
	for i := range p.Left {
		p.leaves(&p.Left[i], before, after.without())
	}
	return p
}

// left names an entry that cannot be converted, and reports whether it is
// one.
func (p *Proposal) left(i int, e *access.Policy) bool {
	why := ""
	switch {
	case e.Object.IsZero():
		why = "its objectId cannot be read: it grants nothing"
	case e.Tenant != p.Vault.Rules.Tenant:
		why = "it is of tenant " + e.Tenant.String() + ", and the vault takes tokens of " + p.Vault.Rules.Tenant.String() + " alone: it grants nothing"
	case !p.Elsewhere.IsZero():
		why = "it is of tenant " + e.Tenant.String() + ", and a role can be assigned to principals of the subscription's tenant alone, which is " + p.Elsewhere.String()
	case !e.Application.IsZero():
		why = "it is for a user together with the application " + e.Application.String() + ": role assignments know no such identity"
	default:
		return false
	}
	p.Left = append(p.Left, Left{Entry: i, Tenant: e.Tenant, Object: e.Object, Application: e.Application, Why: why})
	return true
}

// leaves finds what is lost with an entry that is left.
func (p *Proposal) leaves(l *Left, before, after *reach) {
	e := *p.Vault.Rules
	e.Policies = e.Policies[l.Entry : l.Entry+1]
	by := newReach(&e).ask(before.caller(l.Object, l.Application), "")
	left := after.of(l.Object, "")
	for _, name := range p.objectsOf(l.Object) {
		left = left.and(after.of(l.Object, name))
	}
	l.Lost = by.minus(left).list()
}

// storage keeps the permissions that no role has.
func (one *Principal) storage(v *estate.Vault, entry int) {
	if entry < len(v.Properties.AccessPolicies) {
		one.Storage = append(one.Storage, v.Properties.AccessPolicies[entry].Permissions.Storage...)
	}
}

// dormant adds the principals whose assignments begin to count with the
// change of the model.
func (p *Proposal) dormant(at map[access.GUID]int) {
	if !p.Elsewhere.IsZero() {
		return // the vault takes no tokens of theirs
	}
	var more []access.GUID
	for _, a := range p.Vault.Rules.Assignments {
		n, there := at[a.Principal]
		switch {
		case a.Principal.IsZero():
		case there && n >= 0:
			p.Principals[n].Held = true
		case !there:
			at[a.Principal] = -1
			more = append(more, a.Principal)
		}
	}
	slices.SortFunc(more, func(a, b access.GUID) int { return strings.Compare(a.String(), b.String()) })
	for _, object := range more {
		p.Principals = append(p.Principals, Principal{Object: object, Held: true})
	}
}

// changes compares what everybody reaches; who has no entry and to whom
// nothing happens is left out.
func (p *Proposal) changes(before, after *reach) {
	certain, possible := after.without(), after.always()
	compare := func(object access.GUID, name string) Change {
		was, will, may := before.of(object, name), certain.of(object, name), possible.of(object, name)
		return Change{Object: name, Lost: was.minus(will).list(), Gained: will.minus(was).list(), Conditional: may.minus(will).list()}
	}
	kept := p.Principals[:0]
	for _, one := range p.Principals {
		general := compare(one.Object, "")
		one.Changes = []Change{general}
		changed := !general.none()
		elsewhere := general.onObjects()
		for _, name := range p.objectsOf(one.Object) {
			c := compare(one.Object, name)
			if c = c.onObjects(); !c.equal(&elsewhere) {
				one.Changes = append(one.Changes, c)
				changed = true
			}
		}
		if changed || len(one.Entries) > 0 {
			kept = append(kept, one)
		}
	}
	p.Principals = kept
}

// onObjects is the change as far as it is about objects by their names.
func (c *Change) onObjects() Change {
	named := func(list []access.Operation) []access.Operation {
		return slices.DeleteFunc(slices.Clone(list), func(o access.Operation) bool { return !o.Info().Named })
	}
	return Change{c.Object, named(c.Lost), named(c.Gained), named(c.Conditional)}
}

func (c *Change) equal(o *Change) bool {
	return slices.Equal(c.Lost, o.Lost) && slices.Equal(c.Gained, o.Gained) && slices.Equal(c.Conditional, o.Conditional)
}

// objectsOf are the names of the objects that assignments of a principal, or
// deny assignments, stand at.
func (p *Proposal) objectsOf(object access.GUID) []string {
	var names []string
	add := func(scope string) {
		below, ok := strings.CutPrefix(estate.Key(scope), estate.Key(p.Vault.Rules.ID)+"/")
		if _, name, at := strings.Cut(below, "/"); ok && at && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, a := range p.Vault.Rules.Assignments {
		if a.Principal == object {
			add(a.Scope)
		}
	}
	for _, d := range p.Vault.Rules.DenyAssignments {
		add(d.Scope)
	}
	slices.Sort(names)
	return names
}
