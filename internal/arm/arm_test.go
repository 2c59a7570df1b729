package arm_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/journal"
	"postern/internal/profile"
	"postern/internal/store/memory"
)

func TestRefusalsOfThePlane(t *testing.T) {
	r := newRig(t, profile.Azure())
	vaultToken, _, err := r.directory.Token(r.who["owner"], "https://vault.azure.net")
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		who, method, path string
		status            int
		code, text        string
	}{
		{"owner", "GET", "/subscriptions?api-version=", 400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests."},
		{"none", "GET", "/?api-version=", 400, "MissingApiVersionParameter", "is required"},
		{"owner", "GET", "/subscriptions?api-version=v1", 400, "InvalidApiVersionParameter", "'v1'"},
		{"owner", "GET", "/subscriptions?api-version=2022-13-01", 400, "InvalidApiVersionParameter", ""},
		{"owner", "GET", "/subscriptions?api-version=2022-01-01-other", 400, "InvalidApiVersionParameter", ""},
		{"none", "GET", "/subscriptions", 401, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."},
		{"Basic x", "GET", "/subscriptions", 401, "AuthenticationFailedInvalidHeader", "invalid format"},
		{"Bearer x.y.z", "GET", "/subscriptions", 401, "InvalidAuthenticationToken", "The access token is invalid."},
		{"Bearer " + vaultToken, "GET", "/subscriptions", 401, "InvalidAuthenticationTokenAudience", "wrong audience or resource 'https://vault.azure.net'"},
		{"foreigner", "GET", inSub, 401, "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer 'https://sts.windows.net/" + r.foreign.ID.String() + "/'. It must match the tenant 'https://sts.windows.net/" + r.tenant.ID.String() + "/' associated with this subscription."},
		{"foreigner", "GET", inSub + "/providers/No.Such/things", 401, "InvalidAuthenticationTokenTenant", ""},
		{"foreigner", "GET", inSub + "/providers/Microsoft.Authorization/roleAssignments", 401, "InvalidAuthenticationTokenTenant", ""},
		{"owner", "GET", "/subscriptions/xyz", 400, "InvalidSubscriptionId", "'xyz'"},
		{"owner", "GET", "/subscriptions/44444444-4444-4444-4444-444444444444", 404, "SubscriptionNotFound", "could not be found"},
		{"stranger", "GET", theVault, 403, "AuthorizationFailed", "The client '" + r.who["stranger"].App.String() + "' with object id '" + r.who["stranger"].Object.String() + "' does not have authorization to perform action 'Microsoft.KeyVault/vaults/read' over scope '" + theVault + "' or the scope is invalid. If access was recently granted, please refresh your credentials."},
		{"reader", "PUT", theVault, 403, "AuthorizationFailed", "'Microsoft.KeyVault/vaults/write'"},
		{"owner", "GET", inSub + "/resourceGroups/none/providers/Microsoft.KeyVault/vaults/kv-one", 404, "ResourceGroupNotFound", "Resource group 'none' could not be found."},
		{"owner", "GET", theVault, 404, "ResourceNotFound", "Microsoft.KeyVault/vaults/kv-one"},
		{"owner", "GET", inSub + "/providers/No.Such/things", 404, "InvalidResourceNamespace", "The resource namespace 'No.Such' is invalid."},
		{"owner", "GET", vaultsOf + "/kv/things/x", 404, "InvalidResourceType", "'vaults/things'"},
		{"owner", "GET", "/nothing", 404, "NotFound", ""},
		{"owner", "DELETE", "/subscriptions", 405, "MethodNotAllowed", "DELETE"},
		{"owner", "PUT", inGroup + "/providers/Microsoft.Resources/deployments/d", 404, "InvalidResourceType", "deployments"},
		{"owner", "GET", inSub + "/resources?$filter=nothing", 400, "InvalidFilterInQueryString", "Invalid $filter"},
		{"owner", "GET", inSub + "/resourceGroups?$top=0", 400, "InvalidTopQueryParameter", ""},
		{"owner", "GET", inSub + "/resourceGroups?$skiptoken=!", 400, "InvalidSkipToken", ""},
		{"owner", "GET", "/subscriptions/..%2f", 400, "InvalidRequestUri", ""},
		{"owner", "GET", "/subscriptions/%2e%2e/x", 400, "InvalidRequestUri", ""},
		{"owner", "GET", "/subscriptions/a%00b", 400, "InvalidRequestUri", ""},
		{"owner", "GET", "/subscriptions?x=%zz", 400, "InvalidRequestUri", ""},
		{"owner", "GET", "/subscriptions?api-version=2022-12-01&API-Version=2015-01-01", 400, "InvalidRequestUri", ""},
		{"owner", "GET", "/subscriptions?api-version=2022-12-01&$top=1&$top=2", 400, "InvalidRequestUri", ""},
	}
	for _, row := range rows {
		path := strings.ReplaceAll(row.path, " ", "%20")
		r.refused(row.who, row.method, path, "{}", row.status, row.code, row.text)
	}
	// A token is good for one hour; the clock of the rig then says otherwise.
	r.pass(2 * time.Hour)
	r.refused("owner", "GET", "/subscriptions", "", 401, "ExpiredAuthenticationToken", "is earlier than current UTC time")
}

func TestHeaders(t *testing.T) {
	r := newRig(t, profile.Azure())
	a := r.do("none", "GET", inSub, "")
	want := `Bearer authorization_uri="https://login.postern.localhost:8443/` + r.tenant.ID.String() + `", error="invalid_token", error_description="The authentication failed because of missing 'Authorization' header."`
	if got := a.header.Get("WWW-Authenticate"); got != want {
		t.Errorf("WWW-Authenticate = %q, want %q", got, want)
	}
	if got := a.header.Get("x-ms-client-request-id"); got != "from-the-client" {
		t.Errorf("x-ms-client-request-id = %q, want the client's", got)
	}
	for _, name := range []string{"x-ms-request-id", "x-ms-correlation-request-id"} {
		if a.header.Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
	if got := r.do("owner", "POST", inSub, "").header.Get("Allow"); got != "GET" {
		t.Errorf("Allow = %q, want GET", got)
	}
}

func TestPathsInAnyCase(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	for _, path := range []string{theVault, "/" + theVault, theVault + "/", strings.ToUpper(theVault), strings.ReplaceAll(theVault, "/", "//"),
		inSub + "/resourcegroups/RG/providers/Microsoft.Keyvault/VAULTS/KV-ONE"} {
		a := r.do("owner", "GET", path, "")
		if a.status != 200 || a.at("name") != "kv-one" {
			t.Errorf("GET %s = %d %s, want the vault", path, a.status, a.text)
		}
	}
}

func TestMetadata(t *testing.T) {
	r := newRig(t, profile.Azure())
	a := r.ok("none", "GET", "/metadata/endpoints?api-version=2022-09-01", "", 200)
	rows := []struct {
		path string
		want any
	}{
		{"resourceManager", "https://management.postern.localhost:8443/"},
		{"authentication.loginEndpoint", "https://login.postern.localhost:8443/adfs/aad"},
		{"microsoftGraphResourceId", "https://graph.postern.localhost:8443/"},
		{"graphAudience", "https://graph.postern.localhost:8443/"},
		{"suffixes.keyVaultDns", "vault.postern.localhost:8443"},
		{"name", "Postern"},
	}
	for _, row := range rows {
		if got := a.at(row.path); got != row.want {
			t.Errorf("2022-09-01 %s = %v, want %v", row.path, got, row.want)
		}
	}
	if a := r.ok("none", "GET", "/metadata/endpoints?api-version=2019-05-01", "", 200); !strings.HasPrefix(a.text, "[{") {
		t.Errorf("2019-05-01 = %s, want a list", a.text)
	}
	if a := r.ok("none", "GET", "/metadata/endpoints?api-version=2015-01-01", "", 200); a.at("graphEndpoint") == nil || a.at("suffixes") != nil {
		t.Errorf("2015-01-01 = %s, want the old form", a.text)
	}
	r.host = "management.azure.com"
	a = r.ok("none", "GET", "/metadata/endpoints?api-version=2022-09-01", "", 200)
	if a.at("authentication.loginEndpoint") != "https://login.microsoftonline.com" || a.at("suffixes.keyVaultDns") != "vault.azure.net" {
		t.Errorf("public names = %s", a.text)
	}
}

// TestEveryCallIsRecorded: one record for a call, whatever became of it, and
// none that says less than the answer.
func TestEveryCallIsRecorded(t *testing.T) {
	r := newRig(t, profile.Azure())
	rows := []struct {
		who, method, path, body string
		name, category          string
		status                  int
	}{
		{"owner", "PUT", theVault, r.vaultBody(""), "VaultPut", "AuditEvent", 201},
		{"owner", "GET", theVault, "", "VaultGet", "AuditEvent", 200},
		{"stranger", "GET", theVault, "", "VaultGet", "AuditEvent", 403},
		{"none", "GET", theVault, "", "GET", "Administrative", 401},
		{"owner", "PUT", theVault, r.vaultBody(`"enablePurgeProtection":false`), "VaultPut", "AuditEvent", 400},
		{"owner", "PATCH", theVault, `{"properties":{}}`, "VaultPatch", "AuditEvent", 200},
		{"owner", "PUT", theVault + "/secrets/s", `{"properties":{"value":"x"}}`, "SecretSet", "AuditEvent", 201},
		{"owner", "GET", theVault + "/secrets/s", "", "SecretGet", "AuditEvent", 200},
		{"owner", "DELETE", theVault, "", "VaultDelete", "AuditEvent", 200},
		{"owner", "PUT", theVault, `{"location":"westeurope","properties":{"createMode":"recover"}}`, "VaultRecover", "AuditEvent", 201},
		{"owner", "GET", inGroup, "", "Microsoft.Resources/subscriptions/resourceGroups/read", "Administrative", 200},
		{"owner", "GET", "/nowhere", "", "GET", "Administrative", 404},
	}
	for _, row := range rows {
		before := len(r.records())
		r.ok(row.who, row.method, row.path, row.body, row.status)
		after := r.records()
		if len(after) != before+1 {
			t.Errorf("%s %s by %s: %d records, want 1", row.method, row.path, row.who, len(after)-before)
			continue
		}
		rec := after[before]
		if rec.OperationName != row.name || rec.Category != row.category || rec.Status != row.status || rec.CorrelationID != "from-the-client" {
			t.Errorf("%s %s = record %s %s %d, want %s %s %d", row.method, row.path, rec.OperationName, rec.Category, rec.Status, row.name, row.category, row.status)
		}
	}
}

// TestBrokenJournal: nothing is answered, and nothing changed, that cannot
// be recorded.
func TestBrokenJournal(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.admission.Journal = broken{r.admission.Journal}
	rows := []struct{ method, path, body string }{
		{"GET", theVault, ""},
		{"PUT", vaultsOf + "/kv-two", r.vaultBody("")},
		{"PUT", theVault + "/secrets/s", `{"properties":{"value":"x"}}`},
		{"GET", "/nowhere", ""},
	}
	for _, row := range rows {
		a := r.do("owner", row.method, row.path, row.body)
		if a.status < 500 || strings.Contains(a.text, "kv-") {
			t.Errorf("%s %s with a broken journal = %d %s, want a failure that tells nothing", row.method, row.path, a.status, a.text)
		}
	}
	if _, ok := r.estate.Snapshot().Taken("kv-two"); ok {
		t.Error("a vault was created without a record")
	}
}

// broken is a journal that cannot be written any more.
type broken struct{ admission.Journal }

var errBroken = errors.New("disk full")

func (broken) Broken() error                         { return errBroken }
func (broken) Append(*journal.Record) error          { return errBroken }
func (broken) Deliver(*journal.Record, string) error { return errBroken }

// TestStoreFailure: a commit that fails is a failure for the client, and
// what is answered afterwards is what the store says.
func TestStoreFailure(t *testing.T) {
	r := newRig(t, profile.Azure())
	for _, row := range []struct {
		fault memory.Fault
		want  int
	}{{memory.Fail, 404}, {memory.Lose, 200}} {
		r.fault.Store(int32(row.fault))
		if a := r.do("owner", "PUT", theVault, r.vaultBody("")); a.status != http.StatusInternalServerError {
			t.Errorf("PUT with fault %v = %d %s, want 500", row.fault, a.status, a.text)
		}
		if a := r.do("owner", "GET", theVault, ""); a.status != row.want {
			t.Errorf("GET after fault %v = %d, want %d", row.fault, a.status, row.want)
		}
	}
}

// TestRoutesNameAnAction: every operation either demands an action, decides
// for itself, or is one of the few that show nothing of anybody.
func TestRoutesNameAnAction(t *testing.T) {
	open := map[string]bool{"GET /subscriptions": true, "GET /tenants": true, "GET /providers": true, "GET /providers/{namespace}": true,
		"GET /providers/Microsoft.KeyVault/operations": true, "GET /providers/Microsoft.Management/managementGroups": true,
		"GET /providers/Microsoft.Authorization/providerOperations": true, "GET /providers/Microsoft.Authorization/providerOperations/{namespace}": true,
		// This is what the caller may do itself.
		"GET {scope}/providers/Microsoft.Authorization/permissions": true,
		// These list what the caller may read, resource by resource.
		"GET /subscriptions/{subscription}/resources": true, "GET /subscriptions/{subscription}/resourceGroups": true,
		"GET /subscriptions/{subscription}/resourceGroups/{group}/resources": true}
	r := newRig(t, profile.Azure())
	for _, route := range r.plane.Routes() {
		if route.Action == "" && !route.Decides && !open[route.Method+" "+route.Pattern] {
			t.Errorf("%s %s demands no action", route.Method, route.Pattern)
		}
		if route.Name == "" || route.Handle == nil {
			t.Errorf("%s %s has no name or no handler", route.Method, route.Pattern)
		}
		if write := route.Method != http.MethodGet && route.Method != http.MethodHead; write && !route.Decides &&
			strings.HasSuffix(route.Action, "/read") && !strings.Contains(route.Pattern, "check") {
			t.Errorf("%s %s is open to readers (%s)", route.Method, route.Pattern, route.Action)
		}
	}
}

// TestStrangersSeeNothing: a caller without any role is refused by every
// operation that is not open, and the estate stays what it is.
func TestStrangersSeeNothing(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	fill := strings.NewReplacer("{subscription}", sub, "{group}", "rg", "{vault}", "kv-one", "{scope}", theVault, "{name}", newGUID(),
		"{namespace}", "Microsoft.KeyVault", "{location}", "westeurope", "{deleted}", "kv-one", "{operation}", "kv-one-1", "{secret}", "s",
		"{key}", "k", "{version}", strings.Repeat("a", 32), "{change}", "add", "{connection}", "c")
	before := r.estate.Snapshot()
	for _, route := range r.plane.Routes() {
		if route.Action == "" && !route.Decides {
			continue
		}
		path := fill.Replace(route.Pattern)
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		for _, who := range []string{"stranger", "foreigner", "none"} {
			a := r.do(who, route.Method, path, "{}")
			if a.status != 401 && a.status != 403 {
				t.Errorf("%s %s by %s = %d %s, want 401 or 403", route.Method, path, who, a.status, a.text)
			}
		}
	}
	if r.estate.Snapshot() != before {
		t.Error("a caller without a role changed the estate")
	}
}

func TestBodies(t *testing.T) {
	r := newRig(t, profile.Azure())
	deep := strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60)
	rows := []struct {
		body   string
		status int
		text   string
	}{
		{``, 400, "not a JSON document"},
		{`[]`, 400, "an object is expected"},
		{`{"location":"westeurope"} x`, 400, "not a JSON document"},
		{`{"location":"westeurope","Location":"eastus"}`, 400, "a member is named twice"},
		{`{"location":"westeurope","x":` + deep + `}`, 400, "nested too deeply"},
		{`{"location":"westeurope","tags":{"a":1}}`, 400, "object of strings"},
		{`{"location":"westeurope","tags":[]}`, 400, "object of strings"},
		{`{"location":"westeurope","x":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "maximum size"},
		{"\ufeff" + `{"location":"westeurope"}`, 201, ""},
	}
	for _, row := range rows {
		a := r.do("owner", "PUT", inSub+"/resourceGroups/other", row.body)
		if a.status != row.status || !strings.Contains(a.text, row.text) {
			t.Errorf("PUT %.40q = %d %.200s, want %d %s", row.body, a.status, a.text, row.status, row.text)
		}
	}
}
