package estate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/access"
	"postern/internal/roles"
	"postern/internal/store/memory"
	"postern/internal/trusted"
)

const (
	tenant    = "aaaaaaaa-0000-0000-0000-000000000001"
	principal = "bbbbbbbb-0000-0000-0000-000000000001"
	group     = "/subscriptions/cccccccc-0000-0000-0000-000000000001/resourceGroups/rg"
	user      = "4633458b-17de-408a-b874-0445c86b69e6" // Key Vault Secrets User
)

var options = Options{Role: func(guid string) (*access.Role, bool) {
	d, ok := roles.ByName(guid)
	if !ok {
		return nil, false
	}
	return d.Role(), true
}}

func vaultResource(name, properties string) *Resource {
	id := group + "/providers/Microsoft.KeyVault/vaults/" + name
	body := fmt.Sprintf(`{"id":%q,"location":"eastus","properties":{"tenantId":%q%s},"unknown":{"kept":1}}`, id, tenant, properties)
	return &Resource{ID: id, Type: TypeVault, Name: name, Location: "eastus", Body: json.RawMessage(body), UID: "uid-" + name}
}

func assignmentResource(scope, name string) *Resource {
	body := fmt.Sprintf(`{"properties":{"roleDefinitionId":"/x/%s","principalId":%q,"scope":%q}}`, user, principal, scope)
	return &Resource{ID: scope + "/providers/Microsoft.Authorization/roleAssignments/" + name, Type: TypeRoleAssignment, Name: name, Body: json.RawMessage(body)}
}

func TestRulesOfAVault(t *testing.T) {
	s, problems := New([]*Resource{vaultResource("V1", `,"enableRbacAuthorization":true,"publicNetworkAccess":"enabled",
		"networkAcls":{"bypass":"none","defaultAction":"DENY","ipRules":[{"value":"203.0.113.0/24"},{"value":"198.51.100.42"},{"value":"nonsense"}],
		"virtualNetworkRules":[{"id":"/Subscriptions/X/subnets/S/"}]},
		"privateEndpointConnections":[{"id":"/A/B","properties":{"privateLinkServiceConnectionState":{"status":"approved"}}}],
		"accessPolicies":[{"tenantId":"`+tenant+`","objectId":"bad","permissions":{"secrets":["get"]}}]`),
		assignmentResource(group, "a1"), assignmentResource("/subscriptions/other", "a2")}, options)
	v, ok := s.Vault("v1")
	if !ok {
		t.Fatal("no vault v1")
	}
	want := &access.Rules{ID: v.Resource.ID, Name: "V1", Tenant: access.MustGUID(tenant), PublicAccess: access.PublicEnabled,
		DefaultAction: access.Deny, Bypass: false, Model: access.ModelRBAC,
		IPRules:     []access.IPRule{{Prefix: netip.MustParsePrefix("203.0.113.0/24")}, {Prefix: netip.MustParsePrefix("198.51.100.42/32")}, {}},
		SubnetRules: []access.SubnetRule{{Subnet: "/subscriptions/x/subnets/s"}},
		Connections: []access.Connection{{ID: "/a/b", State: access.EndpointApproved}},
		Policies:    []access.Policy{{Tenant: access.MustGUID(tenant), Secrets: []string{"get"}}},
	}
	if diff := cmp.Diff(want, v.Rules, cmpopts.IgnoreFields(access.Rules{}, "Assignments"), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("rules differ (-want +got):\n%s", diff)
	}
	if len(v.Rules.Assignments) != 1 || v.Rules.Assignments[0].ID != "a1" {
		t.Errorf("assignments = %+v, want a1 alone", v.Rules.Assignments)
	}
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	if got := strings.Join(paths, " "); got != "properties.networkAcls.ipRules[2].value properties.accessPolicies[0].objectId" {
		t.Errorf("problems at %s", got)
	}
}

func TestDefaultsOfAVault(t *testing.T) {
	s, _ := New([]*Resource{vaultResource("v", "")}, options)
	v, _ := s.Vault("v")
	r := v.Rules
	if r.PublicAccess != access.PublicEnabled || !r.Bypass || r.DefaultAction != access.Allow || r.Model != access.ModelPolicies {
		t.Errorf("defaults = %+v", r)
	}
	if v.Properties.RetentionDays() != 90 || v.Properties.PurgeProtected() {
		t.Errorf("properties = %+v", v.Properties)
	}
}

