package entra

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"postern/access"
)

// tokenAnswer is the answer of the token endpoint, version 2.0 (RFC 6749
// §5.1, with Entra's additions).
type tokenAnswer struct {
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Ext     int64  `json:"ext_expires_in"`
	On      int64  `json:"expires_on"`
	Token   string `json:"access_token"`
}

// tokenAnswerV1 is the answer of version 1.0, where numbers are strings.
type tokenAnswerV1 struct {
	Type      string `json:"token_type"`
	Expires   string `json:"expires_in"`
	Ext       string `json:"ext_expires_in"`
	On        string `json:"expires_on"`
	NotBefore string `json:"not_before"`
	Resource  string `json:"resource"`
	Token     string `json:"access_token"`
}

// token is the token endpoint, version 2.0: the resource is in scope.
func (l *login) token(a *attempt, w http.ResponseWriter, r *http.Request) error {
	return l.grant(a, w, r, false)
}

// tokenV1 is the token endpoint, version 1.0: the resource is in resource,
// and clients that take the server for AD FS send scope as well or instead.
func (l *login) tokenV1(a *attempt, w http.ResponseWriter, r *http.Request) error {
	return l.grant(a, w, r, true)
}

// grant is the client credentials grant (RFC 6749 §4.4): form, client,
// resource, token.
func (l *login) grant(a *attempt, w http.ResponseWriter, r *http.Request, v1 bool) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if a.correlation == "" {
		a.correlation = a.trace
	}
	switch form.Get("grant_type") {
	case grantDevice, grantDeviceOld, grantRefresh:
		return l.people(a, w, r, form, v1)
	}
	p, proof, err := l.authenticate(a, r, form)
	if err != nil {
		return err
	}
	audience, err := l.audience(a, form, v1)
	if err != nil {
		return err
	}
	if !l.resources[audience] {
		return refuseResource(audience, l.tenantName(p.Tenant))
	}
	a.audience = audience // of the log, which repeats nothing unknown
	if err := l.directory.rotateWhenDue(context.WithoutCancel(r.Context())); err != nil {
		l.log.Error("the signing key is due and could not be changed", "error", err)
	}
	token, expires, err := l.directory.issue(p, signIn{audience: audience, proof: proof, capable: capable(form.Get("claims"))})
	if err != nil {
		return err
	}
	l.log.Info("token issued", "tenant", p.Tenant.String(), "app", p.App.String(), "audience", audience, "trace", a.trace)
	life := int64(l.directory.tokenLife.Seconds()) - 1
	if !v1 || !form.Has("resource") {
		return writeJSON(w, http.StatusOK, tokenAnswer{"Bearer", life, life, expires.Unix(), token})
	}
	in := strconv.FormatInt(life, 10)
	return writeJSON(w, http.StatusOK, tokenAnswerV1{Type: "Bearer", Expires: in, Ext: in,
		On: strconv.FormatInt(expires.Unix(), 10), NotBefore: strconv.FormatInt(expires.Unix()-life-1, 10),
		Resource: audience, Token: token})
}

// authenticate finds the client, and how it proved itself: appidacr.
func (l *login) authenticate(a *attempt, r *http.Request, form url.Values) (Principal, string, error) {
	switch grant := form.Get("grant_type"); grant {
	case "client_credentials":
	case "":
		return Principal{}, "", refuseMissing("grant_type")
	default:
		return Principal{}, "", refuseGrant(grant)
	}
	if len(form.Get("claims")) > maxClaims {
		return Principal{}, "", refuseInput("the parameter 'claims' is too long.")
	}
	c, err := readCredentials(r, form)
	if err != nil {
		return Principal{}, "", err
	}
	if form.Has("client_assertion") {
		if c.secret != "" || r.Header.Get("Authorization") != "" {
			return Principal{}, "", refuseInput("the client authenticates in more than one way.")
		}
		p, err := l.asserted(r.Context(), a, form)
		if err == nil && p.disabled {
			err = refuseDisabled(a.client)
		}
		if err != nil {
			return Principal{}, "", err
		}
		return p.Principal, "2", nil
	}
	p, err := l.secret(a, c)
	return p, "1", err
}

// secret finds the client and checks its secret. A client that does not exist
// costs what a wrong secret costs.
func (l *login) secret(a *attempt, c credentials) (Principal, error) {
	switch {
	case c.id == "":
		return Principal{}, refuseMissing("client_id")
	case c.secret == "":
		return Principal{}, refuseNoSecret()
	}
	s := l.directory.state.Load()
	var p *principal
	if app, err := access.ParseGUID(c.id); err == nil {
		// Anything else may be a secret in the wrong field.
		a.client = app.String()
		p = s.apps[appKey{a.place.tenant.ID, app}]
	}
	accepted := accepts(c.secret, l.directory.now(), s.held(p)...)
	switch {
	case p == nil:
		return Principal{}, refuseApp(c.id, l.tenantName(a.place.tenant.ID))
	case accepted == expiredSecret:
		return Principal{}, refuseExpired(c.id)
	case accepted != rightSecret:
		return Principal{}, refuseSecret(c.id)
	case p.disabled:
		return Principal{}, refuseDisabled(c.id)
	}
	return p.Principal, nil
}

// capable reports whether a claims request says that the client understands
// claims challenges: xms_cc holds CP1.
func capable(claims string) bool {
	var asked struct {
		Token struct {
			Capabilities struct {
				Values []string `json:"values"`
			} `json:"xms_cc"`
		} `json:"access_token"`
	}
	return json.Unmarshal([]byte(claims), &asked) == nil && slices.Contains(asked.Token.Capabilities.Values, "CP1")
}

// audience is the resource that the form asks for.
func (l *login) audience(a *attempt, form url.Values, v1 bool) (string, error) {
	resource, scope := form.Get("resource"), form.Get("scope")
	switch {
	case v1 && resource != "":
		return resource, nil
	case !v1 && resource != "":
		return "", refuse(http.StatusBadRequest, "invalid_request", 901002, "The 'resource' request parameter is not supported.")
	case scope == "" && v1 && !a.place.adfs:
		return "", refuseMissing("resource")
	case scope == "":
		return "", refuseMissing("scope")
	}
	return resourceOf(scope, form.Get("grant_type") != "client_credentials")
}

// tenantName is what messages call a tenant.
func (l *login) tenantName(id access.GUID) string {
	if t, ok := l.directory.Tenant(id); ok {
		return t.Name
	}
	return "organizations"
}
