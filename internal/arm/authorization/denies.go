package authorization

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// listDenies lists the deny assignments at a scope, above it, and, unless
// the filter says atScope(), below it (spec: DenyAssignments_ListForScope).
// They cannot be written: in the service, too, others make them
// (documentation: deny-assignments).
func listDenies(c *arm.Call) (*arm.Answer, error) {
	filter, err := arm.ParseFilter(c.Param("$filter"), "denyAssignmentName", "principalId", "atScope()", "gdprExportPrincipalId")
	if err != nil {
		return nil, err
	}
	s, scope := c.Snapshot(), c.Vars["scope"]
	var list []*estate.Resource
	for _, res := range around(c, s, estate.TypeDenyAssignment, scope) {
		if filter.Match(func(t *arm.Filter) bool { return denyHas(c, s, res, t) }) {
			list = append(list, res)
		}
	}
	return arm.Resources(c, list, arm.Document)
}

func denyHas(c *arm.Call, s *estate.Snapshot, res *estate.Resource, t *arm.Filter) bool {
	props := arm.Document(res).Object("properties")
	switch t.Name {
	case "atScope":
		return s.Covers(res.Scope(), c.Place(c.Vars["scope"]))
	case "denyAssignmentName":
		return strings.EqualFold(props.Text("denyAssignmentName"), t.Value)
	}
	list, _ := props.Get("principals")
	all, _ := list.([]any)
	for _, item := range all {
		if p, ok := item.(*ordered.Object); ok && strings.EqualFold(p.Text("id"), strings.Trim(t.Value, "{}")) {
			return true
		}
	}
	return false
}

// getDeny is one by its name (spec: DenyAssignments_Get).
func getDeny(c *arm.Call) (*arm.Answer, error) {
	id := strings.TrimRight(c.Place(c.Vars["scope"]), "/") + "/providers/" + estate.TypeDenyAssignment + "/" + c.Vars["name"]
	res, ok := c.Snapshot().Resource(id)
	if !ok || !strings.EqualFold(res.Type, estate.TypeDenyAssignment) {
		return nil, fault.New(http.StatusNotFound, "DenyAssignmentNotFound", "The deny assignment '%s' is not found.",
			strings.ReplaceAll(c.Vars["name"], "-", ""))
	}
	return arm.OK(arm.Document(res)), nil
}
