package migrate

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"

	"postern/access"
	"postern/internal/roles"
)

// set is a set of operations.
type set [2]uint64

func (s *set) add(o access.Operation)     { s[o>>6] |= 1 << (o & 63) }
func (s set) has(o access.Operation) bool { return s[o>>6]>>(o&63)&1 == 1 }
func (s set) minus(t set) set             { return set{s[0] &^ t[0], s[1] &^ t[1]} }
func (s set) with(t set) set              { return set{s[0] | t[0], s[1] | t[1]} }
func (s set) and(t set) set               { return set{s[0] & t[0], s[1] & t[1]} }
func (s set) size() int                   { return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) }

// list is the operations in the order of access's table.
func (s set) list() []access.Operation {
	var list []access.Operation
	for _, o := range access.Operations() {
		if s.has(o) {
			list = append(list, o)
		}
	}
	return list
}

// reach asks what callers reach, apart from the network.
type reach struct {
	rules access.Rules
	vault *access.Vault
}

func newReach(rules *access.Rules) *reach {
	r := &reach{rules: *rules}
	// Permission alone is asked; the network stays as it is.
	r.rules.PublicAccess, r.rules.DefaultAction = access.PublicEnabled, access.Allow
	r.rules.Perimeter = access.Perimeter{}
	r.vault = access.Compile(&r.rules)
	return r
}

// without is the reach when no condition ever holds.
func (r *reach) without() *reach {
	rules := r.rules
	rules.Assignments = slices.DeleteFunc(slices.Clone(rules.Assignments), func(a access.Assignment) bool { return a.Condition != nil })
	return newReach(&rules)
}

// always is the reach when every condition holds that could be read.
func (r *reach) always() *reach {
	rules := r.rules
	rules.Assignments = slices.Clone(rules.Assignments)
	for i := range rules.Assignments {
		rules.Assignments[i].Condition = nil
	}
	return newReach(&rules)
}

// caller is a principal of the vault's tenant; with an application, a user
// for whom it acts.
func (r *reach) caller(object, app access.GUID) access.Caller {
	return access.Caller{Token: access.TokenValid, Tenant: r.rules.Tenant, Object: object, App: app, User: !app.IsZero()}
}

// of is what a principal reaches by itself at an object; "" is one that
// nothing names.
func (r *reach) of(object access.GUID, name string) set {
	return r.ask(r.caller(object, access.GUID{}), name)
}

// unnamed stands for the objects that nothing names: no object can have it.
const unnamed = "_"

func (r *reach) ask(caller access.Caller, name string) set {
	var s set
	for _, o := range access.Operations() {
		request := access.Request{Origin: access.Origin{Path: access.PathPublic}, Caller: caller, Operation: o}
		if o.Info().Named {
			request.Object = cmp.Or(name, unnamed)
		}
		if r.vault.Decide(&request).Allowed() {
			s.add(o)
		}
	}
	return s
}

// candidate is a built-in role that reaches anything of a vault.
type candidate struct {
	role  *roles.Definition
	holds set
}

// candidates are asked of the decision itself, once: who holds the role at a
// vault, and nothing else. The order is that of roles.All.
var candidates = sync.OnceValue(func() []candidate {
	const id = "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/v"
	anyone := access.GUID{15: 1}
	var list []candidate
	for _, d := range roles.All() {
		r := newReach(&access.Rules{ID: id, Name: "v", Tenant: anyone, Model: access.ModelRBAC,
			Assignments: []access.Assignment{{ID: "a", Principal: anyone, Scope: id, Role: d.Role()}}})
		if s := r.of(anyone, ""); s.size() > 0 {
			list = append(list, candidate{d, s})
		}
	}
	return list
})

// choice is a selection of candidates, and what speaks for it: the first
// that is smaller decides.
type choice struct {
	selection                         uint32
	lost, gained, roles, power, plane int
}

func (c choice) better(than choice) bool {
	return cmp.Or(cmp.Compare(c.lost, than.lost), cmp.Compare(c.gained, than.gained), cmp.Compare(c.roles, than.roles),
		cmp.Compare(c.power, than.power), cmp.Compare(c.plane, than.plane), cmp.Compare(c.selection, than.selection)) < 0
}

// cover is the roles to add for somebody who had one reach and has another
// by assignments that are there: every selection of the ten or so candidates
// is looked at. Among those that lose nothing (or, for least, gain nothing)
// the one that gains (loses) least, then has the fewest roles, then the
// least that is allowed twice, then the fewest control-plane actions.
func cover(had, held set, least bool) []*roles.Definition {
	all := candidates()
	need := had.minus(held)
	if need.size() == 0 {
		return nil
	}
	var best choice
	for selection := uint32(0); selection < 1<<len(all); selection++ {
		c, holds := choice{selection: selection, roles: bits.OnesCount32(selection)}, set{}
		for i := range all {
			if selection>>i&1 == 1 {
				holds = holds.with(all[i].holds)
				c.power += all[i].holds.size()
				c.plane += len(all[i].role.Actions)
			}
		}
		c.lost, c.gained = need.minus(holds).size(), holds.minus(had).minus(held).size()
		if least && c.gained > 0 || !least && c.lost > 0 {
			continue
		}
		if best.roles == 0 && best.lost == 0 || c.better(best) {
			best = c
		}
	}
	var chosen []*roles.Definition
	for i := range all {
		if best.selection>>i&1 == 1 {
			chosen = append(chosen, all[i].role)
		}
	}
	return chosen
}
