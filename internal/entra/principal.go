package entra

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/store"
)

// Kind is what sort of principal something is, as it stands in role
// assignments (principalType) and, for service principals, in Graph.
type Kind string

// The kinds of principal.
const (
	ServicePrincipal Kind = "ServicePrincipal"
)

// Principal is someone who can be given rights.
type Principal struct {
	// Object is the id of the principal in its tenant, App that of the
	// application it stands for.
	Object, App, Tenant access.GUID
	DisplayName         string
	Kind                Kind
}

// principal is a Principal and what its secrets are checked against.
type principal struct {
	Principal
	secrets []secretRecord
}

// principalRecord is a principal as it is stored.
type principalRecord struct {
	Object  string         `json:"object"`
	App     string         `json:"app"`
	Tenant  string         `json:"tenant"`
	Name    string         `json:"name"`
	Kind    Kind           `json:"kind"`
	Secrets []secretRecord `json:"secrets,omitempty"`
}

// secretRecord is what remains of a client secret.
type secretRecord struct {
	Salt []byte `json:"salt"`
	Hash []byte `json:"hash"`
}

const (
	secretLength = 40
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// maxSecrets is how many secrets one principal may have: each is one
	// more hash for every wrong guess.
	maxSecrets = 8
)

// ErrSecrets: the principal has as many secrets as it may have.
var ErrSecrets = fmt.Errorf("entra: a principal has at most %d secrets", maxSecrets)

func (s *state) addPrincipal(r principalRecord) error {
	p := &principal{Principal: Principal{DisplayName: r.Name, Kind: r.Kind}, secrets: r.Secrets}
	var err error
	for _, id := range []struct {
		to   *access.GUID
		text string
	}{{&p.Object, r.Object}, {&p.App, r.App}, {&p.Tenant, r.Tenant}} {
		if *id.to, err = access.ParseGUID(id.text); err != nil {
			return err
		}
	}
	if s.tenants[p.Tenant] == nil {
		return ErrNoTenant
	}
	s.objects[p.Object] = p
	s.apps[appKey{p.Tenant, p.App}] = p
	// An application that is in several tenants is found, where no tenant is
	// named, in the same one after every start.
	home := appKey{access.GUID{}, p.App}
	if other := s.apps[home]; other == nil || bytes.Compare(p.Object[:], other.Object[:]) <= 0 {
		s.apps[home] = p
	}
	return nil
}

func (p *principal) record() principalRecord {
	return principalRecord{Object: p.Object.String(), App: p.App.String(), Tenant: p.Tenant.String(),
		Name: p.DisplayName, Kind: p.Kind, Secrets: p.secrets}
}

// CreateServicePrincipal adds an application with its service principal and
// one secret. The secret is returned this once; the directory keeps a salted
// hash.
func (d *Directory) CreateServicePrincipal(ctx context.Context, tenant access.GUID, name string) (Principal, string, error) {
	return d.createPrincipal(ctx, tenant, d.newGUID, name, nil)
}

// CreateServicePrincipalAs is CreateServicePrincipal for an application that
// has its id already: a first-party service in a tenant. ErrExists when the
// tenant has it. with, when it is not nil, adds to the transaction.
func (d *Directory) CreateServicePrincipalAs(ctx context.Context, tenant, app access.GUID, name string, with func(*store.Tx, Principal)) (Principal, string, error) {
	if app.IsZero() {
		return Principal{}, "", ErrNoPrincipal
	}
	return d.createPrincipal(ctx, tenant, func() (access.GUID, error) { return app, nil }, name, with)
}

func (d *Directory) createPrincipal(ctx context.Context, tenant access.GUID, newApp func() (access.GUID, error), name string, with func(*store.Tx, Principal)) (Principal, string, error) {
	if !validName(name) {
		return Principal{}, "", ErrName
	}
	var created principal
	var secret string
	err := d.change(ctx, func(next *state, tx *store.Tx) error {
		if next.tenants[tenant] == nil {
			return ErrNoTenant
		}
		object, err := d.newGUID()
		if err != nil {
			return err
		}
		app, err := newApp()
		if err != nil {
			return err
		}
		if next.apps[appKey{tenant, app}] != nil {
			return ErrExists
		}
		text, hashed, err := d.newSecret()
		if err != nil {
			return err
		}
		secret = text
		created = principal{Principal{object, app, tenant, name, ServicePrincipal}, []secretRecord{hashed}}
		record := created.record()
		tx.Absent(principalPrefix + record.Object)
		if err := d.put(tx, principalPrefix+record.Object, record); err != nil {
			return err
		}
		if with != nil {
			with(tx, created.Principal)
		}
		return next.addPrincipal(record)
	})
	if err != nil {
		return Principal{}, "", err
	}
	return created.Principal, secret, nil
}

