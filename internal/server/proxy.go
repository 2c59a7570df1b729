package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"postern/internal/names"
	"postern/internal/perimeter"
)

// proxy is the CONNECT proxy. It connects to two sorts of hosts: those that
// the server serves itself, which get the client's own connection, and those
// that the operator listed. Everything else is refused.
type proxy struct {
	names *names.Names
	own   *handover
	// passThrough is replaced on reload, never changed.
	passThrough atomic.Pointer[[]string]
	dialer      net.Dialer
	log         *slog.Logger
}

// maxTarget bounds the target of a CONNECT: a DNS name and a port.
const maxTarget = 255 + 6

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.Host
	switch {
	case r.Method != http.MethodConnect:
		p.refuse(w, r, http.StatusMethodNotAllowed, "this is a CONNECT proxy; set it as HTTPS_PROXY, not as HTTP_PROXY")
	case len(target) > maxTarget || !wellFormed(target):
		p.refuse(w, r, http.StatusBadRequest, "the target is not HOST:PORT")
	case p.names.Serves(target):
		p.hand(w, r)
	case slices.Contains(*p.passThrough.Load(), strings.ToLower(target)):
		p.connect(w, r)
	default:
		p.refuse(w, r, http.StatusForbidden, "this proxy carries only the names that postern serves; proxy.passThrough in the configuration lists others")
	}
}

// wellFormed reports whether a target is a host and a port, without
// anything that could stand for something else.
func wellFormed(target string) bool {
	host, port, err := net.SplitHostPort(target)
	return err == nil && host != "" && port != "" && strings.Trim(port, "0123456789") == "" &&
		!strings.ContainsAny(host, "/\\@?#% \t\r\n")
}

func (p *proxy) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	p.log.Warn("proxy: refused", "method", r.Method, "target", r.Host, "from", r.RemoteAddr, "why", why)
	http.Error(w, "postern: "+why, status)
}

// hijack takes the connection over and answers that the tunnel stands.
func (p *proxy) hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(conn.SetDeadline(time.Time{}), established(conn)); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, rw, nil
}

func established(w io.Writer) error {
	_, err := io.WriteString(w, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err
}

// hand gives the client's connection to the TLS listener.
func (p *proxy) hand(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := p.hijack(w)
	if err != nil {
		p.log.Warn("proxy: cannot take over the connection", "from", r.RemoteAddr, "error", err)
		return
	}
	if n := rw.Reader.Buffered(); n > 0 {
		conn = &unread{Conn: conn, rest: io.LimitReader(rw.Reader, int64(n))}
	}
	if !p.own.give(perimeter.Handed(conn)) {
		conn.Close()
	}
}

// unread is a connection of which the first bytes were read already.
type unread struct {
	net.Conn
	rest io.Reader
}

// Read implements net.Conn.
func (u *unread) Read(b []byte) (int, error) {
	if u.rest != nil {
		n, err := u.rest.Read(b)
		if n > 0 || len(b) == 0 {
			return n, nil
		}
		if err != nil && err != io.EOF {
			return 0, err
		}
		u.rest = nil
	}
	return u.Conn.Read(b)
}

// connect joins the client with a host that the operator listed.
func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	far, err := p.dialer.DialContext(ctx, "tcp", r.Host)
	if err != nil {
		p.refuse(w, r, http.StatusBadGateway, "the host cannot be reached")
		return
	}
	defer far.Close()
	near, rw, err := p.hijack(w)
	if err != nil {
		return
	}
	defer near.Close()
	done := make(chan struct{}, 2)
	pipe := func(to net.Conn, from io.Reader) {
		// What ends one direction ends the other: both ends are closed.
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go pipe(far, io.MultiReader(io.LimitReader(rw.Reader, int64(rw.Reader.Buffered())), near))
	go pipe(near, far)
	<-done
}
