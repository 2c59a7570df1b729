package keyring_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	. "postern/internal/keyring"
)

// fixed are keys that every process of a fuzz target has, so that what one of
// them found means the same to the others: RSA, RSA with exponent 3, and one
// on each curve.
func fixed(t testing.TB) (keys []*Key) {
	t.Helper()
	text, err := os.ReadFile("testdata/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		material, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		k, err := Open(material)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

// FuzzOpen: what opens is encoded to the same bytes, and its public part is
// the same by every way.
func FuzzOpen(f *testing.F) {
	for _, k := range fixed(f) {
		f.Add(k.Material())
		f.Add(k.PublicMaterial())
	}
	f.Add([]byte(nil))
	f.Add([]byte{1, 'E', 4})
	f.Add([]byte{1, 'R', 1, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, material []byte) {
		k, err := Open(material)
		if err != nil {
			if k != nil || err != ErrMaterial {
				t.Errorf("Open = %v, %v, want %v", k, err, ErrMaterial)
			}
			return
		}
		if !bytes.Equal(k.Material(), material) {
			t.Errorf("Open(%x).Material() = %x", material, k.Material())
		}
		public, err := OpenPublic(material)
		if err != nil || !bytes.Equal(public.Material(), k.PublicMaterial()) || public.Private() != nil {
			t.Errorf("OpenPublic(%x) = %v, %v", material, public, err)
		}
	})
}

// FuzzImport: a key that gets in works, and survives being kept and exported.
func FuzzImport(f *testing.F) {
	for _, k := range fixed(f) {
		j := k.PrivateJWK()
		f.Add(j.Type, j.Curve, j.N, j.E, j.D, j.P, j.Q, j.DP, j.DQ, j.QI, j.X, j.Y)
		f.Add(j.Type, j.Curve, j.N, j.E, j.D, []byte{}, []byte{}, []byte{}, []byte{}, []byte{}, j.X, j.Y)
	}
	f.Fuzz(func(t *testing.T, kty, crv string, n, e, d, p, q, dp, dq, qi, x, y []byte) {
		k, err := Import(JWK{kty, crv, n, e, d, p, q, dp, dq, qi, x, y})
		if err != nil {
			if k != nil {
				t.Errorf("Import = %v, %v", k, err)
			}
			return
		}
		for _, a := range Algorithms() {
			if !a.For(k) || a.Use != Signature {
				continue
			}
			value := make([]byte, max(1, a.Digest))
			signature, err := k.Sign(a.Name, value)
			if ok, back := k.Verify(a.Name, value, signature); err != nil || back != nil || !ok {
				t.Errorf("an imported key does not verify what it signs with %s: %v, %v", a.Name, err, back)
			}
		}
		kept, err := Open(k.Material())
		if err != nil || !bytes.Equal(kept.Material(), k.Material()) {
			t.Errorf("an imported key does not open: %v", err)
		}
		again, err := Import(k.PrivateJWK())
		if err != nil || !bytes.Equal(again.Material(), k.Material()) {
			t.Errorf("an imported key is not imported again: %v", err)
		}
	})
}

// FuzzDecrypt: either a plain text that fits, or the one error.
func FuzzDecrypt(f *testing.F) {
	k := fixed(f)[0]
	for _, p := range probes(f, k) {
		f.Add(p.alg, p.ciphertext)
	}
	for _, a := range Algorithms() {
		f.Add(a.Name, []byte("short"))
	}
	f.Fuzz(func(t *testing.T, alg string, ciphertext []byte) {
		switch plain, err := k.Decrypt(alg, ciphertext); err {
		case nil:
			if _, err := k.Encrypt(alg, plain); err != nil || len(ciphertext) != k.Bits()/8 {
				t.Errorf("Decrypt(%s, %x) = %x, which cannot be encrypted: %v", alg, ciphertext, plain, err)
			}
		case ErrCiphertext, ErrAlgorithm, ErrMismatch:
			if plain != nil {
				t.Errorf("Decrypt(%s, %x) = %x, %v", alg, ciphertext, plain, err)
			}
		default:
			t.Errorf("Decrypt(%s, %x) = %v", alg, ciphertext, err)
		}
	})
}

// FuzzVerify: a signature that is found valid is one of the few that are: the
// very one for PKCS #1, for PSS the one that is known, and for a curve the
// known r with one of two s. testdata has one signature of each algorithm over
// zeros.
func FuzzVerify(f *testing.F) {
	text, err := os.ReadFile("testdata/signatures.txt")
	if err != nil {
		f.Fatal(err)
	}
	valid := map[string][]byte{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		name, encoded, _ := strings.Cut(line, " ")
		if valid[name], err = base64.StdEncoding.DecodeString(encoded); err != nil {
			f.Fatal(err)
		}
	}
	keys := map[string]*Key{}
	for _, a := range Algorithms() {
		for _, k := range fixed(f) {
			if a.Use == Signature && a.For(k) && keys[a.Name] == nil {
				keys[a.Name] = k
				if ok, err := k.Verify(a.Name, make([]byte, max(1, a.Digest)), valid[a.Name]); !ok || err != nil {
					f.Fatalf("Verify(%s) of the known signature = %v, %v", a.Name, ok, err)
				}
			}
		}
		f.Add(a.Name, make([]byte, max(1, a.Digest)), valid[a.Name])
	}
	f.Fuzz(func(t *testing.T, alg string, digest, signature []byte) {
		k := keys[alg]
		if k == nil {
			k = keys["RS256"]
		}
		ok, err := k.Verify(alg, digest, signature)
		if err != nil && (ok || err != ErrSize && err != ErrAlgorithm && err != ErrMismatch) {
			t.Errorf("Verify(%s, %x, %x) = %v, %v", alg, digest, signature, ok, err)
		}
		if !ok {
			return
		}
		if strings.HasPrefix(alg, "RS") {
			if again, err := k.Sign(alg, digest); err != nil || !bytes.Equal(again, signature) {
				t.Errorf("Verify(%s, %x, %x) = true, though %x is the signature", alg, digest, signature, again)
			}
			return
		}
		known := valid[alg]
		if !bytes.Equal(digest, make([]byte, len(digest))) || !bytes.HasPrefix(signature, known[:len(known)/2]) {
			t.Errorf("Verify(%s, %x, %x) = true: a forgery", alg, digest, signature)
		}
	})
}
