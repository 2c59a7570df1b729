package posterntest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"postern/internal/operator"
	"postern/internal/perimeter"
)

// guarded is a vault that 203.0.113.0/24 and the subnet app reach, with a
// secret, and the networks around it: on loopback, so that their addresses
// are this machine's.
func guarded(p *Postern) (secret string) {
	p.t.Helper()
	kv := p.CreateVault("kv1")
	p.Do("PUT", kv.URL+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
	network := "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + Group + "/providers/Microsoft.Network/virtualNetworks/vnet"
	subnet := func(name, prefix string, services ...any) map[string]any {
		return map[string]any{"name": name, "properties": map[string]any{"addressPrefix": prefix, "serviceEndpoints": services}}
	}
	service := map[string]any{"service": "Microsoft.KeyVault"}
	p.must("PUT", p.ManagementURL+network+"?api-version=2024-05-01", map[string]any{"location": "eastus", "properties": map[string]any{
		"addressSpace": map[string]any{"addressPrefixes": []any{"127.9.0.0/16", "10.0.0.0/16"}}, "subnets": []any{
			subnet("app", "127.9.1.0/24", service), subnet("aks", "127.9.2.0/24"), subnet("pe", "127.9.3.0/24"), subnet("far", "10.0.1.0/24", service)}}})
	p.must("PATCH", p.ManagementURL+kv.ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{"networkAcls": map[string]any{
		"defaultAction": "Deny", "bypass": "AzureServices", "ipRules": []any{map[string]any{"value": "203.0.113.0/24"}},
		"virtualNetworkRules": []any{map[string]any{"id": network + "/subnets/app"}, map[string]any{"id": network + "/subnets/far"}}}}})
	return kv.URL + "/secrets/a?api-version=7.4"
}

func (p *Postern) must(method, target string, body any) []byte {
	p.t.Helper()
	status, answer := p.Do(method, target, body)
	if status/100 != 2 {
		p.t.Fatalf("%s %s = %d %s", method, target, status, answer)
	}
	return answer
}

// from dials an address from one of this machine's own, and sends text
// before anything else.
func from(source, target, text string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(source), 0))}
		c, err := d.DialContext(ctx, "tcp", target)
		if err == nil {
			_, err = io.WriteString(c, text)
		}
		return c, err
	}
}

