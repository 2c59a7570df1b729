package vantage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/internal/operator"
	"postern/internal/server"
	"postern/internal/vantage"
	"postern/posterntest"
)

// scene is a server with the networks of the guide to private endpoints: an
// app subnet with the service endpoint, an AKS subnet without, a subnet of
// private endpoints; the app's network sees the private zone.
type scene struct {
	*posterntest.Postern
	t     *testing.T
	group string
}

func newScene(t *testing.T) *scene {
	p := posterntest.Start(t)
	s := &scene{p, t, "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + posterntest.Group + "/providers/"}
	vault := p.CreateVault("kv1")
	p.Do("PUT", vault.URL+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
	subnet := func(name, prefix string, services ...any) map[string]any {
		return map[string]any{"name": name, "properties": map[string]any{"addressPrefix": prefix, "serviceEndpoints": services}}
	}
	s.put("Microsoft.Network/virtualNetworks/vnet", map[string]any{"location": "eastus", "properties": map[string]any{
		"addressSpace": map[string]any{"addressPrefixes": []any{"10.0.0.0/16"}}, "subnets": []any{
			subnet("app", "10.0.1.0/24", map[string]any{"service": "Microsoft.KeyVault"}), subnet("aks", "10.0.2.0/24"), subnet("pe", "10.0.3.0/24")}}})
	s.put("Microsoft.Network/virtualNetworks/other", map[string]any{"location": "eastus", "properties": map[string]any{
		"addressSpace": map[string]any{"addressPrefixes": []any{"10.9.0.0/16"}}, "subnets": []any{subnet("lone", "10.9.1.0/24", map[string]any{"service": "Microsoft.KeyVault"})}}})
	return s
}

// connect makes a private endpoint, and the zone by which the app's network
// finds it.
func (s *scene) connect() {
	s.put("Microsoft.Network/privateEndpoints/kv-pe", map[string]any{"location": "eastus", "properties": map[string]any{
		"subnet": map[string]any{"id": s.group + "Microsoft.Network/virtualNetworks/vnet/subnets/pe"},
		"privateLinkServiceConnections": []any{map[string]any{"name": "c", "properties": map[string]any{
			"privateLinkServiceId": s.VaultID("kv1"), "groupIds": []any{"vault"}}}}}})
	s.put("Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net", map[string]any{"location": "global"})
	s.put("Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net/virtualNetworkLinks/l", map[string]any{"location": "global",
		"properties": map[string]any{"registrationEnabled": false, "virtualNetwork": map[string]any{"id": s.group + "Microsoft.Network/virtualNetworks/vnet"}}})
}

func (s *scene) record(address string) {
	s.put("Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net/A/kv1", map[string]any{
		"properties": map[string]any{"ttl": 10, "aRecords": []any{map[string]any{"ipv4Address": address}}}})
}

func (s *scene) put(path string, body map[string]any) {
	s.t.Helper()
	version := "2024-05-01"
	if strings.Contains(path, "privateDnsZones") {
		version = "2024-06-01"
	}
	status, answer := s.Do("PUT", s.ManagementURL+s.group+path+"?api-version="+version, body)
	if status/100 != 2 {
		s.t.Fatalf("PUT %s = %d %s", path, status, answer)
	}
}

// firewall replaces the vault's network settings.
func (s *scene) firewall(properties map[string]any) {
	s.t.Helper()
	status, answer := s.Do("PATCH", s.ManagementURL+s.VaultID("kv1")+"?api-version=2026-02-01", map[string]any{"properties": properties})
	if status != http.StatusOK {
		s.t.Fatalf("PATCH = %d %s", status, answer)
	}
}

// at puts a client at a place: through the proxy, and through the forward.
func (s *scene) at(where string) (proxy, forward *posterntest.Postern) {
	s.t.Helper()
	client := operator.NewClient(s.Data, "test")
	found, err := client.Places(context.Background(), where)
	if err != nil {
		s.t.Fatal(err)
	}
	info, err := server.ReadInfo(s.Data)
	if err != nil {
		s.t.Fatal(err)
	}
	v := &vantage.Vantage{Server: vantage.Local(s.Data, client, info.Names(), found.PassThrough), Place: found.Places[0], Log: slog.New(slog.DiscardHandler)}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Serve(ctx, listeners[0], listeners[1]) }()
	hub := &url.URL{Scheme: "http", Host: listeners[1].Addr().String()}
	through := s.transport(func(t *http.Transport) { t.Proxy = http.ProxyURL(hub) })
	straight := s.transport(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, listeners[0].Addr().String())
		}
	})
	s.t.Cleanup(func() {
		through.CloseIdleConnections()
		straight.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the vantage at %s ended with %v", where, err)
		}
	})
	return s.Over(through), s.Over(straight)
}

