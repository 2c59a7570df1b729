package keyvault

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/access"
	"postern/internal/admission"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/journal"
	"postern/internal/names"
	"postern/internal/roles"
	"postern/internal/seal"
	"postern/internal/store/memory"
)

const (
	tenant       = "11111111-1111-1111-1111-111111111111"
	subscription = "22222222-2222-2222-2222-222222222222"
	officer      = "aaaaaaaa-0000-0000-0000-000000000001" // may do everything
	stranger     = "aaaaaaaa-0000-0000-0000-000000000002" // may do nothing
	application  = "bbbbbbbb-0000-0000-0000-000000000001"
	everything   = "00482a5a-887f-4fb3-b363-3b7fe8e74483" // Key Vault Administrator
	assignmentID = "cccccccc-0000-0000-0000-00000000000a"
	group        = "/subscriptions/" + subscription + "/resourceGroups/RG"
)

var testRoot = func() *seal.Root {
	dir := must(os.MkdirTemp("", "keyvault"))
	defer os.RemoveAll(dir)
	return must(seal.Create(dir, rand.Reader))
}()

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// ledger is a journal that keeps its records, and breaks on demand.
type ledger struct {
	mu      sync.Mutex // guards what follows
	records []journal.Record
	broken  error
	silent  bool // keep nothing
}

func (l *ledger) Append(r *journal.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil && !l.silent {
		l.records = append(l.records, *r)
	}
	return l.broken
}

func (l *ledger) Outbox(r *journal.Record) (string, []byte) {
	return "j/" + r.OperationName, []byte("record")
}
func (l *ledger) Deliver(r *journal.Record, _ string) error { return l.Append(r) }
func (l *ledger) Broken() error                             { return l.broken }

func (l *ledger) last() journal.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) == 0 {
		return journal.Record{}
	}
	return l.records[len(l.records)-1]
}

// rig is a data plane over a memory store, with the real admission and the
// real decision.
type rig struct {
	http.Handler
	deps    Deps
	store   *memory.Store
	ledger  *ledger
	now     time.Time
	origin  access.Origin
	callers map[string]*entra.Identity
}

// vaultNamed is the resource of a vault; properties is JSON without braces.
func vaultNamed(name, properties string) *estate.Resource {
	id := group + "/providers/Microsoft.KeyVault/vaults/" + name
	body := fmt.Sprintf(`{"id":%q,"name":%q,"location":"eastus","properties":{"tenantId":%q,%s}}`, id, name, tenant, properties)
	return &estate.Resource{ID: id, Type: estate.TypeVault, Name: name, Location: "eastus", Body: json.RawMessage(body), UID: "uid-" + name}
}

const (
	rbac     = `"enableRbacAuthorization":true`
	policies = `"accessPolicies":[{"tenantId":"` + tenant + `","objectId":"` + officer + `","permissions":{"secrets":["all"],"keys":["all"],"certificates":["all"]}}]`
	closed   = `,"networkAcls":{"defaultAction":"Deny","bypass":"AzureServices"}`
	sealed   = `,"networkAcls":{"defaultAction":"Deny","bypass":"None"}`
	private  = `,"publicNetworkAccess":"Disabled"`
)

func newRig(tb testing.TB, more ...*estate.Resource) *rig {
	tb.Helper()
	assignment := &estate.Resource{ID: group + "/providers/Microsoft.Authorization/roleAssignments/" + assignmentID,
		Type: estate.TypeRoleAssignment, Name: assignmentID, Body: json.RawMessage(fmt.Sprintf(
			`{"properties":{"principalId":%q,"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/%s","scope":%q}}`, officer, everything, group))}
	removed := vaultNamed("removed", rbac)
	removed.Deleted = &estate.Deletion{}
	resources := append([]*estate.Resource{assignment, removed, vaultNamed("kv", rbac), vaultNamed("policies", policies), vaultNamed("closed", rbac+closed),
		vaultNamed("sealed", rbac+sealed), vaultNamed("private", rbac+private), vaultNamed("privatesealed", rbac+private+sealed),
		vaultNamed("premium", rbac+`,"sku":{"family":"A","name":"premium"}`),
		vaultNamed("protected", rbac+`,"enablePurgeProtection":true,"softDeleteRetentionInDays":7`)}, more...)
	snapshot, problems := estate.New(resources, estate.Options{Role: func(guid string) (*access.Role, bool) {
		d, ok := roles.ByName(guid)
		if !ok {
			return nil, false
		}
		return d.Role(), true
	}})
	if len(problems) > 0 {
		tb.Fatalf("estate: %+v", problems)
	}
	r := &rig{store: memory.New(), ledger: &ledger{}, now: time.Unix(1_700_000_000, 0).UTC(),
		origin: access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr("203.0.113.7")}, callers: map[string]*entra.Identity{}}
	caller := func(object string) access.Caller {
		return access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(tenant), Object: access.MustGUID(object), App: access.MustGUID(application)}
	}
	for name, object := range map[string]string{"officer": officer, "stranger": stranger} {
		r.callers["Bearer "+name] = &entra.Identity{Caller: caller(object), ObjectID: object, AppID: application, Issuer: issuer(access.MustGUID(tenant)), IDType: "app"}
	}
	for name, state := range map[string]access.TokenState{"expired": access.TokenExpired, "malformed": access.TokenMalformed,
		"early": access.TokenNotYetValid, "audience": access.TokenWrongAudience, "key": access.TokenUnknownKey, "foreign": access.TokenValid} {
		c := caller(officer)
		c.Token = state
		if name == "foreign" {
			c.Tenant = access.MustGUID("99999999-9999-9999-9999-999999999999")
		}
		r.callers["Bearer "+name] = &entra.Identity{Caller: c, Audience: "https://management.azure.com", Header: "eyJhbGciOiJSUzI1NiJ9"}
	}
	absent := &entra.Identity{}
	now := func() time.Time { return r.now }
	r.deps = Deps{
		Snapshot: func() *estate.Snapshot { return snapshot },
		Verify: func(a string) *entra.Identity {
			if id, ok := r.callers[a]; ok {
				return id
			}
			return absent
		},
		Origin:    func(*http.Request) access.Origin { return r.origin },
		Admission: &admission.Controller{Store: r.store, Root: testRoot, Journal: r.ledger, Now: now},
		Names:     names.New("postern.localhost", 8443), Now: now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	r.Handler = Handler(r.deps)
	return r
}

const host = "kv.vault.postern.localhost:8443"

// answer is what a client sees.
type answer struct {
	status int
	header map[string][]string
	body   string
}

// send asks a vault by a host name; token "" sends none.
func (r *rig) send(host, token, method, target, body string) answer {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.Host = host
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return r.answer(req)
}

func (r *rig) answer(req *http.Request) answer {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

// do asks the vault kv as the officer, at the newest api-version.
func (r *rig) do(method, path, body string) answer {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return r.send(host, "officer", method, path+separator+"api-version=2026-04-01", body)
}

// want fails the test unless the answer has the status.
func (a answer) want(tb testing.TB, status int) answer {
	tb.Helper()
	if a.status != status {
		tb.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// object is the body as a map.
func (a answer) object(tb testing.TB) map[string]any {
	tb.Helper()
	var m map[string]any
	if err := json.NewDecoder(bytes.NewReader([]byte(a.body))).Decode(&m); err != nil {
		tb.Fatalf("body %q: %v", a.body, err)
	}
	return m
}

// vaultHost is the host of a vault of the rig.
func vaultHost(name string) string { return name + ".vault.postern.localhost:8443" }
