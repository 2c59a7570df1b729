package release

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keyring"
)

// TestWrap: the environment opens the envelope as the service's clients do
// it, and finds the key pair in it.
func TestWrap(t *testing.T) {
	target, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []keyring.Spec{{Type: keyring.RSA, Size: 2048}, {Type: keyring.EC, Curve: keyring.P256}, {Type: keyring.EC, Curve: keyring.P384},
		{Type: keyring.EC, Curve: keyring.P521}, {Type: keyring.EC, Curve: keyring.P256K}} {
		k, err := keyring.Generate(rand.Reader, s)
		if err != nil {
			t.Fatal(err)
		}
		want, err := k.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		for _, enc := range []string{"", "CKM_RSA_AES_KEY_WRAP", "RSA_AES_KEY_WRAP_256", "RSA_AES_KEY_WRAP_384"} {
			wrapped, err := Wrap(k, &target.PublicKey, enc)
			if err != nil {
				t.Fatalf("Wrap(%v, %q): %v", s, enc, err)
			}
			hash := hashes[enc]
			if enc == "" {
				hash = hashes[DefaultEncryption]
			}
			secret, err := rsa.DecryptOAEP(hash.New(), nil, target, wrapped[:256], nil)
			if err != nil || len(secret) != 32 {
				t.Errorf("the AES key of %v by %q = %d bytes, %v", s, enc, len(secret), err)
				continue
			}
			if got := unwrapPadded(t, secret, wrapped[256:]); !bytes.Equal(got, want) {
				t.Errorf("Wrap(%v, %q) holds %x, want %x", s, enc, got, want)
			}
		}
		if s.Curve != keyring.P256K {
			if _, err := x509.ParsePKCS8PrivateKey(want); err != nil {
				t.Errorf("PKCS8 of %v: %v", s, err)
			}
		}
		public, err := keyring.ImportPublic(k.JWK())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Wrap(public, &target.PublicKey, ""); !errors.Is(err, keyring.ErrMismatch) {
			t.Errorf("Wrap of a public key = %v, want %v", err, keyring.ErrMismatch)
		}
		if _, err := Wrap(k, &target.PublicKey, "RSA_AES_KEY_WRAP_512"); !errors.Is(err, ErrEncryption) {
			t.Errorf("Wrap by an unknown algorithm = %v, want %v", err, ErrEncryption)
		}
	}
}

// unwrapPadded is RFC 5649 §4.2, written from the text.
func unwrapPadded(t *testing.T, secret, wrapped []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	n := len(wrapped)/8 - 1
	a := binary.BigEndian.Uint64(wrapped)
	r := bytes.Clone(wrapped[8:])
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			b := binary.BigEndian.AppendUint64(nil, a^uint64(n*j+i))
			b = append(b, r[8*(i-1):8*i]...)
			block.Decrypt(b, b)
			a = binary.BigEndian.Uint64(b)
			copy(r[8*(i-1):], b[8:])
		}
	}
	length := int(uint32(a))
	if a>>32 != 0xa65959a6 || length <= 8*(n-1) || length > 8*n || !bytes.Equal(r[length:], make([]byte, 8*n-length)) {
		t.Errorf("the wrapped key is not one: %x, %d of %d bytes", a, length, 8*n)
		return nil
	}
	return r[:length]
}

