package vault

import (
	"context"
	"errors"
	"slices"
	"strings"

	"postern/internal/store"
)

// batch bounds how many versions one transaction removes.
const batch = 1000

// get reads the object with one of its versions; "" is the latest.
func (c *collection) get(ctx context.Context, name, version string) (Object, error) {
	o, _, _, err := c.find(ctx, fold(name), fold(version))
	return o, err
}

// find is get, with the items that a change has to guard: the object's and,
// when the version is not the latest, the version's.
func (c *collection) find(ctx context.Context, name, version string) (o Object, head, older store.Item, err error) {
	head, o, ok, err := c.read(ctx, c.liveKey(name))
	if err != nil {
		return Object{}, head, older, err
	}
	if !ok {
		return Object{}, head, older, NotFound
	}
	if version == "" || version == o.Version.ID {
		return o, head, older, nil
	}
	if !validVersion(version) {
		return Object{}, head, older, NotFound
	}
	older, err = c.space.Get(ctx, c.versionsPrefix(name, o.life)+version)
	if errors.Is(err, store.ErrNotFound) {
		return Object{}, head, older, NotFound
	}
	if err != nil {
		return Object{}, head, older, err
	}
	o.Version, err = c.openVersion(older)
	return o, head, older, err
}

// add makes v the latest version of the object, which is created when it
// does not exist.
func (c *collection) add(ctx context.Context, name string, v Version) (Object, error) {
	var made Object
	id, key := c.newVersion(), fold(name)
	v.ID, v.Created, v.Updated = id, c.now.Unix(), c.now.Unix()
	err := c.change(ctx, func(tx *store.Tx) error {
		item, o, ok, err := c.read(ctx, c.liveKey(key))
		if err != nil {
			return err
		}
		if ok {
			tx.Unchanged(item)
			c.putVersion(tx, &o, &o.Version)
			o.versions++
		} else {
			if err := c.claim(ctx, tx, key); err != nil {
				return err
			}
			o = Object{Name: name, life: c.newVersion(), versions: 1}
		}
		o.Version = v
		c.putObject(tx, c.liveKey(key), &o)
		made = o
		return nil
	})
	return made, err
}

// claim guards that a name is free, and drops a deleted object that held it
// and whose time has come.
func (c *collection) claim(ctx context.Context, tx *store.Tx, name string) error {
	tx.Absent(c.liveKey(name))
	item, gone, kept, err := c.readDeleted(ctx, name)
	switch {
	case err != nil:
		return err
	case kept:
		return IsDeleted
	case item.Key == "":
		tx.Absent(c.deletedKey(name))
		return nil
	}
	return c.drop(ctx, tx, item, &gone)
}

// drop removes a deleted object and its versions. Of very many versions the
// rest is left to Sweep, under a mark that makes sure it is done.
func (c *collection) drop(ctx context.Context, tx *store.Tx, item store.Item, o *Object) error {
	tx.Unchanged(item)
	tx.Delete(item.Key)
	if o.versions < 2 {
		return nil
	}
	name := fold(o.Name)
	older, err := c.space.Range(ctx, c.versionsPrefix(name, o.life), "", batch+1)
	if err != nil {
		return err
	}
	if len(older) > batch {
		older = older[:batch]
		tx.Put(c.garbageKey(name, o.life), []byte{recordFormat})
	}
	for _, item := range older {
		tx.Delete(item.Key)
	}
	return nil
}

// update applies fn to one version; "" is the latest.
func (c *collection) update(ctx context.Context, name, version string, fn func(*Version) error) (Object, error) {
	var made Object
	err := c.change(ctx, func(tx *store.Tx) error {
		o, head, older, err := c.find(ctx, fold(name), fold(version))
		if err != nil {
			return err
		}
		if err := fn(&o.Version); err != nil {
			return err
		}
		o.Version.Updated = c.now.Unix()
		tx.Unchanged(head)
		if older.Key == "" {
			c.putObject(tx, head.Key, &o)
		} else {
			tx.Unchanged(older)
			c.putVersion(tx, &o, &o.Version)
		}
		made = o
		return nil
	})
	return made, err
}

// remove soft-deletes the object: it moves, with all its versions, to the
// deleted ones.
func (c *collection) remove(ctx context.Context, name string) (Object, error) {
	var made Object
	key := fold(name)
	err := c.change(ctx, func(tx *store.Tx) error {
		o, head, _, err := c.find(ctx, key, "")
		if err != nil {
			return err
		}
		o.Deleted = c.now.Unix()
		o.Purge = c.now.AddDate(0, 0, c.terms.RetentionDays).Unix()
		tx.Unchanged(head)
		tx.Absent(c.deletedKey(key))
		tx.Delete(head.Key)
		c.putObject(tx, c.deletedKey(key), &o)
		made = o
		return nil
	})
	return made, err
}

func (c *collection) getDeleted(ctx context.Context, name string) (Object, error) {
	_, o, ok, err := c.readDeleted(ctx, fold(name))
	if err == nil && !ok {
		err = NotDeleted
	}
	return o, err
}

