package migrate

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

const vaultID = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv"

func id(n byte) access.GUID { return access.GUID{15: n} }

var home, away = id(200), id(201)

func named(t testing.TB, name string) *roles.Definition {
	t.Helper()
	d, ok := roles.ByRoleName(name)
	if !ok {
		t.Fatalf("no role %q", name)
	}
	return d
}

func vault(policies ...access.Policy) *estate.Vault {
	return &estate.Vault{Rules: &access.Rules{ID: vaultID, Name: "kv", Tenant: home, Model: access.ModelPolicies, Policies: policies}}
}

func roleNames(p *Principal) string {
	var list []string
	for _, r := range p.Roles {
		list = append(list, strings.TrimPrefix(r.RoleName, "Key Vault "))
	}
	return strings.Join(list, " + ")
}

func operations(list []access.Operation) string {
	var words []string
	for _, o := range list {
		words = append(words, o.String())
	}
	return strings.Join(words, " ")
}

// TestCovers: the roles for the templates of access policies that people
// use, and what comes with them.
func TestCovers(t *testing.T) {
	all := []string{"all"}
	cases := []struct {
		name         string
		policy       access.Policy
		least        bool
		roles        string
		gained, lost string
	}{
		{"read", access.Policy{Secrets: []string{"get", "list"}}, false, "Secrets User", "", ""},
		{"get alone", access.Policy{Secrets: []string{"get"}}, false, "Secrets User", "SecretList SecretListVersions SecretListDeleted", ""},
		{"get alone, nothing more", access.Policy{Secrets: []string{"get"}}, true, "", "", "SecretGet SecretGetDeleted"},
		{"all secrets", access.Policy{Secrets: all}, false, "Secrets Officer", "", ""},
		{"all keys", access.Policy{Keys: all}, false, "Crypto Officer", "", ""},
		{"all certificates", access.Policy{Certificates: all}, false, "Certificates Officer", "", ""},
		{"everything", access.Policy{Keys: all, Secrets: all, Certificates: all}, false, "Administrator", "", ""},
		{"keys and secrets", access.Policy{Keys: all, Secrets: all}, false, "Crypto Officer + Secrets Officer", "", ""},
		{"encryption with a customer-managed key", access.Policy{Keys: []string{"Get", "List", "WrapKey", "UnwrapKey"}}, false, "Crypto Service Encryption User", "", ""},
		{"release", access.Policy{Keys: []string{"release"}}, false, "Crypto Service Release User", "", ""},
		{"set, nothing more", access.Policy{Secrets: []string{"get", "list", "set"}}, true, "Secrets User", "", "SecretSet SecretUpdate"},
		{"a word that is none", access.Policy{Secrets: []string{"read"}}, false, "", "", ""},
	}
	for _, tt := range cases {
		tt.policy.Tenant, tt.policy.Object = home, id(1)
		p := Propose(vault(tt.policy), Options{Home: home, Least: tt.least})
		one := p.Principals[0]
		if got := roleNames(&one); got != tt.roles || operations(one.Changes[0].Gained) != tt.gained || operations(one.Changes[0].Lost) != tt.lost || p.Loses() != (tt.lost != "") {
			t.Errorf("%s: roles %q gained %q lost %q, want %q %q %q", tt.name, got, operations(one.Changes[0].Gained), operations(one.Changes[0].Lost), tt.roles, tt.gained, tt.lost)
		}
	}
	if n := len(access.Operations()); n >= 128 {
		t.Errorf("%d operations do not fit a set", n)
	}
}

// TestLeft: entries that role assignments cannot stand in for.
func TestLeft(t *testing.T) {
	get := []string{"get"}
	v := vault(access.Policy{Tenant: away, Object: id(1), Secrets: get}, access.Policy{Tenant: home, Object: id(2), Application: id(3), Secrets: get},
		access.Policy{Tenant: home, Secrets: get}, access.Policy{Tenant: home, Object: id(4), Secrets: get})
	p := Propose(v, Options{Home: home})
	var why []string
	for _, l := range p.Left {
		why = append(why, l.Why+": "+operations(l.Lost))
	}
	if diff := cmp.Diff([]string{
		"it is of tenant 00000000-0000-0000-0000-0000000000c9, and the vault takes tokens of 00000000-0000-0000-0000-0000000000c8 alone: it grants nothing: ",
		"it is for a user together with the application 00000000-0000-0000-0000-000000000003: role assignments know no such identity: SecretGet SecretGetDeleted",
		"its objectId cannot be read: it grants nothing: "}, why); diff != "" {
		t.Errorf("Left (-want +got):\n%s", diff)
	}
	if len(p.Principals) != 1 || !p.Loses() {
		t.Errorf("principals %+v, want the one that can be converted", p.Principals)
	}
	// The vault takes tokens of another tenant: nobody of it can be assigned
	// a role of the subscription.
	p = Propose(v, Options{Home: away})
	if len(p.Principals) != 0 || len(p.Left) != 4 || p.Elsewhere != away || !p.Loses() {
		t.Errorf("in another tenant: %+v, want every entry left", p)
	}
}

