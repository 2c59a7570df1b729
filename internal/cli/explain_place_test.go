package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/pires/go-proxyproto"

	"postern/internal/operator"
	"postern/internal/server"
	"postern/internal/vantage"
	"postern/posterntest"
)

// drawing is the guide's architecture on a running server, with loopback
// addresses, so that callers of its networks can ask the name server.
type drawing struct {
	*posterntest.Postern
	t testing.TB
}

const (
	appCaller = "127.0.81.9" // in app-subnet, which has the service endpoint
	aksCaller = "127.0.82.9" // in aks-subnet of a network of its own
	peCaller  = "127.0.83.9" // in pe-subnet, which has no service endpoint
	outsider  = "127.0.99.9" // on-premises

	zoneName = "privatelink.vaultcore.azure.net"
)

func newDrawing(t testing.TB, options ...posterntest.Option) *drawing {
	d := &drawing{posterntest.Start(t, append(options, posterntest.WithDNS(), posterntest.WithSetting("perimeter.proxyListen", "127.0.0.1:0"),
		posterntest.WithSetting("perimeter.balancers", "127.0.0.0/8"), posterntest.WithSetting("perimeter.endpoints", "off"))...), t}
	subnet := func(name, prefix string, services ...map[string]any) map[string]any {
		return map[string]any{"name": name, "properties": map[string]any{"addressPrefix": prefix, "serviceEndpoints": services}}
	}
	network := func(name string, subnets ...map[string]any) {
		d.must("PUT", d.net("virtualNetworks/"+name), "2024-05-01", map[string]any{"location": "eastus", "properties": map[string]any{
			"addressSpace": map[string]any{"addressPrefixes": []string{"127.0.80.0/20"}}, "subnets": subnets}})
	}
	network("myvnet", subnet("app-subnet", "127.0.81.0/24", map[string]any{"service": "Microsoft.KeyVault"}), subnet("pe-subnet", "127.0.83.0/24"))
	network("aks-vnet", subnet("aks-subnet", "127.0.82.0/24"))
	return d
}

// net is the id of a resource of networks.
func (d *drawing) net(path string) string {
	return "/subscriptions/" + d.SubscriptionID + "/resourceGroups/" + posterntest.Group + "/providers/Microsoft.Network/" + path
}

// must sends a request to the control plane.
func (d *drawing) must(method, id, version string, body map[string]any) {
	d.t.Helper()
	if status, answer := d.Do(method, d.ManagementURL+id+"?api-version="+version, body); status/100 != 2 {
		d.t.Fatalf("%s %s = %d %s", method, id, status, answer)
	}
}

// endpoint makes a private endpoint to a vault; manual ones await approval.
func (d *drawing) endpoint(vault posterntest.Vault, manual bool) {
	connections := "privateLinkServiceConnections"
	if manual {
		connections = "manualPrivateLinkServiceConnections"
	}
	d.must("PUT", d.net("privateEndpoints/"+vault.Name+"-pe"), "2024-05-01", map[string]any{"location": "eastus", "properties": map[string]any{
		"subnet": map[string]any{"id": d.net("virtualNetworks/myvnet/subnets/pe-subnet")}, connections: []any{map[string]any{"name": vault.Name + "-connection",
			"properties": map[string]any{"privateLinkServiceId": vault.ID, "groupIds": []string{"vault"}}}}}})
}

// register links the zone to myvnet and registers a vault's endpoint in it.
func (d *drawing) register(vault posterntest.Vault) {
	d.must("PUT", d.net("privateDnsZones/"+zoneName), "2024-06-01", map[string]any{"location": "global"})
	d.link("myvnet")
	d.must("PUT", d.net("privateEndpoints/"+vault.Name+"-pe/privateDnsZoneGroups/kv-dns-zone-group"), "2024-05-01", map[string]any{"properties": map[string]any{
		"privateDnsZoneConfigs": []any{map[string]any{"name": "keyvault", "properties": map[string]any{"privateDnsZoneId": d.net("privateDnsZones/" + zoneName)}}}}})
}