// recover brings a deleted object back as it was.
func (c *collection) recover(ctx context.Context, name string) (Object, error) {
	var made Object
	key := fold(name)
	err := c.change(ctx, func(tx *store.Tx) error {
		item, o, ok, err := c.readDeleted(ctx, key)
		if err != nil {
			return err
		}
		if !ok {
			return NotDeleted
		}
		o.Deleted, o.Purge = 0, 0
		tx.Unchanged(item)
		tx.Absent(c.liveKey(key))
		tx.Delete(item.Key)
		c.putObject(tx, c.liveKey(key), &o)
		made = o
		return nil
	})
	return made, err
}

// purge removes a deleted object for good.
func (c *collection) purge(ctx context.Context, name string) error {
	return c.change(ctx, func(tx *store.Tx) error {
		item, o, ok, err := c.readDeleted(ctx, fold(name))
		switch {
		case err != nil:
			return err
		case !ok:
			return NotDeleted
		case c.terms.PurgeProtected:
			return Protected
		}
		return c.drop(ctx, tx, item, &o)
	})
}

// list is one page of the live or the deleted objects in the order of their
// names. One read, whatever the vault holds; a page can be short where the
// time of deleted objects has come.
func (c *collection) list(ctx context.Context, prefix, after string, limit int) (Page, error) {
	if after != "" {
		after = prefix + after
	}
	items, err := c.space.Range(ctx, prefix, after, limit+1)
	if err != nil {
		return Page{}, err
	}
	var page Page
	if len(items) > limit {
		items = items[:limit]
		page.Next = strings.TrimPrefix(items[limit-1].Key, prefix)
	}
	page.Objects = make([]Object, 0, len(items))
	for _, item := range items {
		o, err := c.openObject(item)
		if err != nil {
			return Page{}, err
		}
		if !c.expired(&o) {
			o.Version.Value = ""
			page.Objects = append(page.Objects, o)
		}
	}
	return page, nil
}

// versions is one page of an object's versions in the order of their
// identifiers. The latest is kept with the object and is put in its place.
func (c *collection) versions(ctx context.Context, name, after string, limit int) (Page, error) {
	head, _, _, err := c.find(ctx, fold(name), "")
	if err != nil {
		return Page{}, err
	}
	prefix := c.versionsPrefix(fold(name), head.life)
	from := ""
	if after != "" {
		from = prefix + after
	}
	var page Page
	if head.versions > 1 {
		items, err := c.space.Range(ctx, prefix, from, limit+1)
		if err != nil {
			return Page{}, err
		}
		for _, item := range items {
			v, err := c.openVersion(item)
			if err != nil {
				return Page{}, err
			}
			page.Objects = append(page.Objects, Object{Name: head.Name, Version: v})
		}
	}
	at, found := slices.BinarySearchFunc(page.Objects, head.Version.ID, func(o Object, id string) int {
		return strings.Compare(o.Version.ID, id)
	})
	// A version that was the latest a moment ago can be among the others by
	// now, when a new one was set between the two reads.
	if head.Version.ID > after && !found {
		page.Objects = slices.Insert(page.Objects, at, head)
	}
	if len(page.Objects) > limit {
		page.Objects = page.Objects[:limit]
		page.Next = page.Objects[limit-1].Version.ID
	}
	for i := range page.Objects {
		page.Objects[i].Version.Value = ""
	}
	return page, nil
}

// sweep removes up to limit deleted objects whose time has come, and what
// earlier purges left. It reports how many transactions it committed.
func (c *collection) sweep(ctx context.Context, limit int) (int, error) {
	done := 0
	prefix, after := c.deletedKey(""), ""
	for done < limit {
		items, err := c.space.Range(ctx, prefix, after, MaxPage)
		if err != nil {
			return done, err
		}
		for _, item := range items {
			o, err := c.openObject(item)
			if err != nil {
				return done, err
			}
			if done >= limit || !c.expired(&o) {
				continue
			}
			var tx store.Tx
			if err := c.drop(ctx, &tx, item, &o); err != nil {
				return done, err
			}
			if err := c.space.Commit(ctx, &tx); err != nil {
				return done, err
			}
			done++
		}
		if len(items) < MaxPage {
			break
		}
		after = items[len(items)-1].Key
	}
	more, err := c.sweepGarbage(ctx, limit-done)
	return done + more, err
}

// sweepGarbage removes what is left of purged objects, a batch at a time.
func (c *collection) sweepGarbage(ctx context.Context, limit int) (int, error) {
	done := 0
	for done < limit {
		marks, err := c.space.Range(ctx, "garbage/"+c.kind+"/", "", 1)
		if err != nil || len(marks) == 0 {
			return done, err
		}
		rest := strings.TrimPrefix(marks[0].Key, "garbage/"+c.kind+"/")
		items, err := c.space.Range(ctx, c.kind+"versions/"+rest+"/", "", batch)
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
		if err := c.space.Commit(ctx, &tx); err != nil {
			return done, err
		}
		done++
	}
	return done, nil
}
