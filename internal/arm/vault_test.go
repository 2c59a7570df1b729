package arm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/admission"
	"postern/internal/arm/keyvault"
	"postern/internal/profile"
)

const subnet = inGroup + "/providers/Microsoft.Network/virtualNetworks/VNet/subnets/App"

func TestVaultRefusals(t *testing.T) {
	r := newRig(t, profile.Azure())
	tenant := r.tenant.ID.String()
	policy := func(tenant, object, words string) string {
		return `"enableRbacAuthorization":false,"accessPolicies":[{"tenantId":"` + tenant + `","objectId":"` + object + `","permissions":{"secrets":[` + words + `]}}]`
	}
	const object = "55555555-5555-5555-5555-555555555555"
	rows := []struct{ more, code, text string }{
		{`"enablePurgeProtection":false`, "BadRequest", `The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.`},
		{`"enableSoftDelete":false`, "BadRequest", `The property "enableSoftDelete" can be set to false only for creating new vault. Enabling the 'soft delete' functionality is an irreversible action.`},
		{`"softDeleteRetentionInDays":6`, "BadRequest", "softDeleteRetentionInDays"},
		{`"softDeleteRetentionInDays":91`, "BadRequest", "7 to 90 days"},
		{`"softDeleteRetentionInDays":"90"`, "BadRequest", "softDeleteRetentionInDays"},
		{`"softDeleteRetentionInDays":7.5`, "BadRequest", "7.5"},
		{`"enableRbacAuthorization":"true"`, "BadRequest", "Invalid value found at properties.enableRbacAuthorization: true"},
		{`"enabledForDeployment":1`, "BadRequest", "properties.enabledForDeployment"},
		{`"publicNetworkAccess":"Sometimes"`, "BadRequest", "Invalid value found at properties.publicNetworkAccess: Sometimes"},
		{`"publicNetworkAccess":true`, "BadRequest", "properties.publicNetworkAccess"},
		{`"createMode":"again"`, "BadRequest", "properties.createMode"},
		{`"createMode":"recover"`, "SoftDeletedVaultDoesNotExist", "A soft deleted vault with the given name does not exist."},
		{`"networkAcls":[]`, "BadRequest", "properties.networkAcls"},
		{policy("66666666-6666-6666-6666-666666666666", object, `"get"`), "BadRequest", "An invalid value was provided for 'accessPolicies'."},
		{policy(tenant, object, `"gett"`), "BadRequest", "An invalid value was provided for 'accessPolicies'."},
		{policy(tenant, "nobody", `"get"`), "BadRequest", "Invalid value found at accessPolicies[0].ObjectId: nobody"},
		{`"accessPolicies":{}`, "BadRequest", "An invalid value was provided for 'accessPolicies'."},
		{`"accessPolicies":[{}]`, "BadRequest", "An invalid value was provided for 'accessPolicies'."},
		{`"accessPolicies":[` + strings.Repeat("{},", 1024) + `{}]`, "BadRequest", "An invalid value was provided for 'accessPolicies'."},
		{`"networkAcls":{"bypass":"Some"}`, "BadRequest", "Invalid value found at properties.networkAcls.bypass: Some"},
		{`"networkAcls":{"ipRules":[{"value":"10.0.0.0/8"}]}`, "BadRequest", "Invalid value found at properties.networkAcls.ipRules[0].value: 10.0.0.0/8 belongs to forbidden range 10.0.0.0–10.255.255.255 (private IP addresses)"},
		{`"networkAcls":{"virtualNetworkRules":[{"id":"` + subnet + `"}]}`, "VirtualNetworkNotValid", "Error Code: ResourceNotFound. Error Message: The Resource 'Microsoft.Network/virtualNetworks/VNet' under resource group 'rg' was not found."},
	}
	for _, row := range rows {
		r.refused("owner", "PUT", theVault, r.vaultBody(row.more), 400, row.code, row.text)
	}
	noTenant := `{"location":"westeurope","properties":{"sku":{"family":"A","name":"standard"}}}`
	noSKU := `{"location":"westeurope","properties":{"tenantId":"` + tenant + `"}}`
	others := []struct {
		path, body string
		status     int
		code, text string
	}{
		{theVault, `{}`, 400, "LocationRequired", "The location property is required for this definition."},
		{theVault, `{"location":"atlantis","properties":{}}`, 400, "LocationNotAvailableForResourceType", "'atlantis' is not available for resource type 'Microsoft.KeyVault/vaults'"},
		{theVault, `{"location":"westeurope"}`, 400, "BadRequest", "'properties'"},
		{theVault, noTenant, 400, "BadRequest", "An invalid value was provided for 'tenantId'."},
		{theVault, noSKU, 400, "BadRequest", "An invalid value was provided for 'sku'."},
		{theVault + "?api-version=" + older, r.vaultBody(""), 400, "BadRequest", "The parameter accessPolicies is not specified."},
		{theVault + "/accessPolicies/take", `{}`, 400, "BadRequest", "operationKind"},
		{vaultsOf + "/1kv", r.vaultBody(""), 400, "VaultNameNotValid", "The vault name '1kv' is invalid. A vault's name must be between 3-24 alphanumeric characters."},
		{vaultsOf + "/k--v", r.vaultBody(""), 400, "VaultNameNotValid", ""},
		{vaultsOf + "/kv-", r.vaultBody(""), 400, "VaultNameNotValid", ""},
		{vaultsOf + "/kv", r.vaultBody(""), 400, "VaultNameNotValid", ""},
		{vaultsOf + "/k_v", r.vaultBody(""), 400, "VaultNameNotValid", ""},
		{vaultsOf + "/" + strings.Repeat("k", 25), r.vaultBody(""), 400, "VaultNameNotValid", ""},
	}
	for _, row := range others {
		r.refused("owner", "PUT", row.path, row.body, row.status, row.code, row.text)
	}
	if list := r.ok("owner", "GET", vaultsOf, "", 200).items(); len(list) != 0 {
		t.Errorf("%d vaults after refusals alone, want none", len(list))
	}
}

// TestVaultDefaults: what a vault gets that does not say.
func TestVaultDefaults(t *testing.T) {
	r := newRig(t, profile.Azure())
	a := r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	rows := []struct {
		path string
		want any
	}{
		{"id", theVault}, {"name", "kv-one"}, {"type", "Microsoft.KeyVault/vaults"}, {"location", "westeurope"},
		{"tags", map[string]any{}},
		{"properties.networkAcls", map[string]any{"bypass": "AzureServices", "defaultAction": "Allow", "ipRules": []any{}, "virtualNetworkRules": []any{}}},
		{"properties.accessPolicies", []any{}},
		{"properties.enableRbacAuthorization", true},
		{"properties.enableSoftDelete", true},
		{"properties.softDeleteRetentionInDays", 90.0},
		{"properties.enablePurgeProtection", nil},
		{"properties.enabledForDeployment", false},
		{"properties.publicNetworkAccess", "Enabled"},
		{"properties.provisioningState", "Succeeded"},
		{"properties.vaultUri", "https://kv-one.vault.postern.localhost:8443/"},
		{"systemData.createdByType", "Application"},
		{"systemData.createdBy", r.who["owner"].App.String()},
	}
	for _, row := range rows {
		if diff := cmp.Diff(row.want, a.at(row.path)); diff != "" {
			t.Errorf("new vault: %s (-want +got):\n%s", row.path, diff)
		}
	}
	old := r.ok("owner", "PUT", vaultsOf+"/kv-two?api-version="+older, r.vaultBody(`"accessPolicies":[]`), 200)
	if got := old.at("properties.enableRbacAuthorization"); got != nil {
		t.Errorf("new vault with %s: enableRbacAuthorization = %v, want none", older, got)
	}
	// The default is of the creation alone.
	again := r.ok("owner", "PUT", vaultsOf+"/kv-two", r.vaultBody(""), 200)
	if got := again.at("properties.enableRbacAuthorization"); got != nil {
		t.Errorf("PUT again with %s: enableRbacAuthorization = %v, want none", newest, got)
	}
	r.host = "management.azure.com"
	if got := r.ok("owner", "GET", theVault, "", 200).at("properties.vaultUri"); got != "https://kv-one.vault.azure.net/" {
		t.Errorf("vaultUri by the public names = %v", got)
	}
}

func TestDocumentsProfile(t *testing.T) {
	r := newRig(t, profile.Documents())
	a := r.ok("owner", "PUT", theVault+"?api-version="+older, r.vaultBody(`"networkAcls":{"defaultAction":"Deny","bypass":"AzureServices","ipRules":[{"value":"203.0.113.0/24"},{"value":"198.51.100.42"}]}`), 200)
	if a.at("properties.enablePurgeProtection") != true {
		t.Errorf("a new vault has no purge protection: %s", a.text)
	}
	if !strings.Contains(a.text, `"value":"198.51.100.42"`) {
		t.Errorf("a single address is not kept: %s", a.text)
	}
	r.ok("owner", "PUT", theVault, a.text, 200)
	r.refused("owner", "PATCH", theVault, `{"properties":{"networkAcls":{"ipRules":[{"value":"198.51.100.42/32"}]}}}`, 400, "BadRequest", "prefix sizes /31 and /32 are not supported")
	many := strings.Repeat(`{"value":"203.0.113.1"},`, 128)
	r.refused("owner", "PATCH", theVault, `{"properties":{"networkAcls":{"ipRules":[`+strings.TrimSuffix(many, ",")+`]}}}`, 400, "BadRequest", "exceeds the limit of 127")
}

// TestUnknownPropertiesSurvive: what nobody here knows comes back as it was
// sent, through PUT, PATCH and recovery.
func TestUnknownPropertiesSurvive(t *testing.T) {
	r := newRig(t, profile.Azure())
	body := r.vaultBody(`"futureThing":{"x":[1,2.50,{"y":null}],"<&>":"é"},"networkAcls":{"defaultAction":"Deny","futureRules":[{"a":1}],"ipRules":[{"value":"203.0.113.7","note":"office"}]}`)
	body = strings.TrimSuffix(body, "}") + `,"zones":["1"],"tags":{"Team":"a"}}`
	r.ok("owner", "PUT", theVault, body, 201)
	check := func(step string) {
		t.Helper()
		a := r.ok("owner", "GET", theVault, "", 200)
		for _, want := range []string{`"futureThing":{"x":[1,2.50,{"y":null}],"<&>":"é"}`, `"futureRules":[{"a":1}]`, `{"value":"203.0.113.7/32","note":"office"}`, `"zones":["1"]`} {
			if !strings.Contains(a.text, want) {
				t.Errorf("after %s %s is gone: %s", step, want, a.text)
			}
		}
	}
	check("PUT")
	whole := r.ok("owner", "GET", theVault, "", 200).text
	r.ok("owner", "PUT", theVault, whole, 200)
	check("PUT of what GET answered")
	r.ok("owner", "PATCH", theVault, `{"properties":{"networkAcls":{"bypass":"none"}}}`, 200)
	check("PATCH")
	r.ok("owner", "DELETE", theVault, "", 200)
	r.ok("owner", "PUT", theVault, `{"location":"westeurope","tags":{"Team":"b"},"properties":{"createMode":"recover"}}`, 201)
	check("recovery")
}