func (d *drawing) link(network string) {
	d.must("PUT", d.net("privateDnsZones/"+zoneName+"/virtualNetworkLinks/"+network+"-link"), "2024-06-01", map[string]any{"location": "global",
		"properties": map[string]any{"registrationEnabled": false, "virtualNetwork": map[string]any{"id": d.net("virtualNetworks/" + network)}}})
}

// resolve asks the name server from an address.
func (d *drawing) resolve(from, vault string) netip.Addr {
	d.t.Helper()
	c := dns.Client{Timeout: 10 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}}
	answer, _, err := c.Exchange(new(dns.Msg).SetQuestion(vault+".vault.azure.net.", dns.TypeA), d.DNS)
	if err != nil {
		d.t.Fatalf("asking for %s from %s: %v", vault, from, err)
	}
	for _, rr := range answer.Answer {
		if a, ok := rr.(*dns.A); ok {
			addr, _ := netip.AddrFromSlice(a.A.To4())
			return addr
		}
	}
	return netip.Addr{}
}

// from is the server as a caller reaches it who connects from an address to
// another, through a balancer.
func (d *drawing) from(source, destination netip.Addr) *posterntest.Postern {
	d.t.Helper()
	info, err := server.ReadInfo(d.Data)
	if err != nil {
		d.t.Fatal(err)
	}
	client := d.NewClient()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", info.ProxyProtocol)
		if err != nil {
			return nil, err
		}
		h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 40000)), net.TCPAddrFromAddrPort(netip.AddrPortFrom(destination, 443)))
		_, err = h.WriteTo(conn)
		return conn, err
	}
	d.t.Cleanup(client.CloseIdleConnections)
	return d.Over(client)
}

// explain runs the command on the data folder.
func (d *drawing) explain(vault, place, who string, more ...string) (int, jsonExplained) {
	d.t.Helper()
	var out, errs bytes.Buffer
	args := append([]string{"explain", "--data", d.Data, "--vault", vault, "--from", place, "--as", who, "--do", "secrets/get", "--object", "db", "-o", "json"}, more...)
	code := Run(context.Background(), args, []string{}, strings.NewReader(""), &out, &errs)
	var said jsonExplained
	if err := json.Unmarshal(out.Bytes(), &said); err != nil {
		d.t.Fatalf("explain of %s from %s: %v\n%s%s", vault, place, err, out.String(), errs.String())
	}
	return code, said
}

// codes are the codes of the causes.
func (x jsonExplained) codes() string {
	var list []string
	for _, c := range x.Causes {
		list = append(list, c.Code)
	}
	return strings.Join(list, " ")
}

