// Package throttle counts the operations of vaults and subscriptions in
// windows of ten seconds, as the service's limits are stated.
package throttle

import (
	"sync"
	"sync/atomic"
	"time"
)

// Window is the length of a window.
const Window = 10 * time.Second

// Profile is one set of limits (documentation: service-limits). A limit is
// stated for the cheapest operation; the cost of another is the ratio of the
// two limits, and what is enforced is the sum.
type Profile struct {
	// Name is the word of the configuration.
	Name string
	// Vault and Subscription are the budgets of a window in operations of
	// cost 1; 0 is no limit.
	Vault, Subscription int64
	// Weighted tells whether costs count; without it everything costs 1.
	Weighted bool
}

// profiles are the limits of today, those until January 2022, and those of
// the guide to private endpoints; the limit of a subscription is five times
// that of a vault.
var profiles = [...]Profile{
	{Name: "off"},
	{Name: "azure", Vault: 4000, Subscription: 5 * 4000, Weighted: true},
	{Name: "2021", Vault: 2000, Subscription: 5 * 2000, Weighted: true},
	{Name: "documents", Vault: 1000},
}

// Named finds a profile by its name.
func Named(name string) (Profile, bool) {
	for _, p := range profiles {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

// Flat is a profile of so many operations a vault, whatever they are.
func Flat(operations int) Profile { return Profile{Name: "flat", Vault: int64(operations)} }

// Cost is what one operation takes from a budget. The numbers are those of
// the service's table: the limit of the cheapest operation divided by the
// operation's own.
type Cost int64

// The costs of operations: secrets and certificates, and keys by type, where
// they are kept, and whether the operation makes one.
const (
	Plain       Cost = 1
	RSA3072     Cost = 4
	RSA4096     Cost = 8
	HSM         Cost = 2 // times that of the type
	CreateKey   Cost = 200
	CreateInHSM Cost = 400
)

// Limiter enforces profiles. A nil Limiter has no limits and costs nothing.
type Limiter struct {
	profile Profile
	vaults  map[string]Profile // by lower-case name, over profile
	now     func() time.Time
	buckets sync.Map // string → *bucket
}

// bucket is the window of one budget: the number of the window in the upper
// half, what is spent of it in the lower.
type bucket struct{ state atomic.Uint64 }

// New makes a Limiter of a profile, and of others for vaults by their
// lower-case names; nil when nothing is limited.
func New(profile Profile, vaults map[string]Profile, now func() time.Time) *Limiter {
	limited := profile.Vault > 0 || profile.Subscription > 0
	for _, p := range vaults {
		limited = limited || p.Vault > 0
	}
	if !limited {
		return nil
	}
	return &Limiter{profile: profile, vaults: vaults, now: now}
}

// Account is whose budgets an operation is taken from. UID tells a vault
// from another of the same name.
type Account struct{ Name, UID, Subscription string }

// limits are the vault's and the subscription's budgets. The operations of a
// vault that is limited by itself do not count for its subscription.
func (l *Limiter) limits(a Account) (vault, subscription int64, weighted bool) {
	if own, ok := l.vaults[a.Name]; ok {
		return own.Vault, 0, own.Weighted
	}
	return l.profile.Vault, l.profile.Subscription, l.profile.Weighted
}

// Spent reports whether a budget of the account is used up.
func (l *Limiter) Spent(a Account) bool {
	if l == nil {
		return false
	}
	vault, subscription, _ := l.limits(a)
	window := l.window()
	return vault > 0 && l.bucket("v/"+a.UID).used(window) >= vault ||
		subscription > 0 && l.bucket("s/"+a.Subscription).used(window) >= subscription
}

// Take spends an operation of the account's budgets; false, and nothing
// spent, when one of them has nothing left. An operation that is refused as
// throttled does not count (documentation: throttling guidance).
func (l *Limiter) Take(a Account, cost Cost) bool {
	if l == nil {
		return true
	}
	vault, subscription, weighted := l.limits(a)
	if !weighted {
		cost = Plain
	}
	window := l.window()
	own := l.bucket("v/" + a.UID)
	if vault > 0 && !own.take(window, vault, int64(cost)) {
		return false
	}
	if subscription > 0 && !l.bucket("s/"+a.Subscription).take(window, subscription, int64(cost)) {
		own.giveBack(window, int64(cost))
		return false
	}
	return true
}

func (l *Limiter) bucket(key string) *bucket {
	if b, ok := l.buckets.Load(key); ok {
		return b.(*bucket)
	}
	b, _ := l.buckets.LoadOrStore(key, &bucket{})
	return b.(*bucket)
}

func (l *Limiter) window() uint32 { return uint32(l.now().UnixNano() / int64(Window)) }

func unpack(state uint64) (window, used uint32) { return uint32(state >> 32), uint32(state) }

func (b *bucket) used(current uint32) int64 {
	if window, used := unpack(b.state.Load()); window == current {
		return int64(used)
	}
	return 0
}

// take spends a cost when anything is left: the last operation may overdraw
// the budget, so that an expensive one is possible at all.
func (b *bucket) take(current uint32, limit, cost int64) bool {
	for {
		old := b.state.Load()
		window, used := unpack(old)
		if window != current {
			used = 0
		}
		if int64(used) >= limit {
			return false
		}
		if b.state.CompareAndSwap(old, uint64(current)<<32|uint64(int64(used)+cost)) {
			return true
		}
	}
}

// giveBack undoes a take of the same window.
func (b *bucket) giveBack(current uint32, cost int64) {
	for {
		old := b.state.Load()
		window, used := unpack(old)
		if window != current || int64(used) < cost {
			return
		}
		if b.state.CompareAndSwap(old, uint64(current)<<32|uint64(int64(used)-cost)) {
			return
		}
	}
}
