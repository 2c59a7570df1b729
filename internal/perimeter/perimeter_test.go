package perimeter

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"postern/access"
	"postern/internal/estate"
)

// TestOrigins is the order of the proofs.
func TestOrigins(t *testing.T) {
	n := drawing(t, "Approved")
	a := New(Options{Network: func() *estate.Network { return n }})
	claim := func(h Hop, change func(*Hop)) net.Conn { change(&h); return through(h) }
	link := func(l uint32) func(*Hop) { return func(h *Hop) { h.Link = l } }
	subnet := func(id string) func(*Hop) { return func(h *Hop) { h.Subnet = id } }
	key := func(name string) string { return estate.Key(vnet + "/subnets/" + name) }
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		name string
		conn net.Conn
		want access.Origin
	}{
		{"a public address", socket("203.0.113.7", "192.0.2.1"), access.Origin{Path: access.PathPublic, Addr: addr("203.0.113.7")}},
		{"a mapped address", socket("::ffff:203.0.113.7", "192.0.2.1"), access.Origin{Path: access.PathPublic, Addr: addr("203.0.113.7")}},
		{"an address with a zone", socket("fe80::1%eth0", "fe80::2%eth0"), access.Origin{Path: access.PathPublic, Addr: addr("fe80::1")}},
		{"a service endpoint", socket("10.0.1.7", "192.0.2.1"), access.Origin{Path: access.PathSubnet, Addr: addr("10.0.1.7"), Subnet: key("app")}},
		{"a service endpoint over IPv6", socket("fd00:1::9", "2001:db8::1"), access.Origin{Path: access.PathSubnet, Addr: addr("fd00:1::9"), Subnet: key("six")}},
		{"a subnet without it", socket("10.0.2.7", "192.0.2.1"), access.Origin{Path: access.PathPublic, Addr: addr("10.0.2.7"), Subnet: key("aks")}},
		{"two networks at once", socket("10.0.1.200", "192.0.2.1"), access.Origin{Path: access.PathPublic, Addr: addr("10.0.1.200")}},
		{"a private address of nobody", socket("10.9.9.9", "192.0.2.1"), access.Origin{Path: access.PathPublic, Addr: addr("10.9.9.9")}},
		{"an endpoint's address", socket("10.0.1.7", "10.0.3.4"), access.Origin{Path: access.PathPrivateEndpoint, Addr: addr("10.0.1.7"), Endpoint: connectionID("kv-pe")}},
		{"an endpoint's address from outside", socket("203.0.113.7", "10.0.3.4"), access.Origin{Path: access.PathPrivateEndpoint, Addr: addr("203.0.113.7"), Endpoint: connectionID("kv-pe")}},
		{"an endpoint without a connection", socket("10.0.1.7", "127.0.3.4"), access.Origin{Path: access.PathPrivateEndpoint, Addr: addr("10.0.1.7")}},
		{"an address of two endpoints", socket("10.0.1.7", "10.0.3.9"), access.Origin{Path: access.PathSubnet, Addr: addr("10.0.1.7"), Subnet: key("app")}},
		{"handed over from an endpoint's address", Handed(socket("203.0.113.7", "10.0.3.4")), access.Origin{Path: access.PathPublic, Addr: addr("203.0.113.7")}},
		{"behind TLS", tls.Server(socket("10.0.1.7", "192.0.2.1"), nil), access.Origin{Path: access.PathSubnet, Addr: addr("10.0.1.7"), Subnet: key("app")}},
		{"no address", socket("", ""), access.Origin{}},
		{"no address, an endpoint's address", socket("", "10.0.3.4"), access.Origin{}},

		{"a header", through(hop("203.0.113.7", "198.51.100.1")), access.Origin{Path: access.PathPublic, Addr: addr("203.0.113.7")}},
		{"a header behind TLS", tls.Server(through(hop("203.0.113.7", "")), nil), access.Origin{Path: access.PathPublic, Addr: addr("203.0.113.7")}},
		{"a header from a subnet", through(hop("10.0.1.7", "198.51.100.1")), access.Origin{Path: access.PathSubnet, Addr: addr("10.0.1.7"), Subnet: key("app")}},
		{"a header to an endpoint", through(hop("10.0.2.7", "10.0.3.4")), access.Origin{Path: access.PathPrivateEndpoint, Addr: addr("10.0.2.7"), Endpoint: connectionID("kv-pe")}},
		{"a link", claim(hop("10.0.2.7", "198.51.100.1"), link(7)), access.Origin{Path: access.PathPrivateEndpoint, Addr: addr("10.0.2.7"), Endpoint: connectionID("kv-pe")}},
		{"a link before a destination", claim(hop("10.0.2.7", "10.0.3.4"), link(9)), access.Origin{Path: access.PathPrivateEndpoint, Addr: addr("10.0.2.7"), Endpoint: connectionID("twin-1")}},
		{"a link of nobody", claim(hop("10.0.1.7", "10.0.3.4"), link(70)), access.Origin{Path: access.PathPrivateEndpoint, Addr: addr("10.0.1.7")}},
		{"a subnet's name", claim(hop("10.0.1.200", ""), subnet(key("app"))), access.Origin{Path: access.PathSubnet, Addr: addr("10.0.1.200"), Subnet: key("app")}},
		{"a subnet's name without its service endpoint", claim(hop("10.0.1.7", ""), subnet(key("aks"))), access.Origin{Path: access.PathPublic, Addr: addr("10.0.1.7"), Subnet: key("aks")}},
		{"a subnet's name of nobody", claim(hop("203.0.113.7", ""), subnet("/gone")), access.Origin{Addr: addr("203.0.113.7")}},
		{"a service", claim(hop("192.0.2.1", ""), func(h *Hop) { h.Service, h.Perimeter = "Azure Backup", "/nsp" }),
			access.Origin{Path: access.PathPublic, Addr: addr("192.0.2.1"), Service: "Azure Backup", Perimeter: "/nsp"}},
	} {
		if got := a.Origin(request(a, tt.conn)); got != tt.want {
			t.Errorf("Origin (%s) = %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
	if got := a.Origin(httptest.NewRequest("GET", "/", nil)); got != (access.Origin{}) {
		t.Errorf("Origin of a request without a connection = %+v, want none", got)
	}
}

// TestOriginIsOfNow: a connection that stays open has the state of the
// network of each request.
func TestOriginIsOfNow(t *testing.T) {
	n := drawing(t, "Approved")
	a := New(Options{Network: func() *estate.Network { return n }})
	r := request(a, socket("10.0.1.7", "10.0.3.4"))
	if got := a.Origin(r); got.Endpoint != connectionID("kv-pe") {
		t.Fatalf("Origin = %+v, want the endpoint", got)
	}
	s, _ := estate.New(nil, estate.Options{})
	n = s.Network()
	if got, want := a.Origin(r), (access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr("10.0.1.7")}); got != want {
		t.Errorf("Origin after the endpoint went = %+v, want %+v", got, want)
	}
}

// TestCertificates: what a certificate proves ends with its time and with
// its revocation, on a connection that stays open too.
func TestCertificates(t *testing.T) {
	n := drawing(t, "Approved")
	now := time.Unix(1_800_000_000, 0)
	p := &platform{until: now.Add(time.Hour)}
	a := New(Options{Network: func() *estate.Network { return n }, Platform: p, Now: func() time.Time { return now }})
	r := request(a, socket("203.0.113.7", "192.0.2.1"))
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "Azure Backup"}}}}
	want := func(when, service string) {
		t.Helper()
		if got := a.Origin(r); got.Service != service || got.Path != access.PathPublic {
			t.Errorf("Origin %s = %+v, want service %q", when, got, service)
		}
	}
	want("at first", "Azure Backup")
	want("again", "Azure Backup")
	p.revoked.Store(true)
	p.revision.Add(1)
	want("after the revocation", "")
	p.revoked.Store(false)
	p.revision.Add(1)
	want("after its end", "Azure Backup")
	p.until = time.Time{}
	p.revoked.Store(true) // Prove refuses what has ended
	now = now.Add(time.Hour)
	want("at its end", "")
	operator := request(a, through(Hop{Source: netip.MustParseAddrPort("192.0.2.1:1"), Service: "Azure Batch"}))
	operator.TLS = r.TLS
	if got := a.Origin(operator); got.Service != "Azure Batch" {
		t.Errorf("Origin of the operator's = %+v, want the operator's word", got)
	}
	without := New(Options{Network: func() *estate.Network { return n }})
	bare := request(without, socket("203.0.113.7", "192.0.2.1"))
	bare.TLS = r.TLS
	if got := without.Origin(bare); got.Service != "" {
		t.Errorf("Origin without a platform = %+v, want no service", got)
	}
}

