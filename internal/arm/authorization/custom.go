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

// Limits of custom roles (documentation: custom-roles, "Custom role
// properties" and "limits"); how many actions a block may list is our own
// choice.
const (
	maxCustomRoles     = 5000
	maxRoleName        = 512
	maxRoleDescription = 2048
	maxBlocks          = 16
	maxActions         = 1000
	maxScopes          = 2000
)

// customRole is what a client says of a role definition (spec:
// RoleDefinitionProperties).
type customRole struct {
	name, roleName, description string
	blocks                      []any
	scopes                      []string
	// data tells that there are data actions.
	data bool
}

func badRole(code, format string, args ...any) error {
	return fault.New(http.StatusBadRequest, code, format, args...)
}

// readCustom reads and checks the body of a PUT.
func readCustom(c *arm.Call) (*customRole, error) {
	r := &customRole{name: strings.ToLower(c.Vars["name"])}
	if _, err := access.ParseGUID(r.name); err != nil {
		return nil, badRole("InvalidRoleDefinitionId", "The role definition ID '%s' is not valid. The role definition ID must be a GUID.", c.Vars["name"])
	}
	if _, ok := roles.ByName(r.name); ok {
		return nil, fault.New(http.StatusForbidden, "RoleDefinitionBuiltInUpdateNotPermitted", "The built-in role definition '%s' cannot be changed.", r.name)
	}
	body, err := c.Object()
	if err != nil {
		return nil, err
	}
	props := body.Object("properties")
	if props == nil {
		return nil, invalid("The property 'properties' is required.")
	}
	r.roleName, r.description = strings.TrimSpace(props.Text("roleName")), props.Text("description")
	if r.roleName == "" || len(r.roleName) > maxRoleName || len(r.description) > maxRoleDescription {
		return nil, invalid("A role definition has a 'roleName' of at most 512 characters, and a 'description' of at most 2048.")
	}
	if t := props.Text("type"); t != "" && !strings.EqualFold(t, "CustomRole") {
		return nil, badRole("InvalidRoleDefinitionType", "The role definition type '%s' is not valid: it must be 'CustomRole'.", t)
	}
	if err := r.readScopes(c, props); err != nil {
		return nil, err
	}
	return r, r.readBlocks(props)
}

// readScopes reads the assignable scopes: no root, one management group at
// most (documentation: role-definitions, AssignableScopes).
func (r *customRole) readScopes(c *arm.Call, props *ordered.Object) error {
	list, _ := props.Get("assignableScopes")
	r.scopes = stringsOf(list)
	all, ok := list.([]any)
	if !ok || len(r.scopes) != len(all) || len(all) == 0 || len(all) > maxScopes {
		return invalid("A custom role needs 'assignableScopes', a list of at least one scope.")
	}
	managed := 0
	for i, scope := range r.scopes {
		path, err := arm.ParsePath(scope)
		if err != nil || len(path) == 0 {
			return badRole("InvalidRoleDefinitionAssignableScope", "The assignable scope '%s' is not valid: a custom role is assignable"+
				" at management groups, subscriptions, resource groups and resources.", scope)
		}
		r.scopes[i] = "/" + strings.Join(path, "/")
		if _, ok := managementGroup(r.scopes[i]); ok {
			managed++
		}
	}
	if managed > 1 {
		return badRole("InvalidRoleDefinitionAssignableScope", "A custom role has at most one management group among its assignable scopes.")
	}
	return nil
}

// readBlocks reads the permissions.
func (r *customRole) readBlocks(props *ordered.Object) error {
	v, _ := props.Get("permissions")
	list, ok := v.([]any)
	if !ok || len(list) == 0 || len(list) > maxBlocks {
		return invalid("A role definition has between one and 16 blocks of 'permissions'.")
	}
	for _, item := range list {
		block, ok := item.(*ordered.Object)
		if !ok {
			return invalid("A block of 'permissions' is an object.")
		}
		if block.Text("condition") != "" || block.Text("conditionVersion") != "" {
			return badRole("RoleDefinitionConditionNotSupported", "A condition in a custom role is not supported: put it on the role assignment.")
		}
		out := &ordered.Object{}
		for _, name := range []string{"actions", "notActions", "dataActions", "notDataActions"} {
			actions, err := readActions(block, name)
			if err != nil {
				return err
			}
			out.Set(name, texts(actions))
			r.data = r.data || name == "dataActions" && len(actions) > 0
		}
		r.blocks = append(r.blocks, out)
	}
	return nil
}

