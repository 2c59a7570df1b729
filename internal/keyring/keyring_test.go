package keyring_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "postern/internal/keyring"
)

// specs is every key a vault has.
var specs = []Spec{
	{Type: RSA, Size: 2048}, {Type: RSA, Size: 3072}, {Type: RSA, Size: 4096}, {Type: RSA, Size: 2048, Exponent: 3},
	{Type: EC, Curve: P256}, {Type: EC, Curve: P384}, {Type: EC, Curve: P521}, {Type: EC, Curve: P256K},
}

// generate makes a key, once for each spec: RSA keys are slow to find.
func generate(t testing.TB, s Spec) *Key {
	t.Helper()
	if k, ok := made[s]; ok {
		return k
	}
	k, err := Generate(rand.Reader, s)
	if err != nil {
		t.Fatalf("Generate(%v): %v", s, err)
	}
	made[s] = k
	return k
}

var made = map[Spec]*Key{}

// digest is n bytes that no two calls share.
func digest(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestKeysAreWhatWasAsked(t *testing.T) {
	bits := map[string]int{P256: 256, P384: 384, P521: 521, P256K: 256}
	for _, s := range specs {
		k := generate(t, s)
		if k.Type() != s.Type || k.Curve() != s.Curve || k.Bits() != max(s.Size, bits[s.Curve]) {
			t.Errorf("Generate(%v) = %s %s %d", s, k.Type(), k.Curve(), k.Bits())
		}
		e := map[int64][]byte{0: {1, 0, 1}, 3: {3}}[s.Exponent]
		if j := k.JWK(); s.Type == RSA && !bytes.Equal(j.E, e) {
			t.Errorf("Generate(%v) has e %x, want %x", s, j.E, e)
		}
		if j := k.JWK(); j.D != nil || j.P != nil || j.Q != nil || j.DP != nil || j.DQ != nil || j.QI != nil {
			t.Errorf("JWK of %v has private numbers", s)
		}
	}
}

func TestGenerateRefuses(t *testing.T) {
	for _, s := range []Spec{
		{}, {Type: "oct", Size: 256}, {Type: "RSA-HSM", Size: 2048}, {Type: RSA}, {Type: RSA, Size: 1024}, {Type: RSA, Size: 2049}, {Type: RSA, Size: 8192},
		{Type: RSA, Size: 2048, Exponent: 1}, {Type: RSA, Size: 2048, Exponent: 4}, {Type: RSA, Size: 2048, Exponent: -3}, {Type: RSA, Size: 2048, Exponent: 1<<31 + 1},
		{Type: EC}, {Type: EC, Curve: "P-224"}, {Type: EC, Curve: "p-256"}, {Type: EC, Curve: "secp256k1"},
	} {
		var invalid *Invalid
		if k, err := Generate(rand.Reader, s); !errors.As(err, &invalid) || k != nil {
			t.Errorf("Generate(%v) = %v, %v, want it refused", s, k, err)
		}
	}
}

// TestEveryAlgorithm takes each row of the table through each key: those it
// is for work both ways, and the others are refused.
func TestEveryAlgorithm(t *testing.T) {
	for _, s := range specs {
		k := generate(t, s)
		for _, a := range Algorithms() {
			if a.Use == Encryption {
				everyEncryption(t, k, a)
			} else {
				everySignature(t, k, a)
			}
		}
	}
}

func everyEncryption(t *testing.T, k *Key, a Algorithm) {
	t.Helper()
	plain := digest(32)
	for name, do := range map[string][2]func(string, []byte) ([]byte, error){"Encrypt": {k.Encrypt, k.Decrypt}, "Wrap": {k.Wrap, k.Unwrap}} {
		sealed, err := do[0](a.Name, plain)
		if !a.For(k) {
			if _, back := do[1](a.Name, plain); !errors.Is(err, ErrMismatch) || !errors.Is(back, ErrMismatch) {
				t.Errorf("%s(%s) with %s%s = %v, and back %v, want %v", name, a.Name, k.Type(), k.Curve(), err, back, ErrMismatch)
			}
			continue
		}
		if got, back := do[1](a.Name, sealed); err != nil || back != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s(%s) and back = %x, %v, %v, want %x", name, a.Name, got, err, back, plain)
		}
		if again, err := do[0](a.Name, plain); err != nil || bytes.Equal(sealed, again) {
			t.Errorf("%s(%s) gives the same ciphertext twice (%v)", name, a.Name, err)
		}
	}
}

