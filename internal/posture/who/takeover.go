package who

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// typeIdentity is an identity that is a resource.
const (
	typeIdentity       = "Microsoft.ManagedIdentity/userAssignedIdentities"
	actionGiveIdentity = typeIdentity + "/assign/action"
	actionFederate     = typeIdentity + "/federatedIdentityCredentials/write"
)

// taking is a way to act as somebody else by an action of the control plane.
type taking struct {
	write         Write
	target        access.GUID
	action, scope string
}

// edge is such a way, or one through the directory, for one principal of a
// tenant: the writes it takes.
type edge struct {
	tenant access.GUID
	target access.GUID
	steps  []done
}

// someone is a principal by its ids.
type someone struct{ tenant, object access.GUID }

// taken is who can be taken over: the writes until then, and who acts.
type taken struct {
	chain []done
	as    *Principal
	// class is that of the principal at the vault, actors all that are taken
	// over on the way, itself last, held what they hold there.
	class  *class
	actors []*Principal
	held   []*assigned
	bit    uint64
	pair   [2]*taken // who it is, when it is two
}

// maxTaken bounds who is looked at for one principal, and maxPairs of how
// many each two are looked at.
const (
	maxTaken = 31
	maxPairs = 6
)

// with is two of them together.
func (t *taken) with(other *taken) *taken {
	return &taken{chain: together(t.chain, other.chain), as: t.as, actors: slices.Concat(t.actors, other.actors), held: slices.Concat(t.held, other.held),
		bit: t.bit | other.bit, pair: [2]*taken{t, other}}
}

// takings reads the identities of a resource.
func takings(r *estate.Resource) []taking {
	if !bytes.Contains(r.Body, []byte("principalId")) || strings.HasPrefix(strings.ToLower(r.Type), "microsoft.authorization/") {
		return nil
	}
	type principal struct {
		ID string `json:"principalId"`
	}
	var doc struct {
		Identity struct {
			principal
			User map[string]*principal `json:"userAssignedIdentities"`
		} `json:"identity"`
		Properties principal `json:"properties"`
		principal            // as az prints an identity
	}
	if json.Unmarshal(r.Body, &doc) != nil {
		return nil
	}
	var list []taking
	add := func(p *principal, w Write, action string) {
		if id, err := access.ParseGUID(p.ID); err == nil {
			list = append(list, taking{w, id, action, r.ID})
		}
	}
	if strings.EqualFold(r.Type, typeIdentity) {
		for _, p := range []*principal{&doc.Properties, &doc.principal} {
			add(p, TakeIdentity, actionGiveIdentity)
			add(p, Federate, actionFederate)
		}
		return list
	}
	add(&doc.Identity.principal, TakeWorkload, r.Type+"/write")
	for _, p := range doc.Identity.User {
		if p != nil {
			add(p, TakeWorkload, r.Type+"/write")
		}
	}
	slices.SortFunc(list, func(a, b taking) int { return bytes.Compare(a.target[:], b.target[:]) })
	return list
}

// findEdges finds who can take over whom, by one step each.
func (x *search) findEdges() {
	x.edges, x.edgesTo = map[access.GUID][]edge{}, map[access.GUID][]access.GUID{}
	add := func(from access.GUID, e edge) {
		x.edges[from] = append(x.edges[from], e)
		x.edgesTo[e.target] = append(x.edgesTo[e.target], from)
	}
	for i := range x.takings {
		k := &x.takings[i]
		tenant, _ := access.ParseGUID(x.snapshot.TenantOf(k.scope))
		for _, id := range x.around(k.scope) {
			p := x.principal(id, tenant)
			if steps := x.reach(&p, k); p.Tenant == tenant && steps != nil {
				add(id, edge{tenant, k.target, steps})
			}
		}
	}
	for _, p := range x.question.Principals {
		if p.Resource != "" {
			continue // changes with its resource alone
		}
		for _, owner := range p.Owners {
			if o, ok := x.known[owner]; ok && !p.User {
				add(owner, edge{o.Tenant, p.Object, []done{x.changed(&p)}})
			}
		}
	}
}

// around is those who hold something at a scope or above it, with the
// members of groups that do, and the administrators.
func (x *search) around(scope string) []access.GUID {
	var list []access.GUID
	seen := map[access.GUID]bool{}
	add := func(id access.GUID) {
		if !seen[id] {
			seen[id] = true
			list = append(list, id)
		}
	}
	lists := [][]*assigned{x.index.at[""], x.index.far}
	above := ancestors(scope)
	for _, at := range above[:len(above)-1] {
		lists = append(lists, x.index.at[estate.Key(at)])
	}
	for _, held := range lists {
		for _, a := range held {
			if x.controls(a.role) {
				add(a.principal)
			}
		}
	}
	for _, p := range x.question.Principals {
		if p.Administrator || slices.ContainsFunc(p.Groups, func(g access.GUID) bool { return seen[g] }) {
			add(p.Object)
		}
	}
	return list
}

