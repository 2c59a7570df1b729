package vault

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"postern/internal/seal"
	"postern/internal/store"
)

// The prefixes of the two indexes by time. The keys are made of the objects
// alone and move with them in one transaction; the values say nothing.
const (
	duePrefix   = "due/"
	purgePrefix = "purge/"
)

// timeKey is a time in keys: 12 digits, so that they sort.
func timeKey(unix int64) string {
	s := strconv.FormatInt(min(max(unix, 0), lastMoment), 10)
	return "000000000000"[len(s):] + s
}

// indexKey is the one key that an object has in the indexes: when it is due
// or, of a deleted one, when its time has come; "" for none. A certificate's
// stands for its key and its secret, too.
func (c *collection) indexKey(o *Object) string {
	switch {
	case o == nil || o.Version.Managed:
		return ""
	case o.Deleted != 0:
		return purgePrefix + timeKey(o.Purge) + "/" + c.kind + "/" + fold(o.Name)
	}
	at := next(c.kind, o)
	if at == 0 {
		return ""
	}
	return duePrefix + timeKey(at) + "/" + c.kind + "/" + fold(o.Name)
}

// DueObject is an object that something is to be done about.
type DueObject struct {
	// Kind is "secrets", "keys", "certificates" or "pending".
	Kind string
	// Name is lower-case.
	Name string
	// At is since when, in unix seconds.
	At int64
}

func (d DueObject) key(prefix string) string {
	return prefix + timeKey(d.At) + "/" + d.Kind + "/" + d.Name
}

func parseDue(prefix, key string) (d DueObject, ok bool) {
	at, rest, ok1 := strings.Cut(strings.TrimPrefix(key, prefix), "/")
	kind, name, ok2 := strings.Cut(rest, "/")
	unix, err := strconv.ParseInt(at, 10, 64)
	return DueObject{kind, name, unix}, ok1 && ok2 && err == nil
}

// Due is up to limit objects of a vault that something is to be done about
// at a time, the longest overdue first. It reads what is due and nothing
// else, however much the vault holds.
func Due(ctx context.Context, space Space, now time.Time, limit int) ([]DueObject, error) {
	return ripe(ctx, space, duePrefix, now, limit)
}

func ripe(ctx context.Context, space Space, prefix string, now time.Time, limit int) ([]DueObject, error) {
	items, err := space.Range(ctx, prefix, "", limit)
	if err != nil {
		return nil, err
	}
	var list []DueObject
	for _, item := range items {
		d, ok := parseDue(prefix, item.Key)
		if !ok {
			return nil, errRecord
		}
		if d.At > now.Unix() {
			break
		}
		list = append(list, d)
	}
	return list, nil
}

// Upkeep is what a server does for the objects of one vault without being
// asked, at one moment. What is due is found by Due; what that means for an
// object says Moments. Then
//
//   - near expiry, expiry and notices are announced by Announce,
//   - a key is rotated by Keys.RotateIfDue,
//   - a certificate's renewal is begun by Certificates.RenewIfDue,
//   - a pending operation is read by Certificates.Pending, its issuer asked,
//     and what it said written by ChangePending or Complete.
//
// Each records in one transaction that the moment was acted on, and the act.
// What cannot be done now is put off by Postpone.
type Upkeep struct {
	Terms      Terms
	Space      Space
	Key        *seal.Key
	Now        time.Time
	NewVersion func() string
}

func (u *Upkeep) collection(kind string) *collection {
	return &collection{kind: kind, terms: u.Terms, space: u.Space, key: u.Key, now: u.Now, newVersion: u.NewVersion}
}

// dueNow is the moments of an object that have come and were not acted on.
// What has expired is not near its expiry any more.
func (c *collection) dueNow(o *Object) []Moment {
	if o.retry > c.now.Unix() {
		return nil
	}
	all := waiting(c.kind, o)
	n := 0
	for _, m := range all {
		if m.At <= c.now.Unix() {
			all[n] = m
			n++
		}
	}
	all = all[:n]
	if hasAction(all, Expiry) {
		n = 0
		for _, m := range all {
			if m.Action != NearExpiry {
				all[n] = m
				n++
			}
		}
	}
	return all[:n]
}

