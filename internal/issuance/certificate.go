package issuance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// backdated is by how much a self-signed certificate is valid before it is
// made, as recorded certificates of the service are.
const backdated = 10 * time.Minute

// Request is the request for a certificate by the policy, in PKCS#10 (RFC
// 2986), with the extensions in the order of the service's. A request to an
// issuer of the vault names a host in the common name among the alternative
// names, too: authorities look nowhere else today.
func (p *Policy) Request(key crypto.Signer) ([]byte, error) {
	algorithm, err := signatureAlgorithm(key)
	if err != nil {
		return nil, err
	}
	subject, err := p.X509.subject()
	if err != nil {
		return nil, err
	}
	x := p.X509
	if !p.SelfIssued() && !p.Merged() {
		x.Names = x.withCommonName()
	}
	extensions, err := collect(x.keyUsage, x.extendedKeyUsage, x.alternativeNames, x.basicConstraints)
	if err != nil {
		return nil, err
	}
	template := &x509.CertificateRequest{RawSubject: subject, SignatureAlgorithm: algorithm, ExtraExtensions: extensions}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	return der, nil
}

// SelfSign is a certificate by the policy, signed with its own key: what the
// issuer Self makes. Its form is that of recorded certificates of the
// service: SHA-256, a random serial number of 128 bits, valid from ten minutes
// before now until so many calendar months after it.
func (p *Policy) SelfSign(key crypto.Signer, now time.Time) ([]byte, error) {
	algorithm, err := signatureAlgorithm(key)
	if err != nil {
		return nil, err
	}
	subject, err := p.X509.subject()
	if err != nil {
		return nil, err
	}
	x := &p.X509
	identifiers := func() ([]pkix.Extension, error) { return keyIdentifiers(key.Public()) }
	extensions, err := collect(x.keyUsage, x.basicConstraints, x.extendedKeyUsage, x.alternativeNames, identifiers)
	if err != nil {
		return nil, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	months := defaultMonths
	if x.Months != nil && *x.Months > 0 {
		months = *x.Months
	}
	now = now.UTC().Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: serial, RawSubject: subject, SignatureAlgorithm: algorithm, ExtraExtensions: extensions,
		NotBefore: now.Add(-backdated), NotAfter: addMonths(now, months),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate: %w", err)
	}
	return der, nil
}

// subject is the subject as it stands in a certificate; none is an empty
// name.
func (x *X509Properties) subject() ([]byte, error) {
	if x.Subject == "" {
		return name{}.der()
	}
	n, err := parseSubject(x.Subject)
	if err != nil {
		return nil, err
	}
	return n.der()
}

// withCommonName are the alternative names with the common name's host.
func (x *X509Properties) withCommonName() *SubjectAlternativeNames {
	n, err := parseSubject(x.Subject)
	if x.Subject == "" || err != nil {
		return x.Names
	}
	for _, part := range n {
		for _, p := range part {
			host := string(p.Value.Bytes)
			if !p.Type.Equal(oidCommonName) || !strings.Contains(host, ".") || !isHost(host) {
				continue
			}
			var next SubjectAlternativeNames
			if x.Names != nil {
				next = *x.Names
			}
			if !slices.ContainsFunc(next.DNSNames, func(d string) bool { return strings.EqualFold(d, host) }) {
				next.DNSNames = append([]string{host}, next.DNSNames...)
			}
			return &next
		}
	}
	return x.Names
}

// collect calls each and puts the extensions one behind the other.
func collect(makers ...func() ([]pkix.Extension, error)) ([]pkix.Extension, error) {
	var all []pkix.Extension
	for _, m := range makers {
		e, err := m()
		if err != nil {
			return nil, err
		}
		all = append(all, e...)
	}
	return all, nil
}

// signatureAlgorithm is SHA-256 with the key's own algorithm, whatever its
// size, as the service has it. Keys on P-256K are refused: neither the
// standard library nor what reads certificates in practice knows the curve
// (docs/own-choices.md).
func signatureAlgorithm(key crypto.Signer) (x509.SignatureAlgorithm, error) {
	switch k := key.Public().(type) {
	case *rsa.PublicKey:
		return x509.SHA256WithRSA, nil
	case *ecdsa.PublicKey:
		switch k.Curve.Params().Name {
		case "P-256", "P-384", "P-521":
			return x509.ECDSAWithSHA256, nil
		}
	}
	return 0, errCurve()
}

// errCurve is the refusal of a certificate on P-256K.
func errCurve() *Invalid {
	return invalid("policy.key_props.crv", "is a curve that certificates are not made with").hinted("use P-256, P-384 or P-521")
}

// serialNumber is 127 random bits, positive (RFC 5280 §4.1.2.2).
func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

// addMonths is the same day so many months later, or that month's last when
// it has no such day.
func addMonths(t time.Time, months int) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), 0, t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

// monthsBetween is how many months a certificate is valid, a begun one
// counted (recorded answers of ImportCertificate).
func monthsBetween(from, to time.Time) int {
	from, to = from.UTC(), to.UTC()
	n := (to.Year()-from.Year())*12 + int(to.Month()-from.Month())
	if addMonths(from, n).Before(to) {
		n++
	}
	return max(n, 0)
}
