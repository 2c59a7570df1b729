package entra

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/access"
)

// The limits of foreign issuers; those of what is fetched are the ones of
// federated issuers.
const (
	maxForeign   = 64
	foreignRetry = time.Minute // between two attempts to fetch keys
)

// noClaim is the name of a claim that is not to be read.
const noClaim = "none"

// urlSpace is the name space of URLs (RFC 9562 §6.6).
var urlSpace = access.GUID{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}

// ErrIssuers: foreign issuers cannot be trusted as they are described.
var ErrIssuers = errors.New("entra: foreign issuers")

// ForeignIssuer is an issuer outside of this directory whose tokens callers
// may show: a tenant of the real Entra, or any OpenID provider.
type ForeignIssuer struct {
	// Issuer is the claim iss of its tokens, an https URL.
	Issuer string
	// Audiences are accepted beside those of the plane that is asked.
	Audiences []string
	// Tenant is the tenant that its tokens count as. It can be "" for a
	// tenant of Entra, which is then itself. Tokens never choose it.
	Tenant string
	// KeysURL or KeysFile is its JWK set; with neither the provider metadata
	// of the issuer says where it is.
	KeysURL, KeysFile string
	// CAFile is a PEM file of certificate authorities that vouch for its
	// hosts, in place of those of the system.
	CAFile string
	// Claims names the claims that are read in place of the usual ones:
	// object, app, tenant, groups, type, user, resource; "none" reads none.
	Claims map[string]string
}

// usualClaims are the claims that are read of tokens of Entra (v1 before v2)
// and of other providers (OpenID Connect Core 1.0 §2, RFC 9068 §2.2): the
// first one that is there. The resource of a managed identity opens
// networks, so it is believed only where Claims says so.
var usualClaims = map[bool]map[string][]string{
	true: {"object": {"oid"}, "app": {"appid", "azp"}, "tenant": {"tid"}, "groups": {"groups"}, "type": {"idtyp"},
		"user": {"upn", "preferred_username"}, "resource": nil},
	false: {"object": {"sub"}, "app": {"azp", "client_id"}, "tenant": {"tid"}, "groups": nil, "type": {"idtyp"},
		"user": {"sub"}, "resource": nil},
}

// foreigners are the foreign issuers by name. Another one replaces it when
// the issuers or the keys of one change: tokens are remembered under it.
type foreigners struct{ issuers map[string]*foreign }

// foreign is one of them, and the keys it has now.
type foreign struct {
	ForeignIssuer
	audiences map[string]bool
	// home is the tenant of Entra in the issuer's name; zero for others.
	home, tenant access.GUID
	claims       map[string][]string
	transport    http.RoundTripper

	held     atomic.Pointer[foreignKeys]
	fetching sync.Mutex
	tried    time.Time // guarded by fetching
}

// foreignKeys are the keys that were fetched at a moment; never changed.
type foreignKeys struct {
	keys    []jose.JSONWebKey
	fetched time.Time
}

// TrustIssuers accepts the tokens of these issuers, and of no others. The
// keys of one that was trusted before and is described as before are kept.
func (d *Directory) TrustIssuers(list []ForeignIssuer) error {
	if len(list) > maxForeign {
		return fmt.Errorf("%w: %d are more than %d", ErrIssuers, len(list), maxForeign)
	}
	next := &foreigners{issuers: map[string]*foreign{}}
	before := d.foreign.Load()
	for i := range list {
		f, err := d.newForeign(&list[i])
		if err != nil {
			return err
		}
		if next.issuers[f.Issuer] != nil {
			return fmt.Errorf("%w: %s is there twice", ErrIssuers, f.Issuer)
		}
		if before != nil {
			f.inherit(before.issuers[f.Issuer])
		}
		next.issuers[f.Issuer] = f
	}
	d.foreign.Store(next)
	return nil
}

// inherit takes over the keys of what was known of the same issuer from the
// same place.
func (f *foreign) inherit(old *foreign) {
	if old == nil || f.KeysFile != "" || old.KeysURL != f.KeysURL || old.KeysFile != f.KeysFile || old.CAFile != f.CAFile {
		return
	}
	f.held.Store(old.held.Load())
}

