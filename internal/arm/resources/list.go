package resources

import (
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/ordered"
	"postern/internal/region"
)

// isListed reports whether /resources shows a resource: it is of a group,
// and has a location. What has none is a part of another one.
func isListed(res *estate.Resource) bool {
	return res.Location != "" && !strings.EqualFold(res.Type, estate.TypeResourceGroup)
}

// listResources lists the resources of a subscription or group that the
// caller may read (spec: Resources_List, Resources_ListByResourceGroup;
// clients find a vault by its name here).
func listResources(c *arm.Call) (*arm.Answer, error) {
	filter, err := arm.ParseFilter(c.Param("$filter"), "resourceType", "name", "resourceGroup", "location", "tagName", "tagValue")
	if err != nil {
		return nil, err
	}
	scope, action := "/subscriptions/"+c.Vars["subscription"], readResources
	if name, ok := c.Vars["group"]; ok {
		scope, action = arm.GroupID(c.Vars["subscription"], name), readInGroup
	}
	var list []*estate.Resource
	for _, res := range c.Snapshot().Under(scope, "") {
		if isListed(res) && readable(c, res) && filter.Match(func(t *arm.Filter) bool { return resourceHas(res, t) }) {
			list = append(list, res)
		}
	}
	if list == nil && !c.May(action, scope) && !anyReadable(c, scope) {
		return nil, c.Forbidden(action, scope)
	}
	expand := strings.ToLower(c.Param("$expand"))
	return page(c, list, func(res *estate.Resource) *ordered.Object { return resourceBody(res, expand) })
}

func resourceHas(res *estate.Resource, t *arm.Filter) bool {
	switch t.Name {
	case "resourceType":
		return strings.EqualFold(res.Type, t.Value)
	case "resourceGroup":
		return strings.EqualFold(res.Group(), t.Value)
	case "name":
		return strings.EqualFold(res.Name, t.Value)
	case "location":
		return region.Same(res.Location, t.Value)
	}
	return groupHas(res, t)
}

// resourceBody is a resource in a list (spec: GenericResourceExpanded).
func resourceBody(res *estate.Resource, expand string) *ordered.Object {
	o := ordered.New(
		ordered.Member{Name: "id", Value: res.ID},
		ordered.Member{Name: "name", Value: res.Name},
		ordered.Member{Name: "type", Value: res.Type},
		ordered.Member{Name: "location", Value: res.Location},
		ordered.Member{Name: "tags", Value: arm.TagObject(res.Tags)},
	)
	for field := range strings.SplitSeq(expand, ",") {
		switch strings.TrimSpace(field) {
		case "createdtime":
			o.Set("createdTime", res.Created.UTC().Format("2006-01-02T15:04:05.0000000Z"))
		case "changedtime":
			o.Set("changedTime", res.Changed.UTC().Format("2006-01-02T15:04:05.0000000Z"))
		case "provisioningstate":
			o.Set("provisioningState", "Succeeded")
		}
	}
	return o
}
