package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"

	"postern/internal/config"
	"postern/internal/estate"
	"postern/internal/perimeter"
	"postern/internal/pki"
)

// openPerimeter makes what knows where requests come from, and the listener
// of the balancers.
func (s *Server) openPerimeter(ctx context.Context) error {
	var err error
	if s.platform, err = pki.OpenPlatform(ctx, s.store, s.root, s.options.Now); err != nil {
		return err
	}
	o := perimeter.Options{Network: s.network, Platform: s.platform, Log: s.options.Log, Now: s.options.Now}
	for _, text := range s.config.Perimeter.Balancers {
		p, err := config.ParseRange(text)
		if err != nil {
			return fmt.Errorf("perimeter.balancers: %w", err)
		}
		o.Balancers = append(o.Balancers, p)
	}
	s.perimeter = perimeter.New(o)
	if s.hopsAt != nil {
		s.serveHops(s.perimeter.ProxyListener(s.hopsAt))
	}
	return nil
}

// clientTLS is the configuration of the TLS listeners: a client may show a
// certificate of the platform's, and need not. What it is worth is asked by
// the perimeter; the handshake never fails for it.
func (s *Server) clientTLS() *tls.Config {
	c := s.authority.TLS()
	c.ClientAuth, c.ClientCAs = tls.RequestClientCert, s.platform.Pool()
	return c
}

// serveHops adds a listener whose connections come with a header.
func (s *Server) serveHops(l net.Listener) {
	s.hops = append(s.hops, l)
	s.closers = append(s.closers, l)
}

// network is the networks as decisions see them.
func (s *Server) network() *estate.Network { return s.estate.Effective().Network() }

// follow keeps listeners on the addresses of private endpoints. The function
// it returns ends it and waits for the end.
func (s *Server) follow(ctx context.Context) (stop func()) {
	if s.config.Perimeter.Endpoints == config.Off {
		return func() {}
	}
	b := &perimeter.Binder{Network: s.network, Port: s.port(), Log: s.options.Log,
		Changed: s.estate.Published(), Serve: func(l net.Listener) {
			// It ends when the listener is closed or the server shuts down.
			_ = s.main.ServeTLS(l, "", "")
		}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	return func() { cancel(); <-done }
}

// port is that of the TLS listener.
func (s *Server) port() uint16 {
	ap, _ := netip.ParseAddrPort(s.listeners[0].Addr().String())
	return ap.Port()
}
