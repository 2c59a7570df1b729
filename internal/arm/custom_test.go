package arm_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/profile"
)

const (
	managedGroups = "/providers/Microsoft.Management/managementGroups"
	definitions   = "/providers/Microsoft.Authorization/roleDefinitions/"
	uploader      = "0aaaaaaa-0000-4000-8000-000000000001"
)

// root gives a principal a role at the tenant's root.
func (r *rig) root(name, role string) {
	r.grant(name, role, estate.Place(r.who[name].Tenant, "/"))
}

func customBody(name, scopes, blocks string) string {
	return fmt.Sprintf(`{"properties":{"roleName":%q,"description":"d","type":"CustomRole","assignableScopes":[%s],"permissions":[%s]}}`, name, scopes, blocks)
}

func assignCustom(role, principal string) string {
	return `{"properties":{"roleDefinitionId":"` + inSub + definitions + role + `","principalId":"` + principal + `"}}`
}

// allowed reports whether a principal may do something at a scope.
func (r *rig) allowed(who, action, scope string) bool {
	p := r.who[who]
	caller := &access.Caller{Token: access.TokenValid, Tenant: p.Tenant, Object: p.Object}
	return r.estate.Snapshot().Authority().Authorize(caller, action, estate.Place(p.Tenant, scope)).Allowed()
}

func TestCustomRoleIsAssigned(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(`"enableRbacAuthorization":true`), 201)
	body := customBody("Tagger", `"`+inSub+`"`, `{"actions":["Microsoft.KeyVault/vaults/*"],"notActions":["*/delete"],"dataActions":["Microsoft.KeyVault/vaults/secrets/*"]},{"actions":["Microsoft.KeyVault/vaults/delete"]}`)
	a := r.ok("owner", "PUT", inSub+definitions+uploader, body, 201)
	if a.at("id") != inSub+definitions+uploader || a.at("properties.type") != "CustomRole" || a.at("properties.createdBy") != r.who["owner"].Object.String() {
		t.Errorf("PUT = %s", a.text)
	}
	stranger := r.who["stranger"].Object.String()
	assignment := assignmentPath(inGroup, newGUID())
	r.ok("owner", "PUT", assignment, assignCustom(uploader, stranger), 201)
	for _, row := range []struct {
		action string
		want   bool
	}{{"Microsoft.KeyVault/vaults/write", true}, {"Microsoft.KeyVault/vaults/delete", true}, {"Microsoft.KeyVault/vaults/x/delete", false}, {"Microsoft.Resources/x/read", false}} {
		if got := r.allowed("stranger", row.action, theVault); got != row.want {
			t.Errorf("%s by the custom role = %v, want %v", row.action, got, row.want)
		}
	}
	v, _ := r.estate.Snapshot().Vault("kv-one")
	found := false
	for _, a := range v.Rules.Assignments {
		found = found || a.Principal.String() == stranger && len(a.Role.DataActions) == 1
	}
	if !found {
		t.Errorf("the vault has %+v, want the custom role among them", v.Rules.Assignments)
	}
	r.refused("owner", "DELETE", inSub+definitions+uploader, "", 400, "RoleDefinitionHasAssignments", "There are existing role assignments referencing role.")
	other := customBody("Tagger", `"`+inSub+`/resourceGroups/else"`, `{"actions":["*/read"]}`)
	r.ok("owner", "PUT", inSub+"/resourceGroups/else", `{"location":"westeurope"}`, 201)
	r.refused("owner", "PUT", inSub+definitions+uploader, other, 400, "RoleDefinitionHasAssignments", "")
	r.ok("owner", "PUT", inSub+definitions+uploader, customBody("Tagger", `"`+inGroup+`"`, `{"actions":["*/read"]}`), 201)
	if r.allowed("stranger", "Microsoft.KeyVault/vaults/write", theVault) || !r.allowed("stranger", "Microsoft.KeyVault/vaults/read", theVault) {
		t.Error("the changed role allows what it did before")
	}
	r.refused("owner", "PUT", assignmentPath(inSub, newGUID()), assignCustom(uploader, stranger), 400, "RoleDefinitionDoesNotExist", "")
	r.ok("owner", "DELETE", assignment, "", 200)
	r.ok("owner", "DELETE", inSub+definitions+uploader, "", 200)
	r.ok("owner", "DELETE", inSub+definitions+uploader, "", 204)
	r.refused("owner", "GET", inSub+definitions+uploader, "", 404, "RoleDefinitionDoesNotExist", "")
}

