package entra

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/access"
	"postern/internal/store"
)

// The errors of edits.
var (
	// ErrNotFound: there is no such object, or it is of another kind.
	ErrNotFound = errors.New("entra: no such object in the directory")
	// ErrMember: an object cannot be a member of this group.
	ErrMember = errors.New("entra: members of a group are users, groups and service principals of its tenant, at most 10,000, each once")
	// ErrSingleTenant: an application that is not multi-tenant has a service
	// principal in its own tenant alone.
	ErrSingleTenant = errors.New("entra: the application belongs to another tenant and is not multi-tenant")
	// ErrUserTaken: another user has the name.
	ErrUserTaken = errors.New("entra: another user has this user principal name")
)

// Editor changes the directory. Every change is one transaction of the store.
type Editor struct {
	*Directory
	note func(tx *store.Tx, operation string, p Principal) error
	done func() error // after a change was committed, when it is not nil
}

// Edit is an editor; note, when it is not nil, adds to the transaction of
// each change: the record of what was done to whom.
func (d *Directory) Edit(note func(tx *store.Tx, operation string, p Principal)) *Editor {
	e := &Editor{Directory: d}
	if note != nil {
		e.note = func(tx *store.Tx, operation string, p Principal) error { note(tx, operation, p); return nil }
	}
	return e
}

// edit is one change: fn returns the object that it was about.
func (e *Editor) edit(ctx context.Context, operation string, fn func(next *state, tx *store.Tx) (Principal, error)) (Principal, error) {
	var about Principal
	err := e.change(ctx, func(next *state, tx *store.Tx) error {
		var err error
		if about, err = fn(next, tx); err != nil {
			return err
		}
		if e.note != nil && len(tx.Operations) > 0 {
			return e.note(tx, operation, about)
		}
		return nil
	})
	if err != nil {
		return Principal{}, err
	}
	if e.done != nil {
		return about, e.done()
	}
	return about, nil
}

// add puts a new principal into the transaction and the state.
func (e *Editor) add(next *state, tx *store.Tx, p principal) (Principal, error) {
	if next.tenants[p.Tenant] == nil {
		return Principal{}, ErrNoTenant
	}
	if !validName(p.DisplayName) {
		return Principal{}, ErrName
	}
	object, err := e.newGUID()
	if err != nil {
		return Principal{}, err
	}
	p.Object = object
	tx.Absent(principalPrefix + object.String())
	if err := e.put(tx, principalPrefix+object.String(), p.record()); err != nil {
		return Principal{}, err
	}
	return p.Principal, next.addPrincipal(p.record())
}

// save puts a changed principal into the transaction and the state.
func (e *Editor) save(next *state, tx *store.Tx, p principal) (Principal, error) {
	r := p.record()
	if err := e.put(tx, principalPrefix+r.Object, r); err != nil {
		return Principal{}, err
	}
	return p.Principal, next.addPrincipal(r)
}

// saveApplication is save for a registration.
func (e *Editor) saveApplication(next *state, tx *store.Tx, a application) error {
	if err := e.put(tx, appPrefix+a.Object.String(), a.record()); err != nil {
		return err
	}
	return next.addApplication(a.record())
}

// CreateUser adds a user. The password may be "": such a user cannot sign in.
func (e *Editor) CreateUser(ctx context.Context, tenant access.GUID, upn, name, password string) (Principal, error) {
	if !validUPN(upn) {
		return Principal{}, ErrUPN
	}
	u, err := e.newUser(upn, password)
	if err != nil {
		return Principal{}, err
	}
	return e.edit(ctx, "CreateUser", func(next *state, tx *store.Tx) (Principal, error) {
		if next.upns[strings.ToLower(upn)] != nil {
			return Principal{}, ErrUserTaken
		}
		return e.add(next, tx, principal{Principal: Principal{Tenant: tenant, DisplayName: name, Kind: User}, user: u})
	})
}

