// Package throttle counts the operations of a vault in windows of ten
// seconds, as the service's limits are stated.
package throttle

import (
	"sync"
	"sync/atomic"
	"time"
)

// Window is the length of a window.
const Window = 10 * time.Second

// Limiter gives every vault the same budget of operations a window. A nil
// Limiter has no limits and costs nothing.
type Limiter struct {
	limit   int64
	now     func() time.Time
	buckets sync.Map // vault's UID → *bucket
}

// bucket is the window of one vault: the number of the window in the upper
// half, the operations spent in it in the lower.
type bucket struct{ state atomic.Uint64 }

// New makes a Limiter of so many operations a window; nil for zero or less.
func New(limit int, now func() time.Time) *Limiter {
	if limit <= 0 {
		return nil
	}
	return &Limiter{limit: int64(limit), now: now}
}

// Spent reports whether the budget of a vault is used up.
func (l *Limiter) Spent(vault string) bool {
	if l == nil {
		return false
	}
	window, used := unpack(l.bucket(vault).state.Load())
	return window == l.window() && int64(used) >= l.limit
}

// Take spends one operation of a vault's budget; false, and nothing spent,
// when none was left. An operation that is refused as throttled does not
// count (documentation: throttling guidance).
func (l *Limiter) Take(vault string) bool {
	if l == nil {
		return true
	}
	b, current := l.bucket(vault), l.window()
	for {
		old := b.state.Load()
		window, used := unpack(old)
		if window != current {
			used = 0
		}
		if int64(used) >= l.limit {
			return false
		}
		if b.state.CompareAndSwap(old, uint64(current)<<32|uint64(used+1)) {
			return true
		}
	}
}

func (l *Limiter) bucket(vault string) *bucket {
	if b, ok := l.buckets.Load(vault); ok {
		return b.(*bucket)
	}
	b, _ := l.buckets.LoadOrStore(vault, &bucket{})
	return b.(*bucket)
}

func (l *Limiter) window() uint32 { return uint32(l.now().UnixNano() / int64(Window)) }

func unpack(state uint64) (window, used uint32) { return uint32(state >> 32), uint32(state) }
