// Package keyvault is the data plane on the wire: what clients of
// https://<vault>.vault.azure.net see.
//
// A request walks through ServeHTTP in this order: the host names the vault;
// the path and the method name the operation (routes.go); the token says who
// is calling; admission decides, in the order of package access, and records;
// a refusal is put into the service's own words (refusal.go, texts.go). Only
// behind that are the api-version, the query and the body looked at, so that
// a stranger learns nothing from them and a client's first request without a
// body gets its challenge. No answer leaves before its record is written.
package keyvault

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"postern/access"
	"postern/internal/admission"
	"postern/internal/enrollment"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/journal"
	"postern/internal/keyring"
	"postern/internal/names"
	"postern/internal/throttle"
	"postern/internal/vault"
)

// Deps is what the data plane needs of the rest of the house.
type Deps struct {
	// Snapshot is the estate at this moment.
	Snapshot func() *estate.Snapshot
	// Verify says who the sender of an Authorization header is; it never
	// returns nil.
	Verify func(authorization string) *entra.Identity
	// Origin is where a request comes from.
	Origin func(*http.Request) access.Origin
	// Admission decides, records, and holds the only way to the objects.
	Admission *admission.Controller
	Names     *names.Names
	Now       func() time.Time
	// Random makes request ids and versions; crypto/rand when nil.
	Random io.Reader
	Log    *slog.Logger
	// DenialNote is added to what the log, and only the log, says of a
	// refusal by the network rules; "" for nothing.
	DenialNote string
	// Desk is where keys are made and certificates applied for; one without
	// providers when nil.
	Desk *enrollment.Desk
	// Attested verifies an attestation token: who issued it, and what it
	// says. Where it is nil no key is released.
	Attested func(token string) (issuer string, claims map[string]any, err error)
	// Notary is the RSA key with which released keys are signed, and its
	// certificates.
	Notary func() (crypto.Signer, [][]byte, error)
	// RetryAfter is the number of seconds that a 429 tells a client to wait;
	// 0, or nil, sends no header, as the service does.
	RetryAfter func() int
}

// bounds of what is taken over from a client into the log or an answer.
const (
	maxEcho   = 128
	maxLogged = 2048
	// maxStranger is what is logged of somebody who shows no valid token: a
	// stranger must not fill the disk.
	maxStranger = 256
)

type plane struct {
	Deps
	// newVersion is newID, as a value that is made once.
	newVersion func() string
	// ring has the opened keys that are in use.
	ring keyring.Ring
}

// Handler serves the vaults of the estate by their host names.
func Handler(deps Deps) http.Handler {
	if deps.Random == nil {
		deps.Random = rand.Reader
	}
	if deps.Desk == nil {
		deps.Desk = enrollment.New(deps.Random, nil)
	}
	p := &plane{Deps: deps}
	p.newVersion = p.newID
	return p
}

// exchange is one request and its answer.
type exchange struct {
	*plane
	request *http.Request
	vault   *estate.Vault
	family  *names.Family
	// base is "https://<vault>.<suffix>", without a slash.
	base     string
	target   target
	query    query
	api      apiVersion
	now      time.Time
	id       *entra.Identity
	call     admission.Call
	record   journal.Record
	grant    *admission.Grant
	terms    vault.Terms // of the granted vault
	decision access.Decision
	headers  headers
	objects  vault.Secrets // what secrets gives out
}

// exchanges are kept for further requests: what an answer needs of one is
// copied when its header is written, and the journal keeps nothing.
var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// release forgets everything of the request.
func (x *exchange) release() {
	*x = exchange{}
	exchanges.Put(x)
}

