package dns

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/estate"
	"postern/internal/names"
)

// The networks of the tests are addresses of the loopback, so that questions
// come from inside them.
const (
	appClient    = "127.0.1.7"
	awayClient   = "127.0.2.7"
	otherNetwork = "127.0.3.7"
)

// loopback is the drawing on addresses that a test can ask from.
func loopback() []*estate.Resource {
	return []*estate.Resource{
		vault("myvault", "eastus", "kv-private-endpoint=Approved"), vault("plain", "westeurope"),
		network("myvnet", "app-subnet=127.0.1.0/24"), network("other", "app=127.0.3.0/24"),
		endpoint("kv-private-endpoint", "myvnet/subnets/app-subnet", "myvault", "10.0.3.4"),
		privateDNS(core), linkTo(core, "myvnet", ""), record(core, "myvault", 10, "10.0.3.4"),
		recordOf("CNAME", core, "abroad", `"cnameRecord":{"cname":"www.example.com"}`),
		record(core, "many", 10, manyAddresses(120)...),
	}
}

func manyAddresses(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("10.8.%d.%d", i/250, i%250))
	}
	return list
}

// run starts a server and has it stopped at the end of the test.
func run(t testing.TB, address string, change func(*Options)) *Server {
	t.Helper()
	sockets, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, _ := estate.New(loopback(), estate.Options{})
	o := Options{Sockets: sockets, Snapshot: func() *estate.Snapshot { return snapshot }, Names: names.New("postern.localhost", 8443),
		Public: netip.MustParseAddr(public), TTL: 60}
	if change != nil {
		change(&o)
	}
	s := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	})
	return s
}

func start(t testing.TB) *Server { t.Helper(); return run(t, "127.0.0.1:0", nil) }

