// Package workload is the resources that run programs: virtual machines,
// sites, data factories, clusters, machines elsewhere. Their documents are
// kept as they are sent, without the secrets in them; what happens to them
// here is their identity.
//
//	identity.type SystemAssigned → a principal that lives and dies with the resource
//	identity.type UserAssigned   → identities that are resources, assigned by who may
//	properties.postern.addresses → where its programs are: from there they are it
package workload

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// The types of resource.
const (
	TypeMachine = "Microsoft.Compute/virtualMachines"
	TypeSite    = "Microsoft.Web/sites"
	TypeFactory = "Microsoft.DataFactory/factories"
	TypeCluster = "Microsoft.ContainerService/managedClusters"
	TypeArc     = "Microsoft.HybridCompute/machines"
)

// kind is what differs between the types.
type kind struct {
	typ      string
	versions []string
	// made and gone are the answers to what makes and removes one.
	made, gone int
}

var kinds = []kind{
	{typ: TypeMachine, versions: []string{"2025-04-01", "2024-11-01", "2024-07-01", "2023-03-01"}, made: http.StatusCreated, gone: http.StatusOK},
	{typ: TypeSite, versions: []string{"2025-03-01", "2024-11-01", "2023-12-01", "2022-09-01"}, made: http.StatusOK, gone: http.StatusOK},
	{typ: TypeFactory, versions: []string{"2018-06-01"}, made: http.StatusOK, gone: http.StatusOK},
	{typ: TypeCluster, versions: []string{"2025-08-01", "2025-01-01", "2024-09-01", "2023-10-01"}, made: http.StatusCreated, gone: http.StatusNoContent},
	{typ: TypeArc, versions: []string{"2025-01-13", "2024-07-10", "2022-12-27"}, made: http.StatusOK, gone: http.StatusOK},
}

// Types lists the types of resource.
func Types() []string {
	var list []string
	for _, k := range kinds {
		list = append(list, k.typ)
	}
	return list
}

// Providers are the tables of the operations, one for each namespace.
func Providers() []arm.Provider {
	var list []arm.Provider
	for _, k := range kinds {
		list = append(list, k.provider())
	}
	return list
}

func (k kind) provider() arm.Provider {
	namespace, name, _ := strings.Cut(k.typ, "/")
	const root = "/subscriptions/{subscription}"
	of := "/providers/" + k.typ
	path := root + "/resourceGroups/{group}" + of + "/{workload}"
	return arm.Provider{
		Namespace: namespace,
		Types:     []arm.Type{{Name: name, APIVersions: k.versions, Located: true, Delete: discard}},
		Routes: []arm.Route{
			{Name: k.typ + "/write", Method: http.MethodPut, Pattern: path, Action: k.typ + "/write", Body: arm.MaxBody, Handle: k.put},
			{Name: k.typ + "/write", Method: http.MethodPatch, Pattern: path, Action: k.typ + "/write", Body: arm.MaxBody, Handle: k.patch},
			{Name: k.typ + "/read", Method: http.MethodGet, Pattern: path, Action: k.typ + "/read", Handle: k.get},
			{Name: k.typ + "/delete", Method: http.MethodDelete, Pattern: path, Action: k.typ + "/delete", Handle: k.drop},
			{Name: k.typ + "/read", Method: http.MethodGet, Pattern: root + "/resourceGroups/{group}" + of, Action: k.typ + "/read", Handle: k.all},
			{Name: k.typ + "/read", Method: http.MethodGet, Pattern: root + of, Action: k.typ + "/read", Handle: k.all},
		},
	}
}

func (k kind) find(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(arm.NewID(c, s, k.typ, c.Vars["workload"]))
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], k.typ+"/"+c.Vars["workload"])
	}
	return res, nil
}

// put makes a workload or replaces its document. An identity that the
// document does not mention stays as it is.
func (k kind) put(c *arm.Call) (*arm.Answer, error) {
	name := c.Vars["workload"]
	if len(name) > 64 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return nil, fault.New(http.StatusBadRequest, "InvalidResourceName", "The resource name '%.100s' is invalid.", name)
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return k.change(c, sent, false)
}

// patch merges a document into that of a workload.
func (k kind) patch(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return k.change(c, sent, true)
}

