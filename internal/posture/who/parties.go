package who

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// party is who acts together: a class, and somebody whom it has taken over.
type party struct {
	class *class
	taken *taken // nil for nobody
	// reader is who reads, when that is another one who holds something.
	reader *Principal
	// moved is the trial after the subscription was moved, which is the first
	// that they do; nil where they do not. What opens one gate in a
	// subscription that was moved is put together with what opens the other
	// there: who moves it may lose rights by it.
	moved *trial
}

// parties are a class alone, with each whom it can take over, and with each
// two of them.
func (y *asking) parties(c *class) []party {
	list := []party{{class: c}}
	for i := range c.taken {
		list = append(list, party{class: c, taken: &c.taken[i]})
	}
	for i := range c.taken {
		for k := range c.taken[:i] {
			if len(c.taken) <= maxPairs {
				list = append(list, party{class: c, taken: c.taken[k].with(&c.taken[i])})
			}
		}
	}
	if !y.movable() {
		return list
	}
	for _, p := range list[:len(list):len(list)] {
		start := y.trial(p)
		if start == nil || !start.deniedAbove() {
			continue
		}
		for _, moved := range y.moves(start) {
			next := p
			next.moved = moved
			list = append(list, next)
		}
	}
	slices.SortStableFunc(list, func(a, b party) int { return cmp.Compare(a.moved.selection(), b.moved.selection()) })
	return list
}

// movable reports whether there is anything to move the subscription away
// from.
func (y *asking) movable() bool {
	return len(y.denied) > 0 && (&trial{search: y.search, snapshot: y.snapshot, vault: y.vault}).deniedAbove()
}

// moves is the ways to move the subscription.
func (y *asking) moves(start *trial) []*trial {
	var list []*trial
	level := []node{{trial: start}}
	for len(level) > 0 {
		var deeper []node
		for _, n := range level {
			for w := n.next; w <= MoveSubscription; w++ {
				if forMove&(1<<w) == 0 {
					continue
				}
				for _, next := range n.trial.after(w, nil, y.question.Object) {
					if w == MoveSubscription {
						list = append(list, next)
						continue
					}
					deeper = append(deeper, node{trial: next, next: w + 1})
				}
			}
		}
		level = deeper
	}
	return list
}

// selection is the writes that are done.
func (t *trial) selection() uint64 {
	var set uint64
	if t != nil {
		for _, d := range t.done {
			set |= 1 << d.write
		}
	}
	return set
}

func (p *party) actors() []*Principal {
	list := []*Principal{&p.class.principals[0]}
	if p.taken != nil {
		list = append(list, p.taken.actors...)
	}
	return list
}

// held is what the party holds, and who reads.
func (y *asking) held(p *party) []*assigned {
	list := p.class.assigned[:len(p.class.assigned):len(p.class.assigned)]
	if p.taken != nil {
		list = append(list, p.taken.held...)
	}
	if p.reader != nil {
		for _, id := range append([]access.GUID{p.reader.Object}, p.reader.Groups...) {
			list = append(list, y.index.of[id]...)
		}
	}
	return list
}

// through is the paths of the class of who is taken over, as steps of that
// one.
func through(paths []Path, t *taken) []Path {
	list := slices.Clone(paths)
	for i := range list {
		h := *list[i].halves[0]
		h.plan = slices.Clone(h.plan)
		for k := range h.plan {
			h.plan[k].by = t.as
		}
		h.chain, h.selection = t.chain, h.selection|t.bit
		list[i].selection, list[i].halves = h.selection, [2]*half{&h}
	}
	return list
}

// before is the path with somebody taken over at first, whatever opens the
// gates.
func (p Path) before(t *taken) Path {
	if p.selection&t.bit == 0 {
		h := *p.halves[0]
		h.chain, h.selection = together(t.chain, h.chain), h.selection|t.bit
		p.halves[0], p.selection = &h, p.selection|t.bit
	}
	return p
}

// judge asks the decision what a class may and holds, as things are.
func (y *asking) judge(c *class) {
	alone := c.own || y.vault.Rules.Perimeter.Mode != access.PerimeterNone
	v, p := y.vault, &c.principals[0]
	j, ok := y.judged[c.like]
	if !ok || alone {
		j = y.judgement(c)
		if !alone {
			y.judged[c.like] = j
		}
	}
	c.judgement = j
	switch {
	case p.Tenant != v.Rules.Tenant:
	case v.Rules.Model == access.ModelRBAC:
		c.holds = j.reads
	case c.policies != "":
		_, c.holds = y.permitted(v.Rules, p, y.objects(c.assigned))
	}
}