// asking is a client at an address of the loopback.
func asking(from, network string) *wire.Client {
	c := &wire.Client{Net: network, Timeout: 10 * time.Second, UDPSize: 4096}
	ip := net.ParseIP(from)
	c.Dialer = &net.Dialer{LocalAddr: &net.UDPAddr{IP: ip}}
	if network == "tcp" {
		c.Dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	return c
}

func query(name string, typ uint16) *wire.Msg { return new(wire.Msg).SetQuestion(name, typ) }

func exchangeWith(t testing.TB, s *Server, from, network string, q *wire.Msg) *wire.Msg {
	t.Helper()
	a, _, err := asking(from, network).Exchange(q, s.options.Sockets.Addr())
	if err != nil {
		t.Fatalf("asking for %v from %s over %s: %v", q.Question, from, network, err)
	}
	return a
}

// summary is a message in one line: flags, code, answer records without the
// class, then the zone of the SOA.
func summary(m *wire.Msg) string {
	words := []string{wire.RcodeToString[m.Rcode]}
	for _, f := range []struct {
		on   bool
		name string
	}{{m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionAvailable, "ra"}} {
		if f.on {
			words = append(words, f.name)
		}
	}
	for _, rr := range m.Answer {
		words = append(words, strings.Join(strings.Fields(strings.Replace(rr.String(), "\tIN\t", " ", 1)), " "))
	}
	for _, rr := range m.Ns {
		words = append(words, fmt.Sprintf("SOA %s %d", rr.Header().Name, rr.Header().Ttl))
	}
	return strings.Join(words, " ")
}

func TestOverTheWire(t *testing.T) {
	s := start(t)
	chain := " myvault.vault.azure.net. 60 CNAME myvault.privatelink.vaultcore.azure.net. "
	for _, c := range []struct {
		from, name string
		typ        uint16
		want       string
	}{
		{appClient, "myvault.vault.azure.net.", wire.TypeA, "NOERROR aa ra" + chain + linked + "10 A 10.0.3.4"},
		{awayClient, "myvault.vault.azure.net.", wire.TypeA, "NOERROR aa ra" + chain + linked + "60 CNAME " + toEast + eastern},
		{otherNetwork, "myvault.vault.azure.net.", wire.TypeA, "NOERROR aa ra" + chain + linked + "60 CNAME " + toEast + eastern},
		{appClient, "mYVauLT.vAult.AZURE.net.", wire.TypeA, "NOERROR aa ra mYVauLT.vAult.AZURE.net. 60 CNAME myvault.privatelink.vaultcore.azure.net. " + linked + "10 A 10.0.3.4"},
		{appClient, "myvault.vault.azure.net.", wire.TypeAAAA, "NOERROR aa ra" + chain + "SOA privatelink.vaultcore.azure.net. 10"},
		{appClient, "nobody.vault.azure.net.", wire.TypeA, "NXDOMAIN aa ra SOA vault.azure.net. 10"},
		{appClient, "vault.azure.net.", wire.TypeSOA, "NOERROR aa ra vault.azure.net. 10 SOA postern.localhost. hostmaster.postern.localhost. 1 3600 300 2419200 10"},
		{appClient, "myvault.vault.azure.net.", wire.TypeANY, "NOERROR aa ra" + strings.TrimRight(chain, " ")},
		{appClient, "example.com.", wire.TypeA, "REFUSED ra"},
		{appClient, "abroad." + core + ".", wire.TypeA, "NOERROR aa ra abroad.privatelink.vaultcore.azure.net. 30 CNAME www.example.com."},
		{appClient, "myvault.vault.azure.net.", wire.TypeAXFR, "REFUSED ra"},
		{appClient, "myvault.vault.azure.net.", wire.TypeIXFR, "REFUSED ra"},
		{appClient, "myvault.vault.azure.net.", wire.TypeMAILB, "REFUSED ra"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			q := query(c.name, c.typ)
			a := exchangeWith(t, s, c.from, network, q)
			if got := summary(a); got != c.want {
				t.Errorf("%s %s from %s over %s =\n  %s, want\n  %s", c.name, wire.TypeToString[c.typ], c.from, network, got, c.want)
			}
			if !a.RecursionDesired || len(a.Question) != 1 || a.Question[0] != q.Question[0] || a.IsEdns0() != nil {
				t.Errorf("%s over %s: the answer's head is %v", c.name, network, a)
			}
		}
	}
}

// TestRefusedMessages: what is not a question of class IN.
func TestRefusedMessages(t *testing.T) {
	s := start(t)
	change := func(f func(*wire.Msg)) *wire.Msg { m := query("myvault.vault.azure.net.", wire.TypeA); f(m); return m }
	second := wire.Question{Name: "a.", Qtype: 1, Qclass: 1}
	for _, c := range []struct {
		what string
		q    *wire.Msg
		want string
	}{
		{"CHAOS", change(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassCHAOS }), "REFUSED ra"},
		{"version.bind", change(func(m *wire.Msg) {
			m.Question[0] = wire.Question{Name: "version.bind.", Qtype: wire.TypeTXT, Qclass: wire.ClassCHAOS}
		}), "REFUSED ra"},
		{"class ANY", change(func(m *wire.Msg) { m.Question[0].Qclass = wire.ClassANY }), "REFUSED ra"},
		{"NOTIFY", change(func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify }), "REFUSED ra"},
		{"UPDATE", change(func(m *wire.Msg) { m.Opcode = wire.OpcodeUpdate }), "REFUSED ra"},
		{"STATUS", change(func(m *wire.Msg) { m.Opcode = wire.OpcodeStatus }), "NOTIMP ra"},
		{"no question", change(func(m *wire.Msg) { m.Question = nil }), "FORMERR ra"},
		{"two questions", change(func(m *wire.Msg) { m.Question = append(m.Question, second) }), "FORMERR ra"},
		{"an answer in the question", change(func(m *wire.Msg) {
			m.Answer = []wire.RR{&wire.A{Hdr: wire.RR_Header{Name: "a.", Rrtype: 1, Class: 1}, A: net.IP{1, 2, 3, 4}}}
		}), "FORMERR ra"},
		{"two OPT records", change(func(m *wire.Msg) { m.SetEdns0(1232, false); m.Extra = append(m.Extra, m.Extra[0]) }), "FORMERR ra"},
		{"EDNS version 1", change(func(m *wire.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), "BADVERS ra"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			packet, err := c.q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			a := new(wire.Msg)
			if err := a.Unpack(raw(t, s, appClient, network, packet)); err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
			if got := strings.Replace(summary(a), "BADSIG", "BADVERS", 1); got != c.want || a.Id != c.q.Id || !a.Response {
				t.Errorf("%s over %s = %s (id %d), want %s (id %d)", c.what, network, got, a.Id, c.want, c.q.Id)
			}
		}
	}
}

