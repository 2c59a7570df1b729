package entra

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"postern/access"
	"postern/internal/fault"
)

// body reads the body of a write: one object, at most 128 KiB.
func (c *graphCall) body() (map[string]json.RawMessage, error) {
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxGraphBody))
	if err != nil {
		return nil, badBody(err)
	}
	if len(text) == 0 {
		return map[string]json.RawMessage{}, nil
	}
	members, err := readObject(text)
	if err != nil {
		return nil, badBody(err)
	}
	return members, nil
}

func badBody(err error) *fault.Error {
	return fault.New(http.StatusBadRequest, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.").Because(err)
}

// take reads the members of a body into variables; other members are left
// alone. A member of another type than its variable's is refused.
func take(members map[string]json.RawMessage, into map[string]any) error {
	for name, to := range into {
		if raw, ok := members[name]; ok && string(raw) != "null" && json.Unmarshal(raw, to) != nil {
			return fault.New(http.StatusBadRequest, "Request_BadRequest", "Invalid value specified for property '%s' of resource.", name)
		}
	}
	return nil
}

// may refuses writes of all but the directory's administrators and, for an
// application, its owner.
func (c *graphCall) may(owner access.GUID) error {
	p := c.directory.state.Load().objects[c.caller.Object]
	if p != nil && p.Tenant == c.caller.Tenant && (p.administrator || !owner.IsZero() && owner == p.Object) {
		return nil
	}
	return fault.New(http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
}

// wrong is the answer to a change that the directory refuses.
func wrong(err error) error {
	for _, known := range []error{ErrNotFound, ErrNoPrincipal} {
		if errors.Is(err, known) {
			return fault.New(http.StatusNotFound, "Request_ResourceNotFound", "Resource does not exist or one of its queried reference-property objects are not present.").Because(err)
		}
	}
	if errors.Is(err, ErrMember) {
		return fault.New(http.StatusBadRequest, "Request_BadRequest", "One or more added object references already exist for the following modified properties: 'members'.").Because(err)
	}
	for _, known := range []error{ErrExists, ErrUserTaken} {
		if errors.Is(err, known) {
			return fault.New(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "Another object with the same value for property already exists.").Because(err)
		}
	}
	for _, known := range []error{ErrName, ErrUPN, ErrPassword, ErrSecrets, ErrCertificate, ErrFederation, ErrManaged, ErrLife, ErrSingleTenant} {
		if errors.Is(err, known) {
			return fault.New(http.StatusBadRequest, "Request_BadRequest", "%s", strings.TrimPrefix(known.Error(), "entra: "))
		}
	}
	return err
}

// createUser is POST /users.
func (c *graphCall) createUser() error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var name, upn string
	var profile struct {
		Password string `json:"password"`
	}
	if err := take(members, map[string]any{"displayName": &name, "userPrincipalName": &upn, "passwordProfile": &profile}); err != nil {
		return err
	}
	p, err := c.edit().CreateUser(c.ctx, c.caller.Tenant, upn, name, profile.Password)
	if err != nil {
		return wrong(err)
	}
	return c.created("users", p.Object)
}

// createGroup is POST /groups.
func (c *graphCall) createGroup() error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var name, description, nickname string
	var bound []string
	if err := take(members, map[string]any{"displayName": &name, "description": &description, "mailNickname": &nickname, "members@odata.bind": &bound}); err != nil {
		return err
	}
	var ids []access.GUID
	for _, ref := range bound {
		id, err := reference(ref)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	p, err := c.edit().CreateGroup(c.ctx, c.caller.Tenant, name, description, nickname)
	if err != nil {
		return wrong(err)
	}
	for _, id := range ids {
		if err := c.edit().AddMember(c.ctx, p.Object, id); err != nil {
			return wrong(err)
		}
	}
	return c.created("groups", p.Object)
}

// reference is the object that an @odata.id names: its last segment.
func reference(ref string) (access.GUID, error) {
	id, err := access.ParseGUID(ref[strings.LastIndexByte(ref, '/')+1:])
	if err != nil {
		return id, fault.New(http.StatusBadRequest, "Request_BadRequest", "Invalid URL format specified in @odata.id for resource '%s'.", clip(ref))
	}
	return id, nil
}

// addMember is POST /groups/{id}/members/$ref.
func (c *graphCall) addMember(group access.GUID) error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var ref string
	if err := take(members, map[string]any{"@odata.id": &ref}); err != nil {
		return err
	}
	id, err := reference(ref)
	if err != nil {
		return err
	}
	return c.done(c.edit().AddMember(c.ctx, group, id))
}

