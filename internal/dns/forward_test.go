package dns

import (
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/estate"
)

// answering is a resolver that answers each question as a function says; nil
// is no answer.
func answering(t testing.TB, f func(q *wire.Msg) []*wire.Msg) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			q := new(wire.Msg)
			if q.Unpack(b[:n]) != nil {
				continue
			}
			for _, a := range f(q) {
				p, _ := a.Pack()
				_, _ = pc.WriteTo(p, from)
			}
		}
	}()
	return pc.LocalAddr().String()
}

// reply answers a question with records as zone files have them.
func reply(q *wire.Msg, records ...string) *wire.Msg {
	a := new(wire.Msg).SetReply(q)
	for _, r := range records {
		rr, err := wire.NewRR(r)
		if err != nil {
			panic(err)
		}
		a.Answer = append(a.Answer, rr)
	}
	return a
}

// cloud is the server beside the vaults; questions of 127.0.0.1, the address
// that forwarders in these tests ask from, come from inside the network.
func cloud(t testing.TB, change func(*Options)) *Server {
	list := append(loopback(), network("hub", "inbound=127.0.0.1/32"), linkTo(core, "hub", ""))
	snapshot, _ := estate.New(list, estate.Options{})
	return run(t, "127.0.0.1:0", func(o *Options) {
		o.Snapshot = func() *estate.Snapshot { return snapshot }
		if change != nil {
			change(o)
		}
	})
}

// premises is a server without an estate of its own.
func premises(t testing.TB, upstream string, forward ...string) *Server {
	empty, _ := estate.New(nil, estate.Options{})
	return run(t, "127.0.0.1:0", func(o *Options) {
		o.Snapshot, o.Upstream, o.Forward = func() *estate.Snapshot { return empty }, upstream, forward
	})
}

// TestConditionalForwarding: on-premises, the resolver forwards the two
// zones to one whose questions come from inside the network (guide to
// private endpoints, §4.3), and gets the private address; who asks directly
// does not.
func TestConditionalForwarding(t *testing.T) {
	azure := cloud(t, nil)
	at := azure.options.Sockets.Addr()
	name := query("myvault.vault.azure.net.", wire.TypeA)
	const chain = "myvault.vault.azure.net. 60 CNAME myvault.privatelink.vaultcore.azure.net. " + linked + "10 A 10.0.3.4"
	if got := summary(exchangeWith(t, azure, awayClient, "udp", name)); !strings.HasSuffix(got, " A "+public) {
		t.Errorf("directly: %s", got)
	}
	both := premises(t, "", "vault.azure.net="+at, "vaultcore.azure.net="+at)
	for _, network := range []string{"udp", "tcp"} {
		if got, want := summary(exchangeWith(t, both, awayClient, network, name)), "NOERROR ra "+chain; got != want {
			t.Errorf("forwarded over %s: %s, want %s", network, got, want)
		}
	}
	got := summary(exchangeWith(t, both, awayClient, "udp", query("MYvault.vault.azure.NET.", wire.TypeA)))
	if want := "NOERROR ra MYvault.vault.azure.NET. 60 CNAME myvault.privatelink"; !strings.HasPrefix(got, want) {
		t.Errorf("forwarded: %s, want %s…", got, want)
	}
	if got, want := summary(exchangeWith(t, both, awayClient, "udp", query("nobody.vault.azure.net.", wire.TypeA))), "NXDOMAIN ra SOA vault.azure.net. 10"; got != want {
		t.Errorf("forwarded: %s, want %s", got, want)
	}
	// The guide forwards vaultcore.azure.net alone: the alias comes from the
	// public resolver, and is followed to the other.
	internet := run(t, "127.0.0.1:0", nil) // 127.0.0.1 is in none of its networks
	one := premises(t, internet.options.Sockets.Addr(), "vault.azure.net="+internet.options.Sockets.Addr(), "vaultcore.azure.net="+at)
	if got, want := summary(exchangeWith(t, one, awayClient, "udp", name)), "NOERROR ra "+chain; got != want {
		t.Errorf("vaultcore.azure.net forwarded alone: %s, want %s", got, want)
	}
}

