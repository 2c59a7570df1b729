package acme

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// challengePath is where an authority looks (RFC 8555 §8.3).
const challengePath = "/.well-known/acme-challenge/"

// maxTokens is how many challenges may be in progress at once.
const maxTokens = 10_000

// Responder answers the challenges http-01 that are in progress, over plain
// HTTP on port 80 of every host that certificates are asked for. It knows
// nothing else and is empty after a start; Poll presents again what is in
// progress. The zero value is ready.
type Responder struct {
	// Now is the clock; nil is the system's.
	Now func() time.Time

	mu      sync.RWMutex
	answers map[string]answer // guarded by mu; by token
}

// answer is what a token is answered with, and until when.
type answer struct {
	text  string
	until time.Time
}

// ServeHTTP answers for a token in progress, and 404 for everything else.
func (r *Responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	token, ok := strings.CutPrefix(req.URL.Path, challengePath)
	r.mu.RLock()
	found, known := r.answers[token]
	r.mu.RUnlock()
	if !ok || !known || r.now().After(found.until) || req.Method != http.MethodGet && req.Method != http.MethodHead {
		http.NotFound(w, req)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(found.text))
}

func (r *Responder) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// present adds answers, for as long as their issuance can last. When there
// are too many, those go that nobody forgot in time.
func (r *Responder) present(answers map[string]string, until time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == nil {
		r.answers = map[string]answer{}
	}
	if len(r.answers)+len(answers) > maxTokens {
		now := r.now()
		maps.DeleteFunc(r.answers, func(_ string, a answer) bool { return now.After(a.until) })
	}
	for token, text := range answers {
		if _, known := r.answers[token]; !known && len(r.answers) >= maxTokens {
			return errors.New("acme: too many challenges are in progress\nhint: it is tried again by itself")
		}
		r.answers[token] = answer{text, until}
	}
	return nil
}

// forget takes answers away.
func (r *Responder) forget(answers map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token := range answers {
		delete(r.answers, token)
	}
}
