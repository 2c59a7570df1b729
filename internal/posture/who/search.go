package who

import (
	"slices"
	"strings"
	"sync"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// search is one question put to an estate.
type search struct {
	snapshot *estate.Snapshot
	question Question
	options  estate.Options
	index    *index
	uppers   map[string]*upper
	known    map[access.GUID]Principal
	grouped  map[access.GUID]bool // those of known that are in groups
	services map[access.GUID]bool // the applications of trusted services
	// perimeters are the resources of all perimeters.
	perimeters []*estate.Resource
	// administrators are those of known.
	administrators []Principal
	// conditional are those that hold something under a condition.
	conditional map[access.GUID]bool
	// roles are the roles that hold the operation, the least first; control
	// those that hold something of the control plane; custom are the estate's
	// own, and widest says of which a principal may hold.
	roles, control []string
	custom         []customRole
	// defining are the scopes where custom roles are assignable, and those
	// above, by Key.
	defining map[string]bool
	// denying is true when the estate has deny assignments, denied has the
	// management groups that have some, by Key.
	denying bool
	denied  map[string]bool
	base    []*estate.Resource // what every trial needs
	// subscriptions by their GUIDs.
	subscriptions map[string]*estate.Resource
	answers       map[question][]Path // of one half of the question
	judged        map[string]judgement
	cases         map[string]int   // of judgements
	takeable      map[int][]string // by class
	// compiled counts the states of small estates that were compiled.
	compiled int
	homes    map[string]access.GUID // by subscription

	takings []taking
	trials  map[someone]*trial     // of principals alone
	edges   map[access.GUID][]edge // by who can go them; nil until asked for
	edgesTo map[access.GUID][]access.GUID
	// nowhere is a vault of no estate.
	nowhere *estate.Vault
}

func newSearch(s *estate.Snapshot, q Question, o estate.Options) *search {
	if q.Operation == access.NoOperation {
		q.Operation = access.SecretGet
	}
	q.Object, o.Plain = strings.ToLower(q.Object), true
	x := &search{snapshot: s, question: q, options: o, index: newIndex(s), uppers: map[string]*upper{}, known: map[access.GUID]Principal{},
		grouped: map[access.GUID]bool{}, services: map[access.GUID]bool{}, subscriptions: map[string]*estate.Resource{}, answers: map[question][]Path{},
		cases: map[string]int{}, defining: map[string]bool{}, takeable: map[int][]string{}, judged: map[string]judgement{}, homes: map[string]access.GUID{}, denied: map[string]bool{},
		conditional: map[access.GUID]bool{}, trials: map[someone]*trial{}, nowhere: &estate.Vault{Resource: &estate.Resource{ID: "/who/nowhere"}}}
	for _, p := range q.Principals {
		x.known[p.Object] = p
		if len(p.Groups) > 0 {
			x.grouped[p.Object] = true
		}
		if p.Administrator {
			x.administrators = append(x.administrators, p)
		}
	}
	for _, t := range o.Trusted {
		for _, app := range t.Apps {
			x.services[app] = true
		}
	}
	for _, r := range s.Under("", "") {
		x.take(r)
	}
	x.finish()
	return x
}

// take keeps what of the estate a decision about any vault may rest on.
func (x *search) take(r *estate.Resource) {
	typ := strings.ToLower(r.Type)
	switch {
	case typ == strings.ToLower(estate.TypeVault), typ == strings.ToLower(estate.TypeRoleAssignment):
		return
	case typ == strings.ToLower(estate.TypeSubscription):
		x.subscriptions[strings.ToLower(r.Subscription())] = r
		return
	case typ == strings.ToLower(estate.TypeDenyAssignment):
		x.denying, x.denied[estate.Key(r.Scope())] = true, true
	case typ == strings.ToLower(estate.TypeRoleDefinition):
		x.custom = append(x.custom, readCustomRole(r))
	case strings.HasPrefix(typ, "microsoft.management/"):
	default:
		if strings.HasPrefix(typ, strings.ToLower(estate.TypePerimeter)) {
			x.perimeters = append(x.perimeters, r)
		}
		x.takings = append(x.takings, takings(r)...)
		return
	}
	x.base = append(x.base, r)
}

// finish finds out what rests on all of the estate.
func (x *search) finish() {
	x.roles = slices.Clone(rolesFor(x.question.Operation))
	x.control = x.controlRoles()
	for i := range x.custom {
		c := &x.custom[i]
		for _, n := range c.needs(x) {
			for _, scope := range ancestors(n.scope) {
				x.defining[estate.Key(scope)] = true
			}
		}
		name := strings.ToLower(c.resource.Name)
		c.managed = slices.ContainsFunc(x.index.far, func(a *assigned) bool {
			return a.role == name && strings.Contains(a.scope, "/managementgroups/")
		})
		if role, ok := x.snapshot.Role(name, c.resource.Scope()); ok && holds(role, x.question.Operation) {
			x.roles = append(x.roles, name)
		}
	}
	x.index.each(func(a *assigned) {
		d, builtin := roles.ByName(a.role)
		if a.condition != "" || builtin && len(d.Conditioned) > 0 {
			x.conditional[a.principal] = true
		}
	})
}

// home is the tenant of the vault's subscription, by which the control plane
// goes; when nobody says it, that of the vault.
func (x *search) home(v *estate.Vault) access.GUID {
	t, ok := x.homes[v.Subscription]
	if !ok {
		t, _ = access.ParseGUID(x.snapshot.TenantOf(v.Resource.ID)) // zero when nobody says it
		x.homes[v.Subscription] = t
	}
	if t.IsZero() {
		return v.Rules.Tenant
	}
	return t
}

// rolesFor are the built-in roles that hold an operation, those that hold
// fewest others first, asked of the decision itself.
func rolesFor(o access.Operation) []string { return rolesByOperation()[o] }

// rolesByOperation is the same of all operations, found out once.
var rolesByOperation = sync.OnceValue(func() map[access.Operation][]string {
	all := map[access.Operation][]string{}
	for _, o := range access.Operations() {
		all[o] = findRoles(o)
	}
	return all
})

func findRoles(o access.Operation) []string {
	type candidate struct {
		name  string
		count int
	}
	var list []candidate
	for _, d := range roles.All() {
		if !holds(d.Role(), o) {
			continue
		}
		c := candidate{name: d.Name}
		for _, other := range access.Operations() {
			if holds(d.Role(), other) {
				c.count++
			}
		}
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return a.count - b.count })
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.name
	}
	return names
}