// TestWhatCannotBeReadIsStrict: words that mean nothing never open a vault.
func TestWhatCannotBeReadIsStrict(t *testing.T) {
	s, problems := New([]*Resource{vaultResource("v", `,"publicNetworkAccess":"maybe","networkAcls":{"bypass":"Azure","defaultAction":"permit"}`)}, options)
	v, _ := s.Vault("v")
	if v.Rules.PublicAccess != access.PublicDisabled || v.Rules.Bypass || v.Rules.DefaultAction != access.Deny || len(problems) != 3 {
		t.Errorf("rules = %+v with %d problems", v.Rules, len(problems))
	}
	s, problems = New([]*Resource{{ID: group + "/providers/Microsoft.KeyVault/vaults/x", Name: "x", Type: TypeVault, Body: json.RawMessage(`{"properties":[]}`)}}, options)
	v, _ = s.Vault("x")
	r := &access.Request{Origin: access.Origin{Path: access.PathPublic}, Caller: access.Caller{Token: access.TokenValid}, Operation: access.SecretGet}
	if d := v.Compiled.Decide(r); d.Allowed() || len(problems) != 1 {
		t.Errorf("a vault that cannot be read decides %+v with problems %v", d, problems)
	}
}

// TestConditionsGrantNothing: a condition that is not evaluated must not
// make an assignment unconditional.
func TestConditionsGrantNothing(t *testing.T) {
	a := assignmentResource(group, "a1")
	a.Body = json.RawMessage(strings.Replace(string(a.Body), `"scope"`, `"condition":"(x)","scope"`, 1))
	s, problems := New([]*Resource{vaultResource("v", ""), a}, options)
	v, _ := s.Vault("v")
	if !v.Rules.Assignments[0].Conditional || len(problems) != 1 {
		t.Errorf("assignment = %+v, problems %v", v.Rules.Assignments[0], problems)
	}
	a.Body = json.RawMessage(strings.Replace(string(a.Body), "(x)", "true BoolEquals false", 1))
	s, problems = New([]*Resource{vaultResource("v", ""), a}, options)
	if v, _ = s.Vault("v"); v.Rules.Assignments[0].Condition == nil || len(problems) != 0 {
		t.Errorf("assignment = %+v, problems %v, want its condition", v.Rules.Assignments[0], problems)
	}
}