// TestPutReplacesPatchMerges: the two verbs exactly.
func TestPutReplacesPatchMerges(t *testing.T) {
	r := newRig(t, profile.Azure())
	acls := `"networkAcls":{"defaultAction":"deny","bypass":"NONE","ipRules":[{"value":"203.0.113.0/24"},{"value":"203.0.113.77/24"},{"value":"198.51.100.42"}]}`
	a := r.ok("owner", "PUT", theVault, r.vaultBody(acls+`,"enabledForDeployment":true,"publicNetworkAccess":"disabled","enablePurgeProtection":true,"softDeleteRetentionInDays":7`), 201)
	want := map[string]any{"defaultAction": "Deny", "bypass": "None", "virtualNetworkRules": []any{},
		"ipRules": []any{map[string]any{"value": "203.0.113.0/24"}, map[string]any{"value": "198.51.100.42/32"}}}
	if diff := cmp.Diff(any(want), a.at("properties.networkAcls")); diff != "" {
		t.Errorf("networkAcls (-want +got):\n%s", diff)
	}
	a = r.ok("owner", "PATCH", theVault, `{"tags":{"a":"b"},"properties":{"networkAcls":{"bypass":"AzureServices"},"publicNetworkAccess":"Enabled","enableRbacAuthorization":null,"enabledForDeployment":null}}`, 200)
	want["bypass"] = "AzureServices"
	if diff := cmp.Diff(any(want), a.at("properties.networkAcls")); diff != "" {
		t.Errorf("networkAcls after PATCH (-want +got):\n%s", diff)
	}
	rows := []struct {
		path string
		want any
	}{{"properties.enabledForDeployment", true}, {"properties.enableRbacAuthorization", true}, {"properties.publicNetworkAccess", "Enabled"}, {"tags.a", "b"}}
	for _, row := range rows {
		if got := a.at(row.path); got != row.want {
			t.Errorf("after PATCH %s = %v, want %v", row.path, got, row.want)
		}
	}
	a = r.ok("owner", "PUT", theVault, r.vaultBody(""), 200)
	rows = []struct {
		path string
		want any
	}{
		{"properties.enabledForDeployment", false}, {"properties.networkAcls.defaultAction", "Allow"}, {"tags.a", nil},
		{"properties.enablePurgeProtection", true}, {"properties.softDeleteRetentionInDays", 7.0}, {"properties.enableRbacAuthorization", true},
	}
	for _, row := range rows {
		if got := a.at(row.path); got != row.want {
			t.Errorf("after PUT %s = %v, want %v", row.path, got, row.want)
		}
	}
	r.refused("owner", "PUT", theVault, r.vaultBody(`"softDeleteRetentionInDays":90`), 400, "BadRequest", `The property "softDeleteRetentionInDays" has been set already and it can't be modified.`)
	r.refused("owner", "PATCH", theVault, `{"properties":{"enablePurgeProtection":false}}`, 400, "BadRequest", "irreversible")
	r.refused("owner", "PUT", theVault, strings.Replace(r.vaultBody(""), "westeurope", "eastus", 1), 409, "InvalidResourceLocation", "already exists in location 'westeurope'")
	r.ok("owner", "PUT", theVault, strings.Replace(r.vaultBody(""), "westeurope", "West Europe", 1), 200)
	r.ok("owner", "PUT", theVault, r.vaultBody(`"enableRbacAuthorization":false,"accessPolicies":[]`), 200)
	if a := r.ok("owner", "PATCH", theVault, `{"properties":{}}`, 200); a.at("properties.enableRbacAuthorization") != false {
		t.Errorf("the permission model changed by itself: %s", a.text)
	}
}

// TestTenantChange: entries of another tenant are refused until the vault's
// own tenant is the other one, and then those of the first are.
func TestTenantChange(t *testing.T) {
	r := newRig(t, profile.Azure())
	entry := func(tenant string) string {
		return `"accessPolicies":[{"tenantId":"` + tenant + `","objectId":"55555555-5555-5555-5555-555555555555","permissions":{"Secrets":["Get","LIST"]}}]`
	}
	home, foreign := r.tenant.ID.String(), r.foreign.ID.String()
	r.ok("owner", "PUT", theVault, r.vaultBody(`"enableRbacAuthorization":false,`+entry(home)), 201)
	r.refused("owner", "PATCH", theVault, `{"properties":{`+entry(foreign)+`}}`, 400, "BadRequest", "'accessPolicies'")
	r.refused("owner", "PATCH", theVault, `{"properties":{"tenantId":"`+foreign+`"}}`, 400, "BadRequest", "'accessPolicies'")
	a := r.ok("owner", "PATCH", theVault, `{"properties":{"tenantId":"`+foreign+`",`+entry(foreign)+`}}`, 200)
	if !strings.Contains(a.text, `"permissions":{"secrets":["Get","LIST"]}`) {
		t.Errorf("permissions are not as they were written: %s", a.text)
	}
	v, _ := r.estate.Snapshot().Vault("kv-one")
	if v.Rules.Tenant != r.foreign.ID || len(v.Rules.Policies) != 1 || len(v.Rules.Policies[0].Secrets) != 2 {
		t.Errorf("compiled rules = %+v, want the other tenant's", v.Rules)
	}
}

