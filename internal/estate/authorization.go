package estate

import (
	"encoding/json"
	"strings"

	"postern/access"
	"postern/internal/roles"
)

// The types of resource that say, beside role assignments, who may do what.
const (
	TypeRoleDefinition = "Microsoft.Authorization/roleDefinitions"
	TypeDenyAssignment = "Microsoft.Authorization/denyAssignments"
)

// isAuthorization reports whether assignments are compiled from a type.
func isAuthorization(typ string) bool {
	for _, t := range []string{TypeRoleAssignment, TypeRoleDefinition, TypeDenyAssignment} {
		if strings.EqualFold(t, typ) {
			return true
		}
	}
	return false
}

// permission is one block of a role definition or a deny assignment (spec:
// Permission).
type permission struct {
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
	Condition      *string  `json:"condition"`
}

func (p *permission) conditional() bool { return p.Condition != nil && *p.Condition != "" }

// blocks makes a role of blocks of permissions.
func blocks(id, name string, list []permission) *access.Role {
	role := &access.Role{ID: id, Name: name}
	for i, p := range list {
		if i == 0 {
			role.Actions, role.NotActions, role.DataActions, role.NotDataActions = p.Actions, p.NotActions, p.DataActions, p.NotDataActions
			continue
		}
		role.More = append(role.More, access.Permissions{Actions: p.Actions, NotActions: p.NotActions,
			DataActions: p.DataActions, NotDataActions: p.NotDataActions})
	}
	return role
}

// roleKey names a role definition within a tenant.
func roleKey(tenant, guid string) string { return tenant + "/" + strings.ToLower(guid) }

// roleTenant is the tenant that a role definition belongs to; "" when
// nothing tells.
func (s *Snapshot) roleTenant(r *Resource) string {
	return s.TenantOf(r.Scope())
}

// compileRoles reads the role definitions of the estate's own. A block that
// holds under a condition grants nothing.
func (s *Snapshot) compileRoles() []Problem {
	var problems []Problem
	s.roles = map[string]*access.Role{}
	for _, key := range s.order {
		res := s.resources[key]
		if !strings.EqualFold(res.Type, TypeRoleDefinition) {
			continue
		}
		r := &reading{resource: res}
		var document struct {
			Properties struct {
				RoleName    string       `json:"roleName"`
				Permissions []permission `json:"permissions"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(res.Body, &document); err != nil {
			r.problem("properties", "cannot be read: %v: the role grants nothing", err)
			problems = append(problems, r.problems...)
			continue
		}
		var list []permission
		for _, p := range document.Properties.Permissions {
			if p.conditional() {
				r.problem("properties.permissions", "a block with a condition grants nothing")
				continue
			}
			list = append(list, p)
		}
		s.roles[roleKey(s.roleTenant(res), res.Name)] = blocks(strings.ToLower(res.Name), document.Properties.RoleName, list)
		problems = append(problems, r.problems...)
	}
	return problems
}

// role finds a role definition for an assignment at a scope: a built-in one,
// or one of the scope's tenant.
func (s *Snapshot) role(guid, scope string) *access.Role {
	if s.options.Role != nil {
		if role, ok := s.options.Role(guid); ok {
			return role
		}
	}
	return s.roles[roleKey(s.TenantOf(scope), guid)]
}

// Role finds a role definition by its GUID, as an assignment at a scope has
// it: a built-in one, or one of the scope's tenant.
func (s *Snapshot) Role(guid, scope string) (*access.Role, bool) {
	role := s.role(guid, scope)
	return role, role != nil
}

// everyone is the principal of a deny assignment that stands for all
// (documented: deny-assignments, "SystemDefined").
var everyone access.GUID

// compileDenies reads the deny assignments. One that cannot be read denies
// everything to everyone at its scope; a condition, and that it should not
// reach what is below, are not looked at: it denies all the same.
func (s *Snapshot) compileDenies() []Problem {
	var problems []Problem
	s.denies = nil
	for _, key := range s.order {
		res := s.resources[key]
		if !strings.EqualFold(res.Type, TypeDenyAssignment) {
			continue
		}
		d, found := denyAssignment(res)
		problems = append(problems, found...)
		for _, scope := range s.Scopes(d.Scope) {
			d.Scope = scope
			s.denies = append(s.denies, d)
		}
	}
	return problems
}

// denyAssignment reads a deny assignment (spec: DenyAssignment).
func denyAssignment(res *Resource) (access.DenyAssignment, []Problem) {
	r := &reading{resource: res}
	type principal struct {
		ID string `json:"id"`
	}
	var document struct {
		Properties struct {
			Name        string       `json:"denyAssignmentName"`
			Permissions []permission `json:"permissions"`
			Principals  []principal  `json:"principals"`
			Exclude     []principal  `json:"excludePrincipals"`
		} `json:"properties"`
	}
	d := access.DenyAssignment{ID: res.Name, Scope: scopeIn(res.ID, TypeDenyAssignment)}
	err := json.Unmarshal(res.Body, &document)
	p := &document.Properties
	if err != nil || len(p.Permissions) == 0 || len(p.Principals) == 0 {
		r.problem("properties", "cannot be read: everything is denied to everyone")
		d.Everyone = true
		return d, r.problems
	}
	d.Role = blocks(res.Name, p.Name, p.Permissions)
	for i, each := range p.Principals {
		g, err := access.ParseGUID(each.ID)
		if err != nil {
			r.problem("properties.principals", "%q, number %d, is not a GUID: everyone is denied", each.ID, i)
		}
		d.Everyone = d.Everyone || err != nil || g == everyone
		d.Principals = append(d.Principals, g)
	}
	for _, each := range p.Exclude {
		if g := r.guid("properties.excludePrincipals", each.ID); !g.IsZero() {
			d.Exclude = append(d.Exclude, g)
		}
	}
	return d, r.problems
}

// scopeIn is the scope in the id of a resource that stands at one.
func scopeIn(id, typ string) string {
	if i := strings.LastIndex(strings.ToLower(id), "/providers/"+strings.ToLower(typ)+"/"); i > 0 {
		return id[:i]
	}
	return "/"
}

// Scope is the scope at which an assignment or a definition stands.
func (r *Resource) Scope() string { return scopeIn(r.ID, r.Type) }

// concerns reports whether a scope is the vault, above it or below it.
func concerns(scope, vault string) bool {
	return scope == "" || scope == vault || beneath(vault, scope) || beneath(scope, vault)
}

func beneath(key, of string) bool {
	return len(key) > len(of) && key[len(of)] == '/' && key[:len(of)] == of
}

// conditioned is the part of a built-in role that holds only under the
// role's own condition (Key Vault Data Access Administrator) as an
// assignment: both conditions must hold.
func conditioned(a access.Assignment, guid, condition string) (access.Assignment, bool) {
	d, ok := roles.ByName(guid)
	if !ok || len(d.Conditioned) == 0 || d.Condition == "" {
		return a, false
	}
	both := "(" + d.Condition + ")"
	if condition != "" {
		both += " AND (" + condition + ")"
	}
	parsed, err := access.ParseCondition(both)
	a.Condition, a.Conditional = parsed, err != nil
	a.Role = &access.Role{ID: d.Name, Name: d.RoleName, Actions: d.Conditioned, NotActions: d.NotActions}
	return a, true
}