// newUser is the record of a user with a password.
func (e *Editor) newUser(upn, password string) (*userRecord, error) {
	u := &userRecord{UPN: upn}
	if password == "" {
		return u, nil
	}
	if n := len(password); n < 8 || n > 256 {
		return nil, ErrPassword
	}
	salt, err := e.newSalt()
	if err != nil {
		return nil, err
	}
	u.Salt, u.Hash = salt, hashPassword(password, salt)
	return u, nil
}

// SetPassword changes a user's password. What was issued before holds no
// longer.
func (e *Editor) SetPassword(ctx context.Context, object access.GUID, password string) error {
	p := e.state.Load().objects[object]
	if p == nil || p.user == nil {
		return ErrNotFound
	}
	if password == "" {
		return ErrPassword
	}
	u, err := e.newUser(p.user.UPN, password)
	if err != nil {
		return err
	}
	return e.alter(ctx, "ResetUserPassword", object, func(p *principal) error {
		if p.user == nil {
			return ErrNotFound
		}
		p.user = u
		p.revoke(e.now())
		return nil
	})
}

// Administrators are the holders of the directory's one role in a tenant, by
// name.
func (d *Directory) Administrators(tenant access.GUID) []Principal {
	var out []Principal
	for _, p := range d.state.Load().objects {
		if p.administrator && p.Tenant == tenant {
			out = append(out, p.Principal)
		}
	}
	return byName(out)
}

// Find finds the objects of a tenant that a person may mean: by object id,
// application id, user principal name or display name.
func (d *Directory) Find(tenant access.GUID, name string) (principals []Principal, applications []Application) {
	s := d.state.Load()
	id, _ := access.ParseGUID(name)
	for _, p := range s.objects {
		if p.Tenant == tenant && (p.Object == id || !id.IsZero() && p.App == id || strings.EqualFold(p.DisplayName, name) || p.user != nil && strings.EqualFold(p.user.UPN, name)) {
			principals = append(principals, p.Principal)
		}
	}
	for _, a := range d.Applications(tenant) {
		if a.Object == id || a.App == id || strings.EqualFold(a.DisplayName, name) {
			applications = append(applications, a)
		}
	}
	return byName(principals), applications
}

// alter changes one principal.
func (e *Editor) alter(ctx context.Context, operation string, object access.GUID, fn func(*principal) error) error {
	_, err := e.edit(ctx, operation, func(next *state, tx *store.Tx) (Principal, error) {
		old := next.objects[object]
		if old == nil {
			return Principal{}, ErrNotFound
		}
		p := *old
		if err := fn(&p); err != nil {
			return Principal{}, err
		}
		if p.revoked != old.revoked || p.disabled != old.disabled {
			fresh := *next.keys // another keyring: caches of verified tokens begin anew
			next.keys = &fresh
		}
		return e.save(next, tx, p)
	})
	return err
}

// revoke ends what was issued before a moment. A second time within the same
// second counts for one second more: what was issued in between ends too.
func (p *principal) revoke(now time.Time) {
	if !p.revoked.IsZero() && since(p.revoked) >= since(now) {
		now = time.Unix(since(p.revoked), 0)
	}
	p.revoked = now.UTC()
}

// SetAdministrator gives or takes the directory's one role.
func (e *Editor) SetAdministrator(ctx context.Context, object access.GUID, on bool) error {
	return e.alter(ctx, "SetAdministrator", object, func(p *principal) error { p.administrator = on; return nil })
}

// SetEnabled enables or disables a user or a service principal.
func (e *Editor) SetEnabled(ctx context.Context, object access.GUID, on bool) error {
	return e.alter(ctx, "SetEnabled", object, func(p *principal) error {
		if p.Kind == Group {
			return ErrNotFound
		}
		p.disabled = !on
		if !on {
			p.revoke(e.now())
		}
		return nil
	})
}

// Revoke ends the sessions of a principal: tokens from before hold no longer
// (continuous access evaluation), nor do refresh tokens.
func (e *Editor) Revoke(ctx context.Context, object access.GUID) error {
	return e.alter(ctx, "RevokeSignInSessions", object, func(p *principal) error { p.revoke(e.now()); return nil })
}

