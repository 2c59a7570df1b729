package who

import (
	"fmt"
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
	vault  *estate.Vault
	of     map[access.GUID][]access.Assignment // that reach the vault, by principal
	holder *class                              // the first that holds the right
}

// The writes that may open each gate.
const (
	forPermission uint16 = 1<<TakeRole | 1<<ChangeTenant | 1<<UseRoles | 1<<UsePolicies | 1<<AddPolicy | 1<<AssignRole
	forNetwork    uint16 = 1<<TakeRole | 1<<TakePerimeterRole | 1<<LeavePerimeter | 1<<OpenNetwork | 1<<Connect | 1<<ApproveWaiting
	forTemplate   uint16 = 1<<TakeRole | 1<<TakePerimeterRole | 1<<LeavePerimeter | 1<<OpenNetwork | 1<<AllowTemplates
)

// judge asks the decision what a class may and holds, as things are.
func (y *asking) judge(c *class) {
	v, p := y.vault, &c.principals[0]
	t := &trial{search: y.search, home: y.home(v), conditional: c.conditional, resource: v.Resource, snapshot: y.snapshot, vault: v}
	may := []byte{}
	for _, action := range []string{actionVault, actionPolicies, actionApprove, actionDeploy} {
		may = fmt.Append(may, t.may(p, action, v.Resource.ID), " ")
	}
	may = fmt.Append(may, t.may(p, actionConnection, v.Resource.ID+ownConnection))
	scopes := ancestors(v.Resource.ID)
	if y.question.Object != "" {
		scopes = append(scopes, v.Resource.ID+"/"+y.question.Operation.Info().Kind.String()+"/"+y.question.Object)
	}
	for _, scope := range scopes {
		owner := t.mayAssign(p, p, roleOwner, scope)
		may = fmt.Append(may, "\n", owner)
		for i, role := range y.roles {
			if (owner || c.conditional) && t.mayAssign(p, p, role, scope) {
				may = fmt.Append(may, " ", i)
				break
			}
		}
	}
	c.may = string(may)
	rules := *v.Rules
	rules.Assignments = y.of[p.Object]
	for _, g := range p.Groups {
		rules.Assignments = append(rules.Assignments[:len(rules.Assignments):len(rules.Assignments)], y.of[g]...)
	}
	_, c.holds = y.permitted(&rules, p, y.objects(c))
	rules.Model, rules.Tenant = access.ModelRBAC, p.Tenant
	object, ok := y.permitted(&rules, p, y.objects(c))
	c.roles = fmt.Sprint(ok, object)
}

