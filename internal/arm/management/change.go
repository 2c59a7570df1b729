package management

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// Limits (documentation: azure-subscription-service-limits, "Management group
// limits"): levels below the root group, and groups of a tenant.
const (
	maxDepth  = 6
	maxGroups = 10000
)

func bad(code, format string, args ...any) error {
	return fault.New(http.StatusBadRequest, code, format, args...)
}

// validName holds for 1 to 90 letters, digits, and _ - . ( ), not ending in
// a period (documentation: naming rules).
func validName(name string) bool {
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

// wish is what a client says of a group; parent is "" when it says nothing.
type wish struct{ name, displayName, parent string }

// parentName reads the id of a parent: a management group's.
func parentName(id string) (string, error) {
	if id == "" {
		return "", nil
	}
	name := lastSegment(id)
	if !strings.EqualFold(id, groups+"/"+name) || !validName(name) {
		return "", bad("BadRequest", "The parent '%s' is not the id of a management group.", id)
	}
	return name, nil
}

// putGroup makes a group, or changes its name and where it is (spec:
// ManagementGroups_CreateOrUpdate).
func putGroup(c *arm.Call) (*arm.Answer, error) {
	if err := mayWriteSomething(c); err != nil {
		return nil, err
	}
	body, err := c.Object()
	if err != nil {
		return nil, err
	}
	props := body.Object("properties")
	w := wish{name: c.Vars["managed"], displayName: props.Text("displayName")}
	if w.parent, err = parentName(props.Object("details").Object("parent").Text("id")); err != nil {
		return nil, err
	}
	return w.put(c, true)
}

// patchGroup is putGroup for a group that is there (spec:
// ManagementGroups_Update).
func patchGroup(c *arm.Call) (*arm.Answer, error) {
	if err := mayWriteSomething(c); err != nil {
		return nil, err
	}
	body, err := c.Object()
	if err != nil {
		return nil, err
	}
	w := wish{name: c.Vars["managed"], displayName: body.Text("displayName")}
	if w.parent, err = parentName(body.Text("parentGroupId")); err != nil {
		return nil, err
	}
	return w.put(c, false)
}

// mayWriteSomething refuses those who could make no group anywhere before
// anything of the request is looked at.
func mayWriteSomething(c *arm.Call) error {
	s, here := c.Snapshot(), groups+"/"+c.Vars["managed"]
	if _, ok := find(c, s, c.Vars["managed"]); !ok {
		for _, res := range s.Under(c.Place(groups), estate.TypeManagementGroup) {
			if c.May(writeGroup, groups+"/"+res.Name) {
				return nil
			}
		}
		here = groups + "/" + c.Caller.Tenant.String()
	}
	return c.Authorize(writeGroup, here)
}

func (w wish) put(c *arm.Call, mayCreate bool) (*arm.Answer, error) {
	if !validName(w.name) || len(w.displayName) > 90 {
		return nil, bad("BadRequest", "The management group '%s' has a name or a display name that is not valid.", w.name)
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		g, exists := find(c, s, w.name)
		if !exists && !mayCreate {
			return nil, notFound(w.name)
		}
		parent, err := w.place(c, s, g, exists)
		if err != nil {
			return nil, err
		}
		next := &estate.Resource{ID: estate.ManagementGroup(c.Caller.Tenant, w.name), Type: estate.TypeManagementGroup, Name: w.name, Created: c.Now}
		version := 1
		if exists {
			next.Name = g.name
			if g.resource != nil {
				*next = *g.resource
				if v, ok := arm.Document(g.resource).Object("properties").Object("details").Get("version"); ok {
					n, _ := v.(json.Number)
					last, _ := strconv.Atoi(string(n))
					version = last + 1
				}
			}
		}
		name := w.displayName
		if name == "" {
			if name = g.displayName; !exists {
				name = w.name
			}
		}
		details := ordered.New(
			ordered.Member{Name: "version", Value: json.Number(strconv.Itoa(version))},
			ordered.Member{Name: "updatedTime", Value: c.Now.UTC().Format("2006-01-02T15:04:05.0000000Z")},
			ordered.Member{Name: "updatedBy", Value: c.Caller.Object.String()})
		if !isRoot(c, w.name) {
			details.Set("parent", parent.reference())
		}
		answer := managed{name: next.Name, displayName: name}.summary(c)
		answer.Object("properties").Set("details", details)
		next.Body, next.Changed = answer.Bytes(), c.Now
		d.Put(next)
		return arm.OK(answer), nil
	})
}