func header(t *testing.T, h perimeter.Hop) string {
	t.Helper()
	text, err := h.Header()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func hop(source string) perimeter.Hop {
	return perimeter.Hop{Source: netip.AddrPortFrom(netip.MustParseAddr(source), 50000), Destination: netip.MustParseAddrPort("192.0.2.10:443")}
}

// TestProofsOfPlace: what is believed of whom, over real sockets. "no
// connection" means that not even TLS begins.
func TestProofsOfPlace(t *testing.T) {
	p := Start(t, WithBalancers("127.0.0.7,127.0.8.0/24"))
	secret := guarded(p)
	token := p.Token("https://vault.azure.net")
	allowed, subnet, none := header(t, hop("203.0.113.7")), header(t, hop("10.0.1.7")), "no connection"
	claims := hop("192.0.2.1")
	claims.Service, claims.Subnet = "Azure Backup", "/subscriptions/x"
	linked := hop("10.0.1.7")
	linked.Link = 4711
	balanced, plain := p.BalancedAddress(), p.Address()
	for _, tt := range []struct {
		name, source, target, before, want string
	}{
		{"plain, from a subnet", "127.9.1.7", plain, "", "200"},
		{"plain, from a subnet without service endpoint", "127.9.2.7", plain, "", "Client address: 127.9.2.7 from unknown subnet"},
		{"plain, from elsewhere", "127.0.0.1", plain, "", "Client address: 127.0.0.1\\r\\n"},
		{"plain, with a header", "127.0.0.7", plain, allowed, none},
		{"plain, with a header of version 1", "127.0.0.7", plain, "PROXY TCP4 203.0.113.7 192.0.2.10 50000 443\r\n", none},
		{"a balancer", "127.0.0.7", balanced, allowed, "200"},
		{"a balancer of the range", "127.0.8.200", balanced, allowed, "200"},
		{"a balancer, for a client in a subnet", "127.0.0.7", balanced, subnet, "200"},
		{"a balancer, for a client elsewhere", "127.0.0.7", balanced, header(t, hop("198.51.100.42")), "Client address: 198.51.100.42\\r\\n"},
		{"a balancer, with an unknown link", "127.0.0.7", balanced, header(t, linked), "Client address: 10.0.1.7\\r\\n"},
		{"a balancer with the operator's claims", "127.0.0.7", balanced, header(t, claims), "Client address: 192.0.2.1\\r\\n"},
		{"a balancer without a header", "127.0.0.7", balanced, "", none},
		{"a balancer with a header of version 1", "127.0.0.7", balanced, "PROXY TCP4 203.0.113.7 192.0.2.10 50000 443\r\n", none},
		{"a balancer with two headers", "127.0.0.7", balanced, header(t, hop("198.51.100.42")) + allowed, none},
		{"a stranger with a header", "127.0.0.8", balanced, allowed, none},
		{"a subnet with a header", "127.9.1.7", balanced, allowed, none},
	} {
		got := none
		r, err := http.NewRequest("GET", secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-Forwarded-For", "203.0.113.7")
		r.Header.Set("Forwarded", "for=203.0.113.7")
		if answer, err := p.Dialling(from(tt.source, tt.target, tt.before)).Client().Do(r); err == nil {
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			got = fmt.Sprint(answer.StatusCode, " ", string(text))
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s = %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestConnectKeepsTheOrigin: through the server's own proxy a client is
// where it is.
func TestConnectKeepsTheOrigin(t *testing.T) {
	p := Start(t)
	secret := guarded(p)
	hub, err := url.Parse(p.Proxy)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ source, want string }{{"127.9.1.7", "200"}, {"127.9.2.7", "Client address: 127.9.2.7 from unknown subnet"}, {"127.0.0.1", "Client address: 127.0.0.1\\r\\n"}} {
		over := p.Dialling(from(tt.source, hub.Host, ""))
		over.Client().Transport.(*http.Transport).Proxy = http.ProxyURL(hub)
		if status, answer := over.Do("GET", secret, nil); !strings.Contains(fmt.Sprint(status, " ", string(answer)), tt.want) {
			t.Errorf("from %s through the proxy = %d %s, want %s", tt.source, status, answer, tt.want)
		}
	}
}

// TestEndpointAddresses: the address of a private endpoint that this
// machine has is a door of its own, as long as the endpoint is there.
func TestEndpointAddresses(t *testing.T) {
	p := Start(t)
	secret := guarded(p)
	group := "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + Group + "/providers/Microsoft.Network/"
	target := p.ManagementURL + group + "privateEndpoints/kv-pe?api-version=2024-05-01"
	p.must("PUT", target, map[string]any{"location": "eastus", "properties": map[string]any{
		"subnet": map[string]any{"id": group + "virtualNetworks/vnet/subnets/pe"},
		"privateLinkServiceConnections": []any{map[string]any{"name": "c", "properties": map[string]any{
			"privateLinkServiceId": p.VaultID("kv1"), "groupIds": []any{"vault"}}}}}})
	p.must("PATCH", p.ManagementURL+p.VaultID("kv1")+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{"publicNetworkAccess": "Disabled"}})
	places, err := p.Operator().Places(t.Context(), "endpoint:kv-pe")
	if err != nil {
		t.Fatal(err)
	}
	at := places.Places[0].Destination
	if !netip.MustParsePrefix("127.9.3.0/24").Contains(at) {
		t.Fatalf("the endpoint is at %v", at)
	}
	_, port, _ := net.SplitHostPort(p.Address())
	door := net.JoinHostPort(at.String(), port)
	until := func(open bool) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			c, err := net.Dial("tcp", door)
			if err == nil {
				c.Close()
			}
			if (err == nil) == open {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the door at %s: open %v, want %v", door, !open, open)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	until(true)
	inside := p.Dialling(from("127.9.2.7", door, ""))
	if status, answer := inside.Do("GET", secret, nil); status != http.StatusOK {
		t.Errorf("through the endpoint's address = %d %s", status, answer)
	}
	if status, answer := p.Do("GET", secret, nil); status != http.StatusForbidden {
		t.Errorf("through the public address = %d %s", status, answer)
	}
	if text := p.journal(); !strings.Contains(text, `"addrAuthType":"PrivateEndpoint"`) {
		t.Error("the journal does not say that somebody came by the endpoint")
	}
	p.must("DELETE", target, nil)
	until(false)
	if status, answer := inside.Do("GET", secret, nil); status != http.StatusForbidden {
		t.Errorf("over a connection to an endpoint that is gone = %d %s", status, answer)
	}
}

// TestVantageSocketIsNotTheAPI: each socket speaks its own language, and
// nonsense on either harms nobody.
func TestVantageSocketIsNotTheAPI(t *testing.T) {
	p := Start(t)
	for _, name := range []string{operator.Socket, operator.VantageSocket} {
		c, err := operator.Dial(t.Context(), p.Data, name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, strings.Repeat("nonsense\r\n\r\n", 10)) // it may be closed already
		_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
		c.Close()
	}
	if status, answer := p.Do("GET", p.ManagementURL+"/subscriptions?api-version=2022-12-01", nil); status != http.StatusOK {
		t.Errorf("afterwards = %d %s", status, answer)
	}
}
