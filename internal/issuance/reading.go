package issuance

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/netip"
)

// find returns the value of an extension.
func find(c *x509.Certificate, oid asn1.ObjectIdentifier) (pkix.Extension, bool) {
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return e, true
		}
	}
	return pkix.Extension{}, false
}

// readUsages are the key usages of a certificate; an empty list, not none,
// when it has no such extension, so that the policy says so.
func readUsages(c *x509.Certificate) []string {
	list := []string{}
	var bits asn1.BitString
	if e, ok := find(c, oidKeyUsage); ok {
		if _, err := asn1.Unmarshal(e.Value, &bits); err != nil {
			return list
		}
	}
	for i, u := range usages {
		if bits.At(i) == 1 {
			list = append(list, u)
		}
	}
	return list
}

func readExtendedUsages(c *x509.Certificate) []string {
	list := []string{}
	var oids []asn1.ObjectIdentifier
	if e, ok := find(c, oidExtendedKeyUsage); ok {
		if _, err := asn1.Unmarshal(e.Value, &oids); err != nil {
			return list
		}
	}
	for _, o := range oids {
		list = append(list, o.String())
	}
	return list
}

func readConstraints(c *x509.Certificate) *BasicConstraints {
	b := &BasicConstraints{CA: c.BasicConstraintsValid && c.IsCA}
	if b.CA && (c.MaxPathLen > 0 || c.MaxPathLenZero) {
		b.PathLength = new(c.MaxPathLen)
	}
	return b
}

// readNames are the alternative names of a certificate, nil when it has none
// of the kinds that a policy knows.
func readNames(c *x509.Certificate) *SubjectAlternativeNames {
	n := &SubjectAlternativeNames{Emails: c.EmailAddresses, DNSNames: c.DNSNames}
	for _, u := range c.URIs {
		n.URIs = append(n.URIs, u.String())
	}
	for _, ip := range c.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			n.IPAddresses = append(n.IPAddresses, a.Unmap().String())
		}
	}
	if e, ok := find(c, oidAlternativeNames); ok {
		n.UPNs = readPrincipals(e.Value)
	}
	if n.count() == 0 {
		return nil
	}
	return n
}

// readPrincipals are the user principal names of an extension of alternative
// names.
func readPrincipals(der []byte) []string {
	var list []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &list); err != nil {
		return nil
	}
	var upns []string
	for _, v := range list {
		var o struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue `asn1:"explicit,tag:0"`
		}
		if v.Class != asn1.ClassContextSpecific || v.Tag != tagOther {
			continue
		}
		var name string
		if _, err := asn1.UnmarshalWithParams(v.FullBytes, &o, "tag:0"); err != nil || !o.Type.Equal(oidPrincipalName) {
			continue
		}
		if _, err := asn1.Unmarshal(o.Value.Bytes, &name); err == nil {
			upns = append(upns, name)
		}
	}
	return upns
}
