package access

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// permitted is a configuration and a request that it allows, by an IP rule
// and a role assignment or, under policies, an access policy.
func permitted(model Model) (*Rules, *Request) {
	rules := &Rules{
		ID: vaultID, Name: "v", Tenant: number(1, 1), PublicAccess: PublicEnabled, Model: model,
		IPRules:     []IPRule{{netip.MustParsePrefix("203.0.113.0/24")}},
		Assignments: []Assignment{{Principal: number(4, 1), Scope: vaultID, Role: truthRole}},
		Policies:    []Policy{{Tenant: number(1, 1), Object: number(4, 1), Secrets: []string{"get"}}},
	}
	return rules, &Request{
		Origin:    Origin{Path: PathPublic, Addr: netip.MustParseAddr("203.0.113.7")},
		Caller:    Caller{Token: TokenValid, Tenant: number(1, 1), Object: number(4, 1)},
		Operation: SecretGet, Object: "db",
	}
}

// bothForms decides in both forms, and says so when they differ.
func bothForms(t *testing.T, rules *Rules, r *Request) Decision {
	t.Helper()
	plain, compiled := Explain(rules, r).Decision, Compile(rules).Decide(r)
	if plain != compiled {
		t.Errorf("Decide = %s, Explain says %s", describe(compiled), describe(plain))
	}
	return plain
}

// TestZeroDenies: nothing is allowed by what nobody wrote, and a permitted
// request is refused as soon as one of the values it rests on is zero.
func TestZeroDenies(t *testing.T) {
	for _, model := range []Model{ModelRBAC, ModelPolicies} {
		for _, c := range []struct {
			name string
			zero func(*Rules, *Request)
			want string
		}{
			{"nothing", func(*Rules, *Request) {}, map[Model]string{ModelRBAC: "ByAssignment", ModelPolicies: "ByPolicy"}[model]},
			{"the request", func(_ *Rules, r *Request) { *r = Request{} }, "NoToken"},
			{"the rules", func(rules *Rules, _ *Request) { *rules = Rules{} }, "PublicDisabledBypassNone"},
			{"both", func(rules *Rules, r *Request) { *rules, *r = Rules{}, Request{} }, "NoToken"},
			{"Origin", func(_ *Rules, r *Request) { r.Origin = Origin{} }, "FirewallBypassNone"},
			{"Origin of an open vault", func(rules *Rules, r *Request) { r.Origin, rules.DefaultAction = Origin{}, Allow }, "FirewallBypassNone"},
			{"Origin.Path", func(_ *Rules, r *Request) { r.Origin.Path = PathUnknown }, "FirewallBypassNone"},
			{"Origin.Addr", func(_ *Rules, r *Request) { r.Origin.Addr = netip.Addr{} }, "FirewallBypassNone"},
			{"Caller", func(_ *Rules, r *Request) { r.Caller = Caller{} }, "NoToken"},
			{"Caller.Token", func(_ *Rules, r *Request) { r.Caller.Token = TokenAbsent }, "NoToken"},
			{"Caller.Tenant", func(_ *Rules, r *Request) { r.Caller.Tenant = GUID{} }, "WrongTenant"},
			{"Caller.Object", func(_ *Rules, r *Request) { r.Caller.Object = GUID{} }, map[Model]string{ModelRBAC: "NoAssignment", ModelPolicies: "NoPolicy"}[model]},
			{"Operation", func(_ *Rules, r *Request) { r.Operation = NoOperation }, map[Model]string{ModelRBAC: "NoAssignment", ModelPolicies: "NoPolicy"}[model]},
			{"Tenant", func(rules *Rules, _ *Request) { rules.Tenant = GUID{} }, "WrongTenant"},
			{"both tenants", func(rules *Rules, r *Request) { rules.Tenant, r.Caller.Tenant = GUID{}, GUID{} }, "WrongTenant"},
			{"PublicAccess", func(rules *Rules, _ *Request) { rules.PublicAccess = PublicDisabled }, "PublicDisabledBypassNone"},
			{"IPRules", func(rules *Rules, _ *Request) { rules.IPRules = nil }, "FirewallBypassNone"},
			{"IPRules[0]", func(rules *Rules, _ *Request) { rules.IPRules = []IPRule{{}} }, "FirewallBypassNone"},
			{"Model", func(rules *Rules, _ *Request) { rules.Model = ModelNone }, "NoModel"},
		} {
			rules, r := permitted(model)
			c.zero(rules, r)
			d := bothForms(t, rules, r)
			if d.Reason.String() != c.want || d.Allowed() != (c.name == "nothing") {
				t.Errorf("model %d with %s zero = %s, want reason %s", model, c.name, describe(d), c.want)
			}
		}
	}
}

