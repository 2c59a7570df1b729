package dns

import (
	"net/netip"
	"strings"
	"testing"

	"postern/internal/estate"
)

const (
	toLink  = "myvault.vault.azure.net. 60 CNAME myvault.privatelink.vaultcore.azure.net. "
	toEast  = "data-prod-eus.vaultcore.azure.net. "
	eastern = "data-prod-eus.vaultcore.azure.net. 60 CNAME data-prod-eus-region.vaultcore.azure.net. data-prod-eus-region.vaultcore.azure.net. 60 A 198.51.100.1"
	western = "data-prod-weu.vaultcore.azure.net. 60 CNAME data-prod-weu-region.vaultcore.azure.net. data-prod-weu-region.vaultcore.azure.net. 60 A 198.51.100.1"
	linked  = "myvault.privatelink.vaultcore.azure.net. "
)

func TestChains(t *testing.T) {
	for _, c := range []struct {
		client, name string
		typ          Type
		want         string
	}{
		{inside, "myvault.vault.azure.net.", TypeA, "NOERROR " + toLink + linked + "10 A 10.0.3.4"},
		{outside, "myvault.vault.azure.net.", TypeA, "NOERROR " + toLink + linked + "60 CNAME " + toEast + eastern},
		{"10.9.0.5", "myvault.vault.azure.net.", TypeA, "NOERROR " + toLink + linked + "60 CNAME " + toEast + eastern},
		{"::ffff:10.0.1.7", "myvault.vault.azure.net.", TypeA, "NOERROR " + toLink + linked + "10 A 10.0.3.4"},
		{inside, "MyVault.VAULT.azure.net.", TypeA, "NOERROR MyVault.VAULT.azure.net. 60 CNAME myvault.privatelink.vaultcore.azure.net. " + linked + "10 A 10.0.3.4"},
		{inside, "plain.vault.azure.net.", TypeA, "NOERROR plain.vault.azure.net. 60 CNAME data-prod-weu.vaultcore.azure.net. " + western},
		{inside, "myvault.vault.azure.net.", TypeAAAA, "NOERROR " + toLink + "SOA privatelink.vaultcore.azure.net."},
		{inside, "myvault.vault.azure.net.", TypeCNAME, "NOERROR " + strings.TrimSpace(toLink)},
		{inside, "myvault.vault.azure.net.", TypeANY, "NOERROR " + strings.TrimSpace(toLink)},
		{inside, "myvault.vault.azure.net.", 16, "NOERROR " + toLink + "SOA privatelink.vaultcore.azure.net."},
		{inside, "myvault.privatelink.vaultcore.azure.net.", TypeA, "NOERROR " + linked + "10 A 10.0.3.4"},
		{inside, "myvault.privatelink.vaultcore.azure.net.", TypeANY, "NOERROR " + linked + "10 A 10.0.3.4"},
		{inside, "other.privatelink.vaultcore.azure.net.", TypeA, "NXDOMAIN SOA privatelink.vaultcore.azure.net."},
		{outside, "plain.privatelink.vaultcore.azure.net.", TypeA, "NXDOMAIN SOA privatelink.vaultcore.azure.net."},
		{outside, "a.myvault.privatelink.vaultcore.azure.net.", TypeA, "NXDOMAIN SOA privatelink.vaultcore.azure.net."},
		{outside, "privatelink.vaultcore.azure.net.", TypeA, "NOERROR SOA privatelink.vaultcore.azure.net."},
		{outside, "nobody.vault.azure.net.", TypeA, "NXDOMAIN SOA vault.azure.net."},
		{outside, "gone.vault.azure.net.", TypeA, "NXDOMAIN SOA vault.azure.net."},
		{outside, "a.myvault.vault.azure.net.", TypeA, "NXDOMAIN SOA vault.azure.net."},
		{outside, `a\.myvault.vault.azure.net.`, TypeA, "NXDOMAIN SOA vault.azure.net."},
		{outside, `myvault\.vault.azure.net.`, TypeA, `REFUSED -> myvault\.vault.azure.net.`},
		{outside, "vault.azure.net.", TypeA, "NOERROR SOA vault.azure.net."},
		{outside, "vault.azure.net.", TypeSOA, "NOERROR vault.azure.net. 10 SOA postern.localhost."},
		{inside, core + ".", TypeSOA, "NOERROR privatelink.vaultcore.azure.net. 3600 SOA azureprivatedns.net."},
		{outside, "myvault.vaultcore.azure.net.", TypeA, "NXDOMAIN SOA vaultcore.azure.net."},
		{outside, "data-prod-xyz.vaultcore.azure.net.", TypeA, "NXDOMAIN SOA vaultcore.azure.net."},
		{outside, "data-prod-eus.vaultcore.azure.net.", TypeA, "NOERROR " + eastern},
		{outside, "data-prod-eus-region.vaultcore.azure.net.", TypeAAAA, "NOERROR SOA vaultcore.azure.net."},
		{outside, "vaultcore.azure.net.", TypeA, "NOERROR SOA vaultcore.azure.net."},
		{outside, "login.microsoftonline.com.", TypeA, "NOERROR login.microsoftonline.com. 60 A 198.51.100.1"},
		{outside, "login.microsoftonline.com.", TypeAAAA, "NOERROR SOA login.microsoftonline.com."},
		{outside, "x.login.microsoftonline.com.", TypeA, "REFUSED -> x.login.microsoftonline.com."},
		{outside, "management.azure.com.", TypeA, "NOERROR management.azure.com. 60 A 198.51.100.1"},
		{outside, "graph.microsoft.com.", TypeA, "NOERROR graph.microsoft.com. 60 A 198.51.100.1"},
		{outside, "login.postern.localhost.", TypeA, "NOERROR login.postern.localhost. 60 A 198.51.100.1"},
		{outside, "arm.postern.localhost.", TypeA, "NOERROR arm.postern.localhost. 60 A 198.51.100.1"},
		{outside, "arm.postern.localhost.", TypeAAAA, "NOERROR SOA postern.localhost."},
		{outside, "plain.vault.postern.localhost.", TypeA, "NOERROR plain.vault.postern.localhost. 60 A 198.51.100.1"},
		{inside, "myvault.vault.postern.localhost.", TypeA, "NOERROR myvault.vault.postern.localhost. 60 CNAME " + linked + linked + "10 A 10.0.3.4"},
		{outside, "vault.postern.localhost.", TypeA, "NOERROR SOA postern.localhost."},
		{outside, "postern.localhost.", TypeA, "NOERROR SOA postern.localhost."},
		{outside, "what.postern.localhost.", TypeA, "NXDOMAIN SOA postern.localhost."},
		{outside, "nobody.vault.postern.localhost.", TypeA, "NXDOMAIN SOA postern.localhost."},
		{outside, "example.com.", TypeA, "REFUSED -> example.com."},
		{outside, "azure.net.", TypeA, "REFUSED -> azure.net."},
		{outside, ".", TypeSOA, "REFUSED -> ."},
	} {
		ask(t, view(c.client, drawing()...), c.name, c.typ, c.want)
	}
}

