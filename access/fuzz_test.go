package access

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// pool makes small random estates in which things collide often.
type pool struct{ *rand.Rand }

func (p pool) guid() GUID {
	var g GUID
	g[15] = byte(p.IntN(6)) // 0 is the zero value, now and then
	return g
}

func (p pool) prefix() netip.Prefix {
	switch p.IntN(8) {
	case 0:
		return netip.MustParsePrefix("0.0.0.0/0")
	case 1:
		return netip.MustParsePrefix("::/0")
	case 2:
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 20, 15: byte(p.IntN(4))}), 96+p.IntN(33))
	case 3:
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 15: byte(p.IntN(4))}), p.IntN(129))
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{20, 0, 0, byte(p.IntN(8))}), 24+p.IntN(9))
}

func (p pool) addr() netip.Addr {
	switch p.IntN(8) {
	case 0:
		return netip.Addr{}
	case 1:
		return netip.AddrFrom16([16]byte{0: 0x20, 15: byte(p.IntN(4))})
	case 2:
		return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 20, 15: byte(p.IntN(8))})
	}
	return netip.AddrFrom4([4]byte{20, 0, 0, byte(p.IntN(9))})
}

func pick[T any](p pool, of ...T) T { return of[p.IntN(len(of))] }

func many[T any](p pool, most int, make func() T) []T {
	var list []T
	for range p.IntN(most + 1) {
		list = append(list, make())
	}
	return list
}

const vaultID = "/subscriptions/S/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v"

func (p pool) scope() string {
	return pick(p, "/", "", "/subscriptions/s", "/subscriptions/S/resourcegroups/RG", vaultID, vaultID+"/secrets/a",
		vaultID+"/Secrets/B", vaultID+"/secrets", vaultID+"/", vaultID+"/secrets/a/", vaultID+"/keys/a", vaultID+"2", "/subscriptions/s2", vaultID+"/certificates/a")
}

func (p pool) role() *Role {
	return pick(p, nil,
		&Role{DataActions: []string{"Microsoft.KeyVault/vaults/*"}},
		&Role{DataActions: []string{"microsoft.keyvault/vaults/secrets/*"}, NotDataActions: []string{"*/delete"}},
		&Role{DataActions: []string{"Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"}},
		&Role{DataActions: []string{"Microsoft.KeyVault/vaults/secrets/getSecret/action"}},
		&Role{DataActions: []string{"Microsoft.KeyVault/vaults/keys/*"}, NotDataActions: []string{"*/read"}, More: []Permissions{
			{Actions: []string{"*/write"}, DataActions: []string{"*/read", "*/delete"}, NotDataActions: []string{"*/keys/delete"}}}},
		&Role{Actions: []string{"*"}})
}

func (p pool) condition() *Condition {
	return pick(p, nil, nil, nil, conditions[0], conditions[1], conditions[2], conditions[3])
}

// conditions are conditions of the kinds that the documentation shows.
var conditions = []*Condition{
	mustCondition("((!(ActionMatches{'Microsoft.KeyVault/vaults/secrets/getSecret/action'})) OR (@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 'A'))"),
	mustCondition("@Resource[Microsoft.KeyVault/vaults:name] StringLike 'v*' && !(@Request[Microsoft.KeyVault/vaults/secrets:name] StringStartsWith 'b')"),
	mustCondition("@Resource[Microsoft.KeyVault/vaults/secrets:name] ForAnyOfAnyValues:StringNotEquals {'a', 'b'}"),
	mustCondition("NOT (@Principal[Microsoft.Directory/CustomSecurityAttributes/Id:x_y] StringEquals 'z') OR Exists @Resource[Microsoft.KeyVault/vaults:name]"),
}

func mustCondition(text string) *Condition {
	c, err := ParseCondition(text)
	if err != nil {
		panic(err)
	}
	return c
}

