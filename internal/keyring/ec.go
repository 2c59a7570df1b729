package keyring

import (
	"crypto/ecdsa"
	"crypto/rand"
	"math/big"
)

// widths says how many bytes a number of a curve takes.
var widths = map[string]int{P256: 32, P384: 48, P521: 66, P256K: 32}

// width is how many bytes a number of the key's curve takes.
func (k *Key) width() int { return (k.bits + 7) / 8 }

func (k *Key) signEC(digest []byte) ([]byte, error) {
	out := make([]byte, 2*k.width())
	if private, ok := k.signer.(*Koblitz); ok {
		return out, private.sign(rand.Reader, digest, out)
	}
	r, s, err := ecdsa.Sign(rand.Reader, k.signer.(*ecdsa.PrivateKey), digest)
	if err != nil {
		return nil, err
	}
	r.FillBytes(out[:k.width()])
	s.FillBytes(out[k.width():])
	return out, nil
}

func (k *Key) verifyEC(digest, signature []byte) bool {
	if len(signature) != 2*k.width() {
		return false
	}
	if public, ok := k.public.(*KoblitzPublic); ok {
		return public.verify(digest, signature)
	}
	r := new(big.Int).SetBytes(signature[:k.width()])
	s := new(big.Int).SetBytes(signature[k.width():])
	return ecdsa.Verify(k.public.(*ecdsa.PublicKey), digest, r, s)
}
