// Package estate is the resources that decisions are made of, whatever they
// were read from: a running server's store, or documents of vaults that live
// elsewhere.
//
// A resource is kept as the ARM JSON it is, so that every property survives
// a round trip; what is compiled from it stands beside it in an immutable
// Snapshot. A Registry owns the current snapshot of a server and is the one
// way to change it.
package estate

import (
	"encoding/json"
	"slices"
	"sort"
	"strings"
	"time"

	"postern/access"
)

// The types of resource that the decision is compiled from.
const (
	TypeSubscription   = "Microsoft.Resources/subscriptions"
	TypeResourceGroup  = "Microsoft.Resources/resourceGroups"
	TypeVault          = "Microsoft.KeyVault/vaults"
	TypeRoleAssignment = "Microsoft.Authorization/roleAssignments"
)

// Resource is one ARM resource. It is immutable once it is in a snapshot.
type Resource struct {
	// ID is the ARM id as it was first written, Type as the provider spells
	// it ("Microsoft.KeyVault/vaults").
	ID       string            `json:"id"`
	Type     string            `json:"type"`
	Name     string            `json:"name"`
	Location string            `json:"location,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	// Body is the whole ARM document, unknown properties included. It never
	// holds the value of a secret.
	Body json.RawMessage `json:"body"`
	// UID names the space of a vault's objects in the store. It is never
	// shown, and never used again: a vault that is created anew under an old
	// name does not find the old one's objects.
	UID string `json:"uid,omitempty"`
	// Deleted is set while a vault is soft-deleted.
	Deleted *Deletion `json:"deleted,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Changed time.Time `json:"changed,omitzero"`
	// Source is where the resource was read: "file.json:12"; "" for a
	// server's own.
	Source string `json:"-"`
}

// Deletion is when a vault was soft-deleted, and when it will be purged.
type Deletion struct {
	At    time.Time `json:"at"`
	Purge time.Time `json:"purge"`
}

// Key is an id in the form in which resources are looked up: ARM ids do not
// differ by the case of letters or by a trailing slash.
func Key(id string) string { return strings.ToLower(strings.TrimRight(id, "/")) }

// Subscription is the GUID in the resource's id, lower-case; "" for none.
func (r *Resource) Subscription() string { return segmentAfter(r.ID, "subscriptions") }

// Group is the resource group in the id as it is written; "" for none.
func (r *Resource) Group() string { return segmentAfter(r.ID, "resourcegroups") }

func segmentAfter(id, name string) string {
	parts := strings.Split(id, "/")
	for i := 1; i+1 < len(parts); i += 2 {
		if strings.EqualFold(parts[i], name) {
			return parts[i+1]
		}
	}
	return ""
}

// Options are what a snapshot is compiled with.
type Options struct {
	// Trusted is the list of trusted services.
	Trusted []access.TrustedService
	// Role finds a role definition by its GUID.
	Role func(guid string) (*access.Role, bool)
	// Plain leaves the rules of vaults as they are, for those who ask
	// access.Explain alone: no vault is compiled.
	Plain bool
	// Delays and Now are for a Registry: how long changes are under way,
	// and by which clock; time.Now when nil.
	Delays Delays
	Now    func() time.Time
}

// Vault is a live vault, as it is and compiled.
type Vault struct {
	Resource *Resource
	// Properties are the typed view of the resource's properties.
	Properties Properties
	Rules      *access.Rules
	Compiled   *access.Vault
	// Tenant is properties.tenantId, Subscription the GUID of the
	// subscription; both lower-case.
	Tenant, Subscription string
	// Geography is that of the vault's region: a backup can be restored
	// within it.
	Geography string
}

// Problem is something in a resource that could not be read or understood;
// the rule it belongs to is taken in the strictest sense.
type Problem struct {
	Resource *Resource
	// Path is where in the document: "properties.networkAcls.bypass".
	Path    string
	Message string
}

// Snapshot is a state of the estate. It is replaced and never changed.
type Snapshot struct {
	options     Options
	resources   map[string]*Resource // by Key, soft-deleted vaults included
	order       []string             // the keys, sorted
	vaults      map[string]*Vault    // live, by lower-case name
	taken       map[string]*Resource // vaults, live or soft-deleted, by lower-case name
	hierarchy   *hierarchy
	roles       map[string]*access.Role        // the estate's own, by roleKey
	read        map[string][]access.Assignment // by the Key of the resource
	assignments []access.Assignment            // all, one for each of the scopes they reach, in their order
	denies      []access.DenyAssignment        // so too
	// scopes and denied are the Keys of the scopes of these two.
	scopes, denied []string
	authority      *access.Authority
	network        *Network
	perimeters     map[string]access.Perimeter // by Key of the resource that is under them
}

