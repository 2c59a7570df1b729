package access

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
)

// bigVault is a vault at the limits of the service: 1,000 IP rules, 200
// subnet rules, and 4,000 assignments of 400 principals or 1,024 policies.
func bigVault(model Model) *Rules {
	r := &Rules{ID: corpusVault, Name: "myvault", Tenant: number(1, 1), PublicAccess: PublicEnabled, Bypass: true, Trusted: corpusTrusted, Model: model}
	for i := range 1000 {
		a := netip.AddrFrom4([4]byte{20, byte(i >> 4), byte(i << 4), 0})
		r.IPRules = append(r.IPRules, IPRule{netip.PrefixFrom(a, 24+i%9)})
	}
	for i := range 200 {
		r.SubnetRules = append(r.SubnetRules, SubnetRule{bigSubnet(i)})
	}
	roles := []*Role{corpusRoles["crypto-user"], corpusRoles["certificate-user"], corpusRoles["contributor"], corpusRoles["reader"], corpusRoles["secrets-user"]}
	for i := range 4000 {
		scope := corpusVault
		if i%4 == 3 {
			scope = fmt.Sprintf("%s/secrets/secret-%d", corpusVault, i)
		}
		r.Assignments = append(r.Assignments, Assignment{Principal: bigPrincipal(i % 400), Role: roles[i/400%len(roles)], Scope: scope})
	}
	for i := range 1024 {
		r.Policies = append(r.Policies, Policy{Tenant: r.Tenant, Object: bigPrincipal(i), Keys: []string{"get", "list", "wrapKey"}, Secrets: []string{"list", "get"}})
	}
	return r
}

func bigPrincipal(i int) GUID { return GUID{0: 4, 1: 1, 14: byte(i >> 8), 15: byte(i)} }

func bigSubnet(i int) string {
	return fmt.Sprintf("/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/rg/providers/microsoft.network/virtualnetworks/myvnet/subnets/subnet-%d", i)
}

// bigRequest is by the last address rule and one of the last principals.
func bigRequest() *Request {
	return &Request{
		Origin:    Origin{Path: PathPublic, Addr: netip.AddrFrom4([4]byte{20, 62, 112, 0})},
		Caller:    Caller{Token: TokenValid, Tenant: number(1, 1), Object: bigPrincipal(398), App: number(6, 9)},
		Operation: SecretGet, Object: "db",
	}
}

// bigCase is one request to a big vault.
type bigCase struct {
	name  string
	model Model
	edit  func(*Rules, *Request)
	want  string // verdict and reason
}

var bigCases = []bigCase{
	{"RBAC4000", ModelRBAC, func(*Rules, *Request) {}, "Allow ByAssignment"},
	{"RBAC4000/object", ModelRBAC, func(_ *Rules, r *Request) {
		r.Caller.Object, r.Object = bigPrincipal(399), "secret-3999"
	}, "Allow ByAssignment"},
	{"RBAC4000/refused", ModelRBAC, func(_ *Rules, r *Request) { r.Operation = SecretPurge }, "Deny NoAssignment"},
	{"RBAC4000/subnet", ModelRBAC, func(_ *Rules, r *Request) { r.Origin = Origin{Path: PathSubnet, Subnet: bigSubnet(199)} }, "Allow ByAssignment"},
	{"RBAC4000/trusted", ModelRBAC, func(rules *Rules, r *Request) {
		r.Origin.Addr, r.Origin.Service = netip.AddrFrom4([4]byte{99}), "DataFactory"
		r.Caller.IdentityResource = corpusCallers["factory"].IdentityResource
	}, "Allow ByAssignment"},
	{"RBAC4000/blocked", ModelRBAC, func(_ *Rules, r *Request) { r.Origin.Addr = netip.AddrFrom4([4]byte{99}) }, "Deny FirewallNotTrusted"},
	{"RBAC4000/groups20", ModelRBAC, func(_ *Rules, r *Request) {
		for i := range 20 {
			r.Caller.Groups = append(r.Caller.Groups, bigPrincipal(1000+i))
		}
	}, "Allow ByAssignment"},
	{"RBAC4000/groups200", ModelRBAC, func(rules *Rules, r *Request) { manyGroups(rules, r, 1000) }, "Allow ByAssignment"},
	{"RBAC4000/groups200/known", ModelRBAC, func(rules *Rules, r *Request) { manyGroups(rules, r, 395) }, "Allow ByAssignment"},
	{"RBAC4000/denies16", ModelRBAC, func(rules *Rules, _ *Request) {
		for i := range 16 {
			rules.DenyAssignments = append(rules.DenyAssignments, DenyAssignment{Principals: []GUID{bigPrincipal(2000 + i)}, Scope: corpusSub, Role: truthRole})
		}
	}, "Allow ByAssignment"},
	{"Policies1024", ModelPolicies, func(_ *Rules, r *Request) { r.Caller.Object = bigPrincipal(1023) }, "Allow ByPolicy"},
	{"Policies1024/refused", ModelPolicies, func(_ *Rules, r *Request) { r.Operation = SecretPurge }, "Deny NoPolicy"},
	{"Policies1024/compound", ModelPolicies, func(rules *Rules, r *Request) {
		for i := range rules.Policies {
			rules.Policies[i].Object, rules.Policies[i].Application = r.Caller.Object, bigPrincipal(i)
		}
		r.Caller.User = true
	}, "Deny OnlyOnBehalf"},
}