// ServeHTTP answers one request.
func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchanges.Get().(*exchange)
	defer x.release()
	x.plane, x.request, x.now = p, r, p.Now()
	host := p.Names.Resolve(r.Host)
	x.call.Request.Origin = p.Origin(r)
	x.target = find(r.Method, r.URL)
	if v, ok := p.Snapshot().Vault(host.Vault); ok && host.Plane == names.Vault {
		x.vault, x.family, x.base = v, host.Family, host.Family.VaultURL(host.Vault)
	}
	x.headers.begin(w.Header(), x)
	switch {
	case x.target.health:
		// Without a token, whatever the firewall. Documentation: it "doesn't
		// care if you are using the hostname or IP address", so neither does
		// it matter whether there is such a vault.
		w.Header()["Content-Type"] = plainText
		_, _ = io.WriteString(w, healthBody)
		return
	case x.vault == nil:
		x.gone(w, host.Vault)
		return
	}
	x.identify()
	x.grant, x.decision = p.Admission.Admit(&x.call)
	if x.grant == nil {
		x.refuse(w)
		return
	}
	x.terms = x.grant.Terms()
	buf := buffers.Get().(*[]byte)
	defer x.giveBack(buf)
	body, status, err := x.serve((*buf)[:0])
	*buf = body
	if err != nil {
		x.fail(w, err)
		return
	}
	x.nameObject()
	if err := x.grant.Finish(status, ""); err != nil {
		x.fail(w, err)
		return
	}
	x.headers.allowed(w.Header(), x)
	write(w, status, body)
}

// gone answers for a name that no vault has. Somebody who still asks for a
// deleted vault stands in its log; whoever asks for one that never was, in
// the server's.
func (x *exchange) gone(w http.ResponseWriter, name string) {
	answer := noSuchVault(name)
	deleted, ok := x.Snapshot().Taken(name)
	if !ok {
		x.Log.Info("no such vault", "vault", name, "from", x.call.Request.Origin.Addr, "request", x.headers.requestID())
		send(w, answer)
		return
	}
	x.record = journal.Record{Time: x.now, ResourceID: deleted.ID, OperationName: x.target.auditName(),
		CallerIP: x.call.Request.Origin.Addr, CorrelationID: x.headers.correlation(),
		RequestURI: cut(journal.Unsigned(x.request.URL.Path), maxStranger), ClientInfo: cut(journal.Unsigned(x.request.UserAgent()), maxStranger)}
	if err := x.Admission.Refuse(&x.record, answer.Status, answer.Message); err != nil {
		answer = outOfService.Because(err)
	}
	send(w, answer)
}

// giveBack clears what may have been a secret and keeps the buffer for
// another request, unless it has grown too large to be kept.
func (x *exchange) giveBack(buf *[]byte) {
	clear(*buf)
	if cap(*buf) <= maxPooled {
		buffers.Put(buf)
	}
}

// identify fills in who asks for what: the call and the record of it.
func (x *exchange) identify() {
	r := x.request
	authorization := ""
	// Two Authorization headers are no proof of one caller.
	if all := r.Header["Authorization"]; len(all) == 1 {
		authorization = all[0]
	}
	x.id = x.Verify(authorization)
	x.call.Vault, x.call.Record = x.vault, &x.record
	x.call.Request.Caller = x.id.Caller
	x.query = readQuery(r.URL.RawQuery)
	if x.target.exists() {
		x.call.Request.Operation = x.target.route.Operation
		x.call.Request.Object = strings.ToLower(x.target.validName())
	}
	rec := &x.record
	rec.Time = x.now
	rec.ResourceID = x.vault.Resource.ID
	rec.OperationName = x.target.auditName()
	if x.id.Token == access.TokenAbsent {
		rec.OperationName = "Authentication"
	}
	rec.OperationVersion = cut(x.query.apiVersion, maxEcho)
	rec.CallerIP = x.call.Request.Origin.Addr
	rec.CorrelationID = x.headers.correlation()
	rec.Identity = journal.Identity{Object: x.id.ObjectID, App: x.id.AppID, Issuer: x.id.Issuer, UPN: x.id.UPN,
		Type: x.id.IDType, ResourceID: x.id.ResourceID}
	uri := r.RequestURI
	if !strings.HasPrefix(uri, "/") {
		uri = r.URL.RequestURI()
	}
	most := maxLogged
	if x.id.Token != access.TokenValid {
		most = maxStranger
	}
	rec.RequestURI = cut(journal.Unsigned(x.base+journal.Address(uri, parameters)), most)
	rec.ClientInfo = cut(journal.Unsigned(r.UserAgent()), most)
	if r.TLS != nil {
		rec.TLSVersion = tlsVersion(r.TLS.Version)
	}
}

