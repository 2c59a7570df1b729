// Package who answers who reaches the objects of a vault: who does now, and
// who could by writing configuration, each with the steps, the guard that
// would stop each step, and the network origins that remain.
//
// No rule of the decision is stated here. A write is the edit that it makes
// in the ARM documents of the estate; the edited documents are compiled by
// package estate, and package access decides over them: whether the next
// write is allowed (Authority), and whether a request is (Explain).
//
// # The search
//
// Principals that hold the same rights at the same places make one class,
// and a class is asked once, on an estate of the vault and the class's own
// assignments. The writes are tried in one fixed order, in which none
// hinders a later one, every selection of them from the smallest on; a
// selection whose write is not allowed or changes nothing is not continued.
// Whoever moves the subscription may lose rights by it, so that what follows
// a move is searched on its own. Vaults that differ in nothing but their
// names share the answer.
//
// Who can act as somebody else is found first: from those who have something
// to do with the vault back to those who can take them over, by an action at
// an identity or by the directory. A class together with one whom it takes
// over is a party, and is searched as a class is.
package who

import (
	"errors"
	"fmt"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// Principal is somebody who may be in the way of secrets: a user, a service
// principal, or a group, which stands for each of its members.
type Principal struct {
	Tenant, Object access.GUID
	// App is the application of the token; with User, that by which a person
	// acts.
	App    access.GUID
	User   bool
	Groups []access.GUID
	// Group is true for a group. Administrator is true for an administrator
	// of its directory, and Owners are those who may change it there: a group,
	// or an application with its service principal.
	Group, Administrator bool
	Owners               []access.GUID
	// Resource is the resource of a managed identity. Known tells that the
	// directory knows the principal; one that it does not may be anything,
	// the identity of a trusted service included.
	Resource string
	Known    bool
	Name     string

	member *Principal // the group that it was made a member of
}

// kind is what it is in role assignments (principalType).
func (p *Principal) kind() string {
	switch {
	case p.Group:
		return "Group"
	case p.User:
		return "User"
	}
	return "ServicePrincipal"
}

// name is how it is called: by its name if that is known.
func (p *Principal) name() string {
	switch {
	case p == nil:
		return ""
	case p.member != nil:
		return "a member of " + p.member.name()
	case p.Name != "":
		return p.Name
	}
	return p.Object.String()
}

func (p *Principal) caller() access.Caller {
	return access.Caller{Token: access.TokenValid, Tenant: p.Tenant, Object: p.Object, App: p.App, User: p.User, Groups: p.Groups,
		IdentityResource: strings.ToLower(p.Resource)}
}

// Question says of which objects somebody wants to know.
type Question struct {
	// Operation is what counts as reaching; NoOperation means reading a
	// secret.
	Operation access.Operation
	// Object is the name of the object; "" for any.
	Object string
	// Principals are those the directory knows.
	Principals []Principal
}

// Reader is who makes the request at the end of a path. The zero value is
// the principal itself.
type Reader uint8

// The readers.
const (
	// Itself: the principal that writes.
	Itself Reader = iota
	// Another: any principal of the vault's tenant that it chooses.
	Another
	// Foreign: any principal of another tenant that it chooses.
	Foreign
	// Holder: those who hold the right already, but were shut out by the
	// network.
	Holder
)

// String is the reader in JSON.
func (r Reader) String() string {
	return [...]string{"itself", "another principal", "a principal of another tenant", "holders of the right"}[r]
}

// Path is one way to the objects.
type Path struct {
	Reader Reader
	// As is who is taken over and makes the request; nil for nobody.
	As *Principal
	// Others is true when the same steps let any other principal of the
	// vault's tenant in.
	Others bool
	// To is the one principal of the vault's tenant that is let in, where the
	// writer may not choose; zero elsewhere.
	To access.GUID
	// Template is true when the objects are read by a template deployment,
	// which hands the value to the template.
	Template bool
	// Origins are from where the request is then admitted.
	Origins Origins
	// Object is a name for which it holds, where none was asked for and it
	// does not hold for the whole vault.
	Object string

	selection uint64
	// halves are what opens the two gates; the second is nil when the first
	// is all.
	halves [2]*half
	asked  *asking
	self   *Principal // the first of the finding's
}

// half is what opens one gate.
type half struct {
	// chain is the writes by which others are taken over, plan the others,
	// as they were made at the vault from.
	chain, plan []done
	selection   uint64
	from        *estate.Vault
	origins     Origins
	object      string
}

// Finding is the paths of principals that hold the same rights. The first
// that has no steps is what they reach now.
type Finding struct {
	Principals []Principal
	Paths      []Path
}

// Now reports whether the principals reach the objects as things are.
func (f *Finding) Now() bool {
	for i := range f.Paths {
		if f.Paths[i].Now() {
			return true
		}
	}
	return false
}

// Now reports whether the path has no steps.
func (p *Path) Now() bool { return p.selection == 0 }

// Through is who is taken over when all that follows is what that one can do
// without the principal; then the path is one of its own.
func (p *Path) Through() *Principal {
	chain := p.chain()
	if len(chain) == 0 || p.selection>>32&(p.selection>>32-1) != 0 {
		return nil
	}
	as := chain[len(chain)-1].target
	for _, d := range p.plan() {
		if d.by == nil || d.by.Object != as.Object {
			return nil
		}
	}
	if p.Reader == Itself && !p.Template && (p.As == nil || p.As.Object != as.Object) {
		return nil
	}
	return as
}

// Answer is who reaches, and could reach, the objects of one vault.
type Answer struct {
	Vault    *estate.Vault
	Findings []Finding
	// Served are the platform's services that flags of the vault let in.
	Served []Served
}

// Served is a service of the platform that reaches the objects without an
// entry, because a flag of the vault is set: from its own compute, as itself,
// for whoever may have it work.
type Served struct {
	// Flag is the property: "enabledForDeployment".
	Flag, Service string
}

// ErrNoVault is returned when the vault is not in the estate.
var ErrNoVault = errors.New("the vault is not there")

// Ask answers for one vault of the estate. The options are those the
// snapshot was made with.
func Ask(s *estate.Snapshot, vault string, q Question, options estate.Options) (*Answer, error) {
	v, ok := s.Vault(strings.ToLower(vault))
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoVault, vault)
	}
	return newSearch(s, q, options).vault(v), nil
}

// AskAll answers for every vault of the estate, in the order of their ids.
func AskAll(s *estate.Snapshot, q Question, options estate.Options) []*Answer {
	x := newSearch(s, q, options)
	var all []*Answer
	for _, v := range s.Vaults() {
		all = append(all, x.vault(v))
	}
	return all
}
