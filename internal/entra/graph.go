package entra

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"postern/access"
	"postern/internal/fault"
	"postern/internal/names"
	"postern/internal/store"
)

// The limits of Graph (getByIds takes up to 1,000 ids, as the service does).
const (
	maxGraphBody = 128 << 10
	maxIDs       = 1000
)

// graph is the handler of the graph hosts.
type graph struct {
	directory *Directory
	names     *names.Names
	verifier  *Verifier
	record    Recorder
}

// Recorder puts the record of a change by a caller of Graph into the change's
// transaction; what it returns is called once that is committed. An error
// keeps the change from being made.
type Recorder func(tx *store.Tx, r *http.Request, by *Identity, operation string, p Principal) (done func() error, err error)

// Graph answers what az and Terraform ask of graph.microsoft.com: users,
// groups, applications, service principals, their credentials. Every
// principal of a tenant may read the objects of its tenant, and of no other.
// Its administrators may change all of them; who registered an application
// may change that and its service principal. Changes are recorded by record;
// nil records nothing.
func (d *Directory) Graph(n *names.Names, verify *Verifier, record Recorder) http.Handler {
	return &graph{directory: d, names: n, verifier: verify, record: record}
}

// ServeHTTP authenticates the caller and finds the route.
func (g *graph) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := ""
	if id, err := g.directory.newGUID(); err == nil {
		request = id.String()
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("request-id", request)
	if id := correlation(r); id != "" {
		w.Header().Set("client-request-id", id)
	}
	family := g.names.Private
	if host := g.names.Resolve(r.Host); host.Plane == names.Graph {
		family = host.Family
	}
	caller, err := g.authenticate(r, family)
	if err == nil {
		err = g.serve(caller, family, w, r)
	}
	if err != nil {
		g.refuse(w, request, err)
	}
}

// authenticate is who calls. More than one Authorization header is nobody.
func (g *graph) authenticate(r *http.Request, family *names.Family) (*Identity, error) {
	caller := absent
	if headers := r.Header.Values("Authorization"); len(headers) == 1 {
		caller = g.verifier.Verify(headers[0])
	}
	message := ""
	switch caller.Token {
	case access.TokenValid:
		return caller, nil
	case access.TokenAbsent:
		message = "Access token is empty."
	case access.TokenExpired:
		message = "Lifetime validation failed, the token is expired."
	case access.TokenWrongAudience:
		message = "Access token validation failure. Invalid audience."
	default:
		message = "Access token validation failure. Invalid token."
	}
	refusal := fault.New(http.StatusUnauthorized, "InvalidAuthenticationToken", "%s", message)
	refusal.Header = http.Header{"Www-Authenticate": {`Bearer realm="", authorization_uri="` + family.LoginURL() +
		`/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`}}
	return nil, refusal
}

// graphCall is one request of a caller who is known.
type graphCall struct {
	*graph
	caller *Identity
	family *names.Family
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
}

// serve finds the route.
func (g *graph) serve(caller *Identity, family *names.Family, w http.ResponseWriter, r *http.Request) error {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1.0/")
	if !ok {
		return noSegment(r.URL.Path)
	}
	c := &graphCall{g, caller, family, w, r, r.Context()}
	if key, ok := strings.CutSuffix(path, "')"); ok && !strings.Contains(path, "/") {
		if name, app, ok := strings.Cut(key, "(appId='"); ok {
			path = name + "/(appId='" + app + "')"
		}
	}
	segments := strings.Split(path, "/")
	switch {
	case path == "directoryObjects/getByIds":
		if r.Method != http.MethodPost {
			return wrongMethod(http.MethodPost)
		}
		return c.byIDs()
	case path == "me":
		if !reads(r.Method) {
			return wrongMethod(http.MethodGet)
		}
		return c.me()
	case path == "organization" && reads(r.Method):
		return c.organization()
	case segments[0] == "directoryRoles" && reads(r.Method):
		return c.roles(segments[1:])
	case segments[0] != "applications" && segments[0] != "directoryObjects" && kinds[segments[0]] == "":
		return noSegment(r.URL.Path)
	case len(segments) == 1:
		return c.all(segments[0])
	}
	o, err := c.find(segments[0], segments[1])
	if err != nil && len(segments) > 2 && !known(segments[2]) {
		return noSegment(r.URL.Path)
	}
	if err != nil {
		return err
	}
	return c.below(o, segments[0], segments[2:])
}

