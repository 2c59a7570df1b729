package estate

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"postern/access"
)

// TypeManagementGroup is a group of subscriptions and of other groups.
const TypeManagementGroup = "Microsoft.Management/managementGroups"

// What belongs to a tenant and to no subscription has an id without either:
// "/providers/Microsoft.Management/managementGroups/x". In the estate such
// ids stand below their tenant, so that no tenant's root reaches another's.
const tenants = "/tenants/"

// Place is the id under which the estate has what a caller of a tenant calls
// by an id: the id itself within a subscription; everything else, the root
// "/" included, is the tenant's own.
func Place(tenant access.GUID, id string) string {
	if len(id) > len("/subscriptions/") && strings.EqualFold(id[:len("/subscriptions/")], "/subscriptions/") {
		return id
	}
	return tenants + tenant.String() + strings.TrimRight(id, "/")
}

// Shown is the id that Place was given.
func Shown(id string) string {
	rest, ok := strings.CutPrefix(id, tenants)
	if !ok {
		return id
	}
	_, rest, _ = strings.Cut(rest, "/")
	return "/" + rest
}

// tenantOf is the tenant of a Key that Place made; "" for others.
func tenantOf(key string) string {
	rest, ok := strings.CutPrefix(key, tenants)
	if !ok {
		return ""
	}
	tenant, _, _ := strings.Cut(rest, "/")
	return tenant
}

// groupKey is the Key of a tenant's management group. The group above all
// others bears the tenant's id; it is there without being made.
func groupKey(tenant, name string) string {
	return tenants + tenant + Key("/providers/"+TypeManagementGroup+"/"+name)
}

// ManagementGroup is the id of a management group in the estate.
func ManagementGroup(tenant access.GUID, name string) string {
	return Place(tenant, "/providers/"+TypeManagementGroup+"/"+name)
}

// hierarchy is what stands above and below subscriptions, by Key.
type hierarchy struct {
	// above is the group above a subscription or group, and the tenant's
	// root above its root group.
	above map[string]string
	// below lists, in order, what is directly below a group or root.
	below map[string][]string
	// tenant of each subscription that tells it.
	tenant map[string]string
}

// compileHierarchy reads the groups and subscriptions. A parent that does
// not exist is the root group; groups in a circle are below nothing.
func (s *Snapshot) compileHierarchy() {
	h := &hierarchy{above: map[string]string{}, below: map[string][]string{}, tenant: map[string]string{}}
	seen := map[string]bool{}
	for _, key := range s.order {
		r := s.resources[key]
		var tenant, parent string
		switch {
		case strings.EqualFold(r.Type, TypeSubscription):
			tenant, parent = subscriptionPlace(r)
			h.tenant[key] = tenant
		case strings.EqualFold(r.Type, TypeManagementGroup):
			tenant, parent = tenantOf(key), parentName(r)
		}
		if tenant == "" {
			continue
		}
		top := groupKey(tenant, tenant)
		at := groupKey(tenant, parent)
		if _, ok := s.resources[at]; !ok || parent == "" {
			at = top
		}
		seen[tenant] = true
		if key != top {
			h.above[key] = at
		}
	}
	for tenant := range seen {
		h.above[groupKey(tenant, tenant)] = tenants + tenant
	}
	for _, key := range slices.Sorted(maps.Keys(h.above)) {
		h.below[h.above[key]] = append(h.below[h.above[key]], key)
	}
	s.hierarchy = h
}

// subscriptionPlace is the tenant of a subscription, and the name of the
// management group that it was put into; "" for none.
func subscriptionPlace(r *Resource) (tenant, group string) {
	var doc struct {
		TenantID        string `json:"tenantId"`
		ManagementGroup string `json:"managementGroup"`
	}
	if json.Unmarshal(r.Body, &doc) != nil {
		return "", ""
	}
	return strings.ToLower(doc.TenantID), doc.ManagementGroup
}

// parentName is the name of the group above a management group (spec:
// ManagementGroupDetails.parent).
func parentName(r *Resource) string {
	var doc struct {
		Properties struct {
			Details struct {
				Parent struct {
					ID string `json:"id"`
				} `json:"parent"`
			} `json:"details"`
		} `json:"properties"`
	}
	if json.Unmarshal(r.Body, &doc) != nil {
		return ""
	}
	id := doc.Properties.Details.Parent.ID
	return id[strings.LastIndexByte(id, '/')+1:]
}

// maxDepth bounds a walk: a circle ends.
const maxDepth = 64

// Above lists the management groups above a subscription or a group, the
// nearest first, and the root of their tenant, as Keys.
func (s *Snapshot) Above(id string) []string {
	var list []string
	for key := s.hierarchy.above[Key(id)]; key != "" && len(list) < maxDepth; key = s.hierarchy.above[key] {
		list = append(list, key)
	}
	return list
}

// Below lists what is directly below a management group: groups and
// subscriptions, as Keys in their order.
func (s *Snapshot) Below(id string) []string { return slices.Clone(s.hierarchy.below[Key(id)]) }

// Scopes lists the scopes that a scope reaches and that are not below it by
// their ids, itself first: the groups and subscriptions below a management
// group or a tenant's root.
func (s *Snapshot) Scopes(scope string) []string {
	list := []string{scope}
	key := Key(scope)
	if tenantOf(key) == "" {
		return list
	}
	seen := map[string]bool{key: true}
	for next := s.hierarchy.below[key]; len(next) > 0; {
		var deeper []string
		for _, k := range next {
			if seen[k] {
				continue // a circle
			}
			seen[k] = true
			list = append(list, k)
			deeper = append(deeper, s.hierarchy.below[k]...)
		}
		next = deeper
	}
	return list
}

// Covers reports whether a scope reaches another: it is the same or above
// it.
func (s *Snapshot) Covers(scope, of string) bool {
	scope, of = Key(scope), Key(of)
	within := func(at string) bool { return of == at || strings.HasPrefix(of, at+"/") }
	if scope == "" || within(scope) {
		return true
	}
	return slices.ContainsFunc(s.Scopes(scope), within)
}

// TenantOf is the tenant that a scope belongs to, lower-case: that of its
// subscription, or the one it stands below; "" when nothing tells.
func (s *Snapshot) TenantOf(scope string) string {
	key := Key(scope)
	if t := tenantOf(key); t != "" {
		return t
	}
	if id := segmentAfter(key, "subscriptions"); id != "" {
		return s.hierarchy.tenant["/subscriptions/"+id]
	}
	return ""
}