// createApplication is POST /applications. The caller becomes its owner.
func (c *graphCall) createApplication() error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var name, audience string
	if err := take(members, map[string]any{"displayName": &name, "signInAudience": &audience}); err != nil {
		return err
	}
	multi := audience == "AzureADMultipleOrgs" || audience == "AzureADandPersonalMicrosoftAccount"
	a, err := c.edit().CreateApplication(c.ctx, c.caller.Tenant, name, multi, c.caller.Object)
	if err != nil {
		return wrong(err)
	}
	if err := c.setKeys(a.Object, members); err != nil {
		return err
	}
	return c.created("applications", a.Object)
}

// createServicePrincipal is POST /servicePrincipals.
func (c *graphCall) createServicePrincipal() error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var text string
	if err := take(members, map[string]any{"appId": &text}); err != nil {
		return err
	}
	app, err := access.ParseGUID(text)
	if err != nil {
		return fault.New(http.StatusBadRequest, "Request_BadRequest", "Invalid value specified for property 'appId' of resource 'ServicePrincipal'.")
	}
	owner := access.GUID{}
	if a := c.directory.state.Load().registered[app]; a != nil && a.Tenant == c.caller.Tenant {
		owner = a.owner
	}
	if err := c.may(owner); err != nil {
		return err
	}
	p, err := c.edit().CreatePrincipal(c.ctx, c.caller.Tenant, app)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrSingleTenant) {
		return fault.New(http.StatusBadRequest, "Request_BadRequest", "When using this permission, the backing application of the service principal being created must in the local tenant or be multi-tenant; '%s' is neither.", app)
	}
	if err != nil {
		return wrong(err)
	}
	return c.created("servicePrincipals", p.Object)
}

// addPassword is POST …/{id}/addPassword.
func (c *graphCall) addPassword(object access.GUID) error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var credential struct {
		Name  string    `json:"displayName"`
		Start time.Time `json:"startDateTime"`
		End   time.Time `json:"endDateTime"`
	}
	if err := take(members, map[string]any{"passwordCredential": &credential}); err != nil {
		return err
	}
	s, text, err := c.edit().CreateSecret(c.ctx, object, credential.Name, credential.Start, credential.End)
	if err != nil {
		return wrong(err)
	}
	out := passwordOf(s)
	out["secretText"], out["@odata.context"] = text, c.context("microsoft.graph.passwordCredential")
	return writeJSON(c.w, http.StatusOK, out)
}

// remove is POST …/{id}/removePassword and …/removeKey.
func (c *graphCall) remove(object access.GUID, with func(*Editor, string) error) error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var id string
	if err := take(members, map[string]any{"keyId": &id}); err != nil {
		return err
	}
	if err := with(c.edit(), id); errors.Is(err, ErrNotFound) {
		return fault.New(http.StatusBadRequest, "Request_BadRequest", "No password credential found with keyId.")
	} else if err != nil {
		return wrong(err)
	}
	return c.done(nil)
}

