package keyvault

import (
	"encoding/json"
	"errors"
	"net/http"

	"postern/internal/enrollment"
	"postern/internal/vault"
)

// getContacts is GetCertificateContacts of the specification.
func getContacts(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.certificates().Contacts(x.request.Context())
	return x.contacts(b, data, err)
}

// setContacts is SetCertificateContacts of the specification.
func setContacts(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.readBody()
	if err != nil {
		return b, 0, err
	}
	list, err := readContacts(data)
	if err != nil {
		return b, 0, err
	}
	kept, err := json.Marshal(list)
	if err != nil {
		return b, 0, err
	}
	return x.contacts(b, kept, x.certificates().SetContacts(x.request.Context(), kept))
}

// deleteContacts is DeleteCertificateContacts of the specification; it
// answers with those that were.
func deleteContacts(x *exchange, b []byte) ([]byte, int, error) {
	data, err := x.certificates().DeleteContacts(x.request.Context())
	return x.contacts(b, data, err)
}

func (x *exchange) contacts(b, kept []byte, err error) ([]byte, int, error) {
	if errors.Is(err, vault.NotFound) {
		return b, 0, noContacts
	}
	if err != nil {
		return b, 0, err
	}
	var list []contact
	if err := json.Unmarshal(kept, &list); err != nil {
		return b, 0, err
	}
	return x.appendContacts(b, list), http.StatusOK, nil
}

// getIssuer is GetCertificateIssuer of the specification.
func getIssuer(x *exchange, b []byte) ([]byte, int, error) {
	kept, err := x.certificates().Issuer(x.request.Context(), x.target.name)
	return x.issuer(b, kept, err)
}

// setIssuer is SetCertificateIssuer of the specification: what was not sent
// is gone, the password too.
func setIssuer(x *exchange, b []byte) ([]byte, int, error) {
	body, err := x.issuerBody()
	if err != nil {
		return b, 0, err
	}
	if body.provider == nil || *body.provider == "" {
		return b, 0, invalidProperty("provider", "is required")
	}
	i := &enrollment.Issuer{Enabled: true, Created: x.now.Unix()}
	ctx, certs := x.request.Context(), x.certificates()
	switch before, err := enrollment.FindIssuer(ctx, certs, x.target.name); {
	case err == nil:
		i.Created, i.Key = before.Created, before.Key
	case !errors.Is(err, enrollment.ErrNoIssuer):
		return b, 0, err
	}
	body.over(i, x.now.Unix())
	data, err := i.Encode()
	if err != nil {
		return b, 0, err
	}
	kept, err := certs.SetIssuer(ctx, x.target.name, data)
	return x.issuer(b, kept, err)
}

// updateIssuer is UpdateCertificateIssuer of the specification.
func updateIssuer(x *exchange, b []byte) ([]byte, int, error) {
	body, err := x.issuerBody()
	if err != nil {
		return b, 0, err
	}
	kept, err := x.certificates().ChangeIssuer(x.request.Context(), x.target.name, func(kept []byte) ([]byte, error) {
		i, err := enrollment.DecodeIssuer(vault.Issuer{Body: kept})
		if err != nil {
			return nil, err
		}
		body.over(i, x.now.Unix())
		return i.Encode()
	})
	return x.issuer(b, kept, err)
}

// issuerBody reads the body of either.
func (x *exchange) issuerBody() (issuerBody, error) {
	if enrollment.Reserved(x.target.name) {
		return issuerBody{}, invalidProperty("issuer-name", "is one of the reserved names Self and Unknown")
	}
	data, err := x.readBody()
	if err != nil {
		return issuerBody{}, err
	}
	return readIssuer(data)
}

// issuer appends an issuer as it is kept.
func (x *exchange) issuer(b []byte, kept vault.Issuer, err error) ([]byte, int, error) {
	if errors.Is(err, vault.NotFound) {
		return b, 0, noIssuer
	}
	if err != nil {
		return b, 0, err
	}
	i, err := enrollment.DecodeIssuer(kept)
	if err != nil {
		return b, 0, err
	}
	return x.appendIssuer(b, i), http.StatusOK, nil
}

// over puts what was sent in the place of what is kept.
func (i *issuerBody) over(to *enrollment.Issuer, now int64) {
	to.Updated = now
	if i.provider != nil {
		to.Provider = *i.provider
	}
	if i.account != nil {
		to.Account = i.account
	}
	if i.password != nil {
		to.Password = i.password
	}
	if i.organization != nil {
		to.Organization = i.organization
	}
	if i.enabled != nil {
		to.Enabled = *i.enabled
	}
}

// deleteIssuer is DeleteCertificateIssuer of the specification; it answers
// with what was.
func deleteIssuer(x *exchange, b []byte) ([]byte, int, error) {
	kept, err := x.certificates().DeleteIssuer(x.request.Context(), x.target.name)
	return x.issuer(b, kept, err)
}
