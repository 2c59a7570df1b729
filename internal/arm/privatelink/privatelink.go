// Package privatelink is the connection of a private endpoint to a vault.
//
// It stands on both sides: as an entry of properties.privateEndpointConnections
// in the vault's document, which has the state and is what decisions are made
// of, and mirrored in the endpoint's. Every function changes both, in one
// draft.
//
//	Pending ──▶ Approved ◀──▶ Rejected      the vault's owner decides
//	   └───────────┴──────────────┴──────▶ Disconnected   the vault's side is gone
//
// A connection that is disconnected stays so: the endpoint is a reminder to
// delete it (documentation: private endpoint properties).
package privatelink

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// The states of a connection.
const (
	Pending      = "Pending"
	Approved     = "Approved"
	Rejected     = "Rejected"
	Disconnected = "Disconnected"
)

// Group is the only thing of a vault that can be connected to, Member the
// name of the address that it needs.
const (
	Group  = "vault"
	Member = "default"
)

// Max is how many connections a vault can have (documentation: limits).
const Max = 64

// TypeConnection is the type of a connection as a resource.
const TypeConnection = "Microsoft.KeyVault/vaults/privateEndpointConnections"

// The lists of an endpoint's document that connections stand in.
const (
	Automatic = "privateLinkServiceConnections"
	Manual    = "manualPrivateLinkServiceConnections"
)

const connections = "privateEndpointConnections"

// maxDepth is how deep the documents of both sides are nested at most.
const maxDepth = 64

// Host is the name by which clients know a vault, and which a private zone
// answers in its own way.
func Host(vault string) string { return strings.ToLower(vault) + ".vault.azure.net" }

// Change is who changes a connection's state, and to what.
type Change struct {
	// Status is one of the four states; Description goes with it.
	Status, Description string
	// Tag marks the version of what is written: 32 hex digits.
	Tag string
	At  time.Time
}

func document(res *estate.Resource) *ordered.Object {
	o, err := ordered.ParseObject(res.Body, maxDepth)
	if err != nil {
		return &ordered.Object{}
	}
	return o
}

// put writes a changed document.
func put(d *estate.Draft, res *estate.Resource, doc *ordered.Object, at time.Time) *estate.Resource {
	next := *res
	next.Body, next.Changed = doc.Bytes(), at
	d.Put(&next)
	return &next
}

// list is an array of objects in an object.
func list(o *ordered.Object, name string) []*ordered.Object {
	v, _ := o.Get(name)
	items, _ := v.([]any)
	var objects []*ordered.Object
	for _, item := range items {
		if each, ok := item.(*ordered.Object); ok {
			objects = append(objects, each)
		}
	}
	return objects
}

func setList(o *ordered.Object, name string, objects []*ordered.Object) {
	items := make([]any, len(objects))
	for i, each := range objects {
		items[i] = each
	}
	o.Set(name, items)
}

// Of lists the connections in a vault's document.
func Of(vault *estate.Resource) []*ordered.Object {
	return list(document(vault).Object("properties"), connections)
}

// Name is the name of a connection: the last part of its id.
func Name(connection *ordered.Object) string {
	id := connection.Text("id")
	return id[strings.LastIndexByte(id, '/')+1:]
}

