// Package vault is the objects of one vault as a state machine: versions,
// attributes, soft delete, recovery, purge, backup and restore.
//
// It knows no wire, no clock and no store of its own. It works on a Space, a
// bounded piece of an ordered store, and is told what time it is; what it
// writes is sealed under the key it is written at.
//
// The life of an object, the same for every kind:
//
//	        Set, Restore              Delete
//	(none) ─────────────▶ live ─────────────────▶ deleted
//	   ▲                   ▲                        │ │
//	   │                   └──────── Recover ───────┘ │
//	   └── Purge, or the scheduled purge date passed ─┘
//
// Keys, below the space of the vault, for the kind "secrets":
//
//	secrets/<name>                            live: the object with its latest version
//	deletedsecrets/<name>                     deleted: the same, with both dates
//	secretsversions/<name>/<life>/<version>   each version that is not the latest
//	garbage/secrets/<name>/<life>             versions of a purged object still to be removed
//	due/<time>/secrets/<name>                 when something is to be done about a live object
//	purge/<time>/secrets/<name>               when the time of a deleted one has come
//
// The kinds keys and certificates are the same with their names in place of
// secrets. A certificate is three objects of one name, with the versions of
// the same identifiers: itself, its key and its secret, which are Managed,
// and everything that happens to the three is one transaction. Beside the
// objects stand
//
//	pending/<name>     the operation that makes a certificate
//	issuers/<name>     an issuer of certificates
//	contacts           who is told of certificates
//	events/<time>/<id> an event on its way out
//	indexed            the mark that all objects are in the indexes due and purge
//
// A name is lower-case in keys and stands at one of the first two, never at
// both. A life is the identifier of one existence of a name, from its
// creation to its purge: a new object never sees what an old one left. So a
// read of the latest version is one Get, of any version at most two, and
// every change is one transaction guarded by what was read for it.
package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/seal"
	"postern/internal/store"
)

// Limits of objects (documentation: about-keys-secrets-certificates,
// about-secrets; tags as the portal and the secrets page of 2026 have them).
const (
	MaxName        = 127
	MaxValue       = 25 << 10
	MaxContentType = 255
	MaxTags        = 15
	MaxTag         = 512
	// MaxKeyTag is MaxTag for keys and certificates.
	MaxKeyTag = 256
	MaxBackup = 500
	MaxPage   = 25
	// FullRetention is the longest time, in days, that a deleted object is
	// kept; a shorter one is called customized.
	FullRetention = 90
)

// attempts bounds how often a change is tried again when somebody else
// changed the object in between.
const attempts = 16

// Space is the piece of a store that holds one vault: keys are relative to
// it, and nothing outside can be reached.
type Space interface {
	Get(ctx context.Context, key string) (store.Item, error)
	Range(ctx context.Context, prefix, after string, limit int) ([]store.Item, error)
	Commit(ctx context.Context, tx *store.Tx) error
}

// Terms is what the configuration of the vault says about its objects.
type Terms struct {
	// Name is the vault's name; Subscription and Geography bound where a
	// backup can be restored.
	Name, Subscription, Geography string
	RetentionDays                 int
	PurgeProtected                bool
	// Judge is asked before every write that makes or changes an object; an
	// error of it ends the write, and nothing is written. nil allows
	// everything.
	Judge func(context.Context, Proposal) error
	// Events is whether somebody wants to be told what happens; when nobody
	// does, none is kept for them.
	Events bool
}

// RecoveryLevel is the word that the attributes of objects carry (spec:
// DeletionRecoveryLevel).
func (t Terms) RecoveryLevel() string {
	switch {
	case t.PurgeProtected && t.RetentionDays < FullRetention:
		return "CustomizedRecoverable"
	case t.PurgeProtected:
		return "Recoverable"
	case t.RetentionDays < FullRetention:
		return "CustomizedRecoverable+Purgeable"
	}
	return "Recoverable+Purgeable"
}

// Refusal is why a request to an object is not carried out. The zero value
// is no refusal and is never returned.
type Refusal uint8

const (
	_ Refusal = iota
	// NotFound: there is no live object, or no version, of that name.
	NotFound
	// NotDeleted: there is no deleted object of that name.
	NotDeleted
	// IsDeleted: the name belongs to a deleted object that can be recovered.
	IsDeleted
	// Exists: the name is in use.
	Exists
	// Disabled: the version is not enabled.
	Disabled
	// Protected: the vault keeps deleted objects until their time has come.
	Protected
	// TooManyVersions: more than a backup may hold.
	TooManyVersions
	// BackupMalformed: not a backup of this kind, or damaged.
	BackupMalformed
	// BackupForeign: a backup of another subscription or geography.
	BackupForeign
	// Contended: others changed the object each time it was tried.
	Contended
	// Managed: the key or secret belongs to a certificate and changes with
	// it alone.
	Managed
	// NotYetValid: the key may not be used for this before its nbf.
	NotYetValid
	// Expired: the key may not be used for this after its exp.
	Expired
	// NotPermitted: the operation is not among those of the key.
	NotPermitted
	// NoPending: there is no pending operation of that name, or not the one
	// that was meant.
	NoPending
	// InProgress: the certificate has a pending operation already.
	InProgress
)

