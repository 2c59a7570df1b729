package keyring

import (
	"crypto"
	_ "crypto/sha1" // RSA-OAEP means OAEP with SHA-1
	_ "crypto/sha256"
	_ "crypto/sha512"
	"slices"
)

// Use is what an algorithm is for.
type Use uint8

// Encryption algorithms also wrap keys: the service offers the same ones for
// both. Signature algorithms sign digests that the client made.
const (
	Encryption Use = 1 + iota
	Signature
)

// scheme is how an algorithm is carried out.
type scheme uint8

const (
	none scheme = iota // not with any key of a vault
	oaep
	pkcs1
	pss
	dsa
)

// Algorithm is a row of the table.
type Algorithm struct {
	// Name is what a client says (spec: JsonWebKeyEncryptionAlgorithm,
	// JsonWebKeySignatureAlgorithm).
	Name string
	// Use is what it is for.
	Use Use
	// Type is the type of key it needs: RSA, EC, or oct, which only a managed
	// HSM has.
	Type string
	// Curve is the curve it needs; "" for RSA and oct.
	Curve string
	// Digest is how many bytes a signature is made over; 0 for any number
	// (RSNULL) and for encryption.
	Digest int
	// Since is the api-version of the data plane that first names it.
	Since string

	hash   crypto.Hash
	scheme scheme
}

// oct is the type of symmetric keys. No vault has them; their algorithms are
// known so that they are refused as what they are.
const oct = "oct"

// table is every algorithm that the specification names, and how it is done.
var table = []Algorithm{
	{"RSA-OAEP", Encryption, RSA, "", 0, "7.0", crypto.SHA1, oaep},
	{"RSA-OAEP-256", Encryption, RSA, "", 0, "7.0", crypto.SHA256, oaep},
	{"RSA1_5", Encryption, RSA, "", 0, "7.0", 0, pkcs1},

	{"RS256", Signature, RSA, "", 32, "7.0", crypto.SHA256, pkcs1},
	{"RS384", Signature, RSA, "", 48, "7.0", crypto.SHA384, pkcs1},
	{"RS512", Signature, RSA, "", 64, "7.0", crypto.SHA512, pkcs1},
	{"RSNULL", Signature, RSA, "", 0, "7.0", 0, pkcs1},
	{"PS256", Signature, RSA, "", 32, "7.0", crypto.SHA256, pss},
	{"PS384", Signature, RSA, "", 48, "7.0", crypto.SHA384, pss},
	{"PS512", Signature, RSA, "", 64, "7.0", crypto.SHA512, pss},
	{"ES256", Signature, EC, P256, 32, "7.0", crypto.SHA256, dsa},
	{"ES384", Signature, EC, P384, 48, "7.0", crypto.SHA384, dsa},
	{"ES512", Signature, EC, P521, 64, "7.0", crypto.SHA512, dsa},
	{"ES256K", Signature, EC, P256K, 32, "7.0", crypto.SHA256, dsa},

	{"A128GCM", Encryption, oct, "", 0, "7.2", 0, none},
	{"A192GCM", Encryption, oct, "", 0, "7.2", 0, none},
	{"A256GCM", Encryption, oct, "", 0, "7.2", 0, none},
	{"A128KW", Encryption, oct, "", 0, "7.2", 0, none},
	{"A192KW", Encryption, oct, "", 0, "7.2", 0, none},
	{"A256KW", Encryption, oct, "", 0, "7.2", 0, none},
	{"A128CBC", Encryption, oct, "", 0, "7.2", 0, none},
	{"A192CBC", Encryption, oct, "", 0, "7.2", 0, none},
	{"A256CBC", Encryption, oct, "", 0, "7.2", 0, none},
	{"A128CBCPAD", Encryption, oct, "", 0, "7.2", 0, none},
	{"A192CBCPAD", Encryption, oct, "", 0, "7.2", 0, none},
	{"A256CBCPAD", Encryption, oct, "", 0, "7.2", 0, none},
	{"CKM_AES_KEY_WRAP", Encryption, oct, "", 0, "7.6", 0, none},
	{"CKM_AES_KEY_WRAP_PAD", Encryption, oct, "", 0, "7.6", 0, none},
	{"HS256", Signature, oct, "", 32, "7.6", crypto.SHA256, none},
	{"HS384", Signature, oct, "", 48, "7.6", crypto.SHA384, none},
	{"HS512", Signature, oct, "", 64, "7.6", crypto.SHA512, none},
}

