package posture

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"time"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/iac"
)

// Question is one request that somebody might make.
type Question struct {
	// Vault is the name of the vault; "" when there is only one.
	Vault string
	// Place is where the caller is. The request's origin follows from it.
	Place   Place
	Request access.Request
	// Resolver is who asks the DNS for the caller, such as a forwarder; the
	// zero Addr for the resolver that the network of the place has.
	Resolver netip.Addr
	// Services names the list of trusted services, as package trusted has it.
	Services string
	// TenantKnown is false when nobody said which tenant the caller is of:
	// then it is taken to be the vault's.
	TenantKnown bool
	// Whole is true when the resources are everything there is, as a server
	// knows it. Otherwise what was not read is not taken for absent. Unread
	// and UnreadPerimeters say of such a whole what of the networks and of
	// the perimeters could not be read all the same.
	Whole                    bool
	Unread, UnreadPerimeters []string
	// Unknown is true when the directory does not know the caller.
	Unknown bool
	// RoleDelay is how long a new role assignment takes to count, Now the
	// moment of the question. A server of one's own keeps to it exactly.
	RoleDelay time.Duration
	Now       time.Time
}

// Outcome is what would become of a request. The zero value knows nothing.
type Outcome uint8

// The outcomes.
const (
	Undecided Outcome = iota
	Refused
	Served
)

// String is the outcome in reports.
func (o Outcome) String() string { return [...]string{"cannot-tell", "deny", "allow"}[o] }

// GateSays is what one gate says of the request.
type GateSays struct {
	Gate access.Gate
	// Outcome is that of access.Explain; Doubt, when not empty, says why it
	// does not count.
	Outcome access.Outcome
	Doubt   string
	// Text says why, naming the rule.
	Text string
	// At is where the rule stands.
	At iac.Position
	// Decided marks the gate that decided.
	Decided bool
}

// Explanation is what would become of a request, gate by gate.
type Explanation struct {
	Outcome  Outcome
	Vault    *estate.Vault
	Request  access.Request
	Decision access.Decision
	// Way is how the caller gets to the vault.
	Way *Way
	// Headline is said first, when the name leads a caller to the public
	// address who would be let in through a private endpoint.
	Headline string
	Gates    []GateSays
	// Causes are what stands in the way, in the order in which to remove it;
	// Advice is what to know before. Of a request that would be served, they
	// are what is wrong all the same.
	Causes []Cause
	Advice string
	// Notes are what was taken for granted.
	Notes []string
}

// ErrNoVault is returned when the vault is not among what was read.
var ErrNoVault = errors.New("the vault is not there")

// Explain answers a question with the same rules and the same decision as a
// server: estate.New compiles the resources, access.Explain decides.
func Explain(resources []*iac.Resource, q Question, options estate.Options) (*Explanation, error) {
	target, err := find(resources, q.Vault)
	if err != nil {
		return nil, err
	}
	s := &subject{Resource: target, all: resources}
	x := &explaining{subject: s, question: q, request: q.Request}
	x.snapshot, _ = estate.New(x.estate(), options)
	vault, ok := x.snapshot.Vault(strings.ToLower(s.name()))
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoVault, target.Label())
	}
	x.vault = vault
	if x.way, err = x.travel(x.snapshot); err != nil {
		return nil, err
	}
	x.request.Origin = x.way.Origin
	if !q.TenantKnown {
		x.request.Caller.Tenant = vault.Rules.Tenant
		x.note("the caller is taken to be of the vault's tenant; --tenant says another")
	}
	info := x.request.Operation.Info()
	if info.Named && x.request.Object == "" && vault.Rules.Model == access.ModelRBAC {
		x.note("no object was named, so only what is assigned on the vault or above it counts")
	}
	return x.explain(), nil
}