func TestCustomRolesAreChecked(t *testing.T) {
	r := newRig(t, profile.Azure())
	here := `"` + inSub + `"`
	read := `{"actions":["*/read"]}`
	r.ok("owner", "PUT", inSub+definitions+uploader, customBody("One", here, read), 201)
	rows := []struct {
		who, name, body string
		status          int
		code            string
	}{
		{"owner", "mine", customBody("Two", here, read), 400, "InvalidRoleDefinitionId"},
		{"owner", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", customBody("Two", here, read), 403, "RoleDefinitionBuiltInUpdateNotPermitted"},
		{"owner", newGUID(), `{}`, 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody("", here, read), 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody(strings.Repeat("x", 513), here, read), 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody("one", here, read), 409, "RoleDefinitionWithSameNameExists"},
		{"owner", newGUID(), customBody("Key Vault Reader", here, read), 409, "RoleDefinitionWithSameNameExists"},
		{"owner", newGUID(), customBody("Two", "", read), 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody("Two", `1`, read), 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody("Two", `"/"`, read), 400, "InvalidRoleDefinitionAssignableScope"},
		{"owner", newGUID(), customBody("Two", `"`+managedGroups+`/a","`+managedGroups+`/b"`, read), 400, "InvalidRoleDefinitionAssignableScope"},
		{"owner", newGUID(), customBody("Two", `"`+inSub+`/resourceGroups/none"`, read), 404, "ResourceNotFound"},
		{"owner", newGUID(), customBody("Two", `"/subscriptions/`+foreignSub+`"`, read), 403, "AuthorizationFailed"},
		{"owner", newGUID(), customBody("Two", here, ``), 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody("Two", here, `{"actions":"*"}`), 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody("Two", here, `{"actions":[1]}`), 400, "InvalidRequestContent"},
		{"owner", newGUID(), customBody("Two", here, `{"actions":["read everything"]}`), 400, "InvalidActionOrNotAction"},
		{"owner", newGUID(), customBody("Two", here, `{"notActions":["x/y"]}`), 400, "InvalidActionOrNotAction"},
		{"owner", newGUID(), customBody("Two", here, `{"dataActions":["Microsoft.KeyVault//x"]}`), 400, "InvalidDataActionOrNotDataAction"},
		{"owner", newGUID(), customBody("Two", here, `{"actions":["*"],"condition":"true"}`), 400, "RoleDefinitionConditionNotSupported"},
		{"contributor", newGUID(), customBody("Two", here, read), 403, "AuthorizationFailed"},
		{"contributor", uploader, customBody("One", here, read), 403, "AuthorizationFailed"},
		{"reader", newGUID(), `{}`, 403, "AuthorizationFailed"},
	}
	for _, row := range rows {
		r.refused(row.who, "PUT", inSub+definitions+row.name, row.body, row.status, row.code, "")
	}
	r.grant("stranger", "Owner", inGroup)
	r.refused("stranger", "PUT", inGroup+definitions+uploader, customBody("One", `"`+inGroup+`"`, `{"actions":["*"]}`), 403, "AuthorizationFailed", "over scope '"+inSub+"'")
	r.refused("stranger", "DELETE", inGroup+definitions+uploader, "", 403, "AuthorizationFailed", "over scope '"+inSub+"'")
	list := func(who, scope, filter string) int {
		return len(r.ok(who, "GET", scope+"/providers/Microsoft.Authorization/roleDefinitions?$filter="+url.QueryEscape(filter), "", 200).items())
	}
	if n := list("owner", inSub, "type eq 'CustomRole'"); n != 1 {
		t.Errorf("%d custom roles, want 1", n)
	}
	if n := list("owner", inGroup, "roleName eq 'ONE'"); n != 1 {
		t.Errorf("%d roles of the name, want 1", n)
	}
	if n := list("foreigner", "", "type eq 'CustomRole'"); n != 0 {
		t.Errorf("another tenant sees %d custom roles", n)
	}
	r.ok("owner", "GET", definitions+uploader, "", 200)
	r.refused("foreigner", "GET", definitions+uploader, "", 404, "RoleDefinitionDoesNotExist", "")
}

// TestManagementGroups: a hierarchy is made, and what is assigned in it
// reaches what is below, until it is moved away.
func TestManagementGroups(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.refused("owner", "PUT", managedGroups+"/top", `{}`, 403, "AuthorizationFailed", "over scope '"+managedGroups+"/"+r.tenant.ID.String()+"'")
	r.root("owner", "Owner")
	a := r.ok("owner", "PUT", managedGroups+"/top", `{"properties":{"displayName":"Top"}}`, 200)
	if a.at("properties.details.parent.id") != managedGroups+"/"+r.tenant.ID.String() || a.at("properties.displayName") != "Top" || a.at("id") != managedGroups+"/top" {
		t.Errorf("PUT = %s", a.text)
	}
	under := func(parent string) string {
		return `{"properties":{"details":{"parent":{"id":"` + managedGroups + "/" + parent + `"}}}}`
	}
	r.ok("owner", "PUT", managedGroups+"/low", under("TOP"), 200)
	r.ok("owner", "PUT", managedGroups+"/low/subscriptions/"+sub, "", 200)
	r.ok("owner", "PUT", assignmentPath(managedGroups+"/top", newGUID()), assignmentBody("Key Vault Contributor", r.who["stranger"].Object.String(), ""), 201)
	may := func(want bool) {
		t.Helper()
		if got := r.allowed("stranger", "Microsoft.KeyVault/vaults/write", theVault); got != want {
			t.Errorf("the assignment at the group reaches the vault: %v, want %v", got, want)
		}
	}
	may(true)
	if n := len(r.ok("owner", "GET", theVault+"/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()", "", 200).items()); n != 5 {
		t.Errorf("%d assignments at the vault and above, want 5", n)
	}
	r.refused("owner", "DELETE", managedGroups+"/low", "", 400, "BadRequest", "has children")
	r.refused("owner", "PUT", managedGroups+"/top", under("low"), 400, "BadRequest", "cannot be below itself")
	r.refused("owner", "PUT", managedGroups+"/low", under("none"), 403, "AuthorizationFailed", "")
	r.refused("owner", "PUT", managedGroups+"/no%20name", `{}`, 400, "BadRequest", "")
	r.refused("owner", "PUT", managedGroups+"/x", `{"properties":{"details":{"parent":{"id":"/subscriptions/x"}}}}`, 400, "BadRequest", "not the id")
	got := r.ok("owner", "GET", managedGroups+"/top?$expand=children&$recurse=true", "", 200)
	if !strings.Contains(got.text, `"name":"low","displayName":"low","children":[{"id":"`+inSub+`","type":"/subscriptions"`) {
		t.Errorf("GET = %s", got.text)
	}
	if n := len(r.ok("owner", "GET", managedGroups+"/top/descendants", "", 200).items()); n != 2 {
		t.Errorf("%d descendants, want 2", n)
	}
	if got := namesOf(r.ok("owner", "GET", managedGroups, "", 200)); got != r.tenant.ID.String()+" low top" {
		t.Errorf("groups = %q", got)
	}
	if got := namesOf(r.ok("owner", "GET", managedGroups+"/low/subscriptions", "", 200)); got != sub {
		t.Errorf("members = %q", got)
	}
	r.ok("owner", "DELETE", managedGroups+"/low/subscriptions/"+sub, "", 200)
	may(false)
	r.refused("owner", "GET", managedGroups+"/low/subscriptions/"+sub, "", 404, "NotFound", "")
	r.ok("owner", "PUT", managedGroups+"/low/subscriptions/"+sub, "", 200)
	may(true)
	r.ok("owner", "PATCH", managedGroups+"/low", `{"displayName":"Low","parentGroupId":"`+managedGroups+"/"+r.tenant.ID.String()+`"}`, 200)
	may(false)
	r.ok("owner", "DELETE", managedGroups+"/top", "", 204)
	r.refused("owner", "GET", managedGroups+"/top", "", 404, "NotFound", "")
	if n := len(r.estate.Snapshot().Under(estate.ManagementGroup(r.tenant.ID, "top"), "")); n != 0 {
		t.Errorf("%d assignments are left of the group", n)
	}
	r.refused("owner", "DELETE", managedGroups+"/"+r.tenant.ID.String(), "", 400, "BadRequest", "root")
}

// TestTenantsHaveTheirOwnRoots: what stands at one tenant's root reaches
// nothing of another, whatever is called by whatever id.
func TestTenantsHaveTheirOwnRoots(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.root("foreigner", "Owner")
	r.root("owner", "Owner")
	mine := "/tenants/" + r.tenant.ID.String()
	r.ok("owner", "PUT", managedGroups+"/top", `{}`, 200)
	r.ok("foreigner", "PUT", managedGroups+"/theirs", `{}`, 200)
	rows := []struct {
		method, path, body string
		status             int
	}{
		{"GET", theVault, "", 401},
		{"GET", managedGroups + "/top", "", 404},
		{"GET", mine + managedGroups + "/top", "", 404},
		{"PUT", managedGroups + "/theirs/subscriptions/" + sub, "", 403},
		{"PUT", managedGroups + "/top/subscriptions/" + foreignSub, "", 404},
		{"PUT", assignmentPath(managedGroups+"/top", newGUID()), assignmentBody("Owner", r.who["foreigner"].Object.String(), ""), 404},
		{"PUT", assignmentPath(mine, newGUID()), assignmentBody("Owner", r.who["foreigner"].Object.String(), ""), 404},
		{"PUT", assignmentPath("/", newGUID()), assignmentBody("Owner", r.who["stranger"].Object.String(), ""), 400},
	}
	for _, row := range rows {
		if a := r.do("foreigner", row.method, row.path, row.body); a.status != row.status {
			t.Errorf("%s %s by another tenant's owner = %d %s, want %d", row.method, row.path, a.status, a.text, row.status)
		}
	}
	r.ok("foreigner", "PUT", assignmentPath("/", newGUID()), assignmentBody("Owner", r.who["foreigner"].Object.String(), `,"principalType":"User"`), 409)
	r.ok("foreigner", "PUT", assignmentPath("/", newGUID()), assignmentBody("Reader", r.who["foreigner"].Object.String(), ""), 201)
	if r.allowed("foreigner", "Microsoft.KeyVault/vaults/read", theVault) || !r.allowed("foreigner", "x/y/read", "/subscriptions/"+foreignSub) || r.allowed("foreigner", "x/y/read", inSub) {
		t.Error("the root of a tenant reaches another's subscription, or not its own")
	}
	if n := len(r.ok("owner", "GET", "/providers/Microsoft.Authorization/roleAssignments?$filter=atScope()", "", 200).items()); n != 1 {
		t.Errorf("%d assignments at the root, want the one of this tenant", n)
	}
}

// TestDenyAssignments: they are read and never written, and come first.
func TestDenyAssignments(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	const denies = "/providers/Microsoft.Authorization/denyAssignments"
	name := newGUID()
	id := inGroup + denies + "/" + name
	body := must(json.Marshal(map[string]any{"id": id, "name": name, "type": estate.TypeDenyAssignment, "properties": map[string]any{"denyAssignmentName": "Keep out",
		"scope": inGroup, "permissions": []any{map[string]any{"actions": []string{"*"}, "notActions": []string{"*/read"}}},
		"principals": []any{map[string]any{"id": "00000000-0000-0000-0000-000000000000", "type": "SystemDefined"}}, "excludePrincipals": []any{map[string]any{"id": r.who["contributor"].Object.String()}}}}))
	r.put(&estate.Resource{ID: id, Type: estate.TypeDenyAssignment, Name: name, Body: body})
	r.refused("owner", "PUT", theVault, r.vaultBody(""), 403, "AuthorizationFailed", "")
	r.ok("contributor", "PUT", theVault, r.vaultBody(""), 200)
	r.ok("owner", "GET", theVault, "", 200)
	r.refused("owner", "PUT", assignmentPath(theVault, newGUID()), assignmentBody("Reader", r.who["stranger"].Object.String(), ""), 403, "AuthorizationFailed", "")
	r.grant("stranger", "Key Vault Data Access Administrator", theVault)
	r.refused("stranger", "PUT", assignmentPath(theVault, newGUID()), assignmentBody("Key Vault Reader", r.who["stranger"].Object.String(), ""), 403, "AuthorizationFailed", "")
	for _, row := range []struct {
		scope, filter string
		want          int
	}{{inSub, "", 1}, {inSub, "atScope()", 0}, {theVault, "atScope()", 1}, {theVault, "denyAssignmentName eq 'keep out'", 1}, {theVault, "principalId eq '" + name + "'", 0}} {
		a := r.ok("owner", "GET", row.scope+denies+"?$filter="+url.QueryEscape(row.filter), "", 200)
		if len(a.items()) != row.want {
			t.Errorf("deny assignments at %s with %q = %s, want %d", row.scope, row.filter, a.text, row.want)
		}
	}
	r.ok("owner", "GET", id, "", 200)
	r.refused("owner", "GET", theVault+denies+"/"+name, "", 404, "DenyAssignmentNotFound", "")
	r.refused("owner", "PUT", inGroup+denies+"/"+newGUID(), string(body), 405, "MethodNotAllowed", "")
	r.refused("owner", "DELETE", id, "", 405, "MethodNotAllowed", "")
	r.ok("contributor", "DELETE", inGroup, "", 200)
	r.ok("contributor", "PUT", inGroup, `{"location":"westeurope"}`, 201)
	r.refused("owner", "PUT", theVault, `{"location":"westeurope","properties":{"createMode":"recover"}}`, 403, "AuthorizationFailed", "")
}

// TestConstrainedOwner: a condition on an Owner's assignment limits what may
// be assigned, to whom.
func TestConstrainedOwner(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	r.principal("limited", r.tenant)
	const reader = "21090545-7ca7-4776-b22c-e363652d74d2" // Key Vault Reader
	is := func(of string) string {
		return "@" + of + "[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {" + reader + "} AND @" + of + "[Microsoft.Authorization/roleAssignments:PrincipalType] StringEqualsIgnoreCase 'ServicePrincipal'"
	}
	condition := "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (" + is("Request") + ")) AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR (" + is("Resource") + "))"
	text := string(must(json.Marshal(condition)))
	at := assignmentPath(inGroup, newGUID())
	r.ok("owner", "PUT", at, assignmentBody("Owner", r.who["limited"].Object.String(), `,"conditionVersion":"2.0","condition":`+text), 201)
	stranger, unknown := r.who["stranger"].Object.String(), newGUID()
	one := newGUID()
	foreign := r.ok("owner", "PUT", assignmentPath(theVault, newGUID()), assignmentBody("Reader", stranger, ""), 201)
	rows := []struct {
		method, path, body string
		status             int
	}{
		{"PUT", assignmentPath(theVault, one), assignmentBody("Key Vault Reader", stranger, ""), 201},
		{"PUT", assignmentPath(theVault, newGUID()), assignmentBody("Owner", stranger, ""), 403},
		{"PUT", assignmentPath(theVault, newGUID()), assignmentBody("Key Vault Reader", unknown, `,"principalType":"ServicePrincipal"`), 403},
		{"PUT", assignmentPath(theVault, newGUID()), `{}`, 403},
		{"PUT", at, assignmentBody("Owner", r.who["limited"].Object.String(), ""), 403},
		{"DELETE", at, "", 403},
		{"DELETE", foreign.at("id").(string), "", 403},
		{"DELETE", assignmentPath(theVault, newGUID()), "", 403},
		{"DELETE", assignmentPath(theVault, one), "", 200},
	}
	for _, row := range rows {
		if a := r.do("limited", row.method, row.path, row.body); a.status != row.status {
			t.Errorf("%s %s %.100s = %d %s, want %d", row.method, row.path, row.body, a.status, a.text, row.status)
		}
	}
	r.ok("owner", "PUT", at+"?api-version=2022-04-01", assignmentBody("Owner", r.who["limited"].Object.String(), `,"description":"free"`), 200)
	r.ok("limited", "PUT", assignmentPath(theVault, newGUID()), assignmentBody("Owner", stranger, ""), 201)
	if a := r.ok("owner", "GET", at, "", 200); a.at("properties.condition") != nil || a.at("properties.description") != "free" {
		t.Errorf("the changed assignment = %s", a.text)
	}
}
