package pki

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/seal"
	"postern/internal/store"
)

// The keys in the store: the platform authority, and by its serial number
// every certificate it issued.
const (
	platformKey    = "p/authority"
	platformPrefix = "p/c/"
)

// The lives of platform certificates.
const (
	// PlatformLife is how long one lasts unless said otherwise,
	// MaxPlatformLife the longest that can be asked for, MinPlatformLife
	// the shortest.
	PlatformLife    = 24 * time.Hour
	MaxPlatformLife = 7 * 24 * time.Hour
	MinPlatformLife = time.Minute
	// remembered is how long one that has ended is still listed.
	remembered = 30 * 24 * time.Hour
)

// platformName is the authority's; it stays the same when its certificate
// is made anew, so that what it issued goes on.
const platformName = "Postern platform authority"

// The errors of the platform.
var (
	// ErrLife: a certificate was asked for that lasts too long or too short.
	ErrLife = fmt.Errorf("pki: a platform certificate lasts between %v and %v", MinPlatformLife, MaxPlatformLife)
	// ErrNoCertificate: no certificate has the serial number.
	ErrNoCertificate = errors.New("pki: no platform certificate has this serial number")
	// ErrPlatformKey: the key a certificate was asked for is of no use.
	ErrPlatformKey = errors.New("pki: a platform certificate is for an ECDSA key on P-256 or P-384")
	// ErrProof: a client certificate proves nothing.
	ErrProof = errors.New("pki: the certificate proves nothing")
)

// Platform is the authority that vouches for the compute of services. It
// issues short-lived client certificates and nothing else; no client is ever
// told to trust it, and no name of a server is its business.
//
// A certificate proves something only while the platform remembers issuing
// that very certificate, and has not revoked it.
type Platform struct {
	store       store.Store
	sealing     *seal.Key
	now         func() time.Time
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pool        *x509.CertPool

	mu       sync.Mutex                        // held by the one writer
	issued   atomic.Pointer[map[string]Issued] // by serial; replaced, never changed
	revision atomic.Uint64
}