// known reports whether a segment below an object is one of ours.
func known(segment string) bool {
	return slices.Contains([]string{"members", "memberOf", "transitiveMemberOf", "owners", "ownedObjects", "addPassword", "removePassword", "federatedIdentityCredentials",
		"revokeSignInSessions", "getMemberGroups", "getMemberObjects", "checkMemberGroups", "appRoleAssignments", "oauth2PermissionGrants"}, segment)
}

// all is a collection: reading it, and adding to it.
func (c *graphCall) all(name string) error {
	create := map[string]func() error{"users": c.createUser, "groups": c.createGroup, "applications": c.createApplication, "servicePrincipals": c.createServicePrincipal}[name]
	switch {
	case create == nil:
		return noSegment(c.r.URL.Path)
	case reads(c.r.Method):
		return c.list(name)
	case c.r.Method != http.MethodPost:
		return wrongMethod("GET, POST")
	}
	if name != "servicePrincipals" { // which asks who owns its application
		if err := c.may(access.GUID{}); err != nil {
			return err
		}
	}
	return create()
}

// below is an object, and what lies below it. Whoever may not change it learns
// that before anything of the body is read.
func (c *graphCall) below(o any, collection string, rest []string) error {
	object, owner := access.GUID{}, access.GUID{}
	switch o := o.(type) {
	case *application:
		object, owner = o.Object, o.owner
	case *principal:
		object = o.Object
		if a := c.directory.state.Load().registered[o.App]; a != nil && a.Tenant == o.Tenant && o.Kind == ServicePrincipal {
			owner = a.owner
		}
	}
	route := c.r.Method + " " + strings.Join(rest, "/")
	if c.r.Method == http.MethodHead {
		route = "GET" + route[len("HEAD"):]
	}
	groups := c.directory.Groups(object)
	switch route {
	case "GET ":
		return c.entity(collection, o)
	case "GET memberOf", "GET transitiveMemberOf":
		if route == "GET memberOf" {
			groups = c.directory.state.Load().memberOf()[object]
		}
		return c.principals(groups)
	case "POST getMemberGroups", "POST getMemberObjects", "POST checkMemberGroups":
		return c.memberGroups(groups, rest[0])
	case "GET members", "GET transitiveMembers":
		var ids []access.GUID
		for _, m := range c.directory.Members(object) {
			ids = append(ids, m.Object)
		}
		return c.principals(ids)
	case "GET owners":
		return c.principals([]access.GUID{owner})
	case "GET ownedObjects", "GET appRoleAssignments", "GET oauth2PermissionGrants":
		return c.collection(rest[0], []any{})
	case "GET federatedIdentityCredentials":
		return c.federations(object)
	}
	if len(rest) == 2 && rest[0] == "federatedIdentityCredentials" && c.r.Method == http.MethodGet {
		return c.federation(object, rest[1])
	}
	if reads(c.r.Method) {
		return noSegment(c.r.URL.Path)
	}
	if err := c.may(owner); err != nil {
		return err
	}
	return c.change(o, object, route, rest)
}

