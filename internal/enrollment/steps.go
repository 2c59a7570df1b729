package enrollment

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"

	"postern/internal/issuance"
	"postern/internal/issuance/acme"
	"postern/internal/keyring"
	"postern/internal/vault"
)

// keyFor is the key pair of a new version: that of the latest one where the
// policy wants it to be used again, it fits and it may be where the policy
// wants it, else a new one.
func keyFor(ctx context.Context, certs *vault.Certificates, name string, p *issuance.Policy,
	newKey func(context.Context, keyring.Spec) (*keyring.Key, error)) (*keyring.Key, error) {
	spec, err := p.KeySpec()
	if err != nil {
		return nil, err
	}
	if !p.ReuseKey() {
		return newKey(ctx, spec)
	}
	content, err := certs.PrivateKey(ctx, name, "")
	if errors.Is(err, vault.NotFound) {
		return newKey(ctx, spec)
	}
	if err != nil {
		return nil, err
	}
	key, err := keyring.Open(content.Material)
	if err != nil {
		return nil, err
	}
	if key.Type() != spec.Type || key.Curve() != spec.Curve || spec.Type == keyring.RSA && key.Bits() != spec.Size {
		return newKey(ctx, spec)
	}
	if p.Exportable() && !exported(ctx, certs, name) {
		// A key that was made to stay does not leave because the policy of
		// the next version is another one.
		return newKey(ctx, spec)
	}
	return key, nil
}

// exported reports whether the secret of the latest version holds the key.
func exported(ctx context.Context, certs *vault.Certificates, name string) bool {
	secrets := vault.Secrets{Terms: certs.Terms, Space: certs.Space, Key: certs.Key, Now: certs.Now, NewVersion: certs.NewVersion}
	o, err := secrets.Get(ctx, name, "")
	if err != nil {
		return false
	}
	_, err = issuance.Import(o.Version.Value, "", o.Version.ContentType)
	return err == nil
}

// The values of hsmPlatform, as other keys have them (recorded answers).
const (
	platformSoftware = "0"
	platformHardware = "2"
)

// Content is a certificate's key as a vault keeps it. That a certificate may
// leave with its key is a matter of the secret; as a key, which would be
// released to an attested place, it stays.
func Content(key *keyring.Key, p *issuance.Policy) vault.KeyContent {
	k := vault.KeyContent{Type: p.KeyType(), Curve: key.Curve(), Size: key.Bits(), Operations: p.Operations(), Platform: platformSoftware,
		Material: key.Material(), Public: key.PublicMaterial()}
	if strings.HasSuffix(k.Type, "-HSM") {
		k.Platform = platformHardware
	}
	return k
}

// issuerOf is the name of the issuer that an operation was begun with.
func issuerOf(p *vault.Pending) string {
	var issuer struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(p.Issuer, &issuer) != nil {
		return ""
	}
	return issuer.Name
}

// IsMerged reports whether an operation waits for a certificate from
// outside.
func IsMerged(p *vault.Pending) bool { return strings.EqualFold(issuerOf(p), Unknown) }

// Advance takes the pending operation of a certificate on by one step, if
// there is one to take, and returns it as it is then. A failure of the
// provider that may pass is no error: the operation stays in progress.
func (d *Desk) Advance(ctx context.Context, certs *vault.Certificates, name string) (vault.Pending, error) {
	p, err := certs.Pending(ctx, name)
	if err != nil || p.Status != vault.StatusInProgress {
		return p, err
	}
	issuer := issuerOf(&p)
	switch {
	case p.Cancel:
		d.forget(&p)
		return d.end(ctx, certs, name, &p, vault.StatusCancelled, "", "")
	case strings.EqualFold(issuer, Self):
		return d.sign(ctx, certs, name, &p)
	case strings.EqualFold(issuer, Unknown) && p.Poll.Known: // a wish to cancel that was taken back
		return d.change(ctx, certs, name, &p, func(p *vault.Pending) { p.Poll = vault.Stamp{} })
	case strings.EqualFold(issuer, Unknown):
		return p, nil
	}
	return d.ask(ctx, certs, name, &p, issuer)
}

// errOver is that somebody else has taken the operation on meanwhile.
var errOver = errors.New("enrollment: the operation has gone on")

// change applies fn to the operation, unless it has gone on since it was
// read; then it is returned as it is now.
func (d *Desk) change(ctx context.Context, certs *vault.Certificates, name string, read *vault.Pending, fn func(*vault.Pending)) (vault.Pending, error) {
	p, err := certs.ChangePending(ctx, name, func(p *vault.Pending) error {
		if p.Request != read.Request || p.Status != vault.StatusInProgress || string(p.Extra) != string(read.Extra) {
			return errOver
		}
		fn(p)
		return nil
	})
	if errors.Is(err, errOver) {
		return certs.Pending(ctx, name)
	}
	return p, err
}

