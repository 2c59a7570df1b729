package truthtable

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"postern/internal/operator"
	"postern/internal/server"
	"postern/posterntest"
)

const (
	api        = "?api-version=7.4"
	vaultAPI   = "?api-version=2026-02-01"
	networkAPI = "?api-version=2024-05-01"
	// administrator is the role Key Vault Administrator.
	administrator = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
)

type object = map[string]any

// hop is a header of the PROXY protocol, version 2, written here byte by
// byte (haproxy, proxy-protocol.txt §2.2).
type hop struct {
	source, destination string
	tlvs                []byte
}

// The TLVs. Azure's is little endian (private link service overview).
func link(n uint32) []byte {
	return tlv(0xEE, binary.LittleEndian.AppendUint32([]byte{1}, n))
}

func tlv(kind byte, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// bytes is the header as it is sent.
func (h hop) bytes() []byte {
	source := netip.MustParseAddr(h.source)
	destination := netip.IPv4Unspecified()
	if source.Is6() {
		destination = netip.IPv6Unspecified()
	}
	if h.destination != "" {
		destination = netip.MustParseAddr(h.destination)
	}
	family := byte(0x11)
	if source.Is6() {
		family = 0x21
	}
	body := append(source.AsSlice(), destination.AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, 50000)
	body = binary.BigEndian.AppendUint16(body, 443)
	return raw(0x21, family, append(body, h.tlvs...))
}

// raw is a header of any command and family.
func raw(command, family byte, body []byte) []byte {
	text := append(append([]byte{}, signature...), command, family)
	return append(binary.BigEndian.AppendUint16(text, uint16(len(body))), body...)
}

// way opens a connection to the server, up to where TLS begins.
type way func(ctx context.Context) (net.Conn, error)

func tcp(address string) way {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
}

// vantage is the socket in the data folder.
func vantage(dir string) way {
	return func(ctx context.Context) (net.Conn, error) { return operator.Dial(ctx, dir, operator.VantageSocket) }
}

// behind sends something before TLS.
func (w way) behind(text []byte) way {
	return func(ctx context.Context) (net.Conn, error) {
		c, err := w(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := c.Write(text); err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	}
}

// caller asks over a connection of its own, which it keeps. dials counts its
// connections, lost those that the other side ended or announced to end.
type caller struct {
	http        *http.Client
	dials, lost atomic.Int64
}

// kept is a connection that tells whether it was the other side that ended it:
// a client gives one up by itself when its machine stalls.
type kept struct {
	net.Conn
	closed atomic.Bool
	lost   *atomic.Int64
}

func (k *kept) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	if err != nil && !k.closed.Load() {
		k.lost.Add(1)
	}
	return n, err
}

func (k *kept) Close() error {
	k.closed.Store(true)
	return k.Conn.Close()
}

// newCaller is one that comes by a way and shows a certificate; nil is none.
func newCaller(t testing.TB, p *posterntest.Postern, w way, certificate *tls.Certificate) *caller {
	c := &caller{http: p.NewClient()}
	transport := c.http.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = false
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := w(ctx)
		if err != nil {
			return nil, err
		}
		c.dials.Add(1)
		return &kept{Conn: conn, lost: &c.lost}, nil
	}
	if certificate != nil {
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// answer is what matters of one.
type answer struct {
	status      int
	inner       string
	first       string // line of the message
	second      string
	networkInfo string
}

func (c *caller) ask(method, url, token string, header http.Header) (answer, error) {
	r, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	got, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	if got.Close {
		c.lost.Add(1)
	}
	text, err := io.ReadAll(got.Body)
	if err != nil {
		return answer{}, err
	}
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Inner   struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return answer{}, fmt.Errorf("%d %q: %w", got.StatusCode, text, err)
	}
	lines := append(strings.Split(body.Error.Message, "\r\n"), "")
	return answer{got.StatusCode, body.Error.Inner.Code, lines[0], lines[1], got.Header.Get("x-ms-keyvault-network-info")}, nil
}

// start starts a server that believes the PROXY headers of a balancer, and
// finds the address of that listener.
func start(t testing.TB, balancers string) (p *posterntest.Postern, hops string) {
	t.Helper()
	p = posterntest.Start(t, posterntest.WithIdentity(), posterntest.WithSetting("perimeter.proxyListen", "127.0.0.1:0"),
		posterntest.WithSetting("perimeter.balancers", balancers), posterntest.WithSetting("perimeter.endpoints", "off"))
	info, err := server.ReadInfo(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	return p, info.ProxyProtocol
}

// arm does on the control plane what has to succeed.
func arm(t testing.TB, p *posterntest.Postern, method, id, version string, body any) []byte {
	t.Helper()
	status, text := p.Do(method, p.ManagementURL+id+version, body)
	if status/100 != 2 {
		t.Fatalf("%s %s = %d %s", method, id, status, text)
	}
	return text
}

// patch changes properties of a vault.
func patch(t testing.TB, p *posterntest.Postern, kv posterntest.Vault, properties object) {
	t.Helper()
	arm(t, p, http.MethodPatch, kv.ID, vaultAPI, object{"properties": properties})
}

// assign gives the role Key Vault Administrator.
func assign(t testing.TB, p *posterntest.Postern, kv posterntest.Vault, n int, who posterntest.Principal) {
	t.Helper()
	arm(t, p, http.MethodPut, fmt.Sprintf("%s/providers/Microsoft.Authorization/roleAssignments/00000000-0000-4000-8000-%012d", kv.ID, n), "?api-version=2022-04-01",
		object{"properties": object{"principalId": who.ObjectID, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + administrator}})
}

// managed makes a machine whose own identity holds the role, and asks for a
// token of it where the machine is.
func managed(t testing.TB, p *posterntest.Postern, kv posterntest.Vault) (token string) {
	t.Helper()
	const at = "127.0.0.9"
	id := "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + posterntest.Group + "/providers/Microsoft.Compute/virtualMachines/vm"
	var made struct {
		Identity struct {
			PrincipalID string `json:"principalId"`
		} `json:"identity"`
	}
	if err := json.Unmarshal(arm(t, p, http.MethodPut, id, "?api-version=2024-11-01", object{"location": "eastus", "identity": object{"type": "SystemAssigned"},
		"properties": object{"postern": object{"addresses": []string{at}}}}), &made); err != nil {
		t.Fatal(err)
	}
	assign(t, p, kv, 2, posterntest.Principal{ObjectID: made.Identity.PrincipalID})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(at)}}).DialContext}}
	r, err := http.NewRequest(http.MethodGet, p.Identity()+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+url.QueryEscape(vaultResource(kv)), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Metadata", "true")
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(got.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("no token of the machine: %d %v", got.StatusCode, err)
	}
	return answer.Token
}