// paths are all ways of a class.
func (y *asking) paths(c *class) []Path {
	p := &c.principals[0]
	stranger := &Principal{Tenant: y.vault.Rules.Tenant, Object: fresh}
	foreigner := &Principal{Tenant: foreignTenant, Object: fresh}
	own := y.joined(Itself, y.permission(c, Itself, p), y.network(c, p))
	if y.question.Operation == access.SecretGet {
		own = smallest(append(own, y.template(c)...))
	}
	var reached Origins
	for i := range own {
		if len(own[i].plan) > 0 && !own[i].Template {
			reached |= own[i].Origins
		}
	}
	all := own
	for _, o := range y.joined(Another, y.permission(c, Another, stranger), y.network(c, stranger)) {
		reached |= o.Origins
		if !merged(all, &o) {
			all = append(all, o)
		}
	}
	for _, id := range c.named() {
		one := y.principal(id, y.home(y.vault))
		for _, o := range y.joined(Another, y.permission(c, Another, &one), y.network(c, &one)) {
			if o.To = id; len(o.plan) > 0 && !reached.Holds(o.Origins) {
				all = append(all, o)
			}
		}
	}
	all = append(all, y.joined(Foreign, y.permission(c, Foreign, foreigner), y.network(c, foreigner))...)
	if h := y.holder; h != nil && h != c {
		all = append(all, y.opening(c, &h.principals[0], reached)...)
	}
	for i := range all {
		all[i].vault, all[i].operation = y.vault, y.question.Operation
	}
	return all
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

// opening is the ways that open the network for those who hold the right,
// from where neither they nor others that the class lets in come already.
func (y *asking) opening(c *class, reader *Principal, reached Origins) []Path {
	var list []Path
	reached |= y.origins(y.vault.Rules, reader)
	for _, n := range y.network(c, reader) {
		if n.selection != 0 && !reached.Holds(n.Origins) {
			n.Reader = Holder
			list = append(list, n)
		}
	}
	return list
}

// joined puts together what opens the two gates.
func (y *asking) joined(r Reader, permission, network []Path) []Path {
	var list []Path
	for _, p := range permission {
		for _, n := range network {
			both := Path{Reader: r, Origins: n.Origins, Object: p.Object, selection: p.selection | n.selection, from: n.from, plan: slices.Clone(p.plan)}
			for _, d := range n.plan {
				if 1<<d.write&p.selection == 0 {
					d.scope = translate(d.scope, n.from, p.from)
					both.plan = append(both.plan, d)
				}
			}
			both.from = p.from
			slices.SortStableFunc(both.plan, func(a, b done) int { return int(a.write) - int(b.write) })
			list = append(list, both)
		}
	}
	return smallest(list)
}

// smallest keeps the paths by which more is reached than by parts of them,
// the shortest first.
func smallest(list []Path) []Path {
	slices.SortStableFunc(list, func(a, b Path) int { return bits.OnesCount16(a.selection) - bits.OnesCount16(b.selection) })
	var kept []Path
	for _, p := range list {
		var parts Origins
		for _, q := range kept {
			if q.selection&^p.selection == 0 && (!q.Template || p.Template) {
				parts |= q.Origins
			}
		}
		if parts == 0 || !parts.Holds(p.Origins) {
			kept = append(kept, p)
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
func (y *asking) permission(c *class, r Reader, reader *Principal) []Path {
	rules := y.vault.Rules
	key := fmt.Sprint("permission ", r, rules.Model, rules.Tenant == y.home(y.vault), rules.Tenant == reader.Tenant, len(rules.Policies) > 0,
		"\n", c.sort, "\n", c.policies, "\n", c.roles, "\n", c.may)
	return y.remember(c, key, forPermission, reader, func(t *trial) (Path, bool) {
		object, ok := y.permitted(t.vault.Rules, reader, y.objects(c))
		if y.question.Object != "" {
			object = ""
		}
		return Path{Origins: AnyAddress, Object: object}, ok
	})
}

// network is what opens the gate of the network.
func (y *asking) network(c *class, reader *Principal) []Path {
	key := fmt.Sprint("network ", y.networkShape(), "\n", c.sort, c.may, "\n", reader.Known, reader.Resource, reader.App)
	return y.remember(c, key, forNetwork, reader, func(t *trial) (Path, bool) {
		o := y.origins(t.vault.Rules, reader)
		return Path{Origins: o}, o != 0
	})
}

// template is what lets a template deployment of the class read.
func (y *asking) template(c *class) []Path {
	p := &c.principals[0]
	flag := y.vault.Properties.EnabledForTemplateDeployment
	key := fmt.Sprint("template ", flag != nil && *flag, y.networkShape(), "\n", c.sort, c.may)
	list := slices.Clone(y.remember(c, key, forTemplate, p, func(t *trial) (Path, bool) {
		o := y.templateOrigins(t.vault)
		return Path{Origins: o}, o != 0 && t.may(p, actionDeploy, t.resource.ID)
	}))
	for i := range list {
		list[i].Template = true
	}
	return list
}

// networkShape is what of the vault the network gate's answers depend on.
func (y *asking) networkShape() string {
	r := y.vault.Rules
	var approved, own, waiting bool
	for _, c := range r.Connections {
		waiting = waiting || c.State != access.EndpointApproved
		approved = approved || c.State == access.EndpointApproved && c.ID != ""
		own = own || strings.HasSuffix(c.ID, ownConnection)
	}
	valid := slices.ContainsFunc(r.IPRules, func(i access.IPRule) bool { return i.Prefix.IsValid() })
	subnets := slices.ContainsFunc(r.SubnetRules, func(s access.SubnetRule) bool { return s.Subnet != "" })
	return fmt.Sprint(r.PublicAccess, r.DefaultAction, r.Bypass, valid, subnets, approved, own, waiting)
}

// remember searches, or gives the answer that a vault and a class of the
// same case had. Under a perimeter every case is its own.
func (y *asking) remember(c *class, key string, set uint16, reader *Principal, goal func(*trial) (Path, bool)) []Path {
	alone := c.own || y.vault.Rules.Perimeter.Mode != access.PerimeterNone
	if paths, ok := y.answers[key]; ok && !alone {
		return paths
	}
	var paths []Path
	if start := y.trial(y.vault, c); start != nil {
		paths = y.ways(start, set, &c.principals[0], reader, goal)
	}
	for i := range paths {
		paths[i].from = y.vault
	}
	if !alone {
		y.answers[key] = paths
	}
	return paths
}

// node is a trial to go on from: with the writes from next on.
type node struct {
	trial     *trial
	next      Write
	selection uint16
}

// ways are the smallest selections of writes by which the goal is reached,
// or reached from more places, the smaller first.
func (x *search) ways(start *trial, set uint16, actor, reader *Principal, goal func(*trial) (Path, bool)) []Path {
	var paths []Path
	level := []node{{trial: start}}
	for len(level) > 0 {
		var deeper []node
		for _, n := range level {
			if p, ok := goal(n.trial); ok {
				p.plan, p.selection = n.trial.done, n.selection
				paths = append(paths, p)
				if p.Origins&AnyAddress != 0 {
					continue // more writes do no more
				}
			}
			for w := n.next; w < writes; w++ {
				if set&(1<<w) == 0 || slices.ContainsFunc(paths, func(p Path) bool { return p.Origins&AnyAddress != 0 && p.selection&^(n.selection|1<<w) == 0 }) {
					continue
				}
				if next := n.trial.after(w, actor, reader, x.question.Object); next != nil {
					deeper = append(deeper, node{next, w + 1, n.selection | 1<<w})
				}
			}
		}
		level = deeper
	}
	return smallest(paths)
}
