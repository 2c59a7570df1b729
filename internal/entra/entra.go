// Package entra is the directory: tenants, the users, groups, applications
// and service principals in them and what they prove themselves with, the
// tokens it issues for them and the verification of those tokens.
//
// A Directory is kept in the store under "d/", every value sealed and bound
// to its key. What is read on the way of a request is an immutable state
// behind one atomic pointer; changes go through one writer, store first.
//
// Login answers as login.microsoftonline.com does: to applications that come
// with a secret, with an assertion by their certificate or with a token of an
// issuer that they are federated with, and to people at a terminal (device
// code, refresh). Graph answers as graph.microsoft.com does to az and
// Terraform. It knows one role: the administrators of a tenant may change all
// of it, who registered an application may change that, others may read.
//
// A Verifier says of an Authorization header what is known of its caller; it
// never fails and never decides, and only a token that this directory or a
// configured issuer signed can come out as valid. Revoking somebody's sessions ends the tokens
// from before at once: the answer is a claims challenge (continuous access
// evaluation), and a client that understands it comes back with a new one.
package entra

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/access"
	"postern/internal/seal"
	"postern/internal/store"
)

// The keys in the store: tenants by id, principals and applications by object
// id, signing keys by their kid.
const (
	tenantPrefix    = "d/t/"
	principalPrefix = "d/p/"
	appPrefix       = "d/a/"
	signingPrefix   = "d/k/"
)

// MaxSkew is the most that clocks may differ between the issuer and the
// verifier of a token; it is also the default.
const MaxSkew = 5 * time.Minute

// The errors of changes and look-ups.
var (
	// ErrNoTenant: there is no such tenant.
	ErrNoTenant = errors.New("entra: no such tenant")
	// ErrNoPrincipal: there is no such principal.
	ErrNoPrincipal = errors.New("entra: no such principal")
	// ErrExists: the tenant has a principal of the application already.
	ErrExists = errors.New("entra: the tenant has a principal of this application already")
	// ErrTaken: the domain belongs to another tenant.
	ErrTaken = errors.New("entra: the domain belongs to another tenant")
	// ErrName: a name or a domain is empty, too long or malformed.
	ErrName = errors.New("entra: a name has 1 to 256 printable characters, a domain is a DNS name")
)

// Options are the directory's surroundings; the zero value is usable.
type Options struct {
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Random makes identifiers, secrets and salts, for several requests at
	// once; crypto/rand when nil. Signing keys are always made from the
	// system's randomness.
	Random io.Reader
	// TokenLife is how long a token lasts; one hour when 0.
	TokenLife time.Duration
	// KeyLife is how long a signing key signs; 30 days when 0. It verifies
	// for one TokenLife and Skew longer.
	KeyLife time.Duration
	// Skew is how far the clock of a verifier may be from that of the
	// issuer; MaxSkew when 0, none when negative.
	Skew time.Duration
	// Transport fetches the keys of issuers; http.DefaultTransport when nil.
	Transport http.RoundTripper
}

// Tenant is one directory in the sense of Entra: an issuer of tokens.
type Tenant struct {
	ID access.GUID
	// Name is what people read, Domain a DNS name that may stand for the ID
	// in URLs; "" for none.
	Name, Domain string
}

// Directory is all tenants of one server.
type Directory struct {
	store     store.Store
	key       *seal.Key
	now       func() time.Time
	tokenLife time.Duration
	keyLife   time.Duration
	skew      time.Duration

	random    io.Reader
	transport http.RoundTripper

	mu    sync.Mutex            // held by the one writer
	state atomic.Pointer[state] // replaced, never changed

	foreign   atomic.Pointer[foreigners] // of TrustIssuers; replaced, never changed
	attesters atomic.Pointer[attesters]  // of TrustAttestation; so, too
}

