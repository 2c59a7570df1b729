package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"postern/internal/seal"
	"postern/internal/store"
)

// News is what an event says (documentation: event-schema-key-vault).
type News string

// The news.
const (
	NewVersion  News = "NewVersionCreated"
	NewsNear    News = "NearExpiry"
	NewsExpired News = "Expired"
	// NewsNotice is for the contacts of certificates, who are told by mail.
	NewsNotice News = "EmailContacts"
)

// Event is something that happened to an object, on its way to who wants to
// be told.
type Event struct {
	// ID is the same for the same happening, however often it is told: 32
	// lower-case hex digits.
	ID   string
	News News
	// Kind is "secrets", "keys" or "certificates".
	Kind, Name, Version string
	NotBefore, Expires  Stamp
	// Time is when it happened, in unix seconds.
	Time int64
}

// key is where an event waits: in the order of time.
func (e *Event) key() string { return "events/" + timeKey(e.Time) + "/" + e.ID }

// emit puts an event into the transaction that makes it true. It stays in
// the vault's space until Delivered.
func emit(tx *store.Tx, key *seal.Key, e Event) {
	plain, err := json.Marshal(e)
	if err != nil {
		panic("vault: internal error: " + err.Error()) // strings and numbers
	}
	tx.Put(e.key(), key.Seal(e.key(), plain))
}

// announce emits what happened to an object, if somebody wants to know.
func (c *collection) announce(tx *store.Tx, o *Object, n News) {
	if !c.terms.Events || c.linked || c.hollow(o) {
		return
	}
	v := &o.Version
	at := c.now.Unix()
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%s/%s/%s/%d", c.kind, fold(o.Name), o.life, v.ID, n, v.Expires.Unix))
	emit(tx, c.key, Event{ID: hex.EncodeToString(sum[:16]), News: n, Kind: c.kind, Name: o.Name, Version: v.ID,
		NotBefore: v.NotBefore, Expires: v.Expires, Time: at})
}

// Events is up to limit events that were not delivered yet, the oldest
// first; those behind an event, where after is not nil.
func (u *Upkeep) Events(ctx context.Context, after *Event, limit int) ([]Event, error) {
	from := ""
	if after != nil {
		from = after.key()
	}
	items, err := u.Space.Range(ctx, "events/", from, limit)
	if err != nil {
		return nil, err
	}
	events := make([]Event, len(items))
	for i, item := range items {
		plain, err := u.Key.Open(item.Key, item.Value)
		if err == nil {
			err = json.Unmarshal(plain, &events[i])
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errRecord, item.Key, err)
		}
	}
	return events, nil
}

// Delivered forgets events that were told, or that cannot be told to
// anybody. An event that is told and then not forgotten, as after a crash,
// is told again with the same identifier.
func (u *Upkeep) Delivered(ctx context.Context, events ...Event) error {
	var tx store.Tx
	for i := range events {
		tx.Delete(events[i].key())
	}
	return u.Space.Commit(ctx, &tx)
}
