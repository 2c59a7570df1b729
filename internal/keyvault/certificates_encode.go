package keyvault

import (
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"strings"

	"postern/internal/enrollment"
	"postern/internal/issuance"
	"postern/internal/vault"
)

// certificateBundle is what of a certificate goes into an answer (spec:
// CertificateBundle, CertificateItem, DeletedCertificateBundle,
// DeletedCertificateItem).
type certificateBundle struct {
	object  *vault.Object
	content *vault.CertificateContent
	// deleted puts the properties of a deleted one first; item leaves out
	// what lists do not show, latest the version of an item; pending adds
	// the link to the operation.
	deleted, item, latest, pending bool
}

// appendCertificate writes the properties in the service's order (recorded
// answers; an item has an empty subject there, and only a deleted one says how
// it can be recovered). A version that was not issued yet has no key, secret or
// thumbprint.
func (x *exchange) appendCertificate(b []byte, c certificateBundle) ([]byte, error) {
	o, v := c.object, &c.object.Version
	b = append(b, '{')
	if c.deleted {
		b = appendJSON(append(b, `"recoveryId":`...), x.base+"/deletedcertificates/"+o.Name)
		b = strconv.AppendInt(append(b, `,"deletedDate":`...), o.Deleted, 10)
		b = strconv.AppendInt(append(b, `,"scheduledPurgeDate":`...), o.Purge, 10)
		b = append(b, ',')
	}
	id := o.Name
	if !c.latest {
		id += "/" + v.ID
	}
	b = appendJSON(append(b, `"id":`...), x.base+"/certificates/"+id)
	if issued := len(c.content.CER) > 0; issued {
		if !c.item {
			b = appendJSON(append(b, `,"kid":`...), x.base+"/keys/"+id)
			b = appendJSON(append(b, `,"sid":`...), x.base+"/secrets/"+id)
		}
		sum := sha1.Sum(c.content.CER)
		b = base64.RawURLEncoding.AppendEncode(append(b, `,"x5t":"`...), sum[:])
		b = append(b, '"')
		if !c.item {
			b = base64.StdEncoding.AppendEncode(append(b, `,"cer":"`...), c.content.CER)
			b = append(b, '"')
		}
	}
	b = append(b, `,"attributes":`...)
	if c.item && !c.deleted {
		return append(appendTags(append(appendDates(b, v), '}'), v.Tags), `,"subject":""}`...), nil
	}
	b = x.appendAttributes(b, v)
	b = appendTags(b, v.Tags)
	if c.item {
		return append(b, `,"subject":""}`...), nil
	}
	if o.Policy != "" {
		var err error
		if b, err = x.appendPolicy(append(b, `,"policy":`...), o.Name, o.Policy); err != nil {
			return b, err
		}
	}
	if c.pending {
		b = appendJSON(append(b, `,"pending":{"id":`...), x.pendingID(o.Name))
		b = append(b, '}')
	}
	b = x.appendPreserve(b, c.content.PreserveCertOrder)
	return append(b, '}'), nil
}

// appendPreserve writes preserveCertOrder: from 7.6 on where it was asked
// for, in the newest version always (recorded answers).
func (x *exchange) appendPreserve(b []byte, preserve bool) []byte {
	if x.api >= api2026 || x.api >= api76 && preserve {
		b = strconv.AppendBool(append(b, `,"preserveCertOrder":`...), preserve)
	}
	return b
}

// appendPolicy writes a CertificatePolicy: its id, and what is kept, without
// what the api-version does not know yet.
func (x *exchange) appendPolicy(b []byte, name, policy string) ([]byte, error) {
	if x.api < api2026 && x.unknownIn(policy) {
		p, err := issuance.ParsePolicy([]byte(policy))
		if err != nil {
			return b, err
		}
		x.dropUnknown(p)
		text, err := p.JSON()
		if err != nil {
			return b, err
		}
		policy = string(text)
	}
	b = appendJSON(append(b, `{"id":`...), x.base+"/certificates/"+name+"/policy")
	if policy == "{}" {
		return append(b, '}'), nil
	}
	return append(append(b, ','), policy[1:]...), nil
}

// unknownIn reports whether a policy may have something that the api-version
// does not know; nearly none has.
func (x *exchange) unknownIn(policy string) bool {
	return strings.Contains(policy, platformManaged) || x.api < api2025 && (strings.Contains(policy, `"uris"`) || strings.Contains(policy, `"ipAddresses"`))
}