// TestDormant: assignments that are there begin to count, for whom and at
// which objects is named.
func TestDormant(t *testing.T) {
	v := vault(access.Policy{Tenant: home, Object: id(1), Secrets: []string{"get", "list"}})
	v.Rules.Assignments = []access.Assignment{
		{ID: "a", Principal: id(1), Scope: "/subscriptions/11111111-1111-1111-1111-111111111111", Role: named(t, "Key Vault Secrets User").Role()},
		{ID: "b", Principal: id(9), Scope: vaultID + "/secrets/Db", Role: named(t, "Key Vault Secrets User").Role()},
		{ID: "c", Principal: id(8), Scope: vaultID, Role: named(t, "Reader").Role()}}
	p := Propose(v, Options{})
	if len(p.Assignments()) != 0 || len(p.Principals) != 2 || !p.Principals[0].Held {
		t.Fatalf("proposed %+v for %+v, want nothing but what is there", p.Assignments(), p.Principals)
	}
	want := []Change{{}, {Object: "db", Gained: []access.Operation{access.SecretGet, access.SecretListVersions, access.SecretGetDeleted}}}
	if diff := cmp.Diff(want, p.Principals[1].Changes); diff != "" || p.Principals[1].Object != id(9) {
		t.Errorf("Changes of %v (-want +got):\n%s", p.Principals[1].Object, diff)
	}
	v.Rules.Model = access.ModelRBAC
	if p := Propose(v, Options{}); !p.RBAC || len(p.Assignments()) != 0 {
		t.Errorf("a vault with role assignments: %+v, want nothing", p)
	}
}

var scopes = []string{"/", "/subscriptions/11111111-1111-1111-1111-111111111111", vaultID, vaultID, vaultID + "x", vaultID + "/secrets/a", vaultID + "/keys/A", vaultID + "/secrets/b"}

func drawRules(t *rapid.T, denies bool) *access.Rules {
	pick := func(list []string, label string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(list), 0, 4, rapid.ID).Draw(t, label)
	}
	object := func(label string) access.GUID { return id(rapid.ByteRange(0, 5).Draw(t, label)) }
	rules := &access.Rules{ID: vaultID, Name: "kv", Tenant: home, Model: access.ModelPolicies, DefaultAction: access.Deny}
	for range rapid.IntRange(0, 5).Draw(t, "policies") {
		e := access.Policy{Tenant: home, Object: object("object"), Secrets: pick([]string{"all", "get", "List", "set", "delete", "purge", "recover", "backup", "restore", "no"}, "secrets"),
			Keys:         pick([]string{"all", "get", "list", "create", "sign", "verify", "wrapKey", "unwrapKey", "release", "rotate", "getrotationpolicy"}, "keys"),
			Certificates: pick([]string{"all", "get", "list", "create", "managecontacts", "manageissuers", "getissuers", "setissuers", "deleteissuers"}, "certificates")}
		if rapid.IntRange(0, 5).Draw(t, "foreign") == 0 {
			e.Tenant = away
		}
		if rapid.IntRange(0, 3).Draw(t, "compound") == 0 {
			e.Application = id(rapid.ByteRange(10, 11).Draw(t, "application"))
		}
		rules.Policies = append(rules.Policies, e)
	}
	role := rapid.SampledFrom(roles.All())
	for range rapid.IntRange(0, 4).Draw(t, "assignments") {
		a := access.Assignment{ID: "a", Principal: object("principal"), Scope: rapid.SampledFrom(scopes).Draw(t, "scope"), Role: role.Draw(t, "role").Role()}
		if rapid.IntRange(0, 5).Draw(t, "condition") == 0 {
			a.Condition, _ = access.ParseCondition("@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 'a'")
		}
		rules.Assignments = append(rules.Assignments, a)
	}
	for range rapid.IntRange(0, 1).Draw(t, "denies") {
		if denies {
			rules.DenyAssignments = append(rules.DenyAssignments, access.DenyAssignment{ID: "d", Everyone: rapid.Bool().Draw(t, "everyone"),
				Principals: []access.GUID{object("denied")}, Exclude: []access.GUID{object("spared")}, Scope: rapid.SampledFrom(scopes).Draw(t, "scope"), Role: role.Draw(t, "role").Role()})
		}
	}
	return rules
}

