package entra

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/access"
	"postern/internal/store"
)

// ErrManaged: a managed identity changes with its resource, and in no other
// way.
var ErrManaged = errors.New("entra: a managed identity lives and dies with its resource and has no credentials of its own")

// managedRecord is what a managed identity belongs to.
type managedRecord struct {
	// Resource is the ARM id of the resource, as it is written.
	Resource string `json:"resource"`
	// User marks an identity that is a resource itself.
	User bool `json:"userAssigned,omitempty"`
}

// mirid is the claim xms_mirid: the resource's id, with the segment
// resourcegroups in the spelling that tokens have.
func (m *managedRecord) mirid() string {
	if m == nil {
		return ""
	}
	return strings.Replace(m.Resource, "/resourceGroups/", "/resourcegroups/", 1)
}

// ManagedResource is the ARM id of the resource that a managed identity
// belongs to; false for every other principal.
func (d *Directory) ManagedResource(object access.GUID) (string, bool) {
	p := d.state.Load().objects[object]
	if p == nil || p.managed == nil {
		return "", false
	}
	return p.managed.Resource, true
}

// ManagedToken is Token for a managed identity, which proves itself by a
// certificate of the platform's (appidacr 2). ErrNoPrincipal when there is
// none with this object id that may sign in.
func (d *Directory) ManagedToken(object access.GUID, audience string) (token string, expires time.Time, err error) {
	p := d.state.Load().objects[object]
	if p == nil || p.managed == nil || p.disabled {
		return "", time.Time{}, ErrNoPrincipal
	}
	return d.issue(p.Principal, signIn{audience: audience, proof: "2"})
}

// Managing is a change of managed identities that is a part of another
// change: that of the resources they belong to. It holds the directory's one
// writer from Manage until Finish.
type Managing struct {
	editor  *Editor
	next    *state
	tx      *store.Tx
	changed bool
}

// Manage begins a change whose parts go into a transaction of the caller's.
// Finish must be called after it was committed or given up.
func (d *Directory) Manage(tx *store.Tx) *Managing {
	d.mu.Lock()
	return &Managing{editor: d.Edit(nil), next: d.state.Load().clone(), tx: tx}
}

// Create makes the principal of a resource: its system-assigned identity, or
// the one that the resource is.
func (m *Managing) Create(tenant access.GUID, name, resource string, userAssigned bool) (Principal, error) {
	app, err := m.editor.newGUID()
	if err != nil {
		return Principal{}, err
	}
	m.changed = true
	return m.editor.add(m.next, m.tx, principal{Principal: Principal{App: app, Tenant: tenant, DisplayName: name, Kind: ServicePrincipal},
		managed: &managedRecord{resource, userAssigned}})
}

// Delete removes the principal of a resource. Its tokens hold no longer. One
// that is gone already is no error; one that belongs to something else is.
func (m *Managing) Delete(object access.GUID, resource string) error {
	p := m.next.objects[object]
	switch {
	case p == nil:
		return nil
	case p.managed == nil || !strings.EqualFold(p.managed.Resource, resource):
		return ErrNotFound
	}
	m.changed = true
	return m.editor.forget(m.next, m.tx, p)
}

// Federate replaces the federated credentials of a user-assigned identity.
func (m *Managing) Federate(object access.GUID, list []Federation) error {
	old := m.next.objects[object]
	if old == nil || old.managed == nil || !old.managed.User {
		return ErrNotFound
	}
	if len(list) > maxFederations {
		return ErrFederation
	}
	for i := range list {
		same := func(o Federation) bool {
			return strings.EqualFold(o.Name, list[i].Name) || o.Issuer == list[i].Issuer && o.Subject == list[i].Subject
		}
		if !list[i].valid() || slices.ContainsFunc(list[:i], same) {
			return ErrFederation
		}
	}
	p := *old
	p.proofs = proofs{Federations: slices.Clone(list)}
	m.changed = true
	_, err := m.editor.save(m.next, m.tx, p)
	return err
}

// Finish ends the change. committed tells that the transaction is in the
// store, uncertain that it may be: what the store holds counts then.
func (m *Managing) Finish(ctx context.Context, committed, uncertain bool) {
	d := m.editor.Directory
	defer d.mu.Unlock()
	switch {
	case !m.changed:
	case committed:
		d.state.Store(m.next)
	case uncertain:
		if held, err := d.load(context.WithoutCancel(ctx)); err == nil {
			d.state.Store(held)
		}
	}
}

// presentManaged is how a managed identity differs: no tenant owns its
// application, and its alternative names tell the resource that it belongs
// to, and whether it is that (documentation: view the service principal of a
// managed identity).
func (m *managedRecord) presentManaged(out *servicePrincipal) {
	explicit := "isExplicit=False"
	if m.User {
		explicit = "isExplicit=True"
	}
	out.Owner, out.Type, out.Others = nil, typeManaged, []string{explicit, m.mirid()}
}

// typeManaged is the servicePrincipalType of managed identities.
const typeManaged = "ManagedIdentity"

// servicePrincipalType is how Graph tells service principals apart.
func (p *principal) servicePrincipalType() string {
	if p.managed != nil {
		return typeManaged
	}
	return "Application"
}
