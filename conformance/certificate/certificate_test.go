package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"postern/internal/issuance"
	"postern/internal/keyring"
)

// specs are the keys that certificates are made with.
var specs = []keyring.Spec{
	{Type: keyring.RSA, Size: 2048}, {Type: keyring.RSA, Size: 3072}, {Type: keyring.RSA, Size: 4096},
	{Type: keyring.EC, Curve: keyring.P256}, {Type: keyring.EC, Curve: keyring.P384}, {Type: keyring.EC, Curve: keyring.P521},
}

// openssl runs the program in a folder; it must succeed.
func openssl(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := try(dir, args...)
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func try(dir string, args ...string) (string, error) {
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func policy(t *testing.T, text string) *issuance.Policy {
	t.Helper()
	p, err := issuance.ParsePolicy([]byte(text))
	if err == nil {
		p, err = p.Complete(time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// keys makes a key of each kind, as the vault makes them.
func keys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	list := map[string]crypto.Signer{}
	for _, s := range specs {
		k, err := keyring.Generate(rand.Reader, s)
		if err != nil {
			t.Fatal(err)
		}
		list[fmt.Sprint(s.Type, s.Size, s.Curve)] = k.Private()
	}
	return list
}

const everything = `{"x509_props":{"subject":"CN=www.contoso.com, OU=\"a, b\"+OU=c, O=Müller, L=M, S=Bavaria, C=DE, DC=x, E=a@b.c, SERIALNUMBER=7","key_usage":["digitalSignature","nonRepudiation","keyEncipherment","dataEncipherment","keyAgreement","encipherOnly","decipherOnly"],"ekus":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.3"],"validity_months":13,
	"sans":{"dns_names":["www.contoso.com","*.contoso.com"],"emails":["a@b.c"],"upns":["jürgen@contoso.com"],"uris":["https://contoso.com/x"],"ipAddresses":["192.0.2.1","2001:db8::1"]}}}`

// subject is how openssl prints it (RFC 2253: the order of the text).
const subject = `CN=www.contoso.com,OU=a\, b+OU=c,O=Müller,L=M,ST=Bavaria,C=DE,DC=x,emailAddress=a@b.c,serialNumber=7`

// seen are texts of openssl's about what everything asks for.
var seen = []string{
	"Digital Signature, Non Repudiation, Key Encipherment, Data Encipherment, Key Agreement, Encipher Only, Decipher Only",
	"TLS Web Server Authentication, Code Signing",
	"email:a@b.c, DNS:www.contoso.com, DNS:*.contoso.com, othername: UPN::jürgen@contoso.com, URI:https://contoso.com/x, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1",
	"CA:FALSE",
}

// TestRead: openssl verifies our requests and certificates, and reads in them
// what the policy says.
func TestRead(t *testing.T) {
	p := policy(t, everything)
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			der, err := p.SelfSign(key, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "cert.der", der)
			openssl(t, dir, "x509", "-inform", "der", "-in", "cert.der", "-out", "cert.pem")
			if out := openssl(t, dir, "verify", "-x509_strict", "-check_ss_sig", "-CAfile", "cert.pem", "cert.pem"); !strings.Contains(out, "OK") {
				t.Errorf("openssl verify says %s", out)
			}
			csr, err := p.Request(key)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "request.der", csr)
			if out := openssl(t, dir, "req", "-inform", "der", "-in", "request.der", "-noout", "-verify"); !strings.Contains(out, "OK") {
				t.Errorf("openssl req -verify says %s", out)
			}
			names := []string{"-nameopt", "RFC2253,-esc_msb,utf8", "-noout", "-text"}
			for _, out := range []string{
				openssl(t, dir, append([]string{"x509", "-in", "cert.pem"}, names...)...),
				openssl(t, dir, append([]string{"req", "-inform", "der", "-in", "request.der"}, names...)...),
			} {
				for _, want := range append([]string{"Subject: " + subject}, seen...) {
					if !strings.Contains(out, want) {
						t.Errorf("openssl does not read %q in\n%s", want, out)
					}
				}
			}
		})
	}
}

