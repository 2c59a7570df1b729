package perimeter

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/internal/estate"
)

// Binder keeps a listener on the address of every private endpoint that
// this machine has, as the networks change: reaching such an address is
// reaching the endpoint.
type Binder struct {
	// Network is the networks of this moment, Port that of the listeners.
	Network func() *estate.Network
	Port    uint16
	// Changed receives something when the networks may have changed; nil
	// leaves it to the clock.
	Changed <-chan struct{}
	// Serve serves a listener until it is closed.
	Serve func(net.Listener)
	Log   *slog.Logger

	mu      sync.Mutex // guards what is below
	seen    *estate.Network
	bound   map[netip.Addr]net.Listener
	serving sync.WaitGroup
	closed  bool
}

const (
	// bindEvery is how often the networks are looked at.
	bindEvery = time.Second
	// retryEvery is after how many looks an address that this machine did
	// not have is tried again: it may have it now.
	retryEvery = 5
)

// Run follows the networks until ctx is done, then closes the listeners and
// waits until nothing is served on them.
func (b *Binder) Run(ctx context.Context) {
	tick := time.NewTicker(bindEvery)
	defer tick.Stop()
	defer b.close()
	for i := 0; ; i++ {
		b.Step(ctx, i%retryEvery == 0)
		select {
		case <-tick.C:
		case <-b.Changed:
		case <-ctx.Done():
			return
		}
	}
}

// Step binds and unbinds as the networks of this moment say; when they have
// not changed, it does so only if it is told to retry.
func (b *Binder) Step(ctx context.Context, retry bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.Network()
	changed := n != b.seen
	if b.closed || !changed && !retry {
		return
	}
	b.seen = n
	wanted := map[netip.Addr]bool{}
	for _, e := range n.Endpoints {
		// An address that several endpoints have proves nothing.
		if _, ok := n.EndpointAt(e.Addr); ok {
			wanted[e.Addr] = true
		}
	}
	for addr, l := range b.bound {
		if !wanted[addr] {
			b.Log.Info("perimeter: endpoint address given up", "address", addr)
			l.Close()
			delete(b.bound, addr)
		}
	}
	for addr := range wanted {
		if b.bound[addr] == nil {
			b.bind(ctx, addr, changed)
		}
	}
}

// bind binds an address, unless this machine does not have it or another
// listener has it already.
func (b *Binder) bind(ctx context.Context, addr netip.Addr, tell bool) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(addr, b.Port).String())
	if err != nil {
		if tell {
			b.Log.Debug("perimeter: endpoint address not bound", "address", addr, "why", err)
		}
		return
	}
	b.Log.Info("perimeter: listening on an endpoint's address", "address", l.Addr())
	if b.bound == nil {
		b.bound = map[netip.Addr]net.Listener{}
	}
	b.bound[addr] = l
	b.serving.Add(1)
	go func() {
		defer b.serving.Done()
		b.Serve(l)
	}()
}

// Addrs are the addresses that are bound, in order.
func (b *Binder) Addrs() []netip.AddrPort {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []netip.AddrPort
	for addr := range b.bound {
		list = append(list, netip.AddrPortFrom(addr, b.Port))
	}
	slices.SortFunc(list, netip.AddrPort.Compare)
	return list
}

func (b *Binder) close() {
	b.mu.Lock()
	b.closed = true
	var errs []error
	for _, l := range b.bound {
		errs = append(errs, l.Close())
	}
	b.bound = nil
	b.mu.Unlock()
	if err := errors.Join(errs...); err != nil && !errors.Is(err, net.ErrClosed) {
		b.Log.Warn("perimeter: closing listeners", "error", err)
	}
	b.serving.Wait()
}
