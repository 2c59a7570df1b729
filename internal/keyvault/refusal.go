package keyvault

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/names"
)

// View is what the words of a refusal depend on, apart from the request and
// the decision.
type View struct {
	Vault *estate.Vault
	// Family is the names by which the request came.
	Family *names.Family
	// Audience and Header are what the token said, for the texts that
	// repeat it: the claim aud, and the first part of the token.
	Audience, Header string
	// Issuer is the claim iss of the token; "" is that of the tenant.
	Issuer string
	// Claims is the claims request that a new token must satisfy, when the
	// one that came was revoked.
	Claims string
}

// Challenge is the WWW-Authenticate header of every 401, in the one form
// that the parsers of all SDKs accept: a comma and one space, nothing else
// than a tenant in the path, no equals sign in a value.
func (v View) Challenge() string {
	return `Bearer authorization="` + v.Family.LoginURL() + "/" + v.Vault.Rules.Tenant.String() +
		`", resource="` + v.Family.VaultResource() + `"` + entra.ClaimsChallenge(v.Claims)
}

// Refusal is the exact answer to a request that was refused. It needs no
// connection: what explains a decision shows the same.
func Refusal(v View, r *access.Request, d access.Decision) *fault.Error {
	switch d.Reason {
	case access.NoToken, access.BadToken, access.WrongTenant:
		return v.unauthorized(&r.Caller, d.Reason)
	case access.FirewallNotTrusted:
		return v.firewall(textF1, r)
	case access.FirewallBypassNone:
		return v.firewall(textF2, r)
	case access.PerimeterDenied:
		return forbidden(innerFirewall, textF3, "Client address: "+address(&r.Origin), "Caller: "+applicationOf(&r.Caller), "Vault: "+place(v.Vault))
	case access.PublicDisabledNotTrusted:
		return forbidden(innerConnection, textF4, "Caller: "+callerOf(&r.Caller, false), "Vault: "+place(v.Vault))
	case access.PublicDisabledBypassNone:
		return forbidden(innerConnection, textF5, "Vault: "+place(v.Vault))
	case access.Throttled:
		return throttled
	case access.NoAssignment, access.DenyAssigned:
		return v.role(r, d)
	case access.NoPolicy, access.NoModel:
		info := r.Operation.Info()
		return forbidden(innerPolicy, fill(textA2, "{caller}", callerOf(&r.Caller, true), "{kind}", info.Kind.String(),
			"{permission}", info.Permission, "{vault}", place(v.Vault)))
	case access.OnlyOnBehalf:
		return forbidden(innerPolicy, fill(textOnBehalf, "{caller}", callerOf(&r.Caller, false)))
	}
	return undecided
}

// forbidden is a 403 of lines.
func forbidden(inner string, lines ...string) *fault.Error {
	return &fault.Error{Status: http.StatusForbidden, Code: codeForbidden, Inner: inner, Message: strings.Join(lines, "\r\n")}
}

// unauthorized is a 401 with the challenge.
func (v View) unauthorized(c *access.Caller, why access.Reason) *fault.Error {
	text := textMalformed
	switch {
	case why == access.NoToken:
		text = textNoToken
	case why == access.WrongTenant:
		expected := append([]string{issuer(v.Vault.Rules.Tenant)}, serviceIssuers...)
		text = fill(textIssuer, "{expected}", strings.Join(expected, ", "), "{found}", cmp.Or(v.Issuer, issuer(c.Tenant)))
	case c.Token == access.TokenWrongAudience:
		text = fill(textAudience, "{expected}", v.Family.VaultResource(), "{found}", v.Audience)
	case c.Token == access.TokenUnknownKey:
		text = fill(textKey, "{header}", v.Header)
	case c.Token == access.TokenExpired:
		text = textExpired
	case c.Token == access.TokenNotYetValid:
		text = textNotYetValid
	}
	return &fault.Error{Status: http.StatusUnauthorized, Code: codeUnauthorized, Message: text,
		Header: http.Header{"WWW-Authenticate": {v.Challenge()}}}
}

// firewall is F1 or F2; a connection from inside a declared subnet that no
// rule admits is F1s.
func (v View) firewall(text string, r *access.Request) *fault.Error {
	from := "Client address: " + address(&r.Origin)
	if r.Origin.Path == access.PathSubnet || r.Origin.Subnet != "" {
		from += textUnknownSubnet
	}
	return forbidden(innerFirewall, text, from, "Caller: "+callerOf(&r.Caller, false), "Vault: "+place(v.Vault))
}

// role is A1.
func (v View) role(r *access.Request, d access.Decision) *fault.Error {
	info := r.Operation.Info()
	resource := strings.ToLower(v.Vault.Rules.ID)
	if info.Named && r.Object != "" {
		resource += "/" + info.Kind.String() + "/" + r.Object
	}
	deny, reason := "null", textNoAssignment
	if d.Reason == access.DenyAssigned && d.Rule != access.NoRule {
		deny, reason = "'"+v.Vault.Rules.DenyAssignments[d.Rule].ID+"'", textDenyAssigned
	}
	return forbidden(innerRBAC, fill(textA1, "{caller}", callerOf(&r.Caller, false), "{action}", info.DataAction,
		"{resource}", resource, "{deny}", deny, "{reason}", reason, "{vault}", place(v.Vault)))
}

// place is the vault as the texts name it: "name;location=eastus".
func place(v *estate.Vault) string { return v.Resource.Name + ";location=" + v.Resource.Location }

func issuer(tenant access.GUID) string { return "https://sts.windows.net/" + tenant.String() + "/" }

func address(o *access.Origin) string {
	if !o.Addr.IsValid() {
		return ""
	}
	return o.Addr.String()
}

func applicationOf(c *access.Caller) string {
	return "appid=" + c.App.String() + ";oid=" + c.Object.String()
}

// callerOf describes a caller; numbered is the form of access policies,
// which counts the groups of the token.
func callerOf(c *access.Caller, numbered bool) string {
	text := applicationOf(c)
	if numbered && len(c.Groups) > 0 {
		text += ";numgroups=" + strconv.Itoa(len(c.Groups))
	}
	if c.Tenant.IsZero() {
		return text + ";iss="
	}
	text += ";iss=" + issuer(c.Tenant)
	if c.IdentityResource != "" {
		text += ";xms_mirid=" + c.IdentityResource
	}
	return text
}