// raw sends bytes and gives the bytes of the answer.
func raw(t testing.TB, s *Server, from, network string, packet []byte) []byte {
	t.Helper()
	conn, err := asking(from, network).Dial(s.options.Sockets.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	answer := make([]byte, 65535)
	if network == "udp" {
		_, _ = conn.Conn.Write(packet)
		n, err := conn.Conn.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		return answer[:n]
	}
	_, _ = conn.Conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...))
	if _, err := io.ReadFull(conn.Conn, answer[:2]); err != nil {
		t.Fatal(err)
	}
	answer = answer[:binary.BigEndian.Uint16(answer)]
	if _, err := io.ReadFull(conn.Conn, answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestSizes: an answer is never larger than the client takes, nor than 1232
// bytes over UDP; what is cut says so, and is whole over TCP.
func TestSizes(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		size uint16
		most int
	}{{0, 512}, {100, 512}, {512, 512}, {900, 900}, {1232, 1232}, {4096, 1232}, {65535, 1232}} {
		q := query("many."+core+".", wire.TypeA)
		if c.size > 0 {
			q.SetEdns0(c.size, true)
		}
		packet, _ := q.Pack()
		answer := raw(t, s, appClient, "udp", packet)
		a := new(wire.Msg)
		if err := a.Unpack(answer); err != nil || !a.Truncated || len(answer) > c.most || len(answer) < c.most-40 {
			t.Errorf("size %d: %d bytes, cut %v, %v; want at most %d", c.size, len(answer), a.Truncated, err, c.most)
		}
	}
	q := query("many."+core+".", wire.TypeA)
	q.SetEdns0(4096, true)
	a := exchangeWith(t, s, appClient, "udp", q)
	if opt := a.IsEdns0(); !a.Truncated || opt == nil || opt.UDPSize() != 1232 || !opt.Do() || len(opt.Option) != 0 {
		t.Errorf("the answer over UDP: cut %v, %d records, %v", a.Truncated, len(a.Answer), opt)
	}
	if a = exchangeWith(t, s, appClient, "tcp", q); a.Truncated || len(a.Answer) != 120 {
		t.Errorf("the answer over TCP: cut %v, %d records, want 120", a.Truncated, len(a.Answer))
	}
	plain := query("many."+core+".", wire.TypeA)
	if a = exchangeWith(t, s, appClient, "udp", plain); !a.Truncated || a.IsEdns0() != nil || len(a.Answer) == 0 {
		t.Errorf("the answer without EDNS: cut %v, %d records", a.Truncated, len(a.Answer))
	}
}

// TestClientSubnetIsNotBelieved: who asks is known by address alone.
func TestClientSubnetIsNotBelieved(t *testing.T) {
	s := start(t)
	q := query("myvault.vault.azure.net.", wire.TypeA)
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_SUBNET{Code: wire.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: net.ParseIP(appClient).To4()}}
	if a := exchangeWith(t, s, awayClient, "udp", q); !strings.HasSuffix(summary(a), "A "+public) || len(a.IsEdns0().Option) != 0 {
		t.Errorf("the answer = %s", a)
	}
}

// TestAnswersAreNotAnswered, nor is anything that is too short.
func TestAnswersAreNotAnswered(t *testing.T) {
	s := start(t)
	reply := query("myvault.vault.azure.net.", wire.TypeA)
	reply.Response = true
	packet, _ := reply.Pack()
	d := newDesk()
	for _, p := range [][]byte{packet, nil, {1}, packet[:11]} {
		if got, e := s.answer(d, p, asker{client: netip.MustParseAddr(appClient)}); got != nil || e != nil {
			t.Errorf("answer(%x) = %x, want nothing", p, got)
		}
	}
	if c := s.Counts(); c.Dropped != 4 {
		t.Errorf("Counts = %+v, want 4 dropped", c)
	}
}

