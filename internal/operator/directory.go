package operator

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/store"
)

// Direct asks for one change or one list of the directory. Which fields count
// follows from Action; objects are told by their id, application id, user
// name or display name.
type Direct struct {
	// Action is "user create", "group add" and so on.
	Action string `json:"action"`
	// Tenant is an id or a domain; "" is the administrator's.
	Tenant string `json:"tenant,omitempty"`
	// Name names what is made, Object what is changed, Member or ID what is
	// added to it or taken away from it.
	Name   string `json:"name,omitempty"`
	Object string `json:"object,omitempty"`
	Member string `json:"member,omitempty"`
	ID     string `json:"id,omitempty"`

	Domain      string `json:"domain,omitempty"`
	UPN         string `json:"upn,omitempty"`
	Password    string `json:"password,omitempty"`
	MultiTenant bool   `json:"multiTenant,omitempty"`
	// Seconds is how long a secret lasts; 0 is two years.
	Seconds     int64           `json:"seconds,omitempty"`
	Certificate string          `json:"certificate,omitempty"` // PEM
	Issuer      string          `json:"issuer,omitempty"`
	Subject     string          `json:"subject,omitempty"`
	Audience    string          `json:"audience,omitempty"`
	KeysURL     string          `json:"keysUrl,omitempty"`
	Keys        json.RawMessage `json:"keys,omitempty"`
}

