package posture

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

const (
	alice = "44444444-4444-4444-4444-444444444444"
	bob   = "55555555-5555-5555-5555-555555555555"
	user  = "4633458b-17de-408a-b874-0445c86b69e6" // Key Vault Secrets User
)

func roleOf(guid string) (*access.Role, bool) {
	d, ok := roles.ByName(guid)
	if !ok {
		return nil, false
	}
	return d.Role(), true
}

// assigned is a role assignment as az lists it.
func assigned(scope, principal, role, more string) string {
	const id = "/providers/Microsoft.Authorization/roleAssignments/66666666-6666-6666-6666-666666666666"
	return `{"id":"` + scope + id + `","type":"Microsoft.Authorization/roleAssignments","name":"66666666-6666-6666-6666-666666666666","principalId":"` +
		principal + `","scope":"` + scope + `","roleDefinitionId":"/x/` + role + `"` + more + `}`
}

func asked(from, who string, o access.Operation) Question {
	return Question{Place: Place{Addr: netip.MustParseAddr(from)}, Request: access.Request{
		Caller: access.Caller{Token: access.TokenValid, Object: access.MustGUID(who)}, Operation: o, Object: "db"}}
}

func TestExplain(t *testing.T) {
	const inside, outside = "203.0.113.7", "198.51.100.1"
	own := `"tenantId":"` + home + `",`
	firewall := acls(`"defaultAction":"Deny","bypass":"None","ipRules":[{"value":"203.0.113.0/24"}]`)
	rbac := observed(own + `"enableRbacAuthorization":true,` + firewall)
	policies := observed(own + `"accessPolicies":[{"tenantId":"` + home + `","objectId":"` + alice + `","permissions":{"secrets":["get"]}}],` + firewall)
	role := assigned(vaultID, alice, user, "")
	for _, test := range []struct {
		name     string
		question Question
		text     string
		want     Outcome
		gate     access.Gate
	}{
		{"role", asked(inside, alice, access.SecretGet), "[" + rbac + "," + role + "]", Served, access.GatePermission},
		{"role of another", asked(inside, bob, access.SecretGet), "[" + rbac + "," + role + "]", Refused, access.GatePermission},
		{"role without the action", asked(inside, alice, access.SecretSet), "[" + rbac + "," + role + "]", Refused, access.GatePermission},
		{"no assignment was read", asked(inside, alice, access.SecretGet), rbac, Undecided, access.GatePermission},
		{"the network refuses before", asked(outside, alice, access.SecretGet), rbac, Refused, access.GateNetwork},
		{"a condition", asked(inside, alice, access.SecretGet), "[" + rbac + "," + assigned(vaultID, alice, user, `,"condition":"x"`) + "]", Undecided, access.GatePermission},
		{"a role that is not known", asked(inside, alice, access.SecretGet), "[" + rbac + "," + assigned(vaultID, alice, "own", "") + "]", Undecided, access.GatePermission},
		{"policy", asked(inside, alice, access.SecretGet), policies, Served, access.GatePermission},
		{"no policy", asked(inside, bob, access.SecretGet), policies, Refused, access.GatePermission},
		{"bypass is not a word", asked(outside, alice, access.SecretGet), observed(own + acls(`"defaultAction":"Deny","bypass":"x"`)), Undecided, access.GateNetwork},
		{"fragment", asked(outside, alice, access.SecretGet), `{"bypass":"None","defaultAction":"Deny","ipRules":[],"virtualNetworkRules":[]}`, Undecided, access.GateNetwork},
		{"by perimeter", asked(outside, alice, access.SecretGet), observed(own + `"publicNetworkAccess":"SecuredByPerimeter"`), Undecided, access.GateNetwork},
		{"tenant is not known", asked(inside, alice, access.SecretGet), declared("2023-07-01", `"tenantId":"[parameters('p')]"`), Undecided, access.GateIdentity},
	} {
		e, err := Explain(resources(t, test.text), test.question, estate.Options{Role: roleOf})
		if err != nil {
			t.Errorf("%s: Explain: %v", test.name, err)
			continue
		}
		gate := access.GateNone
		for _, g := range e.Gates {
			if g.Decided {
				gate = g.Gate
			}
		}
		if e.Outcome != test.want || gate != test.gate {
			t.Errorf("%s: Explain = %v at %v, want %v at %v", test.name, e.Outcome, gate, test.want, test.gate)
		}
		if test.want == Refused && len(e.Commands()) == 0 {
			t.Errorf("%s: no command changes it", test.name)
		}
	}
}

