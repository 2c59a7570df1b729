package arm

import (
	"testing"

	"postern/internal/iac"
)

const networks = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/"

// TestFlattened: what az prints of networks reads as what ARM answers.
func TestFlattened(t *testing.T) {
	for _, test := range []struct {
		az, arm, want string
		path          []string
	}{
		{`"subnets":[{"name":"a","addressPrefix":"10.0.1.0/24"}]`, `"properties":{"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.1.0/24"}}]}`,
			"10.0.1.0/24", []string{"properties", "subnets", "properties", "addressPrefix"}},
		{`"properties":null,"privateLinkServiceConnections":[{"name":"c","privateLinkServiceId":"/v"}]`,
			`"properties":{"privateLinkServiceConnections":[{"name":"c","properties":{"privateLinkServiceId":"/v"}}]}`,
			"/v", []string{"properties", "privateLinkServiceConnections", "properties", "privateLinkServiceId"}},
		{`"aRecords":[{"ipv4Address":"10.0.3.4"}]`, `"properties":{"aRecords":[{"ipv4Address":"10.0.3.4"}]}`,
			"10.0.3.4", []string{"properties", "aRecords", "ipv4Address"}},
	} {
		for _, members := range []string{test.az, test.arm} {
			doc := readText(t, `{"id":"`+networks+`x/y","type":"Microsoft.Network/x","name":"y",`+members+`}`)
			n := doc.Resources[0].Body
			for _, name := range test.path {
				if n = n.Get(name); n.Kind == iac.Array {
					n = n.Items[0]
				}
			}
			if n.Text != test.want {
				t.Errorf("Read(%s) has %q at %v, want %q", members, n.Text, test.path, test.want)
			}
		}
	}
}

func TestFlattenedConnections(t *testing.T) {
	for _, c := range []string{`{"id":"/c","privateEndpoint":{"id":"/e"}}`, `{"id":"/c","properties":{"privateEndpoint":{"id":"/e"}}}`} {
		doc := readText(t, `{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v","type":"Microsoft.KeyVault/vaults","name":"v",
			"properties":{"vaultUri":"u","privateEndpointConnections":[`+c+`]}}`)
		r := doc.Resources[0]
		if got := r.Property("privateEndpointConnections").Items[0].Get("properties", "privateEndpoint", "id").Text; got != "/e" {
			t.Errorf("Read of connection %s = endpoint %q, want /e", c, got)
		}
		if line := r.Property("privateEndpointConnections").At.Line; line != 2 {
			t.Errorf("the connections stand in line %d, want 2", line)
		}
	}
}

func TestMentionsNetworks(t *testing.T) {
	for text, want := range map[string]bool{`{"type":"Microsoft.Network/virtualNetworks"}`: true, `{"type":"microsoft.network/PRIVATEDNSZONES/A"}`: true,
		`{"type":"Microsoft.Network/publicIPAddresses"}`: false, `{}`: false} {
		if got := MentionsNetworks([]byte(text)); got != want {
			t.Errorf("MentionsNetworks(%s) = %v, want %v", text, got, want)
		}
	}
}
