// Package journal is the audit log: every request, in the order in which it
// was decided, in a form in which nothing can be changed or taken away
// unnoticed.
//
// A journal is a folder of segments, 000000000001.jsonl and on. A line is
// one JSON object: the event in the form of the vault's resource log, then
// "seq", the number of the line, and "chain", the SHA-256 over the chain of
// the line before and this line up to that member. The first line of a
// segment is a header that carries the last chain of the segment before.
// The file "head" anchors the end: the last line known to be on disk, and
// whether the journal was closed there; so a missing end is noticed too.
// Who can write to the folder can make a new chain from some line on; the
// head that Verify reports, kept elsewhere, shows that as well.
//
// What is promised, and when:
//
//   - Append returns when the line has reached the operating system: it
//     survives the end of the process, kill -9 included. It is on disk
//     Interval later; with Sync "always", before Append returns.
//   - A change is durable together with its record: the record travels in
//     the change's store transaction as an outbox item, is delivered into
//     the journal after it, and Recover delivers what a crash left over.
//     Each arrives exactly once.
//   - After any failure to write or flush, nothing is appended any more:
//     Append, Deliver and Broken return the failure, until a restart. What
//     must be recorded then cannot be done.
package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/store"
)

// ErrClosed: the journal was closed.
var ErrClosed = errors.New("journal: closed")

// The values of Options.Sync.
const (
	SyncInterval = "interval"
	SyncAlways   = "always"
)

// Options are the settings of a journal; the zero value is the default.
type Options struct {
	// Sync is "interval" (the default) or "always".
	Sync string
	// Interval is how long a line may stay unflushed; 50 ms by default.
	Interval time.Duration
	// MaxSegment is the size in bytes from which on a new segment is begun;
	// 64 MiB by default.
	MaxSegment int64
	// Store holds the outbox: delivered items are deleted from it, the last
	// of them by Close, so it is closed after the journal. Nil leaves them
	// to Recover.
	Store store.Store
	// Now is the clock, Random the randomness; time.Now and crypto/rand by
	// default.
	Now    func() time.Time
	Random io.Reader
	// FS is what is written through; OS by default.
	FS FS
}

func (o *Options) fill() error {
	switch o.Sync {
	case "":
		o.Sync = SyncInterval
	case SyncInterval, SyncAlways:
	default:
		return fmt.Errorf("journal: sync must be %q or %q, not %q", SyncInterval, SyncAlways, o.Sync)
	}
	if o.Interval <= 0 {
		o.Interval = 50 * time.Millisecond
	}
	if o.MaxSegment <= 0 {
		o.MaxSegment = 64 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.FS == nil {
		o.FS = OS{}
	}
	return nil
}

// Journal is an open journal. It is safe for concurrent use. Two processes
// must not open one journal: the lock on the store keeps them apart.
type Journal struct {
	dir      string
	o        Options
	repaired int64
	ids      idSource
	// broken is the failure after which nothing is written; nil for none.
	broken atomic.Pointer[error]
	// segment is at.segment, for who does not hold mu.
	segment atomic.Uint64
	dirty   chan struct{} // one token: there are lines to flush
	stop    chan struct{} // closed by Close: ends the flusher
	stopped chan struct{} // closed by the flusher when it has ended

	// syncMu is taken before mu. It guards flushed, head and settled, and
	// together with mu the replacement of file.
	syncMu  sync.Mutex
	flushed position
	head    File
	settled []string // outbox keys whose lines are on disk

	mu        sync.Mutex // guards what follows
	file      File
	at        position // the end of the last line written
	delivered []string // outbox keys whose lines were written
	closed    bool
}

// Open opens the journal in dir, and makes it when there is none. It goes
// over what was written behind the anchor, drops a torn last line, and
// refuses a journal that lacks what was known to be on disk: Verify says
// what is wrong with it.
func Open(dir string, o Options) (*Journal, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, o: o, dirty: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	if err := j.ids.seed(o.Now(), o.Random); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	last, err := j.resume()
	if err == nil {
		err = j.openFiles(last)
	}
	if err != nil {
		j.closeFiles()
		return nil, fmt.Errorf("journal: opening %s: %w", dir, err)
	}
	go j.flusher()
	return j, nil
}

// Repaired is how many bytes of a torn last line Open dropped.
func (j *Journal) Repaired() int64 { return j.repaired }

// resume finds the end of the journal, sets at and repaired, and returns the
// last segment there is; 0 for a new journal.
func (j *Journal) resume() (last uint64, err error) {
	numbers, err := segments(j.dir)
	if err != nil {
		return 0, err
	}
	head, err := readAnchor(j.dir)
	if errors.Is(err, fs.ErrNotExist) && len(numbers) == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%w; what was written cannot be told from what is there. "+
			"Move the folder aside to begin a new journal", err)
	}
	err = checkAnchored(j.dir, head.position)
	w := walker{dir: j.dir, anchor: head, at: head.position}
	if err == nil {
		err = w.walk(numbers)
	}
	if err != nil {
		return 0, fmt.Errorf("%w. `postern journal verify` says more; move the folder aside to begin a new journal", err)
	}
	j.at, j.repaired = w.at, w.torn
	return w.at.segment, nil
}

