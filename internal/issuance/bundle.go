package issuance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// Bundle is a certificate with its private key and those that vouch for it.
type Bundle struct {
	// Key is the private key; nil where the file of a key that may not leave
	// was read back.
	Key crypto.Signer
	// Leaf is the certificate of that key.
	Leaf *x509.Certificate
	// Chain are the others: the one that vouches for the leaf first, then the
	// one that vouches for that, then what belongs nowhere.
	Chain []*x509.Certificate
	// Given are all of them in the order in which they came; none for a
	// certificate that was signed here.
	Given []*x509.Certificate
	// ContentType is the form in which they came; "" for a merge.
	ContentType string
}

// publicKey is what every public key of the standard library can do.
type publicKey interface {
	Equal(crypto.PublicKey) bool
}

// samePublic compares two public keys.
func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(publicKey)
	return ok && k.Equal(b)
}

// newBundle finds the certificate of the key, and puts the others in order.
func newBundle(property string, key crypto.Signer, given []*x509.Certificate) (*Bundle, error) {
	i := slices.IndexFunc(given, func(c *x509.Certificate) bool { return samePublic(c.PublicKey, key.Public()) })
	if i < 0 {
		return nil, invalid(property, "has no certificate whose public key belongs to the private key").
			hinted("send the certificate that was made for this key")
	}
	return &Bundle{Key: key, Leaf: given[i], Chain: chainOf(given, i), Given: given}, nil
}

// chainOf follows the issuers from the leaf on. Signatures are not looked at:
// a chain is passed on, not trusted.
func chainOf(given []*x509.Certificate, leaf int) []*x509.Certificate {
	rest := slices.Delete(slices.Clone(given), leaf, leaf+1)
	var chain []*x509.Certificate
	for last := given[leaf]; ; {
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return vouches(c, last) })
		if i < 0 || bytes.Equal(last.RawSubject, last.RawIssuer) {
			return append(chain, rest...)
		}
		last = rest[i]
		chain = append(chain, last)
		rest = slices.Delete(rest, i, i+1)
	}
}

// vouches reports whether one certificate names the other as its issuer.
func vouches(issuer, c *x509.Certificate) bool {
	return bytes.Equal(issuer.RawSubject, c.RawIssuer) &&
		(len(c.AuthorityKeyId) == 0 || len(issuer.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId))
}

// Merge joins certificates from outside with the key that was kept for them
// (MergeCertificate). One of them is the key's, and the request was the key's,
// too; nothing else is asked, as the service asks nothing else.
func Merge(csr []byte, key crypto.Signer, x5c [][]byte) (*Bundle, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil || !samePublic(request.PublicKey, key.Public()) {
		return nil, errors.New("issuance: the kept request is not of the kept key")
	}
	if len(x5c) == 0 {
		return nil, invalid("x5c", "has no certificate")
	}
	given, err := parseCertificates("x5c", x5c)
	if err != nil {
		return nil, err
	}
	return newBundle("x5c", key, given)
}

// parseCertificates reads DER.
func parseCertificates(property string, ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) > maxCertificates {
		return nil, invalid(property, "has %d certificates, more than %d", len(ders), maxCertificates)
	}
	var list []*x509.Certificate
	for i, der := range ders {
		if len(der) > maxCertificate {
			return nil, invalid(property, "has a certificate of %d bytes, more than %d", len(der), maxCertificate)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, invalid(property, "cannot be read: entry %d is not an X.509 certificate in DER", i+1).
				hinted("each entry is the text between the lines BEGIN CERTIFICATE and END CERTIFICATE of one PEM block")
		}
		list = append(list, c)
	}
	return list, nil
}

// checkKey accepts the keys that a vault makes certificates with.
func checkKey(property string, key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if slices.Contains([]int{2048, 3072, 4096}, k.N.BitLen()) {
			return k, nil
		}
		return nil, invalid(property, "has an RSA key of %d bits; 2048, 3072 or 4096 are taken", k.N.BitLen())
	case *ecdsa.PrivateKey:
		if bits, ok := curveBits[k.Curve.Params().Name]; ok && bits == k.Curve.Params().BitSize {
			return k, nil
		}
	}
	return nil, invalid(property, "has a private key of a kind that is not taken").hinted("use RSA, or EC on P-256, P-384 or P-521")
}

