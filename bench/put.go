package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"postern/internal/server"
)

// writers is how many clients write at once in the second measurement.
const writers = 64

// measurePut compares PUT of a secret, durable before the answer, with a
// bare append of as many bytes and fdatasync.
func measurePut(ctx context.Context, s settings) ([]row, error) {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p, _, err := startPostern(ctx, s, filepath.Join(dir, "data"), "--demo")
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
	var base, alone, together []float64
	for round := range s.rounds + 1 {
		b, err1 := appends(raw, s.writes)
		a, err2 := p.puts(ctx, token, 1, s.writes)
		m, err3 := p.puts(ctx, token, writers, s.writes*8)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, err
		}
		if round > 0 {
			base, alone, together = append(base, b), append(alone, a), append(together, m)
		}
	}
	return []row{
		{"append of 1 KiB and fdatasync: per second", spread(base, "%.0f"), "1", ""},
		{"secret PUT, durable, alone: per second", spread(alone, "%.0f"), fmt.Sprintf("%.2f", median(ratios(alone, base))), "≥ 0.5"},
		{fmt.Sprintf("secret PUT, durable, %d writers: per second", writers), spread(together, "%.0f"), fmt.Sprintf("%.2f", median(ratios(together, base))), "≥ 5"},
	}, nil
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

// puts writes n secrets with so many clients and returns how many a second.
func (p *postern) puts(ctx context.Context, token string, clients, n int) (float64, error) {
	url := p.info.Names().Private.VaultURL(server.DemoVault) + "/secrets/bench-"
	errs := make([]error, clients)
	var wg sync.WaitGroup
	begin := time.Now()
	for c := range clients {
		wg.Go(func() {
			for range n / clients {
				r, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s%d?api-version=2026-04-01", url, c), bytes.NewReader([]byte(`{"value":"abcdefghijklmnop"}`)))
				if err == nil {
					r.Header.Set("Authorization", "Bearer "+token)
					r.Header.Set("Content-Type", "application/json")
					var answer *http.Response
					if answer, err = p.client.Do(r); err == nil {
						err = drain(answer)
						if answer.StatusCode != http.StatusOK {
							err = errors.New(answer.Status)
						}
					}
				}
				if err != nil {
					errs[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(n/clients*clients) / time.Since(begin).Seconds(), errors.Join(errs...)
}
