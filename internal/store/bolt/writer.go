package bolt

import (
	"sync"

	"postern/internal/store"
)

// maxGroup bounds the bytes of one group, so that many large values do not
// meet in memory. One transaction alone may be larger.
const maxGroup = 16 << 20

// request is one transaction on its way to the disk.
type request struct {
	tx   *store.Tx
	err  error
	done chan struct{} // one token once err is the outcome
}

// requests are reused: the channel of a request is its only cost.
var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

// writer puts transactions that come at the same time into one group. There
// is no goroutine of its own: of those that wait, one writes for all that
// are queued. So a lone transaction is written by who brought it, without a
// switch to anyone.
type writer struct {
	commit func([]*request) error
	// turn holds a token while someone writes. It guards broken and spare.
	turn   chan struct{}
	broken error
	spare  []*request

	mu     sync.Mutex // guards what follows
	queue  []*request
	closed bool
}

func (w *writer) start(commit func([]*request) error) {
	w.commit = commit
	w.turn = make(chan struct{}, 1)
}

// do queues a transaction and waits for its outcome, or brings it about.
func (w *writer) do(tx *store.Tx) error {
	r := requests.Get().(*request)
	r.tx, r.err = tx, nil
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return store.ErrClosed
	}
	w.queue = append(w.queue, r)
	w.mu.Unlock()
	select {
	case <-r.done:
	case w.turn <- struct{}{}:
		w.write()
		<-w.turn
		<-r.done // it was in the queue, or in that of the one before
	}
	err := r.err
	r.tx, r.err = nil, nil
	requests.Put(r)
	return err
}

// stop writes what is queued and lets nothing more in; false when it was
// stopped before.
func (w *writer) stop() bool {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	w.turn <- struct{}{}
	w.write()
	<-w.turn
	return first
}

// write writes all that is queued, group after group. After a failure of the
// disk nothing is written any more: the state of the file is not known, and
// a second flush that succeeds would prove nothing about the first. It is
// called by who holds the turn.
func (w *writer) write() {
	w.mu.Lock()
	queue := w.queue
	w.queue = w.spare
	w.mu.Unlock()
	for rest := queue; len(rest) > 0; {
		group := rest[:groupSize(rest)]
		rest = rest[len(group):]
		if w.broken == nil {
			w.broken = w.commit(group)
		}
		for i, r := range group {
			if w.broken != nil {
				r.err = w.broken
			}
			group[i] = nil // r is its caller's from here on
			r.done <- struct{}{}
		}
	}
	w.spare = queue[:0]
}

// groupSize is how many of the queued transactions fit in one group; at
// least one.
func groupSize(queue []*request) int {
	size := 0
	for i, r := range queue {
		for _, op := range r.tx.Operations {
			size += len(op.Key) + len(op.Value)
		}
		if size > maxGroup && i > 0 {
			return i
		}
	}
	return len(queue)
}
