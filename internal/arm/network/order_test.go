package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

const (
	endpointID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateEndpoints/pe"
	vaultID    = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv"
	subnetPart = `"subnet":{"id":"` + networkID + `/subnets/pe"}`
	connection = `{"name":"c","properties":{"privateLinkServiceId":"` + vaultID + `","groupIds":["vault"]}}`
	automatic  = `"privateLinkServiceConnections":[` + connection + `]`
)

func read(t *testing.T, text string) (*order, error) {
	t.Helper()
	props, err := ordered.ParseObject([]byte(text), 32)
	if err != nil {
		t.Fatal(err)
	}
	return readOrder(endpointID, props)
}

func TestReadOrder(t *testing.T) {
	o, err := read(t, `{`+subnetPart+`,"manualPrivateLinkServiceConnections":[{"name":"c","properties":{"privateLinkServiceId":"`+vaultID+`/","groupIds":["Vault"],"requestMessage":"please"}}],
		"privateLinkServiceConnections":[],"customNetworkInterfaceName":"card","ipConfigurations":[{"name":"ip","properties":{"groupId":"VAULT","memberName":"default","privateIPAddress":"10.0.3.9"}}]}`)
	want := order{true, "c", vaultID, "please", networkID + "/subnets/pe", "card", "ip", netip.MustParseAddr("10.0.3.9")}
	if err != nil || *o != want {
		t.Errorf("readOrder = %+v, %v, want %+v", o, err, want)
	}
}

func TestReadOrderRefuses(t *testing.T) {
	groups := func(list string) string {
		return `{` + subnetPart + `,` + strings.Replace(automatic, `["vault"]`, list, 1) + `}`
	}
	static := func(list string) string {
		return `{` + subnetPart + `,` + automatic + `,"ipConfigurations":[` + list + `]}`
	}
	ip := func(group, member, addr string) string {
		return fmt.Sprintf(`{"name":"ip","properties":{"groupId":%q,"memberName":%q,"privateIPAddress":%q}}`, group, member, addr)
	}
	const at = endpointID + "/privateLinkServiceConnections/c"
	const parse = "Cannot parse the request."
	rows := []struct{ in, code, text string }{
		{`{` + subnetPart + `,` + automatic + `}`, "", ""},
		{`{` + automatic + `}`, "InvalidRequestFormat", parse},
		{`{"subnet":{"id":"` + networkID + `"},` + automatic + `}`, "InvalidRequestFormat", parse},
		{`{` + subnetPart + `}`, "InvalidRequestFormat", parse},
		{`{` + subnetPart + `,"privateLinkServiceConnections":[` + connection + `,` + connection + `]}`, "InvalidRequestFormat", parse},
		{`{` + subnetPart + `,` + automatic + `,"manualPrivateLinkServiceConnections":[` + connection + `]}`, "InvalidRequestFormat", parse},
		{`{` + subnetPart + `,"privateLinkServiceConnections":[{"properties":{"privateLinkServiceId":"` + vaultID + `","groupIds":["vault"]}}]}`, "InvalidRequestFormat", parse},
		{`{` + subnetPart + `,"privateLinkServiceConnections":[{"name":"c","properties":{"groupIds":["vault"]}}]}`, "InvalidRequestFormat", parse},
		{strings.Replace(`{`+subnetPart+`,`+automatic+`}`, `"name":"c"`, `"name":"a/b"`, 1), "InvalidResourceName", "Resource name a/b is invalid."},
		{`{` + subnetPart + `,` + automatic + `,"customNetworkInterfaceName":"a b"}`, "InvalidResourceName", "Resource name a b is invalid."},
		{strings.Replace(`{`+subnetPart+`,`+automatic+`}`, `"groupIds"`, `"requestMessage":"`+strings.Repeat("x", 141)+`","groupIds"`, 1), "InvalidRequestFormat", parse},
		{groups(`[]`), "MissingParameterOnPrivateLinkServiceConnection", "Private link service connection " + at + " is missing required parameter 'group Id'."},
		{groups(`null`), "MissingParameterOnPrivateLinkServiceConnection", "'group Id'"},
		{groups(`["vault","x"]`), "OnlyOneGroupIdPermitted", "Private link service connection " + at + " has the following group Ids: vault, x. Only one group Id is permitted when connecting to a first-party resource (" + vaultID + ")."},
		{groups(`["blob"]`), "BadRequest", "Call to Microsoft.KeyVault/vaults failed. Error message: Invalid groupId"},
		{groups(`"vault"`), "InvalidRequestFormat", parse},
		{static(ip("vault", "default", "10.0.3.9")), "", ""},
		{static(ip("vault", "vault", "10.0.3.9")), "PrivateEndpointIpConfigurationMissingMemberNamesRequiredByFps", "Private Endpoint " + endpointID + " contains static ipconfigurations: [PrivateIPAddress: 10.0.3.9, GroupId: vault, MemberName: vault] and its missing these membernames/groupids requested by Private Link service [GroupId: vault, MemberName: default]. Private Endpoint needs to be reconfigured with missing memberNames."},
		{static(ip("vault", "default", "10.0.3.9") + "," + ip("vault", "default", "10.0.3.10")), "PrivateEndpointIpConfigurationMissingMemberNamesRequiredByFps", "10.0.3.10"},
		{static(ip("vault", "default", "fd00::1")), "InvalidIPAddressFormat", "fd00::1"},
		{static(ip("vault", "default", "")), "InvalidIPAddressFormat", "IP address "},
		{static(`7`), "InvalidRequestFormat", parse},
	}
	for _, row := range rows {
		_, err := read(t, row.in)
		var f *fault.Error
		if !errors.As(err, &f) {
			f = &fault.Error{}
		}
		if f.Code != row.code || !strings.Contains(f.Message, row.text) || err != nil && f.Status != 400 {
			t.Errorf("readOrder(%.200s) = %d %s %s, want %s %s", row.in, f.Status, f.Code, f.Message, row.code, row.text)
		}
	}
}

