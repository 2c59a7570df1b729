package access

import (
	"math/rand/v2"
	"testing"
)

func TestAuthorize(t *testing.T) {
	const write, read = "Microsoft.KeyVault/vaults/write", "Microsoft.KeyVault/vaults/read"
	alice, bob, ops := number(4, 1), number(4, 2), number(3, 1)
	owner := &Role{Actions: []string{"*"}}
	contributor := &Role{Actions: []string{"*"}, NotActions: []string{"Microsoft.Authorization/*/write"}}
	reader := &Role{Actions: []string{"*/read"}}
	data := &Role{DataActions: []string{"*"}}
	as := func(g GUID, groups ...GUID) *Caller { return &Caller{Token: TokenValid, Object: g, Groups: groups} }
	one := func(p GUID, role *Role, scope string) []Assignment {
		return []Assignment{{Principal: p, Role: role, Scope: scope}}
	}
	for _, c := range []struct {
		name          string
		assignments   []Assignment
		denies        []DenyAssignment
		caller        *Caller
		action, scope string
		want          string
	}{
		{"owner at the subscription", one(alice, owner, "/subscriptions/s"), nil, as(alice), write, vaultID, "ByAssignment 0"},
		{"owner at the vault", one(alice, owner, vaultID), nil, as(alice), write, vaultID, "ByAssignment 0"},
		{"owner at the root", one(alice, owner, "/"), nil, as(alice), write, vaultID, "ByAssignment 0"},
		{"owner elsewhere", one(alice, owner, "/subscriptions/s2"), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"owner below", one(alice, owner, vaultID+"/secrets/a"), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"owner of a name alike", one(alice, owner, vaultID[:len(vaultID)-1]), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"reader reads", one(alice, reader, "/subscriptions/s"), nil, as(alice), read, vaultID, "ByAssignment 0"},
		{"reader does not write", one(alice, reader, "/subscriptions/s"), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"contributor writes vaults", one(alice, contributor, "/subscriptions/s"), nil, as(alice), write, vaultID, "ByAssignment 0"},
		{"contributor does not assign roles", one(alice, contributor, "/subscriptions/s"), nil, as(alice), "Microsoft.Authorization/roleAssignments/write", vaultID, "NoAssignment -1"},
		{"data actions do not count", one(alice, data, "/"), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"by a group", one(ops, owner, "/"), nil, as(alice, bob, ops), write, vaultID, "ByAssignment 0"},
		{"by the group alone", one(ops, owner, "/"), nil, &Caller{Token: TokenValid, Groups: []GUID{{}, ops}}, write, vaultID, "ByAssignment 0"},
		{"of another", one(bob, owner, "/"), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"of nobody", one(GUID{}, owner, "/"), nil, as(GUID{}, GUID{}), write, vaultID, "NoAssignment -1"},
		{"with a condition", []Assignment{{Principal: alice, Role: owner, Scope: "/", Conditional: true}}, nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"without a role", one(alice, nil, "/"), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"without a scope", one(alice, owner, ""), nil, as(alice), write, vaultID, "NoAssignment -1"},
		{"first by order", append(one(ops, owner, "/"), one(alice, owner, "/")...), nil, as(alice, ops), write, vaultID, "ByAssignment 0"},
		{"first by order, own", append(one(alice, owner, "/"), one(ops, owner, "/")...), nil, as(alice, ops), write, vaultID, "ByAssignment 0"},
		{"first that covers", append(one(alice, reader, "/"), one(alice, owner, "/")...), nil, as(alice), write, vaultID, "ByAssignment 1"},
		{"denied", one(alice, owner, "/"), []DenyAssignment{{Principals: []GUID{alice}, Role: owner, Scope: vaultID}}, as(alice), write, vaultID, "DenyAssigned 0"},
		{"denied by a group", one(alice, owner, "/"), []DenyAssignment{{}, {Principals: []GUID{ops}, Role: owner, Scope: "/"}}, as(alice, ops), write, vaultID, "DenyAssigned 1"},
		{"denied to everyone", one(alice, owner, "/"), []DenyAssignment{{Everyone: true, Role: owner, Scope: "/"}}, as(alice), write, vaultID, "DenyAssigned 0"},
		{"excluded from a deny", one(alice, owner, "/"), []DenyAssignment{{Everyone: true, Exclude: []GUID{alice}, Role: owner, Scope: "/"}}, as(alice), write, vaultID, "ByAssignment 0"},
		{"another action denied", one(alice, owner, "/"), []DenyAssignment{{Everyone: true, Role: reader, Scope: "/"}}, as(alice), write, vaultID, "ByAssignment 0"},
		{"denied elsewhere", one(alice, owner, "/"), []DenyAssignment{{Everyone: true, Role: owner, Scope: "/subscriptions/s2"}}, as(alice), write, vaultID, "ByAssignment 0"},
		{"data actions denied", one(alice, owner, "/"), []DenyAssignment{{Everyone: true, Role: data, Scope: "/"}}, as(alice), write, vaultID, "ByAssignment 0"},
		{"no action", one(alice, owner, "/"), nil, as(alice), "", vaultID, "NoAssignment -1"},
		{"no resource", one(alice, owner, "/"), nil, as(alice), write, "", "NoAssignment -1"},
		{"expired", one(alice, owner, "/"), nil, &Caller{Token: TokenExpired, Object: alice}, write, vaultID, "NoAssignment -1"},
		{"no token", one(alice, owner, "/"), nil, &Caller{Object: alice}, write, vaultID, "NoAssignment -1"},
		{"no caller", one(alice, owner, "/"), nil, nil, write, vaultID, "NoAssignment -1"},
	} {
		d := NewAuthority(c.assignments, c.denies).Authorize(c.caller, c.action, c.scope)
		if got := reasonAndRule(d); got != c.want || d.Allowed() != (d.Reason == ByAssignment) || d.Gate != GatePermission {
			t.Errorf("Authorize (%s) = %s, want %s", c.name, describe(d), c.want)
		}
	}
	var nobody *Authority
	if d := nobody.Authorize(as(alice), write, vaultID); d.Allowed() {
		t.Errorf("Authorize of a nil authority = %s, want a refusal", describe(d))
	}
}

