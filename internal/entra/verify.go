package entra

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/access"
)

// The limits of a token.
const (
	// MaxToken is how long a token may be.
	MaxToken  = 16 << 10
	maxHeader = 4 << 10
	maxGroups = 250
)

// Identity is what is known of the caller of a request. It is shared and
// never changed.
//
// Whatever Token is, the texts hold what the token said as far as it could
// be read and its signature was right, and are "" otherwise; Header alone is
// also there when the key is unknown.
type Identity struct {
	access.Caller
	// Audience is the claim aud, as it is in the token.
	Audience string
	// Header is the first part of the token: base64url.
	Header string
	// Issuer, ObjectID, AppID and UPN are the claims iss, oid, appid, upn;
	// IDType is idtyp: "app" or "user".
	Issuer, ObjectID, AppID, UPN, IDType string
	// ResourceID is the claim xms_mirid, as it is in the token.
	ResourceID string
	// Text describes the caller in refusals: "appid=…;oid=…;iss=…", with
	// the resource of a managed identity at the end.
	Text string
	// PolicyText is Text as access policies have it: with the number of
	// groups before the issuer when the token carries groups.
	PolicyText string
	// Overage tells that the token has more groups than it names: Groups are
	// those that the directory knew when the token was first seen.
	Overage bool
	// Claims is the claims request that a new token must satisfy, when this
	// one was revoked; "" otherwise.
	Claims string
}

// absent is the identity of everybody who shows no token.
var absent = &Identity{}

// Verifier verifies the tokens of a Directory that are meant for some
// audiences. It is safe for concurrent use.
type Verifier struct {
	directory *Directory
	audiences map[string]bool
	cache     cacheSlot
}

// Verifier is a verifier that accepts the given audiences, exactly as they
// are written; with none it accepts no token. A plane makes one and keeps it:
// the tokens it knows again are its own.
func (d *Directory) Verifier(audiences []string) *Verifier {
	v := &Verifier{directory: d, audiences: map[string]bool{}}
	for _, a := range audiences {
		v.audiences[a] = true
	}
	return v
}

// Verify says what is known of the sender of an Authorization header. It
// never fails and never returns nil: Token says what is wrong.
//
// The steps: the scheme is Bearer in any letter case (RFC 9110 §11.1); the
// token is a compact JWS of three canonical base64url parts (RFC 7515);
// its algorithm is RS256 and its kid that of a key of this directory; the
// signature holds; the claims are one object of unique keys; iss is that of
// a tenant of this directory and of tid; exp is there, and now lies between
// nbf and exp; aud is one of the audiences. A token that passed is known
// again by its SHA-256 until it runs out or the keys change.
//
// A token whose iss is that of a foreign issuer is held to that issuer's
// keys, audiences and claims (TrustIssuers).
func (v *Verifier) Verify(authorization string) *Identity {
	scheme, token, _ := strings.Cut(authorization, " ")
	if len(scheme) != len("Bearer") || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return absent
	}
	if len(token) > MaxToken {
		return &Identity{Caller: access.Caller{Token: access.TokenMalformed}}
	}
	s, foreign := v.directory.state.Load(), v.directory.foreign.Load()
	now := v.directory.now()
	var room [2 << 10]byte // a token of usual length is copied to the stack
	sum := sha256.Sum256(append(room[:0], token...))
	cache := v.cache.of(s.keys, foreign)
	if id := cache.get(&sum, now); id != nil {
		return id
	}
	r := reading{directory: v.directory, state: s, foreigners: foreign, now: now, identity: &Identity{}}
	r.identity.Token = r.read(token, v.audiences)
	if r.identity.Token == access.TokenValid {
		cache.put(&sum, r.identity, r.from, r.until)
	}
	return r.identity
}

// reading is the verification of one token.
type reading struct {
	directory   *Directory
	state       *state
	foreigners  *foreigners
	now         time.Time
	identity    *Identity
	from, until time.Time // within which the outcome stands
}

