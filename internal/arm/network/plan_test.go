package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

const networkID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"

var someMarks = marks{strings.Repeat("1", 32), strings.Repeat("2", 32), strings.Repeat("3", 32), "0000000000000001ffffffffffffffff"}

// draw makes the properties of a network with an address space and subnets
// ("name prefix").
func draw(space string, subnets ...string) string {
	var list []string
	for _, s := range subnets {
		name, prefix, _ := strings.Cut(s, " ")
		list = append(list, fmt.Sprintf(`{"name":%q,"properties":{"addressPrefix":%q}}`, name, prefix))
	}
	prefixes := strings.ReplaceAll(fmt.Sprintf("%q", strings.Fields(space)), " ", ",")
	return `{"addressSpace":{"addressPrefixes":` + prefixes + `},"subnets":[` + strings.Join(list, ",") + `]}`
}

func complete(t *testing.T, text string) (*ordered.Object, error) {
	t.Helper()
	sent, err := ordered.ParseObject([]byte(text), 32)
	if err != nil {
		t.Fatal(err)
	}
	p := plan{id: networkID, name: "v", location: "eastus", marks: someMarks}
	return p.complete(sent)
}

func TestPlanRefuses(t *testing.T) {
	const subnet = `{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24",%s}}]}`
	with := func(property string) string { return fmt.Sprintf(subnet, property) }
	rows := []struct{ in, code, text string }{
		{draw("10.0.0.0/16"), "", ""},
		{draw("10.0.0.0/16 fd00::/48", "a 10.0.1.0/24", "b 10.0.2.0/24", "six fd00::/64"), "", ""},
		{draw("203.0.113.0/24 127.0.0.0/8", "a 203.0.113.0/29"), "", ""},
		{`{}`, "InvalidRequestFormat", "Cannot parse the request."},
		{`{"addressSpace":{"addressPrefixes":[]}}`, "InvalidRequestFormat", "Cannot parse the request."},
		{`{"addressSpace":{"addressPrefixes":[7]}}`, "InvalidRequestFormat", "Cannot parse the request."},
		{`{"addressSpace":[]}`, "InvalidRequestFormat", "Cannot parse the request."},
		{draw("10.0.0.0"), "InvalidAddressPrefixFormat", "Address prefix 10.0.0.0 of resource " + networkID + " is not formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24."},
		{draw("::ffff:10.0.0.0/112"), "InvalidAddressPrefixFormat", "is not formatted correctly."},
		{draw("10.0.0.1/16"), "InvalidCIDRNotation", "The address prefix 10.0.0.1/16 in resource " + networkID + " has an invalid CIDR notation. For the given prefix length, the address prefix should be 10.0.0.0/16."},
		{draw("10.0.0.0/8 10.1.0.0/16"), "NetcfgInvalidIPAddressPrefix", "The address prefix 10.1.0.0/16 of virtual network v overlaps"},
		{draw("224.0.0.0/24"), "AddressPrefixNotAllowed", "224.0.0.0/4"},
		{draw("169.254.1.0/24"), "AddressPrefixNotAllowed", "169.254.0.0/16"},
		{draw("168.63.129.0/24"), "AddressPrefixNotAllowed", "168.63.129.16/32"},
		{draw("0.0.0.0/0"), "AddressPrefixNotAllowed", "reserved"},
		{draw("10.0.0.0/16", "a 10.1.0.0/24"), "NetcfgSubnetRangeOutsideVnet", "Subnet 'a' is not valid because its IP address range is outside the IP address range of virtual network 'v'."},
		{draw("10.0.0.0/16", "a 10.0.0.0/15"), "NetcfgSubnetRangeOutsideVnet", "Subnet 'a'"},
		{draw("10.0.0.0/16", "a 10.0.1.0/24", "b 10.0.0.0/23"), "NetcfgSubnetRangesOverlap", "Subnet 'b' is not valid because its IP address range overlaps with that of an existing subnet in virtual network 'v'."},
		{draw("10.0.0.0/16", "a 10.0.0.0/30"), "NetcfgInvalidSubnet", "Subnet 'a' is not valid in virtual network 'v'."},
		{draw("fd00::/48", "a fd00::/80"), "NetcfgInvalidSubnet", "Subnet 'a'"},
		{draw("10.0.0.0/16", "a 10.0.0.1/24"), "InvalidCIDRNotation", networkID + "/subnets/a has an invalid"},
		{draw("10.0.0.0/16", "a 10.0.0.0/24", "A 10.0.1.0/24"), "DuplicateResourceName", "has two child resources with the same name (A)."},
		{draw("10.0.0.0/16", "-a 10.0.0.0/24"), "InvalidResourceName", "Resource name -a is invalid."},
		{draw("10.0.0.0/16", "a. 10.0.0.0/24"), "InvalidResourceName", "Resource name a. is invalid."},
		{draw("10.0.0.0/16", strings.Repeat("a", 81)+" 10.0.0.0/24"), "InvalidResourceName", "is invalid."},
		{`{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"a"}]}`, "InvalidRequestFormat", "Cannot parse the request."},
		{`{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"a","properties":{}}]}`, "InvalidRequestFormat", "Cannot parse the request."},
		{`{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":["a"]}`, "InvalidRequestFormat", "Cannot parse the request."},
		{`{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":{}}`, "InvalidRequestFormat", "Cannot parse the request."},
		{`{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"dhcpOptions":{"dnsServers":["dns.example"]}}`, "InvalidIPAddressFormat", "IP address dns.example is not formatted correctly."},
		{`{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"dhcpOptions":[]}`, "InvalidRequestFormat", "Cannot parse the request."},
		{with(`"serviceEndpoints":[{"service":"KeyVault"}]`), "InvalidServiceEndpointService", "The service 'KeyVault'"},
		{with(`"serviceEndpoints":[{}]`), "InvalidServiceEndpointService", "The service ''"},
		{with(`"serviceEndpoints":"Microsoft.KeyVault"`), "InvalidRequestFormat", "Cannot parse the request."},
		{with(`"delegations":[{"name":"d"}]`), "InvalidRequestFormat", "Cannot parse the request."},
		{with(`"privateEndpointNetworkPolicies":"Off"`), "InvalidRequestFormat", "Cannot parse the request."},
		{with(`"privateLinkServiceNetworkPolicies":true`), "InvalidRequestFormat", "Cannot parse the request."},
		{with(`"addressPrefixes":["10.0.0.0/24","10.0.1.0/24"]`), "", ""},
		{with(`"addressPrefixes":["10.0.0.0/24","10.0.0.0/25"]`), "NetcfgSubnetRangesOverlap", "Subnet 'a'"},
	}
	for _, row := range rows {
		_, err := complete(t, row.in)
		var f *fault.Error
		if !errors.As(err, &f) {
			f = &fault.Error{}
		}
		if f.Code != row.code || !strings.Contains(f.Message, row.text) || err != nil && f.Status != 400 {
			t.Errorf("complete(%.150s) = %d %s %s, want %s %s", row.in, f.Status, f.Code, f.Message, row.code, row.text)
		}
	}
}

