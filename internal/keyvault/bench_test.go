package keyvault

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a ResponseWriter that keeps its header map, as a server's
// connection does not.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkGetSecret is what the data plane adds to a GET of a secret,
// without connection, token and disk.
func BenchmarkGetSecret(b *testing.B) {
	r := newRig(b)
	r.do("PUT", "/secrets/a", `{"value":"value"}`)
	r.ledger.silent = true
	req := httptest.NewRequest("GET", "/secrets/a/?api-version=7.4", nil)
	req.Host = host
	req.Header.Set("Authorization", "Bearer officer")
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		r.ServeHTTP(w, req)
	}
}

// TestGetSecretAllocations bounds what a GET of a secret allocates, store
// and cipher included.
func TestGetSecretAllocations(t *testing.T) {
	r := newRig(t)
	r.do("PUT", "/secrets/a", `{"value":"value"}`).want(t, 200)
	r.ledger.silent = true
	req := httptest.NewRequest("GET", "/secrets/a/?api-version=7.4", nil)
	req.Host = host
	req.Header.Set("Authorization", "Bearer officer")
	w := &discard{header: http.Header{}}
	got := testing.AllocsPerRun(200, func() {
		clear(w.header)
		r.ServeHTTP(w, req)
	})
	if got > 14 {
		t.Errorf("a GET of a secret allocates %v times, want at most 14", got)
	}
}
