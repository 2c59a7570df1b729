package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postern/access"
)

// The grants of people (RFC 8628 §3.4, RFC 6749 §6).
const (
	grantDevice    = "urn:ietf:params:oauth:grant-type:device_code"
	grantDeviceOld = "device_code"
	grantRefresh   = "refresh_token"
	// refreshLife is how long a refresh token lasts (Entra: 90 days).
	refreshLife = 90 * 24 * time.Hour
)

// refreshToken is what a refresh token says, sealed with the directory's key:
// nobody else can make or read one. It ends with the sessions of its user.
type refreshToken struct {
	Object guidText `json:"object"`
	Client guidText `json:"client"`
	Issued int64    `json:"issued"`
}

// refreshPurpose binds the seal to this use.
const refreshPurpose = "refresh-token"

func (d *Directory) sealRefresh(t refreshToken) (string, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encoding a refresh token: %w", err)
	}
	return "1." + base64.RawURLEncoding.EncodeToString(d.key.Seal(refreshPurpose, plain)), nil
}

// openRefresh finds the user of a refresh token that still holds.
func (d *Directory) openRefresh(text string, client access.GUID) (*principal, error) {
	invalid := refuse(http.StatusBadRequest, "invalid_grant", 9002313, "Invalid request. The refresh token is malformed or was issued to another application.")
	raw, ok := strings.CutPrefix(text, "1.")
	sealed, err := base64.RawURLEncoding.DecodeString(raw)
	if !ok || err != nil || len(text) > MaxToken {
		return nil, invalid
	}
	plain, err := d.key.Open(refreshPurpose, sealed)
	var t refreshToken
	if err != nil || json.Unmarshal(plain, &t) != nil || access.GUID(t.Client) != client {
		return nil, invalid
	}
	p := d.state.Load().objects[access.GUID(t.Object)]
	switch now := d.now(); {
	case p == nil || p.user == nil:
		return nil, refuse(http.StatusBadRequest, "invalid_grant", 500341, "The user account has been deleted from the directory.")
	case p.disabled:
		return nil, refuse(http.StatusBadRequest, "invalid_grant", 50057, "The user account is disabled.")
	case t.Issued < since(p.revoked):
		return nil, refuse(http.StatusBadRequest, "invalid_grant", 50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed.")
	case !now.Before(time.Unix(t.Issued, 0).Add(refreshLife)):
		return nil, refuse(http.StatusBadRequest, "invalid_grant", 700082, "The refresh token has expired due to inactivity.")
	}
	return p, nil
}

// people is the token endpoint for those who signed in: device code and
// refresh token.
func (l *login) people(a *attempt, w http.ResponseWriter, r *http.Request, form url.Values, v1 bool) error {
	if len(form.Get("claims")) > maxClaims {
		return refuseInput("the parameter 'claims' is too long.")
	}
	client, _, err := l.publicClient(a, form)
	if err != nil {
		return err
	}
	var p *principal
	audience := ""
	if form.Get("grant_type") == grantRefresh {
		if p, err = l.directory.openRefresh(form.Get("refresh_token"), client); err != nil {
			return err
		}
		if audience, err = l.audience(a, form, v1); err != nil {
			return err
		}
	} else {
		code := form.Get("device_code")
		if code == "" {
			code = form.Get("code")
		}
		one, err := l.devices.poll(code, client, l.directory.now())
		if err != nil {
			return err
		}
		if p = l.directory.state.Load().objects[one.object]; p == nil || p.user == nil || p.disabled {
			return refuse(http.StatusBadRequest, "invalid_grant", 50057, "The user account is disabled.")
		}
		audience = one.audience
	}
	if !a.place.everyone() && p.Tenant != a.place.tenant.ID {
		return refuse(http.StatusBadRequest, "invalid_grant", 50020, "User account from another tenant does not exist in tenant '%s' and cannot access the application in that tenant.", l.tenantName(a.place.tenant.ID))
	}
	if !l.resources[audience] {
		return refuseResource(audience, l.tenantName(p.Tenant))
	}
	a.audience = audience
	if err := l.directory.rotateWhenDue(context.WithoutCancel(r.Context())); err != nil {
		l.log.Error("the signing key is due and could not be changed", "error", err)
	}
	answer, err := l.session(a, p, client, audience, form)
	if err != nil {
		return err
	}
	l.log.Info("token issued", "tenant", p.Tenant.String(), "user", p.Object.String(), "app", client.String(), "audience", audience, "trace", a.trace)
	if v1 && form.Has("resource") {
		for _, name := range []string{"expires_in", "ext_expires_in", "expires_on"} {
			answer[name] = strconv.FormatInt(answer[name].(int64), 10)
		}
		answer["resource"] = audience
	}
	return writeJSON(w, http.StatusOK, answer)
}

// session is the answer to somebody who signed in.
func (l *login) session(a *attempt, p *principal, client access.GUID, audience string, form url.Values) (map[string]any, error) {
	d := l.directory
	token, expires, err := d.issue(p.Principal, signIn{audience: audience, proof: "0", client: client, methods: []string{"pwd"}, capable: capable(form.Get("claims"))})
	if err != nil {
		return nil, err
	}
	now := d.now()
	refresh, err := d.sealRefresh(refreshToken{guidText(p.Object), guidText(client), max(now.Unix(), since(p.revoked))})
	if err != nil {
		return nil, err
	}
	identity, err := l.identityToken(a, p, client)
	if err != nil {
		return nil, err
	}
	info := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"uid":%q,"utid":%q}`, p.Object, p.Tenant))
	life := int64(d.tokenLife.Seconds()) - 1
	return map[string]any{"token_type": "Bearer", "scope": strings.TrimSuffix(audience, "/") + "/user_impersonation " + strings.TrimSuffix(audience, "/") + "/.default",
		"expires_in": life, "ext_expires_in": life, "expires_on": expires.Unix(), "access_token": token, "refresh_token": refresh, "id_token": identity, "client_info": info}, nil
}

// identityToken tells the client who signed in (OpenID Connect Core 1.0 §2).
// Its audience is the client: no plane takes it for an access token.
func (l *login) identityToken(a *attempt, p *principal, client access.GUID) (string, error) {
	k := l.directory.state.Load().keys.current
	now := l.directory.now().Unix()
	tenant := p.Tenant.String()
	payload, err := json.Marshal(map[string]any{"aud": client.String(), "iss": a.place.family.LoginURL() + "/" + tenant + "/v2.0", "iat": now, "nbf": now,
		"exp": now + int64(l.directory.tokenLife.Seconds()), "name": p.DisplayName, "oid": p.Object.String(), "preferred_username": p.user.UPN,
		"sub": p.Object.String(), "tid": tenant, "ver": "2.0", "upn": p.user.UPN, "unique_name": p.user.UPN})
	if err != nil {
		return "", fmt.Errorf("encoding an identity token: %w", err)
	}
	return k.signPayload(payload)
}
