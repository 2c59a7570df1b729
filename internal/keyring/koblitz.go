package keyring

import (
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/binary"
	"io"
	"math/big"
	"sync"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// The arithmetic of P-256K. The numbers are secp256k1's, whose field and
// scalar operations take constant time; its multiplication of a point and its
// inversion of a scalar do not, and a nonce that leaks gives the key away. So
// the two that meet a secret are here: a multiplication of the base point by a
// table that is read in full, with addition formulas that have no exceptions,
// and an inversion by Fermat. Verifying meets no secret and is the library's.

// Koblitz is a private key on P-256K.
type Koblitz struct {
	d      secp256k1.ModNScalar
	public KoblitzPublic
}

// KoblitzPublic is a public key on P-256K.
type KoblitzPublic struct {
	point secp256k1.PublicKey
}

// newKoblitzPrivate derives the public part of d, which is not 0.
func newKoblitzPrivate(d *secp256k1.ModNScalar) *Koblitz {
	x, y := baseMultiple(d)
	return &Koblitz{*d, KoblitzPublic{*secp256k1.NewPublicKey(&x, &y)}}
}

// Public is the public part, a *KoblitzPublic.
func (p *Koblitz) Public() crypto.PublicKey { return &p.public }

// Sign signs a digest of 32 bytes; the signature is in ASN.1, as of Go's own
// keys.
func (p *Koblitz) Sign(random io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	if len(digest) != 32 {
		return nil, ErrSize
	}
	var raw [64]byte
	if random == nil {
		random = rand.Reader
	}
	if err := p.sign(random, digest, raw[:]); err != nil {
		return nil, err
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
}

// sign writes r and s to out. The nonce is that of RFC 6979 with 32 random
// bytes as additional data (§3.6): neither a bad source of randomness nor a
// repeated digest gives the key away. s is the lower of the two that are
// valid, which is what chains demand; both are accepted.
func (p *Koblitz) sign(random io.Reader, digest, out []byte) error {
	var extra, secret [32]byte
	if _, err := io.ReadFull(random, extra[:]); err != nil {
		return err
	}
	p.d.PutBytes(&secret)
	for try := uint32(0); ; try++ {
		k := secp256k1.NonceRFC6979(secret[:], digest, extra[:], nil, try)
		x, _ := baseMultiple(k)
		var r, e secp256k1.ModNScalar
		r.SetBytes(x.Bytes())
		e.SetByteSlice(digest)
		s := new(secp256k1.ModNScalar).Mul2(&p.d, &r).Add(&e).Mul(inverse(k))
		if r.IsZero() || s.IsZero() {
			continue
		}
		if s.IsOverHalfOrder() {
			s.Negate()
		}
		r.PutBytesUnchecked(out[:32])
		s.PutBytesUnchecked(out[32:])
		return nil
	}
}

// Equal reports whether two public keys are the same one.
func (p *KoblitzPublic) Equal(other crypto.PublicKey) bool {
	o, ok := other.(*KoblitzPublic)
	return ok && p.point.IsEqual(&o.point)
}

// Bytes is the point, uncompressed (SEC 1 §2.3.3).
func (p *KoblitzPublic) Bytes() []byte { return p.point.SerializeUncompressed() }

// verify checks r and s, each of 32 bytes.
func (p *KoblitzPublic) verify(digest, signature []byte) bool {
	var r, s secp256k1.ModNScalar
	if r.SetByteSlice(signature[:32]) || s.SetByteSlice(signature[32:]) {
		return false // not below the order
	}
	return ecdsa.NewSignature(&r, &s).Verify(digest, &p.point)
}

// inverse is 1/k modulo the order n, as k^(n-2). The exponent is public, so
// its bits may steer.
func inverse(k *secp256k1.ModNScalar) *secp256k1.ModNScalar {
	var powers [16]secp256k1.ModNScalar
	powers[0].SetInt(1)
	for i := 1; i < len(powers); i++ {
		powers[i].Mul2(&powers[i-1], k)
	}
	result := powers[0]
	for _, b := range orderMinusTwo {
		for _, nibble := range [2]byte{b >> 4, b & 15} {
			result.Square().Square().Square().Square()
			result.Mul(&powers[nibble])
		}
	}
	return &result
}

// orderMinusTwo is n-2, where n is the order of the curve.
var orderMinusTwo = new(big.Int).Sub(secp256k1.Params().N, big.NewInt(2)).FillBytes(make([]byte, 32))

// entry is x and y of a point.
type entry [8]uint64

// multiples has, for each of the 64 nibbles of a scalar, what it adds to the
// product: digit × 16^i × G. Digit 0 adds the point at infinity, written with
// x 0 and y 1. It is 64 KB and takes a few milliseconds to make.
var multiples = sync.OnceValue(func() *[64][16]entry {
	table := new([64][16]entry)
	var base secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(new(secp256k1.ModNScalar).SetInt(1), &base)
	for i := range table {
		table[i][0][7] = 1
		var sum secp256k1.JacobianPoint
		for digit := 1; digit < 16; digit++ {
			secp256k1.AddNonConst(&sum, &base, &sum)
			sum.ToAffine()
			table[i][digit] = newEntry(sum.X.Bytes(), sum.Y.Bytes())
		}
		secp256k1.AddNonConst(&sum, &base, &base) // 16 times as much
		base.ToAffine()
	}
	return table
})

func newEntry(x, y *[32]byte) (e entry) {
	for i := range 4 {
		e[i] = binary.BigEndian.Uint64(x[8*i:])
		e[4+i] = binary.BigEndian.Uint64(y[8*i:])
	}
	return e
}

// baseMultiple is k×G, in affine coordinates.
func baseMultiple(k *secp256k1.ModNScalar) (x, y secp256k1.FieldVal) {
	table := multiples()
	scalar := k.Bytes()
	var sum projective
	sum.y.SetInt(1) // infinity
	for i := range table {
		b := scalar[31-i/2]
		digit := b >> (4 * (i % 2)) & 15
		chosen := choose(&table[i], digit)
		sum.add(&chosen)
	}
	sum.z.Inverse()
	x.Mul2(&sum.x, &sum.z).Normalize()
	y.Mul2(&sum.y, &sum.z).Normalize()
	return x, y
}

// choose reads the whole row and keeps the entry of digit.
func choose(row *[16]entry, digit byte) (p projective) {
	var e entry
	for i := range row {
		mask := -uint64(subtle.ConstantTimeByteEq(byte(i), digit))
		for j := range e {
			e[j] |= row[i][j] & mask
		}
	}
	var x, y [32]byte
	for i := range 4 {
		binary.BigEndian.PutUint64(x[8*i:], e[i])
		binary.BigEndian.PutUint64(y[8*i:], e[4+i])
	}
	p.x.SetBytes(&x)
	p.y.SetBytes(&y)
	p.z.SetInt(uint16(1 - subtle.ConstantTimeByteEq(digit, 0)))
	return p
}

// projective is a point (x/z, y/z), with z 0 for infinity. Its coordinates
// are normalized.
type projective struct{ x, y, z secp256k1.FieldVal }

// add adds q. The formulas are complete: they hold for equal points and for
// infinity too (Renes, Costello, Batina: Complete addition formulas for prime
// order elliptic curves, 2016, algorithm 7 with b3 = 21).
func (p *projective) add(q *projective) {
	type field = secp256k1.FieldVal
	var xx, yy, zz, xy, yz, xz field
	xx.Mul2(&p.x, &q.x)
	yy.Mul2(&p.y, &q.y)
	zz.Mul2(&p.z, &q.z)
	cross(&xy, &p.x, &p.y, &q.x, &q.y, &xx, &yy)
	cross(&yz, &p.y, &p.z, &q.y, &q.z, &yy, &zz)
	cross(&xz, &p.x, &p.z, &q.x, &q.z, &xx, &zz)

	xx.MulInt(3)
	zz.MulInt(21).Normalize()
	xz.Normalize().MulInt(21).Normalize()
	var sum, difference, a, b field
	sum.Add2(&yy, &zz)
	difference.NegateVal(&zz, 1).Add(&yy)

	a.Mul2(&yz, &xz)
	b.Mul2(&xy, &difference)
	p.x.NegateVal(&a, 1).Add(&b).Normalize()
	a.Mul2(&difference, &sum)
	b.Mul2(&xz, &xx)
	p.y.Add2(&a, &b).Normalize()
	a.Mul2(&sum, &yz)
	b.Mul2(&xx, &xy)
	p.z.Add2(&a, &b).Normalize()
}

// cross sets r to (a+b)(c+d) - ac - bd.
func cross(r, a, b, c, d, ac, bd *secp256k1.FieldVal) {
	var other secp256k1.FieldVal
	r.Add2(a, b)
	other.Add2(c, d)
	r.Mul(&other)
	other.Add2(ac, bd)
	r.Add(other.Negate(2))
}
