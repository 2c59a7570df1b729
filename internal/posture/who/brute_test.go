package who

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// brute searches by force: every sequence of up to three writes of one
// principal, each a change of the plain rules, with the answers of access
// after each. It shares nothing with the search that it is held against.
type brute struct {
	actor   access.Caller
	readers []access.Caller // the actor first, then a stranger
	writes  []naive
	seen    map[uint64]bool
	found   map[reach]bool
}

// reach is that a reader is admitted from a place.
type reach struct {
	reader   int
	from     Origins
	template bool
}

// situation is a state of the vault in plain rules.
type situation struct {
	rules     access.Rules
	templates bool
	authority *access.Authority
}

// naive is one write: whether it is allowed, and what it does; it reports
// whether anything changed.
type naive struct {
	action, scope, role string
	or                  string // another action that will do
	change              func(*situation) bool
}

// put sets a value, and reports whether it was another.
func put[T comparable](to *T, value T) bool {
	was := *to
	*to = value
	return was != value
}

func (b *brute) may(s *situation, w *naive) bool {
	if b.actor.Tenant.String() != home {
		return false
	}
	if s.authority.Authorize(&b.actor, w.action, w.scope).Allowed() || w.or != "" && s.authority.Authorize(&b.actor, w.or, w.scope).Allowed() {
		return true
	}
	if w.role == "" {
		return false
	}
	// A role that may assign certain roles names them in a list.
	for i := range s.rules.DenyAssignments {
		d := &s.rules.DenyAssignments[i]
		if denying := access.NewAuthority([]access.Assignment{{ID: "o", Principal: b.actor.Object, Scope: "/", Role: owner}}, []access.DenyAssignment{*d}); !denying.Authorize(&b.actor, w.action, w.scope).Allowed() {
			return false
		}
	}
	d, _ := roles.ByName(delegate)
	for i := range s.rules.Assignments {
		a := &s.rules.Assignments[i]
		under := a.Scope == "/" || w.scope == a.Scope || strings.HasPrefix(w.scope, a.Scope+"/")
		if a.Role != nil && a.Role.ID == d.Name && a.Principal == b.actor.Object && under && slices.Contains(d.Delegates, w.role) {
			return true
		}
	}
	return false
}

func (b *brute) search(s situation, depth int, selection uint64) {
	if b.seen[selection] {
		return
	}
	b.seen[selection] = true
	b.look(&s)
	if depth == 3 {
		return
	}
	for i := range b.writes {
		w := &b.writes[i]
		if selection&(1<<i) != 0 || !b.may(&s, w) {
			continue
		}
		if next := s; w.change(&next) {
			b.search(next, depth+1, selection|1<<i)
		}
	}
}

// look notes who is admitted from where.
func (b *brute) look(s *situation) {
	for i := range b.readers {
		c := b.readers[i]
		if steps := access.Explain(&s.rules, &access.Request{Caller: c, Operation: access.SecretGet, Object: "db"}).Steps; steps[4].Outcome != access.Passed {
			continue
		}
		for _, o := range naiveOrigins(&s.rules) {
			c := c
			if o.kind == Trusted {
				c.IdentityResource = factory
			}
			if key := (reach{i, o.kind, false}); !b.found[key] && access.Explain(&s.rules, &access.Request{Origin: o.origin, Caller: c, Operation: access.SecretGet, Object: "db"}).Decision.Allowed() {
				b.found[key] = true
			}
		}
	}
	if !s.templates || !b.may(s, &naive{action: actionDeploy, scope: vaultID}) {
		return
	}
	// The deployment service reads for whoever may deploy.
	r := access.Request{Origin: access.Origin{Path: access.PathPublic, Service: deploymentService}, Operation: access.SecretGet,
		Caller: access.Caller{Token: access.TokenValid, Tenant: s.rules.Tenant, App: access.MustGUID("77777777-7777-7777-7777-777777777777")}}
	if access.Explain(&s.rules, &r).Steps[1].Outcome == access.Passed {
		b.found[reach{0, Deployment, true}] = true
	}
}

type naiveOrigin struct {
	kind   Origins
	origin access.Origin
}

// owner is a role that holds everything.
var owner = &access.Role{ID: "o", Actions: []string{"*"}}

