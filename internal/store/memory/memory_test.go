package memory

import (
	"errors"
	"testing"

	"postern/internal/store"
	"postern/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return New() })
}

// TestFaults ensures that a call that fails did nothing, and one whose
// answer is lost did everything.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		fault Fault
		err   error
		found error
	}{
		{Work, nil, nil},
		{Fail, ErrInjected, store.ErrNotFound},
		{Lose, ErrInjected, nil},
	} {
		s := New()
		s.Faults = func(c Call) Fault {
			if c.Verb == Commit && c.Tx.Operations[0].Key == "a" {
				return test.fault
			}
			return Work
		}
		var tx store.Tx
		tx.Put("a", []byte("1"))
		if err := s.Commit(t.Context(), &tx); !errors.Is(err, test.err) {
			t.Errorf("Commit with fault %d = %v, want %v", test.fault, err, test.err)
		}
		if _, err := s.Get(t.Context(), "a"); !errors.Is(err, test.found) {
			t.Errorf("Get after fault %d = %v, want %v", test.fault, err, test.found)
		}
	}
}

func TestReadFaults(t *testing.T) {
	s := New()
	s.Faults = func(c Call) Fault {
		if c.Key == "bad" {
			return Fail
		}
		return Work
	}
	if _, err := s.Get(t.Context(), "bad"); !errors.Is(err, ErrInjected) {
		t.Errorf("Get = %v, want %v", err, ErrInjected)
	}
	if _, err := s.Range(t.Context(), "bad", "", 0); !errors.Is(err, ErrInjected) {
		t.Errorf("Range = %v, want %v", err, ErrInjected)
	}
	if _, err := s.Range(t.Context(), "good", "", 0); err != nil {
		t.Errorf("Range = %v, want nil", err)
	}
}
