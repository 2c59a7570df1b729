package keyvault

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/arm"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/vault"
)

// secrets is the secrets of the vault of the path, for this call alone. The
// plane has admitted it: the way to them is its grant.
func secrets(c *arm.Call) (*vault.Secrets, error) {
	if _, ok := c.Vault(); !ok || c.Grant() == nil {
		return nil, notFound(c, "Microsoft.KeyVault/vaults/"+c.Vars["vault"])
	}
	version, err := c.Identifier()
	if err != nil {
		return nil, err
	}
	life, err := c.Identifier()
	if err != nil {
		return nil, err
	}
	// The first one is the version; what is asked for after it, again and again
	// while a change is tried, is the life of a new secret.
	given := false
	return &vault.Secrets{
		Terms: c.Grant().Terms(),
		Space: c.Grant(), Key: c.Grant().Key(), Backup: c.Grant().BackupKey(), Now: c.Now,
		NewVersion: func() string {
			if given {
				return life
			}
			given = true
			return version
		},
	}, nil
}

// objectFault is the answer for what the vault refuses.
func objectFault(name string, err error) error {
	var invalid *vault.Invalid
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return badRequest("The property '%s' %s.", invalid.Property, invalid.Reason)
	case errors.Is(err, vault.NotFound):
		return fault.New(http.StatusNotFound, "SecretNotFound", "A secret with (name/id) %s was not found in this key vault. If you recently"+
			" deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please"+
			" see https://go.microsoft.com/fwlink/?linkid=2125182", name)
	case errors.Is(err, vault.IsDeleted):
		return fault.New(http.StatusConflict, "Conflict", "Secret %s is currently in a deleted but recoverable state, and its name cannot be"+
			" reused; in this state, the secret can only be recovered or purged.", name)
	case errors.Is(err, vault.Managed):
		return fault.New(http.StatusForbidden, "Forbidden", `Operation "set" is not allowed as this object's lifetime is managed by Key Vault.`)
	case errors.Is(err, vault.Contended):
		return fault.New(http.StatusConflict, "Conflict", "Secret %s is being changed by others; retry later.", name)
	}
	return err
}

// secretBody is a secret as the resource manager answers it: never with its
// value (spec: Secret).
func secretBody(c *arm.Call, o *vault.Object) *ordered.Object {
	v, _ := c.Vault()
	uri := c.Family.VaultURL(strings.ToLower(v.Resource.Name)) + "/secrets/" + o.Name
	attributes := ordered.New(
		ordered.Member{Name: "enabled", Value: o.Version.Enabled},
		ordered.Member{Name: "created", Value: unix(o.Version.Created)},
		ordered.Member{Name: "updated", Value: unix(o.Version.Updated)})
	if o.Version.NotBefore.Known {
		attributes.Set("nbf", unix(o.Version.NotBefore.Unix))
	}
	if o.Version.Expires.Known {
		attributes.Set("exp", unix(o.Version.Expires.Unix))
	}
	props := ordered.New(ordered.Member{Name: "attributes", Value: attributes})
	if o.Version.ContentType != "" {
		props.Set("contentType", o.Version.ContentType)
	}
	props.Set("secretUri", uri)
	props.Set("secretUriWithVersion", uri+"/"+o.Version.ID)
	doc := ordered.New(
		ordered.Member{Name: "id", Value: v.Resource.ID + "/secrets/" + o.Name},
		ordered.Member{Name: "name", Value: o.Name},
		ordered.Member{Name: "type", Value: "Microsoft.KeyVault/vaults/secrets"},
		ordered.Member{Name: "location", Value: v.Resource.Location})
	if len(o.Version.Tags) > 0 {
		tags := &ordered.Object{}
		for _, t := range o.Version.Tags {
			tags.Set(t.Name, t.Value)
		}
		doc.Set("tags", tags)
	}
	doc.Set("properties", props)
	return doc
}