func everySignature(t *testing.T, k *Key, a Algorithm) {
	t.Helper()
	d := digest(max(a.Digest, 20))
	signature, err := k.Sign(a.Name, d)
	if !a.For(k) {
		if _, back := k.Verify(a.Name, d, d); !errors.Is(err, ErrMismatch) || !errors.Is(back, ErrMismatch) {
			t.Errorf("Sign(%s) with %s%s = %v, and Verify %v, want %v", a.Name, k.Type(), k.Curve(), err, back, ErrMismatch)
		}
		return
	}
	if ok, back := k.Verify(a.Name, d, signature); err != nil || back != nil || !ok {
		t.Errorf("Verify(%s) of its own signature = %v, %v, %v", a.Name, ok, err, back)
	}
	for i, wrong := range [][]byte{nil, {}, signature[:len(signature)-1], append(slices.Clone(signature), 0), append([]byte{0}, signature...),
		flip(signature, 0), flip(signature, len(signature)-1), make([]byte, len(signature)), bytes.Repeat([]byte{0xff}, len(signature)), make([]byte, 1<<20)} {
		if ok, err := k.Verify(a.Name, d, wrong); ok || err != nil {
			t.Errorf("Verify(%s) of wrong signature %d = %v, %v, want false", a.Name, i, ok, err)
		}
	}
	if ok, err := k.Verify(a.Name, flip(d, 3), signature); ok || err != nil {
		t.Errorf("Verify(%s) of another digest = %v, %v, want false", a.Name, ok, err)
	}
	for _, n := range []int{0, 1, 31, 33, 47, 49, 63, 65, 1 << 20} {
		if a.Digest == 0 && n > 0 && n <= k.Bits()/8-11 {
			continue // RSNULL signs what fits
		}
		_, err := k.Sign(a.Name, make([]byte, n))
		if _, back := k.Verify(a.Name, make([]byte, n), signature); !errors.Is(err, ErrSize) || !errors.Is(back, ErrSize) {
			t.Errorf("Sign(%s) of %d bytes = %v, and Verify %v, want %v", a.Name, n, err, back, ErrSize)
		}
	}
}

// flip is b with one bit changed.
func flip(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

func TestUnknownAlgorithms(t *testing.T) {
	k := generate(t, specs[0])
	for _, name := range []string{"", "none", "rs256", "RS256 ", "RSA-OAEP-384", "ES256", "HS257"} {
		if _, err := k.Encrypt(name, nil); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("Encrypt(%q) = %v, want %v", name, err, ErrAlgorithm)
		}
	}
	for _, name := range []string{"", "none", "RS1", "RSA-OAEP", "A128GCM", "es256"} {
		if _, err := k.Sign(name, digest(32)); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("Sign(%q) = %v, want %v", name, err, ErrAlgorithm)
		}
	}
}

func TestMaterialOpens(t *testing.T) {
	for _, s := range specs {
		k := generate(t, s)
		again, err := Open(k.Material())
		if err != nil {
			t.Errorf("Open of %v: %v", s, err)
			continue
		}
		if diff := cmp.Diff(k.PrivateJWK(), again.PrivateJWK()); diff != "" || again.Bits() != k.Bits() {
			t.Errorf("%v is another key after Open", s)
		}
		for name, open := range map[string]func() (*Key, error){
			"OpenPublic of both": func() (*Key, error) { return OpenPublic(k.Material()) },
			"OpenPublic":         func() (*Key, error) { return OpenPublic(k.PublicMaterial()) },
			"Open of public":     func() (*Key, error) { return Open(k.PublicMaterial()) },
		} {
			public, err := open()
			if err != nil {
				t.Errorf("%s of %v: %v", name, s, err)
				continue
			}
			if diff := cmp.Diff(k.JWK(), public.PrivateJWK()); diff != "" || public.Private() != nil || !bytes.Equal(public.Material(), k.PublicMaterial()) {
				t.Errorf("%s of %v is not the public part (-want +got):\n%s", name, s, diff)
			}
			publicCannot(t, k, public)
		}
	}
}

