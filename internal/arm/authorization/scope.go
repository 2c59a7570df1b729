package authorization

import (
	"net/http"
	"sort"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
)

const groups = "/providers/" + estate.TypeManagementGroup + "/"

// managementGroup is the name of the management group that a scope is.
func managementGroup(scope string) (string, bool) {
	if len(scope) <= len(groups) || !strings.EqualFold(scope[:len(groups)], groups) {
		return "", false
	}
	name := scope[len(groups):]
	return name, !strings.Contains(name, "/")
}

// checkScope refuses a scope that is no resource: a role assigned to a
// misspelt scope would protect or open nothing. Objects of a vault need not
// exist; the root and the root group are there without being made.
func checkScope(c *arm.Call, s *estate.Snapshot, scope string) error {
	if name, ok := managementGroup(scope); scope == "/" || ok && strings.EqualFold(name, c.Caller.Tenant.String()) {
		return nil
	}
	parts := strings.Split(strings.Trim(scope, "/"), "/")
	if n := len(parts); n == 10 && isObjectKind(parts[8]) {
		scope = "/" + strings.Join(parts[:8], "/")
	}
	if _, ok := s.Resource(c.Place(scope)); ok {
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

// around lists the resources of a type that stand at, above and below a
// scope of the caller, in the order of their ids.
func around(c *arm.Call, s *estate.Snapshot, typ, scope string) []*estate.Resource {
	place := c.Place(scope)
	var list []*estate.Resource
	take := func(under string) {
		for _, res := range s.Under(under, typ) {
			if at := res.Scope(); s.Covers(at, place) || s.Covers(place, at) {
				list = append(list, res)
			}
		}
	}
	parts := strings.Split(place, "/")
	if len(parts) < 3 {
		return nil
	}
	take(c.Place("/"))
	if strings.EqualFold(parts[1], "subscriptions") {
		take("/subscriptions/" + parts[2])
	} else {
		for _, id := range s.Scopes(place) {
			if !strings.HasPrefix(id, c.Place("/")) {
				take(id)
			}
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return estate.Key(list[i].ID) < estate.Key(list[j].ID) })
	return list
}
