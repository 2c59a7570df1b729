package who

import (
	"slices"
	"strings"

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
	// roles are those that hold the operation, the least first.
	roles []string
	// denying is true when the estate has deny assignments.
	denying bool
	base    []*estate.Resource // what every trial needs
	// subscriptions by their GUIDs.
	subscriptions map[string]*estate.Resource
	answers       map[string][]Path // of one half of the question, by the case
}

func newSearch(s *estate.Snapshot, q Question, o estate.Options) *search {
	if q.Operation == access.NoOperation {
		q.Operation = access.SecretGet
	}
	q.Object = strings.ToLower(q.Object)
	x := &search{snapshot: s, question: q, options: o, index: newIndex(s), uppers: map[string]*upper{}, known: map[access.GUID]Principal{},
		grouped: map[access.GUID]bool{}, services: map[access.GUID]bool{}, subscriptions: map[string]*estate.Resource{}, answers: map[string][]Path{}}
	for _, p := range q.Principals {
		x.known[p.Object] = p
		if len(p.Groups) > 0 {
			x.grouped[p.Object] = true
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
	x.roles = rolesFor(q.Operation)
	return x
}

// take keeps what of the estate a decision about any vault may rest on.
func (x *search) take(r *estate.Resource) {
	typ := strings.ToLower(r.Type)
	switch {
	case typ == strings.ToLower(estate.TypeSubscription):
		x.subscriptions[strings.ToLower(r.Subscription())] = r
		return
	case strings.HasPrefix(typ, "microsoft.authorization/denyassignments"):
		x.denying = true
	case strings.HasPrefix(typ, "microsoft.authorization/roledefinitions"), strings.HasPrefix(typ, "microsoft.management/"):
	default:
		return
	}
	x.base = append(x.base, r)
}

// home is the tenant of the vault's subscription, by which the control plane
// goes; when nobody says it, that of the vault.
func (x *search) home(v *estate.Vault) access.GUID {
	if t, err := access.ParseGUID(x.snapshot.TenantOf(v.Resource.ID)); err == nil {
		return t
	}
	return v.Rules.Tenant
}

// rolesFor are the built-in roles that hold an operation, those that hold
// fewest others first, asked of the decision itself.
func rolesFor(o access.Operation) []string {
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
	a := &Answer{Vault: v}
	y := &asking{search: x, vault: v, of: map[access.GUID][]access.Assignment{}}
	for _, r := range v.Rules.Assignments {
		y.of[r.Principal] = append(y.of[r.Principal], r)
	}
	classes := x.classes(v)
	for _, c := range classes {
		y.judge(c)
	}
	for _, c := range classes {
		if c.holds && y.holder == nil {
			y.holder = c
		}
	}
	for _, c := range classes {
		if paths := y.paths(c); len(paths) > 0 {
			a.Findings = append(a.Findings, Finding{Principals: c.principals, Paths: paths})
		}
	}
	return a
}

// trial is the small estate of a vault and a class.
func (x *search) trial(v *estate.Vault, c *class) *trial {
	t := &trial{search: x, home: x.home(v), conditional: c.conditional, base: x.base[:len(x.base):len(x.base)], resource: v.Resource}
	if r := x.subscriptions[v.Subscription]; r != nil {
		t.base = append(t.base, r)
	}
	for _, a := range c.assigned {
		t.base = append(t.base, a.resource)
	}
	if v.Rules.Perimeter.Mode != access.PerimeterNone {
		for _, r := range x.snapshot.Under("", "") {
			if strings.HasPrefix(strings.ToLower(r.Type), strings.ToLower(estate.TypePerimeter)) {
				t.base = append(t.base, r)
			}
		}
	}
	if !t.settle() {
		return nil
	}
	return t
}

// objects are the names to try: the one that is asked for, or else those
// that assignments at objects and conditions speak of.
func (x *search) objects(c *class) []string {
	if x.question.Object != "" {
		return []string{x.question.Object}
	}
	list := []string{""}
	kind := x.question.Operation.Info().Kind.String()
	for _, a := range c.assigned {
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