// New compiles a snapshot from resources; later ones replace earlier ones of
// the same id. The problems tell what was not understood.
func New(resources []*Resource, options Options) (*Snapshot, []Problem) {
	s := &Snapshot{options: options, resources: make(map[string]*Resource, len(resources)),
		vaults: map[string]*Vault{}, taken: map[string]*Resource{}}
	for _, r := range resources {
		s.resources[Key(r.ID)] = r
	}
	s.order = make([]string, 0, len(s.resources))
	for key := range s.resources {
		s.order = append(s.order, key)
	}
	slices.Sort(s.order)
	s.compileHierarchy()
	problems := append(s.compileAuthorization(), s.compilePerimeters()...)
	for _, key := range s.order {
		problems = append(problems, s.compileVault(s.resources[key])...)
	}
	s.compileNetwork()
	return s, problems
}

// compileAuthorization reads role definitions, role assignments and deny
// assignments.
func (s *Snapshot) compileAuthorization() []Problem {
	problems := s.compileRoles()
	s.read = nil
	return append(append(problems, s.compileDenies()...), s.compileAssignments(nil)...)
}

// compileAssignments reads role assignments; those that were read already are
// taken as they are, but for the changed ones.
func (s *Snapshot) compileAssignments(changed map[string]*Resource) []Problem {
	var problems []Problem
	before := s.read
	s.read, s.assignments = map[string][]access.Assignment{}, nil
	for _, key := range s.order {
		r := s.resources[key]
		if !strings.EqualFold(r.Type, TypeRoleAssignment) {
			continue
		}
		list, ok := before[key]
		if _, other := changed[key]; !ok || other {
			var found []Problem
			list, found = s.assignment(r)
			problems = append(problems, found...)
		}
		s.read[key] = list
		for _, a := range list {
			for _, scope := range s.Scopes(a.Scope) {
				a.Scope = scope
				s.assignments = append(s.assignments, a)
			}
		}
	}
	// The order is that of the scopes, whatever they were compiled from.
	s.assignments, s.scopes = byScope(s.assignments, func(a *access.Assignment) string { return a.Scope })
	s.denies, s.denied = byScope(s.denies, func(d *access.DenyAssignment) string { return d.Scope })
	s.authority = access.NewAuthority(s.assignments, s.denies)
	return problems
}

// byScope sorts a list by the Keys of its scopes, which it returns too.
func byScope[T any](list []T, scope func(*T) string) ([]T, []string) {
	type keyed struct {
		key string
		at  int
	}
	order := make([]keyed, len(list))
	for i := range list {
		order[i] = keyed{Key(scope(&list[i])), i}
	}
	slices.SortStableFunc(order, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	var sorted []T
	var keys []string
	for _, k := range order {
		sorted, keys = append(sorted, list[k.at]), append(keys, k.key)
	}
	return sorted, keys
}

// compileVault compiles a vault, or notes that its name is taken.
func (s *Snapshot) compileVault(r *Resource) []Problem {
	if !strings.EqualFold(r.Type, TypeVault) {
		return nil
	}
	name := strings.ToLower(r.Name)
	s.taken[name] = r
	if r.Deleted != nil {
		return nil
	}
	v, problems := s.newVault(r)
	s.vaults[name] = v
	return problems
}

// Resource finds a live resource by id.
func (s *Snapshot) Resource(id string) (*Resource, bool) {
	r, ok := s.resources[Key(id)]
	if !ok || r.Deleted != nil {
		return nil, false
	}
	return r, true
}

// Under lists the live resources at or below a scope, of a type or ("") of
// all, in the order of their ids. The scope "" or "/" is everything.
func (s *Snapshot) Under(scope, typ string) []*Resource {
	scope = Key(scope)
	var list []*Resource
	take := func(key string) {
		if r := s.resources[key]; r.Deleted == nil && (typ == "" || strings.EqualFold(r.Type, typ)) {
			list = append(list, r)
		}
	}
	if _, ok := s.resources[scope]; ok && scope != "" {
		take(scope)
	}
	prefix := scope + "/"
	for i := sort.SearchStrings(s.order, prefix); i < len(s.order) && strings.HasPrefix(s.order[i], prefix); i++ {
		take(s.order[i])
	}
	return list
}

// DeletedVaults lists the soft-deleted vaults in the order of their ids.
func (s *Snapshot) DeletedVaults() []*Resource {
	var list []*Resource
	for _, key := range s.order {
		if r := s.resources[key]; r.Deleted != nil {
			list = append(list, r)
		}
	}
	return list
}

// Vault finds a live vault by its lower-case name.
func (s *Snapshot) Vault(name string) (*Vault, bool) { v, ok := s.vaults[name]; return v, ok }

// Vaults lists the live vaults in the order of their ids.
func (s *Snapshot) Vaults() []*Vault {
	var list []*Vault
	for _, r := range s.Under("", TypeVault) {
		if v, ok := s.vaults[strings.ToLower(r.Name)]; ok {
			list = append(list, v)
		}
	}
	return list
}

// Taken finds the vault, live or soft-deleted, that holds a name.
func (s *Snapshot) Taken(name string) (*Resource, bool) {
	r, ok := s.taken[strings.ToLower(name)]
	return r, ok
}

// Authority decides over the control plane.
func (s *Snapshot) Authority() *access.Authority { return s.authority }