// controls reports whether a role may hold an action of the control plane.
func (x *search) controls(role string) bool {
	d, ok := roles.ByName(role)
	return !ok || len(d.Actions) > 0
}

// reach is the writes by which a principal takes over another; nil for none.
func (x *search) reach(p *Principal, k *taking) []done {
	last := done{write: k.write, action: k.action, scope: k.scope, target: x.acting(k.target, p.Tenant)}
	t := x.alone(p)
	if t.may(k.action, k.scope) != nil {
		return []done{last}
	}
	last.earned = true
	taken := func(t *trial) []done {
		for _, role := range append([]string{roleOwner}, t.assignable...) {
			for _, scope := range t.over(k.scope) {
				if t.mayAssign(nil, role, scope) == nil {
					continue
				}
				next, d := t.next(TakeRole)
				if role == roleOwner && !x.denying {
					next.takeAssigned(role, nil, scope, d) // it holds every action
					return append(next.done, last)
				}
				if next.assign(role, nil, scope, d) && next.may(k.action, k.scope) != nil {
					return append(next.done, last)
				}
			}
		}
		return nil
	}
	for i := range x.custom {
		if next, d := t.next(WidenRole); next.widenRole(&x.custom[i], d) && next.may(k.action, k.scope) != nil {
			return append(next.done, last)
		}
	}
	if steps := taken(t); steps != nil {
		return steps
	}
	if t.elevated == nil && p.Administrator {
		t.elevated, _ = t.next(Elevate)
		t.elevated.elevate(&t.elevated.done[0])
	}
	if t.elevated == nil || t.elevated.done[0].action == "" {
		return nil
	}
	return taken(t.elevated)
}

// alone is the trial of a principal with all that it holds, and no vault.
func (x *search) alone(p *Principal) *trial {
	key := someone{object: p.Object}
	if p.member != nil {
		key.tenant = p.member.Object // the one who became a member is not who it was
	}
	if t := x.trials[key]; t != nil {
		return t
	}
	base := x.base[:len(x.base):len(x.base)]
	for _, r := range x.subscriptions {
		base = append(base, r)
	}
	t := &trial{search: x, home: p.Tenant, actors: []*Principal{p}, vault: x.nowhere}
	var held []*assigned
	for _, id := range append([]access.GUID{p.Object}, p.Groups...) {
		t.conditional = t.conditional || x.conditional[id]
		held = append(held, x.index.of[id]...)
	}
	for _, a := range held {
		base = append(base, a.resource)
	}
	t.snapshot, _ = estate.New(base, x.options)
	for _, role := range x.control {
		if t.conditional && slices.ContainsFunc(held, func(a *assigned) bool { return t.mayAssign(nil, role, a.scope) != nil }) {
			t.assignable = append(t.assignable, role)
		}
	}
	x.trials[key] = t
	return t
}

// changed is the write of the directory by which an object of it is taken
// over.
func (x *search) changed(p *Principal) done {
	d := done{write: AddCredential, target: x.acting(p.Object, p.Tenant)}
	switch {
	case p.Group:
		d.write = JoinGroup
	case p.User:
		d.write = SetPassword
	}
	return d
}

// acting is a principal as it acts when it is taken over.
func (x *search) acting(id, tenant access.GUID) *Principal {
	p := x.principal(id, tenant)
	return &p
}

// takers finds, for each principal, whom it can take over who has something
// to do with the vault. The classes are split accordingly, and those who
// have nothing but that become classes of their own.
func (y *asking) takers(classes []*class) []*class {
	if x := y.search; x.edges == nil {
		x.findEdges()
	}
	of := map[someone]*class{}
	for _, c := range classes {
		for i := range c.principals {
			of[someone{c.principals[i].Tenant, c.principals[i].Object}] = c
		}
	}
	placed := maps.Clone(of)
	y.definers(of)
	relevant, order := y.leading(of)
	if len(order) == 0 {
		return classes
	}
	by := map[string]*class{}
	var list []*class
	for _, c := range classes {
		for _, p := range c.principals {
			list = gatherTaken(list, by, c, p, y.chains(p, of, relevant))
		}
	}
	for _, id := range order {
		p := y.principal(id, y.home(y.vault))
		if placed[someone{p.Tenant, id}] != nil {
			continue
		}
		if chains := y.chains(p, of, relevant); len(chains) > 0 {
			list = gatherTaken(list, by, y.class(y.vault, p, y.withDefining(id, nil), ""), p, chains)
		}
	}
	return list
}

// definers adds those who hold something where custom roles are assignable:
// together with it somebody else may change one.
func (y *asking) definers(of map[someone]*class) {
	for scope := range y.defining {
		for _, a := range y.index.at[scope] {
			p := y.principal(a.principal, y.home(y.vault))
			if at := (someone{p.Tenant, p.Object}); of[at] == nil {
				of[at] = y.class(y.vault, p, y.withDefining(p.Object, nil), "")
			}
		}
	}
}

