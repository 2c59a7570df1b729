// Package identity is the provider Microsoft.ManagedIdentity: identities that
// are resources. With each of them a principal comes into the directory and
// goes from it, in the same transaction, and its federated credentials are
// resources below it.
package identity

import (
	"net/http"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/region"
)

// The types of resource.
const (
	Type          = "Microsoft.ManagedIdentity/userAssignedIdentities"
	TypeFederated = Type + "/federatedIdentityCredentials"
)

// Assign is what a caller needs at an identity to give it to a resource.
const Assign = Type + "/assign/action"

const (
	root          = "/subscriptions/{subscription}"
	list          = "/providers/" + Type
	path          = root + "/resourceGroups/{group}" + list + "/{identity}"
	federatedList = path + "/federatedIdentityCredentials"
	federatedPath = federatedList + "/{credential}"
)

// The actions (documentation: permissions of Microsoft.ManagedIdentity).
const (
	read            = Type + "/read"
	write           = Type + "/write"
	remove          = Type + "/delete"
	readDefault     = "Microsoft.ManagedIdentity/identities/read"
	readFederated   = TypeFederated + "/read"
	writeFederated  = TypeFederated + "/write"
	deleteFederated = TypeFederated + "/delete"
)

// versions are those that clients are known to send, newest first.
var versions = []string{"2024-11-30", "2023-07-31-preview", "2023-01-31", "2022-01-31-preview", "2018-11-30", "2015-08-31-preview"}

// Provider is the table of the operations (spec: ManagedIdentity.json,
// UserAssignedIdentities, FederatedIdentityCredentials, SystemAssignedIdentities
// and Operations).
func Provider() arm.Provider {
	return arm.Provider{
		Namespace: "Microsoft.ManagedIdentity",
		Types: []arm.Type{
			{Name: "userAssignedIdentities", APIVersions: versions, Located: true, Delete: discard},
			{Name: "userAssignedIdentities/federatedIdentityCredentials", APIVersions: versions},
			{Name: "identities", APIVersions: versions}, {Name: "operations", APIVersions: versions},
		},
		Routes: []arm.Route{
			{Name: write, Method: http.MethodPut, Pattern: path, Action: write, Body: arm.MaxBody, Handle: put},
			{Name: write, Method: http.MethodPatch, Pattern: path, Action: write, Body: arm.MaxBody, Handle: patch},
			{Name: read, Method: http.MethodGet, Pattern: path, Action: read, Handle: get},
			{Name: remove, Method: http.MethodDelete, Pattern: path, Action: remove, Handle: drop},
			{Name: read, Method: http.MethodGet, Pattern: root + "/resourceGroups/{group}" + list, Action: read, Handle: all},
			{Name: read, Method: http.MethodGet, Pattern: root + list, Action: read, Handle: all},

			{Name: writeFederated, Method: http.MethodPut, Pattern: federatedPath, Action: writeFederated, Body: arm.MaxBody, Handle: putFederated},
			{Name: readFederated, Method: http.MethodGet, Pattern: federatedPath, Action: readFederated, Handle: getFederated},
			{Name: deleteFederated, Method: http.MethodDelete, Pattern: federatedPath, Action: deleteFederated, Handle: dropFederated},
			{Name: readFederated, Method: http.MethodGet, Pattern: federatedList, Action: readFederated, Handle: allFederated},

			{Name: readDefault, Method: http.MethodGet, Pattern: "{scope}/providers/Microsoft.ManagedIdentity/identities/default", Action: readDefault,
				Scope: func(v arm.Vars) string { return v["scope"] }, Handle: getDefault},
			{Name: "Microsoft.ManagedIdentity/operations/read", Method: http.MethodGet, Pattern: "/providers/Microsoft.ManagedIdentity/operations",
				Handle: func(*arm.Call) (*arm.Answer, error) {
					return arm.Operations("Microsoft Managed Identity", Provider().Routes, nil), nil
				}},
		},
	}
}

// validName holds for 3 to 128 letters, digits, hyphens and underscores that
// begin with a letter or digit (documentation: naming rules).
func validName(name string) bool {
	if len(name) < 3 || len(name) > 128 || name[0] == '-' || name[0] == '_' {
		return false
	}
	return strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// find finds the identity that the path names.
func find(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(arm.NewID(c, s, Type, c.Vars["identity"]))
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], Type+"/"+c.Vars["identity"])
	}
	return res, nil
}

