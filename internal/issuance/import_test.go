package issuance

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"
)

// chain is a leaf of a key, an intermediate and a root, in this order.
func chain(t testing.TB, key crypto.Signer) []*x509.Certificate {
	t.Helper()
	rootKey, betweenKey := ecKey(t), ecKey(t)
	root := sign(t, "Root", nil, rootKey.Public(), rootKey)
	between := sign(t, "Between", root, betweenKey.Public(), rootKey)
	return []*x509.Certificate{sign(t, "Leaf", between, key.Public(), betweenKey), between, root}
}

func sign(t testing.TB, name string, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: start, NotAfter: start.AddDate(1, 0, 0),
		IsCA: name != "Leaf", BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNSNames: []string{strings.ToLower(name) + ".contoso.com"},
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func must(der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return der
}

func blocks(list []*x509.Certificate) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString(block("CERTIFICATE", c.Raw))
	}
	return b.String()
}

func names(list []*x509.Certificate) (out []string) {
	for _, c := range list {
		out = append(out, c.Subject.CommonName)
	}
	return out
}

// expect holds a bundle against what was put into its file.
func expect(t *testing.T, what string, b *Bundle, err error, key crypto.Signer, contentType string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: Import = %v", what, err)
		return
	}
	if !samePublic(b.Key.Public(), key.Public()) || b.Leaf.Subject.CommonName != "Leaf" || b.ContentType != contentType {
		t.Errorf("%s: Import = leaf %v in %s, want the leaf of the key in %s", what, b.Leaf.Subject, b.ContentType, contentType)
	}
	if diff := cmp.Diff([]string{"Between", "Root"}, names(b.Chain)); diff != "" {
		t.Errorf("%s: the chain is in another order (-want +got):\n%s", what, diff)
	}
}

// TestImportPEM: every kind of key, blocks in any order, text between them,
// as text and in base64.
func TestImportPEM(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), ecKey(t), ecKeyOn(t, elliptic.P384()), ecKeyOn(t, elliptic.P521())} {
		list := chain(t, key)
		turned := slices.Clone(list)
		slices.Reverse(turned)
		forms := map[string]string{"PKCS#8": block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))}
		switch k := key.(type) {
		case *rsa.PrivateKey:
			forms["PKCS#1"] = block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k))
		case *ecdsa.PrivateKey:
			forms["SEC 1"] = block("EC PARAMETERS", []byte{6, 0}) + block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(k)))
		}
		for form, private := range forms {
			for order, value := range map[string]string{
				"key first": private + blocks(list), "key last": blocks(turned) + private, "text between": "Bag Attributes\n  a: b\n" + blocks(list[:1]) + "subject=x\n" + private + blocks(turned[:2]),
				"CRLF": strings.ReplaceAll(private+blocks(list), "\n", "\r\n"), "base64": encodeBase64([]byte(private + blocks(list))),
			} {
				for _, contentType := range []string{"", PEM} {
					b, err := Import(value, "", contentType)
					expect(t, form+", "+order, b, err, key, PEM)
				}
			}
		}
	}
}

// TestImportPKCS12: every encryption that the library writes, with a password
// and without.
func TestImportPKCS12(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), ecKey(t)} {
		list := chain(t, key)
		for name, enc := range map[string]*pkcs12.Encoder{"RC2": pkcs12.LegacyRC2, "DES": pkcs12.LegacyDES, "2023": pkcs12.Modern2023, "2026": pkcs12.Modern2026, "none": pkcs12.Passwordless} {
			for _, password := range []string{"", "pass word", "пароль"} {
				if enc == pkcs12.Passwordless && password != "" {
					continue
				}
				file := must(enc.Encode(key, list[0], []*x509.Certificate{list[2], list[1]}, password))
				value := encodeBase64(file)
				b, err := Import(value[:64]+"\r\n"+value[64:], password, PKCS12)
				expect(t, name+" with "+password, b, err, key, PKCS12)
				if enc == pkcs12.Passwordless {
					continue
				}
				var bad *Invalid
				if _, err := Import(value, "another", ""); !errors.As(err, &bad) || bad.Property != "pwd" || bad.Hint == "" {
					t.Errorf("%s with a wrong password = %v, want a refusal of pwd with a hint", name, err)
				}
				file[len(file)/2] ^= 1
				if _, err := Import(encodeBase64(file), password, ""); !errors.As(err, &bad) {
					t.Errorf("%s with one bit turned = %v, want an *Invalid", name, err)
				}
			}
		}
	}
}