// gatherTaken puts a principal to those of its class that take over the same.
func gatherTaken(list []*class, by map[string]*class, c *class, p Principal, chains []taken) []*class {
	var key strings.Builder
	key.WriteString(c.like)
	for i := range chains {
		key.WriteString("\n=> ")
		for _, d := range chains[i].chain {
			key.WriteString(d.write.String() + d.scope + d.role + d.target.name())
		}
	}
	if same := by[key.String()]; same != nil {
		same.principals = append(same.principals, p)
		return list
	}
	next := *c
	next.principals, next.taken = []Principal{p}, chains
	by[key.String()] = &next
	return append(list, &next)
}

// leading is all from whom a way leads to somebody of the classes, and those
// who can go one, in order.
func (y *asking) leading(of map[someone]*class) (relevant map[access.GUID]bool, order []access.GUID) {
	relevant = map[access.GUID]bool{}
	var open []access.GUID
	for s := range of {
		if !relevant[s.object] {
			relevant[s.object] = true
			open = append(open, s.object)
		}
	}
	actor := map[access.GUID]bool{}
	add := func(id access.GUID) {
		if !actor[id] {
			actor[id] = true
			order = append(order, id)
		}
		if !relevant[id] {
			relevant[id] = true
			open = append(open, id)
		}
	}
	for len(open) > 0 {
		id := open[len(open)-1]
		open = open[:len(open)-1]
		for _, from := range y.edgesTo[id] {
			add(from)
		}
		if p, ok := y.known[id]; ok && p.Resource == "" {
			for _, a := range y.administrators {
				if a.Tenant == p.Tenant && a.Object != id {
					add(a.Object)
				}
			}
		}
	}
	slices.SortFunc(order, func(a, b access.GUID) int { return bytes.Compare(a[:], b[:]) })
	return relevant, order
}

// chains are the shortest ways from a principal to others, one for each class.
func (y *asking) chains(p Principal, of map[someone]*class, relevant map[access.GUID]bool) []taken {
	seen := map[access.GUID]bool{p.Object: true}
	for _, g := range p.Groups {
		seen[g] = true // it acts as a member already
	}
	told := map[*class]bool{}
	if !p.Administrator {
		told[of[someone{p.Tenant, p.Object}]] = true // an equal is of no use
	}
	var list []taken
	open := []taken{{as: &p}}
	for len(open) > 0 && len(list) < maxTaken {
		at := open[0]
		open = open[1:]
		for _, e := range y.edgesFrom(at.as, relevant) {
			if seen[e.target] {
				continue
			}
			seen[e.target] = true
			next := y.follow(&at, &e, of, &p)
			open = append(open, next)
			if c := next.class; c != nil && !told[c] && len(list) < maxTaken {
				told[c] = true
				next.bit = 1 << (32 + len(list))
				list = append(list, next)
			}
		}
	}
	return list
}

// edgesFrom are the steps of one who acts.
func (y *asking) edgesFrom(p *Principal, relevant map[access.GUID]bool) []edge {
	var list []edge
	for _, id := range append([]access.GUID{p.Object}, p.Groups...) {
		for _, e := range y.edges[id] {
			if e.tenant.IsZero() { // nothing tells whose the subscription is
				e.tenant = p.Tenant
			}
			if y.denying && id != p.Object && e.steps[len(e.steps)-1].action != "" {
				e.steps = y.again(p, e.target) // what is denied to p is not to the group
			}
			if relevant[e.target] && e.tenant == p.Tenant && e.steps != nil {
				list = append(list, e)
			}
		}
	}
	if !p.Administrator {
		return list
	}
	for i := range y.question.Principals {
		if q := &y.question.Principals[i]; q.Tenant == p.Tenant && q.Resource == "" && relevant[q.Object] {
			list = append(list, edge{p.Tenant, q.Object, []done{y.changed(q)}})
		}
	}
	return list
}

// again is the writes by which a member of a group takes over a target.
func (x *search) again(p *Principal, target access.GUID) []done {
	for i := range x.takings {
		if k := &x.takings[i]; k.target == target {
			if steps := x.reach(p, k); steps != nil {
				return steps
			}
		}
	}
	return nil
}

// follow takes one step more.
func (y *asking) follow(at *taken, e *edge, of map[someone]*class, self *Principal) taken {
	next := taken{chain: slices.Clone(at.chain), class: of[someone{e.tenant, e.target}], actors: slices.Clone(at.actors), held: slices.Clone(at.held)}
	for _, d := range e.steps {
		if d.by = at.as; at.as == self {
			d.by = nil
		}
		next.chain = append(next.chain, d)
	}
	last := &next.chain[len(next.chain)-1]
	target := *last.target
	target.Tenant = e.tenant
	last.target, next.as = &target, &target
	if last.write == JoinGroup {
		member := *at.as
		member.Groups = append(append(slices.Clone(member.Groups), target.Object), target.Groups...)
		member.member = &target
		next.as = &member
	}
	next.actors = append(next.actors, next.as)
	for _, id := range append([]access.GUID{target.Object}, target.Groups...) {
		next.held = append(next.held, y.index.of[id]...)
	}
	return next
}