func (s *scene) transport(change func(*http.Transport)) *http.Client {
	client := s.NewClient()
	t := client.Transport.(*http.Transport)
	t.DialContext = nil
	change(t)
	return client
}

// get reads the secret by the public name; what comes back is the status
// and, of a refusal, its first lines.
func (s *scene) get(over *posterntest.Postern) string {
	s.t.Helper()
	r, err := http.NewRequest("GET", s.PublicVaultURL("kv1")+"/secrets/a?api-version=7.4", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.Token("https://vault.azure.net"))
	answer, err := over.Client().Do(r)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	var e struct{ Error struct{ Message string } }
	_ = json.Unmarshal(text, &e) // a secret has none
	return fmt.Sprint(answer.StatusCode, " ", strings.ReplaceAll(e.Error.Message, "\r\n", " | "))
}

// TestPlaces: each place is what it says, through the forward and the proxy.
func TestPlaces(t *testing.T) {
	s := newScene(t)
	s.firewall(map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices", "ipRules": []any{map[string]any{"value": "203.0.113.0/24"}},
		"virtualNetworkRules": []any{map[string]any{"id": s.group + "Microsoft.Network/virtualNetworks/vnet/subnets/app"}}}})
	for _, tt := range []struct{ where, want string }{
		{"203.0.113.7", "200 "},
		{"198.51.100.42", "Client address: 198.51.100.42 | "},
		{"2001:db8::7", "Client address: 2001:db8::7 | "},
		{"subnet:app", "200 "},
		{"subnet:vnet/app@10.0.1.77", "200 "},
		{"10.0.1.9", "200 "},
		{"subnet:aks", "Client address: 10.0.2.4 from unknown subnet | "},
		{"10.0.2.200", "Client address: 10.0.2.200 from unknown subnet | "},
		{"subnet:lone", "Client address: 10.9.1.4 from unknown subnet | "},
		{"service:Azure Backup", "Client address: 192.0.2.1 | "},
	} {
		proxy, forward := s.at(tt.where)
		for way, over := range map[string]*posterntest.Postern{"proxy": proxy, "forward": forward} {
			if got := s.get(over); !strings.Contains(got, tt.want) {
				t.Errorf("%s through the %s = %s, want %s", tt.where, way, got, tt.want)
			}
		}
	}
}

// TestEndpoints: a connection that stays open has the state of its private
// endpoint at each request.
func TestEndpoints(t *testing.T) {
	s := newScene(t)
	s.connect()
	s.firewall(map[string]any{"publicNetworkAccess": "Disabled"})
	proxy, forward := s.at("endpoint:kv-pe")
	status, answer := s.Do("GET", s.ManagementURL+s.VaultID("kv1")+"/privateEndpointConnections?api-version=2026-02-01", nil)
	var list struct{ Value []struct{ ID string } }
	if err := json.Unmarshal(answer, &list); err != nil || len(list.Value) != 1 {
		t.Fatalf("connections = %d %s", status, answer)
	}
	for _, tt := range []struct{ state, want string }{{"", "200 "}, {"Rejected", "403 Public network access is disabled"}, {"Approved", "200 "}} {
		if tt.state != "" {
			status, answer := s.Do("PUT", s.ManagementURL+list.Value[0].ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{
				"privateLinkServiceConnectionState": map[string]any{"status": tt.state}}})
			if status/100 != 2 {
				t.Fatalf("%s = %d %s", tt.state, status, answer)
			}
		}
		for way, over := range map[string]*posterntest.Postern{"proxy": proxy, "forward": forward} {
			if got := s.get(over); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s, through the %s = %s, want %s", tt.state, way, got, tt.want)
			}
		}
	}
}

