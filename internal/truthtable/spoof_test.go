package truthtable

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"postern/internal/estate"
	"postern/posterntest"
)

// fortress is a vault that one approved endpoint, one listed subnet and one
// listed address reach, and nobody else.
func fortress(t *testing.T, p *posterntest.Postern) (kv posterntest.Vault, e endpoint, token string) {
	network(t, p)
	kv = p.CreateVault("kv1", object{"networkAcls": object{"defaultAction": "Deny", "bypass": "AzureServices",
		"ipRules": []object{{"value": "203.0.113.0/24"}}, "virtualNetworkRules": []object{{"id": subnetID(p, "app")}}}})
	return kv, newEndpoint(t, p, kv, "pe1", false), p.Token(vaultResource(kv))
}

// shakesHands tries TLS behind what a way sends.
func shakesHands(t *testing.T, p *posterntest.Postern, kv posterntest.Vault, w way) error {
	t.Helper()
	c, err := w(context.Background())
	if err != nil {
		return err
	}
	defer c.Close()
	config := p.NewClient().Transport.(*http.Transport).TLSClientConfig
	config.ServerName, _, _ = strings.Cut(domainOf(kv.URL), ":")
	return tls.Client(c, config).Handshake()
}

// TestHeadersThatAreNotBelieved: a PROXY header that is not exactly one, or
// that comes from or to the wrong place, ends the connection before TLS.
func TestHeadersThatAreNotBelieved(t *testing.T) {
	p, hops := start(t, "127.0.0.1")
	kv, e, _ := fortress(t, p)
	good := hop{"10.0.5.20", e.address, link(e.link)}
	body := good.bytes()[16:]
	cut := func(n int) []byte { return raw(0x21, 0x11, body[:n]) }
	for _, tt := range []struct {
		name string
		to   string
		text []byte
	}{
		{"the listener without headers", p.Address(), good.bytes()},
		{"no header", hops, nil},
		{"version 1", hops, []byte("PROXY TCP4 10.0.5.20 " + e.address + " 50000 443\r\n")},
		{"version 3", hops, raw(0x31, 0x11, body)},
		{"an unknown command", hops, raw(0x22, 0x11, body)},
		{"a health check that goes on", hops, raw(0x20, 0x11, body)},
		{"no family", hops, raw(0x21, 0x00, body)},
		{"UDP", hops, raw(0x21, 0x12, body)},
		{"a unix socket", hops, raw(0x21, 0x31, make([]byte, 216))},
		{"half an address", hops, cut(7)},
		{"half a TLV", hops, cut(len(body) - 1)},
		{"two links", hops, hop{good.source, "", join([][]byte{link(1), link(e.link)})}.bytes()},
		{"two headers", hops, append(good.bytes(), good.bytes()...)},
		{"link 0", hops, hop{good.source, "", link(0)}.bytes()},
		{"a link of two bytes", hops, hop{good.source, "", tlv(0xEE, []byte{1, 7, 7})}.bytes()},
		{"a wrong checksum", hops, hop{good.source, "", tlv(0x03, []byte{1, 2, 3, 4})}.bytes()},
		{"nobody's address", hops, hop{"0.0.0.0", "", link(e.link)}.bytes()},
		{"64 KiB", hops, raw(0x21, 0x11, append(append([]byte{}, body...), tlv(0x04, make([]byte, 60000))...))},
		{"something in front", hops, append([]byte("\n"), good.bytes()...)},
	} {
		if err := shakesHands(t, p, kv, tcp(tt.to).behind(tt.text)); err == nil {
			t.Errorf("%s: the connection was served", tt.name)
		}
	}
	if err := shakesHands(t, p, kv, tcp(hops).behind(good.bytes())); err != nil {
		t.Errorf("a header that is one: %v", err)
	}
}

// TestHeadersFromElsewhere: whoever is not a balancer is not believed,
// whatever it says.
func TestHeadersFromElsewhere(t *testing.T) {
	p, hops := start(t, "127.0.0.2,127.0.0.64/28")
	kv, e, token := fortress(t, p)
	for _, tt := range []struct {
		from string
		ok   bool
	}{{"127.0.0.1", false}, {"127.0.0.2", true}, {"127.0.0.3", false}, {"127.0.0.63", false}, {"127.0.0.64", true}, {"127.0.0.79", true}, {"127.0.0.80", false}} {
		w := way(func(ctx context.Context) (net.Conn, error) {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(tt.from)}}
			return d.DialContext(ctx, "tcp", hops)
		}).behind(hop{"10.0.5.20", "", link(e.link)}.bytes())
		c := newCaller(t, p, w, nil)
		got, err := c.ask(http.MethodGet, kv.URL+"/secrets/a/"+api, token, nil)
		if ok := err == nil && got.status == http.StatusNotFound; ok != tt.ok {
			t.Errorf("a header from %s: %+v (%v), want it believed %v", tt.from, got, err, tt.ok)
		}
	}
}