// authority is an authority made by openssl: root, intermediate, and how it
// signs a request.
func authority(t *testing.T, dir string) {
	t.Helper()
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=Root", "-days", "30")
	openssl(t, dir, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", "between.key", "-out", "between.csr", "-subj", "/CN=Between", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
	openssl(t, dir, "x509", "-req", "-in", "between.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-copy_extensions", "copyall", "-days", "20", "-out", "between.pem")
}

// issue signs leaf.csr.
func issue(t *testing.T, dir string) {
	t.Helper()
	openssl(t, dir, "x509", "-req", "-in", "leaf.csr", "-CA", "between.pem", "-CAkey", "between.key", "-CAcreateserial", "-copy_extensions", "copyall", "-days", "10", "-out", "leaf.pem")
}

// TestMerge: our request is signed by an authority of openssl's, merged, and
// the secret is what openssl reads as the same chain and key.
func TestMerge(t *testing.T) {
	dir := t.TempDir()
	authority(t, dir)
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			csr, err := policy(t, everything).Request(key)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir, "leaf.csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
			issue(t, dir)
			var x5c [][]byte
			for _, f := range []string{"root.pem", "leaf.pem", "between.pem"} {
				block, _ := pem.Decode(read(t, dir, f))
				x5c = append(x5c, block.Bytes)
			}
			b, err := issuance.Merge(csr, key, x5c)
			if err != nil {
				t.Fatal(err)
			}
			export(t, dir, b)
		})
	}
}

// export writes both forms of a secret and has them read by openssl and by
// Azure's identity library, whose reader knows the oldest algorithms alone.
func export(t *testing.T, dir string, b *issuance.Bundle) {
	t.Helper()
	want := modulus(t, dir, "leaf.pem")
	for _, exportable := range []bool{true, false} {
		value, _, err := b.Secret(issuance.PKCS12, exportable, false)
		if err != nil {
			t.Fatal(err)
		}
		file, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "secret.pfx", file)
		write(t, dir, "secret-pfx.pem", []byte(openssl(t, dir, "pkcs12", "-in", "secret.pfx", "-passin", "pass:", "-nodes")))
		text, _, err := b.Secret(issuance.PEM, exportable, false)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "secret.pem", []byte(text))
		for _, f := range []string{"secret-pfx.pem", "secret.pem"} {
			content := string(read(t, dir, f))
			if n := strings.Count(content, "BEGIN CERTIFICATE"); n != 3 {
				t.Errorf("%s has %d certificates, want 3", f, n)
			}
			if got := modulus(t, dir, f); got != want {
				t.Errorf("the first certificate of %s is not the leaf", f)
			}
			if !exportable {
				if strings.Contains(content, "PRIVATE KEY") {
					t.Errorf("%s of a key that may not leave holds it", f)
				}
				continue
			}
			if got := openssl(t, dir, "pkey", "-in", f, "-pubout"); got != want {
				t.Errorf("the private key in %s is not the leaf's", f)
			}
		}
		if !exportable {
			continue
		}
		if _, ok := b.Key.(*ecdsa.PrivateKey); ok {
			continue // Azure's reader takes RSA alone
		}
		certificates, key, err := azidentity.ParseCertificates(file, nil)
		if err != nil || len(certificates) != 3 || !certificates[0].Equal(b.Leaf) || key == nil {
			t.Errorf("azidentity.ParseCertificates = %d certificates, %v, want 3 with the leaf first", len(certificates), err)
		}
	}
}

// modulus is the public key of a file's first certificate.
func modulus(t *testing.T, dir, file string) string {
	t.Helper()
	return openssl(t, dir, "x509", "-in", file, "-noout", "-pubkey")
}