func TestUpstream(t *testing.T) {
	address := answering(t, func(q *wire.Msg) []*wire.Msg {
		switch q.Question[0].Name {
		case "www.example.com.":
			return []*wire.Msg{reply(q, "www.example.com. 5 IN A 192.0.2.1", "www.example.com. 5 IN A 192.0.2.2", "other.example. 5 IN A 192.0.2.9")}
		case "kv.example.com.":
			return []*wire.Msg{reply(q, "kv.example.com. 5 IN CNAME b.example.com.", "b.example.com. 5 IN CNAME plain.vault.azure.net.", "plain.vault.azure.net. 5 IN A 192.0.2.66")}
		case "circle.example.com.":
			return []*wire.Msg{reply(q, "circle.example.com. 5 IN CNAME circle.example.com.")}
		case "forged.example.com.":
			other := reply(query("x.example.com.", wire.TypeA), "forged.example.com. 5 IN A 192.0.2.66")
			other.Id = q.Id
			return []*wire.Msg{other}
		case "number.example.com.":
			wrong := reply(q, "number.example.com. 5 IN A 192.0.2.66")
			wrong.Id++
			return []*wire.Msg{wrong, reply(q, "number.example.com. 5 IN A 192.0.2.7")}
		}
		a := new(wire.Msg).SetRcode(q, wire.RcodeNameError)
		a.Ns = reply(q, "example.com. 300 IN SOA ns.example.com. h.example.com. 1 2 3 4 5").Answer
		return []*wire.Msg{a}
	})
	s := run(t, "127.0.0.1:0", func(o *Options) { o.Upstream = address })
	for _, c := range []struct{ name, want string }{
		{"www.example.com.", "NOERROR ra www.example.com. 5 A 192.0.2.1 www.example.com. 5 A 192.0.2.2"},
		{"WWW.example.com.", "NOERROR ra WWW.example.com. 5 A 192.0.2.1 WWW.example.com. 5 A 192.0.2.2"},
		{"no.example.com.", "NXDOMAIN ra SOA example.com. 300"},
		// An alias into our names is ours to answer.
		{"kv.example.com.", "NOERROR ra kv.example.com. 5 CNAME b.example.com. b.example.com. 5 CNAME plain.vault.azure.net. plain.vault.azure.net. 60 CNAME data-prod-weu.vaultcore.azure.net. " + western},
		// An alias of ours to another is completed.
		{"abroad." + core + ".", "NOERROR ra abroad." + core + ". 30 CNAME www.example.com. www.example.com. 5 A 192.0.2.1 www.example.com. 5 A 192.0.2.2"},
		{"circle.example.com.", "NOERROR ra circle.example.com. 5 CNAME circle.example.com."},
		{"forged.example.com.", "SERVFAIL ra"},
		{"number.example.com.", "NOERROR ra number.example.com. 5 A 192.0.2.7"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			if got := summary(exchangeWith(t, s, appClient, network, query(c.name, wire.TypeA))); got != c.want {
				t.Errorf("%s over %s =\n  %s, want\n  %s", c.name, network, got, c.want)
			}
		}
	}
}

// TestCutAnswersAreFetchedWhole: an upstream answer that is cut over UDP is
// asked for over TCP, and cut again for the client if need be.
func TestCutAnswersAreFetchedWhole(t *testing.T) {
	azure := cloud(t, nil)
	s := premises(t, "", "vaultcore.azure.net="+azure.options.Sockets.Addr())
	q := query("many."+core+".", wire.TypeA)
	if a := exchangeWith(t, s, awayClient, "tcp", q); len(a.Answer) != 120 || a.Truncated {
		t.Errorf("over TCP: %d records, cut %v, want 120 whole", len(a.Answer), a.Truncated)
	}
	if a := exchangeWith(t, s, awayClient, "udp", q); !a.Truncated {
		t.Errorf("over UDP: %d records, not cut", len(a.Answer))
	}
}

