package posterntest

import (
	"context"
	"sync"
	"time"
)

// Clock is a clock that a test moves: WithClock(c.Now). Its zero value shows
// the time of day.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Move moves the clock.
func (c *Clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// Upkeep has the server do at once what it does by itself every minute:
// purge, rotate, renew, tell webhooks. A test that has moved the clock need
// not wait for it.
func (p *Postern) Upkeep() {
	p.t.Helper()
	if err := p.server.Upkeep(context.Background()); err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
}
