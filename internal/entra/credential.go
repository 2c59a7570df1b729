package entra

import (
	"crypto/hkdf"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"time"
)

// proofs are the credentials that an application or a service principal proves itself
// with. They are never changed in place.
type proofs struct {
	Secrets      []secretRecord      `json:"secrets,omitempty"`
	Certificates []certificateRecord `json:"certificates,omitempty"`
	Federations  []Federation        `json:"federations,omitempty"`
}

// secretRecord is what remains of a client secret. Those of the first
// versions have no id and last for ever.
type secretRecord struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	// Hint is the first three characters, as Entra shows them.
	Hint  string    `json:"hint,omitempty"`
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`
	Salt  []byte    `json:"salt"`
	Hash  []byte    `json:"hash"`
}

// holds reports whether the secret counts at a moment.
func (s *secretRecord) holds(now time.Time) bool {
	return !now.Before(s.Start) && (s.End.IsZero() || now.Before(s.End))
}

// certificateRecord is a certificate that a client proves itself with.
type certificateRecord struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	DER  []byte `json:"der"`
}

const (
	secretLength = 40
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// maxSecrets is how many secrets one principal may have: each is one
	// more hash for every wrong guess.
	maxSecrets = 8
)

// ErrSecrets: the principal has as many secrets as it may have.
var ErrSecrets = fmt.Errorf("entra: a principal has at most %d secrets", maxSecrets)

// newSecret makes a secret of 40 characters, 238 bits, and what is kept of
// it. Bytes above the largest multiple of 62 are thrown away, so that no
// character is likelier than another.
func (d *Directory) newSecret() (string, secretRecord, error) {
	text := make([]byte, 0, secretLength)
	var b [1]byte
	for len(text) < secretLength {
		if _, err := io.ReadFull(d.random, b[:]); err != nil {
			return "", secretRecord{}, fmt.Errorf("making a secret: %w", err)
		}
		if b[0] < 248 {
			text = append(text, base62[b[0]%62])
		}
	}
	salt, err := d.newSalt()
	if err != nil {
		return "", secretRecord{}, err
	}
	return string(text), secretRecord{Salt: salt, Hash: hashSecret(string(text), salt)}, nil
}

// newSalt makes a salt.
func (d *Directory) newSalt() ([]byte, error) {
	salt := make([]byte, 16)
	if _, err := io.ReadFull(d.random, salt); err != nil {
		return nil, fmt.Errorf("making a salt: %w", err)
	}
	return salt, nil
}

// thumbprint1 is the SHA-1 of a certificate: x5t (RFC 7515 §4.1.7).
func thumbprint1(der []byte) []byte {
	sum := sha1.Sum(der) // an identifier, not a protection
	return sum[:]
}

// hashSecret is HKDF-SHA-256. A slow hash would protect nothing more: the
// secrets are random, not chosen.
func hashSecret(secret string, salt []byte) []byte {
	hash, err := hkdf.Key(sha256.New, []byte(secret), salt, "postern/v1/client-secret", sha256.Size)
	if err != nil {
		panic("entra: internal error: " + err.Error()) // only for more than 255 blocks
	}
	return hash
}

// Federation is a federated credential: whoever shows a token of the issuer
// about the subject, meant for the audience, is the application.
type Federation struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Issuer      string   `json:"issuer"`
	Subject     string   `json:"subject"`
	Audiences   []string `json:"audiences"`
	Description string   `json:"description,omitempty"`
}

// nobody is checked in place of a client that does not exist, so that both
// take the same time. No secret hashes to its empty hash.
var nobody = proofs{Secrets: []secretRecord{{Salt: make([]byte, 16), Hash: make([]byte, sha256.Size)}}}

// acceptance is what comes of a secret.
type acceptance uint8

const (
	wrongSecret acceptance = iota
	expiredSecret
	rightSecret
)

// accepts compares a secret with all that are held, each in constant time.
// One that has run out says so only to whom knows it.
func accepts(secret string, now time.Time, held ...*proofs) acceptance {
	right, late := 0, 0
	for _, c := range held {
		for i := range c.Secrets {
			s := &c.Secrets[i]
			match := subtle.ConstantTimeCompare(hashSecret(secret, s.Salt), s.Hash)
			if s.holds(now) {
				right |= match
			} else {
				late |= match
			}
		}
	}
	switch {
	case right == 1:
		return rightSecret
	case late == 1:
		return expiredSecret
	}
	return wrongSecret
}
