package entra

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"postern/access"
)

// derived is the GUID of a name (RFC 9562 §5.5, version 5).
func derived(space access.GUID, name string) access.GUID {
	h := sha1.New() // version 5 is defined with it
	h.Write(space[:])
	h.Write([]byte(name))
	g := access.GUID(h.Sum(nil)[:16])
	g[6] = g[6]&0x0f | 0x50
	g[8] = g[8]&0x3f | 0x80
	return g
}

// guid is the GUID that a claim's value stands for. Of Entra it is one. Of
// others it is when it is written the one way that GUIDs have here and is
// not of version 5; what else there is has a derived one, so that nobody can
// call himself by the GUID of another's name.
func (f *foreign) guid(value, kind string) (access.GUID, bool) {
	g, err := access.ParseGUID(value)
	if !f.home.IsZero() {
		return g, err == nil && !g.IsZero()
	}
	if err == nil && g.String() == value && g[6]>>4 != 5 {
		return g, true
	}
	space := derived(urlSpace, f.Issuer)
	if kind != "" {
		space = derived(space, kind)
	}
	return derived(space, value), value != ""
}

// readPart reads the JSON object of a part of a token.
func readPart(part string) (map[string]json.RawMessage, error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, errObject
	}
	return readObject(data)
}

// claim is the first claim of a role that is there, a text.
func (f *foreign) claim(members map[string]json.RawMessage, role string) (value string, there, ok bool) {
	for _, name := range f.claims[role] {
		if _, there := members[name]; there {
			value, ok := textOf(members, name)
			return value, true, ok && value != ""
		}
	}
	return "", false, true
}

// foreignOf is the foreign issuer that a token says it is of; nil for none.
// Nothing of the token is believed. An issuer of this directory is never
// foreign.
func (r *reading) foreignOf(token string) *foreign {
	if r.foreigners == nil || len(r.foreigners.issuers) == 0 {
		return nil
	}
	_, rest, _ := strings.Cut(token, ".")
	part, _, _ := strings.Cut(rest, ".")
	members, err := readPart(part)
	if err != nil {
		return nil
	}
	name, _ := text(members, "iss")
	f := r.foreigners.issuers[name]
	if f == nil || r.state.tenants[f.home] != nil && strings.HasPrefix(name, "https://sts.windows.net/") {
		return nil
	}
	return f
}

// readForeign verifies a token of a foreign issuer. The steps are those of
// Verify, with its keys and algorithms, its audiences and its claims.
func (r *reading) readForeign(f *foreign, token, header string, audiences map[string]bool) access.TokenState {
	if f.Tenant == "" && r.state.tenants[f.tenant] != nil {
		return access.TokenMalformed // a tenant of this directory must be given by name
	}
	algorithm, kid, ok := readForeignHeader(header)
	if !ok {
		return access.TokenMalformed
	}
	keys, since := r.directory.foreignKeys(f, kid, r.now)
	if len(keys) == 0 {
		r.identity.Header = strings.Clone(header)
		return access.TokenUnknownKey
	}
	payload, ok := openForeign(token, algorithm, keys)
	if !ok {
		return access.TokenMalformed
	}
	members, err := readObject(payload)
	if err != nil {
		return access.TokenMalformed
	}
	r.identity.Header = strings.Clone(header)
	if name, ok := text(members, "iss"); !ok || name != f.Issuer || !r.readForeignCaller(f, members) {
		return access.TokenMalformed
	}
	return r.judgeForeign(f, members, since, audiences)
}

// readForeignHeader checks the JOSE header as readHeader does, with three
// algorithms and the type of access tokens (RFC 9068 §2.1).
func readForeignHeader(part string) (algorithm jose.SignatureAlgorithm, kid string, ok bool) {
	members, err := readPart(part)
	if err != nil {
		return "", "", false
	}
	for _, name := range []string{"crit", "b64", "zip", "enc", "cty"} {
		if _, there := members[name]; there {
			return "", "", false
		}
	}
	if _, there := members["typ"]; there {
		typ, ok := text(members, "typ")
		if !ok || !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "at+jwt") && !strings.EqualFold(typ, "application/at+jwt") {
			return "", "", false
		}
	}
	alg, _ := text(members, "alg")
	kid, ok = text(members, "kid")
	algorithm = jose.SignatureAlgorithm(alg)
	return algorithm, kid, ok && kid != "" && slices.Contains([]jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}, algorithm)
}

