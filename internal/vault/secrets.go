package vault

import (
	"context"
	"strconv"
	"time"
	"unicode/utf8"

	"postern/internal/seal"
)

// The kinds as they stand in keys.
const (
	kindSecrets      = "secrets"
	kindKeys         = "keys"
	kindCertificates = "certificates"
	kindPending      = "pending"
)

// Secrets is the secrets of one vault at one moment. It is made for a
// request and thrown away; its methods are the operations of the
// specification.
type Secrets struct {
	Terms Terms
	Space Space
	// Key seals what is stored, Backup what leaves in a backup blob.
	Key, Backup *seal.Key
	Now         time.Time
	// NewVersion makes 32 random lower-case hex digits.
	NewVersion func() string
}

// SecretInput is what a client writes into a new version.
type SecretInput struct {
	Value, ContentType string
	// Enabled is true when it is not known.
	Enabled            Flag
	NotBefore, Expires Stamp
	Tags               []Tag
}

// SecretPatch is what a client changes of a version; what is not known or
// nil stays.
type SecretPatch struct {
	ContentType        *string
	Enabled            Flag
	NotBefore, Expires Stamp
	Tags               []Tag
}

// Flag is a boolean that may be left out; the zero value is left out.
type Flag uint8

// The states of a Flag.
const (
	Unset Flag = iota
	No
	Yes
)

func (s *Secrets) collection() *collection {
	return &collection{kind: kindSecrets, terms: s.Terms, space: s.Space, key: s.Key, now: s.Now, newVersion: s.NewVersion}
}

// Set makes a new version, and the secret when there is none (spec:
// SetSecret).
func (s *Secrets) Set(ctx context.Context, name string, in SecretInput) (Object, error) {
	if err := checkName(name); err != nil {
		return Object{}, err
	}
	if len(in.Value) > MaxValue {
		return Object{}, &Invalid{"value", "is longer than " + strconv.Itoa(MaxValue) + " bytes"}
	}
	if err := checkDescription(in.ContentType, in.Tags, MaxTag); err != nil {
		return Object{}, err
	}
	return s.collection().add(ctx, name, addition{operation: "set", version: Version{Enabled: in.Enabled != No,
		NotBefore: in.NotBefore, Expires: in.Expires, ContentType: in.ContentType, Tags: in.Tags, Value: in.Value}})
}

// Get reads a version with its value; "" is the latest (spec: GetSecret).
// A version that is not enabled is refused; nbf and exp are information
// alone.
func (s *Secrets) Get(ctx context.Context, name, version string) (Object, error) {
	o, err := s.collection().get(ctx, name, version)
	if err == nil && !o.Version.Enabled {
		return Object{}, Disabled
	}
	return o, err
}

// Update changes the attributes, content type or tags of a version; "" is
// the latest (spec: UpdateSecret).
func (s *Secrets) Update(ctx context.Context, name, version string, p SecretPatch) (Object, error) {
	contentType := ""
	if p.ContentType != nil {
		contentType = *p.ContentType
	}
	if err := checkDescription(contentType, p.Tags, MaxTag); err != nil {
		return Object{}, err
	}
	return s.collection().update(ctx, "update", name, version, func(o *Object) error {
		v := &o.Version
		if p.ContentType != nil {
			v.ContentType = contentType
		}
		v.patch(p.Enabled, p.NotBefore, p.Expires, p.Tags)
		return nil
	})
}

// patch changes the attributes that are known, and the tags unless nil.
func (v *Version) patch(enabled Flag, notBefore, expires Stamp, tags []Tag) {
	if enabled != Unset {
		v.Enabled = enabled == Yes
	}
	if notBefore.Known {
		v.NotBefore = notBefore
	}
	if expires.Known {
		v.Expires = expires
	}
	if tags != nil {
		v.Tags = tags
	}
}

// Delete moves the secret to the deleted ones (spec: DeleteSecret).
func (s *Secrets) Delete(ctx context.Context, name string) (Object, error) {
	return s.collection().remove(ctx, name)
}

// GetDeleted reads a deleted secret (spec: GetDeletedSecret).
func (s *Secrets) GetDeleted(ctx context.Context, name string) (Object, error) {
	return s.collection().getDeleted(ctx, name)
}

// Recover brings a deleted secret back (spec: RecoverDeletedSecret).
func (s *Secrets) Recover(ctx context.Context, name string) (Object, error) {
	return s.collection().recover(ctx, name)
}

// Purge removes a deleted secret for good (spec: PurgeDeletedSecret).
func (s *Secrets) Purge(ctx context.Context, name string) error {
	return s.collection().purge(ctx, name)
}

// List is one page of the live secrets after a cursor (spec: GetSecrets).
func (s *Secrets) List(ctx context.Context, after string, limit int) (Page, error) {
	c := s.collection()
	p, err := c.list(ctx, c.liveKey(""), after, limit)
	return p.withoutValues(), err
}

// ListDeleted is one page of the deleted secrets (spec: GetDeletedSecrets).
func (s *Secrets) ListDeleted(ctx context.Context, after string, limit int) (Page, error) {
	c := s.collection()
	p, err := c.list(ctx, c.deletedKey(""), after, limit)
	return p.unmanaged().withoutValues(), err
}

// Versions is one page of the versions of a secret (spec:
// GetSecretVersions).
func (s *Secrets) Versions(ctx context.Context, name, after string, limit int) (Page, error) {
	p, err := s.collection().versions(ctx, name, after, limit)
	return p.withoutValues(), err
}

// BackUp is the secret with all its versions as a sealed blob (spec:
// BackupSecret).
func (s *Secrets) BackUp(ctx context.Context, name string) ([]byte, error) {
	return s.collection().backup(ctx, s.Backup, name)
}

// Restore makes the secret of a blob anew (spec: RestoreSecret). Its name
// must be free; where it is not, the object that comes with the error holds
// the name.
func (s *Secrets) Restore(ctx context.Context, blob []byte) (Object, error) {
	return s.collection().restore(ctx, s.Backup, blob)
}

// ValidName reports whether an object can have this name: 1 to 127 letters,
// digits and hyphens.
func ValidName(name string) bool { return checkName(name) == nil }

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return &Invalid{"name", "is not 1 to " + strconv.Itoa(MaxName) + " characters long"}
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return &Invalid{"name", "holds other characters than letters, digits and hyphens"}
		}
	}
	return nil
}

// checkDescription holds what describes a version to its limits; a name or
// a value of a tag has at most so many characters.
func checkDescription(contentType string, tags []Tag, longest int) error {
	if utf8.RuneCountInString(contentType) > MaxContentType {
		return &Invalid{"contentType", "is longer than " + strconv.Itoa(MaxContentType) + " characters"}
	}
	if len(tags) > MaxTags {
		return &Invalid{"tags", "are more than " + strconv.Itoa(MaxTags)}
	}
	for _, t := range tags {
		if utf8.RuneCountInString(t.Name) > longest || utf8.RuneCountInString(t.Value) > longest {
			return &Invalid{"tags", "hold a name or a value longer than " + strconv.Itoa(longest) + " characters"}
		}
	}
	return nil
}
