package arm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"postern/access"
	"postern/internal/admission"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/journal"
	"postern/internal/names"
	"postern/internal/ordered"
	"postern/internal/profile"
	"postern/internal/store"
)

// Call is one request on its way through the control plane.
type Call struct {
	Request *http.Request
	// Caller is who sends it, Vars the variables of the route, Version the
	// api-version, Query the query.
	Caller  *entra.Identity
	Vars    Vars
	Version string
	Query   url.Values
	// Family is the names by which the request came: URLs of the answer are
	// made of them.
	Family *names.Family
	// Now is the time of the request.
	Now time.Time
	// RequestID is ours, CorrelationID the client's or ours.
	RequestID, CorrelationID string

	plane           *Plane
	route           *route
	path            []string
	rec             *journal.Record
	clientRequestID string
	body            []byte
	// grant is what the admission gave, nil before; recorded says that the
	// record was written by Change.
	grant    *admission.Grant
	recorded bool
	managing *entra.Managing // within Change
	failed   error           // so, too
}

// Answer is what a handler answers with.
type Answer struct {
	// Status is 200 when it is 0.
	Status int
	// Body is encoded as JSON; nil for no body.
	Body   any
	Header http.Header

	raw []byte
}

// OK is the answer 200 with a body.
func OK(body any) *Answer { return &Answer{Status: http.StatusOK, Body: body} }

// List is the answer 200 with a page of items.
func List[T any](items []T) *Answer {
	if items == nil {
		items = []T{}
	}
	return OK(struct {
		Value []T `json:"value"`
	}{items})
}

func (a *Answer) status() int {
	if a.Status == 0 {
		return http.StatusOK
	}
	return a.Status
}

func (a *Answer) bytes() []byte {
	if a.raw == nil && a.Body != nil {
		a.raw = encode(a.Body)
	}
	return a.raw
}