// networkID is the id of a resource of Microsoft.Network in the group.
func networkID(p *posterntest.Postern, rest string) string {
	return "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + posterntest.Group + "/providers/Microsoft.Network/" + rest
}

func subnetID(p *posterntest.Postern, name string) string {
	return networkID(p, "virtualNetworks/net/subnets/"+name)
}

// network makes a network of subnets: two with the service endpoint, two
// without, one for private endpoints.
func network(t testing.TB, p *posterntest.Postern) {
	t.Helper()
	var subnets []object
	for _, s := range []struct {
		name, prefix string
		endpoint     bool
	}{{"app", "10.0.1.0/24", true}, {"reports", "10.0.2.0/24", true}, {"pe", "10.0.3.0/24", false}, {"blind", "10.0.4.0/24", false}, {"dark", "10.0.5.0/24", false}} {
		properties := object{"addressPrefix": s.prefix}
		if s.endpoint {
			properties["serviceEndpoints"] = []object{{"service": "Microsoft.KeyVault"}}
		}
		subnets = append(subnets, object{"name": s.name, "properties": properties})
	}
	arm(t, p, http.MethodPut, networkID(p, "virtualNetworks/net"), networkAPI, object{"location": "eastus",
		"properties": object{"addressSpace": object{"addressPrefixes": []string{"10.0.0.0/16"}}, "subnets": subnets}})
}

// endpoint is a private endpoint that was made: how packets through it are
// known, and the connection on the vault's side.
type endpoint struct {
	address, connection string
	link                uint32
}

func newEndpoint(t testing.TB, p *posterntest.Postern, kv posterntest.Vault, name string, manual bool) endpoint {
	t.Helper()
	kind := "privateLinkServiceConnections"
	if manual {
		kind = "manualPrivateLinkServiceConnections"
	}
	text := arm(t, p, http.MethodPut, networkID(p, "privateEndpoints/"+name), networkAPI, object{"location": "eastus", "properties": object{
		"subnet": object{"id": subnetID(p, "pe")},
		kind:     []object{{"name": name, "properties": object{"privateLinkServiceId": kv.ID, "groupIds": []string{"vault"}}}}}})
	var made struct {
		Properties struct {
			DNS []struct {
				Addresses []string `json:"ipAddresses"`
			} `json:"customDnsConfigs"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(text, &made); err != nil || len(made.Properties.DNS) != 1 {
		t.Fatalf("the endpoint has no address: %v %s", err, text)
	}
	e := endpoint{address: made.Properties.DNS[0].Addresses[0], connection: kv.ID + "/privateEndpointConnections/" + name}
	var seen struct {
		Properties struct {
			Link string `json:"linkIdentifier"`
		} `json:"properties"`
	}
	text = arm(t, p, http.MethodGet, e.connection, vaultAPI, nil)
	if err := json.Unmarshal(text, &seen); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(seen.Properties.Link, &e.link); err != nil {
		t.Fatalf("the connection has no link identifier: %v %s", err, text)
	}
	return e
}

// decide approves or rejects.
func (e endpoint) decide(t testing.TB, p *posterntest.Postern, status string) {
	t.Helper()
	arm(t, p, http.MethodPut, e.connection, vaultAPI, object{"properties": object{"privateLinkServiceConnectionState": object{"status": status}}})
}

func (e endpoint) remove(t testing.TB, p *posterntest.Postern) {
	t.Helper()
	arm(t, p, http.MethodDelete, e.connection, vaultAPI, nil)
}
