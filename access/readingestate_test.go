package access_test

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"postern/access"
)

// TestDecideIsWhatTheDocumentsSay puts random estates to Decide and to the
// reading. POSTERN_ESTATES says how many.
func TestDecideIsWhatTheDocumentsSay(t *testing.T) {
	estates := 100_000
	if testing.Short() {
		estates = 5_000
	}
	if text := os.Getenv("POSTERN_ESTATES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("POSTERN_ESTATES: %v", err)
		}
		estates = n
	}
	if got, want := len(documented), len(access.Operations()); got != want {
		t.Fatalf("%d operations in the documents' tables, %d in the package's", got, want)
	}
	reasons, conditional := map[access.Reason]int{}, 0
	var pool []*access.Condition
	for seed := range estates {
		w := world{author{rand.New(rand.NewPCG(uint64(seed), 7))}, nil}
		if seed%2000 == 0 {
			pool = conditionPool(t, w.author)
		}
		w.conditions = pool
		rules := w.rules()
		vault := access.Compile(rules)
		for range 4 {
			r := w.request(rules)
			want := reading{rules, r}.decide()
			reasons[want.Reason]++
			if want.Reason == access.ByAssignment && rules.Assignments[want.Rule].Condition != nil {
				conditional++
			}
			if got := vault.Decide(r); got != want {
				t.Fatalf("estate %d: Decide = %+v, the documents say %+v\nrequest %+v\nrules %+v\nconditions %v", seed, got, want, r, rules, conditionsOf(rules))
			}
		}
	}
	if least := estates / 50; conditional < least {
		t.Errorf("a condition held %d times, want %d or more", conditional, least)
	}
	for reason := access.NoToken; reason <= access.ByFlag; reason++ {
		if least := estates / 2000; reasons[reason] < least {
			t.Errorf("%s came out %d times, want %d or more: the estates are too narrow", reason, reasons[reason], least)
		}
	}
	t.Logf("%d estates, four requests each: %v, %d by a condition", estates, reasons, conditional)
}

func conditionPool(t *testing.T, w author) []*access.Condition {
	clear(said)
	var pool []*access.Condition
	for range 100 {
		s := w.sentence(w.IntN(4))
		text := w.text(s)
		c, err := access.ParseCondition(text)
		if err != nil {
			t.Fatalf("ParseCondition(%s) = %v", text, err)
		}
		said[c] = s
		pool = append(pool, c)
	}
	return pool
}

func conditionsOf(rules *access.Rules) (texts []string) {
	for i := range rules.Assignments {
		if c := rules.Assignments[i].Condition; c != nil {
			texts = append(texts, c.String())
		}
	}
	return texts
}

// world makes estates in which things often meet.
type world struct {
	author
	conditions []*access.Condition
}

const worldVault = "/subscriptions/S/resourceGroups/Rg/providers/Microsoft.KeyVault/vaults/Kv"

func (w world) id() (g access.GUID) {
	if g[15] = byte(w.IntN(5)); w.IntN(20) == 0 {
		g[3], g[9] = byte(w.IntN(256)), byte(w.IntN(256))
	}
	return g
}

func list[T any](w world, most int, make func() T) (l []T) {
	for range w.IntN(most + 1) {
		l = append(l, make())
	}
	return l
}

func (w world) text(of ...string) func() string { return func() string { return w.one(of...) } }

func (w world) address() netip.Addr {
	four := netip.AddrFrom4([4]byte{20, 0, byte(w.IntN(2)), byte(w.IntN(12))})
	switch w.IntN(12) {
	case 0:
		return netip.Addr{}
	case 1:
		return netip.AddrFrom16(four.As16())
	case 2:
		return netip.AddrFrom16([16]byte{0x20, 1, 15: byte(w.IntN(9))}).WithZone(w.one("", "e0"))
	}
	return four
}

func (w world) prefix() netip.Prefix {
	a := w.address().WithZone("")
	if !a.IsValid() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(a, a.BitLen()-w.IntN(4)*w.IntN(a.BitLen()/3))
}

func (w world) scope() string {
	return w.one("/", "/", "/subscriptions/s", "/subscriptions/S/resourcegroups/RG", worldVault, "/SUBSCRIPTIONS/s/resourceGroups/rg/providers/microsoft.keyvault/vaults/kv",
		worldVault+"/secrets/a", worldVault+"/Secrets/B", worldVault+"/keys/a", worldVault+"/certificates/a", worldVault+"2", worldVault+"/secrets",
		"/subscriptions/s2", "/subscriptions", "", "/subscriptions/s/resourceGroups/r", worldVault+"/secrets/a/b")
}

func (w world) block() access.Permissions {
	patterns := w.text("*", "Microsoft.KeyVault/vaults/*", "microsoft.keyvault/vaults/secrets/*", "*/read", "*/action", "Microsoft.KeyVault/vaults/secrets/getSecret/action",
		"Microsoft.KeyVault/vaults/*/delete", "Microsoft.KeyVault/vaults/secrets/readMetadata/action", "Microsoft.KeyVault/*/keys/*", "Microsoft.Storage/*", "")
	return access.Permissions{Actions: list(w, 1, patterns), DataActions: list(w, 3, patterns), NotDataActions: list(w, w.IntN(3), patterns)}
}

func (w world) role() *access.Role {
	if w.IntN(12) == 0 {
		return nil
	}
	first := w.block()
	return &access.Role{Actions: first.Actions, DataActions: first.DataActions, NotDataActions: first.NotDataActions, More: list(w, w.IntN(3), w.block)}
}

