package who

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

const (
	subscription = "/subscriptions/11111111-1111-1111-1111-111111111111"
	group        = subscription + "/resourceGroups/rg"
	vaultID      = group + "/providers/Microsoft.KeyVault/vaults/main"
	perimeterID  = group + "/providers/Microsoft.Network/networkSecurityPerimeters/nsp"
	association  = perimeterID + "/resourceAssociations/a"
	// delegate is the Key Vault Data Access Administrator.
	delegate  = "8b54135c-b56d-4d72-a534-26097cfdc8d8"
	home      = "22222222-2222-2222-2222-222222222222"
	elsewhere = "33333333-3333-3333-3333-333333333333"
	factory   = "/subscriptions/9/resourcegroups/g/providers/microsoft.datafactory/factories/f"
)

// people are the principals of the random estates: three of the home
// tenant, one of another.
var people = []string{"00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b",
	"00000000-0000-0000-0000-00000000000c", "00000000-0000-0000-0000-00000000000d"}

// narrow are roles of one action each, besides the built-in ones.
var narrow = map[string]*access.Role{
	"e0000000-0000-0000-0000-000000000001": {ID: "e0000000-0000-0000-0000-000000000001", Actions: []string{"Microsoft.KeyVault/vaults/accessPolicies/write"}},
	"e0000000-0000-0000-0000-000000000002": {ID: "e0000000-0000-0000-0000-000000000002", Actions: []string{"Microsoft.KeyVault/vaults/deploy/action"}},
	"e0000000-0000-0000-0000-000000000003": {ID: "e0000000-0000-0000-0000-000000000003", Actions: []string{"Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action"}},
	"e0000000-0000-0000-0000-000000000004": {ID: "e0000000-0000-0000-0000-000000000004", Actions: []string{"Microsoft.KeyVault/vaults/privateEndpointConnections/write"}},
	"e0000000-0000-0000-0000-000000000005": {ID: "e0000000-0000-0000-0000-000000000005", Actions: []string{"Microsoft.Network/networkSecurityPerimeters/resourceAssociations/delete"}},
	"e0000000-0000-0000-0000-000000000006": {ID: "e0000000-0000-0000-0000-000000000006", Actions: []string{"Microsoft.KeyVault/vaults/write"}},
	"e0000000-0000-0000-0000-000000000007": {ID: "e0000000-0000-0000-0000-000000000007", Actions: []string{"Microsoft.KeyVault/vaults/joinPerimeter/action"}},
	"e0000000-0000-0000-0000-000000000008": {ID: "e0000000-0000-0000-0000-000000000008", Actions: []string{"Microsoft.Network/networkSecurityPerimeters/profiles/accessRules/write"}},
	"e0000000-0000-0000-0000-000000000009": {ID: "e0000000-0000-0000-0000-000000000009", Actions: []string{"Microsoft.Authorization/roleDefinitions/write"}},
	"e0000000-0000-0000-0000-00000000000a": {ID: "e0000000-0000-0000-0000-00000000000a", Actions: []string{"Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"}},
	"e0000000-0000-0000-0000-00000000000b": {ID: "e0000000-0000-0000-0000-00000000000b", Actions: []string{"Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"}},
}

// The rest of the wider estates: a management group, a custom role, and
// identities of people[3] (its own resource) and people[2] (of a machine).
const (
	managed    = "/tenants/" + home + "/providers/Microsoft.Management/managementGroups/mg"
	custom     = "c0000000-0000-0000-0000-000000000001"
	customID   = "/tenants/" + home + "/providers/Microsoft.Authorization/roleDefinitions/" + custom
	other      = subscription + "/resourceGroups/other"
	identityID = other + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
	machineID  = other + "/providers/Microsoft.Compute/virtualMachines/vm"
	team       = "00000000-0000-0000-0000-0000000000aa"
)

// world is an estate and what its directory says.
type world struct {
	list       []*estate.Resource
	principals []Principal
	// scopes is where the custom role is assignable; nil when there is none.
	scopes []string
	// managed, identity, machine and directory tell what there is.
	managed, identity, machine, directory bool
	snapshot                              *estate.Snapshot
}