// CreateGroup adds a group.
func (e *Editor) CreateGroup(ctx context.Context, tenant access.GUID, name, description, nickname string) (Principal, error) {
	if description != "" && len(description) > 1024 || len(nickname) > 64 {
		return Principal{}, ErrName
	}
	return e.edit(ctx, "CreateGroup", func(next *state, tx *store.Tx) (Principal, error) {
		return e.add(next, tx, principal{Principal: Principal{Tenant: tenant, DisplayName: name, Kind: Group},
			group: &groupRecord{Description: description, Nickname: nickname}})
	})
}

// AddMember makes an object a member of a group.
func (e *Editor) AddMember(ctx context.Context, group, member access.GUID) error {
	return e.members(ctx, "AddMemberToGroup", group, func(next *state, g *principal, list []guidText) ([]guidText, error) {
		m := next.objects[member]
		if m == nil {
			return nil, ErrNotFound
		}
		if m.Tenant != g.Tenant || member == group || len(list) >= maxMembers || slices.Contains(list, guidText(member)) {
			return nil, ErrMember
		}
		return append(list, guidText(member)), nil
	})
}

// RemoveMember ends a membership.
func (e *Editor) RemoveMember(ctx context.Context, group, member access.GUID) error {
	return e.members(ctx, "RemoveMemberFromGroup", group, func(_ *state, _ *principal, list []guidText) ([]guidText, error) {
		at := slices.Index(list, guidText(member))
		if at < 0 {
			return nil, ErrNotFound
		}
		return slices.Delete(list, at, at+1), nil
	})
}

// members changes the members of a group.
func (e *Editor) members(ctx context.Context, operation string, group access.GUID, fn func(*state, *principal, []guidText) ([]guidText, error)) error {
	_, err := e.edit(ctx, operation, func(next *state, tx *store.Tx) (Principal, error) {
		g := next.objects[group]
		if g == nil || g.group == nil {
			return Principal{}, ErrNotFound
		}
		list, err := fn(next, g, slices.Clone(g.group.Members))
		if err != nil {
			return Principal{}, err
		}
		p, record := *g, *g.group
		record.Members = list
		p.group = &record
		return e.save(next, tx, p)
	})
	return err
}

// CreateApplication registers an application; owner, who may change it later,
// may be zero.
func (e *Editor) CreateApplication(ctx context.Context, tenant access.GUID, name string, multiTenant bool, owner access.GUID) (Application, error) {
	if !validName(name) {
		return Application{}, ErrName
	}
	object, err := e.newGUID()
	if err != nil {
		return Application{}, err
	}
	app, err := e.newGUID()
	if err != nil {
		return Application{}, err
	}
	a := application{Application: Application{object, app, tenant, name, multiTenant}, owner: owner}
	_, err = e.edit(ctx, "CreateApplication", func(next *state, tx *store.Tx) (Principal, error) {
		tx.Absent(appPrefix + object.String())
		return a.about(), e.saveApplication(next, tx, a)
	})
	if err != nil {
		return Application{}, err
	}
	return a.Application, nil
}

// about is an application as notes have it.
func (a *Application) about() Principal {
	return Principal{Object: a.Object, App: a.App, Tenant: a.Tenant, DisplayName: a.DisplayName}
}

// CreatePrincipal makes the service principal of a registered application in
// a tenant: in the application's own, or in any when it is multi-tenant.
func (e *Editor) CreatePrincipal(ctx context.Context, tenant, app access.GUID) (Principal, error) {
	return e.edit(ctx, "CreateServicePrincipal", func(next *state, tx *store.Tx) (Principal, error) {
		a := next.registered[app]
		switch {
		case a == nil:
			return Principal{}, ErrNotFound
		case a.Tenant != tenant && !a.MultiTenant:
			return Principal{}, ErrSingleTenant
		case next.apps[appKey{tenant, app}] != nil:
			return Principal{}, ErrExists
		}
		return e.add(next, tx, principal{Principal: Principal{App: app, Tenant: tenant, DisplayName: a.DisplayName, Kind: ServicePrincipal}})
	})
}