// Find finds a connection of a vault by its name.
func Find(vault *estate.Resource, name string) (*ordered.Object, bool) {
	all := Of(vault)
	i := slices.IndexFunc(all, func(o *ordered.Object) bool { return strings.EqualFold(Name(o), name) })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

// FindEndpoint finds the connection of a vault that belongs to an endpoint.
func FindEndpoint(vault *estate.Resource, endpoint string) (*ordered.Object, bool) {
	all := Of(vault)
	i := slices.IndexFunc(all, func(o *ordered.Object) bool { return estate.Key(Endpoint(o)) == estate.Key(endpoint) })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

// Endpoint is the id of the private endpoint of a connection.
func Endpoint(connection *ordered.Object) string {
	return connection.Object("properties").Object("privateEndpoint").Text("id")
}

// Status is the state of a connection.
func Status(connection *ordered.Object) string {
	return connection.Object("properties").Object("privateLinkServiceConnectionState").Text("status")
}

// Resource is a connection as a resource of its own; in the vault's document
// it has neither name nor type (recorded).
func Resource(vault *estate.Resource, connection *ordered.Object) *ordered.Object {
	o := ordered.New(
		ordered.Member{Name: "id", Value: connection.Text("id")},
		ordered.Member{Name: "name", Value: Name(connection)},
		ordered.Member{Name: "type", Value: TypeConnection},
		ordered.Member{Name: "location", Value: vault.Location})
	for _, m := range connection.Members() {
		if _, ok := o.Get(m.Name); !ok {
			o.Set(m.Name, m.Value)
		}
	}
	return o
}

// state is privateLinkServiceConnectionState as each side writes it: the
// vault leaves an empty description out, the endpoint does not (recorded).
func (c Change) state(emptyDescription bool) *ordered.Object {
	o := ordered.New(ordered.Member{Name: "status", Value: c.Status})
	if c.Description != "" || emptyDescription {
		o.Set("description", c.Description)
	}
	o.Set("actionsRequired", "None")
	return o
}

// Connect adds a connection to a vault's document. The name asked for is
// taken as it is unless another connection has it; that of the connection is
// returned.
func Connect(d *estate.Draft, vault *estate.Resource, endpoint, name string, link uint32, c Change) (string, error) {
	doc := document(vault)
	props := doc.Object("properties")
	if props == nil {
		props = &ordered.Object{}
		doc.Set("properties", props)
	}
	all := list(props, connections)
	if len(all) >= Max {
		return "", fault.New(http.StatusBadRequest, "BadRequest", "Call to Microsoft.KeyVault/vaults failed. Error message: The vault '%s'"+
			" has %d private endpoint connections, which is the limit.", vault.Name, len(all))
	}
	if slices.ContainsFunc(all, func(o *ordered.Object) bool { return strings.EqualFold(Name(o), name) }) {
		name += "-" + strconv.FormatUint(uint64(link), 16)
	}
	connection := ordered.New(
		ordered.Member{Name: "id", Value: vault.ID + "/" + connections + "/" + name},
		ordered.Member{Name: "etag", Value: c.Tag},
		ordered.Member{Name: "properties", Value: ordered.New(
			ordered.Member{Name: "provisioningState", Value: "Succeeded"},
			ordered.Member{Name: "privateEndpoint", Value: ordered.New(ordered.Member{Name: "id", Value: endpoint})},
			ordered.Member{Name: "privateLinkServiceConnectionState", Value: c.state(false)},
			ordered.Member{Name: "groupIds", Value: []any{Group}},
			ordered.Member{Name: "linkIdentifier", Value: strconv.FormatUint(uint64(link), 10)})})
	setList(props, connections, append(all, connection))
	put(d, vault, doc, c.At)
	return name, nil
}

// Decide sets the state of a connection, as the vault's owner does, on both
// sides. What the client sends of the connection but the state is not looked
// at: it may have lost the rest.
func Decide(d *estate.Draft, vault *estate.Resource, name string, c Change) (*ordered.Object, error) {
	doc := document(vault)
	props := doc.Object("properties")
	for _, connection := range list(props, connections) {
		if !strings.EqualFold(Name(connection), name) {
			continue
		}
		if Status(connection) == Disconnected {
			return nil, fault.New(http.StatusBadRequest, "BadRequest", "The private endpoint connection '%s' is disconnected."+
				" Delete it and create the private endpoint anew.", name)
		}
		connection.Set("etag", c.Tag)
		connection.Object("properties").Set("privateLinkServiceConnectionState", c.state(false))
		put(d, vault, doc, c.At)
		mirror(d, Endpoint(connection), vault.ID, c)
		return connection, nil
	}
	return nil, NotFound(vault, name)
}

// NotFound is the answer for a connection that a vault does not have.
func NotFound(vault *estate.Resource, name string) error {
	return fault.New(http.StatusNotFound, "PrivateEndpointConnectionNotFound",
		"The private endpoint connection '%s' of vault '%s' was not found.", name, vault.Name)
}

// mirror writes the state into the endpoint's document, if there is one.
func mirror(d *estate.Draft, endpoint, vault string, c Change) {
	res, ok := d.Resource(endpoint)
	if !ok {
		return
	}
	doc := document(res)
	props := doc.Object("properties")
	doc.Set("etag", ETag(c.Tag))
	for _, name := range []string{Automatic, Manual} {
		for _, connection := range list(props, name) {
			p := connection.Object("properties")
			if estate.Key(p.Text("privateLinkServiceId")) == estate.Key(vault) {
				p.Set("privateLinkServiceConnectionState", c.state(true))
			}
			connection.Set("etag", ETag(c.Tag))
		}
	}
	put(d, res, doc, c.At)
}

// Remove takes a connection out of a vault's document, as the vault's owner
// does: its endpoint is disconnected. Without such a connection nothing
// happens, and ok is false.
func Remove(d *estate.Draft, vault *estate.Resource, name string, tag string, at time.Time) (connection *ordered.Object, ok bool) {
	doc := document(vault)
	all := list(doc.Object("properties"), connections)
	i := slices.IndexFunc(all, func(o *ordered.Object) bool { return strings.EqualFold(Name(o), name) })
	if i < 0 {
		return nil, false
	}
	connection = all[i]
	setList(doc.Object("properties"), connections, slices.Delete(all, i, i+1))
	put(d, vault, doc, at)
	mirror(d, Endpoint(connection), vault.ID, Change{Disconnected, "The connection was removed by the owner of the vault.", tag, at})
	return connection, true
}

// Clear takes all connections out of the document of a vault that is going
// away, and disconnects their endpoints. A vault that is recovered later
// comes back without them.
func Clear(d *estate.Draft, vault *estate.Resource, tag string, at time.Time) *estate.Resource {
	all := Of(vault)
	if len(all) == 0 {
		return vault
	}
	doc := document(vault)
	doc.Object("properties").Delete(connections)
	next := put(d, vault, doc, at)
	for _, connection := range all {
		mirror(d, Endpoint(connection), vault.ID, Change{Disconnected, "The vault was deleted.", tag, at})
	}
	return next
}

// Target is the id of what an endpoint is connected to, and the name that
// its connection has there.
func Target(endpoint *estate.Resource) (id, connection string) {
	props := document(endpoint).Object("properties")
	for _, name := range []string{Automatic, Manual} {
		for _, each := range list(props, name) {
			return each.Object("properties").Text("privateLinkServiceId"), each.Text("name")
		}
	}
	return "", ""
}

// Drop takes the connection of an endpoint that is going away out of the
// document of its vault.
func Drop(d *estate.Draft, endpoint *estate.Resource, at time.Time) {
	target, _ := Target(endpoint)
	vault, ok := d.Resource(target)
	if !ok {
		return
	}
	doc := document(vault)
	all := list(doc.Object("properties"), connections)
	rest := slices.DeleteFunc(slices.Clone(all), func(o *ordered.Object) bool { return estate.Key(Endpoint(o)) == estate.Key(endpoint.ID) })
	if len(rest) == len(all) {
		return
	}
	setList(doc.Object("properties"), connections, rest)
	put(d, vault, doc, at)
}

// ETag is a version as Microsoft.Network writes it.
func ETag(tag string) string { return `W/"` + GUID(tag) + `"` }

// GUID writes 32 random hex digits as an identifier (version 4).
func GUID(hex string) string {
	if len(hex) < 32 {
		hex += strings.Repeat("0", 32-len(hex))
	}
	variant := string("89ab"[strings.IndexByte("0123456789abcdef", hex[16])&3])
	return hex[:8] + "-" + hex[8:12] + "-4" + hex[13:16] + "-" + variant + hex[17:20] + "-" + hex[20:32]
}
