package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New(3, func() time.Time { return now })
	for i := range 3 {
		if l.Spent("a") || !l.Take("a") {
			t.Fatalf("Take %d = false, want true", i)
		}
	}
	if !l.Spent("a") || l.Take("a") {
		t.Fatal("the fourth operation was admitted")
	}
	if l.Spent("b") || !l.Take("b") {
		t.Fatal("one vault spent another's budget")
	}
	now = now.Add(Window)
	if l.Spent("a") || !l.Take("a") {
		t.Fatal("a new window has no budget")
	}
}

func TestNoLimiter(t *testing.T) {
	var l *Limiter
	if New(0, nil) != nil || l.Spent("a") || !l.Take("a") {
		t.Fatal("a nil Limiter limits")
	}
	if n := testing.AllocsPerRun(100, func() { l.Spent("a"); l.Take("a") }); n != 0 {
		t.Fatalf("a nil Limiter allocates %v times, want 0", n)
	}
}

func TestConcurrentTakesAreExact(t *testing.T) {
	l := New(500, func() time.Time { return time.Unix(0, 0) })
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if l.Take("v") {
					taken.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != 500 {
		t.Fatalf("%d operations admitted, want 500", taken.Load())
	}
}
