// Package arm is the control plane: the HTTP surface of the resource
// manager.
//
// A request is read in this order, and the first step that refuses answers:
//
//	path → api-version → token → route → subscription and its tenant
//	     → role assignments → resource group → body → handler → journal
//
// The operations themselves are in one sub-package for each provider, as
// rows of a table: method, pattern, the action that must be allowed, the
// limit of the body, and the handler. A handler changes the estate through
// Call.Change alone, which commits the change together with its record in
// the journal; the record of every other request is written before its
// answer leaves.
package arm

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"time"

	"postern/access"
	"postern/internal/admission"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/names"
	"postern/internal/profile"
	"postern/internal/store"
)

// Limits of a request.
const (
	// MaxBody is the body limit of most operations.
	MaxBody = 1 << 20
	// MaxDepth is how deep a body may be nested.
	MaxDepth = 32
	// MaxPath is the longest path in bytes, MaxSegments the most segments.
	MaxPath     = 2048
	MaxSegments = 40
)

// Tenant is a tenant of the directory.
type Tenant struct {
	ID           access.GUID
	Name, Domain string
}

// Verifier verifies an Authorization header; *entra.Verifier is it. It never
// fails: the Token of the identity says what is wrong.
type Verifier interface {
	Verify(authorization string) *entra.Identity
}

// Deps is what the control plane is made of. Every field is needed unless
// it says otherwise.
type Deps struct {
	Estate *estate.Registry
	// Admission decides, and gives the way to the objects of a vault; its
	// journal is where every call is recorded.
	Admission *admission.Controller
	Names     *names.Names
	Profile   *profile.Profile
	// Verifier verifies tokens for the audiences of the management plane.
	Verifier Verifier
	// Origin tells where a connection comes from, which the journal says;
	// no decision of this plane asks. Nil takes the socket's address.
	Origin func(*http.Request) access.Origin
	// Tenants lists the tenants of the directory; Principal finds the kind
	// of a principal ("ServicePrincipal", "User", "Group").
	Tenants   func() []Tenant
	Principal func(tenant, object access.GUID) (kind string, ok bool)
	// Groups are the groups that a principal is in, through others too; nil
	// knows none.
	Groups func(object access.GUID) []access.GUID
	// Application is that of a service principal.
	Application func(object access.GUID) (app access.GUID, ok bool)
	// Manage begins the change of the directory that belongs to a change of
	// the estate; nil for a plane without managed identities.
	Manage func(*store.Tx) *entra.Managing
	// Now is the clock, Random the randomness; nil means the real ones.
	Now    func() time.Time
	Random io.Reader
	// Log gets what a client is not told; nil discards it.
	Log *slog.Logger
}

// Route is one operation of the control plane.
type Route struct {
	// Name is the operation's name in the journal: "VaultPut" for what the
	// resource log of vaults names, otherwise the action.
	Name   string
	Method string
	// Pattern is a path of literal segments and {variables}. {scope} as the
	// first segment stands for any number of them.
	Pattern string
	// Action must be allowed at Scope. "" means that a valid token is
	// enough, or, with Decides, that the handler calls Call.Authorize itself
	// because it needs the body to decide.
	Action  string
	Decides bool
	// Scope makes the scope of the decision; nil means the path itself
	// without what follows the last name of a resource.
	Scope func(v Vars) string
	// Body is the body limit; 0 for an operation that takes none.
	Body int64
	// Group says that the {group} of the pattern need not exist.
	GroupMayBeMissing bool
	Handle            func(c *Call) (*Answer, error)
}

// Type is a resource type of a provider, as /providers lists it.
type Type struct {
	Name        string
	APIVersions []string
	// Located types have the provider's locations.
	Located bool
	// Removable refuses the deletion of a resource's group while something
	// outside of it, which does not go too, needs the resource; nil never
	// does.
	Removable func(s *estate.Snapshot, r *estate.Resource, goes func(*estate.Resource) bool) error
	// Delete takes a resource of this type out of the estate when its
	// resource group is deleted; nil means that it is simply removed.
	Delete func(c *Call, d *estate.Draft, r *estate.Resource)
}

// Provider is one resource provider.
type Provider struct {
	Namespace string
	Types     []Type
	Routes    []Route
}

// Plane is the control plane; it is an http.Handler.
type Plane struct {
	deps      Deps
	providers []Provider
	routes    []route
}

// New makes the control plane of its providers.
func New(deps Deps, providers ...Provider) *Plane {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Random == nil {
		deps.Random = rand.Reader
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	p := &Plane{deps: deps, providers: merged(providers)}
	for _, provider := range p.providers {
		for _, r := range provider.Routes {
			p.routes = append(p.routes, newRoute(r))
		}
	}
	return p
}

// Routes lists the operations of all providers, in order.
func (p *Plane) Routes() []Route {
	list := make([]Route, len(p.routes))
	for i := range p.routes {
		list[i] = p.routes[i].Route
	}
	return list
}

// ServeHTTP answers one request to the management host.
func (p *Plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := p.newCall(r)
	answer, err := p.answer(c, w)
	if err == nil {
		err = c.record(answer.status(), "")
	}
	if err != nil {
		answer = p.refuse(c, err)
	}
	p.write(w, c, answer)
}

// refuse makes the answer of an error and records it. When the record cannot
// be written, that is what the client is told, and nothing else.
func (p *Plane) refuse(c *Call, err error) *Answer {
	f := fault.Of(err)
	if f.Status >= http.StatusInternalServerError {
		p.deps.Log.Error("control plane", "request", c.RequestID, "operation", c.rec.OperationName, "error", err)
	}
	if err := c.record(f.Status, f.Message); err != nil {
		p.deps.Log.Error("control plane: journal", "request", c.RequestID, "error", err)
		return refusal(fault.Of(err))
	}
	return refusal(f)
}

func refusal(f *fault.Error) *Answer {
	return &Answer{Status: f.Status, Header: f.Header, raw: f.ARM()}
}

// write sends an answer with the headers that every answer has.
func (p *Plane) write(w http.ResponseWriter, c *Call, a *Answer) {
	h := w.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("x-ms-request-id", c.RequestID)
	h.Set("x-ms-correlation-request-id", c.CorrelationID)
	if c.clientRequestID != "" {
		h.Set("x-ms-client-request-id", c.clientRequestID)
	}
	body := a.bytes()
	if len(body) > 0 {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(a.status())
	if c.Request.Method != http.MethodHead {
		// An error here is a client that went away.
		_, _ = w.Write(body)
	}
}

// identifier is 16 random bytes in hex; it fails only when the machine has
// no randomness.
func (p *Plane) identifier() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(p.deps.Random, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}
