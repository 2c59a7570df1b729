package authorization

import (
	"net/http"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/roles"
)

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

// role is a role definition that can be assigned: a built-in one, or a
// custom one of a tenant, which is kept at the tenant's root.
type role struct {
	name, roleName string
	builtIn        *roles.Definition
	custom         *estate.Resource
}

// findRole finds a role definition by its GUID or its id.
func findRole(c *arm.Call, s *estate.Snapshot, id string) (role, bool) {
	name := strings.ToLower(id[strings.LastIndexByte(id, '/')+1:])
	if d, ok := roles.ByName(name); ok {
		return role{name: d.Name, roleName: d.RoleName, builtIn: d}, true
	}
	if _, err := access.ParseGUID(name); err != nil {
		return role{}, false
	}
	res, ok := s.Resource(c.Place("/providers/" + roles.Type + "/" + name))
	if !ok || !strings.EqualFold(res.Type, roles.Type) {
		return role{}, false
	}
	return role{name: res.Name, roleName: arm.Document(res).Object("properties").Text("roleName"), custom: res}, true
}

// assignable reports whether a role can be assigned at a scope: at or below
// one of its assignable scopes.
func (r role) assignable(c *arm.Call, s *estate.Snapshot, scope string) bool {
	if r.custom == nil {
		return true
	}
	for _, at := range assignableScopes(r.custom) {
		if s.Covers(c.Place(at), c.Place(scope)) {
			return true
		}
	}
	return false
}

// fits refuses a custom role with data actions at a management group.
func (r role) fits(scope string) error {
	if _, managed := managementGroup(scope); !managed || r.custom == nil {
		return nil
	}
	v, _ := arm.Document(r.custom).Object("properties").Get("permissions")
	list, _ := v.([]any)
	for _, item := range list {
		if block, ok := item.(*ordered.Object); ok {
			if data, _ := block.Get("dataActions"); len(stringsOf(data)) > 0 {
				return dataAtManagementGroup()
			}
		}
	}
	return nil
}

// visible reports whether a role is listed at a scope: at, below or above
// one of its assignable scopes.
func (r role) visible(c *arm.Call, s *estate.Snapshot, scope string) bool {
	if r.assignable(c, s, scope) {
		return true
	}
	for _, at := range assignableScopes(r.custom) {
		if s.Covers(c.Place(scope), c.Place(at)) {
			return true
		}
	}
	return false
}

// assignableScopes are the scopes in the document of a custom role.
func assignableScopes(res *estate.Resource) []string {
	list, _ := arm.Document(res).Object("properties").Get("assignableScopes")
	return stringsOf(list)
}

// body is a role as it is answered at a scope.
func (r role) body(scope string) *ordered.Object {
	if r.builtIn != nil {
		return definition(r.builtIn, scope)
	}
	doc := arm.Document(r.custom)
	doc.Set("id", definitionID(scope, r.name))
	return doc
}

// listDefinitions lists the definitions that can be assigned at a scope or
// below it (spec: RoleDefinitions_List).
func listDefinitions(c *arm.Call) (*arm.Answer, error) {
	filter, err := arm.ParseFilter(c.Param("$filter"), "roleName", "type", "atScopeAndBelow()", "atScope()")
	if err != nil {
		return nil, err
	}
	if err := mayReadDefinitions(c); err != nil {
		return nil, err
	}
	s, scope := c.Snapshot(), c.Vars["scope"]
	var list []*ordered.Object
	add := func(r role) {
		if filter.Match(func(t *arm.Filter) bool { return r.has(t) }) {
			list = append(list, r.body(scope))
		}
	}
	for _, d := range roles.All() {
		add(role{name: d.Name, roleName: d.RoleName, builtIn: d})
	}
	if !c.May(readDefinitions, scope) {
		return arm.List(list), nil
	}
	for _, res := range customRoles(c, s) {
		if r, ok := findRole(c, s, res.Name); ok && r.visible(c, s, scope) {
			add(r)
		}
	}
	return arm.List(list), nil
}

// customRoles are those of the caller's tenant.
func customRoles(c *arm.Call, s *estate.Snapshot) []*estate.Resource {
	return s.Under(c.Place("/providers/"+roles.Type), roles.Type)
}

func (r role) has(t *arm.Filter) bool {
	switch {
	case t.Function:
		return true
	case t.Name == "roleName":
		return strings.EqualFold(r.roleName, t.Value)
	case r.builtIn != nil:
		return strings.EqualFold(t.Value, "BuiltInRole")
	}
	return strings.EqualFold(t.Value, "CustomRole")
}

// getDefinition finds a definition by its id (spec: RoleDefinitions_Get,
// RoleDefinitions_GetById).
func getDefinition(c *arm.Call) (*arm.Answer, error) {
	if err := mayReadDefinitions(c); err != nil {
		return nil, err
	}
	s, scope := c.Snapshot(), c.Vars["scope"]
	r, ok := findRole(c, s, c.Vars["name"])
	if !ok || r.custom != nil && (!r.visible(c, s, scope) || !c.May(readDefinitions, scope) && !mayReadSomewhere(c, r)) {
		return nil, unknownDefinition(http.StatusNotFound, c.Vars["name"])
	}
	return arm.OK(r.body(scope)), nil
}

// mayReadSomewhere: a custom role is asked for by its id at the root by
// those who may read it where it can be assigned.
func mayReadSomewhere(c *arm.Call, r role) bool {
	for _, at := range assignableScopes(r.custom) {
		if c.May(readDefinitions, at) {
			return true
		}
	}
	return false
}

func unknownDefinition(status int, name string) error {
	return fault.New(status, "RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.",
		strings.ToLower(strings.ReplaceAll(name, "-", "")))
}