// read takes the steps in their order.
func (r *reading) read(token string, audiences map[string]bool) access.TokenState {
	header, ok := split(token)
	if !ok {
		return access.TokenMalformed
	}
	if f := r.foreignOf(token); f != nil {
		return r.readForeign(f, token, header, audiences)
	}
	kid, ok := readHeader(header)
	if !ok {
		return access.TokenMalformed
	}
	key := r.state.keys.find(kid, r.now, r.directory.rest())
	if key == nil {
		r.identity.Header = strings.Clone(header)
		return access.TokenUnknownKey
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return access.TokenMalformed
	}
	payload, err := signed.Verify(&key.private.PublicKey)
	if err != nil {
		return access.TokenMalformed
	}
	members, err := readObject(payload)
	if err != nil {
		return access.TokenMalformed
	}
	r.identity.Header = strings.Clone(header)
	if !r.readCaller(members) {
		return access.TokenMalformed
	}
	return r.judge(members, key, audiences)
}

// split checks the outer form of a compact JWS: three parts of the base64url
// alphabet, not padded, without stray bits, so that no two texts are the
// same token. It returns the first part. The library would accept line
// breaks.
func split(token string) (header string, ok bool) {
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 || len(parts[0]) > maxHeader {
		return "", false
	}
	for _, p := range parts {
		if !canonical(p) {
			return "", false
		}
	}
	return parts[0], true
}

// canonical reports whether p is the only base64url text of its bytes, and
// not empty.
func canonical(p string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if p == "" {
		return false
	}
	for i := range len(p) {
		c := p[i]
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	last := strings.IndexByte(alphabet, p[len(p)-1])
	switch len(p) % 4 {
	case 1:
		return false
	case 2:
		return last&0x0f == 0
	case 3:
		return last&0x03 == 0
	}
	return true
}

// readHeader checks the JOSE header (RFC 7515 §4) and returns its kid.
// Extensions that must be understood are not: crit and what comes with it,
// compression, encryption, nesting. A key that the header brings or points
// to (jwk, jku, x5u, x5c) is never looked at.
func readHeader(part string) (kid string, ok bool) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "", false
	}
	members, err := readObject(data)
	if err != nil {
		return "", false
	}
	for _, name := range []string{"crit", "b64", "zip", "enc", "cty"} {
		if _, ok := members[name]; ok {
			return "", false
		}
	}
	if alg, ok := text(members, "alg"); !ok || alg != string(jose.RS256) {
		return "", false
	}
	if _, there := members["typ"]; there {
		if typ, ok := text(members, "typ"); !ok || !strings.EqualFold(typ, "JWT") {
			return "", false
		}
	}
	kid, ok = text(members, "kid")
	return kid, ok && kid != ""
}

// readCaller fills in who the token says it is about, and false when a claim
// is missing, malformed or contradicts another.
func (r *reading) readCaller(members map[string]json.RawMessage) bool {
	id := r.identity
	for _, c := range []struct {
		name string
		to   *access.GUID
	}{{"tid", &id.Tenant}, {"oid", &id.Object}, {"appid", &id.App}} {
		s, ok := text(members, c.name)
		g, err := access.ParseGUID(s)
		if !ok || err != nil || g.IsZero() {
			return false
		}
		*c.to = g
	}
	id.ObjectID, id.AppID = id.Object.String(), id.App.String()
	issuer, ok := text(members, "iss")
	if !ok || issuer != Issuer(id.Tenant) || r.state.tenants[id.Tenant] == nil {
		return false
	}
	id.Issuer = issuer
	id.IDType, ok = text(members, "idtyp")
	if !ok || id.IDType != "app" && id.IDType != "user" {
		return false
	}
	id.User = id.IDType == "user"
	for _, c := range []struct {
		name string
		to   *string
	}{{"upn", &id.UPN}, {"xms_mirid", &id.ResourceID}} {
		if _, there := members[c.name]; !there {
			continue
		}
		if *c.to, ok = text(members, c.name); !ok || hasControl(*c.to) {
			return false
		}
	}
	if !r.readGroups(members) {
		return false
	}
	id.IdentityResource = strings.ToLower(id.ResourceID)
	id.Subscription = subscription(id.IdentityResource)
	id.describe()
	return true
}

