package arm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postern/access"
	"postern/internal/admission"
	"postern/internal/arm"
	"postern/internal/arm/authorization"
	"postern/internal/arm/keyvault"
	"postern/internal/arm/management"
	"postern/internal/arm/nsp"
	"postern/internal/arm/resources"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/journal"
	"postern/internal/keyring"
	"postern/internal/names"
	"postern/internal/profile"
	"postern/internal/roles"
	"postern/internal/seal"
	"postern/internal/store/memory"
)

const (
	sub        = "22222222-2222-2222-2222-222222222222"
	foreignSub = "33333333-3333-3333-3333-333333333333"
	inSub      = "/subscriptions/" + sub
	inGroup    = inSub + "/resourceGroups/rg"
	vaultsOf   = inGroup + "/providers/Microsoft.KeyVault/vaults"
	theVault   = vaultsOf + "/kv-one"
	newest     = "2026-02-01"
	older      = "2023-07-01"
	privateARM = "management.postern.localhost:8443"
)

// rig is a control plane behind TLS, with a real store, journal, directory
// and estate in the memory and folders of the test.
type rig struct {
	t         *testing.T
	server    *httptest.Server
	clock     atomic.Int64 // unix seconds
	store     *memory.Store
	journal   *journal.Journal
	dir       string
	estate    *estate.Registry
	admission *admission.Controller
	directory *entra.Directory
	plane     *arm.Plane
	tenant    entra.Tenant
	foreign   entra.Tenant
	// who are the principals by name; tokens their headers.
	who    map[string]entra.Principal
	tokens map[string]string
	host   string
	// groups are those of the principals.
	groups map[access.GUID][]access.GUID
	// fault becomes of the next commit of a resource, once.
	fault atomic.Int32
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newRig makes a subscription with a resource group "rg", and the principals
// owner, contributor, reader (of the group), stranger, and foreigner of
// another tenant.
func newRig(t *testing.T, prof *profile.Profile) *rig {
	t.Helper()
	ctx := context.Background()
	r := &rig{t: t, store: memory.New(), dir: t.TempDir(), host: privateARM,
		who: map[string]entra.Principal{}, tokens: map[string]string{}}
	r.clock.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Unix())
	now := r.now
	r.store.Faults = func(c memory.Call) memory.Fault {
		if c.Verb != memory.Commit || !strings.HasPrefix(c.Tx.Operations[0].Key, "r/") && !strings.HasPrefix(c.Tx.Operations[len(c.Tx.Operations)-1].Key, "r/") {
			return memory.Work
		}
		return memory.Fault(r.fault.Swap(int32(memory.Work)))
	}
	root := must(seal.Create(t.TempDir(), rand.Reader))
	r.journal = must(journal.Open(r.dir, journal.Options{Store: r.store, Now: now}))
	t.Cleanup(func() { r.journal.Close() })
	r.directory = must(entra.Open(ctx, r.store, root, entra.Options{Now: now}))
	r.estate = must(estate.Open(ctx, r.store, estate.Options{Role: func(guid string) (*access.Role, bool) {
		d, ok := roles.ByName(guid)
		if !ok {
			return nil, false
		}
		return d.Role(), true
	}}))
	r.admission = &admission.Controller{Store: r.store, Root: root, Journal: r.journal, Now: now}
	r.tenant = must(r.directory.CreateTenant(ctx, "Contoso", "contoso.example"))
	r.foreign = must(r.directory.CreateTenant(ctx, "Fabrikam", "fabrikam.example"))
	n := names.New("postern.localhost", 8443)
	r.plane = arm.New(arm.Deps{Estate: r.estate, Admission: r.admission, Names: n, Profile: prof,
		Verifier: r.directory.Verifier(entra.ManagementAudiences(n)), Now: now,
		Tenants: func() []arm.Tenant {
			return []arm.Tenant{{ID: r.tenant.ID, Name: "Contoso", Domain: "contoso.example"}, {ID: r.foreign.ID, Name: "Fabrikam"}}
		},
		Principal: func(tenant, object access.GUID) (string, bool) {
			p, ok := r.directory.PrincipalByObject(object)
			return "ServicePrincipal", ok && p.Tenant == tenant
		}, Groups: func(object access.GUID) []access.GUID { return r.groups[object] }}, resources.Provider(), keyvault.Provider(func(_ context.Context, s keyring.Spec) (*keyring.Key, error) { return keyring.Generate(rand.Reader, s) }), nsp.Vaults(), authorization.Provider(), management.Provider())
	r.server = httptest.NewTLSServer(r.plane)
	t.Cleanup(r.server.Close)
	r.subscription(sub, r.tenant)
	r.subscription(foreignSub, r.foreign)
	for _, name := range []string{"owner", "contributor", "reader", "stranger"} {
		r.principal(name, r.tenant)
	}
	r.principal("foreigner", r.foreign)
	r.grant("owner", "Owner", inSub)
	r.grant("contributor", "Contributor", inSub)
	r.ok("owner", "PUT", inGroup, `{"location":"westeurope"}`, 201)
	r.grant("reader", "Reader", inGroup)
	return r
}

// now is the clock of everything; pass moves it.
func (r *rig) now() time.Time       { return time.Unix(r.clock.Load(), 0).UTC() }
func (r *rig) pass(d time.Duration) { r.clock.Add(int64(d / time.Second)) }