// Secret is the value of the secret behind the certificate, and its content
// type. Without exportable the private key is not in it. With preserveOrder
// the certificates stand as they came, otherwise the leaf first and the chain
// behind it; in PKCS#12 the leaf is first in any case.
func (b *Bundle) Secret(contentType string, exportable, preserveOrder bool) (value, kind string, err error) {
	all := append([]*x509.Certificate{b.Leaf}, b.Chain...)
	if preserveOrder && len(b.Given) > 0 {
		all = b.Given
	}
	key := b.Key
	if !exportable {
		key = nil
	}
	switch contentType {
	case PEM:
		value, err = writePEM(key, all)
	case PKCS12, "":
		contentType = PKCS12
		value, err = writePKCS12(key, b.Leaf, all)
	default:
		err = invalid("policy.secret_props.contentType", "is %q", clip(contentType))
	}
	return value, contentType, err
}

// Convert writes a secret in another form (GetSecret with outContentType).
// The service turns PKCS#12 into PEM and nothing else.
func Convert(value, from, to string) (string, error) {
	switch {
	case from == to:
		return value, nil
	case from != PKCS12 || to != PEM:
		return "", invalid("outContentType", "is %q, and the secret's content type is %q", clip(to), clip(from)).
			hinted("only " + PKCS12 + " is turned into " + PEM)
	}
	data, err := decodeBase64("value", value)
	if err != nil {
		return "", err
	}
	key, certificates, err := readPKCS12(data, "", true)
	if err != nil {
		return "", err
	}
	return writePEM(key, certificates)
}

// writePKCS12 makes a file without a password that every reader in use
// understands: 3DES and SHA-1, since what has no password has no secrecy, and
// there are clients that know nothing newer.
func writePKCS12(key crypto.Signer, leaf *x509.Certificate, all []*x509.Certificate) (string, error) {
	others := slices.DeleteFunc(slices.Clone(all), func(c *x509.Certificate) bool { return c == leaf })
	var file []byte
	var err error
	if key == nil {
		file, err = pkcs12.LegacyDES.EncodeTrustStore(append([]*x509.Certificate{leaf}, others...), "")
	} else {
		file, err = pkcs12.LegacyDES.Encode(key, leaf, others, "")
	}
	return encodeBase64(file), err
}

// defaultPolicy is the policy of an imported certificate when none is given:
// what stands in the certificate (recorded answers of ImportCertificate).
func (b *Bundle) defaultPolicy(now time.Time) (*Policy, error) {
	subject, err := readName(b.Leaf.RawSubject)
	if err != nil {
		return nil, err
	}
	p := &Policy{
		Key:    KeyProperties{Exportable: new(true), Reuse: new(false)},
		Secret: SecretProperties{ContentType: b.ContentType},
		X509: X509Properties{
			Subject: subject.String(), Names: readNames(b.Leaf), ExtendedUsages: readExtendedUsages(b.Leaf), Usages: readUsages(b.Leaf),
			Months:           new(max(1, monthsBetween(b.Leaf.NotBefore, b.Leaf.NotAfter))),
			BasicConstraints: readConstraints(b.Leaf),
		},
		Actions:    []LifetimeAction{{Trigger{Percentage: new(defaultPercentage)}, Action{EmailContacts}}},
		Issuer:     IssuerParameters{Name: Unknown},
		Attributes: PolicyAttributes{Enabled: new(true), Created: now.Unix(), Updated: now.Unix()},
	}
	replaceEmpty(&p.Secret.ContentType, PKCS12)
	switch k := b.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		p.Key.Type, p.Key.Size = "RSA", k.N.BitLen()
	case *ecdsa.PublicKey:
		p.Key.Type, p.Key.Size, p.Key.Curve = "EC", k.Curve.Params().BitSize, k.Curve.Params().Name
	}
	return p, nil
}

// DefaultPolicy is the policy that an import leads to: what stands in the
// certificate, with what the request's policy says over it; given is nil when
// it says nothing. A key of another kind than the certificate's is refused.
func DefaultPolicy(b *Bundle, given *Policy, now time.Time) (*Policy, error) {
	p, err := b.defaultPolicy(now)
	if err != nil || given == nil {
		return p, err
	}
	next, err := p.Patched(given, now)
	if err != nil {
		return nil, err
	}
	switch {
	case family(next.Key.Type) != family(p.Key.Type):
		return nil, invalid("policy.key_props.kty", "is %s, and the certificate's key is %s", next.Key.Type, p.Key.Type)
	case next.Key.Size != p.Key.Size:
		return nil, invalid("policy.key_props.key_size", "is %d, and the certificate's key has %d bits", next.Key.Size, p.Key.Size)
	case next.Key.Curve != p.Key.Curve:
		return nil, invalid("policy.key_props.crv", "is %s, and the certificate's key is on %s", next.Key.Curve, p.Key.Curve)
	}
	return next, nil
}
