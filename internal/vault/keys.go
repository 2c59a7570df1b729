package vault

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"postern/internal/seal"
)

// Keys is the keys of one vault at one moment, made for a request like
// Secrets. It knows nothing of cryptography: it says which key may be used
// for what, and hands its material over.
type Keys struct {
	Terms Terms
	Space Space
	// Key seals what is stored, Backup what leaves in a backup blob.
	Key, Backup *seal.Key
	Now         time.Time
	// NewVersion makes 32 random lower-case hex digits.
	NewVersion func() string
}

// KeyInput is what a client writes into a new version of a key.
type KeyInput struct {
	Content KeyContent
	// Imported is true for a key that was made elsewhere.
	Imported bool
	// Rotation is the rotation policy that is set with the version; nil
	// leaves it as it is.
	Rotation *RotationPolicy
	// First is true for a version that must be the first one: where there is
	// a key, it Exists.
	First bool
	// Enabled is true when it is not known.
	Enabled            Flag
	NotBefore, Expires Stamp
	Tags               []Tag
}

// KeyPatch is what a client changes of a version; what is not known or nil
// stays.
type KeyPatch struct {
	Operations         *[]string
	Release            *ReleasePolicy
	Enabled            Flag
	NotBefore, Expires Stamp
	Tags               []Tag
}

// KeyUse is what a key is used for.
type KeyUse uint8

// The uses of a key.
const (
	UseEncrypt KeyUse = iota
	UseDecrypt
	UseWrap
	UseUnwrap
	UseSign
	UseVerify
	UseRelease
)

// String is the use as key_ops names it (spec: JsonWebKeyOperation).
func (u KeyUse) String() string {
	return [...]string{"encrypt", "decrypt", "wrapKey", "unwrapKey", "sign", "verify", "export"}[u]
}

// always reports whether the use is allowed outside of nbf and exp, too: what
// was locked up must come out again (documentation: about-keys-details).
func (u KeyUse) always() bool {
	return u == UseDecrypt || u == UseUnwrap || u == UseVerify || u == UseRelease
}

// Leeway is by how much clocks may differ where the dates of a key decide
// (documentation: "some small leeway, normally no more than a few minutes").
const Leeway = 60

func (k *Keys) collection() *collection {
	return &collection{kind: kindKeys, terms: k.Terms, space: k.Space, key: k.Key, now: k.Now, newVersion: k.NewVersion}
}

// Add makes a new version, and the key when there is none (spec: CreateKey,
// ImportKey). A later version takes over the release policy where none is
// given.
func (k *Keys) Add(ctx context.Context, name string, in KeyInput) (Object, KeyContent, error) {
	if err := checkName(name); err != nil {
		return Object{}, KeyContent{}, err
	}
	if err := checkKey(&in); err != nil {
		return Object{}, KeyContent{}, err
	}
	operation := "create"
	if in.Imported {
		operation = "import"
	}
	policy, err := k.rotation(in.Rotation)
	if err != nil {
		return Object{}, KeyContent{}, err
	}
	return keyOf(k.collection().add(ctx, name, addition{operation: operation, version: in.version(), policy: policy,
		inherit: func(old *Object, v *Version) error {
			if in.First && old != nil {
				return Exists
			}
			return inheritRelease(old, v, in.Content)
		}}))
}

// rotation is a rotation policy as it is kept; nil stays nil.
func (k *Keys) rotation(p *RotationPolicy) (*string, error) {
	if p == nil {
		return nil, nil
	}
	kept, err := p.normal()
	if err != nil {
		return nil, err
	}
	kept.Created, kept.Updated = k.Now.Unix(), k.Now.Unix()
	text, err := json.Marshal(kept)
	said := string(text)
	return &said, err
}

// inheritRelease gives an exportable key the release policy of the version
// before, where it has none of its own.
func inheritRelease(old *Object, v *Version, content KeyContent) error {
	if !content.Exportable || content.Release != nil {
		return nil
	}
	var before KeyContent
	if old != nil {
		var err error
		if before, err = decodeKey(old.Version.Value); err != nil {
			return err
		}
	}
	if content.Release = before.Release; content.Release == nil {
		return &Invalid{"release_policy", "is missing: an exportable key needs one"}
	}
	v.Value = content.encode()
	return nil
}

// version is the version that an input makes.
func (in *KeyInput) version() Version {
	return Version{Enabled: in.Enabled != No, NotBefore: in.NotBefore, Expires: in.Expires, Tags: in.Tags, Value: in.Content.encode()}
}

func checkKey(in *KeyInput) error {
	if err := in.Content.check(); err != nil {
		return err
	}
	return checkDescription("", in.Tags, MaxKeyTag)
}

// Get reads a version; "" is the latest (spec: GetKey). It works for one
// that is disabled: what it reads is no secret.
func (k *Keys) Get(ctx context.Context, name, version string) (Object, KeyContent, error) {
	return keyOf(k.collection().get(ctx, name, version))
}

// keyOf takes the content out of a key's object.
func keyOf(o Object, err error) (Object, KeyContent, error) {
	if err != nil {
		return o, KeyContent{}, err
	}
	content, err := decodeKey(o.Version.Value)
	o.Version.Value = ""
	return o, content, err
}