// TestNamesAtAPlace: the proxy leads a name where the place's DNS says; the
// forward has dialled the public address already.
func TestNamesAtAPlace(t *testing.T) {
	s := newScene(t)
	s.firewall(map[string]any{"publicNetworkAccess": "Disabled"})
	refused := "403 Public network access is disabled"
	want := func(when, where, want string) {
		t.Helper()
		proxy, forward := s.at(where)
		if got := s.get(proxy); !strings.Contains(got, want) {
			t.Errorf("%s, from %s = %s, want %s", when, where, got, want)
		}
		if got := s.get(forward); !strings.HasPrefix(got, refused) {
			t.Errorf("%s, from %s through the forward = %s, want a refusal", when, where, got)
		}
	}
	want("without an endpoint", "subnet:app", refused)
	s.connect()
	want("without a record", "subnet:app", "Bad Gateway")
	s.record("10.0.3.4")
	want("with a record", "subnet:app", "200 ")
	want("with a record", "subnet:aks", "200 ")
	want("with a record", "10.0.2.9", "200 ")
	want("in a network without the zone", "subnet:lone", refused)
	want("on the internet", "203.0.113.7", refused)
	s.record("10.0.3.99")
	want("with a wrong record", "subnet:app", "Bad Gateway")
}

// TestServiceAtItsPlace: what a service's compute is let through for, with
// the operator's word in place of a certificate.
func TestServiceAtItsPlace(t *testing.T) {
	s := newScene(t)
	s.firewall(map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices"}})
	backup := s.Service("Azure Backup")
	proxy, _ := s.at(`service:Azure Backup`)
	token := s.TokenFor(backup.ClientID, backup.Secret, "https://vault.azure.net")
	status, answer := proxy.DoAs(token, "GET", s.PublicVaultURL("kv1")+"/secrets/a?api-version=7.4", nil)
	if status != http.StatusForbidden || !strings.Contains(string(answer), "ForbiddenByRbac") {
		t.Errorf("Azure Backup without a right = %d %s, want the authorization's refusal", status, answer)
	}
	if got := s.get(proxy); !strings.Contains(got, "not a trusted service") {
		t.Errorf("the administrator at the service's place = %s, want the firewall's refusal", got)
	}
}

// TestServerGoesAway: a vantage outlives its server, and says what is wrong.
func TestServerGoesAway(t *testing.T) {
	s := newScene(t)
	proxy, forward := s.at("203.0.113.7")
	s.Stop()
	r, _ := http.NewRequest("GET", s.PublicVaultURL("kv1")+"/healthstatus", nil)
	if _, err := proxy.Client().Do(r); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
		t.Errorf("through the proxy: %v, want Bad Gateway", err)
	}
	if answer, err := forward.Client().Do(r); err == nil {
		t.Errorf("through the forward: %v, want an error", answer.Status)
	}
}

// TestIdleForwards: connections that say nothing keep nobody else waiting.
func TestIdleForwards(t *testing.T) {
	s := newScene(t)
	_, forward := s.at("203.0.113.7")
	for range 200 {
		c, err := forward.Client().Transport.(*http.Transport).DialContext(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if got := s.get(forward); got != "200 " {
		t.Errorf("behind 200 idle connections = %s", got)
	}
}