// readGroups fills in the claim groups: object ids.
func (r *reading) readGroups(members map[string]json.RawMessage) bool {
	raw, there := members["groups"]
	if names, overage := members["_claim_names"]; overage {
		var named struct {
			Groups string `json:"groups"`
		}
		if there || json.Unmarshal(names, &named) != nil {
			return false
		}
		if named.Groups != "" {
			r.identity.Overage, r.identity.Groups = true, r.state.groups(r.identity.Object)
		}
		return true
	}
	if !there {
		return true
	}
	var groups []string
	if json.Unmarshal(raw, &groups) != nil || len(groups) > maxGroups {
		return false
	}
	for _, s := range groups {
		g, err := access.ParseGUID(s)
		if err != nil || g.IsZero() {
			return false
		}
		r.identity.Groups = append(r.identity.Groups, g)
	}
	return true
}

// judge looks at the lifetime and the audience of a token whose signature
// and claims are right.
func (r *reading) judge(members map[string]json.RawMessage, key *signingKey, audiences map[string]bool) access.TokenState {
	exp, there, ok := seconds(members, "exp")
	if !there || !ok {
		return access.TokenMalformed
	}
	nbf, _, ok := seconds(members, "nbf")
	issued, _, iat := seconds(members, "iat")
	if !ok || !iat {
		return access.TokenMalformed
	}
	audience, ok := readAudience(members["aud"])
	if !ok {
		return access.TokenMalformed
	}
	r.identity.Audience = audience
	r.from = time.Unix(nbf, 0).Add(-r.directory.skew)
	r.until = time.Unix(exp, 0).Add(r.directory.skew)
	if !key.retired.IsZero() {
		if end := key.retired.Add(r.directory.rest()); end.Before(r.until) {
			r.until = end
		}
	}
	switch {
	case !r.now.Before(r.until):
		return access.TokenExpired
	case r.now.Before(r.from):
		return access.TokenNotYetValid
	case !audiences[audience]:
		return access.TokenWrongAudience
	case r.revoked(issued):
		return access.TokenExpired
	}
	return access.TokenValid
}

// revoked reports whether the sessions of the caller were ended after its
// token was issued, or the caller itself is gone.
func (r *reading) revoked(issued int64) bool {
	p := r.state.objects[r.identity.Object]
	if p == nil || p.Tenant != r.identity.Tenant {
		return true
	}
	from := since(p.revoked)
	if issued >= from {
		return false
	}
	r.identity.Claims = `{"access_token":{"nbf":{"essential":true,"value":"` + strconv.FormatInt(from, 10) + `"}}}`
	return true
}

// readAudience is the claim aud: a string, or an array of one. An array of
// several would make a token that one of them could use at another.
func readAudience(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	var one string
	if raw[0] == '"' {
		return one, json.Unmarshal(raw, &one) == nil && one != ""
	}
	var several []string
	if raw[0] != '[' || json.Unmarshal(raw, &several) != nil || len(several) != 1 {
		return "", false
	}
	return several[0], several[0] != ""
}

// describe writes the texts that refusals and log use of the caller.
func (id *Identity) describe() {
	who, from := "appid="+id.AppID+";oid="+id.ObjectID+";", "iss="+id.Issuer
	if id.ResourceID != "" {
		from += ";xms_mirid=" + id.ResourceID
	}
	id.Text = who + from
	id.PolicyText = id.Text
	if n := len(id.Groups); n > 0 {
		id.PolicyText = who + "numgroups=" + strconv.Itoa(n) + ";" + from
	}
}

// subscription is that of a lower-case ARM id; zero for others.
func subscription(id string) access.GUID {
	rest, ok := strings.CutPrefix(id, "/subscriptions/")
	if !ok {
		return access.GUID{}
	}
	s, _, _ := strings.Cut(rest, "/")
	g, err := access.ParseGUID(s)
	if err != nil {
		return access.GUID{}
	}
	return g
}

// hasControl reports whether s would break a line of an answer or a log.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// ClaimsChallenge is what a 401 adds to its challenge so that a client asks
// for a token that satisfies claims, and tries again (continuous access
// evaluation); "" without claims. Spaces keep the base64 free of padding: some
// clients take the challenge apart at equals signs.
func ClaimsChallenge(claims string) string {
	if claims == "" {
		return ""
	}
	claims += strings.Repeat(" ", (3-len(claims)%3)%3)
	return `, error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString([]byte(claims)) + `"`
}
