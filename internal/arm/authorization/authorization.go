// Package authorization is the provider Microsoft.Authorization: role
// definitions, built in and custom, role assignments at every scope, deny
// assignments, which are only read, and what a caller may and could be
// allowed.
package authorization

import (
	"net/http"

	"postern/internal/arm"
	"postern/internal/estate"
)

const provider = "{scope}/providers/Microsoft.Authorization/"

// The actions of the provider.
const (
	readDefinitions  = "Microsoft.Authorization/roleDefinitions/read"
	writeDefinition  = "Microsoft.Authorization/roleDefinitions/write"
	deleteDefinition = "Microsoft.Authorization/roleDefinitions/delete"
	readDenies       = "Microsoft.Authorization/denyAssignments/read"
	readAssignments  = "Microsoft.Authorization/roleAssignments/read"
	writeAssignment  = "Microsoft.Authorization/roleAssignments/write"
	deleteAssignment = "Microsoft.Authorization/roleAssignments/delete"
	readPermissions  = "Microsoft.Authorization/permissions/read"
	readOperations   = "Microsoft.Authorization/providerOperations/read"
)

// Provider is the table of the operations.
func Provider() arm.Provider {
	versions := []string{"2022-04-01", "2022-05-01-preview", "2020-10-01-preview", "2020-08-01-preview", "2020-04-01-preview",
		"2018-09-01-preview", "2018-07-01", "2018-01-01-preview", "2015-07-01"}
	scope := func(v arm.Vars) string { return v["scope"] }
	return arm.Provider{
		Namespace: "Microsoft.Authorization",
		Types: []arm.Type{{Name: "roleAssignments", APIVersions: versions}, {Name: "roleDefinitions", APIVersions: versions},
			{Name: "permissions", APIVersions: versions}, {Name: "providerOperations", APIVersions: versions},
			{Name: "denyAssignments", APIVersions: []string{"2022-04-01", "2018-07-01-preview"},
				// What denies outlives what it stands at: nobody gets past it by
				// deleting a group and recovering its vaults.
				Delete: func(*arm.Call, *estate.Draft, *estate.Resource) {}}},
		Routes: []arm.Route{
			{Name: readDefinitions, Method: http.MethodGet, Pattern: provider + "roleDefinitions", Decides: true, Scope: scope, Handle: listDefinitions},
			{Name: readDefinitions, Method: http.MethodGet, Pattern: provider + "roleDefinitions/{name}", Decides: true, Scope: scope, Handle: getDefinition},
			{Name: writeDefinition, Method: http.MethodPut, Pattern: provider + "roleDefinitions/{name}", Decides: true, Scope: scope,
				Body: arm.MaxBody, Handle: putDefinition},
			{Name: deleteDefinition, Method: http.MethodDelete, Pattern: provider + "roleDefinitions/{name}", Decides: true, Scope: scope, Handle: removeDefinition},
			{Name: readDenies, Method: http.MethodGet, Pattern: provider + "denyAssignments", Action: readDenies, Scope: scope, Handle: listDenies},
			{Name: readDenies, Method: http.MethodGet, Pattern: provider + "denyAssignments/{name}", Action: readDenies, Scope: scope, Handle: getDeny},
			{Name: readAssignments, Method: http.MethodGet, Pattern: provider + "roleAssignments", Action: readAssignments, Scope: scope, Handle: listAssignments},
			{Name: readAssignments, Method: http.MethodGet, Pattern: provider + "roleAssignments/{name}", Action: readAssignments, Scope: scope, Handle: getAssignment},
			{Name: writeAssignment, Method: http.MethodPut, Pattern: provider + "roleAssignments/{name}", Decides: true, Scope: scope,
				Body: arm.MaxBody, Handle: putAssignment},
			{Name: deleteAssignment, Method: http.MethodDelete, Pattern: provider + "roleAssignments/{name}", Decides: true, Scope: scope, Handle: removeAssignment},
			// Everybody may know what he may, and what there is.
			{Name: readPermissions, Method: http.MethodGet, Pattern: provider + "permissions", Scope: scope, Handle: listPermissions},
			{Name: readOperations, Method: http.MethodGet, Pattern: "/providers/Microsoft.Authorization/providerOperations", Handle: listProviderOperations},
			{Name: readOperations, Method: http.MethodGet, Pattern: "/providers/Microsoft.Authorization/providerOperations/{namespace}", Handle: getProviderOperations},
		},
	}
}