// Principal is the principal of an identity, and its application.
func Principal(res *estate.Resource) (object, app access.GUID) {
	props := arm.Document(res).Object("properties")
	object, _ = access.ParseGUID(props.Text("principalId"))
	app, _ = access.ParseGUID(props.Text("clientId"))
	return object, app
}

// put makes an identity with its principal (201), or changes the tags of one
// that is there (200).
func put(c *arm.Call) (*arm.Answer, error) {
	if name := c.Vars["identity"]; !validName(name) {
		return nil, fault.New(http.StatusBadRequest, "InvalidResourceName", "The resource name '%.100s' is invalid: 3 to 128 letters, digits,"+
			" hyphens and underscores, of which the first is a letter or a digit.", name)
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return change(c, sent, false)
}

// patch changes the tags of an identity.
func patch(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return change(c, sent, true)
}

func change(c *arm.Call, sent *ordered.Object, patching bool) (*arm.Answer, error) {
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, err := find(c, s)
		if err != nil && patching {
			return nil, err
		}
		if old != nil {
			if where := sent.Text("location"); where != "" && !region.Same(where, old.Location) {
				return nil, fault.New(http.StatusConflict, "InvalidResourceLocation", "The resource '%s' already exists in location '%s' in resource"+
					" group '%s'. A resource with the same name cannot be created in location '%.80s'. Please select a new resource name.",
					old.Name, old.Location, c.Vars["group"], where)
			}
			next, doc := *old, arm.Document(old)
			if tags != nil || !patching {
				next.Tags = tags
			}
			doc.Set("tags", arm.TagObject(next.Tags))
			doc.Set("systemData", c.SystemData(doc.Object("systemData")))
			next.Body, next.Changed = doc.Bytes(), c.Now
			d.Put(&next)
			return arm.OK(doc), nil
		}
		res, doc, err := create(c, s, d, sent, tags)
		if err != nil {
			return nil, err
		}
		d.Put(res)
		return &arm.Answer{Status: http.StatusCreated, Body: doc}, nil
	})
}

// create makes a new identity and its principal.
func create(c *arm.Call, s *estate.Snapshot, d *estate.Draft, sent *ordered.Object, tags map[string]string) (*estate.Resource, *ordered.Object, error) {
	where, err := c.Location(Type, sent, nil)
	if err != nil {
		return nil, nil, err
	}
	res := &estate.Resource{ID: arm.NewID(c, s, Type, c.Vars["identity"]), Type: Type, Name: c.Vars["identity"], Location: where,
		Tags: tags, Created: c.Now, Changed: c.Now}
	m, err := c.Managed(d)
	if err != nil {
		return nil, nil, err
	}
	p, err := m.Create(c.Tenant(), res.Name, res.ID, true)
	if err != nil {
		return nil, nil, err
	}
	doc := ordered.New(ordered.Member{Name: "location", Value: res.Location}, ordered.Member{Name: "tags", Value: arm.TagObject(tags)},
		ordered.Member{Name: "id", Value: res.ID}, ordered.Member{Name: "name", Value: res.Name}, ordered.Member{Name: "type", Value: Type},
		ordered.Member{Name: "properties", Value: ordered.New(ordered.Member{Name: "isolationScope", Value: "None"},
			ordered.Member{Name: "tenantId", Value: p.Tenant.String()},
			ordered.Member{Name: "principalId", Value: p.Object.String()}, ordered.Member{Name: "clientId", Value: p.App.String()})},
		ordered.Member{Name: "systemData", Value: c.SystemData(nil)})
	res.Body = doc.Bytes()
	return res, doc, nil
}

func get(c *arm.Call) (*arm.Answer, error) {
	res, err := find(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return arm.OK(arm.Document(res)), nil
}

func all(c *arm.Call) (*arm.Answer, error) {
	scope := "/subscriptions/" + c.Vars["subscription"]
	if group, ok := c.Vars["group"]; ok {
		scope = arm.GroupID(c.Vars["subscription"], group)
	}
	return arm.Resources(c, c.Snapshot().Under(scope, Type), arm.Document)
}

// drop removes an identity with its principal; role assignments of the
// principal stay, as those of any principal that is gone.
func drop(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, err := find(c, s)
		if err != nil {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		c.Discard(d, res)
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}

// discard takes an identity out of the estate and its principal out of the
// directory.
func discard(c *arm.Call, d *estate.Draft, res *estate.Resource) {
	d.Delete(res.ID)
	m, err := c.Managed(d)
	if err == nil {
		object, _ := Principal(res)
		err = m.Delete(object, res.ID)
	}
	if err != nil {
		c.Fail(err)
	}
}
