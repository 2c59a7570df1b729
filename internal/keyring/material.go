package keyring

import (
	"crypto/rsa"
	"encoding/binary"
	"math/big"
)

// The encoding of a key, for sealing. All numbers have their full length, so
// nothing has to be searched and the length of the whole is known from its
// first bytes.
//
//	format, kind                           one byte each
//	RSA: length of n in bytes (2), e (4), n; then d, p, q, dp, dq, qi
//	EC:  curve (1), x, y; then d
//
// The public part comes first, so that what verifies or encrypts stops there.
const format = 1

// Kinds of encoding.
const (
	pairRSA   = 'R'
	pairEC    = 'E'
	publicRSA = 'r'
	publicEC  = 'e'
)

// curves are numbered in the encoding. A number is never used again.
var curves = [...]string{1: P256, 2: P384, 3: P521, 4: P256K}

// Material encodes the key with its private part. What it returns is as
// secret as the key.
func (k *Key) Material() []byte {
	if k.signer == nil {
		return k.PublicMaterial()
	}
	out := k.PublicMaterial()
	private, ok := k.signer.(*rsa.PrivateKey)
	if !ok {
		out[1] = pairEC
		return append(out, k.scalar()...)
	}
	out[1] = pairRSA
	size := private.Size()
	out = appendNumber(out, private.D, size)
	for _, n := range []*big.Int{private.Primes[0], private.Primes[1], private.Precomputed.Dp, private.Precomputed.Dq, private.Precomputed.Qinv} {
		out = appendNumber(out, n, size/2)
	}
	return out
}

// PublicMaterial encodes the public part alone. Open takes it, too.
func (k *Key) PublicMaterial() []byte {
	if public, ok := k.public.(*rsa.PublicKey); ok {
		size := public.Size()
		out := make([]byte, 0, 8+5*size)
		out = append(out, format, publicRSA)
		out = binary.BigEndian.AppendUint16(out, uint16(size))
		out = binary.BigEndian.AppendUint32(out, uint32(public.E))
		return appendNumber(out, public.N, size)
	}
	out := []byte{format, publicEC, 0}
	for number, name := range curves {
		if name == k.curve {
			out[2] = byte(number)
		}
	}
	return append(out, k.point()...)
}

func appendNumber(out []byte, n *big.Int, size int) []byte {
	out = append(out, make([]byte, size)...)
	n.FillBytes(out[len(out)-size:])
	return out
}

// Open is the key that Material or PublicMaterial encoded; ErrMaterial for
// anything else. That the numbers belong together is checked again.
func Open(material []byte) (*Key, error) { return open(material, true) }

// OpenPublic is the public part of what Material or PublicMaterial encoded.
// It does none of the work that only the private part needs.
func OpenPublic(material []byte) (*Key, error) { return open(material, false) }

func open(material []byte, private bool) (*Key, error) {
	if len(material) < 3 || material[0] != format {
		return nil, ErrMaterial
	}
	switch kind := material[1]; kind {
	case pairRSA, publicRSA:
		return openRSA(material[2:], kind == pairRSA, private)
	case pairEC, publicEC:
		return openEC(material[2:], kind == pairEC, private)
	}
	return nil, ErrMaterial
}

func openRSA(b []byte, pair, private bool) (*Key, error) {
	if len(b) < 6 {
		return nil, ErrMaterial
	}
	size, e := int(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[2:])
	want := 6 + size
	if pair {
		want = 6 + 2*size + 5*(size/2)
	}
	if !rsaSize(size*8) || len(b) != want || e < 3 || e > maxExponent || e%2 == 0 {
		return nil, ErrMaterial
	}
	b = b[6:]
	next := func(size int) *big.Int {
		n := new(big.Int).SetBytes(b[:size])
		b = b[size:]
		return n
	}
	public := rsa.PublicKey{N: next(size), E: int(e)}
	if public.N.BitLen() != size*8 || public.N.Bit(0) == 0 {
		return nil, ErrMaterial
	}
	if !pair || !private {
		return &Key{bits: size * 8, public: &public}, nil
	}
	key := &rsa.PrivateKey{PublicKey: public, D: next(size), Primes: []*big.Int{next(size / 2), next(size / 2)},
		Precomputed: rsa.PrecomputedValues{Dp: next(size / 2), Dq: next(size / 2), Qinv: next(size / 2)}}
	key.Precompute()
	if key.Validate() != nil {
		return nil, ErrMaterial
	}
	return newRSA(key), nil
}

func openEC(b []byte, pair, private bool) (*Key, error) {
	if b[0] == 0 || int(b[0]) >= len(curves) {
		return nil, ErrMaterial
	}
	curve := curves[b[0]]
	width := widths[curve]
	want := 2 * width
	if pair {
		want += width
	}
	if b = b[1:]; len(b) != want {
		return nil, ErrMaterial
	}
	point := b[:2*width]
	if !pair || !private {
		return openPoint(curve, point)
	}
	key, err := openScalar(curve, b[2*width:])
	if err != nil || string(key.point()) != string(point) {
		return nil, ErrMaterial
	}
	return key, nil
}
