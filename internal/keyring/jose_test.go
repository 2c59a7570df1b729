package keyring_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	. "postern/internal/keyring"
)

// jwa is what JOSE calls the algorithms of a vault: the same names.
var (
	signatures  = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512}
	encryptions = []jose.KeyAlgorithm{jose.RSA1_5, jose.RSA_OAEP, jose.RSA_OAEP_256}
)

// TestSignaturesAndJOSE: a JWS that is put together from a digest and our
// signature verifies, and we verify what JOSE signs.
func TestSignaturesAndJOSE(t *testing.T) {
	for _, alg := range signatures {
		a := row(t, string(alg))
		for _, s := range specs {
			k := generate(t, s)
			if !a.For(k) {
				continue
			}
			// Ours to theirs: the vault signs the digest of the signing input.
			input := encode([]byte(`{"alg":"`+string(alg)+`"}`)) + "." + encode([]byte("what is said"))
			signature, err := k.Sign(string(alg), hashed(a, input))
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := jose.ParseSignedCompact(input+"."+encode(signature), signatures)
			if err != nil {
				t.Fatal(err)
			}
			if payload, err := parsed.Verify(k.Public()); err != nil || string(payload) != "what is said" {
				t.Errorf("JOSE's Verify of %s by %s = %q, %v", alg, label(s), payload, err)
			}

			// Theirs to ours.
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: k.Private()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := signer.Sign([]byte("what is said"))
			if err != nil {
				t.Fatal(err)
			}
			compact, err := signed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			last := strings.LastIndexByte(compact, '.')
			if ok, err := k.Verify(string(alg), hashed(a, compact[:last]), decode(t, compact[last+1:])); !ok || err != nil {
				t.Errorf("Verify of JOSE's %s by %s = %v, %v", alg, label(s), ok, err)
			}
		}
	}
}

// TestWrappedKeysAndJOSE: JOSE decrypts a JWE whose content key we wrapped,
// and we unwrap the content key of its JWE.
func TestWrappedKeysAndJOSE(t *testing.T) {
	for _, alg := range encryptions {
		for _, s := range specs[:4] {
			k := generate(t, s)
			encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: alg, Key: k.Public()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := encrypter.Encrypt([]byte("what is hidden"))
			if err != nil {
				t.Fatal(err)
			}
			compact, err := sealed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.Split(compact, ".")
			content, err := k.Unwrap(string(alg), decode(t, parts[1]))
			if err != nil || len(content) != 32 {
				t.Errorf("Unwrap(%s) of JOSE's by %s = %d bytes, %v", alg, label(s), len(content), err)
				continue
			}

			// The same JWE, with the content key wrapped by us: its header, iv,
			// content and tag do not depend on the wrapping.
			wrapped, err := k.Wrap(string(alg), content)
			if err != nil {
				t.Fatal(err)
			}
			parts[1] = encode(wrapped)
			parsed, err := jose.ParseEncryptedCompact(strings.Join(parts, "."), encryptions, []jose.ContentEncryption{jose.A256GCM})
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := parsed.Decrypt(k.Private()); err != nil || string(plain) != "what is hidden" {
				t.Errorf("JOSE's Decrypt of %s by %s = %q, %v", alg, label(s), plain, err)
			}
		}
	}
}

// TestNumbersAndJOSE: our numbers are a JWK to JOSE, and the other way round.
func TestNumbersAndJOSE(t *testing.T) {
	for _, s := range specs[:7] {
		k := generate(t, s)
		text, err := jose.JSONWebKey{Key: k.Private()}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		j := k.PrivateJWK()
		for name, value := range map[string][]byte{"n": j.N, "e": j.E, "d": j.D, "p": j.P, "q": j.Q, "dp": j.DP, "dq": j.DQ, "qi": j.QI, "x": j.X, "y": j.Y} {
			if want := `"` + name + `":"` + encode(value) + `"`; value != nil && !bytes.Contains(text, []byte(want)) {
				t.Errorf("the JWK of %s is %s, want in it %s", label(s), text, want)
			}
		}
	}
}

// row is the row of the table with a name.
func row(t *testing.T, name string) Algorithm {
	t.Helper()
	for _, a := range Algorithms() {
		if a.Name == name {
			return a
		}
	}
	t.Fatalf("no algorithm %s", name)
	return Algorithm{}
}

// hashed is the digest that a client would send.
func hashed(a Algorithm, message string) []byte {
	h := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[a.Digest].New()
	h.Write([]byte(message))
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