// TestRecordedImport: the file of the SDK's own test, and the policy that the
// service derived from it.
func TestRecordedImport(t *testing.T) {
	value, err := os.ReadFile("testdata/recorded.pfx.txt")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Import(string(value), "", "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := DefaultPolicy(b, nil, time.Unix(1662158354, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"key_props":{"exportable":true,"kty":"RSA","key_size":2048,"reuse_key":false},"secret_props":{"contentType":"application/x-pkcs12"},"x509_props":{"subject":"O=Internet Widgits Pty Ltd, S=Some-State, C=AU","ekus":[],"key_usage":[],"validity_months":1200,"basic_constraints":{"ca":true}},"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"EmailContacts"}}],"issuer":{"name":"Unknown"},"attributes":{"enabled":true,"created":1662158354,"updated":1662158354}}`
	if diff := cmp.Diff(want, text(t, p)); diff != "" {
		t.Errorf("the policy is not the recorded one (-want +got):\n%s", diff)
	}
	if b.Leaf.NotBefore.Unix() != 1628270437 || b.Leaf.NotAfter.Unix() != 4781870437 {
		t.Errorf("valid from %d to %d, want the recorded dates", b.Leaf.NotBefore.Unix(), b.Leaf.NotAfter.Unix())
	}
}

func TestPolicyOfAnImport(t *testing.T) {
	list := chain(t, ecKey(t))
	b, err := newBundle("value", ecKey(t), list)
	if err == nil {
		t.Fatalf("newBundle with a key that has no certificate = %v, want a refusal", b)
	}
	key := ecKey(t)
	if b, err = newBundle("value", key, chain(t, key)); err != nil {
		t.Fatal(err)
	}
	const derived = `{"key_props":{"exportable":true,"kty":"EC","key_size":256,"reuse_key":false,"crv":"P-256"},"secret_props":{"contentType":"application/x-pkcs12"},"x509_props":{"subject":"CN=Leaf","sans":{"dns_names":["leaf.contoso.com"]},"ekus":["1.3.6.1.5.5.7.3.1"],"key_usage":["digitalSignature","keyCertSign"],"validity_months":12,"basic_constraints":{"ca":false}},`
	for _, c := range []struct{ name, given, want, refused string }{
		{"none", ``, derived, ""}, {"form", `{"secret_props":{"contentType":"application/x-pem-file"}}`, strings.Replace(derived, PKCS12, PEM, 1), ""},
		{"not exportable", `{"key_props":{"exportable":false,"kty":"EC"}}`, strings.Replace(derived, `"exportable":true`, `"exportable":false`, 1), ""},
		{"in hardware", `{"key_props":{"exportable":false,"kty":"EC-HSM"}}`, strings.NewReplacer(`"exportable":true`, `"exportable":false`, `"EC"`, `"EC-HSM"`).Replace(derived), ""},
		{"other type", `{"key_props":{"kty":"RSA"}}`, "", "policy.key_props.kty"}, {"other size", `{"key_props":{"key_size":384}}`, "", "policy.key_props.key_size"},
		{"other curve", `{"key_props":{"crv":"P-256K"}}`, "", "policy.key_props.crv"}, {"bad", `{"key_props":{"kty":"x"}}`, "", "policy.key_props.kty"},
	} {
		var given *Policy
		if c.given != "" {
			given = parse(t, c.given)
		}
		p, err := DefaultPolicy(b, given, start)
		var bad *Invalid
		switch {
		case c.refused != "" && (!errors.As(err, &bad) || bad.Property != c.refused):
			t.Errorf("%s: DefaultPolicy = %v, want a refusal of %s", c.name, err, c.refused)
		case c.refused == "" && err != nil:
			t.Errorf("%s: DefaultPolicy = %v", c.name, err)
		case c.refused == "" && !strings.HasPrefix(text(t, p), c.want):
			t.Errorf("%s: DefaultPolicy = %s, want %s…", c.name, text(t, p), c.want)
		}
	}
}

func TestImportIsRefused(t *testing.T) {
	key := ecKey(t)
	list := chain(t, key)
	private := block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	pfx := encodeBase64(must(pkcs12.Modern2023.Encode(key, list[0], list[1:], "")))
	for _, c := range []struct{ name, value, password, contentType, property, reason string }{
		{"nothing", "", "", "", "value", "neither base64 nor PEM"}, {"words", "not base64!", "", "", "value", "neither base64 nor PEM"},
		{"too long", strings.Repeat("A", maxImport+1), "", "", "value", "characters"}, {"long password", pfx, strings.Repeat("a", 1025), "", "pwd", "bytes"},
		{"other base64", "AAAA", "", "", "value", "not a PKCS#12 file"}, {"truncated", pfx[:400], "", "", "value", "not a PKCS#12 file"},
		{"odd password", pfx, "🔑", "", "pwd", "cannot hold"},
		{"PEM as PKCS#12", private + blocks(list), "", PKCS12, "value", "content type"}, {"PKCS#12 as PEM", pfx, "", PEM, "value", "content type"},
		{"no key", blocks(list), "", "", "value", "no private key"}, {"no certificate", private, "", "", "value", "no certificate"},
		{"two keys", private + private + blocks(list), "", "", "value", "more than one private key"},
		{"another's key", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKey(t)))) + blocks(list), "", "", "value", "belongs to the private key"},
		{"encrypted key", block("ENCRYPTED PRIVATE KEY", []byte{1}) + blocks(list), "", "", "value", "encrypted"},
		{"old encryption", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQ==\n-----END RSA PRIVATE KEY-----\n" + blocks(list), "", "", "value", "encrypted"},
		{"damaged key", block("PRIVATE KEY", []byte{0x30, 0}) + blocks(list), "", "", "value", "cannot be read"},
		{"damaged certificate", private + block("CERTIFICATE", []byte{0x30, 0}), "", "", "value", "not an X.509 certificate"},
		{"damaged PEM", private + blocks(list) + "-----BEGIN CERTIFICATE-----\n!!", "", "", "value", "damaged"},
		{"a request", private + block("CERTIFICATE REQUEST", []byte{1}) + blocks(list), "", "", "value", "no place"},
		{"an old key", block("DSA PRIVATE KEY", []byte{1}) + blocks(list), "", "", "value", "no place"},
		{"a small key", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(small))) + blocks(list), "", "", "value", "1024 bits"},
		{"a large key", block("PRIVATE KEY", make([]byte, maxKey+1)) + blocks(list), "", "", "value", "bytes"},
		{"a curve", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ecKeyOn(t, elliptic.P224())))) + blocks(list), "", "", "value", "not taken"},
		{"many", private + strings.Repeat(blocks(list[:1]), maxCertificates+1), "", "", "value", "33 certificates"},
		{"a large one", private + block("CERTIFICATE", make([]byte, maxCertificate+1)), "", "", "value", "bytes"},
		{"key alone in PKCS#12", encodeBase64(must(pkcs12.LegacyDES.EncodeTrustStore(list, ""))), "", "", "value", "no private key"},
		{"another's in PKCS#12", encodeBase64(must(pkcs12.LegacyDES.Encode(ecKey(t), list[0], nil, ""))), "", "", "value", "belongs to the private key"},
	} {
		_, err := Import(c.value, c.password, c.contentType)
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Property != c.property || !strings.Contains(bad.Reason, c.reason) {
			t.Errorf("%s: Import = %v, want a refusal of %s that says %q", c.name, err, c.property, c.reason)
		}
	}
}

// hostile is a file whose parts are written by hand.
func hostile(mac macData, parts ...contentInfo) string {
	content := must(asn1.Marshal(parts))
	part, err := dataPart(content)
	if err != nil {
		panic(err)
	}
	return encodeBase64(must(asn1.Marshal(pfx{3, part, mac})))
}

func bags(list ...safeBag) contentInfo {
	part, err := dataPart(must(asn1.Marshal(list)))
	if err != nil {
		panic(err)
	}
	return part
}

func bag(oid asn1.ObjectIdentifier, value []byte) safeBag {
	return safeBag{Type: oid, Value: asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: value}}
}

func algorithm(oid asn1.ObjectIdentifier, parameters any) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.RawValue{FullBytes: must(asn1.Marshal(parameters))}}
}

func encryptedPart(a pkix.AlgorithmIdentifier) contentInfo {
	var e encryptedData
	e.Content.Type, e.Content.Algorithm = oidData, a
	e.Content.Data = asn1.RawValue{Class: asn1.ClassContextSpecific, Bytes: make([]byte, 16)}
	return contentInfo{oidEncryptedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: must(asn1.Marshal(e))}}
}

// TestHostileFiles: numbers of iterations that would take years; each is
// refused where it stands, also where a key lies in an encrypted part.
func TestHostileFiles(t *testing.T) {
	const forever = 1 << 40
	oidDES := append(slices.Clone(oidPBE), 3)
	pbe := func(n int) pkix.AlgorithmIdentifier { return algorithm(oidDES, pbeParameters{make([]byte, 8), n}) }
	pbes2 := func(oid asn1.ObjectIdentifier, n int) pkix.AlgorithmIdentifier {
		prf := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}}
		return algorithm(oid, twoAlgorithms{algorithm(oidPBKDF2, pbkdf2Parameters{make([]byte, 8), n, 32, prf}), prf})
	}
	shrouded := func(a pkix.AlgorithmIdentifier) safeBag {
		return bag(oidShroudedBag, must(asn1.Marshal(shroudedKey{a, make([]byte, 16)})))
	}
	sha := pkix.AlgorithmIdentifier{Algorithm: oidSHA1}
	for _, c := range []struct{ name, value, reason string }{
		{"authentication", hostile(macData{digestInfo{sha, make([]byte, 20)}, make([]byte, 8), forever}, bags()), "hashes its password"},
		{"no iteration", hostile(macData{digestInfo{sha, make([]byte, 20)}, make([]byte, 8), -1}, bags()), "hashes its password"},
		{"PBMAC1", hostile(macData{digestInfo{pbes2(oidPBMAC1, forever), make([]byte, 32)}, make([]byte, 8), 1}, bags()), "hashes its password"},
		{"certificates", hostile(macData{}, encryptedPart(pbe(forever))), "hashes its password"},
		{"certificates, PBES2", hostile(macData{}, encryptedPart(pbes2(oidPBES2, forever))), "hashes its password"},
		{"key", hostile(macData{}, bags(shrouded(pbe(forever)))), "hashes its password"},
		{"key, PBES2", hostile(macData{}, bags(shrouded(pbes2(oidPBES2, forever)))), "hashes its password"},
		{"second key", hostile(macData{}, bags(shrouded(pbe(1))), bags(shrouded(pbe(1)))), "more than one private key"},
		{"two encrypted parts", hostile(macData{}, encryptedPart(pbe(1)), encryptedPart(pbe(1))), "encrypted parts"},
		{"unknown algorithm", hostile(macData{}, encryptedPart(algorithm(oidSHA1, 1))), "not known"},
		{"unknown derivation", hostile(macData{}, encryptedPart(algorithm(oidPBES2, twoAlgorithms{sha, sha}))), "not known"},
		{"large key", hostile(macData{}, bags(bag(oidKeyBag, must(asn1.Marshal(make([]byte, maxKey+1)))))), "bytes"},
		{"many parts", hostile(macData{}, slices.Repeat([]contentInfo{bags()}, maxParts+1)...), "not a PKCS#12 file"},
		{"other part", hostile(macData{}, contentInfo{Type: oidSHA1}), "not a PKCS#12 file"},
		{"other digest", hostile(macData{digestInfo{algorithm(oidPBKDF2, 1), make([]byte, 20)}, nil, 1}, bags()), "not a PKCS#12 file"},
		{"nothing in it", hostile(macData{}), "no private key"},
	} {
		_, err := Import(c.value, "", "")
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Property != "value" || !strings.Contains(bad.Reason, c.reason) {
			t.Errorf("%s: Import = %v, want a refusal of value that says %q", c.name, err, c.reason)
		}
	}
}

// TestHiddenKeys: a key inside an encrypted part is not even looked at,
// whether another one can be seen or not. Each would take years.
func TestHiddenKeys(t *testing.T) {
	key := ecKey(t)
	leaf := chain(t, key)[0]
	slow := algorithm(append(slices.Clone(oidPBE), 3), pbeParameters{make([]byte, 8), 1 << 40})
	hidden := sealed(t, bag(oidShroudedBag, must(asn1.Marshal(shroudedKey{slow, make([]byte, 16)}))))
	visible := bags(bag(oidKeyBag, must(x509.MarshalPKCS8PrivateKey(key))), bag(append(slices.Clone(oidKeyBag[:8]), 3), certificateBag(leaf)))
	if b, err := Import(hostile(macData{}, visible), "", ""); err != nil || !b.Leaf.Equal(leaf) {
		t.Errorf("Import without the hidden key = %v, %v, want the leaf", b, err)
	}
	for name, value := range map[string]string{"behind": hostile(macData{}, visible, hidden), "before": hostile(macData{}, hidden, visible), "alone": hostile(macData{}, hidden)} {
		var bad *Invalid
		if _, err := Import(value, "", ""); !errors.As(err, &bad) {
			t.Errorf("%s: Import = %v, want an *Invalid", name, err)
		}
		if _, err := Convert(value, PKCS12, PEM); !errors.As(err, &bad) {
			t.Errorf("%s: Convert = %v, want an *Invalid", name, err)
		}
	}
}

// certificateBag is the value of a bag of a certificate (RFC 7292 §4.2.3).
func certificateBag(c *x509.Certificate) []byte {
	octets := must(asn1.Marshal(c.Raw))
	return must(asn1.Marshal(struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: octets}}))
}

// sealed is a part that is really encrypted, without a password: PBES2 with
// AES-256.
func sealed(t *testing.T, list ...safeBag) contentInfo {
	t.Helper()
	plain := must(asn1.Marshal(list))
	for pad, i := aes.BlockSize-len(plain)%aes.BlockSize, 0; i < pad; i++ {
		plain = append(plain, byte(pad))
	}
	salt, iv := make([]byte, 8), make([]byte, aes.BlockSize)
	block, err := aes.NewCipher(must(pbkdf2.Key(sha256.New, "", salt, 1, 32)))
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	prf := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, Parameters: asn1.NullRawValue}
	derivation := algorithm(oidPBKDF2, pbkdf2Parameters{salt, 1, 32, prf})
	var e encryptedData
	e.Content.Type, e.Content.Algorithm = oidData, algorithm(oidPBES2, twoAlgorithms{derivation, algorithm(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, iv)})
	e.Content.Data = asn1.RawValue{Class: asn1.ClassContextSpecific, Bytes: plain}
	return contentInfo{oidEncryptedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: must(asn1.Marshal(e))}}
}

// FuzzImport: whatever is sent is taken or refused by name; what is taken is
// written, converted and taken again.
func FuzzImport(f *testing.F) {
	key := ecKey(f)
	list := chain(f, key)
	f.Add([]byte(block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))+blocks(list)), "")
	f.Add([]byte(block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))))+blocks(list[:1])), "")
	f.Add(must(pkcs12.LegacyRC2.Encode(key, list[0], list[1:], "p")), "p")
	f.Add(must(pkcs12.Modern2026.WithIterations(10).Encode(key, list[0], nil, "")), "")
	f.Add(must(pkcs12.Passwordless.Encode(key, list[0], nil, "")), "")
	f.Fuzz(func(t *testing.T, file []byte, password string) {
		b, err := Import(encodeBase64(file), password, "")
		var bad *Invalid
		if err != nil {
			if !errors.As(err, &bad) {
				t.Fatalf("Import = %v, want an *Invalid", err)
			}
			return
		}
		if _, err := DefaultPolicy(b, nil, start); err != nil && !errors.As(err, &bad) {
			t.Fatalf("DefaultPolicy = %v, want an *Invalid", err)
		}
		for _, kind := range []string{PKCS12, PEM} {
			value, _, err := b.Secret(kind, true, true)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Import(value, "", kind)
			if err != nil || !again.Leaf.Equal(b.Leaf) || len(again.Chain) != len(b.Chain) {
				t.Fatalf("Import of the secret = %v, %v, want the same", again, err)
			}
		}
	})
}
