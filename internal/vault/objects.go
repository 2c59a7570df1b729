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
	f, err := c.find(ctx, fold(name), fold(version))
	if err != nil {
		return Object{}, err
	}
	return f.object, nil
}

// found is an object with one of its versions, and the items that a change
// has to guard: the object's and, when the version is not the latest, the
// version's.
type found struct {
	object      Object
	head, older store.Item
	// latest is the latest version.
	latest Version
}

func (c *collection) find(ctx context.Context, name, version string) (f found, err error) {
	head, o, ok, err := c.read(ctx, c.liveKey(name))
	if err != nil {
		return f, err
	}
	if !ok {
		return f, NotFound
	}
	f = found{object: o, head: head, latest: o.Version}
	if version == "" || version == o.Version.ID {
		return f, nil
	}
	if !validVersion(version) {
		return f, NotFound
	}
	f.older, err = c.space.Get(ctx, c.versionsPrefix(name, o.life)+version)
	if errors.Is(err, store.ErrNotFound) {
		return f, NotFound
	}
	if err != nil {
		return f, err
	}
	f.object.Version, err = c.openVersion(f.older)
	return f, err
}

// own refuses what is not this collection's to change: by itself what
// belongs to a certificate, with a certificate what does not.
func (c *collection) own(o *Object) error {
	switch {
	case o.Version.Managed == c.linked:
		return nil
	case c.linked:
		return Exists
	}
	return Managed
}

// addition is a new version on its way in.
type addition struct {
	operation string
	version   Version
	// policy replaces what is said of the object as a whole; nil leaves it.
	policy *string
	// inherit completes the version by the object as it is; old is nil when
	// there is none. An error of it ends the change.
	inherit func(old *Object, v *Version) error
}

// add makes a new version the latest of the object, which is created when it
// does not exist.
func (c *collection) add(ctx context.Context, name string, a addition) (Object, error) {
	var made Object
	a.version.ID = c.newVersion()
	err := c.change(ctx, func(tx *store.Tx) (err error) {
		made, err = c.addIn(ctx, tx, name, a)
		return err
	})
	return made, err
}

