package vault

import (
	"context"
	"errors"
	"strings"
	"time"

	"postern/internal/store"
)

// indexedKey marks a vault whose objects are all in the indexes. An older
// version of postern kept none; the mark's value is the number of the way in
// which they are made.
const (
	indexedKey     = "indexed"
	indexedVersion = 1
)

// Outlived is up to limit deleted objects of a vault whose time has come. It
// reads them and nothing else, however much the vault holds.
func Outlived(ctx context.Context, space Space, now time.Time, limit int) ([]DueObject, error) {
	return ripe(ctx, space, purgePrefix, now, limit)
}

// Purge removes one deleted object whose time has come, or a key of the
// index that is left over.
func (u *Upkeep) Purge(ctx context.Context, d DueObject) error {
	c := u.collection(d.Kind)
	item, o, ok, err := c.read(ctx, c.deletedKey(d.Name))
	if err != nil {
		return err
	}
	if !ok || c.indexKey(&o) != d.key(purgePrefix) {
		return u.forget(ctx, item, c.deletedKey(d.Name), d.key(purgePrefix))
	}
	var tx store.Tx
	if err := c.drop(ctx, &tx, item, &o); err != nil {
		return err
	}
	if d.Kind == kindCertificates {
		for _, l := range []*collection{u.collection(kindKeys), u.collection(kindSecrets)} {
			if err := l.dropLinked(ctx, &tx, d.Name); err != nil {
				return err
			}
		}
	}
	if err := u.Space.Commit(ctx, &tx); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil // somebody was faster; the next sweep sees
}

// dropLinked removes the deleted key or secret of a certificate, where it is
// still there: a new object may have taken its name since its time came.
func (c *collection) dropLinked(ctx context.Context, tx *store.Tx, name string) error {
	item, o, ok, err := c.read(ctx, c.deletedKey(name))
	if err != nil || !ok || !o.Version.Managed {
		return err
	}
	return c.drop(ctx, tx, item, &o)
}

// Clear removes what is left of purged objects with very many versions, a
// batch at a time, in up to limit transactions; it reports how many there
// were.
func (u *Upkeep) Clear(ctx context.Context, limit int) (int, error) {
	done := 0
	for done < limit {
		marks, err := u.Space.Range(ctx, "garbage/", "", 1)
		if err != nil || len(marks) == 0 {
			return done, err
		}
		kind, rest, ok := strings.Cut(strings.TrimPrefix(marks[0].Key, "garbage/"), "/")
		if !ok {
			return done, errRecord
		}
		items, err := u.Space.Range(ctx, kind+"versions/"+rest+"/", "", batch)
		if err != nil {
			return done, err
		}
		var tx store.Tx
		for _, item := range items {
			tx.Delete(item.Key)
		}
		if len(items) < batch {
			tx.Delete(marks[0].Key)
		}
		if err := u.Space.Commit(ctx, &tx); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}

// Indexed reports whether all objects of the vault are in the indexes. It is
// so for a vault that is empty.
func (u *Upkeep) Indexed(ctx context.Context) (bool, error) {
	item, err := u.Space.Get(ctx, indexedKey)
	if err == nil {
		return len(item.Value) == 1 && item.Value[0] == indexedVersion, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	items, err := u.Space.Range(ctx, "", "", 1)
	return len(items) == 0, err
}

// Index puts the objects that an older version of postern left into the
// indexes and marks that it was done. It walks through the whole vault, a
// batch at a time, and once in its life.
func (u *Upkeep) Index(ctx context.Context) error {
	for _, kind := range []string{kindSecrets, kindKeys, kindCertificates} {
		c := u.collection(kind)
		for _, prefix := range []string{c.liveKey(""), c.deletedKey("")} {
			for after, more := "", true; more; {
				items, err := u.Space.Range(ctx, prefix, after, batch)
				if err != nil {
					return err
				}
				if err := c.index(ctx, items); err != nil {
					return err
				}
				more = len(items) == batch
				if more {
					after = items[batch-1].Key
				}
			}
		}
	}
	var tx store.Tx
	tx.Put(indexedKey, []byte{indexedVersion})
	return u.Space.Commit(ctx, &tx)
}

// index puts objects into the indexes, one by one when one of them has
// changed since it was read.
func (c *collection) index(ctx context.Context, items []store.Item) error {
	var tx store.Tx
	for _, item := range items {
		o, err := c.openObject(item)
		if err != nil {
			return err
		}
		if key := c.indexKey(&o); key != "" {
			tx.Unchanged(item)
			tx.Put(key, []byte{recordFormat})
		}
	}
	if len(tx.Operations) == 0 {
		return nil
	}
	err := c.space.Commit(ctx, &tx)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	for _, item := range items {
		if err := c.indexOne(ctx, item.Key); err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) indexOne(ctx context.Context, key string) error {
	err := c.change(ctx, func(tx *store.Tx) error {
		item, o, ok, err := c.read(ctx, key)
		if err != nil {
			return err
		}
		if !ok || c.indexKey(&o) == "" {
			return errNothing
		}
		tx.Unchanged(item)
		tx.Put(c.indexKey(&o), []byte{recordFormat})
		return nil
	})
	return unlessGone(err)
}
