package perimeter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of connections whose header has not come yet.
const (
	headerTimeout = 5 * time.Second
	// maxPending is how many may be waiting at once; a further one is closed.
	maxPending = 4096
)

// ProxyListener makes of a listener one whose every connection begins with
// a header of the PROXY protocol, version 2, sent by one of the balancers.
// What comes from elsewhere, or begins otherwise, is closed before anything
// of it is looked at. Without balancers nothing gets through.
func (a *Attributor) ProxyListener(l net.Listener) net.Listener {
	return a.newHeaderListener(l, false, func(c net.Conn) error {
		from := address(c.RemoteAddr())
		for _, p := range a.balancers {
			if p.Contains(from) {
				return nil
			}
		}
		return errors.New("not one of the balancers")
	})
}

// OperatorListener is ProxyListener for the operator's socket in the data
// folder. Whoever can connect to it owns the data folder, so everything the
// header says is believed; permitted is asked whether a connection is that
// owner's.
func (a *Attributor) OperatorListener(l net.Listener, permitted func(net.Conn) error) net.Listener {
	return a.newHeaderListener(l, true, permitted)
}

// headerListener reads the header of each connection in the background and
// hands on those that had one, so that a peer that is slow to send its own
// keeps nobody else waiting.
type headerListener struct {
	net.Listener
	attributor *Attributor
	operator   bool
	permitted  func(net.Conn) error

	results chan accepted
	closed  chan struct{}
	once    sync.Once

	mu      sync.Mutex // guards pending
	pending map[net.Conn]bool
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

func (a *Attributor) newHeaderListener(l net.Listener, operator bool, permitted func(net.Conn) error) *headerListener {
	h := &headerListener{Listener: l, attributor: a, operator: operator, permitted: permitted,
		results: make(chan accepted), closed: make(chan struct{}), pending: map[net.Conn]bool{}}
	go h.run() // ends when the listener is closed
	return h
}

// Accept implements net.Listener.
func (h *headerListener) Accept() (net.Conn, error) {
	select {
	case r := <-h.results:
		return r.conn, r.err
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that wait for their header are
// closed with it.
func (h *headerListener) Close() error {
	err := h.Listener.Close()
	h.once.Do(func() {
		close(h.closed)
		h.mu.Lock()
		defer h.mu.Unlock()
		for c := range h.pending {
			c.Close()
		}
	})
	return err
}

// run accepts until the listener is closed. Errors go to Accept, whose
// caller knows what to do about those that pass.
func (h *headerListener) run() {
	for {
		c, err := h.Listener.Accept()
		if err != nil {
			if !h.deliver(accepted{err: err}) || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if err := h.admit(c); err != nil {
			c.Close()
			h.refused(c, err)
			continue
		}
		go h.read(c)
	}
}

// admit notes a connection that may send a header.
func (h *headerListener) admit(c net.Conn) error {
	if err := h.permitted(c); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.closed:
		return net.ErrClosed
	default:
	}
	if len(h.pending) >= maxPending {
		return fmt.Errorf("%d connections are waiting for their header already", maxPending)
	}
	h.pending[c] = true
	return nil
}

// read reads the header of one connection and hands the connection on.
func (h *headerListener) read(c net.Conn) {
	err := c.SetReadDeadline(time.Now().Add(headerTimeout))
	var hop Hop
	if err == nil {
		hop, err = readHop(c, h.operator)
	}
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	h.mu.Lock()
	delete(h.pending, c)
	h.mu.Unlock()
	if err != nil {
		c.Close()
		h.refused(c, err)
		return
	}
	if !h.deliver(accepted{conn: &hopped{Conn: c, hop: hop}}) {
		c.Close()
	}
}

// deliver gives a result to Accept; false when nobody accepts any more.
func (h *headerListener) deliver(r accepted) bool {
	select {
	case h.results <- r:
		return true
	case <-h.closed:
		return false
	}
}

// refused logs why a connection was closed.
func (h *headerListener) refused(c net.Conn, why error) {
	select {
	case <-h.closed:
		return
	default:
	}
	if errors.Is(why, errLocal) {
		h.attributor.log.Debug("perimeter: health check", "from", c.RemoteAddr())
		return
	}
	h.attributor.warnings.warn(h.attributor.log, "perimeter: connection closed, its PROXY header is not believed",
		"from", c.RemoteAddr(), "why", why)
}

// hopped is a connection with what its header said.
type hopped struct {
	net.Conn
	hop Hop
}

// RemoteAddr is the client's address, not the balancer's.
func (c *hopped) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.hop.Source) }

// Handed marks a connection that arrived at another listener than the one
// that serves it: where it arrived proves nothing, where it comes from does.
func Handed(c net.Conn) net.Conn { return handed{c} }

type handed struct{ net.Conn }

// throttled keeps a flood of the same trouble from becoming a flood of log
// lines: one a second, and how many were left out.
type throttled struct {
	now  func() time.Time
	next atomic.Int64 // the time of the next line, Unix nanoseconds
	left atomic.Int64 // how many were left out since the last
}

func (t *throttled) warn(log *slog.Logger, text string, args ...any) {
	now := t.now().UnixNano()
	next := t.next.Load()
	if now < next || !t.next.CompareAndSwap(next, now+int64(time.Second)) {
		t.left.Add(1)
		return
	}
	if left := t.left.Swap(0); left > 0 {
		args = append(args, "left out since the last", left)
	}
	log.Log(context.Background(), slog.LevelWarn, text, args...)
}

// plain is an address in the form rules are compared in.
func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }
