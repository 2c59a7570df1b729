// Package network is the provider Microsoft.Network as far as the way to a
// vault needs it: virtual networks with their subnets, private endpoints to
// vaults, and the network interfaces that these bring along.
//
// A subnet stands in the document of its network, as the service keeps it,
// and is a resource of its own on the wire. Every operation is finished when
// it answers.
package network

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/arm/privatelink"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

const (
	namespace     = "/providers/Microsoft.Network"
	root          = "/subscriptions/{subscription}" + namespace
	inGroup       = "/subscriptions/{subscription}/resourceGroups/{group}" + namespace
	networkPath   = inGroup + "/virtualNetworks/{network}"
	subnetPath    = networkPath + "/subnets/{subnet}"
	endpointPath  = inGroup + "/privateEndpoints/{endpoint}"
	interfacePath = inGroup + "/networkInterfaces/{interface}"
)

// The actions of the provider (documentation: permissions of
// Microsoft.Network).
const (
	readNetwork     = "Microsoft.Network/virtualNetworks/read"
	writeNetwork    = "Microsoft.Network/virtualNetworks/write"
	deleteNetwork   = "Microsoft.Network/virtualNetworks/delete"
	readSubnet      = "Microsoft.Network/virtualNetworks/subnets/read"
	writeSubnet     = "Microsoft.Network/virtualNetworks/subnets/write"
	deleteSubnet    = "Microsoft.Network/virtualNetworks/subnets/delete"
	joinSubnet      = "Microsoft.Network/virtualNetworks/subnets/join/action"
	readEndpoint    = "Microsoft.Network/privateEndpoints/read"
	writeEndpoint   = "Microsoft.Network/privateEndpoints/write"
	deleteEndpoint  = "Microsoft.Network/privateEndpoints/delete"
	readInterface   = "Microsoft.Network/networkInterfaces/read"
	writeInterface  = "Microsoft.Network/networkInterfaces/write"
	deleteInterface = "Microsoft.Network/networkInterfaces/delete"
	approve         = "Microsoft.KeyVault/vaults/PrivateEndpointConnectionsApproval/action"
)

// maxBody bounds a request: a network can have 3,000 subnets.
const maxBody = 4 << 20

// versions of the provider that clients are known to send, newest stable
// first: clients that ask for the newest take the first.
var versions = []string{"2025-03-01", "2025-01-01", "2024-10-01", "2024-07-01", "2024-05-01", "2024-03-01", "2024-01-01", "2023-11-01",
	"2023-09-01", "2023-04-01", "2022-07-01", "2022-01-01", "2021-08-01", "2020-11-01", "2019-11-01", "2019-04-01"}

// Provider is the table of the operations.
func Provider() arm.Provider {
	return arm.Provider{
		Namespace: "Microsoft.Network",
		Types: []arm.Type{
			{Name: "virtualNetworks", APIVersions: versions, Located: true, Removable: networkRemovable, Delete: dropNetwork},
			{Name: "virtualNetworks/subnets", APIVersions: versions, Located: true},
			{Name: "privateEndpoints", APIVersions: versions, Located: true, Delete: dropEndpoint},
			{Name: "networkInterfaces", APIVersions: versions, Located: true},
		},
		Routes: append(networkRoutes(), endpointRoutes()...),
	}
}

func networkRoutes() []arm.Route {
	return []arm.Route{
		{Name: writeNetwork, Method: http.MethodPut, Pattern: networkPath, Action: writeNetwork, Body: maxBody, Handle: putNetwork},
		{Name: writeNetwork, Method: http.MethodPatch, Pattern: networkPath, Action: writeNetwork, Body: arm.MaxBody, Handle: patchNetwork},
		{Name: deleteNetwork, Method: http.MethodDelete, Pattern: networkPath, Action: deleteNetwork, Handle: removeNetwork},
		{Name: readNetwork, Method: http.MethodGet, Pattern: networkPath, Action: readNetwork, Handle: getNetwork},
		{Name: readNetwork, Method: http.MethodGet, Pattern: inGroup + "/virtualNetworks", Action: readNetwork, Handle: listNetworks},
		{Name: readNetwork, Method: http.MethodGet, Pattern: root + "/virtualNetworks", Action: readNetwork, Handle: listNetworks},
		{Name: writeSubnet, Method: http.MethodPut, Pattern: subnetPath, Action: writeSubnet, Body: arm.MaxBody, Handle: putSubnet},
		{Name: deleteSubnet, Method: http.MethodDelete, Pattern: subnetPath, Action: deleteSubnet, Handle: removeSubnet},
		{Name: readSubnet, Method: http.MethodGet, Pattern: subnetPath, Action: readSubnet, Handle: getSubnet},
		{Name: readSubnet, Method: http.MethodGet, Pattern: networkPath + "/subnets", Action: readSubnet, Handle: listSubnets},
	}
}