// Moments is what is to be done about an object now; its value is left out.
// Where nothing is, because somebody was faster or a key of the index is
// left over, the key is removed.
func (u *Upkeep) Moments(ctx context.Context, d DueObject) (Object, []Moment, error) {
	if d.Kind == kindPending {
		return u.pendingMoments(ctx, d)
	}
	c := u.collection(d.Kind)
	item, o, ok, err := c.read(ctx, c.liveKey(d.Name))
	if err != nil {
		return Object{}, nil, err
	}
	if ok {
		if all := c.dueNow(&o); len(all) > 0 {
			o.Version.Value = ""
			return o, all, nil
		}
	}
	if !ok || c.indexKey(&o) != d.key(duePrefix) {
		return Object{}, nil, u.forget(ctx, item, c.liveKey(d.Name), d.key(duePrefix))
	}
	return Object{}, nil, nil
}

// forget removes a key of an index that the object does not have any more,
// provided that the object is still as it was read.
func (u *Upkeep) forget(ctx context.Context, item store.Item, at, key string) error {
	var tx store.Tx
	if item.Key == "" {
		tx.Absent(at)
	} else {
		tx.Unchanged(item)
	}
	tx.Delete(key)
	if err := u.Space.Commit(ctx, &tx); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil // it has changed, and took its key with it
}

// Announce acts on the near expiry, the expiry or the notice of an object:
// the event and the memory that it was made are one transaction. It reports
// false, and does nothing, when that is not due any more.
func (u *Upkeep) Announce(ctx context.Context, d DueObject, a Action) (bool, error) {
	news, ok := map[Action]News{NearExpiry: NewsNear, Expiry: NewsExpired, Notice: NewsNotice}[a]
	if !ok {
		return false, nil
	}
	c, done := u.collection(d.Kind), false
	_, err := c.adjust(ctx, "", d.Name, func(tx *store.Tx, o *Object) error {
		done = c.handle(o, a)
		if !done {
			return errNothing
		}
		c.announce(tx, o, news)
		return nil
	})
	return done && err == nil, unlessGone(err)
}

// errNothing ends a change that turned out to have nothing to do.
var errNothing = errors.New("vault: nothing to do")

// handle notes that an action that is due was acted on; false when it is
// not due.
func (c *collection) handle(o *Object, a Action) bool {
	due := c.dueNow(o)
	if !hasAction(due, a) {
		return false
	}
	for _, m := range waiting(c.kind, o) {
		if m.Action == a || a == Expiry && m.Action == NearExpiry && m.At <= c.now.Unix() {
			o.handled[m.Action] = m.At
		}
	}
	o.retry = 0
	return true
}

// Postpone leaves an object alone until a time, because what was due could
// not be done. It is for all that is due of the object.
func (u *Upkeep) Postpone(ctx context.Context, d DueObject, until time.Time) error {
	if d.Kind == kindPending {
		s := Certificates{Space: u.Space, Key: u.Key, Now: u.Now}
		_, err := s.ChangePending(ctx, d.Name, func(p *Pending) error { p.Poll = At(until.Unix()); return nil })
		return unlessGone(err)
	}
	c := u.collection(d.Kind)
	_, err := c.adjust(ctx, "", d.Name, func(_ *store.Tx, o *Object) error {
		if len(c.dueNow(o)) == 0 {
			return errNothing
		}
		o.retry = until.Unix()
		return nil
	})
	return unlessGone(err)
}

// unlessGone is err, unless it says that there is nothing to do.
func unlessGone(err error) error {
	if errors.Is(err, errNothing) || errors.Is(err, NotFound) || errors.Is(err, NoPending) {
		return nil
	}
	return err
}
