// Package keyring is the key material of a vault and what is done with it.
//
// One table, Algorithms, says which algorithm is for which key; encrypting,
// signing, refusing and the tests all come from it. A Key is RSA of 2048,
// 3072 or 4096 bits, or on one of the curves P-256, P-384, P-521 and P-256K.
// It is made by Generate, Import (a JWK, distrusted), New (a key that Go
// already holds) or Open (its own encoding). A Key never changes and may be
// used by many goroutines at once.
//
// Operations with the private part are the standard library's, which are
// constant-time; those of P-256K, which it does not have, are in koblitz.go.
// Every decryption that fails gives the same ErrCiphertext.
package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// What an operation can refuse with. The texts are for the log; what a
// client sees is the plane's to say.
var (
	// ErrAlgorithm: there is no such algorithm for this kind of operation.
	ErrAlgorithm = errors.New("keyring: no such algorithm for this operation")
	// ErrMismatch: the algorithm is for keys of another type or curve, or
	// needs the private part and this key has none.
	ErrMismatch = errors.New("keyring: the algorithm is not for this key")
	// ErrSize: a digest or a plain text of a length the algorithm or the key
	// cannot take.
	ErrSize = errors.New("keyring: a value of a wrong length")
	// ErrCiphertext: a decryption failed. Why is not told, so that nobody can
	// learn from it (the attacks of Bleichenbacher and Manger).
	ErrCiphertext = errors.New("keyring: the ciphertext does not decrypt")
	// ErrMaterial: an encoding that Material did not make.
	ErrMaterial = errors.New("keyring: not an encoding of a key")
)

// Types of keys, as a JWK names them (RFC 7518 §6.1). The service's "-HSM" is
// a label of its own on the same material.
const (
	RSA = "RSA"
	EC  = "EC"
)

// Curves, as a JWK of the service names them (spec: JsonWebKeyCurveName).
// P-256K is secp256k1.
const (
	P256  = "P-256"
	P384  = "P-384"
	P521  = "P-521"
	P256K = "P-256K"
)

// Spec says which key to generate.
type Spec struct {
	// Type is RSA or EC.
	Type string
	// Size is the length of an RSA modulus in bits: 2048, 3072 or 4096.
	Size int
	// Curve is the curve of an EC key.
	Curve string
	// Exponent is the public exponent of an RSA key, odd and from 3 to
	// 2^31-1; 0 means 65537.
	Exponent int64
}

// Key is a key pair, or the public part of one.
type Key struct {
	curve  string
	bits   int
	public crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or *KoblitzPublic
	signer crypto.Signer    // nil: this is the public part alone
}

// Generate makes a new key. The standard library draws the randomness of its
// own keys from the system whatever random is.
func Generate(random io.Reader, s Spec) (*Key, error) {
	switch s.Type {
	case RSA:
		return generateRSA(random, s.Size, s.Exponent)
	case EC:
		if s.Curve == P256K {
			private, err := secp256k1.GeneratePrivateKeyFromRand(random)
			if err != nil {
				return nil, err
			}
			return newKoblitz(&private.Key), nil
		}
		curve := nist(s.Curve)
		if curve == nil {
			return nil, &Invalid{"crv", "is not a curve of this service"}
		}
		private, err := ecdsa.GenerateKey(curve, random)
		if err != nil {
			return nil, err
		}
		return newEC(private), nil
	}
	return nil, &Invalid{"kty", "is not a type of key that can be made"}
}

// New takes a key that Go holds: *rsa.PrivateKey, *ecdsa.PrivateKey, *Koblitz
// or *secp256k1.PrivateKey. It is checked as an imported one is.
func New(private crypto.PrivateKey) (*Key, error) {
	switch p := private.(type) {
	case *rsa.PrivateKey:
		if len(p.Primes) != 2 {
			return nil, &Invalid{"p", "is one of more than two primes"}
		}
		return Import(JWK{Type: RSA, N: p.N.Bytes(), E: big.NewInt(int64(p.E)).Bytes(), D: p.D.Bytes(),
			P: p.Primes[0].Bytes(), Q: p.Primes[1].Bytes()})
	case *ecdsa.PrivateKey:
		curve, err := curveOf(p.Curve)
		if err != nil {
			return nil, err
		}
		raw, err := p.Bytes()
		if err != nil {
			return nil, &Invalid{"d", "is out of range"}
		}
		point, err := p.PublicKey.Bytes()
		if err != nil {
			return nil, &Invalid{"x", "and y are not a point of the curve"}
		}
		half := len(point) / 2
		return Import(JWK{Type: EC, Curve: curve, D: raw, X: point[1 : 1+half], Y: point[1+half:]})
	case *Koblitz:
		return newKoblitz(&p.d), nil
	case *secp256k1.PrivateKey:
		if p.Key.IsZero() {
			return nil, &Invalid{"d", "is out of range"}
		}
		return newKoblitz(&p.Key), nil
	}
	return nil, &Invalid{"kty", fmt.Sprintf("is not one of this service (%T)", private)}
}

