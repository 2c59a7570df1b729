package access

// Authority decides over the control plane: role assignments on actions,
// wherever they stand. The firewall of a vault has no part in it. A nil
// *Authority denies everything.
type Authority struct {
	byPrincipal map[GUID][]int32
	assignments []Assignment
	denies      []DenyAssignment
}

// NewAuthority makes an Authority of all the assignments of an estate, in
// their order. They must not be changed afterwards.
func NewAuthority(assignments []Assignment, denies []DenyAssignment) *Authority {
	a := &Authority{byPrincipal: map[GUID][]int32{}, assignments: assignments, denies: denies}
	for i := range assignments {
		p := assignments[i].Principal
		a.byPrincipal[p] = append(a.byPrincipal[p], int32(i))
	}
	return a
}

// Authorize decides whether the caller may perform a control-plane action
// ("Microsoft.KeyVault/vaults/write") at a scope: the ARM id of the resource.
// Deny assignments come first; then one assignment that covers principal,
// scope and action allows.
func (a *Authority) Authorize(caller *Caller, action, scope string) Decision {
	return a.authorize(caller, scope, &facts{action: action})
}

// Written is the role assignment that a call writes or deletes: what the
// conditions of the caller's own assignments may speak of.
type Written struct {
	// Role is the GUID of the role definition, Principal that of the
	// principal; Type is its type ("ServicePrincipal").
	Role, Principal, Type string
	// Deleting is true for a deletion: then conditions find them under
	// @Resource, and otherwise under @Request.
	Deleting bool
}

// AuthorizeAssignment is Authorize for writing or deleting a role
// assignment, with what conditions may ask of it (documented:
// delegate-role-assignments).
func (a *Authority) AuthorizeAssignment(caller *Caller, action, scope string, w Written) Decision {
	return a.authorize(caller, scope, &facts{action: action, role: w.Role, principal: w.Principal, principalType: w.Type, deleting: w.Deleting})
}

func (a *Authority) authorize(caller *Caller, scope string, f *facts) Decision {
	action := f.action
	d := Decision{Gate: GatePermission, NetworkRule: NoRule, Rule: NoRule, Reason: NoAssignment}
	if a == nil || caller == nil || caller.Token != TokenValid || action == "" || scope == "" {
		return d
	}
	for i := range a.denies {
		x := &a.denies[i]
		if x.denies(caller) && covers(x.Scope, scope) && (x.Role == nil || x.Role.allows(action)) {
			d.Reason, d.Rule = DenyAssigned, int32(i)
			return d
		}
	}
	d.Rule = a.first(caller.Object, scope, f, NoRule)
	for _, g := range caller.Groups {
		d.Rule = a.first(g, scope, f, d.Rule)
	}
	if d.Rule != NoRule {
		d.Verdict, d.Reason = Allow, ByAssignment
	}
	return d
}

func (a *Authority) first(p GUID, scope string, f *facts, best int32) int32 {
	if p.IsZero() {
		return best
	}
	for _, i := range a.byPrincipal[p] {
		x := &a.assignments[i]
		if !x.Conditional && x.Condition.holds(f) && covers(x.Scope, scope) && x.Role != nil && x.Role.allows(f.action) {
			return earlier(best, i)
		}
	}
	return best
}
