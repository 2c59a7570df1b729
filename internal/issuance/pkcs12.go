package issuance

import (
	"crypto"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
	"unicode/utf16"

	"software.sslmate.com/src/go-pkcs12"
)

// A PKCS#12 file says itself how often a password is to be hashed, and
// whoever sends a file with a number of a hundred digits gets a core of this
// machine for good. So the file is looked through before anything is computed:
// every such number that can be seen is held against a limit, and what cannot
// be seen must not be a key. For that the parts are put in another order,
// keys that can be seen first; after the first key the library refuses any
// other before it computes anything.

// The limits on a PKCS#12 file.
const (
	maxIterations = 1_000_000 // OpenSSL writes 2,048, current advice is 600,000
	maxParts      = 8
)

// The identifiers of RFC 7292 and RFC 8018.
var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidPBE           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1}
	oidPBES2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBMAC1        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidPBKDF2        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidSHA1          = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
)

// digests are the hash functions of a file's authentication, by their own
// identifiers and by those of their HMAC.
var digests = map[string]func() hash.Hash{
	"1.3.14.3.2.26": sha1.New, "1.2.840.113549.2.7": sha1.New,
	"2.16.840.1.101.3.4.2.4": sha256.New224, "1.2.840.113549.2.8": sha256.New224,
	"2.16.840.1.101.3.4.2.1": sha256.New, "1.2.840.113549.2.9": sha256.New,
	"2.16.840.1.101.3.4.2.2": sha512.New384, "1.2.840.113549.2.10": sha512.New384,
	"2.16.840.1.101.3.4.2.3": sha512.New, "1.2.840.113549.2.11": sha512.New,
}