// TestStates: the alias is there for an approved connection alone, and does
// not go when public access is disabled.
func TestStates(t *testing.T) {
	for state, want := range map[string]string{
		"Approved": "NOERROR " + toLink + linked + "60 CNAME " + toEast + eastern,
		"Pending":  "NOERROR myvault.vault.azure.net. 60 CNAME " + toEast + eastern,
		"Rejected": "NOERROR myvault.vault.azure.net. 60 CNAME " + toEast + eastern, "Disconnected": "NOERROR myvault.vault.azure.net. 60 CNAME " + toEast + eastern,
	} {
		for _, access := range []string{"Enabled", "Disabled", "SecuredByPerimeter"} {
			r := vault("myvault", "eastus", "e="+state)
			r.Body = []byte(strings.Replace(string(r.Body), `{"properties":{`, `{"properties":{"publicNetworkAccess":"`+access+`",`, 1))
			ask(t, view(outside, r), "myvault.vault.azure.net.", TypeA, want)
		}
	}
	ask(t, view(outside, vault("v", "atlantis")), "v.vault.azure.net.", TypeA, "NOERROR v.vault.azure.net. 60 A 198.51.100.1")
	ask(t, view(outside, vault("v", "atlantis", "e=Approved")), "v.vault.azure.net.", TypeA,
		"NOERROR v.vault.azure.net. 60 CNAME v.privatelink.vaultcore.azure.net. v.privatelink.vaultcore.azure.net. 60 A 198.51.100.1")
	six := view(outside, vault("v", "eastus"))
	six.Public = netip.MustParseAddr("2001:db8::1")
	ask(t, six, "login.postern.localhost.", TypeAAAA, "NOERROR login.postern.localhost. 60 AAAA 2001:db8::1")
	ask(t, six, "login.postern.localhost.", TypeA, "NOERROR SOA postern.localhost.")
}

