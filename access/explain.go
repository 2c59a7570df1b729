package access

// Outcome is what one gate says.
type Outcome uint8

const (
	// Refused: the gate does not let the request pass.
	Refused Outcome = iota
	// Passed: it does.
	Passed
	// Pointless: the gate cannot be asked, because there is no caller.
	Pointless
)

// String is the outcome in explanations.
func (o Outcome) String() string { return named(int(o), "refused", "passed", "not asked") }

// Step is what one gate says of a request, whether or not an earlier one
// has refused it already.
type Step struct {
	Gate    Gate
	Outcome Outcome
	// Reason is why it refuses; for GatePermission also why it allows.
	Reason Reason
	// Admitted is how the network gate was passed.
	Admitted Admission
	// Rule is the index of the rule that decided the step, NoRule for none.
	Rule int32
}

// Explanation is a decision with what every gate says, in the order of the
// gates.
type Explanation struct {
	Decision Decision
	Steps    []Step
}

// Explain decides like Decide, by reading the rules one after the other,
// and tells what every gate says.
func Explain(rules *Rules, r *Request) Explanation {
	network, wouldDeny := rules.network(r)
	steps := []Step{tokenStep(r), network, rules.identity(r), throttleStep(r), rules.permission(r)}
	d := Decision{Verdict: Allow, Gate: GatePermission, NetworkRule: NoRule, Rule: NoRule}
	if network.Outcome == Passed {
		d.Admitted, d.NetworkRule = network.Admitted, network.Rule
	}
	d.WouldDeny = wouldDeny
	for _, s := range steps {
		if s.Outcome != Passed {
			d.Verdict, d.Gate, d.Reason = Deny, s.Gate, s.Reason
			if s.Gate == GatePermission {
				d.Rule = s.Rule
			}
			return Explanation{d, steps}
		}
	}
	last := steps[len(steps)-1]
	d.Reason, d.Rule = last.Reason, last.Rule
	return Explanation{d, steps}
}

func tokenStep(r *Request) Step {
	if r.Caller.Token == TokenAbsent {
		return Step{Gate: GateToken, Reason: NoToken, Rule: NoRule}
	}
	return Step{Gate: GateToken, Outcome: Passed, Rule: NoRule}
}

// network is gate 2; the second result is WouldDeny.
func (rules *Rules) network(r *Request) (Step, bool) {
	for i, c := range rules.Connections {
		if r.Origin.Path == PathPrivateEndpoint && c.State == EndpointApproved && c.ID != "" && c.ID == r.Origin.Endpoint {
			return admitted(AdmittedPrivateEndpoint, i), false
		}
	}
	inside := rules.insidePerimeter(r)
	if rules.Perimeter.Mode.enforced() || rules.PublicAccess == PublicByPerimeter {
		if inside {
			return admitted(AdmittedPerimeter, NoRule), false
		}
		return refused(PerimeterDenied), false
	}
	return rules.firewall(r), rules.Perimeter.Mode == PerimeterTransition && !inside
}

// firewall is lines c to g of gate 2.
func (rules *Rules) firewall(r *Request) Step {
	if rules.PublicAccess == PublicEnabled {
		if rules.DefaultAction == Allow && r.Origin.Path.known() {
			return admitted(AdmittedOpen, NoRule)
		}
		for i, rule := range rules.SubnetRules {
			if r.Origin.Path == PathSubnet && rule.Subnet != "" && rule.Subnet == r.Origin.Subnet {
				return admitted(AdmittedSubnet, i)
			}
		}
		for i, rule := range rules.IPRules {
			if r.Origin.Path == PathPublic && plainPrefix(rule.Prefix).Contains(plain(r.Origin.Addr)) {
				return admitted(AdmittedIP, i)
			}
		}
	}
	if rules.Bypass {
		for i := range rules.Trusted {
			if rules.Trusted[i].speaks(r) {
				return admitted(AdmittedTrusted, i)
			}
		}
	}
	switch {
	case rules.PublicAccess != PublicEnabled && rules.Bypass:
		return refused(PublicDisabledNotTrusted)
	case rules.PublicAccess != PublicEnabled:
		return refused(PublicDisabledBypassNone)
	case rules.Bypass:
		return refused(FirewallNotTrusted)
	default:
		return refused(FirewallBypassNone)
	}
}

// speaks reports whether the request is the service's: a valid token, the
// proof of its compute, an identity of its own, and an operation of its
// scenario.
func (t *TrustedService) speaks(r *Request) bool {
	if r.Caller.Token != TokenValid || t.Name == "" || t.Name != r.Origin.Service {
		return false
	}
	return t.isIdentity(&r.Caller) && t.needs(r.Operation)
}

func (t *TrustedService) isIdentity(c *Caller) bool {
	for _, app := range t.Apps {
		if !app.IsZero() && app == c.App {
			return true
		}
	}
	for _, typ := range t.ResourceTypes {
		if isOfType(c.IdentityResource, typ) {
			return true
		}
	}
	return false
}

func (t *TrustedService) needs(o Operation) bool {
	for _, op := range t.Operations {
		if op != NoOperation && op == o {
			return true
		}
	}
	return false
}