// The structures of RFC 7292 §4 and RFC 8018 appendix A, as far as they are
// looked at.
type (
	pfx struct {
		Version int
		Safe    contentInfo
		MAC     macData `asn1:"optional"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"tag:0,explicit,optional"`
	}
	macData struct {
		MAC        digestInfo
		Salt       []byte
		Iterations int `asn1:"optional,default:1"`
	}
	digestInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	encryptedData struct {
		Version int
		Content struct {
			Type      asn1.ObjectIdentifier
			Algorithm pkix.AlgorithmIdentifier
			Data      asn1.RawValue `asn1:"tag:0,optional"`
		}
	}
	safeBag struct {
		Type       asn1.ObjectIdentifier
		Value      asn1.RawValue `asn1:"tag:0,explicit"`
		Attributes asn1.RawValue `asn1:"set,optional"`
	}
	shroudedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbeParameters struct {
		Salt       []byte
		Iterations int
	}
	pbkdf2Parameters struct {
		Salt       []byte
		Iterations int
		Length     int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	twoAlgorithms struct { // PBES2-params and PBMAC1-params
		Derivation, Second pkix.AlgorithmIdentifier
	}
)

// errFile is a file that is not what it should be.
func errFile() *Invalid {
	return invalid("value", "is not a PKCS#12 file that can be read").
		hinted("write it anew with openssl pkcs12 -export")
}

// errPassword is a file that the password does not open.
func errPassword() *Invalid {
	return invalid("pwd", "does not open the PKCS#12 file").hinted("check the password; a file without one is sent without pwd")
}

// readPKCS12 reads a file; without keys only where keyless allows it.
func readPKCS12(file []byte, password string, keyless bool) (crypto.Signer, []*x509.Certificate, error) {
	tame, keys, err := tamed(file, password)
	if err != nil {
		return nil, nil, err
	}
	if keys == 0 && !keyless {
		return nil, nil, invalid("value", "has no private key, or one inside an encrypted part").hinted("write the file anew with openssl pkcs12 -export -inkey")
	}
	if keys == 0 {
		list, err := pkcs12.DecodeTrustStore(tame, password)
		if err != nil || len(list) > maxCertificates {
			return nil, nil, errFile()
		}
		return nil, list, nil
	}
	key, leaf, others, err := pkcs12.DecodeChain(tame, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		return nil, nil, errPassword()
	case err != nil:
		return nil, nil, errFile()
	case len(others)+1 > maxCertificates:
		return nil, nil, invalid("value", "has %d certificates, more than %d", len(others)+1, maxCertificates)
	}
	signer, err := checkKey("value", key)
	return signer, append([]*x509.Certificate{leaf}, others...), err
}

// tamed checks a file's authentication and its limits, and writes it anew
// with the parts that can be seen first. It returns how many keys they have.
func tamed(file []byte, password string) ([]byte, int, error) {
	var f pfx
	var content []byte
	if !readASN1(file, &f) || f.Version != 3 || !f.Safe.Type.Equal(oidData) {
		return nil, 0, errFile()
	}
	if _, err := asn1.Unmarshal(f.Safe.Content.Bytes, &content); err != nil {
		return nil, 0, errFile()
	}
	secret, err := f.MAC.open(content, password)
	if err != nil {
		return nil, 0, err
	}
	var parts []contentInfo
	if !readASN1(content, &parts) || len(parts) > maxParts {
		return nil, 0, errFile()
	}
	tame, keys, err := sorted(parts)
	if err != nil {
		return nil, 0, err
	}
	if content, err = asn1.Marshal(tame); err != nil {
		return nil, 0, err
	}
	out, err := authenticated(content, secret)
	return out, keys, err
}

// sorted puts the bags that can be seen into one part and the encrypted part
// behind it.
func sorted(parts []contentInfo) ([]contentInfo, int, error) {
	var bags []safeBag
	var encrypted []contentInfo
	keys := 0
	for _, part := range parts {
		switch {
		case part.Type.Equal(oidEncryptedData):
			var e encryptedData
			if _, err := asn1.Unmarshal(part.Content.Bytes, &e); err != nil {
				return nil, 0, errFile()
			}
			if err := checkAlgorithm(e.Content.Algorithm); err != nil {
				return nil, 0, err
			}
			encrypted = append(encrypted, part)
		case part.Type.Equal(oidData):
			var content []byte
			var some []safeBag
			if _, err := asn1.Unmarshal(part.Content.Bytes, &content); err != nil {
				return nil, 0, errFile()
			}
			if !readASN1(content, &some) {
				return nil, 0, errFile()
			}
			bags = append(bags, some...)
		default:
			return nil, 0, errFile()
		}
	}
	for _, b := range bags {
		n, err := b.keys()
		if err != nil {
			return nil, 0, err
		}
		keys += n
	}
	if keys > 1 {
		return nil, 0, invalid("value", "has more than one private key")
	}
	if len(encrypted) > 1 {
		return nil, 0, invalid("value", "has %d encrypted parts, more than one", len(encrypted)).hinted("write the file anew with openssl pkcs12 -export")
	}
	if len(bags) == 0 {
		return encrypted, keys, nil
	}
	inner, err := asn1.Marshal(bags)
	if err != nil {
		return nil, 0, err
	}
	part, err := dataPart(inner)
	return append([]contentInfo{part}, encrypted...), keys, err
}

// keys is 1 for a bag with a private key, whose size and iterations it checks.
func (b safeBag) keys() (int, error) {
	shrouded := b.Type.Equal(oidShroudedBag)
	if !shrouded && !b.Type.Equal(oidKeyBag) {
		return 0, nil
	}
	if len(b.Value.Bytes) > maxKey {
		return 0, invalid("value", "has a private key of %d bytes, more than %d", len(b.Value.Bytes), maxKey)
	}
	if shrouded {
		var k shroudedKey
		if _, err := asn1.Unmarshal(b.Value.Bytes, &k); err != nil {
			return 0, errFile()
		}
		return 1, checkAlgorithm(k.Algorithm)
	}
	return 1, nil
}

// checkAlgorithm holds the iterations of a password-based encryption against
// the limit.
func checkAlgorithm(a pkix.AlgorithmIdentifier) error {
	if len(a.Algorithm) == len(oidPBE)+1 && a.Algorithm[:len(oidPBE)].Equal(oidPBE) {
		var p pbeParameters
		if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &p); err != nil {
			return errFile()
		}
		return checkIterations(p.Iterations)
	}
	if !a.Algorithm.Equal(oidPBES2) {
		return invalid("value", "is encrypted with an algorithm that is not known").hinted("write the file anew with openssl pkcs12 -export")
	}
	_, err := derivation(a)
	return err
}

// derivation reads the key derivation of PBES2 or PBMAC1.
func derivation(a pkix.AlgorithmIdentifier) (pbkdf2Parameters, error) {
	var two twoAlgorithms
	var p pbkdf2Parameters
	if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &two); err != nil {
		return p, errFile()
	}
	if !two.Derivation.Algorithm.Equal(oidPBKDF2) {
		return p, invalid("value", "derives its keys with an algorithm that is not known").hinted("write the file anew with openssl pkcs12 -export")
	}
	if _, err := asn1.Unmarshal(two.Derivation.Parameters.FullBytes, &p); err != nil {
		return p, errFile()
	}
	return p, checkIterations(p.Iterations)
}

