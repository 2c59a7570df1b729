package issuance

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"
)

// raw are certificates in DER.
func raw(list []*x509.Certificate) (out [][]byte) {
	for _, c := range list {
		out = append(out, c.Raw)
	}
	return out
}

// TestMerge: the leaf is found by its key, and the chain put in order, however
// it came.
func TestMerge(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), ecKey(t)} {
		csr := must(complete(t, `{"x509_props":{"subject":"CN=Leaf"}}`).Request(key))
		list := chain(t, key)
		stranger := sign(t, "Stranger", nil, ecKey(t).Public(), ecKey(t))
		for _, c := range []struct {
			name  string
			given []*x509.Certificate
			chain []string
		}{
			{"leaf alone", list[:1], nil}, {"in order", list, []string{"Between", "Root"}}, {"turned", []*x509.Certificate{list[2], list[1], list[0]}, []string{"Between", "Root"}},
			{"with a stranger", []*x509.Certificate{stranger, list[2], list[0], list[1]}, []string{"Between", "Root", "Stranger"}},
			{"twice the same", []*x509.Certificate{list[0], list[1], list[1]}, []string{"Between", "Between"}},
		} {
			b, err := Merge(csr, key, raw(c.given))
			if err != nil || !b.Leaf.Equal(list[0]) {
				t.Errorf("%s: Merge = %v, %v, want the leaf", c.name, b, err)
				continue
			}
			if diff := cmp.Diff(c.chain, names(b.Chain)); diff != "" {
				t.Errorf("%s: the chain is in another order (-want +got):\n%s", c.name, diff)
			}
			if diff := cmp.Diff(names(c.given), names(b.Given)); diff != "" {
				t.Errorf("%s: what was given is in another order (-want +got):\n%s", c.name, diff)
			}
		}
	}
}

func TestMergeIsRefused(t *testing.T) {
	key := ecKey(t)
	csr := must(complete(t, `{"x509_props":{"subject":"CN=Leaf"}}`).Request(key))
	list := chain(t, key)
	for _, c := range []struct {
		name   string
		x5c    [][]byte
		reason string
	}{
		{"nothing", nil, "no certificate"}, {"another's", raw(chain(t, ecKey(t))), "belongs to the private key"}, {"authorities alone", raw(list[1:]), "belongs to the private key"},
		{"PEM", [][]byte{[]byte(blocks(list))}, "entry 1 is not"}, {"one damaged", [][]byte{list[0].Raw, list[1].Raw[:100]}, "entry 2 is not"},
		{"two in one", [][]byte{append(slices.Clone(list[0].Raw), list[1].Raw...)}, "entry 1 is not"}, {"empty", [][]byte{{}}, "entry 1 is not"},
		{"many", slices.Repeat(raw(list[:1]), maxCertificates+1), "33 certificates"}, {"large", [][]byte{make([]byte, maxCertificate+1)}, "bytes"},
	} {
		_, err := Merge(csr, key, c.x5c)
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Property != "x5c" || !strings.Contains(bad.Reason, c.reason) {
			t.Errorf("%s: Merge = %v, want a refusal of x5c that says %q", c.name, err, c.reason)
		}
	}
	if _, err := Merge(csr, ecKey(t), raw(list)); err == nil {
		t.Errorf("Merge with a request of another key = nil, want an error")
	}
}

// inside are the common names in a secret, and whether a private key is there.
func inside(t *testing.T, value, contentType string) (list []string, private bool) {
	t.Helper()
	if contentType == PEM {
		b, err := Import(value, "", PEM)
		if err == nil {
			return names(b.Given), true
		}
		key, certificates, err := readPEM(value + block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey()))))
		if err != nil || !samePublic(key.Public(), rsaKey().Public()) {
			t.Fatalf("the secret holds something else: %v\n%s", err, value)
		}
		return names(certificates), false
	}
	file, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	if _, leaf, others, err := pkcs12.DecodeChain(file, ""); err == nil {
		return names(append([]*x509.Certificate{leaf}, others...)), true
	}
	certificates, err := pkcs12.DecodeTrustStore(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return names(certificates), false
}