func (k kind) change(c *arm.Call, sent *ordered.Object, patching bool) (*arm.Answer, error) {
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, err := k.find(c, s)
		if err != nil && patching {
			return nil, err
		}
		where, err := c.Location(k.typ, sent, old)
		if err != nil {
			return nil, err
		}
		next := &estate.Resource{ID: arm.NewID(c, s, k.typ, c.Vars["workload"]), Type: k.typ, Name: c.Vars["workload"], Created: c.Now}
		status, before := k.made, (*ordered.Object)(nil)
		if old != nil {
			status, before = http.StatusOK, arm.Document(old)
			next.ID, next.Name, next.Created, next.Tags = old.ID, old.Name, old.Created, old.Tags
		}
		if tags != nil || !patching {
			next.Tags = tags
		}
		next.Location, next.Changed = where, c.Now
		doc := sent.Clone()
		if patching {
			doc = before.Clone()
			rest := sent.Clone()
			rest.Delete("identity")
			doc.Merge(rest)
		}
		dropSecrets(doc)
		given, err := identities(c, s, d, next, before.Object("identity"), sent, patching)
		if err != nil {
			return nil, err
		}
		frame(c, next, doc, before, given)
		next.Body = doc.Bytes()
		if err := placed(s, next, doc); err != nil {
			return nil, err
		}
		d.Put(next)
		return &arm.Answer{Status: status, Body: doc}, nil
	})
}

// frame puts into a document what is not the client's to say.
func frame(c *arm.Call, res *estate.Resource, doc, before, given *ordered.Object) {
	doc.Set("id", res.ID)
	doc.Set("name", res.Name)
	doc.Set("type", res.Type)
	doc.Set("location", res.Location)
	doc.Delete("tags")
	if res.Tags != nil {
		doc.Set("tags", arm.TagObject(res.Tags))
	}
	doc.Delete("identity")
	if given != nil {
		doc.Set("identity", given)
	}
	props := doc.Object("properties")
	if props == nil {
		props = &ordered.Object{}
	}
	props.Set("provisioningState", "Succeeded")
	doc.Set("properties", props)
	doc.Set("systemData", c.SystemData(before.Object("systemData")))
}

// secret are the members, lower-case, that clients send and never get back.
// None of them is kept.
var secret = []string{"adminpassword", "customdata", "userdata", "password", "clientsecret", "secret", "securestring", "protectedsettings",
	"appsettings", "connectionstrings", "sshprivatekey", "accesskey", "token"}

// dropSecrets takes the secrets out of a document, at any depth.
func dropSecrets(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			dropSecrets(item)
		}
	case *ordered.Object:
		for _, m := range slices.Clone(v.Members()) {
			if slices.Contains(secret, strings.ToLower(m.Name)) {
				v.Delete(m.Name)
				continue
			}
			dropSecrets(m.Value)
		}
	}
}

func (k kind) get(c *arm.Call) (*arm.Answer, error) {
	res, err := k.find(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return arm.OK(arm.Document(res)), nil
}

func (k kind) all(c *arm.Call) (*arm.Answer, error) {
	scope := "/subscriptions/" + c.Vars["subscription"]
	if group, ok := c.Vars["group"]; ok {
		scope = arm.GroupID(c.Vars["subscription"], group)
	}
	return arm.Resources(c, c.Snapshot().Under(scope, k.typ), arm.Document)
}

func (k kind) drop(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, err := k.find(c, s)
		if err != nil {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		c.Discard(d, res)
		return &arm.Answer{Status: k.gone}, nil
	})
}

// maxAddresses bounds the addresses of one workload.
const maxAddresses = 256

// Addresses are where the programs of a workload are, as its document
// declares: properties.postern.addresses. ok is false when it cannot be
// read; then it is nowhere.
func Addresses(res *estate.Resource) (list []netip.Addr, ok bool) {
	return addresses(arm.Document(res))
}

func addresses(doc *ordered.Object) ([]netip.Addr, bool) {
	v, there := doc.Object("properties").Object("postern").Get("addresses")
	if !there {
		return nil, true
	}
	items, ok := v.([]any)
	if !ok || len(items) > maxAddresses {
		return nil, false
	}
	var list []netip.Addr
	for _, item := range items {
		text, _ := item.(string)
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			return nil, false
		}
		list = append(list, a.Unmap())
	}
	return list, true
}

// placed checks that no address of a workload is that of another one: two
// could not be told apart by where they are.
func placed(s *estate.Snapshot, res *estate.Resource, doc *ordered.Object) error {
	mine, ok := addresses(doc)
	if !ok {
		return fault.New(http.StatusBadRequest, "InvalidParameter", "The property 'postern.addresses' is a list of at most %d addresses.", maxAddresses)
	}
	if len(mine) == 0 {
		return nil
	}
	for _, k := range kinds {
		for _, other := range s.Under("/", k.typ) {
			if estate.Key(other.ID) == estate.Key(res.ID) {
				continue
			}
			theirs, _ := Addresses(other)
			for _, a := range theirs {
				if slices.Contains(mine, a) {
					return fault.New(http.StatusConflict, "AddressInUse", "The address %s is that of another resource.", a)
				}
			}
		}
	}
	return nil
}