// Algorithms is the table.
func Algorithms() []Algorithm { return slices.Clone(table) }

// For reports whether the algorithm is one for this key.
func (a Algorithm) For(k *Key) bool {
	return a.scheme != none && a.Type == k.Type() && a.Curve == k.Curve()
}

// algorithm finds the row of name, if it is for this use and this key.
func (k *Key) algorithm(name string, use Use) (Algorithm, error) {
	for i := range table {
		if a := &table[i]; a.Name == name && a.Use == use {
			if !a.For(k) {
				return Algorithm{}, ErrMismatch
			}
			return *a, nil
		}
	}
	return Algorithm{}, ErrAlgorithm
}

// Encrypt encrypts with the public part (spec: encrypt). ErrSize for a text
// that is too long for the key.
func (k *Key) Encrypt(alg string, plain []byte) ([]byte, error) {
	a, err := k.algorithm(alg, Encryption)
	if err != nil {
		return nil, err
	}
	return k.encryptRSA(a, plain)
}

// Decrypt is the reverse (spec: decrypt). Whatever is wrong with the
// ciphertext, its length included, the error is ErrCiphertext.
func (k *Key) Decrypt(alg string, ciphertext []byte) ([]byte, error) {
	a, err := k.algorithm(alg, Encryption)
	if err != nil {
		return nil, err
	}
	return k.decryptRSA(a, ciphertext)
}

// Wrap encrypts a symmetric key (spec: wrapKey). To the service a key is
// bytes like any others.
func (k *Key) Wrap(alg string, key []byte) ([]byte, error) { return k.Encrypt(alg, key) }

// Unwrap is the reverse (spec: unwrapKey).
func (k *Key) Unwrap(alg string, wrapped []byte) ([]byte, error) { return k.Decrypt(alg, wrapped) }

// Sign signs a digest (spec: sign). A signature on a curve is r and s, each as
// long as the curve's numbers (RFC 7518 §3.4).
func (k *Key) Sign(alg string, digest []byte) ([]byte, error) {
	a, err := k.algorithm(alg, Signature)
	if err != nil {
		return nil, err
	}
	if err := k.checkDigest(a, digest); err != nil {
		return nil, err
	}
	if k.signer == nil {
		return nil, ErrMismatch
	}
	if a.Type == RSA {
		return k.signRSA(a, digest)
	}
	return k.signEC(digest)
}

// Verify reports whether the signature is one of this key over the digest
// (spec: verify). A signature that is malformed is not one.
func (k *Key) Verify(alg string, digest, signature []byte) (bool, error) {
	a, err := k.algorithm(alg, Signature)
	if err != nil {
		return false, err
	}
	if err := k.checkDigest(a, digest); err != nil {
		return false, err
	}
	if a.Type == RSA {
		return k.verifyRSA(a, digest, signature), nil
	}
	return k.verifyEC(digest, signature), nil
}

// checkDigest holds the length of a digest to the table; of RSNULL's, to what
// the padding leaves room for.
func (k *Key) checkDigest(a Algorithm, digest []byte) error {
	if a.Digest != 0 && len(digest) != a.Digest {
		return ErrSize
	}
	if len(digest) == 0 || len(digest) > k.bits/8-pkcs1Overhead && a.Digest == 0 {
		return ErrSize
	}
	return nil
}
