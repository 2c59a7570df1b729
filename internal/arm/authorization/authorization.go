// Package authorization is the provider Microsoft.Authorization: role
// definitions, which are built in, and role assignments at every scope.
package authorization

import (
	"net/http"
	"sort"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/roles"
)

const provider = "{scope}/providers/Microsoft.Authorization/"

// The actions of the provider.
const (
	readDefinitions  = "Microsoft.Authorization/roleDefinitions/read"
	readAssignments  = "Microsoft.Authorization/roleAssignments/read"
	writeAssignment  = "Microsoft.Authorization/roleAssignments/write"
	deleteAssignment = "Microsoft.Authorization/roleAssignments/delete"
)

// Provider is the table of the operations.
func Provider() arm.Provider {
	versions := []string{"2022-04-01", "2022-05-01-preview", "2020-10-01-preview", "2020-08-01-preview", "2020-04-01-preview",
		"2018-09-01-preview", "2018-07-01", "2018-01-01-preview", "2015-07-01"}
	scope := func(v arm.Vars) string { return v["scope"] }
	return arm.Provider{
		Namespace: "Microsoft.Authorization",
		Types:     []arm.Type{{Name: "roleAssignments", APIVersions: versions}, {Name: "roleDefinitions", APIVersions: versions}},
		Routes: []arm.Route{
			{Name: readDefinitions, Method: http.MethodGet, Pattern: provider + "roleDefinitions", Decides: true, Scope: scope, Handle: listDefinitions},
			{Name: readDefinitions, Method: http.MethodGet, Pattern: provider + "roleDefinitions/{name}", Decides: true, Scope: scope, Handle: getDefinition},
			{Name: readAssignments, Method: http.MethodGet, Pattern: provider + "roleAssignments", Action: readAssignments, Scope: scope, Handle: listAssignments},
			{Name: readAssignments, Method: http.MethodGet, Pattern: provider + "roleAssignments/{name}", Action: readAssignments, Scope: scope, Handle: getAssignment},
			{Name: writeAssignment, Method: http.MethodPut, Pattern: provider + "roleAssignments/{name}", Decides: true, Scope: scope,
				Body: arm.MaxBody, Handle: putAssignment},
			{Name: deleteAssignment, Method: http.MethodDelete, Pattern: provider + "roleAssignments/{name}", Decides: true, Scope: scope, Handle: removeAssignment},
		},
	}
}

// definitionID is the id of a definition as it is shown at a scope: below
// the subscription, when there is one.
func definitionID(scope, guid string) string {
	parts := strings.Split(scope, "/")
	if len(parts) >= 3 && strings.EqualFold(parts[1], "subscriptions") {
		return "/subscriptions/" + parts[2] + "/providers/" + roles.Type + "/" + guid
	}
	return "/providers/" + roles.Type + "/" + guid
}