// end ends an operation without a certificate.
func (d *Desk) end(ctx context.Context, certs *vault.Certificates, name string, p *vault.Pending, status vault.Status, code, message string) (vault.Pending, error) {
	return d.change(ctx, certs, name, p, func(p *vault.Pending) { p.Status, p.ErrorCode, p.ErrorMessage = status, code, message })
}

// policyOf is the policy of a certificate as it is now.
func policyOf(ctx context.Context, certs *vault.Certificates, name string) (*issuance.Policy, error) {
	o, _, err := certs.Get(ctx, name, "")
	if err != nil {
		return nil, err
	}
	return issuance.ParsePolicy([]byte(o.Policy))
}

// sign is the step of Self.
func (d *Desk) sign(ctx context.Context, certs *vault.Certificates, name string, p *vault.Pending) (vault.Pending, error) {
	policy, err := policyOf(ctx, certs, name)
	if err != nil {
		return *p, err
	}
	key, err := keyring.Open(p.Key.Material)
	if err != nil {
		return *p, err
	}
	der, err := policy.SelfSign(key.Private(), certs.Now)
	if err != nil {
		return *p, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return *p, err
	}
	return d.completed(ctx, certs, name, p, policy, &issuance.Bundle{Key: key.Private(), Leaf: leaf})
}

// completed is complete for an operation that nobody waits for: it fails for
// good where the name was taken since it was begun or the certificate is too
// large, and is not tried forever.
func (d *Desk) completed(ctx context.Context, certs *vault.Certificates, name string, p *vault.Pending, policy *issuance.Policy,
	b *issuance.Bundle) (vault.Pending, error) {
	_, _, err := d.complete(ctx, certs, name, p, policy, b)
	invalid := new(vault.Invalid)
	switch {
	case errors.As(err, &invalid):
		return d.end(ctx, certs, name, p, vault.StatusFailed, CodeRejected, "The certificate cannot be kept: its "+invalid.Property+" "+invalid.Reason+".")
	case errors.Is(err, vault.Exists), errors.Is(err, vault.IsDeleted):
		return d.end(ctx, certs, name, p, vault.StatusFailed, CodeTaken, "The name "+p.Name+" is in use by a key or a secret of its own.")
	case errors.Is(err, vault.NoPending): // somebody was faster
	case err != nil:
		return *p, err
	}
	return certs.Pending(ctx, name)
}

// complete makes the new version of what was issued, and ends the operation.
func (d *Desk) complete(ctx context.Context, certs *vault.Certificates, name string, p *vault.Pending, policy *issuance.Policy,
	b *issuance.Bundle) (vault.Object, vault.CertificateContent, error) {
	// The policy may have changed since the key was made.
	in, err := input(b, policy.ContentType(), policy.Exportable() && !p.Stays, p.PreserveCertOrder)
	if err != nil {
		return vault.Object{}, vault.CertificateContent{}, err
	}
	in.Key, in.Enabled, in.Tags = p.Key, p.Enabled, p.Tags
	return certs.Complete(ctx, name, p.Request, in)
}

// ask is the step of a named issuer. Its provider is not asked again before
// its time, however often clients poll.
func (d *Desk) ask(ctx context.Context, certs *vault.Certificates, name string, p *vault.Pending, issuer string) (vault.Pending, error) {
	i, err := FindIssuer(ctx, certs, issuer)
	provider := d.provider(i)
	switch {
	case errors.Is(err, ErrNoIssuer):
		return d.end(ctx, certs, name, p, vault.StatusFailed, CodeIssuer, "The vault has no issuer "+issuer+" any more.")
	case err != nil:
		return *p, err
	case provider == nil || len(p.Extra) == 0:
		return d.end(ctx, certs, name, p, vault.StatusFailed, CodeIssuer, "The issuer "+i.Name+" has the provider "+i.Provider+
			", which this server cannot ask for certificates.")
	case p.Poll.Known && p.Poll.Unix > certs.Now.Unix():
		return *p, nil
	}
	// However many poll at once, the provider is asked by one of them.
	if _, busy := d.asking.LoadOrStore(p.Request, true); busy {
		return *p, nil
	}
	defer d.asking.Delete(p.Request)
	switch now, err := certs.Pending(ctx, name); {
	case err != nil:
		return *p, err
	case now.Request != p.Request || now.Status != vault.StatusInProgress || now.Poll != p.Poll || string(now.Extra) != string(p.Extra):
		return now, nil
	}
	// A client that goes away must not take what was reached with it.
	ctx = context.WithoutCancel(ctx)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	state, chain, err := provider.Poll(waiting, p.Extra, p.CSR)
	refused := new(acme.Refused)
	switch {
	case errors.As(err, &refused):
		return d.end(ctx, certs, name, p, vault.StatusFailed, CodeRejected, refused.Reason+" ("+refused.Hint+")")
	case err != nil:
		next, failed := d.later(ctx, certs, name, p, state, askAgain)
		if failed != nil {
			return *p, failed
		}
		return next, &Unanswered{Issuer: i.Name, Cause: err}
	case chain == nil:
		return d.later(ctx, certs, name, p, state, askNext)
	}
	policy, err := policyOf(ctx, certs, name)
	if err != nil {
		return *p, err
	}
	key, err := keyring.Open(p.Key.Material)
	if err != nil {
		return *p, err
	}
	b, err := issuance.Merge(p.CSR, key.Private(), chain)
	if err != nil {
		return d.end(ctx, certs, name, p, vault.StatusFailed, CodeIssuer, "What the issuer sent is not a certificate for the request.")
	}
	return d.completed(ctx, certs, name, p, policy, b)
}

