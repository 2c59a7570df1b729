package dns

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/conformance/lab"
)

const (
	name = "myvault.vault.azure.net"
	zone = "privatelink.vaultcore.azure.net"
	// The network is one of loopback addresses; 127.0.0.1, from which
	// nslookup asks, is in it.
	inside, outside = "127.0.0.1", "127.0.72.9"
)

// site is a running postern with a name server.
type site struct {
	*testing.T
	postern *lab.Postern
	control *lab.Control
	host    string
	port    string
}

func start(t *testing.T, args ...string) *site {
	t.Helper()
	lab.Tool(t, "dig", "bind9-dnsutils")
	lab.Tool(t, "nslookup", "bind9-dnsutils")
	s := &site{T: t, postern: lab.Start(t, append([]string{"--dns", "127.0.0.1:0"}, args...)...)}
	text, err := os.ReadFile(filepath.Join(s.postern.Data, "server.json"))
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ DNS string }
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	if s.host, s.port, err = net.SplitHostPort(info.DNS); err != nil {
		t.Fatalf("the name server's address: %v", err)
	}
	return s
}

// put makes a resource of Microsoft.Network.
func (s *site) put(path, body string) {
	s.Helper()
	s.control.Put(s, s.id(path)+"?api-version=2024-06-01", json.RawMessage(body))
}

func (s *site) id(path string) string {
	return "/subscriptions/" + s.control.Subscription + "/resourceGroups/" + lab.Group + "/providers/Microsoft.Network/" + path
}

// prepare makes the vault, and the network and endpoint of the guide (§4.2).
func (s *site) prepare() {
	s.postern.Vault(s, "myvault", nil)
	s.control = s.postern.Control(s)
	s.put("virtualNetworks/myvnet", `{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["127.0.0.0/24","10.0.3.0/24"]},"subnets":[
		{"name":"app-subnet","properties":{"addressPrefix":"127.0.0.0/24"}},{"name":"pe-subnet","properties":{"addressPrefix":"10.0.3.0/24"}}]}}`)
}

func (s *site) endpoint() {
	vault := strings.Replace(s.id(""), "Microsoft.Network/", "Microsoft.KeyVault/vaults/myvault", 1)
	s.put("privateEndpoints/kv-private-endpoint", fmt.Sprintf(`{"location":"eastus","properties":{"subnet":{"id":%q},
		"privateLinkServiceConnections":[{"name":"kv-pe-connection","properties":{"privateLinkServiceId":%q,"groupIds":["vault"]}}]}}`,
		s.id("virtualNetworks/myvnet/subnets/pe-subnet"), vault))
}

// zone makes zone, link and group of the guide (§4.3).
func (s *site) zone() {
	s.put("privateDnsZones/"+zone, `{"location":"global"}`)
	s.put("privateDnsZones/"+zone+"/virtualNetworkLinks/kv-dns-link", fmt.Sprintf(
		`{"location":"global","properties":{"registrationEnabled":false,"virtualNetwork":{"id":%q}}}`, s.id("virtualNetworks/myvnet")))
	s.put("privateEndpoints/kv-private-endpoint/privateDnsZoneGroups/kv-dns-zone-group", fmt.Sprintf(
		`{"properties":{"privateDnsZoneConfigs":[{"name":"keyvault","properties":{"privateDnsZoneId":%q}}]}}`, s.id("privateDnsZones/"+zone)))
}

// run runs a program and gives what it prints, spaces made one; both
// programs tell by their status whether a name server answered.
func (s *site) run(program string, args ...string) string {
	s.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		s.Fatalf("%s: %v", program, err)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// dig asks from an address.
func (s *site) dig(from string, args ...string) string {
	s.Helper()
	return s.run("dig", append([]string{"-b", from, "@" + s.host, "-p", s.port}, args...)...)
}

func (s *site) nslookup(args ...string) string {
	s.Helper()
	return s.run("nslookup", append(append([]string{"-port=" + s.port}, args...), s.host)...)
}

func (s *site) same(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s prints\n%s\nwant\n%s", what, got, want)
	}
}

func (s *site) has(what, got string, want ...string) {
	s.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			s.Errorf("%s prints\n%s\nwant %q in it", what, got, w)
		}
	}
}

// The lines of the chains, as dig +noall +answer prints them.
const (
	public = "data-prod-eus.vaultcore.azure.net. 60 IN CNAME data-prod-eus-region.vaultcore.azure.net.\n" +
		"data-prod-eus-region.vaultcore.azure.net. 60 IN A 127.0.0.1"
	alias   = name + ". 60 IN CNAME myvault." + zone + "."
	private = alias + "\nmyvault." + zone + ". 10 IN A 10.0.3.4"
	lost    = alias + "\nmyvault." + zone + ". 60 IN CNAME data-prod-eus.vaultcore.azure.net.\n" + public
)

