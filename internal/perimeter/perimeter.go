// Package perimeter turns a connection into an Origin: where the caller
// really is, by configured proofs only. Nothing that a client says in a
// request is looked at; no header of HTTP counts.
//
// The proofs, in the order in which they are asked:
//
//  1. A link identifier in the PROXY header: the private endpoint
//     connection of that number. Such a header is believed from the listed
//     balancers and, on a socket of its own, from the operator.
//
//  2. The address that was dialled: the private endpoint whose address it
//     is. It is the socket's, or the destination in a believed header.
//
//  3. The source address (the socket's, or that in a believed header)
//     inside the prefix of a declared subnet, with the service endpoint on:
//     that subnet. The operator's header may name the subnet, since
//     networks may overlap. With the service endpoint off the connection is
//     a public one, from an unknown subnet.
//
//  4. Otherwise the source address: the public endpoint.
//
// Besides, a client certificate of the platform authority proves that a
// trusted service's own compute is calling. One that does not hold is no
// proof, and nothing else.
//
// The proofs of a connection are kept with it, and what they mean is found
// anew when the networks have changed: a connection that stays open while
// its private endpoint is rejected loses it with the next request.
package perimeter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"postern/access"
	"postern/internal/estate"
)

// Platform says whose compute a client certificate proves; *pki.Platform
// does.
type Platform interface {
	// Prove finds the service that a certificate was issued for, and until
	// when that holds.
	Prove(chain []*x509.Certificate) (service string, until time.Time, err error)
	// Revision changes whenever a certificate is issued or revoked.
	Revision() uint64
}

// Options are what the proofs are held against.
type Options struct {
	// Network is the networks of this moment.
	Network func() *estate.Network
	// Balancers are those whose PROXY headers are believed.
	Balancers []netip.Prefix
	// Platform is nil where no service can prove itself.
	Platform Platform
	// Log is told about proofs that do not hold; nil for nobody.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Attributor tells where requests come from.
type Attributor struct {
	network   func() *estate.Network
	balancers []netip.Prefix
	platform  Platform
	log       *slog.Logger
	now       func() time.Time
	warnings  throttled
}

// New makes an Attributor.
func New(o Options) *Attributor {
	a := &Attributor{network: o.Network, balancers: o.Balancers, platform: o.Platform, log: o.Log, now: o.Now}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.warnings.now = a.now
	return a
}

type connectionKey struct{}

// connection is the proofs of one connection, and what they meant last.
type connection struct {
	source, destination netip.Addr // zero: not proved
	hop                 Hop        // what a believed header said besides
	last                atomic.Pointer[finding]
}

// finding is the origin of a connection under one state of the networks and
// of the platform. It is replaced, never changed.
type finding struct {
	network  *estate.Network
	origin   access.Origin
	revision uint64
	// until is when the client certificate ends; zero when there is none
	// that proves anything.
	until time.Time
	// certified: a client certificate was shown, so revision and until
	// matter.
	certified bool
}

// ConnContext is for http.Server: it keeps the proofs of a connection with
// the requests that come over it.
func (a *Attributor) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, proofs(conn))
}

// proofs looks through the layers of a connection.
func proofs(conn net.Conn) *connection {
	arrived := true
	for {
		switch c := conn.(type) {
		case *hopped:
			return &connection{source: c.hop.Source.Addr(), destination: c.hop.Destination.Addr(), hop: c.hop}
		case handed:
			arrived, conn = false, c.Conn
			continue
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
			continue
		}
		p := &connection{source: address(conn.RemoteAddr())}
		if arrived {
			p.destination = address(conn.LocalAddr())
		}
		return p
	}
}

func address(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return plain(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}

// Origin is where a request comes from; the zero Origin, which no rule
// admits, when its connection did not pass ConnContext.
func (a *Attributor) Origin(r *http.Request) access.Origin {
	c, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return access.Origin{}
	}
	n := a.network()
	if f := c.last.Load(); f != nil && f.network == n && (!f.certified || a.holds(f)) {
		return f.origin
	}
	f := a.find(c, n, r.TLS)
	c.last.Store(f)
	return f.origin
}

// holds reports whether what a certificate proved is still so.
func (a *Attributor) holds(f *finding) bool {
	return f.revision == a.platform.Revision() && (f.until.IsZero() || a.now().Before(f.until))
}

// find asks the proofs.
func (a *Attributor) find(c *connection, n *estate.Network, state *tls.ConnectionState) *finding {
	f := &finding{network: n, origin: c.place(n)}
	f.origin.Service, f.origin.Perimeter = c.hop.Service, c.hop.Perimeter
	if a.platform == nil || state == nil || len(state.PeerCertificates) == 0 || f.origin.Service != "" {
		return f
	}
	// The revision is read before the certificate is looked at: a revocation
	// in between is seen at the next request.
	f.certified, f.revision = true, a.platform.Revision()
	service, until, err := a.platform.Prove(state.PeerCertificates)
	if err != nil {
		a.warnings.warn(a.log, "perimeter: a client certificate proves nothing", "from", c.source, "why", err)
		return f
	}
	f.origin.Service, f.until = service, until
	return f
}

// place is where the connection comes from.
func (c *connection) place(n *estate.Network) access.Origin {
	if !c.source.IsValid() {
		return access.Origin{}
	}
	o := access.Origin{Path: access.PathPublic, Addr: c.source}
	if c.hop.Link != 0 {
		// A link that is not known is one to an endpoint that is gone: no
		// connection of any vault.
		o.Path = access.PathPrivateEndpoint
		if e, ok := n.EndpointByLink(c.hop.Link); ok {
			o.Endpoint = e.Connection
		}
		return o
	}
	if e, ok := n.EndpointAt(c.destination); ok {
		o.Path, o.Endpoint = access.PathPrivateEndpoint, e.Connection
		return o
	}
	var subnet *estate.Subnet
	var ok bool
	if c.hop.Subnet != "" {
		if subnet, ok = n.Subnet(c.hop.Subnet); !ok {
			return access.Origin{Addr: c.source} // it is gone: nothing is known
		}
	} else if subnet, ok = n.SubnetOf(c.source); !ok {
		return o
	}
	o.Subnet = subnet.Key
	if subnet.KeyVault {
		o.Path = access.PathSubnet
	}
	return o
}
