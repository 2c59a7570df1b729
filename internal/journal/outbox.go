package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"postern/internal/store"
)

// OutboxPrefix begins the store keys of records on their way into the
// journal.
const OutboxPrefix = "j/"

// segmentSize is what stands in front of an outbox value: the segment the
// journal was in, big-endian. The line is in that segment or a later one, so
// Recover looks no further back.
const segmentSize = 8

// idSource makes the ids of records: time of opening, randomness, counter,
// so that they sort in the order of their making.
type idSource struct {
	prefix  string
	counter atomic.Uint64
}

func (s *idSource) seed(now time.Time, random io.Reader) error {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixNano()))
	if _, err := io.ReadFull(random, b[8:]); err != nil {
		return err
	}
	s.prefix = hex.EncodeToString(b[:])
	return nil
}

func (s *idSource) next() string { return fmt.Sprintf("%s%012x", s.prefix, s.counter.Add(1)) }

// Outbox is a record as an item of the store, so that a change and its
// record are committed in one transaction. After the commit, Deliver is
// called with the key. The record must not be changed in between.
func (j *Journal) Outbox(r *Record) (key string, value []byte) {
	id := j.ids.next()
	value = make([]byte, segmentSize, 1<<10)
	binary.BigEndian.PutUint64(value, j.segment.Load())
	value = append(appendBody(value, r, id), '}')
	r.key, r.outbox = OutboxPrefix+id, value
	return r.key, value
}

// Deliver appends the record of a change that was committed with the item
// key. It does not wait for the disk: until the line is there, the item
// stays in the store.
func (j *Journal) Deliver(r *Record, key string) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b := (*buf)[:room]
	if r.key == key && r.outbox != nil {
		b = append(b, r.outbox[segmentSize:len(r.outbox)-1]...)
	} else {
		b = appendBody(b, r, strings.TrimPrefix(key, OutboxPrefix))
	}
	*buf = b
	_, err := j.append(b, key)
	return err
}

const (
	// settleEvery is after how many intervals delivered items are deleted,
	// settleAt how many do not wait for that: a deletion costs a commit.
	settleEvery = 20
	settleAt    = 1024
	// settleMax bounds one transaction of deletions.
	settleMax = 4096
)

// flusher flushes each interval while there is something to flush, and
// sleeps otherwise. Close ends it.
func (j *Journal) flusher() {
	defer close(j.stopped)
	ticks := 0
	for {
		if j.unsettled() == 0 {
			select {
			case <-j.dirty:
			case <-j.stop:
				return
			}
		}
		timer := time.NewTimer(j.o.Interval)
		select {
		case <-timer.C:
		case <-j.stop:
			timer.Stop()
			return
		}
		j.flush()
		ticks++
		if ticks >= settleEvery || j.unsettled() >= settleAt {
			ticks = 0
			_ = j.settle() // the items stay for the next time, or for Recover
		}
	}
}

// flush is syncTo the last line. Its failure breaks the journal, which is
// where it is reported.
func (j *Journal) flush() {
	select {
	case <-j.dirty:
	default:
	}
	j.mu.Lock()
	seq := j.at.seq
	j.mu.Unlock()
	_ = j.syncTo(seq)
}

// unsettled is how many items wait for their deletion.
func (j *Journal) unsettled() int {
	if j.o.Store == nil {
		return 0
	}
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	return len(j.settled)
}

// settle deletes from the store the items whose lines are on disk.
func (j *Journal) settle() error {
	if j.o.Store == nil {
		return nil
	}
	for {
		j.syncMu.Lock()
		n := min(len(j.settled), settleMax)
		keys := j.settled[:n:n]
		j.settled = j.settled[n:]
		j.syncMu.Unlock()
		if n == 0 {
			return nil
		}
		if err := deleteAll(context.Background(), j.o.Store, keys); err != nil {
			j.syncMu.Lock()
			j.settled = append(j.settled, keys...)
			j.syncMu.Unlock()
			return fmt.Errorf("journal: deleting delivered records: %w", err)
		}
	}
}

