package who

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
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
// principal and those it takes over, each a change of the plain rules, with
// the answers of access after each. It shares nothing with the search that it
// is held against.
type brute struct {
	world  *world
	actor  access.Caller
	reader access.Caller // a stranger
	writes []naive
	seen   map[uint64]bool
	found  map[reach]bool
}

// reach is that a reader (0 the actor, 1 the stranger) is admitted from a
// place.
type reach struct {
	reader   int
	from     Origins
	template bool
}

// situation is a state of the vault in plain rules.
type situation struct {
	rules     access.Rules
	templates bool
	acting    []access.Caller
	// far is what is assigned at the management group, beside what is at
	// other resources.
	far, beside []access.Assignment
	authority   *access.Authority
}

// decide makes the authority anew.
func (s *situation) decide() {
	s.authority = access.NewAuthority(slices.Concat(s.far, s.beside, s.rules.Assignments), s.rules.DenyAssignments)
}

// naive is one write: whether it is allowed, and what it does; it reports
// whether anything changed.
type naive struct {
	action, scope, role string
	or, orAt            string   // another action that will do, and where if not there
	also                []string // actions and scopes that it takes as well
	directory           func(c *access.Caller) bool
	change              func(*situation) bool
	changeBy            func(*situation, *access.Caller) bool
}

// put sets a value, and reports whether it was another.
func put[T comparable](to *T, value T) bool {
	was := *to
	*to = value
	return was != value
}

// may finds one who may.
func (b *brute) may(s *situation, w *naive) *access.Caller {
	for i := range s.acting {
		if b.allowed(s, w, &s.acting[i]) {
			return &s.acting[i]
		}
	}
	return nil
}