func TestExplainFindsTheVault(t *testing.T) {
	other := strings.ReplaceAll(observed(``), "my-vault", "other")
	for _, test := range []struct {
		name, vault, text string
		want              error
	}{
		{"the only one", "", observed(``), nil},
		{"by name, any case", "MY-vault", "[" + observed(``) + "," + other + "]", nil},
		{"none", "", `{"hello":1}`, ErrNoVault},
		{"another", "third", "[" + observed(``) + "," + other + "]", ErrNoVault},
	} {
		q := asked("203.0.113.7", alice, access.SecretGet)
		q.Vault = test.vault
		if _, err := Explain(resources(t, test.text), q, estate.Options{}); !errors.Is(err, test.want) {
			t.Errorf("%s: Explain = %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := Explain(resources(t, "["+observed(``)+","+other+"]"), asked("203.0.113.7", alice, access.SecretGet), estate.Options{}); err == nil {
		t.Error("Explain of two vaults without a name = nil, want an error")
	}
}

// An explanation that is sure says what the compiled decision says.
func TestExplainAgreesWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
		text := "[" + observed(`"tenantId":"`+pick("tenant", home, foreign)+`","publicNetworkAccess":"`+pick("public", "Enabled", "Disabled")+
			`","enableRbacAuthorization":`+pick("rbac", "true", "false", "null")+`,"accessPolicies":[{"tenantId":"`+pick("policy tenant", home, foreign)+`","objectId":"`+pick("policy", alice, bob)+
			`","permissions":{"secrets":["`+pick("permission", "get", "all", "list")+`"]}}],`+
			acls(`"defaultAction":"`+pick("action", "Allow", "Deny")+`","bypass":"`+pick("bypass", "None", "AzureServices")+`","ipRules":[{"value":"203.0.113.0/24"}]`)) + "," +
			assigned(pick("scope", vaultID, vaultID+"/secrets/db", vaultID+"/secrets/x", "/subscriptions/other"), pick("principal", alice, bob), user, "") + "]"
		q := asked(pick("from", "203.0.113.7", "198.51.100.1", "2001:db8::7"), alice, rapid.SampledFrom(access.Operations()).Draw(t, "operation"))
		q.Request.Caller.Tenant, q.TenantKnown = access.MustGUID(home), true
		q.Whole = rapid.Bool().Draw(t, "whole")
		e, err := Explain(resources(t, text), q, estate.Options{Role: roleOf})
		if err != nil {
			t.Fatal(err)
		}
		d := e.Vault.Compiled.Decide(&e.Request)
		if e.Outcome == Undecided {
			t.Fatalf("Explain cannot tell although everything was read: %s", text)
		}
		if d != e.Decision || d.Allowed() != (e.Outcome == Served) {
			t.Fatalf("Explain = %v %+v, but Decide = %+v for %s", e.Outcome, e.Decision, d, text)
		}
	})
}

func TestLeastRole(t *testing.T) {
	for _, test := range []struct {
		operation access.Operation
		want      string
	}{
		{access.SecretGet, "Key Vault Secrets User"},
		{access.SecretSet, "Key Vault Secrets Officer"},
		{access.KeyUnwrap, "Key Vault Crypto Service Encryption User"},
		{access.KeyRelease, "Key Vault Crypto Service Release User"},
		{access.CertificateCreate, "Key Vault Certificates Officer"},
	} {
		if got := leastRole(test.operation); got != test.want {
			t.Errorf("leastRole(%v) = %q, want %q", test.operation, got, test.want)
		}
	}
	for _, o := range access.Operations() {
		if leastRole(o) == "" {
			t.Errorf("leastRole(%v) = \"\", want a role", o)
		}
	}
}