// TestClaims: what anybody can say proves nothing.
func TestClaims(t *testing.T) {
	p, hops := start(t, "127.0.0.1")
	kv, e, token := fortress(t, p)
	backup := p.Service("Azure Backup")
	assign(t, p, kv, 1, backup)
	theirs := p.TokenFor(backup.ClientID, backup.Secret, vaultResource(kv))
	const outside = "198.51.100.7"
	subnet, big := tlv(0xE0, []byte(estate.Key(subnetID(p, "app")))), binary.BigEndian.AppendUint32([]byte{1}, e.link)
	if binary.LittleEndian.Uint32(big[1:]) == e.link {
		t.Fatalf("link %d reads the same from both ends", e.link)
	}
	for _, tt := range []struct {
		name  string
		way   way
		token string
	}{
		{"the owner's TLV of a subnet, from a balancer", tcp(hops).behind(hop{outside, "", subnet}.bytes()), token},
		{"the owner's TLV of a service, from a balancer", tcp(hops).behind(hop{outside, "", tlv(0xE1, []byte("Azure Backup"))}.bytes()), theirs},
		{"a link from the wrong end", tcp(hops).behind(hop{outside, "", tlv(0xEE, big)}.bytes()), token},
		{"a link under another subtype", tcp(hops).behind(hop{outside, "", tlv(0xEE, append([]byte{2}, big[1:]...))}.bytes()), token},
		{"a link under another TLV", tcp(hops).behind(hop{outside, "", tlv(0xEA, binary.LittleEndian.AppendUint32([]byte{1}, e.link))}.bytes()), token},
		{"the endpoint's address as source", tcp(hops).behind(hop{e.address, "", nil}.bytes()), token},
		{"nothing", tcp(p.Address()), token},
	} {
		c := newCaller(t, p, tt.way, nil)
		for _, claim := range []http.Header{nil, forwarded("203.0.113.7"), forwarded("10.0.1.5"), forwarded(e.address), services(e)} {
			got, err := c.ask(http.MethodGet, kv.URL+"/secrets/a/"+api, tt.token, claim)
			if err != nil || got.status != http.StatusForbidden || got.inner != "ForbiddenByFirewall" {
				t.Errorf("%s, with %v = %+v (%v), want 403 ForbiddenByFirewall", tt.name, claim, got, err)
			}
		}
	}
	owner := newCaller(t, p, vantage(p.Data).behind(hop{outside, "", tlv(0xE1, []byte("Azure Backup"))}.bytes()), nil)
	if got, err := owner.ask(http.MethodGet, kv.URL+"/secrets/a/"+api, theirs, nil); err != nil || got.status != http.StatusNotFound {
		t.Errorf("the owner of the data folder as a service = %+v (%v), want 404", got, err)
	}
}

// forwarded are the headers by which proxies tell where a request is from.
func forwarded(address string) http.Header {
	h := http.Header{"Forwarded": {"for=" + address + ";by=127.0.0.1"}}
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
		"X-Originating-Ip", "X-Azure-Clientip", "X-Azure-Socketip", "X-Arr-Clientip", "Client-Ip", "X-Original-Forwarded-For"} {
		h[name] = []string{address}
	}
	return h
}

// services are headers that name what only a connection can prove.
func services(e endpoint) http.Header {
	return http.Header{"X-Ms-Private-Link-Id": {fmt.Sprint(e.link)}, "X-Ms-Private-Endpoint-Connection": {e.connection}, "X-Ms-Service": {"Azure Backup"},
		"X-Arr-Clientcert": {"Azure Backup"}, "X-Forwarded-Client-Cert": {`Subject="CN=Azure Backup"`}, "X-Ms-Bypass": {"AzureServices"}}
}

// domain is where a vault's name ends: what stands behind its first dot.
func domain(kv posterntest.Vault) string {
	_, rest, _ := strings.Cut(domainOf(kv.URL), ".")
	return rest
}

func domainOf(url string) string { return strings.TrimPrefix(url, "https://") }