func endpointRoutes() []arm.Route {
	return []arm.Route{
		{Name: writeEndpoint, Method: http.MethodPut, Pattern: endpointPath, Action: writeEndpoint, Body: arm.MaxBody, Handle: putEndpoint},
		{Name: deleteEndpoint, Method: http.MethodDelete, Pattern: endpointPath, Action: deleteEndpoint, Handle: removeEndpoint},
		{Name: readEndpoint, Method: http.MethodGet, Pattern: endpointPath, Action: readEndpoint, Handle: get(estate.TypePrivateEndpoint, "endpoint")},
		{Name: readEndpoint, Method: http.MethodGet, Pattern: inGroup + "/privateEndpoints", Action: readEndpoint, Handle: list(estate.TypePrivateEndpoint)},
		{Name: readEndpoint, Method: http.MethodGet, Pattern: root + "/privateEndpoints", Action: readEndpoint, Handle: list(estate.TypePrivateEndpoint)},
		{Name: readInterface, Method: http.MethodGet, Pattern: interfacePath, Action: readInterface, Handle: get(estate.TypeInterface, "interface")},
		{Name: readInterface, Method: http.MethodGet, Pattern: inGroup + "/networkInterfaces", Action: readInterface, Handle: list(estate.TypeInterface)},
		{Name: readInterface, Method: http.MethodGet, Pattern: root + "/networkInterfaces", Action: readInterface, Handle: list(estate.TypeInterface)},
		{Name: writeInterface, Method: http.MethodPut, Pattern: interfacePath, Action: writeInterface, Body: arm.MaxBody, Handle: putInterface},
		{Name: writeInterface, Method: http.MethodPatch, Pattern: interfacePath, Action: writeInterface, Body: arm.MaxBody, Handle: patchInterface},
		{Name: deleteInterface, Method: http.MethodDelete, Pattern: interfacePath, Action: deleteInterface, Handle: removeInterface},
	}
}

// id is the ARM id that the variables name.
func id(v arm.Vars, typ, variable string) string {
	return arm.GroupID(v["subscription"], v["group"]) + "/providers/" + typ + "/" + v[variable]
}

// newID is the id of a new resource: in the spelling of its group.
func newID(c *arm.Call, s *estate.Snapshot, typ, name string) string {
	group := arm.GroupID(c.Vars["subscription"], c.Vars["group"])
	if res, ok := s.Resource(group); ok {
		group = res.ID
	}
	return group + "/providers/" + typ + "/" + name
}

// notFound is the resource manager's answer for a resource of a group.
func notFound(c *arm.Call, typ, name string) error {
	return fault.New(http.StatusNotFound, "ResourceNotFound", "The Resource '%s/%s' under resource group '%s' was not found."+
		" For more details please go to https://aka.ms/ARMResourceNotFoundFix", typ, name, c.Vars["group"])
}

// get answers a resource as it is kept.
func get(typ, variable string) func(*arm.Call) (*arm.Answer, error) {
	return func(c *arm.Call) (*arm.Answer, error) {
		res, ok := c.Snapshot().Resource(id(c.Vars, typ, variable))
		if !ok {
			return nil, notFound(c, typ, c.Vars[variable])
		}
		return answer(http.StatusOK, arm.Document(res)), nil
	}
}

