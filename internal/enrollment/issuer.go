package enrollment

import (
	"encoding/json"
	"fmt"
	"strings"

	"postern/internal/vault"
)

// The names of issuers that are no resources.
const (
	// Self signs with the certificate's own key.
	Self = "Self"
	// Unknown is somebody the server does not know: what they issue is
	// merged by the client.
	Unknown = "Unknown"
)

// Reserved reports whether an issuer's name is one of those; letter case
// does not matter.
func Reserved(name string) bool {
	return strings.EqualFold(name, Self) || strings.EqualFold(name, Unknown)
}

// Issuer is an issuer of a vault as it is kept, sealed (spec: IssuerBundle).
type Issuer struct {
	// Name is kept beside it.
	Name string `json:"-"`
	// Provider is the word for who issues, as the client wrote it.
	Provider string `json:"provider"`
	// Account and Password are the credentials; the password is never shown.
	Account      *string       `json:"account,omitempty"`
	Password     *string       `json:"password,omitempty"`
	Organization *Organization `json:"organization,omitempty"`
	Enabled      bool          `json:"enabled"`
	Created      int64         `json:"created"`
	Updated      int64         `json:"updated"`
}

// Organization is who asks an issuer (spec: OrganizationDetails).
type Organization struct {
	ID             string          `json:"id,omitempty"`
	Administrators []Administrator `json:"admin_details,omitempty"`
}

// Administrator is whom an issuer can ask back (spec: AdministratorDetails).
type Administrator struct {
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	Email     string `json:"email,omitempty"`
	Phone     string `json:"phone,omitempty"`
}

// Encode is the issuer as it is kept.
func (i *Issuer) Encode() []byte {
	b, err := json.Marshal(i)
	if err != nil {
		panic("enrollment: internal error: " + err.Error()) // strings, numbers and booleans alone
	}
	return b
}

// DecodeIssuer reads what is kept of an issuer.
func DecodeIssuer(kept vault.Issuer) (*Issuer, error) {
	i := &Issuer{Name: kept.Name}
	if err := json.Unmarshal(kept.Body, i); err != nil {
		return nil, fmt.Errorf("enrollment: a stored issuer cannot be read: %w", err)
	}
	return i, nil
}