// randomWorld is a random estate with some of the rest.
func randomWorld(r *rand.Rand) *world {
	w := &world{list: randomEstate(r)}
	if r.IntN(2) == 0 {
		return w
	}
	holders, scopes := people, []string{subscription, group, vaultID}
	assign := func(role string) {
		w.list = append(w.list, assignmentOf(100+len(w.list), role, pick(r, holders...), pick(r, scopes...)))
	}
	if w.managed = r.IntN(3) == 0; w.managed {
		w.list[1] = resource(subscription, estate.TypeSubscription, map[string]any{"tenantId": home, "managementGroup": "mg"})
		w.list = append(w.list, resource(managed, estate.TypeManagementGroup, map[string]any{}))
		scopes = append(scopes, managed, managed)
		if r.IntN(2) == 0 {
			w.list = append(w.list, resource(managed+"/providers/"+estate.TypeDenyAssignment+"/mg-d", estate.TypeDenyAssignment, map[string]any{"properties": map[string]any{
				"denyAssignmentName": "d", "principals": []any{map[string]any{"id": pick(r, append(people, "00000000-0000-0000-0000-000000000000")...)}},
				"permissions": []any{map[string]any{"actions": []any{pick(r, actionVault, actionPolicies)}, "dataActions": pick(r, []any{}, []any{"*"})}}}}))
		}
	}
	if w.directory = r.IntN(2) == 0; w.directory {
		holders = append(slices.Clone(people), team)
		for i, id := range append(slices.Clone(people), team) {
			p := Principal{Tenant: access.MustGUID(home), Object: access.MustGUID(id), Known: true, Group: id == team, User: i == 1, Administrator: i == 0 && r.IntN(4) == 0}
			if i > 1 && r.IntN(3) == 0 && !p.User {
				p.Owners = []access.GUID{access.MustGUID(people[r.IntN(3)])}
			}
			w.principals = append(w.principals, p)
		}
	}
	w.identity, w.machine = r.IntN(3) == 0, r.IntN(3) == 0
	if w.identity {
		w.list = append(w.list, resource(identityID, typeIdentity, map[string]any{"properties": map[string]any{"principalId": people[3]}}))
		scopes = append(scopes, identityID, other)
		if w.directory {
			w.principals[3].Resource, w.principals[3].Owners = identityID, nil
		}
	}
	if w.machine {
		w.list = append(w.list, resource(machineID, "Microsoft.Compute/virtualMachines", map[string]any{"identity": map[string]any{"principalId": people[2]}}))
		scopes = append(scopes, machineID, other)
		if r.IntN(2) == 0 {
			d, _ := roles.ByRoleName("Contributor")
			w.list = append(w.list, assignmentOf(97, d.Name, pick(r, holders...), machineID))
		}
		if w.directory {
			w.principals[2].Resource, w.principals[2].Owners = machineID, nil
		}
	}
	if r.IntN(3) == 0 {
		w.scopes = pick(r, []string{subscription}, []string{group}, []string{group, other})
		w.list = append(w.list, resource(customID, estate.TypeRoleDefinition, map[string]any{"properties": map[string]any{"assignableScopes": w.scopes,
			"permissions": []any{map[string]any{"actions": pick(r, []any{"Microsoft.KeyVault/vaults/read"}, []any{actionDefine}), "dataActions": []any{}}}}}))
		w.list = append(w.list, assignmentOf(98, custom, pick(r, holders...), pick(r, group, vaultID)))
		assign("e0000000-0000-0000-0000-000000000009")
	}
	for range r.IntN(3) {
		d, _ := roles.ByRoleName(pick(r, roleNames...))
		assign(pick(r, d.Name, d.Name, "e0000000-0000-0000-0000-00000000000a", "e0000000-0000-0000-0000-00000000000b"))
	}
	return w
}

var roleNames = []string{"Owner", "Contributor", "Key Vault Contributor", "User Access Administrator", "Key Vault Data Access Administrator",
	"Key Vault Secrets User", "Key Vault Secrets User", "Key Vault Administrator", "Key Vault Reader", "Reader"}

// rigOptions are what the estates of the tests are compiled with.
func rigOptions() estate.Options {
	return estate.Options{
		Trusted: []access.TrustedService{
			{Name: "Azure Data Factory", ResourceTypes: []string{"microsoft.datafactory/factories"}, Operations: []access.Operation{access.SecretGet}},
			{Name: deploymentService, Apps: []access.GUID{access.MustGUID("77777777-7777-7777-7777-777777777777")}, Operations: []access.Operation{access.SecretGet}}},
		Role: func(guid string) (*access.Role, bool) {
			if r, ok := narrow[guid]; ok {
				return r, true
			}
			d, ok := roles.ByName(guid)
			if !ok {
				return nil, false
			}
			return d.Role(), true
		}}
}

