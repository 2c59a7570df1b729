package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	armkeyvault "postern/internal/arm/keyvault"
	"postern/internal/vault"
)

// sweepEvery is how often what has outlived its retention is removed. It is
// gone for clients at its time, whenever the sweep comes.
const sweepEvery = time.Minute

// sweep removes in the background what has outlived its retention. The
// function it returns ends it and waits for the end.
func (s *Server) sweep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				s.sweepOnce(ctx)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// sweepBatch is how many objects of a vault one sweep removes at the most.
const sweepBatch = 1000

// sweepOnce purges vaults and objects whose time has come.
func (s *Server) sweepOnce(ctx context.Context) {
	now := s.options.Now()
	if err := armkeyvault.Sweep(ctx, s.estate, s.admission, now); err != nil {
		s.options.Log.Error("purging deleted vaults", "error", err)
	}
	for _, v := range s.estate.Snapshot().Vaults() {
		grant := s.admission.Maintain(v, "SecretPurge")
		secrets := vault.Secrets{Terms: grant.Terms(), Space: grant, Key: grant.Key(), Now: now, NewVersion: newVersion}
		if _, err := secrets.Sweep(ctx, sweepBatch); err != nil {
			s.options.Log.Error("purging deleted secrets", "vault", v.Resource.Name, "error", err)
		}
	}
}

func newVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