// places are where a request may come from in every estate.
var places = []naiveOrigin{{AnyAddress, access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr("192.0.2.77")}},
	{ListedAddress, access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr("203.0.113.9")}},
	{ListedAddress, access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr("198.51.100.9")}},
	{Perimeter, access.Origin{Path: access.PathPublic, Perimeter: estate.Key(perimeterID)}},
	{Trusted, access.Origin{Path: access.PathPublic, Service: "Azure Data Factory"}}}

func naiveOrigins(rules *access.Rules) []naiveOrigin {
	list := slices.Clip(places)
	for _, c := range rules.Connections {
		kind := Endpoint
		if strings.HasSuffix(c.ID, "/own") || strings.HasSuffix(c.ID, ownConnection) {
			kind = NewEndpoint
		}
		list = append(list, naiveOrigin{kind, access.Origin{Path: access.PathPrivateEndpoint, Endpoint: c.ID}})
	}
	return list
}

// naiveWrites are the writes that are tried in one estate.
func naiveWrites(r *rand.Rand, actor, stranger access.Caller) []naive {
	vault := func(change func(*situation) bool) naive {
		return naive{action: actionVault, scope: vaultID, change: change}
	}
	list := []naive{
		vault(func(s *situation) bool { return s.retenant(stranger.Tenant) }),
		vault(func(s *situation) bool { return s.retenant(actor.Tenant) }),
		vault(func(s *situation) bool { s.rules.Model = 3 - s.rules.Model; return true }),
		vault(func(s *situation) bool { return put(&s.rules.PublicAccess, access.PublicEnabled) }),
		vault(func(s *situation) bool { return put(&s.rules.PublicAccess, access.PublicDisabled) }),
		vault(func(s *situation) bool { return put(&s.rules.DefaultAction, access.Allow) }),
		vault(func(s *situation) bool { return put(&s.rules.Bypass, true) }),
		vault(func(s *situation) bool { return put(&s.templates, true) }),
		vault(func(s *situation) bool {
			s.rules.IPRules = []access.IPRule{{Prefix: netip.MustParsePrefix("203.0.113.0/24")}}
			return true
		}),
		{action: actionApprove, or: actionConnection, scope: vaultID, change: func(s *situation) bool { return s.connect("/own") }},
		{action: actionConnection, scope: vaultID + "/privateEndpointConnections/c", change: func(s *situation) bool { return s.connect("/c") }},
		{action: actionAssociation, scope: association, change: func(s *situation) bool {
			was := s.rules.Perimeter.Mode
			s.rules.Perimeter = access.Perimeter{}
			return was != access.PerimeterNone
		}},
	}
	for _, c := range []access.Caller{actor, stranger} {
		list = append(list, naive{action: actionVault, or: actionPolicies, scope: vaultID, change: func(s *situation) bool {
			if c.Tenant != s.rules.Tenant {
				return false
			}
			s.rules.Policies = append(slices.Clip(s.rules.Policies), access.Policy{Tenant: c.Tenant, Object: c.Object, Secrets: []string{"get"}})
			return true
		}})
	}
	control, _ := roles.ByRoleName(pick(r, "Owner", "Owner", "Contributor", "Key Vault Contributor"))
	data, _ := roles.ByRoleName(pick(r, "Key Vault Secrets User", "Key Vault Administrator", "Key Vault Secrets Officer", "Key Vault Certificate User"))
	scope := pick(r, vaultID, vaultID, group, subscription, "/")
	for _, d := range []*roles.Definition{control, data} {
		list = append(list, assigns(d, actor, scope))
	}
	return append(list, assigns(data, stranger, scope), assigns(data, actor, vaultID+"/secrets/db"), assigns(data, stranger, vaultID+"/secrets/db"))
}

func assigns(d *roles.Definition, c access.Caller, scope string) naive {
	return naive{action: actionAssign, scope: scope, role: d.Name, change: func(s *situation) bool {
		s.rules.Assignments = append(slices.Clip(s.rules.Assignments), access.Assignment{ID: "x", Principal: c.Object, Scope: scope, Role: d.Role()})
		s.authority = access.NewAuthority(s.rules.Assignments, s.rules.DenyAssignments)
		return true
	}}
}

func (s *situation) retenant(t access.GUID) bool {
	if s.rules.Tenant == t {
		return false
	}
	s.rules.Tenant = t
	s.rules.Policies = slices.DeleteFunc(slices.Clone(s.rules.Policies), func(p access.Policy) bool { return p.Tenant != t })
	return true
}