// compare explains a request and makes it: the caller asks the name server
// for the vault, goes where the name leads, and gets what was explained.
func (d *drawing) compare(vault posterntest.Vault, place, from string, who posterntest.Principal, wantInner, wantCodes string) jsonExplained {
	d.t.Helper()
	code, said := d.explain(vault.Name, place, who.ObjectID)
	if got := said.codes(); got != wantCodes {
		d.t.Errorf("%s from %s: causes = %q, want %q", vault.Name, place, got, wantCodes)
	}
	addr := d.resolve(from, vault.Name)
	if !addr.IsValid() {
		if said.Answer != nil || code != ExitDenied || said.Place.Path != "none" {
			d.t.Errorf("%s from %s: explain = exit %d, path %s, answer %+v; but the name does not resolve", vault.Name, place, code, said.Place.Path, said.Answer)
		}
		return said
	}
	private := addr != netip.MustParseAddr("127.0.0.1")
	if said.DNS == nil || said.DNS.Private != private {
		d.t.Errorf("%s from %s: explain's DNS = %+v, the name server answers %s", vault.Name, place, said.DNS, addr)
	}
	caller := d.from(netip.MustParseAddr(from), addr)
	token := d.TokenFor(who.ClientID, who.Secret, "https://vault.azure.net")
	status, body := caller.DoAs(token, http.MethodGet, "https://"+vault.Name+".vault.azure.net/secrets/db?api-version=7.4", nil)
	var got wire
	if err := json.Unmarshal(body, &got); err != nil {
		d.t.Fatalf("%s from %s: %v: %s", vault.Name, from, err, body)
	}
	if wantInner == "" {
		if code != ExitOK || said.Answer != nil || status != http.StatusNotFound {
			d.t.Errorf("%s from %s: explain = exit %d, %+v, the server %d %s; want no refusal", vault.Name, place, code, said.Answer, status, body)
		}
		return said
	}
	want := jsonAnswer{status, got.Error.Code, got.Error.InnerError.Code, got.Error.Message}
	if code != ExitDenied || said.Answer == nil || *said.Answer != want || want.Inner != wantInner {
		d.t.Errorf("%s from %s: explain = exit %d, %+v, the server answers %+v", vault.Name, place, code, said.Answer, want)
	}
	return said
}

// TestExplainFromPlaces goes through the guide's migration (§8) and its
// table of refusals (§10.2): what explain says of a caller at a place is what
// a caller there gets, byte for byte.
func TestExplainFromPlaces(t *testing.T) {
	d := newDrawing(t)
	reader := d.CreatePrincipal("reader")
	may := map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{"tenantId": d.TenantID, "objectId": reader.ObjectID,
		"permissions": map[string]any{"secrets": []string{"get"}}}}}
	deny := func(rules ...string) map[string]any {
		list := []any{}
		for _, subnet := range rules {
			list = append(list, map[string]any{"id": d.net("virtualNetworks/" + subnet), "ignoreMissingVnetServiceEndpoint": true})
		}
		return map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices", "virtualNetworkRules": list}}
	}
	at := func(addr string, place string) string { return fmt.Sprintf("subnet:%s@%s", place, addr) }

	firewall := d.CreateVault("firewall", may, deny())
	d.compare(firewall, at(appCaller, "app-subnet"), appCaller, reader, "ForbiddenByFirewall", "vnet-rule-missing")
	d.compare(firewall, at(aksCaller, "aks-subnet"), aksCaller, reader, "ForbiddenByFirewall", "service-endpoint-off vnet-rule-missing")
	d.compare(firewall, appCaller, appCaller, reader, "ForbiddenByFirewall", "vnet-rule-missing")
	d.compare(firewall, outsider, outsider, reader, "ForbiddenByFirewall", "ip-not-listed")

	rules := d.CreateVault("rules", may, deny("myvnet/subnets/app-subnet", "myvnet/subnets/pe-subnet"))
	d.compare(rules, at(appCaller, "myvnet/app-subnet"), appCaller, reader, "", "")
	d.compare(rules, at(peCaller, "pe-subnet"), peCaller, reader, "ForbiddenByFirewall", "service-endpoint-off")

	shut := d.CreateVault("shut", may, deny(), map[string]any{"publicNetworkAccess": "Disabled"})
	d.compare(shut, at(appCaller, "app-subnet"), appCaller, reader, "ForbiddenByConnection", "private-endpoint-missing")
	d.endpoint(shut, true)
	d.compare(shut, at(appCaller, "app-subnet"), appCaller, reader, "ForbiddenByConnection", "endpoint-pending zone-not-linked")
	connection := shut.ID + "/privateEndpointConnections/shut-connection"
	set := func(state string) {
		d.must("PUT", connection, "2023-07-01", map[string]any{"properties": map[string]any{"privateLinkServiceConnectionState": map[string]any{"status": state}}})
	}
	set("Rejected")
	d.compare(shut, at(appCaller, "app-subnet"), appCaller, reader, "ForbiddenByConnection", "endpoint-rejected zone-not-linked")
	set("Approved")
	said := d.compare(shut, at(appCaller, "app-subnet"), appCaller, reader, "ForbiddenByConnection", "zone-not-linked")
	if want := "the name resolves to the public address because there is no private zone privatelink.vaultcore.azure.net; public access is disabled, although the private endpoint shut-pe is approved"; said.Headline != want {
		t.Errorf("headline = %q, want %q", said.Headline, want)
	}
	d.must("PUT", d.net("privateDnsZones/"+zoneName), "2024-06-01", map[string]any{"location": "global"})
	d.link("myvnet")
	d.compare(shut, at(appCaller, "app-subnet"), appCaller, reader, "", "no-record")
	d.register(shut)
	d.compare(shut, at(appCaller, "app-subnet"), appCaller, reader, "", "")
	d.compare(shut, appCaller, appCaller, reader, "", "")
	d.compare(shut, at(aksCaller, "aks-subnet"), aksCaller, reader, "ForbiddenByConnection", "zone-not-linked")
	d.compare(shut, outsider, outsider, reader, "ForbiddenByConnection", "other-resolver")
	d.link("aks-vnet")
	d.compare(shut, at(aksCaller, "aks-subnet"), aksCaller, reader, "", "")

	d.must("DELETE", d.net("privateEndpoints/shut-pe"), "2024-05-01", nil)
	d.compare(shut, at(appCaller, "app-subnet"), appCaller, reader, "ForbiddenByConnection", "private-endpoint-missing")
}