// publicCannot checks that a public part does what it can and no more.
func publicCannot(t *testing.T, k, public *Key) {
	t.Helper()
	for _, a := range Algorithms() {
		switch d := digest(max(a.Digest, 20)); {
		case !a.For(k):
		case a.Use == Signature:
			signature, err := k.Sign(a.Name, d)
			if ok, _ := public.Verify(a.Name, d, signature); !ok || err != nil {
				t.Errorf("Verify(%s) with the public part = false", a.Name)
			}
			if _, err := public.Sign(a.Name, d); !errors.Is(err, ErrMismatch) {
				t.Errorf("Sign(%s) with the public part = %v, want %v", a.Name, err, ErrMismatch)
			}
		default:
			sealed, err := public.Encrypt(a.Name, d)
			if got, back := k.Decrypt(a.Name, sealed); err != nil || !bytes.Equal(got, d) {
				t.Errorf("Encrypt(%s) with the public part and back = %x, %v, %v", a.Name, got, err, back)
			}
			if _, err := public.Decrypt(a.Name, sealed); !errors.Is(err, ErrMismatch) {
				t.Errorf("Decrypt(%s) with the public part = %v, want %v", a.Name, err, ErrMismatch)
			}
		}
	}
}

func TestImportOfItsOwn(t *testing.T) {
	for _, s := range specs {
		k := generate(t, s)
		again, err := Import(k.PrivateJWK())
		if err != nil {
			t.Errorf("Import of %v: %v", s, err)
			continue
		}
		if diff := cmp.Diff(k.PrivateJWK(), again.PrivateJWK()); diff != "" {
			t.Errorf("%v is another key after Import", s)
		}
		made, err := New(k.Private())
		if err != nil || !bytes.Equal(made.Material(), k.Material()) {
			t.Errorf("New of %v is another key (%v)", s, err)
		}
	}
}

// TestPKCS8: others read it; of a public part there is none.
func TestPKCS8(t *testing.T) {
	for _, s := range specs {
		k := generate(t, s)
		der, err := k.PKCS8()
		if err != nil {
			t.Errorf("PKCS8 of %v: %v", s, err)
			continue
		}
		if s.Curve != P256K { // which the standard library does not know; openssl does
			private, err := x509.ParsePKCS8PrivateKey(der)
			if again, back := New(private); err != nil || back != nil || !bytes.Equal(again.Material(), k.Material()) {
				t.Errorf("PKCS8 of %v is another key (%v, %v)", s, err, back)
			}
		}
		public, err := OpenPublic(k.Material())
		if err != nil {
			t.Fatal(err)
		}
		if der, err := public.PKCS8(); der != nil || !errors.Is(err, ErrMismatch) {
			t.Errorf("PKCS8 of a public part = %x, %v, want %v", der, err, ErrMismatch)
		}
	}
}

// TestErrorsHoldNoMaterial: what is logged of a refused import names numbers
// and does not show them.
func TestErrorsHoldNoMaterial(t *testing.T) {
	j := generate(t, specs[0]).PrivateJWK()
	for _, change := range []func(*JWK){
		func(j *JWK) { j.D = add(j.D, 2) }, func(j *JWK) { j.P = add(j.P, 1) }, func(j *JWK) { j.DP = add(j.DP, 2) }, func(j *JWK) { j.Q = nil },
	} {
		wrong := with(j, change)
		_, err := Import(wrong)
		for _, number := range [][]byte{wrong.D, wrong.P, wrong.Q, wrong.DP} {
			for _, text := range []string{string(number), fmt.Sprint(number), fmt.Sprintf("%x", number), new(big.Int).SetBytes(number).String()} {
				if err == nil || text != "" && text != "[]" && text != "0" && strings.Contains(err.Error(), text) {
					t.Errorf("the error of a wrong key shows a number of it: %v", err)
				}
			}
		}
	}
}
