package authorization

import (
	"net/http"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
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
	s := c.Snapshot()
	for _, res := range around(c, s, estate.TypeRoleAssignment, scope) {
		if filter.Match(func(t *arm.Filter) bool {
			if t.Name == "atScope" {
				return s.Covers(res.Scope(), c.Place(scope))
			}
			principal := arm.Document(res).Object("properties").Text("principalId")
			return strings.EqualFold(principal, strings.Trim(t.Value, "{}")) || t.Name == "assignedTo" && throughGroup(c, principal, t.Value)
		}) {
			list = append(list, res)
		}
	}
	answer, err := arm.Page(c, list, func(r *estate.Resource) string { return estate.Key(r.ID) })
	if err != nil {
		return nil, err
	}
	return arm.MapPage(answer, arm.Document), nil
}

// throughGroup reports whether what is assigned to a group is somebody's.
func throughGroup(c *arm.Call, group, who string) bool {
	object, err := access.ParseGUID(strings.Trim(who, "{}"))
	g, bad := access.ParseGUID(group)
	return err == nil && bad == nil && slices.Contains(c.Groups(object), g)
}

// find is the assignment of the path: at the very scope.
func find(c *arm.Call, s *estate.Snapshot) (*estate.Resource, bool) {
	res, ok := s.Resource(assignmentID(c.Place(c.Vars["scope"]), c.Vars["name"]))
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
	role          role
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
	id, ok := props.Text("roleDefinitionId"), false
	if r.role, ok = findRole(c, c.Snapshot(), id); !ok {
		return nil, unknownDefinition(http.StatusBadRequest, id[strings.LastIndexByte(id, '/')+1:])
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
		return nil, refuseFirst(c, err)
	}
	if err := c.AuthorizeAssignment(writeAssignment, r.scope, r.written(c)); err != nil {
		return nil, err
	}
	if err := r.resolve(c); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		if err := checkScope(c, s, r.scope); err != nil {
			return nil, err
		}
		// The role may have gone since the request was read.
		if role, ok := findRole(c, s, r.role.name); !ok || !role.assignable(c, s, r.scope) {
			return nil, unknownDefinition(http.StatusBadRequest, r.role.name)
		} else if err := role.fits(r.scope); err != nil {
			return nil, err
		}
		if old, ok := find(c, s); ok {
			return r.again(c, d, old)
		}
		if twin := r.twin(c, s); twin != nil {
			return nil, fault.New(http.StatusConflict, "RoleAssignmentExists", "The role assignment already exists."+
				" The ID of the existing role assignment is %s.", strings.ReplaceAll(twin.Name, "-", ""))
		}
		res, doc := r.resource(c)
		d.Put(res)
		return &arm.Answer{Status: http.StatusCreated, Body: doc}, nil
	})
}

