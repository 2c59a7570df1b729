package server

import (
	"context"
	"net"
	"sync"

	"postern/internal/perimeter"
)

// handover is a listener whose connections come from elsewhere in the
// program: the CONNECT proxy gives it the connections of its clients, so
// that they are served as if they had come directly, from their own address.
type handover struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give passes a connection on; false, and the connection stays the
// caller's, when the listener is closed.
func (h *handover) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed:
		return false
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error { h.once.Do(func() { close(h.closed) }); return nil }

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }

// takeOver gives the TLS listener the connections of the proxy's clients.
func (s *Server) takeOver(context.Context, string) (take func(net.Conn), err error) {
	return func(c net.Conn) {
		if c != nil && !s.own.give(perimeter.Handed(c)) {
			c.Close()
		}
	}, nil
}
