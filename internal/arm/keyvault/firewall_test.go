package keyvault

import (
	"strings"
	"testing"

	"postern/internal/estate"
	"postern/internal/ordered"
	"postern/internal/profile"
)

func check(t *testing.T, p *profile.Profile, text string) (string, error) {
	t.Helper()
	acls, err := ordered.ParseObject([]byte(text), 16)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	f := firewall{profile: p, subnet: onlyOpen}
	next, err := f.complete(acls)
	return string(next.Bytes()), err
}

func TestAddresses(t *testing.T) {
	const stem = "Invalid value found at properties.networkAcls.ipRules[0].value: "
	rows := []struct{ in, want, small string }{
		{"203.0.113.7", "203.0.113.7/32", "203.0.113.7"},
		{"203.0.113.7/32", "203.0.113.7/32", "error " + stem + "203.0.113.7/32 is a small address range"},
		{"203.0.113.6/31", "203.0.113.6/31", "error " + stem + "203.0.113.6/31 is a small address range"},
		{"203.0.113.0/24", "203.0.113.0/24", "203.0.113.0/24"},
		{"203.0.113.9/24", "203.0.113.0/24", "203.0.113.0/24"},
		{"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"},
		{"11.0.0.0/8", "11.0.0.0/8", "11.0.0.0/8"},
		{"172.32.0.0/12", "172.32.0.0/12", "172.32.0.0/12"},
		{"10.0.0.0/8", "error " + stem + "10.0.0.0/8 belongs to forbidden range 10.0.0.0–10.255.255.255 (private IP addresses)", ""},
		{"10.1.2.3", "error " + stem + "10.1.2.3 belongs to forbidden range 10.0.0.0–10.255.255.255", ""},
		{"172.20.10.5/32", "error " + stem + "172.20.10.5/32 belongs to forbidden range 172.16.0.0–172.31.255.255", ""},
		{"192.168.1.0/24", "error " + stem + "192.168.1.0/24 belongs to forbidden range 192.168.0.0–192.168.255.255", ""},
		{"2001:db8::1", "error " + stem + "2001:db8::1", ""},
		{"::ffff:203.0.113.7", "error " + stem, ""},
		{"203.0.113", "error " + stem + "203.0.113", ""},
		{"203.0.113.256", "error " + stem, ""},
		{"203.0.113.07", "error " + stem, ""},
		{"203.0.113.0/33", "error " + stem, ""},
		{"203.0.113.0/", "error " + stem, ""},
		{" 203.0.113.7", "error " + stem, ""},
		{"203.0.113.0-203.0.113.9", "error " + stem, ""},
		{"office", "error " + stem + "office", ""},
		{"", "error " + stem, ""},
	}
	for _, row := range rows {
		for _, each := range []struct {
			profile *profile.Profile
			want    string
		}{{profile.Azure(), row.want}, {profile.Documents(), row.small}} {
			want := each.want
			if want == "" {
				want = row.want
			}
			got, err := check(t, each.profile, `{"ipRules":[{"value":"`+row.in+`"}]}`)
			if err != nil {
				if text, ok := strings.CutPrefix(want, "error "); !ok || !strings.Contains(err.Error(), text) {
					t.Errorf("%s: rule %q = %v, want %s", each.profile.Name, row.in, err, want)
				}
				continue
			}
			if !strings.Contains(got, `"ipRules":[{"value":"`+want+`"}]`) {
				t.Errorf("%s: rule %q = %s, want %s", each.profile.Name, row.in, got, want)
			}
		}
	}
}

// onlyOpen lets rules be made for subnets of the name open.
func onlyOpen(id string, ignore bool) error {
	if ignore || strings.HasSuffix(estate.Key(id), "/open") {
		return nil
	}
	return networkFault("400 (BadRequest)", "SubnetsHaveNoServiceEndpointsConfigured", "Subnets "+id+" do not have it")
}

func TestFirewall(t *testing.T) {
	const id = "/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/V/subnets/"
	rows := []struct{ in, want string }{
		{`{}`, `{"bypass":"AzureServices","defaultAction":"Allow","ipRules":[],"virtualNetworkRules":[]}`},
		{`{"bypass":null,"defaultAction":null,"ipRules":null}`, `{"bypass":"AzureServices","defaultAction":"Allow","ipRules":[],"virtualNetworkRules":[]}`},
		{`{"Bypass":"azureservices","DEFAULTACTION":"deny"}`, `{"bypass":"AzureServices","defaultAction":"Deny","ipRules":[],"virtualNetworkRules":[]}`},
		{`{"virtualNetworkRules":[{"id":"` + id + `open"},{"id":"` + strings.ToUpper(id) + `OPEN/"}]}`, `{"virtualNetworkRules":[{"id":"` + strings.ToLower(id) + `open"}],"bypass":"AzureServices","defaultAction":"Allow","ipRules":[]}`},
		{`{"virtualNetworkRules":[{"id":"` + id + `shut"}]}`, "SubnetsHaveNoServiceEndpointsConfigured"},
		{`{"virtualNetworkRules":[{"id":"` + id + `shut","ignoreMissingVnetServiceEndpoint":false}]}`, "SubnetsHaveNoServiceEndpointsConfigured"},
		{`{"virtualNetworkRules":[{"id":"` + id + `shut","ignoreMissingVnetServiceEndpoint":"yes"}]}`, "virtualNetworkRules[0].ignoreMissingVnetServiceEndpoint: yes"},
		{`{"virtualNetworkRules":[{}]}`, "virtualNetworkRules[0].id: null"},
		{`{"virtualNetworkRules":[{"id":7}]}`, "virtualNetworkRules[0].id: 7"},
		{`{"virtualNetworkRules":{"id":7}}`, "virtualNetworkRules: an object"},
		{`{"bypass":true}`, "properties.networkAcls.bypass: true"},
		{`{"bypass":"AzureServices,Logging"}`, "properties.networkAcls.bypass: AzureServices,Logging"},
		{`{"defaultAction":""}`, "properties.networkAcls.defaultAction: "},
		{`{"ipRules":["203.0.113.7"]}`, "properties.networkAcls.ipRules[0]: 203.0.113.7"},
		{`{"ipRules":[{"value":1}]}`, "properties.networkAcls.ipRules[0].value: 1"},
		{`{"ipRules":[{}]}`, "properties.networkAcls.ipRules[0].value: null"},
		{`{"ipRules":[` + strings.TrimSuffix(strings.Repeat(`{"value":"203.0.113.7"},`, 1001), ",") + `]}`, "is 1001, which exceeds the limit of 1000."},
		{`{"virtualNetworkRules":[` + strings.TrimSuffix(strings.Repeat(`{"id":"`+id+`open"},`, 201), ",") + `]}`, "is 201, which exceeds the limit of 200."},
	}
	for _, row := range rows {
		got, err := check(t, profile.Azure(), row.in)
		if err != nil && (strings.HasPrefix(row.want, "{") || !strings.Contains(err.Error(), row.want)) || err == nil && got != row.want {
			t.Errorf("networkAcls %.120s = %s, %v, want %s", row.in, got, err, row.want)
		}
	}
}

