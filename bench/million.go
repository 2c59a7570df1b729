package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/estate"
	"postern/internal/seal"
	"postern/internal/server"
	"postern/internal/store"
	"postern/internal/store/bolt"
	"postern/internal/vault"
)

// The two vaults that are compared.
const (
	few  = 1_000
	many = 1_000_000
)

// measureMillion compares a vault of a million secrets with one of a
// thousand: GET of any of them, a page of the list, start and memory; and
// how reads fare while keys are made.
func measureMillion(ctx context.Context, s settings) ([]row, error) {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	small, _, _, err := startFilled(ctx, s, filepath.Join(dir, "small"), few)
	if err != nil {
		return nil, err
	}
	defer small.stop()
	large, took, filling, err := startFilled(ctx, s, filepath.Join(dir, "large"), many)
	if err != nil {
		return nil, err
	}
	defer large.stop()
	time.Sleep(500 * time.Millisecond) // until it has nothing to do
	idle, err := large.anonymous()
	if err != nil {
		return nil, err
	}
	var gets, pages [2][]float64
	for round := range s.rounds + 1 {
		for i, p := range []*filled{small, large} {
			g, err1 := p.loadEach(ctx, s.requests, "/secrets/%s", func() string { return secretName(rand.IntN(p.secrets)) })
			l, err2 := p.loadEach(ctx, s.requests/10, "/secrets%.0s", func() string { return "" })
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			if round > 0 {
				gets[i], pages[i] = append(gets[i], g), append(pages[i], l)
			}
		}
	}
	walk, err := large.walk(ctx, 8000)
	if err != nil {
		return nil, err
	}
	busy, err := large.anonymous()
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(filepath.Join(large.data, "postern.db"))
	if err != nil {
		return nil, err
	}
	rows := []row{
		{"vault of 1,000 secrets: CPU per GET of any", spread(gets[0], "%.1f µs"), "1", ""},
		{"vault of 1,000,000 secrets: CPU per GET of any", spread(gets[1], "%.1f µs"), fmt.Sprintf("%.2f", median(ratios(gets[1], gets[0]))), "≤ 1.10"},
		{"vault of 1,000 secrets: CPU per page of the list", spread(pages[0], "%.0f µs"), "1", ""},
		{"vault of 1,000,000 secrets: CPU per page of the list", spread(pages[1], "%.0f µs"), fmt.Sprintf("%.2f", median(ratios(pages[1], pages[0]))), "flat"},
		{"the same, the last 2,000 of 8,000 pages against the first 2,000", "", fmt.Sprintf("%.2f", walk), "flat"},
		{"vault of 1,000,000 secrets: start to first answer", fmt.Sprintf("%.0f ms", ms(took)), "", "< 3000 ms"},
		{"vault of 1,000,000 secrets: memory of its own, idle and after the GETs", fmt.Sprintf("%.1f MB, %.1f MB", idle/1e6, busy/1e6),
			fmt.Sprintf("%.1f bytes a secret", busy/many), ""},
		{"vault of 1,000,000 secrets: on disk", fmt.Sprintf("%.0f MB", float64(file.Size())/1e6), fmt.Sprintf("%.0f bytes a secret", float64(file.Size())/many), ""},
		{"filling it, sealed, 1,000 a transaction: per second", fmt.Sprintf("%.0f", many/filling.Seconds()), "", ""},
	}
	beside, err := large.besideKeys(ctx, s)
	return append(rows, beside...), err
}

// filled is a server whose demo vault holds so many secrets.
type filled struct {
	*postern
	secrets int
	token   string
}

func secretName(n int) string { return "secret-" + strconv.Itoa(n) }

// startFilled makes a data folder, fills its vault while nobody serves it,
// and starts the server.
func startFilled(ctx context.Context, s settings, data string, n int) (f *filled, took, filling time.Duration, err error) {
	p, _, err := startPostern(ctx, s, data, "--demo")
	if err != nil {
		return nil, 0, 0, err
	}
	p.stop()
	if filling, err = fill(ctx, data, n); err != nil {
		return nil, 0, 0, err
	}
	if p, took, err = startPostern(ctx, s, data, "--demo"); err != nil {
		return nil, 0, 0, err
	}
	f = &filled{postern: p, secrets: n}
	if f.token, err = p.token(p.info.Names().Private.VaultResource()); err != nil {
		p.stop()
		return nil, 0, 0, err
	}
	return f, took, filling, nil
}