// later keeps the state of a provider, and asks again after so many seconds.
func (d *Desk) later(ctx context.Context, certs *vault.Certificates, name string, p *vault.Pending, state []byte, seconds int64) (vault.Pending, error) {
	return d.change(ctx, certs, name, p, func(p *vault.Pending) {
		if len(state) > 0 {
			p.Extra = state
		}
		p.Poll = vault.At(certs.Now.Unix() + seconds)
	})
}

// Unanswered is that a provider could not be asked this time; the operation
// is still in progress.
type Unanswered struct {
	Issuer string
	Cause  error
}

// Error names the issuer and the cause.
func (u *Unanswered) Error() string {
	return "enrollment: the issuer " + u.Issuer + " could not be asked: " + u.Cause.Error()
}

// Unwrap is the cause.
func (u *Unanswered) Unwrap() error { return u.Cause }

// Drop gives the operation up and forgets it (spec:
// DeleteCertificateOperation).
func (d *Desk) Drop(ctx context.Context, certs *vault.Certificates, name string) (vault.Pending, error) {
	p, err := certs.DropPending(ctx, name)
	if err == nil {
		d.forget(&p)
	}
	return p, err
}

// forget tells the providers that an operation is given up: the one that
// knows it forgets it.
func (d *Desk) forget(p *vault.Pending) {
	if len(p.Extra) == 0 {
		return
	}
	for _, provider := range d.providers {
		provider.Forget(p.Extra)
	}
}

// Delivery is a certificate that somebody else issued.
type Delivery struct {
	// Chain is DER.
	Chain   [][]byte
	Enabled vault.Flag
	Tags    []vault.Tag
}

// Merge completes a pending operation with a certificate for its request
// (spec: MergeCertificate).
func (d *Desk) Merge(ctx context.Context, certs *vault.Certificates, name string, m Delivery) (vault.Object, vault.CertificateContent, error) {
	p, err := certs.Pending(ctx, name)
	if err != nil {
		return vault.Object{}, vault.CertificateContent{}, err
	}
	switch {
	case p.Status != vault.StatusInProgress:
		return vault.Object{}, vault.CertificateContent{}, ErrNotInProgress
	case !IsMerged(&p):
		return vault.Object{}, vault.CertificateContent{}, &Held{Issuer: issuerOf(&p)}
	}
	key, err := keyring.Open(p.Key.Material)
	if err != nil {
		return vault.Object{}, vault.CertificateContent{}, err
	}
	b, err := issuance.Merge(p.CSR, key.Private(), m.Chain)
	if err != nil {
		return vault.Object{}, vault.CertificateContent{}, err
	}
	policy, err := policyOf(ctx, certs, name)
	if err != nil {
		return vault.Object{}, vault.CertificateContent{}, err
	}
	if m.Enabled != vault.Unset {
		p.Enabled = m.Enabled
	}
	if m.Tags != nil {
		p.Tags = m.Tags
	}
	return d.complete(ctx, certs, name, &p, policy, b)
}

// Held is that a certificate is its issuer's to deliver.
type Held struct{ Issuer string }

// Error names the issuer.
func (h *Held) Error() string { return "enrollment: the operation waits for the issuer " + h.Issuer }

// Renew begins the next version of a certificate if its policy asks for that
// now, and takes the first step. It reports false when there is nothing to
// do.
func (d *Desk) Renew(ctx context.Context, certs *vault.Certificates, name string) (vault.Pending, bool, error) {
	o, content, err := certs.Get(ctx, name, "")
	if err != nil {
		return vault.Pending{}, false, err
	}
	policy, err := issuance.ParsePolicy([]byte(o.Policy))
	if err != nil {
		return vault.Pending{}, false, err
	}
	made, err := d.prepare(ctx, certs, name, Application{Policy: policy, Tags: o.Version.Tags, PreserveCertOrder: content.PreserveCertOrder})
	if err != nil {
		return vault.Pending{}, false, err
	}
	p, due, err := certs.RenewIfDue(ctx, name, func(now vault.Object) (vault.Pending, error) {
		if now.Policy != o.Policy {
			return vault.Pending{}, errOver // the next call sees the new one
		}
		return made, nil
	})
	if err != nil || !due {
		return p, due, err
	}
	p, err = d.Advance(ctx, certs, name)
	return p, true, err
}
