package throttle

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func account(name, subscription string) Account { return Account{name, "uid-" + name, subscription} }

func TestBudget(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := New(Flat(3), nil, func() time.Time { return now })
	a, b := account("a", "s"), account("b", "s")
	for i := range 3 {
		if l.Spent(a) || !l.Take(a, Plain) {
			t.Fatalf("Take %d = false, want true", i)
		}
	}
	if !l.Spent(a) || l.Take(a, Plain) {
		t.Fatal("the fourth operation was admitted")
	}
	if l.Spent(b) || !l.Take(b, Plain) {
		t.Fatal("one vault spent another's budget")
	}
	now = now.Add(Window)
	if l.Spent(a) || !l.Take(a, Plain) {
		t.Fatal("a new window has no budget")
	}
}

// TestProfiles: how many operations of a cost a window has, per vault.
func TestProfiles(t *testing.T) {
	for _, c := range []struct {
		profile string
		cost    Cost
		want    int
	}{
		{"azure", Plain, 4000}, {"azure", RSA3072, 1000}, {"azure", RSA4096, 500}, {"azure", HSM, 2000}, {"azure", HSM * RSA3072, 500},
		{"azure", HSM * RSA4096, 250}, {"azure", CreateKey, 20}, {"azure", CreateInHSM, 10},
		{"2021", Plain, 2000}, {"2021", HSM, 1000}, {"2021", CreateKey, 10}, {"2021", CreateInHSM, 5},
		{"documents", Plain, 1000}, {"documents", CreateInHSM, 1000},
	} {
		p, ok := Named(c.profile)
		if !ok {
			t.Fatalf("no profile %s", c.profile)
		}
		l := New(p, nil, func() time.Time { return time.Unix(0, 0) })
		got := 0
		for l.Take(account("v", "s"), c.cost) {
			got++
		}
		if got != c.want {
			t.Errorf("%s: %d operations of cost %d, want %d", c.profile, got, c.cost, c.want)
		}
	}
}

// TestSubscription: five vaults of a subscription spend its budget, and what
// is refused there is given back to the vault.
func TestSubscription(t *testing.T) {
	p, _ := Named("azure")
	l := New(p, map[string]Profile{"own": Flat(10)}, func() time.Time { return time.Unix(0, 0) })
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		for range 4000 {
			if !l.Take(account(name, "s"), Plain) {
				t.Fatal("refused within the limits")
			}
		}
	}
	if f := account("f", "s"); !l.Spent(f) || l.Take(f, Plain) || l.bucket("v/uid-f").used(l.window()) != 0 {
		t.Error("the sixth vault was admitted, or paid for a refusal")
	}
	if l.Spent(account("f", "other")) {
		t.Error("one subscription spent another's budget")
	}
	own := account("own", "s")
	got := 0
	for l.Take(own, Plain) {
		got++
	}
	if got != 10 {
		t.Errorf("a vault with limits of its own has %d operations, want 10", got)
	}
}

func TestNoLimiter(t *testing.T) {
	var l *Limiter
	off, _ := Named("off")
	if New(off, nil, nil) != nil || l.Spent(Account{}) || !l.Take(Account{}, Plain) {
		t.Fatal("a nil Limiter limits")
	}
	if n := testing.AllocsPerRun(100, func() { l.Spent(Account{}); l.Take(Account{}, Plain) }); n != 0 {
		t.Fatalf("a nil Limiter allocates %v times, want 0", n)
	}
}

func TestConcurrentTakesAreExact(t *testing.T) {
	l := New(Flat(500), nil, func() time.Time { return time.Unix(0, 0) })
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if l.Take(account("v", "s"), Plain) {
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