func encode(v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte("{}")
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// newCall makes the call of a request and its record, which names what is
// known before anything was checked.
func (p *Plane) newCall(r *http.Request) *Call {
	c := &Call{Request: r, Caller: &entra.Identity{}, plane: p, Now: p.deps.Now(), Query: url.Values{}}
	c.clientRequestID = headerID(r.Header.Get("x-ms-client-request-id"))
	if id, err := p.identifier(); err == nil {
		c.RequestID = id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
	}
	c.CorrelationID = c.clientRequestID
	if c.CorrelationID == "" {
		c.CorrelationID = c.RequestID
	}
	host := p.deps.Names.Resolve(r.Host)
	if c.Family = host.Family; c.Family == nil {
		c.Family = p.deps.Names.Private
	}
	c.rec = &journal.Record{Time: c.Now, OperationName: r.Method, Category: "Administrative", CorrelationID: c.CorrelationID,
		RequestURI: cut("https://" + r.Host + journal.Address(r.URL.RequestURI(), parameters)), ClientInfo: cut(r.UserAgent()), CallerIP: remoteAddr(r)}
	if p.deps.Origin != nil {
		c.rec.CallerIP = p.deps.Origin(r).Addr
	}
	if r.TLS != nil {
		c.rec.TLSVersion = map[uint16]string{0x0303: "TLS1_2", 0x0304: "TLS1_3"}[r.TLS.Version]
	}
	return c
}

// maxLogged bounds what of a client's text goes into a record: the calls of
// strangers are recorded too.
const maxLogged = 2048

func cut(s string) string {
	if len(s) > maxLogged {
		return strings.ToValidUTF8(s[:maxLogged], "")
	}
	return s
}

// headerID is a client's identifier when it is fit to be sent back and
// logged; otherwise "".
func headerID(s string) string {
	if len(s) > 64 {
		return ""
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}

func remoteAddr(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap()
}

// answer takes the call through the steps of the package comment.
func (p *Plane) answer(c *Call, w http.ResponseWriter) (*Answer, error) {
	var err error
	if c.path, err = ParsePath(c.Request.URL.EscapedPath()); err != nil {
		return nil, err
	}
	if c.Query, err = parseQuery(c.Request.URL.RawQuery); err != nil {
		return nil, err
	}
	if c.Version, err = version(c.Query); err != nil {
		return nil, err
	}
	c.rec.OperationVersion = c.Version
	if isMetadata(c.path) {
		return c.metadata()
	}
	if err := c.authenticate(); err != nil {
		return nil, err
	}
	if c.route, c.Vars, err = p.find(c.Request.Method, c.path); err != nil {
		return nil, c.hidden(err)
	}
	c.name()
	if err := c.enter(); err != nil {
		return nil, err
	}
	if err := c.readBody(w); err != nil {
		return nil, err
	}
	return c.route.Handle(c)
}

// hidden lets a path without a route be told apart from others only by a
// caller of the subscription's tenant.
func (c *Call) hidden(err error) error {
	if len(c.path) < 2 || !strings.EqualFold(c.path[0], "subscriptions") {
		return err
	}
	if tenantErr := c.subscription(c.path[1]); tenantErr != nil {
		return tenantErr
	}
	return err
}

// name gives the record the operation's name and the resource's id.
func (c *Call) name() {
	c.rec.OperationName = c.route.Name
	if !strings.Contains(c.route.Name, "/") {
		// A name of the resource log of vaults, not an action.
		c.rec.Category = "AuditEvent"
	}
	c.rec.ResourceID = c.scope()
}

// scope is where the decision is made.
func (c *Call) scope() string {
	if c.route.Scope != nil {
		return c.route.Scope(c.Vars)
	}
	return resourceScope(c.path)
}

// enter checks subscription, tenant, role assignments and resource group.
func (c *Call) enter() error {
	if id, ok := c.subscriptionID(); ok {
		if err := c.subscription(id); err != nil {
			return err
		}
	}
	if c.route.Action != "" {
		if err := c.admit(c.route.Action, c.scope()); err != nil {
			return err
		}
	}
	group, ok := c.Vars["group"]
	if !ok || c.route.GroupMayBeMissing {
		return nil
	}
	if _, ok := c.Snapshot().Resource(GroupID(c.Vars["subscription"], group)); !ok {
		return GroupNotFound(group)
	}
	return nil
}

// subscriptionID is the subscription that the request is about, from the
// path itself: whatever the pattern calls it.
func (c *Call) subscriptionID() (string, bool) {
	if len(c.path) >= 2 && strings.EqualFold(c.path[0], "subscriptions") {
		return c.path[1], true
	}
	return "", false
}

// GroupID is the ARM id of a resource group.
func GroupID(subscription, group string) string {
	return "/subscriptions/" + subscription + "/resourceGroups/" + group
}

// GroupNotFound is the answer for a group that does not exist.
func GroupNotFound(group string) error {
	return fault.New(http.StatusNotFound, "ResourceGroupNotFound", "Resource group '%s' could not be found.", group)
}

// Snapshot is the estate as it is now.
func (c *Call) Snapshot() *estate.Snapshot { return c.plane.deps.Estate.Snapshot() }

// Profile is the limits and defaults of this server.
func (c *Call) Profile() *profile.Profile { return c.plane.deps.Profile }

// Providers lists the providers of the plane.
func (c *Call) Providers() []Provider { return c.plane.providers }

// Tenants lists the tenants of the directory.
func (c *Call) Tenants() []Tenant { return c.plane.deps.Tenants() }

// Principal finds the kind of a principal.
func (c *Call) Principal(tenant, object access.GUID) (string, bool) {
	return c.plane.deps.Principal(tenant, object)
}

// Application is that of a service principal.
func (c *Call) Application(object access.GUID) (access.GUID, bool) {
	if c.plane.deps.Application == nil {
		return access.GUID{}, false
	}
	return c.plane.deps.Application(object)
}

// Groups are the groups that a principal is in, through others too.
func (c *Call) Groups(object access.GUID) []access.GUID {
	if c.plane.deps.Groups == nil {
		return nil
	}
	return c.plane.deps.Groups(object)
}

// Identifier is 32 random hex digits.
func (c *Call) Identifier() (string, error) { return c.plane.identifier() }

// Grant is the way to the objects of the vault that the path names; nil
// unless the route's action was allowed and the vault is there.
func (c *Call) Grant() *admission.Grant { return c.grant }

// Vault is the live vault that the path names: the one with that name in
// that subscription and group.
func (c *Call) Vault() (*estate.Vault, bool) {
	v, ok := c.Snapshot().Vault(strings.ToLower(c.Vars["vault"]))
	if !ok || estate.Key(v.Resource.ID) != estate.Key(VaultID(c.Vars)) {
		return nil, false
	}
	return v, true
}

// VaultID is the ARM id of the vault that the variables name.
func VaultID(v Vars) string {
	return GroupID(v["subscription"], v["group"]) + "/providers/" + estate.TypeVault + "/" + v["vault"]
}

// Param is a query parameter by its lower-case name ("$filter"); "" for none.
func (c *Call) Param(name string) string { return c.Query.Get(name) }

// readBody reads the body within the route's limit. An operation without a
// body drains nothing and looks at nothing.
func (c *Call) readBody(w http.ResponseWriter) error {
	if c.route.Body == 0 {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, c.Request.Body, c.route.Body))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fault.New(http.StatusRequestEntityTooLarge, "RequestContentTooLarge",
			"The request content size exceeds the maximum size of %d bytes.", c.route.Body)
	}
	if err != nil {
		return fault.New(http.StatusBadRequest, "InvalidRequestContent", "The request content could not be read.").Because(err)
	}
	c.body = body
	return nil
}