func TestAccessPolicyChanges(t *testing.T) {
	r := newRig(t, profile.Azure())
	const one, two = "55555555-5555-5555-5555-555555555551", "55555555-5555-5555-5555-555555555552"
	body := func(object, words string) string {
		return `{"properties":{"accessPolicies":[{"tenantId":"` + r.tenant.ID.String() + `","objectId":"` + object + `","permissions":{"secrets":[` + words + `]}}]}}`
	}
	r.ok("owner", "PUT", theVault, r.vaultBody(`"enableRbacAuthorization":false,"accessPolicies":[]`), 201)
	rows := []struct{ change, object, words, want string }{
		{"add", one, `"get"`, one + ":get"},
		{"add", one, `"list","GET"`, one + ":get,list"},
		{"add", two, `"all"`, one + ":get,list " + two + ":all"},
		{"replace", one, `"set"`, one + ":set " + two + ":all"},
		{"remove", two, `"purge"`, one + ":set " + two + ":get,list,set,delete,backup,restore,recover"},
		{"remove", two, `"all"`, one + ":set"},
		{"remove", two, `"get"`, one + ":set"},
		{"remove", one, ``, ""},
	}
	for _, row := range rows {
		a := r.ok("owner", "PUT", theVault+"/accessPolicies/"+row.change, body(row.object, row.words), 200)
		if a.at("type") != "Microsoft.KeyVault/vaults/accessPolicies" {
			t.Errorf("%s answers %s", row.change, a.text)
		}
		if got := shown(r.ok("owner", "GET", theVault, "", 200)); got != row.want {
			t.Errorf("%s %s of %s = %q, want %q", row.change, row.words, row.object, got, row.want)
		}
	}
	r.refused("owner", "PUT", theVault+"/accessPolicies/add", `{"properties":{}}`, 400, "BadRequest", "accessPolicies is not specified")
	r.refused("owner", "PUT", vaultsOf+"/other/accessPolicies/add", body(one, `"get"`), 404, "ResourceNotFound", "vaults/other")
	r.refused("reader", "PUT", theVault+"/accessPolicies/add", body(one, `"get"`), 403, "AuthorizationFailed", "Microsoft.KeyVault/vaults/accessPolicies/write")
}

// shown is the access policies of a vault in short.
func shown(a answer) string {
	list, _ := a.at("properties.accessPolicies").([]any)
	var out []string
	for _, item := range list {
		entry := answer{body: item.(map[string]any)}
		var words []string
		for _, w := range entry.at("permissions.secrets").([]any) {
			words = append(words, w.(string))
		}
		out = append(out, fmt.Sprint(entry.at("objectId"), ":", strings.Join(words, ",")))
	}
	return strings.Join(out, " ")
}

// TestSubnetRules: a rule for a subnet that is not known needs the flag, and
// stays without it afterwards.
func TestSubnetRules(t *testing.T) {
	r := newRig(t, profile.Azure())
	rule := `{"properties":{"networkAcls":{"virtualNetworkRules":[{"id":"` + subnet + `"%s}]}}}`
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.refused("owner", "PATCH", theVault, fmt.Sprintf(rule, ""), 400, "VirtualNetworkNotValid", "Operation on Virtual Network could not be performed. StatusCode: 404 (NotFound). Error Code: ResourceNotFound.")
	a := r.ok("owner", "PATCH", theVault, fmt.Sprintf(rule, `,"ignoreMissingVnetServiceEndpoint":true`), 200)
	if want := `"virtualNetworkRules":[{"id":"` + strings.ToLower(subnet) + `"}]`; !strings.Contains(a.text, want) {
		t.Errorf("the rule is not %s: %s", want, a.text)
	}
	r.ok("owner", "PATCH", theVault, fmt.Sprintf(rule, ""), 200)
	for _, id := range []string{"", "/", "subnet", subnet + "/x", inGroup + "/providers/Microsoft.Network/virtualNetworks//subnets/a", strings.Replace(subnet, "App", "..", 1)} {
		raw, _ := json.Marshal(id)
		r.refused("owner", "PATCH", theVault, `{"properties":{"networkAcls":{"virtualNetworkRules":[{"id":`+string(raw)+`}]}}}`, 400, "BadRequest", "virtualNetworkRules[0].id")
	}
}