// TestExplainThroughEndpoints: a caller who comes through an endpoint, in
// each of its states (§10.3).
func TestExplainThroughEndpoints(t *testing.T) {
	d := newDrawing(t)
	reader := d.CreatePrincipal("reader")
	kv := d.CreateVault("stated", map[string]any{"publicNetworkAccess": "Disabled", "enableRbacAuthorization": false, "accessPolicies": []any{
		map[string]any{"tenantId": d.TenantID, "objectId": reader.ObjectID, "permissions": map[string]any{"secrets": []string{"get"}}}}})
	d.endpoint(kv, true)
	var doc struct {
		Properties struct {
			CustomDNS []struct {
				Addresses []string `json:"ipAddresses"`
			} `json:"customDnsConfigs"`
		}
	}
	_, answer := d.Do("GET", d.ManagementURL+d.net("privateEndpoints/stated-pe")+"?api-version=2024-05-01", nil)
	if err := json.Unmarshal(answer, &doc); err != nil || len(doc.Properties.CustomDNS) == 0 {
		t.Fatalf("the endpoint = %s", answer)
	}
	addr := netip.MustParseAddr(doc.Properties.CustomDNS[0].Addresses[0])
	token := d.TokenFor(reader.ClientID, reader.Secret, "https://vault.azure.net")
	for _, test := range []struct{ state, codes, action, inner string }{
		{"Pending", "endpoint-pending", "approve the connection", "ForbiddenByConnection"},
		{"Rejected", "endpoint-rejected", "re-create or approve it", "ForbiddenByConnection"},
		{"Approved", "", "", ""},
	} {
		if test.state != "Pending" {
			d.must("PUT", kv.ID+"/privateEndpointConnections/stated-connection", "2023-07-01",
				map[string]any{"properties": map[string]any{"privateLinkServiceConnectionState": map[string]any{"status": test.state}}})
		}
		_, said := d.explain(kv.Name, "endpoint:stated-pe@"+peCaller, "reader")
		status, body := d.from(netip.MustParseAddr(peCaller), addr).DoAs(token, http.MethodGet, "https://stated.vault.azure.net/secrets/db?api-version=7.4", nil)
		var got wire
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v: %s", test.state, err, body)
		}
		if said.codes() != test.codes || said.Place.State != test.state || test.codes != "" && !strings.HasSuffix(said.Causes[0].Text, test.action) {
			t.Errorf("%s: explain = %+v of a %s endpoint", test.state, said.Causes, said.Place.State)
		}
		if test.inner == "" {
			if status != http.StatusNotFound || said.Answer != nil {
				t.Errorf("%s: explain = %+v, the server %d", test.state, said.Answer, status)
			}
			continue
		}
		if want := (jsonAnswer{status, got.Error.Code, got.Error.InnerError.Code, got.Error.Message}); said.Answer == nil || *said.Answer != want || want.Inner != test.inner {
			t.Errorf("%s: explain = %+v, the server answers %+v", test.state, said.Answer, want)
		}
	}
}

