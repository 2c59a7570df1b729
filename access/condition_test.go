package access

import (
	"strings"
	"testing"
)

// TestConditions: each row is a condition, an operation, an object, and
// whether an assignment with it allows (rbac-abac, conditions-format).
func TestConditions(t *testing.T) {
	const vault, secret, asked = "@Resource[Microsoft.KeyVault/vaults:name]", "@Resource[Microsoft.KeyVault/vaults/secrets:name]", "@Request[Microsoft.KeyVault/vaults/secrets:name]"
	const get = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
	for _, c := range []struct {
		condition string
		operation Operation
		object    string
		want      bool
	}{
		{secret + " StringEquals 'db'", SecretGet, "db", true},
		{secret + " StringEquals 'DB'", SecretGet, "db", true},
		{secret + " StringEquals 'db'", SecretGet, "other", false},
		{"'db' StringEquals " + secret, SecretGet, "db", true},
		{secret + " StringNotEquals 'db'", SecretGet, "db", false},
		{secret + " StringNotEquals 'db'", SecretGet, "other", true},
		// A list has no secret: neither the sentence nor its opposite is true.
		{secret + " StringEquals 'db'", SecretList, "", false},
		{secret + " StringNotEquals 'db'", SecretList, "", false},
		{"!(" + secret + " StringEquals 'db')", SecretList, "", false},
		{"!(ActionMatches{'" + get + "'}) OR " + secret + " StringEquals 'db'", SecretList, "", true},
		{"!(ActionMatches{'" + get + "'}) OR " + secret + " StringEquals 'db'", SecretGet, "x", false},
		{"NOT ActionMatches{'microsoft.keyvault/vaults/SECRETS/getsecret/action'}", SecretGet, "x", false},
		{"ActionMatches{'Microsoft.KeyVault/vaults/secrets/*'}", SecretDelete, "x", true},
		{"SubOperationMatches{'Blob.List'}", SecretGet, "x", false},
		{asked + " StringStartsWith 'team-'", SecretSet, "team-a", true},
		{asked + " StringStartsWith 'team-'", SecretSet, "tea", false},
		{asked + " StringStartsWith 'team-'", SecretGet, "team-a", false},
		{secret + " StringStartsWith 'team-'", SecretSet, "team-a", false},
		{asked + " StringStartsWith 'team-'", SecretRestore, "", false},
		{vault + " StringEquals 'Kv'", SecretList, "", true},
		{vault + " StringEquals 'kv'", SecretList, "", false},
		{vault + " StringEqualsIgnoreCase 'kv'", SecretList, "", true},
		{vault + " StringEqualsIgnoreCase 'kv'", KeyGet, "k", false},
		{vault + " StringLike '?v*'", SecretList, "", true},
		{vault + ` StringLike 'K\*'`, SecretList, "", false},
		{secret + " StringLike '*-prod-*'", SecretGet, "db-prod-1", true},
		{secret + " StringNotLike '*-prod-*'", SecretGet, "db-prod-1", false},
		{secret + " ForAnyOfAnyValues:StringEquals {'a', 'b'}", SecretGet, "b", true},
		{secret + " ForAnyOfAnyValues:StringEquals {'a', 'b'}", SecretGet, "c", false},
		{secret + " ForAnyOfAllValues:StringNotEquals {'a', 'b'}", SecretGet, "c", true},
		{secret + " ForAnyOfAllValues:StringNotEquals {'a', 'b'}", SecretGet, "a", false},
		{"{'a', 'b'} ForAllOfAnyValues:StringEquals {'b', 'a', 'c'}", SecretGet, "x", true},
		{"{'a', 'd'} ForAllOfAnyValues:StringEquals {'b', 'a', 'c'}", SecretGet, "x", false},
		{"{'a', 'a'} ForAllOfAllValues:StringEquals {'a'}", SecretGet, "x", true},
		{"5 NumericLessThan 12", SecretGet, "x", true},
		{"'x' NumericLessThan 12", SecretGet, "x", false},
		{"!('x' NumericLessThan 12)", SecretGet, "x", false},
		{"B24988AC-6180-42a0-ab88-20f7382dd24c GuidEquals b24988ac-6180-42a0-ab88-20f7382dd24c", SecretGet, "x", true},
		{"true BoolEquals TRUE", SecretGet, "x", true},
		{"Exists " + secret, SecretGet, "x", true},
		{"NotExists " + secret, SecretList, "", true},
		{"@Environment[UtcNow] DateTimeGreaterThan 'x' OR true BoolEquals true", SecretGet, "x", false},
		{"@Principal[a:b] StringEquals 'x' || true BoolEquals true", SecretGet, "x", true},
		{"true BoolEquals false && @Principal[a:b] StringEquals 'x'", SecretGet, "x", false},
		{"{'x', 5} ForAnyOfAnyValues:NumericEquals 5", SecretGet, "x", true},
		{"{5, 'x'} ForAnyOfAnyValues:NumericEquals 5", SecretGet, "x", true},
		{"{'x', 4} ForAllOfAnyValues:NumericEquals 5", SecretGet, "x", false},
		{"!({'x', 4} ForAllOfAnyValues:NumericEquals 5)", SecretGet, "x", true},
		{"!({'x', 5} ForAllOfAnyValues:NumericEquals 5)", SecretGet, "x", false},
		{"'it''s' StringEquals 'it''s'", SecretGet, "x", true},
	} {
		condition, err := ParseCondition(c.condition)
		if err != nil {
			if !strings.Contains(c.condition, "DateTime") {
				t.Errorf("ParseCondition(%s) = %v", c.condition, err)
			}
			continue
		}
		tenant, who := MustGUID("00000000-0000-0000-0000-000000000001"), MustGUID("00000000-0000-0000-0000-000000000002")
		rules := &Rules{ID: vaultID, Name: "Kv", Tenant: tenant, PublicAccess: PublicEnabled, DefaultAction: Allow, Model: ModelRBAC,
			Assignments: []Assignment{{Principal: who, Scope: "/", Condition: condition, Role: &Role{DataActions: []string{"*"}}}}}
		r := &Request{Origin: Origin{Path: PathPublic}, Caller: Caller{Token: TokenValid, Tenant: tenant, Object: who}, Operation: c.operation, Object: c.object}
		if got := Compile(rules).Decide(r).Allowed(); got != c.want {
			t.Errorf("%s: %s of %q allowed %v, want %v", c.condition, c.operation, c.object, got, c.want)
		}
	}
}

