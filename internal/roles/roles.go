// Package roles is the built-in role definitions: what each of them allows,
// under the identifiers that they have in every tenant.
package roles

import (
	"slices"
	"strings"

	"postern/access"
)

// Type is the resource type of a role definition.
const Type = "Microsoft.Authorization/roleDefinitions"

// Definition is one built-in role definition.
type Definition struct {
	// Name is the GUID of the definition, RoleName the name people use.
	Name, RoleName, Description string

	Actions, NotActions         []string
	DataActions, NotDataActions []string

	// Condition restricts the Conditioned actions. It says in the language
	// of conditions what Delegates says as a list: the role definitions
	// (GUIDs) that a holder may assign and take away.
	Condition, ConditionVersion string
	Conditioned                 []string
	Delegates                   []string

	role *access.Role
}

// index holds the definitions in table order and by GUID. It is made once
// and never changed.
var index = newIndex(builtin())

type table struct {
	all    []*Definition
	byName map[string]*Definition
}

func newIndex(all []*Definition) table {
	t := table{all: all, byName: make(map[string]*Definition, len(all))}
	for _, d := range all {
		d.role = &access.Role{ID: d.Name, Name: d.RoleName, Actions: d.unconditional(), NotActions: d.NotActions,
			DataActions: d.DataActions, NotDataActions: d.NotDataActions}
		t.byName[d.Name] = d
	}
	return t
}

// unconditional is the actions that hold without a condition.
func (d *Definition) unconditional() []string {
	if len(d.Conditioned) == 0 {
		return d.Actions
	}
	return slices.DeleteFunc(slices.Clone(d.Actions), func(a string) bool { return slices.Contains(d.Conditioned, a) })
}

// All lists the definitions, sorted by their display names. Neither the
// list's elements nor what they hold may be changed.
func All() []*Definition { return slices.Clone(index.all) }

// ByName finds a definition by its GUID, in either letter case.
func ByName(guid string) (*Definition, bool) {
	d, ok := index.byName[strings.ToLower(guid)]
	return d, ok
}

// ByRoleName finds a definition by its display name, letter case ignored.
func ByRoleName(name string) (*Definition, bool) {
	for _, d := range index.all {
		if strings.EqualFold(d.RoleName, name) {
			return d, true
		}
	}
	return nil, false
}

// ByID finds a definition by its ARM id at any scope
// (…/providers/Microsoft.Authorization/roleDefinitions/<guid>).
func ByID(id string) (*Definition, bool) {
	const marker = "/providers/microsoft.authorization/roledefinitions/"
	low := strings.ToLower(id)
	i := strings.LastIndex(low, marker)
	if i < 0 {
		return nil, false
	}
	return ByName(low[i+len(marker):])
}

// ID is the definition's id at the root.
func (d *Definition) ID() string { return "/providers/" + Type + "/" + d.Name }

// Role is the definition as the decision reads it. Actions that hold only
// under a condition are left out: whoever cannot evaluate the condition
// grants nothing by them. It must not be changed.
func (d *Definition) Role() *access.Role { return d.role }