// find is the vault of the name; the only one there is for "".
func find(resources []*iac.Resource, name string) (*iac.Resource, error) {
	var found, others []*iac.Resource
	for _, r := range resources {
		switch {
		case r.Type != iac.TypeVault:
		case name == "" || iac.SameFold(r.Label(), name) || iac.SameFold(r.ID, name):
			found = append(found, r)
		default:
			others = append(others, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%d vaults match, the first two at %s and %s", len(found), found[0].Body.At, found[1].Body.At)
	case len(others) == 1 && others[0].Name.None():
		return others[0], nil // a fragment has no name of its own
	case len(others) > 0:
		return nil, fmt.Errorf("%w: %q; there is %s", ErrNoVault, name, labels(others))
	}
	return nil, fmt.Errorf("%w: no vault was read", ErrNoVault)
}

func labels(resources []*iac.Resource) string {
	names := make([]string, 0, len(resources))
	for _, r := range resources {
		names = append(names, r.Label())
	}
	sort.Strings(names)
	const most = 8
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return strings.Join(names, ", ")
}

// unknownID stands in for the id of a vault whose document does not say it.
const unknownID = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/unknown/providers/Microsoft.KeyVault/vaults/"

// explaining is one question being answered.
type explaining struct {
	*subject
	question Question
	snapshot *estate.Snapshot
	vault    *estate.Vault
	way      *Way
	request  access.Request
	notes    []string
	late     []Cause // of role assignments that do not count yet
}

func (x *explaining) note(text string) { x.notes = append(x.notes, text) }

// explain asks access, and withholds what it says of a gate that has inputs
// which were not read. The first gate that does not pass for certain decides.
func (x *explaining) explain() *Explanation {
	said := access.Explain(x.vault.Rules, &x.request)
	e := &Explanation{Vault: x.vault, Way: x.way, Request: x.request, Decision: said.Decision, Outcome: Served}
	decided := false
	for _, step := range said.Steps {
		if x.way.Lost != "" && step.Gate == access.GateNetwork {
			step = access.Step{Gate: step.Gate, Outcome: access.Refused, Rule: access.NoRule}
		}
		g := GateSays{Gate: step.Gate, Outcome: step.Outcome, Doubt: x.doubt(step)}
		g.Text, g.At = x.words(step)
		if !decided && g.Doubt != "" {
			decided, g.Decided, e.Outcome = true, true, Undecided
		}
		if !decided && step.Outcome != access.Passed {
			decided, g.Decided, e.Outcome = true, true, Refused
			e.Causes, e.Advice = x.change(step)
			e.Headline = x.headline(step)
		}
		e.Gates = append(e.Gates, g)
	}
	if !decided && len(e.Gates) > 0 {
		e.Gates[len(e.Gates)-1].Decided = true
	}
	if e.Outcome != Refused {
		e.Causes = x.besides()
	}
	x.farNote()
	e.Notes = x.notes
	return e
}

// doubt says which input of a gate was not read.
func (x *explaining) doubt(step access.Step) string {
	switch step.Gate {
	case access.GateNetwork:
		return x.networkDoubt(step)
	case access.GateIdentity:
		if n := x.Property("tenantId"); n.Kind == iac.Unknown {
			return "tenantId is not known: " + n.Why
		}
	case access.GatePermission:
		return x.permissionDoubt(step)
	}
	return ""
}

func (x *explaining) networkDoubt(step access.Step) string {
	if x.way.DNSDoubt != "" && step.Outcome != access.Passed && len(x.vault.Rules.Connections) > 0 && x.way.Endpoint == nil {
		return "whether the name leads to a private endpoint is not known: " + x.way.DNSDoubt
	}
	if x.request.Origin.Path == access.PathPrivateEndpoint {
		return unreadBelow("privateEndpointConnections", x.Property("privateEndpointConnections"))
	}
	public, action, bypass := x.publicAccess(), x.defaultAction(), x.bypass()
	switch {
	case !public.known():
		return public.doubt("publicNetworkAccess")
	case public.is(byPerimeter) && len(x.question.UnreadPerimeters) > 0:
		return "the network security perimeter decides, and " + x.question.UnreadPerimeters[0]
	case public.is(byPerimeter) && !x.question.Whole && !x.perimeterRead(step):
		return "the network security perimeter decides, and its rules were not read"
	case !public.is(disabled) && !action.known():
		return action.doubt("networkAcls.defaultAction")
	case public.is(enabled) && action.is(deny):
		for _, list := range []string{"ipRules", "virtualNetworkRules"} {
			if d := unreadBelow("networkAcls."+list, x.Property("networkAcls", list)); d != "" {
				return d
			}
		}
	}
	if !bypass.known() && !(public.is(enabled) && action.is(allow)) {
		return bypass.doubt("networkAcls.bypass")
	}
	return ""
}

// perimeterRead reports whether enough was read of the perimeter that the
// vault is under: its association, and, of one that admits nobody, its rules.
func (x *explaining) perimeterRead(step access.Step) bool {
	id := x.vault.Rules.Perimeter.ID
	if id == "" || step.Outcome == access.Passed {
		return id != ""
	}
	return slices.ContainsFunc(x.snapshot.Under(id, ""), func(r *estate.Resource) bool { return strings.EqualFold(r.Type, estate.TypePerimeterRule) })
}

// unreadBelow is the first value at or below n that was not read.
func unreadBelow(name string, n *iac.Node) string {
	if n.Kind == iac.Unknown {
		return name + " is not known: " + n.Why
	}
	if _, unread := n.JSON(); len(unread) > 0 {
		return name + unread[0].Path + " is not known: " + unread[0].Node.Why
	}
	return ""
}

func (x *explaining) permissionDoubt(step access.Step) string {
	rbac := x.rbac()
	switch {
	case !rbac.known():
		return rbac.doubt("enableRbacAuthorization")
	case rbac.is(no):
		return x.policyDoubt(step)
	case step.Outcome == access.Passed || x.question.Whole:
		return ""
	}
	read, undecided := x.assignmentsRead()
	switch {
	case undecided != "":
		return undecided
	case read == 0:
		return "the vault uses roles and no role assignment was read: add the output of az role assignment list --all"
	}
	x.note(fmt.Sprintf("the answer rests on the %s that were read", plural(read, "role assignment")))
	return ""
}

// policyDoubt looks for an entry that could not be read, unless another one
// allows already.
func (x *explaining) policyDoubt(step access.Step) string {
	if step.Outcome == access.Passed {
		return ""
	}
	if d := unreadBelow("accessPolicies", x.Property("accessPolicies")); d != "" {
		return d
	}
	for _, r := range x.all {
		if iac.SameFold(r.Type, iac.TypeVault+"/accessPolicies") {
			return "access policies are changed by a resource of their own at " + r.Body.At.String()
		}
	}
	return ""
}

// assignmentsRead counts the role assignments; undecided names one that may
// be the caller's and could not be read to the end.
func (x *explaining) assignmentsRead() (read int, undecided string) {
	for _, r := range x.all {
		if r.Type != iac.TypeRoleAssignment {
			continue
		}
		read++
		if _, unread := r.Body.JSON(); len(unread) > 0 || r.ID == "" {
			return read, "a role assignment at " + r.Body.At.String() + " is not known to the end"
		}
	}
	for i := range x.vault.Rules.Assignments {
		a := &x.vault.Rules.Assignments[i]
		if a.Principal != x.request.Caller.Object {
			continue
		}
		if a.Conditional {
			return read, "the role assignment " + a.ID + " has a condition that cannot be read"
		}
		if a.Role == nil {
			return read, "the role of the role assignment " + a.ID + " is not known"
		}
	}
	return read, ""
}