// TestWrapPadded is the example of RFC 5649 §6 that has more than one block.
func TestWrapPadded(t *testing.T) {
	secret, plain := unhex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"), unhex(t, "c37b7e6492584340bed12207808941155068f738")
	want := unhex(t, "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a")
	if got, err := wrapPadded(secret, plain); err != nil || !bytes.Equal(got, want) {
		t.Errorf("wrapPadded = %x, %v, want %x", got, err, want)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTarget(t *testing.T) {
	key := func(bits int) (*rsa.PublicKey, string) {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return &private.PublicKey, base64.RawURLEncoding.EncodeToString(private.N.Bytes())
	}
	first, n1 := key(2048)
	second, n2 := key(2048)
	_, small := key(1024)
	good := `{"kid":"one","kty":"RSA","key_ops":["encrypt"],"e":"AQAB","n":"` + n1 + `"}`
	other := `{"kid":"two","kty":"RSA","use":"enc","e":"AQAB","n":"` + n2 + `"}`
	for _, c := range []struct {
		name, keys, kid string
		want            *rsa.PublicKey
	}{
		{"key_ops", good, "one", first},
		{"use", other, "two", second},
		{"key_use", `{"kid":"two","kty":"RSA","key_use":"enc","e":"AQAB","n":"` + n2 + `"}`, "two", second},
		{"key_use as a list", `{"kid":"two","kty":"RSA","key_use":["enc"],"e":"AQAB","n":"` + n2 + `"}`, "two", second},
		{"key_ops as a word", `{"kid":"two","kty":"RSA","key_ops":"encrypt","e":"AQAB","n":"` + n2 + `"}`, "two", second},
		{"the first of two", other + "," + good, "two", second},
		{"behind unsuitable ones", `1,null,{"kty":"EC","kid":"x","use":"enc"},{"kid":"s","kty":"RSA","use":"sig","e":"AQAB","n":"` + n2 + `"},` + good, "one", first},
		{"none", ``, "", nil},
		{"for signing", `{"kid":"s","kty":"RSA","use":"sig","e":"AQAB","n":"` + n1 + `"}`, "", nil},
		{"of no use", `{"kid":"s","kty":"RSA","e":"AQAB","n":"` + n1 + `"}`, "", nil},
		{"without a kid", `{"kty":"RSA","use":"enc","e":"AQAB","n":"` + n1 + `"}`, "", nil},
		{"of 1024 bits", `{"kid":"s","kty":"RSA","use":"enc","e":"AQAB","n":"` + small + `"}`, "", nil},
		{"with e 1", `{"kid":"s","kty":"RSA","use":"enc","e":"AQ","n":"` + n1 + `"}`, "", nil},
		{"with n missing", `{"kid":"s","kty":"RSA","use":"enc","e":"AQAB"}`, "", nil},
		{"with n not base64url", `{"kid":"s","kty":"RSA","use":"enc","e":"AQAB","n":"+"}`, "", nil},
	} {
		public, kid, err := Target(decode(t, `{"x-ms-runtime":{"keys":[`+c.keys+`]}}`))
		if c.want == nil {
			if public != nil || kid != "" || err != ErrTarget {
				t.Errorf("Target of a key %s = %v, %q, %v, want %v", c.name, public, kid, err, ErrTarget)
			}
			continue
		}
		if err != nil || kid != c.kid || !public.Equal(c.want) {
			t.Errorf("Target of %s = %v, %q, %v, want %q", c.name, public, kid, err, c.kid)
		}
	}
	for _, claims := range []string{`{}`, `{"x-ms-runtime":[]}`, `{"x-ms-runtime":{"keys":{}}}`, `{"x-ms-isolation-tee":{"x-ms-runtime":{"keys":[` + good + `]}}}`} {
		if public, _, err := Target(decode(t, claims)); public != nil || err != ErrTarget {
			t.Errorf("Target(%.60s) = %v, %v, want %v", claims, public, err, ErrTarget)
		}
	}
}

// TestPayload: the form that clients read (documentation: secure key release
// with confidential VMs).
func TestPayload(t *testing.T) {
	hsm, err := KeyHSM([]byte{1, 2, 3}, "TpmEphemeralEncryptionKey", "")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := base64.RawURLEncoding.DecodeString(hsm)
	want := `{"schema_version":"1.0","header":{"kid":"TpmEphemeralEncryptionKey","alg":"dir","enc":"CKM_RSA_AES_KEY_WRAP"},"ciphertext":"AQID"}`
	if diff := cmp.Diff(want, string(inner)); diff != "" || err != nil {
		t.Errorf("KeyHSM (-want +got, %v):\n%s", err, diff)
	}
	bundle := json.RawMessage(`{"key":{"kid":"k/v","kty":"RSA-HSM","key_hsm":"` + hsm + `"},"attributes":{"enabled":true}}`)
	got, err := Payload(Request{APIVersion: "7.4", Enc: DefaultEncryption, KID: "k"}, bundle)
	want = `{"request":{"api-version":"7.4","enc":"CKM_RSA_AES_KEY_WRAP","kid":"k"},"response":{"key":` + string(bundle) + `}}`
	if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
		t.Errorf("Payload (-want +got, %v):\n%s", err, diff)
	}
}
