package identityendpoint

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Arc asks callers of Azure Arc's endpoint for a proof: the content of a
// file that only who may read the agent's folder can read.
type Arc struct {
	// Folder is the folder of the files; the clients look in no other than
	// /var/opt/azcmagent/tokens.
	Folder string
	Now    func() time.Time
	// Random makes names and proofs; nil means the real one.
	Random io.Reader
	Log    *slog.Logger

	mu      sync.Mutex
	pending map[string]proof // by their files
}

// proof is a file that was not shown yet.
type proof struct {
	file, text, resource string
	until                time.Time
}

// The limits of what is pending: of one machine, so that it keeps no other
// from its proofs, and of all.
const (
	proofLife   = time.Minute
	maxOwn      = 16
	maxPending  = 4096
	proofLength = 32
)

// proven reports whether a request shows the content of a file that was made
// for its resource. Without one it answers with the name of a new file (401);
// each file is good for once.
func (a *Arc) proven(w http.ResponseWriter, r *http.Request, resource string) bool {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
	if ok && a.take(strings.TrimSpace(shown), resource) {
		return true
	}
	file, err := a.give(resource)
	if err != nil {
		a.Log.Error("identity endpoint: Azure Arc", "error", err)
		write(w, errInternal.status, map[string]string{"error": errInternal.code, "error_description": errInternal.text})
		return false
	}
	if file == "" {
		write(w, http.StatusTooManyRequests, map[string]string{"error": "too_many_requests", "error_description": "Too many proofs are pending"})
		return false
	}
	w.Header().Set("WWW-Authenticate", "Basic realm="+file)
	write(w, http.StatusUnauthorized, map[string]string{"error": "unauthorized", "error_description": "The content of the file is the proof"})
	return false
}

// take uses a proof up.
func (a *Arc) take(text, resource string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire()
	for file, p := range a.pending {
		if p.resource == resource && subtle.ConstantTimeCompare([]byte(p.text), []byte(text)) == 1 {
			a.forget(file)
			return true
		}
	}
	return false
}

// give makes a file with a new proof; "" when too many are pending.
func (a *Arc) give(resource string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire()
	own := 0
	for _, p := range a.pending {
		if p.resource == resource {
			own++
		}
	}
	if own >= maxOwn || len(a.pending) >= maxPending {
		return "", nil
	}
	if a.Random == nil {
		a.Random = rand.Reader
	}
	var b [16 + proofLength]byte
	if _, err := io.ReadFull(a.Random, b[:]); err != nil {
		return "", err
	}
	p := proof{file: filepath.Join(a.Folder, hex.EncodeToString(b[:16])+".key"), text: hex.EncodeToString(b[16:]), resource: resource,
		until: a.Now().Add(proofLife)}
	if err := os.MkdirAll(a.Folder, 0o750); err != nil {
		return "", err
	}
	f, err := os.OpenFile(p.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(p.text)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if a.pending == nil {
		a.pending = map[string]proof{}
	}
	a.pending[p.file] = p
	return p.file, nil
}

// expire forgets the proofs that were not shown in time.
func (a *Arc) expire() {
	for file, p := range a.pending {
		if !a.Now().Before(p.until) {
			a.forget(file)
		}
	}
}

func (a *Arc) forget(file string) {
	delete(a.pending, file)
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		a.Log.Warn("identity endpoint: Azure Arc: a used proof was not removed", "error", err)
	}
}

// Close removes the files that are left.
func (a *Arc) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for file := range a.pending {
		a.forget(file)
	}
	return nil
}