// Issued is what is remembered of a certificate.
type Issued struct {
	// Serial is the serial number, hexadecimal.
	Serial string `json:"serial"`
	// Service is the service whose compute it proves.
	Service string    `json:"service"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	// Revoked is when it was revoked; zero while it was not.
	Revoked time.Time `json:"revoked,omitzero"`
	// Fingerprint is the SHA-256 of the certificate.
	Fingerprint []byte `json:"fingerprint"`
}

// OpenPlatform opens the platform authority of the store, and makes it when
// there is none.
func OpenPlatform(ctx context.Context, st store.Store, root *seal.Root, now func() time.Time) (*Platform, error) {
	p := &Platform{store: st, sealing: root.Key("platform"), now: now}
	if p.now == nil {
		p.now = time.Now
	}
	if err := p.open(ctx); err != nil {
		return nil, fmt.Errorf("opening the platform authority: %w", err)
	}
	p.pool = x509.NewCertPool()
	p.pool.AddCert(p.certificate)
	return p, p.load(ctx)
}

// open reads the authority, or makes it, with a certificate that lasts.
func (p *Platform) open(ctx context.Context) error {
	var tx store.Tx
	item, err := p.store.Get(ctx, platformKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return err
		}
		tx.Absent(platformKey)
	case err != nil:
		return err
	default:
		if p.certificate, p.key, err = p.unseal(item); err != nil {
			return err
		}
		if p.now().Add(authorityRest).Before(p.certificate.NotAfter) {
			return nil
		}
		tx.Unchanged(item)
	}
	if err := p.certify(); err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(sealedAuthority{Certificate: p.certificate.Raw, Key: der})
	if err != nil {
		return err
	}
	tx.Put(platformKey, p.sealing.Seal(platformKey, plain))
	return p.store.Commit(ctx, &tx)
}

func (p *Platform) unseal(item store.Item) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	plain, err := p.sealing.Open(platformKey, item.Value)
	if err != nil {
		return nil, nil, err
	}
	return parseAuthority(plain)
}

// certify makes the authority's certificate: for clients' certificates
// alone, which every TLS library in use takes as a bound for what it signs.
func (p *Platform) certify() error {
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	now := p.now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Postern"}, CommonName: platformName},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		PermittedURIDomains:   []string{platformHost},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &p.key.PublicKey, p.key)
	if err != nil {
		return fmt.Errorf("making the platform's certificate: %w", err)
	}
	p.certificate, err = x509.ParseCertificate(der)
	return err
}

// load reads what was issued.
func (p *Platform) load(ctx context.Context) error {
	items, err := p.store.Range(ctx, platformPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("reading the platform's certificates: %w", err)
	}
	all := make(map[string]Issued, len(items))
	for _, item := range items {
		var c Issued
		plain, err := p.sealing.Open(item.Key, item.Value)
		if err == nil {
			err = json.Unmarshal(plain, &c)
		}
		if err != nil {
			return fmt.Errorf("reading the platform's certificate %s: %w", item.Key, err)
		}
		all[c.Serial] = c
	}
	p.issued.Store(&all)
	p.revision.Add(1)
	return nil
}

// platformHost stands in the URI of a certificate, before the service.
const platformHost = "service"

// serviceURI names a service: postern://service/<escaped name>.
func serviceURI(service string) *url.URL {
	return &url.URL{Scheme: "postern", Host: platformHost, Path: "/" + service, RawPath: "/" + url.PathEscape(service)}
}

// Issue makes a certificate by which whoever has the key proves to be the
// compute of a service, and remembers it. A life of 0 is PlatformLife. with,
// when it is not nil, adds to the transaction: the record of the change.
func (p *Platform) Issue(ctx context.Context, service string, key *ecdsa.PublicKey, life time.Duration, with func(*store.Tx, Issued)) (certificate []byte, issued Issued, err error) {
	life = cmp.Or(life, PlatformLife)
	switch {
	case life < MinPlatformLife || life > MaxPlatformLife:
		return nil, Issued{}, ErrLife
	case key == nil || key.Curve != elliptic.P256() && key.Curve != elliptic.P384():
		return nil, Issued{}, ErrPlatformKey
	case service == "" || len(service) > 256:
		return nil, Issued{}, errors.New("pki: a service has a name of 1 to 256 bytes")
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, Issued{}, err
	}
	now := p.now().UTC().Truncate(time.Second)
	issued = Issued{Serial: fmt.Sprintf("%032x", serial), Service: service, From: now, Until: now.Add(life)}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: service},
		URIs:                  []*url.URL{serviceURI(service)},
		NotBefore:             issued.From,
		NotAfter:              issued.Until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.certificate, key, p.key)
	if err != nil {
		return nil, Issued{}, fmt.Errorf("making a platform certificate: %w", err)
	}
	sum := sha256.Sum256(der)
	issued.Fingerprint = sum[:]
	err = p.change(ctx, func(next map[string]Issued, tx *store.Tx) error {
		for serial, c := range next {
			if now.After(c.Until.Add(remembered)) {
				delete(next, serial)
				tx.Delete(platformPrefix + serial)
			}
		}
		tx.Absent(platformPrefix + issued.Serial)
		return p.put(next, tx, issued, with)
	})
	if err != nil {
		return nil, Issued{}, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), issued, nil
}

// Revoke makes a certificate prove nothing from now on; with is as for
// Issue. One that was revoked already stays as it is.
func (p *Platform) Revoke(ctx context.Context, serial string, with func(*store.Tx, Issued)) (Issued, error) {
	var revoked Issued
	err := p.change(ctx, func(next map[string]Issued, tx *store.Tx) error {
		c, ok := next[strings.ToLower(serial)]
		if !ok {
			return ErrNoCertificate
		}
		revoked = c
		if !c.Revoked.IsZero() {
			return nil
		}
		revoked.Revoked = p.now().UTC().Truncate(time.Second)
		return p.put(next, tx, revoked, with)
	})
	return revoked, err
}

// put seals what is remembered of a certificate into a transaction.
func (p *Platform) put(next map[string]Issued, tx *store.Tx, c Issued, with func(*store.Tx, Issued)) error {
	plain, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding a platform certificate: %w", err)
	}
	key := platformPrefix + c.Serial
	tx.Put(key, p.sealing.Seal(key, plain))
	next[c.Serial] = c
	if with != nil {
		with(tx, c)
	}
	return nil
}

// change runs fn on a copy of what is remembered, commits the transaction
// and publishes the copy. One change runs at a time.
func (p *Platform) change(ctx context.Context, fn func(next map[string]Issued, tx *store.Tx) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(*p.issued.Load())
	var tx store.Tx
	if err := fn(next, &tx); err != nil || len(tx.Operations) == 0 {
		return err
	}
	if err := p.store.Commit(ctx, &tx); err != nil {
		// Whether it was applied is open: what the store holds now counts.
		return errors.Join(fmt.Errorf("changing the platform's certificates: %w", err), p.load(context.WithoutCancel(ctx)))
	}
	p.issued.Store(&next)
	p.revision.Add(1)
	return nil
}

// Certificates are those that are remembered, the latest first.
func (p *Platform) Certificates() []Issued {
	return slices.SortedFunc(maps.Values(*p.issued.Load()), func(a, b Issued) int {
		return cmp.Or(b.From.Compare(a.From), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Serial, b.Serial))
	})
}

// Revision changes whenever a certificate was issued or revoked.
func (p *Platform) Revision() uint64 { return p.revision.Load() }

// Pool holds the platform authority alone: what a server names when it asks
// a client for a certificate, so that clients with others send none.
func (p *Platform) Pool() *x509.CertPool { return p.pool }

// Prove finds the service that a client certificate was issued for, and
// until when that holds. The client has shown that it has the key: TLS does
// not end a handshake without.
func (p *Platform) Prove(chain []*x509.Certificate) (service string, until time.Time, err error) {
	if len(chain) == 0 {
		return "", time.Time{}, ErrProof
	}
	c := chain[0]
	_, err = c.Verify(x509.VerifyOptions{Roots: p.pool, Intermediates: x509.NewCertPool(), CurrentTime: p.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	known, ok := (*p.issued.Load())[fmt.Sprintf("%032x", c.SerialNumber)]
	sum := sha256.Sum256(c.Raw)
	switch {
	case !ok || !bytes.Equal(known.Fingerprint, sum[:]):
		return "", time.Time{}, fmt.Errorf("%w: it is not remembered", ErrProof)
	case !known.Revoked.IsZero():
		return "", time.Time{}, fmt.Errorf("%w: it was revoked at %s", ErrProof, known.Revoked.Format(time.RFC3339))
	case len(c.URIs) != 1 || c.URIs[0].String() != serviceURI(known.Service).String():
		return "", time.Time{}, fmt.Errorf("%w: it does not name the service %q", ErrProof, known.Service)
	}
	return known.Service, c.NotAfter, nil
}