// Delete removes an object. With an application goes its service principal in
// its own tenant; with any principal its memberships. Its tokens hold no
// longer.
func (e *Editor) Delete(ctx context.Context, object access.GUID) error {
	_, err := e.edit(ctx, "DeleteObject", func(next *state, tx *store.Tx) (Principal, error) {
		if a := next.registrations[object]; a != nil {
			delete(next.registrations, a.Object)
			delete(next.registered, a.App)
			tx.Delete(appPrefix + a.Object.String())
			if p := next.apps[appKey{a.Tenant, a.App}]; p != nil {
				return a.about(), e.forget(next, tx, p)
			}
			return a.about(), nil
		}
		p := next.objects[object]
		if p == nil {
			return Principal{}, ErrNotFound
		}
		if p.managed != nil {
			return Principal{}, ErrManaged
		}
		return p.Principal, e.forget(next, tx, p)
	})
	return err
}

// forget removes a principal from a state that is being changed.
func (e *Editor) forget(next *state, tx *store.Tx, p *principal) error {
	tx.Delete(principalPrefix + p.Object.String())
	delete(next.objects, p.Object)
	if p.user != nil {
		delete(next.upns, strings.ToLower(p.user.UPN))
	}
	if p.Kind == ServicePrincipal {
		delete(next.apps, appKey{p.Tenant, p.App})
		home := appKey{access.GUID{}, p.App}
		if next.apps[home] == p {
			delete(next.apps, home)
			for _, other := range next.objects {
				if other.App == p.App && other.Kind == ServicePrincipal {
					next.keepHome(other)
				}
			}
		}
	}
	for _, g := range next.objects {
		if g.group == nil || !slices.Contains(g.group.Members, guidText(p.Object)) {
			continue
		}
		changed, record := *g, *g.group
		record.Members = slices.DeleteFunc(slices.Clone(record.Members), func(m guidText) bool { return m == guidText(p.Object) })
		changed.group = &record
		if _, err := e.save(next, tx, changed); err != nil {
			return fmt.Errorf("ending a membership: %w", err)
		}
	}
	fresh := *next.keys
	next.keys = &fresh
	next.forgetGroups()
	return nil
}

// rename changes what a principal is called; "" leaves a text as it is.
func (e *Editor) rename(ctx context.Context, object access.GUID, name, description string) error {
	if name != "" && !validName(name) || len(description) > 1024 {
		return ErrName
	}
	return e.alter(ctx, "UpdateObject", object, func(p *principal) error {
		if name != "" && name != p.DisplayName && p.managed != nil {
			return ErrManaged
		}
		if name != "" {
			p.DisplayName = name
		}
		if p.group != nil && description != "" {
			record := *p.group
			record.Description = description
			p.group = &record
		}
		return nil
	})
}

// updateApplication changes a registration; zero values leave it as it is.
func (e *Editor) updateApplication(ctx context.Context, object access.GUID, name, audience string, uris []string) error {
	if name != "" && !validName(name) || len(uris) > 64 {
		return ErrName
	}
	for _, u := range uris {
		if u == "" || len(u) > 256 || hasControl(u) {
			return ErrName
		}
	}
	if name == "" && audience == "" && uris == nil {
		return nil
	}
	_, err := e.edit(ctx, "UpdateApplication", func(next *state, tx *store.Tx) (Principal, error) {
		old := next.registrations[object]
		if old == nil {
			return Principal{}, ErrNotFound
		}
		a := *old
		if name != "" {
			a.DisplayName = name
		}
		if audience != "" {
			a.MultiTenant = audience != "AzureADMyOrg"
		}
		if uris != nil {
			a.uris = uris
		}
		return a.about(), e.saveApplication(next, tx, a)
	})
	return err
}