func checkIterations(n int) error {
	if n < 1 || n > maxIterations {
		return invalid("value", "hashes its password %d times; from 1 to %d are taken", n, maxIterations)
	}
	return nil
}

// open finds the form of the password under which a file authenticates its
// content. A file without authentication takes the usual form.
func (m macData) open(content []byte, password string) ([]byte, error) {
	usual, err := bmp(password)
	if err != nil {
		return nil, err
	}
	if len(m.MAC.Algorithm.Algorithm) == 0 {
		return usual, nil
	}
	if m.MAC.Algorithm.Algorithm.Equal(oidPBMAC1) {
		return usual, m.openPBMAC1(content, password)
	}
	h, ok := digests[m.MAC.Algorithm.Algorithm.String()]
	if !ok {
		return nil, errFile()
	}
	if err := checkIterations(m.Iterations); err != nil {
		return nil, err
	}
	forms := [][]byte{usual}
	if password == "" {
		forms = append(forms, nil) // some write no password at all
	}
	for _, form := range forms {
		if hmac.Equal(m.MAC.Digest, sum(h, derive(h, form, m.Salt, m.Iterations), content)) {
			return form, nil
		}
	}
	return nil, errPassword()
}

// openPBMAC1 is the authentication of RFC 9579.
func (m macData) openPBMAC1(content []byte, password string) error {
	p, err := derivation(m.MAC.Algorithm)
	if err != nil {
		return err
	}
	var two twoAlgorithms
	if _, err := asn1.Unmarshal(m.MAC.Algorithm.Parameters.FullBytes, &two); err != nil {
		return errFile()
	}
	prf, mac := digests[p.PRF.Algorithm.String()], digests[two.Second.Algorithm.String()]
	if len(p.PRF.Algorithm) == 0 {
		prf = sha1.New
	}
	if prf == nil || mac == nil || p.Length < 20 || p.Length > 64 {
		return errFile()
	}
	key, err := pbkdf2.Key(prf, password, p.Salt, p.Iterations, p.Length)
	if err != nil {
		return errFile()
	}
	if !hmac.Equal(m.MAC.Digest, sum(mac, key, content)) {
		return errPassword()
	}
	return nil
}

func sum(h func() hash.Hash, key, content []byte) []byte {
	m := hmac.New(h, key)
	m.Write(content)
	return m.Sum(nil)
}

// derive is the key of a file's authentication (RFC 7292 appendix B.2, with
// the identifier 3). One block of output is enough for it.
func derive(h func() hash.Hash, password, salt []byte, iterations int) []byte {
	d := h()
	block := d.BlockSize()
	in := make([]byte, block, 3*block)
	for i := range in {
		in[i] = 3
	}
	in = append(append(in, fill(salt, block)...), fill(password, block)...)
	key := in
	for range iterations {
		d.Reset()
		d.Write(key)
		key = d.Sum(nil)
	}
	return key
}

// fill repeats a text to whole blocks.
func fill(text []byte, block int) []byte {
	if len(text) == 0 {
		return nil
	}
	out := make([]byte, (len(text)+block-1)/block*block)
	for i := range out {
		out[i] = text[i%len(text)]
	}
	return out
}

// bmp is a password as PKCS#12 hashes it: UTF-16 with a zero at the end.
func bmp(password string) ([]byte, error) {
	units := utf16.Encode([]rune(password))
	out := make([]byte, 0, 2*len(units)+2)
	for _, u := range units {
		if utf16.IsSurrogate(rune(u)) {
			return nil, invalid("pwd", "has a character that PKCS#12 cannot hold")
		}
		out = append(out, byte(u>>8), byte(u))
	}
	return append(out, 0, 0), nil
}

func dataPart(content []byte) (contentInfo, error) {
	octets, err := asn1.Marshal(content)
	return contentInfo{oidData, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: octets}}, err
}

// authenticated is a file around the parts, for the library alone.
func authenticated(content, secret []byte) ([]byte, error) {
	part, err := dataPart(content)
	if err != nil {
		return nil, err
	}
	salt := make([]byte, 8)
	mac := macData{digestInfo{pkix.AlgorithmIdentifier{Algorithm: oidSHA1}, sum(sha1.New, derive(sha1.New, secret, salt, 1), content)}, salt, 1}
	return asn1.Marshal(pfx{3, part, mac})
}
