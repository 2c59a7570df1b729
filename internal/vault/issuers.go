package vault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postern/internal/store"
)

const (
	issuersPrefix = "issuers/"
	contactsKey   = "contacts"
	// maxDocument bounds an issuer and the contacts.
	maxDocument = 256 << 10
)

// Issuer is an issuer of certificates (spec: IssuerBundle). Its body, in
// JSON, holds the password of the account: it is sealed here, and who shows
// it leaves the password out.
type Issuer struct {
	// Name is the name as it was first written.
	Name string
	Body []byte
}

// IssuerPage is one page of the issuers.
type IssuerPage struct {
	Issuers []Issuer
	// Next is the cursor of the next page; "" at the end.
	Next string
}

// openIssuer reads a sealed document: a name and a body.
func (s *Certificates) openIssuer(item store.Item) (Issuer, error) {
	plain, err := s.Key.Open(item.Key, item.Value)
	if err != nil {
		return Issuer{}, fmt.Errorf("%w: %s: %w", errRecord, item.Key, err)
	}
	r := reader{rest: string(plain)}
	if r.byte() != recordFormat {
		r.fail()
	}
	i := Issuer{Name: r.string(), Body: []byte(r.string())}
	if !r.end() {
		return Issuer{}, fmt.Errorf("%w: %s", errRecord, item.Key)
	}
	return i, nil
}

// document reads what stands at a key; NotFound for nothing.
func (s *Certificates) document(ctx context.Context, key string) (store.Item, Issuer, error) {
	item, err := s.Space.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return store.Item{}, Issuer{}, NotFound
	}
	if err != nil {
		return store.Item{}, Issuer{}, err
	}
	i, err := s.openIssuer(item)
	return item, i, err
}

// changeDocument replaces what stands at a key by what fn makes of it; nil
// removes it.
func (s *Certificates) changeDocument(ctx context.Context, key, name string, fn func(old []byte) ([]byte, error)) (Issuer, error) {
	var made Issuer
	err := s.of(kindCertificates).change(ctx, func(tx *store.Tx) error {
		item, i, err := s.document(ctx, key)
		switch {
		case errors.Is(err, NotFound):
			tx.Absent(key)
			i = Issuer{Name: name}
		case err != nil:
			return err
		default:
			tx.Unchanged(item)
		}
		body, err := fn(i.Body)
		if err != nil {
			return err
		}
		if len(body) > maxDocument {
			return &Invalid{"body", "is longer than " + strconv.Itoa(maxDocument) + " bytes"}
		}
		if body == nil {
			tx.Delete(key)
			made = i
			return nil
		}
		i.Body = body
		plain := appendString([]byte{recordFormat}, i.Name)
		tx.Put(key, s.Key.Seal(key, appendString(plain, string(i.Body))))
		made = i
		return nil
	})
	return made, err
}

// Contacts reads the contacts of the vault in JSON; NotFound when there are
// none (spec: GetCertificateContacts).
func (s *Certificates) Contacts(ctx context.Context) ([]byte, error) {
	_, i, err := s.document(ctx, contactsKey)
	return i.Body, err
}

// SetContacts replaces the contacts (spec: SetCertificateContacts).
func (s *Certificates) SetContacts(ctx context.Context, body []byte) error {
	_, err := s.changeDocument(ctx, contactsKey, "", func([]byte) ([]byte, error) { return body, nil })
	return err
}

// DeleteContacts removes the contacts and returns what they were (spec:
// DeleteCertificateContacts).
func (s *Certificates) DeleteContacts(ctx context.Context) ([]byte, error) {
	i, err := s.changeDocument(ctx, contactsKey, "", removed)
	return i.Body, err
}

// removed is a change that takes away what is there.
func removed(old []byte) ([]byte, error) {
	if old == nil {
		return nil, NotFound
	}
	return nil, nil
}

// Issuer reads an issuer (spec: GetCertificateIssuer).
func (s *Certificates) Issuer(ctx context.Context, name string) (Issuer, error) {
	_, i, err := s.document(ctx, issuersPrefix+fold(name))
	return i, err
}

// SetIssuer makes or replaces an issuer (spec: SetCertificateIssuer).
func (s *Certificates) SetIssuer(ctx context.Context, name string, body []byte) (Issuer, error) {
	if err := checkName(name); err != nil {
		return Issuer{}, err
	}
	return s.changeDocument(ctx, issuersPrefix+fold(name), name, func([]byte) ([]byte, error) { return body, nil })
}

// ChangeIssuer replaces the body of an issuer by what fn makes of it (spec:
// UpdateCertificateIssuer).
func (s *Certificates) ChangeIssuer(ctx context.Context, name string, fn func(body []byte) ([]byte, error)) (Issuer, error) {
	return s.changeDocument(ctx, issuersPrefix+fold(name), name, func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, NotFound
		}
		return fn(old)
	})
}

// DeleteIssuer removes an issuer and returns what it was (spec:
// DeleteCertificateIssuer).
func (s *Certificates) DeleteIssuer(ctx context.Context, name string) (Issuer, error) {
	return s.changeDocument(ctx, issuersPrefix+fold(name), name, removed)
}

// ListIssuers is one page of the issuers after a cursor (spec:
// GetCertificateIssuers).
func (s *Certificates) ListIssuers(ctx context.Context, after string, limit int) (IssuerPage, error) {
	if after != "" {
		after = issuersPrefix + after
	}
	items, err := s.Space.Range(ctx, issuersPrefix, after, limit+1)
	if err != nil {
		return IssuerPage{}, err
	}
	var page IssuerPage
	if len(items) > limit {
		items = items[:limit]
		page.Next = strings.TrimPrefix(items[limit-1].Key, issuersPrefix)
	}
	for _, item := range items {
		i, err := s.openIssuer(item)
		if err != nil {
			return IssuerPage{}, err
		}
		page.Issuers = append(page.Issuers, i)
	}
	return page, nil
}