// manyGroups puts conditions on a tenth of the assignments and two hundred
// groups on the token; those below bigPrincipal(400) are assigned something.
func manyGroups(rules *Rules, r *Request, from int) {
	for i := 0; i < len(rules.Assignments); i += 10 {
		rules.Assignments[i].Condition = conditions[0]
	}
	for i := range 200 {
		r.Caller.Groups = append(r.Caller.Groups, bigGroup(from+i))
	}
}

// bigGroup is bigPrincipal with the random bytes of a real identifier.
func bigGroup(i int) GUID {
	if i < 400 {
		return bigPrincipal(i)
	}
	h := uint64(i) * 0x9e3779b97f4a7c15
	var g GUID
	binary.LittleEndian.PutUint64(g[:8], h)
	binary.LittleEndian.PutUint64(g[8:], h*h^h>>29)
	return g
}

func (c *bigCase) make(t testing.TB) (*Rules, *Request) {
	t.Helper()
	rules, r := bigVault(c.model), bigRequest()
	c.edit(rules, r)
	d := Compile(rules).Decide(r)
	verdict := "Deny"
	if d.Allowed() {
		verdict = "Allow"
	}
	if got := verdict + " " + d.Reason.String(); got != c.want || d != Explain(rules, r).Decision {
		t.Fatalf("%s: Decide = %s, want %s", c.name, describe(d), c.want)
	}
	return rules, r
}

// TestDecideAllocatesNothing: the budget of a decision is no allocation,
// however big the vault is and however it is decided.
func TestDecideAllocatesNothing(t *testing.T) {
	for _, c := range bigCases {
		rules, r := c.make(t)
		vault := Compile(rules)
		if got := testing.AllocsPerRun(100, func() { vault.Decide(r) }); got != 0 {
			t.Errorf("%s: allocations of Decide = %v, want 0", c.name, got)
		}
	}
}

// TestCompiledListsStayShort: what a principal is assigned twice is held
// once, so that a decision does not grow with repeated assignments.
func TestCompiledListsStayShort(t *testing.T) {
	rules := bigVault(ModelRBAC)
	for i := range rules.Assignments {
		rules.Assignments[i].Principal, rules.Assignments[i].Scope = bigPrincipal(1), corpusVault
	}
	vault := Compile(rules)
	if got := len(vault.principals[bigPrincipal(1)].vault); got > 5 {
		t.Errorf("%d grants of one principal with 5 roles, want 5 or fewer", got)
	}
}

// BenchmarkDecide is the compiled decision at the limits of the service.
func BenchmarkDecide(b *testing.B) {
	for _, c := range bigCases {
		b.Run(c.name, func(b *testing.B) {
			rules, r := c.make(b)
			vault := Compile(rules)
			b.ReportAllocs()
			for b.Loop() {
				vault.Decide(r)
			}
		})
	}
	b.Run("Naive", func(b *testing.B) {
		rules, r := bigCases[0].make(b)
		b.ReportAllocs()
		for b.Loop() {
			Explain(rules, r)
		}
	})
}

// BenchmarkCompile is what a change of configuration costs.
func BenchmarkCompile(b *testing.B) {
	for _, c := range []struct {
		name  string
		model Model
	}{{"RBAC4000", ModelRBAC}, {"Policies1024", ModelPolicies}} {
		b.Run(c.name, func(b *testing.B) {
			rules := bigVault(c.model)
			b.ReportAllocs()
			for b.Loop() {
				Compile(rules)
			}
		})
	}
}
