package perimeter

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/estate"
)

// pipes is a listener whose connections a test makes.
type pipes struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
}

func newPipes() *pipes {
	return &pipes{make(chan net.Conn), make(chan error), make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.errs:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return tcp("192.0.2.201") }

// dial connects from an address; the result is the client's end.
func (p *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	p.conns <- fakeConn{Conn: server, local: p.Addr(), remote: tcp(from)}
	return client
}

const balancer = "192.0.2.200"

func attributor(log io.Writer) *Attributor {
	s, _ := estate.New(nil, estate.Options{})
	n := s.Network()
	return New(Options{Network: func() *estate.Network { return n }, Balancers: []netip.Prefix{netip.MustParsePrefix("192.0.2.200/30")},
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
}

// closedWith reports whether a connection is closed without a word.
func closedWith(c net.Conn) (int, error) {
	var b [1]byte
	return c.Read(b[:])
}

// TestProxyListener: one good connection, whatever else is going on.
func TestProxyListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := newPipes()
		l := attributor(&log).ProxyListener(p)
		silent := p.dial(balancer) // sends nothing
		slow := p.dial(balancer)   // sends its header byte by byte
		go func() {
			for _, b := range []byte(raw(0x21, 0x11, addresses4)) {
				if _, err := slow.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		check := p.dial(balancer)
		go io.WriteString(check, raw(0x20, 0))
		stranger := p.dial("192.0.2.204")
		go io.WriteString(stranger, raw(0x21, 0x11, addresses4, azure7))
		plainClient := p.dial(balancer)
		go io.WriteString(plainClient, "GET / HTTP/1.1\r\n\r\n")
		good := p.dial(balancer)
		go io.WriteString(good, raw(0x21, 0x11, addresses4, azure7)+"hello")

		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().String(); got != "10.0.1.7:50000" {
			t.Errorf("RemoteAddr = %s, want that of the header", got)
		}
		var hello [5]byte
		if _, err := io.ReadFull(c, hello[:]); err != nil || string(hello[:]) != "hello" {
			t.Errorf("behind the header stands %q, %v", hello, err)
		}
		begin := time.Now()
		for name, c := range map[string]net.Conn{"silent": silent, "slow": slow, "health check": check, "stranger": stranger, "plain": plainClient} {
			if n, err := closedWith(c); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("%s: read %d, %v, want the end", name, n, err)
			}
		}
		if waited := time.Since(begin); waited != headerTimeout {
			t.Errorf("the slow ones were closed after %v, want %v", waited, headerTimeout)
		}
		l.Close()
		time.Sleep(time.Second) // the slow one notices
		synctest.Wait()
		if got := log.String(); strings.Count(got, "level=WARN") == 0 || strings.Contains(got, "health check\" level=WARN") {
			t.Errorf("log:\n%s", got)
		}
	})
}

// TestFloodOfSilence: connections that never send their header are bounded,
// and closing the listener closes them.
func TestFloodOfSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := attributor(io.Discard).ProxyListener(p)
		var clients []net.Conn
		for range maxPending {
			clients = append(clients, p.dial(balancer))
		}
		if n, err := closedWith(p.dial(balancer)); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("one too many: read %d, %v, want the end", n, err)
		}
		time.Sleep(headerTimeout)
		synctest.Wait()
		late := p.dial(balancer) // the others have gone
		go io.WriteString(late, raw(0x21, 0x11, addresses4))
		if _, err := l.Accept(); err != nil {
			t.Errorf("Accept after the flood: %v", err)
		}
		waiting := p.dial(balancer)
		l.Close()
		if _, err := closedWith(waiting); !errors.Is(err, io.EOF) {
			t.Errorf("a waiting connection after Close: %v, want the end", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
		for _, c := range clients {
			c.Close()
		}
	})
}

// TestAcceptErrors: an error that passes is told, and does not end the
// listener.
func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := attributor(io.Discard).ProxyListener(p)
		passing := errors.New("too many open files")
		go func() { p.errs <- passing }()
		if _, err := l.Accept(); !errors.Is(err, passing) {
			t.Errorf("Accept = %v, want %v", err, passing)
		}
		go io.WriteString(p.dial(balancer), raw(0x21, 0x11, addresses4))
		if _, err := l.Accept(); err != nil {
			t.Errorf("Accept afterwards = %v", err)
		}
		l.Close()
	})
}

// TestNobodyIsABalancer: without a list no header is believed.
func TestNobodyIsABalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := New(Options{}).ProxyListener(p)
		c := p.dial(balancer)
		if _, err := closedWith(c); !errors.Is(err, io.EOF) {
			t.Errorf("a connection without balancers: %v, want the end", err)
		}
		l.Close()
	})
}

// TestOperatorListener: the operator's words count behind its own listener,
// and its listener asks who connects.
func TestOperatorListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		foreign := errors.New("somebody else")
		permitted := func(c net.Conn) error {
			if c.RemoteAddr().String() == "192.0.2.9:443" {
				return foreign
			}
			return nil
		}
		l := attributor(io.Discard).OperatorListener(p, permitted)
		header := raw(0x21, 0x11, addresses4, tlv(0xe1, "Azure Backup"))
		if _, err := closedWith(p.dial("192.0.2.9")); !errors.Is(err, io.EOF) {
			t.Errorf("somebody else: %v, want the end", err)
		}
		go io.WriteString(p.dial("192.0.2.8"), header)
		c, err := l.Accept()
		if err != nil || proofs(c).hop.Service != "Azure Backup" {
			t.Errorf("Accept = %+v, %v, want the service", c, err)
		}
		l.Close()
		b := newPipes()
		balanced := attributor(io.Discard).ProxyListener(b)
		go io.WriteString(b.dial(balancer), header)
		if c, err := balanced.Accept(); err != nil || proofs(c).hop.Service != "" {
			t.Errorf("the same from a balancer: %+v, %v, want no service", c, err)
		}
		balanced.Close()
	})
}

// TestWarnings: trouble is told once a second, with the count of the rest.
func TestWarnings(t *testing.T) {
	var log bytes.Buffer
	now := time.Unix(1, 0)
	w := throttled{now: func() time.Time { return now }}
	logger := slog.New(slog.NewTextHandler(&log, nil))
	for range 10 {
		w.warn(logger, "trouble")
	}
	now = now.Add(time.Second)
	w.warn(logger, "trouble")
	if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"left out since the last"=9`) {
		t.Errorf("log:\n%s\nwant two lines, the second with 9 left out", got)
	}
}
