package access

// Decide is the decision over one request. It reads nothing but its
// arguments and allocates nothing.
func (v *Vault) Decide(r *Request) Decision {
	d := Decision{NetworkRule: NoRule, Rule: NoRule}
	if v == nil {
		return d
	}
	network := v.network(r, &d)
	if r.Caller.Token == TokenAbsent {
		return d.deny(GateToken, NoToken)
	}
	if network != Undecided {
		return d.deny(GateNetwork, network)
	}
	switch {
	case r.Caller.Token != TokenValid:
		return d.deny(GateIdentity, BadToken)
	case r.Caller.Tenant.IsZero() || r.Caller.Tenant != v.tenant:
		return d.deny(GateIdentity, WrongTenant)
	case r.OverBudget:
		return d.deny(GateThrottle, Throttled)
	}
	switch v.model {
	case ModelRBAC:
		v.assignments(r, &d)
	case ModelPolicies:
		v.policies(r, &d)
	default:
		return d.deny(GatePermission, NoModel)
	}
	if d.Verdict != Allow && d.Reason != DenyAssigned && r.Origin.Service != "" {
		v.flags(r, &d)
	}
	return d
}

// flags decides by the flags of the vault.
func (v *Vault) flags(r *Request, d *Decision) {
	for i := range v.enabled {
		if v.enabled[i].Service.speaks(r) {
			d.Verdict, d.Reason, d.Rule = Allow, ByFlag, int32(i)
			return
		}
	}
}

func (d Decision) deny(g Gate, why Reason) Decision {
	d.Verdict, d.Gate, d.Reason = Deny, g, why
	return d
}

// network sets how the request is admitted; the result is why it is not.
func (v *Vault) network(r *Request, d *Decision) Reason {
	if r.Origin.Path == PathPrivateEndpoint {
		if i, ok := v.endpoints[r.Origin.Endpoint]; ok {
			d.Admitted, d.NetworkRule = AdmittedPrivateEndpoint, i
			return Undecided
		}
	}
	if v.perimeter.Mode != PerimeterNone || v.publicAccess == PublicByPerimeter {
		inside := v.insidePerimeter(r)
		if v.perimeter.Mode.enforced() || v.publicAccess == PublicByPerimeter {
			if inside {
				d.Admitted = AdmittedPerimeter
				return Undecided
			}
			return PerimeterDenied
		}
		d.WouldDeny = !inside
	}
	if v.publicAccess == PublicEnabled && v.admits(r, d) {
		return Undecided
	}
	if v.bypass && r.Origin.Service != "" {
		for i := range v.trusted {
			if v.trusted[i].speaks(r) {
				d.Admitted, d.NetworkRule = AdmittedTrusted, int32(i)
				return Undecided
			}
		}
	}
	return refusals[index(v.publicAccess == PublicEnabled)][index(v.bypass)]
}

// refusals are the network's refusals by (public access enabled, bypass).
var refusals = [2][2]Reason{
	{PublicDisabledBypassNone, PublicDisabledNotTrusted},
	{FirewallBypassNone, FirewallNotTrusted},
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// admits asks the default action, the subnet rules and the IP rules.
func (v *Vault) admits(r *Request, d *Decision) bool {
	if v.defaultAction == Allow {
		if r.Origin.Path.known() {
			d.Admitted = AdmittedOpen
			return true
		}
		return false
	}
	switch r.Origin.Path {
	case PathSubnet:
		if i, ok := v.subnets[r.Origin.Subnet]; ok {
			d.Admitted, d.NetworkRule = AdmittedSubnet, i
			return true
		}
	case PathPublic:
		if i := v.addresses.find(r.Origin.Addr); i != NoRule {
			d.Admitted, d.NetworkRule = AdmittedIP, i
			return true
		}
	}
	return false
}

func (v *Vault) insidePerimeter(r *Request) bool {
	p := &v.perimeter
	if p.Mode == PerimeterNone {
		return false
	}
	if p.ID != "" && p.ID == r.Origin.Perimeter {
		return true
	}
	if r.Origin.Path == PathPublic && v.perimeterAddresses.find(r.Origin.Addr) != NoRule {
		return true
	}
	for _, s := range p.Subscriptions {
		if r.Caller.Token == TokenValid && !s.IsZero() && s == r.Caller.Subscription {
			return true
		}
	}
	return false
}

// assignments decides by RBAC.
func (v *Vault) assignments(r *Request, d *Decision) {
	d.Gate = GatePermission
	kind, object := KindNone, ""
	if info := &operationTable[min(r.Operation, operations-1)]; info.Named && r.Object != "" {
		kind, object = info.Kind, r.object()
	}
	for i := range v.denies {
		x := &v.denies[i]
		if x.ops.has(r.Operation) && (x.kind == KindNone || x.kind == kind && x.object == object) && x.rule.denies(&r.Caller) {
			d.Reason, d.Rule = DenyAssigned, x.index
			return
		}
	}
	var f facts
	if v.conditional {
		f.tell(v.name, r)
	}
	best := v.first(r.Caller.Object, r.Operation, kind, object, &f, NoRule)
	groups := r.Caller.Groups
	for i := v.known.next(groups, 0); i < len(groups); i = v.known.next(groups, i+1) {
		best = v.first(groups[i], r.Operation, kind, object, &f, best)
	}
	if best == NoRule {
		d.Reason = NoAssignment
		return
	}
	d.Verdict, d.Reason, d.Rule = Allow, ByAssignment, best
}

// first is the earlier of best and the first assignment of the principal
// that allows the operation.
func (v *Vault) first(p GUID, o Operation, kind Kind, object string, f *facts, best int32) int32 {
	holder := v.principals[p]
	if holder == nil {
		return best
	}
	for i := range holder.vault {
		if g := &holder.vault[i]; g.ops.has(o) && g.condition.holds(f) {
			best = earlier(best, g.index)
			break
		}
	}
	if kind == KindNone || len(holder.objects[kind]) == 0 {
		return best
	}
	list := holder.objects[kind][object]
	for i := range list {
		if list[i].ops.has(o) && list[i].condition.holds(f) {
			return earlier(best, list[i].index)
		}
	}
	return best
}

func earlier(a, b int32) int32 {
	if a == NoRule || b != NoRule && b < a {
		return b
	}
	return a
}

// policies decides by access policies.
func (v *Vault) policies(r *Request, d *Decision) {
	d.Gate = GatePermission
	best, onBehalf := v.policy(r.Caller.Object, r, NoRule, NoRule)
	groups := r.Caller.Groups
	for i := v.known.next(groups, 0); i < len(groups); i = v.known.next(groups, i+1) {
		best, onBehalf = v.policy(groups[i], r, best, onBehalf)
	}
	switch {
	case best != NoRule:
		d.Verdict, d.Reason, d.Rule = Allow, ByPolicy, best
	case onBehalf != NoRule:
		d.Reason, d.Rule = OnlyOnBehalf, onBehalf
	default:
		d.Reason = NoPolicy
	}
}

func (v *Vault) policy(p GUID, r *Request, best, onBehalf int32) (int32, int32) {
	holder := v.principals[p]
	if holder == nil {
		return best, onBehalf
	}
	for i := range holder.vault {
		g := &holder.vault[i]
		switch {
		case !g.ops.has(r.Operation):
		case g.application.IsZero() || r.Caller.User && r.Caller.App == g.application:
			return earlier(best, g.index), onBehalf
		default:
			onBehalf = earlier(onBehalf, g.index)
		}
	}
	return best, onBehalf
}