// TestExplainForwarder: on-premises with a conditional forwarder in the
// network, the name leads to the endpoint.
func TestExplainForwarder(t *testing.T) {
	d := newDrawing(t)
	reader := d.CreatePrincipal("reader")
	kv := d.CreateVault("forwarded", map[string]any{"publicNetworkAccess": "Disabled"})
	d.endpoint(kv, false)
	d.register(kv)
	for _, test := range []struct{ resolver, path, codes string }{
		{"", "public", "other-resolver"}, {"127.0.99.53", "public", "other-resolver"}, {appCaller, "privateEndpoint", "role-missing"}, {aksCaller, "public", "zone-not-linked"},
	} {
		more := []string{}
		asks := outsider
		if test.resolver != "" {
			more, asks = []string{"--resolver", test.resolver}, test.resolver
		}
		_, said := d.explain(kv.Name, outsider, reader.ObjectID, more...)
		if said.Place.Path != test.path || said.codes() != test.codes {
			t.Errorf("--resolver %q: explain = %s %q, want %s %q", test.resolver, said.Place.Path, said.codes(), test.path, test.codes)
		}
		addr := d.resolve(asks, kv.Name)
		if private := addr.String() != "127.0.0.1"; private != said.DNS.Private {
			t.Errorf("--resolver %q: explain's DNS = %+v, the name server answers %s", test.resolver, said.DNS, addr)
		}
	}
}

// TestExplainIdentity: the rights of §10.2, the role that was assigned a
// moment ago among them.
func TestExplainIdentity(t *testing.T) {
	d := newDrawing(t, posterntest.WithSetting("propagation.roleAssignment", "10m"), posterntest.WithSetting("propagation.dns", "1m"))
	reader := d.CreatePrincipal("reader")
	roles := d.CreateVault("by-roles")
	policies := d.CreateVault("by-policies", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{}})
	at := "subnet:app-subnet@" + appCaller
	d.compareDirect(roles, at, reader, "ForbiddenByRbac", "role-missing")
	d.compareDirect(policies, at, reader, "ForbiddenByPolicy", "policy-missing")
	d.must("PUT", roles.ID+"/providers/Microsoft.Authorization/roleAssignments/66666666-6666-6666-6666-666666666666", "2022-04-01", map[string]any{"properties": map[string]any{
		"roleDefinitionId": roles.ID + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6",
		"principalId":      reader.ObjectID, "principalType": "ServicePrincipal"}})
	said := d.compareDirect(roles, at, reader, "ForbiddenByRbac", "role-not-propagated")
	if !strings.Contains(strings.Join(said.Notes, "\n"), "this server lets changes of private DNS count after 1m0s") {
		t.Errorf("notes = %q, want the delay of DNS", said.Notes)
	}
	const nobody = "99999999-9999-4999-8999-999999999999"
	for vault, want := range map[string]string{"by-roles": "role-missing identity-unknown", "by-policies": "policy-missing identity-unknown"} {
		code, said := d.explain(vault, at, nobody)
		if said.codes() != want || code != ExitDenied || !strings.Contains(strings.Join(said.Changes, "\n"), "az ad sp show --id "+nobody) {
			t.Errorf("%s: explain of nobody = exit %d, %q, %q, want %q", vault, code, said.codes(), said.Changes, want)
		}
	}
}