func (b *brute) allowed(s *situation, w *naive, c *access.Caller) bool {
	if w.directory != nil {
		return w.directory(c)
	}
	if c.Tenant.String() != home {
		return false
	}
	for i := 0; i < len(w.also); i += 2 {
		if !s.authority.Authorize(c, w.also[i], w.also[i+1]).Allowed() {
			return false
		}
	}
	at := w.orAt
	if at == "" {
		at = w.scope
	}
	if s.authority.Authorize(c, w.action, w.scope).Allowed() || w.or != "" && s.authority.Authorize(c, w.or, at).Allowed() {
		return true
	}
	if w.role == "" {
		return false
	}
	// A role that may assign certain roles names them in a list.
	for i := range s.rules.DenyAssignments {
		d := &s.rules.DenyAssignments[i]
		if denying := access.NewAuthority([]access.Assignment{{ID: "o", Principal: c.Object, Scope: "/", Role: owner}}, []access.DenyAssignment{*d}); !denying.Authorize(c, w.action, w.scope).Allowed() {
			return false
		}
	}
	d, _ := roles.ByName(delegate)
	for i := range s.rules.Assignments {
		a := &s.rules.Assignments[i]
		under := a.Scope == "/" || w.scope == a.Scope || strings.HasPrefix(w.scope, a.Scope+"/")
		if a.Role != nil && a.Role.ID == d.Name && (a.Principal == c.Object || slices.Contains(c.Groups, a.Principal)) && under && slices.Contains(d.Delegates, w.role) {
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
		if selection&(1<<i) != 0 {
			continue
		}
		by := b.may(&s, w)
		if by == nil {
			continue
		}
		next := s
		if w.change != nil && w.change(&next) || w.changeBy != nil && w.changeBy(&next, by) {
			b.search(next, depth+1, selection|1<<i)
		}
	}
}

// look notes who is admitted from where.
func (b *brute) look(s *situation) {
	readers := append(slices.Clip(s.acting), b.reader)
	for i, c := range readers {
		if steps := access.Explain(&s.rules, &access.Request{Caller: c, Operation: access.SecretGet, Object: "db"}).Steps; steps[4].Outcome != access.Passed {
			continue
		}
		who := 0
		if i == len(readers)-1 {
			who = 1
		}
		for _, o := range naiveOrigins(&s.rules) {
			c := c
			if o.kind == Trusted && !b.world.known(c.Object) {
				c.IdentityResource = factory
			}
			if key := (reach{who, o.kind, false}); !b.found[key] && access.Explain(&s.rules, &access.Request{Origin: o.origin, Caller: c, Operation: access.SecretGet, Object: "db"}).Decision.Allowed() {
				b.found[key] = true
			}
		}
	}
	if !s.templates || b.may(s, &naive{action: actionDeploy, scope: vaultID}) == nil {
		return
	}
	// The deployment service reads for whoever may deploy.
	r := access.Request{Origin: access.Origin{Path: access.PathPublic, Service: deploymentService, Addr: places[0].origin.Addr}, Operation: access.SecretGet,
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

// count is how many estates are tried.
func count(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("POSTERN_WHO_ESTATES"))
	if err != nil {
		t.Log("5,000 estates; POSTERN_WHO_ESTATES says another number")
		return 5000
	}
	return n
}

// TestComplete: on random estates, a search by force over three writes finds
// no reader and no place that is not told, and every path that is told can
// be walked and ends in an allowed read.
func TestComplete(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(800))
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
	w := randomWorld(r)
	s := w.compiled()
	answer, err := Ask(s, "main", Question{Object: "db", Principals: w.principals}, rigOptions())
	if err != nil {
		t.Errorf("estate %d: %v", seed, err)
		return
	}
	for _, id := range people {
		for _, tenant := range []string{home, elsewhere} {
			actor := Principal{Tenant: access.MustGUID(tenant), Object: access.MustGUID(id)}
			if w.known(actor.Object) {
				if actor = w.principal(actor.Object); tenant != home {
					continue // it is of one tenant
				}
			}
			paths := pathsOf(answer, actor)
			b := force(r, w, s, answer.Vault, actor)
			for found := range b.found {
				if !told(paths, found, b.reader, answer.Vault) {
					t.Errorf("estate %d: %s of %s: reader %d (%s) from %s (template %v) is not told; paths %s\n%s", seed, id, tenant,
						found.reader, b.reader.Tenant, found.from, found.template, described(paths), documents(w.list))
					return
				}
			}
			for i := range paths {
				if why := w.walk(&paths[i], actor, answer, nil); why != "" {
					t.Errorf("estate %d: %s of %s: %s: %s\n%s", seed, id, tenant, why, described(paths[i:i+1]), documents(w.list))
					return
				}
			}
		}
	}
}

// described is what the steps of paths are.
func described(paths []Path) string {
	var b strings.Builder
	for i := range paths {
		fmt.Fprintf(&b, "\n  %s %s %v from %s:", paths[i].Reader, paths[i].As.name(), paths[i].Others, paths[i].Origins)
		for _, step := range paths[i].Steps() {
			fmt.Fprintf(&b, " [%s] %s at %s (%s);", step.As, step.Write, step.Scope, step.Role)
		}
	}
	return b.String()
}

func force(r *rand.Rand, w *world, s *estate.Snapshot, v *estate.Vault, actor Principal) *brute {
	b := &brute{world: w, actor: actor.caller(), seen: map[uint64]bool{}, found: map[reach]bool{}}
	b.reader = access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(pick(r, home, elsewhere, "44444444-4444-4444-4444-444444444444")),
		Object: access.MustGUID("00000000-0000-0000-0000-0000000000ff")}
	b.writes = append(naiveWrites(r, b.actor, b.reader), perimeterWrites(v.Rules.Perimeter.Mode != access.PerimeterNone)...)
	b.writes = append(b.writes, b.widerWrites()...)
	flag := v.Properties.EnabledForTemplateDeployment
	start := situation{rules: *v.Rules, templates: flag != nil && *flag, acting: []access.Caller{b.actor}}
	for _, res := range s.Under("", estate.TypeRoleAssignment) {
		var doc struct {
			Properties struct {
				Role      string `json:"roleDefinitionId"`
				Principal string `json:"principalId"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(res.Body, &doc); err != nil {
			panic(err)
		}
		role, _ := s.Role(doc.Properties.Role[len("/x/"):], subscription)
		a := access.Assignment{ID: res.Name, Principal: access.MustGUID(doc.Properties.Principal), Scope: res.Scope(), Role: role}
		switch at := res.Scope(); {
		case at == managed:
			start.far = append(start.far, a)
		case !slices.ContainsFunc(v.Rules.Assignments, func(o access.Assignment) bool { return o.ID == a.ID }):
			start.beside = append(start.beside, a)
		}
	}
	start.decide()
	b.search(start, 0, 0)
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