// TestSecrets: both forms, with the key and without, in both orders.
func TestSecrets(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), ecKey(t)} {
		list := chain(t, key)
		b, err := newBundle("value", key, []*x509.Certificate{list[2], list[0], list[1]})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			contentType          string
			exportable, preserve bool
			want                 []string
		}{
			{PKCS12, true, false, []string{"Leaf", "Between", "Root"}}, {PKCS12, false, false, []string{"Leaf", "Between", "Root"}},
			{PKCS12, true, true, []string{"Leaf", "Root", "Between"}}, {"", true, false, []string{"Leaf", "Between", "Root"}},
			{PEM, true, false, []string{"Leaf", "Between", "Root"}}, {PEM, false, false, []string{"Leaf", "Between", "Root"}},
			{PEM, true, true, []string{"Root", "Leaf", "Between"}}, {PEM, false, true, []string{"Root", "Leaf", "Between"}},
		} {
			value, kind, err := b.Secret(c.contentType, c.exportable, c.preserve)
			if err != nil || c.contentType != "" && kind != c.contentType || c.contentType == "" && kind != PKCS12 {
				t.Errorf("Secret(%s) = %s, %v", c.contentType, kind, err)
				continue
			}
			got, private := inside(t, value, kind)
			if diff := cmp.Diff(c.want, got); diff != "" || private != c.exportable {
				t.Errorf("Secret(%s, %v, %v) has a key: %v; certificates (-want +got):\n%s", c.contentType, c.exportable, c.preserve, private, diff)
			}
			if der := string(must(x509.MarshalPKCS8PrivateKey(key))); !c.exportable && (strings.Contains(value, "PRIVATE KEY") || strings.Contains(value, encodeBase64([]byte(der))[:80])) {
				t.Errorf("Secret(%s) of a key that may not leave holds it", c.contentType)
			}
			text, err := Convert(value, kind, PEM)
			if err != nil {
				t.Errorf("Convert(%s) = %v", c.contentType, err)
				continue
			}
			if again, private := inside(t, text, PEM); private != c.exportable || cmp.Diff(got, again) != "" {
				t.Errorf("Convert(%s) = %v with a key: %v, want %v, %v", c.contentType, again, private, got, c.exportable)
			}
		}
	}
}

func TestConvertIsRefused(t *testing.T) {
	for _, c := range []struct{ value, from, to, property string }{
		{"x", PEM, PKCS12, "outContentType"}, {"x", "text/plain", PEM, "outContentType"}, {"x", PKCS12, "text/plain", "outContentType"}, {"x", "", PEM, "outContentType"},
		{"no file", PKCS12, PEM, "value"}, {"AAAA", PKCS12, PEM, "value"},
	} {
		_, err := Convert(c.value, c.from, c.to)
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Property != c.property {
			t.Errorf("Convert(%s, %s, %s) = %v, want a refusal of %s", c.value, c.from, c.to, err, c.property)
		}
	}
	if got, err := Convert("anything", "text/plain", "text/plain"); got != "anything" || err != nil {
		t.Errorf("Convert to the same = %s, %v, want the value", got, err)
	}
	if _, _, err := (&Bundle{}).Secret("text/plain", true, false); err == nil {
		t.Errorf("Secret in another form = nil, want a refusal")
	}
}

// TestSecretOfSelfSigned: there is no order to preserve.
func TestSecretOfSelfSigned(t *testing.T) {
	key := ecKey(t)
	leaf := selfSigned(t, complete(t, `{"x509_props":{"subject":"CN=Leaf"}}`), key, start)
	for _, kind := range []string{PKCS12, PEM} {
		value, _, err := (&Bundle{Key: key, Leaf: leaf}).Secret(kind, true, true)
		if err != nil {
			t.Fatal(err)
		}
		if got, private := inside(t, value, kind); cmp.Diff([]string{"Leaf"}, got) != "" || !private {
			t.Errorf("Secret(%s) holds %v, a key: %v, want the leaf and its key", kind, got, private)
		}
	}
}

// TestCrossSigned: two authorities of one name; the key identifier tells
// which one it is.
func TestCrossSigned(t *testing.T) {
	key := ecKey(t)
	right, wrong := chain(t, key), chain(t, ecKey(t))
	given := []*x509.Certificate{wrong[1], wrong[2], right[2], right[1], right[0]}
	b, err := newBundle("value", key, given)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Chain[0].Equal(right[1]) || !b.Chain[1].Equal(right[2]) {
		t.Errorf("the chain goes by way of the other authority of the same name")
	}
}
