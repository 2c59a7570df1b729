package server

import (
	"context"
	"net/netip"

	"postern/internal/config"
	"postern/internal/dns"
)

// openDNS binds the name server, unless it is off. It answers from what
// decisions see, so names and refusals change together.
func (s *Server) openDNS(ctx context.Context) error {
	c := s.config.DNS
	if c.Listen == config.Off {
		return nil
	}
	sockets, err := dns.Listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	s.dnsAt = sockets.Addr()
	s.dns = dns.New(dns.Options{Sockets: sockets, Snapshot: s.estate.Effective, Names: s.names, Public: s.publicAddress(),
		TTL: uint32(c.TTL), Upstream: c.Upstream, Forward: c.Forward, Log: s.options.Log})
	s.closers = append(s.closers, s.dns)
	return nil
}

// publicAddress is what the public names stand for: the setting, else the
// address of the first TLS listener. When that is bound to no address of its
// own, the name server takes the one at which it was asked.
func (s *Server) publicAddress() netip.Addr {
	if a, err := netip.ParseAddr(s.config.DNS.Public); err == nil {
		return a
	}
	at, _ := netip.ParseAddrPort(s.listeners[0].Addr().String())
	return at.Addr()
}

// serveDNS runs the name server; stop ends it and waits for the end. Its
// failure is one of the server.
func (s *Server) serveDNS(ctx context.Context, failed chan<- error) (stop func()) {
	if s.dns == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.dns.Serve(ctx); err != nil {
			select {
			case failed <- err:
			default: // the server is being stopped already
			}
		}
	}()
	return func() { cancel(); <-done }
}

// reloadDNS applies the settings of the name server that can change.
func (s *Server) reloadDNS(next config.DNS) {
	s.config.DNS.Upstream, s.config.DNS.Forward = next.Upstream, next.Forward
	if s.dns != nil {
		s.dns.Reload(next.Upstream, next.Forward)
	}
}