// TestZeroRulesMatchNothing: rules with zero values in them do not match
// requests with zero values in them.
func TestZeroRulesMatchNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Rules, *Request)
		want string
	}{
		{"assignment", func(rules *Rules, r *Request) {
			rules.Assignments, r.Caller.Object, r.Caller.Groups = []Assignment{{Scope: "/", Role: truthRole}}, GUID{}, []GUID{{}}
		}, "NoAssignment"},
		{"assignment without a role", func(rules *Rules, _ *Request) { rules.Assignments[0].Role = nil }, "NoAssignment"},
		{"assignment with an empty role", func(rules *Rules, _ *Request) { rules.Assignments[0].Role = &Role{} }, "NoAssignment"},
		{"assignment without a scope", func(rules *Rules, _ *Request) { rules.Assignments[0].Scope = "" }, "NoAssignment"},
		{"deny", func(rules *Rules, _ *Request) { rules.DenyAssignments = []DenyAssignment{{}} }, "ByAssignment"},
		{"policy", func(rules *Rules, r *Request) {
			rules.Model, rules.Policies, r.Caller.Object = ModelPolicies, []Policy{{Tenant: number(1, 1), Secrets: []string{"all"}}}, GUID{}
		}, "NoPolicy"},
		{"policy without a tenant", func(rules *Rules, _ *Request) { rules.Model, rules.Policies[0].Tenant = ModelPolicies, GUID{} }, "NoPolicy"},
		{"policy with an empty word", func(rules *Rules, _ *Request) {
			rules.Model, rules.Policies[0].Secrets = ModelPolicies, []string{""}
		}, "NoPolicy"},
		{"subnet", func(rules *Rules, r *Request) {
			rules.SubnetRules, r.Origin = []SubnetRule{{}}, Origin{Path: PathSubnet}
		}, "FirewallBypassNone"},
		{"connection", func(rules *Rules, r *Request) {
			rules.Connections, r.Origin = []Connection{{State: EndpointApproved}}, Origin{Path: PathPrivateEndpoint}
		}, "FirewallBypassNone"},
		{"connection state", func(rules *Rules, r *Request) {
			rules.Connections, r.Origin = []Connection{{ID: "/c"}}, Origin{Path: PathPrivateEndpoint, Endpoint: "/c"}
		}, "FirewallBypassNone"},
		{"perimeter", func(rules *Rules, _ *Request) { rules.PublicAccess = PublicByPerimeter }, "PerimeterDenied"},
		{"perimeter id", func(rules *Rules, _ *Request) { rules.Perimeter.Mode = PerimeterEnforced }, "PerimeterDenied"},
		{"perimeter mode", func(rules *Rules, r *Request) {
			rules.PublicAccess, rules.Perimeter.ID, r.Origin.Perimeter = PublicByPerimeter, "/nsp", "/nsp"
		}, "PerimeterDenied"},
		{"perimeter subscription", func(rules *Rules, _ *Request) {
			rules.Perimeter = Perimeter{Mode: PerimeterEnforced, Subscriptions: []GUID{{}}}
		}, "PerimeterDenied"},
		{"perimeter prefix", func(rules *Rules, r *Request) {
			rules.Perimeter, r.Origin.Addr = Perimeter{Mode: PerimeterEnforced, Prefixes: []netip.Prefix{{}}}, netip.Addr{}
		}, "PerimeterDenied"},
		{"trusted service", func(rules *Rules, _ *Request) {
			rules.IPRules, rules.Bypass, rules.Trusted = nil, true, []TrustedService{{}}
		}, "FirewallNotTrusted"},
		{"trusted service's name", func(rules *Rules, r *Request) {
			rules.IPRules, rules.Bypass, r.Caller.App = nil, true, number(6, 1)
			rules.Trusted = []TrustedService{{Apps: []GUID{number(6, 1)}, Operations: []Operation{SecretGet}}}
		}, "FirewallNotTrusted"},
		{"trusted service's application", func(rules *Rules, r *Request) {
			rules.IPRules, rules.Bypass, r.Origin.Service = nil, true, "Backup"
			rules.Trusted = []TrustedService{{Name: "Backup", Apps: []GUID{{}}, ResourceTypes: []string{""}, Operations: []Operation{SecretGet}}}
		}, "FirewallNotTrusted"},
		{"trusted service's operation", func(rules *Rules, r *Request) {
			rules.IPRules, rules.Bypass, r.Origin.Service, r.Caller.App, r.Operation = nil, true, "Backup", number(6, 1), NoOperation
			rules.Trusted = []TrustedService{{Name: "Backup", Apps: []GUID{number(6, 1)}, Operations: []Operation{NoOperation}}}
		}, "FirewallNotTrusted"},
	} {
		rules, r := permitted(ModelRBAC)
		c.set(rules, r)
		if d := bothForms(t, rules, r); d.Reason.String() != c.want {
			t.Errorf("a zero %s = %s, want reason %s", c.name, describe(d), c.want)
		}
	}
}