// FuzzOrder: what is accepted names one subnet, one vault and one connection.
func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{` + subnetPart + `,` + automatic + `}`))
	f.Add([]byte(`{` + subnetPart + `,"manualPrivateLinkServiceConnections":[` + connection + `],"ipConfigurations":[{"name":"i","properties":{"groupId":"vault","memberName":"default","privateIPAddress":"10.0.3.9"}}]}`))
	f.Add([]byte(`{"subnet":{"id":"/"},"privateLinkServiceConnections":[{"name":"c","properties":{"privateLinkServiceId":"/","groupIds":[null]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		props, err := ordered.ParseObject(data, 16)
		if err != nil {
			return
		}
		o, err := readOrder(endpointID, props)
		if err != nil {
			return
		}
		if !isSubnet(o.subnet) || !validName(o.connection) || !strings.HasPrefix(o.target, "/") || o.address.IsValid() && (!o.address.Is4() || !validName(o.configuration)) {
			t.Fatalf("readOrder(%s) = %+v", data, o)
		}
	})
}

func TestPlace(t *testing.T) {
	taken := func(addresses ...string) []occupant {
		var list []occupant
		for _, a := range addresses {
			list = append(list, occupant{id: "/taken/" + a, addr: netip.MustParseAddr(a)})
		}
		return list
	}
	rows := []struct {
		prefixes, static string
		taken            []occupant
		want, text       string
	}{
		{"10.0.3.0/24", "", nil, "10.0.3.4", ""},
		{"10.0.3.0/24", "", taken("10.0.3.4", "10.0.3.6"), "10.0.3.5", ""},
		{"10.0.3.0/29", "", taken("10.0.3.4", "10.0.3.5"), "10.0.3.6", ""},
		{"10.0.3.0/29", "", taken("10.0.3.4", "10.0.3.5", "10.0.3.6"), "", "SubnetIsFull: Subnet pe with address prefix 10.0.3.0/29 does not have enough capacity for 1 IP addresses."},
		{"10.0.3.0/29 10.0.4.0/29", "", taken("10.0.3.4", "10.0.3.5", "10.0.3.6"), "10.0.4.4", ""},
		{"fd00::/64", "", nil, "", "SubnetIsFull"},
		{"255.255.255.240/29", "", nil, "255.255.255.244", ""},
		{"10.0.3.0/24", "10.0.3.200", nil, "10.0.3.200", ""},
		{"10.0.3.0/24", "10.0.3.254", nil, "10.0.3.254", ""},
		{"10.0.3.0/24", "10.0.3.255", nil, "", "PrivateIPAddressInReservedRange: Private static IP address 10.0.3.255 falls within reserved IP range of subnet prefix 10.0.3.0/24."},
		{"10.0.3.0/24", "10.0.3.3", nil, "", "PrivateIPAddressInReservedRange"},
		{"10.0.3.0/24", "10.0.4.4", nil, "", "PrivateIPAddressNotInSubnet: Private static IP address 10.0.4.4 does not belong to the range of subnet prefix 10.0.3.0/24."},
		{"10.0.3.0/24", "10.0.3.9", taken("10.0.3.9"), "", "PrivateIPAddressIsAllocated: IP configuration /c is using the private IP address 10.0.3.9 which is already allocated to resource /taken/10.0.3.9."},
	}
	for _, row := range rows {
		subnet := &estate.Subnet{Name: "pe"}
		for _, p := range strings.Fields(row.prefixes) {
			subnet.Prefixes = append(subnet.Prefixes, netip.MustParsePrefix(p))
		}
		o := &order{}
		if row.static != "" {
			o.address = netip.MustParseAddr(row.static)
		}
		got, err := place(o, subnet, row.taken, "/c")
		if row.text != "" && (err == nil || !strings.Contains(err.Error(), row.text)) || row.text == "" && (err != nil || got.String() != row.want) {
			t.Errorf("place(%s in %s) = %s, %v, want %s %s", row.static, row.prefixes, got, err, row.want, row.text)
		}
	}
}

func TestLinkNumber(t *testing.T) {
	s, _ := estate.New(nil, estate.Options{})
	if n, err := linkNumber(s, someMarks); n != 1 || err != nil {
		t.Errorf("linkNumber = %d, %v, want 1: the first number that is not 0", n, err)
	}
	if n, err := linkNumber(s, marks{link: strings.Repeat("0", 32)}); err == nil {
		t.Errorf("linkNumber of nothing but zeros = %d, want an error", n)
	}
}
