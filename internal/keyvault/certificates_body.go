package keyvault

import (
	"encoding/base64"
	"strconv"
	"strings"

	"postern/internal/enrollment"
)

// The limits of lists in the bodies of Certificates.
const (
	maxChain    = 32 // certificates of a merge
	maxContacts = 64
	maxAdmins   = 64
)

// certificateBody is what the bodies of Certificates are made of; an
// operation looks at what it knows.
type certificateBody struct {
	description
	// policy is the policy as it stands in the body; "" for none.
	policy string
	// value and password are those of an import.
	value, password *string
	// x5c is the chain of a merge, in DER.
	x5c [][]byte
	// preserve and cancel are nil when they were not sent.
	preserve, cancel *bool
}

// readCertificate reads CertificateCreateParameters, -Import-, -Update-,
// -Merge-, -RestoreParameters and CertificateOperationUpdateParameter.
func readCertificate(data []byte) (certificateBody, error) {
	var c certificateBody
	return c, wire(readObject(data, c.member))
}

func (c *certificateBody) member(r *reader, name string) error {
	switch name {
	case "policy":
		return property(name, func() error { return readRaw(r, &c.policy) })
	case "value":
		return property(name, func() error { return readString(r, &c.value) })
	case "pwd":
		return property(name, func() error { return readString(r, &c.password) })
	case "preserveCertOrder":
		return property(name, func() error { return readBool(r, &c.preserve) })
	case "cancellation_requested":
		return property(name, func() error { return readBool(r, &c.cancel) })
	case "x5c":
		return property(name, func() error { return c.chain(r) })
	}
	return c.description.member(r, name)
}

// chain reads x5c: DER in base64.
func (c *certificateBody) chain(r *reader) error {
	if r.null() {
		return nil
	}
	c.x5c = [][]byte{}
	return r.array(func(r *reader) error {
		text, err := r.string()
		if err != nil {
			return err
		}
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return invalidProperty("x5c", "holds what is no base64")
		}
		if c.x5c = append(c.x5c, der); len(c.x5c) > maxChain {
			return invalidProperty("x5c", "holds more than "+strconv.Itoa(maxChain)+" certificates")
		}
		return nil
	})
}

// readRaw reads an object and keeps it as it stands there.
func readRaw(r *reader, to *string) error {
	if r.null() {
		return nil
	}
	if r.next() != '{' {
		return errType
	}
	text, err := r.raw()
	*to = text
	return err
}

func readBool(r *reader, to **bool) error {
	if r.null() {
		return nil
	}
	yes, err := r.bool()
	*to = &yes
	return err
}

// readText is readString for a member that is "" when it is not there.
func readText(r *reader, to *string) error {
	var text *string
	err := readString(r, &text)
	if text != nil {
		*to = *text
	}
	return err
}

// readPolicy reads a CertificatePolicy for its form alone and hands it out
// as it stands there.
func readPolicy(data []byte) (string, error) {
	err := readObject(data, func(r *reader, _ string) error { return r.skip() })
	return strings.TrimSpace(string(data)), wire(err)
}

// contact is one of Contacts.
type contact struct {
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// readContacts reads Contacts.
func readContacts(data []byte) ([]contact, error) {
	var list []contact
	err := readObject(data, func(r *reader, name string) error {
		if name != "contacts" {
			return r.skip()
		}
		return property(name, func() error {
			if r.null() {
				return nil
			}
			return r.array(func(r *reader) error {
				c, err := readContact(r)
				if list = append(list, c); err == nil && len(list) > maxContacts {
					err = invalidProperty("contacts", "holds more than "+strconv.Itoa(maxContacts))
				}
				return err
			})
		})
	})
	return list, wire(err)
}

func readContact(r *reader) (c contact, err error) {
	err = r.object(func(r *reader, name string) error {
		switch name {
		case "email":
			return property(name, func() error { return readText(r, &c.Email) })
		case "name":
			return property(name, func() error { return readText(r, &c.Name) })
		case "phone":
			return property(name, func() error { return readText(r, &c.Phone) })
		}
		return r.skip()
	})
	if err == nil && c.Email == "" {
		err = invalidProperty("email", "is required")
	}
	return c, err
}

// issuerBody is CertificateIssuerSetParameters and -UpdateParameters; what
// is nil was not sent.
type issuerBody struct {
	provider, account, password *string
	organization                *enrollment.Organization
	enabled                     *bool
}

// readIssuer reads either.
func readIssuer(data []byte) (issuerBody, error) {
	var i issuerBody
	return i, wire(readObject(data, i.member))
}

func (i *issuerBody) member(r *reader, name string) error {
	switch name {
	case "provider":
		return property(name, func() error { return readString(r, &i.provider) })
	case "credentials":
		return property(name, func() error { return maybeObject(r, i.credentials) })
	case "org_details":
		return property(name, func() error {
			if r.null() {
				return nil
			}
			i.organization = &enrollment.Organization{}
			return r.object(func(r *reader, name string) error { return readOrganization(r, name, i.organization) })
		})
	case "attributes":
		return property(name, func() error {
			return maybeObject(r, func(r *reader, name string) error {
				if name != "enabled" {
					return r.skip()
				}
				return property(name, func() error { return readBool(r, &i.enabled) })
			})
		})
	}
	return r.skip()
}

func (i *issuerBody) credentials(r *reader, name string) error {
	switch name {
	case "account_id":
		return property(name, func() error { return readString(r, &i.account) })
	case "pwd":
		return property(name, func() error { return readString(r, &i.password) })
	}
	return r.skip()
}

// maybeObject reads an object that may be null.
func maybeObject(r *reader, member func(r *reader, name string) error) error {
	if r.null() {
		return nil
	}
	return r.object(member)
}

// readOrganization reads a member of OrganizationDetails.
func readOrganization(r *reader, name string, o *enrollment.Organization) error {
	switch name {
	case "id":
		return property(name, func() error { return readText(r, &o.ID) })
	case "admin_details":
		return property(name, func() error {
			if r.null() {
				return nil
			}
			o.Administrators = []enrollment.Administrator{}
			return r.array(func(r *reader) error {
				a, err := readAdministrator(r)
				if o.Administrators = append(o.Administrators, a); err == nil && len(o.Administrators) > maxAdmins {
					err = invalidProperty("admin_details", "holds more than "+strconv.Itoa(maxAdmins))
				}
				return err
			})
		})
	}
	return r.skip()
}

func readAdministrator(r *reader) (a enrollment.Administrator, err error) {
	err = r.object(func(r *reader, name string) error {
		switch name {
		case "first_name":
			return property(name, func() error { return readText(r, &a.FirstName) })
		case "last_name":
			return property(name, func() error { return readText(r, &a.LastName) })
		case "email":
			return property(name, func() error { return readText(r, &a.Email) })
		case "phone":
			return property(name, func() error { return readText(r, &a.Phone) })
		}
		return r.skip()
	})
	return a, err
}