func TestNames(t *testing.T) {
	r := newRig(t, profile.Azure())
	check := func(name string) answer {
		return r.ok("owner", "POST", inSub+"/providers/Microsoft.KeyVault/checkNameAvailability", `{"name":"`+name+`","type":"Microsoft.KeyVault/vaults"}`, 200)
	}
	r.ok("owner", "PUT", inSub+"/resourceGroups/rg2", `{"location":"westeurope"}`, 201)
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	elsewhere := strings.Replace(theVault, "/rg/", "/rg2/", 1)
	r.refused("owner", "PUT", strings.ToUpper(elsewhere), r.vaultBody(""), 409, "VaultAlreadyExists", "is already in use. Vault names are globally unique so it is possible that the name is already taken.")
	rows := []struct{ name, reason string }{{"KV-one", "AlreadyExists"}, {"1kv", "AccountNameInvalid"}, {"kv-free", ""}}
	for _, row := range rows {
		a := check(row.name)
		if got, _ := a.at("reason").(string); got != row.reason || a.at("nameAvailable") != (row.reason == "") {
			t.Errorf("checkNameAvailability(%s) = %s, want reason %q", row.name, a.text, row.reason)
		}
	}
	r.ok("owner", "DELETE", theVault, "", 200)
	r.refused("owner", "PUT", theVault, r.vaultBody(""), 409, "ConflictError", "A vault with the same name already exists in deleted state. You need to either recover or purge existing key vault.")
	r.refused("owner", "PUT", elsewhere, r.vaultBody(""), 409, "ConflictError", "deleted state")
	if check("kv-one").at("reason") != "AlreadyExists" {
		t.Error("the name of a deleted vault is called free")
	}
	// When its time has come, the name is free even before the next sweep.
	r.pass(90 * 24 * time.Hour)
	r.principal("late", r.tenant)
	r.grant("late", "Owner", inSub)
	r.refused("late", "GET", inSub+"/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv-one", "", 404, "DeletedVaultNotFound", "")
	r.ok("late", "PUT", elsewhere, r.vaultBody(""), 201)
	r.refused("late", "GET", theVault, "", 404, "ResourceNotFound", "")
}