// Entry is one line about the directory.
type Entry struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	ID       string `json:"id,omitempty"`
	ClientID string `json:"clientId,omitempty"`
	TenantID string `json:"tenantId,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// Directed is what came of it.
type Directed struct {
	Entries []Entry `json:"entries"`
	// Secret is a client secret that was made, told this once.
	Secret string `json:"secret,omitempty"`
}

// Direct changes the directory, or lists what is in it.
func (c *Client) Direct(ctx context.Context, in Direct) (Directed, error) {
	return ask[Directed](ctx, c, http.MethodPost, "directory", in)
}

// direction is one request about the directory.
type direction struct {
	*api
	r      *http.Request
	in     Direct
	tenant access.GUID
	out    Directed
}

// directions are the actions.
var directions = map[string]func(*direction) error{
	"tenant create": (*direction).createTenant, "tenant list": (*direction).tenants,
	"user create": (*direction).createUser, "user list": list(entra.User), "user delete": (*direction).remove,
	"user revoke": (*direction).revoke, "user password": (*direction).password,
	"group create": (*direction).createGroup, "group list": list(entra.Group), "group delete": (*direction).remove,
	"group add": (*direction).addMember, "group remove": (*direction).removeMember, "group members": (*direction).members,
	"app create": (*direction).createApp, "app list": (*direction).apps, "app delete": (*direction).remove, "app install": (*direction).install,
	"app revoke":    (*direction).revoke,
	"secret create": (*direction).createSecret, "secret list": (*direction).secrets, "secret remove": (*direction).removeSecret,
	"secret certificate": (*direction).addCertificate,
	"federate add":       (*direction).federate, "federate list": (*direction).federations, "federate remove": (*direction).unfederate,
	"federate issuer": (*direction).setIssuer, "federate issuers": (*direction).issuers, "federate forget": (*direction).removeIssuer,
	"admin add": administrator(true), "admin remove": administrator(false), "admin list": (*direction).administrators,
}

func (a *api) directory(r *http.Request, in Direct) (any, error) {
	do := directions[in.Action]
	if do == nil {
		return nil, wrong(http.StatusBadRequest, "", "there is no action %q", in.Action)
	}
	d := &direction{api: a, r: r, in: in, tenant: a.Tenant, out: Directed{Entries: []Entry{}}}
	if in.Tenant != "" {
		t, ok := a.Directory.TenantByName(in.Tenant)
		if !ok {
			return nil, wrong(http.StatusNotFound, "postern directory tenant list shows them", "there is no tenant %q", in.Tenant)
		}
		d.tenant = t.ID
	}
	if err := do(d); err != nil {
		return nil, explainDirectory(err)
	}
	return d.out, nil
}

// explainDirectory puts what the directory refuses into the API's form.
func explainDirectory(err error) error {
	var told *Error
	if errors.As(err, &told) {
		return err
	}
	for _, known := range []error{entra.ErrName, entra.ErrUPN, entra.ErrPassword, entra.ErrCertificate, entra.ErrFederation, entra.ErrManaged, entra.ErrIssuer, entra.ErrLife,
		entra.ErrMember, entra.ErrSingleTenant, entra.ErrExists, entra.ErrUserTaken, entra.ErrTaken, entra.ErrSecrets, entra.ErrNotFound, entra.ErrNoPrincipal, entra.ErrNoTenant} {
		if errors.Is(err, known) {
			return wrong(http.StatusBadRequest, "", "%s", strings.TrimPrefix(known.Error(), "entra: "))
		}
	}
	return err
}

// edit makes one change with its record in the journal.
func (d *direction) edit(fn func(*entra.Editor) error) error {
	rec, err := d.begin(d.r, "Directory")
	if err != nil {
		return err
	}
	e := d.Directory.Edit(func(tx *store.Tx, operation string, p entra.Principal) {
		rec.OperationName = "Directory" + operation
		id := p.Object.String()
		if p.Object.IsZero() {
			id = p.Tenant.String()
		}
		rec.of("directory/"+id, "tenant", p.Tenant.String(), "name", p.DisplayName)
		rec.into(tx)
	})
	if err := fn(e); err != nil {
		return err
	}
	return rec.deliver()
}

// tell adds a line about a principal.
func (d *direction) tell(p entra.Principal) {
	e := Entry{Kind: string(p.Kind), Name: p.DisplayName, ID: p.Object.String(), TenantID: p.Tenant.String()}
	if !p.App.IsZero() {
		e.ClientID = p.App.String()
	}
	if upn, ok := d.Directory.UserName(p.Object); ok {
		e.Detail = upn
	}
	if a, ok := d.Directory.ApplicationOf(p.App); ok && a.Tenant != p.Tenant {
		e.Detail = "of tenant " + a.Tenant.String()
	}
	d.out.Entries = append(d.out.Entries, e)
}

func (d *direction) tellApp(a entra.Application) {
	e := Entry{Kind: "Application", Name: a.DisplayName, ID: a.Object.String(), ClientID: a.App.String(), TenantID: a.Tenant.String()}
	if a.MultiTenant {
		e.Detail = "multi-tenant"
	}
	d.out.Entries = append(d.out.Entries, e)
}

// one is the principal that is meant by a name.
func (d *direction) one(name string, allowed ...entra.Kind) (entra.Principal, error) {
	found, _ := d.Directory.Find(d.tenant, name)
	found = slices.DeleteFunc(found, func(p entra.Principal) bool { return len(allowed) > 0 && !slices.Contains(allowed, p.Kind) })
	return single(found, name, func(p entra.Principal) string { return p.Object.String() })
}

// single is the only one of what was found, or says why there is none.
func single[T any](found []T, name string, id func(T) string) (T, error) {
	var none T
	switch len(found) {
	case 0:
		return none, wrong(http.StatusNotFound, "", "the directory has no %q of this kind in the tenant", name)
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, f := range found {
		ids = append(ids, id(f))
	}
	return none, wrong(http.StatusConflict, "name it by its id: "+strings.Join(ids, ", "), "%q is the name of several", name)
}

// holder is the application, or else the service principal, whose credentials
// are meant by a name.
func (d *direction) holder() (access.GUID, error) {
	_, apps := d.Directory.Find(d.tenant, d.in.Object)
	if len(apps) == 0 {
		p, err := d.one(d.in.Object, entra.ServicePrincipal)
		return p.Object, err
	}
	a, err := single(apps, d.in.Object, func(a entra.Application) string { return a.App.String() })
	return a.Object, err
}

func (d *direction) createTenant() error {
	return d.edit(func(e *entra.Editor) error {
		t, err := e.CreateTenant(d.r.Context(), d.in.Name, d.in.Domain)
		d.out.Entries = append(d.out.Entries, Entry{Kind: "Tenant", Name: t.Name, ID: t.ID.String(), Detail: t.Domain})
		return err
	})
}

func (d *direction) tenants() error {
	for _, t := range d.Directory.Tenants() {
		d.out.Entries = append(d.out.Entries, Entry{Kind: "Tenant", Name: t.Name, ID: t.ID.String(), Detail: t.Domain})
	}
	return nil
}

// list lists the principals of a kind.
func list(kind entra.Kind) func(*direction) error {
	return func(d *direction) error {
		for _, p := range d.Directory.Principals(d.tenant) {
			if p.Kind == kind {
				d.tell(p)
			}
		}
		return nil
	}
}

func (d *direction) createUser() error {
	return d.edit(func(e *entra.Editor) error {
		name := d.in.Name
		if name == "" {
			name, _, _ = strings.Cut(d.in.UPN, "@")
		}
		p, err := e.CreateUser(d.r.Context(), d.tenant, d.in.UPN, name, d.in.Password)
		if err == nil {
			d.tell(p)
		}
		return err
	})
}

func (d *direction) password() error {
	p, err := d.one(d.in.Object, entra.User)
	if err != nil {
		return err
	}
	d.tell(p)
	return d.edit(func(e *entra.Editor) error { return e.SetPassword(d.r.Context(), p.Object, d.in.Password) })
}

func (d *direction) revoke() error {
	p, err := d.one(d.in.Object, entra.User, entra.ServicePrincipal)
	if err != nil {
		return err
	}
	d.tell(p)
	return d.edit(func(e *entra.Editor) error { return e.Revoke(d.r.Context(), p.Object) })
}

// remove deletes an object of the kind that the action names.
func (d *direction) remove() error {
	noun, _, _ := strings.Cut(d.in.Action, " ")
	object, err := access.GUID{}, error(nil)
	if noun == "app" {
		object, err = d.holder()
	} else {
		var p entra.Principal
		p, err = d.one(d.in.Object, map[string]entra.Kind{"user": entra.User, "group": entra.Group}[noun])
		object = p.Object
	}
	if err != nil {
		return err
	}
	return d.edit(func(e *entra.Editor) error { return e.Delete(d.r.Context(), object) })
}

func (d *direction) createGroup() error {
	return d.edit(func(e *entra.Editor) error {
		p, err := e.CreateGroup(d.r.Context(), d.tenant, d.in.Name, "", "")
		if err == nil {
			d.tell(p)
		}
		return err
	})
}

// membership finds the two ends of a membership.
func (d *direction) membership() (group, member entra.Principal, err error) {
	if group, err = d.one(d.in.Object, entra.Group); err == nil {
		member, err = d.one(d.in.Member)
	}
	return group, member, err
}

func (d *direction) addMember() error {
	group, member, err := d.membership()
	if err != nil {
		return err
	}
	d.tell(member)
	return d.edit(func(e *entra.Editor) error { return e.AddMember(d.r.Context(), group.Object, member.Object) })
}

func (d *direction) removeMember() error {
	group, member, err := d.membership()
	if err != nil {
		return err
	}
	d.tell(member)
	return d.edit(func(e *entra.Editor) error { return e.RemoveMember(d.r.Context(), group.Object, member.Object) })
}

func (d *direction) members() error {
	group, err := d.one(d.in.Object, entra.Group)
	if err != nil {
		return err
	}
	for _, m := range d.Directory.Members(group.Object) {
		d.tell(m)
	}
	return nil
}

// createApp registers an application and makes its service principal.
func (d *direction) createApp() error {
	var a entra.Application
	if err := d.edit(func(e *entra.Editor) (err error) {
		a, err = e.CreateApplication(d.r.Context(), d.tenant, d.in.Name, d.in.MultiTenant, access.GUID{})
		return err
	}); err != nil {
		return err
	}
	d.tellApp(a)
	return d.enlist(a.App)
}

// enlist makes the service principal of an application in the tenant.
func (d *direction) enlist(app access.GUID) error {
	return d.edit(func(e *entra.Editor) error {
		p, err := e.CreatePrincipal(d.r.Context(), d.tenant, app)
		if err == nil {
			d.tell(p)
		}
		return err
	})
}

// install makes the service principal of another tenant's application.
func (d *direction) install() error {
	app, err := access.ParseGUID(d.in.Object)
	if err != nil {
		return wrong(http.StatusBadRequest, "postern directory app list shows it as client id", "an application of another tenant is named by its client id")
	}
	return d.enlist(app)
}

func (d *direction) apps() error {
	for _, a := range d.Directory.Applications(d.tenant) {
		d.tellApp(a)
	}
	return list(entra.ServicePrincipal)(d)
}

func (d *direction) createSecret() error {
	object, err := d.holder()
	if err != nil {
		return err
	}
	if d.in.Seconds < 0 || d.in.Seconds > int64(100*365*24*time.Hour/time.Second) {
		return entra.ErrLife
	}
	end := time.Time{}
	if d.in.Seconds > 0 {
		end = d.Now().Add(time.Duration(d.in.Seconds) * time.Second)
	}
	return d.edit(func(e *entra.Editor) error {
		s, text, err := e.CreateSecret(d.r.Context(), object, d.in.Name, time.Time{}, end)
		if err == nil {
			d.out.Secret = text
			d.tellSecret(s)
		}
		return err
	})
}

func (d *direction) tellSecret(s entra.Secret) {
	end := "never ends"
	if !s.End.IsZero() {
		end = "until " + s.End.Format(time.RFC3339)
	}
	d.out.Entries = append(d.out.Entries, Entry{Kind: "Secret", Name: s.Name, ID: s.ID, Detail: end})
}

func (d *direction) tellCertificate(c entra.Certificate) {
	d.out.Entries = append(d.out.Entries, Entry{Kind: "Certificate", Name: c.Name, ID: c.ID, Detail: "until " + c.End.Format(time.RFC3339)})
}

func (d *direction) secrets() error {
	object, err := d.holder()
	if err != nil {
		return err
	}
	secrets, certificates, _ := d.Directory.Credentials(object)
	for _, s := range secrets {
		d.tellSecret(s)
	}
	for _, c := range certificates {
		d.tellCertificate(c)
	}
	return nil
}

// removeSecret takes a secret or a certificate away.
func (d *direction) removeSecret() error {
	object, err := d.holder()
	if err != nil {
		return err
	}
	return d.edit(func(e *entra.Editor) error {
		err := e.RemoveSecret(d.r.Context(), object, d.in.ID)
		if errors.Is(err, entra.ErrNotFound) {
			err = e.RemoveCertificate(d.r.Context(), object, d.in.ID)
		}
		return err
	})
}

func (d *direction) addCertificate() error {
	object, err := d.holder()
	if err != nil {
		return err
	}
	rest := []byte(d.in.Certificate)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return wrong(http.StatusBadRequest, "", "there is no certificate in the file")
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		return d.edit(func(e *entra.Editor) error {
			c, err := e.AddCertificate(d.r.Context(), object, d.in.Name, block.Bytes)
			if err == nil {
				d.tellCertificate(c)
			}
			return err
		})
	}
}

// administrator gives or takes the directory's one role.
func administrator(on bool) func(*direction) error {
	return func(d *direction) error {
		p, err := d.one(d.in.Object, entra.User, entra.ServicePrincipal)
		if err != nil {
			return err
		}
		d.tell(p)
		return d.edit(func(e *entra.Editor) error { return e.SetAdministrator(d.r.Context(), p.Object, on) })
	}
}

func (d *direction) administrators() error {
	for _, p := range d.Directory.Administrators(d.tenant) {
		d.tell(p)
	}
	return nil
}
