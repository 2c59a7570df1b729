package who

import (
	"math/bits"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// asking is the question put to one vault. The gates of network and of
// permission do not ask about each other, so that each is searched alone,
// and what opens the one is put together with what opens the other.
type asking struct {
	*search
	vault   *estate.Vault
	network shape
	classes []*class
	holder  *class // the first that holds the right
	starts  map[party]*trial
	local   map[local][]Path
}

// The writes that may open each gate.
const (
	forRights     uint64 = 1<<Elevate | 1<<WidenRole | 1<<TakeRole | 1<<TakeMore
	forMove       uint64 = forRights | 1<<TakeGroupRole | 1<<MoveSubscription
	forPermission uint64 = forRights | 1<<ChangeTenant | 1<<UseRoles | 1<<UsePolicies | 1<<AddPolicy | 1<<AssignRole
	forPerimeter  uint64 = forRights | 1<<TakePerimeterRole | 1<<OpenPerimeter | 1<<RelaxPerimeter | 1<<LeavePerimeter | 1<<JoinPerimeter | 1<<OpenNetwork
	forNetwork    uint64 = forPerimeter | 1<<Connect | 1<<ApproveWaiting
	forTemplate   uint64 = forPerimeter | 1<<AllowTemplates
)

// paths are all ways of a class.
func (y *asking) paths(c *class) []Path {
	stranger := &Principal{Tenant: y.vault.Rules.Tenant, Object: fresh}
	foreigner := &Principal{Tenant: foreignTenant, Object: fresh}
	parties := y.parties(c)
	own := y.itself(parties)
	var reached Origins
	for i := range own {
		if !own[i].Now() && !own[i].Template {
			reached |= own[i].Origins
		}
	}
	all := own
	for _, o := range y.lets(parties, Another, stranger, nil) {
		reached |= o.Origins
		if !merged(all, &o) {
			all = append(all, o)
		}
	}
	for _, id := range c.named() {
		one := y.principal(id, y.home(y.vault))
		all = append(all, y.letsOne(parties[:1], &one, nil, reached)...)
	}
	for _, other := range y.holding(c) {
		for i := range other.principals {
			all = append(all, y.letsOne(parties[:1], &other.principals[i], &other.principals[i], reached)...)
		}
	}
	all = append(all, y.lets(parties, Foreign, foreigner, nil)...)
	if h := y.holder; h != nil && h.like != c.like {
		all = append(all, y.opening(parties, &h.principals[0], reached)...)
	}
	for i := range all {
		all[i].asked, all[i].self = y, &c.principals[0]
	}
	return all
}

// itself is the ways by which the principal reads, or as somebody whom it
// has taken over.
func (y *asking) itself(parties []party) []Path {
	p := &parties[0].class.principals[0]
	own := y.lets(parties, Itself, p, nil)
	for _, each := range parties {
		if each.taken == nil || each.taken.pair[0] != nil {
			continue
		}
		as := each.taken.as
		var permission, network []Path
		for _, other := range parties {
			if other.moved != each.moved {
				continue
			}
			network = append(network, y.opens(other, as)...)
			if other.taken == each.taken || other.taken != nil && slices.Contains(other.taken.pair[:], each.taken) {
				permission = append(permission, y.permission(other, Itself, as)...)
			}
		}
		for _, o := range y.joined(Itself, permission, network) {
			o.As = as
			own = append(own, o.before(each.taken))
		}
	}
	if y.question.Operation == access.SecretGet {
		for _, each := range parties {
			own = append(own, y.template(each)...)
		}
	}
	return smallest(own)
}

// lets is the ways by which a party lets a reader in.
func (y *asking) lets(parties []party, r Reader, reader, held *Principal) []Path {
	var list []Path
	for len(parties) > 0 {
		moved := parties[0].moved
		var permission, network []Path
		for len(parties) > 0 && parties[0].moved == moved {
			each := parties[0]
			each.reader, parties = held, parties[1:]
			if r != Itself || each.taken == nil || each.taken.as.member == nil { // it reads as a member then
				permission = append(permission, y.permission(each, r, reader)...)
			}
			network = append(network, y.opens(each, reader)...)
		}
		list = append(list, y.joined(r, permission, network)...)
	}
	return smallest(list)
}

// letsOne is lets for one principal who is named.
func (y *asking) letsOne(parties []party, one, held *Principal, reached Origins) []Path {
	var list []Path
	for _, o := range y.lets(parties, Another, one, held) {
		if o.To = one.Object; !o.Now() && !reached.Holds(o.Origins) && (held == nil || o.selection&(1<<WidenRole) != 0) {
			list = append(list, o)
		}
	}
	return list
}

// opening is the ways that open the network for those who hold the right,
// from where neither they nor others that the class lets in come already.
func (y *asking) opening(parties []party, reader *Principal, reached Origins) []Path {
	var list []Path
	reached |= y.origins(y.vault.Rules, reader)
	for _, each := range parties {
		for _, n := range y.opens(each, reader) {
			if n.selection != 0 && !reached.Holds(n.Origins) {
				n.Reader = Holder
				list = append(list, n)
			}
		}
	}
	return smallest(list)
}

// joined puts together what opens the two gates.
func (y *asking) joined(r Reader, permission, network []Path) []Path {
	permission, network = smallest(slices.Clone(permission)), smallest(slices.Clone(network))
	list := make([]Path, 0, len(permission)*len(network))
	for i := range permission {
		for k := range network {
			p, n := permission[i].halves[0], network[k].halves[0]
			list = append(list, Path{Reader: r, Origins: n.origins, Object: p.object, selection: p.selection | n.selection, halves: [2]*half{p, n}})
		}
	}
	return smallest(list)
}

func sameActor(a, b *Principal) bool { return a == b || a != nil && b != nil && a.Object == b.Object }

// together is two chains, of which they may have the beginning in common.
func together(a, b []done) []done {
	list := slices.Clone(a)
	for _, d := range b {
		if !slices.ContainsFunc(a, func(o done) bool {
			return o.write == d.write && o.scope == d.scope && sameActor(o.by, d.by) && sameActor(o.target, d.target)
		}) {
			list = append(list, d)
		}
	}
	return list
}

// chain is the writes by which others are taken over.
func (p *Path) chain() []done {
	a, b := p.halves[0], p.halves[1]
	if b == nil || a.selection>>32 == b.selection>>32 {
		return a.chain
	}
	return together(a.chain, b.chain)
}

// plan is the other writes, in their order.
func (p *Path) plan() []done {
	if p.halves[1] == nil {
		return p.halves[0].plan
	}
	list := slices.Clone(p.halves[0].plan)
	moved := slices.ContainsFunc(list, func(d done) bool { return d.write == MoveSubscription })
	for _, d := range p.halves[1].plan {
		if !slices.ContainsFunc(p.halves[0].plan, func(o done) bool { return o.write == d.write && sameActor(o.by, d.by) }) {
			list = append(list, d)
		}
	}
	if !moved { // with it, both begin with the move and what that needs
		slices.SortStableFunc(list, func(a, b done) int { return int(a.write) - int(b.write) })
	}
	return list
}

// smallest keeps the paths by which more is reached than by parts of them,
// the shortest first.
func smallest(list []Path) []Path {
	slices.SortStableFunc(list, func(a, b Path) int { return bits.OnesCount64(a.selection) - bits.OnesCount64(b.selection) })
	kept := list[:0]
	for i := range list {
		p := &list[i]
		var parts Origins
		for k := range kept {
			if q := &kept[k]; q.selection&^p.selection == 0 && (!q.Template || p.Template) {
				parts |= q.Origins
			}
		}
		if parts == 0 || !parts.Holds(p.Origins) {
			kept = append(kept, *p)
		}
	}
	return kept
}

// merged notes at a path for the writer itself that the same writes do for
// others.
func merged(paths []Path, other *Path) bool {
	for i := range paths {
		if p := &paths[i]; p.Reader == Itself && p.selection == other.selection && p.Origins.Holds(other.Origins) && !p.Template {
			p.Others = true
			return true
		}
	}
	return false
}

// permission is what opens the gates of identity and permission.
func (y *asking) permission(p party, r Reader, reader *Principal) []Path {
	if y.replaces(&p) {
		if r == Itself && reader.Object != p.taken.as.Object {
			r = Another // to that one it is anybody
		}
		return through(y.permission(party{class: p.taken.class, reader: p.reader}, r, reader), p.taken)
	}
	rules := y.vault.Rules
	key := question{gate: access.GatePermission, reader: r, model: rules.Model, home: rules.Tenant == y.home(y.vault), same: rules.Tenant == reader.Tenant,
		policies: len(rules.Policies) > 0, class: p.class.id}
	return y.remember(p, key, forPermission, reader, func(t *trial) (Path, bool) {
		object, ok := y.permitted(t.vault.Rules, reader, y.objects(y.held(&p)))
		if y.question.Object != "" {
			object = ""
		}
		return Path{Origins: AnyAddress, Object: object}, ok
	})
}

// opens is what opens the gate of the network.
func (y *asking) opens(p party, reader *Principal) []Path {
	p.reader = nil
	if y.replaces(&p) {
		return through(y.opens(party{class: p.taken.class}, reader), p.taken)
	}
	key := question{gate: access.GateNetwork, network: y.network, class: p.class.rights, known: reader.Known, resource: reader.Resource, app: y.serviceOf(reader)}
	return y.remember(p, key, forNetwork, reader, func(t *trial) (Path, bool) {
		o := y.origins(t.vault.Rules, reader)
		return Path{Origins: o}, o != 0
	})
}

// template is what lets a template deployment of the class read.
func (y *asking) template(p party) []Path {
	if y.replaces(&p) {
		return through(y.template(party{class: p.taken.class}), p.taken)
	}
	key := question{network: y.network.template(), class: p.class.rights}
	list := slices.Clone(y.remember(p, key, forTemplate, &p.class.principals[0], func(t *trial) (Path, bool) {
		o := y.templateOrigins(t.vault)
		return Path{Origins: o}, o != 0 && t.may(actionDeploy, t.id()) != nil
	}))
	for i := range list {
		list[i].Template = true
	}
	return list
}

// replaces is true of a party in which all rights are those of who is taken
// over: it is as good as that one's class. Of a member of a group that is so
// where nothing is denied to the one who became it.
func (y *asking) replaces(p *party) bool {
	return p.taken != nil && p.taken.class != nil && p.class.idle() && len(p.taken.actors) == 1 && p.moved == nil && (!y.denying || p.taken.as.member == nil)
}

// question is one half of what is asked: all that its answer depends on.
type question struct {
	gate                        access.Gate
	reader                      Reader
	model                       access.Model
	home, same, policies, known bool
	network                     shape
	class                       int
	resource                    string
	app                         access.GUID
}

// remember searches, or gives the answer that a vault and a class of the
// same case had. Under a perimeter every case is its own.
func (y *asking) remember(p party, key question, set uint64, reader *Principal, goal func(*trial) (Path, bool)) []Path {
	alone := p.class.own || p.taken != nil || p.reader != nil || len(y.custom) > 0 || y.vault.Rules.Perimeter.Mode != access.PerimeterNone
	here := local{p, nil, key}
	if key.gate == access.GatePermission {
		here.reader = reader
	}
	if alone {
		if paths, ok := y.local[here]; ok {
			return paths
		}
	} else if paths, ok := y.answers[key]; ok {
		return paths
	}
	var paths []Path
	if start := y.trial(p); start != nil {
		paths = y.ways(start, set, reader, goal)
	}
	for i := range paths {
		h := paths[i].halves[0]
		if h.from = y.vault; p.taken != nil {
			h.chain, h.selection = p.taken.chain, h.selection|p.taken.bit
			paths[i].selection = h.selection
		}
	}
	if alone {
		y.local[here] = paths
	} else {
		y.answers[key] = paths
	}
	return paths
}

// local is what is asked of one vault alone.
type local struct {
	party    party
	reader   *Principal // where the gate asks who it is
	question question
}

// node is a trial to go on from: with the writes from next on.
type node struct {
	trial     *trial
	next      Write
	selection uint64
}

// ways are the smallest selections of writes by which the goal is reached,
// or reached from more places, the smaller first.
func (x *search) ways(start *trial, set uint64, reader *Principal, goal func(*trial) (Path, bool)) []Path {
	var paths []Path
	level := []node{{trial: start, selection: start.selection()}}
	for len(level) > 0 {
		var deeper []node
		for _, n := range level {
			if p, ok := goal(n.trial); ok {
				p.selection = n.selection
				p.halves[0] = &half{plan: n.trial.done, selection: n.selection, origins: p.Origins, object: p.Object}
				paths = append(paths, p)
				if p.Origins&AnyAddress != 0 {
					continue // more writes do no more
				}
			}
			for w := n.next; w < writes; w++ {
				if (set&^n.selection)&(1<<w) == 0 || slices.ContainsFunc(paths, func(p Path) bool { return p.Origins&AnyAddress != 0 && p.selection&^(n.selection|1<<w) == 0 }) {
					continue
				}
				for _, next := range n.trial.after(w, reader, x.question.Object) {
					deeper = append(deeper, node{next, w + 1, n.selection | 1<<w})
				}
			}
		}
		level = deeper
	}
	return smallest(paths)
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

// serviceOf is the application of a reader where it is a trusted service's:
// of others the network gate does not ask.
func (x *search) serviceOf(p *Principal) access.GUID {
	if x.services[p.App] {
		return p.App
	}
	return access.GUID{}
}
