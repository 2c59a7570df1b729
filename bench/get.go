package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"sync"
	"time"

	"postern/internal/server"
)

// connections is how many clients send GETs at once.
const connections = 4

// measureGet compares GET of a secret, with the journal on, with a bare TLS
// handler that answers the same bytes: CPU time of the server per request;
// and what of it the origin is.
func measureGet(ctx context.Context, s settings) ([]row, error) {
	dir, err := os.MkdirTemp("", "postern-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p, _, err := startPostern(ctx, s, dir, "--demo")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	get, err := p.secretGet(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := p.client.Do(get.Clone(ctx))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET of the secret: %s %s", answer.Status, body)
	}
	order, pool, err := order(answer.Header, body, get.URL.Hostname())
	if err != nil {
		return nil, err
	}
	bare, address, err := startBare(ctx, order)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	bareClient := newClient(pool, address)
	var base, ours []float64
	for round := range s.rounds + 1 {
		b, err1 := load(bare, bareClient, get, s.requests, len(body))
		o, err2 := load(p.process, p.client, get, s.requests, len(body))
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if round > 0 { // the first warms up
			base, ours = append(base, b), append(ours, o)
		}
	}
	rows := []row{
		{"bare TLS handler, same bytes: CPU per GET", spread(base, "%.1f µs"), "1", ""},
		{"secret GET, journal on: CPU per GET", spread(ours, "%.1f µs"), fmt.Sprintf("%.2f", median(ratios(ours, base))), "≤ 1.6, aim 1.25"},
	}
	origin, err := measureOrigin(s, ours)
	return append(rows, origin...), err
}

// secretGet is the request that is repeated.
func (p *postern) secretGet(ctx context.Context) (*http.Request, error) {
	n := p.info.Names().Private
	token, err := p.token(n.VaultResource())
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.VaultURL(server.DemoVault)+"/secrets/"+server.DemoSecret+"/?api-version=2026-04-01", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r, nil
}

// order tells the bare handler what to answer, under a certificate of the
// same kind as postern's.
func order(h http.Header, body []byte, host string) (bareOrder, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return bareOrder{}, nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return bareOrder{}, nil, err
	}
	cert, err1 := x509.ParseCertificate(der)
	private, err2 := x509.MarshalPKCS8PrivateKey(key)
	pool := x509.NewCertPool()
	if err := errors.Join(err1, err2); err != nil {
		return bareOrder{}, nil, err
	}
	pool.AddCert(cert)
	h.Del("Date")
	h.Del("Content-Length")
	return bareOrder{Header: h, Body: bytes.Clone(body), Cert: [][]byte{der}, Key: private}, pool, nil
}

// load sends requests over a few connections and returns the server's CPU
// time per request in microseconds. Every answer must have the length.
func load(p *process, client *http.Client, r *http.Request, requests, length int) (float64, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	errs := make([]error, connections)
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			for range requests / connections {
				answer, err := client.Do(again(r))
				if err != nil {
					errs[c] = err
					return
				}
				n, err := io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if err == nil && (answer.StatusCode != http.StatusOK || int(n) != length) {
					err = fmt.Errorf("answer %s with %d bytes", answer.Status, n)
				}
				if err != nil {
					errs[c] = err
					return
				}
			}
		})
	}
	wg.Wait()
	after, err := p.cpu()
	if err := errors.Join(append(errs, err)...); err != nil {
		return 0, err
	}
	return (after - before) * 1e6 / float64(requests/connections*connections), nil
}

// again is a request to be sent once more, with its body.
func again(r *http.Request) *http.Request {
	c := r.Clone(r.Context())
	if r.GetBody != nil {
		c.Body, _ = r.GetBody() // of bytes: never fails
	}
	return c
}
