package entra

import (
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
}

// Graph answers the questions that the az CLI has for graph.microsoft.com:
// who am I, which service principal belongs to this application, what are
// these objects called. Every principal of a tenant may read the principals
// of its tenant, and of no other.
func (d *Directory) Graph(n *names.Names, verify *Verifier) http.Handler {
	return &graph{directory: d, names: n, verifier: verify}
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

// serve finds the route.
func (g *graph) serve(caller *Identity, family *names.Family, w http.ResponseWriter, r *http.Request) error {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1.0/")
	if !ok {
		return noSegment(r.URL.Path)
	}
	resource, id, one := strings.Cut(path, "/")
	switch {
	case path == "directoryObjects/getByIds":
		if r.Method != http.MethodPost {
			return wrongMethod(http.MethodPost)
		}
		return g.byIDs(caller, family, w, r)
	case !reads(r.Method) && (path == "me" || resource == "servicePrincipals"):
		return wrongMethod(http.MethodGet)
	case path == "me":
		return g.me(caller)
	case path == "servicePrincipals":
		return g.list(caller, family, w, r)
	case resource == "servicePrincipals" && one && !strings.Contains(id, "/"):
		return g.one(caller, family, w, id)
	}
	return noSegment(r.URL.Path)
}

// me is the signed-in user; an application has none.
func (g *graph) me(caller *Identity) error {
	if caller.User {
		return fault.New(http.StatusNotFound, "Request_ResourceNotFound", "Resource '%s' does not exist or one of its queried reference-property objects are not present.", caller.ObjectID)
	}
	return fault.New(http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.")
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
	Owner    string   `json:"appOwnerOrganizationId"`
	Names    []string `json:"servicePrincipalNames"`
	Type     string   `json:"servicePrincipalType"`
}

func present(p Principal) servicePrincipal {
	app := p.App.String()
	return servicePrincipal{ID: p.Object.String(), Enabled: true, Name: p.DisplayName, AppName: p.DisplayName, App: app,
		Owner: p.Tenant.String(), Names: []string{app}, Type: "Application"}
}

// collection is a list of resources.
type collection struct {
	Context string             `json:"@odata.context"`
	Value   []servicePrincipal `json:"value"`
}

// list is GET /servicePrincipals, with or without $filter. Other query
// options change the form of an answer, not whom it holds: all properties of
// all matches in one page satisfy them.
func (g *graph) list(caller *Identity, family *names.Family, w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r.URL.RawQuery)
	if err != nil {
		return fault.New(http.StatusBadRequest, "BadRequest", "The query is malformed.").Because(err)
	}
	matches := func(Principal) bool { return true }
	if query.Has("$filter") {
		f, err := parseFilter(query.Get("$filter"))
		if err != nil {
			return fault.New(http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.").Because(err)
		}
		matches = f.matches
	}
	out := collection{Context: family.GraphURL() + "/v1.0/$metadata#servicePrincipals", Value: []servicePrincipal{}}
	for _, p := range g.directory.Principals(caller.Tenant) {
		if matches(p) {
			out.Value = append(out.Value, present(p))
		}
	}
	return writeJSON(w, http.StatusOK, out)
}

// one is GET /servicePrincipals/{id}.
func (g *graph) one(caller *Identity, family *names.Family, w http.ResponseWriter, id string) error {
	object, err := access.ParseGUID(id)
	if err != nil {
		return fault.New(http.StatusBadRequest, "Request_BadRequest", "Invalid object identifier '%s'.", clip(id))
	}
	p, ok := g.directory.PrincipalByObject(object)
	if !ok || p.Tenant != caller.Tenant {
		return fault.New(http.StatusNotFound, "Request_ResourceNotFound", "Resource '%s' does not exist or one of its queried reference-property objects are not present.", clip(id))
	}
	out := present(p)
	out.Context = family.GraphURL() + "/v1.0/$metadata#servicePrincipals/$entity"
	return writeJSON(w, http.StatusOK, out)
}

// byIDs is POST /directoryObjects/getByIds: those of the ids that exist in
// the caller's tenant, in the order asked.
func (g *graph) byIDs(caller *Identity, family *names.Family, w http.ResponseWriter, r *http.Request) error {
	ids, types, err := readIDs(w, r)
	if err != nil {
		return err
	}
	out := collection{Context: family.GraphURL() + "/v1.0/$metadata#directoryObjects", Value: []servicePrincipal{}}
	wanted := func(name string) bool {
		return strings.EqualFold(name, "servicePrincipal") || strings.EqualFold(name, "directoryObject")
	}
	if len(types) > 0 && !slices.ContainsFunc(types, wanted) {
		return writeJSON(w, http.StatusOK, out)
	}
	seen := map[access.GUID]bool{}
	for _, id := range ids {
		p, ok := g.directory.PrincipalByObject(id)
		if ok && p.Tenant == caller.Tenant && !seen[id] {
			seen[id] = true
			object := present(p)
			object.DataType = "#microsoft.graph.servicePrincipal"
			out.Value = append(out.Value, object)
		}
	}
	return writeJSON(w, http.StatusOK, out)
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
