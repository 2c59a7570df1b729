package arm

import (
	"net/http"
	"strings"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/journal"
)

// audiences is how the resource manager names what a token should be for.
const audiences = "'https://management.core.windows.net/','https://management.core.windows.net','https://management.azure.com/','https://management.azure.com'"

// authenticate verifies the token, and answers as the resource manager does
// for one that is missing or not valid.
func (c *Call) authenticate() error {
	header := ""
	switch all := c.Request.Header["Authorization"]; len(all) {
	case 0:
	case 1:
		header = all[0]
	default:
		header = "-" // two are no proof of one caller
	}
	if header == "" {
		return c.challenge("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.",
			"The authentication failed because of missing 'Authorization' header.")
	}
	c.Caller = c.plane.deps.Verifier.Verify(header)
	c.rec.Identity = journal.Identity{Object: c.Caller.ObjectID, App: c.Caller.AppID, Issuer: c.Caller.Issuer,
		UPN: c.Caller.UPN, Type: c.Caller.IDType, ResourceID: c.Caller.ResourceID}
	const invalid = "Could not validate the access token."
	switch c.Caller.Token {
	case access.TokenValid:
		return nil
	case access.TokenAbsent:
		return c.challenge("AuthenticationFailedInvalidHeader",
			"Authentication failed. The 'Authorization' header is provided in an invalid format.",
			"The authentication failed because of 'Authorization' header is provided in an invalid format.")
	case access.TokenExpired:
		return c.challenge("ExpiredAuthenticationToken", "The access token expiry UTC time is earlier than current UTC time '"+
			c.Now.UTC().Format("1/2/2006 3:04:05 PM")+"'.", "The access token has expired.")
	case access.TokenNotYetValid:
		return c.challenge("InvalidAuthenticationToken", "The access token is not valid yet.", "The access token is not valid yet.")
	case access.TokenWrongAudience:
		return c.challenge("InvalidAuthenticationTokenAudience", "The access token has been obtained for wrong audience or resource '"+
			c.Caller.Audience+"'. It should exactly match with one of the allowed audiences "+audiences+".", invalid)
	}
	return c.challenge("InvalidAuthenticationToken", "The access token is invalid.", invalid)
}

// challenge is a 401 that tells a client where tokens come from. The tenant
// is that of the subscription in the path, when there is one: so that a
// client can discover it, as it can with the resource manager.
func (c *Call) challenge(code, message, description string) error {
	tenant := "common"
	if id, ok := c.subscriptionID(); ok {
		if res, ok := c.Snapshot().Resource("/subscriptions/" + id); ok {
			if t := SubscriptionTenant(res); !t.IsZero() {
				tenant = t.String()
			}
		}
	}
	f := fault.New(http.StatusUnauthorized, code, "%s", message)
	header := `Bearer authorization_uri="` + c.Family.LoginURL() + "/" + tenant + `"`
	if c.Caller.Claims != "" {
		header += entra.ClaimsChallenge(c.Caller.Claims)
	} else {
		header += `, error="invalid_token", error_description="` + description + `"`
	}
	f.Header = http.Header{"Www-Authenticate": {header}}
	return f
}

// subscription checks that the subscription exists and that the token is of
// its tenant.
func (c *Call) subscription(id string) error {
	if _, err := access.ParseGUID(id); err != nil {
		return fault.New(http.StatusBadRequest, "InvalidSubscriptionId", "The provided subscription identifier '%s' is malformed or invalid.", id)
	}
	res, ok := c.Snapshot().Resource("/subscriptions/" + id)
	if !ok {
		return fault.New(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", strings.ToLower(id))
	}
	tenant := SubscriptionTenant(res)
	if !tenant.IsZero() && tenant == c.Caller.Tenant {
		return nil
	}
	const issuer = "https://sts.windows.net/"
	return c.challenge("InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer '"+issuer+c.Caller.Tenant.String()+
		"/'. It must match the tenant '"+issuer+tenant.String()+"/' associated with this subscription. Please use the authority (URL) '"+
		c.Family.LoginURL()+"/"+tenant.String()+"' to get the token. Note, if the subscription is transferred to another tenant there is no"+
		" impact to the services, but information about new tenant could take time to propagate (up to an hour). If you just transferred"+
		" your subscription and see this error message, please try back later.",
		"Could not validate the access token.")
}

// SubscriptionTenant is the tenant that a subscription resource belongs to;
// zero when its document does not tell.
func SubscriptionTenant(res *estate.Resource) access.GUID {
	tenant, err := access.ParseGUID(Document(res).Text("tenantId"))
	if err != nil {
		return access.GUID{}
	}
	return tenant
}

// Place is the id under which the estate has what the caller calls by an id:
// the root and what is in no subscription are those of the caller's tenant.
func (c *Call) Place(id string) string { return estate.Place(c.Caller.Tenant, id) }

// May reports whether the caller may perform an action at a scope.
func (c *Call) May(action, scope string) bool {
	return c.Snapshot().Authority().Authorize(&c.Caller.Caller, action, c.Place(scope)).Allowed()
}

// AuthorizeAssignment is Authorize for writing or deleting a role assignment,
// of which the conditions of the caller's own assignments may speak.
func (c *Call) AuthorizeAssignment(action, scope string, w access.Written) error {
	d := c.Snapshot().Authority().AuthorizeAssignment(&c.Caller.Caller, action, c.Place(scope), w)
	c.rec.RBACAuthorized = journal.Bool(d.Allowed())
	if !d.Allowed() {
		return c.Forbidden(action, scope)
	}
	return nil
}

// Authorize is May for the call itself: it is noted in the record, and a
// caller who may not gets the answer.
func (c *Call) Authorize(action, scope string) error { return c.admit(action, scope) }

// admit decides, and keeps the grant for the vault that the path names.
func (c *Call) admit(action, scope string) error {
	vault, _ := c.Vault()
	grant, _ := c.plane.deps.Admission.AdmitManagement(c.Snapshot(), &c.Caller.Caller, action, c.Place(scope), vault, c.rec)
	if grant == nil {
		return c.Forbidden(action, scope)
	}
	if vault != nil {
		c.grant = grant
	}
	return nil
}

// Forbidden is the answer for a caller who may not perform an action at a
// scope.
func (c *Call) Forbidden(action, scope string) error {
	return fault.New(http.StatusForbidden, "AuthorizationFailed", "The client '%s' with object id '%s' does not have authorization to"+
		" perform action '%s' over scope '%s' or the scope is invalid. If access was recently granted, please refresh your credentials.",
		c.Caller.App, c.Caller.Object, action, scope).
		WithHint("az role assignment create --assignee-object-id " + c.Caller.Object.String() + " --role ROLE --scope " + scope)
}