// TestNoLoops: resolvers that forward to each other, or to themselves, fail
// the question and do not multiply it.
func TestNoLoops(t *testing.T) {
	hasty := func(o *Options) { o.Patience = 50 * time.Millisecond }
	one, two := run(t, "127.0.0.1:0", hasty), run(t, "127.0.0.1:0", hasty)
	for _, c := range []struct{ first, second string }{
		{one.options.Sockets.Addr(), ""}, {two.options.Sockets.Addr(), one.options.Sockets.Addr()},
	} {
		one.Reload(c.first, nil)
		two.Reload(c.second, nil)
		before := one.Counts().Answered + two.Counts().Answered
		if got := summary(exchangeWith(t, one, appClient, "udp", query("loop.example.com.", wire.TypeA))); got != "SERVFAIL ra" {
			t.Errorf("the answer = %s, want SERVFAIL", got)
		}
		// The question, and each server's tries to ask the other.
		if n := one.Counts().Answered + two.Counts().Answered - before; n > 1+2*tries {
			t.Errorf("one question became %d", n)
		}
	}
	if c := one.Counts(); c.MostForwarding != 1 {
		t.Errorf("Counts = %+v, want one question under way", c)
	}
}

func TestReload(t *testing.T) {
	say := func(addr string) string {
		return answering(t, func(q *wire.Msg) []*wire.Msg { return []*wire.Msg{reply(q, q.Question[0].Name+" 5 IN A "+addr)} })
	}
	s := start(t)
	for _, c := range []struct {
		upstream string
		forward  []string
		want     string
	}{
		{"", nil, "REFUSED ra"},
		{say("192.0.2.1"), nil, "NOERROR ra a.b.example.com. 5 A 192.0.2.1"},
		{say("192.0.2.1"), []string{"example.com=" + say("192.0.2.2")}, "NOERROR ra a.b.example.com. 5 A 192.0.2.2"},
		{"", []string{"example.com=" + say("192.0.2.2"), "B.Example.com.=" + say("192.0.2.3"), "com=" + say("192.0.2.4")}, "NOERROR ra a.b.example.com. 5 A 192.0.2.3"},
		{"", []string{".=" + say("192.0.2.5")}, "NOERROR ra a.b.example.com. 5 A 192.0.2.5"},
		{"", []string{"nonsense", "example.org=127.0.0.1:1"}, "REFUSED ra"},
	} {
		s.Reload(c.upstream, c.forward)
		if got := summary(exchangeWith(t, s, appClient, "udp", query("a.b.example.com.", wire.TypeA))); got != c.want {
			t.Errorf("with upstream %q, forward %q: %s, want %s", c.upstream, c.forward, got, c.want)
		}
	}
}

// TestTooManyErrands: what cannot be passed on is told at once, and what is
// our own is answered all the while.
func TestTooManyErrands(t *testing.T) {
	s := run(t, "127.0.0.1:0", func(o *Options) { o.Upstream = "127.0.0.1:1" })
	for range maxErrands {
		s.errands <- struct{}{}
	}
	if got := summary(exchangeWith(t, s, appClient, "udp", query("example.com.", wire.TypeA))); got != "SERVFAIL ra" {
		t.Errorf("the answer = %s, want SERVFAIL", got)
	}
	if got := summary(exchangeWith(t, s, appClient, "udp", query("myvault.vault.azure.net.", wire.TypeA))); !strings.HasSuffix(got, "A 10.0.3.4") {
		t.Errorf("the answer = %s", got)
	}
	if c := s.Counts(); c.Busy != 1 || c.Forwarded != 0 {
		t.Errorf("Counts = %+v, want 1 busy", c)
	}
	for range maxErrands {
		<-s.errands
	}
}
