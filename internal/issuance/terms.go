package issuance

import (
	"slices"
	"strings"
	"time"

	"postern/internal/keyring"
)

// The issuers that every vault has (spec: IssuerParameters).
const (
	// Self is the vault: the certificate is signed with its own key.
	Self = "Self"
	// Unknown is somebody outside: the request is taken there, and the
	// certificate merged.
	Unknown = "Unknown"
)

// The actions over a certificate's life (spec: CertificatePolicyAction).
const (
	// AutoRenew makes the next version.
	AutoRenew = "AutoRenew"
	// EmailContacts tells the vault's contacts.
	EmailContacts = "EmailContacts"
)

// The extended key usages that a certificate has by default: server and
// client of TLS.
const (
	serverAuthentication = "1.3.6.1.5.5.7.3.1"
	clientAuthentication = "1.3.6.1.5.5.7.3.2"
)

// defaults of what a policy does not say, as recorded answers show them.
const (
	defaultSize       = 2048
	defaultMonths     = 12
	defaultPercentage = 80
)

// curveBits are the sizes that go with the curves (spec:
// JsonWebKeyCurveName).
var curveBits = map[string]int{"P-256": 256, "P-384": 384, "P-521": 521, "P-256K": 256}

// SelfIssued reports whether the certificate is signed with its own key.
func (p *Policy) SelfIssued() bool { return strings.EqualFold(p.Issuer.Name, Self) }

// Merged reports whether the certificate comes from outside.
func (p *Policy) Merged() bool { return strings.EqualFold(p.Issuer.Name, Unknown) }

// Exportable reports whether the private key is part of the secret.
func (p *Policy) Exportable() bool { return p.Key.Exportable == nil || *p.Key.Exportable }

// ReuseKey reports whether a new version has the key of the one before.
func (p *Policy) ReuseKey() bool { return p.Key.Reuse != nil && *p.Key.Reuse }

// KeyType is the key's type as keys are answered with: RSA, RSA-HSM, EC or
// EC-HSM.
func (p *Policy) KeyType() string { return p.Key.Type }

// KeySpec is the key to make for a certificate. A certificate on P-256K is
// refused here: a policy may name the curve, as the service's may, but what
// reads certificates does not know it (docs/own-choices.md).
func (p *Policy) KeySpec() (keyring.Spec, error) {
	if p.Key.Curve == keyring.P256K {
		return keyring.Spec{}, errCurve()
	}
	if family(p.Key.Type) == "EC" {
		return keyring.Spec{Type: "EC", Curve: p.Key.Curve}, nil
	}
	return keyring.Spec{Type: "RSA", Size: p.Key.Size}, nil
}

// ContentType is that of the secret.
func (p *Policy) ContentType() string { return p.Secret.ContentType }

// Complete is the policy of a new certificate: checked, and with the defaults
// for what it does not say (recorded answers of CreateCertificate).
func (p *Policy) Complete(now time.Time) (*Policy, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	next := *p
	if err := next.settle(); err != nil {
		return nil, err
	}
	if next.X509.Subject == "" && next.X509.Names.count() == 0 {
		return nil, invalid("policy.x509_props.subject", "is missing, and there are no subject alternative names").
			hinted("name the certificate's owner, such as CN=contoso.com")
	}
	next.Attributes.Created, next.Attributes.Updated = now.Unix(), now.Unix()
	return &next, nil
}

// Patched is the policy with what another one says in place of its own
// (UpdateCertificatePolicy): group by group, property by property; lists and
// the alternative names as a whole.
func (p *Policy) Patched(patch *Policy, now time.Time) (*Policy, error) {
	if err := patch.check(); err != nil {
		return nil, err
	}
	next := *p
	next.Key = p.Key.patched(patch.Key)
	replace(&next.Secret.ContentType, patch.Secret.ContentType)
	next.Secret.rest = overlay(p.Secret.rest, patch.Secret.rest)
	next.X509 = p.X509.patched(patch.X509)
	if patch.Actions != nil {
		next.Actions = patch.Actions
	}
	replace(&next.Issuer.Name, patch.Issuer.Name)
	replace(&next.Issuer.Type, patch.Issuer.Type)
	replace(&next.Issuer.Transparency, patch.Issuer.Transparency)
	next.Issuer.rest = overlay(p.Issuer.rest, patch.Issuer.rest)
	replace(&next.Attributes.Enabled, patch.Attributes.Enabled)
	next.rest = overlay(p.rest, patch.rest)
	if err := next.settle(); err != nil {
		return nil, err
	}
	next.Attributes.Updated = now.Unix()
	return &next, nil
}

// patched lets the size and the curve of the old key go when they would
// contradict what the patch says.
func (k KeyProperties) patched(patch KeyProperties) KeyProperties {
	if patch.Type != "" && family(patch.Type) != family(k.Type) {
		k.Size, k.Curve = 0, ""
	}
	if patch.Size != 0 {
		k.Curve = ""
	}
	if patch.Curve != "" {
		k.Size = 0
	}
	replace(&k.Exportable, patch.Exportable)
	replace(&k.Type, patch.Type)
	replace(&k.Size, patch.Size)
	replace(&k.Reuse, patch.Reuse)
	replace(&k.Curve, patch.Curve)
	k.rest = overlay(k.rest, patch.rest)
	return k
}

func (x X509Properties) patched(patch X509Properties) X509Properties {
	replace(&x.Subject, patch.Subject)
	replace(&x.Names, patch.Names)
	replace(&x.Months, patch.Months)
	replace(&x.BasicConstraints, patch.BasicConstraints)
	if patch.ExtendedUsages != nil {
		x.ExtendedUsages = patch.ExtendedUsages
	}
	if patch.Usages != nil {
		x.Usages = patch.Usages
	}
	x.rest = overlay(x.rest, patch.rest)
	return x
}

