// Package seal encrypts everything that is kept.
//
// There are three layers. The unseal key, 32 random bytes in the file
// unseal.key or in the environment, opens one thing: the root key, in the
// file root.sealed. From the root key a key is derived for each purpose
// ("directory", "pki", "vault/<uid>"), by HKDF-SHA-256 with the purpose as
// info. A purpose's key seals values with AES-256-GCM and a random nonce.
//
// A sealed value is bound to the place it is kept at by its additional data,
// so that a value moved to another place does not open. Its form is one
// version byte, the nonce, the ciphertext and the tag.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"sync"
)

// ErrSealed is returned for a value that does not open: it was altered, it
// is kept at another place than it was sealed for, or it was sealed by
// another key. Which of them it was is not told.
var ErrSealed = errors.New("seal: the value does not open")

// version is the first byte of a sealed value, and part of what is
// authenticated.
const version = 1

// keySize is the length of every key.
const keySize = 32

// Overhead is how much longer a sealed value is than the plain one.
const Overhead = 1 + 12 + 16

// Root is the key that all others are derived from.
type Root struct {
	secret []byte
	// keys caches the derived keys: purpose to *Key. A key is never changed.
	keys sync.Map
}

// newRoot takes ownership of secret.
func newRoot(secret []byte) *Root { return &Root{secret: secret} }

// Key is the key for one purpose. The same purpose gives the same key, today
// and after a restart.
func (r *Root) Key(purpose string) *Key {
	if k, ok := r.keys.Load(purpose); ok {
		return k.(*Key)
	}
	k, _ := r.keys.LoadOrStore(purpose, derive(r.secret, "postern/v1/"+purpose))
	return k.(*Key)
}

// Key seals and opens values for one purpose. It is safe for concurrent use.
// One key may seal 2^32 values, which is what random nonces of 96 bits bear
// (NIST SP 800-38D §8.3).
type Key struct {
	aead cipher.AEAD
}

// derive makes the key that HKDF-SHA-256 gives for secret and info. secret
// is of full entropy, so there is no salt.
func derive(secret []byte, info string) *Key {
	raw, err := hkdf.Key(sha256.New, secret, nil, info, keySize)
	if err != nil {
		panic("seal: internal error: " + err.Error()) // the lengths are constants
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		panic("seal: internal error: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: internal error: " + err.Error())
	}
	return &Key{aead}
}

// Seal encrypts plain and binds it to aad, the place where it will be kept.
func (k *Key) Seal(aad string, plain []byte) []byte {
	out := make([]byte, 1, Overhead+len(plain))
	out[0] = version
	return k.aead.Seal(out, nil, plain, bind(aad))
}

// Open decrypts what Seal made for the same aad; ErrSealed for anything
// else.
func (k *Key) Open(aad string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != version {
		return nil, ErrSealed
	}
	plain, err := k.aead.Open(nil, nil, sealed[1:], bind(aad))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// bind puts the version in front of the place, so that the version byte is
// authenticated too.
func bind(aad string) []byte {
	b := make([]byte, 1, 1+len(aad))
	b[0] = version
	return append(b, aad...)
}