// state is all that is known of the directory at one moment.
type state struct {
	tenants map[access.GUID]*Tenant
	domains map[string]*Tenant // by lower-case domain
	objects map[access.GUID]*principal
	// apps finds the principal of an application, in its tenant and (with
	// the zero tenant) wherever its home is.
	apps map[appKey]*principal
	// registered finds the registration of an application by the
	// application's id, registrations by its object id.
	registered, registrations map[access.GUID]*application
	upns                      map[string]*principal // users, by lower-case name
	issuers                   map[string]*issuer    // those of federated credentials
	memberOf                  func() map[access.GUID][]access.GUID
	keys                      *keyring
}

// newState is a state without anything.
func newState() *state {
	s := &state{tenants: map[access.GUID]*Tenant{}, domains: map[string]*Tenant{}, objects: map[access.GUID]*principal{},
		apps: map[appKey]*principal{}, registered: map[access.GUID]*application{}, registrations: map[access.GUID]*application{},
		upns: map[string]*principal{}, issuers: map[string]*issuer{}, keys: &keyring{}}
	s.forgetGroups()
	return s
}

// clone is a state that may be changed until it is published.
func (s *state) clone() *state {
	next := &state{tenants: maps.Clone(s.tenants), domains: maps.Clone(s.domains), objects: maps.Clone(s.objects),
		apps: maps.Clone(s.apps), registered: maps.Clone(s.registered), registrations: maps.Clone(s.registrations),
		upns: maps.Clone(s.upns), issuers: maps.Clone(s.issuers), keys: s.keys}
	next.forgetGroups()
	return next
}

type appKey struct{ tenant, app access.GUID }

