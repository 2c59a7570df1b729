// Package keysmith is the way from the request for a key to a version of it:
// which keys a vault can have, what is filled in where the request says
// nothing, and what the next version of a key is like.
//
// The data plane, the resource manager and rotation all make their keys
// here. Nothing is written here: what comes out is handed to package vault.
package keysmith

import (
	"context"
	"crypto/rsa"
	"errors"
	"mime"
	"slices"
	"strings"

	"postern/internal/keyring"
	"postern/internal/keyring/release"
	"postern/internal/throttle"
	"postern/internal/vault"
)

// Hardware ends the types of keys that the service keeps in hardware. Here
// they are a label: the material is in software like every other, and costs,
// rules and answers are those of the service.
const Hardware = "-HSM"

// The values of hsmPlatform: 0 is software, 2 the hardware of today
// (recorded answers).
const (
	PlatformSoftware = "0"
	PlatformHardware = "2"
)

// ReleaseContentType is that of a release policy unless the client says
// (spec: KeyReleasePolicy).
const ReleaseContentType = "application/json; charset=utf-8"

// operations are the words of key_ops (spec: JsonWebKeyOperation).
var operations = []string{"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey", "import", "export"}

// Operations are the words of key_ops.
func Operations() []string { return slices.Clone(operations) }

// Refusal is why a vault cannot have a key. The zero value is no refusal.
type Refusal uint8

const (
	_ Refusal = iota
	// Type: a vault has no keys of that type.
	Type
	// NoHardware: the vault is a standard one.
	NoHardware
	// NotPremium: keys that can be released are for premium vaults.
	NotPremium
	// Changed: the other versions of the key are exportable and this one is
	// not, or the other way round.
	Changed
	// PolicyMissing: a key that can be released needs a policy.
	PolicyMissing
	// PolicySuperfluous: a key that cannot be released has no policy.
	PolicySuperfluous
	// Software: a key in software cannot be released.
	Software
	// Immutable: the release policy cannot be changed any more.
	Immutable
)

// Error says it in a few words, for logs.
func (r Refusal) Error() string {
	return "keysmith: " + [...]string{"no refusal", "no such type of key", "standard vault", "exportable keys need a premium vault",
		"exportable differs from the other versions", "release policy missing", "release policy without exportable",
		"exportable key in software", "release policy is immutable"}[r]
}

// Request is what a client wants of a new version of a key.
type Request struct {
	// Type is kty: RSA, RSA-HSM, EC or EC-HSM.
	Type, Curve string
	// Size and Exponent are 0 for the usual ones.
	Size, Exponent int64
	// Operations is nil for the usual ones of the type.
	Operations *[]string
	Exportable bool
	Release    *vault.ReleasePolicy
}

// Family is RSA or EC for the four types of keys of a vault, else "".
func Family(kty string) string {
	switch strings.TrimSuffix(kty, Hardware) {
	case keyring.RSA:
		return keyring.RSA
	case keyring.EC:
		return keyring.EC
	}
	return ""
}

// InHardware reports whether the type is one of those in hardware.
func InHardware(kty string) bool { return strings.HasSuffix(kty, Hardware) }

// Spec is which key to make. What the type has no use for is ignored:
// clients send it (cosign asks for an EC key of 2048 bits).
func (r *Request) Spec() (keyring.Spec, error) {
	s := keyring.Spec{Type: Family(r.Type)}
	switch s.Type {
	case keyring.RSA:
		s.Size, s.Exponent = 2048, r.Exponent
		if r.Size != 0 {
			s.Size = int(min(max(r.Size, -1), 1<<20))
		}
	case keyring.EC:
		s.Curve = keyring.P256
		switch {
		case r.Curve != "":
			s.Curve = r.Curve
		case r.Size == 384:
			s.Curve = keyring.P384
		case r.Size == 521:
			s.Curve = keyring.P521
		}
	default:
		return s, Type
	}
	return s, nil
}

// Check refuses what the vault cannot have as the next version of the key of
// that name. A key stays what it is: all its versions can be released, or
// none.
func (r *Request) Check(ctx context.Context, keys *vault.Keys, name string, premium bool) error {
	inHardware := InHardware(r.Type)
	switch {
	case Family(r.Type) == "":
		return Type
	case inHardware && !premium:
		return NoHardware
	case r.Exportable && !premium:
		return NotPremium
	case r.Exportable && !inHardware:
		return Software
	case !r.Exportable && r.Release != nil:
		return PolicySuperfluous
	}
	if err := CheckRelease(r.Release); err != nil {
		return err
	}
	_, latest, err := keys.Get(ctx, name, "")
	switch {
	case errors.Is(err, vault.NotFound):
		if r.Exportable && r.Release == nil {
			return PolicyMissing
		}
	case err != nil:
		return err
	case latest.Exportable != r.Exportable:
		return Changed
	case latest.Release.Fixed(r.Release):
		return Immutable
	}
	return nil
}

// CheckRelease refuses a release policy that is not understood, as a
// *release.Invalid; nil is none.
func CheckRelease(p *vault.ReleasePolicy) error {
	if p == nil {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(p.ContentType); err != nil || kind != "application/json" {
		return &release.Invalid{Path: "contentType", Reason: "is not application/json"}
	}
	_, err := release.ParsePolicy(p.Data)
	return err
}

// Cost is what the making of a key takes of the budgets, and its release
// (documentation: service-limits).
func Cost(kty string) throttle.Cost {
	if InHardware(kty) {
		return throttle.CreateInHSM
	}
	return throttle.CreateKey
}

// Content is the new version, with the key that was made for it.
func (r *Request) Content(k *keyring.Key) vault.KeyContent {
	c := vault.KeyContent{Type: r.Type, Curve: k.Curve(), Size: k.Bits(), Exportable: r.Exportable, Release: r.Release,
		Platform: PlatformSoftware, Material: k.Material(), Public: k.PublicMaterial()}
	if InHardware(r.Type) {
		c.Platform = PlatformHardware
	}
	switch {
	case r.Operations != nil:
		c.Operations = *r.Operations
	case Family(r.Type) == keyring.EC: // the usual ones: recorded answers
		c.Operations = []string{"sign", "verify"}
	default:
		c.Operations = operations[:6:6]
	}
	return c
}

// Maker makes a key pair, when it is its turn.
type Maker func(ctx context.Context, spec keyring.Spec) (*keyring.Key, error)

// Next makes of the latest version of a key the next one: the same with
// another key pair (spec: RotateKey). It is what Keys.Rotate and
// Keys.RotateIfDue of package vault ask for.
func Next(ctx context.Context, makeKey Maker) func(latest vault.KeyContent) (vault.KeyInput, error) {
	return func(latest vault.KeyContent) (vault.KeyInput, error) {
		spec := keyring.Spec{Type: Family(latest.Type), Curve: latest.Curve}
		if spec.Type == keyring.RSA {
			old, err := keyring.OpenPublic(latest.Material)
			if err != nil {
				return vault.KeyInput{}, err
			}
			spec.Size = old.Bits()
			if public, ok := old.Public().(*rsa.PublicKey); ok {
				spec.Exponent = int64(public.E)
			}
		}
		k, err := makeKey(ctx, spec)
		if err != nil {
			return vault.KeyInput{}, err
		}
		next := latest
		next.Curve, next.Size, next.Material, next.Public = k.Curve(), k.Bits(), k.Material(), k.PublicMaterial()
		return vault.KeyInput{Content: next}, nil
	}
}
