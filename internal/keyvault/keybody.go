package keyvault

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"postern/internal/keyring"
	"postern/internal/keysmith"
	"postern/internal/vault"
)

// errBase64 is bytes that are not in base64url.
var errBase64 = errors.New("is not base64url")

// keyWords are the words of key_ops.
var keyWords = keysmith.Operations()

// readBytes reads bytes in base64url, with or without padding. Bits that are
// left over are ignored, as the service does it.
func readBytes(r *reader, to *[]byte) error {
	if r.null() {
		return nil
	}
	s, err := r.string()
	if err != nil {
		return err
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return errBase64
	}
	*to = b
	return nil
}

// octets reads a property of bytes and says which one was wrong.
func octets(r *reader, name string, to *[]byte) error {
	err := property(name, func() error { return readBytes(r, to) })
	if err == errBase64 {
		return badParameter(textNotBase64, "{name}", name)
	}
	return err
}

// keyDescription is what create, import and update have in common.
type keyDescription struct {
	description
	operations *[]string
	exportable vault.Flag
	release    *vault.ReleasePolicy
}

// member reads a member of any of them; unknown ones are ignored.
func (d *keyDescription) member(r *reader, name string) error {
	switch name {
	case "key_ops":
		return property(name, func() error { return readOperations(r, &d.operations) })
	case "attributes":
		return property(name, func() error { return d.keyAttributes(r) })
	case "tags":
		return property(name, func() error { return d.readTags(r) })
	case "release_policy":
		return property(name, func() error { return d.readRelease(r) })
	}
	return r.skip()
}

// keyAttributes reads KeyAttributes; what is read-only is ignored.
func (d *keyDescription) keyAttributes(r *reader) error {
	if r.null() {
		return nil
	}
	return r.object(func(r *reader, name string) error {
		switch name {
		case "exportable":
			return property(name, func() error { return readFlag(r, &d.exportable) })
		case "external_key":
			if r.null() {
				return nil
			}
			return invalidProperty(name, "is for keys outside of the vault, which only a managed HSM has")
		}
		return d.attribute(r, name)
	})
}

// readOperations reads key_ops. A word that stands there twice counts once.
func readOperations(r *reader, to **[]string) error {
	if r.null() {
		return nil
	}
	list := []string{}
	err := r.array(func(r *reader) error {
		word, err := r.string()
		if err != nil {
			return err
		}
		if !slices.Contains(keyWords, word) {
			return invalidProperty("key_ops", "has a word that is none of "+strings.Join(keyWords, ", "))
		}
		if !slices.Contains(list, word) {
			list = append(list, word)
		}
		return nil
	})
	*to = &list
	return err
}

// readRelease reads KeyReleasePolicy.
func (d *keyDescription) readRelease(r *reader) error {
	if r.null() {
		return nil
	}
	var contentType *string
	var immutable vault.Flag
	var data []byte
	err := r.object(func(r *reader, name string) error {
		switch name {
		case "contentType":
			return property(name, func() error { return readString(r, &contentType) })
		case "immutable":
			return property(name, func() error { return readFlag(r, &immutable) })
		case "data":
			return octets(r, name, &data)
		}
		return r.skip()
	})
	if err != nil {
		return err
	}
	d.release = &vault.ReleasePolicy{ContentType: keysmith.ReleaseContentType, Immutable: immutable == vault.Yes, Data: data}
	if contentType != nil {
		d.release.ContentType = *contentType
	}
	return nil
}

// keyCreation is KeyCreateParameters.
type keyCreation struct {
	keyDescription
	kty, curve     *string
	size, exponent int64
}

// request is what is asked for in the terms of the smith.
func (d *keyDescription) request(kty string) *keysmith.Request {
	return &keysmith.Request{Type: kty, Operations: d.operations, Exportable: d.exportable == vault.Yes, Release: d.release}
}

// readKeyCreate reads KeyCreateParameters.
func readKeyCreate(data []byte) (*keyCreation, error) {
	c := new(keyCreation)
	err := readObject(data, func(r *reader, name string) error {
		switch name {
		case "kty":
			return property(name, func() error { return readString(r, &c.kty) })
		case "crv":
			return property(name, func() error { return readString(r, &c.curve) })
		case "key_size":
			return property(name, func() error { return readInteger(r, &c.size) })
		case "public_exponent":
			return property(name, func() error { return readInteger(r, &c.exponent) })
		}
		return c.member(r, name)
	})
	if err != nil {
		return nil, wire(err)
	}
	if c.kty == nil {
		return nil, badParameter(textRequired, "{name}", "kty")
	}
	return c, nil
}

