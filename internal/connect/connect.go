// Package connect is a CONNECT proxy, by which clients reach names that no
// resolver knows: HTTPS_PROXY=http://ADDRESS puts a whole program behind it.
//
// It connects to two sorts of hosts: those that the server serves itself,
// which are somebody else's to take over, and those that the operator
// listed. Everything else is refused.
package connect

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
	"time"

	"postern/internal/names"
)

// Proxy is the proxy; it is an http.Handler.
type Proxy struct {
	Names *names.Names
	// Own prepares for a host that the server serves: what it returns takes
	// the client's connection. Its error is told to the client.
	Own func(ctx context.Context, target string) (take func(net.Conn), err error)
	// PassThrough are the hosts (HOST:PORT, lower-case) besides the server's
	// own.
	PassThrough func() []string
	Log         *slog.Logger

	dialer net.Dialer
}

// maxTarget bounds the target of a CONNECT: a DNS name and a port.
const maxTarget = 255 + 6

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.Host
	switch {
	case r.Method != http.MethodConnect:
		p.refuse(w, r, http.StatusMethodNotAllowed, "this is a CONNECT proxy; set it as HTTPS_PROXY, not as HTTP_PROXY")
	case len(target) > maxTarget || !wellFormed(target):
		p.refuse(w, r, http.StatusBadRequest, "the target is not HOST:PORT")
	case p.Names.Serves(target):
		p.own(w, r)
	case slices.Contains(p.PassThrough(), strings.ToLower(target)):
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

func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, status int, why string) {
	p.Log.Warn("proxy: refused", "method", r.Method, "target", r.Host, "from", r.RemoteAddr, "why", why)
	http.Error(w, "postern: "+why, status)
}

// hijack takes the connection over and answers that the tunnel stands.
func (p *Proxy) hijack(w http.ResponseWriter) (net.Conn, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(conn.SetDeadline(time.Time{}), established(conn)); err != nil {
		conn.Close()
		return nil, err
	}
	return whole(conn, rw.Reader), nil
}

func established(w io.Writer) error {
	_, err := io.WriteString(w, "HTTP/1.1 200 Connection established\r\n\r\n")
	return err
}

// own has the client's connection taken over.
func (p *Proxy) own(w http.ResponseWriter, r *http.Request) {
	take, err := p.Own(r.Context(), r.Host)
	if err != nil {
		p.refuse(w, r, http.StatusBadGateway, err.Error())
		return
	}
	conn, err := p.hijack(w)
	if err != nil {
		p.Log.Warn("proxy: cannot take over the connection", "from", r.RemoteAddr, "error", err)
		take(nil)
		return
	}
	take(conn)
}

// whole is a connection of which a reader has read the first bytes already.
func whole(conn net.Conn, read *bufio.Reader) net.Conn {
	if n := read.Buffered(); n > 0 {
		return &unread{Conn: conn, rest: io.LimitReader(read, int64(n))}
	}
	return conn
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
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	far, err := p.dialer.DialContext(ctx, "tcp", r.Host)
	if err != nil {
		p.refuse(w, r, http.StatusBadGateway, "the host cannot be reached")
		return
	}
	near, err := p.hijack(w)
	if err != nil {
		far.Close()
		return
	}
	Join(near, far)
}

// Join copies between two connections until one of them ends, and closes
// both.
func Join(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		// What ends one direction ends the other: both ends are closed.
		_, _ = io.Copy(to, from)
		done <- struct{}{}
	}
	go pipe(a, b)
	go pipe(b, a)
	<-done
}
