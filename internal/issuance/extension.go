package issuance

import (
	"crypto"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
	"slices"
)

// usages are the key usages in the order of their bits (RFC 5280 §4.2.1.3,
// spec: KeyUsageType).
var usages = []string{
	"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
	"keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
}

// The extensions and the one kind of name that crypto/x509 does not write.
var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtendedKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAlternativeNames = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidSubjectKey       = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidAuthorityKey     = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCommonName       = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidPrincipalName    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

// The tags of GeneralName (RFC 5280 §4.2.1.6).
const (
	tagOther   = 0
	tagMail    = 1
	tagDNS     = 2
	tagURI     = 6
	tagAddress = 7
)

// keyUsage is the extension, nil when the policy has no usages.
func (x *X509Properties) keyUsage() ([]pkix.Extension, error) {
	if len(x.Usages) == 0 {
		return nil, nil
	}
	bits := asn1.BitString{Bytes: make([]byte, 2)}
	for _, u := range x.Usages {
		i := slices.Index(usages, u)
		if i < 0 {
			return nil, invalid("policy.x509_props.key_usage", "has %q, which is no key usage", clip(u))
		}
		bits.Bytes[i/8] |= 0x80 >> (i % 8)
		bits.BitLength = max(bits.BitLength, i+1)
	}
	bits.Bytes = bits.Bytes[:(bits.BitLength+7)/8]
	return extension(oidKeyUsage, true, bits)
}

func (x *X509Properties) extendedKeyUsage() ([]pkix.Extension, error) {
	if len(x.ExtendedUsages) == 0 {
		return nil, nil
	}
	var oids []asn1.ObjectIdentifier
	for _, u := range x.ExtendedUsages {
		oid, ok := parseOID(u)
		if !ok {
			return nil, invalid("policy.x509_props.ekus", "has %q, which is no object identifier", clip(u))
		}
		oids = append(oids, oid)
	}
	return extension(oidExtendedKeyUsage, false, oids)
}

// alternativeNames is the extension; it is critical when the certificate has
// no other name (RFC 5280 §4.2.1.6).
func (x *X509Properties) alternativeNames() ([]pkix.Extension, error) {
	if x.Names.count() == 0 {
		return nil, nil
	}
	if err := x.Names.check(); err != nil {
		return nil, err
	}
	var list []asn1.RawValue
	add := func(tag int, names []string) {
		for _, n := range names {
			list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(n)})
		}
	}
	add(tagMail, x.Names.Emails)
	add(tagDNS, x.Names.DNSNames)
	for _, u := range x.Names.UPNs {
		other, err := asn1.MarshalWithParams(otherName{oidPrincipalName, u}, "tag:0")
		if err != nil {
			return nil, err
		}
		list = append(list, asn1.RawValue{FullBytes: other})
	}
	add(tagURI, x.Names.URIs)
	for _, s := range x.Names.IPAddresses {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, invalid("policy.x509_props.sans.ipAddresses", "has %q, which is no address", clip(s))
		}
		list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagAddress, Bytes: a.Unmap().AsSlice()})
	}
	return extension(oidAlternativeNames, x.Subject == "", list)
}

// otherName is a name of a kind that RFC 5280 does not number.
type otherName struct {
	Type  asn1.ObjectIdentifier
	Value string `asn1:"explicit,tag:0,utf8"`
}

// basicConstraints is the extension as the service writes it: there always,
// and critical in an authority's certificate alone.
func (x *X509Properties) basicConstraints() ([]pkix.Extension, error) {
	b := x.BasicConstraints
	if b == nil || !b.CA {
		return extension(oidBasicConstraints, false, struct{}{})
	}
	if b.PathLength == nil {
		return extension(oidBasicConstraints, true, struct{ CA bool }{true})
	}
	return extension(oidBasicConstraints, true, struct {
		CA   bool
		Path int
	}{true, *b.PathLength})
}

// keyIdentifiers are the two extensions of a self-signed certificate, both
// with the hash of its key (RFC 5280 §4.2.1.2, method 1).
func keyIdentifiers(public crypto.PublicKey) ([]pkix.Extension, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	id := sha1.Sum(info.Key.Bytes)
	authority, err := extension(oidAuthorityKey, false, struct {
		ID []byte `asn1:"tag:0"`
	}{id[:]})
	if err != nil {
		return nil, err
	}
	subject, err := extension(oidSubjectKey, false, id[:])
	return append(authority, subject...), err
}

func extension(oid asn1.ObjectIdentifier, critical bool, value any) ([]pkix.Extension, error) {
	der, err := asn1.Marshal(value)
	return []pkix.Extension{{Id: oid, Critical: critical, Value: der}}, err
}