// compareDirect is compare for a server whose name server lags behind.
func (d *drawing) compareDirect(vault posterntest.Vault, place string, who posterntest.Principal, wantInner, wantCodes string) jsonExplained {
	d.t.Helper()
	code, said := d.explain(vault.Name, place, who.ObjectID)
	token := d.TokenFor(who.ClientID, who.Secret, "https://vault.azure.net")
	status, body := d.from(netip.MustParseAddr(appCaller), netip.MustParseAddr("127.0.0.1")).DoAs(token, http.MethodGet,
		"https://"+vault.Name+".vault.azure.net/secrets/db?api-version=7.4", nil)
	var got wire
	if err := json.Unmarshal(body, &got); err != nil {
		d.t.Fatalf("%s: %v: %s", vault.Name, err, body)
	}
	want := jsonAnswer{status, got.Error.Code, got.Error.InnerError.Code, got.Error.Message}
	if code != ExitDenied || said.Answer == nil || *said.Answer != want || want.Inner != wantInner || said.codes() != wantCodes {
		d.t.Errorf("%s: explain = exit %d, %q, %+v, the server answers %+v", vault.Name, code, said.codes(), said.Answer, want)
	}
	return said
}

// TestExplainServices: trust as far as it goes, with the platform's
// certificate, and without what else it needs.
func TestExplainServices(t *testing.T) {
	d := newDrawing(t)
	backup, stranger := d.Service("Azure Backup"), d.CreatePrincipal("stranger")
	closed := func(name, bypass string) posterntest.Vault {
		policy := func(id string) map[string]any {
			return map[string]any{"tenantId": d.TenantID, "objectId": id, "permissions": map[string]any{"secrets": []string{"all"}}}
		}
		return d.CreateVault(name, map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{policy(backup.ObjectID), policy(stranger.ObjectID)},
			"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": bypass}})
	}
	trusting, strict := closed("trusting", "AzureServices"), closed("strict", "None")
	shown := d.Showing(d.IssueCertificate("Azure Backup", 0).Certificate)
	for _, test := range []struct {
		vault        posterntest.Vault
		who          posterntest.Principal
		inner, codes string
	}{
		{trusting, backup, "", ""},
		{trusting, stranger, "ForbiddenByFirewall", "identity-not-trusted"},
		{strict, backup, "ForbiddenByFirewall", "bypass-none"},
	} {
		_, said := d.explain(test.vault.Name, "service:azure backup@127.0.0.1", test.who.ObjectID)
		status, body := shown.DoAs(d.TokenFor(test.who.ClientID, test.who.Secret, "https://vault.azure.net"), http.MethodGet,
			"https://"+test.vault.Name+".vault.azure.net/secrets/db?api-version=7.4", nil)
		var got wire
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v: %s", test.vault.Name, err, body)
		}
		if said.codes() != test.codes || got.Error.InnerError.Code != test.inner {
			t.Errorf("%s: explain = %q, the server %s, want %q and %q", test.vault.Name, said.codes(), got.Error.InnerError.Code, test.codes, test.inner)
		}
		if test.inner == "" {
			if status != http.StatusNotFound || said.Answer != nil {
				t.Errorf("%s: explain = %+v, the server %d", test.vault.Name, said.Answer, status)
			}
			continue
		}
		if want := (jsonAnswer{status, got.Error.Code, got.Error.InnerError.Code, got.Error.Message}); said.Answer == nil || *said.Answer != want {
			t.Errorf("%s: explain = %+v, the server answers %+v", test.vault.Name, said.Answer, want)
		}
	}
}

