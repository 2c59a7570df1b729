package keyvault

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"postern/internal/arm"
	"postern/internal/fault"
	"postern/internal/keyring"
	"postern/internal/keyring/release"
	"postern/internal/keysmith"
	"postern/internal/ordered"
	"postern/internal/vault"
)

// The path of a key.
const keyPath = vaultPath + "/keys/{key}"

// keyRoutes are the operations on keys.
func keyRoutes(makeKey keysmith.Maker) []arm.Route {
	put := func(c *arm.Call) (*arm.Answer, error) { return putKey(c, makeKey) }
	return []arm.Route{
		{Name: "KeyList", Method: http.MethodGet, Pattern: vaultPath + "/keys", Action: readKey, Handle: listKeys},
		{Name: "KeyGet", Method: http.MethodGet, Pattern: keyPath, Action: readKey, Handle: getKey},
		{Name: "KeyListVersions", Method: http.MethodGet, Pattern: keyPath + "/versions", Action: readKey, Handle: listKeyVersions},
		{Name: "KeyGet", Method: http.MethodGet, Pattern: keyPath + "/versions/{version}", Action: readKey, Handle: getKey},
		{Name: "KeyCreate", Method: http.MethodPut, Pattern: keyPath, Action: writeKey, Body: arm.MaxBody, Handle: put},
	}
}

// vaultKeys is the keys of the vault of the path, for this call alone.
func vaultKeys(c *arm.Call) (*vault.Keys, error) {
	s, err := secrets(c)
	if err != nil {
		return nil, err
	}
	return &vault.Keys{Terms: s.Terms, Space: s.Space, Key: s.Key, Now: s.Now, NewVersion: s.NewVersion}, nil
}

// keyFault is the answer for what the vault or the smith refuses.
func keyFault(c *arm.Call, name string, err error) error {
	var refusal keysmith.Refusal
	var invalid *keyring.Invalid
	var policy *release.Invalid
	switch {
	case errors.As(err, &policy):
		return badRequest("The release policy cannot be used: %s.", strings.TrimPrefix(policy.Error(), "release: "))
	case errors.As(err, &refusal):
		return badRequest("The key '%s' cannot be created: %s.", name, strings.TrimPrefix(refusal.Error(), "keysmith: "))
	case errors.As(err, &invalid):
		return badRequest("The property '%s' %s.", armNames.Replace(invalid.Property), invalid.Reason)
	case errors.Is(err, vault.NotFound):
		if v := c.Vars["version"]; v != "" {
			name += "/" + v
		}
		return fault.New(http.StatusNotFound, "KeyNotFound", "A key with (name/id) %s was not found in this key vault. If you recently deleted"+
			" this key you may be able to recover it using the correct recovery command. For help resolving this issue, please see"+
			" https://go.microsoft.com/fwlink/?linkid=2125182", name)
	case errors.Is(err, vault.IsDeleted):
		return fault.New(http.StatusConflict, "Conflict", "Key %s is currently in a deleted but recoverable state, and its name cannot be"+
			" reused; in this state, the key can only be recovered or purged.", name)
	}
	return objectFault(name, err)
}

// armNames are the names of properties in the resource manager.
var armNames = strings.NewReplacer("key_size", "keySize", "key_ops", "keyOps", "crv", "curveName")

