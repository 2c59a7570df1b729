package keyvault

import (
	"context"
	"net/http"
	"strings"

	"postern/internal/keyring"
	"postern/internal/throttle"
	"postern/internal/vault"
)

// naming has the next change write into the record which version it made:
// the first identifier that a change makes is that of the new version, and
// the record is committed with the change.
func (x *exchange) naming() func() string {
	first := true
	return func() string {
		id := x.newID()
		if first {
			first, x.record.ID = false, x.objectID(x.target.name, id)
		}
		return id
	}
}

// createKey is CreateKey of the specification.
func createKey(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	c, err := readKeyCreate(data)
	if err != nil {
		return b, 0, err
	}
	spec, err := c.spec()
	if err != nil {
		return b, 0, err
	}
	if err := x.checkKey(*c.kty, &c.keyDescription); err != nil {
		return b, 0, err
	}
	k, err := x.generate(*c.kty, spec)
	if err != nil {
		return b, 0, err
	}
	return x.addKey(b, vault.KeyInput{Content: content(*c.kty, k, &c.keyDescription)}, &c.keyDescription)
}

// spec is which key to make. What the type of key has no use for is ignored,
// as clients send it.
func (c *keyCreation) spec() (keyring.Spec, error) {
	s := keyring.Spec{Type: family(*c.kty)}
	switch s.Type {
	case keyring.RSA:
		s.Size, s.Exponent = 2048, c.exponent
		if c.size != 0 {
			s.Size = int(c.size)
		}
	case keyring.EC:
		s.Curve = keyring.P256
		switch {
		case c.curve != nil && *c.curve != "":
			s.Curve = *c.curve
		case c.size == 384:
			s.Curve = keyring.P384
		case c.size == 521:
			s.Curve = keyring.P521
		case c.size != 0 && c.size != 256:
			return s, invalidProperty("key_size", "is not the size of a curve: 256, 384 or 521")
		}
	default:
		return s, unsupportedKeyType(*c.kty)
	}
	return s, nil
}

// generate makes a key when the budgets allow it and it is its turn: making
// RSA keys takes no more than half of the processors, so that everybody else
// is served meanwhile.
func (x *exchange) generate(kty string, spec keyring.Spec) (*keyring.Key, error) {
	cost := throttle.CreateKey
	if strings.HasSuffix(kty, hardware) {
		cost = throttle.CreateInHSM
	}
	if err := x.spend(cost); err != nil {
		return nil, err
	}
	if spec.Type == keyring.RSA {
		select {
		case x.making <- struct{}{}:
			defer func() { <-x.making }()
		case <-x.request.Context().Done():
			return nil, context.Cause(x.request.Context())
		}
	}
	k, err := keyring.Generate(x.Random, spec)
	return k, material(err)
}

// importKey is ImportKey of the specification.
func importKey(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	in, err := readKeyImport(data)
	if err != nil {
		return b, 0, err
	}
	kty := *in.kty
	in.key.Type = family(kty)
	switch {
	case in.key.Type == "":
		return b, 0, unsupportedKeyType(kty)
	case in.sealed != nil:
		return b, 0, badParameter(textProtectedKey)
	case in.hsm == vault.Yes:
		kty = in.key.Type + hardware
	}
	if err := x.checkKey(kty, &in.keyDescription); err != nil {
		return b, 0, err
	}
	k, err := keyring.Import(in.key)
	if err != nil {
		return b, 0, material(err)
	}
	return x.addKey(b, vault.KeyInput{Content: content(kty, k, &in.keyDescription), Imported: true}, &in.keyDescription)
}

// checkKey refuses what a vault cannot have: keys in hardware on a standard
// vault, and what does not go together in a key that can be released.
func (x *exchange) checkKey(kty string, d *keyDescription) error {
	premium := strings.EqualFold(x.vault.Properties.SKU.Name, "premium")
	inHardware := strings.HasSuffix(kty, hardware)
	exportable := d.exportable == vault.Yes
	switch {
	case inHardware && !premium:
		return badParameter(textNoHardware)
	case exportable && (!premium || x.api < api73):
		return badParameter(textExportablePremium)
	case exportable && !inHardware:
		return badParameter(textExportableSoft)
	case !exportable && d.release != nil:
		return badParameter(textPolicySuperfluous)
	}
	if inHardware && x.api >= api73 {
		// A key stays what it is: all its versions are exportable or none.
		_, latest, err := x.keys().Get(x.request.Context(), x.target.name, "")
		switch {
		case err == vault.NotFound && exportable && d.release == nil:
			return badParameter(textPolicyMissing)
		case err == vault.NotFound:
		case err != nil:
			return err
		case latest.Exportable != exportable:
			return badParameter(textExportableChanged)
		case exportable && latest.Release != nil && latest.Release.Immutable && d.release != nil && !sameRelease(latest.Release, d.release):
			return badParameter(textPolicyImmutable)
		}
	}
	if d.release == nil {
		return nil
	}
	return x.checkRelease(d.release)
}

// content is a new version of a key.
func content(kty string, k *keyring.Key, d *keyDescription) vault.KeyContent {
	c := vault.KeyContent{Type: kty, Curve: k.Curve(), Size: k.Bits(), Operations: defaultOperations(kty), Exportable: d.exportable == vault.Yes,
		Release: d.release, Platform: platformSoftware, Material: k.Material(), Public: publicJSON(k)}
	if strings.HasSuffix(kty, hardware) {
		c.Platform = platformHardware
	}
	if d.operations != nil {
		c.Operations = *d.operations
	}
	return c
}

// addKey commits a new version and answers with it.
func (x *exchange) addKey(b []byte, in vault.KeyInput, d *keyDescription) ([]byte, int, error) {
	in.Enabled, in.NotBefore, in.Expires, in.Tags = d.enabled, d.notBefore, d.expires, d.tags
	keys := x.keys()
	keys.NewVersion = x.naming()
	o, k, err := keys.Add(x.request.Context(), x.target.name, in)
	if err != nil {
		x.record.ID = "" // there is no such version
		return b, 0, err
	}
	return x.key(b, &o, &k), http.StatusOK, nil
}

// rotateKey is RotateKey of the specification: a new version like the latest
// one, as the rotation policy has it.
func rotateKey(x *exchange, b []byte) ([]byte, int, error) {
	keys := x.keys()
	keys.NewVersion = x.naming()
	o, k, err := keys.Rotate(x.request.Context(), x.target.name, func(latest vault.KeyContent) (vault.KeyInput, error) {
		spec := keyring.Spec{Type: family(latest.Type), Curve: latest.Curve}
		if spec.Type == keyring.RSA {
			spec.Size = latest.Size
		}
		k, err := x.generate(latest.Type, spec)
		if err != nil {
			return vault.KeyInput{}, err
		}
		return Successor(latest, k), nil
	})
	if err != nil {
		x.record.ID = ""
		return b, 0, err
	}
	return x.key(b, &o, &k), http.StatusOK, nil
}

// Successor is the next version of a key, with other material.
func Successor(latest vault.KeyContent, k *keyring.Key) vault.KeyInput {
	next := latest
	next.Curve, next.Size, next.Material, next.Public = k.Curve(), k.Bits(), k.Material(), publicJSON(k)
	return vault.KeyInput{Content: next}
}