// TestUnknownValuesDeny: values beyond the last of an enumeration allow
// nothing.
func TestUnknownValuesDeny(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Rules, *Request, uint8)
		last uint8
	}{
		{"PublicAccess", func(rules *Rules, _ *Request, n uint8) { rules.PublicAccess = PublicAccess(n) }, uint8(PublicByPerimeter)},
		{"DefaultAction", func(rules *Rules, _ *Request, n uint8) { rules.DefaultAction, rules.IPRules = Verdict(n), nil }, uint8(Allow)},
		{"Model", func(rules *Rules, _ *Request, n uint8) { rules.Model = Model(n) }, uint8(ModelPolicies)},
		{"Path", func(_ *Rules, r *Request, n uint8) { r.Origin.Path = Path(n) }, uint8(PathPrivateEndpoint)},
		{"Token", func(_ *Rules, r *Request, n uint8) { r.Caller.Token = TokenState(n) }, uint8(TokenValid)},
		{"Operation", func(_ *Rules, r *Request, n uint8) { r.Operation = Operation(n) }, uint8(operations - 1)},
		{"State", func(rules *Rules, r *Request, n uint8) {
			rules.Connections, r.Origin = []Connection{{"/c", EndpointState(n)}}, Origin{Path: PathPrivateEndpoint, Endpoint: "/c"}
		}, uint8(EndpointDisconnected)},
	} {
		for n := int(c.last) + 1; n < 256; n++ {
			rules, r := permitted(ModelRBAC)
			c.set(rules, r, uint8(n))
			if d := bothForms(t, rules, r); d.Allowed() {
				t.Errorf("%s %d = %s, want a refusal", c.name, n, describe(d))
			}
		}
	}
}

func TestNilVaultDenies(t *testing.T) {
	_, r := permitted(ModelRBAC)
	var v *Vault
	if got, want := describe(v.Decide(r)), "Deny none Undecided admitted=no rule=none"; got != want {
		t.Errorf("Decide of a nil vault = %s, want %s", got, want)
	}
	if (Decision{}).Allowed() {
		t.Error("Decision{}.Allowed() = true, want false")
	}
	if got, want := (&Vault{}).Decide(r).Allowed(), false; got != want {
		t.Errorf("Decide of an empty vault allows = %v, want %v", got, want)
	}
}