// readActions reads one list of a block.
func readActions(block *ordered.Object, name string) ([]string, error) {
	v, _ := block.Get(name)
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	actions := stringsOf(v)
	if !ok || len(actions) != len(list) || len(list) > maxActions {
		return nil, invalid("'" + name + "' is a list of at most 1000 actions.")
	}
	code := "InvalidActionOrNotAction"
	if strings.Contains(strings.ToLower(name), "data") {
		code = "InvalidDataActionOrNotDataAction"
	}
	for _, a := range actions {
		if !validAction(a) {
			return nil, badRole(code, "'%s' does not match any of the actions supported by the providers.", a)
		}
	}
	return actions, nil
}

// validAction holds for * and for a namespace followed by segments, any of
// which may hold wildcards. Which actions the providers have is not asked:
// roles speak of more services than this server has.
func validAction(a string) bool {
	if a == "*" {
		return true
	}
	parts := strings.Split(a, "/")
	if len(a) > 512 || len(parts) < 2 {
		return false
	}
	for _, p := range parts {
		if p == "" {
			return false
		}
		for i := range len(p) {
			if c := p[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("*.-_$", rune(c)) {
				return false
			}
		}
	}
	return strings.Contains(parts[0], ".") || strings.Contains(parts[0], "*")
}

// stringsOf are the texts in a list.
func stringsOf(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// everywhere demands an action at all of the scopes of a role, which must be
// of the caller's tenant (documentation: custom-roles, "Who can create,
// delete, update, or view a custom role").
func everywhere(c *arm.Call, s *estate.Snapshot, action string, scopes []string) error {
	for _, scope := range scopes {
		if s.TenantOf(c.Place(scope)) != c.Caller.Tenant.String() {
			return c.Forbidden(action, scope)
		}
		if err := c.Authorize(action, scope); err != nil {
			return err
		}
	}
	return nil
}

// putDefinition creates a custom role or replaces one (spec:
// RoleDefinitions_CreateOrUpdate: 201 in both cases).
func putDefinition(c *arm.Call) (*arm.Answer, error) {
	if err := c.Authorize(writeDefinition, c.Vars["scope"]); err != nil {
		return nil, err
	}
	r, err := readCustom(c)
	if err != nil {
		return nil, err
	}
	if err := everywhere(c, c.Snapshot(), writeDefinition, r.scopes); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, exists := findRole(c, s, r.name)
		if exists {
			// Whoever changes a role changes it wherever it is assignable.
			if err := everywhere(c, s, writeDefinition, assignableScopes(old.custom)); err != nil {
				return nil, err
			}
		}
		if err := r.check(c, s, exists); err != nil {
			return nil, err
		}
		res, doc := r.resource(c, old.custom)
		d.Put(res)
		doc.Set("id", definitionID(c.Vars["scope"], r.name))
		return &arm.Answer{Status: http.StatusCreated, Body: doc}, nil
	})
}

// check refuses a role that cannot be: a scope that does not exist, a name
// that another role has, an assignment that would be left outside of the
// assignable scopes.
func (r *customRole) check(c *arm.Call, s *estate.Snapshot, exists bool) error {
	for _, scope := range r.scopes {
		if err := checkScope(c, s, scope); err != nil {
			return err
		}
	}
	all := customRoles(c, s)
	if !exists && len(all) >= maxCustomRoles {
		return badRole("RoleDefinitionLimitExceeded", "Role definition limit exceeded. No more role definitions can be created.")
	}
	taken := func(name string) bool { return strings.EqualFold(name, r.roleName) }
	for _, d := range roles.All() {
		if taken(d.RoleName) {
			return sameName()
		}
	}
	for _, res := range all {
		if res.Name != r.name && taken(arm.Document(res).Object("properties").Text("roleName")) {
			return sameName()
		}
	}
	for _, a := range assignmentsOf(c, s, r.name) {
		within := false
		for _, scope := range r.scopes {
			within = within || s.Covers(c.Place(scope), a.Scope())
		}
		if !within {
			return hasAssignments()
		}
		if _, managed := managementGroup(estate.Shown(a.Scope())); managed && r.data {
			return dataAtManagementGroup()
		}
	}
	return nil
}