// change is a write below an object.
func (c *graphCall) change(o any, object access.GUID, route string, rest []string) error {
	_, registration := o.(*application)
	p, _ := o.(*principal)
	holder := registration || p.Kind == ServicePrincipal
	switch {
	case route == "DELETE ":
		return c.done(c.edit().Delete(c.ctx, object))
	case route == "PATCH ":
		return c.update(o)
	case route == "POST members/$ref" && !registration:
		return c.addMember(object)
	case route == "POST owners/$ref" && holder:
		return c.done(nil) // an application has one owner, who made it
	case route == "POST revokeSignInSessions" && !registration:
		return c.done(c.edit().Revoke(c.ctx, object))
	case route == "POST addPassword" && holder:
		return c.addPassword(object)
	case route == "POST removePassword" && holder:
		return c.remove(object, func(e *Editor, id string) error { return e.RemoveSecret(c.ctx, object, id) })
	case route == "POST federatedIdentityCredentials" && holder:
		return c.federate(object)
	case len(rest) == 2 && rest[0] == "federatedIdentityCredentials" && c.r.Method == http.MethodDelete && holder:
		return c.done(c.edit().Unfederate(c.ctx, object, rest[1]))
	case len(rest) == 3 && rest[0] == "members" && rest[2] == "$ref" && c.r.Method == http.MethodDelete && !registration:
		member, err := access.ParseGUID(rest[1])
		if err != nil {
			return wrong(ErrNotFound)
		}
		return c.done(c.edit().RemoveMember(c.ctx, object, member))
	case len(rest) == 0:
		return wrongMethod("GET, PATCH, DELETE")
	}
	return noSegment(c.r.URL.Path)
}

// edit is an editor of the directory that records what it changes.
func (c *graphCall) edit() *Editor {
	e := c.directory.Edit(nil)
	if c.record == nil {
		return e
	}
	e.note = func(tx *store.Tx, operation string, p Principal) (err error) {
		e.done, err = c.record(tx, c.r, c.caller, operation, p)
		return err
	}
	return e
}

