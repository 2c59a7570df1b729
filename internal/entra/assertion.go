package entra

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/access"
)

// assertionType is the one kind of client assertion (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// maxAssertionLife is how far ahead an assertion may end: for so long its jti
// is remembered.
const maxAssertionLife = 24 * time.Hour

// assertion is a client assertion that is being read: a JWT by which a client
// says who it is, signed with the key of its certificate, or by an issuer
// that it is federated with.
type assertion struct {
	text    string
	header  assertionHeader
	issuer  string
	subject string
	// claims are those of the payload, believed only after the signature.
	claims map[string]json.RawMessage
}

// assertionHeader is what of a JOSE header says which key signed.
type assertionHeader struct{ algorithm, kid, x5t, x5t256 string }

// readAssertion reads an assertion without believing it.
func readAssertion(text string) (*assertion, bool) {
	if len(text) > MaxToken {
		return nil, false
	}
	part, ok := split(text)
	if !ok {
		return nil, false
	}
	a := &assertion{text: text}
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || !a.header.read(raw) {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		return nil, false
	}
	if a.claims, err = readObject(payload); err != nil {
		return nil, false
	}
	var hasIssuer, hasSubject bool
	a.issuer, hasIssuer = textOf(a.claims, "iss")
	a.subject, hasSubject = textOf(a.claims, "sub")
	return a, hasIssuer && hasSubject && a.issuer != "" && a.subject != ""
}

// textOf is text, without characters that would break a message.
func textOf(members map[string]json.RawMessage, name string) (string, bool) {
	s, ok := text(members, name)
	return s, ok && !hasControl(s)
}

// read reads the header. Extensions that must be understood are not.
func (h *assertionHeader) read(raw []byte) bool {
	members, err := readObject(raw)
	if err != nil {
		return false
	}
	for _, name := range []string{"crit", "b64", "zip", "enc", "cty"} {
		if _, there := members[name]; there {
			return false
		}
	}
	if _, there := members["typ"]; there {
		if typ, ok := text(members, "typ"); !ok || !strings.EqualFold(typ, "JWT") {
			return false
		}
	}
	for _, m := range []struct {
		name string
		to   *string
	}{{"kid", &h.kid}, {"x5t", &h.x5t}, {"x5t#S256", &h.x5t256}} {
		if _, there := members[m.name]; !there {
			continue
		}
		var ok bool
		if *m.to, ok = text(members, m.name); !ok {
			return false
		}
	}
	var ok bool
	h.algorithm, ok = text(members, "alg")
	return ok
}

// names reports whether the header says that the key of a certificate signed:
// by its SHA-256, by its SHA-1, or by its SHA-1 in hexadecimal as kid.
func (h *assertionHeader) names(der []byte) bool {
	sum := sha256.Sum256(der)
	old := thumbprint1(der)
	switch {
	case h.x5t256 != "":
		return urlAlphabet(h.x5t256) == base64.RawURLEncoding.EncodeToString(sum[:])
	case h.x5t != "":
		return urlAlphabet(h.x5t) == base64.RawURLEncoding.EncodeToString(old)
	}
	return h.kid != "" && strings.EqualFold(h.kid, hex.EncodeToString(old))
}

// urlAlphabet is a base64 text in the alphabet of URLs: MSAL for Go writes
// thumbprints in the other one, with padding.
func urlAlphabet(s string) string {
	return strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
}

// signedBy verifies the signature with a public key.
func (a *assertion) signedBy(key any, allowed ...jose.SignatureAlgorithm) bool {
	signed, err := jose.ParseSignedCompact(a.text, allowed)
	if err != nil {
		return false
	}
	_, err = signed.Verify(key)
	return err == nil
}

// times are the claims exp and nbf; ok is false when exp is missing, one of
// them is no time, or they contradict each other.
func (a *assertion) times() (from, until time.Time, ok bool) {
	exp, there, good := clientSeconds(a.claims, "exp")
	nbf, _, fine := clientSeconds(a.claims, "nbf")
	if _, _, iat := clientSeconds(a.claims, "iat"); !there || !good || !fine || !iat || nbf > exp {
		return from, until, false
	}
	return time.Unix(nbf, 0), time.Unix(exp, 0), true
}

