package estate

import "sync"

// publishing tells those who asked that there is a new snapshot.
type publishing struct {
	mu      sync.Mutex // guards waiting
	waiting []chan struct{}
}

// Published is a channel on which something is received after every change,
// or after several: whoever receives looks at the snapshot. It is never
// closed.
func (r *Registry) Published() <-chan struct{} {
	c := make(chan struct{}, 1)
	r.publishing.mu.Lock()
	defer r.publishing.mu.Unlock()
	r.publishing.waiting = append(r.publishing.waiting, c)
	return c
}

func (r *Registry) publish() {
	r.publishing.mu.Lock()
	defer r.publishing.mu.Unlock()
	for _, c := range r.publishing.waiting {
		select {
		case c <- struct{}{}:
		default: // it has not looked since the last time
		}
	}
}
