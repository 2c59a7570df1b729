package posture

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/trusted"
)

func TestParsePlace(t *testing.T) {
	addr := netip.MustParseAddr
	for _, test := range []struct {
		text string
		want Place
		ok   bool
	}{
		{"203.0.113.7", Place{Addr: addr("203.0.113.7")}, true},
		{"::ffff:203.0.113.7", Place{Addr: addr("203.0.113.7")}, true},
		{"2001:db8::7", Place{Addr: addr("2001:db8::7")}, true},
		{"subnet:app", Place{BySubnet, "app", netip.Addr{}}, true},
		{"Subnet:myvnet/app@10.0.1.4", Place{BySubnet, "myvnet/app", addr("10.0.1.4")}, true},
		{"endpoint:/subscriptions/s/x/pe@10.0.1.4", Place{ByEndpoint, "/subscriptions/s/x/pe", addr("10.0.1.4")}, true},
		{"service:Azure Backup", Place{ByService, "Azure Backup", netip.Addr{}}, true},
		{"service:Azure Backup@2001:db8::7", Place{ByService, "Azure Backup", addr("2001:db8::7")}, true},
		{"perimeter:p", Place{ByPerimeter, "p", netip.Addr{}}, true},
		{"subnet:", Place{}, false}, {"subnet:/", Place{}, false}, {"subnet:@10.0.1.4", Place{}, false}, {"subnet:a@", Place{}, false},
		{"subnet:a@10.0.1.0/24", Place{}, false}, {"fe80::1%eth0", Place{}, false}, {"network:a", Place{}, false}, {"", Place{}, false},
	} {
		got, err := ParsePlace(test.text)
		if (err == nil) != test.ok || test.ok && got != test.want {
			t.Errorf("ParsePlace(%q) = %+v, %v, want %+v, %v", test.text, got, err, test.want, test.ok)
		}
	}
}

const networkIDs = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.Network/"