// TestRegistryIsNew: after any changes the snapshot is the one that a fresh
// start would compile.
func TestRegistryIsNew(t *testing.T) {
	ctx := context.Background()
	st := memory.New()
	r, err := Open(ctx, st, options)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	scopes := []string{"/", inTenant(""), inTenant(managed + "m0"), inTenant(managed + "m1"), inTenant(managed + tenant), group, group + "/providers/Microsoft.KeyVault/vaults/v0", group + "/providers/Microsoft.KeyVault/vaults/v1/secrets/a", "/subscriptions/zzz"}
	for round := range 300 {
		err := r.Change(ctx, func(s *Snapshot, d *Draft) error {
			for range 1 + rnd.IntN(3) {
				name := fmt.Sprint("v", rnd.IntN(3))
				scope, a := scopes[rnd.IntN(len(scopes))], fmt.Sprint("a", rnd.IntN(3))
				switch rnd.IntN(15) {
				case 9:
					d.Put(subscriptionResource(tenant, []string{"", "m0", "m1", "m2"}[rnd.IntN(4)]))
				case 10:
					d.Put(managementResource(fmt.Sprint("m", rnd.IntN(3)), fmt.Sprint("m", rnd.IntN(3))))
				case 11:
					d.Delete(managementResource(fmt.Sprint("m", rnd.IntN(3)), "").ID)
				case 12:
					if res := roleResource(custom, fmt.Sprintf(`{"dataActions":["Microsoft.KeyVault/vaults/secrets/%d"]}`, rnd.IntN(3))); rnd.IntN(3) == 0 {
						d.Delete(res.ID)
					} else {
						d.Put(res)
					}
				case 13:
					if res := denyResource(scope, a, principal); rnd.IntN(2) == 0 {
						d.Delete(res.ID)
					} else {
						d.Put(res)
					}
				case 14:
					res := assignmentResource(scope, a)
					res.Body = json.RawMessage(strings.Replace(string(res.Body), user, custom, 1))
					d.Put(res)
				case 0:
					d.Delete(vaultResource(name, "").ID)
				case 1:
					v := vaultResource(name, "")
					v.Deleted = &Deletion{}
					d.Put(v)
				case 2:
					d.Put(assignmentResource(scope, a))
				case 3:
					d.Delete(assignmentResource(scope, a).ID)
				case 4:
					d.Put(associationResource(a, name, fmt.Sprint("p", rnd.IntN(2)), []string{"Learning", "Enforced"}[rnd.IntN(2)]))
				case 5:
					d.Delete(associationResource(a, "", "", "").ID)
				case 6:
					d.Put(ruleResource(fmt.Sprint("p", rnd.IntN(2)), a, fmt.Sprintf(`"addressPrefixes":["203.0.113.%d"]`, rnd.IntN(3))))
				case 7:
					d.Delete(ruleResource(fmt.Sprint("p", rnd.IntN(2)), a, "").ID)
				default:
					d.Put(vaultResource(name, fmt.Sprintf(`,"enableRbacAuthorization":%v`, rnd.IntN(2) == 0)))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := Open(ctx, st, options)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(describe(fresh.Snapshot()), describe(r.Snapshot())); diff != "" {
			t.Fatalf("round %d (-fresh +changed):\n%s", round, diff)
		}
	}
}

// describe is everything a snapshot answers, in words.
func describe(s *Snapshot) []string {
	var lines []string
	for _, v := range s.Vaults() {
		var ids []string
		for _, a := range v.Rules.Assignments {
			ids = append(ids, fmt.Sprintf("%s#%s %+v", a.Scope, a.ID, a.Role))
		}
		for _, d := range v.Rules.DenyAssignments {
			ids = append(ids, fmt.Sprintf("not %s#%s %+v", d.Scope, d.ID, d.Role))
		}
		lines = append(lines, fmt.Sprint(v.Resource.ID, v.Rules.Model, ids, v.Rules.Perimeter))
	}
	for _, r := range s.DeletedVaults() {
		lines = append(lines, "deleted "+r.ID)
	}
	for _, r := range s.Under("", "") {
		lines = append(lines, r.ID)
	}
	for _, name := range []string{"v0", "v1", "v2"} {
		taken, ok := s.Taken(name)
		_, live := s.Vault(name)
		lines = append(lines, fmt.Sprint(name, ok, live, ok && taken.Deleted != nil))
	}
	for _, a := range s.assignments {
		lines = append(lines, fmt.Sprintf("%s#%s %+v", a.Scope, a.ID, a.Role))
	}
	for _, d := range s.denies {
		lines = append(lines, fmt.Sprintf("not %s#%s %+v", d.Scope, d.ID, d.Role))
	}
	return append(lines, fmt.Sprint(s.Above(group[:strings.Index(group, "/resourceGroups")])))
}

func TestUnder(t *testing.T) {
	s, _ := New([]*Resource{vaultResource("v", ""), vaultResource("v2", ""), assignmentResource(vaultResource("v", "").ID, "a")}, options)
	for _, c := range []struct {
		scope, typ string
		want       int
	}{{"", "", 3}, {"/", TypeVault, 2}, {group, "", 3}, {strings.ToUpper(group) + "/", TypeVault, 2}, {vaultResource("v", "").ID, "", 2}, {group + "x", "", 0}} {
		if got := len(s.Under(c.scope, c.typ)); got != c.want {
			t.Errorf("Under(%q, %q) has %d, want %d", c.scope, c.typ, got, c.want)
		}
	}
}

// TestLostAnswer: when the store did what it said it could not, the snapshot
// is what the store holds.
func TestLostAnswer(t *testing.T) {
	ctx := context.Background()
	for _, applied := range []bool{false, true} {
		st := memory.New()
		r, err := Open(ctx, st, options)
		if err != nil {
			t.Fatal(err)
		}
		st.Faults = func(c memory.Call) memory.Fault {
			if c.Verb != memory.Commit {
				return memory.Work
			}
			if applied {
				return memory.Lose
			}
			return memory.Fail
		}
		err = r.Change(ctx, func(_ *Snapshot, d *Draft) error { d.Put(vaultResource("v", "")); return nil })
		if err == nil {
			t.Fatal("a failed commit is no error")
		}
		if _, ok := r.Snapshot().Vault("v"); ok != applied {
			t.Errorf("applied %v: vault in the snapshot %v", applied, ok)
		}
	}
	refused := errors.New("no")
	r, _ := Open(ctx, memory.New(), options)
	if err := r.Change(ctx, func(_ *Snapshot, d *Draft) error { d.Put(vaultResource("v", "")); return refused }); err != refused {
		t.Errorf("Change = %v, want the refusal as it is", err)
	}
	if _, ok := r.Snapshot().Vault("v"); ok {
		t.Error("a refused change was published")
	}
}

func TestGeography(t *testing.T) {
	for _, c := range []struct{ region, want string }{
		{"eastus", "United States"}, {"West US 2", "United States"}, {"westeurope", "Europe"}, {"NorthEurope", "Europe"}, {"Mars North", "mars north"},
	} {
		if got := geography(c.region); got != c.want {
			t.Errorf("geography(%q) = %q, want %q", c.region, got, c.want)
		}
	}
}

// TestFlags: a flag that is set stands for its service, when the list has
// it; one that is false or absent for nothing.
func TestFlags(t *testing.T) {
	list, ok := trusted.List("azure")
	if !ok {
		t.Fatal("no list")
	}
	s, _ := New([]*Resource{vaultResource("v1", `,"enabledForDeployment":true,"enabledForDiskEncryption":false,"enabledForTemplateDeployment":true`)}, Options{Trusted: list})
	without, _ := New([]*Resource{vaultResource("v1", `,"enabledForDeployment":true`)}, Options{Trusted: list[:1]})
	for _, tt := range []struct {
		s    *Snapshot
		want string
	}{
		{s, "enabledForDeployment: Azure Virtual Machines deployment service; enabledForTemplateDeployment: Azure Resource Manager template deployment service"},
		{without, ""},
	} {
		v, _ := tt.s.Vault("v1")
		var got []string
		for _, e := range v.Rules.Enabled {
			got = append(got, e.Flag+": "+e.Service.Name)
		}
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("Enabled = %s, want %s", text, tt.want)
		}
	}
}