// opened is a vault whose network admits everybody.
func opened(rules *access.Rules) *access.Vault {
	open := *rules
	open.PublicAccess, open.DefaultAction = access.PublicEnabled, access.Allow
	return access.Compile(&open)
}

// ask is a decision over one request.
func ask(v *access.Vault, c access.Caller, o access.Operation, name string) bool {
	if !o.Info().Named {
		name = ""
	}
	return v.Decide(&access.Request{Origin: access.Origin{Path: access.PathPublic}, Caller: c, Operation: o, Object: name}).Allowed()
}

// namedFor is what a proposal says of one principal and object.
func namedFor(p *Proposal, object access.GUID, o access.Operation, name string) (lost, gained, conditional bool) {
	for i := range p.Principals {
		if p.Principals[i].Object != object {
			continue
		}
		c := p.Principals[i].Changes[0]
		for _, other := range p.Principals[i].Changes {
			if o.Info().Named && other.Object == name {
				c = other
			}
		}
		return slices.Contains(c.Lost, o), slices.Contains(c.Gained, o), slices.Contains(c.Conditional, o)
	}
	return false, false, false
}

// TestReachAfter: the reach after the change is the reach before it, but for
// what is named, of every principal, alone and with an application, at every
// object.
func TestReachAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t, true)
		p := Propose(&estate.Vault{Rules: rules}, Options{Home: home, Least: rapid.Bool().Draw(t, "least")})
		before, after := opened(rules), opened(p.After())
		for n := range byte(7) {
			for _, app := range []access.GUID{{}, id(10), id(11)} {
				c := access.Caller{Token: access.TokenValid, Tenant: home, Object: id(n), App: app, User: !app.IsZero()}
				for _, name := range []string{"a", "b", "other"} {
					checkReach(t, p, before, after, c, name)
				}
			}
		}
	})
}

func checkReach(t *rapid.T, p *Proposal, before, after *access.Vault, c access.Caller, name string) {
	for _, o := range access.Operations() {
		lost, gained, conditional := namedFor(p, c.Object, o, name)
		left := false
		for _, l := range p.Left {
			if l.Object == c.Object && (l.Application.IsZero() || l.Application == c.App) && slices.Contains(l.Lost, o) {
				left = true
			}
		}
		was, will := ask(before, c, o, name), ask(after, c, o, name)
		want := was && !lost || gained
		if will != want && !conditional && (!left || will && !was) {
			t.Fatalf("%v of %v with %v at %q: before %v, after %v; lost %v, gained %v, conditional %v", o, c.Object, c.App, name, was, will, lost, gained, conditional)
		}
	}
}

// TestReachOfMembers: for members of groups nothing happens but what is
// named of them or of their groups.
func TestReachOfMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := drawRules(t, false)
		p := Propose(&estate.Vault{Rules: rules}, Options{Home: home, Least: rapid.Bool().Draw(t, "least")})
		before, after := opened(rules), opened(p.After())
		c := access.Caller{Token: access.TokenValid, Tenant: home, Object: id(1), Groups: []access.GUID{id(2), id(3)}}
		for _, o := range access.Operations() {
			var lost, gained bool
			for n := byte(1); n <= 3; n++ {
				l, g, conditional := namedFor(p, id(n), o, "a")
				lost, gained = lost || l, gained || g || conditional
			}
			if was, will := ask(before, c, o, "a"), ask(after, c, o, "a"); was && !will && !lost || will && !was && !gained {
				t.Fatalf("%v: before %v, after %v, and nobody said so", o, was, will)
			}
		}
	})
}