// place finds the parent that the group shall have, and asks whether the
// caller may put it there: writing the group for one that is there, writing
// the parent for a new one, and moving for another parent.
func (w wish) place(c *arm.Call, s *estate.Snapshot, g managed, exists bool) (managed, error) {
	if exists {
		if err := c.Authorize(writeGroup, groups+"/"+g.name); err != nil {
			return managed{}, err
		}
	} else if len(s.Under(c.Place(groups), estate.TypeManagementGroup)) >= maxGroups {
		return managed{}, bad("BadRequest", "The tenant has the maximum of %d management groups.", maxGroups)
	}
	above := s.Above(estate.ManagementGroup(c.Caller.Tenant, w.name))
	name := w.parent
	if name == "" {
		if name = c.Caller.Tenant.String(); exists && len(above) > 1 {
			name = lastSegment(above[0])
		}
	}
	parent, ok := find(c, s, name)
	if !ok {
		return managed{}, c.Forbidden(writeGroup, groups+"/"+name)
	}
	if isRoot(c, w.name) {
		if w.parent != "" {
			return managed{}, bad("BadRequest", "The root management group has no parent.")
		}
		return parent, nil
	}
	switch {
	case !exists:
		if err := c.Authorize(writeGroup, groups+"/"+parent.name); err != nil {
			return managed{}, err
		}
	case len(above) > 1 && !strings.EqualFold(lastSegment(above[0]), parent.name):
		if err := move(c, groups+"/"+g.name, lastSegment(above[0]), parent.name, writeGroup); err != nil {
			return managed{}, err
		}
	}
	return parent, w.fits(c, s, parent)
}

// fits refuses a circle and a hierarchy that becomes too deep.
func (w wish) fits(c *arm.Call, s *estate.Snapshot, parent managed) error {
	self := estate.Key(estate.ManagementGroup(c.Caller.Tenant, w.name))
	at := estate.ManagementGroup(c.Caller.Tenant, parent.name)
	above := append([]string{estate.Key(at)}, s.Above(at)...)
	for _, key := range above {
		if key == self {
			return bad("BadRequest", "The management group '%s' cannot be below itself.", w.name)
		}
	}
	// Above ends with the root group and the tenant's root.
	if depth := len(above) - 1 + height(s, self, 0); depth > maxDepth {
		return bad("BadRequest", "Management groups are at most %d levels deep.", maxDepth)
	}
	return nil
}

// height is how many levels of groups are below a group.
func height(s *estate.Snapshot, key string, depth int) int {
	most := 0
	for _, below := range s.Below(key) {
		if !strings.HasPrefix(below, "/subscriptions/") && depth <= maxDepth {
			most = max(most, 1+height(s, below, depth+1))
		}
	}
	return most
}

// move asks whether the caller may put what is below one group below
// another: write on the thing, on the group that it is in and on the one it
// goes to, unless that is the root group; and the right to assign roles to
// the thing, because others get rights there (documentation: management
// groups, "Moving management groups and subscriptions").
func move(c *arm.Call, thing, from, to, write string) error {
	if err := c.Authorize(assign, thing); err != nil {
		return err
	}
	for _, name := range []string{from, to} {
		if isRoot(c, name) {
			continue
		}
		if err := c.Authorize(write, groups+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

// removeGroup deletes a group that nothing is in, with the assignments that
// stand at it (spec: ManagementGroups_Delete). It is done when it answers.
func removeGroup(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		g, ok := find(c, s, c.Vars["managed"])
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if isRoot(c, g.name) {
			return nil, bad("BadRequest", "The root management group cannot be deleted.")
		}
		if len(s.Below(g.resource.ID)) > 0 {
			return nil, bad("BadRequest", "The management group '%s' cannot be deleted because it has children.", g.name)
		}
		c.Discard(d, g.resource)
		return &arm.Answer{Status: http.StatusNoContent}, nil
	})
}
