package arm_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/access"
	"postern/internal/profile"
	"postern/internal/roles"
)

func TestResourceGroups(t *testing.T) {
	r := newRig(t, profile.Azure())
	other := inSub + "/resourceGroups/Other"
	r.ok("owner", "HEAD", other, "", 404)
	r.refused("owner", "GET", other, "", 404, "ResourceGroupNotFound", "Resource group 'Other' could not be found.")
	a := r.ok("owner", "PUT", strings.Replace(other, "resourceGroups", "resourcegroups", 1), `{"location":"West Europe","tags":{"a":"b"}}`, 201)
	if a.at("id") != other || a.at("location") != "westeurope" || a.at("properties.provisioningState") != "Succeeded" || a.at("type") != "Microsoft.Resources/resourceGroups" {
		t.Errorf("PUT = %s", a.text)
	}
	r.ok("owner", "HEAD", other, "", 204)
	r.ok("owner", "PUT", strings.ToUpper(other), `{"location":"westeurope"}`, 200)
	r.refused("owner", "PUT", other, `{"location":"eastus"}`, 409, "InvalidResourceGroupLocation", "westeurope")
	r.refused("owner", "PUT", inSub+"/resourceGroups/a%2Ab", `{"location":"eastus"}`, 400, "InvalidResourceGroup", "a*b")
	r.refused("owner", "PUT", other, `{}`, 400, "LocationRequired", "")
	r.refused("owner", "PUT", other, `{"location":"x"}`, 400, "LocationNotAvailableForResourceGroup", "")
	if a := r.ok("owner", "PATCH", other, `{"tags":{"c":"d"}}`, 200); a.at("tags.c") != "d" {
		t.Errorf("PATCH = %s", a.text)
	}
	if a := r.ok("owner", "PATCH", other, `{}`, 200); a.at("tags.c") != "d" {
		t.Errorf("PATCH without tags = %s", a.text)
	}
	rows := []struct{ who, filter, want string }{
		{"owner", "", "Other rg"},
		{"owner", "tagName eq 'C' and tagValue eq 'd'", "Other"},
		{"owner", "name eq 'RG'", "rg"},
		{"reader", "", "rg"},
	}
	for _, row := range rows {
		a := r.ok(row.who, "GET", inSub+"/resourceGroups?$filter="+url.QueryEscape(row.filter), "", 200)
		if got := namesOf(a); got != row.want {
			t.Errorf("groups for %s with %q = %q, want %q", row.who, row.filter, got, row.want)
		}
	}
	r.refused("stranger", "GET", inSub+"/resourceGroups", "", 403, "AuthorizationFailed", "")
	r.refused("reader", "DELETE", inGroup, "", 403, "AuthorizationFailed", "Microsoft.Resources/subscriptions/resourceGroups/delete")
}

func namesOf(a answer) string {
	var got []string
	for _, item := range a.items() {
		name, _ := item["name"].(string)
		got = append(got, name)
	}
	return strings.Join(got, " ")
}

// TestDeletingAGroup: vaults are soft-deleted and can come back, role
// assignments cannot.
func TestDeletingAGroup(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.grant("stranger", "Reader", theVault)
	r.ok("owner", "DELETE", inGroup, "", 200)
	r.ok("owner", "HEAD", inGroup, "", 404)
	r.refused("owner", "GET", theVault, "", 404, "ResourceGroupNotFound", "")
	if list := r.ok("owner", "GET", inSub+"/providers/Microsoft.KeyVault/deletedVaults", "", 200).items(); len(list) != 1 {
		t.Errorf("%d deleted vaults, want 1", len(list))
	}
	recover := `{"location":"westeurope","properties":{"createMode":"recover"}}`
	r.refused("owner", "PUT", theVault, recover, 404, "ResourceGroupNotFound", "")
	r.ok("owner", "PUT", inGroup, `{"location":"westeurope"}`, 201)
	r.ok("owner", "PUT", theVault, recover, 201)
	r.refused("stranger", "GET", theVault, "", 403, "AuthorizationFailed", "")
	r.refused("reader", "GET", theVault, "", 403, "AuthorizationFailed", "")
}

