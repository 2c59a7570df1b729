package entra

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxAttesters bounds the authorities, maxAttestation the length of a token:
// one carries the evidence of the hardware.
const (
	maxAttesters   = 64
	maxAttestation = 128 << 10
)

// ErrAttesters: attestation authorities cannot be trusted as they are
// described. ErrAttestation: a token is not one that a trusted authority
// has issued for this time.
var (
	ErrAttesters   = errors.New("entra: attestation authorities")
	ErrAttestation = errors.New("entra: not an attestation of a trusted authority")
)

// AttestationAuthority attests environments to which keys can be released.
// Nothing is asked of any other, whatever a release policy names.
type AttestationAuthority struct {
	// Issuer is the claim iss of its tokens, an https URL; a slash at its end
	// makes no difference.
	Issuer string
	// KeysURL or KeysFile is its JWK set; with neither the provider metadata
	// of the issuer says where it is.
	KeysURL, KeysFile string
	// CAFile is a PEM file of certificate authorities that vouch for its
	// hosts, in place of those of the system.
	CAFile string
}

// attesters are the authorities by their name without a slash at the end.
type attesters map[string]*foreign

// TrustAttestation believes the attestations of these authorities, and of no
// others. The keys of one that was trusted before and is described as before
// are kept.
func (d *Directory) TrustAttestation(list []AttestationAuthority) error {
	if len(list) > maxAttesters {
		return fmt.Errorf("%w: %d are more than %d", ErrAttesters, len(list), maxAttesters)
	}
	next := attesters{}
	for _, a := range list {
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("%w: %s: %s", ErrAttesters, clip(a.Issuer), fmt.Sprintf(format, args...))
		}
		f := &foreign{ForeignIssuer: ForeignIssuer{Issuer: a.Issuer, KeysURL: a.KeysURL, KeysFile: a.KeysFile, CAFile: a.CAFile}, transport: d.transport}
		name := strings.TrimSuffix(a.Issuer, "/")
		switch {
		case !secureURL(a.Issuer):
			return wrong("the issuer is not an https URL")
		case a.KeysURL != "" && a.KeysFile != "":
			return wrong("the keys are at a URL or in a file, not both")
		case a.KeysURL != "" && !secureURL(a.KeysURL):
			return wrong("%s is not an https URL", clip(a.KeysURL))
		case next[name] != nil:
			return wrong("is there twice")
		}
		if err := f.trustCA(); err != nil {
			return wrong("%v", err)
		}
		if a.KeysFile != "" {
			if _, err := f.refresh(context.Background(), d.now()); err != nil {
				return wrong("%v", err)
			}
		}
		if before := d.attesters.Load(); before != nil {
			f.inherit((*before)[name])
		}
		next[name] = f
	}
	d.attesters.Store(&next)
	return nil
}

// Attested verifies an attestation token: who issued it, and what it says.
// Whatever is wrong, the error is ErrAttestation; the cause is for the log.
func (d *Directory) Attested(token string) (issuer string, claims map[string]any, err error) {
	wrong := func(why string) (string, map[string]any, error) {
		return "", nil, fmt.Errorf("%w: %s", ErrAttestation, why)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxAttestation {
		return wrong("not a signed token")
	}
	algorithm, kid, ok := readForeignHeader(parts[0])
	if !ok {
		return wrong("its header")
	}
	// Who it says it is from decides only which keys are looked at.
	said, err := readPart(parts[1])
	if err != nil {
		return wrong("its claims")
	}
	name, _ := text(said, "iss")
	trusted := d.attesters.Load()
	if trusted == nil {
		return wrong("no authority is trusted")
	}
	f := (*trusted)[strings.TrimSuffix(name, "/")]
	if f == nil {
		return wrong("its issuer is not trusted")
	}
	now := d.now()
	keys, _ := d.foreignKeys(f, kid, now)
	payload, ok := openForeign(token, algorithm, keys)
	if !ok {
		return wrong("its signature")
	}
	members, err := readObject(payload)
	if err != nil {
		return wrong("its claims")
	}
	until, there, ok := seconds(members, "exp")
	from, _, good := seconds(members, "nbf")
	switch {
	case !there || !ok || !good:
		return wrong("its dates")
	case now.Unix() >= until+int64(d.skew.Seconds()):
		return wrong("expired")
	case now.Unix() < from-int64(d.skew.Seconds()):
		return wrong("not yet valid")
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return wrong("its claims")
	}
	return name, claims, nil
}

// certified is the key of a JWK that has nothing but a certificate of it, as
// the attestation service of Azure publishes its keys.
func certified(raw json.RawMessage) (k jose.JSONWebKey, ok bool) {
	var j struct {
		KeyID string   `json:"kid"`
		Use   string   `json:"use"`
		Alg   string   `json:"alg"`
		Chain [][]byte `json:"x5c"`
	}
	if json.Unmarshal(raw, &j) != nil || len(j.Chain) == 0 {
		return k, false
	}
	leaf, err := x509.ParseCertificate(j.Chain[0])
	if err != nil {
		return k, false
	}
	return jose.JSONWebKey{Key: leaf.PublicKey, KeyID: j.KeyID, Use: j.Use, Algorithm: j.Alg}, true
}