// places is a snapshot of two networks with a subnet of one name, an
// endpoint, and a perimeter.
func places(t *testing.T) *estate.Snapshot {
	t.Helper()
	network := func(id, body string) *estate.Resource {
		kind := id[:strings.LastIndexByte(id, '/')]
		return &estate.Resource{ID: networkIDs + id, Type: "Microsoft.Network/" + kind, Name: lastSegment(id), Location: "eastus", Body: []byte(body)}
	}
	s, problems := estate.New([]*estate.Resource{
		network("virtualNetworks/east", `{"properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"app","properties":{"addressPrefix":"10.0.1.0/24"}},
			{"name":"pe","properties":{"addressPrefix":"10.0.3.0/29"}},{"name":"six","properties":{"addressPrefix":"fd00::/64"}},{"name":"tiny","properties":{"addressPrefix":"10.0.4.0/30"}},{"name":"none","properties":{}}]}}`),
		network("virtualNetworks/west", `{"properties":{"subnets":[{"name":"app","properties":{"addressPrefix":"10.1.1.0/24"}}]}}`),
		network("privateEndpoints/kv-pe", `{"properties":{"subnet":{"id":"`+networkIDs+`virtualNetworks/east/subnets/pe"},"customDnsConfigs":[{"ipAddresses":["10.0.3.4"]}]}}`),
		network("networkSecurityPerimeters/nsp", `{}`),
	}, estate.Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

func TestFindPlace(t *testing.T) {
	s := places(t)
	for _, test := range []struct{ place, want, addr string }{
		{"subnet:east/app", "east/app", "10.0.1.4"},
		{"subnet:EAST/APP@10.0.1.9", "east/app", "10.0.1.9"},
		{"subnet:" + networkIDs + "virtualNetworks/West/subnets/app/", "west/app", "10.1.1.4"},
		{"subnet:pe", "east/pe", "10.0.3.5"},
		{"subnet:six", "east/six", "fd00::4"},
		{"10.1.1.7", "west/app", "10.1.1.7"},
		{"10.9.1.7", "", "10.9.1.7"},
		{"endpoint:KV-PE", "east/pe", "10.0.3.5"},
		{"endpoint:kv-pe@192.168.1.1", "east/pe", "192.168.1.1"},
	} {
		p, err := ParsePlace(test.place)
		if err != nil {
			t.Fatal(err)
		}
		at, err := p.find(s, "azure")
		got := ""
		if at.subnet != nil {
			got = subnetName(at.subnet)
		}
		if err != nil || got != test.want || at.addr.String() != test.addr {
			t.Errorf("find(%s) = %q %s, %v, want %q %s", test.place, got, at.addr, err, test.want, test.addr)
		}
	}
}

func TestUnknownPlace(t *testing.T) {
	s := places(t)
	for _, test := range []struct{ place, says, hint string }{
		{"subnet:app", `more than one subnet is called "app"`, "known are east/app, east/none, east/pe, east/six, east/tiny, west/app"},
		{"subnet:north/app", `there is no subnet "north/app"`, "known are east/app, "},
		{"endpoint:other", `there is no endpoint "other"`, "known are kv-pe"},
		{"perimeter:other", `there is no perimeter "other"`, "known are nsp"},
		{"service:Bakup", `there is no service "Bakup"`, "did you mean: Azure Backup"},
	} {
		p, _ := ParsePlace(test.place)
		_, err := p.find(s, "azure")
		var unknown *UnknownPlaceError
		if !errors.As(err, &unknown) || err.Error() != test.says || !strings.HasPrefix(unknown.Hint(), test.hint) {
			t.Errorf("find(%s) = %v, want %q with the hint %q", test.place, err, test.says, test.hint)
		}
	}
	for _, text := range []string{"subnet:tiny", "subnet:none", "subnet:east/app@10.0.2.4"} {
		p, _ := ParsePlace(text)
		if _, err := p.find(s, "azure"); err == nil {
			t.Errorf("find(%s) = nil, want an error", text)
		}
	}
}

func TestFreePrefix(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, test := range []struct {
		space, subnets []string
		want           string
	}{
		{[]string{"10.0.0.0/16"}, nil, "10.0.0.0/28"},
		{[]string{"10.0.0.0/16"}, []string{"10.0.0.0/24"}, "10.0.1.0/28"},
		{[]string{"10.0.0.0/16"}, []string{"10.0.0.0/29", "10.0.0.16/28"}, "10.0.0.32/28"},
		{[]string{"10.0.0.0/24"}, []string{"10.0.0.0/24"}, ""},
		{[]string{"10.0.0.0/24", "10.7.0.0/24"}, []string{"10.0.0.0/24"}, "10.7.0.0/28"},
		{[]string{"fd00::/64"}, nil, ""}, {[]string{"10.0.0.0/29"}, nil, ""}, {[]string{"255.255.255.0/24"}, []string{"255.255.255.0/24"}, ""},
	} {
		v := &estate.VirtualNetwork{}
		for _, p := range test.space {
			v.Prefixes = append(v.Prefixes, prefix(p))
		}
		for _, p := range test.subnets {
			v.Subnets = append(v.Subnets, &estate.Subnet{Prefixes: []netip.Prefix{prefix(p)}})
		}
		got, ok := free(v)
		if ok != (test.want != "") || ok && got.String() != test.want {
			t.Errorf("free(%v less %v) = %v, %v, want %q", test.space, test.subnets, got, ok, test.want)
		}
	}
}

// TestExplainPerimeter: a member of the perimeter is admitted, others are
// told which rule would do it.
func TestExplainPerimeter(t *testing.T) {
	const nsp = networkIDs + "networkSecurityPerimeters/nsp"
	text := "[" + observed(`"tenantId":"`+home+`","publicNetworkAccess":"SecuredByPerimeter","accessPolicies":[{"tenantId":"`+home+`","objectId":"`+alice+`","permissions":{"secrets":["get"]}}]`) + `,
		{"id":"` + nsp + `","name":"nsp","type":"Microsoft.Network/networkSecurityPerimeters"},
		{"id":"` + nsp + `/profiles/p","name":"p","type":"Microsoft.Network/networkSecurityPerimeters/profiles"},
		{"id":"` + nsp + `/profiles/p/accessRules/r","name":"r","type":"Microsoft.Network/networkSecurityPerimeters/profiles/accessRules","direction":"Inbound","addressPrefixes":["203.0.113.0/24"]},
		{"id":"` + nsp + `/resourceAssociations/a","name":"a","type":"Microsoft.Network/networkSecurityPerimeters/resourceAssociations","accessMode":"Enforced",
		"privateLinkResource":{"id":"` + vaultID + `"},"profile":{"id":"` + nsp + `/profiles/p"}}]`
	for place, want := range map[string]Outcome{"perimeter:nsp": Served, "203.0.113.7": Served, "198.51.100.1": Refused} {
		q := asked("203.0.113.7", alice, access.SecretGet)
		q.Place, _ = ParsePlace(place)
		q.Whole, q.Services = true, "azure"
		e, err := Explain(resources(t, text), q, estate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if e.Outcome != want {
			t.Errorf("Explain from %s = %v, want %v: %+v", place, e.Outcome, want, e.Gates)
		}
		if want == Refused && (len(e.Causes) != 1 || e.Causes[0].Code != "perimeter-rule-missing" || !strings.HasSuffix(e.Causes[0].Fix[0], "--address-prefixes 198.51.100.1/32")) {
			t.Errorf("Explain from %s: causes = %+v", place, e.Causes)
		}
	}
}

// TestUnreadPerimeter: a perimeter of which something was not read decides
// nothing.
func TestUnreadPerimeter(t *testing.T) {
	const nsp = networkIDs + "networkSecurityPerimeters/nsp"
	vault := observed(`"tenantId":"` + home + `","publicNetworkAccess":"SecuredByPerimeter"`)
	association := `{"id":"` + nsp + `/resourceAssociations/a","name":"a","type":"Microsoft.Network/networkSecurityPerimeters/resourceAssociations","accessMode":"Enforced",
		"privateLinkResource":{"id":"` + vaultID + `"},"profile":{"id":"` + nsp + `/profiles/p"}}`
	for _, test := range []struct {
		text   string
		unread []string
	}{{vault, nil}, {"[" + vault + "," + association + "]", nil}, {vault, []string{"accessRules was not read: 403"}}} {
		q := asked("203.0.113.7", alice, access.SecretGet)
		q.Whole, q.UnreadPerimeters = test.unread != nil, test.unread
		e, err := Explain(resources(t, test.text), q, estate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if e.Outcome != Undecided {
			t.Errorf("Explain with %q unread of %s = %v, want cannot-tell", test.unread, test.text, e.Outcome)
		}
	}
}

// TestCommandsHoldNoForeignText: what a document says is put into a command
// only when it looks like a name.
func TestCommandsHoldNoForeignText(t *testing.T) {
	const evil = `x;$(touch /tmp/p)`
	id := networkIDs + "virtualNetworks/" + evil
	text := "[" + observed(`"tenantId":"`+home+`",`+acls(`"defaultAction":"Deny","bypass":"None"`)) + `,{"id":"` + id + `","name":"n","type":"Microsoft.Network/virtualNetworks",
		"subnets":[{"name":"` + evil + `","addressPrefix":"10.0.1.0/24","serviceEndpoints":[{"service":"` + evil + `"}]}]}]`
	q := asked("10.0.1.7", alice, access.SecretGet)
	q.Whole = true
	e, err := Explain(resources(t, text), q, estate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Way.Subnet == nil || len(e.Commands()) == 0 || slices.ContainsFunc(e.Commands(), func(c string) bool { return strings.Contains(c, "touch") }) {
		t.Errorf("Explain: commands = %q, want some without what the document says", e.Commands())
	}
}

const usualDelay = 10 * time.Minute

// at is a time of the day of the tests.
func at(t *testing.T, clock string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.DateTime, "2026-11-22 "+clock)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// TestLateRoles: an assignment that is too new counts on no server that
// keeps to a delay, and elsewhere with a remark.
func TestLateRoles(t *testing.T) {
	own := observed(`"tenantId":"` + home + `","enableRbacAuthorization":true`)
	role := assigned(vaultID, alice, user, `,"createdOn":"2026-11-22T10:00:00.0000000Z"`)
	for _, test := range []struct {
		whole bool
		later string
		want  Outcome
		codes string
		notes int
	}{
		{true, "10:05:00", Refused, "role-not-propagated", 0}, {true, "10:10:00", Served, "", 0},
		{false, "10:05:00", Served, "", 1}, {false, "10:10:00", Served, "", 0},
	} {
		q := asked("203.0.113.7", alice, access.SecretGet)
		q.Request.Caller.Tenant, q.TenantKnown = access.MustGUID(home), true
		q.Whole, q.RoleDelay = test.whole, usualDelay
		q.Now = at(t, test.later)
		e, err := Explain(resources(t, "["+own+","+role+"]"), q, estate.Options{Role: roleOf})
		if err != nil {
			t.Fatal(err)
		}
		codes := ""
		for _, c := range e.Causes {
			codes += c.Code
		}
		notes := 0
		for _, n := range e.Notes {
			if strings.Contains(n, "may take") {
				notes++
			}
		}
		if e.Outcome != test.want || codes != test.codes || notes != test.notes {
			t.Errorf("whole %v at %s: Explain = %v %q, %q, want %v %q and %d remarks", test.whole, test.later, e.Outcome, codes, e.Notes, test.want, test.codes, test.notes)
		}
	}
}

// TestTrustedPlaces: every service of both lists is a place.
func TestTrustedPlaces(t *testing.T) {
	for _, list := range []string{"azure", "documents"} {
		services, _ := trusted.Services(list)
		for _, s := range services {
			p, err := ParsePlace("service:" + strings.ToLower(s.Name))
			if err != nil {
				t.Fatal(err)
			}
			if at, err := p.find(places(t), list); err != nil || at.service != s.Name {
				t.Errorf("find(%s of %s) = %q, %v", s.Name, list, at.service, err)
			}
		}
	}
}