func TestSubscriptionsAndTenants(t *testing.T) {
	r := newRig(t, profile.Azure())
	rows := []struct{ who, want string }{{"owner", sub}, {"reader", sub}, {"stranger", ""}, {"foreigner", ""}}
	for _, row := range rows {
		a := r.ok(row.who, "GET", "/subscriptions", "", 200)
		got := ""
		for _, item := range a.items() {
			got += item["subscriptionId"].(string)
		}
		if got != row.want {
			t.Errorf("subscriptions of %s = %q, want %q", row.who, got, row.want)
		}
	}
	want := map[string]any{"id": inSub, "authorizationSource": "RoleBased", "managedByTenants": []any{}, "subscriptionId": sub, "tenantId": r.tenant.ID.String(),
		"displayName": "Test", "state": "Enabled", "subscriptionPolicies": map[string]any{"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"}}
	if diff := cmp.Diff(want, r.ok("owner", "GET", inSub, "", 200).body); diff != "" {
		t.Errorf("subscription (-want +got):\n%s", diff)
	}
	tenants := r.ok("foreigner", "GET", "/tenants", "", 200).items()
	if len(tenants) != 1 || tenants[0]["tenantId"] != r.foreign.ID.String() {
		t.Errorf("tenants of the foreigner = %v, want its own", tenants)
	}
	locations := r.ok("owner", "GET", inSub+"/locations", "", 200)
	if !strings.Contains(locations.text, `"name":"westeurope","type":"Region","displayName":"West Europe"`) || !strings.Contains(locations.text, `"geography":"United Kingdom"`) {
		t.Errorf("locations = %.300s", locations.text)
	}
}

func TestResources(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", inSub+"/resourceGroups/rg2", `{"location":"westeurope"}`, 201)
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.ok("owner", "PUT", strings.NewReplacer("/rg/", "/rg2/", "one", "two").Replace(theVault), r.vaultBody(""), 201)
	rows := []struct{ who, path, filter, want string }{
		{"owner", inSub, "resourceType eq 'Microsoft.KeyVault/vaults'", "kv-one kv-two"},
		{"owner", inSub, "resourceType eq 'microsoft.keyvault/VAULTS' and name eq 'KV-two'", "kv-two"},
		{"owner", inSub, "resourceGroup eq 'RG2'", "kv-two"},
		{"owner", inSub, "name eq 'kv-one' or (name eq 'kv-two' and resourceGroup eq 'rg')", "kv-one"},
		{"owner", inSub, "resourceType eq 'Microsoft.Network/virtualNetworks'", ""},
		{"owner", inGroup, "", "kv-one"},
		{"reader", inSub, "", "kv-one"},
	}
	for _, row := range rows {
		a := r.ok(row.who, "GET", row.path+"/resources?api-version=2015-11-01&$filter="+url.QueryEscape(row.filter), "", 200)
		if got := namesOf(a); got != row.want {
			t.Errorf("%s/resources of %s with %q = %q, want %q", row.path, row.who, row.filter, got, row.want)
		}
	}
	a := r.ok("owner", "GET", inGroup+"/resources?$expand=createdTime,provisioningState", "", 200)
	if !strings.Contains(a.text, `"createdTime":"2026-11-22T12:00:00.0000000Z","provisioningState":"Succeeded"`) {
		t.Errorf("$expand = %s", a.text)
	}
	r.refused("stranger", "GET", inSub+"/resources", "", 403, "AuthorizationFailed", "Microsoft.Resources/subscriptions/resources/read")
}

func TestProviders(t *testing.T) {
	r := newRig(t, profile.Azure())
	a := r.ok("owner", "GET", inSub+"/providers/microsoft.keyvault", "", 200)
	if a.at("registrationState") != "Registered" || !strings.Contains(a.text, `"resourceType":"vaults"`) || !strings.Contains(a.text, `"apiVersions":["2026-02-01",`) {
		t.Errorf("provider = %.300s", a.text)
	}
	r.ok("owner", "POST", inSub+"/providers/Microsoft.KeyVault/register", "", 200)
	r.refused("reader", "POST", inSub+"/providers/Microsoft.KeyVault/register", "", 403, "AuthorizationFailed", "Microsoft.KeyVault/register/action")
	r.refused("owner", "GET", inSub+"/providers/No.Such", "", 404, "InvalidResourceNamespace", "")
	if n := len(r.ok("stranger", "GET", "/providers", "", 200).items()); n != 4 {
		t.Errorf("%d providers, want 4", n)
	}
}

