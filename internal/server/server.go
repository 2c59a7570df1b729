// Package server puts the rooms together: it opens the data folder, binds
// the listeners, routes every request to its plane by host name, and stops
// without cutting anybody off.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"postern/internal/admission"
	"postern/internal/config"
	"postern/internal/connect"
	"postern/internal/dns"
	"postern/internal/enrollment"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/issuance/acme"
	"postern/internal/journal"
	"postern/internal/names"
	"postern/internal/operator"
	"postern/internal/perimeter"
	"postern/internal/pki"
	"postern/internal/profile"
	"postern/internal/seal"
	"postern/internal/store/bolt"
	"postern/internal/trusted"
	"postern/internal/upkeep"
)

// Options is what a server is made of.
type Options struct {
	Config config.Config
	// Data is the data folder; it is made when it does not exist.
	Data string
	// Now is the clock, Random the randomness; nil means the real ones.
	Now    func() time.Time
	Random io.Reader
	Log    *slog.Logger
	// Level is the level of Log, when a reload shall be able to change it.
	Level *slog.LevelVar
	// Version is the program's.
	Version string
}

// Server is a running postern. The fields are set by New and not changed.
type Server struct {
	options   Options
	config    config.Config // replaced by Reload, which alone touches it
	names     *names.Names
	root      *seal.Root
	store     *bolt.Store
	journal   *journal.Journal
	directory *entra.Directory
	estate    *estate.Registry
	authority *pki.Authority
	platform  *pki.Platform
	admission *admission.Controller
	keeper    *upkeep.Keeper
	metrics   *metrics
	admin     Admin
	// retryAfter is throttle.retryAfter, which a reload may change.
	retryAfter atomic.Int64

	listeners []net.Listener // of the TLS port
	perimeter *perimeter.Attributor
	dns       *dns.Server    // nil when off
	dnsAt     string         // HOST:PORT, or ""
	hopsAt    net.Listener   // of the balancers; nil when off
	hops      []net.Listener // connections with a PROXY header
	own       *handover
	proxy     *connect.Proxy
	// passThrough is replaced on reload, never changed.
	passThrough atomic.Pointer[[]string]
	proxyAt     net.Listener // nil when off
	metricsAt   net.Listener // nil when off
	identityAt  net.Listener // nil when off
	challengeAt net.Listener // nil when off
	// desk is where certificates are applied for, responder what an
	// authority asks.
	desk      *enrollment.Desk
	responder *acme.Responder
	// operatorAt is the socket of the owner of the data folder; nil where
	// there are no sockets.
	operatorAt net.Listener
	main       *http.Server
	others     []plainServer // proxy, challenges, metrics, operator
	closers    []io.Closer   // in the order of opening
}

// plainServer is a server beside the main one, without TLS.
type plainServer struct {
	*http.Server
	at net.Listener
}

// New opens the data folder and binds the listeners. A server that was
// opened must be closed by Serve or Close.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{options: o, config: o.Config}
	s.retryAfter.Store(int64(o.Config.Throttle.RetryAfter))
	for _, step := range []func(context.Context) error{s.openData, s.listen, s.openCertificates, s.openPlanes, s.openDNS, s.openIdentity, s.writeInfo} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// openData opens what is kept in the data folder: root key, store, journal.
// The journal first gets the records of changes that a crash kept from it.
func (s *Server) openData(ctx context.Context) error {
	// A folder that was there before is closed to others, too: its sockets
	// are for its owner alone.
	if err := errors.Join(os.MkdirAll(s.options.Data, 0o700), os.Chmod(s.options.Data, 0o700)); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	var err error
	if s.store, err = bolt.Open(filepath.Join(s.options.Data, "postern.db")); err != nil {
		return err
	}
	s.closers = append(s.closers, s.store)
	if s.root, err = openRoot(s.options.Data, s.options.Random); err != nil {
		return err
	}
	s.journal, err = journal.Open(filepath.Join(s.options.Data, "journal"), journal.Options{
		Sync: s.config.Journal.Sync, MaxSegment: s.config.Journal.MaxSegment, Now: s.options.Now, Store: s.store})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.journal)
	return s.journal.Recover(ctx, s.store)
}

func openRoot(dir string, random io.Reader) (*seal.Root, error) {
	if seal.Exists(dir) {
		return seal.Open(dir)
	}
	return seal.Create(dir, random)
}

// listen binds the addresses. When a port is 0, the first address chooses
// it for all.
func (s *Server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	port := 0
	for _, address := range s.config.Listen {
		host, p, _ := net.SplitHostPort(address)
		if port != 0 {
			p = strconv.Itoa(port)
		}
		l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, p))
		if err != nil && len(s.listeners) > 0 && isLoopback6(host) {
			s.options.Log.Warn("no listener on this address", "address", address, "error", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		s.listeners = append(s.listeners, l)
		s.closers = append(s.closers, l)
		port = l.Addr().(*net.TCPAddr).Port
	}
	s.names = names.New(s.config.Suffix, port)
	s.own = newHandover(s.listeners[0].Addr())
	s.closers = append(s.closers, s.own)
	for _, extra := range []struct {
		address string
		at      *net.Listener
	}{{s.config.Proxy.Listen, &s.proxyAt}, {s.config.Metrics.Listen, &s.metricsAt}, {s.config.Perimeter.ProxyListen, &s.hopsAt}} {
		if extra.address == config.Off {
			continue
		}
		l, err := lc.Listen(ctx, "tcp", extra.address)
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		*extra.at = l
		s.closers = append(s.closers, l)
	}
	return nil
}