func TestBrokenConditions(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "byte 0"},
		{"(true BoolEquals true", "expected )"},
		{"true BoolEquals true)", "expected the end"},
		{"true BoolEquals", "a value"},
		{"true Equals true", "an operator"},
		{"@Resource[x StringEquals 'a'", "an attribute"},
		{"@Nowhere[x:y] StringEquals 'a'", "@Resource, @Request"},
		{"'a' StringEquals 'b", "a text that ends"},
		{"'a' StringEquals {'a','b'}", "a quantifier"},
		{"'a' ForSome:StringEquals {'a'}", "ForAnyOfAnyValues"},
		{"'a' ForAnyOfAnyValues:StringEquals {'a' 'b'}", ", or }"},
		{"ActionMatches{x}", "single quotes"},
		{"ActionMatches'x'", "expected {"},
		{strings.Repeat("!", 50) + "true BoolEquals true", "too deeply"},
		{strings.Repeat("(", 5000), "too deeply"},
		{strings.Repeat("x", MaxCondition+1), "at most"},
		{"(" + strings.Repeat("x y,", 5) + ")", "an operator"},
	} {
		if _, err := ParseCondition(c.text); err == nil || !strings.Contains(err.Error(), c.want) && len(c.text) < 6000 {
			t.Errorf("ParseCondition(%.40s…) = %v, want an error with %q", c.text, err, c.want)
		}
	}
}

func TestConditionsAllocateNothing(t *testing.T) {
	rules := &Rules{ID: vaultID, Name: "v", Tenant: GUID{1}, PublicAccess: PublicEnabled, DefaultAction: Allow, Model: ModelRBAC}
	for i := range 4000 {
		a := Assignment{Principal: GUID{2, byte(i >> 8), byte(i)}, Scope: "/", Role: &Role{DataActions: []string{"*"}}}
		if i%10 == 0 {
			a.Condition = conditions[0]
		}
		rules.Assignments = append(rules.Assignments, a)
	}
	v := Compile(rules)
	r := &Request{Origin: Origin{Path: PathPublic}, Caller: Caller{Token: TokenValid, Tenant: GUID{1}, Object: GUID{2}}, Operation: SecretGet, Object: "a"}
	if !v.Decide(r).Allowed() {
		t.Fatal("the condition does not hold")
	}
	if n := testing.AllocsPerRun(100, func() { v.Decide(r) }); n != 0 {
		t.Errorf("Decide with conditions allocates %v times, want 0", n)
	}
	var f facts
	f.tell("v", r)
	for _, c := range conditions {
		if n := testing.AllocsPerRun(100, func() { c.holds(&f) }); n != 0 {
			t.Errorf("%s allocates %v times, want 0", c, n)
		}
	}
}

func FuzzParseCondition(f *testing.F) {
	for _, c := range conditions {
		f.Add(c.String())
	}
	f.Add("{'a', b} ForAllOfAnyValues:StringLike {'*'}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCondition(text)
		if err != nil {
			return
		}
		r := &Request{Operation: SecretGet, Object: "a"}
		var facts facts
		facts.tell("v", r)
		if c.root.value(&facts) == yes && !c.holds(&facts) {
			t.Fatal("a condition that is true does not hold")
		}
	})
}

// TestDelegation: a condition on what may be assigned (documented:
// delegate-role-assignments).
func TestDelegation(t *testing.T) {
	const reader, owner = "21090545-7ca7-4776-b22c-e363652d74d2", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	c := mustCondition("((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {" + reader + "})) AND " +
		"((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR (@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {" + reader + "}))")
	who := GUID{1}
	a := NewAuthority([]Assignment{{Principal: who, Scope: "/", Condition: c, Role: &Role{Actions: []string{"Microsoft.Authorization/*"}}}}, nil)
	caller := &Caller{Token: TokenValid, Object: who}
	const write, remove = "Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"
	for _, row := range []struct {
		action string
		w      Written
		want   bool
	}{
		{write, Written{Role: reader}, true},
		{write, Written{Role: owner}, false},
		{write, Written{}, false},
		{write, Written{Role: reader, Deleting: true}, false},
		{remove, Written{Role: reader, Deleting: true}, true},
		{remove, Written{Role: owner, Deleting: true}, false},
		{"Microsoft.Authorization/roleAssignments/read", Written{}, true},
	} {
		if got := a.AuthorizeAssignment(caller, row.action, "/subscriptions/s", row.w).Allowed(); got != row.want {
			t.Errorf("%s of %+v allowed %v, want %v", row.action, row.w, got, row.want)
		}
	}
	if a.Authorize(caller, write, "/").Allowed() {
		t.Error("a write that tells nothing of itself is allowed")
	}
}
