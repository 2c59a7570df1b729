package who

import (
	"fmt"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// Step is one write of a path, in words.
type Step struct {
	Write Write
	// As is who is taken over and makes it; "" for the principal itself.
	As string
	// Action is what the control plane asks for, Scope where; Also is what it
	// asks for in the same call. A change of the directory has none of them.
	Action, Scope string
	Also          []Need
	// Role is the GUID of the role that is assigned or widened, if one is;
	// Target is who is taken over.
	Role   string
	Target *Principal
	// Text says what is written; each of Guards stops it. A step without any
	// is stopped by what stops those before it.
	Text   string
	Guards []Guard
}

// Need is an action and where it is asked for.
type Need struct{ Action, Scope string }

// Guard is what stops the step, in words.
func (s *Step) Guard() string {
	if len(s.Guards) == 0 {
		return "what stops the steps before it"
	}
	words := make([]string, len(s.Guards))
	for i := range s.Guards {
		words[i] = s.Guards[i].String()
	}
	return strings.Join(words, "; or ")
}

// String is the write in JSON.
func (w Write) String() string {
	return [...]string{"take-identity", "federate", "take-workload", "add-credential", "set-password", "join-group", "elevate", "widen-role",
		"take-role", "take-more", "take-group-role", "move-subscription", "take-perimeter-role", "open-perimeter", "relax-perimeter", "leave-perimeter",
		"join-perimeter", "change-tenant", "use-roles", "use-policies", "add-policy", "assign-role", "open-network", "connect", "approve-waiting", "allow-templates"}[w]
}

// Network reports whether the write is for the network alone.
func (w Write) Network() bool {
	return (forNetwork|forTemplate)&^forPermission&(1<<w) != 0
}

// Steps are the writes of the path, in their order; none for what is so
// already.
func (p *Path) Steps() []Step {
	chain, plan := p.chain(), p.plan()
	list := make([]Step, 0, len(chain)+len(plan))
	rich := map[string]bool{} // who has come to hold more on the way
	add := func(d *done, from *estate.Vault) {
		s := p.step(d, from)
		s.Guards = p.guards(d, s.Scope, d.earned || rich[s.As])
		rich[s.As] = rich[s.As] || d.role != "" && d.write != AssignRole
		list = append(list, s)
	}
	for i := range chain {
		add(&chain[i], nil)
	}
	for i := range plan {
		add(&plan[i], p.made(&plan[i]))
	}
	return list
}

// made is the vault at which a step of the plan was made first.
func (p *Path) made(d *done) *estate.Vault {
	for _, h := range p.halves {
		if h != nil && slices.ContainsFunc(h.plan, func(o done) bool { return o.write == d.write && o.scope == d.scope }) {
			return h.from
		}
	}
	return nil
}

// Chain is how many of the steps take others over.
func (p *Path) Chain() int { return len(p.chain()) }

// step is a write in words; from is the vault at which it was made.
func (p *Path) step(d *done, from *estate.Vault) Step {
	scope := p.at(d.scope, from)
	s := Step{Write: d.write, Action: d.action, Scope: scope, Role: d.role, Target: d.target}
	if d.by != nil {
		s.As = d.by.name()
	}
	for _, n := range d.also {
		s.Also = append(s.Also, Need{n.action, p.at(n.scope, from)})
	}
	s.Text = p.words(d, scope)
	return s
}

// at is a scope at the vault of the path.
func (p *Path) at(scope string, from *estate.Vault) string {
	if from == nil {
		return scope
	}
	return translate(scope, from, p.asked.vault)
}

// forWhom is the reader in the words of a step.
func (p *Path) forWhom() string {
	switch {
	case p.As != nil:
		return p.As.name()
	case p.Reader == Itself && p.Others:
		return "itself, or anybody else of the vault's tenant"
	case p.Reader == Itself:
		return "itself"
	case p.Reader == Foreign:
		return "a principal of the other tenant"
	case !p.To.IsZero():
		return p.To.String()
	}
	return "a principal of its choice"
}

// takenOver are the words of the writes that take somebody over.
var takenOver = map[Write]string{
	TakeIdentity:  "gives the identity %s to a resource of its own, and acts as it",
	Federate:      "has the identity %s trust an issuer of its own, and acts as it",
	TakeWorkload:  "has a resource run its program, and acts as %s",
	AddCredential: "adds a credential to the application of %s, and acts as it",
	SetPassword:   "sets the password of %s, and acts as that user",
	JoinGroup:     "makes itself a member of %s",
}

// words are what a write does.
func (p *Path) words(d *done, scope string) string {
	info := p.asked.question.Operation.Info()
	name := d.role
	if r, ok := roles.ByName(d.role); ok {
		name = r.RoleName
	} else if r, ok := p.asked.snapshot.Role(d.role, p.asked.vault.Resource.ID); ok && d.role != "" && r.Name != "" {
		name = r.Name
	}
	if text, ok := takenOver[d.write]; ok {
		return fmt.Sprintf(text, d.target.name())
	}
	switch d.write {
	case Elevate:
		return "calls elevateAccess as an administrator of the directory, and is " + name + " at the root"
	case WidenRole:
		return "widens the custom role " + name + " to every action"
	case TakeRole, TakeMore, TakeGroupRole, TakePerimeterRole:
		return "assigns " + name + " to itself at " + estate.Shown(scope)
	case MoveSubscription:
		return "moves the subscription into the root management group, away from what is denied in its own"
	case OpenPerimeter:
		return "adds an access rule for every address to the perimeter's profile"
	case RelaxPerimeter:
		return "sets accessMode of the vault's association with its network security perimeter to Learning"
	case LeavePerimeter:
		return "deletes " + map[string]string{actionAssociation: "the vault's association with its network security perimeter",
			actionDropNetwork: "the network security perimeter", actionDropGroup: "the resource group of the network security perimeter"}[d.action]
	case JoinPerimeter:
		return "associates the vault with an enforced network security perimeter of its own that lets every address in"
	case AssignRole:
		return fmt.Sprintf("assigns %s to %s at %s", name, p.forWhom(), scope)
	case ChangeTenant:
		return "changes properties.tenantId to " + map[bool]string{true: "a tenant of its own", false: "its own tenant"}[p.Reader == Foreign] + ", which takes the policies of others away"
	case UseRoles:
		return "sets properties.enableRbacAuthorization to true"
	case UsePolicies:
		return "sets properties.enableRbacAuthorization to false"
	case AddPolicy:
		return fmt.Sprintf("adds an access policy with %s %s for %s", info.Kind, info.Permission, p.forWhom())
	case OpenNetwork:
		return "sets publicNetworkAccess to Enabled and networkAcls.defaultAction to Allow"
	case Connect:
		return "approves a private endpoint in a network of its own"
	case ApproveWaiting:
		return "approves the private endpoint connections that wait or were rejected"
	case AllowTemplates:
		return "sets enabledForTemplateDeployment to true and networkAcls.bypass to AzureServices"
	}
	return d.write.String()
}

// Guard is what stops a path that needs no write: one by template, or one
// that is there now.
func (p *Path) Guard() string {
	switch {
	case p.Template:
		return "set enabledForTemplateDeployment to false, or take Microsoft.KeyVault/vaults/deploy/action away"
	case !p.Now():
		return ""
	case p.asked.vault.Rules.Model == access.ModelRBAC:
		return "remove the role assignment, or a deny assignment"
	}
	return "remove the access policy"
}

// Right is the rule that gives a principal the right that a path rests on;
// "" when its steps make it.
func (a *Answer) Right(p *Principal, path *Path, q Question) string {
	if path.Template {
		return "vaults/deploy/action, and enabledForTemplateDeployment"
	}
	if q.Operation == access.NoOperation {
		q.Operation = access.SecretGet
	}
	rules := a.Vault.Rules
	r := access.Request{Caller: p.caller(), Operation: q.Operation, Object: strings.ToLower(q.Object)}
	if path.Object != "" {
		r.Object = path.Object
	}
	for _, step := range access.Explain(rules, &r).Steps {
		if step.Gate != access.GatePermission || step.Outcome != access.Passed {
			continue
		}
		switch step.Reason {
		case access.ByAssignment:
			by := &rules.Assignments[step.Rule]
			return "the role " + by.Role.Name + " at " + estate.Shown(by.Scope)
		case access.ByPolicy:
			return fmt.Sprintf("the access policy accessPolicies[%d]", step.Rule)
		}
	}
	return ""
}
