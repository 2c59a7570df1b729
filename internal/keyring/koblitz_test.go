package keyring

import (
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// TestMultiplesAreTheLibrarys holds what is ours equal to the library's, which
// is not constant-time: at the edges, at every digit of every place, and at
// random.
func TestMultiplesAreTheLibrarys(t *testing.T) {
	scalars := []*secp256k1.ModNScalar{}
	for _, n := range []uint32{1, 2, 3, 15, 16, 17, 255, 256, 1 << 31} {
		k := new(secp256k1.ModNScalar).SetInt(n)
		scalars = append(scalars, k, new(secp256k1.ModNScalar).NegateVal(k))
	}
	for place := range 32 {
		for digit := 1; digit < 256; digit += 17 {
			var b [32]byte
			b[place] = byte(digit)
			k := new(secp256k1.ModNScalar)
			k.SetBytes(&b)
			scalars = append(scalars, k)
		}
	}
	for range 200 {
		var b [32]byte
		rand.Read(b[:])
		k := new(secp256k1.ModNScalar)
		k.SetBytes(&b)
		scalars = append(scalars, k)
	}
	for _, k := range scalars {
		var want secp256k1.JacobianPoint
		secp256k1.ScalarBaseMultNonConst(k, &want)
		want.ToAffine()
		if x, y := baseMultiple(k); !x.Equals(&want.X) || !y.Equals(&want.Y) {
			t.Errorf("baseMultiple(%v) = %v, %v, want %v, %v", k, x, y, want.X, want.Y)
		}
		if got, want := inverse(k), new(secp256k1.ModNScalar).InverseValNonConst(k); !got.Equals(want) {
			t.Errorf("inverse(%v) = %v, want %v", k, got, want)
		}
	}
}

// TestAdditionIsComplete: equal points, opposite points and infinity are
// added by the same formulas.
func TestAdditionIsComplete(t *testing.T) {
	row := &multiples()[0]
	for i := range byte(16) {
		for j := range byte(16) {
			sum, other := choose(row, i), choose(row, j)
			sum.add(&other)
			got := sum
			got.z.Inverse()
			got.x.Mul(&got.z).Normalize()
			var want secp256k1.JacobianPoint
			secp256k1.ScalarBaseMultNonConst(new(secp256k1.ModNScalar).SetInt(uint32(i)+uint32(j)), &want)
			want.ToAffine()
			if i+j > 0 && !got.x.Equals(&want.X) || (i+j == 0) != sum.z.IsZero() {
				t.Errorf("%d×G + %d×G = %v, want %v", i, j, got.x, want.X)
			}
			opposite := choose(row, i)
			opposite.y.Negate(1).Normalize()
			same := choose(row, i)
			if same.add(&opposite); !same.z.IsZero() || same.y.IsZero() {
				t.Errorf("%d×G - %d×G is not infinity", i, i)
			}
		}
	}
}

// TestKoblitzIsASigner: a key on P-256K signs as Go's own keys do, in ASN.1.
func TestKoblitzIsASigner(t *testing.T) {
	made, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(made)
	if err != nil {
		t.Fatal(err)
	}
	digest := make([]byte, 32)
	rand.Read(digest)
	for _, random := range []io.Reader{nil, rand.Reader} {
		der, err := k.Private().Sign(random, digest, crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		var s struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(der, &s); err != nil || len(rest) > 0 {
			t.Fatalf("Sign = %x, which is not r and s in ASN.1 (%v)", der, err)
		}
		raw := append(s.R.FillBytes(make([]byte, 32)), s.S.FillBytes(make([]byte, 32))...)
		if ok, err := k.Verify("ES256K", digest, raw); !ok || err != nil {
			t.Errorf("Verify of a signer's signature = %v, %v", ok, err)
		}
		// The other s is as good.
		s.S.Sub(secp256k1.Params().N, s.S).FillBytes(raw[32:])
		if ok, err := k.Verify("ES256K", digest, raw); !ok || err != nil {
			t.Errorf("Verify with the higher s = %v, %v", ok, err)
		}
	}
	if _, err := k.Private().Sign(rand.Reader, digest[:31], crypto.SHA256); err != ErrSize {
		t.Errorf("Sign of 31 bytes = %v, want %v", err, ErrSize)
	}
	if _, err := k.Private().Sign(strings.NewReader("short"), digest, crypto.SHA256); err == nil {
		t.Error("Sign without randomness succeeds")
	}
	other, err := Generate(rand.Reader, Spec{Type: EC, Curve: P256K})
	if err != nil {
		t.Fatal(err)
	}
	public := k.Private().Public().(*KoblitzPublic)
	if !public.Equal(k.Public()) || public.Equal(other.Public()) || public.Equal(nil) {
		t.Errorf("Equal(itself, another, nil) = %v, %v, %v", public.Equal(k.Public()), public.Equal(other.Public()), public.Equal(nil))
	}
	if _, err := New(new(secp256k1.PrivateKey)); err == nil {
		t.Error("New of the private key 0 succeeds")
	}
}