// fill writes secrets as the server keeps them.
func fill(ctx context.Context, data string, n int) (took time.Duration, err error) {
	root, err := seal.Open(data)
	if err != nil {
		return 0, err
	}
	st, err := bolt.Open(filepath.Join(data, "postern.db"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	registry, err := estate.Open(ctx, st, estate.Options{Now: time.Now})
	if err != nil {
		return 0, err
	}
	v, ok := registry.Snapshot().Vault(server.DemoVault)
	if !ok {
		return 0, errors.New("the demo has no vault")
	}
	space := &batches{store: st, prefix: "o/" + v.Resource.UID + "/"}
	secrets := vault.Secrets{Terms: vault.Terms{RetentionDays: vault.FullRetention}, Space: space, Key: root.Key("vault/" + v.Resource.UID),
		Now: time.Now(), NewVersion: newVersion}
	begin := time.Now()
	for i := range n {
		if _, err := secrets.Set(ctx, secretName(i), vault.SecretInput{Value: "abcdefghijklmnop"}); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), space.flush(ctx)
}

// batches is a vault's space in which many changes become one transaction.
// Nothing that is read was written before: each secret is a new one.
type batches struct {
	store  store.Store
	prefix string
	tx     store.Tx
	n      int
}

func (b *batches) Get(context.Context, string) (store.Item, error) {
	return store.Item{}, store.ErrNotFound
}

func (b *batches) Range(context.Context, string, string, int) ([]store.Item, error) { return nil, nil }

func (b *batches) Commit(ctx context.Context, tx *store.Tx) error {
	for _, o := range tx.Operations {
		if o.Delete {
			b.tx.Delete(b.prefix + o.Key)
		} else {
			b.tx.Put(b.prefix+o.Key, o.Value)
		}
	}
	if b.n++; b.n%1000 > 0 {
		return nil
	}
	return b.flush(ctx)
}

func (b *batches) flush(ctx context.Context) error {
	tx := b.tx
	b.tx = store.Tx{}
	return b.store.Commit(ctx, &tx)
}

// get asks for a path of the vault; the answer is read to its end.
func (f *filled) get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	answer, err := f.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s %s", url, answer.Status, body)
	}
	return body, err
}

func (f *filled) url(path string) string {
	return f.info.Names().Private.VaultURL(server.DemoVault) + path + "?api-version=2026-04-01"
}

// loadEach sends requests for names over a few connections and returns the
// server's CPU time per request in microseconds.
func (f *filled) loadEach(ctx context.Context, n int, path string, name func() string) (float64, error) {
	before, err := f.cpu()
	if err != nil {
		return 0, err
	}
	_, err1 := concurrently(connections, n, func(int) error {
		_, err := f.get(ctx, f.url(fmt.Sprintf(path, name())))
		return err
	})
	after, err2 := f.cpu()
	return (after - before) * 1e6 / float64(n/connections*connections), errors.Join(err1, err2)
}

// walk reads pages of the list one after the other and compares the CPU time
// of the last quarter with that of the first.
func (f *filled) walk(ctx context.Context, pages int) (float64, error) {
	url := f.url("/secrets")
	var marks []float64
	for i := range pages + 1 {
		if i%(pages/4) == 0 {
			at, err := f.cpu()
			if err != nil {
				return 0, err
			}
			marks = append(marks, at)
		}
		body, err := f.get(ctx, url)
		if err != nil {
			return 0, err
		}
		_, rest, ok := strings.Cut(string(body), `"nextLink":"`)
		if !ok {
			return 0, errors.New("the list ends early")
		}
		url, _, _ = strings.Cut(rest, `"`)
	}
	return (marks[4] - marks[3]) / (marks[1] - marks[0]), nil
}

// anonymous is the memory of the process that is not pages of its files.
func (p *process) anonymous() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	kilobytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kilobytes * 1024, err
}

// besideKeys measures how long reads take while RSA keys of 4096 bits are
// made all the time, and while none are.
func (f *filled) besideKeys(ctx context.Context, s settings) ([]row, error) {
	calm, err := f.waits(ctx, s.requests/10, func() bool { return true })
	if err != nil {
		return nil, err
	}
	var made atomic.Int64
	making, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for making.Err() == nil {
				if f.createKey(making, fmt.Sprintf("bench-%d", i)) == nil {
					made.Add(1)
				}
			}
		})
	}
	const enough = 4
	busy, err := f.waits(ctx, s.requests/10, func() bool { return made.Load() >= enough })
	stop()
	group.Wait()
	if err != nil {
		return nil, err
	}
	figure := func(w []float64) string { return fmt.Sprintf("%.2f ms, %.1f ms", w[len(w)/2], w[len(w)*99/100]) }
	return []row{
		{"secret GET, one client: time of half of them and of 99 %", figure(calm), "1", ""},
		{fmt.Sprintf("the same while 4 clients make RSA keys of 4096 bits (%d made)", made.Load()), figure(busy),
			fmt.Sprintf("%.2f", busy[len(busy)/2]/calm[len(calm)/2]), "not held up"},
	}, nil
}

// waits are the times of at least n reads by one client, until it is enough,
// sorted, in milliseconds.
func (f *filled) waits(ctx context.Context, n int, enough func() bool) ([]float64, error) {
	var list []float64
	for len(list) < n || !enough() {
		begin := time.Now()
		if _, err := f.get(ctx, f.url("/secrets/"+secretName(rand.IntN(f.secrets)))); err != nil {
			return nil, err
		}
		list = append(list, ms(time.Since(begin)))
	}
	slices.Sort(list)
	return list, nil
}

func (f *filled) createKey(ctx context.Context, name string) error {
	return f.send(ctx, f.token, http.MethodPost, f.url("/keys/"+name+"/create"), []byte(`{"kty":"RSA","key_size":4096}`))
}
