package who

import (
	"encoding/json"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// assigned is one role assignment as the search sorts it: whom it is for,
// where it stands, and what it says.
type assigned struct {
	resource  *estate.Resource
	principal access.GUID
	scope     string // Key
	// says is the role and the condition.
	says      string
	role      string
	condition string
}

func readAssigned(r *estate.Resource) (*assigned, bool) {
	var doc struct {
		Properties struct {
			Role      string  `json:"roleDefinitionId"`
			Principal string  `json:"principalId"`
			Scope     string  `json:"scope"`
			Condition *string `json:"condition"`
		} `json:"properties"`
	}
	if json.Unmarshal(r.Body, &doc) != nil {
		return nil, false
	}
	p := &doc.Properties
	principal, err := access.ParseGUID(p.Principal)
	if err != nil {
		return nil, false
	}
	a := &assigned{resource: r, principal: principal, role: strings.ToLower(p.Role[strings.LastIndexByte(p.Role, '/')+1:]), scope: estate.Key(p.Scope)}
	if at := estate.Key(r.Scope()); p.Scope == "" || strings.HasPrefix(at, "/tenants/") {
		a.scope = at // what a tenant calls "/" is its own root
	}
	if p.Condition != nil {
		a.condition = *p.Condition
	}
	a.says = a.role + "|" + a.condition
	return a, true
}

// class is principals that hold the same rights at the same places.
type class struct {
	principals []Principal
	assigned   []*assigned
	// like is what the rights are, without the names of the places.
	like string
	// own is true when the answer must not be shared with another vault: a
	// condition or a deny assignment may ask who and where.
	own bool

	// policies is what the vault's policies give, sort what of its principals
	// the decision asks for.
	policies, sort string
	// conditional is true when an assignment holds only for certain writes.
	conditional bool
	judgement
	// taken are those whom its principals can take over.
	taken []taken
}

// judgement is what the decision says of a class as things are: whether it
// reads by roles, and whether it holds the right. Classes of which all is the
// same have one id; those that differ only in what they read have the same
// rights.
type judgement struct {
	id, rights   int
	reads, holds bool
}

// idle is true of a class that nothing gives anything at the vault.
func (c *class) idle() bool {
	return len(c.assigned) == 0 && c.policies == "" && !c.principals[0].Administrator
}

// index is the assignments of the estate by where they stand.
type index struct {
	at    map[string][]*assigned // by scope, above vaults or at them
	below map[string][]*assigned // at objects, by the vault
	// far are those whose scopes are not part of the ids below them:
	// management groups and the roots of tenants.
	far []*assigned
	of  map[access.GUID][]*assigned // all, by principal
}

// each goes through all assignments.
func (x *index) each(f func(*assigned)) {
	for _, list := range x.of {
		for _, a := range list {
			f(a)
		}
	}
}

const vaultsMarker = "/providers/microsoft.keyvault/vaults/"

func newIndex(s *estate.Snapshot) *index {
	x := &index{at: map[string][]*assigned{}, below: map[string][]*assigned{}, of: map[access.GUID][]*assigned{}}
	for _, r := range s.Under("", estate.TypeRoleAssignment) {
		a, ok := readAssigned(r)
		if !ok {
			continue
		}
		x.of[a.principal] = append(x.of[a.principal], a)
		at := strings.Index(a.scope, vaultsMarker)
		end := -1
		if at >= 0 {
			end = strings.IndexByte(a.scope[at+len(vaultsMarker):], '/')
		}
		switch {
		case end >= 0:
			vault := a.scope[:at+len(vaultsMarker)+end]
			x.below[vault] = append(x.below[vault], a)
		case a.scope != "" && !strings.HasPrefix(a.scope, "/subscriptions/"):
			x.far = append(x.far, a)
		default:
			x.at[a.scope] = append(x.at[a.scope], a)
		}
	}
	return x
}

// upper is the classes of those who hold something at the subscription or
// above it: the same for all its vaults.
type upper struct {
	of      map[access.GUID][]*assigned
	order   []access.GUID
	classes []*class
}

// upper finds or makes the classes of a vault's subscription.
func (x *search) upper(v *estate.Vault) *upper {
	far := x.reachingFromFar(v)
	key := v.Subscription + x.home(v).String()
	for _, a := range far {
		key += " " + estate.Key(a.resource.ID)
	}
	if u := x.uppers[key]; u != nil {
		return u
	}
	u := &upper{of: map[access.GUID][]*assigned{}}
	for _, list := range [][]*assigned{x.index.at[""], far, x.index.at["/subscriptions/"+v.Subscription]} {
		for _, a := range list {
			if u.of[a.principal] == nil {
				u.order = append(u.order, a.principal)
			}
			u.of[a.principal] = append(u.of[a.principal], a)
		}
	}
	by := map[string]*class{}
	for _, p := range u.order {
		u.of[p] = x.withDefining(p, u.of[p])
		if !x.grouped[p] {
			u.classes = gather(u.classes, by, x.class(v, x.principal(p, x.home(v)), u.of[p], ""))
		}
	}
	x.uppers[key] = u
	return u
}

// reachingFromFar keeps those whose scopes the estate finds above the vault.
func (x *search) reachingFromFar(v *estate.Vault) []*assigned {
	var list []*assigned
	for _, a := range x.index.far {
		if slices.ContainsFunc(v.Rules.Assignments, func(r access.Assignment) bool {
			return r.Principal == a.principal && r.ID == a.resource.Name
		}) {
			list = append(list, a)
		}
	}
	return list
}

func gather(list []*class, by map[string]*class, c *class) []*class {
	if same := by[c.like]; same != nil {
		same.principals = append(same.principals, c.principals...)
		return list
	}
	by[c.like] = c
	return append(list, c)
}

// class makes the class of one principal.
func (x *search) class(v *estate.Vault, p Principal, held []*assigned, policies string) *class {
	c := &class{principals: []Principal{p}, assigned: held, own: x.denying, policies: policies, sort: x.sort(&p, v)}
	says := make([]string, 0, len(held))
	vault := estate.Key(v.Resource.ID)
	for _, a := range held {
		where := ""
		switch rest, inside := strings.CutPrefix(a.scope, vault+"/"); {
		case inside:
			where = "object " + rest
		case a.scope == vault:
			where = "vault"
		case a.scope == "":
			where = "root"
		case strings.HasPrefix(vault, a.scope+"/"):
			where = []string{"subscription", "group"}[min(1, strings.Count(a.scope, "/")/4)]
		default:
			where = a.scope
		}
		says = append(says, where+" "+a.says)
		c.own = c.own || a.condition != ""
		d, builtin := roles.ByName(a.role)
		c.conditional = c.conditional || a.condition != "" || builtin && len(d.Conditioned) > 0
	}
	slices.Sort(says)
	c.like = strings.Join(slices.Compact(says), "\n") + "\n" + policies + "\n" + c.sort
	if x.denying {
		c.like += p.Object.String()
	}
	return c
}

// sort is what of the principal itself the decision may ask for.
func (x *search) sort(p *Principal, v *estate.Vault) string {
	var b strings.Builder
	switch home := x.home(v); {
	case p.Tenant == v.Rules.Tenant && p.Tenant == home:
	case p.Tenant == v.Rules.Tenant:
		b.WriteString("of the vault's tenant")
	case p.Tenant == home:
		b.WriteString("of the subscription's tenant")
	default:
		b.WriteString("of another tenant ")
		b.WriteString(p.Tenant.String())
	}
	if p.Known {
		b.WriteString(" known ")
		b.WriteString(strings.ToLower(p.Resource))
		if x.services[p.App] {
			b.WriteString(p.App.String())
		}
	}
	if p.User {
		b.WriteString(" by ")
		b.WriteString(p.App.String())
	}
	if p.Administrator {
		b.WriteString(" administrator")
	}
	return b.String()
}

// classes sorts everybody who holds something at the vault.
func (x *search) classes(v *estate.Vault) []*class {
	u := x.upper(v)
	vault := estate.Key(v.Resource.ID)
	apart := map[access.GUID][]*assigned{} // who differs from the upper classes
	var order []access.GUID
	add := func(p access.GUID) {
		if _, there := apart[p]; !there {
			apart[p] = u.of[p][:len(u.of[p]):len(u.of[p])]
			order = append(order, p)
		}
	}
	group := vault[:max(0, strings.Index(vault, "/providers/"))]
	lists := [][]*assigned{x.index.at[group], x.index.at[vault], x.index.below[vault]}
	for _, scope := range x.beside(v) {
		lists = append(lists, x.index.at[scope])
	}
	for _, list := range lists {
		for _, a := range list {
			add(a.principal)
			apart[a.principal] = append(apart[a.principal], a)
		}
	}
	policies := x.policies(v)
	for _, p := range v.Rules.Policies {
		add(p.Object)
	}
	apartTenant := x.home(v) != v.Rules.Tenant
	for i := range x.administrators {
		if p := &x.administrators[i]; p.Tenant == x.home(v) {
			add(p.Object)
		}
	}
	for _, p := range u.order {
		// Where the vault is of another tenant than the subscription, an id
		// may be of either.
		if x.grouped[p] || apartTenant {
			add(p)
		}
	}
	var list []*class
	for _, c := range u.classes {
		if kept := slices.DeleteFunc(slices.Clone(c.principals), func(p Principal) bool { _, ok := apart[p.Object]; return ok }); len(apart) > 0 {
			if len(kept) > 0 {
				other := *c
				other.principals, other.assigned = kept, u.of[kept[0].Object]
				list = append(list, &other)
			}
			continue
		}
		list = append(list, c)
	}
	by := map[string]*class{}
	for _, c := range list {
		by[c.like] = c
	}
	for _, id := range order {
		for _, p := range x.asPrincipals(id, v) {
			list = gather(list, by, x.class(v, p, x.held(&p, u, apart), policies(&p)))
		}
	}
	for _, p := range x.question.Principals {
		if _, done := apart[p.Object]; done || len(p.Groups) == 0 {
			continue
		}
		held := x.held(&p, u, apart)
		if text := policies(&p); len(held) > 0 || text != "" || p.Administrator && p.Tenant == x.home(v) {
			list = gather(list, by, x.class(v, p, held, text))
		}
	}
	return list
}

// beside is the scopes, as Keys, at which rights over the vault's perimeter
// may stand and rights over the vault do not.
func (x *search) beside(v *estate.Vault) []string {
	if v.Rules.Perimeter.Mode == access.PerimeterNone {
		return nil
	}
	t := &trial{search: x, snapshot: x.snapshot, vault: v}
	u, ok := t.under()
	if !ok {
		return nil
	}
	var list []string
	vault := estate.Key(v.Resource.ID)
	for _, scope := range append(ancestors(u.perimeter), u.association.ID, u.profile) {
		if key := estate.Key(scope); key != "" && !strings.HasPrefix(vault, key+"/") {
			list = append(list, key)
		}
	}
	return list
}

// held is the assignments of a principal and of its groups.
func (x *search) held(p *Principal, u *upper, apart map[access.GUID][]*assigned) []*assigned {
	var held []*assigned
	for _, id := range append([]access.GUID{p.Object}, p.Groups...) {
		if list, ok := apart[id]; ok {
			held = append(held, x.withDefining(id, list)...)
		} else {
			held = append(held, u.of[id]...)
		}
	}
	return held
}

// withDefining adds what a principal holds where custom roles are assignable:
// who changes one needs the right at all of these scopes.
func (x *search) withDefining(id access.GUID, held []*assigned) []*assigned {
	if len(x.defining) == 0 {
		return held
	}
	for _, a := range x.index.of[id] {
		if x.defining[a.scope] && !slices.Contains(held, a) {
			held = append(held[:len(held):len(held)], a)
		}
	}
	return held
}

// policies tells of a principal what the vault's policies give it.
func (x *search) policies(v *estate.Vault) func(*Principal) string {
	of := map[access.GUID][]string{}
	for _, p := range v.Rules.Policies {
		words := []string{p.Tenant.String(), p.Application.String(), strings.Join(p.Keys, ","), strings.Join(p.Secrets, ","), strings.Join(p.Certificates, ",")}
		if p.Tenant == v.Rules.Tenant {
			words[0] = "same"
		}
		of[p.Object] = append(of[p.Object], strings.ToLower(strings.Join(words, " ")))
	}
	return func(p *Principal) string {
		list := slices.Clone(of[p.Object])
		for _, g := range p.Groups {
			list = append(list, of[g]...)
		}
		slices.Sort(list)
		return strings.Join(slices.Compact(list), ";")
	}
}

// asPrincipals is who an id may be at this vault: somebody of the tenant of
// the subscription, and of each tenant and application that a policy names
// with it.
func (x *search) asPrincipals(id access.GUID, v *estate.Vault) []Principal {
	known, ok := x.known[id]
	list := []Principal{x.principal(id, x.home(v))}
	if !ok && v.Rules.Tenant != list[0].Tenant {
		list = append(list, Principal{Tenant: v.Rules.Tenant, Object: id})
	}
	for _, p := range v.Rules.Policies {
		if p.Object != id || ok && (p.Tenant != known.Tenant || !known.User) {
			continue
		}
		other := list[0]
		other.Tenant = p.Tenant
		if !p.Application.IsZero() {
			other.App, other.User = p.Application, true
		}
		if !slices.ContainsFunc(list, func(q Principal) bool { return q.Tenant == other.Tenant && q.App == other.App && q.User == other.User }) {
			list = append(list, other)
		}
	}
	return list
}

// principal is what is known of an id.
func (x *search) principal(id, home access.GUID) Principal {
	if p, ok := x.known[id]; ok {
		return p
	}
	return Principal{Tenant: home, Object: id}
}
