package access

import (
	"fmt"
	"net/netip"
	"testing"
)

// The truth table of the network gate, written down as the documentation
// has it and apart from the code: the first row that fits decides. "" fits
// everything.
var truthTable = []struct{ connection, perimeter, public, action, bypass, verdict string }{
	{"approved endpoint", "", "", "", "", "by endpoint"},
	{"", "Enforced", "", "", "", "perimeter decides"},
	{"", "", "SecuredByPerimeter", "", "", "perimeter decides"},
	{"", "", "Disabled", "", "AzureServices", "unless trusted PublicDisabledNotTrusted"},
	{"", "", "Disabled", "", "None", "PublicDisabledBypassNone"},
	{"unproved", "", "Enabled", "", "AzureServices", "unless trusted FirewallNotTrusted"},
	{"unproved", "", "Enabled", "", "None", "FirewallBypassNone"},
	{"", "", "Enabled", "Allow", "", "open"},
	{"address in rules", "", "Enabled", "Deny", "", "by address"},
	{"subnet in rules", "", "Enabled", "Deny", "", "by subnet"},
	{"", "", "Enabled", "Deny", "AzureServices", "unless trusted FirewallNotTrusted"},
	{"", "", "Enabled", "Deny", "None", "FirewallBypassNone"},
}

func truth(connection, perimeter, public, action, bypass string) string {
	fits := func(cell, value string) bool { return cell == "" || cell == value }
	for _, row := range truthTable {
		if fits(row.connection, connection) && fits(row.perimeter, perimeter) && fits(row.public, public) &&
			fits(row.action, action) && fits(row.bypass, bypass) {
			return row.verdict
		}
	}
	return "no row"
}

// truthPlace is a connection and what the table calls it.
type truthPlace struct {
	name, kind string
	public     bool // has a public address that a perimeter's rule could hold
	origin     Origin
}

func truthPlaces() []truthPlace {
	in, out, private := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("198.51.100.42"), netip.MustParseAddr("10.0.3.5")
	return []truthPlace{
		{"unknown", "unproved", false, Origin{}},
		{"unknown with address", "unproved", false, Origin{Addr: in, Subnet: "/app", Endpoint: "/approved"}},
		{"public", "other", true, Origin{Path: PathPublic, Addr: out}},
		{"public in ipRules", "address in rules", true, Origin{Path: PathPublic, Addr: in}},
		{"public without address", "other", false, Origin{Path: PathPublic}},
		{"public that names a subnet", "other", true, Origin{Path: PathPublic, Addr: out, Subnet: "/app", Endpoint: "/approved"}},
		{"subnet", "other", false, Origin{Path: PathSubnet, Addr: private, Subnet: "/aks"}},
		{"subnet in rules", "subnet in rules", false, Origin{Path: PathSubnet, Addr: private, Subnet: "/app"}},
		{"subnet with an address of ipRules", "other", false, Origin{Path: PathSubnet, Addr: in, Subnet: "/aks"}},
		{"approved", "approved endpoint", false, Origin{Path: PathPrivateEndpoint, Addr: private, Endpoint: "/approved"}},
		{"pending", "other", false, Origin{Path: PathPrivateEndpoint, Addr: in, Endpoint: "/pending"}},
		{"rejected", "other", false, Origin{Path: PathPrivateEndpoint, Addr: private, Endpoint: "/rejected"}},
		{"disconnected", "other", false, Origin{Path: PathPrivateEndpoint, Addr: private, Endpoint: "/disconnected"}},
		{"of another vault", "other", false, Origin{Path: PathPrivateEndpoint, Addr: private, Endpoint: "/elsewhere"}},
		{"endpoint without a name", "other", false, Origin{Path: PathPrivateEndpoint, Addr: private, Subnet: "/app"}},
	}
}

var truthRole = &Role{DataActions: []string{vaults + "*"}}

// truthRules is the configuration of one line of settings.
func truthRules(mode, public, action, bypass int, rule string) *Rules {
	r := &Rules{
		ID: vaultID, Tenant: number(1, 1), PublicAccess: PublicAccess(public), DefaultAction: Verdict(action), Bypass: bypass == 1,
		IPRules:     []IPRule{{netip.MustParsePrefix("192.0.2.0/24")}, {netip.MustParsePrefix("203.0.113.0/24")}},
		SubnetRules: []SubnetRule{{"/other"}, {"/app"}},
		Connections: []Connection{{"/pending", EndpointPending}, {"/approved", EndpointApproved}, {"/rejected", EndpointRejected}, {"/disconnected", EndpointDisconnected}},
		Trusted:     []TrustedService{{"Storage", []GUID{number(6, 1)}, nil, []Operation{KeyUnwrap}}},
		Model:       ModelRBAC,
		Assignments: []Assignment{{Principal: number(4, 1), Scope: vaultID, Role: truthRole}},
		Perimeter:   Perimeter{Mode: PerimeterMode(mode)},
	}
	switch rule {
	case "address":
		r.Perimeter.Prefixes = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	case "subscription":
		r.Perimeter.Subscriptions = []GUID{{}, number(5, 1)}
	case "member":
		r.Perimeter.ID = "/nsp"
	}
	return r
}