// Object is the body as a JSON object. A byte order mark is dropped; a body
// that is missing, no object, too deep, or names a member twice is refused.
func (c *Call) Object() (*ordered.Object, error) {
	o, err := ordered.ParseObject(bytes.TrimPrefix(c.body, []byte("\ufeff")), MaxDepth)
	if err != nil {
		return nil, fault.New(http.StatusBadRequest, "InvalidRequestContent",
			"The request content was invalid and could not be deserialized: '%s'.", err).Because(err)
	}
	return o, nil
}

// Change changes the estate and records it in one transaction. The status of
// fn's answer is what the record says. An error of fn changes nothing.
func (c *Call) Change(fn func(s *estate.Snapshot, d *estate.Draft) (*Answer, error)) (*Answer, error) {
	log := c.plane.deps.Admission.Journal
	if err := log.Broken(); err != nil {
		return nil, outOfService(err)
	}
	var answer *Answer
	key, tried, done := "", false, false
	defer func() { c.settle(done, tried) }()
	err := c.plane.deps.Estate.Change(c.Request.Context(), func(s *estate.Snapshot, d *estate.Draft) error {
		var err error
		if answer, err = fn(s, d); err != nil {
			return err
		}
		if c.failed != nil {
			return c.failed
		}
		c.rec.Answered(answer.status())
		c.rec.Duration = c.plane.deps.Now().Sub(c.Now)
		var value []byte
		key, value = log.Outbox(c.rec)
		d.Tx().Put(key, value)
		tried = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.recorded, done = true, true
	c.settle(done, tried)
	if err := log.Deliver(c.rec, key); err != nil {
		return nil, outOfService(err)
	}
	return answer, nil
}

// Note adds a property to the record. The name is a constant.
func (c *Call) Note(name, value string) {
	c.rec.Properties = append(c.rec.Properties, journal.Property{Name: name, Value: value})
}

// record writes the record of the request, unless a change has done so.
func (c *Call) record(status int, description string) error {
	if c.recorded {
		return nil
	}
	c.recorded = true
	var err error
	if c.grant != nil {
		err = c.grant.Finish(status, description)
	} else {
		err = c.plane.deps.Admission.Refuse(c.rec, status, description)
	}
	if err != nil {
		return outOfService(err)
	}
	return nil
}

// outOfService is the answer when what happens cannot be recorded.
func outOfService(err error) error {
	return fault.New(http.StatusServiceUnavailable, "ServiceUnavailable",
		"The service is unavailable now. Retry the request later.").Because(err).
		WithHint("The journal cannot be written; service stops until it can.")
}

// Rename gives the record another operation name, for a request whose body
// decides what it is.
func (c *Call) Rename(name string) { c.rec.OperationName = name }

// Store is the store, for what removes a whole space from it.
func (c *Call) Store() store.Store { return c.plane.deps.Admission.Store }

// Quietly logs an error that is not the client's.
func (c *Call) Quietly(err error) {
	if err != nil {
		c.plane.deps.Log.Error("control plane", "request", c.RequestID, "operation", c.rec.OperationName, "error", err)
	}
}

// Here is the absolute URL of the request itself.
func (c *Call) Here() string { return c.URL(join(c.path)) + "?" + c.Query.Encode() }