func (r *rig) subscription(id string, tenant entra.Tenant) {
	body := must(json.Marshal(map[string]any{"id": "/subscriptions/" + id, "subscriptionId": id, "tenantId": tenant.ID.String(), "displayName": "Test"}))
	r.put(&estate.Resource{ID: "/subscriptions/" + id, Type: estate.TypeSubscription, Name: id, Body: body})
}

func (r *rig) put(res *estate.Resource) {
	r.t.Helper()
	err := r.estate.Change(context.Background(), func(_ *estate.Snapshot, d *estate.Draft) error { d.Put(res); return nil })
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) principal(name string, tenant entra.Tenant) {
	r.t.Helper()
	p, _, err := r.directory.CreateServicePrincipal(context.Background(), tenant.ID, name)
	if err != nil {
		r.t.Fatal(err)
	}
	token, _, err := r.directory.Token(p, "https://management.azure.com/")
	if err != nil {
		r.t.Fatal(err)
	}
	r.who[name], r.tokens[name] = p, "Bearer "+token
}

// grant assigns a role past the plane.
func (r *rig) grant(name, role, scope string) {
	r.t.Helper()
	d, ok := roles.ByRoleName(role)
	if !ok {
		r.t.Fatalf("no role %q", role)
	}
	id := scope + "/providers/" + estate.TypeRoleAssignment + "/" + newGUID()
	body := must(json.Marshal(map[string]any{"id": id, "properties": map[string]any{"roleDefinitionId": d.ID(),
		"principalId": r.who[name].Object.String(), "scope": scope}}))
	r.put(&estate.Resource{ID: id, Type: estate.TypeRoleAssignment, Name: id[len(id)-36:], Body: body})
}

func newGUID() string {
	var g access.GUID
	must(rand.Read(g[:]))
	return g.String()
}

// answer is what the plane answered.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// at is a member of the body by its path: "properties.networkAcls.bypass".
func (a answer) at(path string) any {
	var v any = a.body
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (a answer) code() string    { s, _ := a.at("error.code").(string); return s }
func (a answer) message() string { s, _ := a.at("error.message").(string); return s }

// items are the members of value.
func (a answer) items() []map[string]any {
	list, _ := a.body["value"].([]any)
	var out []map[string]any
	for _, item := range list {
		m, _ := item.(map[string]any)
		out = append(out, m)
	}
	return out
}

// do sends a request. A path without api-version gets the newest; "none" as
// the caller sends no token.
func (r *rig) do(who, method, path, body string) answer {
	r.t.Helper()
	if !strings.Contains(path, "api-version") {
		if strings.Contains(path, "?") {
			path += "&api-version=" + newest
		} else {
			path += "?api-version=" + newest
		}
	}
	req, err := http.NewRequest(method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	req.Host = r.host
	req.Header.Set("x-ms-client-request-id", "from-the-client")
	if token, ok := r.tokens[who]; ok {
		req.Header.Set("Authorization", token)
	} else if who != "none" {
		req.Header.Set("Authorization", who)
	}
	res, err := r.server.Client().Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw := must(io.ReadAll(res.Body))
	a := answer{status: res.StatusCode, header: res.Header, text: string(raw)}
	if len(raw) > 0 {
		if res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			r.t.Errorf("%s %s: Content-Type = %q", method, path, res.Header.Get("Content-Type"))
		}
		_ = json.Unmarshal(raw, &a.body)
	}
	return a
}

// ok sends a request that must have a status.
func (r *rig) ok(who, method, path, body string, status int) answer {
	r.t.Helper()
	a := r.do(who, method, path, body)
	if a.status != status {
		r.t.Fatalf("%s %s by %s = %d %s, want %d", method, path, who, a.status, a.text, status)
	}
	return a
}

// refused sends a request that must be refused.
func (r *rig) refused(who, method, path, body string, status int, code, text string) {
	r.t.Helper()
	a := r.do(who, method, path, body)
	if a.status != status || a.code() != code || !strings.Contains(a.message(), text) {
		r.t.Errorf("%s %s by %s = %d %s, want %d %s: %s", method, path, who, a.status, a.text, status, code, text)
	}
}

// vaultBody is the body of a vault with further properties (JSON members).
func (r *rig) vaultBody(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"location":"westeurope","properties":{"tenantId":"` + r.tenant.ID.String() + `","sku":{"family":"A","name":"standard"}` + more + `}}`
}

// records are the journal's records so far.
func (r *rig) records() []journal.Record {
	var list []journal.Record
	if err := journal.Read(r.dir, func(rec *journal.Record) error { list = append(list, *rec); return nil }); err != nil {
		r.t.Fatal(err)
	}
	return list
}

// grep fails when the store or the journal holds a text.
func (r *rig) grep(secret string) {
	r.t.Helper()
	for _, item := range must(r.store.Range(context.Background(), "", "", 0)) {
		if bytes.Contains(item.Value, []byte(secret)) {
			r.t.Errorf("store key %s holds %q", item.Key, secret)
		}
	}
	for _, rec := range r.records() {
		if strings.Contains(string(must(json.Marshal(rec))), secret) {
			r.t.Errorf("the journal's record of %s holds %q", rec.OperationName, secret)
		}
	}
}
