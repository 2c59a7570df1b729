package entra

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/access"
	"postern/internal/store"
)

// Kind is what sort of principal something is, as it stands in role
// assignments (principalType) and, for service principals, in Graph.
type Kind string

// The kinds of principal.
const (
	ServicePrincipal Kind = "ServicePrincipal"
	User             Kind = "User"
	Group            Kind = "Group"
)

// Principal is someone who can be given rights.
type Principal struct {
	// Object is the id of the principal in its tenant, App that of the
	// application it stands for; users and groups stand for none.
	Object, App, Tenant access.GUID
	DisplayName         string
	Kind                Kind
}

// principal is a Principal and what it is recognized by.
// It is never changed.
type principal struct {
	Principal
	proofs
	// administrator marks the holders of the one directory role: they may
	// change everything in their tenant.
	administrator bool
	// disabled principals get no tokens, and their tokens from before revoked
	// hold no longer.
	disabled bool
	revoked  time.Time
	user     *userRecord    // of a user
	group    *groupRecord   // of a group
	managed  *managedRecord // of a managed identity
}

// principalRecord is a principal as it is stored.
type principalRecord struct {
	Object string `json:"object"`
	App    string `json:"app"`
	Tenant string `json:"tenant"`
	Name   string `json:"name"`
	Kind   Kind   `json:"kind"`
	proofs
	Administrator bool           `json:"administrator,omitempty"`
	Disabled      bool           `json:"disabled,omitempty"`
	Revoked       time.Time      `json:"revoked,omitzero"`
	User          *userRecord    `json:"user,omitempty"`
	Group         *groupRecord   `json:"group,omitempty"`
	Managed       *managedRecord `json:"managed,omitempty"`
}

func (s *state) addPrincipal(r principalRecord) error {
	p := &principal{Principal: Principal{DisplayName: r.Name, Kind: r.Kind}, proofs: r.proofs,
		administrator: r.Administrator, disabled: r.Disabled, revoked: r.Revoked, user: r.User, group: r.Group, managed: r.Managed}
	var err error
	for _, id := range []struct {
		to   *access.GUID
		text string
	}{{&p.Object, r.Object}, {&p.App, r.App}, {&p.Tenant, r.Tenant}} {
		if id.text == "" && r.Kind != ServicePrincipal {
			continue
		}
		if *id.to, err = access.ParseGUID(id.text); err != nil {
			return err
		}
	}
	if s.tenants[p.Tenant] == nil {
		return ErrNoTenant
	}
	s.objects[p.Object] = p
	switch {
	case p.user != nil:
		s.upns[strings.ToLower(p.user.UPN)] = p
	case p.group != nil:
		s.forgetGroups()
	}
	if p.Kind != ServicePrincipal {
		return nil
	}
	s.apps[appKey{p.Tenant, p.App}] = p
	s.keepHome(p)
	return nil
}

// keepHome lets a principal be found where no tenant is named: of an
// application that is in several, the same one after every start.
func (s *state) keepHome(p *principal) {
	home := appKey{access.GUID{}, p.App}
	if other := s.apps[home]; other == nil || bytes.Compare(p.Object[:], other.Object[:]) <= 0 {
		s.apps[home] = p
	}
}

func (p *principal) record() principalRecord {
	r := principalRecord{Object: p.Object.String(), Tenant: p.Tenant.String(), Name: p.DisplayName, Kind: p.Kind,
		proofs: p.proofs, Administrator: p.administrator, Disabled: p.disabled, Revoked: p.revoked, User: p.user, Group: p.group, Managed: p.managed}
	if !p.App.IsZero() {
		r.App = p.App.String()
	}
	return r
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
		created = principal{Principal: Principal{object, app, tenant, name, ServicePrincipal}, proofs: proofs{Secrets: []secretRecord{hashed}}}
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
		if p.managed != nil {
			return ErrManaged
		}
		if len(p.Secrets) >= maxSecrets {
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
		record.Secrets = append(slices.Clone(p.Secrets), hashed)
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
	return byName(out)
}

// byName sorts principals by name and, where names are equal, by object id.
func byName(list []Principal) []Principal {
	slices.SortFunc(list, func(a, b Principal) int {
		if c := strings.Compare(a.DisplayName, b.DisplayName); c != 0 {
			return c
		}
		return bytes.Compare(a.Object[:], b.Object[:])
	})
	return list
}

func found(p *principal) (Principal, bool) {
	if p == nil {
		return Principal{}, false
	}
	return p.Principal, true
}