// TestConnection: several questions over one connection, in their order; it
// ends with a message that is none.
func TestConnection(t *testing.T) {
	s := start(t)
	conn, err := net.Dial("tcp", s.options.Sockets.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &wire.Conn{Conn: conn}
	ids := []uint16{}
	for range 5 {
		q := query("plain.vault.azure.net.", wire.TypeA)
		ids = append(ids, q.Id)
		if err := c.WriteMsg(q); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		if a, err := c.ReadMsg(); err != nil || a.Id != id || len(a.Answer) != 3 {
			t.Fatalf("ReadMsg = %v, %v", a, err)
		}
	}
	if _, err := conn.Write([]byte{0xff, 0xff, 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadMsg(); err == nil {
		t.Error("the connection goes on after a message that is too long")
	}
}

// TestConnectionLimits: one client has few connections, all together have a
// limit, and there is room again when they end.
func TestConnectionLimits(t *testing.T) {
	s := start(t)
	var open []net.Conn
	dial := func(from string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", s.options.Sockets.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	served := func(conn net.Conn) bool {
		c := &wire.Conn{Conn: conn}
		if c.WriteMsg(query("plain.vault.azure.net.", wire.TypeA)) != nil {
			return false
		}
		a, err := c.ReadMsg()
		return err == nil && len(a.Answer) == 3
	}
	for range maxConnsPerClient {
		conn := dial(awayClient)
		open = append(open, conn)
		if !served(conn) {
			t.Fatal("a connection within the limit is not served")
		}
	}
	if served(dial(awayClient)) {
		t.Error("a client has more connections than it may")
	}
	if other := dial(appClient); !served(other) {
		t.Error("another client is not served")
	} else {
		open = append(open, other)
	}
	for len(open) < maxConns {
		conn := dial(fmt.Sprintf("127.0.5.%d", 1+len(open)/maxConnsPerClient))
		open = append(open, conn)
		if !served(conn) {
			t.Fatalf("connection %d of %d is not served", len(open), maxConns)
		}
	}
	if served(dial("127.0.6.1")) {
		t.Error("there are more connections than there may be")
	}
	for _, conn := range open {
		conn.Close()
	}
	for !served(dial("127.0.6.1")) {
		runtime.Gosched()
	}
	if c := s.Counts(); c.RefusedConnections < 2 {
		t.Errorf("Counts = %+v", c)
	}
}

// TestUnspecifiedAddress: a server that is bound to no address answers from
// the one that was asked, and the public names stand for that one unless
// they are told otherwise.
func TestUnspecifiedAddress(t *testing.T) {
	for _, bind := range []string{"0.0.0.0:0", ":0"} {
		s := run(t, bind, func(o *Options) { o.Public = netip.Addr{} })
		_, port, _ := net.SplitHostPort(s.options.Sockets.Addr())
		for _, to := range []string{"127.0.0.1", "127.0.0.9"} {
			for _, network := range []string{"udp", "tcp"} {
				// A connected socket takes an answer from that address only.
				a, _, err := asking(awayClient, network).Exchange(query("login.postern.localhost.", wire.TypeA), net.JoinHostPort(to, port))
				if err != nil || summary(a) != "NOERROR aa ra login.postern.localhost. 60 A "+to {
					t.Errorf("bound to %s, asked at %s over %s: %v, %v", bind, to, network, a, err)
				}
			}
		}
	}
}

// TestSnapshotsAreFollowed: the answer is that of the moment.
func TestSnapshotsAreFollowed(t *testing.T) {
	var current atomic.Pointer[estate.Snapshot]
	set := func(list ...*estate.Resource) { s, _ := estate.New(list, estate.Options{}); current.Store(s) }
	set(loopback()...)
	s := run(t, "127.0.0.1:0", func(o *Options) { o.Snapshot = current.Load })
	ask := func(want string) {
		t.Helper()
		if got := summary(exchangeWith(t, s, appClient, "udp", query("myvault.vault.azure.net.", wire.TypeA))); !strings.HasSuffix(got, want) {
			t.Errorf("the answer = %s, want one that ends in %s", got, want)
		}
	}
	ask("A 10.0.3.4")
	list := loopback()
	set(slices.DeleteFunc(list, func(r *estate.Resource) bool { return r.Type == estate.TypeZoneLink })...)
	ask("A " + public)
	list = loopback()
	list[0] = vault("myvault", "eastus", "kv-private-endpoint=Rejected")
	set(list...)
	ask("A " + public)
	set()
	ask("SOA vault.azure.net. 10")
	set(loopback()...)
	ask("A 10.0.3.4")
}

// FuzzAnswer: whatever arrives is answered or dropped, and an answer is a
// message of its own: an answer, to the same number, no larger than it may.
func FuzzAnswer(f *testing.F) {
	for _, m := range []*wire.Msg{query("myvault.vault.azure.net.", wire.TypeA), query(".", wire.TypeNS), query(`a\.b.vault.azure.net.`, wire.TypeANY),
		query("many."+core+".", wire.TypeA).SetEdns0(4096, true), {}} {
		p, _ := m.Pack()
		f.Add(p, false)
		f.Add(p[:len(p)-1], true)
	}
	snapshot, _ := estate.New(loopback(), estate.Options{})
	s := New(Options{Snapshot: func() *estate.Snapshot { return snapshot }, Names: names.New("postern.localhost", 8443), Public: netip.MustParseAddr(public),
		Upstream: "192.0.2.1:53", Forward: []string{"example.com=192.0.2.2:53"}})
	d := newDesk()
	f.Fuzz(func(t *testing.T, packet []byte, tcp bool) {
		reply, e := s.answer(d, packet, asker{client: netip.MustParseAddr(appClient), tcp: tcp})
		if e != nil {
			<-s.errands
			reply = d.pack(e.reply, e.room)
		}
		if reply == nil {
			if len(packet) >= headerSize && packet[2]&0x80 == 0 {
				t.Fatalf("answer(%x) = nothing", packet)
			}
			return
		}
		m := new(wire.Msg)
		if err := m.Unpack(reply); err != nil || !m.Response || m.Id != binary.BigEndian.Uint16(packet) || !tcp && len(reply) > maxUDP {
			t.Fatalf("answer(%x) = %x, %v", packet, reply, err)
		}
	})
}