var (
	truthPublic  = [...]string{"Disabled", "Enabled", "SecuredByPerimeter"}
	truthActions = [...]string{"Deny", "Allow"}
	truthBypass  = [...]string{"None", "AzureServices"}
	truthModes   = [...]string{"None", "Transition", "Enforced"}
	truthRule    = [...]string{"nothing", "address", "subscription", "member"}
	truthTrust   = [...]string{"trusted", "stranger", "no proof", "no identity", "another operation", "another service"}
	truthRest    = [...]string{"fine", "another tenant", "over budget", "no right"}
)

// truthCase is one combination.
type truthCase struct {
	place                              truthPlace
	mode, public, action, bypass, rule string
	trust, rest                        string
	token                              TokenState
}

func (c *truthCase) String() string {
	return fmt.Sprintf("connection %s, perimeter %s with %s, %s, %s, bypass %s, %s, token %s, %s",
		c.place.name, c.mode, c.rule, c.public, c.action, c.bypass, c.trust, corpusTokens[c.token], c.rest)
}

func (c *truthCase) request() *Request {
	r := &Request{Origin: c.place.origin, Operation: KeyUnwrap, Object: "cmk", OverBudget: c.rest == "over budget"}
	r.Caller = Caller{Token: c.token, Tenant: number(1, 1), Object: number(4, 1), App: number(6, 1), Subscription: number(5, 1)}
	r.Origin.Perimeter, r.Origin.Service = "/nsp", "Storage"
	switch c.trust {
	case "stranger":
		r.Origin.Service, r.Caller.App = "", number(6, 9)
	case "no proof":
		r.Origin.Service = ""
	case "no identity":
		r.Caller.App = number(6, 9)
	case "another operation":
		r.Operation = KeyDecrypt
	case "another service":
		r.Origin.Service = "SQL"
	}
	switch c.rest {
	case "another tenant":
		r.Caller.Tenant = number(1, 2)
	case "no right":
		r.Caller.Object = number(4, 2)
	}
	return r
}

// want is what the table says of the case, in the words of the corpus.
func (c *truthCase) want() string {
	valid := c.token == TokenValid
	inside := c.mode != "None" && (c.rule == "address" && c.place.public || c.rule == "subscription" && valid || c.rule == "member")
	verdict := truth(c.place.kind, c.mode, c.public, c.action, c.bypass)
	admitted, refusal := "no", ""
	switch verdict {
	case "by endpoint":
		admitted = "PrivateEndpoint/1"
	case "by address":
		admitted = "IP/1"
	case "by subnet":
		admitted = "Subnet/1"
	case "open":
		admitted = "Open"
	case "perimeter decides":
		if admitted = "Perimeter"; !inside {
			admitted, refusal = "no", "PerimeterDenied"
		}
	case "unless trusted FirewallNotTrusted", "unless trusted PublicDisabledNotTrusted":
		if admitted = "Trusted/0"; !valid || c.trust != "trusted" {
			admitted, refusal = "no", verdict[len("unless trusted "):]
		}
	default:
		refusal = verdict
	}
	note := ""
	if c.mode == "Transition" && !inside && verdict != "by endpoint" && verdict != "perimeter decides" {
		note = " would-deny"
	}
	answer, rule := "", "none"
	switch {
	case c.token == TokenAbsent:
		answer = "Deny token NoToken"
	case refusal != "":
		answer = "Deny network " + refusal
	case !valid:
		answer = "Deny identity BadToken"
	case c.rest == "another tenant":
		answer = "Deny identity WrongTenant"
	case c.rest == "over budget":
		answer = "Deny throttle Throttled"
	case c.rest == "no right":
		answer = "Deny permission NoAssignment"
	default:
		answer, rule = "Allow permission ByAssignment", "0"
	}
	return fmt.Sprintf("%s admitted=%s rule=%s%s", answer, admitted, rule, note)
}

// TestTruthTable walks every combination of the settings of the network
// gate with every kind of connection, caller and token.
func TestTruthTable(t *testing.T) {
	combinations := 0
	for mode := range truthModes {
		for public := range truthPublic {
			for action := range truthActions {
				for bypass := range truthBypass {
					for _, rule := range truthRule {
						rules := truthRules(mode, public, action, bypass, rule)
						c := truthCase{mode: truthModes[mode], public: truthPublic[public], action: truthActions[action], bypass: truthBypass[bypass], rule: rule}
						combinations += checkTruth(t, rules, c)
					}
				}
			}
		}
	}
	t.Logf("%d combinations", combinations)
}

// checkTruth puts every request to one configuration.
func checkTruth(t *testing.T, rules *Rules, c truthCase) (combinations int) {
	t.Helper()
	vault := Compile(rules)
	for _, c.place = range truthPlaces() {
		for _, c.trust = range truthTrust {
			for c.token = TokenAbsent; c.token <= TokenValid; c.token++ {
				for _, c.rest = range truthRest {
					combinations++
					r, want := c.request(), c.want()
					if got := describe(Explain(rules, r).Decision); got != want {
						t.Fatalf("%s: Explain = %s, want %s", &c, got, want)
					}
					if got := describe(vault.Decide(r)); got != want {
						t.Fatalf("%s: Decide = %s, want %s", &c, got, want)
					}
				}
			}
		}
	}
	return combinations
}