// openFiles opens the last segment and the anchor for writing.
func (j *Journal) openFiles(last uint64) (err error) {
	j.head, err = j.o.FS.OpenFile(filepath.Join(j.dir, headFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if last > 0 {
		if err := j.reopen(last); err != nil {
			return err
		}
	}
	// Of a new journal the anchor comes first: one without would be taken
	// for a damaged one. Otherwise it comes behind what it anchors.
	j.flushed = j.at
	if err := j.writeHead(false); err != nil {
		return err
	}
	if err := j.head.Sync(); err != nil {
		return err
	}
	if last == 0 {
		if err := j.o.FS.SyncDir(filepath.Dir(filepath.Clean(j.dir))); err != nil {
			return err
		}
		return j.begin(1)
	}
	if j.repaired == 0 {
		return nil
	}
	return j.Append(&Record{Time: j.o.Now(), OperationName: "JournalRepaired", ResultType: "Success",
		ResultDescription: fmt.Sprintf("A crash had cut off the last line; %d bytes of it were dropped.", j.repaired)})
}

// reopen goes on with a segment, without what is torn at its end.
func (j *Journal) reopen(last uint64) (err error) {
	j.file, err = j.o.FS.OpenFile(segmentPath(j.dir, last), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	j.segment.Store(last)
	if j.repaired > 0 {
		if err := j.file.Truncate(j.at.offset); err != nil {
			return err
		}
	}
	if j.at.offset == 0 { // the crash came before the header
		if err := j.writeHeader(); err != nil {
			return err
		}
	}
	return j.file.Sync()
}

// begin makes a segment and writes its header. mu and syncMu are held, or
// nobody else has the journal yet.
func (j *Journal) begin(segment uint64) (err error) {
	j.file, err = j.o.FS.OpenFile(segmentPath(j.dir, segment), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	j.at.segment, j.at.offset = segment, 0
	if err := j.writeHeader(); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	if err := j.o.FS.SyncDir(j.dir); err != nil {
		return err
	}
	j.segment.Store(segment)
	j.flushed = j.at
	return j.writeHead(false)
}

func (j *Journal) writeHeader() error {
	b := appendHeader(make([]byte, room, 512), j.at.segment, j.at.hash)
	return j.writeLine(b)
}

// writeLine numbers, chains and writes a body behind room for a hash. mu is
// held.
func (j *Journal) writeLine(b []byte) error {
	b, sum := seal(b, j.at.hash, j.at.seq+1)
	b = b[room:]
	n, err := j.file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	j.at.seq, j.at.hash = j.at.seq+1, sum
	j.at.offset += int64(len(b))
	return nil
}

// writeHead anchors what is flushed. syncMu is held.
func (j *Journal) writeHead(closed bool) error {
	_, err := j.head.WriteAt(anchor{j.flushed, closed}.encode(), 0)
	return err
}

// buffers are reused: room for a hash, then a line.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Append writes a record. When it returns nil the line has reached the
// operating system and, with Sync "always", the disk.
func (j *Journal) Append(r *Record) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	*buf = appendBody((*buf)[:room], r, "")
	seq, err := j.append(*buf, "")
	if err != nil || j.o.Sync != SyncAlways {
		return err
	}
	return j.syncTo(seq)
}

// append writes a body behind room for a hash; key is its outbox key, "" for
// none.
func (j *Journal) append(b []byte, key string) (seq uint64, err error) {
	if len(b) > MaxLine-1024 {
		return 0, ErrTooLong
	}
	j.mu.Lock()
	err = j.usable()
	if err == nil {
		if err = j.writeLine(b); err != nil {
			err = j.fail("writing", err)
		}
	}
	if err != nil {
		j.mu.Unlock()
		return 0, err
	}
	if key != "" {
		j.delivered = append(j.delivered, key)
	}
	seq = j.at.seq
	full := j.at.offset >= j.o.MaxSegment
	j.mu.Unlock()
	select {
	case j.dirty <- struct{}{}:
	default: // the flusher knows
	}
	if full {
		return seq, j.rotate()
	}
	return seq, nil
}

// usable is why nothing can be written, or nil. mu is held.
func (j *Journal) usable() error {
	if j.closed {
		return ErrClosed
	}
	return j.Broken()
}

// Broken is the failure after which the journal writes nothing any more; nil
// while there was none. Before a change is made that must be recorded, it is
// asked for.
func (j *Journal) Broken() error {
	if p := j.broken.Load(); p != nil {
		return *p
	}
	return nil
}

// fail makes the journal broken, and returns the failure.
func (j *Journal) fail(doing string, cause error) error {
	err := fmt.Errorf("journal: %s: %w; nothing is recorded until a restart", doing, cause)
	j.broken.CompareAndSwap(nil, &err)
	return j.Broken()
}

// syncTo flushes, unless line seq is on disk already: one flush serves all
// that wait for it.
func (j *Journal) syncTo(seq uint64) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.flushed.seq >= seq {
		return nil
	}
	if err := j.Broken(); err != nil {
		return err
	}
	j.mu.Lock()
	at, delivered := j.at, j.delivered
	j.delivered = nil
	j.mu.Unlock()
	if err := j.file.Sync(); err != nil {
		return j.fail("flushing", err)
	}
	j.flushed = at
	j.settled = append(j.settled, delivered...)
	if err := j.writeHead(false); err != nil {
		return j.fail("writing the anchor", err)
	}
	return nil
}

// rotate begins the next segment, when the present one is still full.
func (j *Journal) rotate() error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.usable(); err != nil || j.at.offset < j.o.MaxSegment {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return j.fail("flushing", err)
	}
	j.settled = append(j.settled, j.delivered...)
	j.delivered = nil
	if err := j.file.Close(); err != nil {
		return j.fail("closing a segment", err)
	}
	if err := j.begin(j.at.segment + 1); err != nil {
		return j.fail("beginning a segment", err)
	}
	return nil
}

// Sync flushes what was appended and deletes delivered items from the store,
// instead of waiting for the interval.
func (j *Journal) Sync() error {
	j.mu.Lock()
	seq := j.at.seq
	j.mu.Unlock()
	if err := j.syncTo(seq); err != nil {
		return err
	}
	return j.settle()
}

// Close flushes, anchors the end, and closes. A broken journal is closed
// without an anchor of its end, and its failure returned.
func (j *Journal) Close() error {
	j.mu.Lock()
	first := !j.closed
	j.closed = true
	j.mu.Unlock()
	if !first {
		return nil
	}
	close(j.stop)
	<-j.stopped
	err := j.Sync()
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if broken := j.Broken(); broken != nil {
		_ = j.closeFiles() // the failure that counts is the first
		return broken
	}
	herr := j.writeHead(true)
	if herr == nil {
		herr = j.head.Sync()
	}
	if err := errors.Join(err, herr, j.closeFiles()); err != nil {
		return fmt.Errorf("journal: closing: %w", err)
	}
	return nil
}

func (j *Journal) closeFiles() error {
	var errs []error
	for _, f := range []File{j.file, j.head} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
