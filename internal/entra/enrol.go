package entra

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"postern/access"
	"postern/internal/store"
)

// The limits of credentials.
const (
	maxCertificates = 8
	// maxFederations is Entra's: 20 federated credentials on an application.
	maxFederations = 20
	maxFederated   = 600 // the length of issuer, subject and audience
)

// The errors of credentials.
var (
	// ErrCertificate: a certificate cannot be used.
	ErrCertificate = fmt.Errorf("entra: a client's certificate has an RSA key of 2048 to 8192 bits, and an application has at most %d", maxCertificates)
	// ErrFederation: a federated credential cannot be used.
	ErrFederation = fmt.Errorf("entra: a federated credential has a name of 3 to 120 letters, digits, - and _, an https issuer, a subject and one audience, each once; an application has at most %d", maxFederations)
	// ErrLife: a secret lasts between an hour ago and never.
	ErrLife = errors.New("entra: the end of a secret lies in the past")
)

// Secret describes a client secret; its text is told when it is made and
// never again.
type Secret struct {
	ID, Name, Hint string
	Start, End     time.Time // End is zero for one of the first versions
}

// Certificate describes a certificate that an application proves itself with.
type Certificate struct {
	ID, Name   string
	Thumbprint []byte // SHA-1, as Entra's customKeyIdentifier has it
	Start, End time.Time
}

// credential changes the credentials of an application or of a service
// principal.
func (e *Editor) credential(ctx context.Context, operation string, object access.GUID, fn func(*proofs) error) error {
	_, err := e.edit(ctx, operation, func(next *state, tx *store.Tx) (Principal, error) {
		if old := next.registrations[object]; old != nil {
			a := *old
			a.proofs = a.clone()
			if err := fn(&a.proofs); err != nil {
				return Principal{}, err
			}
			return a.about(), e.saveApplication(next, tx, a)
		}
		old := next.objects[object]
		if old == nil || old.Kind != ServicePrincipal {
			return Principal{}, ErrNotFound
		}
		if old.managed != nil {
			return Principal{}, ErrManaged
		}
		p := *old
		p.proofs = p.clone()
		if err := fn(&p.proofs); err != nil {
			return Principal{}, err
		}
		return e.save(next, tx, p)
	})
	return err
}

func (c *proofs) clone() proofs {
	return proofs{slices.Clone(c.Secrets), slices.Clone(c.Certificates), slices.Clone(c.Federations)}
}

// CreateSecret gives an application or a service principal a further secret,
// told this once. It ends at end; a zero end is in two years (Graph,
// addPassword).
func (e *Editor) CreateSecret(ctx context.Context, object access.GUID, name string, start, end time.Time) (Secret, string, error) {
	now := e.now().UTC().Truncate(time.Second)
	if start.IsZero() {
		start = now
	}
	if end.IsZero() {
		end = now.AddDate(2, 0, 0)
	}
	if !end.After(e.now()) || !end.After(start) || end.UTC().Year() > 9999 || start.UTC().Year() < 1 {
		return Secret{}, "", ErrLife
	}
	if name != "" && !validName(name) {
		return Secret{}, "", ErrName
	}
	id, err := e.newGUID()
	if err != nil {
		return Secret{}, "", err
	}
	text, record, err := e.newSecret()
	if err != nil {
		return Secret{}, "", err
	}
	record.ID, record.Name, record.Hint, record.Start, record.End = id.String(), name, text[:3], start.UTC(), end.UTC()
	err = e.credential(ctx, "AddPassword", object, func(c *proofs) error {
		c.Secrets = slices.DeleteFunc(c.Secrets, func(s secretRecord) bool { return !s.End.IsZero() && now.After(s.End.AddDate(0, 1, 0)) })
		if len(c.Secrets) >= maxSecrets {
			return ErrSecrets
		}
		c.Secrets = append(c.Secrets, record)
		return nil
	})
	if err != nil {
		return Secret{}, "", err
	}
	return record.describe(), text, nil
}

func (s *secretRecord) describe() Secret { return Secret{s.ID, s.Name, s.Hint, s.Start, s.End} }

// RemoveSecret takes a secret away, at once.
func (e *Editor) RemoveSecret(ctx context.Context, object access.GUID, id string) error {
	return e.credential(ctx, "RemovePassword", object, func(c *proofs) error {
		return remove(&c.Secrets, func(s secretRecord) bool { return s.ID != "" && strings.EqualFold(s.ID, id) })
	})
}

