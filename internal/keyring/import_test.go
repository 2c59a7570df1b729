package keyring_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "postern/internal/keyring"
)

// TestImportRefuses takes a good key and makes one thing wrong with it. The
// error names the property.
func TestImportRefuses(t *testing.T) {
	rsaKey, other := generate(t, specs[0]).PrivateJWK(), generate(t, specs[3]).PrivateJWK()
	weak := weakKeys(t)
	huge := bytes.Repeat([]byte{1}, 1<<20)
	zeros := make([]byte, 1<<20)
	for _, c := range []struct {
		name, property string
		j              JWK
	}{
		{"nothing", "kty", JWK{}},
		{"of no type", "kty", with(rsaKey, func(j *JWK) { j.Type = "" })},
		{"with the type of a module", "kty", with(rsaKey, func(j *JWK) { j.Type = "RSA-HSM" })},
		{"symmetric", "kty", JWK{Type: "oct", D: []byte{1}}},
		{"public alone", "d", with(rsaKey, func(j *JWK) { j.D = nil })},
		{"without n", "n", with(rsaKey, func(j *JWK) { j.N = nil })},
		{"with n 0", "n", with(rsaKey, func(j *JWK) { j.N = []byte{0, 0} })},
		{"with n one bit short", "n", with(rsaKey, func(j *JWK) { j.N = new(big.Int).Rsh(number(j.N), 1).Bytes() })},
		{"with n one bit long", "n", with(rsaKey, func(j *JWK) { j.N = new(big.Int).Lsh(number(j.N), 1).Bytes() })},
		{"with n even", "n", with(rsaKey, func(j *JWK) { j.N = add(j.N, 1) })},
		{"with another n", "n", with(rsaKey, func(j *JWK) { j.N = other.N })},
		{"with n near", "n", with(rsaKey, func(j *JWK) { j.N = add(j.N, 2) })},
		{"with 1024 bits", "n", weak["1024 bits"]},
		{"with n huge", "n", with(rsaKey, func(j *JWK) { j.N = huge })},
		{"with n of zeros", "n", with(rsaKey, func(j *JWK) { j.N = zeros })},
		{"without e", "e", with(rsaKey, func(j *JWK) { j.E = nil })},
		{"with e 0", "e", with(rsaKey, func(j *JWK) { j.E = []byte{0} })},
		{"with e 1", "e", with(rsaKey, func(j *JWK) { j.E = []byte{1} })},
		{"with e even", "e", with(rsaKey, func(j *JWK) { j.E = []byte{1, 0, 0} })},
		{"with e of 32 bits", "e", with(rsaKey, func(j *JWK) { j.E = []byte{0x80, 0, 0, 1} })},
		{"with e of 5 bytes", "e", with(rsaKey, func(j *JWK) { j.E = []byte{1, 0, 0, 0, 1} })},
		{"with e huge", "e", with(rsaKey, func(j *JWK) { j.E = huge })},
		{"with another e", "d", with(rsaKey, func(j *JWK) { j.E = []byte{3} })},
		{"with d 0", "d", with(rsaKey, func(j *JWK) { j.D = []byte{0} })},
		{"with d 1", "d", with(rsaKey, func(j *JWK) { j.D = []byte{1} })},
		{"with d n", "d", with(rsaKey, func(j *JWK) { j.D = j.N })},
		{"with d near", "d", with(rsaKey, func(j *JWK) { j.D = add(j.D, 2) })},
		{"with another d", "d", with(rsaKey, func(j *JWK) { j.D = []byte{3} })},
		{"with d small", "d", weak["small d"]},
		{"with d huge", "d", with(rsaKey, func(j *JWK) { j.D = huge })},
		{"with p alone", "p", with(rsaKey, func(j *JWK) { j.Q = nil })},
		{"with q alone", "p", with(rsaKey, func(j *JWK) { j.P = nil })},
		{"with dp and no p", "p", with(rsaKey, func(j *JWK) { j.P, j.Q = nil, nil })},
		{"with p 1", "p", with(rsaKey, func(j *JWK) { j.P, j.Q = []byte{1}, j.N })},
		{"with another p", "n", with(rsaKey, func(j *JWK) { j.P = other.P })},
		{"with p not prime", "p", with(rsaKey, func(j *JWK) { j.P = add(j.P, 1) })},
		{"with q not prime", "q", with(rsaKey, func(j *JWK) { j.Q = add(j.Q, 1) })},
		{"with q huge", "q", with(rsaKey, func(j *JWK) { j.Q = huge })},
		{"with p and q of other lengths", "p", weak["unbalanced"]},
		{"with p and q near", "d", weak["near primes"]},
		{"with primes swapped and their values not", "dp", with(rsaKey, func(j *JWK) { j.P, j.Q = j.Q, j.P })},
		{"with dp near", "dp", with(rsaKey, func(j *JWK) { j.DP = add(j.DP, 2) })},
		{"with dq near", "dq", with(rsaKey, func(j *JWK) { j.DQ = add(j.DQ, 2) })},
		{"with qi near", "qi", with(rsaKey, func(j *JWK) { j.QI = add(j.QI, 2) })},
		{"with qi 0", "qi", with(rsaKey, func(j *JWK) { j.QI = []byte{0} })},
		{"with qi huge", "qi", with(rsaKey, func(j *JWK) { j.QI = huge })},
		{"of n, e and another d", "d", JWK{Type: RSA, N: rsaKey.N, E: rsaKey.E, D: other.D}},
		{"of n, e and an even d", "d", JWK{Type: RSA, N: rsaKey.N, E: rsaKey.E, D: add(rsaKey.D, 1)}},
		{"of a prime n", "d", weak["prime n"]},
		{"of an RSA key called EC", "crv", with(rsaKey, func(j *JWK) { j.Type = EC })},
	} {
		refused(t, c.name, c.property, c.j)
	}
}

