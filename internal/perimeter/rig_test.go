package perimeter

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/estate"
)

const (
	group    = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/"
	vaultID  = group + "Microsoft.KeyVault/vaults/kv"
	vnet     = group + "Microsoft.Network/virtualNetworks/vnet"
	other    = group + "Microsoft.Network/virtualNetworks/other"
	endpoint = group + "Microsoft.Network/privateEndpoints/"
)

func connectionID(name string) string {
	return estate.Key(vaultID + "/privateEndpointConnections/" + name)
}

// drawing is the networks of the guide to private endpoints, a second
// network that overlaps with them in one place, and loopback ones for tests
// with sockets.
func drawing(t testing.TB, state string) *estate.Network {
	t.Helper()
	subnet := func(name, prefix, services string) string {
		return fmt.Sprintf(`{"name":%q,"properties":{"addressPrefix":%q,"serviceEndpoints":[%s]}}`, name, prefix, services)
	}
	const on = `{"service":"Microsoft.KeyVault"}`
	connection := func(name string, link int) string {
		return fmt.Sprintf(`{"id":"%s/privateEndpointConnections/%s","properties":{"linkIdentifier":"%d","privateEndpoint":{"id":"%s%s"},"privateLinkServiceConnectionState":{"status":%q}}}`,
			vaultID, name, link, endpoint, name, state)
	}
	pe := func(name, addr string) *estate.Resource {
		return resource(endpoint+name, estate.TypePrivateEndpoint, name, fmt.Sprintf(`{"properties":{"subnet":{"id":"%s/subnets/pe"},
			"privateLinkServiceConnections":[{"properties":{"privateLinkServiceId":%q}}],"customDnsConfigs":[{"ipAddresses":[%q]}]}}`, vnet, vaultID, addr))
	}
	s, problems := estate.New([]*estate.Resource{
		resource(vnet, estate.TypeVirtualNetwork, "vnet", fmt.Sprintf(`{"properties":{"subnets":[%s,%s,%s,%s,%s]}}`, subnet("app", "10.0.1.0/24", on),
			subnet("aks", "10.0.2.0/24", ""), subnet("pe", "10.0.3.0/24", ""), subnet("loop", "127.0.1.0/24", on), subnet("six", "fd00:1::/64", on))),
		resource(other, estate.TypeVirtualNetwork, "other", fmt.Sprintf(`{"properties":{"subnets":[%s]}}`, subnet("app", "10.0.1.128/25", on))),
		resource(vaultID, estate.TypeVault, "kv", fmt.Sprintf(`{"properties":{"tenantId":"aaaaaaaa-0000-0000-0000-000000000001","privateEndpointConnections":[%s,%s]}}`,
			connection("kv-pe", 7), connection("twin-1", 9))),
		pe("kv-pe", "10.0.3.4"), pe("loop-pe", "127.0.3.4"), pe("twin-1", "10.0.3.9"), pe("twin-2", "10.0.3.9"),
	}, estate.Options{})
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	return s.Network()
}

func resource(id, typ, name, body string) *estate.Resource {
	return &estate.Resource{ID: id, Type: typ, Name: name, Location: "eastus", Body: json.RawMessage(body)}
}

// platform proves the service that a certificate names, as tests say.
type platform struct {
	revision atomic.Uint64
	revoked  atomic.Bool
	until    time.Time
}

func (p *platform) Prove(chain []*x509.Certificate) (string, time.Time, error) {
	if p.revoked.Load() {
		return "", time.Time{}, errors.New("revoked")
	}
	return chain[0].Subject.CommonName, p.until, nil
}

func (p *platform) Revision() uint64 { return p.revision.Load() }

// fakeConn is a connection between two addresses.
type fakeConn struct {
	net.Conn
	local, remote net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.remote }
func (c fakeConn) LocalAddr() net.Addr  { return c.local }

func tcp(text string) net.Addr {
	if text == "" {
		return &net.UnixAddr{}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(text), 443))
}

func socket(remote, local string) net.Conn { return fakeConn{local: tcp(local), remote: tcp(remote)} }

// through is a connection with a believed header.
func through(h Hop) net.Conn { return &hopped{Conn: socket("192.0.2.200", "192.0.2.201"), hop: h} }

func hop(source, destination string) Hop {
	h := Hop{Source: netip.AddrPortFrom(netip.MustParseAddr(source), 50000)}
	if destination != "" {
		h.Destination = netip.AddrPortFrom(netip.MustParseAddr(destination), 443)
	}
	return h
}

// request is a request over a connection.
func request(a *Attributor, c net.Conn) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	return r.WithContext(a.ConnContext(r.Context(), c))
}
