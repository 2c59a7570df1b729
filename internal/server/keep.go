package server

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	armkeyvault "postern/internal/arm/keyvault"
	"postern/internal/config"
	"postern/internal/eventgrid"
	"postern/internal/upkeep"
)

// openKeeper makes the one who does what vaults want done without being
// asked. Nothing is kept of what happens unless there is a webhook to tell.
func (s *Server) openKeeper() error {
	hooks, err := openWebhooks(s.config.Events.Webhooks)
	if err != nil {
		return err
	}
	s.keeper = &upkeep.Keeper{Snapshot: s.estate.Snapshot, Admission: s.admission, Desk: s.desk, Hooks: hooks, Names: s.names,
		NewVersion: newVersion, Now: s.options.Now, Log: s.options.Log}
	if len(hooks) > 0 {
		s.admission.Events, s.admission.Changed = s.keeper.Wanted, s.keeper.Wake
	}
	return nil
}

// openWebhooks makes the webhooks of the configuration.
func openWebhooks(list []config.Webhook) ([]*eventgrid.Hook, error) {
	hooks := make([]*eventgrid.Hook, 0, len(list))
	for _, w := range list {
		h, err := webhook(w)
		if err != nil {
			return nil, fmt.Errorf("events.webhooks: %s: %w", w.Name, err)
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

func webhook(w config.Webhook) (*eventgrid.Hook, error) {
	h := &eventgrid.Hook{Name: w.Name, URL: w.URL, Header: w.Header, Filter: eventgrid.Filter{Vaults: w.Vaults}}
	var err error
	if h.Schema, err = eventgrid.ParseSchema(w.Schema); err != nil {
		return nil, err
	}
	for _, name := range w.Types {
		t, ok := eventgrid.Known(name)
		if !ok {
			return nil, fmt.Errorf("there is no event %q; hint: %s", name, eventgrid.Types())
		}
		h.Filter.Types = append(h.Filter.Types, t)
	}
	if w.CAFile != "" {
		data, err := os.ReadFile(w.CAFile)
		if err != nil {
			return nil, err
		}
		h.Roots = x509.NewCertPool()
		if !h.Roots.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no certificate", w.CAFile)
		}
	}
	if w.Header != "" {
		value, err := os.ReadFile(w.HeaderFile)
		if err != nil {
			return nil, fmt.Errorf("the value of the header %s: %w; hint: headerFile names the file that holds it", w.Header, err)
		}
		h.Value = strings.TrimSpace(string(value))
	}
	return h, h.Open()
}

// keep does in the background what is due. The function it returns ends it
// and waits for the end.
func (s *Server) keep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() { s.keeper.Run(ctx) })
	group.Go(func() { s.purgeVaults(ctx) })
	return func() {
		cancel()
		group.Wait()
		for _, h := range s.keeper.Hooks {
			h.Close()
		}
	}
}

// Upkeep does at once what the server does by itself every minute: a test
// that has moved the clock need not wait for it.
func (s *Server) Upkeep(ctx context.Context) error {
	if err := armkeyvault.Sweep(ctx, s.estate, s.admission, s.options.Now()); err != nil {
		return fmt.Errorf("purging deleted vaults: %w", err)
	}
	s.keeper.Pass(ctx)
	s.keeper.Deliver(ctx, true)
	return ctx.Err()
}

// purgeVaults removes deleted vaults whose time has come, until the context
// ends. They are gone for clients at their time, whenever that is.
func (s *Server) purgeVaults(ctx context.Context) {
	tick := time.NewTicker(upkeep.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := armkeyvault.Sweep(ctx, s.estate, s.admission, s.options.Now()); err != nil {
				s.options.Log.Error("purging deleted vaults", "error", err)
			}
		}
	}
}

func newVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
