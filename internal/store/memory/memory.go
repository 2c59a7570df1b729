// Package memory is a store in memory, for tests: it keeps the contract of
// package store to the letter, and fails on demand.
//
// A fault comes in two forms, because a caller must survive both: Fail did
// nothing, Lose did everything and lost the answer. The caller sees the same
// ErrInjected for either.
package memory

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"postern/internal/store"
)

// ErrInjected is the error of a call that was made to fail.
var ErrInjected = errors.New("memory: injected fault")

// Fault is what becomes of a call. The zero value is that it works.
type Fault uint8

// The faults.
const (
	// Work: no fault.
	Work Fault = iota
	// Fail: nothing is applied, and the call fails.
	Fail
	// Lose: everything is applied, and the call fails all the same. For a
	// read it is the same as Fail.
	Lose
)

// Verb is one of the calls of a store.
type Verb uint8

// The verbs.
const (
	Get Verb = iota
	Range
	Commit
)

// Call is a call that a fault may be injected into.
type Call struct {
	Verb Verb
	// Key is the key of a Get, the prefix of a Range.
	Key string
	// Tx is the transaction of a Commit; it must not be changed.
	Tx *store.Tx
}

// Store is a store in memory. The zero value is empty and ready.
type Store struct {
	// Faults decides what becomes of each call; nil is no faults. It is set
	// before the store is used, and called with the store locked: it must
	// not use the store.
	Faults func(Call) Fault

	mu       sync.Mutex // guards what follows
	closed   bool
	revision store.Revision
	keys     []string // sorted
	items    map[string]store.Item
}

// New is an empty store without faults.
func New() *Store { return new(Store) }

// Get reads one key.
func (s *Store) Get(ctx context.Context, key string) (store.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return store.Item{}, err
	}
	if s.fault(Call{Verb: Get, Key: key}) != Work {
		return store.Item{}, ErrInjected
	}
	item, ok := s.items[key]
	if !ok {
		return store.Item{}, store.ErrNotFound
	}
	item.Value = bytes.Clone(item.Value)
	return item, nil
}

// Range reads items in order.
func (s *Store) Range(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if s.fault(Call{Verb: Range, Key: prefix}) != Work {
		return nil, ErrInjected
	}
	var items []store.Item
	i, _ := slices.BinarySearch(s.keys, max(prefix, after))
	for ; i < len(s.keys); i++ {
		key := s.keys[i]
		if !strings.HasPrefix(key, prefix) || limit > 0 && len(items) == limit {
			break
		}
		if key <= after {
			continue
		}
		item := s.items[key]
		item.Value = bytes.Clone(item.Value)
		items = append(items, item)
	}
	return items, nil
}

// Commit applies a transaction.
func (s *Store) Commit(ctx context.Context, tx *store.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(ctx); err != nil {
		return err
	}
	fault := s.fault(Call{Verb: Commit, Tx: tx})
	if fault == Fail {
		return ErrInjected
	}
	for _, c := range tx.Conditions {
		if s.items[c.Key].Revision != c.Revision {
			return store.ErrConflict
		}
	}
	s.apply(tx.Operations)
	if fault == Lose {
		return ErrInjected
	}
	return nil
}

// Close ends the store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// begin is what every call does first; s.mu is held.
func (s *Store) begin(ctx context.Context) error {
	if s.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

func (s *Store) fault(c Call) Fault {
	if s.Faults == nil {
		return Work
	}
	return s.Faults(c)
}

// apply does the operations of one transaction; s.mu is held.
func (s *Store) apply(operations []store.Operation) {
	if s.items == nil {
		s.items = map[string]store.Item{}
	}
	s.revision++
	for _, op := range operations {
		i, found := slices.BinarySearch(s.keys, op.Key)
		switch {
		case op.Delete && found:
			s.keys = slices.Delete(s.keys, i, i+1)
			delete(s.items, op.Key)
			continue
		case op.Delete:
			continue
		case !found:
			s.keys = slices.Insert(s.keys, i, op.Key)
		}
		s.items[op.Key] = store.Item{Key: op.Key, Value: bytes.Clone(op.Value), Revision: s.revision}
	}
}
