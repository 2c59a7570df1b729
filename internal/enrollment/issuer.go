package enrollment

import (
	"encoding/json"
	"fmt"
	"strings"

	"postern/internal/issuance/acme"
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
	Account  *string `json:"account,omitempty"`
	Password *string `json:"password,omitempty"`
	// Key is that of the account at the provider, which the server makes.
	Key          []byte        `json:"key,omitempty"`
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

// account is the issuer as its provider sees it.
func (i *Issuer) account() acme.Account {
	a := acme.Account{Key: i.Key}
	if i.Account != nil {
		a.ID = *i.Account
	}
	if i.Password != nil {
		a.Secret = *i.Password
	}
	if i.Organization != nil {
		for _, p := range i.Organization.Administrators {
			if p.Email != "" {
				a.Contacts = append(a.Contacts, p.Email)
			}
		}
	}
	return a
}

// Encode is the issuer as it is kept, with a key for its account when it has
// none yet.
func (i *Issuer) Encode() ([]byte, error) {
	if i.Key == nil {
		key, err := acme.NewAccountKey()
		if err != nil {
			return nil, err
		}
		i.Key = key
	}
	return json.Marshal(i)
}

// DecodeIssuer reads what is kept of an issuer.
func DecodeIssuer(kept vault.Issuer) (*Issuer, error) {
	i := &Issuer{Name: kept.Name}
	if err := json.Unmarshal(kept.Body, i); err != nil {
		return nil, fmt.Errorf("enrollment: a stored issuer cannot be read: %w", err)
	}
	return i, nil
}