// AddSecret gives a principal a further secret, returned this once; with is
// as for CreateServicePrincipalAs.
func (d *Directory) AddSecret(ctx context.Context, object access.GUID, with func(*store.Tx, Principal)) (string, error) {
	var secret string
	err := d.change(ctx, func(next *state, tx *store.Tx) error {
		p := next.objects[object]
		if p == nil {
			return ErrNoPrincipal
		}
		if len(p.secrets) >= maxSecrets {
			return ErrSecrets
		}
		text, hashed, err := d.newSecret()
		if err != nil {
			return err
		}
		secret = text
		record := p.record()
		item, err := d.store.Get(ctx, principalPrefix+record.Object)
		if err != nil {
			return fmt.Errorf("reading the principal: %w", err)
		}
		tx.Unchanged(item)
		record.Secrets = append(slices.Clone(p.secrets), hashed)
		if err := d.put(tx, principalPrefix+record.Object, record); err != nil {
			return err
		}
		if with != nil {
			with(tx, p.Principal)
		}
		return next.addPrincipal(record)
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// PrincipalByObject finds a principal by its object id, in any tenant.
func (d *Directory) PrincipalByObject(object access.GUID) (Principal, bool) {
	return found(d.state.Load().objects[object])
}

// PrincipalByApp finds the service principal of an application in a tenant;
// the zero tenant finds it in the application's home.
func (d *Directory) PrincipalByApp(tenant, app access.GUID) (Principal, bool) {
	return found(d.state.Load().apps[appKey{tenant, app}])
}

// PrincipalByName finds the one principal of a tenant with a display name;
// names need not be unique, and two of them are none.
func (d *Directory) PrincipalByName(tenant access.GUID, name string) (Principal, bool) {
	var one *principal
	for _, p := range d.state.Load().objects {
		if p.Tenant == tenant && strings.EqualFold(p.DisplayName, name) {
			if one != nil {
				return Principal{}, false
			}
			one = p
		}
	}
	return found(one)
}

// Principals are those of a tenant, by name and, where names are equal, by
// object id.
func (d *Directory) Principals(tenant access.GUID) []Principal {
	var out []Principal
	for _, p := range d.state.Load().objects {
		if p.Tenant == tenant {
			out = append(out, p.Principal)
		}
	}
	slices.SortFunc(out, func(a, b Principal) int {
		if c := strings.Compare(a.DisplayName, b.DisplayName); c != 0 {
			return c
		}
		return bytes.Compare(a.Object[:], b.Object[:])
	})
	return out
}

func found(p *principal) (Principal, bool) {
	if p == nil {
		return Principal{}, false
	}
	return p.Principal, true
}

// newSecret makes a secret of 40 characters, 238 bits, and what is kept of
// it. Bytes above the largest multiple of 62 are thrown away, so that no
// character is likelier than another.
func (d *Directory) newSecret() (string, secretRecord, error) {
	text := make([]byte, 0, secretLength)
	var b [1]byte
	for len(text) < secretLength {
		if _, err := io.ReadFull(d.random, b[:]); err != nil {
			return "", secretRecord{}, fmt.Errorf("making a secret: %w", err)
		}
		if b[0] < 248 {
			text = append(text, base62[b[0]%62])
		}
	}
	salt := make([]byte, 16)
	if _, err := io.ReadFull(d.random, salt); err != nil {
		return "", secretRecord{}, fmt.Errorf("making a salt: %w", err)
	}
	return string(text), secretRecord{Salt: salt, Hash: hashSecret(string(text), salt)}, nil
}

// hashSecret is HKDF-SHA-256. A slow hash would protect nothing more: the
// secrets are random, not chosen.
func hashSecret(secret string, salt []byte) []byte {
	hash, err := hkdf.Key(sha256.New, []byte(secret), salt, "postern/v1/client-secret", sha256.Size)
	if err != nil {
		panic("entra: internal error: " + err.Error()) // only for more than 255 blocks
	}
	return hash
}

// nobody is checked in place of a client that does not exist, so that both
// take the same time. No secret hashes to its empty hash.
var nobody = principal{secrets: []secretRecord{{Salt: make([]byte, 16), Hash: make([]byte, sha256.Size)}}}

// accepts reports whether secret is one of the principal's. All are
// compared, each in constant time. A nil principal accepts nothing.
func (p *principal) accepts(secret string) bool {
	known := p != nil
	if !known {
		p = &nobody
	}
	match := 0
	for _, s := range p.secrets {
		match |= subtle.ConstantTimeCompare(hashSecret(secret, s.Salt), s.Hash)
	}
	return match == 1 && known
}