// isLoopback6 reports whether a host is the IPv6 loopback, which not every
// machine has.
func isLoopback6(host string) bool { return host == "::1" }

// openPlanes opens directory and estate, fills them on the first start, and
// makes the planes.
func (s *Server) openPlanes(ctx context.Context) error {
	var err error
	s.directory, err = entra.Open(ctx, s.store, s.root, entra.Options{Now: s.options.Now, Random: s.options.Random})
	if err != nil {
		return err
	}
	if err = s.trustIssuers(&s.config); err != nil {
		return err
	}
	prof, _ := profile.Named(s.config.Profile)
	services, ok := trusted.List(prof.TrustedServices)
	if !ok {
		return fmt.Errorf("the profile %s names the list of trusted services %q, which does not exist", prof.Name, prof.TrustedServices)
	}
	if s.estate, err = estate.Open(ctx, s.store, estate.Options{Role: role, Trusted: services,
		Delays: estate.Delays(s.config.Propagation), Now: s.options.Now}); err != nil {
		return err
	}
	if s.admin, err = s.bootstrap(ctx); err != nil {
		return err
	}
	if err = s.appoint(ctx); err != nil {
		return err
	}
	if s.authority, err = pki.OpenCA(s.options.Data, s.root, s.names.Hosts(), pki.Options{Now: s.options.Now}); err != nil {
		return err
	}
	if _, err = s.authority.TrustStore(); err != nil {
		return err
	}
	if err := s.openPerimeter(ctx); err != nil {
		return err
	}
	s.openOperator()
	s.metrics = newMetrics(s)
	s.admission = &admission.Controller{Store: s.store, Root: s.root, Journal: s.journal, Now: s.options.Now,
		Budget: s.config.Throttle.Limiter(s.options.Now), Observe: s.metrics.decided}
	if err := s.openKeeper(); err != nil {
		return err
	}
	s.makeServers(s.planes(prof))
	return nil
}

// makeServers makes the HTTP servers around the planes.
func (s *Server) makeServers(planes http.Handler) {
	errorLog := slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn)
	s.main = newHTTPServer(planes, errorLog)
	s.main.TLSConfig = s.clientTLS()
	s.main.ConnContext = s.perimeter.ConnContext
	passThrough := s.config.Proxy.PassThrough
	s.passThrough.Store(&passThrough)
	s.proxy = &connect.Proxy{Names: s.names, Own: s.takeOver, PassThrough: func() []string { return *s.passThrough.Load() }, Log: s.options.Log}
	if s.proxyAt != nil {
		s.others = append(s.others, plainServer{newHTTPServer(s.proxy, errorLog), s.proxyAt})
	}
	if s.challengeAt != nil {
		s.others = append(s.others, plainServer{newHTTPServer(s.responder, errorLog), s.challengeAt})
	}
	if s.metricsAt != nil {
		s.others = append(s.others, plainServer{newHTTPServer(s.metrics.handler(), errorLog), s.metricsAt})
	}
	if s.operatorAt != nil {
		s.others = append(s.others, plainServer{newHTTPServer(operator.Handler(s.operatorAPI()), errorLog), s.operatorAt})
	}
}

// Serve serves until ctx is done, then lets running requests finish, for
// ten seconds at the most, and closes everything.
func (s *Server) Serve(ctx context.Context) error {
	serving := slices.Concat(s.listeners, s.hops, []net.Listener{s.own})
	failed := make(chan error, len(serving)+len(s.others)+1)
	for _, l := range serving {
		go func() { failed <- s.main.ServeTLS(l, "", "") }()
	}
	for _, server := range s.others {
		go func() { failed <- server.Serve(server.at) }()
	}
	stopKeeping, stopFollowing, stopDNS := s.keep(ctx), s.follow(ctx), s.serveDNS(ctx, failed)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serving: %w", err)
	}
	stopFollowing()
	stopDNS()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, server := range append(s.others, plainServer{Server: s.main}) {
		if e := server.Shutdown(grace); e != nil {
			err = errors.Join(err, server.Close())
		}
	}
	stopKeeping()
	return errors.Join(err, s.Close())
}

// Close closes what New opened, the last first. It may be called again.
func (s *Server) Close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i].Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.closers = nil
	return errors.Join(errs...)
}

// Reload applies the settings that can be changed while the server runs,
// and names the others that differ.
func (s *Server) Reload(next config.Config) (waiting []string, err error) {
	if err := next.Check(); err != nil {
		return nil, err
	}
	if err := s.trustIssuers(&next); err != nil {
		return nil, err
	}
	for _, d := range config.Differences(&s.config, &next) {
		if !d.Reload {
			waiting = append(waiting, d.Key)
		}
	}
	s.config.Issuers, s.config.Attestation = next.Issuers, next.Attestation
	s.config.Throttle, s.config.Log.Level, s.config.Proxy.PassThrough = next.Throttle, next.Log.Level, next.Proxy.PassThrough
	s.retryAfter.Store(int64(next.Throttle.RetryAfter))
	s.admission.SetBudget(next.Throttle.Limiter(s.options.Now))
	s.passThrough.Store(&next.Proxy.PassThrough)
	s.reloadDNS(next.DNS)
	if level, _ := next.Log.Slog(); s.options.Level != nil {
		s.options.Level.Set(level)
	}
	return waiting, nil
}