// assignmentPath is the path of an assignment with a new name.
func assignmentPath(scope, name string) string {
	return strings.TrimRight(scope, "/") + "/providers/Microsoft.Authorization/roleAssignments/" + name
}

// assignmentBody is the body of one.
func assignmentBody(role, principal, more string) string {
	d, _ := roles.ByRoleName(role)
	return `{"properties":{"roleDefinitionId":"` + inSub + d.ID() + `","principalId":"` + principal + `"` + more + `}}`
}

func TestRoleDefinitions(t *testing.T) {
	r := newRig(t, profile.Azure())
	list := theVault + "/providers/Microsoft.Authorization/roleDefinitions"
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	a := r.ok("owner", "GET", list+"?$filter="+url.QueryEscape("roleName eq 'Key Vault Secrets User'"), "", 200)
	if len(a.items()) != 1 || a.items()[0]["id"] != inSub+"/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6" {
		t.Errorf("by name = %s", a.text)
	}
	if n := len(r.ok("owner", "GET", list, "", 200).items()); n != len(roles.All()) {
		t.Errorf("%d definitions, want %d", n, len(roles.All()))
	}
	r.ok("stranger", "GET", "/providers/Microsoft.Authorization/roleDefinitions?$filter="+url.QueryEscape("type eq 'BuiltInRole'"), "", 200)
	one := r.ok("owner", "GET", list+"/4633458B-17DE-408a-b874-0445c86b69e6", "", 200)
	if one.at("properties.roleName") != "Key Vault Secrets User" {
		t.Errorf("by id = %s", one.text)
	}
	r.refused("owner", "GET", list+"/00000000-0000-0000-0000-00000000000a", "", 404, "RoleDefinitionDoesNotExist", "The specified role definition with ID '0000000000000000000000000000000a' does not exist.")
	r.refused("stranger", "GET", list, "", 403, "AuthorizationFailed", "Microsoft.Authorization/roleDefinitions/read")
}