// FuzzFirewall: what is accepted is complete, is accepted again unchanged,
// and holds no rule that the decision could not read.
func FuzzFirewall(f *testing.F) {
	f.Add([]byte(`{"bypass":"none","defaultAction":"DENY","ipRules":[{"value":"203.0.113.7"}],"virtualNetworkRules":[]}`))
	f.Add([]byte(`{"ipRules":[{"value":"10.0.0.0/8"}]}`))
	f.Add([]byte(`{"virtualNetworkRules":[{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/open"}]}`))
	f.Add([]byte(`{"ipRules":[{"VALUE":"1.2.3.4/5","x":{}}],"y":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		acls, err := ordered.ParseObject(data, 16)
		if err != nil {
			return
		}
		for _, p := range []*profile.Profile{profile.Azure(), profile.Documents()} {
			fw := firewall{profile: p, subnet: onlyOpen}
			next, err := fw.complete(acls)
			if err != nil {
				continue
			}
			again, err := fw.complete(next)
			if err != nil || string(again.Bytes()) != string(next.Bytes()) {
				t.Fatalf("%s: %s is completed to %s, and that to %s, %v", p.Name, data, next.Bytes(), again.Bytes(), err)
			}
			doc := ordered.New(ordered.Member{Name: "properties", Value: ordered.New(
				ordered.Member{Name: "tenantId", Value: "11111111-1111-1111-1111-111111111111"}, ordered.Member{Name: "networkAcls", Value: next})})
			_, problems := estate.New([]*estate.Resource{{ID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v",
				Type: estate.TypeVault, Name: "v", Body: doc.Bytes()}}, estate.Options{})
			if len(problems) > 0 {
				t.Fatalf("%s: %s is accepted as %s, which the decision does not understand: %+v", p.Name, data, next.Bytes(), problems)
			}
		}
	})
}

// FuzzProperties: the same for all properties of a vault.
func FuzzProperties(f *testing.F) {
	f.Add([]byte(`{"tenantId":"11111111-1111-1111-1111-111111111111","sku":{"family":"A","name":"standard"}}`), true)
	f.Add([]byte(`{"tenantId":"11111111-1111-1111-1111-111111111111","sku":{"family":"a","name":"PREMIUM"},"softDeleteRetentionInDays":7,"enablePurgeProtection":true,"accessPolicies":[{"tenantId":"11111111-1111-1111-1111-111111111111","objectId":"11111111-1111-1111-1111-111111111112","applicationId":null,"permissions":{"keys":["get"],"secrets":null}}]}`), false)
	f.Add([]byte(`{"tenantId":"11111111-1111-1111-1111-111111111111","sku":{"family":"A","name":"standard"},"publicNetworkAccess":"securedbyperimeter","enableRbacAuthorization":null,"privateEndpointConnections":[1],"x":{"y":[{}]}}`), true)
	f.Fuzz(func(t *testing.T, data []byte, create bool) {
		sent, err := ordered.ParseObject(data, 16)
		if err != nil {
			return
		}
		c := completion{profile: profile.Azure(), version: "2026-02-01", subnet: func(string, bool) error { return nil }}
		if !create {
			c.old = ordered.New(ordered.Member{Name: "enablePurgeProtection", Value: true})
		}
		props, err := c.complete(sent)
		if err != nil {
			return
		}
		c.old = props
		again, err := c.complete(props)
		if err != nil || string(again.Bytes()) != string(props.Bytes()) {
			t.Fatalf("%s is completed to %s, and that to %s, %v", data, props.Bytes(), again.Bytes(), err)
		}
		doc := ordered.New(ordered.Member{Name: "properties", Value: props})
		_, problems := estate.New([]*estate.Resource{{ID: "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v",
			Type: estate.TypeVault, Name: "v", Body: doc.Bytes()}}, estate.Options{})
		if len(problems) > 0 {
			t.Fatalf("%s is accepted as %s, which the decision does not understand: %+v", data, props.Bytes(), problems)
		}
	})
}
