// Package enrollment is the way from a policy to a certificate.
//
// Create begins a pending operation: the key pair and the request are made
// and kept with it. Advance takes it on by one step: the vault's own
// signature for Self, a question to the provider for a named issuer, nothing
// for Unknown, whose certificate comes with Merge. The last step makes the
// new version of certificate, key and secret and ends the operation.
//
// Every step is one transaction on what is stored, nothing is kept anywhere
// else, and Advance goes on from what it finds. So it does not matter who
// calls it, how often, or where the server died the last time: clients do
// with every poll, the scheduler does for those that nobody polls.
package enrollment

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	"postern/internal/issuance"
	"postern/internal/issuance/acme"
	"postern/internal/keyring"
	"postern/internal/vault"
)

// What a request to a certificate is refused with, beside the refusals of
// package vault and the *issuance.Invalid of what was sent.
var (
	// ErrNoIssuer: the vault has no issuer of that name.
	ErrNoIssuer = errors.New("enrollment: no such issuer")
	// ErrIssuerDisabled: it has, but the issuer is not enabled.
	ErrIssuerDisabled = errors.New("enrollment: the issuer is disabled")
	// ErrNotInProgress: the operation has ended.
	ErrNotInProgress = errors.New("enrollment: the operation is not in progress")
)

// The codes of an operation that failed (documentation: create-certificate
// scenarios).
const (
	CodeIssuer   = "Certificate issuer error"
	CodeRejected = "Request rejected"
	// CodeTaken is our own: a key or a secret took the name meanwhile.
	CodeTaken = "Name in use"
)

// Provider issues certificates in the name of an issuer resource;
// *acme.Issuer is one. A *acme.Refused is the end of an operation, any other
// error passes.
type Provider interface {
	// Begin asks nobody yet; state is what Poll goes on from.
	Begin(account acme.Account, csr []byte) (state []byte, err error)
	// Poll takes it on: the chain, leaf first, in DER; nil is not yet. It is
	// never called inside of a transaction.
	Poll(ctx context.Context, state, csr []byte) (next []byte, chain [][]byte, err error)
	// Forget gives it up.
	Forget(state []byte)
}

// patience bounds one step with a provider: a client is waiting for it.
const patience = 15 * time.Second

// The seconds until a provider is asked again by itself: after an answer,
// and after none.
const (
	askNext  = 5
	askAgain = 60
)

// Desk is where certificates are applied for.
type Desk struct {
	random io.Reader
	// providers by the lower-case name that issuer resources give them.
	providers map[string]Provider
	// slots bounds how much work is done at a time that keeps a processor busy.
	slots chan struct{}
	// asking has the operations whose provider is being asked.
	asking sync.Map
}

