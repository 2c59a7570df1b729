package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"

	"postern/internal/keyring"
	"postern/internal/server"
)

// cryptoOrder is the operation that the bare handler carries out.
type cryptoOrder struct {
	Operation, Algorithm string
	Material, Value      []byte
}

// do carries the operation out, with a key that is opened already.
func (o *cryptoOrder) do(k *keyring.Key) ([]byte, error) {
	switch o.Operation {
	case "sign":
		return k.Sign(o.Algorithm, o.Value)
	case "wrapkey":
		return k.Wrap(o.Algorithm, o.Value)
	case "decrypt":
		return k.Decrypt(o.Algorithm, o.Value)
	}
	return nil, fmt.Errorf("no operation %q", o.Operation)
}

// cryptoCase is one operation of the data plane.
type cryptoCase struct {
	operation, algorithm, key string
	value                     []byte
	// share is which part of the requests of a GET round it is measured with.
	share int
}

// measureCrypto compares operations with keys through HTTP with a bare TLS
// handler that carries out the same operation with a key it holds, and the
// RSA signature with the bare function: CPU time of the server for each.
func measureCrypto(ctx context.Context, s settings) ([]row, error) {
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
	token, err := p.token(p.info.Names().Private.VaultResource())
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("bench"))
	rsaKey, err1 := keyring.Generate(rand.Reader, keyring.Spec{Type: keyring.RSA, Size: 2048})
	ecKey, err2 := keyring.Generate(rand.Reader, keyring.Spec{Type: keyring.EC, Curve: keyring.P256})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	keys := map[string]*keyring.Key{"bench-rsa": rsaKey, "bench-ec": ecKey}
	for name, k := range keys {
		if err := p.importKey(ctx, token, name, k); err != nil {
			return nil, err
		}
	}
	wrapped, err := rsaKey.Encrypt("RSA-OAEP-256", digest[:])
	if err != nil {
		return nil, err
	}
	sign, err := bareSign(rsaKey, digest[:], s.rounds, s.requests/20)
	if err != nil {
		return nil, err
	}
	rows := []row{{"bare rsa.SignPKCS1v15, 2048 bits: CPU", spread(sign, "%.0f µs"), "1", ""}}
	for _, c := range []cryptoCase{{"sign", "RS256", "bench-rsa", digest[:], 20}, {"sign", "ES256", "bench-ec", digest[:], 2},
		{"wrapkey", "RSA-OAEP-256", "bench-rsa", digest[:], 2}, {"decrypt", "RSA-OAEP-256", "bench-rsa", wrapped, 20}} {
		bare, served, err := p.compareCrypto(ctx, s, token, c, keys[c.key])
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", c.operation, c.algorithm, err)
		}
		name := c.operation + " " + c.algorithm
		rows = append(rows, row{"bare TLS handler that does " + name + ": CPU", spread(bare, "%.0f µs"), "1", ""},
			row{name + " through HTTP: CPU", spread(served, "%.0f µs"), fmt.Sprintf("%.2f", median(ratios(bare, served))), "≥ 0.85"})
		if c.algorithm == "RS256" {
			rows = append(rows, row{"the same against the bare function", "", fmt.Sprintf("%.2f", median(ratios(sign, served))), "≥ 0.85"})
		}
	}
	return rows, nil
}

// compareCrypto measures one operation of a bare handler and of postern.
func (p *postern) compareCrypto(ctx context.Context, s settings, token string, c cryptoCase, k *keyring.Key) (bare, served []float64, err error) {
	base := p.info.Names().Private.VaultURL(server.DemoVault)
	body := fmt.Appendf(nil, `{"alg":%q,"value":%q}`, c.algorithm, base64.RawURLEncoding.EncodeToString(c.value))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/keys/"+c.key+"/"+c.operation+"?api-version=2026-04-01", bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := p.client.Do(again(r))
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s %s %w", answer.Status, text, err)
	}
	told, pool, err := order(answer.Header, text, r.URL.Hostname())
	if err != nil {
		return nil, nil, err
	}
	told.Crypto = &cryptoOrder{c.operation, c.algorithm, k.Material(), c.value}
	child, address, err := startBare(ctx, told)
	if err != nil {
		return nil, nil, err
	}
	defer child.stop()
	bareClient := newClient(pool, address)
	for round := range s.rounds + 1 {
		b, err1 := load(child, bareClient, r, s.requests/c.share, len(text))
		o, err2 := load(p.process, p.client, r, s.requests/c.share, len(text))
		if err := errors.Join(err1, err2); err != nil {
			return nil, nil, err
		}
		if round > 0 { // the first warms up
			bare, served = append(bare, b), append(served, o)
		}
	}
	return bare, served, nil
}

// importKey puts a key into the demo's vault.
func (p *postern) importKey(ctx context.Context, token, name string, k *keyring.Key) error {
	j, kty := k.PrivateJWK(), k.Type()
	member := map[string]any{"kty": kty}
	if j.Curve != "" {
		member["crv"] = j.Curve
	}
	for name, number := range map[string][]byte{"n": j.N, "e": j.E, "d": j.D, "p": j.P, "q": j.Q, "dp": j.DP, "dq": j.DQ, "qi": j.QI, "x": j.X, "y": j.Y} {
		if number != nil {
			member[name] = base64.RawURLEncoding.EncodeToString(number)
		}
	}
	body, err := json.Marshal(map[string]any{"key": member})
	if err != nil {
		return err
	}
	return p.send(ctx, token, http.MethodPut, p.info.Names().Private.VaultURL(server.DemoVault)+"/keys/"+name+"?api-version=2026-04-01", body)
}

// bareSign is the CPU time of a signature by the standard library alone.
func bareSign(k *keyring.Key, digest []byte, rounds, n int) (figures []float64, err error) {
	der, err := k.PKCS8()
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private := parsed.(*rsa.PrivateKey)
	for range rounds {
		before, err := ownCPU()
		if err != nil {
			return nil, err
		}
		for range n {
			if _, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest); err != nil {
				return nil, err
			}
		}
		after, err := ownCPU()
		if err != nil {
			return nil, err
		}
		figures = append(figures, (after-before)*1e6/float64(n))
	}
	return figures, nil
}

// ownCPU is the CPU time of this process in seconds.
func ownCPU() (float64, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(u.Utime) + seconds(u.Stime), nil
}
