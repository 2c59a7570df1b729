package issuance

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/keyring"
)

const everyName = `{"subject":"CN=SANTest","sans":{"dns_names":["localhost","example.com"],"emails":["admin@example.com"],"ipAddresses":["192.168.1.1","2001:0db8::1"],"uris":["https://example.com","https://test.com/path"],"upns":["user@domain.com","jürgen@domain.com"]}}`

func selfSigned(t testing.TB, p *Policy, key crypto.Signer, now time.Time) *x509.Certificate {
	t.Helper()
	der, err := p.SelfSign(key, now)
	if err != nil {
		t.Fatalf("SelfSign = %v", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// oids are the extensions of a certificate in their order, with a star behind
// the critical ones.
func oids(c *x509.Certificate) (list []string) {
	for _, e := range c.Extensions {
		star := ""
		if e.Critical {
			star = "*"
		}
		list = append(list, e.Id.String()+star)
	}
	return list
}

// TestSelfSigned: the form of recorded certificates of the service, with
// every key that a certificate can have.
func TestSelfSigned(t *testing.T) {
	now := time.Date(2023, 3, 23, 20, 56, 42, 999, time.UTC)
	for _, key := range []crypto.Signer{rsaKey(), ecKey(t), ecKeyOn(t, elliptic.P384()), ecKeyOn(t, elliptic.P521())} {
		c := selfSigned(t, complete(t, `{"x509_props":{"subject":"CN=DefaultPolicy, O=Contoso"}}`), key, now)
		if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			t.Errorf("%T: CheckSignature = %v", key.Public(), err)
		}
		want := []string{"2.5.29.15*", "2.5.29.19", "2.5.29.37", "2.5.29.35", "2.5.29.14"}
		if diff := cmp.Diff(want, oids(c)); diff != "" {
			t.Errorf("%T: the extensions are not the recorded ones (-want +got):\n%s", key.Public(), diff)
		}
		if from, to := time.Date(2023, 3, 23, 20, 46, 42, 0, time.UTC), time.Date(2024, 3, 23, 20, 56, 42, 0, time.UTC); !c.NotBefore.Equal(from) || !c.NotAfter.Equal(to) {
			t.Errorf("%T: valid from %v to %v, want %v to %v", key.Public(), c.NotBefore, c.NotAfter, from, to)
		}
		if c.SignatureAlgorithm != x509.SHA256WithRSA && c.SignatureAlgorithm != x509.ECDSAWithSHA256 {
			t.Errorf("%T: signed with %v, want SHA-256", key.Public(), c.SignatureAlgorithm)
		}
		if c.Subject.String() != "CN=DefaultPolicy,O=Contoso" || c.Issuer.String() != c.Subject.String() || c.IsCA || !c.BasicConstraintsValid {
			t.Errorf("%T: subject %v, issuer %v, CA %v", key.Public(), c.Subject, c.Issuer, c.IsCA)
		}
		if c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment || len(c.SubjectKeyId) != 20 || string(c.SubjectKeyId) != string(c.AuthorityKeyId) {
			t.Errorf("%T: usage %v, key %x, authority %x", key.Public(), c.KeyUsage, c.SubjectKeyId, c.AuthorityKeyId)
		}
	}
}

// TestSerialNumbers: positive, large and never the same.
func TestSerialNumbers(t *testing.T) {
	p, key := complete(t, `{"x509_props":{"subject":"CN=a"}}`), ecKey(t)
	seen := map[string]bool{}
	for range 20 {
		n := selfSigned(t, p, key, start).SerialNumber
		if n.Sign() <= 0 || n.BitLen() > 128 || seen[n.String()] {
			t.Errorf("serial number %v, want a new positive one of at most 128 bits", n)
		}
		seen[n.String()] = true
	}
}

func TestNames(t *testing.T) {
	p := complete(t, `{"x509_props":`+everyName+`}`)
	c := selfSigned(t, p, ecKey(t), start)
	if diff := cmp.Diff([]string{"localhost", "example.com"}, c.DNSNames); diff != "" {
		t.Errorf("DNS names (-want +got):\n%s", diff)
	}
	if len(c.IPAddresses) != 2 || !c.IPAddresses[0].Equal(net.IPv4(192, 168, 1, 1)) || c.IPAddresses[1].String() != "2001:db8::1" {
		t.Errorf("addresses = %v", c.IPAddresses)
	}
	if want := (&url.URL{Scheme: "https", Host: "test.com", Path: "/path"}); len(c.URIs) != 2 || c.URIs[1].String() != want.String() {
		t.Errorf("URIs = %v, want the second to be %v", c.URIs, want)
	}
	back := readNames(c)
	want := *p.X509.Names
	want.IPAddresses = []string{"192.168.1.1", "2001:db8::1"}
	if diff := cmp.Diff(&want, back); diff != "" {
		t.Errorf("the names came back otherwise (-want +got):\n%s", diff)
	}
}

// TestExtensionsByPolicy: what a policy adds, and what it leaves out.
func TestExtensionsByPolicy(t *testing.T) {
	for _, c := range []struct {
		name, props string
		want        []string
		usage       x509.KeyUsage
		ca          bool
		path        int
	}{
		{"no usages", `{"subject":"CN=a","key_usage":[],"ekus":[]}`, []string{"2.5.29.19", "2.5.29.35", "2.5.29.14"}, 0, false, -1},
		{"ninth bit", `{"subject":"CN=a","key_usage":["decipherOnly","digitalSignature"],"ekus":["1.2.840.1"]}`, []string{"2.5.29.15*", "2.5.29.19", "2.5.29.37", "2.5.29.35", "2.5.29.14"}, x509.KeyUsageDecipherOnly | x509.KeyUsageDigitalSignature, false, -1},
		{"names alone", `{"sans":{"dns_names":["a.b"]},"key_usage":[],"ekus":[]}`, []string{"2.5.29.19", "2.5.29.17*", "2.5.29.35", "2.5.29.14"}, 0, false, -1},
		{"authority", `{"subject":"CN=a","key_usage":["keyCertSign"],"ekus":[],"basic_constraints":{"ca":true}}`, []string{"2.5.29.15*", "2.5.29.19*", "2.5.29.35", "2.5.29.14"}, x509.KeyUsageCertSign, true, -1},
		{"path", `{"subject":"CN=a","key_usage":["keyCertSign"],"ekus":[],"basic_constraints":{"ca":true,"path_len_constraint":0}}`, []string{"2.5.29.15*", "2.5.29.19*", "2.5.29.35", "2.5.29.14"}, x509.KeyUsageCertSign, true, 0},
	} {
		p := complete(t, `{"x509_props":`+c.props+`}`)
		got := selfSigned(t, p, ecKey(t), start)
		if diff := cmp.Diff(c.want, oids(got)); diff != "" {
			t.Errorf("%s: extensions (-want +got):\n%s", c.name, diff)
		}
		if got.KeyUsage != c.usage || got.IsCA != c.ca || c.ca && got.MaxPathLen != c.path {
			t.Errorf("%s: usage %v, CA %v, path %d, want %v, %v, %d", c.name, got.KeyUsage, got.IsCA, got.MaxPathLen, c.usage, c.ca, c.path)
		}
		if diff := cmp.Diff(p.X509.BasicConstraints, readConstraints(got)); diff != "" {
			t.Errorf("%s: the constraints came back otherwise (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		names        []string
	}{
		{"self", `{"issuer":{"name":"Self"},"x509_props":{"subject":"CN=a.b"}}`, nil},
		{"merged", `{"issuer":{"name":"unknown"},"x509_props":{"subject":"CN=a.b","sans":{"dns_names":["c.d"]}}}`, []string{"c.d"}},
		{"named issuer", `{"issuer":{"name":"mine"},"x509_props":{"subject":"CN=a.b, O=Contoso","sans":{"dns_names":["c.d"]}}}`, []string{"a.b", "c.d"}},
		{"named already", `{"issuer":{"name":"mine"},"x509_props":{"subject":"CN=A.b","sans":{"dns_names":["a.B"]}}}`, []string{"a.B"}},
		{"no host", `{"issuer":{"name":"mine"},"x509_props":{"subject":"CN=My Name"}}`, nil},
	} {
		for _, key := range []crypto.Signer{rsaKey(), ecKey(t)} {
			p := complete(t, c.policy)
			before := text(t, p)
			der, err := p.Request(key)
			if err != nil {
				t.Fatalf("%s: Request = %v", c.name, err)
			}
			r, err := x509.ParseCertificateRequest(der)
			if err != nil || r.CheckSignature() != nil || !samePublic(r.PublicKey, key.Public()) {
				t.Errorf("%s: the request is not one: %v", c.name, err)
			}
			if diff := cmp.Diff(c.names, r.DNSNames); diff != "" {
				t.Errorf("%s: names (-want +got):\n%s", c.name, diff)
			}
			if text(t, p) != before {
				t.Errorf("%s: making a request changed the policy", c.name)
			}
		}
	}
}

// TestCurveIsRefused: a key of the vault on P-256K makes no certificate.
func TestCurveIsRefused(t *testing.T) {
	key, err := keyring.Generate(rand.Reader, keyring.Spec{Type: "EC", Curve: "P-256K"})
	if err != nil {
		t.Fatal(err)
	}
	p := complete(t, `{"x509_props":{"subject":"CN=a"}}`)
	_, errSign := p.SelfSign(key.Private(), start)
	_, errRequest := p.Request(key.Private())
	for _, err := range []error{errSign, errRequest} {
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Property != "policy.key_props.crv" || bad.Hint == "" {
			t.Errorf("a certificate on P-256K = %v, want a refusal of the curve with a hint", err)
		}
	}
}

func TestMonths(t *testing.T) {
	for _, c := range []struct {
		from   string
		months int
		want   string
	}{
		{"2023-01-31", 1, "2023-02-28"}, {"2024-01-31", 1, "2024-02-29"}, {"2024-02-29", 12, "2025-02-28"}, {"2023-12-31", 2, "2024-02-29"},
		{"2023-03-23", 12, "2024-03-23"}, {"2023-11-30", 1, "2023-12-30"}, {"2023-05-15", 1200, "2123-05-15"}, {"2023-05-15", 0, "2023-05-15"},
	} {
		from, err := time.Parse(time.DateOnly, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := addMonths(from, c.months).Format(time.DateOnly); got != c.want {
			t.Errorf("addMonths(%s, %d) = %s, want %s", c.from, c.months, got, c.want)
		}
	}
	for _, c := range []struct {
		from, to int64
		want     int
	}{
		{1430344421, 2208988799, 297}, {1628270437, 4781870437, 1200}, // the two recorded ones
		{0, 0, 0}, {0, 1, 1}, {86400, 0, 0}, {0, 31 * 86400, 1}, {0, 31*86400 + 1, 2},
	} {
		if got := monthsBetween(time.Unix(c.from, 0), time.Unix(c.to, 0)); got != c.want {
			t.Errorf("monthsBetween(%d, %d) = %d, want %d", c.from, c.to, got, c.want)
		}
	}
}