// at is the server as an unmodified client reaches it from a vantage at a
// place.
func (d *drawing) at(place string) *posterntest.Postern {
	d.t.Helper()
	client := operator.NewClient(d.Data, "test")
	found, err := client.Places(context.Background(), place)
	if err != nil {
		d.t.Fatal(err)
	}
	info, err := server.ReadInfo(d.Data)
	if err != nil {
		d.t.Fatal(err)
	}
	v := &vantage.Vantage{Server: vantage.Local(d.Data, client, info.Names(), nil), Place: found.Places[0], Log: slog.New(slog.DiscardHandler)}
	proxy := httptest.NewServer(v.Proxy())
	hub, err := url.Parse(proxy.URL)
	if err != nil {
		d.t.Fatal(err)
	}
	through := d.NewClient()
	transport := through.Transport.(*http.Transport)
	transport.DialContext, transport.Proxy = nil, http.ProxyURL(hub)
	d.t.Cleanup(func() { through.CloseIdleConnections(); proxy.Close() })
	return d.Over(through)
}

// TestExplainAgreesWithVantage: an unmodified client that a vantage puts at
// a place gets what explain says of it.
func TestExplainAgreesWithVantage(t *testing.T) {
	d := newDrawing(t)
	reader := d.CreatePrincipal("reader")
	may := map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{"tenantId": d.TenantID, "objectId": reader.ObjectID,
		"permissions": map[string]any{"secrets": []string{"get"}}}}}
	acls := func(more map[string]any) map[string]any {
		m := map[string]any{"defaultAction": "Deny", "bypass": "AzureServices"}
		maps.Copy(m, more)
		return map[string]any{"networkAcls": m}
	}
	vaults := []posterntest.Vault{
		d.CreateVault("plain-v", may),
		d.CreateVault("shut-v", may, acls(map[string]any{"bypass": "None"}), map[string]any{"publicNetworkAccess": "Disabled"}),
		d.CreateVault("ruled-v", may, acls(map[string]any{"ipRules": []any{map[string]any{"value": "203.0.113.0/24"}},
			"virtualNetworkRules": []any{map[string]any{"id": d.net("virtualNetworks/myvnet/subnets/app-subnet")}}})),
		d.CreateVault("linked-v", may, acls(nil), map[string]any{"publicNetworkAccess": "Disabled"}),
	}
	d.endpoint(vaults[3], false)
	d.register(vaults[3])
	token := d.TokenFor(reader.ClientID, reader.Secret, "https://vault.azure.net")
	served := 0
	for _, place := range []string{"203.0.113.7", "198.51.100.1", "2001:db8::7", "10.9.9.9", appCaller, "subnet:app-subnet", "subnet:aks-subnet", "subnet:pe-subnet@" + peCaller,
		"endpoint:linked-v-pe", "service:Azure Backup"} {
		over := d.at(place)
		for _, vault := range vaults {
			code, said := d.explain(vault.Name, place, reader.ObjectID)
			if said.Place.Path == "none" {
				if vault.Name == "linked-v" || !strings.Contains(said.DNS.LeadsTo, "NXDOMAIN") {
					t.Errorf("%s from %s: explain = no connection: %+v", vault.Name, place, said.DNS)
				}
				continue
			}
			status, body := over.DoAs(token, http.MethodGet, "https://"+vault.Name+".vault.azure.net/secrets/db?api-version=7.4", nil)
			var got wire
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%s from %s: %v: %s", vault.Name, place, err, body)
			}
			if status == http.StatusNotFound {
				if served++; code != ExitOK {
					t.Errorf("%s from %s: explain = exit %d, %+v, the server serves", vault.Name, place, code, said.Answer)
				}
				continue
			}
			want := jsonAnswer{status, got.Error.Code, got.Error.InnerError.Code, got.Error.Message}
			if code != ExitDenied || said.Answer == nil || *said.Answer != want {
				t.Errorf("%s from %s: explain = exit %d, %+v, the server answers %+v", vault.Name, place, code, said.Answer, want)
			}
		}
	}
	if served < 12 {
		t.Errorf("%d requests were served, want more of them", served)
	}
}