// TestHeadersOfRequestsAreNoProof: what a client says of itself changes
// nothing.
func TestHeadersOfRequestsAreNoProof(t *testing.T) {
	n := drawing(t, "Approved")
	a := New(Options{Network: func() *estate.Network { return n }})
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Logf("no listener on %s: %v", listen, err)
			continue
		}
		var got access.Origin
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = a.Origin(r) }))
		srv.Listener.Close()
		srv.Listener = l
		srv.Config.ConnContext = a.ConnContext
		srv.StartTLS()
		r, _ := http.NewRequest("GET", srv.URL, nil)
		for _, h := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "X-Azure-ClientIP", "Via", "X-ARR-ClientCert", "X-MS-Private-Link-Id"} {
			r.Header.Set(h, "10.0.1.7")
		}
		answer, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		srv.Close()
		if got.Path != access.PathPublic || !got.Addr.IsLoopback() || got.Subnet != "" {
			t.Errorf("origin on %s = %+v, want the loopback address", listen, got)
		}
	}
}

// TestOriginAllocatesNothing: what does not change is not found again.
func TestOriginAllocatesNothing(t *testing.T) {
	n := drawing(t, "Approved")
	a := New(Options{Network: func() *estate.Network { return n }})
	r := request(a, socket("10.0.1.7", "10.0.3.4"))
	if got := testing.AllocsPerRun(100, func() { a.Origin(r) }); got != 0 {
		t.Errorf("Origin allocates %v times, want none", got)
	}
}