func TestImportRefusesPoints(t *testing.T) {
	orders := map[string]*big.Int{P256: elliptic.P256().Params().N, P384: elliptic.P384().Params().N, P521: elliptic.P521().Params().N, P256K: koblitzOrder}
	for _, s := range specs[4:] {
		k := generate(t, s).PrivateJWK()
		another, err := Generate(rand.Reader, s)
		if err != nil {
			t.Fatal(err)
		}
		n := orders[s.Curve]
		for _, c := range []struct {
			name, property string
			j              JWK
		}{
			{"without a curve", "crv", with(k, func(j *JWK) { j.Curve = "" })},
			{"on P-224", "crv", with(k, func(j *JWK) { j.Curve = "P-224" })},
			{"on secp256k1", "crv", with(k, func(j *JWK) { j.Curve = "secp256k1" })},
			{"called RSA", "n", with(k, func(j *JWK) { j.Type = RSA })},
			{"without x", "x", with(k, func(j *JWK) { j.X = nil })},
			{"without y", "y", with(k, func(j *JWK) { j.Y = nil })},
			{"without d", "d", with(k, func(j *JWK) { j.D = nil })},
			{"with x 0", "x", with(k, func(j *JWK) { j.X = []byte{0} })},
			{"at infinity", "x", with(k, func(j *JWK) { j.X, j.Y = []byte{0}, []byte{0} })},
			{"beside the curve", "x", with(k, func(j *JWK) { j.Y = add(j.Y, 1) })},
			{"with the coordinates swapped", "x", with(k, func(j *JWK) { j.X, j.Y = j.Y, j.X })},
			{"with x too long", "x", with(k, func(j *JWK) { j.X = append([]byte{1}, j.X...) })},
			{"with y huge", "y", with(k, func(j *JWK) { j.Y = make([]byte, 1<<20) })},
			{"with d 0", "d", with(k, func(j *JWK) { j.D = []byte{0} })},
			{"with d the order", "d", with(k, func(j *JWK) { j.D = n.Bytes() })},
			{"with d above the order", "d", with(k, func(j *JWK) { j.D = new(big.Int).Add(n, number(j.D)).Bytes() })},
			{"with d too long", "d", with(k, func(j *JWK) { j.D = append([]byte{1}, j.D...) })},
			{"with d near", "d", with(k, func(j *JWK) { j.D = add(j.D, 1) })},
			{"with d of -P", "d", with(k, func(j *JWK) { j.D = new(big.Int).Sub(n, number(j.D)).Bytes() })},
			{"with another d", "d", with(k, func(j *JWK) { j.D = another.PrivateJWK().D })},
		} {
			refused(t, s.Curve+" "+c.name, c.property, c.j)
		}
		wrong := map[string]string{P256: P256K, P256K: P256, P384: P521, P521: P256}[s.Curve]
		refused(t, s.Curve+" called "+wrong, "x", with(k, func(j *JWK) { j.Curve = wrong }))
	}
}