// openForeign is the payload of a token that one of the keys signed. A key
// that names an algorithm signs with no other.
func openForeign(token string, algorithm jose.SignatureAlgorithm, keys []jose.JSONWebKey) ([]byte, bool) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return nil, false
	}
	for _, k := range keys {
		if k.Algorithm != "" && k.Algorithm != string(algorithm) {
			continue
		}
		if payload, err := signed.Verify(k.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// readForeignCaller fills in who the token says it is about. The tenant is
// the configured one. Ids that belong to somebody of another tenant of this
// directory are refused: a foreign issuer names only its own.
func (r *reading) readForeignCaller(f *foreign, members map[string]json.RawMessage) bool {
	id := r.identity
	id.Tenant, id.Issuer = f.tenant, f.Issuer
	if tid, there, ok := f.claim(members, "tenant"); there {
		g, err := access.ParseGUID(tid)
		if own := cmp.Or(f.home, f.tenant); !ok || err != nil || g != own {
			return false
		}
	}
	object, there, ok := f.claim(members, "object")
	if !there || !ok {
		return false
	}
	if id.Object, ok = f.guid(object, ""); !ok || !r.mayName(f, id.Object) {
		return false
	}
	app, there, ok := f.claim(members, "app")
	if !ok {
		return false
	}
	if there {
		if id.App, ok = f.guid(app, "app"); !ok {
			return false
		}
	}
	id.ObjectID, id.AppID = id.Object.String(), id.App.String()
	// Tokens for a person carry scopes, those of an application none.
	id.IDType = "app"
	if _, scoped := members["scp"]; scoped {
		id.IDType = "user"
	}
	kind, there, ok := f.claim(members, "type")
	if there {
		id.IDType = kind
	}
	if !ok || id.IDType != "app" && id.IDType != "user" {
		return false
	}
	id.User = id.IDType == "user"
	if id.UPN, _, ok = f.claim(members, "user"); !ok {
		return false
	}
	if id.ResourceID, _, ok = f.claim(members, "resource"); !ok || !r.readForeignGroups(f, members) {
		return false
	}
	id.IdentityResource = strings.ToLower(id.ResourceID)
	id.Subscription = subscription(id.IdentityResource)
	id.describe()
	return true
}

// readForeignGroups fills in the groups: an array of texts. Groups beyond
// what the token holds are not asked for.
func (r *reading) readForeignGroups(f *foreign, members map[string]json.RawMessage) bool {
	if len(f.claims["groups"]) == 0 {
		return true
	}
	if _, more := members["_claim_names"]; more {
		r.identity.Overage = true
	}
	raw, there := members[f.claims["groups"][0]]
	if !there {
		return true
	}
	var groups []string
	if json.Unmarshal(raw, &groups) != nil || len(groups) > maxGroups {
		return false
	}
	for _, s := range groups {
		g, ok := f.guid(s, "group")
		if !ok || !r.mayName(f, g) {
			return false
		}
		r.identity.Groups = append(r.identity.Groups, g)
	}
	return true
}

// mayName reports whether an id is nobody's of this directory, or somebody's
// of the tenant that the issuer was given by name.
func (r *reading) mayName(f *foreign, object access.GUID) bool {
	p := r.state.objects[object]
	return p == nil || f.Tenant != "" && p.Tenant == f.tenant
}

// judgeForeign is judge for a token of a foreign issuer: it is remembered
// for no longer than its keys would be used unasked.
func (r *reading) judgeForeign(f *foreign, members map[string]json.RawMessage, since time.Time, audiences map[string]bool) access.TokenState {
	exp, there, ok := seconds(members, "exp")
	nbf, _, begins := seconds(members, "nbf")
	issued, _, iat := seconds(members, "iat")
	if !there || !ok || !begins || !iat {
		return access.TokenMalformed
	}
	if r.identity.Audience, ok = readAudience(members["aud"]); !ok {
		return access.TokenMalformed
	}
	r.from = time.Unix(nbf, 0).Add(-r.directory.skew)
	r.until = time.Unix(exp, 0).Add(r.directory.skew)
	switch {
	case !r.now.Before(r.until):
		return access.TokenExpired
	case r.now.Before(r.from):
		return access.TokenNotYetValid
	case !audiences[r.identity.Audience] && !f.audiences[r.identity.Audience]:
		return access.TokenWrongAudience
	case r.state.objects[r.identity.Object] != nil && r.revoked(issued):
		return access.TokenExpired
	}
	limit := since.Add(keysFresh)
	if !r.now.Before(limit) { // an outage: ask again when it may be over
		limit = r.now.Add(foreignRetry)
	}
	for _, end := range [...]time.Time{limit, since.Add(keysStale)} {
		if end.Before(r.until) {
			r.until = end
		}
	}
	return access.TokenValid
}
