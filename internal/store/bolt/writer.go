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
	done chan struct{}
}

// requests are reused: the channel of a request is its only cost.
var requests = sync.Pool{New: func() any { return &request{done: make(chan struct{}, 1)} }}

// writer queues transactions for the one goroutine that writes them. That
// goroutine is started by start and ends with stop.
type writer struct {
	commit  func([]*request) error
	wake    chan struct{} // one token: there is something queued, or it is over
	stopped chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex // guards what follows
	queue  []*request
	closed bool
}

func (w *writer) start(commit func([]*request) error) {
	w.commit = commit
	w.wake = make(chan struct{}, 1)
	w.stopped = make(chan struct{})
	go w.run()
}

// do queues a transaction and waits for its outcome.
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
	w.signal()
	<-r.done
	err := r.err
	r.tx, r.err = nil, nil
	requests.Put(r)
	return err
}

// stop lets the goroutine finish what is queued and waits for its end; false
// when it was stopped before.
func (w *writer) stop() bool {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.stopped
	return first
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // there is a token already
	}
}

// run writes group after group. After a failure of the disk nothing is
// written any more: the state of the file is not known, and a second flush
// that succeeds would prove nothing about the first.
func (w *writer) run() {
	defer close(w.stopped)
	var broken error
	var spare []*request
	for range w.wake {
		queue, closed := w.take(spare)
		for rest := queue; len(rest) > 0; {
			n := groupSize(rest)
			group := rest[:n]
			rest = rest[n:]
			if broken == nil {
				broken = w.commit(group)
			}
			for i, r := range group {
				if broken != nil {
					r.err = broken
				}
				group[i] = nil // r is its caller's from here on
				r.done <- struct{}{}
			}
		}
		if closed {
			return
		}
		spare = queue[:0]
	}
}

// take empties the queue, and leaves it spare to fill.
func (w *writer) take(spare []*request) (queue []*request, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue, w.queue = w.queue, spare
	return queue, w.closed
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