// remove takes the one element away for which is holds.
func remove[T any](list *[]T, is func(T) bool) error {
	at := slices.IndexFunc(*list, is)
	if at < 0 {
		return ErrNotFound
	}
	*list = slices.Delete(*list, at, at+1)
	return nil
}

// AddCertificate has an application or a service principal prove itself with
// the key of a certificate (DER).
func (e *Editor) AddCertificate(ctx context.Context, object access.GUID, name string, der []byte) (Certificate, error) {
	parsed, err := x509.ParseCertificate(der)
	if err != nil || name != "" && !validName(name) {
		return Certificate{}, ErrCertificate
	}
	if key, ok := parsed.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() < 2048 || key.N.BitLen() > 8192 {
		return Certificate{}, ErrCertificate
	}
	id, err := e.newGUID()
	if err != nil {
		return Certificate{}, err
	}
	record := certificateRecord{ID: id.String(), Name: name, DER: der}
	err = e.credential(ctx, "AddKey", object, func(c *proofs) error {
		if len(c.Certificates) >= maxCertificates || slices.ContainsFunc(c.Certificates, func(o certificateRecord) bool { return string(o.DER) == string(der) }) {
			return ErrCertificate
		}
		c.Certificates = append(c.Certificates, record)
		return nil
	})
	if err != nil {
		return Certificate{}, err
	}
	return record.describe(), nil
}

// RemoveCertificate takes a certificate away, at once.
func (e *Editor) RemoveCertificate(ctx context.Context, object access.GUID, id string) error {
	return e.credential(ctx, "RemoveKey", object, func(c *proofs) error {
		return remove(&c.Certificates, func(r certificateRecord) bool { return strings.EqualFold(r.ID, id) })
	})
}

// Federate adds a federated credential to an application or a service
// principal.
func (e *Editor) Federate(ctx context.Context, object access.GUID, f Federation) (Federation, error) {
	if !f.valid() {
		return Federation{}, ErrFederation
	}
	id, err := e.newGUID()
	if err != nil {
		return Federation{}, err
	}
	f.ID = id.String()
	return f, e.credential(ctx, "AddFederatedIdentityCredential", object, func(c *proofs) error {
		same := func(o Federation) bool {
			return o.Name == f.Name || o.Issuer == f.Issuer && o.Subject == f.Subject
		}
		if len(c.Federations) >= maxFederations || slices.ContainsFunc(c.Federations, same) {
			return ErrFederation
		}
		c.Federations = append(c.Federations, f)
		return nil
	})
}

// Unfederate takes a federated credential away, by its id or name.
func (e *Editor) Unfederate(ctx context.Context, object access.GUID, id string) error {
	return e.credential(ctx, "RemoveFederatedIdentityCredential", object, func(c *proofs) error {
		return remove(&c.Federations, func(f Federation) bool { return strings.EqualFold(f.ID, id) || f.Name == id })
	})
}

func (f *Federation) valid() bool {
	u, err := url.Parse(f.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || hasControl(f.Issuer) {
		return false
	}
	if len(f.Name) < 3 || len(f.Name) > 120 || strings.ContainsFunc(f.Name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) {
		return false
	}
	if len(f.Audiences) != 1 || len(f.Description) > maxFederated {
		return false
	}
	for _, s := range []string{f.Issuer, f.Subject, f.Audiences[0]} {
		if s == "" || len(s) > maxFederated || hasControl(s) {
			return false
		}
	}
	return true
}

// describe is a certificate as people see it.
func (r *certificateRecord) describe() Certificate {
	c := Certificate{ID: r.ID, Name: r.Name, Thumbprint: thumbprint1(r.DER)}
	if parsed, err := x509.ParseCertificate(r.DER); err == nil {
		c.Start, c.End = parsed.NotBefore, parsed.NotAfter
	}
	return c
}

// Credentials lists what an application or a service principal proves itself
// with, without what is secret in it.
func (d *Directory) Credentials(object access.GUID) (secrets []Secret, certificates []Certificate, federations []Federation) {
	s := d.state.Load()
	var c *proofs
	if a := s.registrations[object]; a != nil {
		c = &a.proofs
	} else if p := s.objects[object]; p != nil {
		c = &p.proofs
	} else {
		return nil, nil, nil
	}
	for i := range c.Secrets {
		secrets = append(secrets, c.Secrets[i].describe())
	}
	for i := range c.Certificates {
		certificates = append(certificates, c.Certificates[i].describe())
	}
	return secrets, certificates, slices.Clone(c.Federations)
}