func reasonAndRule(d Decision) string {
	if d.Rule == NoRule {
		return d.Reason.String() + " -1"
	}
	return d.Reason.String() + " " + string(rune('0'+d.Rule))
}

// plainAuthorize is Authorize by reading the assignments one by one.
func plainAuthorize(assignments []Assignment, denies []DenyAssignment, c *Caller, action, scope string) string {
	holds := func(r *Role) bool { return r != nil && r.allows(action) }
	if c.Token != TokenValid {
		return "NoAssignment -1"
	}
	for i, d := range denies {
		if d.denies(c) && covers(d.Scope, scope) && (d.Role == nil || holds(d.Role)) {
			return reasonAndRule(Decision{Reason: DenyAssigned, Rule: int32(i)})
		}
	}
	for i, a := range assignments {
		if !a.Conditional && c.isPrincipal(a.Principal) && covers(a.Scope, scope) && holds(a.Role) && a.Condition.holds(&facts{action: action}) {
			return reasonAndRule(Decision{Reason: ByAssignment, Rule: int32(i)})
		}
	}
	return "NoAssignment -1"
}

// TestAuthorizeIsPlain holds the indexed form equal to the plain one.
func TestAuthorizeIsPlain(t *testing.T) {
	for seed := range uint64(20_000) {
		p := pool{rand.New(rand.NewPCG(seed, 5))}
		rules, r := p.rules(), p.request()
		for i := range rules.DenyAssignments { // rarely, or nothing is left to allow
			rules.DenyAssignments[i].Everyone = false
		}
		a, scope := NewAuthority(rules.Assignments, rules.DenyAssignments), p.scope()
		const action = "Microsoft.KeyVault/vaults/write"
		want := "NoAssignment -1"
		if scope != "" {
			want = plainAuthorize(rules.Assignments, rules.DenyAssignments, &r.Caller, action, scope)
		}
		if got := reasonAndRule(a.Authorize(&r.Caller, action, scope)); got != want {
			t.Fatalf("seed %d: Authorize = %s, want %s", seed, got, want)
		}
	}
}
