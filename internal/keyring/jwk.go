package keyring

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"math/big"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// JWK is a key in numbers, big-endian, with or without leading zeros (RFC
// 7518 §6; spec: JsonWebKey).
type JWK struct {
	Type, Curve               string
	N, E, D, P, Q, DP, DQ, QI []byte
	X, Y                      []byte
}

// Invalid says why material is refused. It never holds the material.
type Invalid struct {
	// Property is the JWK's property, or the parameter, that is wrong.
	Property string
	// Reason is what is wrong with it, to be read after the property.
	Reason string
}

// Error names the property, never its value.
func (e *Invalid) Error() string { return fmt.Sprintf("keyring: %s %s", e.Property, e.Reason) }

// maxNumber is the length of a number, with leading zeros, up to which it is
// looked at: the longest one that can be right has 512 bytes.
const maxNumber = 1024

// Import takes a key pair that came from outside. Everything about it is
// checked: lengths before any arithmetic, then that the numbers belong
// together. Missing primes and values of the Chinese remainder theorem are
// computed; those that came must be the ones that were computed.
func Import(j JWK) (*Key, error) {
	if err := j.trim(); err != nil {
		return nil, err
	}
	switch {
	case j.Type != RSA && j.Type != EC:
		return nil, &Invalid{"kty", "is not RSA or EC"}
	case len(j.D) == 0:
		return nil, &Invalid{"d", "is missing: the private key is needed"}
	case j.Type == EC:
		return importEC(&j)
	}
	return importRSA(&j)
}

// ImportPublic takes the public part of a key that came from outside; numbers
// of the private part are not looked at.
func ImportPublic(j JWK) (*Key, error) {
	if err := j.trim(); err != nil {
		return nil, err
	}
	switch j.Type {
	case RSA:
		public, err := importModulus(&j)
		if err != nil {
			return nil, err
		}
		return &Key{bits: public.N.BitLen(), public: public}, nil
	case EC:
		return importPoint(&j)
	}
	return nil, &Invalid{"kty", "is not RSA or EC"}
}

// trim takes leading zeros off, and refuses what is too long to be looked at.
func (j *JWK) trim() error {
	for _, n := range []struct {
		name  string
		value *[]byte
	}{{"n", &j.N}, {"e", &j.E}, {"d", &j.D}, {"p", &j.P}, {"q", &j.Q}, {"dp", &j.DP}, {"dq", &j.DQ}, {"qi", &j.QI}, {"x", &j.X}, {"y", &j.Y}} {
		if len(*n.value) > maxNumber {
			return &Invalid{n.name, fmt.Sprintf("is longer than %d bytes", maxNumber)}
		}
		for len(*n.value) > 1 && (*n.value)[0] == 0 { // 0 itself is a number, too
			*n.value = (*n.value)[1:]
		}
	}
	return nil
}

