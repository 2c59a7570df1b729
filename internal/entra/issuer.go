package entra

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/internal/store"
)

// issuerPrefix is where issuers are kept, by the SHA-256 of their name.
const issuerPrefix = "d/i/"

// The limits of issuers and of what is fetched from them.
const (
	maxIssuers  = 256
	maxKeys     = 256 << 10
	keysFresh   = time.Hour        // after which keys are fetched again
	keysStale   = 24 * time.Hour   // for which fetched keys serve an outage
	keysRetry   = 30 * time.Second // between two attempts
	fetchLimit  = 5 * time.Second
	maxIssuerID = 600
)

// ErrIssuer: an issuer cannot be made known.
var ErrIssuer = errors.New("entra: an issuer is an https URL; its keys are a JWK set of RSA keys of 2048 bits or more or P-256 keys, or an https URL where there is one")

// KnownIssuer is an issuer of tokens that federated credentials may name.
// Nothing is fetched from any other.
type KnownIssuer struct {
	Issuer string `json:"issuer"`
	// KeysURL is where its JWK set is; "" where Keys holds it, or where the
	// issuer's provider metadata says (OpenID Connect Discovery 1.0 §4).
	KeysURL string          `json:"keysUrl,omitempty"`
	Keys    json.RawMessage `json:"keys,omitempty"`
}

// SetIssuer makes an issuer known, in place of what was known of it.
func (e *Editor) SetIssuer(ctx context.Context, k KnownIssuer) error {
	if !secureURL(k.Issuer) || k.KeysURL != "" && (!secureURL(k.KeysURL) || len(k.Keys) > 0) {
		return ErrIssuer
	}
	if len(k.Keys) > 0 {
		if _, err := readKeys(k.Keys); err != nil {
			return err
		}
	}
	_, err := e.edit(ctx, "SetIssuer", func(next *state, tx *store.Tx) (Principal, error) {
		if len(next.issuers) >= maxIssuers && next.issuers[k.Issuer] == nil {
			return Principal{}, ErrIssuer
		}
		next.issuers[k.Issuer] = &issuer{KnownIssuer: k}
		return Principal{DisplayName: k.Issuer}, e.put(tx, issuerKey(k.Issuer), k)
	})
	return err
}

// RemoveIssuer forgets an issuer.
func (e *Editor) RemoveIssuer(ctx context.Context, name string) error {
	_, err := e.edit(ctx, "RemoveIssuer", func(next *state, tx *store.Tx) (Principal, error) {
		if next.issuers[name] == nil {
			return Principal{}, ErrNotFound
		}
		delete(next.issuers, name)
		tx.Delete(issuerKey(name))
		return Principal{DisplayName: name}, nil
	})
	return err
}

// Issuers are the issuers that are known, by name.
func (d *Directory) Issuers() []KnownIssuer {
	var out []KnownIssuer
	for _, i := range d.state.Load().issuers {
		out = append(out, i.KnownIssuer)
	}
	slices.SortFunc(out, func(a, b KnownIssuer) int { return cmp.Compare(a.Issuer, b.Issuer) })
	return out
}

func issuerKey(name string) string {
	sum := sha256.Sum256([]byte(name))
	return issuerPrefix + hex.EncodeToString(sum[:])
}

func secureURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxIssuerID && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == "" && !hasControl(s)
}

// issuer is a KnownIssuer and the keys that were fetched last.
type issuer struct {
	KnownIssuer
	mu      sync.Mutex // held while keys are fetched
	keys    []jose.JSONWebKey
	fetched time.Time
	tried   time.Time
}

// issuerKeys are the keys of an issuer that may have signed with a kid.
// Fetched keys are kept; a kid that is not among them has them fetched again,
// not more often than every half minute. When the issuer cannot be reached
// they serve for a day.
func (d *Directory) issuerKeys(ctx context.Context, name, kid string) ([]jose.JSONWebKey, error) {
	i := d.state.Load().issuers[name]
	if i == nil {
		return nil, fmt.Errorf("entra: the issuer %s is not known here", clip(name))
	}
	if len(i.Keys) > 0 {
		keys, err := readKeys(i.Keys)
		return withID(keys, kid), err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	now := d.now()
	fresh := !i.fetched.IsZero() && now.Before(i.fetched.Add(keysFresh))
	if found := withID(i.keys, kid); fresh && len(found) > 0 {
		return found, nil
	}
	if i.tried.IsZero() || !now.Before(i.tried.Add(keysRetry)) {
		i.tried = now
		keys, err := fetchKeys(ctx, d.transport, &i.KnownIssuer)
		switch {
		case err == nil:
			i.keys, i.fetched = keys, now
		case i.fetched.IsZero() || !now.Before(i.fetched.Add(keysStale)):
			return nil, err
		}
	}
	if i.fetched.IsZero() || !now.Before(i.fetched.Add(keysStale)) {
		return nil, fmt.Errorf("entra: the keys of %s could not be fetched", clip(name))
	}
	return withID(i.keys, kid), nil
}

// withID are the keys with an id; without one, all.
func withID(keys []jose.JSONWebKey, kid string) []jose.JSONWebKey {
	if kid == "" {
		return keys
	}
	var out []jose.JSONWebKey
	for _, k := range keys {
		if k.KeyID == kid {
			out = append(out, k)
		}
	}
	return out
}

// readKeys reads a JWK set and leaves out what cannot verify: keys of other
// kinds, of other uses, or too short.
func readKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if len(text) > maxKeys || json.Unmarshal(text, &set) != nil {
		return nil, ErrIssuer
	}
	var out []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil {
			var ok bool
			if k, ok = certified(raw); !ok {
				continue
			}
		}
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if n := key.N.BitLen(); n < 2048 || n > 8192 {
				continue
			}
		case *ecdsa.PublicKey:
			if key.Curve.Params().BitSize != 256 {
				continue
			}
		default:
			continue
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, ErrIssuer
	}
	return out, nil
}

// fetchKeys fetches the keys of an issuer.
func fetchKeys(ctx context.Context, transport http.RoundTripper, k *KnownIssuer) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	where := k.KeysURL
	if where == "" {
		text, err := fetch(ctx, transport, strings.TrimSuffix(k.Issuer, "/")+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		var metadata struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if json.Unmarshal(text, &metadata) != nil || metadata.Issuer != k.Issuer || !secureURL(metadata.Keys) {
			return nil, fmt.Errorf("entra: the provider metadata of %s is not its own", clip(k.Issuer))
		}
		where = metadata.Keys
	}
	text, err := fetch(ctx, transport, where)
	if err != nil {
		return nil, err
	}
	return readKeys(text)
}

// fetch gets a document: from that host alone, so long and so large and no
// more.
func fetch(ctx context.Context, transport http.RoundTripper, where string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, fmt.Errorf("fetching keys: %w", err)
	}
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetching keys: %w", err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, maxKeys+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetching keys: %w", err)
	case got.StatusCode != http.StatusOK || len(text) > maxKeys:
		return nil, fmt.Errorf("fetching keys: %s answers %d with %d bytes", clip(where), got.StatusCode, len(text))
	}
	return text, nil
}

func (s *state) addIssuer(k KnownIssuer) error {
	s.issuers[k.Issuer] = &issuer{KnownIssuer: k}
	return nil
}