func TestUnknownOperation(t *testing.T) {
	for _, o := range []Operation{NoOperation, operations, 255} {
		if got := o.Info(); got != (OperationInfo{}) {
			t.Errorf("Operation(%d).Info() = %+v, want the zero row", o, got)
		}
	}
	for _, name := range []string{"", "secretget", "SecretFetch"} {
		if got := OperationNamed(name); got != NoOperation {
			t.Errorf("OperationNamed(%q) = %v, want none", name, got)
		}
	}
}

// TestStepsAreComplete: an explanation has every gate, in order, and the
// decision is that of the first that does not pass.
func TestStepsAreComplete(t *testing.T) {
	gates := []Gate{GateToken, GateNetwork, GateIdentity, GateThrottle, GatePermission}
	for seed := range uint64(5_000) {
		p := pool{rand.New(rand.NewPCG(seed, 3))}
		rules, r := p.rules(), p.request()
		e := Explain(rules, r)
		var got []Gate
		for _, s := range e.Steps {
			got = append(got, s.Gate)
		}
		if !slices.Equal(got, gates) {
			t.Fatalf("seed %d: gates of Explain = %v, want %v", seed, got, gates)
		}
		if err := coherent(e, r); err != nil {
			t.Fatalf("seed %d: %v in %+v", seed, err, e)
		}
	}
}

func coherent(e Explanation, r *Request) error {
	stopped := slices.IndexFunc(e.Steps, func(s Step) bool { return s.Outcome != Passed })
	d, last := e.Decision, e.Steps[len(e.Steps)-1]
	switch {
	case d.Allowed() != (stopped < 0):
		return fmt.Errorf("allowed %v with step %d stopping", d.Allowed(), stopped)
	case d.Allowed() && (d.Gate != GatePermission || d.Reason != last.Reason || d.Rule != last.Rule || d.Rule == NoRule):
		return fmt.Errorf("an allowance that is not the last step's")
	case !d.Allowed() && (d.Gate != e.Steps[stopped].Gate || d.Reason != e.Steps[stopped].Reason):
		return fmt.Errorf("a refusal that is not step %d's", stopped)
	case d.Reason == Undecided:
		return fmt.Errorf("no reason")
	case d.Gate != GatePermission && d.Rule != NoRule:
		return fmt.Errorf("a rule of another gate")
	}
	for _, s := range e.Steps {
		asked := s.Gate != GateIdentity && s.Gate != GatePermission || r.Caller.Token != TokenAbsent
		switch {
		case s.Outcome == Pointless && asked && r.Caller.Token == TokenValid:
			return fmt.Errorf("%s not asked of a valid token", s.Gate)
		case s.Outcome != Passed && s.Reason == Undecided:
			return fmt.Errorf("%s %s without a reason", s.Gate, s.Outcome)
		case s.Gate == GateNetwork && (s.Outcome == Passed) != (s.Admitted != NotAdmitted):
			return fmt.Errorf("network %s by admission %d", s.Outcome, s.Admitted)
		case s.Gate != GateNetwork && s.Admitted != NotAdmitted:
			return fmt.Errorf("%s admits", s.Gate)
		}
	}
	return nil
}

// TestEveryGateSpeaks: steps behind a refusal still say what they would.
func TestEveryGateSpeaks(t *testing.T) {
	rules, r := permitted(ModelRBAC)
	rules.IPRules, r.OverBudget = nil, true
	want := "token passed Undecided, network refused FirewallBypassNone, identity passed Undecided, throttle refused Throttled, permission passed ByAssignment"
	if got := steps(Explain(rules, r)); got != want {
		t.Errorf("Explain = %s, want %s", got, want)
	}
	r.Caller.Token = TokenExpired
	want = "token passed Undecided, network refused FirewallBypassNone, identity refused BadToken, throttle refused Throttled, permission not asked BadToken"
	if got := steps(Explain(rules, r)); got != want {
		t.Errorf("Explain = %s, want %s", got, want)
	}
}

func steps(e Explanation) string {
	text := ""
	for i, s := range e.Steps {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %s %s", s.Gate, s.Outcome, s.Reason)
	}
	return text
}