// importModulus checks n and e.
func importModulus(j *JWK) (*rsa.PublicKey, error) {
	n, e := new(big.Int).SetBytes(j.N), new(big.Int).SetBytes(j.E)
	switch {
	case len(j.N) == 0:
		return nil, &Invalid{"n", "is missing"}
	case !rsaSize(n.BitLen()):
		return nil, &Invalid{"n", fmt.Sprintf("has %d bits; 2048, 3072 and 4096 are supported", n.BitLen())}
	case n.Bit(0) == 0:
		return nil, &Invalid{"n", "is even"}
	case len(j.E) == 0:
		return nil, &Invalid{"e", "is missing"}
	case len(j.E) > 4 || e.Cmp(big.NewInt(3)) < 0 || e.Cmp(big.NewInt(maxExponent)) > 0 || e.Bit(0) == 0:
		return nil, &Invalid{"e", "is not an odd number from 3 to 2147483647"}
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func importRSA(j *JWK) (*Key, error) {
	public, err := importModulus(j)
	if err != nil {
		return nil, err
	}
	d := new(big.Int).SetBytes(j.D)
	if d.Cmp(one) <= 0 || d.Cmp(public.N) >= 0 {
		return nil, &Invalid{"d", "is out of range"}
	}
	p, q, err := importPrimes(j, public, d)
	if err != nil {
		return nil, err
	}
	private := &rsa.PrivateKey{PublicKey: *public, D: d, Primes: []*big.Int{p, q}}
	private.Precompute()
	if private.Validate() != nil {
		return nil, &Invalid{"d", "does not belong to the other numbers"}
	}
	for _, crt := range []struct {
		name     string
		given    []byte
		computed *big.Int
	}{{"dp", j.DP, private.Precomputed.Dp}, {"dq", j.DQ, private.Precomputed.Dq}, {"qi", j.QI, private.Precomputed.Qinv}} {
		if len(crt.given) > 0 && subtle.ConstantTimeCompare(crt.given, crt.computed.Bytes()) == 0 {
			return nil, &Invalid{crt.name, "does not belong to the other numbers"}
		}
	}
	return newRSA(private), nil
}

// importPrimes checks p and q, or finds them.
func importPrimes(j *JWK, public *rsa.PublicKey, d *big.Int) (p, q *big.Int, err error) {
	switch {
	case (len(j.P) == 0) != (len(j.Q) == 0):
		return nil, nil, &Invalid{"p", "and q come together or not at all"}
	case len(j.P) != 0:
		p, q = new(big.Int).SetBytes(j.P), new(big.Int).SetBytes(j.Q)
	case len(j.DP)+len(j.DQ)+len(j.QI) != 0:
		return nil, nil, &Invalid{"p", "is missing, though values that depend on it are there"}
	default:
		if p, q = factor(public.N, big.NewInt(int64(public.E)), d); p == nil {
			return nil, nil, &Invalid{"d", "does not belong to n and e"}
		}
	}
	for _, prime := range []struct {
		name  string
		value *big.Int
	}{{"p", p}, {"q", q}} {
		if prime.value.BitLen() != public.N.BitLen()/2 {
			return nil, nil, &Invalid{prime.name, "is not half as long as n"}
		}
		// Baillie-PSW: no composite number is known that passes it.
		if !prime.value.ProbablyPrime(0) {
			return nil, nil, &Invalid{prime.name, "is not a prime number"}
		}
	}
	if new(big.Int).Mul(p, q).Cmp(public.N) != 0 {
		return nil, nil, &Invalid{"n", "is not the product of p and q"}
	}
	return p, q, nil
}

// factor finds the primes of n from both exponents (NIST SP 800-56B Rev. 2,
// appendix C.2, made deterministic): if e×d-1 is a multiple of the order of
// every number, then a square root of 1 that is neither 1 nor -1 turns up for
// at least every other base, and its distance to 1 shares a prime with n. For
// numbers that do not belong together it finds nothing. The time it takes
// depends on d: this is done once, at import.
func factor(n, e, d *big.Int) (p, q *big.Int) {
	k := new(big.Int).Mul(e, d)
	k.Sub(k, one)
	if k.Sign() <= 0 || k.Bit(0) == 1 {
		return nil, nil
	}
	twos := k.TrailingZeroBits()
	odd := new(big.Int).Rsh(k, twos)
	minusOne := new(big.Int).Sub(n, one)
	for _, base := range []int64{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89} {
		x := new(big.Int).Exp(big.NewInt(base), odd, n)
		for i := uint(0); i < twos && x.Cmp(one) != 0 && x.Cmp(minusOne) != 0; i++ {
			square := new(big.Int).Mul(x, x)
			square.Mod(square, n)
			if square.Cmp(one) == 0 {
				p = new(big.Int).GCD(nil, nil, x.Sub(x, one), n)
				q = new(big.Int).Quo(n, p)
				if p.Cmp(q) < 0 {
					p, q = q, p
				}
				return p, q
			}
			x = square
		}
		if x.Cmp(one) != 0 && x.Cmp(minusOne) != 0 {
			return nil, nil // base^(e×d-1) is not 1
		}
	}
	return nil, nil
}

// importPoint checks x and y.
func importPoint(j *JWK) (*Key, error) {
	size, ok := widths[j.Curve]
	if !ok {
		return nil, &Invalid{"crv", "is not P-256, P-384, P-521 or P-256K"}
	}
	point := make([]byte, 2*size)
	for i, n := range []struct {
		name  string
		value []byte
	}{{"x", j.X}, {"y", j.Y}} {
		if len(n.value) == 0 {
			return nil, &Invalid{n.name, "is missing"}
		}
		if len(n.value) > size {
			return nil, &Invalid{n.name, "is longer than a number of the curve"}
		}
		copy(point[(i+1)*size-len(n.value):], n.value)
	}
	public, err := openPoint(j.Curve, point)
	if err != nil {
		return nil, &Invalid{"x", "and y are not a point of the curve"}
	}
	return public, nil
}

func importEC(j *JWK) (*Key, error) {
	public, err := importPoint(j)
	if err != nil {
		return nil, err
	}
	if len(j.D) > public.width() {
		return nil, &Invalid{"d", "is out of range"}
	}
	key, err := openScalar(j.Curve, append(make([]byte, public.width()-len(j.D)), j.D...))
	if err != nil {
		return nil, &Invalid{"d", "is out of range"}
	}
	if !bytes.Equal(key.point(), public.point()) {
		return nil, &Invalid{"d", "does not belong to x and y"}
	}
	return key, nil
}

// openScalar is the key pair whose private part is d, of full length.
func openScalar(curve string, d []byte) (*Key, error) {
	if curve == P256K {
		var scalar secp256k1.ModNScalar
		if scalar.SetByteSlice(d) || scalar.IsZero() {
			return nil, ErrMaterial
		}
		return newKoblitz(&scalar), nil
	}
	private, err := ecdsa.ParseRawPrivateKey(nist(curve), d)
	if err != nil {
		return nil, ErrMaterial
	}
	return newEC(private), nil
}

// openPoint is the public key with the coordinates in xy, of full length.
func openPoint(curve string, xy []byte) (*Key, error) {
	point := append([]byte{4}, xy...)
	if curve == P256K {
		public, err := secp256k1.ParsePubKey(point)
		if err != nil {
			return nil, ErrMaterial
		}
		return &Key{curve: curve, bits: 256, public: &KoblitzPublic{*public}}, nil
	}
	public, err := ecdsa.ParseUncompressedPublicKey(nist(curve), point)
	if err != nil {
		return nil, ErrMaterial
	}
	return &Key{curve: curve, bits: public.Curve.Params().BitSize, public: public}, nil
}

// JWK is the public part in numbers. Those of a curve are as long as the
// curve's (RFC 7518 §6.2.1.2).
func (k *Key) JWK() JWK {
	if public, ok := k.public.(*rsa.PublicKey); ok {
		return JWK{Type: RSA, N: public.N.Bytes(), E: big.NewInt(int64(public.E)).Bytes()}
	}
	point := k.point()
	return JWK{Type: EC, Curve: k.curve, X: point[:k.width()], Y: point[k.width():]}
}

// PrivateJWK is both parts in numbers, for a release; the public part alone
// when there is no other.
func (k *Key) PrivateJWK() JWK {
	j := k.JWK()
	switch private := k.signer.(type) {
	case *rsa.PrivateKey:
		j.D = private.D.Bytes()
		j.P, j.Q = private.Primes[0].Bytes(), private.Primes[1].Bytes()
		j.DP, j.DQ = private.Precomputed.Dp.Bytes(), private.Precomputed.Dq.Bytes()
		j.QI = private.Precomputed.Qinv.Bytes()
	case nil:
	default:
		j.D = k.scalar()
	}
	return j
}

// point is x and y of a key on a curve, of full length.
func (k *Key) point() []byte {
	if public, ok := k.public.(*KoblitzPublic); ok {
		return public.Bytes()[1:]
	}
	point, err := k.public.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		panic("keyring: internal error: " + err.Error()) // every key was checked when it was made
	}
	return point[1:]
}

// scalar is the private part of a key on a curve, of full length.
func (k *Key) scalar() []byte {
	if private, ok := k.signer.(*Koblitz); ok {
		d := private.d.Bytes()
		return d[:]
	}
	d, err := k.signer.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		panic("keyring: internal error: " + err.Error())
	}
	return d
}
