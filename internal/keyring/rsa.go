package keyring

import (
	"crypto/rand"
	"crypto/rsa"
)

// pkcs1Overhead is what the padding of PKCS #1 v1.5 takes at least: 0, the
// type, eight bytes and 0 (RFC 8017 §7.2.1).
const pkcs1Overhead = 11

// rsaSize reports whether the service has RSA keys of this length.
func rsaSize(bits int) bool { return bits == 2048 || bits == 3072 || bits == 4096 }

// maxExponent is the largest public exponent that Go's RSA takes.
const maxExponent = 1<<31 - 1

func (k *Key) encryptRSA(a Algorithm, plain []byte) ([]byte, error) {
	public := k.public.(*rsa.PublicKey)
	if a.scheme == pkcs1 {
		if len(plain) > public.Size()-pkcs1Overhead {
			return nil, ErrSize
		}
		//lint:ignore SA1019 RSA1_5 is an algorithm of the service; programs that use it exist
		return rsa.EncryptPKCS1v15(rand.Reader, public, plain)
	}
	if len(plain) > public.Size()-2*a.hash.Size()-2 {
		return nil, ErrSize
	}
	return rsa.EncryptOAEP(a.hash.New(), rand.Reader, public, plain, nil)
}

// decryptRSA decrypts with the standard library, whose arithmetic takes
// constant time, which is why it needs no blinding. A ciphertext of another
// length than the modulus, or larger than it, is refused at once: both are
// public. From there on every ciphertext costs the same exponentiation and the same constant-time search
// for the end of the padding, and every failure is the same error.
//
// With RSA1_5 the answer itself tells a caller who may decrypt whether the
// padding was right, in this service as in the real one, because the protocol
// has an answer for failure. The library's other way, a random session key in
// place of an error (DecryptPKCS1v15SessionKey), needs the length of the key
// to be known beforehand and would make up plain texts that a client stores:
// the specification knows neither. Who has no right to decrypt learns nothing,
// since the decision comes before the ciphertext is read.
func (k *Key) decryptRSA(a Algorithm, ciphertext []byte) ([]byte, error) {
	private, ok := k.signer.(*rsa.PrivateKey)
	if !ok {
		return nil, ErrMismatch
	}
	if len(ciphertext) != private.Size() {
		return nil, ErrCiphertext
	}
	var plain []byte
	var err error
	if a.scheme == pkcs1 {
		//lint:ignore SA1019 RSA1_5 is an algorithm of the service; what it gives away is said above
		plain, err = rsa.DecryptPKCS1v15(nil, private, ciphertext)
	} else {
		plain, err = rsa.DecryptOAEP(a.hash.New(), nil, private, ciphertext, nil)
	}
	if err != nil {
		return nil, ErrCiphertext
	}
	return plain, nil
}

// saltLength is of PSS: as long as the digest (RFC 7518 §3.5).
const saltLength = rsa.PSSSaltLengthEqualsHash

func (k *Key) signRSA(a Algorithm, digest []byte) ([]byte, error) {
	private := k.signer.(*rsa.PrivateKey)
	if a.scheme == pss {
		return rsa.SignPSS(rand.Reader, private, a.hash, digest, &rsa.PSSOptions{SaltLength: saltLength})
	}
	// RSNULL has no hash: the digest is padded without a DigestInfo, as TLS
	// before 1.2 did it.
	return rsa.SignPKCS1v15(nil, private, a.hash, digest)
}

func (k *Key) verifyRSA(a Algorithm, digest, signature []byte) bool {
	public := k.public.(*rsa.PublicKey)
	if len(signature) != public.Size() {
		return false
	}
	if a.scheme == pss {
		return rsa.VerifyPSS(public, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: saltLength}) == nil
	}
	return rsa.VerifyPKCS1v15(public, a.hash, digest, signature) == nil
}
