package posterntest

import (
	"context"
	"net"
	"net/http"

	"postern/internal/server"
)

// WithBalancers opens the listener for connections with a PROXY header, and
// believes those of the given addresses and ranges, separated by commas.
func WithBalancers(balancers string) Option {
	return func(s *setup) {
		WithSetting("perimeter.proxyListen", "127.0.0.1:0")(s)
		WithSetting("perimeter.balancers", balancers)(s)
	}
}

// BalancedAddress is HOST:PORT of the listener for connections with a PROXY
// header; "" without WithBalancers.
func (p *Postern) BalancedAddress() string {
	p.t.Helper()
	info, err := server.ReadInfo(p.Data)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	return info.ProxyProtocol
}

// Dialling is the same server, reached by a dialer of the caller's, whatever
// the name.
func (p *Postern) Dialling(dial func(ctx context.Context) (net.Conn, error)) *Postern {
	client := p.NewClient()
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
	p.t.Cleanup(client.CloseIdleConnections)
	return p.Over(client)
}