func sameName() error {
	return fault.New(http.StatusConflict, "RoleDefinitionWithSameNameExists", "A custom role with the same name already exists in this directory. Use a different name.")
}

// hasAssignments is documented (troubleshooting: custom roles).
func hasAssignments() error {
	return badRole("RoleDefinitionHasAssignments", "There are existing role assignments referencing role.")
}

// dataAtManagementGroup is documented (custom-roles, "Custom role limits");
// code and text are ours.
func dataAtManagementGroup() error {
	return badRole("RoleDefinitionDataActionsAtManagementGroup", "Custom roles with DataActions can't be assigned at the management group scope.")
}

// assignmentsOf are the assignments of a role in the caller's tenant.
func assignmentsOf(c *arm.Call, s *estate.Snapshot, name string) []*estate.Resource {
	var list []*estate.Resource
	for _, res := range s.Under("", estate.TypeRoleAssignment) {
		id := arm.Document(res).Object("properties").Text("roleDefinitionId")
		if strings.EqualFold(id[strings.LastIndexByte(id, '/')+1:], name) && s.TenantOf(res.Scope()) == c.Caller.Tenant.String() {
			list = append(list, res)
		}
	}
	return list
}

// resource is the role as it is kept: at the root of the tenant, where every
// role has its one place whatever scope it was written at.
func (r *customRole) resource(c *arm.Call, old *estate.Resource) (*estate.Resource, *ordered.Object) {
	at, by := c.Now.UTC().Format(timeForm), c.Caller.Object.String()
	created, createdBy, createdAt := at, by, c.Now
	if old != nil {
		props := arm.Document(old).Object("properties")
		created, createdBy, createdAt = props.Text("createdOn"), props.Text("createdBy"), old.Created
	}
	id := "/providers/" + roles.Type + "/" + r.name
	doc := ordered.New(
		ordered.Member{Name: "properties", Value: ordered.New(
			ordered.Member{Name: "roleName", Value: r.roleName},
			ordered.Member{Name: "type", Value: "CustomRole"},
			ordered.Member{Name: "description", Value: r.description},
			ordered.Member{Name: "assignableScopes", Value: texts(r.scopes)},
			ordered.Member{Name: "permissions", Value: r.blocks},
			ordered.Member{Name: "createdOn", Value: created},
			ordered.Member{Name: "updatedOn", Value: at},
			ordered.Member{Name: "createdBy", Value: createdBy},
			ordered.Member{Name: "updatedBy", Value: by})},
		ordered.Member{Name: "id", Value: id},
		ordered.Member{Name: "type", Value: roles.Type},
		ordered.Member{Name: "name", Value: r.name})
	return &estate.Resource{ID: c.Place(id), Type: roles.Type, Name: r.name, Body: doc.Bytes(), Created: createdAt, Changed: c.Now}, doc
}

// removeDefinition deletes a custom role that nothing is assigned by: 200
// with what it was, or 204 (spec: RoleDefinitions_Delete).
func removeDefinition(c *arm.Call) (*arm.Answer, error) {
	if err := c.Authorize(deleteDefinition, c.Vars["scope"]); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		r, ok := findRole(c, s, c.Vars["name"])
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if r.custom == nil {
			return nil, fault.New(http.StatusForbidden, "RoleDefinitionBuiltInUpdateNotPermitted", "The built-in role definition '%s' cannot be deleted.", r.name)
		}
		if err := everywhere(c, s, deleteDefinition, assignableScopes(r.custom)); err != nil {
			return nil, err
		}
		if len(assignmentsOf(c, s, r.name)) > 0 {
			return nil, hasAssignments()
		}
		d.Delete(r.custom.ID)
		return arm.OK(r.body(c.Vars["scope"])), nil
	})
}
