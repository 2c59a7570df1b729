// Package management is the provider Microsoft.Management: management groups
// above subscriptions, and which subscription is in which.
package management

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// groups is the path of the groups; a group is called {managed} because
// {group} is a resource group.
const (
	groups = "/providers/" + estate.TypeManagementGroup
	group  = groups + "/{managed}"
	member = group + "/subscriptions/{subscription}"
)

// The actions of the provider (documentation: permissions of
// Microsoft.Management).
const (
	readGroup    = estate.TypeManagementGroup + "/read"
	writeGroup   = estate.TypeManagementGroup + "/write"
	deleteGroup  = estate.TypeManagementGroup + "/delete"
	readMember   = estate.TypeManagementGroup + "/subscriptions/read"
	writeMember  = estate.TypeManagementGroup + "/subscriptions/write"
	deleteMember = estate.TypeManagementGroup + "/subscriptions/delete"
	// assign is what moving something below another group needs: those who
	// have rights there come to have them here.
	assign = "Microsoft.Authorization/roleAssignments/write"
)

// Provider is the table of the operations.
func Provider() arm.Provider {
	at := func(v arm.Vars) string { return groups + "/" + v["managed"] }
	return arm.Provider{
		Namespace: "Microsoft.Management",
		Types: []arm.Type{{Name: "managementGroups", APIVersions: []string{"2023-04-01", "2021-04-01", "2020-10-01", "2020-05-01", "2020-02-01",
			"2019-11-01", "2018-03-01-preview"}}},
		Routes: []arm.Route{
			{Name: readGroup, Method: http.MethodGet, Pattern: groups, Handle: listGroups},
			{Name: readGroup, Method: http.MethodGet, Pattern: group, Action: readGroup, Scope: at, Handle: getGroup},
			{Name: writeGroup, Method: http.MethodPut, Pattern: group, Decides: true, Scope: at, Body: arm.MaxBody, Handle: putGroup},
			{Name: writeGroup, Method: http.MethodPatch, Pattern: group, Decides: true, Scope: at, Body: arm.MaxBody, Handle: patchGroup},
			{Name: deleteGroup, Method: http.MethodDelete, Pattern: group, Action: deleteGroup, Scope: at, Handle: removeGroup},
			{Name: readGroup, Method: http.MethodGet, Pattern: group + "/descendants", Action: readGroup, Scope: at, Handle: listDescendants},
			{Name: readMember, Method: http.MethodGet, Pattern: group + "/subscriptions", Action: readMember, Scope: at, Handle: listMembers},
			{Name: readMember, Method: http.MethodGet, Pattern: member, Action: readMember, Scope: at, Handle: getMember},
			{Name: writeMember, Method: http.MethodPut, Pattern: member, Decides: true, Scope: at, Handle: putMember},
			{Name: deleteMember, Method: http.MethodDelete, Pattern: member, Decides: true, Scope: at, Handle: removeMember},
		},
	}
}

// managed is a management group as it is: one that was made, or the root
// group, which is there for every tenant and bears its id.
type managed struct {
	name, displayName string
	resource          *estate.Resource // nil for a root group that nobody has named
}

// find finds a group of the caller's tenant.
func find(c *arm.Call, s *estate.Snapshot, name string) (managed, bool) {
	res, ok := s.Resource(estate.ManagementGroup(c.Caller.Tenant, name))
	switch {
	case ok && strings.EqualFold(res.Type, estate.TypeManagementGroup):
		return managed{res.Name, arm.Document(res).Object("properties").Text("displayName"), res}, true
	case isRoot(c, name):
		return managed{name: c.Caller.Tenant.String(), displayName: "Tenant Root Group"}, true
	}
	return managed{}, false
}

// isRoot reports whether a name is that of the root group.
func isRoot(c *arm.Call, name string) bool { return strings.EqualFold(name, c.Caller.Tenant.String()) }

func notFound(name string) error {
	return fault.New(http.StatusNotFound, "NotFound", "The management group '%s' could not be found.", name)
}

// summary is a group in a list (spec: ManagementGroupInfo).
func (g managed) summary(c *arm.Call) *ordered.Object {
	return ordered.New(
		ordered.Member{Name: "id", Value: groups + "/" + g.name},
		ordered.Member{Name: "type", Value: estate.TypeManagementGroup},
		ordered.Member{Name: "name", Value: g.name},
		ordered.Member{Name: "properties", Value: ordered.New(
			ordered.Member{Name: "tenantId", Value: c.Caller.Tenant.String()},
			ordered.Member{Name: "displayName", Value: g.displayName})})
}

