// Package store keeps ordered keys and values with transactions.
//
// The contract, which the suite in storetest holds every store to:
//
//   - Keys are non-empty strings of at most MaxKey bytes, ordered by their
//     bytes; values are at most MaxValue bytes. A value that a store hands
//     out is the caller's.
//   - Commit is atomic and durable: all of the transaction or none of it,
//     and once it has returned nil it survives a crash of the machine.
//   - Commit is serializable: a transaction whose Unchanged items (or
//     Absent keys) have been changed since they were read fails with
//     ErrConflict and changes nothing.
//   - An error other than ErrConflict leaves it open whether the
//     transaction was applied; the caller reads to find out.
//   - A read sees every transaction whose Commit returned before it began.
package store

import (
	"context"
	"errors"
)

// Limits of every store.
const (
	MaxKey   = 1024
	MaxValue = 4 << 20
)

var (
	// ErrNotFound: there is no such key.
	ErrNotFound = errors.New("store: no such key")
	// ErrConflict: an item of the transaction is not what it was when it was
	// read; nothing was changed. Read again and decide again.
	ErrConflict = errors.New("store: changed since it was read")
	// ErrInvalid: a key or a value is outside the limits; nothing was changed.
	ErrInvalid = errors.New("store: key or value outside the limits")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store: closed")
)

// Revision identifies one state of one key. It is opaque: it can be
// compared and nothing else.
type Revision uint64

// Item is a key, its value and its revision.
type Item struct {
	Key      string
	Value    []byte
	Revision Revision
}

// Store is the five verbs: get, range, and put, delete and
// commit-if-unchanged through a transaction.
type Store interface {
	// Get reads one key: ErrNotFound when there is none.
	Get(ctx context.Context, key string) (Item, error)
	// Range reads up to limit items in order whose keys begin with prefix
	// and are greater than after ("" for the first). A limit of 0 or less
	// is no limit.
	Range(ctx context.Context, prefix, after string, limit int) ([]Item, error)
	// Commit applies a transaction: ErrConflict, ErrInvalid, or the store's
	// own failure.
	Commit(ctx context.Context, tx *Tx) error
	// Close ends the store; what is queued is finished first.
	Close() error
}

// Tx is a transaction being put together; the zero value is empty and
// ready. It is not safe for concurrent use. Later operations on a key win.
type Tx struct {
	Conditions []Condition
	Operations []Operation
}

// Condition demands that a key is still at a revision; 0 demands that the
// key does not exist.
type Condition struct {
	Key      string
	Revision Revision
}

// Operation puts a value, or deletes a key when Delete is set.
type Operation struct {
	Key    string
	Value  []byte
	Delete bool
}

// Put sets a key. The value must not be changed afterwards.
func (tx *Tx) Put(key string, value []byte) {
	tx.Operations = append(tx.Operations, Operation{Key: key, Value: value})
}

// Delete removes a key; one that does not exist is no error.
func (tx *Tx) Delete(key string) {
	tx.Operations = append(tx.Operations, Operation{Key: key, Delete: true})
}

// Unchanged demands that item is still what was read.
func (tx *Tx) Unchanged(item Item) {
	tx.Conditions = append(tx.Conditions, Condition{item.Key, item.Revision})
}

// Absent demands that the key does not exist.
func (tx *Tx) Absent(key string) {
	tx.Conditions = append(tx.Conditions, Condition{Key: key})
}
