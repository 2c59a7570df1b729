package release

import (
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // CKM_RSA_AES_KEY_WRAP
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"

	"postern/internal/keyring"
)

// DefaultEncryption is the algorithm when a request names none.
const DefaultEncryption = "CKM_RSA_AES_KEY_WRAP"

// ErrEncryption: there is no such algorithm to protect a released key with.
var ErrEncryption = errors.New("release: no such algorithm")

// ErrTarget: the claims have no key that the released one can be wrapped for.
var ErrTarget = errors.New("release: the environment shows no RSA key for encryption")

// hashes is the hash of OAEP for each algorithm (spec:
// KeyEncryptionAlgorithm).
var hashes = map[string]crypto.Hash{
	DefaultEncryption:      crypto.SHA1,
	"RSA_AES_KEY_WRAP_256": crypto.SHA256,
	"RSA_AES_KEY_WRAP_384": crypto.SHA384,
}

// Target finds the key of the environment: the first RSA key of the claim
// x-ms-runtime.keys that is for encryption (documentation: Environment
// assertion). Keys of x-ms-isolation-tee are of the platform below it and do
// not count.
func Target(claims map[string]any) (public *rsa.PublicKey, kid string, err error) {
	runtime, _ := claims["x-ms-runtime"].(map[string]any)
	keys, _ := runtime["keys"].([]any)
	for _, k := range keys {
		jwk, _ := k.(map[string]any)
		kid, _ := jwk["kid"].(string)
		if jwk["kty"] != "RSA" || kid == "" || !encrypts(jwk) {
			continue
		}
		n, ok := number(jwk["n"])
		e, and := number(jwk["e"])
		if !ok || !and {
			continue
		}
		key, err := keyring.ImportPublic(keyring.JWK{Type: keyring.RSA, N: n, E: e})
		if err != nil {
			continue
		}
		return key.Public().(*rsa.PublicKey), kid, nil
	}
	return nil, "", ErrTarget
}

// encrypts reports whether a key says that it is for encryption: by use (RFC
// 7517 §4.2), by key_use as the documentation calls it, or by key_ops.
func encrypts(jwk map[string]any) bool {
	for _, name := range []string{"use", "key_use", "key_ops"} {
		list, ok := jwk[name].([]any)
		if !ok {
			list = []any{jwk[name]}
		}
		if slices.Contains(list, any(map[bool]string{true: "encrypt", false: "enc"}[name == "key_ops"])) {
			return true
		}
	}
	return false
}

func number(value any) ([]byte, bool) {
	s, _ := value.(string)
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil && s != ""
}

// Wrap puts the key pair into an envelope for target: a fresh AES key of 256
// bits, encrypted with RSA-OAEP, and behind it the key pair in PKCS #8,
// wrapped by that AES key with padding (PKCS #11, RSA AES key wrap; RFC 5649).
// enc says the hash of OAEP; "" is DefaultEncryption.
func Wrap(key *keyring.Key, target *rsa.PublicKey, enc string) ([]byte, error) {
	if enc == "" {
		enc = DefaultEncryption
	}
	hash, ok := hashes[enc]
	if !ok {
		return nil, ErrEncryption
	}
	plain, err := key.PKCS8()
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	out, err := rsa.EncryptOAEP(hash.New(), rand.Reader, target, secret, nil)
	if err != nil {
		return nil, err
	}
	wrapped, err := wrapPadded(secret, plain)
	if err != nil {
		return nil, err
	}
	return append(out, wrapped...), nil
}

// wrapPadded is the AES key wrap with padding (RFC 5649 §4.1), for more than
// 8 bytes.
func wrapPadded(secret, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	n := (len(plain) + 7) / 8
	out := make([]byte, 8*(n+1))
	copy(out[8:], plain)
	var b [16]byte // A and one half-block (RFC 3394 §2.2.1)
	binary.BigEndian.PutUint32(b[:], 0xa65959a6)
	binary.BigEndian.PutUint32(b[4:], uint32(len(plain)))
	for step := range 6 * n {
		half := out[8*(1+step%n):][:8]
		copy(b[8:], half)
		block.Encrypt(b[:], b[:])
		copy(half, b[8:])
		binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(b[:])^uint64(step+1))
	}
	copy(out, b[:8])
	return out, nil
}

// header is the header of an envelope.
type header struct {
	KID string `json:"kid"`
	Alg string `json:"alg"`
	Enc string `json:"enc"`
}

// envelope is what key_hsm decodes to (documentation: key transfer blob).
type envelope struct {
	Schema     string `json:"schema_version"`
	Header     header `json:"header"`
	Ciphertext string `json:"ciphertext"`
}

// KeyHSM is the property key_hsm of a released key: the envelope that Wrap
// made, with the kid of the key it is for, in base64url.
func KeyHSM(wrapped []byte, kid, enc string) (string, error) {
	if enc == "" {
		enc = DefaultEncryption
	}
	text, err := json.Marshal(envelope{"1.0", header{kid, "dir", enc}, base64.RawURLEncoding.EncodeToString(wrapped)})
	return base64.RawURLEncoding.EncodeToString(text), err
}

// Request is what was asked for, as the answer repeats it.
type Request struct {
	APIVersion string `json:"api-version"`
	Enc        string `json:"enc"`
	KID        string `json:"kid"`
	Nonce      string `json:"nonce,omitempty"`
}

// Payload is what the answer's JWS signs: the request, and the bundle of the
// key as GetKey would answer it, with key_hsm among the properties of its key.
// The JWS has alg RS256, kid, x5c and x5t#S256 in its header; its certificate
// is the vault's own, as clients check its name.
func Payload(r Request, bundle json.RawMessage) ([]byte, error) {
	type response struct {
		Key json.RawMessage `json:"key"`
	}
	return json.Marshal(struct {
		Request  Request  `json:"request"`
		Response response `json:"response"`
	}{r, response{bundle}})
}
