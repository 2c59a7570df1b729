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

// listAssignments lists the assignments at a scope, above it, and, unless
// the filter says atScope(), below it (spec: RoleAssignments_ListForScope).
func listAssignments(c *arm.Call) (*arm.Answer, error) {
	filter, err := arm.ParseFilter(c.Param("$filter"), "principalId", "atScope()", "assignedTo()")
	if err != nil {
		return nil, err
	}
	scope := c.Vars["scope"]
	var list []*estate.Resource
	for _, res := range assignmentsAround(c.Snapshot(), scope) {
		props := arm.Document(res).Object("properties")
		if filter.Match(func(t *arm.Filter) bool { return assignmentHas(props, scope, t) }) {
			list = append(list, res)
		}
	}
	answer, err := arm.Page(c, list, func(r *estate.Resource) string { return estate.Key(r.ID) })
	if err != nil {
		return nil, err
	}
	return arm.MapPage(answer, arm.Document), nil
}

// assignmentHas decides one term. assignedTo means the principal itself:
// whose groups it is in is not known here.
func assignmentHas(props *ordered.Object, scope string, t *arm.Filter) bool {
	switch t.Name {
	case "principalId", "assignedTo":
		return strings.EqualFold(props.Text("principalId"), strings.Trim(t.Value, "{}"))
	case "atScope":
		return below(scope, props.Text("scope"))
	}
	return false
}

// find is the assignment of the path: at the very scope.
func find(c *arm.Call, s *estate.Snapshot) (*estate.Resource, bool) {
	res, ok := s.Resource(assignmentID(c.Vars["scope"], c.Vars["name"]))
	return res, ok && strings.EqualFold(res.Type, estate.TypeRoleAssignment)
}

func assignmentID(scope, name string) string {
	return strings.TrimRight(scope, "/") + "/providers/" + estate.TypeRoleAssignment + "/" + strings.ToLower(name)
}

func getAssignment(c *arm.Call) (*arm.Answer, error) {
	res, ok := find(c, c.Snapshot())
	if !ok {
		return nil, fault.New(http.StatusNotFound, "RoleAssignmentNotFound", "The role assignment '%s' is not found.",
			strings.ReplaceAll(c.Vars["name"], "-", ""))
	}
	return arm.OK(arm.Document(res)), nil
}

// request is what a client says of an assignment (spec:
// RoleAssignmentCreateParameters).
type request struct {
	name, scope   string
	role          *roles.Definition
	principal     access.GUID
	principalType string
	description   string
	// condition is "" for none; its version is 2.0.
	condition string
}

// conditionVersion is the version of conditions (documented:
// conditions-format).
const conditionVersion = "2.0"

// readCondition reads and checks the condition. One that cannot be read is
// refused: without it the assignment would grant more than it says.
func (r *request) readCondition(props *ordered.Object) error {
	for _, name := range []string{"condition", "conditionVersion"} {
		if v, _ := props.Get(name); v != nil {
			if _, ok := v.(string); !ok {
				return invalid("The property '" + name + "' must be a string.")
			}
		}
	}
	r.condition = props.Text("condition")
	version := props.Text("conditionVersion")
	switch {
	case r.condition == "" && version == "":
		return nil
	case r.condition == "":
		return fault.New(http.StatusBadRequest, "InvalidRoleAssignmentCondition", "The property 'conditionVersion' needs the property 'condition'.")
	case version != conditionVersion:
		return fault.New(http.StatusBadRequest, "InvalidRoleAssignmentConditionVersion", "The condition version '%s' is not valid: it must be '2.0'.", version)
	}
	if _, err := access.ParseCondition(r.condition); err != nil {
		return fault.New(http.StatusBadRequest, "InvalidRoleAssignmentCondition", "The condition is not valid: %s.", strings.TrimPrefix(err.Error(), "access: ")).Because(err)
	}
	return nil
}