func newRSA(private *rsa.PrivateKey) *Key {
	return &Key{bits: private.N.BitLen(), public: &private.PublicKey, signer: private}
}

func newEC(private *ecdsa.PrivateKey) *Key {
	name := private.Curve.Params().Name
	return &Key{curve: name, bits: private.Curve.Params().BitSize, public: &private.PublicKey, signer: private}
}

func newKoblitz(d *secp256k1.ModNScalar) *Key {
	private := newKoblitzPrivate(d)
	return &Key{curve: P256K, bits: 256, public: &private.public, signer: private}
}

// Private is the private part, for making certificates; nil when there is
// none. It signs digests and, for the curves, in ASN.1, as Go's keys do.
func (k *Key) Private() crypto.Signer { return k.signer }

// Public is the public part: *rsa.PublicKey, *ecdsa.PublicKey or
// *KoblitzPublic.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Type is RSA or EC.
func (k *Key) Type() string {
	if k.curve == "" {
		return RSA
	}
	return EC
}

// Curve is the name of the curve; "" for RSA.
func (k *Key) Curve() string { return k.curve }

// Bits is the length of the modulus, or of the numbers of the curve.
func (k *Key) Bits() int { return k.bits }

// nist is the curve of the standard library with a JWK's name; nil for any
// other name.
func nist(name string) elliptic.Curve {
	switch name {
	case P256:
		return elliptic.P256()
	case P384:
		return elliptic.P384()
	case P521:
		return elliptic.P521()
	}
	return nil
}

// curveOf is the JWK's name of a curve of the standard library.
func curveOf(c elliptic.Curve) (string, error) {
	if c != nil {
		if name := c.Params().Name; nist(name) == c {
			return name, nil
		}
	}
	return "", &Invalid{"crv", "is not a curve of this service"}
}

// generateRSA makes an RSA key. Another exponent than the usual one is rare;
// its primes are found here, since the library only knows 65537.
func generateRSA(random io.Reader, bits int, exponent int64) (*Key, error) {
	if !rsaSize(bits) {
		return nil, &Invalid{"key_size", "is not 2048, 3072 or 4096"}
	}
	if exponent == 0 || exponent == 65537 {
		private, err := rsa.GenerateKey(random, bits)
		if err != nil {
			return nil, err
		}
		return newRSA(private), nil
	}
	if exponent < 3 || exponent > maxExponent || exponent%2 == 0 {
		return nil, &Invalid{"public_exponent", "is not an odd number from 3 to 2147483647"}
	}
	e := big.NewInt(exponent)
	for {
		p, err := primeFor(random, bits/2, e)
		if err != nil {
			return nil, err
		}
		q, err := primeFor(random, bits/2, e)
		if err != nil {
			return nil, err
		}
		private := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(exponent)}, Primes: []*big.Int{p, q}}
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		private.D = new(big.Int).ModInverse(e, phi)
		private.Precompute()
		// What Validate refuses here is primes that lie too near each other.
		if private.N.BitLen() == bits && private.Validate() == nil {
			return newRSA(private), nil
		}
	}
}

// primeFor finds a prime p such that e has an inverse modulo p-1.
func primeFor(random io.Reader, bits int, e *big.Int) (*big.Int, error) {
	for {
		p, err := rand.Prime(random, bits)
		if err != nil {
			return nil, err
		}
		if new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(p, one)).Cmp(one) == 0 {
			return p, nil
		}
	}
}

var one = big.NewInt(1)