// TestChain is the guide's chain (§4.3, §8, §10.1): broken, and as it should
// be, as both programs print it.
func TestChain(t *testing.T) {
	s := start(t)
	s.has("nslookup of a vault that is not there", s.nslookup(name), "** server can't find "+name+": NXDOMAIN")
	s.prepare()
	answer := func(from string) string { return s.dig(from, "+noall", "+answer", name) }
	s.same("dig without an endpoint", answer(inside), name+". 60 IN CNAME data-prod-eus.vaultcore.azure.net.\n"+public)
	s.endpoint()
	s.same("dig without a zone", answer(inside), lost)
	broken := s.nslookup(name)
	s.has("nslookup without a zone", broken, name+" canonical name = myvault."+zone+".", "Name: data-prod-eus-region.vaultcore.azure.net\nAddress: 127.0.0.1")
	s.zone()
	s.same("dig inside", answer(inside), private)
	s.same("dig outside", answer(outside), lost)
	s.same("dig +short inside", s.dig(inside, "+short", name), "myvault."+zone+".\n10.0.3.4")
	s.same("dig over TCP", s.dig(inside, "+tcp", "+noall", "+answer", name), private)
	right := s.nslookup(name)
	s.same("nslookup inside", right, "Server: 127.0.0.1\nAddress: 127.0.0.1#"+s.port+"\n"+
		name+" canonical name = myvault."+zone+".\nName: myvault."+zone+"\nAddress: 10.0.3.4")
}

// TestWords: what else dig shows of a well-behaved server.
func TestWords(t *testing.T) {
	s := start(t)
	s.prepare()
	s.endpoint()
	s.zone()
	for _, c := range []struct {
		what string
		args []string
		want []string
	}{
		{"head", []string{name}, []string{"status: NOERROR", "flags: qr aa rd ra; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 1", "EDNS: version: 0, flags:; udp: 1232"}},
		{"mixed case", []string{"MyVault.Vault.Azure.NET"}, []string{";MyVault.Vault.Azure.NET. IN A", "MyVault.Vault.Azure.NET. 60 IN CNAME"}},
		{"AAAA", []string{name, "AAAA"}, []string{"status: NOERROR", "ANSWER: 1, AUTHORITY: 1", zone + ". 10 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com."}},
		{"not there", []string{"nobody.vault.azure.net"}, []string{"status: NXDOMAIN", "vault.azure.net. 10 IN SOA"}},
		{"others", []string{"example.com"}, []string{"status: REFUSED"}},
		{"version.bind", []string{"version.bind", "TXT", "CH"}, []string{"status: REFUSED"}},
		{"transfer", []string{zone, "AXFR"}, []string{"; Transfer failed."}},
		{"ANY", []string{name, "ANY", "+notcp"}, []string{"ANSWER: 1,"}},
		{"client subnet", []string{"+subnet=203.0.113.0/24", "+noall", "+answer", name}, []string{"10.0.3.4"}},
		{"cookie", []string{"+cookie=0123456789abcdef", name}, []string{"status: NOERROR"}},
		{"EDNS of the future", []string{"+edns=1", "+noednsneg", name}, []string{"status: BADVERS"}},
		{"no EDNS", []string{"+noedns", name}, []string{"status: NOERROR", "ADDITIONAL: 0"}},
		{"UPDATE", []string{"+opcode=update", name}, []string{"status: REFUSED"}},
		{"NOTIFY", []string{"+opcode=notify", name}, []string{"status: REFUSED"}},
		{"several over one connection", []string{"+tcp", "+keepopen", "+short", name, "login.microsoftonline.com", "management.azure.com"}, []string{"10.0.3.4\n127.0.0.1\n127.0.0.1"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			in := *s
			in.T = t
			in.has("dig "+strings.Join(c.args, " "), in.dig(inside, c.args...), c.want...)
		})
	}
}

// TestOnPremises: a resolver elsewhere forwards the two zones (§4.3); its
// clients get the private address, because it asks from inside the network.
func TestOnPremises(t *testing.T) {
	s := start(t)
	s.prepare()
	s.endpoint()
	s.zone()
	to := net.JoinHostPort(s.host, s.port)
	file := filepath.Join(t.TempDir(), "forward.yaml")
	settings := fmt.Sprintf("dns:\n  forward: ['vault.azure.net=%s', 'vaultcore.azure.net=%s']\n", to, to)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	premises := start(t, "--config", file)
	s.same("dig to Azure directly", s.dig(outside, "+noall", "+answer", name), lost)
	premises.same("dig to the forwarder", premises.dig(outside, "+noall", "+answer", name), private)
	premises.has("dig to the forwarder", premises.dig(outside, name), "flags: qr rd ra;")
	premises.has("nslookup to the forwarder", premises.nslookup(name), "Non-authoritative answer:\n"+name+" canonical name = myvault."+zone+".\nName: myvault."+zone+"\nAddress: 10.0.3.4")
}
