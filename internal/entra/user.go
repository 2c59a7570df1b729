package entra

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"

	"postern/access"
)

// The errors of users.
var (
	// ErrUPN: a user's name is not of the form name@domain.
	ErrUPN = errors.New("entra: a user principal name is name@domain, of letters, digits and -_.'+!#^~")
	// ErrPassword: a password is too short or too long.
	ErrPassword = errors.New("entra: a password has 8 to 256 characters")
)

// passwordRounds are those of PBKDF2: passwords are chosen by people, so the
// hash is slow (OWASP's figure for HMAC-SHA-256).
const passwordRounds = 600_000

// userRecord is what a user has besides its name.
type userRecord struct {
	UPN  string `json:"upn"`
	Mail string `json:"mail,omitempty"`
	Salt []byte `json:"salt"`
	Hash []byte `json:"hash"`
}

// validUPN reports whether a text can be a user principal name.
func validUPN(upn string) bool {
	name, domain, ok := strings.Cut(upn, "@")
	if !ok || name == "" || len(name) > 64 || len(upn) > 113 || !validDomain(strings.ToLower(domain)) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.'+!#^~", r))
	})
}

// hashPassword is the slow hash of a password.
func hashPassword(password string, salt []byte) []byte {
	hash, err := pbkdf2.Key(sha256.New, password, salt, passwordRounds, sha256.Size)
	if err != nil {
		panic("entra: internal error: " + err.Error()) // only for lengths that are never asked for
	}
	return hash
}

// nobodysRecord is checked in place of a user that does not exist.
var nobodysRecord = userRecord{Salt: make([]byte, 16), Hash: make([]byte, sha256.Size)}

// signIn finds a user by name and password; false in the same time whether
// there is no such user, the password is wrong, or the user is disabled.
func (d *Directory) signIn(upn, password string) (*principal, bool) {
	p := d.state.Load().upns[strings.ToLower(upn)]
	u := &nobodysRecord
	if p != nil {
		u = p.user
	}
	ok := len(password) <= 256 && subtle.ConstantTimeCompare(hashPassword(password, u.Salt), u.Hash) == 1
	return p, ok && p != nil && !p.disabled
}

// UserName is the user principal name of a user.
func (d *Directory) UserName(object access.GUID) (string, bool) {
	p := d.state.Load().objects[object]
	if p == nil || p.user == nil {
		return "", false
	}
	return p.user.UPN, true
}
