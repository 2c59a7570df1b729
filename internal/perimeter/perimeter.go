// Package perimeter turns a connection into an Origin: where the caller
// really is, by configured proofs only. Nothing that a client says in a
// request is looked at.
//
// The proof there is so far is the socket: the address the connection comes
// from. A connection that arrived through the CONNECT proxy keeps the
// address of the client that opened it, because the proxy hands over the
// connection itself.
package perimeter

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"postern/access"
)

type originKey struct{}

// ConnContext is for http.Server: it keeps the origin of a connection with
// the requests that come over it.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	origin := Of(conn)
	return context.WithValue(ctx, originKey{}, &origin)
}

// Of is the origin of a connection: the public endpoint, from the socket's
// remote address. It is unknown where there is none.
func Of(conn net.Conn) access.Origin {
	addr := address(conn.RemoteAddr())
	if !addr.IsValid() {
		return access.Origin{}
	}
	return access.Origin{Path: access.PathPublic, Addr: addr}
}

func address(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().WithZone("").Unmap()
	}
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().WithZone("").Unmap()
}

// Origin is where a request comes from; the zero Origin, which no rule
// admits, when its connection did not pass ConnContext.
func Origin(r *http.Request) access.Origin {
	if o, ok := r.Context().Value(originKey{}).(*access.Origin); ok {
		return *o
	}
	return access.Origin{}
}