func TestPrivateZones(t *testing.T) {
	const start = "NOERROR " + toLink
	v := func(more ...*estate.Resource) []*estate.Resource {
		return append([]*estate.Resource{vault("myvault", "eastus", "e=Approved"), network("myvnet", "app=10.0.1.0/24"), network("other", "app=10.9.0.0/24")}, more...)
	}
	two := "10.0.3.4"
	for _, c := range []struct {
		what      string
		resources []*estate.Resource
		want      string
	}{
		{"no zone", v(), start + linked + "60 CNAME " + toEast + eastern},
		{"zone without a link", v(privateDNS(core), record(core, "myvault", 10, two)), start + linked + "60 CNAME " + toEast + eastern},
		{"zone linked to another network", v(privateDNS(core), linkTo(core, "other", ""), record(core, "myvault", 10, two)), start + linked + "60 CNAME " + toEast + eastern},
		{"linked zone without the record", v(privateDNS(core), linkTo(core, "myvnet", "")), "NXDOMAIN " + toLink + "SOA privatelink.vaultcore.azure.net."},
		{"link that falls back", v(privateDNS(core), linkTo(core, "myvnet", "NxDomainRedirect")), start + linked + "60 CNAME " + toEast + eastern},
		{"record without a time to live", v(privateDNS(core), linkTo(core, "myvnet", ""), record(core, "myvault", 0, two)), start + linked + "60 A 10.0.3.4"},
		{"record of two addresses", v(privateDNS(core), linkTo(core, "myvnet", ""), record(core, "myvault", 5, two, "10.0.3.5")), start + linked + "5 A 10.0.3.4 " + linked + "5 A 10.0.3.5"},
		{"record without addresses", v(privateDNS(core), linkTo(core, "myvnet", ""), record(core, "myvault", 5)), start + "SOA privatelink.vaultcore.azure.net."},
		{"wildcard", v(privateDNS(core), linkTo(core, "myvnet", ""), record(core, "*", 5, two)), start + linked + "5 A 10.0.3.4"},
		{"wildcard and a name below", v(privateDNS(core), linkTo(core, "myvnet", ""), record(core, "*", 5, two), record(core, "a.myvault", 5, two)), start + "SOA privatelink.vaultcore.azure.net."},
		{"zone of the vault alone", v(privateDNS("myvault."+core), linkTo("myvault."+core, "myvnet", ""), record("myvault."+core, "@", 5, two), privateDNS(core), linkTo(core, "myvnet", "")), start + linked + "5 A 10.0.3.4"},
		{"zone vault.azure.net", v(privateDNS("vault.azure.net"), linkTo("vault.azure.net", "myvnet", "")), "NXDOMAIN SOA vault.azure.net."},
		{"zone vault.azure.net with the record", v(privateDNS("vault.azure.net"), linkTo("vault.azure.net", "myvnet", ""), record("vault.azure.net", "myvault", 5, two)), "NOERROR myvault.vault.azure.net. 5 A 10.0.3.4"},
		{"zone privatelink.vault.azure.net", v(privateDNS("privatelink.vault.azure.net"), linkTo("privatelink.vault.azure.net", "myvnet", ""), record("privatelink.vault.azure.net", "myvault", 5, two)), start + linked + "60 CNAME " + toEast + eastern},
		{"zone vaultcore.azure.net", v(privateDNS("vaultcore.azure.net"), linkTo("vaultcore.azure.net", "myvnet", "")), "NXDOMAIN " + toLink + "SOA vaultcore.azure.net."},
		{"alias", v(privateDNS(core), linkTo(core, "myvnet", ""), recordOf("CNAME", core, "myvault", `"cnameRecord":{"cname":"b.`+core+`"}`), record(core, "b", 5, two)), start + linked + "30 CNAME b.privatelink.vaultcore.azure.net. b.privatelink.vaultcore.azure.net. 5 A 10.0.3.4"},
		{"alias to others", v(privateDNS(core), linkTo(core, "myvnet", ""), recordOf("CNAME", core, "myvault", `"cnameRecord":{"cname":"Example.com"}`)), start + linked + "30 CNAME example.com. -> example.com."},
		{"alias to itself", v(privateDNS(core), linkTo(core, "myvnet", ""), recordOf("CNAME", core, "myvault", `"cnameRecord":{"cname":"myvault.vault.azure.net"}`)), "SERVFAIL"},
		{"text", v(privateDNS(core), linkTo(core, "myvnet", ""), recordOf("TXT", core, "myvault", `"txtRecords":[]`)), start + "SOA privatelink.vaultcore.azure.net."},
	} {
		t.Run(c.what, func(t *testing.T) { ask(t, view(inside, c.resources...), "myvault.vault.azure.net.", TypeA, c.want) })
	}
	six := v(privateDNS(core), linkTo(core, "myvnet", ""), recordOf("AAAA", core, "myvault", `"aaaaRecords":[{"ipv6Address":"2001:db8::5"}]`))
	ask(t, view(inside, six...), "myvault.vault.azure.net.", TypeAAAA, start+linked+"30 AAAA 2001:db8::5")
	ask(t, view(inside, six...), "myvault.vault.azure.net.", TypeA, start+"SOA privatelink.vaultcore.azure.net.")
	ask(t, view(inside, six...), "myvault."+core+".", TypeANY, "NOERROR "+linked+"30 AAAA 2001:db8::5")
}

