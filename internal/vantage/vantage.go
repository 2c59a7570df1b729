// Package vantage puts unmodified clients at a place on the network.
//
// A Vantage is a hop of the PROXY protocol: what connects to it reaches the
// server through the operator's socket, behind a header that says where it
// comes from. TLS passes through from end to end, so the server runs the
// same code as behind a balancer, and the client checks the server's own
// certificate.
package vantage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"postern/internal/connect"
	"postern/internal/names"
	"postern/internal/operator"
	"postern/internal/perimeter"
)

// Server is the server of a data folder, as a vantage reaches it.
type Server struct {
	// Dial opens a connection to the vantage socket.
	Dial func(ctx context.Context) (net.Conn, error)
	// Way tells where a host leads from a place that resolves names itself.
	Way   func(ctx context.Context, w operator.Way) (operator.Lead, error)
	Names *names.Names
	// PassThrough are the hosts besides the server's own that the CONNECT
	// proxy carries.
	PassThrough []string
}

// Local is the server of a data folder on this machine.
func Local(dir string, client *operator.Client, n *names.Names, passThrough []string) *Server {
	return &Server{Names: n, PassThrough: passThrough, Way: client.Way,
		Dial: func(ctx context.Context) (net.Conn, error) { return operator.Dial(ctx, dir, operator.VantageSocket) }}
}

// Vantage is one place.
type Vantage struct {
	Server *Server
	Place  *operator.Place
	Log    *slog.Logger
}

// timeout bounds what comes before a connection stands.
const timeout = 10 * time.Second

// open opens a connection to the server that comes from the place, from the
// port of the client. destination is invalid for the place's own.
func (v *Vantage) open(ctx context.Context, destination netip.Addr, port uint16) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	h := perimeter.Hop{Source: netip.AddrPortFrom(v.Place.Source, port), Link: v.Place.Link, Subnet: v.Place.Subnet,
		Service: v.Place.Service, Perimeter: v.Place.Perimeter}
	if !destination.IsValid() {
		destination = v.Place.Destination
	}
	if destination.IsValid() {
		h.Destination = netip.AddrPortFrom(destination, 443)
	}
	header, err := h.Header()
	if err != nil {
		return nil, err
	}
	c, err := v.Server.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("the server cannot be reached: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = c.SetWriteDeadline(deadline)
	}
	if err == nil {
		_, err = c.Write(header)
	}
	if err == nil {
		err = c.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("the server cannot be reached: %w", err)
	}
	return c, nil
}

// Forward serves a listener whose connections go on to the server as they
// are, until the listener is closed. They reach the address that the place
// has dialled: an endpoint's, or the public one.
func (v *Vantage) Forward(l net.Listener) error {
	pause := time.Duration(0)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Such as too many open files: it passes.
			v.Log.Warn("vantage: accepting", "error", err)
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
			continue
		}
		pause = 0
		go func() {
			far, err := v.open(context.Background(), netip.Addr{}, portOf(c.RemoteAddr()))
			if err != nil {
				v.Log.Error("vantage: connection given up", "error", err)
				c.Close()
				return
			}
			connect.Join(c, far)
		}()
	}
}

func portOf(a net.Addr) uint16 {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return uint16(tcp.Port)
	}
	return 0
}

// Proxy is a CONNECT proxy at the place: names lead where the place's DNS
// says.
func (v *Vantage) Proxy() http.Handler {
	return &connect.Proxy{Names: v.Server.Names, Own: v.own, PassThrough: func() []string { return v.Server.PassThrough }, Log: v.Log}
}

// own opens the way to a host that the server serves.
func (v *Vantage) own(ctx context.Context, target string) (take func(net.Conn), err error) {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	var lead operator.Lead
	if v.Place.Resolves {
		if lead, err = v.Server.Way(ctx, operator.Way{Source: v.Place.Source, Subnet: v.Place.Subnet, Host: host}); err != nil {
			return nil, err
		}
	}
	if lead.Lost != "" {
		return nil, errors.New(lead.Lost)
	}
	far, err := v.open(ctx, lead.Address, 0)
	if err != nil {
		return nil, err
	}
	return func(c net.Conn) {
		if c == nil {
			far.Close()
			return
		}
		connect.Join(c, far)
	}, nil
}

// Serve serves the listeners of a vantage, nil for none, until ctx is done.
func (v *Vantage) Serve(ctx context.Context, forward, proxy net.Listener) error {
	failed := make(chan error, 2)
	var closers []io.Closer
	if forward != nil {
		closers = append(closers, forward)
		go func() { failed <- v.Forward(forward) }()
	}
	if proxy != nil {
		s := &http.Server{Handler: v.Proxy(), ReadHeaderTimeout: timeout, IdleTimeout: timeout, MaxHeaderBytes: 16 << 10,
			ErrorLog: slog.NewLogLogger(v.Log.Handler(), slog.LevelWarn)}
		closers = append(closers, s)
		go func() { failed <- s.Serve(proxy) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	for _, c := range closers {
		err = errors.Join(err, c.Close())
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