// definition is a role definition as it is answered (spec: RoleDefinition).
func definition(d *roles.Definition, scope string) *ordered.Object {
	permission := ordered.New(
		ordered.Member{Name: "actions", Value: texts(d.Actions)},
		ordered.Member{Name: "notActions", Value: texts(d.NotActions)},
		ordered.Member{Name: "dataActions", Value: texts(d.DataActions)},
		ordered.Member{Name: "notDataActions", Value: texts(d.NotDataActions)})
	if d.Condition != "" {
		permission.Set("condition", d.Condition)
		permission.Set("conditionVersion", d.ConditionVersion)
	}
	return ordered.New(
		ordered.Member{Name: "properties", Value: ordered.New(
			ordered.Member{Name: "roleName", Value: d.RoleName},
			ordered.Member{Name: "type", Value: "BuiltInRole"},
			ordered.Member{Name: "description", Value: d.Description},
			ordered.Member{Name: "assignableScopes", Value: []any{"/"}},
			ordered.Member{Name: "permissions", Value: []any{permission}})},
		ordered.Member{Name: "id", Value: definitionID(scope, d.Name)},
		ordered.Member{Name: "type", Value: roles.Type},
		ordered.Member{Name: "name", Value: d.Name})
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// mayReadDefinitions: below a subscription a right is needed; at the root
// the built-in roles are the same for everybody with a token.
func mayReadDefinitions(c *arm.Call) error {
	if c.Vars["scope"] == "/" {
		return nil
	}
	return c.Authorize(readDefinitions, c.Vars["scope"])
}

// listDefinitions lists the definitions that can be assigned at a scope
// (spec: RoleDefinitions_List).
func listDefinitions(c *arm.Call) (*arm.Answer, error) {
	filter, err := arm.ParseFilter(c.Param("$filter"), "roleName", "type", "atScopeAndBelow()", "atScope()")
	if err != nil {
		return nil, err
	}
	if err := mayReadDefinitions(c); err != nil {
		return nil, err
	}
	var list []*ordered.Object
	for _, d := range roles.All() {
		if filter.Match(func(t *arm.Filter) bool { return definitionHas(d, t) }) {
			list = append(list, definition(d, c.Vars["scope"]))
		}
	}
	return arm.List(list), nil
}

func definitionHas(d *roles.Definition, t *arm.Filter) bool {
	switch {
	case t.Function:
		return true
	case t.Name == "roleName":
		return strings.EqualFold(d.RoleName, t.Value)
	}
	return strings.EqualFold(t.Value, "BuiltInRole")
}

// getDefinition finds a definition by its id (spec: RoleDefinitions_Get).
func getDefinition(c *arm.Call) (*arm.Answer, error) {
	if err := mayReadDefinitions(c); err != nil {
		return nil, err
	}
	d, ok := roles.ByName(c.Vars["name"])
	if !ok {
		return nil, unknownDefinition(http.StatusNotFound, c.Vars["name"])
	}
	return arm.OK(definition(d, c.Vars["scope"])), nil
}

func unknownDefinition(status int, name string) error {
	return fault.New(status, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.",
		strings.ToLower(strings.ReplaceAll(name, "-", "")))
}

// checkScope refuses a scope that is no resource: a role assigned to a
// misspelt scope would protect or open nothing. Objects of a vault need not
// exist.
func checkScope(s *estate.Snapshot, scope string) error {
	parts := strings.Split(strings.Trim(scope, "/"), "/")
	if n := len(parts); n == 10 && isObjectKind(parts[8]) {
		scope = "/" + strings.Join(parts[:8], "/")
	}
	if _, ok := s.Resource(scope); ok && scope != "/" {
		return nil
	}
	return fault.New(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' was not found.", strings.TrimPrefix(scope, "/"))
}

// isObjectKind holds for the kinds of object whose names are scopes below a
// vault.
func isObjectKind(segment string) bool {
	for _, k := range []access.Kind{access.KindSecret, access.KindKey, access.KindCertificate} {
		if strings.EqualFold(segment, k.String()) {
			return true
		}
	}
	return false
}

// scopeOf is the scope of an assignment.
func scopeOf(res *estate.Resource) string {
	return arm.Document(res).Object("properties").Text("scope")
}

// assignmentsAround lists the assignments at, above and below a scope, in
// the order of their ids. Only the subscription of the scope is looked at.
func assignmentsAround(s *estate.Snapshot, scope string) []*estate.Resource {
	parts := strings.Split(strings.Trim(scope, "/"), "/")
	if len(parts) < 2 || !strings.EqualFold(parts[0], "subscriptions") {
		return nil
	}
	var list []*estate.Resource
	for _, res := range s.Under("/subscriptions/"+parts[1], estate.TypeRoleAssignment) {
		at := scopeOf(res)
		if below(at, scope) || below(scope, at) {
			list = append(list, res)
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return estate.Key(list[i].ID) < estate.Key(list[j].ID) })
	return list
}

// below reports whether a scope is another, or below it.
func below(scope, of string) bool {
	scope, of = estate.Key(scope), estate.Key(of)
	return scope == of || strings.HasPrefix(scope, of+"/")
}