// readRequest reads and checks the body of a PUT.
func readRequest(c *arm.Call) (*request, error) {
	r := &request{name: c.Vars["name"], scope: c.Vars["scope"]}
	if _, err := access.ParseGUID(r.name); err != nil {
		return nil, fault.New(http.StatusBadRequest, "InvalidRoleAssignmentId",
			"The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", r.name)
	}
	body, err := c.Object()
	if err != nil {
		return nil, err
	}
	props := body.Object("properties")
	if props == nil {
		return nil, invalid("The property 'properties' is required.")
	}
	if v, _ := props.Get("delegatedManagedIdentityResourceId"); v != nil && v != "" {
		return nil, invalid("The property 'delegatedManagedIdentityResourceId' is not supported by this server.")
	}
	if err := r.readCondition(props); err != nil {
		return nil, err
	}
	if r.principal, err = access.ParseGUID(props.Text("principalId")); err != nil || r.principal.IsZero() {
		return nil, fault.New(http.StatusBadRequest, "InvalidPrincipalId", "A valid principal ID must be provided for role assignment.")
	}
	role := props.Text("roleDefinitionId")
	ok := false
	if r.role, ok = roles.ByID(role); !ok {
		if r.role, ok = roles.ByName(role); !ok {
			return nil, unknownDefinition(http.StatusBadRequest, role[strings.LastIndexByte(role, '/')+1:])
		}
	}
	r.principalType, r.description = props.Text("principalType"), props.Text("description")
	return r, r.checkType()
}

func invalid(message string) error {
	return fault.New(http.StatusBadRequest, "InvalidRequestContent", "The request content was invalid: %s", message)
}

// checkType brings the principal's type into its spelling.
func (r *request) checkType() error {
	if r.principalType == "" {
		return nil
	}
	for _, t := range []string{"User", "Group", "ServicePrincipal", "ForeignGroup", "Device"} {
		if strings.EqualFold(t, r.principalType) {
			r.principalType = t
			return nil
		}
	}
	return invalid("'" + r.principalType + "' is no type of principal.")
}

// putAssignment creates an assignment (spec: RoleAssignments_Create). A
// second one of the same role to the same principal at the same scope is a
// conflict; the same one again is answered as it is.
func putAssignment(c *arm.Call) (*arm.Answer, error) {
	r, err := readRequest(c)
	if err != nil {
		return nil, refuseFirst(c, writeAssignment, nil, err)
	}
	if err := authorize(c, writeAssignment, r.role); err != nil {
		return nil, err
	}
	if err := r.resolve(c); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		if err := checkScope(s, r.scope); err != nil {
			return nil, err
		}
		if old, ok := find(c, s); ok {
			return r.again(c, old)
		}
		if twin := r.twin(s); twin != nil {
			return nil, fault.New(http.StatusConflict, "RoleAssignmentExists", "The role assignment already exists."+
				" The ID of the existing role assignment is %s.", strings.ReplaceAll(twin.Name, "-", ""))
		}
		res, doc := r.resource(c)
		d.Put(res)
		return &arm.Answer{Status: http.StatusCreated, Body: doc}, nil
	})
}

// resolve finds the type of the principal. A principal that the directory
// does not know is an error only when the client does not say what it is
// (documentation: principalType, for principals that were just created).
func (r *request) resolve(c *arm.Call) error {
	kind, ok := c.Principal(c.Caller.Tenant, r.principal)
	switch {
	case ok:
		r.principalType = kind
	case r.principalType == "":
		return fault.New(http.StatusBadRequest, "PrincipalNotFound", "Principal %s does not exist in the directory %s. Check that you have"+
			" the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be"+
			" related to a replication delay. In this case, set the role assignment principalType property to a value, such as"+
			" ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype",
			strings.ReplaceAll(r.principal.String(), "-", ""), c.Caller.Tenant)
	}
	return nil
}

