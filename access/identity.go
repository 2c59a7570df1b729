package access

import (
	"encoding/hex"
	"errors"
)

// GUID is an Entra identifier: a tenant, an application or an object. The
// zero value is no identifier and never matches anything.
type GUID [16]byte

// errGUID is returned for text that is not a GUID.
var errGUID = errors.New("access: not a GUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")

// ParseGUID reads the 36-character form, in either letter case.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return GUID{}, errGUID
	}
	var packed [32]byte
	n := copy(packed[:], s[0:8])
	n += copy(packed[n:], s[9:13])
	n += copy(packed[n:], s[14:18])
	n += copy(packed[n:], s[19:23])
	copy(packed[n:], s[24:36])
	if _, err := hex.Decode(g[:], packed[:]); err != nil {
		return GUID{}, errGUID
	}
	return g, nil
}

// MustGUID is ParseGUID for tables and tests; it panics on bad text.
func MustGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err.Error() + ": " + s)
	}
	return g
}

// IsZero reports whether g identifies nothing.
func (g GUID) IsZero() bool { return g == GUID{} }

// String is the 36-character lower-case form; "" for the zero value.
func (g GUID) String() string {
	if g.IsZero() {
		return ""
	}
	var b [36]byte
	hex.Encode(b[0:8], g[0:4])
	hex.Encode(b[9:13], g[4:6])
	hex.Encode(b[14:18], g[6:8])
	hex.Encode(b[19:23], g[8:10])
	hex.Encode(b[24:36], g[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// TokenState says what is known of the bearer token of a request. The zero
// value is the absence of a token.
type TokenState uint8

const (
	// TokenAbsent: no Authorization header, or one of another scheme.
	TokenAbsent TokenState = iota
	// TokenMalformed: it cannot be read, its signature is wrong, its
	// algorithm is not allowed, or a required claim is missing.
	TokenMalformed
	// TokenUnknownKey: signed with a key that no accepted issuer publishes.
	TokenUnknownKey
	// TokenExpired: outside its lifetime.
	TokenExpired
	// TokenNotYetValid: before its lifetime.
	TokenNotYetValid
	// TokenWrongAudience: meant for another resource.
	TokenWrongAudience
	// TokenValid: everything holds that does not depend on the vault.
	TokenValid
)

// Caller is the identity that a verified token names. For any Token other
// than TokenValid the identities are claims nobody vouches for; they are
// read only to describe the caller, never to decide.
type Caller struct {
	Token TokenState
	// Tenant is the tenant that issued the token (claim tid, equal to the
	// tenant in iss).
	Tenant GUID
	// Object is the principal (claim oid), App the client application
	// (claim appid).
	Object, App GUID
	// User is true for a token of a person (idtyp user): only then can a
	// compound identity of user and application match.
	User bool
	// Groups are the object ids of the groups of the principal, as the
	// token carries them.
	Groups []GUID
	// IdentityResource is the ARM id of the resource a managed identity
	// belongs to (claim xms_mirid), lower-case; "" for others.
	IdentityResource string
	// Subscription is the subscription of that resource; perimeter rules
	// can admit by it.
	Subscription GUID
}