// written is what conditions may ask of the assignment. The type is what the
// directory says and never what the client says.
func (r *request) written(c *arm.Call) access.Written {
	w := access.Written{Role: r.role.name, Principal: r.principal.String()}
	if kind, ok := c.Principal(c.Caller.Tenant, r.principal); ok {
		w.Type = kind
	}
	return w
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

// again answers a PUT of an assignment that is there: its description and
// condition may change, nothing else.
func (r *request) again(c *arm.Call, d *estate.Draft, old *estate.Resource) (*arm.Answer, error) {
	doc := arm.Document(old)
	props := doc.Object("properties")
	if !r.sameRole(props) || !strings.EqualFold(props.Text("principalId"), r.principal.String()) {
		return nil, fault.New(http.StatusBadRequest, "RoleAssignmentUpdateNotPermitted",
			"Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
	}
	if props.Text("condition") != r.condition || props.Text("description") != r.description {
		r.describe(props)
		props.Set("updatedOn", c.Now.UTC().Format(timeForm))
		props.Set("updatedBy", c.Caller.Object.String())
		next := *old
		next.Body, next.Changed = doc.Bytes(), c.Now
		d.Put(&next)
	}
	status := http.StatusCreated
	if c.Version >= "2022-04-01" {
		status = http.StatusOK
	}
	return &arm.Answer{Status: status, Body: doc}, nil
}

// sameRole reports whether the document of an assignment is of the same
// role.
func (r *request) sameRole(props *ordered.Object) bool {
	id := props.Text("roleDefinitionId")
	return strings.EqualFold(id[strings.LastIndexByte(id, '/')+1:], r.role.name)
}

// describe writes what may change of an assignment.
func (r *request) describe(props *ordered.Object) {
	for name, value := range map[string]string{"description": r.description, "condition": r.condition} {
		if props.Set(name, nil); value != "" {
			props.Set(name, value)
		}
	}
	if props.Set("conditionVersion", nil); r.condition != "" {
		props.Set("conditionVersion", conditionVersion)
	}
}

// twin is an assignment of the same role to the same principal at the same
// scope under another name.
func (r *request) twin(c *arm.Call, s *estate.Snapshot) *estate.Resource {
	at := estate.Key(c.Place(r.scope))
	for _, res := range s.Under(at+"/providers/"+estate.TypeRoleAssignment, estate.TypeRoleAssignment) {
		props := arm.Document(res).Object("properties")
		if r.sameRole(props) && strings.EqualFold(props.Text("principalId"), r.principal.String()) {
			return res
		}
	}
	return nil
}

// resource is the assignment as it is kept and answered (spec:
// RoleAssignment).
func (r *request) resource(c *arm.Call) (*estate.Resource, *ordered.Object) {
	at := c.Now.UTC().Format(timeForm)
	by := c.Caller.Object.String()
	props := ordered.New(
		ordered.Member{Name: "roleDefinitionId", Value: definitionID(r.scope, r.role.name)},
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
	r.describe(props)
	id := assignmentID(r.scope, r.name)
	doc := ordered.New(
		ordered.Member{Name: "properties", Value: props},
		ordered.Member{Name: "id", Value: id},
		ordered.Member{Name: "type", Value: estate.TypeRoleAssignment},
		ordered.Member{Name: "name", Value: strings.ToLower(r.name)})
	return &estate.Resource{ID: assignmentID(c.Place(r.scope), r.name), Type: estate.TypeRoleAssignment, Name: strings.ToLower(r.name), Body: doc.Bytes(),
		Created: c.Now, Changed: c.Now}, doc
}

// removeAssignment deletes an assignment: 200 with what it was, or 204 when
// there is none (spec: RoleAssignments_Delete).
func removeAssignment(c *arm.Call) (*arm.Answer, error) {
	res, ok := find(c, c.Snapshot())
	w := access.Written{Deleting: true}
	if ok {
		props := arm.Document(res).Object("properties")
		id := props.Text("roleDefinitionId")
		w.Role, w.Principal = id[strings.LastIndexByte(id, '/')+1:], props.Text("principalId")
		w.Type = props.Text("principalType")
	}
	if err := c.AuthorizeAssignment(deleteAssignment, c.Vars["scope"], w); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, there := find(c, s)
		if !there {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if !ok || old != res {
			// Not the one that the decision was about.
			return nil, fault.New(http.StatusConflict, "RoleAssignmentUpdateConflict", "The role assignment has been changed meanwhile. Retry the request.")
		}
		d.Delete(old.ID)
		return arm.OK(arm.Document(old)), nil
	})
}

// timeForm is how times are written.
const timeForm = "2006-01-02T15:04:05.0000000Z"

// refuseFirst shows what is wrong with a request only to a caller who may
// make one.
func refuseFirst(c *arm.Call, err error) error {
	if denied := c.AuthorizeAssignment(writeAssignment, c.Vars["scope"], access.Written{}); denied != nil {
		return denied
	}
	return err
}