// TestImport: what openssl writes is read: keys in every form, PKCS#12 in
// every encryption it has, with passwords and without.
func TestImport(t *testing.T) {
	dir := t.TempDir()
	authority(t, dir)
	kinds := map[string][]string{
		"RSA 2048": {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, "RSA 4096": {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"},
		"P-256": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, "P-384": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}, "P-521": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"},
	}
	for kind, options := range kinds {
		t.Run(kind, func(t *testing.T) {
			openssl(t, dir, append([]string{"genpkey", "-out", "leaf.key"}, options...)...)
			openssl(t, dir, "req", "-new", "-key", "leaf.key", "-out", "leaf.csr", "-subj", "/C=DE/O=Contoso, Ltd./CN=leaf.contoso.com", "-addext", "subjectAltName=DNS:leaf.contoso.com,IP:192.0.2.1,otherName:msUPN;UTF8:a@contoso.com", "-addext", "extendedKeyUsage=serverAuth", "-addext", "keyUsage=critical,digitalSignature")
			issue(t, dir)
			openssl(t, dir, "pkey", "-in", "leaf.key", "-traditional", "-out", "old.key")
			write(t, dir, "chain.pem", append(read(t, dir, "root.pem"), read(t, dir, "between.pem")...))
			leaf := read(t, dir, "leaf.pem")
			for _, key := range []string{"leaf.key", "old.key"} {
				check(t, dir, key, string(bytes.Join([][]byte{read(t, dir, "chain.pem"), read(t, dir, key), leaf}, nil)), "", issuance.PEM)
			}
			for form, args := range map[string][]string{
				"modern": nil, "legacy": {"-legacy"}, "3DES": {"-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1"},
				"RC2-128": {"-legacy", "-certpbe", "PBE-SHA1-RC2-128", "-keypbe", "PBE-SHA1-RC2-128"}, "AES-128": {"-certpbe", "AES-128-CBC", "-keypbe", "AES-128-CBC"},
				"certificates in clear": {"-certpbe", "NONE"}, "SHA-384": {"-macalg", "sha384"}, "SHA-512": {"-macalg", "sha512"}, "not authenticated": {"-nomac"},
				"one iteration": {"-noiter", "-nomaciter"},
			} {
				for _, password := range []string{"", "pass word", "ключ"} {
					openssl(t, dir, append([]string{"pkcs12", "-export", "-inkey", "leaf.key", "-in", "leaf.pem", "-certfile", "chain.pem", "-name", "a name", "-out", "leaf.pfx", "-passout", "pass:" + password}, args...)...)
					check(t, dir, form+" with "+password, base64.StdEncoding.EncodeToString(read(t, dir, "leaf.pfx")), password, issuance.PKCS12)
				}
			}
			for _, rare := range [][]string{{"-keypbe", "NONE", "-certpbe", "NONE"}, {"-iter", "600000"}} {
				openssl(t, dir, append([]string{"pkcs12", "-export", "-inkey", "leaf.key", "-in", "leaf.pem", "-out", "leaf.pfx", "-passout", "pass:x"}, rare...)...)
				if _, err := issuance.Import(base64.StdEncoding.EncodeToString(read(t, dir, "leaf.pfx")), "x", ""); err != nil {
					t.Errorf("PKCS#12 with %v: Import = %v", rare, err)
				}
			}
		})
	}
}

// check imports and holds the bundle and its policy against what openssl was
// asked for.
func check(t *testing.T, dir, what, value, password, contentType string) {
	t.Helper()
	b, err := issuance.Import(value, password, contentType)
	if err != nil {
		t.Errorf("%s: Import = %v", what, err)
		return
	}
	block, _ := pem.Decode(read(t, dir, "leaf.pem"))
	if !bytes.Equal(b.Leaf.Raw, block.Bytes) || len(b.Chain) != 2 || b.Chain[0].Subject.CommonName != "Between" || b.Chain[1].Subject.CommonName != "Root" {
		t.Errorf("%s: Import = %v, want the leaf, then Between and Root", what, b.Leaf.Subject)
	}
	p, err := issuance.DefaultPolicy(b, nil, time.Now())
	if err != nil {
		t.Errorf("%s: DefaultPolicy = %v", what, err)
		return
	}
	text, err := p.JSON()
	want := `"subject":"CN=leaf.contoso.com, O=\"Contoso, Ltd.\", C=DE","sans":{"dns_names":["leaf.contoso.com"],"upns":["a@contoso.com"],"ipAddresses":["192.0.2.1"]},"ekus":["1.3.6.1.5.5.7.3.1"],"key_usage":["digitalSignature"],"validity_months":1`
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("%s: the policy is %s, want %s in it", what, text, want)
	}
}

