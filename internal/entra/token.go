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
	Resource  string `json:"xms_mirid,omitempty"` // of a managed identity
	// Those of people, and of what is a member of groups.
	Name       string          `json:"name,omitempty"`
	UPN        string          `json:"upn,omitempty"`
	UniqueName string          `json:"unique_name,omitempty"`
	Scopes     string          `json:"scp,omitempty"`
	ACR        string          `json:"acr,omitempty"`
	Methods    []string        `json:"amr,omitempty"`
	Capable    []string        `json:"xms_cc,omitempty"`
	GroupIDs   []string        `json:"groups,omitempty"`
	Elsewhere  json.RawMessage `json:"_claim_names,omitempty"`
	Sources    json.RawMessage `json:"_claim_sources,omitempty"`
}

// setGroups names the groups of a token's subject, up to 200 of them; with
// more it says where they can be asked for (Entra, "groups overage claim").
func (c *claims) setGroups(groups []access.GUID) {
	if len(groups) > maxTokenGroups {
		kind := "users"
		if c.IDType == "app" {
			kind = "servicePrincipals"
		}
		c.Elsewhere = json.RawMessage(`{"groups":"src1"}`)
		c.Sources = json.RawMessage(`{"src1":{"endpoint":"https://graph.windows.net/` + c.Tenant + `/` + kind + `/` + c.Object + `/getMemberObjects"}}`)
		return
	}
	for _, g := range groups {
		c.GroupIDs = append(c.GroupIDs, g.String())
	}
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

// signIn is how a token came about, as far as its claims say so.
type signIn struct {
	audience string
	// proof is appidacr: "0" for a public client, "1" for a secret, "2" for a
	// certificate or an assertion.
	proof string
	// client is the application that a user signed in with, methods how.
	client  access.GUID
	methods []string
	// capable marks clients that understand claims challenges.
	capable bool
}

// Token issues an access token to a principal. The caller has authenticated
// it, or stands for it (a test, a managed identity's endpoint). expires is
// the moment from which the token holds no longer.
func (d *Directory) Token(p Principal, audience string) (token string, expires time.Time, err error) {
	return d.issue(p, signIn{audience: audience, proof: "1"})
}

// issue makes a token.
func (d *Directory) issue(p Principal, in signIn) (token string, expires time.Time, err error) {
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
	c := claims{Audience: in.audience, Issuer: issuer, IssuedAt: now.Unix(), NotBefore: now.Unix(),
		Expires: expires.Unix(), AppID: p.App.String(), AppIDACR: in.proof, IDP: issuer, IDType: "app", Object: object,
		Subject: object, Tenant: p.Tenant.String(), Unique: unique, Version: "1.0"}
	if held := s.objects[p.Object]; held != nil {
		c.Resource = held.managed.mirid()
		// A token of the second in which the sessions were revoked is one of
		// after: revoking and asking again must work.
		c.IssuedAt = max(c.IssuedAt, since(held.revoked))
		if held.user != nil {
			c.IDType, c.AppID, c.Name, c.UPN, c.UniqueName = "user", in.client.String(), held.DisplayName, held.user.UPN, held.user.UPN
			c.Scopes, c.ACR, c.Methods = "user_impersonation", "1", in.methods
		}
	}
	if in.capable {
		c.Capable = []string{"CP1"}
	}
	c.setGroups(s.groups(p.Object))
	token, err = k.sign(c)
	return token, expires, err
}

// sign is a compact JWS of claims.
func (k *signingKey) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding a token: %w", err)
	}
	return k.signPayload(payload)
}

func (k *signingKey) signPayload(payload []byte) (string, error) {
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("encoding a token: %w", err)
	}
	return token, nil
}

// since is the first second of which tokens hold after sessions were ended at
// a moment: the next one, for tokens do not tell in which part of a second
// they were issued. 0 for never.
func since(revoked time.Time) int64 {
	if revoked.IsZero() {
		return 0
	}
	return revoked.Unix() + 1
}

// unique is the claim uti: 16 random bytes.
func (d *Directory) unique() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(d.random, b[:]); err != nil {
		return "", fmt.Errorf("making a token's id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}