func deleteAll(ctx context.Context, st store.Store, keys []string) error {
	var tx store.Tx
	for _, key := range keys {
		tx.Delete(key)
	}
	return st.Commit(ctx, &tx)
}

// Recover delivers what a crash left in the outbox: the records that the
// journal does not hold yet are appended, in the order of their making, and
// once they are on disk all items are deleted. It is called once, before
// anything else is appended.
func (j *Journal) Recover(ctx context.Context, st store.Store) error {
	items, err := st.Range(ctx, OutboxPrefix, "", 0)
	if err != nil {
		return fmt.Errorf("journal: reading the outbox: %w", err)
	}
	if len(items) == 0 {
		return nil
	}
	missing, err := j.missing(items)
	if err != nil {
		return err
	}
	for _, item := range items {
		if !missing[item.Key] {
			continue
		}
		b := append(make([]byte, room), item.Value[segmentSize:len(item.Value)-1]...)
		if _, err := j.append(b, ""); err != nil {
			return err
		}
	}
	j.mu.Lock()
	seq := j.at.seq
	j.mu.Unlock()
	if err := j.syncTo(seq); err != nil {
		return err
	}
	for len(items) > 0 {
		n := min(len(items), settleMax)
		keys := make([]string, n)
		for i := range keys {
			keys[i] = items[i].Key
		}
		if err := deleteAll(ctx, st, keys); err != nil {
			return fmt.Errorf("journal: deleting delivered records: %w", err)
		}
		items = items[n:]
	}
	return nil
}

// missing is the set of outbox keys whose records the journal does not hold.
func (j *Journal) missing(items []store.Item) (map[string]bool, error) {
	missing := make(map[string]bool, len(items))
	from := j.segment.Load()
	for _, item := range items {
		if !validOutbox(item) {
			return nil, fmt.Errorf("journal: the outbox item %q is damaged", item.Key)
		}
		missing[item.Key] = true
		if segment := binary.BigEndian.Uint64(item.Value); segment < from {
			from = segment
		} else if segment > j.segment.Load() {
			from = 0 // another journal stood here before: look everywhere
		}
	}
	err := readLines(j.dir, from, func(body []byte) error {
		if id := recordID(body); id != "" {
			delete(missing, OutboxPrefix+id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return missing, nil
}

// validOutbox reports whether an item is what Outbox made: what is not
// cannot become a line.
func validOutbox(item store.Item) bool {
	if len(item.Value) < segmentSize {
		return false
	}
	body := item.Value[segmentSize:]
	if recordID(body) != item.Key[len(OutboxPrefix):] || bytes.IndexByte(body, '\n') >= 0 || isHeader(body) {
		return false
	}
	_, err := decodeRecord(body)
	return err == nil
}

// recordID finds the id in a body; "" when it has none. Inside of a string
// the quotes of the marker would be escaped.
func recordID(body []byte) string {
	_, rest, ok := bytes.Cut(body, []byte(`,"recordId":"`))
	if !ok {
		return ""
	}
	id, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return ""
	}
	return string(id)
}

// readLines calls fn with the body of each record from a segment on, in
// order. A torn last line is left out.
func readLines(dir string, from uint64, fn func(body []byte) error) error {
	numbers, err := segments(dir)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, n := range numbers {
		if n < from {
			continue
		}
		_, err := lines(segmentPath(dir, n), 0, func(b []byte, _ int64) error {
			l, ok := parseLine(b)
			if !ok {
				return &Problem{Kind: Altered, Segment: n, Detail: "not a line of a journal"}
			}
			if isHeader(l.body) {
				return nil
			}
			return fn(l.body)
		})
		var p *Problem
		if err != nil && !errors.As(err, &p) {
			err = fmt.Errorf("journal: %w", err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