// clientSeconds is seconds of what a client wrote: a fraction, which MSAL for
// Python writes (RFC 7519 §2 allows it), is cut off.
func clientSeconds(members map[string]json.RawMessage, name string) (n int64, present, ok bool) {
	raw, present := members[name]
	whole, fraction, dotted := strings.Cut(string(raw), ".")
	if dotted && (fraction == "" || len(fraction) > 12 || strings.Trim(fraction, "0123456789") != "") {
		return 0, present, false
	}
	if !present {
		return 0, false, true
	}
	return seconds(map[string]json.RawMessage{name: json.RawMessage(whole)}, name)
}

// current refuses an assertion that is not of now.
func (l *login) current(a *assertion) error {
	from, until, ok := a.times()
	now, skew := l.directory.now(), l.directory.skew
	if !ok || now.Before(from.Add(-skew)) || !now.Before(until.Add(skew)) || until.After(now.Add(maxAssertionLife+skew)) {
		return refuseTime(now)
	}
	return nil
}

// asserted finds the principal that an assertion stands for.
func (l *login) asserted(ctx context.Context, at *attempt, form url.Values) (*principal, error) {
	if form.Get("client_assertion_type") != assertionType {
		return nil, refuseInput("the parameter 'client_assertion_type' is not '%s'.", assertionType)
	}
	a, ok := readAssertion(form.Get("client_assertion"))
	if !ok {
		return nil, refuseJWT()
	}
	client := form.Get("client_id")
	if client == "" && a.issuer == a.subject {
		client = a.subject // RFC 7521 §4.2: it is optional beside an assertion
	}
	app, err := access.ParseGUID(client)
	if err != nil {
		return nil, refuseApp(client, l.tenantName(at.place.tenant.ID))
	}
	at.client = app.String()
	s := l.directory.state.Load()
	p := s.apps[appKey{at.place.tenant.ID, app}]
	if p == nil {
		return nil, refuseApp(client, l.tenantName(at.place.tenant.ID))
	}
	if strings.EqualFold(a.issuer, client) {
		return p, l.certified(at, a, s.held(p), client, form)
	}
	return p, l.federated(ctx, a, s.held(p))
}

// certified checks an assertion that the client signed with the key of its
// certificate (RFC 7523 §3): who, with which key, for whom, when, and not
// seen before.
func (l *login) certified(at *attempt, a *assertion, held []*proofs, client string, form url.Values) error {
	if !strings.EqualFold(a.subject, client) {
		return refuse(http.StatusUnauthorized, "invalid_client", 700021, "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .")
	}
	var key *x509.Certificate
	for _, c := range held {
		for i := range c.Certificates {
			if a.header.names(c.Certificates[i].DER) {
				key, _ = x509.ParseCertificate(c.Certificates[i].DER)
			}
		}
	}
	now := l.directory.now()
	switch {
	case key == nil:
		return refuseSignature("The certificate with identifier used to sign the client assertion is not registered on application.")
	case now.Before(key.NotBefore) || now.After(key.NotAfter):
		return refuseSignature("The key was expired.")
	case !a.signedBy(key.PublicKey, jose.PS256, jose.RS256):
		return refuseSignature("Client assertion failed signature validation.")
	}
	audience, ok := readAudience(a.claims["aud"])
	if !ok || !l.realm(at, audience) {
		return refuse(http.StatusUnauthorized, "invalid_client", 700023, "Client assertion audience claim does not match Realm issuer. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .")
	}
	if err := l.current(a); err != nil {
		return err
	}
	id, ok := textOf(a.claims, "jti")
	if !ok || id == "" || len(id) > 256 {
		return refuseJWT()
	}
	_, until, _ := a.times()
	use := strings.Join([]string{form.Get("scope"), form.Get("resource"), form.Get("claims")}, "\x00")
	if !l.seen.first(strings.ToLower(client)+"\x00"+id, a.text, use, now, until.Add(l.directory.skew)) {
		return refuse(http.StatusUnauthorized, "invalid_client", 50013, "Assertion failed validation: it was used before.")
	}
	return nil
}