// TestSOA: the record set of a zone's beginning says how long nothing may be
// remembered.
func TestSOA(t *testing.T) {
	v := view(inside, append(drawing(), recordOf("SOA", core, "@", `"soaRecord":{"host":"ns.Example.com","email":"not a name","serialNumber":7,"refreshTime":1,"retryTime":2,"expireTime":3,"minimumTTL":0}`))...)
	got := *Resolve(v, Question{"x." + core + ".", TypeA}).Authority
	want := Authority{Zone: core + ".", Master: "ns.example.com.", Mailbox: "azureprivatedns-host.microsoft.com.", TTL: 30, Serial: 7, Refresh: 1, Retry: 2, Expire: 3}
	if got != want {
		t.Errorf("the SOA record = %+v, want %+v", got, want)
	}
}

// TestSeveralNetworks: two regions, an endpoint in each, a zone of one name
// in each.
func TestSeveralNetworks(t *testing.T) {
	const other = "/subscriptions/cccccccc-0000-0000-0000-000000000001/resourceGroups/rg-westus"
	west := []*estate.Resource{privateDNS(core), linkTo(core, "vnet-westus", ""), record(core, "myvault", 10, "10.1.3.4")}
	for _, r := range west {
		r.ID = strings.Replace(r.ID, group, other, 1)
	}
	all := append(drawing(), network("vnet-westus", "app=10.1.1.0/24", "pe=10.1.3.0/24"))
	all = append(all, west...)
	ask(t, view(inside, all...), "myvault.vault.azure.net.", TypeA, "NOERROR "+toLink+linked+"10 A 10.0.3.4")
	ask(t, view("10.1.1.9", all...), "myvault.vault.azure.net.", TypeA, "NOERROR "+toLink+linked+"10 A 10.1.3.4")
}

func TestForwardedDomains(t *testing.T) {
	for _, c := range []struct {
		forward []string
		name    string
		want    string
	}{
		{[]string{"vault.azure.net."}, "myvault.vault.azure.net.", "REFUSED -> myvault.vault.azure.net."},
		{[]string{"vaultcore.azure.net."}, "plain.vault.azure.net.", "NOERROR plain.vault.azure.net. 60 CNAME data-prod-weu.vaultcore.azure.net. -> data-prod-weu.vaultcore.azure.net."},
		{[]string{"vaultcore.azure.net."}, "myvault.vault.azure.net.", "NOERROR " + toLink + linked + "10 A 10.0.3.4"},
		{[]string{"privatelink.vaultcore.azure.net."}, "myvault.vault.azure.net.", "NOERROR " + toLink + "-> myvault.privatelink.vaultcore.azure.net."},
		{[]string{"vaultcore.azure.net."}, "other.privatelink.vaultcore.azure.net.", "NXDOMAIN SOA privatelink.vaultcore.azure.net."},
		{[]string{"azure.net."}, "myvault.vault.azure.net.", "NOERROR " + toLink + linked + "10 A 10.0.3.4"},
		{[]string{"azure.net."}, "x.azure.net.", "REFUSED -> x.azure.net."},
		{[]string{"."}, "login.microsoftonline.com.", "NOERROR login.microsoftonline.com. 60 A 198.51.100.1"},
		{[]string{"."}, "example.com.", "REFUSED -> example.com."},
		{[]string{"ault.azure.net."}, "plain.vault.azure.net.", "NOERROR plain.vault.azure.net. 60 CNAME data-prod-weu.vaultcore.azure.net. " + western},
	} {
		v := view(inside, drawing()...)
		v.Forward = c.forward
		ask(t, v, c.name, TypeA, c.want)
	}
}

// TestForwardedDomainsOutside: without a private zone, who forwards
// vaultcore.azure.net forwards the privatelink names with it.
func TestForwardedDomainsOutside(t *testing.T) {
	v := view(outside, drawing()...)
	v.Forward = []string{"vaultcore.azure.net."}
	ask(t, v, "myvault.vault.azure.net.", TypeA, "NOERROR "+toLink+"-> myvault.privatelink.vaultcore.azure.net.")
}
