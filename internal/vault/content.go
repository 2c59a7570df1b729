package vault

import "encoding/binary"

// contentFormat is the first byte of the content of a key and of a
// certificate.
const contentFormat = 1

// Limits of the content of keys and certificates: far above what any of
// them needs, so that a record stays well below a store's limit.
const (
	maxOperations = 16
	maxMaterial   = 16 << 10
	maxRelease    = 32 << 10
	maxCER        = 32 << 10
)

// ReleasePolicy says under which conditions a key can be exported (spec:
// KeyReleasePolicy).
type ReleasePolicy struct {
	ContentType string
	// Immutable cannot be taken back, and Data cannot be changed after it.
	Immutable bool
	Data      []byte
}

// Fixed reports whether the policy must not be replaced by another one; nil
// is none.
func (r *ReleasePolicy) Fixed(next *ReleasePolicy) bool {
	if r == nil || next == nil || !r.Immutable {
		return false
	}
	return r.ContentType != next.ContentType || !next.Immutable || string(r.Data) != string(next.Data)
}

// KeyContent is one version of a key, apart from what every object has.
type KeyContent struct {
	// Type is kty as it is answered: RSA, RSA-HSM, EC or EC-HSM. Curve is
	// "" for RSA, Size the length in bits.
	Type, Curve string
	Size        int
	// Operations is key_ops in the order in which they were written.
	Operations []string
	Exportable bool
	// Release is nil for none.
	Release *ReleasePolicy
	// Platform is hsmPlatform; "" for none.
	Platform string
	// Material is the private key, Public the public one; both are opaque
	// here.
	Material, Public []byte
}

// CertificateContent is one version of a certificate, apart from what every
// object has.
type CertificateContent struct {
	// CER is the leaf in DER; nil until the first one is issued.
	CER               []byte
	PreserveCertOrder bool
}

func (k *KeyContent) encode() string {
	b := []byte{contentFormat}
	b = appendString(appendString(b, k.Type), k.Curve)
	b = binary.AppendUvarint(b, uint64(k.Size))
	b = binary.AppendUvarint(b, uint64(len(k.Operations)))
	for _, op := range k.Operations {
		b = appendString(b, op)
	}
	b = appendFlag(b, k.Exportable)
	b = appendFlag(b, k.Release != nil)
	if p := k.Release; p != nil {
		b = appendString(b, p.ContentType)
		b = appendFlag(b, p.Immutable)
		b = appendString(b, string(p.Data))
	}
	b = appendString(b, k.Platform)
	b = appendString(b, string(k.Material))
	return string(appendString(b, string(k.Public)))
}

func decodeKey(s string) (k KeyContent, err error) {
	r := reader{rest: s}
	if r.byte() != contentFormat {
		r.fail()
	}
	k.Type, k.Curve, k.Size = r.string(), r.string(), int(r.uvarint())
	n := r.uvarint()
	if n > maxOperations {
		r.fail()
		n = 0
	}
	k.Operations = make([]string, n)
	for i := range k.Operations {
		k.Operations[i] = r.string()
	}
	k.Exportable = r.flag()
	if r.flag() {
		k.Release = &ReleasePolicy{ContentType: r.string(), Immutable: r.flag(), Data: []byte(r.string())}
	}
	k.Platform = r.string()
	k.Material, k.Public = []byte(r.string()), []byte(r.string())
	if !r.end() {
		return KeyContent{}, errRecord
	}
	return k, nil
}

// check holds the content of a key to its limits.
func (k *KeyContent) check() error {
	switch {
	case len(k.Operations) > maxOperations:
		return &Invalid{"key_ops", "are too many"}
	case len(k.Material) > maxMaterial || len(k.Public) > maxMaterial:
		return &Invalid{"key", "is too large"}
	case k.Release != nil && len(k.Release.Data) > maxRelease:
		return &Invalid{"release_policy", "is too large"}
	case k.Size < 0:
		return &Invalid{"key_size", "is negative"}
	}
	return nil
}

func (x *CertificateContent) encode() string {
	b := appendFlag([]byte{contentFormat}, x.PreserveCertOrder)
	return string(appendString(b, string(x.CER)))
}

func decodeCertificate(s string) (x CertificateContent, err error) {
	r := reader{rest: s}
	if r.byte() != contentFormat {
		r.fail()
	}
	x.PreserveCertOrder = r.flag()
	if cer := r.string(); cer != "" {
		x.CER = []byte(cer)
	}
	if !r.end() {
		return CertificateContent{}, errRecord
	}
	return x, nil
}
