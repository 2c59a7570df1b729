package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"postern/internal/admission"
	"postern/internal/estate"
	"postern/internal/journal"
	"postern/internal/seal"
	"postern/internal/server"
	"postern/internal/store/bolt"
	"postern/internal/vault"
)

// writers is how many write at once in the second measurement.
const writers = 64

// measurePut compares a durable change of a secret, sealed, with its record
// in the journal, with a bare append of as many bytes and fdatasync; and, for
// the picture, the same through HTTPS with the clients on this machine.
func measurePut(ctx context.Context, s settings) ([]row, error) {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w, err := openWritten(filepath.Join(dir, "inside"))
	if err != nil {
		return nil, err
	}
	defer w.close()
	p, _, err := startPostern(ctx, s, filepath.Join(dir, "served"), "--demo")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	token, err := p.token(p.info.Names().Private.VaultResource())
	if err != nil {
		return nil, err
	}
	raw, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	served := func(clients, n int) (float64, error) {
		return concurrently(clients, n, func(c int) error { return p.put(ctx, token, c) })
	}
	var base, alone, together, anew, https, https64 []float64
	for round := range s.rounds + 1 {
		b, err1 := appends(raw, s.writes)
		a, err2 := concurrently(1, s.writes, func(int) error { return w.set(ctx, 0) })
		m, err3 := concurrently(writers, s.writes*8, func(c int) error { return w.set(ctx, c) })
		n, err6 := concurrently(writers, s.writes*8, func(int) error { return w.set(ctx, int(w.next.Add(1))+writers) })
		h, err4 := served(1, s.writes)
		h64, err5 := served(writers, s.writes*4)
		if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
			return nil, err
		}
		if round > 0 {
			base, alone, together, anew = append(base, b), append(alone, a), append(together, m), append(anew, n)
			https, https64 = append(https, h), append(https64, h64)
		}
	}
	ratio := func(f []float64) string { return fmt.Sprintf("%.2f", median(ratios(f, base))) }
	return []row{
		{"append of 1 KiB and fdatasync: per second", spread(base, "%.0f"), "1", ""},
		{"durable PUT with its record, alone: per second", spread(alone, "%.0f"), ratio(alone), "≥ 0.5"},
		{fmt.Sprintf("durable PUT of a new secret, %d writers: per second", writers), spread(anew, "%.0f"), ratio(anew), "≥ 5"},
		{fmt.Sprintf("durable PUT of a new version of 64 secrets, %d writers: per second", writers), spread(together, "%.0f"), ratio(together), ""},
		{"the same through HTTPS, clients on this machine, alone", spread(https, "%.0f"), ratio(https), ""},
		{fmt.Sprintf("the same through HTTPS, clients on this machine, %d writers", writers), spread(https64, "%.0f"), ratio(https64), ""},
	}, nil
}

// written is the writing half of a server: store, journal, admission.
type written struct {
	store      *bolt.Store
	journal    *journal.Journal
	controller *admission.Controller
	vault      *estate.Vault
	next       atomic.Int64 // the last new secret
}

func openWritten(dir string) (*written, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err1 := seal.Create(dir, rand.Reader)
	st, err2 := bolt.Open(filepath.Join(dir, "db"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{Store: st})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	id := "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/bench"
	snapshot, _ := estate.New([]*estate.Resource{{ID: id, Type: estate.TypeVault, Name: "bench", UID: "bench", Location: "eastus",
		Body: json.RawMessage(`{"properties":{}}`)}}, estate.Options{})
	v, _ := snapshot.Vault("bench")
	return &written{store: st, journal: j, controller: &admission.Controller{Store: st, Root: root, Journal: j, Now: time.Now}, vault: v}, nil
}

func (w *written) close() { _ = errors.Join(w.journal.Close(), w.store.Close()) }

// set writes a new version of a secret.
func (w *written) set(ctx context.Context, n int) error {
	g := w.controller.Maintain(w.vault, "SecretSet")
	secrets := vault.Secrets{Terms: g.Terms(), Space: g, Key: g.Key(), Now: time.Now(), NewVersion: newVersion}
	_, err := secrets.Set(ctx, fmt.Sprintf("bench-%d", n), vault.SecretInput{Value: "abcdefghijklmnop"})
	return err
}

func newVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func appends(f *os.File, n int) (float64, error) {
	block := bytes.Repeat([]byte{'x'}, 1024)
	begin := time.Now()
	for range n {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// concurrently does n things with so many at once and returns how many a
// second.
func concurrently(clients, n int, do func(client int) error) (float64, error) {
	errs := make([]error, clients)
	var wg sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		wg.Go(func() {
			for range n / clients {
				if err := do(c); err != nil {
					errs[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n/clients*clients) / time.Since(begin).Seconds(), errors.Join(errs...)
}

// put writes a new version of a secret through the front door.
func (p *postern) put(ctx context.Context, token string, n int) error {
	url := fmt.Sprintf("%s/secrets/bench-%d?api-version=2026-04-01", p.info.Names().Private.VaultURL(server.DemoVault), n)
	return p.send(ctx, token, http.MethodPut, url, []byte(`{"value":"abcdefghijklmnop"}`))
}