// keyImport is KeyImportParameters.
type keyImport struct {
	keyDescription
	hsm    vault.Flag
	kty    *string
	curve  *string
	key    keyring.JWK
	sealed []byte // key_hsm: a key that some hardware protects
	seen   bool
}

// readKeyImport reads KeyImportParameters.
func readKeyImport(data []byte) (*keyImport, error) {
	in := new(keyImport)
	err := readObject(data, func(r *reader, name string) error {
		switch name {
		case "Hsm", "hsm":
			return property(name, func() error { return readFlag(r, &in.hsm) })
		case "key":
			return property(name, func() error { return in.readKey(r) })
		case "key_ops":
			return r.skip() // it belongs into the key
		}
		return in.member(r, name)
	})
	switch {
	case err != nil:
		return nil, wire(err)
	case !in.seen:
		return nil, badParameter(textRequired, "{name}", "key")
	case in.kty == nil:
		return nil, badParameter(textRequired, "{name}", "kty")
	}
	if in.curve != nil {
		in.key.Curve = *in.curve
	}
	return in, nil
}

// readKey reads JsonWebKey.
func (in *keyImport) readKey(r *reader) error {
	if r.null() {
		return nil
	}
	in.seen = true
	numbers := map[string]*[]byte{"n": &in.key.N, "e": &in.key.E, "d": &in.key.D, "dp": &in.key.DP, "dq": &in.key.DQ, "qi": &in.key.QI,
		"p": &in.key.P, "q": &in.key.Q, "x": &in.key.X, "y": &in.key.Y, "key_hsm": &in.sealed}
	return r.object(func(r *reader, name string) error {
		switch name {
		case "kty":
			return property(name, func() error { return readString(r, &in.kty) })
		case "crv":
			return property(name, func() error { return readString(r, &in.curve) })
		case "key_ops":
			return property(name, func() error { return readOperations(r, &in.operations) })
		}
		if to, ok := numbers[name]; ok {
			return octets(r, name, to)
		}
		return r.skip()
	})
}

// readKeyUpdate reads KeyUpdateParameters.
func readKeyUpdate(data []byte) (*keyDescription, error) {
	d := new(keyDescription)
	if err := readObject(data, d.member); err != nil {
		return nil, wire(err)
	}
	return d, nil
}

// keyOperation is KeyOperationsParameters, KeySignParameters and
// KeyVerifyParameters. The members of symmetric algorithms are read and not
// used: a vault has no keys for them.
type keyOperation struct {
	algorithm     *string
	value, digest []byte
}

// readKeyOperation reads the parameters of a use of a key.
func readKeyOperation(data []byte, digest bool) (*keyOperation, error) {
	op := new(keyOperation)
	var unused []byte
	err := readObject(data, func(r *reader, name string) error {
		switch name {
		case "alg":
			return property(name, func() error { return readString(r, &op.algorithm) })
		case "value":
			return octets(r, name, &op.value)
		case "digest":
			return octets(r, name, &op.digest)
		case "iv", "aad", "tag":
			return octets(r, name, &unused)
		}
		return r.skip()
	})
	switch {
	case err != nil:
		return nil, wire(err)
	case op.algorithm == nil:
		return nil, badParameter(textRequired, "{name}", "alg")
	case op.value == nil:
		return nil, badParameter(textRequired, "{name}", "value")
	case digest && op.digest == nil:
		return nil, badParameter(textRequired, "{name}", "digest")
	}
	return op, nil
}

// readInteger reads a whole number; null is none.
func readInteger(r *reader, to *int64) error {
	if r.null() {
		return nil
	}
	n, err := r.integer()
	*to = n
	return err
}

// keyRelease is KeyReleaseParameters.
type keyRelease struct{ target, nonce, enc *string }

// readKeyRelease reads KeyReleaseParameters.
func readKeyRelease(data []byte) (*keyRelease, error) {
	p := new(keyRelease)
	err := readObject(data, func(r *reader, name string) error {
		switch name {
		case "target":
			return property(name, func() error { return readString(r, &p.target) })
		case "nonce":
			return property(name, func() error { return readString(r, &p.nonce) })
		case "enc":
			return property(name, func() error { return readString(r, &p.enc) })
		}
		return r.skip()
	})
	switch {
	case err != nil:
		return nil, wire(err)
	case p.target == nil || *p.target == "":
		return nil, badParameter(textRequired, "{name}", "target")
	case p.nonce != nil && len(*p.nonce) > maxNonce:
		return nil, invalidProperty("nonce", "is longer than 1024 bytes")
	}
	return p, nil
}

// maxNonce bounds what of a client's own is repeated in a released key.
const maxNonce = 1024
