// Package bolt is the store in one file, for one machine: bbolt behind a
// writer that commits in groups.
//
// A durable transaction costs the same two flushes of the disk whether it
// carries one change or a hundred. So one at a time of those who commit
// writes for all: it takes every transaction that is queued, checks the
// conditions of each against what the ones before it left, applies those
// that hold, and commits them as one transaction of bbolt. A lone
// transaction is committed at once; there is no waiting for company.
//
// All items live in one bucket. A value is kept with its revision in front,
// eight bytes big-endian. The revision of a transaction is the bucket's
// sequence, which only grows, so that a key that was deleted and made again
// is never at an old revision.
package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"postern/internal/store"
)

// bucketName names the bucket of the items; it carries the version of the
// form they are kept in.
var bucketName = []byte("postern/1")

// lockWait is how long Open waits for another process to let go of the file:
// long enough for one that is stopping, short enough for a person.
const lockWait = time.Second

// initialMap is how much address space is reserved for the file, so that
// growing it rarely has to wait for readers. It costs no memory.
const initialMap = 256 << 20

// ErrInUse: another process has the file open.
var ErrInUse = errors.New("bolt: the store is in use by another process; stop it first, or choose another data folder")

// errCorrupt: the file holds a value that no store wrote.
var errCorrupt = errors.New("bolt: damaged value")

// Store is a store in one file.
type Store struct {
	db *bbolt.DB
	// commits counts the transactions of bbolt that reached the disk.
	commits atomic.Int64

	writer writer
}

// Open opens the store at path, and makes it when there is none. ErrInUse
// when another process has it.
func Open(path string) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         lockWait,
		NoFreelistSync:  true, // found again at start, instead of written with each commit
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: initialMap,
		NoStatistics:    true, // counters that every reader would contend for
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%w (%s)", ErrInUse, path)
	}
	if err != nil {
		return nil, fmt.Errorf("bolt: opening %s: %w", path, err)
	}
	s := &Store{db: db}
	if err := s.prepare(); err != nil {
		db.Close()
		return nil, fmt.Errorf("bolt: opening %s: %w", path, err)
	}
	s.writer.start(s.commitGroup)
	return s, nil
}

// prepare makes the bucket of a new file, and makes the file's name durable:
// bbolt flushes the file alone.
func (s *Store) prepare() error {
	exists := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		exists = tx.Bucket(bucketName) != nil
		return nil
	})
	if err != nil || exists {
		return err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucketName)
		return err
	})
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(s.db.Path()))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// Commits is how many transactions of bbolt reached the disk since Open:
// each of them flushed it twice.
func (s *Store) Commits() int64 { return s.commits.Load() }

// Get reads one key.
func (s *Store) Get(ctx context.Context, key string) (store.Item, error) {
	if err := ctx.Err(); err != nil {
		return store.Item{}, err
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return store.Item{}, readError(err)
	}
	defer tx.Rollback()
	raw := tx.Bucket(bucketName).Get([]byte(key))
	if raw == nil {
		return store.Item{}, store.ErrNotFound
	}
	return decode(key, raw)
}

// Range reads items in order.
func (s *Store) Range(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, readError(err)
	}
	defer tx.Rollback()
	var items []store.Item
	c := tx.Bucket(bucketName).Cursor()
	for k, v := c.Seek([]byte(max(prefix, after))); k != nil; k, v = c.Next() {
		key := string(k)
		if !strings.HasPrefix(key, prefix) || limit > 0 && len(items) == limit {
			break
		}
		if key <= after {
			continue
		}
		item, err := decode(key, v)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// Commit applies a transaction. Once it is queued its outcome is waited for,
// even when ctx ends: nobody would know it otherwise.
func (s *Store) Commit(ctx context.Context, tx *store.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.writer.do(tx)
}

// Close finishes what is queued, then lets go of the file. Calling it again
// does nothing.
func (s *Store) Close() error {
	if !s.writer.stop() {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("bolt: closing: %w", err)
	}
	return nil
}

// commitGroup applies a group of transactions as one of bbolt. It sets the
// error of each request; the error it returns is that of the disk, after
// which nothing is known of the file until it is opened again.
func (s *Store) commitGroup(group []*request) error {
	btx, err := s.db.Begin(true)
	if err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	bucket := btx.Bucket(bucketName)
	changed := false
	revision := bucket.Sequence()
	for _, r := range group {
		if r.err = check(bucket, r.tx.Conditions); r.err != nil {
			continue
		}
		revision++
		if err := apply(bucket, r.tx.Operations, revision); err != nil {
			btx.Rollback()
			return fmt.Errorf("bolt: %w", err)
		}
		changed = changed || len(r.tx.Operations) > 0
	}
	if !changed {
		btx.Rollback()
		return nil
	}
	if err := bucket.SetSequence(revision); err != nil {
		btx.Rollback()
		return fmt.Errorf("bolt: %w", err)
	}
	if err := btx.Commit(); err != nil {
		return fmt.Errorf("bolt: committing: %w", err)
	}
	s.commits.Add(1)
	return nil
}

// check holds the conditions of one transaction against the bucket.
func check(bucket *bbolt.Bucket, conditions []store.Condition) error {
	for _, c := range conditions {
		var at store.Revision
		if raw := bucket.Get([]byte(c.Key)); raw != nil {
			item, err := decode(c.Key, raw)
			if err != nil {
				return err
			}
			at = item.Revision
		}
		if at != c.Revision {
			return store.ErrConflict
		}
	}
	return nil
}

// apply does the operations of one transaction.
func apply(bucket *bbolt.Bucket, operations []store.Operation, revision uint64) error {
	for _, op := range operations {
		var err error
		if op.Delete {
			err = bucket.Delete([]byte(op.Key))
		} else {
			err = bucket.Put([]byte(op.Key), encode(op.Value, revision))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// revisionSize is what stands in front of each value.
const revisionSize = 8

func encode(value []byte, revision uint64) []byte {
	raw := make([]byte, revisionSize, revisionSize+len(value))
	binary.BigEndian.PutUint64(raw, revision)
	return append(raw, value...)
}

// decode reads what encode made. The item shares nothing with raw, which is
// the file itself.
func decode(key string, raw []byte) (store.Item, error) {
	if len(raw) < revisionSize || binary.BigEndian.Uint64(raw) == 0 {
		return store.Item{}, fmt.Errorf("%w at key %q", errCorrupt, key)
	}
	return store.Item{Key: key, Value: bytes.Clone(raw[revisionSize:]),
		Revision: store.Revision(binary.BigEndian.Uint64(raw))}, nil
}

func readError(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return fmt.Errorf("bolt: reading: %w", err)
}