// Use reads a version for an operation with it, if it may be used for that
// now: it must be enabled, within its dates unless the operation opens what
// was locked, and the operation must be among its own. Release needs no word
// in key_ops; whether a key is exportable is the caller's to ask.
func (k *Keys) Use(ctx context.Context, name, version string, use KeyUse) (Object, KeyContent, error) {
	o, content, err := k.Get(ctx, name, version)
	if err != nil {
		return Object{}, KeyContent{}, err
	}
	v, now := &o.Version, k.Now.Unix()
	switch {
	case !v.Enabled:
		err = Disabled
	case !use.always() && v.NotBefore.Known && v.NotBefore.Unix > now+Leeway:
		err = NotYetValid
	case !use.always() && v.Expires.Known && v.Expires.Unix <= now-Leeway:
		err = Expired
	case use != UseRelease && !slices.Contains(content.Operations, use.String()):
		err = NotPermitted
	}
	if err != nil {
		return Object{Name: o.Name}, KeyContent{}, err
	}
	return o, content, nil
}

// Update changes the attributes, operations, tags or release policy of a
// version; "" is the latest (spec: UpdateKey).
func (k *Keys) Update(ctx context.Context, name, version string, p KeyPatch) (Object, KeyContent, error) {
	if err := checkDescription("", p.Tags, MaxKeyTag); err != nil {
		return Object{}, KeyContent{}, err
	}
	return keyOf(k.collection().update(ctx, "update", name, version, func(o *Object) error {
		v := &o.Version
		v.patch(p.Enabled, p.NotBefore, p.Expires, p.Tags)
		if p.Operations == nil && p.Release == nil {
			return nil
		}
		content, err := decodeKey(v.Value)
		if err != nil {
			return err
		}
		if p.Operations != nil {
			content.Operations = *p.Operations
		}
		if p.Release != nil {
			if err := content.release(*p.Release); err != nil {
				return err
			}
		}
		v.Value = content.encode()
		return content.check()
	}))
}

// release replaces the release policy, unless it was made immutable.
func (k *KeyContent) release(p ReleasePolicy) error {
	if k.Release.Fixed(&p) {
		return &Invalid{"release_policy", "is immutable and cannot be changed"}
	}
	if !k.Exportable {
		return &Invalid{"release_policy", "cannot be set on a key that is not exportable"}
	}
	k.Release = &p
	return nil
}

// Delete moves the key to the deleted ones (spec: DeleteKey).
func (k *Keys) Delete(ctx context.Context, name string) (Object, KeyContent, error) {
	return keyOf(k.collection().remove(ctx, name))
}

// GetDeleted reads a deleted key (spec: GetDeletedKey).
func (k *Keys) GetDeleted(ctx context.Context, name string) (Object, KeyContent, error) {
	return keyOf(k.collection().getDeleted(ctx, name))
}

// Recover brings a deleted key back (spec: RecoverDeletedKey).
func (k *Keys) Recover(ctx context.Context, name string) (Object, KeyContent, error) {
	return keyOf(k.collection().recover(ctx, name))
}

// Purge removes a deleted key for good (spec: PurgeDeletedKey).
func (k *Keys) Purge(ctx context.Context, name string) error {
	return k.collection().purge(ctx, name)
}

// KeyItem is a key in a list; its content comes without the private part.
type KeyItem struct {
	Object  Object
	Content KeyContent
}

// KeyPage is one page of a list of keys.
type KeyPage struct {
	Keys []KeyItem
	// Next is the cursor of the next page; "" at the end.
	Next string
}

// keyPage takes the contents out of a page of keys.
func keyPage(p Page, err error) (KeyPage, error) {
	if err != nil {
		return KeyPage{}, err
	}
	page := KeyPage{Keys: make([]KeyItem, len(p.Objects)), Next: p.Next}
	for i := range p.Objects {
		o, content, err := keyOf(p.Objects[i], nil)
		if err != nil {
			return KeyPage{}, err
		}
		content.Material = nil
		page.Keys[i] = KeyItem{o, content}
	}
	return page, nil
}

// List is one page of the live keys after a cursor (spec: GetKeys).
func (k *Keys) List(ctx context.Context, after string, limit int) (KeyPage, error) {
	c := k.collection()
	return keyPage(c.list(ctx, c.liveKey(""), after, limit))
}

// ListDeleted is one page of the deleted keys (spec: GetDeletedKeys).
func (k *Keys) ListDeleted(ctx context.Context, after string, limit int) (KeyPage, error) {
	c := k.collection()
	p, err := c.list(ctx, c.deletedKey(""), after, limit)
	return keyPage(p.unmanaged(), err)
}

// Versions is one page of the versions of a key (spec: GetKeyVersions).
func (k *Keys) Versions(ctx context.Context, name, after string, limit int) (KeyPage, error) {
	return keyPage(k.collection().versions(ctx, name, after, limit))
}

// BackUp is the key with all its versions and its rotation policy as a
// sealed blob (spec: BackupKey).
func (k *Keys) BackUp(ctx context.Context, name string) ([]byte, error) {
	return k.collection().backup(ctx, k.Backup, name)
}

// Restore makes the key of a blob anew (spec: RestoreKey). Its name must be
// free; where it is not, the object that comes with the error holds the
// name.
func (k *Keys) Restore(ctx context.Context, blob []byte) (Object, KeyContent, error) {
	return keyOf(k.collection().restore(ctx, k.Backup, blob))
}