// insidePerimeter reports whether the perimeter's own rules admit.
func (rules *Rules) insidePerimeter(r *Request) bool {
	p := &rules.Perimeter
	if p.Mode == PerimeterNone {
		return false
	}
	if p.ID != "" && p.ID == r.Origin.Perimeter {
		return true
	}
	for _, prefix := range p.Prefixes {
		if r.Origin.Path == PathPublic && plainPrefix(prefix).Contains(plain(r.Origin.Addr)) {
			return true
		}
	}
	for _, s := range p.Subscriptions {
		if r.Caller.Token == TokenValid && !s.IsZero() && s == r.Caller.Subscription {
			return true
		}
	}
	return false
}

// identity is gate 3.
func (rules *Rules) identity(r *Request) Step {
	switch {
	case r.Caller.Token == TokenAbsent:
		return Step{Gate: GateIdentity, Outcome: Pointless, Reason: NoToken, Rule: NoRule}
	case r.Caller.Token != TokenValid:
		return Step{Gate: GateIdentity, Reason: BadToken, Rule: NoRule}
	case r.Caller.Tenant.IsZero() || r.Caller.Tenant != rules.Tenant:
		return Step{Gate: GateIdentity, Reason: WrongTenant, Rule: NoRule}
	}
	return Step{Gate: GateIdentity, Outcome: Passed, Rule: NoRule}
}

func throttleStep(r *Request) Step {
	if r.OverBudget {
		return Step{Gate: GateThrottle, Reason: Throttled, Rule: NoRule}
	}
	return Step{Gate: GateThrottle, Outcome: Passed, Rule: NoRule}
}

// permission is gate 5.
func (rules *Rules) permission(r *Request) Step {
	if r.Caller.Token != TokenValid {
		why := BadToken
		if r.Caller.Token == TokenAbsent {
			why = NoToken
		}
		return Step{Gate: GatePermission, Outcome: Pointless, Reason: why, Rule: NoRule}
	}
	var step Step
	switch rules.Model {
	case ModelRBAC:
		step = rules.assignments(r)
	case ModelPolicies:
		step = rules.policies(r)
	default:
		return Step{Gate: GatePermission, Reason: NoModel, Rule: NoRule}
	}
	if step.Outcome == Passed || step.Reason == DenyAssigned {
		return step
	}
	for i := range rules.Enabled {
		if rules.Enabled[i].Service.speaks(r) {
			return Step{Gate: GatePermission, Outcome: Passed, Reason: ByFlag, Rule: int32(i)}
		}
	}
	return step
}

func (rules *Rules) assignments(r *Request) Step {
	resource, action := rules.resource(r), r.Operation.Info().DataAction
	var f facts
	f.tell(rules.Name, r)
	for i := range rules.DenyAssignments {
		d := &rules.DenyAssignments[i]
		if action != "" && d.denies(&r.Caller) && rules.reaches(d.Scope, resource) && d.takes(action) {
			return Step{Gate: GatePermission, Reason: DenyAssigned, Rule: int32(i)}
		}
	}
	for i := range rules.Assignments {
		a := &rules.Assignments[i]
		if action != "" && !a.Conditional && r.Caller.isPrincipal(a.Principal) && rules.reaches(a.Scope, resource) && a.Role != nil &&
			a.Role.allowsData(action) && a.Condition.holds(&f) {
			return Step{Gate: GatePermission, Outcome: Passed, Reason: ByAssignment, Rule: int32(i)}
		}
	}
	return Step{Gate: GatePermission, Reason: NoAssignment, Rule: NoRule}
}

// everything is the role of a deny assignment that has none: what it takes
// away is not known, so it is all.
var everything = &Role{Actions: []string{"*"}, DataActions: []string{"*"}}

// takes reports whether the deny assignment takes a data action away.
func (d *DenyAssignment) takes(action string) bool {
	role := d.Role
	if role == nil {
		role = everything
	}
	return role.allowsData(action)
}

// denies reports whether the caller is among the denied.
func (d *DenyAssignment) denies(c *Caller) bool {
	for _, id := range d.Exclude {
		if c.isPrincipal(id) {
			return false
		}
	}
	if d.Everyone {
		return true
	}
	for _, id := range d.Principals {
		if c.isPrincipal(id) {
			return true
		}
	}
	return false
}

// resource is what the operation is asked for: the object, or the vault.
func (rules *Rules) resource(r *Request) string {
	info := r.Operation.Info()
	if info.Named && r.Object != "" {
		return rules.ID + "/" + info.Kind.String() + "/" + r.object()
	}
	return rules.ID
}

func (rules *Rules) policies(r *Request) Step {
	onBehalf := int32(NoRule)
	for i := range rules.Policies {
		p := &rules.Policies[i]
		if p.Tenant != rules.Tenant || !r.Caller.isPrincipal(p.Object) || !p.permits(r.Operation) {
			continue
		}
		if p.Application.IsZero() || r.Caller.User && r.Caller.App == p.Application {
			return Step{Gate: GatePermission, Outcome: Passed, Reason: ByPolicy, Rule: int32(i)}
		}
		if onBehalf == NoRule {
			onBehalf = int32(i)
		}
	}
	if onBehalf != NoRule {
		return Step{Gate: GatePermission, Reason: OnlyOnBehalf, Rule: onBehalf}
	}
	return Step{Gate: GatePermission, Reason: NoPolicy, Rule: NoRule}
}

func admitted(how Admission, rule int) Step {
	return Step{Gate: GateNetwork, Outcome: Passed, Admitted: how, Rule: int32(rule)}
}

func refused(why Reason) Step { return Step{Gate: GateNetwork, Reason: why, Rule: NoRule} }