func (y *asking) judgement(c *class) (j judgement) {
	v, p := y.vault, &c.principals[0]
	t := &trial{search: y.search, home: y.home(v), actors: []*Principal{p}, conditional: c.conditional, snapshot: y.snapshot, vault: v}
	may := []byte{}
	for _, n := range t.wanted() {
		may = fmt.Append(may, t.may(n.action, n.scope) != nil, " ")
	}
	scopes := t.over(v.Resource.ID)
	if y.question.Object != "" {
		scopes = append(scopes, v.Resource.ID+"/"+y.question.Operation.Info().Kind.String()+"/"+y.question.Object)
	}
	rights := append([]byte(c.sort+"\n"), may...)
	for _, scope := range scopes {
		owner := t.mayAssign(nil, roleOwner, scope) != nil
		rights, may = fmt.Append(rights, "\n", owner), fmt.Append(may, "\n", owner)
		for i, role := range y.roles {
			if (owner || c.conditional) && t.mayAssign(nil, role, scope) != nil {
				may = fmt.Append(may, " ", i)
				break
			}
		}
	}
	rules := *v.Rules
	rules.Assignments = nil
	for i := range v.Rules.Assignments {
		if a := &v.Rules.Assignments[i]; a.Principal == p.Object || slices.Contains(p.Groups, a.Principal) {
			rules.Assignments = append(rules.Assignments, *a)
		}
	}
	rules.Model, rules.Tenant = access.ModelRBAC, p.Tenant
	object, ok := y.permitted(&rules, p, y.objects(c.assigned))
	j.reads = ok
	j.id = y.numbered(fmt.Sprint(c.sort, "\n", c.policies, "\n", ok, object, "\n", string(may)))
	j.rights = y.numbered(string(append(rights, fmt.Sprint("\n", t.takeable()[1:])...)))
	return j
}

// numbered gives the same number to the same text.
func (x *search) numbered(text string) int {
	n, ok := x.cases[text]
	if !ok {
		n = len(x.cases) + 1
		x.cases[text] = n
	}
	return n
}

// shape is what of a vault, but for its names, the network gate's answers
// depend on.
type shape struct {
	public                                                                 access.PublicAccess
	action                                                                 access.Verdict
	bypass, addresses, subnets, approved, own, waiting, allowed, perimeter bool
}

// template is what of it a template deployment's answer depends on.
func (s shape) template() shape {
	return shape{public: s.public, action: s.action, bypass: s.bypass, allowed: s.allowed, perimeter: s.perimeter}
}

func shapeOf(v *estate.Vault) shape {
	r, flag := v.Rules, v.Properties.EnabledForTemplateDeployment
	s := shape{public: r.PublicAccess, action: r.DefaultAction, bypass: r.Bypass, allowed: flag != nil && *flag, perimeter: r.Perimeter.Mode != access.PerimeterNone}
	for _, c := range r.Connections {
		s.waiting = s.waiting || c.State != access.EndpointApproved
		s.approved = s.approved || c.State == access.EndpointApproved && c.ID != ""
		s.own = s.own || strings.HasSuffix(c.ID, ownConnection)
	}
	s.addresses = slices.ContainsFunc(r.IPRules, func(i access.IPRule) bool { return i.Prefix.IsValid() })
	s.subnets = slices.ContainsFunc(r.SubnetRules, func(s access.SubnetRule) bool { return s.Subnet != "" })
	return s
}

// named are the ids in the conditions of a class: the principals that a
// constrained writer may be left to name, among others.
func (c *class) named() []access.GUID {
	var list []access.GUID
	for _, a := range c.assigned {
		for _, word := range strings.FieldsFunc(a.condition, func(r rune) bool { return strings.ContainsRune(" {}()',\t\n", r) }) {
			if id, err := access.ParseGUID(word); err == nil && id != c.principals[0].Object && !slices.Contains(list, id) {
				list = append(list, id)
			}
		}
	}
	return list
}

// holding are the classes whose principals hold a custom role: who may
// widen that lets them in.
func (y *asking) holding(c *class) []*class {
	if len(y.custom) == 0 {
		return nil
	}
	var list []*class
	for _, other := range y.classes {
		if other != c && slices.ContainsFunc(other.assigned, func(a *assigned) bool {
			return slices.ContainsFunc(y.custom, func(r customRole) bool { return strings.EqualFold(r.resource.Name, a.role) })
		}) {
			list = append(list, other)
		}
	}
	return list
}