// New makes a Desk. Random is crypto/rand when nil; the providers are by
// their lower-case names. Key pairs are made on all processors but one, so
// that reads go on.
func New(random io.Reader, providers map[string]Provider) *Desk {
	if random == nil {
		random = rand.Reader
	}
	return &Desk{random: random, providers: providers, slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
}

// NewKey makes a key pair; one of RSA, which takes a hundred thousand times as
// long as one on a curve, when it is its turn.
func (d *Desk) NewKey(ctx context.Context, spec keyring.Spec) (key *keyring.Key, err error) {
	if spec.Type == keyring.EC {
		return keyring.Generate(d.random, spec)
	}
	err = d.inTurn(ctx, func() error { key, err = keyring.Generate(d.random, spec); return err })
	return key, err
}

// ImportKey takes a key pair that came from outside. An RSA key without its
// primes is taken when it is its turn: to find them can take half a second,
// and for numbers that were made for it always does.
func (d *Desk) ImportKey(ctx context.Context, j keyring.JWK) (key *keyring.Key, err error) {
	if j.Type != keyring.RSA || len(j.P) != 0 {
		return keyring.Import(j)
	}
	err = d.inTurn(ctx, func() error { key, err = keyring.Import(j); return err })
	return key, err
}

// Open reads a file with a certificate and its key when it is its turn: the
// file says how much work it is.
func (d *Desk) Open(ctx context.Context, value, password, contentType string) (b *issuance.Bundle, err error) {
	err = d.inTurn(ctx, func() error { b, err = issuance.Import(value, password, contentType); return err })
	return b, err
}

// Convert brings a certificate with its key into another form when it is its
// turn.
func (d *Desk) Convert(ctx context.Context, value, from, to string) (converted string, err error) {
	err = d.inTurn(ctx, func() error { converted, err = issuance.Convert(value, from, to); return err })
	return converted, err
}

// inTurn does work that keeps a processor busy when a slot is free.
func (d *Desk) inTurn(ctx context.Context, work func() error) error {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return work()
}

// Application is what a new certificate is made from.
type Application struct {
	// Policy is complete: see issuance.Policy.Complete.
	Policy            *issuance.Policy
	Enabled           vault.Flag
	Tags              []vault.Tag
	PreserveCertOrder bool
	// NewKey makes the key pair where a new one is needed; nil for the Desk.
	NewKey func(ctx context.Context, spec keyring.Spec) (*keyring.Key, error)
}

// Create begins a new version of a certificate, and the certificate when
// there is none.
func (d *Desk) Create(ctx context.Context, certs *vault.Certificates, name string, a Application) (vault.Pending, error) {
	p, err := d.prepare(ctx, certs, name, a)
	if err != nil {
		return vault.Pending{}, err
	}
	policy, err := a.Policy.JSON()
	if err != nil {
		return vault.Pending{}, err
	}
	return certs.Begin(ctx, name, p, policy)
}

// prepare makes the key pair and the request of an operation.
func (d *Desk) prepare(ctx context.Context, certs *vault.Certificates, name string, a Application) (vault.Pending, error) {
	issuer, err := usable(ctx, certs, a.Policy.Issuer.Name)
	if err != nil {
		return vault.Pending{}, err
	}
	// An operation that is in progress is vault's to refuse, but before a
	// key pair is made for nothing.
	if p, err := certs.Pending(ctx, name); err == nil && p.Status == vault.StatusInProgress {
		return vault.Pending{}, vault.InProgress
	}
	newKey := a.NewKey
	if newKey == nil {
		newKey = d.NewKey
	}
	key, err := keyFor(ctx, certs, name, a.Policy, newKey)
	if err != nil {
		return vault.Pending{}, err
	}
	csr, err := a.Policy.Request(key.Private())
	if err != nil {
		return vault.Pending{}, err
	}
	parameters, err := json.Marshal(a.Policy.Issuer)
	if err != nil {
		return vault.Pending{}, err
	}
	p := vault.Pending{Request: certs.NewVersion(), CSR: csr, Key: Content(key, a.Policy), Issuer: parameters, Enabled: a.Enabled, Tags: a.Tags,
		PreserveCertOrder: a.PreserveCertOrder, Stays: !a.Policy.Exportable()}
	if !a.Policy.Merged() {
		p.Poll = vault.At(certs.Now.Unix())
	}
	if provider := d.provider(issuer); provider != nil {
		p.Extra, err = provider.Begin(issuer.account(), csr)
	}
	return p, err
}

// Imported is the new version that a file makes, under a policy that is
// complete.
func Imported(b *issuance.Bundle, policy *issuance.Policy, a Application) (vault.CertificateInput, error) {
	key, err := keyring.New(b.Key)
	if err != nil {
		return vault.CertificateInput{}, err
	}
	text, err := policy.JSON()
	if err != nil {
		return vault.CertificateInput{}, err
	}
	in, err := input(b, policy.ContentType(), policy.Exportable(), a.PreserveCertOrder)
	in.Key, in.Policy, in.Enabled, in.Tags = Content(key, policy), text, a.Enabled, a.Tags
	return in, err
}

// input is the new version that a certificate with its key makes.
func input(b *issuance.Bundle, form string, exportable, preserve bool) (vault.CertificateInput, error) {
	value, contentType, err := b.Secret(form, exportable, preserve)
	return vault.CertificateInput{CER: b.Leaf.Raw, SecretValue: value, SecretContentType: contentType, PreserveCertOrder: preserve,
		NotBefore: vault.At(b.Leaf.NotBefore.Unix()), Expires: vault.At(b.Leaf.NotAfter.Unix())}, err
}

// usable is the issuer of that name, nil for the reserved ones.
func usable(ctx context.Context, certs *vault.Certificates, name string) (*Issuer, error) {
	if Reserved(name) {
		return nil, nil
	}
	i, err := FindIssuer(ctx, certs, name)
	if err == nil && !i.Enabled {
		err = ErrIssuerDisabled
	}
	return i, err
}

// provider is who certifies for an issuer; nil for nobody.
func (d *Desk) provider(i *Issuer) Provider {
	if i == nil {
		return nil
	}
	return d.providers[strings.ToLower(i.Provider)]
}

// FindIssuer reads an issuer of the vault.
func FindIssuer(ctx context.Context, certs *vault.Certificates, name string) (*Issuer, error) {
	kept, err := certs.Issuer(ctx, name)
	if errors.Is(err, vault.NotFound) {
		return nil, ErrNoIssuer
	}
	if err != nil {
		return nil, err
	}
	return DecodeIssuer(kept)
}