// keyDocument is a key as the resource manager answers it (spec: Key). How
// much of it is told depends on where: a list tells the least.
func keyDocument(c *arm.Call, o *vault.Object, k *vault.KeyContent, version, whole bool) *ordered.Object {
	v, _ := c.Vault()
	uri := c.Family.VaultURL(strings.ToLower(v.Resource.Name)) + "/keys/" + o.Name
	attributes := ordered.New(ordered.Member{Name: "enabled", Value: o.Version.Enabled})
	if o.Version.NotBefore.Known {
		attributes.Set("nbf", unix(o.Version.NotBefore.Unix))
	}
	if o.Version.Expires.Known {
		attributes.Set("exp", unix(o.Version.Expires.Unix))
	}
	attributes.Set("created", unix(o.Version.Created))
	attributes.Set("updated", unix(o.Version.Updated))
	attributes.Set("recoveryLevel", c.Grant().Terms().RecoveryLevel())
	attributes.Set("exportable", k.Exportable)
	props := ordered.New(ordered.Member{Name: "attributes", Value: attributes})
	if whole {
		props.Set("kty", k.Type)
		props.Set("keyOps", armOperations(k.Operations))
		if k.Curve == "" {
			props.Set("keySize", unix(int64(k.Size)))
		} else {
			props.Set("curveName", k.Curve)
		}
	}
	props.Set("keyUri", uri)
	if whole || version {
		props.Set("keyUriWithVersion", uri+"/"+o.Version.ID)
	}
	id, name, kind := v.Resource.ID+"/keys/"+o.Name, o.Name, "Microsoft.KeyVault/vaults/keys"
	if version {
		id, name, kind = id+"/versions/"+o.Version.ID, o.Version.ID, kind+"/versions"
	}
	doc := ordered.New(
		ordered.Member{Name: "id", Value: id},
		ordered.Member{Name: "name", Value: name},
		ordered.Member{Name: "type", Value: kind},
		ordered.Member{Name: "location", Value: v.Resource.Location})
	if len(o.Version.Tags) > 0 {
		tags := &ordered.Object{}
		for _, t := range o.Version.Tags {
			tags.Set(t.Name, t.Value)
		}
		doc.Set("tags", tags)
	}
	if whole && k.Release != nil {
		props.Set("release_policy", ordered.New(
			ordered.Member{Name: "contentType", Value: k.Release.ContentType},
			ordered.Member{Name: "data", Value: base64.RawURLEncoding.EncodeToString(k.Release.Data)}))
	}
	doc.Set("properties", props)
	return doc
}

// The resource manager says release where the data plane says export.
func armOperations(words []string) []any {
	list := make([]any, len(words))
	for i, w := range words {
		if w == "export" {
			w = "release"
		}
		list[i] = w
	}
	return list
}

// rotationDocument is a rotation policy that somebody has set (spec:
// RotationPolicy).
func rotationDocument(p *vault.RotationPolicy) *ordered.Object {
	attributes := ordered.New(
		ordered.Member{Name: "created", Value: unix(p.Created)},
		ordered.Member{Name: "updated", Value: unix(p.Updated)})
	if p.ExpiryTime != "" {
		attributes.Set("expiryTime", p.ExpiryTime)
	}
	actions := make([]any, len(p.Actions))
	for i, a := range p.Actions {
		trigger := &ordered.Object{}
		if a.AfterCreate != "" {
			trigger.Set("timeAfterCreate", a.AfterCreate)
		} else {
			trigger.Set("timeBeforeExpiry", a.BeforeExpiry)
		}
		actions[i] = ordered.New(
			ordered.Member{Name: "trigger", Value: trigger},
			ordered.Member{Name: "action", Value: ordered.New(ordered.Member{Name: "type", Value: strings.ToLower(a.Type)})})
	}
	return ordered.New(
		ordered.Member{Name: "attributes", Value: attributes},
		ordered.Member{Name: "lifetimeActions", Value: actions})
}

// getKey is Keys_Get and Keys_GetVersion of the specification.
func getKey(c *arm.Call) (*arm.Answer, error) {
	k, err := vaultKeys(c)
	if err != nil {
		return nil, err
	}
	return keyAnswer(c, k)
}

func keyAnswer(c *arm.Call, k *vault.Keys) (*arm.Answer, error) {
	name, version := c.Vars["key"], c.Vars["version"]
	o, content, err := k.Get(c.Request.Context(), name, version)
	if err != nil {
		return nil, keyFault(c, name, err)
	}
	doc := keyDocument(c, &o, &content, version != "", true)
	if version != "" {
		return arm.OK(doc), nil
	}
	_, policy, err := k.RotationPolicy(c.Request.Context(), name)
	if err != nil {
		return nil, keyFault(c, name, err)
	}
	if policy.Created != 0 {
		doc.Object("properties").Set("rotationPolicy", rotationDocument(&policy))
	}
	return arm.OK(doc), nil
}