// newForeign checks a description. A file of keys is read at once, so that a
// mistake shows when it is made.
func (d *Directory) newForeign(i *ForeignIssuer) (*foreign, error) {
	wrong := func(format string, args ...any) (*foreign, error) {
		return nil, fmt.Errorf("%w: %s: %s", ErrIssuers, clip(i.Issuer), fmt.Sprintf(format, args...))
	}
	f := &foreign{ForeignIssuer: *i, audiences: map[string]bool{}, home: entraTenant(i.Issuer), transport: d.transport}
	f.tenant = f.home
	switch {
	case !secureURL(i.Issuer):
		return wrong("the issuer is not an https URL")
	case i.KeysURL != "" && i.KeysFile != "":
		return wrong("the keys are at a URL or in a file, not both")
	case i.KeysURL != "" && !secureURL(i.KeysURL):
		return wrong("%s is not an https URL", clip(i.KeysURL))
	case i.Tenant == "" && f.home.IsZero():
		return wrong("a provider that is not a tenant of Entra needs the tenant that it counts as")
	}
	if i.Tenant != "" {
		tenant, err := access.ParseGUID(i.Tenant)
		if err != nil || tenant.IsZero() {
			return wrong("the tenant %q is not a GUID", clip(i.Tenant))
		}
		f.tenant = tenant
	}
	for _, a := range i.Audiences {
		if a == "" || hasControl(a) {
			return wrong("an audience is empty or not a text")
		}
		f.audiences[a] = true
	}
	f.claims = maps.Clone(usualClaims[!f.home.IsZero()])
	for role, name := range i.Claims {
		if _, ok := f.claims[role]; !ok || name == "" {
			return wrong("claims: %q is not object, app, tenant, groups, type, user or resource, or has no claim", clip(role))
		}
		f.claims[role] = []string{name}
		if name == noClaim {
			f.claims[role] = nil
		}
	}
	if len(f.claims["object"]) == 0 {
		return wrong("claims: object is needed")
	}
	if err := f.trustCA(); err != nil {
		return wrong("%v", err)
	}
	if i.KeysFile != "" {
		if _, err := f.refresh(context.Background(), d.now()); err != nil {
			return wrong("%v", err)
		}
	}
	return f, nil
}

// entraTenant is the tenant in the name of an issuer of Entra, of tokens v1
// or v2; zero for other issuers.
func entraTenant(issuer string) access.GUID {
	for _, form := range [...]struct{ before, after string }{{"https://sts.windows.net/", "/"}, {"https://login.microsoftonline.com/", "/v2.0"}} {
		rest, ok := strings.CutPrefix(issuer, form.before)
		if !ok {
			continue
		}
		if rest, ok = strings.CutSuffix(rest, form.after); ok {
			if g, err := access.ParseGUID(rest); err == nil {
				return g
			}
		}
	}
	return access.GUID{}
}

// trustCA has the transport believe the authorities of CAFile alone.
func (f *foreign) trustCA() error {
	if f.CAFile == "" {
		return nil
	}
	text, err := readFile(f.CAFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate", f.CAFile)
	}
	f.transport = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	return nil
}

// readFile reads a file of keys or certificates, so large and no larger.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxKeys+1))
	if err == nil && len(text) > maxKeys {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxKeys)
	}
	return text, err
}

// refresh fetches the keys and reports whether they are others than before.
func (f *foreign) refresh(ctx context.Context, now time.Time) (changed bool, err error) {
	var keys []jose.JSONWebKey
	if f.KeysFile != "" {
		var text []byte
		if text, err = readFile(f.KeysFile); err == nil {
			keys, err = readKeys(text)
		}
	} else {
		keys, err = fetchKeys(ctx, f.transport, &KnownIssuer{Issuer: f.Issuer, KeysURL: f.KeysURL})
	}
	if err != nil {
		return false, err
	}
	old := f.held.Load()
	f.held.Store(&foreignKeys{keys, now})
	return old != nil && !sameKeys(old.keys, keys), nil
}

func sameKeys(a, b []jose.JSONWebKey) bool {
	x, wrong := json.Marshal(a)
	y, err := json.Marshal(b)
	return wrong == nil && err == nil && bytes.Equal(x, y)
}

// foreignKeys are the keys of a foreign issuer with a kid, and since when
// they are known. They are fetched again when they are an hour old or none
// has the kid, not more often than once a minute; an outage they survive for
// a day. Only who needs a key that is not there waits for them.
func (d *Directory) foreignKeys(f *foreign, kid string, now time.Time) ([]jose.JSONWebKey, time.Time) {
	found, since := f.find(kid, now)
	if len(found) > 0 {
		if now.Before(since.Add(keysFresh)) || !f.fetching.TryLock() {
			return found, since
		}
	} else {
		f.fetching.Lock()
	}
	defer f.fetching.Unlock()
	found, since = f.find(kid, now)
	if len(found) > 0 && now.Before(since.Add(keysFresh)) || !f.tried.IsZero() && now.Before(f.tried.Add(foreignRetry)) {
		return found, since
	}
	f.tried = now
	if changed, err := f.refresh(context.Background(), now); err == nil && changed {
		d.forgetForeign()
	}
	return f.find(kid, now)
}

// find looks among the keys that are there, unless they are too old.
func (f *foreign) find(kid string, now time.Time) ([]jose.JSONWebKey, time.Time) {
	held := f.held.Load()
	if held == nil || !now.Before(held.fetched.Add(keysStale)) {
		return nil, time.Time{}
	}
	return withID(held.keys, kid), held.fetched
}

// forgetForeign has the verifiers forget the tokens they know.
func (d *Directory) forgetForeign() {
	for {
		old := d.foreign.Load()
		if old == nil || d.foreign.CompareAndSwap(old, &foreigners{old.issuers}) {
			return
		}
	}
}