func TestDeletedVaults(t *testing.T) {
	r := newRig(t, profile.Azure())
	const deleted = inSub + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv-one"
	r.ok("owner", "DELETE", theVault, "", 204)
	r.ok("owner", "PUT", theVault, strings.TrimSuffix(r.vaultBody(`"softDeleteRetentionInDays":10`), "}")+`,"tags":{"a":"b"}}`, 201)
	r.ok("owner", "PUT", theVault+"/secrets/s", `{"properties":{"value":"planted-secret-1"}}`, 201)
	r.grant("stranger", "Key Vault Secrets User", theVault)
	r.grant("stranger", "Key Vault Secrets User", theVault+"/secrets/s")
	gone := r.ok("owner", "DELETE", theVault, "", 200)
	if gone.text != "" || !strings.Contains(gone.header.Get("x-ms-operation-identifier"), r.tenant.ID.String()) {
		t.Errorf("DELETE = %q %v", gone.text, gone.header)
	}
	r.refused("owner", "GET", theVault, "", 404, "ResourceNotFound", "")
	r.refused("owner", "GET", theVault+"/secrets/s", "", 404, "ResourceNotFound", "")
	want := map[string]any{"vaultId": theVault, "location": "westeurope", "tags": map[string]any{"a": "b"},
		"deletionDate": "2026-11-22T12:00:00Z", "scheduledPurgeDate": "2026-12-02T12:00:00Z"}
	if diff := cmp.Diff(any(want), r.ok("owner", "GET", strings.Replace(deleted, "westeurope", "West%20Europe", 1), "", 200).at("properties")); diff != "" {
		t.Errorf("deleted vault (-want +got):\n%s", diff)
	}
	r.refused("owner", "GET", strings.Replace(deleted, "westeurope", "eastus", 1), "", 404, "DeletedVaultNotFound", "")
	if list := r.ok("owner", "GET", inSub+"/providers/Microsoft.KeyVault/deletedVaults", "", 200).items(); len(list) != 1 {
		t.Errorf("%d deleted vaults, want 1", len(list))
	}
	// Recovery: everything but tags and role assignments.
	r.refused("owner", "PUT", theVault, `{"location":"eastus","properties":{"createMode":"recover"}}`, 409, "InvalidResourceLocation", "")
	a := r.ok("owner", "PUT", theVault, `{"location":"westeurope","properties":{"createMode":"Recover"}}`, 201)
	if diff := cmp.Diff(any(map[string]any{}), a.at("tags")); diff != "" || a.at("properties.softDeleteRetentionInDays") != 10.0 {
		t.Errorf("recovered = %s", a.text)
	}
	r.ok("owner", "PUT", theVault, `{"location":"westeurope","properties":{"createMode":"recover"}}`, 200)
	r.ok("owner", "GET", theVault+"/secrets/s", "", 200)
	v, _ := r.estate.Snapshot().Vault("kv-one")
	if n := len(v.Rules.Assignments); n != 3 {
		t.Errorf("%d assignments reach the recovered vault, want the 3 from above it", n)
	}
	// Purge: 202, a URL to poll, and nothing left.
	r.ok("owner", "DELETE", theVault, "", 200)
	r.refused("contributor", "POST", strings.Replace(deleted, "kv-one", "kv-two", 1)+"/purge", "", 404, "DeletedVaultNotFound", "")
	purge := r.ok("owner", "POST", deleted+"/purge", "", 202)
	location := strings.TrimPrefix(purge.header.Get("Location"), "https://"+privateARM)
	if !strings.HasPrefix(location, inSub+"/providers/Microsoft.KeyVault/locations/westeurope/operationResults/") || purge.header.Get("Retry-After") == "" {
		t.Errorf("Location = %q, Retry-After = %q", location, purge.header.Get("Retry-After"))
	}
	if got := r.ok("owner", "GET", location, "", 200).at("status"); got != "Succeeded" {
		t.Errorf("status of the purge = %v, want Succeeded", got)
	}
	r.refused("owner", "GET", deleted, "", 404, "DeletedVaultNotFound", "")
	r.empty(v.Resource.UID)
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.refused("owner", "GET", theVault+"/secrets/s", "", 404, "SecretNotFound", "")
	r.grep("planted-secret-1")
}

// empty fails when the space of a vault still holds something.
func (r *rig) empty(uid string) {
	r.t.Helper()
	for _, prefix := range []string{admission.Prefix(uid), "garbage/"} {
		if items := must(r.store.Range(context.Background(), prefix, "", 0)); len(items) > 0 {
			r.t.Errorf("%d items are left under %s", len(items), prefix)
		}
	}
}

func TestPurgeProtection(t *testing.T) {
	r := newRig(t, profile.Azure())
	const deleted = inSub + "/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv-one"
	r.ok("owner", "PUT", theVault, r.vaultBody(`"enablePurgeProtection":true,"softDeleteRetentionInDays":7`), 201)
	r.ok("owner", "PUT", theVault+"/secrets/s", `{"properties":{"value":"v"}}`, 201)
	v, _ := r.estate.Snapshot().Vault("kv-one")
	r.ok("owner", "DELETE", theVault, "", 200)
	if got := r.ok("owner", "GET", deleted, "", 200).at("properties.purgeProtectionEnabled"); got != true {
		t.Errorf("purgeProtectionEnabled = %v, want true", got)
	}
	r.refused("owner", "POST", deleted+"/purge", "", 405, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.")
	ctx := context.Background()
	if err := keyvault.Sweep(ctx, r.estate, r.admission, r.now().AddDate(0, 0, 7).Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	r.ok("owner", "GET", deleted, "", 200)
	before := len(r.records())
	if err := keyvault.Sweep(ctx, r.estate, r.admission, r.now().AddDate(0, 0, 7)); err != nil {
		t.Fatal(err)
	}
	r.refused("owner", "GET", deleted, "", 404, "DeletedVaultNotFound", "")
	r.empty(v.Resource.UID)
	if rec := r.records()[before]; rec.OperationName != "VaultPurge" || rec.ResourceID == "" {
		t.Errorf("the purge is recorded as %+v", rec)
	}
}