func (p pool) rules() *Rules {
	words := func() []string {
		return many(p, 2, func() string { return pick(p, "get", "LIST", "all", "set", "manageissuers", "") })
	}
	return &Rules{
		ID: pick(p, vaultID, vaultID, vaultID, vaultID, "", "/"), Name: "v", Tenant: p.guid(),
		PublicAccess: PublicAccess(p.IntN(3)), DefaultAction: Verdict(p.IntN(2)), Bypass: p.IntN(2) == 0,
		IPRules:     many(p, 4, func() IPRule { return IPRule{p.prefix()} }),
		SubnetRules: many(p, 3, func() SubnetRule { return SubnetRule{pick(p, "", "/s1", "/s2")} }),
		Connections: many(p, 3, func() Connection { return Connection{pick(p, "", "/c1", "/c2"), EndpointState(p.IntN(4))} }),
		Perimeter: Perimeter{Mode: PerimeterMode(p.IntN(8) / 2), ID: pick(p, "", "/nsp"),
			Prefixes: many(p, 2, p.prefix), Subscriptions: many(p, 2, p.guid)},
		Trusted: many(p, 2, func() TrustedService {
			return TrustedService{Name: pick(p, "", "Backup", "Factory"), Apps: many(p, 2, p.guid),
				ResourceTypes: many(p, 1, func() string { return "microsoft.datafactory/factories" }),
				Operations:    many(p, 3, func() Operation { return pick(p, SecretGet, SecretList, NoOperation, KeyWrap) })}
		}),
		Enabled: many(p, 2, func() Enabled {
			return Enabled{"enabledForDeployment", TrustedService{Name: pick(p, "", "Backup", "Factory"), Apps: many(p, 2, p.guid),
				Operations: many(p, 3, func() Operation { return pick(p, SecretGet, SecretList, NoOperation, KeyWrap) })}}
		}),
		Model: Model(p.IntN(3)),
		Policies: many(p, 4, func() Policy {
			return Policy{p.guid(), p.guid(), pick(p, GUID{}, p.guid()), words(), words(), words()}
		}),
		Assignments: many(p, 5, func() Assignment {
			return Assignment{Principal: p.guid(), Scope: p.scope(), Role: p.role(), Conditional: p.IntN(8) == 0, Condition: p.condition()}
		}),
		DenyAssignments: many(p, p.IntN(2), func() DenyAssignment {
			return DenyAssignment{Everyone: p.IntN(3) == 0, Principals: many(p, 2, p.guid), Exclude: many(p, 1, p.guid), Scope: p.scope(), Role: p.role()}
		}),
	}
}

func (p pool) request() *Request {
	return &Request{
		Origin: Origin{Path: Path(p.IntN(6)), Addr: p.addr(), Subnet: pick(p, "", "/s1", "/s2"), Endpoint: pick(p, "", "/c1", "/c2"),
			Service: pick(p, "", "", "Backup", "Factory"), Perimeter: pick(p, "", "/nsp", "/other")},
		Caller: Caller{Token: pick(p, TokenValid, TokenValid, TokenValid, TokenState(p.IntN(7))), Tenant: p.guid(), Object: p.guid(), App: p.guid(),
			User: p.IntN(2) == 0, Groups: many(p, 3, p.guid), Subscription: p.guid(),
			IdentityResource: pick(p, "", "/subscriptions/x/resourcegroups/y/providers/Microsoft.DataFactory/factories/f", "/subscriptions/x")},
		Operation: pick(p, SecretGet, SecretGet, SecretList, SecretSet, Operation(p.IntN(int(operations)+3))),
		Object:    pick(p, "", "a", "b", "A"), OverBudget: p.IntN(10) == 0,
	}
}

// TestDecideIsExplain holds the compiled form equal to the plain one.
func TestDecideIsExplain(t *testing.T) {
	rounds := 60_000
	if testing.Short() {
		rounds = 5_000
	}
	for seed := range rounds {
		compareForms(t, uint64(seed), 1)
	}
}

// FuzzDecide is the same with estates found by the fuzzer.
func FuzzDecide(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { compareForms(t, a, b) })
}

func compareForms(t *testing.T, a, b uint64) {
	t.Helper()
	p := pool{rand.New(rand.NewPCG(a, b))}
	rules := p.rules()
	vault := Compile(rules)
	for range 8 {
		r := p.request()
		want := Explain(rules, r).Decision
		if got := vault.Decide(r); got != want {
			t.Fatalf("seed %d,%d: Decide = %+v, Explain says %+v\nrequest %+v\nrules %+v", a, b, got, want, r, rules)
		}
	}
}
