package dns

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/estate"
)

// TestTrace: the chain of the guide (§4.3), from inside and from outside,
// hop by hop.
func TestTrace(t *testing.T) {
	for _, c := range []struct{ client, name, want string }{
		{inside, "myvault.vault.azure.net", `myvault.vault.azure.net: CNAME myvault.privatelink.vaultcore.azure.net (vault.azure.net): vault myvault has an approved private endpoint connection, so its name is an alias of its privatelink name
myvault.privatelink.vaultcore.azure.net: A 10.0.3.4 (privatelink.vaultcore.azure.net): private zone privatelink.vaultcore.azure.net, linked to network myvnet that 10.0.1.7 asks from, has a record set of this name
NOERROR private`},
		{outside, "myvault.vault.azure.net.", `myvault.vault.azure.net: CNAME myvault.privatelink.vaultcore.azure.net (vault.azure.net): vault myvault has an approved private endpoint connection, so its name is an alias of its privatelink name
myvault.privatelink.vaultcore.azure.net: CNAME data-prod-eus.vaultcore.azure.net (privatelink.vaultcore.azure.net): 203.0.113.9 is in no declared network and sees no private zone, so the privatelink name leads on to the public address
data-prod-eus.vaultcore.azure.net: CNAME data-prod-eus-region.vaultcore.azure.net (vaultcore.azure.net): the public entrance of the vault's region
data-prod-eus-region.vaultcore.azure.net: A 198.51.100.1 (vaultcore.azure.net): the public entrance of the vault's region
NOERROR other-resolver`},
		{"127.1.1.1", "plain.vault.azure.net", `plain.vault.azure.net: CNAME data-prod-weu.vaultcore.azure.net (vault.azure.net): vault plain has no approved private endpoint connection (it has none), so its name is public
data-prod-weu.vaultcore.azure.net: CNAME data-prod-weu-region.vaultcore.azure.net (vaultcore.azure.net): the public entrance of the vault's region
data-prod-weu-region.vaultcore.azure.net: A 198.51.100.1 (vaultcore.azure.net): the public entrance of the vault's region
NOERROR`},
		{inside, "gone.vault.azure.net", `gone.vault.azure.net: NXDOMAIN (vault.azure.net): vault gone is soft-deleted: its name does not resolve until it is recovered
NXDOMAIN`},
		{inside, "nobody.vault.azure.net", `nobody.vault.azure.net: NXDOMAIN (vault.azure.net): there is no vault of this name
NXDOMAIN`},
		{inside, "example.com", `example.com: elsewhere (): this server does not serve the name: it is the upstream resolver's, if one is configured
REFUSED`},
		{inside, "", `.: elsewhere (): this server does not serve the name: it is the upstream resolver's, if one is configured
REFUSED`},
		{inside, "login.postern.localhost", `login.postern.localhost: A 198.51.100.1 (postern.localhost): a name of the service itself
NOERROR`},
	} {
		d := Trace(view(c.client, drawing()...), c.name)
		var b strings.Builder
		for _, s := range d.Steps {
			b.WriteString(s.Name + ": " + strings.Join(s.Answer, ", ") + " (" + s.Zone + "): " + s.Why + "\n")
		}
		b.WriteString(d.Code)
		if d.Private {
			b.WriteString(" private")
		}
		for _, f := range d.Findings {
			b.WriteString(" " + f.Cause.String())
		}
		if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Errorf("Trace(%s from %s): %s", c.name, c.client, diff)
		}
	}
}