// TestPlanCompletes: what az sends, and what the service answers (recorded).
func TestPlanCompletes(t *testing.T) {
	got, err := complete(t, `{"provisioningState":"Updating","resourceGuid":"theirs","addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"dhcpOptions":{},
		"unknown":{"x":1},"flowTimeoutInMinutes":null,"subnets":[{"name":"app","id":"theirs","properties":{"addressPrefix":"10.0.1.0/24",
		"serviceEndpoints":[{"service":"Microsoft.KeyVault"},{"service":"microsoft.keyvault"},{"service":"Microsoft.Storage"}],
		"delegations":[{"name":"web","properties":{"serviceName":"Microsoft.Web/serverFarms"}}],
		"ipConfigurations":[{"id":"theirs"}],"privateEndpointNetworkPolicies":"enabled","networkSecurityGroup":{"id":"/nsg"}}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	const etag = `W/\"11111111-1111-4111-9111-111111111111\"`
	const app = networkID + "/subnets/app"
	want := `{"provisioningState":"Succeeded","resourceGuid":"22222222-2222-4222-a222-222222222222","addressSpace":{"addressPrefixes":["10.0.0.0/16"]},` +
		`"subnets":[{"name":"app","id":"` + app + `","etag":"` + etag + `","properties":{"provisioningState":"Succeeded","addressPrefix":"10.0.1.0/24",` +
		`"serviceEndpoints":[{"provisioningState":"Succeeded","service":"Microsoft.KeyVault","locations":["*"]},` +
		`{"provisioningState":"Succeeded","service":"Microsoft.Storage","locations":["eastus","westus"]}],` +
		`"delegations":[{"name":"web","id":"` + app + `/delegations/web","etag":"` + etag + `","properties":{"serviceName":"Microsoft.Web/serverFarms",` +
		`"provisioningState":"Succeeded","actions":["Microsoft.Network/virtualNetworks/subnets/action"]},"type":"Microsoft.Network/virtualNetworks/subnets/delegations"}],` +
		`"privateEndpointNetworkPolicies":"Enabled","networkSecurityGroup":{"id":"/nsg"},"privateLinkServiceNetworkPolicies":"Enabled"},` +
		`"type":"Microsoft.Network/virtualNetworks/subnets"}],"virtualNetworkPeerings":[],"enableDdosProtection":false,` +
		`"dhcpOptions":{"dnsServers":[]},"unknown":{"x":1},"privateEndpointVNetPolicies":"Disabled"}`
	if diff := cmp.Diff(want, string(got.Bytes())); diff != "" {
		t.Errorf("complete (-want +got):\n%s", diff)
	}
}

// TestSubnetsStay: a request that does not speak of subnets keeps them; one
// that has an empty list removes them.
func TestSubnetsStay(t *testing.T) {
	old, err := complete(t, draw("10.0.0.0/16", "a 10.0.1.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]int{`{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]}}`: 1,
		`{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]},"subnets":[]}`: 0, `{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]},"subnets":null}`: 0} {
		sent, _ := ordered.ParseObject([]byte(in), 8)
		p := plan{id: networkID, name: "v", location: "eastus", marks: someMarks, old: old}
		got, err := p.complete(sent)
		if err != nil {
			t.Fatal(err)
		}
		if list, _ := objects(got, "subnets"); len(list) != want {
			t.Errorf("complete(%s) has %d subnets, want %d", in, len(list), want)
		}
	}
}

func TestOverlapping(t *testing.T) {
	rows := []struct {
		in   string
		last int
	}{
		{"", -1}, {"10.0.0.0/8", -1}, {"10.0.0.0/24 10.0.1.0/24 10.0.2.0/24", -1}, {"10.0.1.0/24 10.0.0.0/24 10.0.0.0/16", 2},
		{"10.0.0.0/16 10.0.3.0/24 10.0.9.0/24", 2}, {"10.0.0.0/24 10.0.0.0/24", 1}, {"10.0.0.0/8 fd00::/8", -1}, {"fd00::/64 fd00::/48 10.0.0.0/8", 1},
	}
	for _, row := range rows {
		var list []netip.Prefix
		for _, text := range strings.Fields(row.in) {
			list = append(list, netip.MustParsePrefix(text))
		}
		if last, found := overlapping(list); last != row.last || found != (row.last >= 0) {
			t.Errorf("overlapping(%s) = %d, %v, want %d", row.in, last, found, row.last)
		}
	}
}

// FuzzPlan: what is accepted is accepted again unchanged, and is what
// perimeter and DNS read: as many subnets, none outside of the network, none
// overlapping with another.
func FuzzPlan(f *testing.F) {
	for _, seed := range []string{draw("10.0.0.0/16", "a 10.0.1.0/24", "b 10.0.2.0/24"), draw("fd00::/48", "a fd00::/64"), draw("10.0.0.0/8 10.1.0.0/16"),
		`{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"a","properties":{"addressPrefixes":["10.0.0.0/29"],"addressPrefix":"10.0.0.0/29","serviceEndpoints":[{"service":"microsoft.KEYVAULT"}],"delegations":[{"name":"d","properties":{"serviceName":"x"}}]}}],"dhcpOptions":{"dnsServers":["1.1.1.1"]}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sent, err := ordered.ParseObject(data, 16)
		if err != nil {
			return
		}
		p := plan{id: networkID, name: "v", location: "eastus", marks: someMarks}
		done, err := p.complete(sent)
		if err != nil {
			return
		}
		p.old = done
		again, err := p.complete(done)
		if err != nil || string(again.Bytes()) != string(done.Bytes()) {
			t.Fatalf("%s is completed to %s, and that to %s, %v", data, done.Bytes(), again.Bytes(), err)
		}
		doc := ordered.New(field("properties", done))
		s, _ := estate.New([]*estate.Resource{{ID: networkID, Type: estate.TypeVirtualNetwork, Name: "v", Body: doc.Bytes()}}, estate.Options{})
		network := s.Network().Networks[0]
		list, _ := objects(done, "subnets")
		if len(network.Subnets) != len(list) {
			t.Fatalf("%s has %d subnets, and %d are read", done.Bytes(), len(list), len(network.Subnets))
		}
		var all []netip.Prefix
		for _, subnet := range network.Subnets {
			for _, prefix := range subnet.Prefixes {
				inside := false
				for _, space := range network.Prefixes {
					inside = inside || space.Contains(prefix.Addr()) && space.Bits() <= prefix.Bits()
				}
				if !inside {
					t.Fatalf("%s: subnet %s is outside", done.Bytes(), subnet.Name)
				}
				all = append(all, prefix)
			}
			if _, ok := s.Network().Subnet(networkID + "/subnets/" + subnet.Name); !ok {
				t.Fatalf("%s: subnet %s is not found", done.Bytes(), subnet.Name)
			}
		}
		if i, found := overlapping(all); found {
			t.Fatalf("%s: %s overlaps", done.Bytes(), all[i])
		}
	})
}
