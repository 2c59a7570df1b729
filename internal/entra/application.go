package entra

import (
	"slices"
	"strings"

	"postern/access"
)

// Application is the registration of an application in the tenant of its
// maker. What acts in a tenant is its service principal there: in its own
// tenant and, when it is multi-tenant, in others.
type Application struct {
	Object, App, Tenant access.GUID
	DisplayName         string
	// MultiTenant tells whether other tenants may have a service principal of
	// it (signInAudience AzureADMultipleOrgs).
	MultiTenant bool
}

// application is an Application with its credentials. It is never changed.
type application struct {
	Application
	proofs
	owner access.GUID // who made it and may change it; zero for nobody
	uris  []string    // identifierUris
}

// applicationRecord is an application as it is stored.
type applicationRecord struct {
	Object guidText `json:"object"`
	App    guidText `json:"app"`
	Tenant guidText `json:"tenant"`
	Name   string   `json:"name"`
	Multi  bool     `json:"multiTenant,omitempty"`
	Owner  guidText `json:"owner,omitzero"`
	URIs   []string `json:"uris,omitempty"`
	proofs
}

// guidText is an id as records have it.
type guidText access.GUID

// MarshalText implements encoding.TextMarshaler.
func (g guidText) MarshalText() ([]byte, error) { return []byte(access.GUID(g).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *guidText) UnmarshalText(text []byte) error {
	id, err := access.ParseGUID(string(text))
	*g = guidText(id)
	return err
}

func (s *state) addApplication(r applicationRecord) error {
	a := &application{Application: Application{access.GUID(r.Object), access.GUID(r.App), access.GUID(r.Tenant), r.Name, r.Multi},
		proofs: r.proofs, owner: access.GUID(r.Owner), uris: r.URIs}
	if s.tenants[a.Tenant] == nil {
		return ErrNoTenant
	}
	s.registrations[a.Object], s.registered[a.App] = a, a
	return nil
}

func (a *application) record() applicationRecord {
	return applicationRecord{Object: guidText(a.Object), App: guidText(a.App), Tenant: guidText(a.Tenant), Name: a.DisplayName,
		Multi: a.MultiTenant, Owner: guidText(a.owner), URIs: a.uris, proofs: a.proofs}
}

// held is what a service principal can prove itself with: its own
// credentials, and those of its application's registration where that
// reaches its tenant. For nil it is what nobody knows.
func (s *state) held(p *principal) []*proofs {
	if p == nil {
		return []*proofs{&nobody}
	}
	held := []*proofs{&p.proofs}
	if a := s.registered[p.App]; a != nil && (a.Tenant == p.Tenant || a.MultiTenant) {
		held = append(held, &a.proofs)
	}
	return held
}

// Applications are the registrations of a tenant, by name and, where names
// are equal, by object id.
func (d *Directory) Applications(tenant access.GUID) []Application {
	var out []Application
	for _, a := range d.state.Load().registrations {
		if a.Tenant == tenant {
			out = append(out, a.Application)
		}
	}
	slices.SortFunc(out, func(a, b Application) int {
		if c := strings.Compare(a.DisplayName, b.DisplayName); c != 0 {
			return c
		}
		return slices.Compare(a.Object[:], b.Object[:])
	})
	return out
}

// ApplicationOf finds the registration of an application by its id, in
// whichever tenant it is.
func (d *Directory) ApplicationOf(app access.GUID) (Application, bool) {
	a := d.state.Load().registered[app]
	if a == nil {
		return Application{}, false
	}
	return a.Application, true
}
