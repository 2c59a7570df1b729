package resources

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/region"
)

// groupBody is a resource group as it is answered.
func groupBody(res *estate.Resource) *ordered.Object { return arm.Document(res) }

// listGroups lists the groups of a subscription that the caller may read.
// Its $filter knows tags by name and value (spec: ResourceGroups_List).
func listGroups(c *arm.Call) (*arm.Answer, error) {
	filter, err := arm.ParseFilter(c.Param("$filter"), "tagName", "tagValue", "name", "location")
	if err != nil {
		return nil, err
	}
	scope := "/subscriptions/" + c.Vars["subscription"]
	var list []*estate.Resource
	for _, res := range c.Snapshot().Under(scope, estate.TypeResourceGroup) {
		if c.May(readGroup, res.ID) && filter.Match(func(t *arm.Filter) bool { return groupHas(res, t) }) {
			list = append(list, res)
		}
	}
	if list == nil && !c.May(readGroup, scope) && !anyReadable(c, scope) {
		return nil, c.Forbidden(readGroup, scope)
	}
	return page(c, list, groupBody)
}

// anyReadable reports whether there is anything under a scope that the
// caller may read: only then is an empty list an answer.
func anyReadable(c *arm.Call, scope string) bool {
	for _, r := range c.Snapshot().Under(scope, "") {
		if readable(c, r) {
			return true
		}
	}
	return false
}

func groupHas(res *estate.Resource, t *arm.Filter) bool {
	switch t.Name {
	case "name":
		return strings.EqualFold(res.Name, t.Value)
	case "location":
		return region.Same(res.Location, t.Value)
	case "tagName":
		return hasTag(res, func(name, _ string) bool { return strings.EqualFold(name, t.Value) })
	case "tagValue":
		return hasTag(res, func(_, value string) bool { return value == t.Value })
	}
	return false
}

func hasTag(res *estate.Resource, test func(name, value string) bool) bool {
	for name, value := range res.Tags {
		if test(name, value) {
			return true
		}
	}
	return false
}

// page is a page of resources in the order of their ids.
func page(c *arm.Call, list []*estate.Resource, body func(*estate.Resource) *ordered.Object) (*arm.Answer, error) {
	answer, err := arm.Page(c, list, func(r *estate.Resource) string { return estate.Key(r.ID) })
	if err != nil {
		return nil, err
	}
	return arm.MapPage(answer, body), nil
}

// theGroup is the group of the path, which the plane has found to exist.
func theGroup(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(arm.GroupID(c.Vars["subscription"], c.Vars["group"]))
	if !ok {
		return nil, arm.GroupNotFound(c.Vars["group"])
	}
	return res, nil
}

func getGroup(c *arm.Call) (*arm.Answer, error) {
	res, err := theGroup(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return arm.OK(groupBody(res)), nil
}

// headGroup answers 204, or 404 without a body (spec:
// ResourceGroups_CheckExistence).
func headGroup(c *arm.Call) (*arm.Answer, error) {
	if _, err := theGroup(c, c.Snapshot()); err != nil {
		return &arm.Answer{Status: http.StatusNotFound}, nil
	}
	return &arm.Answer{Status: http.StatusNoContent}, nil
}

// validGroupName holds for 1 to 90 letters, digits, and _ - . ( ), not
// ending in a period (documentation: naming rules).
func validGroupName(name string) bool {
	if name == "" || len(name) > 90 || strings.HasSuffix(name, ".") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("_-.()", rune(c)) {
			return false
		}
	}
	return true
}

// putGroup creates a group (201) or replaces its tags (200) (spec:
// ResourceGroups_CreateOrUpdate).
func putGroup(c *arm.Call) (*arm.Answer, error) {
	name := c.Vars["group"]
	if !validGroupName(name) {
		return nil, fault.New(http.StatusBadRequest, "InvalidResourceGroup", "The provided resource group name '%s' has these invalid"+
			" characters: ''. The name can only be a letter, digit, '-', '.', '(', ')' or '_', and is at most 90 characters long.", name)
	}
	body, err := c.Object()
	if err != nil {
		return nil, err
	}
	tags, err := arm.Tags(body)
	if err != nil {
		return nil, err
	}
	location := body.Text("location")
	if location == "" {
		return nil, fault.New(http.StatusBadRequest, "LocationRequired", "The location property is required for this definition.")
	}
	known, ok := region.Find(location)
	if !ok {
		return nil, fault.New(http.StatusBadRequest, "LocationNotAvailableForResourceGroup", "The provided location '%s' is not available"+
			" for resource group. List of available regions is '%s'.", location, region.List())
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		status := http.StatusCreated
		next := &estate.Resource{ID: arm.GroupID(strings.ToLower(c.Vars["subscription"]), name), Type: estate.TypeResourceGroup, Name: name,
			Location: known.Name, Created: c.Now}
		if old, ok := s.Resource(next.ID); ok {
			if !region.Same(old.Location, known.Name) {
				return nil, fault.New(http.StatusConflict, "InvalidResourceGroupLocation", "Invalid resource group location '%s'."+
					" The Resource group already exists in location '%s'.", location, old.Location)
			}
			status, next.ID, next.Name, next.Created = http.StatusOK, old.ID, old.Name, old.Created
		}
		return putGroupDocument(c, d, next, tags, body.Text("managedBy"), status), nil
	})
}

// patchGroup changes the tags of a group (spec: ResourceGroups_Update).
func patchGroup(c *arm.Call) (*arm.Answer, error) {
	body, err := c.Object()
	if err != nil {
		return nil, err
	}
	tags, err := arm.Tags(body)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, err := theGroup(c, s)
		if err != nil {
			return nil, err
		}
		next := *old
		if tags == nil {
			tags = old.Tags
		}
		return putGroupDocument(c, d, &next, tags, arm.Document(old).Text("managedBy"), http.StatusOK), nil
	})
}

func putGroupDocument(c *arm.Call, d *estate.Draft, res *estate.Resource, tags map[string]string, managedBy string, status int) *arm.Answer {
	doc := ordered.New(
		ordered.Member{Name: "id", Value: res.ID},
		ordered.Member{Name: "name", Value: res.Name},
		ordered.Member{Name: "type", Value: estate.TypeResourceGroup},
		ordered.Member{Name: "location", Value: res.Location},
	)
	if managedBy != "" {
		doc.Set("managedBy", managedBy)
	}
	if tags != nil {
		doc.Set("tags", arm.TagObject(tags))
	}
	doc.Set("properties", ordered.New(ordered.Member{Name: "provisioningState", Value: "Succeeded"}))
	res.Tags, res.Body, res.Changed = tags, doc.Bytes(), c.Now
	d.Put(res)
	return &arm.Answer{Status: status, Body: doc}
}

// removeGroup deletes a group with what is in it: each resource in the way
// of its type, so that vaults are soft-deleted and role assignments go. It
// is done when it answers (spec: ResourceGroups_Delete).
func removeGroup(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		group, err := theGroup(c, s)
		if err != nil {
			return nil, err
		}
		if err := c.Removable(group); err != nil {
			return nil, err
		}
		c.Discard(d, group)
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}