func resource(id, typ string, doc map[string]any) *estate.Resource {
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return &estate.Resource{ID: id, Type: typ, Name: id[strings.LastIndexByte(id, '/')+1:], Location: "westeurope", Body: body}
}

func assignmentOf(n int, role, principal, scope string) *estate.Resource {
	return resource(fmt.Sprintf("%s/providers/%s/%d", strings.TrimRight(scope, "/"), estate.TypeRoleAssignment, n), estate.TypeRoleAssignment,
		map[string]any{"properties": map[string]any{"principalId": principal, "scope": scope, "roleDefinitionId": "/x/" + role}})
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomEstate makes a small estate around one vault.
func randomEstate(r *rand.Rand) []*estate.Resource {
	tenant := pick(r, home, home, home, elsewhere)
	properties := map[string]any{"tenantId": tenant, "enableRbacAuthorization": r.IntN(2) == 0,
		"publicNetworkAccess": pick(r, "Enabled", "Enabled", "Disabled", "SecuredByPerimeter"), "enabledForTemplateDeployment": r.IntN(3) == 0}
	acls := map[string]any{"defaultAction": pick(r, "Allow", "Deny", "Deny"), "bypass": pick(r, "None", "AzureServices")}
	if r.IntN(3) == 0 {
		acls["ipRules"] = []any{map[string]any{"value": "203.0.113.0/24"}}
	}
	properties["networkAcls"] = acls
	var policies, connections []any
	for range r.IntN(3) {
		at := r.IntN(len(people))
		policies = append(policies, map[string]any{"tenantId": pick(r, home, elsewhere), "objectId": people[at],
			"permissions": map[string]any{"secrets": []any{pick(r, "get", "list")}}})
	}
	if r.IntN(3) == 0 {
		connections = append(connections, map[string]any{"id": vaultID + "/privateEndpointConnections/c",
			"properties": map[string]any{"privateLinkServiceConnectionState": map[string]any{"status": pick(r, "Approved", "Pending")}}})
	}
	properties["accessPolicies"], properties["privateEndpointConnections"] = policies, connections
	list := []*estate.Resource{resource(vaultID, estate.TypeVault, map[string]any{"properties": properties}),
		resource(subscription, estate.TypeSubscription, map[string]any{"tenantId": home})}
	for n := range r.IntN(4) {
		role := ""
		if r.IntN(3) == 0 {
			role = fmt.Sprintf("e0000000-0000-0000-0000-%012x", 1+r.IntN(len(narrow)))
		} else {
			d, _ := roles.ByRoleName(pick(r, roleNames...))
			role = d.Name
		}
		list = append(list, assignmentOf(n, role, pick(r, people...), pick(r, "/", subscription, group, vaultID, vaultID, vaultID+"/secrets/db", vaultID+"/secrets/other", perimeterID)))
	}
	if r.IntN(6) == 0 {
		denied := map[string]any{"denyAssignmentName": "d", "principals": []any{map[string]any{"id": pick(r, append(people, "00000000-0000-0000-0000-000000000000")...)}},
			"permissions": []any{map[string]any{"actions": []any{pick(r, "*", actionVault, actionAssign, actionPolicies)}, "dataActions": pick(r, []any{}, []any{"*"})}}}
		if r.IntN(2) == 0 {
			denied["excludePrincipals"] = []any{map[string]any{"id": pick(r, people...)}}
		}
		at := pick(r, subscription, group, vaultID, vaultID+"/secrets/db")
		list = append(list, resource(at+"/providers/"+estate.TypeDenyAssignment+"/d", estate.TypeDenyAssignment, map[string]any{"properties": denied}))
	}
	if r.IntN(5) == 0 {
		list = append(list, resource(perimeterID, estate.TypePerimeter, map[string]any{}),
			resource(perimeterID+"/profiles/p", estate.TypePerimeterProfile, map[string]any{}),
			resource(association, estate.TypePerimeterAssociation, map[string]any{"properties": map[string]any{"accessMode": pick(r, "Enforced", "Learning"),
				"privateLinkResource": map[string]any{"id": vaultID}, "profile": map[string]any{"id": perimeterID + "/profiles/p"}}}))
		if r.IntN(2) == 0 {
			list = append(list, resource(perimeterID+"/profiles/p/accessRules/r", estate.TypePerimeterRule, map[string]any{"properties": map[string]any{
				"direction": "Inbound", "addressPrefixes": []any{"198.51.100.0/24"}}}))
		}
	}
	return list
}