// list answers the resources of a type in a group or subscription.
func list(typ string) func(*arm.Call) (*arm.Answer, error) {
	return func(c *arm.Call) (*arm.Answer, error) {
		return page(c, c.Snapshot().Under(scope(c), typ), arm.Document)
	}
}

func scope(c *arm.Call) string {
	if group, ok := c.Vars["group"]; ok {
		return arm.GroupID(c.Vars["subscription"], group)
	}
	return "/subscriptions/" + c.Vars["subscription"]
}

func page(c *arm.Call, all []*estate.Resource, body func(*estate.Resource) *ordered.Object) (*arm.Answer, error) {
	a, err := arm.Page(c, all, func(r *estate.Resource) string { return estate.Key(r.ID) })
	if err != nil {
		return nil, err
	}
	return arm.MapPage(a, body), nil
}

// answer is a resource with its version in a header, as the service sends
// it.
func answer(status int, doc *ordered.Object) *arm.Answer {
	a := &arm.Answer{Status: status, Body: doc}
	if tag := doc.Text("etag"); tag != "" {
		a.Header = http.Header{"Etag": {tag}}
	}
	return a
}

// checkName checks the name of a resource of this provider: 1 to 80
// characters (documentation: naming rules).
func checkName(name string) error {
	if validName(name) {
		return nil
	}
	return fault.New(http.StatusBadRequest, "InvalidResourceName", "Resource name %s is invalid. The name can be up to 80 characters long."+
		" It must begin with a word character, and it must end with a word character or with '_'. The name may contain word characters or"+
		" '.', '-', '_'.", name)
}

func validName(name string) bool {
	if name == "" || len(name) > 80 || !isWord(name[0]) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isWord(c) && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	last := name[len(name)-1]
	return isWord(last) || last == '_'
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// malformed is the service's answer to a document that has not the form of
// one. What is wrong stays in the log and in what postern's own commands
// show.
func malformed(hint string) error {
	return fault.New(http.StatusBadRequest, "InvalidRequestFormat", "Cannot parse the request.").WithHint(hint)
}

func field(name string, v any) ordered.Member { return ordered.Member{Name: name, Value: v} }

// reference is an object that names another resource.
func reference(id string) *ordered.Object { return ordered.New(field("id", id)) }

// objects reads a list of objects; absent and null are an empty one.
func objects(o *ordered.Object, name string) ([]*ordered.Object, error) {
	v, _ := o.Get(name)
	if v == nil {
		return nil, nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, malformed(name + " must be a list")
	}
	all := make([]*ordered.Object, len(items))
	for i, item := range items {
		if all[i], ok = item.(*ordered.Object); !ok {
			return nil, malformed(name + " must be a list of objects")
		}
	}
	return all, nil
}

// texts reads a list of strings; absent and null are an empty one.
func texts(o *ordered.Object, name string) ([]string, error) {
	v, _ := o.Get(name)
	if v == nil {
		return nil, nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, malformed(name + " must be a list")
	}
	all := make([]string, len(items))
	for i, item := range items {
		if all[i], ok = item.(string); !ok {
			return nil, malformed(name + " must be a list of strings")
		}
	}
	return all, nil
}

// values is a list as documents hold it.
func values[T any](list []T) []any {
	all := make([]any, len(list))
	for i, v := range list {
		all[i] = v
	}
	return all
}

// word brings a word into its spelling; the first one is the default.
func word(o *ordered.Object, name string, words ...string) error {
	v, _ := o.Get(name)
	if v == nil {
		o.Set(name, words[0])
		return nil
	}
	text, ok := v.(string)
	for _, w := range words {
		if ok && strings.EqualFold(w, text) {
			o.Set(name, w)
			return nil
		}
	}
	return malformed(name + " must be one of " + strings.Join(words, ", "))
}

// marks are fresh identifiers for one change, 32 hex digits each.
type marks struct{ version, guid, configuration, link string }

func newMarks(c *arm.Call) (marks, error) {
	var m marks
	for _, each := range []*string{&m.version, &m.guid, &m.configuration, &m.link} {
		var err error
		if *each, err = c.Identifier(); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m marks) etag() string { return privatelink.ETag(m.version) }