// done is 204, or why not.
func (c *graphCall) done(err error) error {
	if err != nil {
		return wrong(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// context is an @odata.context.
func (c *graphCall) context(of string) string { return c.family.GraphURL() + "/v1.0/$metadata#" + of }

// created answers with what has been made.
func (c *graphCall) created(collection string, id access.GUID) error {
	o, err := c.find(collection, id.String())
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", c.family.GraphURL()+"/v1.0/"+collection+"/"+id.String())
	return c.write(http.StatusCreated, collection, o)
}

// entity answers with one object.
func (c *graphCall) entity(collection string, o any) error {
	return c.write(http.StatusOK, collection, o)
}

func (c *graphCall) write(status int, collection string, o any) error {
	context := c.context(collection + "/$entity")
	switch doc := c.document(o).(type) {
	case servicePrincipal:
		doc.Context = context
		if collection != "directoryObjects" {
			doc.DataType = ""
		}
		return writeJSON(c.w, status, doc)
	case map[string]any:
		doc["@odata.context"] = context
		return writeJSON(c.w, status, doc)
	}
	return noSegment(c.r.URL.Path)
}

// collection answers with a list.
func (c *graphCall) collection(name string, value []any) error {
	return writeJSON(c.w, http.StatusOK, map[string]any{"@odata.context": c.context(name), "value": value})
}

// memberGroups is getMemberGroups, getMemberObjects and checkMemberGroups:
// the ids of groups, transitively; of the last, those that were asked for.
func (c *graphCall) memberGroups(groups []access.GUID, which string) error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var asked []string
	if err := take(members, map[string]any{"groupIds": &asked}); err != nil {
		return err
	}
	ids := []any{}
	for _, g := range groups {
		id := g.String()
		if which != "checkMemberGroups" || slices.ContainsFunc(asked, func(a string) bool { return strings.EqualFold(a, id) }) {
			ids = append(ids, id)
		}
	}
	return c.collection("Collection(Edm.String)", ids)
}

// federations and federation are the federated credentials of an object.
func (c *graphCall) federations(object access.GUID) error {
	_, _, list := c.directory.Credentials(object)
	value := []any{}
	for _, f := range list {
		value = append(value, federationOf(f))
	}
	return c.collection("federatedIdentityCredentials", value)
}

func (c *graphCall) federation(object access.GUID, id string) error {
	_, _, list := c.directory.Credentials(object)
	for _, f := range list {
		if strings.EqualFold(f.ID, id) || f.Name == id {
			return writeJSON(c.w, http.StatusOK, federationOf(f))
		}
	}
	return wrong(ErrNotFound)
}

// me is the signed-in user; an application has none.
func (c *graphCall) me() error {
	if !c.caller.User {
		return fault.New(http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.")
	}
	o, err := c.find("users", c.caller.ObjectID)
	if err != nil {
		return err
	}
	return c.entity("users", o)
}

// servicePrincipal is the resource type of that name, as far as it is kept.
type servicePrincipal struct {
	Context  string   `json:"@odata.context,omitempty"`
	DataType string   `json:"@odata.type,omitempty"`
	ID       string   `json:"id"`
	Enabled  bool     `json:"accountEnabled"`
	Name     string   `json:"displayName"`
	AppName  string   `json:"appDisplayName"`
	App      string   `json:"appId"`
	Owner    any      `json:"appOwnerOrganizationId"`
	Names    []string `json:"servicePrincipalNames"`
	Type     string   `json:"servicePrincipalType"`
	Others   []string `json:"alternativeNames"`
}

func present(p Principal) servicePrincipal {
	app := p.App.String()
	return servicePrincipal{ID: p.Object.String(), Enabled: true, Name: p.DisplayName, AppName: p.DisplayName, App: app,
		Owner: p.Tenant.String(), Names: []string{app}, Type: "Application", Others: []string{}}
}

// byIDs is POST /directoryObjects/getByIds: those of the ids that exist in
// the caller's tenant, in the order asked.
func (c *graphCall) byIDs() error {
	ids, types, err := readIDs(c.w, c.r)
	if err != nil {
		return err
	}
	s := c.directory.state.Load()
	value := []any{}
	seen := map[access.GUID]bool{}
	wanted := func(kind string) bool {
		return len(types) == 0 || slices.ContainsFunc(types, func(t string) bool { return strings.EqualFold(t, kind) || strings.EqualFold(t, "directoryObject") })
	}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if p := s.objects[id]; p != nil && p.Tenant == c.caller.Tenant && wanted(string(p.Kind)) {
			value = append(value, c.document(p))
		}
		if a := s.registrations[id]; a != nil && a.Tenant == c.caller.Tenant && wanted("application") {
			value = append(value, c.document(a))
		}
	}
	return c.collection("directoryObjects", value)
}

// readIDs reads {"ids":[…],"types":[…]}.
func readIDs(w http.ResponseWriter, r *http.Request) (ids []access.GUID, types []string, err error) {
	bad := fault.New(http.StatusBadRequest, "Request_BadRequest", "The body is not of the form {\"ids\":[…],\"types\":[…]} with up to %d identifiers.", maxIDs)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxGraphBody))
	if err != nil {
		return nil, nil, bad.Because(err)
	}
	members, err := readObject(body)
	if err != nil {
		return nil, nil, bad.Because(err)
	}
	var texts []string
	if json.Unmarshal(members["ids"], &texts) != nil || len(texts) > maxIDs {
		return nil, nil, bad
	}
	if raw, ok := members["types"]; ok && json.Unmarshal(raw, &types) != nil {
		return nil, nil, bad
	}
	for _, s := range texts {
		id, err := access.ParseGUID(s)
		if err != nil {
			return nil, nil, fault.New(http.StatusBadRequest, "Request_BadRequest", "Invalid GUID: %s", clip(s))
		}
		ids = append(ids, id)
	}
	return ids, types, nil
}

func noSegment(path string) *fault.Error {
	return fault.New(http.StatusNotFound, "BadRequest", "Resource not found for the segment '%s'.", clip(path))
}

func wrongMethod(allow string) *fault.Error {
	f := fault.New(http.StatusMethodNotAllowed, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
	f.Header = http.Header{"Allow": {allow}}
	return f
}

// graphError is the body of an error (Microsoft Graph error resource type).
type graphError struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Inner   struct {
			Date    string `json:"date"`
			Request string `json:"request-id"`
		} `json:"innerError"`
	} `json:"error"`
}

// refuse writes an error.
func (g *graph) refuse(w http.ResponseWriter, request string, err error) {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.Of(err)
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	var body graphError
	body.Error.Code, body.Error.Message = f.Code, f.Message
	body.Error.Inner.Date, body.Error.Inner.Request = g.directory.now().UTC().Format(time.RFC3339), request
	_ = writeJSON(w, f.Status, body)
}