// refused checks that a key does not get in, and for which property.
func refused(t *testing.T, name, property string, j JWK) {
	t.Helper()
	k, err := Import(j)
	var invalid *Invalid
	if k != nil || !errors.As(err, &invalid) || invalid.Property != property {
		t.Errorf("Import of a key %s = %v, %v, want it refused for %s", name, k != nil, err, property)
	}
}

// with is a copy of a key with something changed.
func with(j JWK, change func(*JWK)) JWK { change(&j); return j }

func number(b []byte) *big.Int { return new(big.Int).SetBytes(b) }

// add is b plus n, as long as b.
func add(b []byte, n int64) []byte {
	return new(big.Int).Add(number(b), big.NewInt(n)).FillBytes(make([]byte, len(b)))
}

// koblitzOrder is n of SEC 2 §2.4.1.
var koblitzOrder, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)

// weakKeys are RSA keys that hold together and still are not taken.
func weakKeys(t *testing.T) map[string]JWK {
	t.Helper()
	e := big.NewInt(65537)
	prime := func(bits int) *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			if new(big.Int).Mod(p, e).Cmp(big.NewInt(1)) != 0 { // else e has no inverse
				return p
			}
		}
	}
	key := func(p, q, e *big.Int) JWK {
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		return JWK{Type: RSA, N: new(big.Int).Mul(p, q).Bytes(), E: e.Bytes(), D: new(big.Int).ModInverse(e, phi).Bytes(), P: p.Bytes(), Q: q.Bytes()}
	}
	p := prime(1024)
	next := new(big.Int).Add(p, big.NewInt(2))
	for !next.ProbablyPrime(0) || new(big.Int).Mod(next, e).Cmp(big.NewInt(1)) == 0 {
		next.Add(next, big.NewInt(2))
	}
	large := prime(2048)
	small := key(p, prime(1024), e)
	small.D = []byte{1, 0, 1}
	return map[string]JWK{
		"1024 bits":   key(prime(512), prime(512), e),
		"unbalanced":  key(prime(1000), prime(1048), e),
		"near primes": key(p, next, e),
		"small d":     small,
		"prime n":     {Type: RSA, N: large.Bytes(), E: e.Bytes(), D: new(big.Int).ModInverse(e, new(big.Int).Sub(large, big.NewInt(1))).Bytes()},
	}
}

// TestImportTakes: leading zeros do not matter, and what can be computed need
// not be there.
func TestImportTakes(t *testing.T) {
	for _, s := range specs {
		j := generate(t, s).PrivateJWK()
		padded := j
		for _, n := range []*[]byte{&padded.N, &padded.E, &padded.D, &padded.P, &padded.Q, &padded.DP, &padded.DQ, &padded.QI, &padded.X, &padded.Y} {
			if *n != nil {
				*n = append(make([]byte, 3), *n...)
			}
		}
		trimmed := j
		for _, n := range []*[]byte{&trimmed.D, &trimmed.X, &trimmed.Y} {
			*n = bytes.TrimLeft(*n, "\x00")
		}
		for name, c := range map[string]JWK{
			"leading zeros":       padded,
			"no leading zeros":    trimmed,
			"no values":           with(j, func(j *JWK) { j.DP, j.DQ, j.QI = nil, nil, nil }),
			"one value":           with(j, func(j *JWK) { j.DP, j.DQ = nil, nil }),
			"what is not its own": with(j, func(j *JWK) { j.Curve += map[string]string{RSA: P256}[j.Type] }),
		} {
			k, err := Import(c)
			if err != nil {
				t.Errorf("Import of %v with %s: %v", s, name, err)
				continue
			}
			if diff := cmp.Diff(j, k.PrivateJWK()); diff != "" {
				t.Errorf("Import of %v with %s is another key", s, name)
			}
		}
		public, err := ImportPublic(with(padded, func(j *JWK) { j.D = []byte("not looked at") }))
		if err != nil || public.Private() != nil || !cmp.Equal(public.JWK(), generate(t, s).JWK()) {
			t.Errorf("ImportPublic of %v: %v", s, err)
		}
	}
}