// nameObject puts into the record which object was asked for, unless a
// handler has already said more exactly which one it was.
func (x *exchange) nameObject() {
	if x.record.ID == "" && x.target.name != "" && x.target.exists() {
		most := maxLogged
		if x.id.Token != access.TokenValid {
			most = maxStranger
		}
		x.record.ID = cut(journal.Unsigned(x.objectID(x.target.name, x.target.version)), most)
	}
}

// objectID is the URL of an object, with a version unless it is "".
func (x *exchange) objectID(name, version string) string {
	if version == "" {
		return x.base + "/" + x.target.kind() + "/" + name
	}
	return x.base + "/" + x.target.kind() + "/" + name + "/" + version
}

// serve does what a granted request asks for and appends the body of the
// answer to b.
func (x *exchange) serve(b []byte) ([]byte, int, error) {
	var err error
	if x.api, err = parseAPIVersion(&x.query); err != nil {
		return b, 0, err
	}
	if x.api < x.target.route.Since {
		return b, 0, unsupportedAPIVersion(x.query.apiVersion)
	}
	if name := x.target.name; name != "" && x.target.validName() == "" {
		return b, 0, invalidName(name)
	}
	if x.request.Method != http.MethodGet {
		x.nameObject() // a change takes the record with it
	}
	return x.target.route.serve(x, b)
}

// refuse answers a request that was not admitted. One that no route is for
// has come through all gates but the last, which knows no such operation: it
// is told so.
func (x *exchange) refuse(w http.ResponseWriter) {
	var refusal *fault.Error
	if !x.target.exists() && x.decision.Gate == access.GatePermission {
		refusal = x.target.missing()
	} else {
		refusal = Refusal(View{Vault: x.vault, Family: x.family, Audience: x.id.Audience, Header: x.id.Header, Issuer: x.id.Issuer, Claims: x.id.Claims},
			&x.call.Request, x.decision)
	}
	if x.decision.Reason == access.Throttled && x.RetryAfter != nil {
		if seconds := x.RetryAfter(); seconds > 0 {
			w.Header()["Retry-After"] = []string{strconv.Itoa(seconds)}
		}
	}
	description := refusal.Message
	if x.decision.Gate == access.GateNetwork && x.DenialNote != "" {
		description += "\r\n" + x.DenialNote
	}
	x.nameObject()
	if err := x.Admission.Refuse(&x.record, refusal.Status, description); err != nil {
		refusal = x.internal(err)
	}
	send(w, refusal)
}

// fail answers a granted request that went wrong, and records it.
func (x *exchange) fail(w http.ResponseWriter, err error) {
	f := x.fault(err)
	if f.Status >= http.StatusInternalServerError {
		f = x.internal(err)
	}
	x.nameObject()
	if err := x.grant.Finish(f.Status, f.Message); err != nil {
		f = x.internal(err)
	}
	x.headers.allowed(w.Header(), x)
	send(w, f)
}

// internal is the answer to an error that is nobody's refusal; the log has
// what it was.
func (x *exchange) internal(err error) *fault.Error {
	level := slog.LevelError
	if errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	x.Log.Log(x.request.Context(), level, "request failed", "error", err, "request", x.headers.requestID(), "vault", x.vault.Resource.Name,
		"operation", x.target.auditName())
	if errors.Is(err, admission.ErrOutOfService) {
		return outOfService
	}
	return fault.Of(err)
}

// spend takes the cost of the operation from the budgets; its error is the
// answer when they are used up.
func (x *exchange) spend(cost throttle.Cost) error {
	if x.grant.Spend(cost) {
		return nil
	}
	return throttled
}

// newID is 32 random hex digits: a version.
func (p *plane) newID() string {
	var b [16]byte
	p.random(b[:])
	return hex.EncodeToString(b[:])
}

// random fills b. Randomness that fails is not survived: crypto/rand ends
// the program by itself, and any other source is a test's.
func (p *plane) random(b []byte) {
	if _, err := io.ReadFull(p.Random, b); err != nil {
		panic("keyvault: no randomness: " + err.Error())
	}
}

// cut bounds what of a client's text is kept.
func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}