func TestRoleAssignments(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	stranger := r.who["stranger"].Object.String()
	name := newGUID()
	body := assignmentBody("Key Vault Secrets User", stranger, `,"principalType":"serviceprincipal"`)
	a := r.ok("owner", "PUT", assignmentPath(theVault, name), body, 201)
	rows := []struct {
		path string
		want any
	}{
		{"properties.scope", theVault}, {"properties.principalId", stranger}, {"properties.principalType", "ServicePrincipal"},
		{"properties.roleDefinitionId", inSub + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"},
		{"name", name}, {"id", assignmentPath(theVault, name)}, {"type", "Microsoft.Authorization/roleAssignments"},
	}
	for _, row := range rows {
		if got := a.at(row.path); got != row.want {
			t.Errorf("assignment %s = %v, want %v", row.path, got, row.want)
		}
	}
	v, _ := r.estate.Snapshot().Vault("kv-one")
	if n := len(v.Rules.Assignments); n != 4 {
		t.Errorf("%d assignments reach the vault, want 4", n)
	}
	r.refused("owner", "PUT", assignmentPath(theVault, newGUID()), body, 409, "RoleAssignmentExists", "The role assignment already exists. The ID of the existing role assignment is "+strings.ReplaceAll(name, "-", "")+".")
	r.ok("owner", "PUT", assignmentPath(theVault, name), body, 200)
	r.ok("owner", "PUT", assignmentPath(theVault, name)+"?api-version=2020-04-01-preview", body, 201)
	r.refused("owner", "PUT", assignmentPath(theVault, name), assignmentBody("Reader", stranger, ""), 400, "RoleAssignmentUpdateNotPermitted", "are not allowed to be updated")
	if got := r.ok("owner", "GET", assignmentPath(theVault, strings.ToUpper(name)), "", 200).at("name"); got != name {
		t.Errorf("GET by id = %v, want %v", got, name)
	}
	if got := r.ok("owner", "DELETE", assignmentPath(theVault, name), "", 200).at("name"); got != name {
		t.Errorf("DELETE = %v, want %v", got, name)
	}
	r.ok("owner", "DELETE", assignmentPath(theVault, name), "", 204)
	r.refused("owner", "GET", assignmentPath(theVault, name), "", 404, "RoleAssignmentNotFound", "")
	if v, _ := r.estate.Snapshot().Vault("kv-one"); len(v.Rules.Assignments) != 3 {
		t.Errorf("%d assignments reach the vault after the deletion, want 3", len(v.Rules.Assignments))
	}
}

func TestRoleAssignmentRefusals(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	stranger, nobody := r.who["stranger"].Object.String(), "77777777-7777-7777-7777-777777777777"
	good := assignmentBody("Reader", stranger, "")
	rows := []struct {
		who, scope, name, body string
		status                 int
		code, text             string
	}{
		{"owner", theVault, "mine", good, 400, "InvalidRoleAssignmentId", "must be a GUID"},
		{"owner", theVault, newGUID(), `{}`, 400, "InvalidRequestContent", "'properties' is required"},
		{"owner", theVault, newGUID(), assignmentBody("Reader", stranger, `,"condition":"@Resource[x:y] StringEquals 'z'"`), 400, "InvalidRoleAssignmentConditionVersion", "must be '2.0'"},
		{"owner", theVault, newGUID(), assignmentBody("Reader", stranger, `,"condition":"@Resource[x:y] Equals 'z'","conditionVersion":"2.0"`), 400, "InvalidRoleAssignmentCondition", "expected an operator"},
		{"owner", theVault, newGUID(), assignmentBody("Reader", stranger, `,"conditionVersion":"2.0"`), 400, "InvalidRoleAssignmentCondition", "needs the property"},
		{"owner", theVault, newGUID(), assignmentBody("Reader", stranger, `,"CONDITION":{}`), 400, "InvalidRequestContent", ""},
		{"owner", theVault, newGUID(), assignmentBody("Reader", "bob", ""), 400, "InvalidPrincipalId", ""},
		{"owner", theVault, newGUID(), strings.Replace(good, "acdd72a7", "acdd72a8", 1), 400, "RoleDefinitionDoesNotExist", "does not exist"},
		{"owner", theVault, newGUID(), assignmentBody("Reader", nobody, ""), 400, "PrincipalNotFound", "Principal " + strings.ReplaceAll(nobody, "-", "") + " does not exist in the directory " + r.tenant.ID.String()},
		{"owner", theVault, newGUID(), assignmentBody("Reader", stranger, `,"principalType":"Robot"`), 400, "InvalidRequestContent", "'Robot'"},
		{"owner", vaultsOf + "/none", newGUID(), good, 404, "ResourceNotFound", ""},
		{"owner", theVault + "/things/x", newGUID(), good, 404, "ResourceNotFound", ""},
		{"owner", "/", newGUID(), good, 403, "AuthorizationFailed", "over scope '/'"},
		{"contributor", theVault, newGUID(), good, 403, "AuthorizationFailed", "Microsoft.Authorization/roleAssignments/write"},
		{"contributor", theVault, "mine", `{}`, 403, "AuthorizationFailed", ""},
		{"reader", inGroup, newGUID(), good, 403, "AuthorizationFailed", ""},
	}
	for _, row := range rows {
		r.refused(row.who, "PUT", assignmentPath(row.scope, row.name), row.body, row.status, row.code, row.text)
	}
	r.ok("owner", "PUT", assignmentPath(theVault, newGUID()), assignmentBody("Reader", nobody, `,"principalType":"User"`), 201)
	r.ok("owner", "PUT", assignmentPath(theVault+"/secrets/not-there", newGUID()), good, 201)
}

// TestListsOfAssignments: at a scope and above it with atScope(), below it
// too without.
func TestListsOfAssignments(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.grant("stranger", "Key Vault Secrets User", theVault)
	r.grant("stranger", "Key Vault Reader", theVault+"/secrets/s")
	stranger := r.who["stranger"].Object.String()
	rows := []struct {
		scope, filter string
		want          int
	}{
		{inSub, "", 5},
		{inSub, "atScope()", 2},
		{inGroup, "atScope()", 3},
		{theVault, "atScope()", 4},
		{theVault, "", 5},
		{theVault + "/secrets/s", "atScope()", 5},
		{theVault + "/secrets/other", "atScope()", 4},
		{inSub, "principalId eq '" + stranger + "'", 2},
		{inSub, "principalId eq '{" + strings.ToUpper(stranger) + "}'", 2},
		{theVault, "atScope() and assignedTo('" + stranger + "')", 1},
	}
	for _, row := range rows {
		a := r.ok("owner", "GET", row.scope+"/providers/Microsoft.Authorization/roleAssignments?$filter="+url.QueryEscape(row.filter), "", 200)
		if got := len(a.items()); got != row.want {
			t.Errorf("assignments at %s with %q = %d, want %d", row.scope, row.filter, got, row.want)
		}
		for _, item := range a.items() {
			if (answer{body: item}).at("properties.scope") == nil {
				t.Errorf("an assignment without properties.scope: %v", item)
			}
		}
	}
	r.refused("stranger", "GET", inSub+"/providers/Microsoft.Authorization/roleAssignments", "", 403, "AuthorizationFailed", "roleAssignments/read")
	r.groups = map[access.GUID][]access.GUID{r.who["contributor"].Object: {r.who["stranger"].Object}}
	for filter, want := range map[string]int{"assignedTo('": 2, "principalId eq '": 1} {
		filter += r.who["contributor"].Object.String() + "'" + strings.Repeat(")", strings.Count(filter, "("))
		a := r.ok("owner", "GET", theVault+"/providers/Microsoft.Authorization/roleAssignments?$filter="+url.QueryEscape("atScope() and "+filter), "", 200)
		if got := len(a.items()); got != want {
			t.Errorf("assignments with %q, one of them a group's = %d, want %d", filter, got, want)
		}
	}
}

// TestDataAccessAdministrator: the role assigns what its condition lists,
// and nothing else.
func TestDataAccessAdministrator(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.principal("delegate", r.tenant)
	r.grant("delegate", "Key Vault Data Access Administrator", theVault)
	stranger := r.who["stranger"].Object.String()
	name := newGUID()
	rows := []struct {
		method, scope, name, body string
		status                    int
	}{
		{"PUT", theVault, name, assignmentBody("Key Vault Secrets User", stranger, ""), 201},
		{"PUT", theVault, newGUID(), assignmentBody("Owner", stranger, ""), 403},
		{"PUT", theVault, newGUID(), assignmentBody("Key Vault Contributor", stranger, ""), 403},
		{"PUT", theVault, newGUID(), assignmentBody("Key Vault Certificate User", stranger, ""), 403},
		{"PUT", theVault, newGUID(), assignmentBody("Key Vault Data Access Administrator", stranger, ""), 403},
		{"PUT", theVault, newGUID(), `{}`, 403},
		{"PUT", inGroup, newGUID(), assignmentBody("Key Vault Secrets User", stranger, ""), 403},
		{"PUT", theVault + "/secrets/s", newGUID(), assignmentBody("Key Vault Reader", stranger, ""), 201},
		{"DELETE", theVault, newGUID(), "", 403},
		{"DELETE", theVault, name, "", 200},
	}
	for _, row := range rows {
		if a := r.do("delegate", row.method, assignmentPath(row.scope, row.name), row.body); a.status != row.status {
			t.Errorf("%s %s %.120s = %d %s, want %d", row.method, row.scope, row.body, a.status, a.text, row.status)
		}
	}
	owner := r.ok("owner", "PUT", assignmentPath(theVault, newGUID()), assignmentBody("Owner", stranger, ""), 201)
	r.refused("delegate", "DELETE", owner.at("id").(string), "", 403, "AuthorizationFailed", "roleAssignments/delete")
}
