package vault

import "context"

// Proposal is a write that is about to happen, for who judges it by a policy
// over the data of vaults (Microsoft.KeyVault.Data).
type Proposal struct {
	// Kind is "secrets", "keys" or "certificates".
	Kind string
	// Operation is what is done: create, import, set, update, rotate,
	// recover, restore, policy.
	Operation string
	Name      string
	// Version is the version as it will be, without its content: attributes,
	// dates, content type, tags.
	Version Version
	// Key is the key, or that of the certificate; nil for none. Its private
	// part is left out.
	Key *KeyContent
	// Certificate is the certificate; nil for none.
	Certificate *CertificateContent
	// Policy is the object's own: the rotation policy of a key, the policy
	// of a certificate, in JSON; "" for none.
	Policy string
	// Rotation is when a key will be rotated; not known when it will not.
	Rotation Stamp
}

// judge asks the judge over an object as it will be. Every write that makes
// or changes an object comes through here before it is committed; what
// belongs to a certificate is judged with it, once.
func (c *collection) judge(ctx context.Context, operation string, o *Object) error {
	if c.terms.Judge == nil || c.linked {
		return nil
	}
	p := Proposal{Kind: c.kind, Operation: operation, Name: o.Name, Version: o.Version, Policy: o.Policy}
	p.Version.Value = ""
	switch {
	case c.kind == kindKeys:
		k, err := decodeKey(o.Version.Value)
		if err != nil {
			return err
		}
		p.Key = &k
	case c.kind == kindCertificates && c.pair != nil:
		k := *c.pair
		p.Key = &k
	}
	if p.Key != nil {
		p.Key.Material = nil
	}
	if c.kind == kindCertificates && !c.hollow(o) {
		x, err := decodeCertificate(o.Version.Value)
		if err != nil {
			return err
		}
		p.Certificate = &x
	}
	for _, m := range moments(c.kind, o) {
		if m.Action == Rotation {
			p.Rotation = At(m.At)
		}
	}
	return c.terms.Judge(ctx, p)
}
