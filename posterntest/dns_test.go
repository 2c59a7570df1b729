package posterntest

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// resolve asks the name server from an address of the loopback: the names of
// the chain, then the addresses or the code.
func (p *Postern) resolve(from, name string) string {
	p.t.Helper()
	c := dns.Client{Timeout: 10 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}}
	a, _, err := c.Exchange(new(dns.Msg).SetQuestion(name+".", dns.TypeA), p.DNS)
	if err != nil {
		p.t.Fatalf("asking for %s from %s: %v", name, from, err)
	}
	var words []string
	for _, rr := range a.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
			words = append(words, strings.TrimSuffix(rr.Target, "."))
		case *dns.A:
			words = append(words, rr.A.String())
		}
	}
	if a.Rcode != dns.RcodeSuccess {
		words = append(words, dns.RcodeToString[a.Rcode])
	}
	return strings.Join(words, " ")
}

// TestNames walks through the guide to private endpoints (§4.2, §4.3): what
// a name resolves to, inside the network and outside, as endpoint, zone,
// link and record come and go. The network is one of loopback addresses.
func TestNames(t *testing.T) {
	const (
		inside, outside = "127.0.71.9", "127.0.72.9"
		public          = "data-prod-eus.vaultcore.azure.net data-prod-eus-region.vaultcore.azure.net 127.0.0.1"
		link            = "kv1.privatelink.vaultcore.azure.net "
		zoneName        = "privatelink.vaultcore.azure.net"
		versions        = "?api-version=2024-05-01"
		dnsVersions     = "?api-version=2024-06-01"
	)
	p := Start(t, WithDNS())
	net := p.ManagementURL + "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + Group + "/providers/Microsoft.Network/"
	id := func(path string) map[string]any {
		return map[string]any{"id": strings.TrimPrefix(net, p.ManagementURL) + path}
	}
	do := func(method, path string, body map[string]any) {
		t.Helper()
		if status, answer := p.Do(method, net+path, body); status/100 != 2 {
			t.Fatalf("%s %s = %d %s", method, path, status, answer)
		}
	}
	names := func(step, in, out string) {
		t.Helper()
		for from, want := range map[string]string{inside: in, outside: out} {
			if got := p.resolve(from, "kv1.vault.azure.net"); got != want {
				t.Errorf("%s: from %s = %s, want %s", step, from, got, want)
			}
		}
	}
	names("no vault", "NXDOMAIN", "NXDOMAIN")
	kv := p.CreateVault("kv1")
	names("a vault", public, public)
	if got := p.resolve(inside, "kv1.vault.postern.localhost"); got != "127.0.0.1" {
		t.Errorf("the private name = %s", got)
	}
	do("PUT", "virtualNetworks/myvnet"+versions, map[string]any{"location": "eastus", "properties": map[string]any{
		"addressSpace": map[string]any{"addressPrefixes": []string{"127.0.71.0/24", "10.0.3.0/24"}}, "subnets": []any{
			map[string]any{"name": "app-subnet", "properties": map[string]any{"addressPrefix": "127.0.71.0/24"}},
			map[string]any{"name": "pe-subnet", "properties": map[string]any{"addressPrefix": "10.0.3.0/24"}}}}})
	do("PUT", "privateEndpoints/kv-private-endpoint"+versions, map[string]any{"location": "eastus", "properties": map[string]any{
		"subnet": id("virtualNetworks/myvnet/subnets/pe-subnet"), "privateLinkServiceConnections": []any{map[string]any{"name": "kv-pe-connection",
			"properties": map[string]any{"privateLinkServiceId": kv.ID, "groupIds": []string{"vault"}}}}}})
	names("an endpoint", link+public, link+public)
	do("PUT", "privateDnsZones/"+zoneName+dnsVersions, map[string]any{"location": "global"})
	names("a zone", link+public, link+public)
	do("PUT", "privateDnsZones/"+zoneName+"/virtualNetworkLinks/kv-dns-link"+dnsVersions, map[string]any{"location": "global",
		"properties": map[string]any{"registrationEnabled": false, "virtualNetwork": id("virtualNetworks/myvnet")}})
	names("a link", link+"NXDOMAIN", link+public)
	do("PUT", "privateEndpoints/kv-private-endpoint/privateDnsZoneGroups/kv-dns-zone-group"+versions, map[string]any{"properties": map[string]any{
		"privateDnsZoneConfigs": []any{map[string]any{"name": "keyvault", "properties": map[string]any{"privateDnsZoneId": id("privateDnsZones/" + zoneName)["id"]}}}}})
	names("a zone group", link+"10.0.3.4", link+public)
	if status, answer := p.Do("PATCH", p.ManagementURL+kv.ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{"publicNetworkAccess": "Disabled"}}); status != http.StatusOK {
		t.Fatalf("PATCH = %d %s", status, answer)
	}
	names("public access disabled", link+"10.0.3.4", link+public)
	do("DELETE", "privateEndpoints/kv-private-endpoint"+versions, nil)
	names("the endpoint is gone", public, public)
	if status, answer := p.Do("DELETE", p.ManagementURL+kv.ID+"?api-version=2026-02-01", nil); status/100 != 2 {
		t.Fatalf("DELETE = %d %s", status, answer)
	}
	names("the vault is deleted", "NXDOMAIN", "NXDOMAIN")
}