// replace puts a value that was said in the place of another.
func replace[T comparable](old *T, said T) {
	var nothing T
	if said != nothing {
		*old = said
	}
}

// overlay is one set of unknown properties over another.
func overlay[M ~map[string]V, V any](under, over M) M {
	if len(over) == 0 {
		return under
	}
	out := make(M, len(under)+len(over))
	for k, v := range under {
		out[k] = v
	}
	for k, v := range over {
		out[k] = v
	}
	return out
}

// settle fills in the defaults and holds properties against one another.
func (p *Policy) settle() error {
	if err := p.Key.settle(); err != nil {
		return err
	}
	replaceEmpty(&p.Secret.ContentType, PKCS12)
	replaceEmpty(&p.Issuer.Name, Unknown)
	x := &p.X509
	if x.ExtendedUsages == nil {
		x.ExtendedUsages = []string{serverAuthentication, clientAuthentication}
	}
	if x.Usages == nil {
		x.Usages = []string{"digitalSignature", "keyEncipherment"}
	}
	if x.Months == nil || *x.Months == 0 {
		x.Months = new(defaultMonths)
	}
	replaceEmpty(&x.BasicConstraints, &BasicConstraints{})
	if p.Actions == nil {
		what := EmailContacts
		if p.SelfIssued() {
			what = AutoRenew
		}
		p.Actions = []LifetimeAction{{Trigger{Percentage: new(defaultPercentage)}, Action{what}}}
	}
	replaceEmpty(&p.Attributes.Enabled, new(true))
	for _, a := range p.Actions {
		if d := a.Trigger.DaysBefore; d != nil && *d > 27**x.Months {
			return invalid("policy.lifetime_actions.trigger.days_before_expiry", "is %d, more than 27 days for each of the %d months of validity", *d, *x.Months)
		}
	}
	return nil
}

// replaceEmpty puts a value in the place of one that was not said.
func replaceEmpty[T comparable](value *T, otherwise T) {
	var nothing T
	if *value == nothing {
		*value = otherwise
	}
}

// family is the kind of a key without where it is kept.
func family(kty string) string { return strings.TrimSuffix(strings.ToUpper(kty), "-HSM") }

// settle gives a key its type, size, curve and whether it may leave. A key of
// a type that is kept in hardware may not.
func (k *KeyProperties) settle() error {
	replaceEmpty(&k.Type, "RSA")
	hardware := strings.HasSuffix(k.Type, "-HSM")
	replaceEmpty(&k.Exportable, new(!hardware))
	replaceEmpty(&k.Reuse, new(false))
	if hardware && *k.Exportable {
		return invalid("policy.key_props.exportable", "cannot be true for a key of type %s", k.Type)
	}
	if family(k.Type) == "RSA" {
		replaceEmpty(&k.Size, defaultSize)
		if k.Curve != "" {
			return invalid("policy.key_props.crv", "is said of an RSA key")
		}
		if !slices.Contains([]int{2048, 3072, 4096}, k.Size) {
			return invalid("policy.key_props.key_size", "is %d; an RSA key has 2048, 3072 or 4096 bits", k.Size)
		}
		return nil
	}
	if k.Curve == "" {
		switch k.Size {
		case 0, 256:
			k.Curve = "P-256"
		case 384:
			k.Curve = "P-384"
		case 521:
			k.Curve = "P-521"
		}
	}
	bits, known := curveBits[k.Curve]
	if !known {
		return invalid("policy.key_props.key_size", "is %d; an EC key has 256, 384 or 521 bits", k.Size)
	}
	replaceEmpty(&k.Size, bits)
	if k.Size != bits {
		return invalid("policy.key_props.key_size", "is %d; a key on %s has %d bits", k.Size, k.Curve, bits)
	}
	return nil
}

// At is the moment of an action in a certificate's life.
func (a LifetimeAction) At(notBefore, expires time.Time) time.Time {
	switch t := a.Trigger; {
	case t.DaysBefore != nil:
		return expires.AddDate(0, 0, -*t.DaysBefore)
	case t.Percentage != nil:
		life := expires.Unix() - notBefore.Unix()
		return time.Unix(notBefore.Unix()+life/100*int64(*t.Percentage)+life%100*int64(*t.Percentage)/100, 0)
	}
	return expires
}

// operations are what each key usage lets the key behind a certificate do
// (reference: about certificates). Keys of recorded certificates with the
// default usages may encrypt as well as wrap.
var operations = map[string][]string{
	"digitalSignature": {"sign", "verify"}, "nonRepudiation": {"sign", "verify"}, "keyCertSign": {"sign", "verify"},
	"cRLSign": {"sign", "verify"}, "keyEncipherment": {"wrapKey", "unwrapKey", "encrypt", "decrypt"},
	"dataEncipherment": {"encrypt", "decrypt"}, "encipherOnly": {"encrypt"}, "decipherOnly": {"decrypt"},
}

// Operations are what the key behind a certificate by this policy may do, in
// the order in which the service lists them. Without a usage it is all that a
// key of its type can.
func (p *Policy) Operations() []string {
	all := []string{"sign", "verify", "wrapKey", "unwrapKey", "encrypt", "decrypt"}
	if family(p.Key.Type) == "EC" {
		all = all[:2]
	}
	if len(p.X509.Usages) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(op string) bool {
		return !slices.ContainsFunc(p.X509.Usages, func(u string) bool { return slices.Contains(operations[u], op) })
	})
}