// again answers a PUT of an assignment that is there: the same is no change,
// another is not possible.
func (r *request) again(c *arm.Call, old *estate.Resource) (*arm.Answer, error) {
	doc := arm.Document(old)
	props := doc.Object("properties")
	role, _ := roles.ByID(props.Text("roleDefinitionId"))
	if role != r.role || !strings.EqualFold(props.Text("principalId"), r.principal.String()) {
		return nil, fault.New(http.StatusBadRequest, "RoleAssignmentUpdateNotPermitted",
			"Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
	}
	status := http.StatusCreated
	if c.Version >= "2022-04-01" {
		status = http.StatusOK
	}
	return &arm.Answer{Status: status, Body: doc}, nil
}

// twin is an assignment of the same role to the same principal at the same
// scope under another name.
func (r *request) twin(s *estate.Snapshot) *estate.Resource {
	for _, res := range s.Under(r.scope, estate.TypeRoleAssignment) {
		props := arm.Document(res).Object("properties")
		if estate.Key(props.Text("scope")) != estate.Key(r.scope) || !strings.EqualFold(props.Text("principalId"), r.principal.String()) {
			continue
		}
		if role, ok := roles.ByID(props.Text("roleDefinitionId")); ok && role == r.role {
			return res
		}
	}
	return nil
}

// resource is the assignment as it is kept and answered (spec:
// RoleAssignment).
func (r *request) resource(c *arm.Call) (*estate.Resource, *ordered.Object) {
	at := c.Now.UTC().Format("2006-01-02T15:04:05.0000000Z")
	by := c.Caller.Object.String()
	props := ordered.New(
		ordered.Member{Name: "roleDefinitionId", Value: definitionID(r.scope, r.role.Name)},
		ordered.Member{Name: "principalId", Value: r.principal.String()},
		ordered.Member{Name: "principalType", Value: r.principalType},
		ordered.Member{Name: "scope", Value: r.scope},
		ordered.Member{Name: "condition", Value: nil},
		ordered.Member{Name: "conditionVersion", Value: nil},
		ordered.Member{Name: "createdOn", Value: at},
		ordered.Member{Name: "updatedOn", Value: at},
		ordered.Member{Name: "createdBy", Value: by},
		ordered.Member{Name: "updatedBy", Value: by},
		ordered.Member{Name: "delegatedManagedIdentityResourceId", Value: nil},
		ordered.Member{Name: "description", Value: nil})
	if r.description != "" {
		props.Set("description", r.description)
	}
	if r.condition != "" {
		props.Set("condition", r.condition)
		props.Set("conditionVersion", conditionVersion)
	}
	id := assignmentID(r.scope, r.name)
	doc := ordered.New(
		ordered.Member{Name: "properties", Value: props},
		ordered.Member{Name: "id", Value: id},
		ordered.Member{Name: "type", Value: estate.TypeRoleAssignment},
		ordered.Member{Name: "name", Value: strings.ToLower(r.name)})
	return &estate.Resource{ID: id, Type: estate.TypeRoleAssignment, Name: strings.ToLower(r.name), Body: doc.Bytes(),
		Created: c.Now, Changed: c.Now}, doc
}

// removeAssignment deletes an assignment: 200 with what it was, or 204 when
// there is none (spec: RoleAssignments_Delete).
func removeAssignment(c *arm.Call) (*arm.Answer, error) {
	res, ok := find(c, c.Snapshot())
	if !ok {
		return &arm.Answer{Status: http.StatusNoContent}, authorize(c, deleteAssignment, nil)
	}
	role, _ := roles.ByID(arm.Document(res).Object("properties").Text("roleDefinitionId"))
	if err := authorize(c, deleteAssignment, role); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, ok := find(c, s)
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		d.Delete(old.ID)
		return arm.OK(arm.Document(old)), nil
	})
}

// refuseFirst shows what is wrong with a request only to a caller who may
// make one.
func refuseFirst(c *arm.Call, action string, role *roles.Definition, err error) error {
	if denied := authorize(c, action, role); denied != nil {
		return denied
	}
	return err
}

// authorize asks whether the caller may assign, or take away, a role at the
// scope of the path: by the action itself, or by a role whose condition
// allows the action for this role definition alone (Key Vault Data Access
// Administrator).
func authorize(c *arm.Call, action string, role *roles.Definition) error {
	denied := c.Authorize(action, c.Vars["scope"])
	if denied == nil || role == nil || !delegated(c, action, role.Name) {
		return denied
	}
	c.Override()
	return nil
}

// delegated evaluates the conditions of built-in roles, which say no more
// than which role definitions a holder may assign: the assignments whose
// condition holds are asked without it.
func delegated(c *arm.Call, action, guid string) bool {
	var list []access.Assignment
	for _, res := range assignmentsAround(c.Snapshot(), c.Vars["scope"]) {
		props := arm.Document(res).Object("properties")
		d, ok := roles.ByID(props.Text("roleDefinitionId"))
		principal, err := access.ParseGUID(props.Text("principalId"))
		if !ok || err != nil || props.Has("condition") || !d.MayAssign(guid) {
			continue
		}
		list = append(list, access.Assignment{ID: res.Name, Principal: principal, Scope: props.Text("scope"),
			Role: &access.Role{ID: d.Name, Name: d.RoleName, Actions: d.Conditioned, NotActions: d.NotActions}})
	}
	return access.NewAuthority(list, nil).Authorize(&c.Caller.Caller, action, c.Vars["scope"]).Allowed()
}