// listKeys is Keys_List of the specification.
func listKeys(c *arm.Call) (*arm.Answer, error) {
	k, err := vaultKeys(c)
	if err != nil {
		return nil, err
	}
	return keyList(c, false, func(after string) (vault.KeyPage, error) { return k.List(c.Request.Context(), after, vault.MaxPage) })
}

// listKeyVersions is Keys_ListVersions of the specification.
func listKeyVersions(c *arm.Call) (*arm.Answer, error) {
	k, err := vaultKeys(c)
	if err != nil {
		return nil, err
	}
	return keyList(c, true, func(after string) (vault.KeyPage, error) {
		return k.Versions(c.Request.Context(), c.Vars["key"], after, vault.MaxPage)
	})
}

func keyList(c *arm.Call, versions bool, read func(after string) (vault.KeyPage, error)) (*arm.Answer, error) {
	var all []vault.KeyItem
	for after := ""; len(all) < maxListed; {
		page, err := read(after)
		if err != nil {
			return nil, keyFault(c, c.Vars["key"], err)
		}
		all = append(all, page.Keys...)
		if after = page.Next; after == "" {
			break
		}
	}
	answer, err := arm.Page(c, all, func(k vault.KeyItem) string {
		if versions {
			return k.Object.Version.ID
		}
		return strings.ToLower(k.Object.Name)
	})
	if err != nil {
		return nil, err
	}
	return arm.MapPage(answer, func(k vault.KeyItem) *ordered.Object { return keyDocument(c, &k.Object, &k.Content, versions, false) }), nil
}

// putKey makes the first version of a key; a key that is there stays as it
// is and is answered (spec: Keys_CreateIfNotExist).
func putKey(c *arm.Call, makeKey keysmith.Maker) (*arm.Answer, error) {
	k, err := vaultKeys(c)
	if err != nil {
		return nil, err
	}
	name := c.Vars["key"]
	want, in, err := readKeyRequest(c)
	if err != nil {
		return nil, keyFault(c, name, err)
	}
	if answer, err := keyAnswer(c, k); err == nil || !isNotFound(err) {
		return answer, err
	}
	v, _ := c.Vault()
	if err := want.Check(c.Request.Context(), k, name, v.Properties.Premium()); err != nil {
		return nil, keyFault(c, name, err)
	}
	if !c.Grant().Spend(keysmith.Cost(want.Type)) {
		return nil, fault.New(http.StatusTooManyRequests, "TooManyRequests", "Too many keys were created in this vault; retry later.")
	}
	spec, err := want.Spec()
	if err != nil {
		return nil, keyFault(c, name, err)
	}
	pair, err := makeKey(c.Request.Context(), spec)
	if err != nil {
		return nil, keyFault(c, name, err)
	}
	in.Content, in.First = want.Content(pair), true
	// Somebody may have been faster: then there is a key, and it is answered.
	if _, _, err := k.Add(c.Request.Context(), name, *in); err != nil && !errors.Is(err, vault.Exists) {
		return nil, keyFault(c, name, err)
	}
	return keyAnswer(c, k)
}

func isNotFound(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Code == "KeyNotFound"
}

// readKeyRequest reads KeyCreateParameters.
func readKeyRequest(c *arm.Call) (*keysmith.Request, *vault.KeyInput, error) {
	body, err := c.Object()
	if err != nil {
		return nil, nil, err
	}
	props := body.Object("properties")
	kty, err := text(props, "kty")
	if err != nil {
		return nil, nil, err
	}
	if props == nil || kty == nil {
		return nil, nil, badRequest("The parameter properties.kty is not specified.")
	}
	want, in := &keysmith.Request{Type: *kty}, &vault.KeyInput{}
	if curve, err := text(props, "curveName"); err != nil {
		return nil, nil, err
	} else if curve != nil {
		want.Curve = *curve
	}
	if want.Size, err = integer(props, "keySize"); err != nil {
		return nil, nil, err
	}
	if want.Operations, err = readOperations(props); err != nil {
		return nil, nil, err
	}
	if err := readKeyAttributes(props.Object("attributes"), want, in); err != nil {
		return nil, nil, err
	}
	if want.Release, err = readRelease(props); err != nil {
		return nil, nil, err
	}
	if in.Rotation, err = readRotation(props.Object("rotationPolicy")); err != nil {
		return nil, nil, err
	}
	if _, err = arm.Tags(body); err != nil {
		return nil, nil, err
	}
	for _, m := range body.Object("tags").Members() {
		value, _ := m.Value.(string)
		in.Tags = append(in.Tags, vault.Tag{Name: m.Name, Value: value})
	}
	return want, in, nil
}

