package entra

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"postern/access"
	"postern/internal/names"
)

// claims are those of an access token, version 1.0, as Entra issues them to
// applications.
type claims struct {
	Audience  string `json:"aud"`
	Issuer    string `json:"iss"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	AppID     string `json:"appid"`
	AppIDACR  string `json:"appidacr"`
	IDP       string `json:"idp"`
	IDType    string `json:"idtyp"`
	Object    string `json:"oid"`
	Subject   string `json:"sub"`
	Tenant    string `json:"tid"`
	Unique    string `json:"uti"`
	Version   string `json:"ver"`
}

// Issuer is the issuer of a tenant's tokens: https://sts.windows.net/<id>/.
func Issuer(tenant access.GUID) string { return "https://sts.windows.net/" + tenant.String() + "/" }

// The resources that tokens are issued for, by the names of both families,
// each with and without a trailing slash, as the clients ask for them.
func resources(n *names.Names, resource func(*names.Family) string) []string {
	var out []string
	for _, f := range []*names.Family{n.Public, n.Private} {
		out = append(out, resource(f), resource(f)+"/")
	}
	return out
}

// VaultAudiences are the audiences of the data plane.
func VaultAudiences(n *names.Names) []string {
	return resources(n, (*names.Family).VaultResource)
}

// GraphAudiences are the audiences of Graph.
func GraphAudiences(n *names.Names) []string {
	return resources(n, (*names.Family).GraphURL)
}

// ManagementAudiences are the audiences of the control plane, among them the
// one that az asks for in the public cloud.
func ManagementAudiences(n *names.Names) []string {
	return append(resources(n, (*names.Family).ManagementURL),
		"https://management.core.windows.net", "https://management.core.windows.net/")
}

// Token issues an access token to a principal. The caller has authenticated
// it, or stands for it (a test, a managed identity's endpoint). expires is
// the moment from which the token holds no longer.
func (d *Directory) Token(p Principal, audience string) (token string, expires time.Time, err error) {
	s := d.state.Load()
	if s.tenants[p.Tenant] == nil {
		return "", time.Time{}, ErrNoTenant
	}
	k := s.keys.current
	if k == nil {
		return "", time.Time{}, errors.New("entra: no signing key")
	}
	unique, err := d.unique()
	if err != nil {
		return "", time.Time{}, err
	}
	now := d.now().Truncate(time.Second)
	expires = now.Add(d.tokenLife)
	issuer, object := Issuer(p.Tenant), p.Object.String()
	payload, err := json.Marshal(claims{Audience: audience, Issuer: issuer, IssuedAt: now.Unix(), NotBefore: now.Unix(),
		Expires: expires.Unix(), AppID: p.App.String(), AppIDACR: "1", IDP: issuer, IDType: "app", Object: object,
		Subject: object, Tenant: p.Tenant.String(), Unique: unique, Version: "1.0"})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("encoding a token: %w", err)
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("signing a token: %w", err)
	}
	token, err = signed.CompactSerialize()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("encoding a token: %w", err)
	}
	return token, expires, nil
}

// unique is the claim uti: 16 random bytes.
func (d *Directory) unique() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(d.random, b[:]); err != nil {
		return "", fmt.Errorf("making a token's id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}