// TestCauses: each of the causes of the guide (§10.1) is reproduced, named,
// and removed by the commands that come with it.
func TestCauses(t *testing.T) {
	const (
		zone  = networks + "privateDnsZones/" + core
		vnet  = networks + "virtualNetworks/myvnet"
		link  = "az network private-dns link vnet create --resource-group rg --zone-name privatelink.vaultcore.azure.net --name myvnet-link --virtual-network " + vnet + " --registration-enabled false"
		enrol = "az network private-endpoint dns-zone-group create --resource-group rg --endpoint-name kv-private-endpoint --name kv-dns-zone-group --private-dns-zone "
	)
	base := func(state string, more ...*estate.Resource) []*estate.Resource {
		return append([]*estate.Resource{vault("myvault", "eastus", "kv-private-endpoint="+state), network("myvnet", "app-subnet=10.0.1.0/24", "pe-subnet=10.0.3.0/24"),
			endpoint("kv-private-endpoint", "myvnet/subnets/pe-subnet", "myvault", "10.0.3.4")}, more...)
	}
	right := []*estate.Resource{privateDNS(core), linkTo(core, "myvnet", ""), record(core, "myvault", 10, "10.0.3.4")}
	lost := vault("myvault", "eastus")
	for _, c := range []struct {
		what, client string
		resources    []*estate.Resource
		causes       string
		fix          string
	}{
		{"nothing wrong", inside, base("Approved", right...), "", ""},
		{"vault without endpoints", outside, []*estate.Resource{lost}, "", ""},
		{"1: zone not linked", inside, base("Approved", privateDNS(core), record(core, "myvault", 10, "10.0.3.4")), "zone-not-linked", link},
		{"1: no zone", inside, base("Approved"), "zone-not-linked", "az network private-dns zone create --resource-group rg --name privatelink.vaultcore.azure.net\n" + link + "\n" + enrol + "privatelink.vaultcore.azure.net --zone-name keyvault"},
		{"2: no record", inside, base("Approved", privateDNS(core), linkTo(core, "myvnet", "")), "no-record", enrol + zone + " --zone-name keyvault"},
		{"2: no record, fallback", inside, base("Approved", privateDNS(core), linkTo(core, "myvnet", "NxDomainRedirect")), "no-record", enrol + zone + " --zone-name keyvault"},
		{"3: wrong address", inside, base("Approved", privateDNS(core), linkTo(core, "myvnet", ""), record(core, "myvault", 10, "10.0.3.99")), "wrong-address",
			"az network private-dns record-set a remove-record --resource-group rg --zone-name privatelink.vaultcore.azure.net --record-set-name myvault --ipv4-address 10.0.3.99 --keep-empty-record-set\n" +
				"az network private-dns record-set a add-record --resource-group rg --zone-name privatelink.vaultcore.azure.net --record-set-name myvault --ipv4-address 10.0.3.4"},
		{"4: pending", inside, base("Pending", right...), "not-approved", "az keyvault private-endpoint-connection approve --vault-name myvault --resource-group rg --name kv-private-endpoint"},
		{"4: rejected", inside, base("Rejected", right...), "not-approved", "az keyvault private-endpoint-connection approve --vault-name myvault --resource-group rg --name kv-private-endpoint"},
		{"4: disconnected", inside, base("Disconnected", right...), "not-approved", "az network private-endpoint delete --resource-group rg --name kv-private-endpoint\n" +
			"az network private-endpoint create --resource-group rg --name kv-private-endpoint --subnet " + vnet + "/subnets/pe-subnet --private-connection-resource-id " + lost.ID + " --group-id vault --connection-name kv-private-endpoint-connection"},
		{"5: another resolver", outside, base("Approved", right...), "other-resolver",
			`az dns-resolver inbound-endpoint create --resource-group GROUP --dns-resolver-name RESOLVER --name inbound --location eastus --ip-configurations "[{private-ip-allocation-method:Dynamic,id:SUBNET-ID}]"` +
				"\naz webapp config appsettings set --resource-group GROUP --name APP --settings WEBSITE_DNS_SERVER=168.63.129.16 WEBSITE_VNET_ROUTE_ALL=1"},
		{"6: vault.azure.net", inside, base("Approved", append(right, privateDNS("vault.azure.net"), linkTo("vault.azure.net", "myvnet", ""))...), "wrong-zone",
			"az network private-dns link vnet delete --resource-group rg --zone-name vault.azure.net --name myvnet --yes"},
		{"6: privatelink.vault.azure.net", inside, base("Approved", privateDNS("privatelink.vault.azure.net"), linkTo("privatelink.vault.azure.net", "myvnet", ""), record("privatelink.vault.azure.net", "myvault", 10, "10.0.3.4")),
			"wrong-zone zone-not-linked", "az network private-dns zone create --resource-group rg --name privatelink.vaultcore.azure.net\n" + link + "\n" + enrol + "privatelink.vaultcore.azure.net --zone-name keyvault\n" +
				"az network private-dns link vnet delete --resource-group rg --zone-name privatelink.vault.azure.net --name myvnet --yes"},
		{"6: no endpoint at all", inside, []*estate.Resource{lost, network("myvnet", "app=10.0.1.0/24"), privateDNS("vault.azure.net"), linkTo("vault.azure.net", "myvnet", "")}, "wrong-zone", ""},
		{"6: the wrong zone does the job", inside, base("Approved", privateDNS("vault.azure.net"), linkTo("vault.azure.net", "myvnet", ""), record("vault.azure.net", "myvault", 10, "10.0.3.4")), "", ""},
		{"several at once", inside, base("Pending", privateDNS(core)), "not-approved zone-not-linked", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := Trace(view(c.client, c.resources...), "myvault.vault.azure.net")
			var causes []string
			for _, f := range d.Findings {
				causes = append(causes, f.Cause.String())
				if f.Message == "" || len(f.Fix) == 0 {
					t.Errorf("finding %s: message %q, fix %q", f.Cause, f.Message, f.Fix)
				}
			}
			if got := strings.Join(causes, " "); got != c.causes {
				t.Fatalf("causes = %q, want %q", got, c.causes)
			}
			if c.fix != "" {
				if diff := cmp.Diff(c.fix, strings.Join(d.Findings[0].Fix, "\n")); diff != "" {
					t.Errorf("fix: %s", diff)
				}
			}
			if _, err := json.Marshal(d); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCommandsHoldNoForeignText: what a document calls things is not put
// into a command that somebody will paste, unless it is a name.
func TestCommandsHoldNoForeignText(t *testing.T) {
	evil := "$(rm -rf ~)"
	n := network("myvnet", "app=10.0.1.0/24")
	n.ID, n.Name = strings.Replace(n.ID, "myvnet", evil, 1), evil
	e := endpoint("e", evil+"/subnets/app", "myvault", "10.0.3.4")
	e.Name, e.ID = evil, strings.Replace(e.ID, "/rg/", "/"+evil+"/", 1)
	d := Trace(view(inside, vault("myvault", "eastus", "e=Approved"), n, e), "myvault.vault.azure.net")
	if len(d.Findings) != 1 {
		t.Fatalf("findings = %v, want 1", d.Findings)
	}
	for _, command := range d.Findings[0].Fix {
		if strings.ContainsAny(command, "$()~") {
			t.Errorf("command %q", command)
		}
	}
}

// TestOverlappingNetworks: an address that two networks have is in neither.
func TestOverlappingNetworks(t *testing.T) {
	d := Trace(view(inside, append(drawing(), network("twin", "app=10.0.1.0/24"))...), "myvault.vault.azure.net")
	if len(d.Findings) != 1 || d.Findings[0].Cause != OtherResolver || !strings.Contains(d.Findings[0].Message, "10.0.1.7 is in subnets of several networks, which proves none, so") {
		t.Errorf("findings = %+v", d.Findings)
	}
}