func readKeyAttributes(o *ordered.Object, want *keysmith.Request, in *vault.KeyInput) error {
	enabled, err := boolean(o, "", "enabled")
	if err != nil {
		return invalidAttribute("enabled")
	}
	if enabled != nil {
		in.Enabled = vault.No
		if *enabled {
			in.Enabled = vault.Yes
		}
	}
	exportable, err := boolean(o, "", "exportable")
	if err != nil {
		return invalidAttribute("exportable")
	}
	want.Exportable = exportable != nil && *exportable
	if in.NotBefore, err = stamp(o, "nbf"); err != nil {
		return err
	}
	in.Expires, err = stamp(o, "exp")
	return err
}

// integer reads a whole number; 0 when it is absent or null.
func integer(o *ordered.Object, name string) (int64, error) {
	v, _ := o.Get(name)
	if v == nil {
		return 0, nil
	}
	n, _ := v.(json.Number)
	i, err := strconv.ParseInt(string(n), 10, 32)
	if err != nil {
		return 0, badRequest("An invalid value was provided for 'properties.%s'.", name)
	}
	return i, nil
}

// readOperations reads keyOps; nil when it is absent or null.
func readOperations(props *ordered.Object) (*[]string, error) {
	v, _ := props.Get("keyOps")
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, badRequest("An invalid value was provided for 'properties.keyOps'.")
	}
	words, known := []string{}, keysmith.Operations()
	for _, item := range list {
		w, _ := item.(string)
		if w == "release" {
			w = "export"
		}
		if !slices.Contains(known, w) {
			return nil, badRequest("An invalid value was provided for 'properties.keyOps'.")
		}
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return &words, nil
}

func readRelease(props *ordered.Object) (*vault.ReleasePolicy, error) {
	o := props.Object("release_policy")
	if o == nil {
		return nil, nil
	}
	p := &vault.ReleasePolicy{ContentType: keysmith.ReleaseContentType}
	contentType, err := text(o, "contentType")
	if err != nil {
		return nil, err
	}
	if contentType != nil {
		p.ContentType = *contentType
	}
	data, err := text(o, "data")
	if err != nil {
		return nil, err
	}
	if data != nil {
		if p.Data, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(*data, "=")); err != nil {
			return nil, badRequest("An invalid value was provided for 'properties.release_policy.data'.")
		}
	}
	return p, nil
}

func readRotation(o *ordered.Object) (*vault.RotationPolicy, error) {
	if o == nil {
		return nil, nil
	}
	p := &vault.RotationPolicy{}
	into := func(o *ordered.Object, name string, to *string) error {
		s, err := text(o, name)
		if s != nil {
			*to = *s
		}
		return err
	}
	if err := into(o.Object("attributes"), "expiryTime", &p.ExpiryTime); err != nil {
		return nil, err
	}
	v, _ := o.Get("lifetimeActions")
	list, ok := v.([]any)
	if v != nil && !ok {
		return nil, badRequest("An invalid value was provided for 'properties.rotationPolicy.lifetimeActions'.")
	}
	for _, item := range list {
		action, _ := item.(*ordered.Object)
		var a vault.RotationAction
		err := errors.Join(into(action.Object("action"), "type", &a.Type),
			into(action.Object("trigger"), "timeAfterCreate", &a.AfterCreate), into(action.Object("trigger"), "timeBeforeExpiry", &a.BeforeExpiry))
		if err != nil {
			return nil, badRequest("An invalid value was provided for 'properties.rotationPolicy.lifetimeActions'.")
		}
		p.Actions = append(p.Actions, a)
	}
	return p, nil
}
