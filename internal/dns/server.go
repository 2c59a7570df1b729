package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"

	"postern/internal/estate"
	"postern/internal/names"
)

// Options is what a server answers from.
type Options struct {
	// Sockets are the bound sockets; the server closes them.
	Sockets *Sockets
	// Snapshot gives the current state of the estate. It must not block.
	Snapshot func() *estate.Snapshot
	Names    *names.Names
	// Public is the address that the public names stand for; the zero value
	// is the address that the question was sent to.
	Public netip.Addr
	// TTL, in seconds, is that of public answers and of private records that
	// do not say.
	TTL uint32
	// Upstream is the resolver for other names, HOST:PORT or ""; Forward are
	// conditional forwarders, DOMAIN=HOST:PORT.
	Upstream string
	Forward  []string
	// Patience is how long one packet to another resolver is waited for; 0
	// is a second and a half.
	Patience time.Duration
	Log      *slog.Logger
}

// Server speaks DNS over UDP and TCP. What it does at one time is bounded: a
// fixed number of goroutines reads and answers datagrams, each from buffers
// of its own; connections and questions passed on have a limit. So a flood
// costs packets, not memory.
type Server struct {
	options Options
	served  *served
	routes  atomic.Pointer[routes]
	private atomic.Pointer[private]
	// compiling is held while the private zones of a new state are read, so
	// that it is done once.
	compiling sync.Mutex
	flights   flights
	errands   chan struct{} // one element per question passed on
	counts    counts
	conns     connections

	// working are the goroutines that Serve waits for.
	working sync.WaitGroup
	closed  atomic.Bool
}

// counts are what Counts tells.
type counts struct{ answered, malformed, dropped, forwarded, busy, refusedConns atomic.Uint64 }

// Counts is what a server has done since it was made.
type Counts struct {
	// Answered are the questions that were answered from here, Malformed the
	// messages that were none, Dropped those that got no answer.
	Answered, Malformed, Dropped uint64
	// Forwarded are the questions that were passed on; Busy those that could
	// not be because too many were; RefusedConnections the TCP connections
	// beyond the limits.
	Forwarded, Busy, RefusedConnections uint64
	// MostForwarding is the most questions that were under way to other
	// resolvers at one time.
	MostForwarding int
}

// New makes a server. Serve runs it.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience <= 0 {
		o.Patience = patience
	}
	s := &Server{options: o, served: serve(o.Names), flights: flights{patience: o.Patience},
		errands: make(chan struct{}, maxErrands)}
	s.Reload(o.Upstream, o.Forward)
	return s
}

// Reload replaces the resolvers that other names are passed on to. It may be
// called while the server runs.
func (s *Server) Reload(upstream string, forward []string) {
	s.routes.Store(newRoutes(upstream, forward))
}

// Counts tells what the server has done.
func (s *Server) Counts() Counts {
	c := &s.counts
	s.flights.mu.Lock()
	most := s.flights.mostNow
	s.flights.mu.Unlock()
	return Counts{c.answered.Load(), c.malformed.Load(), c.dropped.Load(), c.forwarded.Load(), c.busy.Load(), c.refusedConns.Load(), most}
}

// Serve answers until ctx is done or Close is called, and then waits for
// what is under way. An error is one that ended it.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	readers := max(2, runtime.GOMAXPROCS(0))
	failed := make(chan error, readers+1)
	for range readers {
		s.working.Go(func() { failed <- s.serveUDP(ctx) })
	}
	s.working.Go(func() { failed <- s.serveTCP(ctx) })
	err := <-failed
	cancel()
	closing := s.Close()
	s.working.Wait()
	if s.closed.Load() && errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, closing)
}

// Close closes the sockets. It may be called again.
func (s *Server) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return errors.Join(s.options.Sockets.Close(), s.conns.close())
}

// maxFailures is how many reads may fail one after the other: more is not
// the network's fault.
const maxFailures = 100

// serveUDP reads and answers datagrams, one after the other. Several
// goroutines run it on one socket.
func (s *Server) serveUDP(ctx context.Context) error {
	d, packet, control := newDesk(), make([]byte, maxQuery+1), s.options.Sockets.control()
	for failures := 0; ; {
		m, err := s.options.Sockets.read(packet, control)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			if failures++; failures == maxFailures {
				return fmt.Errorf("dns: reading datagrams: %w", err)
			}
			continue
		}
		failures = 0
		reply, e := s.answer(d, packet[:m.size], asker{client: m.from.Addr().Unmap(), local: m.to})
		if e != nil {
			s.send(ctx, e, func(reply []byte) { s.options.Sockets.write(reply, m) })
		}
		if reply != nil {
			s.options.Sockets.write(reply, m)
		}
	}
}

// send starts an errand, if not too many are under way, and has its reply
// written.
func (s *Server) send(ctx context.Context, e *errand, write func([]byte)) {
	s.working.Go(func() {
		defer func() { <-s.errands }()
		s.run(ctx, e)
		write(newDesk().pack(e.reply, e.room))
	})
}

// view is what an answer to one client is computed from.
func (s *Server) view(from asker, r *routes) View {
	v := View{Snapshot: s.options.Snapshot(), Names: s.options.Names, Public: s.options.Public, TTL: s.options.TTL,
		Forward: r.domains, Client: from.client, served: s.served}
	if !v.Public.IsValid() || v.Public.IsUnspecified() {
		v.Public = from.local
	}
	v.private = s.zones(v.Snapshot)
	return v
}

// zones are the private zones of a snapshot, compiled anew only when the
// networks have changed.
func (s *Server) zones(snapshot *estate.Snapshot) *private {
	if p := s.private.Load(); p != nil && p.network == snapshot.Network() {
		return p
	}
	s.compiling.Lock()
	defer s.compiling.Unlock()
	if p := s.private.Load(); p != nil && p.network == snapshot.Network() {
		return p
	}
	p := compile(snapshot)
	s.private.Store(p)
	return p
}

// answer answers a message. The reply is valid until the desk's next answer;
// it is nil for what gets none, and for an errand, which takes a place among
// those under way that its run must give back.
func (s *Server) answer(d *desk, packet []byte, from asker) ([]byte, *errand) {
	code, drop, ok := head(packet)
	if drop {
		s.counts.dropped.Add(1)
		return nil, nil
	}
	if ok && len(packet) > maxQuery {
		code, ok = wire.RcodeFormatError, false
	}
	var q Question
	if ok {
		q, code = d.read(packet)
	}
	if !ok || code == wire.RcodeFormatError {
		s.counts.malformed.Add(1)
		return d.refusal(packet, code), nil
	}
	s.counts.answered.Add(1)
	reply := d.begin(code)
	if code != wire.RcodeSuccess {
		return d.pack(reply, d.room(from.tcp)), nil
	}
	r := s.routes.Load()
	v := s.view(from, r)
	a := Resolve(&v, q)
	d.fill(reply, a)
	if a.Elsewhere == "" || r.to(a.Elsewhere) == "" {
		return d.pack(reply, d.room(from.tcp)), nil
	}
	select {
	case s.errands <- struct{}{}:
	default:
		s.counts.busy.Add(1)
		d.fill(reply, Answer{Code: ServerFailure})
		return d.pack(reply, d.room(from.tcp)), nil
	}
	s.counts.forwarded.Add(1)
	reply.Rcode, reply.Authoritative = wire.RcodeSuccess, false
	return nil, &errand{view: v, routes: r, reply: reply.Copy(), room: d.room(from.tcp), typ: q.Type, next: a.Elsewhere}
}
