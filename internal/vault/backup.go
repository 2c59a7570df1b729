package vault

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"postern/internal/seal"
	"postern/internal/store"
)

// A backup blob is, in this order: the magic with the format's version, the
// mark of where it may be restored (a hash of subscription and geography),
// and the sealed content. The seal covers kind and mark, so neither can be
// exchanged. The mark is in the open only to tell a foreign blob from a
// damaged one.
const (
	backupMagic = "postern\x01"
	markSize    = 16
)

// MaxBlob bounds the size of a backup blob: MaxBackup versions with values
// at their limit, and room for what describes them.
const MaxBlob = MaxBackup*MaxValue + 4<<20

func (t Terms) mark() string {
	sum := sha256.Sum256([]byte(strings.ToLower(t.Subscription) + "\n" + strings.ToLower(t.Geography)))
	return string(sum[:markSize])
}

func (c *collection) backupBinding() string { return "backup/" + c.kind + "/" + c.terms.mark() }

// backup seals the object with all its versions into a blob.
func (c *collection) backup(ctx context.Context, key *seal.Key, name string) ([]byte, error) {
	for range attempts {
		head, _, _, err := c.find(ctx, fold(name), "")
		if err != nil {
			return nil, err
		}
		if head.versions > MaxBackup {
			return nil, TooManyVersions
		}
		older, err := c.space.Range(ctx, c.versionsPrefix(fold(name), head.life), "", MaxBackup)
		if err != nil {
			return nil, err
		}
		if len(older) != head.versions-1 {
			// A version was set, or the object was purged, between the two reads.
			continue
		}
		plain, err := c.backupContent(&head, older)
		if err != nil {
			return nil, err
		}
		if len(plain) > MaxBlob-1024 {
			return nil, TooManyVersions
		}
		blob := append([]byte(backupMagic), c.terms.mark()...)
		return append(blob, key.Seal(c.backupBinding(), plain)...), nil
	}
	return nil, Contended
}

// backupContent is the name and the versions, the latest first.
func (c *collection) backupContent(head *Object, older []store.Item) ([]byte, error) {
	plain := appendString([]byte{recordFormat}, head.Name)
	plain = binary.AppendUvarint(plain, uint64(head.versions))
	plain = appendString(plain, string(appendVersion(nil, &head.Version)))
	for _, item := range older {
		v, err := c.openVersion(item)
		if err != nil {
			return nil, err
		}
		plain = appendString(plain, string(appendVersion(nil, &v)))
	}
	return plain, nil
}

// openBackup reads a blob: the object's name and its versions, the latest
// first.
func (c *collection) openBackup(key *seal.Key, blob []byte) (name string, versions []Version, err error) {
	sealed, ok := strings.CutPrefix(string(blob), backupMagic)
	if !ok || len(sealed) < markSize {
		return "", nil, BackupMalformed
	}
	if sealed[:markSize] != c.terms.mark() {
		return "", nil, BackupForeign
	}
	plain, err := key.Open(c.backupBinding(), []byte(sealed[markSize:]))
	if err != nil {
		return "", nil, BackupMalformed
	}
	r := reader{rest: string(plain)}
	if r.byte() != recordFormat {
		return "", nil, BackupMalformed
	}
	name = r.string()
	n := r.uvarint()
	if n == 0 || n > MaxBackup || checkName(name) != nil {
		return "", nil, BackupMalformed
	}
	for range n {
		v, err := decodeVersion(r.string())
		if err != nil || !validVersion(v.ID) {
			return "", nil, BackupMalformed
		}
		versions = append(versions, v)
	}
	if !r.end() {
		return "", nil, BackupMalformed
	}
	return name, versions, nil
}

// restore makes the object of a blob anew, with its versions and their
// identifiers. The name must be free; where it is not, the object that comes
// with the error holds it.
func (c *collection) restore(ctx context.Context, key *seal.Key, blob []byte) (Object, error) {
	name, versions, err := c.openBackup(key, blob)
	if err != nil {
		return Object{}, err
	}
	made := Object{Name: name, Version: versions[0], life: c.newVersion(), versions: len(versions)}
	err = c.change(ctx, func(tx *store.Tx) error {
		_, _, taken, err := c.read(ctx, c.liveKey(fold(name)))
		if err != nil {
			return err
		}
		if taken {
			return Exists
		}
		if err := c.claim(ctx, tx, fold(name)); err != nil {
			return err
		}
		for i := range versions[1:] {
			c.putVersion(tx, &made, &versions[i+1])
		}
		c.putObject(tx, c.liveKey(fold(name)), &made)
		return nil
	})
	if err != nil {
		return Object{Name: name}, err
	}
	return made, nil
}