// listGroups lists the groups that the caller may read (spec:
// ManagementGroups_List).
func listGroups(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	list := []*ordered.Object{}
	if g, ok := find(c, s, c.Caller.Tenant.String()); ok && g.resource == nil && c.May(readGroup, groups+"/"+g.name) {
		list = append(list, g.summary(c))
	}
	for _, res := range s.Under(c.Place(groups), estate.TypeManagementGroup) {
		if g, ok := find(c, s, res.Name); ok && c.May(readGroup, groups+"/"+g.name) {
			list = append(list, g.summary(c))
		}
	}
	return arm.List(list), nil
}

// getGroup is one group, with what is below it if $expand asks (spec:
// ManagementGroups_Get).
func getGroup(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	g, ok := find(c, s, c.Vars["managed"])
	if !ok {
		return nil, notFound(c.Vars["managed"])
	}
	doc := g.document(c, s)
	if strings.EqualFold(c.Param("$expand"), "children") {
		doc.Object("properties").Set("children", children(c, s, g, strings.EqualFold(c.Query.Get("$recurse"), "true"), 0))
	}
	return arm.OK(doc), nil
}

// document is a group as it is answered (spec: ManagementGroup).
func (g managed) document(c *arm.Call, s *estate.Snapshot) *ordered.Object {
	details := ordered.New()
	if g.resource != nil {
		old := arm.Document(g.resource).Object("properties").Object("details")
		for _, name := range []string{"version", "updatedTime", "updatedBy"} {
			v, _ := old.Get(name)
			details.Set(name, v)
		}
	}
	if above := s.Above(estate.ManagementGroup(c.Caller.Tenant, g.name)); len(above) > 1 {
		if parent, ok := find(c, s, lastSegment(above[0])); ok {
			details.Set("parent", parent.reference())
		}
	}
	doc := g.summary(c)
	doc.Object("properties").Set("details", details)
	return doc
}

// reference is a group as the parent of another (spec: ParentGroupInfo).
func (g managed) reference() *ordered.Object {
	return ordered.New(
		ordered.Member{Name: "id", Value: groups + "/" + g.name},
		ordered.Member{Name: "name", Value: g.name},
		ordered.Member{Name: "displayName", Value: g.displayName})
}

func lastSegment(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// children are what is below a group (spec: ManagementGroupChildInfo).
func children(c *arm.Call, s *estate.Snapshot, g managed, deeper bool, depth int) []any {
	list := []any{}
	for _, key := range s.Below(estate.ManagementGroup(c.Caller.Tenant, g.name)) {
		res, ok := s.Resource(key)
		if !ok {
			continue
		}
		child := ordered.New(
			ordered.Member{Name: "id", Value: estate.Shown(res.ID)},
			ordered.Member{Name: "type", Value: "/subscriptions"},
			ordered.Member{Name: "name", Value: res.Name},
			ordered.Member{Name: "displayName", Value: arm.Document(res).Text("displayName")})
		if below, ok := find(c, s, res.Name); ok && strings.EqualFold(res.Type, estate.TypeManagementGroup) {
			child.Set("type", estate.TypeManagementGroup)
			child.Set("displayName", below.displayName)
			if deeper && depth < maxDepth {
				child.Set("children", children(c, s, below, true, depth+1))
			}
		}
		list = append(list, child)
	}
	return list
}

// listDescendants lists everything below a group (spec:
// ManagementGroups_GetDescendants).
func listDescendants(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	g, ok := find(c, s, c.Vars["managed"])
	if !ok {
		return nil, notFound(c.Vars["managed"])
	}
	list := []*ordered.Object{}
	for _, key := range s.Scopes(estate.ManagementGroup(c.Caller.Tenant, g.name))[1:] {
		res, ok := s.Resource(key)
		above := s.Above(key)
		if !ok || len(above) == 0 {
			continue
		}
		typ, name := "/subscriptions", arm.Document(res).Text("displayName")
		if below, ok := find(c, s, res.Name); ok && strings.EqualFold(res.Type, estate.TypeManagementGroup) {
			typ, name = estate.TypeManagementGroup, below.displayName
		}
		parent, _ := find(c, s, lastSegment(above[0]))
		list = append(list, ordered.New(
			ordered.Member{Name: "id", Value: estate.Shown(res.ID)},
			ordered.Member{Name: "type", Value: typ},
			ordered.Member{Name: "name", Value: res.Name},
			ordered.Member{Name: "properties", Value: ordered.New(
				ordered.Member{Name: "displayName", Value: name},
				ordered.Member{Name: "parent", Value: ordered.New(ordered.Member{Name: "id", Value: groups + "/" + parent.name})})}))
	}
	return arm.List(list), nil
}