// Open loads the directory from the store, and makes its first signing key
// when it has none.
func Open(ctx context.Context, st store.Store, root *seal.Root, o Options) (*Directory, error) {
	d := &Directory{store: st, key: root.Key("directory"), now: o.Now, random: o.Random, transport: o.Transport,
		tokenLife: cmp.Or(o.TokenLife, time.Hour), keyLife: cmp.Or(o.KeyLife, 30*24*time.Hour), skew: cmp.Or(o.Skew, MaxSkew)}
	if d.now == nil {
		d.now = time.Now
	}
	if d.random == nil {
		d.random = rand.Reader
	}
	d.skew = max(d.skew, 0)
	if d.skew > MaxSkew {
		return nil, fmt.Errorf("entra: a skew of %v is more than %v", d.skew, MaxSkew)
	}
	if d.tokenLife < time.Second || d.keyLife < d.tokenLife {
		return nil, errors.New("entra: a token lasts at least a second, a signing key at least as long as a token")
	}
	s, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	d.state.Store(s)
	if s.keys.current == nil {
		if err := d.RotateKeys(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// load reads everything under "d/".
func (d *Directory) load(ctx context.Context) (*state, error) {
	s := newState()
	err := each(ctx, d, tenantPrefix, func(r tenantRecord) error { return s.addTenant(r) })
	if err == nil {
		err = each(ctx, d, principalPrefix, func(r principalRecord) error { return s.addPrincipal(r) })
	}
	if err == nil {
		err = each(ctx, d, appPrefix, func(r applicationRecord) error { return s.addApplication(r) })
	}
	if err == nil {
		err = each(ctx, d, issuerPrefix, func(k KnownIssuer) error { return s.addIssuer(k) })
	}
	var keys []*signingKey
	if err == nil {
		err = each(ctx, d, signingPrefix, func(r keyRecord) error {
			k, err := r.open()
			keys = append(keys, k)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("loading the directory: %w", err)
	}
	s.keys = newKeyring(keys)
	return s, nil
}

// each opens and decodes every item below a prefix.
func each[R any](ctx context.Context, d *Directory, prefix string, fn func(R) error) error {
	items, err := d.store.Range(ctx, prefix, "", 0)
	if err != nil {
		return err
	}
	for _, item := range items {
		plain, err := d.key.Open(item.Key, item.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", item.Key, err)
		}
		var record R
		if err := json.Unmarshal(plain, &record); err != nil {
			return fmt.Errorf("%s: %w", item.Key, err)
		}
		if err := fn(record); err != nil {
			return fmt.Errorf("%s: %w", item.Key, err)
		}
	}
	return nil
}

// put seals a record into a transaction.
func (d *Directory) put(tx *store.Tx, key string, record any) error {
	plain, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", key, err)
	}
	tx.Put(key, d.key.Seal(key, plain))
	return nil
}

// change runs fn on a copy of the state, commits what it put into the
// transaction and publishes the copy. One change runs at a time.
func (d *Directory) change(ctx context.Context, fn func(next *state, tx *store.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.state.Load().clone()
	var tx store.Tx
	if err := fn(next, &tx); err != nil {
		return err
	}
	if len(tx.Operations) == 0 {
		return nil
	}
	if err := d.store.Commit(ctx, &tx); err != nil {
		// Whether it was applied is open: what the store holds now counts.
		if held, loading := d.load(context.WithoutCancel(ctx)); loading == nil {
			d.state.Store(held)
		}
		return fmt.Errorf("changing the directory: %w", err)
	}
	d.state.Store(next)
	return nil
}

// tenantRecord is a tenant as it is stored.
type tenantRecord struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"`
}

func (s *state) addTenant(r tenantRecord) error {
	id, err := access.ParseGUID(r.ID)
	if err != nil {
		return err
	}
	t := &Tenant{ID: id, Name: r.Name, Domain: r.Domain}
	s.tenants[id] = t
	if t.Domain != "" {
		s.domains[strings.ToLower(t.Domain)] = t
	}
	return nil
}

// CreateTenant adds a tenant. The domain may be "".
func (d *Directory) CreateTenant(ctx context.Context, name, domain string) (Tenant, error) {
	return d.Edit(nil).CreateTenant(ctx, name, domain)
}

// CreateTenant adds a tenant. The domain may be "".
func (e *Editor) CreateTenant(ctx context.Context, name, domain string) (Tenant, error) {
	domain = strings.ToLower(domain)
	if !validName(name) || domain != "" && !validDomain(domain) {
		return Tenant{}, ErrName
	}
	var created Tenant
	_, err := e.edit(ctx, "CreateTenant", func(next *state, tx *store.Tx) (Principal, error) {
		if next.domains[domain] != nil {
			return Principal{}, ErrTaken
		}
		id, err := e.newGUID()
		if err != nil {
			return Principal{}, err
		}
		record := tenantRecord{ID: id.String(), Name: name, Domain: domain}
		tx.Absent(tenantPrefix + record.ID)
		if err := e.put(tx, tenantPrefix+record.ID, record); err != nil {
			return Principal{}, err
		}
		created = Tenant{ID: id, Name: name, Domain: domain}
		return Principal{Tenant: id, DisplayName: name}, next.addTenant(record)
	})
	if err != nil {
		return Tenant{}, err
	}
	return created, nil
}

// Tenants are all tenants, in the order of their ids.
func (d *Directory) Tenants() []Tenant {
	s := d.state.Load()
	out := make([]Tenant, 0, len(s.tenants))
	for _, t := range s.tenants {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Tenant) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return out
}

// Tenant finds a tenant by its id.
func (d *Directory) Tenant(id access.GUID) (Tenant, bool) {
	t, ok := d.state.Load().tenants[id]
	if !ok {
		return Tenant{}, false
	}
	return *t, true
}

// TenantByName finds a tenant by what may stand for it in a URL: its id or
// its domain, in any letter case.
func (d *Directory) TenantByName(name string) (Tenant, bool) {
	if id, err := access.ParseGUID(name); err == nil {
		return d.Tenant(id)
	}
	t, ok := d.state.Load().domains[strings.ToLower(name)]
	if !ok || name == "" {
		return Tenant{}, false
	}
	return *t, true
}

// newGUID is a random GUID (RFC 9562 §5.4, version 4).
func (d *Directory) newGUID() (access.GUID, error) {
	var g access.GUID
	if _, err := io.ReadFull(d.random, g[:]); err != nil {
		return access.GUID{}, fmt.Errorf("making an identifier: %w", err)
	}
	g[6] = g[6]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g, nil
}

func validName(name string) bool {
	if name == "" || len(name) > 256 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' })
}

func validDomain(domain string) bool {
	if len(domain) > 253 {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
