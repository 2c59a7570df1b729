package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of connections (RFC 7766 §6: a server may close those that are
// idle, and limit them).
const (
	maxConns          = 256
	maxConnsPerClient = 16
	idleTimeout       = 10 * time.Second
)

// connections are the open TCP connections.
type connections struct {
	mu     sync.Mutex // guards what follows
	open   map[net.Conn]netip.Addr
	per    map[netip.Addr]int
	closed bool
}

// admit takes a connection in; false when there are too many.
func (c *connections) admit(conn net.Conn, client netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.open) >= maxConns || c.per[client] >= maxConnsPerClient {
		return false
	}
	if c.open == nil {
		c.open, c.per = map[net.Conn]netip.Addr{}, map[netip.Addr]int{}
	}
	c.open[conn] = client
	c.per[client]++
	return true
}

// leave forgets a connection and closes it.
func (c *connections) leave(conn net.Conn) {
	c.mu.Lock()
	client := c.open[conn]
	delete(c.open, conn)
	if c.per[client]--; c.per[client] == 0 {
		delete(c.per, client)
	}
	c.mu.Unlock()
	_ = conn.Close()
}

// close closes all connections and admits no more.
func (c *connections) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for conn := range c.open {
		if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// serveTCP accepts connections.
func (s *Server) serveTCP(ctx context.Context) error {
	for failures := 0; ; {
		conn, err := s.options.Sockets.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			// Out of file descriptors, mostly: others will be given back.
			if failures++; failures == maxFailures {
				return fmt.Errorf("dns: accepting connections: %w", err)
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		failures = 0
		client, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
		from := asker{client: client.Addr().Unmap(), local: localOf(conn.LocalAddr()), tcp: true}
		if !s.conns.admit(conn, from.client) {
			s.counts.refusedConns.Add(1)
			_ = conn.Close()
			continue
		}
		s.working.Go(func() {
			defer s.conns.leave(conn)
			s.converse(ctx, conn, from)
		})
	}
}

// converse answers the questions of one connection in their order, until it
// ends, is idle, or says what is no question.
func (s *Server) converse(ctx context.Context, conn net.Conn, from asker) {
	d := newDesk()
	var length [2]byte
	var packet []byte
	for {
		// One deadline for the whole of a question and its answer: who sends
		// byte by byte gains nothing.
		if conn.SetDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n < headerSize || n > maxQuery {
			s.counts.malformed.Add(1)
			return
		}
		if cap(packet) < n {
			packet = make([]byte, n)
		}
		packet = packet[:n]
		if _, err := io.ReadFull(conn, packet); err != nil {
			return
		}
		reply, e := s.answer(d, packet, from)
		if e != nil {
			s.run(ctx, e)
			<-s.errands
			reply = d.pack(e.reply, e.room)
		}
		if reply == nil || !writeMessage(conn, reply) {
			return
		}
	}
}

// writeMessage writes a message with its length in front (RFC 1035 §4.2.2),
// in one write.
func writeMessage(w io.Writer, message []byte) bool {
	out := make([]byte, 2, 2+len(message))
	binary.BigEndian.PutUint16(out, uint16(len(message)))
	_, err := w.Write(append(out, message...))
	return err == nil
}
