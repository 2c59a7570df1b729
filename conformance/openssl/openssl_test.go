package openssl

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"postern/internal/keyring"
	"postern/internal/keyring/release"
)

// Keys: how openssl is asked for one, and how postern is.
var keys = []struct {
	name    string
	options []string
	spec    keyring.Spec
}{
	{"RSA 2048", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, keyring.Spec{Type: keyring.RSA, Size: 2048}},
	{"RSA 3072", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"}, keyring.Spec{Type: keyring.RSA, Size: 3072}},
	{"RSA 4096", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"}, keyring.Spec{Type: keyring.RSA, Size: 4096}},
	{"RSA 2048 with e 3", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"}, keyring.Spec{Type: keyring.RSA, Size: 2048, Exponent: 3}},
	{"P-256", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, keyring.Spec{Type: keyring.EC, Curve: keyring.P256}},
	{"P-384", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}, keyring.Spec{Type: keyring.EC, Curve: keyring.P384}},
	{"P-521", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"}, keyring.Spec{Type: keyring.EC, Curve: keyring.P521}},
	{"P-256K", []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"}, keyring.Spec{Type: keyring.EC, Curve: keyring.P256K}},
}

// Algorithms: the options by which openssl pkeyutl does the same.
var options = map[string][]string{
	"RSA-OAEP":     {"rsa_padding_mode:oaep", "rsa_oaep_md:sha1", "rsa_mgf1_md:sha1"},
	"RSA-OAEP-256": {"rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"},
	"RSA1_5":       {"rsa_padding_mode:pkcs1"},
	"RS256":        {"rsa_padding_mode:pkcs1", "digest:sha256"},
	"RS384":        {"rsa_padding_mode:pkcs1", "digest:sha384"},
	"RS512":        {"rsa_padding_mode:pkcs1", "digest:sha512"},
	"RSNULL":       {"rsa_padding_mode:pkcs1"},
	"PS256":        {"rsa_padding_mode:pss", "digest:sha256", "rsa_mgf1_md:sha256", "rsa_pss_saltlen:digest"},
	"PS384":        {"rsa_padding_mode:pss", "digest:sha384", "rsa_mgf1_md:sha384", "rsa_pss_saltlen:digest"},
	"PS512":        {"rsa_padding_mode:pss", "digest:sha512", "rsa_mgf1_md:sha512", "rsa_pss_saltlen:digest"},
	"ES256":        {}, "ES384": {}, "ES512": {}, "ES256K": {},
}

// TestBothWays takes keys that either of them made through every algorithm.
func TestBothWays(t *testing.T) {
	for _, c := range keys {
		t.Run(c.name, func(t *testing.T) {
			made, _ := pem.Decode(openssl(t, nil, append([]string{"genpkey"}, c.options...)...))
			theirs, err := parse(made.Bytes)
			if err != nil {
				t.Fatalf("the key that openssl made: %v", err)
			}
			exercise(t, theirs, theirs, made.Bytes)
			ours, err := keyring.Generate(rand.Reader, c.spec)
			if err != nil {
				t.Fatal(err)
			}
			der, err := ours.PKCS8()
			if err != nil {
				t.Fatal(err)
			}
			exercise(t, ours, ours, der)
		})
	}
}

// key is a key pair at work: one in this process, or one in a vault.
type key interface {
	Bits() int
	Encrypt(alg string, plain []byte) ([]byte, error)
	Decrypt(alg string, sealed []byte) ([]byte, error)
	Sign(alg string, digest []byte) ([]byte, error)
	Verify(alg string, digest, signature []byte) (bool, error)
}

// exercise runs every algorithm of a key that both have: openssl with der,
// and k, which is the same.
func exercise(t *testing.T, same *keyring.Key, k key, der []byte) {
	t.Helper()
	folder := t.TempDir()
	private := filepath.Join(folder, "private.pem")
	write(t, private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	// That openssl finds nothing wrong with the key is part of the test.
	openssl(t, nil, "pkey", "-in", private, "-check", "-noout")
	for _, a := range keyring.Algorithms() {
		if !a.For(same) {
			continue
		}
		var with []string
		for _, o := range options[a.Name] {
			with = append(with, "-pkeyopt", o)
		}
		if a.Use == keyring.Encryption {
			encryption(t, k, a, append([]string{"pkeyutl", "-inkey", private}, with...))
		} else {
			signature(t, k, a, folder, private, with)
		}
	}
}

func encryption(t *testing.T, k key, a keyring.Algorithm, command []string) {
	t.Helper()
	plain := random(t, 32)
	sealed, err := k.Encrypt(a.Name, plain)
	if err != nil {
		t.Fatal(err)
	}
	if got := openssl(t, sealed, append(command, "-decrypt")...); !bytes.Equal(got, plain) {
		t.Errorf("openssl decrypts our %s to %x, want %x", a.Name, got, plain)
	}
	if got, err := k.Decrypt(a.Name, openssl(t, plain, append(command, "-encrypt")...)); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("Decrypt(%s) of openssl's = %x, %v, want %x", a.Name, got, err, plain)
	}
}

func signature(t *testing.T, k key, a keyring.Algorithm, folder, private string, with []string) {
	t.Helper()
	digest := random(t, max(a.Digest, 36)) // RSNULL: 36 bytes, as TLS has them
	if a.Digest != 0 {
		digest = digest[:a.Digest]
	}
	ours, err := k.Sign(a.Name, digest)
	if err != nil {
		t.Fatal(err)
	}
	if a.Type == keyring.EC {
		ours = sequence(t, ours)
	}
	file := filepath.Join(folder, a.Name+".sig")
	write(t, file, ours)
	command := append([]string{"pkeyutl", "-inkey", private}, with...)
	openssl(t, digest, append(command, "-verify", "-sigfile", file)...)

	theirs := openssl(t, digest, append(command, "-sign")...)
	if a.Type == keyring.EC {
		theirs = raw(t, theirs, (k.Bits()+7)/8)
	}
	if ok, err := k.Verify(a.Name, digest, theirs); !ok || err != nil {
		t.Errorf("Verify(%s) of openssl's = %v, %v", a.Name, ok, err)
	}
}

// TestReleasedKey: openssl opens the envelope of a released key, for each
// algorithm, and finds a key in it that it knows.
func TestReleasedKey(t *testing.T) {
	target, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(target)
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), "target.pem")
	write(t, private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, c := range keys {
		k, err := keyring.Generate(rand.Reader, c.spec)
		if err != nil {
			t.Fatal(err)
		}
		want, err := k.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		for enc, hash := range map[string]string{"CKM_RSA_AES_KEY_WRAP": "sha1", "RSA_AES_KEY_WRAP_256": "sha256", "RSA_AES_KEY_WRAP_384": "sha384"} {
			wrapped, err := release.Wrap(k, &target.PublicKey, enc)
			if err != nil {
				t.Fatal(err)
			}
			secret := openssl(t, wrapped[:256], "pkeyutl", "-decrypt", "-inkey", private,
				"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:"+hash, "-pkeyopt", "rsa_mgf1_md:"+hash)
			plain := openssl(t, wrapped[256:], "enc", "-d", "-id-aes256-wrap-pad", "-K", fmt.Sprintf("%x", secret), "-iv", "A65959A6")
			if !bytes.Equal(plain, want) {
				t.Errorf("openssl opens the %s of %s to %d bytes, want %d", enc, c.name, len(plain), len(want))
			}
		}
		openssl(t, want, "pkey", "-inform", "DER", "-check", "-noout")
	}
}

// sequence is r and s as openssl has them, in ASN.1.
func sequence(t *testing.T, raw []byte) []byte {
	t.Helper()
	half := len(raw) / 2
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// raw is the reverse.
func raw(t *testing.T, der []byte, width int) []byte {
	t.Helper()
	var s struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &s); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, 2*width)
	s.R.FillBytes(out[:width])
	s.S.FillBytes(out[width:])
	return out
}

// parse reads what openssl genpkey writes, and imports its numbers as a client
// would send them.
func parse(der []byte) (*keyring.Key, error) {
	private, err := x509.ParsePKCS8PrivateKey(der)
	switch p := private.(type) {
	case *rsa.PrivateKey:
		return keyring.Import(keyring.JWK{Type: keyring.RSA, N: p.N.Bytes(), E: big.NewInt(int64(p.E)).Bytes(), D: p.D.Bytes(),
			P: p.Primes[0].Bytes(), Q: p.Primes[1].Bytes(), DP: p.Precomputed.Dp.Bytes(), DQ: p.Precomputed.Dq.Bytes(), QI: p.Precomputed.Qinv.Bytes()})
	case *ecdsa.PrivateKey:
		return keyring.New(p)
	case nil:
		// Go does not know secp256k1: RFC 5915 inside of RFC 5958.
		var outer struct {
			Version   int
			Algorithm struct{ Algorithm, Curve asn1.ObjectIdentifier }
			Key       []byte
		}
		var inner struct {
			Version int
			D       []byte
			Point   asn1.BitString `asn1:"explicit,tag:1"`
		}
		if _, err := asn1.Unmarshal(der, &outer); err != nil {
			return nil, err
		}
		if _, err := asn1.Unmarshal(outer.Key, &inner); err != nil {
			return nil, err
		}
		return keyring.Import(keyring.JWK{Type: keyring.EC, Curve: keyring.P256K, D: inner.D, X: inner.Point.Bytes[1:33], Y: inner.Point.Bytes[33:]})
	}
	return nil, fmt.Errorf("a key of type %T: %w", private, err)
}

// openssl runs the program and returns what it writes.
func openssl(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	command := exec.Command("openssl", args...)
	command.Stdin = bytes.NewReader(in)
	var trouble bytes.Buffer
	command.Stderr = &trouble
	out, err := command.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s%s", args, err, trouble.Bytes(), out)
	}
	return out
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
