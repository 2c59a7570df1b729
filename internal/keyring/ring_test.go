package keyring_test

import (
	"runtime"
	"sync"
	"testing"
	"weak"

	. "postern/internal/keyring"
)

func TestRing(t *testing.T) {
	var ring Ring
	one, two := generate(t, specs[0]), generate(t, specs[4])
	first, err := ring.Open(one.Material())
	if err != nil {
		t.Fatal(err)
	}
	again, err := ring.Open(one.Material())
	if err != nil || again != first {
		t.Errorf("a key in use is opened anew (%v)", err)
	}
	other, err := ring.Open(two.Material())
	if err != nil || other == first || string(other.Material()) != string(two.Material()) {
		t.Errorf("Open of another key = %v, %v", other, err)
	}
	for range 2 {
		if k, err := ring.Open(flip(one.Material(), 300)); k != nil || err != ErrMaterial {
			t.Errorf("Open of altered material = %v, %v, want %v", k, err, ErrMaterial)
		}
	}
	runtime.KeepAlive(first)
}

// TestRingHoldsNothing: what nobody uses is gone with a collection, and is
// opened again when it is asked for.
func TestRingHoldsNothing(t *testing.T) {
	var ring Ring
	material := generate(t, specs[0]).Material()
	unused := use(t, &ring, material)
	runtime.GC()
	if unused.Value() != nil {
		t.Error("a key that nobody uses is still there after a collection")
	}
	if k, err := ring.Open(material); err != nil || string(k.Material()) != string(material) {
		t.Errorf("Open after a collection = %v, %v", k, err)
	}
}

// use opens a key and forgets it.
//
//go:noinline
func use(t *testing.T, ring *Ring, material []byte) weak.Pointer[Key] {
	k, err := ring.Open(material)
	if err != nil {
		t.Fatal(err)
	}
	return weak.Make(k)
}

// TestRingIsShared: many goroutines open the same keys while they are
// collected.
func TestRingIsShared(t *testing.T) {
	var ring Ring
	materials := [][]byte{generate(t, specs[4]).Material(), generate(t, specs[7]).Material()}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				material := materials[(i+j)%2]
				k, err := ring.Open(material)
				if err != nil || string(k.Material()) != string(material) {
					t.Errorf("Open = %v, %v", k, err)
				}
				if j%10 == i {
					runtime.GC()
				}
			}
		})
	}
	all.Wait()
}
