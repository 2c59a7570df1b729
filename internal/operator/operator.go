// Package operator is what the owner of the data folder asks of a running
// server: certificates for the compute of trusted services, principals of
// such services, and where a place on the network is.
//
// It is a small API, JSON over HTTP, on a socket in the data folder. There
// are no tokens: whoever can connect owns the folder, and with it the root
// key. What is changed is recorded in the journal, in the transaction of the
// change.
package operator

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/journal"
	"postern/internal/pki"
	"postern/internal/store"
	"postern/internal/trusted"
)

// maxBody bounds a request.
const maxBody = 64 << 10

// Error is what went wrong, and what to do about it.
type Error struct {
	Status  int    `json:"-"`
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

func wrong(status int, hint, format string, args ...any) *Error {
	return &Error{status, fmt.Sprintf(format, args...), hint}
}

// Service is a trusted service of the server's list.
type Service struct {
	Name       string   `json:"name"`
	Scenario   string   `json:"scenario"`
	Source     string   `json:"source"`
	ClientID   string   `json:"clientId"`
	Published  bool     `json:"published"`
	Operations []string `json:"operations"`
}

// Issue asks for a certificate.
type Issue struct {
	Service string `json:"service"`
	// Seconds is how long it shall last; 0 is the default.
	Seconds int64 `json:"seconds,omitempty"`
	// PublicKey is the key it is for, PEM.
	PublicKey string `json:"publicKey"`
}

// Certificate is one that was issued.
type Certificate struct {
	Serial  string    `json:"serial"`
	Service string    `json:"service"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Revoked time.Time `json:"revoked,omitzero"`
	// PEM is the certificate itself, when it has just been issued.
	PEM string `json:"certificate,omitempty"`
}

// Enrol asks for the principal of a service in a tenant.
type Enrol struct {
	Service string `json:"service"`
	// Tenant is an id or a domain; "" is the administrator's.
	Tenant string `json:"tenant,omitempty"`
	// Secret asks for a client secret when the principal exists already; a
	// new one always has one.
	Secret bool `json:"secret,omitempty"`
}

// Principal is that of a service in a tenant.
type Principal struct {
	Service  string `json:"service"`
	TenantID string `json:"tenantId"`
	ClientID string `json:"clientId"`
	ObjectID string `json:"objectId"`
	// Created tells whether it is new, Secret is its client secret, told
	// this once; "" when none was asked for.
	Created bool   `json:"created"`
	Secret  string `json:"secret,omitempty"`
}

// Journal is what of the journal is needed; *journal.Journal is it.
type Journal interface {
	Outbox(*journal.Record) (key string, value []byte)
	Deliver(record *journal.Record, key string) error
	Broken() error
}

// Deps is what the API needs of the rest of the house.
type Deps struct {
	Platform  *pki.Platform
	Directory *entra.Directory
	Journal   Journal
	Estate    *estate.Registry
	// Identifier makes a GUID.
	Identifier func() (string, error)
	// Trusted names the list of trusted services, Tenant is the
	// administrator's.
	Trusted string
	Tenant  access.GUID
	// Place finds a place on the network by its name.
	Place func(name string) (*Place, error)
	// Way tells where a host leads.
	Way func(Way) Lead
	// Site is the environment of a site's programs.
	Site func(ctx context.Context, id string) (SiteEnvironment, error)
	// PassThrough are the hosts that the CONNECT proxy carries besides the
	// server's own.
	PassThrough func() []string
	Now         func() time.Time
	Log         *slog.Logger
}

type api struct{ Deps }

// Handler serves the API.
func Handler(d Deps) http.Handler {
	a := &api{d}
	mux := http.NewServeMux()
	route(a, mux, "GET /v1/services", func(*http.Request, none) (any, error) { return a.services(), nil })
	route(a, mux, "GET /v1/certificates", func(*http.Request, none) (any, error) { return a.certificates(), nil })
	route(a, mux, "POST /v1/certificates", a.issue)
	route(a, mux, "POST /v1/certificates/{serial}/revoke", a.revoke)
	route(a, mux, "POST /v1/principals", a.enrol)
	route(a, mux, "POST /v1/places", a.places)
	route(a, mux, "POST /v1/directory", a.directory)
	route(a, mux, "POST /v1/ways", a.way)
	route(a, mux, "POST /v1/sites", a.site)
	route(a, mux, "POST /v1/denies", a.deny)
	route(a, mux, "POST /v1/denies/{name}/remove", a.removeDeny)
	return mux
}

// none is the body of a request without one.
type none struct{}

// route serves one operation: it decodes the body strictly, and encodes
// what comes back.
func route[T any](a *api, mux *http.ServeMux, pattern string, serve func(*http.Request, T) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in T
		result, err := any(nil), decode(r, &in)
		if err == nil {
			result, err = serve(r, in)
		}
		status := http.StatusOK
		var e *Error
		switch {
		case errors.As(err, &e):
			status, result = e.Status, e
		case err != nil:
			a.Log.Error("operator: request failed", "request", pattern, "error", err)
			status, result = http.StatusInternalServerError, &Error{Message: err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(result) // the other end has gone
	})
}

// decode reads a body: one JSON value of known fields.
func decode(r *http.Request, into any) error {
	if _, ok := into.(*none); ok {
		return nil
	}
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		return wrong(http.StatusBadRequest, "", "the request cannot be read: %v", err)
	}
	return nil
}

func (a *api) services() []Service {
	list := []Service{}
	services, _ := trusted.Services(a.Trusted)
	for i := range services {
		s := &services[i]
		one := Service{Name: s.Name, Scenario: s.Scenario, Source: s.Source, ClientID: s.App.String(), Published: s.Published}
		for _, o := range s.Rule().Operations {
			one.Operations = append(one.Operations, o.String())
		}
		list = append(list, one)
	}
	return list
}

// service finds a service of the list, or says which are near.
func (a *api) service(name string) (trusted.Service, error) {
	s, ok := trusted.Named(a.Trusted, name)
	if ok {
		return s, nil
	}
	hint := "did you mean: " + strings.Join(trusted.Near(a.Trusted, name), ", ")
	if strings.HasSuffix(hint, ": ") {
		hint = "postern platform list --services shows the list"
	}
	return s, wrong(http.StatusNotFound, hint, "%q is not a trusted service of the list %q", name, a.Trusted)
}

func (a *api) certificates() []Certificate {
	list := []Certificate{}
	for _, c := range a.Platform.Certificates() {
		list = append(list, certificate(c))
	}
	return list
}

func certificate(c pki.Issued) Certificate {
	return Certificate{Serial: c.Serial, Service: c.Service, From: c.From, Until: c.Until, Revoked: c.Revoked}
}

func (a *api) issue(r *http.Request, in Issue) (any, error) {
	s, err := a.service(in.Service)
	if err != nil {
		return nil, err
	}
	key, err := publicKey(in.PublicKey)
	if err != nil {
		return nil, err
	}
	if in.Seconds < 0 || in.Seconds > int64(pki.MaxPlatformLife/time.Second) {
		in.Seconds = -1 // refused below, without an overflow
	}
	rec, err := a.begin(r, "PlatformCertificateIssue")
	if err != nil {
		return nil, err
	}
	text, issued, err := a.Platform.Issue(r.Context(), s.Name, key, time.Duration(in.Seconds)*time.Second, func(tx *store.Tx, c pki.Issued) {
		rec.of("certificates/"+c.Serial, "service", c.Service, "serial", c.Serial, "until", c.Until.Format(time.RFC3339))
		rec.into(tx)
	})
	switch {
	case errors.Is(err, pki.ErrLife):
		return nil, wrong(http.StatusBadRequest, "--for 24h is the default", "a certificate lasts between %v and %v", pki.MinPlatformLife, pki.MaxPlatformLife)
	case errors.Is(err, pki.ErrPlatformKey):
		return nil, wrong(http.StatusBadRequest, "", "%v", err)
	case err != nil:
		return nil, err
	}
	answer := certificate(issued)
	answer.PEM = string(text)
	return answer, rec.deliver()
}

// publicKey reads the key of a certificate; which keys will do is the
// platform's business.
func publicKey(text string) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, wrong(http.StatusBadRequest, "", "the public key is not PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, wrong(http.StatusBadRequest, "", "the public key cannot be read")
	}
	ec, _ := key.(*ecdsa.PublicKey)
	return ec, nil
}

func (a *api) revoke(r *http.Request, _ none) (any, error) {
	rec, err := a.begin(r, "PlatformCertificateRevoke")
	if err != nil {
		return nil, err
	}
	serial := r.PathValue("serial")
	c, err := a.Platform.Revoke(r.Context(), serial, func(tx *store.Tx, c pki.Issued) {
		rec.of("certificates/"+c.Serial, "service", c.Service, "serial", c.Serial)
		rec.into(tx)
	})
	if errors.Is(err, pki.ErrNoCertificate) {
		return nil, wrong(http.StatusNotFound, "postern platform list shows the serial numbers", "no certificate has the serial number %q", serial)
	}
	if err != nil {
		return nil, err
	}
	return certificate(c), rec.deliver()
}

func (a *api) enrol(r *http.Request, in Enrol) (any, error) {
	s, err := a.service(in.Service)
	if err != nil {
		return nil, err
	}
	tenant := a.Tenant
	if in.Tenant != "" {
		t, ok := a.Directory.TenantByName(in.Tenant)
		if !ok {
			return nil, wrong(http.StatusNotFound, "", "there is no tenant %q", in.Tenant)
		}
		tenant = t.ID
	}
	rec, err := a.begin(r, "PlatformPrincipalCreate")
	if err != nil {
		return nil, err
	}
	note := func(tx *store.Tx, p entra.Principal) {
		rec.of("principals/"+p.Object.String(), "service", s.Name, "tenant", p.Tenant.String(), "object", p.Object.String(), "application", p.App.String())
		rec.into(tx)
	}
	answer := Principal{Service: s.Name, TenantID: tenant.String(), ClientID: s.App.String()}
	p, exists := a.Directory.PrincipalByApp(tenant, s.App)
	switch {
	case !exists:
		answer.Created = true
		p, answer.Secret, err = a.Directory.CreateServicePrincipalAs(r.Context(), tenant, s.App, s.Name, note)
	case in.Secret:
		rec.OperationName = "PlatformPrincipalSecret"
		answer.Secret, err = a.Directory.AddSecret(r.Context(), p.Object, note)
	}
	if errors.Is(err, entra.ErrSecrets) {
		return nil, wrong(http.StatusConflict, "use one of the secret files that were written before", "%v", err)
	}
	if err != nil {
		return nil, err
	}
	answer.ObjectID = p.Object.String()
	return answer, rec.deliver()
}

// recorded is the record of one change.
type recorded struct {
	journal.Record
	journal Journal
	key     string
}

// begin begins the record of a change; without a journal nothing changes.
func (a *api) begin(r *http.Request, operation string) (*recorded, error) {
	if err := a.Journal.Broken(); err != nil {
		return nil, wrong(http.StatusServiceUnavailable, "", "the journal cannot be written, so nothing is changed: %v", err)
	}
	rec := &recorded{journal: a.Journal}
	rec.Time, rec.OperationName, rec.Category, rec.ClientInfo = a.Now(), operation, "Platform", r.UserAgent()
	rec.Answered(http.StatusOK)
	return rec, nil
}

// of says what the change is about: a resource below our own provider, and
// names and values.
func (r *recorded) of(resource string, pairs ...string) {
	r.ResourceID = "/providers/Postern.Platform/" + resource
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Properties = append(r.Properties, journal.Property{Name: pairs[i], Value: pairs[i+1]})
	}
}

// into puts the record into the transaction of the change.
func (r *recorded) into(tx *store.Tx) {
	var value []byte
	r.key, value = r.journal.Outbox(&r.Record)
	tx.Put(r.key, value)
}

// deliver appends the record of a change that was committed. Where nothing
// was changed there is none.
func (r *recorded) deliver() error {
	if r.key == "" {
		return nil
	}
	return r.journal.Deliver(&r.Record, r.key)
}