func (w world) assignment() access.Assignment {
	a := access.Assignment{Principal: w.id(), Scope: w.scope(), Role: w.role(), Conditional: w.IntN(12) == 0}
	if w.IntN(2) == 0 {
		a.Condition = w.conditions[w.IntN(len(w.conditions))]
	}
	return a
}

func (w world) policy() access.Policy {
	words := func() []string {
		return list(w, 3, w.text("get", "LIST", "all", "set", "manageissuers", "wrapKey", "setissuers", "delete", "purge", "create", ""))
	}
	p := access.Policy{Tenant: w.id(), Object: w.id(), Secrets: words(), Keys: words(), Certificates: words()}
	if w.IntN(3) > 0 {
		p.Tenant = access.GUID{15: 1}
	}
	if w.IntN(3) == 0 {
		p.Application = w.id()
	}
	return p
}

func (w world) service() access.TrustedService {
	return access.TrustedService{Name: w.one("Factory", "Backup", ""), Apps: list(w, 2, w.id), ResourceTypes: list(w, 2, w.text("microsoft.datafactory/factories", "microsoft.synapse/workspaces/pools")),
		Operations: list(w, 4, func() access.Operation { return w.operation() })}
}

func (w world) operation() access.Operation {
	if w.IntN(2) == 0 {
		return access.OperationNamed(w.one("SecretGet", "SecretSet", "SecretList", "SecretRestore", "SecretGetDeleted", "KeyWrap"))
	}
	return access.Operation(w.IntN(len(access.Operations()) + 3))
}

func (w world) rules() *access.Rules {
	r := &access.Rules{ID: worldVault, Name: "Kv", PublicAccess: access.PublicAccess([]int{0, 1, 1, 1, 1, 1, 2, 3}[w.IntN(8)]), DefaultAction: access.Verdict(min(w.IntN(3), 1)), Bypass: w.IntN(2) == 0,
		Tenant: access.GUID{15: byte(w.IntN(5))}, IPRules: list(w, 5, func() access.IPRule { return access.IPRule{Prefix: w.prefix()} }),
		SubnetRules: list(w, 3, func() access.SubnetRule { return access.SubnetRule{Subnet: w.one("", "/s1", "/s2", "/s3")} }),
		Connections: list(w, 3, func() access.Connection {
			return access.Connection{ID: w.one("", "/c1", "/c2"), State: access.EndpointState(w.IntN(5))}
		}),
		Trusted: list(w, 3, w.service), Enabled: list(w, 2, func() access.Enabled { return access.Enabled{Flag: "enabledForDeployment", Service: w.service()} }), Model: access.Model([]int{0, 1, 1, 1, 1, 1, 2, 2, 2, 3}[w.IntN(10)]), Policies: list(w, 8, w.policy), Assignments: list(w, 12, w.assignment)}
	if w.IntN(5) == 0 {
		r.Perimeter = access.Perimeter{Mode: access.PerimeterMode(w.IntN(5)), ID: w.one("", "/nsp"), Prefixes: list(w, 2, w.prefix), Subscriptions: list(w, 2, w.id)}
	}
	if w.IntN(2) == 0 { // nothing in the way of the last gate
		r.PublicAccess, r.DefaultAction, r.Perimeter = access.PublicEnabled, access.Allow, access.Perimeter{}
		r.Tenant = access.GUID{15: 1}
	}
	if w.IntN(30) == 0 {
		r.ID = w.one("", "/", "/subscriptions")
	}
	r.DenyAssignments = list(w, w.IntN(3), func() access.DenyAssignment {
		return access.DenyAssignment{Everyone: w.IntN(3) == 0, Principals: list(w, 2, w.id), Exclude: list(w, 1, w.id), Scope: w.scope(), Role: w.role()}
	})
	return r
}

// request is as the planes make them: an object where the operation names
// one, and none elsewhere.
func (w world) request(rules *access.Rules) *access.Request {
	r := &access.Request{Operation: w.operation(), OverBudget: w.IntN(20) == 0,
		Origin: access.Origin{Path: access.Path([]int{0, 1, 1, 1, 2, 2, 3, 3, 1, 4}[w.IntN(10)]), Addr: w.address(), Subnet: w.one("", "/s1", "/s2"), Endpoint: w.one("", "/c1", "/c2"),
			Service: w.one("", "Factory", "Backup"), Perimeter: w.one("", "/nsp", "/other")},
		Caller: access.Caller{Token: access.TokenValid, Tenant: w.id(), Object: w.id(), App: w.id(), User: w.IntN(2) == 0, Groups: list(w, 3, w.id), Subscription: w.id(),
			IdentityResource: w.one("", "/subscriptions/x/resourcegroups/y/providers/Microsoft.DataFactory/factories/f", "/subscriptions/x",
				"/subscriptions/x/resourcegroups/y/providers/microsoft.synapse/workspaces/w/pools/p", "/subscriptions/x/resourcegroups/y/providers/microsoft.synapse/workspaces/w")}}
	if w.IntN(8) > 0 {
		r.Caller.Tenant = rules.Tenant
	}
	if w.IntN(8) == 0 {
		r.Caller.Token = access.TokenState(w.IntN(8))
	}
	if w.IntN(50) == 0 {
		for range 200 {
			r.Caller.Groups = append(r.Caller.Groups, access.GUID{0: 9, 7: byte(w.IntN(256)), 12: byte(w.IntN(256)), 15: byte(w.IntN(256))})
		}
		r.Caller.Groups[100] = w.id()
	}
	if documented[r.Operation].named && w.IntN(20) > 0 {
		r.Object = w.one("a", "a", "b", "A", "c")
	}
	return r
}
