package issuance

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
)

// maxKey is the size of a private key in DER: one of 4,096 bits has 2,400
// bytes, and reading a much larger one takes hours.
const maxKey = 4 << 10

// Import reads a certificate with its private key: PKCS#12 in base64, or PEM
// as text or in base64 (ImportCertificate). contentType is what the request's
// policy says of the form; "" takes the form from the value.
func Import(value, password, contentType string) (*Bundle, error) {
	if len(value) > maxImport {
		return nil, invalid("value", "has %d characters, more than %d", len(value), maxImport)
	}
	if len(password) > 1024 {
		return nil, invalid("pwd", "has more than 1024 bytes")
	}
	text := value
	var file []byte
	if !isPEM(value) {
		var err error
		if file, err = decodeBase64("value", value); err != nil {
			return nil, err
		}
		text = string(file)
	}
	kind := PKCS12
	if isPEM(text) {
		kind = PEM
	}
	if contentType != "" && contentType != kind {
		return nil, invalid("value", "is not in the form of its content type %s", clip(contentType)).
			hinted("set policy.secret_props.contentType to " + kind)
	}
	var key crypto.Signer
	var given []*x509.Certificate
	var err error
	if kind == PEM {
		key, given, err = readPEM(text)
	} else {
		key, given, err = readPKCS12(file, password, false)
	}
	if err != nil {
		return nil, err
	}
	b, err := newBundle("value", key, given)
	if err != nil {
		return nil, err
	}
	b.ContentType = kind
	return b, nil
}

func isPEM(s string) bool { return strings.Contains(s, "-----BEGIN ") }

// decodeBase64 reads base64, also with line breaks in it.
func decodeBase64(property, s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, s)
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) == 0 {
		return nil, invalid(property, "is neither base64 nor PEM").hinted("send a PKCS#12 file in base64, or the text of a PEM file")
	}
	return b, nil
}

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// readPEM reads the blocks of a text in any order: one private key (PKCS#8,
// PKCS#1 or SEC 1) and its certificates.
func readPEM(text string) (crypto.Signer, []*x509.Certificate, error) {
	var key crypto.Signer
	var ders [][]byte
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case block.Type == "CERTIFICATE":
			ders = append(ders, block.Bytes)
		case block.Type == "EC PARAMETERS":
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if key != nil {
				return nil, nil, invalid("value", "has more than one private key")
			}
			var err error
			if key, err = readKey(block); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, invalid("value", "has a block of a kind that has no place in it").
				hinted("send one private key and its certificates")
		}
	}
	switch {
	case isPEM(string(rest)):
		return nil, nil, invalid("value", "has a PEM block that is damaged")
	case key == nil:
		return nil, nil, invalid("value", "has no private key").hinted("put the private key in PKCS#8 into the same text as the certificate")
	case len(ders) == 0:
		return nil, nil, invalid("value", "has no certificate")
	}
	given, err := parseCertificates("value", ders)
	return key, given, err
}

func readKey(block *pem.Block) (crypto.Signer, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, invalid("value", "has a private key that is encrypted").
			hinted("decrypt it with openssl pkey, or import it as PKCS#12, which may have a password")
	}
	if len(block.Bytes) > maxKey {
		return nil, invalid("value", "has a private key of %d bytes, more than %d", len(block.Bytes), maxKey)
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, invalid("value", "has a block of a kind that has no place in it")
	}
	if err != nil {
		return nil, invalid("value", "has a private key that cannot be read").
			hinted("use RSA, or EC on P-256, P-384 or P-521, in PKCS#8 (openssl pkcs8 -topk8 -nocrypt)")
	}
	return checkKey("value", key)
}

// writePEM is the text of a secret: the private key in PKCS#8, if there is
// one, then the certificates.
func writePEM(key crypto.Signer, certificates []*x509.Certificate) (string, error) {
	var b strings.Builder
	if key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return "", err
		}
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	for _, c := range certificates {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.String(), nil
}