// Error says it in a few words, for logs.
func (r Refusal) Error() string {
	return "vault: " + [...]string{"no refusal", "not found", "not among the deleted", "deleted but recoverable", "name in use",
		"disabled", "purge protection", "too many versions", "malformed backup", "foreign backup", "changed by others",
		"belongs to a certificate", "not yet valid", "expired", "not among the key's operations", "no pending operation",
		"a pending operation is in progress"}[r]
}

// Invalid is a property that is outside its limits.
type Invalid struct {
	// Property is its name on the wire ("value", "tags"); "name" is the
	// name of the object itself.
	Property string
	// Reason ends the sentence "the property …".
	Reason string
}

// Error is the whole sentence.
func (e *Invalid) Error() string { return "vault: " + e.Property + " " + e.Reason }

// errRecord is a stored record that cannot be read.
var errRecord = errors.New("vault: stored record cannot be read")

// collection is the state machine for one kind of object.
type collection struct {
	kind  string
	terms Terms
	space Space
	key   *seal.Key
	now   time.Time
	// newVersion makes the identifiers of versions and lives: 32 hex digits.
	newVersion func() string
	// linked is true for the keys and the secrets of certificates, while
	// they are changed with them.
	linked bool
	// pair is the key of the certificate that is being written, for the
	// judge.
	pair *KeyContent
}

// The keys of a name, which is lower-case already.
func (c *collection) liveKey(name string) string    { return c.kind + "/" + name }
func (c *collection) deletedKey(name string) string { return "deleted" + c.kind + "/" + name }
func (c *collection) garbageKey(name, life string) string {
	return "garbage/" + c.kind + "/" + name + "/" + life
}
func (c *collection) versionsPrefix(name, life string) string {
	return c.kind + "versions/" + name + "/" + life + "/"
}

// expired reports whether a deleted object's time has come.
func (c *collection) expired(o *Object) bool {
	return o.Purge != 0 && c.now.Unix() >= o.Purge
}

// read gets and opens the object at a key; ok is false when there is none.
func (c *collection) read(ctx context.Context, key string) (item store.Item, o Object, ok bool, err error) {
	item, err = c.space.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return store.Item{}, Object{}, false, nil
	}
	if err != nil {
		return store.Item{}, Object{}, false, err
	}
	o, err = c.openObject(item)
	return item, o, err == nil, err
}

// readDeleted is read for the deleted object of a name; one whose time has
// come is not there any more, and its item is returned all the same so that
// it can be dropped.
func (c *collection) readDeleted(ctx context.Context, name string) (item store.Item, o Object, ok bool, err error) {
	item, o, ok, err = c.read(ctx, c.deletedKey(name))
	return item, o, ok && !c.expired(&o), err
}

func (c *collection) openObject(item store.Item) (Object, error) {
	plain, err := c.key.Open(item.Key, item.Value)
	if err != nil {
		return Object{}, fmt.Errorf("%w: %s: %w", errRecord, item.Key, err)
	}
	o, err := decodeObject(string(plain))
	if err != nil {
		return Object{}, fmt.Errorf("%w: %s", err, item.Key)
	}
	return o, nil
}

func (c *collection) openVersion(item store.Item) (Version, error) {
	plain, err := c.key.Open(item.Key, item.Value)
	if err != nil {
		return Version{}, fmt.Errorf("%w: %s: %w", errRecord, item.Key, err)
	}
	v, err := decodeVersion(string(plain))
	if err != nil {
		return Version{}, fmt.Errorf("%w: %s", err, item.Key)
	}
	return v, nil
}

// recordKey is where an object stands.
func (c *collection) recordKey(o *Object) string {
	if o.Deleted != 0 {
		return c.deletedKey(fold(o.Name))
	}
	return c.liveKey(fold(o.Name))
}

// replace puts the object o in the place of old and keeps the indexes; nil
// is no object.
func (c *collection) replace(tx *store.Tx, old, o *Object) {
	from, to := c.indexKey(old), c.indexKey(o)
	if old != nil && (o == nil || c.recordKey(old) != c.recordKey(o)) {
		tx.Delete(c.recordKey(old))
	}
	if o != nil {
		key := c.recordKey(o)
		tx.Put(key, c.key.Seal(key, appendObject(nil, o)))
	}
	if from == to {
		return
	}
	if from != "" {
		tx.Delete(from)
	}
	if to != "" {
		tx.Put(to, []byte{recordFormat})
	}
}

func (c *collection) putVersion(tx *store.Tx, o *Object, v *Version) {
	key := c.versionsPrefix(fold(o.Name), o.life) + v.ID
	tx.Put(key, c.key.Seal(key, appendVersion(nil, v)))
}

// change runs a step that reads, decides and fills a transaction, commits
// it, and begins again when what was read has changed meanwhile. A step
// that returns an error ends it.
func (c *collection) change(ctx context.Context, step func(tx *store.Tx) error) error {
	for range attempts {
		var tx store.Tx
		err := step(&tx)
		if err == nil {
			err = c.space.Commit(ctx, &tx)
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return Contended
}
