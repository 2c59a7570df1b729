package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"time"
)

// leaf is a certificate for the hosts, and when the next one is due.
type leaf struct {
	certificate *tls.Certificate
	from, renew time.Time
}

// loopback is where a client on this machine may reach the server by
// address; the constraints permit these networks, the leaf names the first
// address of each.
var loopback = []*net.IPNet{
	{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
	{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
}

// domains are the DNS domains that an authority for hosts is constrained
// to. A wildcard stands for its domain. Where both login.S and *.vault.S are
// served, S is the operator's own suffix and permitted as a whole, so that
// planes added later need no new authority; a public name permits itself
// alone (RFC 5280 §4.2.1.10: and what is below it).
func domains(hosts []string) []string {
	var suffixes []string
	for _, h := range hosts {
		if s, ok := strings.CutPrefix(h, "*.vault."); ok && slices.Contains(hosts, "login."+s) {
			suffixes = append(suffixes, s)
		}
	}
	permitted := append([]string{"localhost"}, suffixes...)
	for _, h := range hosts {
		h = strings.TrimPrefix(h, "*.")
		covered := slices.ContainsFunc(permitted, func(d string) bool { return h == d || strings.HasSuffix(h, "."+d) })
		if !covered && net.ParseIP(h) == nil {
			permitted = append(permitted, h)
		}
	}
	slices.Sort(permitted)
	return slices.Compact(permitted)
}

// certify makes the authority's certificate: it signs servers' certificates
// only, itself no further authority, within critical name constraints.
func (a *Authority) certify() error {
	now := a.now()
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:                serial,
		Subject:                     pkix.Name{Organization: []string{"Postern"}, CommonName: "Postern local authority " + now.UTC().Format("2006-01-02")},
		NotBefore:                   now.Add(-backdated),
		NotAfter:                    now.Add(authorityLife),
		IsCA:                        true,
		BasicConstraintsValid:       true,
		MaxPathLenZero:              true,
		KeyUsage:                    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         domains(a.hosts),
		PermittedIPRanges:           loopback,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		return fmt.Errorf("making the authority's certificate: %w", err)
	}
	a.certificate, err = x509.ParseCertificate(der)
	return err
}

// newLeaf makes the certificate of the listeners.
func (a *Authority) newLeaf() (*leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the server's key: %w", err)
	}
	return a.certifyLeaf(key)
}

// certifyLeaf makes a certificate of a key for the hosts, localhost and the
// loopback addresses.
func (a *Authority) certifyLeaf(key crypto.Signer) (*leaf, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	now := a.now()
	end := now.Add(leafLife)
	if end.After(a.certificate.NotAfter) {
		end = a.certificate.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Postern server"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              append(slices.Clone(a.hosts), "localhost"),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("making the server's certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the server's certificate: %w", err)
	}
	return &leaf{
		certificate: &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed},
		from:        template.NotBefore,
		renew:       now.Add(end.Sub(now) * 2 / 3),
	}, nil
}

// serialNumber is 127 random bits, positive (RFC 5280 §4.1.2.2).
func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}