// realm reports whether an audience is the place that a request was sent to:
// its token endpoint or issuer, in either family of names.
func (l *login) realm(at *attempt, audience string) bool {
	bases := []string{at.place.base}
	if !at.place.everyone() {
		bases = append(bases, "/"+at.place.tenant.ID.String())
		if at.place.tenant.Domain != "" {
			bases = append(bases, "/"+at.place.tenant.Domain)
		}
		if audience == Issuer(at.place.tenant.ID) {
			return true
		}
	}
	for _, f := range []string{l.names.Public.LoginURL(), l.names.Private.LoginURL()} {
		for _, base := range bases {
			rest, ok := strings.CutPrefix(audience, f+base)
			if ok && slices.Contains([]string{"/oauth2/v2.0/token", "/oauth2/token", "/v2.0"}, rest) {
				return true
			}
		}
	}
	return false
}

// federated checks a token of an issuer that the application is federated
// with: issuer, subject and audience are those of one federated credential,
// and the issuer, which the operator has made known, signed it.
func (l *login) federated(ctx context.Context, a *assertion, held []*proofs) error {
	audience, ok := readAudience(a.claims["aud"])
	if !ok || hasControl(audience) {
		return refuseJWT()
	}
	issuer, subject, found := false, false, false
	for _, c := range held {
		for _, f := range c.Federations {
			if f.Issuer != a.issuer {
				continue
			}
			issuer = true
			if f.Subject != a.subject {
				continue
			}
			subject = true
			found = found || slices.Contains(f.Audiences, audience)
		}
	}
	switch {
	case !issuer:
		return refuseFederation(700211, "issuer", a.issuer)
	case !subject:
		return refuseFederation(700213, "subject", a.subject)
	case !found:
		return refuseFederation(700212, "audience", audience)
	}
	keys, err := l.directory.issuerKeys(ctx, a.issuer, a.header.kid)
	if err != nil {
		refusal := refuse(http.StatusBadRequest, "invalid_request", 50166, "Request to External OIDC endpoint failed.")
		refusal.fault.Cause = err
		return refusal
	}
	if !slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return a.signedBy(k.Key, jose.RS256, jose.PS256, jose.ES256) }) {
		return refuseSignature("Client assertion failed signature validation.")
	}
	return l.current(a)
}

// replays remembers assertions until they end. MSAL shows one assertion for
// several resources until it has run out, so an assertion may come again for
// another resource; the same id with another text, or the same request again,
// may not.
type replays struct {
	mu   sync.Mutex
	seen map[string]*shown
}

// shown is one assertion that was accepted.
type shown struct {
	sum   [sha256.Size]byte
	uses  map[[sha256.Size]byte]bool
	until time.Time
}

// The limits of what is remembered: beyond them nothing is accepted.
const (
	maxReplays = 1 << 16
	maxUses    = 64
)

// first reports whether an assertion may be accepted for a use, and remembers
// it.
func (r *replays) first(id, text, use string, now, until time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]*shown{}
	}
	if len(r.seen) >= maxReplays {
		for k, s := range r.seen {
			if !now.Before(s.until) {
				delete(r.seen, k)
			}
		}
	}
	sum, key := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(use))
	s := r.seen[id]
	switch {
	case s == nil || !now.Before(s.until):
		if s == nil && len(r.seen) >= maxReplays {
			return false
		}
		r.seen[id] = &shown{sum, map[[sha256.Size]byte]bool{key: true}, until}
		return true
	case s.sum != sum || s.uses[key] || len(s.uses) >= maxUses:
		return false
	}
	s.uses[key] = true
	return true
}
