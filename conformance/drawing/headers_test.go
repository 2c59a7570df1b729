package drawing

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"postern/conformance/lab"
)

// headers is the world without namespaces: a balancer on the loopback says
// in PROXY protocol headers where a client is and what address it dialled.
// There are no names in it; the table says where they would lead.
type headers struct {
	*programs
	hops  string // the listener of the balancers
	doors map[string]*door

	mu   sync.Mutex
	kept map[string]bool // hosts whose subnet has a service endpoint
}

// addresses of the hosts: their own, and what the internet sees.
var addresses = map[string]struct{ own, public string }{
	"app":      {"10.0.1.10", networkEgress},
	"aks":      {"10.0.2.10", networkEgress},
	"office":   {"192.168.10.10", officeEgress},
	"west":     {"10.1.1.10", westEgress},
	"runner":   {runnerAddress, runnerAddress},
	"stranger": {strangerAddress, strangerAddress},
}

// newHeaders starts a server that believes the loopback's headers.
func newHeaders(t *testing.T, settings string) (*headers, azure) {
	t.Helper()
	lab.Tool(t, "curl", "curl")
	w := &headers{hops: lab.Address(t), doors: map[string]*door{}, kept: map[string]bool{}}
	p := lab.StartAt(t, lab.Site{Listen: lab.Address(t), Proxy: lab.Address(t)},
		"--config", configuration(t, settings+"perimeter:\n  balancers: [127.0.0.1]\n"), "--proxy-protocol", w.hops, "--endpoints", "off")
	for host := range addresses {
		w.doors[host] = w.open(t, host, publicAddress)
	}
	var a azure
	w.programs, a = newPrograms(t, p, w.on)
	return w, a
}

// on is a program that goes out of a host's door.
func (w *headers) on(t testing.TB, host, name string, args ...string) *exec.Cmd {
	return w.through(t, w.doors[host], name, args...)
}

func (w *headers) through(t testing.TB, d *door, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := w.postern.Client(t, lab.Public)
	c.Set("HTTPS_PROXY", "http://"+d.Addr().String())
	c.Set("https_proxy", "http://"+d.Addr().String())
	return c.Command(context.Background(), name, args...)
}

// look implements world.
func (w *headers) look(t testing.TB, want look) sight {
	s := sight{resolves: notAsked, golang: notAsked, python: notAsked, curl: notAsked, went: notAsked, seen: notAsked}
	to := destination(want)
	if to == "" {
		return s
	}
	d := w.doors[want.place.host]
	if want.place.address != "" {
		d = w.open(t, want.place.host, to)
	} else {
		d.lead(to)
		s.golang, s.python = w.sdks(want.place.host)
	}
	s.curl, _, s.seen = w.curl(w.through(t, d, "curl"))
	s.went = to
	return s
}

// explain implements world.
func (w *headers) explain(t testing.TB, from string) string {
	t.Helper()
	return w.explained(t, w.postern.Client(t, lab.Private).Command(t.Context(), lab.Program(t)), from)
}

// dialer implements world.
func (w *headers) dialer(_ testing.TB, host, address string) dialer {
	return func(ctx context.Context) (net.Conn, error) { return w.dial(ctx, host, address) }
}

// dial connects to the server with a header that says from where to where.
func (w *headers) dial(ctx context.Context, host, to string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", w.hops)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	from := addresses[host].public
	if to != publicAddress || w.kept[host] {
		from = addresses[host].own
	}
	w.mu.Unlock()
	if _, err := conn.Write(header(netip.MustParseAddr(from), netip.MustParseAddr(to))); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// header is a PROXY protocol header, version 2, of a TCP connection over
// IPv4 (§2.2).
func header(from, to netip.Addr) []byte {
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12)
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, 40000), 443)
}

// endpointRoute implements world.
func (w *headers) endpointRoute(_ testing.TB, host string, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept[host] = on
}

// What follows is about names, ways and sockets, of which there are none.

func (w *headers) dig(testing.TB, string) string                          { return notAsked }
func (w *headers) bound(testing.TB, string)                               {}
func (w *headers) conditional(testing.TB)                                 {}
func (w *headers) resolver(testing.TB, string, string)                    {}
func (w *headers) peer(testing.TB)                                        {}
func (w *headers) forwarder(testing.TB, string, string, ...string) func() { return func() {} }
func (w *headers) part(testing.TB)                                        {}

// A door is a CONNECT proxy by which a client leaves its host: whatever name
// it asks for, it comes to one address of the service.
type door struct {
	net.Listener
	mu sync.Mutex
	to string
}

func (w *headers) open(t testing.TB, host, to string) *door {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l, to: to}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go w.pass(client, host, d)
		}
	}()
	return d
}

// lead changes the address to which new connections come.
func (d *door) lead(to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = to
}

// pass answers a CONNECT and carries bytes from then on.
func (w *headers) pass(client net.Conn, host string, d *door) {
	defer client.Close()
	in := bufio.NewReader(client)
	request, err := http.ReadRequest(in)
	if err != nil || request.Method != http.MethodConnect {
		return
	}
	d.mu.Lock()
	to := d.to
	d.mu.Unlock()
	if !strings.HasPrefix(request.Host, vaultName+".") {
		to = publicAddress
	}
	server, err := w.dial(context.Background(), host, to)
	if err != nil {
		_, _ = io.WriteString(client, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
		return
	}
	defer server.Close()
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, in)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(client, server)
}