func (c *collection) addIn(ctx context.Context, tx *store.Tx, name string, a addition) (Object, error) {
	key, v := fold(name), a.version
	v.Created, v.Updated = c.now.Unix(), c.now.Unix()
	item, o, ok, err := c.read(ctx, c.liveKey(key))
	if err != nil {
		return Object{}, err
	}
	var old *Object
	if ok {
		if err := c.own(&o); err != nil {
			return Object{}, err
		}
		before := o
		old = &before
	}
	if a.inherit != nil {
		if err := a.inherit(old, &v); err != nil {
			return Object{}, err
		}
	}
	switch {
	case old == nil:
		if err := c.claim(ctx, tx, key); err != nil {
			return Object{}, err
		}
		o = Object{Name: name, life: c.newVersion(), versions: 1}
	case c.hollow(old):
		tx.Unchanged(item)
	default:
		tx.Unchanged(item)
		c.putVersion(tx, old, &old.Version)
		o.versions++
	}
	o.handled, o.retry = [actions]int64{}, 0
	o.Version = v
	if a.policy != nil {
		o.Policy = *a.policy
	}
	if err := c.judge(ctx, a.operation, &o); err != nil {
		return Object{}, err
	}
	c.replace(tx, old, &o)
	c.announce(tx, &o, NewVersion)
	return o, nil
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
// rest is left to Clear, under a mark that makes sure it is done.
func (c *collection) drop(ctx context.Context, tx *store.Tx, item store.Item, o *Object) error {
	tx.Unchanged(item)
	c.replace(tx, o, nil)
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

// update applies fn to one version; "" is the latest. fn may change what is
// said of the object as a whole, too.
func (c *collection) update(ctx context.Context, operation, name, version string, fn func(*Object) error) (Object, error) {
	var made Object
	err := c.change(ctx, func(tx *store.Tx) (err error) {
		made, err = c.updateIn(ctx, tx, operation, name, version, fn)
		return err
	})
	return made, err
}

func (c *collection) updateIn(ctx context.Context, tx *store.Tx, operation, name, version string, fn func(*Object) error) (Object, error) {
	f, err := c.find(ctx, fold(name), fold(version))
	if err != nil {
		return Object{}, err
	}
	o, old := f.object, f.object
	old.Version = f.latest
	if err := c.own(&o); err != nil {
		return Object{}, err
	}
	if err := fn(&o); err != nil {
		return Object{}, err
	}
	o.Version.Updated, o.retry = c.now.Unix(), 0
	if err := c.judge(ctx, operation, &o); err != nil {
		return Object{}, err
	}
	tx.Unchanged(f.head)
	if f.older.Key == "" {
		c.replace(tx, &old, &o)
		return o, nil
	}
	tx.Unchanged(f.older)
	c.putVersion(tx, &o, &o.Version)
	if o.Policy != old.Policy {
		next := o
		next.Version = f.latest
		c.replace(tx, &old, &next)
	}
	return o, nil
}

// adjust applies fn to what is said of a live object as a whole; none of its
// versions changes. A judge is not asked without an operation.
func (c *collection) adjust(ctx context.Context, operation, name string, fn func(*store.Tx, *Object) error) (Object, error) {
	var made Object
	err := c.change(ctx, func(tx *store.Tx) error {
		f, err := c.find(ctx, fold(name), "")
		if err != nil {
			return err
		}
		o, old := f.object, f.object
		if err := fn(tx, &o); err != nil {
			return err
		}
		if operation != "" {
			if err := c.judge(ctx, operation, &o); err != nil {
				return err
			}
		}
		tx.Unchanged(f.head)
		c.replace(tx, &old, &o)
		made = o
		return nil
	})
	return made, err
}

// remove soft-deletes the object: it moves, with all its versions, to the
// deleted ones.
func (c *collection) remove(ctx context.Context, name string) (Object, error) {
	var made Object
	err := c.change(ctx, func(tx *store.Tx) (err error) {
		made, err = c.removeIn(ctx, tx, name)
		return err
	})
	return made, err
}

func (c *collection) removeIn(ctx context.Context, tx *store.Tx, name string) (Object, error) {
	f, err := c.find(ctx, fold(name), "")
	if err != nil {
		return Object{}, err
	}
	o, old := f.object, f.object
	if err := c.own(&o); err != nil {
		return Object{}, err
	}
	o.Deleted = c.now.Unix()
	o.Purge = c.now.AddDate(0, 0, c.terms.RetentionDays).Unix()
	tx.Unchanged(f.head)
	tx.Absent(c.deletedKey(fold(name)))
	c.replace(tx, &old, &o)
	return o, nil
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
	err := c.change(ctx, func(tx *store.Tx) (err error) {
		made, err = c.recoverIn(ctx, tx, name)
		return err
	})
	return made, err
}

func (c *collection) recoverIn(ctx context.Context, tx *store.Tx, name string) (Object, error) {
	key := fold(name)
	item, o, ok, err := c.readDeleted(ctx, key)
	if err != nil {
		return Object{}, err
	}
	if !ok {
		return Object{}, NotDeleted
	}
	if err := c.own(&o); err != nil {
		return Object{}, err
	}
	old := o
	o.Deleted, o.Purge = 0, 0
	if err := c.judge(ctx, "recover", &o); err != nil {
		return Object{}, err
	}
	tx.Unchanged(item)
	tx.Absent(c.liveKey(key))
	c.replace(tx, &old, &o)
	return o, nil
}

// purge removes a deleted object for good.
func (c *collection) purge(ctx context.Context, name string) error {
	return c.change(ctx, func(tx *store.Tx) error {
		_, err := c.purgeIn(ctx, tx, name)
		return err
	})
}

func (c *collection) purgeIn(ctx context.Context, tx *store.Tx, name string) (Object, error) {
	item, o, ok, err := c.readDeleted(ctx, fold(name))
	switch {
	case err != nil:
		return Object{}, err
	case !ok:
		return Object{}, NotDeleted
	case c.terms.PurgeProtected:
		return Object{}, Protected
	}
	if err := c.own(&o); err != nil {
		return Object{}, err
	}
	return o, c.drop(ctx, tx, item, &o)
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
			page.Objects = append(page.Objects, o)
		}
	}
	return page, nil
}

// versions is one page of an object's versions in the order of their
// identifiers. The latest is kept with the object and is put in its place.
func (c *collection) versions(ctx context.Context, name, after string, limit int) (Page, error) {
	head, err := c.get(ctx, name, "")
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
	return page, nil
}

// unmanaged is the page without what was deleted with its certificate: it is
// not among the deleted of its own kind, though it is there for who asks for
// it by its name (reported of the service).
func (p Page) unmanaged() Page {
	p.Objects = slices.DeleteFunc(p.Objects, func(o Object) bool { return o.Version.Managed })
	return p
}

// withoutValues is the page as clients may have it.
func (p Page) withoutValues() Page {
	for i := range p.Objects {
		p.Objects[i].Version.Value = ""
	}
	return p
}
