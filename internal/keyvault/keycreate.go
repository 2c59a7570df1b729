package keyvault

import (
	"context"

	"postern/internal/keyring"
	"postern/internal/keysmith"
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
	want := c.request(*c.kty)
	want.Size, want.Exponent = c.size, c.exponent
	if c.curve != nil {
		want.Curve = *c.curve
	}
	spec, err := want.Spec()
	if err != nil {
		return b, 0, smith(want.Type, err)
	}
	if err := x.checkKey(want); err != nil {
		return b, 0, err
	}
	k, err := x.makeKey(want.Type)(x.request.Context(), spec)
	if err != nil {
		return b, 0, material(err)
	}
	return x.addKey(b, vault.KeyInput{Content: want.Content(k)}, &c.keyDescription)
}

// makeKey makes a key pair when the budgets allow it and it is its turn.
func (x *exchange) makeKey(kty string) keysmith.Maker {
	return func(ctx context.Context, spec keyring.Spec) (*keyring.Key, error) {
		if err := x.spend(keysmith.Cost(kty)); err != nil {
			return nil, err
		}
		return x.Desk.NewKey(ctx, spec)
	}
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
	in.key.Type = keysmith.Family(kty)
	switch {
	case in.key.Type == "":
		return b, 0, unsupportedKeyType(kty)
	case in.sealed != nil:
		return b, 0, badParameter(textProtectedKey)
	case in.hsm == vault.Yes:
		kty = in.key.Type + keysmith.Hardware
	}
	want := in.request(kty)
	if err := x.checkKey(want); err != nil {
		return b, 0, err
	}
	k, err := x.Desk.ImportKey(x.request.Context(), in.key)
	if err != nil {
		return b, 0, material(err)
	}
	return x.addKey(b, vault.KeyInput{Content: want.Content(k), Imported: true}, &in.keyDescription)
}

// checkKey refuses what a vault cannot have.
func (x *exchange) checkKey(want *keysmith.Request) error {
	if want.Exportable && x.api < api73 {
		return badParameter(textExportablePremium)
	}
	return smith(want.Type, want.Check(x.request.Context(), x.keys(), x.target.name, x.vault.Properties.Premium()))
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
	return x.key(b, &o, &k)
}

// rotateKey is RotateKey of the specification: a new version like the latest
// one, as the rotation policy has it.
func rotateKey(x *exchange, b []byte) ([]byte, int, error) {
	keys := x.keys()
	keys.NewVersion = x.naming()
	ctx := x.request.Context()
	o, k, err := keys.Rotate(ctx, x.target.name, func(latest vault.KeyContent) (vault.KeyInput, error) {
		return keysmith.Next(ctx, x.makeKey(latest.Type))(latest)
	})
	if err != nil {
		x.record.ID = ""
		return b, 0, err
	}
	return x.key(b, &o, &k)
}