// setKeys makes the certificates of an application those of keyCredentials,
// where a body has them. Those that are named by keyId without a key stay.
func (c *graphCall) setKeys(object access.GUID, members map[string]json.RawMessage) error {
	var keys []struct {
		ID   string `json:"keyId"`
		Name string `json:"displayName"`
		Key  string `json:"key"`
	}
	raw, ok := members["keyCredentials"]
	if !ok {
		return nil
	}
	if json.Unmarshal(raw, &keys) != nil || len(keys) > maxCertificates {
		return wrong(ErrCertificate)
	}
	keep := map[string]bool{}
	var fresh [][2]string
	for _, k := range keys {
		if k.Key == "" {
			keep[strings.ToLower(k.ID)] = true
			continue
		}
		der, err := base64.StdEncoding.DecodeString(k.Key)
		if err != nil {
			return wrong(ErrCertificate)
		}
		fresh = append(fresh, [2]string{k.Name, string(der)})
	}
	_, held, _ := c.directory.Credentials(object)
	for _, h := range held {
		same := func() bool {
			for i, f := range fresh {
				if string(thumbprint1([]byte(f[1]))) == string(h.Thumbprint) {
					fresh = append(fresh[:i], fresh[i+1:]...)
					return true
				}
			}
			return false
		}
		if keep[strings.ToLower(h.ID)] || same() {
			continue
		}
		if err := c.edit().RemoveCertificate(c.ctx, object, h.ID); err != nil {
			return wrong(err)
		}
	}
	for _, f := range fresh {
		if _, err := c.edit().AddCertificate(c.ctx, object, f[0], []byte(f[1])); err != nil {
			return wrong(err)
		}
	}
	return nil
}

// federate is POST …/{id}/federatedIdentityCredentials.
func (c *graphCall) federate(object access.GUID) error {
	members, err := c.body()
	if err != nil {
		return err
	}
	var f Federation
	if err := take(members, map[string]any{"name": &f.Name, "issuer": &f.Issuer, "subject": &f.Subject, "audiences": &f.Audiences, "description": &f.Description}); err != nil {
		return err
	}
	f, err = c.edit().Federate(c.ctx, object, f)
	if err != nil {
		return wrong(err)
	}
	return writeJSON(c.w, http.StatusCreated, federationOf(f))
}

// update is PATCH of an object: its names, whether it is enabled, a user's
// password, an application's certificates.
func (c *graphCall) update(o any) error {
	members, err := c.body()
	if err != nil {
		return err
	}
	if a, ok := o.(*application); ok {
		if err := c.setKeys(a.Object, members); err != nil {
			return err
		}
		var name, audience string
		var uris []string
		if err := take(members, map[string]any{"displayName": &name, "signInAudience": &audience, "identifierUris": &uris}); err != nil {
			return err
		}
		return c.done(c.edit().updateApplication(c.ctx, a.Object, name, audience, uris))
	}
	p := o.(*principal)
	var name, description string
	var enabled *bool
	var profile struct {
		Password string `json:"password"`
	}
	if err := take(members, map[string]any{"displayName": &name, "description": &description, "accountEnabled": &enabled, "passwordProfile": &profile}); err != nil {
		return err
	}
	if profile.Password != "" {
		if err := c.edit().SetPassword(c.ctx, p.Object, profile.Password); err != nil {
			return wrong(err)
		}
	}
	if enabled != nil && p.Kind != Group {
		if err := c.edit().SetEnabled(c.ctx, p.Object, *enabled); err != nil {
			return wrong(err)
		}
	}
	if name == "" && description == "" {
		return c.done(nil)
	}
	return c.done(c.edit().rename(c.ctx, p.Object, name, description))
}

// passwordOf and keyOf are credentials as Graph shows them.
func passwordOf(s Secret) map[string]any {
	out := map[string]any{"keyId": s.ID, "displayName": nullable(s.Name), "hint": s.Hint, "startDateTime": s.Start.Format(time.RFC3339),
		"endDateTime": s.End.Format(time.RFC3339), "customKeyIdentifier": nil, "secretText": nil}
	if s.End.IsZero() {
		out["startDateTime"], out["endDateTime"] = nil, nil
	}
	return out
}

func keyOf(k Certificate) map[string]any {
	return map[string]any{"keyId": k.ID, "displayName": nullable(k.Name), "type": "AsymmetricX509Cert", "usage": "Verify", "key": nil,
		"customKeyIdentifier": strings.ToUpper(hex.EncodeToString(k.Thumbprint)), "startDateTime": k.Start.Format(time.RFC3339), "endDateTime": k.End.Format(time.RFC3339)}
}

func federationOf(f Federation) map[string]any {
	return map[string]any{"id": f.ID, "name": f.Name, "issuer": f.Issuer, "subject": f.Subject, "audiences": f.Audiences, "description": nullable(f.Description)}
}

// nullable is null for what is not there.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}