func unix(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// secretRequest is the body of a PUT or PATCH (spec:
// SecretCreateOrUpdateParameters, SecretPatchParameters).
type secretRequest struct {
	value, contentType *string
	enabled            vault.Flag
	notBefore, expires vault.Stamp
	tags               []vault.Tag
}

func readSecretRequest(c *arm.Call) (*secretRequest, error) {
	body, err := c.Object()
	if err != nil {
		return nil, err
	}
	props := body.Object("properties")
	if props == nil {
		return nil, badRequest("An invalid value was provided for 'properties'.")
	}
	r := &secretRequest{}
	if r.value, err = text(props, "value"); err != nil {
		return nil, err
	}
	if r.contentType, err = text(props, "contentType"); err != nil {
		return nil, err
	}
	attributes := props.Object("attributes")
	enabled, err := boolean(attributes, "", "enabled")
	if err != nil {
		return nil, invalidAttribute("enabled")
	}
	if enabled != nil {
		r.enabled = vault.No
		if *enabled {
			r.enabled = vault.Yes
		}
	}
	if r.notBefore, err = stamp(attributes, "nbf"); err != nil {
		return nil, err
	}
	if r.expires, err = stamp(attributes, "exp"); err != nil {
		return nil, err
	}
	if _, err = arm.Tags(body); err != nil {
		return nil, err
	}
	for _, m := range body.Object("tags").Members() {
		value, _ := m.Value.(string)
		r.tags = append(r.tags, vault.Tag{Name: m.Name, Value: value})
	}
	return r, nil
}

// text reads a string; nil when it is absent or null. What was sent is never
// repeated: it can be the value of a secret.
func text(o *ordered.Object, name string) (*string, error) {
	v, _ := o.Get(name)
	if v == nil {
		return nil, nil
	}
	s, ok := v.(string)
	if !ok {
		return nil, badRequest("An invalid value was provided for 'properties.%s'.", name)
	}
	return &s, nil
}

// latest is the last second of the year 9999, the end of the service's
// dates.
const latest = 253402300799

// stamp reads a moment. Like text it repeats nothing.
func stamp(o *ordered.Object, name string) (vault.Stamp, error) {
	v, _ := o.Get(name)
	if v == nil {
		return vault.Stamp{}, nil
	}
	n, _ := v.(json.Number)
	seconds, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || seconds < 0 || seconds > latest {
		return vault.Stamp{}, invalidAttribute(name)
	}
	return vault.Stamp{Unix: seconds, Known: true}, nil
}

func invalidAttribute(name string) error {
	return badRequest("An invalid value was provided for 'properties.attributes.%s'.", name)
}

// putSecret makes a new version of a secret (spec: Secrets_CreateOrUpdate).
func putSecret(c *arm.Call) (*arm.Answer, error) {
	r, err := readSecretRequest(c)
	if err != nil {
		return nil, err
	}
	if r.value == nil {
		return nil, badRequest("The parameter value is not specified.")
	}
	s, err := secrets(c)
	if err != nil {
		return nil, err
	}
	return setSecret(c, s, r)
}

func setSecret(c *arm.Call, s *vault.Secrets, r *secretRequest) (*arm.Answer, error) {
	status := http.StatusOK
	if _, err := s.Get(c.Request.Context(), c.Vars["secret"], ""); errors.Is(err, vault.NotFound) {
		status = http.StatusCreated
	}
	in := vault.SecretInput{Value: *r.value, Enabled: r.enabled, NotBefore: r.notBefore, Expires: r.expires, Tags: r.tags}
	if r.contentType != nil {
		in.ContentType = *r.contentType
	}
	c.Grant().Expect(status)
	o, err := s.Set(c.Request.Context(), c.Vars["secret"], in)
	if err != nil {
		return nil, objectFault(c.Vars["secret"], err)
	}
	return &arm.Answer{Status: status, Body: secretBody(c, &o)}, nil
}

// patchSecret changes the latest version; a value makes a new one (spec:
// Secrets_Update).
func patchSecret(c *arm.Call) (*arm.Answer, error) {
	r, err := readSecretRequest(c)
	if err != nil {
		return nil, err
	}
	s, err := secrets(c)
	if err != nil {
		return nil, err
	}
	if r.value != nil {
		if _, err := find(c, s); err != nil {
			return nil, err
		}
		return setSecret(c, s, r)
	}
	o, err := s.Update(c.Request.Context(), c.Vars["secret"], "", vault.SecretPatch{ContentType: r.contentType, Enabled: r.enabled,
		NotBefore: r.notBefore, Expires: r.expires, Tags: r.tags})
	if err != nil {
		return nil, objectFault(c.Vars["secret"], err)
	}
	return arm.OK(secretBody(c, &o)), nil
}

// find is a live secret, enabled or not.
func find(c *arm.Call, s *vault.Secrets) (vault.Object, error) {
	name := c.Vars["secret"]
	o, err := s.Get(c.Request.Context(), name, "")
	if !errors.Is(err, vault.Disabled) {
		return o, objectFault(name, err)
	}
	for after := ""; ; {
		list, err := s.List(c.Request.Context(), after, vault.MaxPage)
		if err != nil {
			return vault.Object{}, err
		}
		for _, o := range list.Objects {
			if strings.EqualFold(o.Name, name) {
				return o, nil
			}
		}
		if after = list.Next; after == "" {
			return vault.Object{}, objectFault(name, vault.NotFound)
		}
	}
}

// getSecret tells everything of a secret but its value (spec: Secrets_Get).
func getSecret(c *arm.Call) (*arm.Answer, error) {
	s, err := secrets(c)
	if err != nil {
		return nil, err
	}
	o, err := find(c, s)
	if err != nil {
		return nil, err
	}
	return arm.OK(secretBody(c, &o)), nil
}

// maxListed bounds how many secrets are read for a list.
const maxListed = 100000

// listSecrets is Secrets_List of the specification.
func listSecrets(c *arm.Call) (*arm.Answer, error) {
	s, err := secrets(c)
	if err != nil {
		return nil, err
	}
	var all []vault.Object
	for after := ""; len(all) < maxListed; {
		list, err := s.List(c.Request.Context(), after, vault.MaxPage)
		if err != nil {
			return nil, err
		}
		all = append(all, list.Objects...)
		if after = list.Next; after == "" {
			break
		}
	}
	answer, err := arm.Page(c, all, func(o vault.Object) string { return strings.ToLower(o.Name) })
	if err != nil {
		return nil, err
	}
	return arm.MapPage(answer, func(o vault.Object) *ordered.Object { return secretBody(c, &o) }), nil
}
