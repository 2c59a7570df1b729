package entra

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/internal/store"
)

// signingBits is the size of the RSA keys.
const signingBits = 2048

// signingKey is a key that signs tokens, or signed them. It is the
// directory's: all its tenants issue with it, as in Entra.
type signingKey struct {
	// id is the kid: the SHA-1 thumbprint of the certificate, as in Entra.
	id          string
	private     *rsa.PrivateKey
	certificate []byte // DER, self-signed
	created     time.Time
	retired     time.Time // zero while the key signs
	signer      jose.Signer
}

// keyRecord is a signing key as it is stored.
type keyRecord struct {
	Private     []byte    `json:"private"` // PKCS #8
	Certificate []byte    `json:"certificate"`
	Created     time.Time `json:"created"`
	Retired     time.Time `json:"retired,omitzero"`
}

// keyring is the signing keys of one moment: those that are not retired
// first, then newest first. Verified-token caches hang on its identity.
type keyring struct {
	keys    []*signingKey
	current *signingKey
}

func newKeyring(keys []*signingKey) *keyring {
	slices.SortFunc(keys, func(a, b *signingKey) int {
		switch {
		case a.retired.IsZero() && !b.retired.IsZero():
			return -1
		case b.retired.IsZero() && !a.retired.IsZero():
			return 1
		}
		return cmp.Or(b.created.Compare(a.created), b.retired.Compare(a.retired), cmp.Compare(a.id, b.id))
	})
	r := &keyring{keys: keys}
	if len(keys) > 0 && keys[0].retired.IsZero() {
		r.current = keys[0]
	}
	return r
}

// find is the key with a kid that still verifies at a moment: the one that
// signs, or one that has not been retired for longer than rest.
func (r *keyring) find(kid string, now time.Time, rest time.Duration) *signingKey {
	for _, k := range r.keys {
		if k.id == kid && k.verifies(now, rest) {
			return k
		}
	}
	return nil
}

func (k *signingKey) verifies(now time.Time, rest time.Duration) bool {
	return k.retired.IsZero() || now.Before(k.retired.Add(rest))
}

// rest is how long a retired key verifies: until the last token it signed
// has run out.
func (d *Directory) rest() time.Duration { return d.tokenLife + d.skew }

func newSigningKey(now time.Time) (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, signingBits)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(5, 0, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("making the certificate of a signing key: %w", err)
	}
	return prepare(&signingKey{private: private, certificate: certificate, created: now.UTC()})
}

// prepare fills in what follows from the key and its certificate.
func prepare(k *signingKey) (*signingKey, error) {
	thumbprint := sha1.Sum(k.certificate) // an identifier, not a protection: x5t is SHA-1 (RFC 7515 §4.1.7)
	k.id = base64.RawURLEncoding.EncodeToString(thumbprint[:])
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t", k.id).WithHeader("kid", k.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.private}, options)
	if err != nil {
		return nil, fmt.Errorf("preparing a signing key: %w", err)
	}
	k.signer = signer
	return k, nil
}

func (k *signingKey) record() (keyRecord, error) {
	private, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return keyRecord{}, fmt.Errorf("encoding a signing key: %w", err)
	}
	return keyRecord{Private: private, Certificate: k.certificate, Created: k.created, Retired: k.retired}, nil
}

// open is the key that a record keeps.
func (r keyRecord) open() (*signingKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(r.Private)
	if err != nil {
		return nil, fmt.Errorf("reading a signing key: %w", err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok || private.N.BitLen() < signingBits {
		return nil, errors.New("reading a signing key: not an RSA key of 2048 bits or more")
	}
	certificate, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of a signing key: %w", err)
	}
	if !private.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("reading a signing key: the certificate is of another key")
	}
	return prepare(&signingKey{private: private, certificate: bytes.Clone(r.Certificate), created: r.Created, retired: r.Retired})
}

// RotateKeys makes a new signing key. The one before it verifies until the
// last token it signed has run out; those for which that time has passed
// are forgotten.
func (d *Directory) RotateKeys(ctx context.Context) error {
	return d.rotate(ctx, func(*signingKey) bool { return true })
}

// rotateWhenDue is RotateKeys when the current key has signed for its life.
func (d *Directory) rotateWhenDue(ctx context.Context) error {
	due := func(k *signingKey) bool { return k == nil || !d.now().Before(k.created.Add(d.keyLife)) }
	if !due(d.state.Load().keys.current) {
		return nil
	}
	return d.rotate(ctx, due)
}

// rotate makes a new signing key when the current one is due, seen from
// within the change: of many requests that find it due, one makes it.
func (d *Directory) rotate(ctx context.Context, due func(*signingKey) bool) error {
	return d.change(ctx, func(next *state, tx *store.Tx) error {
		if !due(next.keys.current) {
			return nil
		}
		now := d.now()
		fresh, err := newSigningKey(now)
		if err != nil {
			return err
		}
		keys := []*signingKey{fresh}
		for _, k := range next.keys.keys {
			switch {
			case !k.verifies(now, d.rest()):
				tx.Delete(signingPrefix + k.id)
				continue
			case k.retired.IsZero():
				old := *k
				old.retired = now.UTC()
				k = &old
			}
			keys = append(keys, k)
		}
		for _, k := range keys {
			record, err := k.record()
			if err != nil {
				return err
			}
			if err := d.put(tx, signingPrefix+k.id, record); err != nil {
				return err
			}
		}
		next.keys = newKeyring(keys)
		return nil
	})
}

// jwk is one key of the discovery document (RFC 7517, with Entra's issuer).
type jwk struct {
	Type        string   `json:"kty"`
	Use         string   `json:"use"`
	ID          string   `json:"kid"`
	Thumbprint  string   `json:"x5t"`
	Modulus     string   `json:"n"`
	Exponent    string   `json:"e"`
	Certificate []string `json:"x5c"`
	Issuer      string   `json:"issuer"`
}

// jwks is the public half of all keys that verify.
func (d *Directory) jwks(issuer string) []jwk {
	now := d.now()
	var out []jwk
	for _, k := range d.state.Load().keys.keys {
		if k.verifies(now, d.rest()) {
			out = append(out, jwk{Type: "RSA", Use: "sig", ID: k.id, Thumbprint: k.id,
				Modulus:     base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
				Exponent:    base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
				Certificate: []string{base64.StdEncoding.EncodeToString(k.certificate)},
				Issuer:      issuer})
		}
	}
	return out
}
