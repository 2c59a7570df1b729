package keyring

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// Object identifiers: id-ecPublicKey (RFC 5480 §2.1.1), secp256k1 (SEC 2
// §A.2.1).
var (
	oidPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidKoblitz   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

// oneAsymmetricKey is RFC 5958 §2, without attributes.
type oneAsymmetricKey struct {
	Version   int
	Algorithm pkix.AlgorithmIdentifier
	Key       []byte
}

// ecPrivateKey is RFC 5915 §3. The curve is said outside of it.
type ecPrivateKey struct {
	Version int
	Key     []byte
	Point   asn1.BitString `asn1:"optional,explicit,tag:1"`
}

// PKCS8 is the key pair in DER, as PrivateKeyInfo (RFC 5958), also on P-256K,
// which the standard library does not write. ErrMismatch for the public part
// alone.
func (k *Key) PKCS8() ([]byte, error) {
	switch private := k.signer.(type) {
	case nil:
		return nil, ErrMismatch
	case *Koblitz:
		curve, err := asn1.Marshal(oidKoblitz)
		if err != nil {
			return nil, err
		}
		identifier := pkix.AlgorithmIdentifier{Algorithm: oidPublicKey, Parameters: asn1.RawValue{FullBytes: curve}}
		point := private.public.Bytes()
		inner, err := asn1.Marshal(ecPrivateKey{1, k.scalar(), asn1.BitString{Bytes: point, BitLength: 8 * len(point)}})
		if err != nil {
			return nil, err
		}
		return asn1.Marshal(oneAsymmetricKey{0, identifier, inner})
	default:
		return x509.MarshalPKCS8PrivateKey(private)
	}
}
