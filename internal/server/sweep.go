package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	armkeyvault "postern/internal/arm/keyvault"
	"postern/internal/estate"
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
		if err := s.sweepObjects(ctx, v, now); err != nil {
			s.options.Log.Error("purging deleted objects", "vault", v.Resource.Name, "error", err)
		}
	}
}

// purges is how the log names the removal of what has outlived its
// retention, by kind.
var purges = map[string]string{"secrets": "SecretPurge", "keys": "KeyPurge", "certificates": "CertificatePurge"}

// sweepObjects purges the objects of a vault whose time has come.
func (s *Server) sweepObjects(ctx context.Context, v *estate.Vault, now time.Time) error {
	upkeep := func(operation string) *vault.Upkeep {
		grant := s.admission.Maintain(v, operation)
		return &vault.Upkeep{Terms: grant.Terms(), Space: grant, Key: grant.Key(), Now: now, NewVersion: newVersion}
	}
	u := upkeep("VaultIndex")
	switch indexed, err := u.Indexed(ctx); {
	case err != nil:
		return err
	case !indexed:
		if err := u.Index(ctx); err != nil {
			return err
		}
	}
	list, err := vault.Outlived(ctx, u.Space, now, sweepBatch)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := upkeep(purges[d.Kind]).Purge(ctx, d); err != nil {
			return err
		}
	}
	_, err = upkeep("VaultClear").Clear(ctx, sweepBatch)
	return err
}

func newVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