func holds(role *access.Role, o access.Operation) bool {
	const id = "/subscriptions/s/resourcegroups/g/providers/microsoft.keyvault/vaults/v"
	rules := &access.Rules{ID: id, Tenant: fresh, PublicAccess: access.PublicEnabled, DefaultAction: access.Allow, Model: access.ModelRBAC,
		Assignments: []access.Assignment{{ID: "a", Principal: fresh, Scope: id, Role: role}}}
	return access.Explain(rules, &access.Request{Origin: access.Origin{Path: access.PathPublic}, Operation: o,
		Caller: access.Caller{Token: access.TokenValid, Tenant: fresh, Object: fresh}}).Decision.Allowed()
}

// fresh is a principal of whom nothing is written anywhere; foreignTenant a
// tenant of which that is true.
var (
	fresh         = access.MustGUID("f0f0f0f0-0000-4000-8000-000000000001")
	foreignTenant = access.MustGUID("f0f0f0f0-0000-4000-8000-00000000ffff")
)

// vault answers for one vault.
func (x *search) vault(v *estate.Vault) *Answer {
	a := &Answer{Vault: v, Served: x.served(v)}
	y := &asking{search: x, vault: v, network: shapeOf(v), starts: map[party]*trial{}, local: map[local][]Path{}}
	classes := x.classes(v)
	for _, c := range classes {
		y.judge(c)
	}
	for _, c := range classes {
		if c.holds && y.holder == nil {
			y.holder = c
		}
	}
	if len(x.takings) > 0 || len(x.question.Principals) > 0 {
		classes = y.takers(classes)
	}
	y.classes = classes
	for _, c := range classes {
		if paths := y.paths(c); len(paths) > 0 {
			a.Findings = append(a.Findings, Finding{Principals: c.principals, Paths: paths})
		}
	}
	y.starts, y.local, y.classes = nil, nil, nil // paths hold y
	return a
}

// trial is the small estate of a vault and those who act in it.
func (y *asking) trial(p party) *trial {
	if p.moved != nil && p.reader == nil {
		return p.moved
	}
	if t, ok := y.starts[p]; ok {
		return t
	}
	v, x := y.vault, y.search
	t := &trial{search: x, home: x.home(v), actors: p.actors(), conditional: p.class.conditional}
	base := x.base[:len(x.base):len(x.base)]
	if r := x.subscriptions[v.Subscription]; r != nil {
		base = append(base, r)
	}
	held := y.held(&p)
	for _, a := range held {
		base = append(base, a.resource)
	}
	t.conditional = slices.ContainsFunc(held, func(a *assigned) bool { return x.conditional[a.principal] })
	if v.Rules.Perimeter.Mode != access.PerimeterNone {
		base = append(base, x.perimeters...)
	}
	if p.taken == nil && p.reader == nil && !p.class.own {
		t.class = p.class.id
	}
	x.compiled++
	t.snapshot, _ = estate.New(append(base, v.Resource), x.options)
	var ok bool
	if t.vault, ok = t.snapshot.Vault(strings.ToLower(v.Resource.Name)); !ok {
		t = nil
	}
	y.starts[p] = t
	return t
}

// objects are the names to try: the one that is asked for, or else those
// that assignments at objects and conditions speak of.
func (x *search) objects(held []*assigned) []string {
	if x.question.Object != "" {
		return []string{x.question.Object}
	}
	list := []string{""}
	kind := x.question.Operation.Info().Kind.String()
	for _, a := range held {
		if _, rest, ok := strings.Cut(a.scope, vaultsMarker); ok {
			if parts := strings.Split(rest, "/"); len(parts) == 3 && parts[1] == kind {
				list = append(list, parts[2])
			}
		}
		if a.condition == "" {
			continue
		}
		list = append(list, "any")
		for i, word := range strings.Split(a.condition, "'") {
			if i%2 == 1 {
				list = append(list, strings.NewReplacer("*", "", "?", "a").Replace(strings.ToLower(word)))
			}
		}
	}
	return list
}