func (s *situation) connect(name string) bool {
	id := estate.Key(vaultID) + "/privateendpointconnections" + name
	kept := slices.DeleteFunc(slices.Clone(s.rules.Connections), func(c access.Connection) bool { return c.ID == id })
	if name == "/c" && len(kept) == len(s.rules.Connections) {
		return false
	}
	s.rules.Connections = append(kept, access.Connection{ID: id, State: access.EndpointApproved})
	return true
}

// count is how many estates are tried.
func count(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("POSTERN_WHO_ESTATES"))
	if err != nil {
		t.Log("20,000 estates; POSTERN_WHO_ESTATES says another number")
		return 20000
	}
	return n
}

// TestComplete: on random estates, a search by force over three writes finds
// no reader and no place that is not told, and every path that is told can
// be walked and ends in an allowed read.
func TestComplete(t *testing.T) {
	workers := runtime.GOMAXPROCS(0)
	n := count(t)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for seed := w; seed < n && !t.Failed(); seed += workers {
				tryEstate(t, uint64(seed))
			}
		})
	}
	all.Wait()
}

func tryEstate(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	list := randomEstate(r)
	s, _ := estate.New(list, rigOptions())
	answer, err := Ask(s, "main", Question{Object: "db"}, rigOptions())
	if err != nil {
		t.Errorf("estate %d: %v", seed, err)
		return
	}
	for _, id := range people {
		for _, tenant := range []string{home, elsewhere} {
			actor := Principal{Tenant: access.MustGUID(tenant), Object: access.MustGUID(id)}
			paths := pathsOf(answer, actor)
			b := force(r, answer.Vault, actor)
			for found := range b.found {
				if !told(paths, found, b.readers[found.reader], answer.Vault) {
					t.Errorf("estate %d: %s of %s: reader %d (%s) from %s (template %v) is not told; paths %+v\n%s", seed, id, tenant,
						found.reader, b.readers[found.reader].Tenant, found.from, found.template, paths, documents(list))
				}
			}
			for i := range paths {
				if why := walk(list, &paths[i], actor, answer); why != "" {
					t.Errorf("estate %d: %s of %s: %v for %s: %s\n%s", seed, id, tenant, paths[i].Steps(), paths[i].Reader, why, documents(list))
				}
			}
		}
	}
}

func force(r *rand.Rand, v *estate.Vault, actor Principal) *brute {
	stranger := access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(pick(r, home, elsewhere, "44444444-4444-4444-4444-444444444444")),
		Object: access.MustGUID("00000000-0000-0000-0000-0000000000ff")}
	b := &brute{actor: actor.caller(), seen: map[uint64]bool{}, found: map[reach]bool{}}
	b.readers = []access.Caller{b.actor, stranger}
	b.writes = naiveWrites(r, b.actor, stranger)
	flag := v.Properties.EnabledForTemplateDeployment
	b.search(situation{rules: *v.Rules, templates: flag != nil && *flag, authority: access.NewAuthority(v.Rules.Assignments, v.Rules.DenyAssignments)}, 0, 0)
	return b
}

func pathsOf(a *Answer, p Principal) []Path {
	var list []Path
	for _, f := range a.Findings {
		for _, q := range f.Principals {
			if q.Tenant == p.Tenant && q.Object == p.Object {
				list = append(list, f.Paths...)
			}
		}
	}
	return list
}

// told looks for a path that says it.
func told(paths []Path, found reach, c access.Caller, v *estate.Vault) bool {
	for i := range paths {
		p := &paths[i]
		fits := p.Reader == Itself
		if found.reader != 0 {
			fits = p.Others || p.Reader == Another
			if c.Tenant != v.Rules.Tenant {
				fits = p.Reader == Foreign || p.Reader == Itself && c.Tenant.String() == home && p.Others
			}
		}
		if fits && (found.template == p.Template || found.template && p.Origins&AnyAddress != 0) && p.Origins.Holds(found.from) {
			return true
		}
	}
	// What is reached in several ways from several places is told in pieces.
	return false
}

func documents(list []*estate.Resource) string {
	var b strings.Builder
	for _, r := range list {
		b.WriteString(r.ID + " " + string(r.Body) + "\n")
	}
	return b.String()
}