// TestRefused: what openssl writes that is not taken, and what is said of it.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "cert", "-subj", "/CN=a")
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-nodes", "-keyout", "key.k", "-out", "cert.k", "-subj", "/CN=a")
	openssl(t, dir, "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "key.ed", "-out", "cert.ed", "-subj", "/CN=a")
	openssl(t, dir, "pkey", "-in", "key", "-aes256", "-passout", "pass:x", "-out", "key.locked")
	pfx := func(args ...string) string {
		openssl(t, dir, append([]string{"pkcs12", "-export", "-out", "pfx", "-passout", "pass:x"}, args...)...)
		return base64.StdEncoding.EncodeToString(read(t, dir, "pfx"))
	}
	text := func(files ...string) (s string) {
		for _, f := range files {
			s += string(read(t, dir, f))
		}
		return s
	}
	for _, c := range []struct{ name, value, password, property, reason string }{
		{"two million iterations", pfx("-inkey", "key", "-in", "cert", "-iter", "2000000"), "x", "value", "2000000 times"},
		{"wrong password", pfx("-inkey", "key", "-in", "cert"), "y", "pwd", "does not open"}, {"no password", pfx("-inkey", "key", "-in", "cert"), "", "pwd", "does not open"},
		{"certificates alone", pfx("-nokeys", "-in", "cert"), "x", "value", "no private key"},
		{"an encrypted key", text("key.locked", "cert"), "x", "value", "encrypted"}, {"P-256K", text("key.k", "cert.k"), "", "value", ""}, {"Ed25519", text("key.ed", "cert.ed"), "", "value", "kind"},
	} {
		_, err := issuance.Import(c.value, c.password, "")
		var bad *issuance.Invalid
		if !errors.As(err, &bad) || bad.Property != c.property || !strings.Contains(bad.Reason, c.reason) {
			t.Errorf("%s: Import = %v, want a refusal of %s that says %q", c.name, err, c.property, c.reason)
		}
	}
}

// TestDates: openssl reads the dates that were asked for.
func TestDates(t *testing.T) {
	dir := t.TempDir()
	key, err := keyring.Generate(rand.Reader, specs[3])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ now, months, from, to string }{
		{"2024-01-31T12:00:00Z", "1", "Jan 31 11:50:00 2024", "Feb 29 12:00:00 2024"}, {"2049-12-31T23:59:59Z", "12", "Dec 31 23:49:59 2049", "Dec 31 23:59:59 2050"},
		{"2026-03-01T00:05:00Z", "1200", "Feb 28 23:55:00 2026", "Mar  1 00:05:00 2126"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		der, err := policy(t, `{"x509_props":{"subject":"CN=a","validity_months":`+c.months+`}}`).SelfSign(key.Private(), now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "cert.der", der)
		out := openssl(t, dir, "x509", "-inform", "der", "-in", "cert.der", "-noout", "-dates", "-serial")
		if !strings.Contains(out, "notBefore="+c.from+" GMT") || !strings.Contains(out, "notAfter="+c.to+" GMT") || !regexp.MustCompile(`serial=[0-9A-F]{20,32}\n`).MatchString(out) {
			t.Errorf("openssl reads %s, want %s to %s", out, c.from, c.to)
		}
	}
}