// platformManaged came with 2026-04-01.
const platformManaged = "platformManaged"

// dropUnknown takes out of a policy what the api-version does not know.
func (x *exchange) dropUnknown(p *issuance.Policy) {
	if x.api < api2026 {
		p.Drop(platformManaged)
	}
	if n := p.X509.Names; x.api < api2025 && n != nil {
		known := *n
		known.URIs, known.IPAddresses = nil, nil
		p.X509.Names = &known
	}
}

func (x *exchange) pendingID(name string) string {
	return x.base + "/certificates/" + name + "/pending"
}

// appendOperation writes a CertificateOperation. A deleted one is answered
// without preserveCertOrder (recorded answers).
func (x *exchange) appendOperation(b []byte, p *vault.Pending, preserve bool) []byte {
	b = appendJSON(append(b, `{"id":`...), x.pendingID(p.Name))
	b = append(append(b, `,"issuer":`...), p.Issuer...)
	b = base64.StdEncoding.AppendEncode(append(b, `,"csr":"`...), p.CSR)
	b = strconv.AppendBool(append(b, `","cancellation_requested":`...), p.Cancel)
	b = appendJSON(append(b, `,"status":`...), string(p.Status))
	if details := operationDetails(p); details != "" {
		b = appendJSON(append(b, `,"status_details":`...), details)
	}
	if p.ErrorCode != "" {
		b = appendJSON(append(b, `,"error":{"code":`...), p.ErrorCode)
		b = appendJSON(append(b, `,"message":`...), p.ErrorMessage)
		b = append(b, '}')
	}
	if p.Status == vault.StatusCompleted {
		b = appendJSON(append(b, `,"target":`...), x.base+"/certificates/"+p.Name)
	}
	if preserve {
		b = x.appendPreserve(b, p.PreserveCertOrder)
	}
	b = appendJSON(append(b, `,"request_id":`...), p.Request)
	return append(b, '}')
}

func operationDetails(p *vault.Pending) string {
	switch {
	case p.Status != vault.StatusInProgress:
		return ""
	case enrollment.IsMerged(p):
		return textPerformMerge
	}
	return textInProgress
}

// appendIssuer writes an IssuerBundle. The password is never among it.
func (x *exchange) appendIssuer(b []byte, i *enrollment.Issuer) []byte {
	b = appendJSON(append(b, `{"id":`...), x.issuerID(i.Name))
	b = appendJSON(append(b, `,"provider":`...), i.Provider)
	if i.Account != nil || i.Password != nil {
		b = append(b, `,"credentials":{`...)
		if i.Account != nil {
			b = appendJSON(append(b, `"account_id":`...), *i.Account)
		}
		b = append(b, '}')
	}
	if o := i.Organization; o != nil {
		b = appendOrganization(append(b, `,"org_details":`...), o)
	}
	b = strconv.AppendBool(append(b, `,"attributes":{"enabled":`...), i.Enabled)
	b = strconv.AppendInt(append(b, `,"created":`...), i.Created, 10)
	b = strconv.AppendInt(append(b, `,"updated":`...), i.Updated, 10)
	return append(b, `}}`...)
}

func (x *exchange) issuerID(name string) string { return x.base + "/certificates/issuers/" + name }

func appendOrganization(b []byte, o *enrollment.Organization) []byte {
	b = append(b, '{')
	if o.ID != "" {
		b = appendJSON(append(b, `"id":`...), o.ID)
	}
	if o.Administrators != nil {
		if o.ID != "" {
			b = append(b, ',')
		}
		b = append(b, `"admin_details":[`...)
		for i, a := range o.Administrators {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendMembers(b, "first_name", a.FirstName, "last_name", a.LastName, "email", a.Email, "phone", a.Phone)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendMembers writes an object of those members that are not "".
func appendMembers(b []byte, pairs ...string) []byte {
	b = append(b, '{')
	from := len(b)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if len(b) > from {
			b = append(b, ',')
		}
		b = appendJSON(append(appendJSON(b, pairs[i]), ':'), pairs[i+1])
	}
	return append(b, '}')
}

// appendContacts writes Contacts.
func (x *exchange) appendContacts(b []byte, list []contact) []byte {
	b = appendJSON(append(b, `{"id":`...), x.base+"/certificates/contacts")
	b = append(b, `,"contacts":[`...)
	for i, c := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendMembers(b, "email", c.Email, "name", c.Name, "phone", c.Phone)
	}
	return append(b, `]}`...)
}
