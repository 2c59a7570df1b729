package upkeep

import (
	"context"
	"errors"
	"sync"
	"time"

	"postern/internal/estate"
	"postern/internal/eventgrid"
	"postern/internal/vault"
)

// look is how often is looked for events that nobody has reported: those
// that are tried again, and those that a crash left behind. waiting bounds
// how many of a vault are read at once, and maxPages how often in a row: what
// waits behind them for a webhook that answers waits for one that does not.
const (
	look     = 10 * time.Second
	waiting  = 10_000
	maxPages = 20
)

// post is the way to one webhook: what it has had already, and since when it
// does not answer. Both are forgotten when the server ends; an event can then
// be told a second time, with the same id.
type post struct {
	hook     *eventgrid.Hook
	had      map[string]bool
	failures int
	next     time.Time
}

func (k *Keeper) open() {
	k.woken, k.wake, k.page = map[string]bool{}, make(chan struct{}, 1), waiting
	for _, h := range k.Hooks {
		k.posts = append(k.posts, &post{hook: h, had: map[string]bool{}})
	}
}

// Wanted reports whether anybody wants to know what happens in a vault.
func (k *Keeper) Wanted(v *estate.Vault) bool {
	for _, h := range k.Hooks {
		for _, t := range eventgrid.Types() {
			if h.Filter.Wants(v.Resource.Name, t) {
				return true
			}
		}
	}
	return false
}

// Wake says that something happened in a vault, so that it is told at once.
func (k *Keeper) Wake(v *estate.Vault) {
	k.opened.Do(k.open)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.woken[v.Resource.UID] = true
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// deliver tells the webhooks what has happened until the context ends.
func (k *Keeper) deliver(ctx context.Context) {
	k.opened.Do(k.open)
	if len(k.Hooks) == 0 {
		return
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for all := true; ; {
		k.Deliver(ctx, all)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			all = true
		case <-k.wake:
			all = false
		}
	}
}

// Deliver tells the webhooks once what has happened: in all vaults, or in
// those where something did since the last time.
func (k *Keeper) Deliver(ctx context.Context, all bool) {
	k.opened.Do(k.open)
	k.telling.Lock()
	defer k.telling.Unlock()
	k.mu.Lock()
	woken := k.woken
	k.woken = map[string]bool{}
	k.mu.Unlock()
	for _, v := range k.Snapshot().Vaults() {
		if ctx.Err() != nil {
			return
		}
		if !all && !woken[v.Resource.UID] || !k.ready(v) {
			continue
		}
		if err := k.tell(ctx, v); err != nil {
			k.failed(v, "telling events", err)
		}
	}
}

// ready reports whether a webhook that wants to know of a vault can be told
// now. While none can, nothing is read: what waits may be much.
func (k *Keeper) ready(v *estate.Vault) bool {
	for _, p := range k.posts {
		if k.Now().Before(p.next) {
			continue
		}
		for _, t := range eventgrid.Types() {
			if p.hook.Filter.Wants(v.Resource.Name, t) {
				return true
			}
		}
	}
	return false
}

// tell sends the events of a vault to all who want them, and forgets those
// that everybody has had. What stays for a webhook that does not answer does
// not stand in the way of the others.
func (k *Keeper) tell(ctx context.Context, v *estate.Vault) error {
	u := k.upkeep(k.grant(v, "VaultEvents", vault.DueObject{}))
	var last *vault.Event
	for range maxPages {
		events, err := u.Events(ctx, last, k.page)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := k.tellPage(ctx, v, u, events); err != nil {
			return err
		}
		if len(events) < k.page || !k.ready(v) {
			return nil
		}
		last = &events[len(events)-1]
	}
	return nil
}

// tellPage sends some events.
func (k *Keeper) tellPage(ctx context.Context, v *estate.Vault, u *vault.Upkeep, events []vault.Event) error {
	var group sync.WaitGroup
	for _, p := range k.posts {
		group.Go(func() { k.send(ctx, v, p, events) })
	}
	group.Wait()
	var done []vault.Event
	for _, e := range events {
		if k.told(v, e) {
			done = append(done, e)
		}
	}
	if len(done) == 0 {
		return nil
	}
	if err := u.Delivered(ctx, done...); err != nil {
		return err
	}
	for _, p := range k.posts {
		for _, e := range done {
			delete(p.had, e.ID)
		}
	}
	return nil
}

// told reports whether everybody who wants an event has had it.
func (k *Keeper) told(v *estate.Vault, e vault.Event) bool {
	for _, p := range k.posts {
		if k.wants(v, p, e) && !p.had[e.ID] {
			return false
		}
	}
	return true
}

// typeOf is the event's type; false for what no webhook is told.
func typeOf(e vault.Event) (eventgrid.Type, bool) {
	words, known := kinds[e.Kind]
	switch {
	case !known:
		return "", false
	case e.News == vault.NewVersion:
		return words.newVersion, true
	case e.News == vault.NewsNear:
		return words.near, true
	case e.News == vault.NewsExpired:
		return words.expired, true
	}
	return "", false
}

func (k *Keeper) wants(v *estate.Vault, p *post, e vault.Event) bool {
	t, ok := typeOf(e)
	return ok && p.hook.Filter.Wants(v.Resource.Name, t)
}

// send sends a webhook the events it wants and has not had, in their order,
// until one fails; then it is left alone for a while. What is too old is not
// sent any more.
func (k *Keeper) send(ctx context.Context, v *estate.Vault, p *post, events []vault.Event) {
	if k.Now().Before(p.next) {
		return
	}
	for _, e := range events {
		if p.had[e.ID] || !k.wants(v, p, e) {
			continue
		}
		if k.Now().Sub(time.Unix(e.Time, 0)) > eventgrid.MaxAge {
			k.Log.Warn("an event is too old to be told", "webhook", p.hook.Name, "vault", v.Resource.Name, "event", e.ID)
			p.had[e.ID] = true
			continue
		}
		err := p.hook.Send(ctx, k.event(v, e), p.failures)
		var dropped *eventgrid.Dropped
		switch {
		case err == nil:
			p.failures = 0
		case errors.As(err, &dropped):
			k.Log.Warn("an event is not wanted", "webhook", p.hook.Name, "vault", v.Resource.Name, "event", e.ID, "error", err)
		default:
			if ctx.Err() != nil {
				return
			}
			p.failures++
			p.next = k.Now().Add(eventgrid.Wait(p.failures))
			k.Log.Warn("an event is told later", "webhook", p.hook.Name, "vault", v.Resource.Name, "again", p.next, "error", err)
			return
		}
		p.had[e.ID] = true
	}
}

// event is what is sent of an event.
func (k *Keeper) event(v *estate.Vault, e vault.Event) *eventgrid.Event {
	t, _ := typeOf(e)
	made := &eventgrid.Event{ID: e.ID, Type: t, Time: time.Unix(e.Time, 0), Topic: v.Resource.ID, Vault: v.Resource.Name,
		URL: k.url(v, e.Kind, e.Name, e.Version), Name: e.Name, Version: e.Version}
	if e.NotBefore.Known {
		made.NotBefore = &e.NotBefore.Unix
	}
	if e.Expires.Known {
		made.Expires = &e.Expires.Unix
	}
	return made
}