// TestImportFindsPrimes: of n, e and d alone the key is found, whichever of
// the possible d it is.
func TestImportFindsPrimes(t *testing.T) {
	for _, s := range specs[:4] {
		k := generate(t, s)
		j := k.PrivateJWK()
		one := big.NewInt(1)
		p, q, e := new(big.Int).Sub(number(j.P), one), new(big.Int).Sub(number(j.Q), one), number(j.E)
		phi := new(big.Int).Mul(p, q)
		lambda := new(big.Int).Quo(phi, new(big.Int).GCD(nil, nil, p, q))
		for _, d := range []*big.Int{new(big.Int).ModInverse(e, phi), new(big.Int).ModInverse(e, lambda)} {
			found, err := Import(JWK{Type: RSA, N: j.N, E: j.E, D: d.Bytes()})
			if err != nil {
				t.Errorf("Import of %v by n, e and d: %v", s, err)
				continue
			}
			signature, err := found.Sign("RS256", make([]byte, 32))
			if ok, back := k.Verify("RS256", make([]byte, 32), signature); err != nil || back != nil || !ok {
				t.Errorf("Import of %v by n, e and d is another key (%v, %v)", s, err, back)
			}
		}
	}
}

func TestImportPublicRefuses(t *testing.T) {
	r, e := generate(t, specs[0]).JWK(), generate(t, specs[4]).JWK()
	for property, j := range map[string]JWK{
		"kty": {}, "n": with(r, func(j *JWK) { j.N = j.N[1:] }), "e": with(r, func(j *JWK) { j.E = []byte{2} }),
		"crv": with(e, func(j *JWK) { j.Curve = "" }), "x": with(e, func(j *JWK) { j.X = add(j.X, 1) }), "y": with(e, func(j *JWK) { j.Y = nil }),
	} {
		var invalid *Invalid
		if k, err := ImportPublic(j); k != nil || !errors.As(err, &invalid) || invalid.Property != property {
			t.Errorf("ImportPublic of a key with a wrong %s = %v, %v", property, k != nil, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 such keys are refused, so one is needed
	three, err := rsa.GenerateMultiPrimeKey(rand.Reader, 3, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, private := range map[string]any{"nothing": nil, "1024 bits": small, "P-224": p224, "three primes": three, "Ed25519": ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
		"no curve": &ecdsa.PrivateKey{}, "a public key": &small.PublicKey} {
		var invalid *Invalid
		if k, err := New(private); k != nil || !errors.As(err, &invalid) {
			t.Errorf("New of %s = %v, %v, want it refused", name, k != nil, err)
		}
	}
}

// TestHugeInputsAreCheap: what cannot be right is refused before it is copied
// or computed with.
func TestHugeInputsAreCheap(t *testing.T) {
	k := generate(t, specs[0])
	huge := bytes.Repeat([]byte{7}, 8<<20)
	r := k.PrivateJWK()
	for name, do := range map[string]func() error{
		"Import n": func() error { _, err := Import(with(r, func(j *JWK) { j.N = huge })); return err },
		"Import d": func() error { _, err := Import(with(r, func(j *JWK) { j.D = huge })); return err },
		"Open":     func() error { _, err := Open(huge); return err },
		"Encrypt":  func() error { _, err := k.Encrypt("RSA-OAEP", huge); return err },
		"Decrypt":  func() error { _, err := k.Decrypt("RSA1_5", huge); return err },
		"Sign":     func() error { _, err := k.Sign("RSNULL", huge); return err },
		"Verify": func() error {
			if ok, err := k.Verify("PS256", huge[:32], huge); ok {
				return err
			}
			return ErrSize
		},
	} {
		allocs := testing.AllocsPerRun(10, func() {
			if do() == nil {
				t.Errorf("%s of 8 MB was taken", name)
			}
		})
		if allocs > 4 {
			t.Errorf("%s of 8 MB allocates %v times, want at most 4", name, allocs)
		}
	}
}
