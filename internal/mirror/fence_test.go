package mirror

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// bearer is a credential whose token must not get into other hands.
type bearer string

func (b bearer) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(b), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// hostile is a vault that answers as it likes, and every other host besides.
type hostile struct {
	mu sync.Mutex
	// asked are the hosts that were asked for something.
	asked map[string]int
	// challenge is that of a request without a token, answer what there is
	// for one with it.
	challenge string
	answer    func(w http.ResponseWriter, r *http.Request)
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked[r.Host]++
	h.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") == "" {
		w.Header().Set("WWW-Authenticate", h.challenge)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	h.answer(w, r)
}

// side is the vault as one of the two.
func (h *hostile) side(t *testing.T) Side {
	t.Helper()
	if h.challenge == "" {
		h.challenge = `Bearer authorization="https://login.example.com/tenant", resource="https://example.com"`
	}
	h.asked = map[string]int{}
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return Side{URL: "https://v.example.com", Credential: bearer("token"), Client: &http.Client{Transport: transport}}
}

// lists answers every list with a text, and single objects with another.
func lists(list, object string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Count(strings.Trim(r.URL.Path, "/"), "/") == 0:
			_, _ = io.WriteString(w, list)
		case object == "":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, object)
		}
	}
}

// TestHostileVault: what a vault answers makes nobody go elsewhere with the
// token, ends no run with a panic, and names no object that can have no such
// name.
func TestHostileVault(t *testing.T) {
	named := func(id string) string {
		return fmt.Sprintf(`{"value":[{"id":%q,"kid":%q,"attributes":{"enabled":true}}]}`, id, id)
	}
	fine := named("https://v.example.com/secrets/a")
	for _, tt := range []struct {
		what   string
		h      *hostile
		listed bool // the lists are taken; what is wrong is with an object
	}{
		{"a link to another host", &hostile{answer: lists(`{"value":[],"nextLink":"https://thief.example.net/secrets"}`, "")}, false},
		{"a link to another port", &hostile{answer: lists(`{"value":[],"nextLink":"https://v.example.com:444/secrets"}`, "")}, false},
		{"a link without TLS", &hostile{answer: lists(`{"value":[],"nextLink":"http://v.example.com/secrets"}`, "")}, false},
		{"a link with a name before the host", &hostile{answer: lists(`{"value":[],"nextLink":"https://v.example.com@thief.example.net/"}`, "")}, false},
		{"a redirect", &hostile{answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://thief.example.net/", http.StatusTemporaryRedirect)
		}}, false},
		{"a name with a slash", &hostile{answer: lists(named("https://v.example.com/secrets/..%2fkeys"), "")}, false},
		{"a name with control characters", &hostile{answer: lists(named("https://v.example.com/secrets/%1b[31mred"), "")}, false},
		{"a long name", &hostile{answer: lists(named("https://v.example.com/secrets/"+strings.Repeat("a", 128)), "")}, false},
		{"an identifier that is none", &hostile{answer: lists(named("::"), "")}, false},
		{"no identifier", &hostile{answer: lists(`{"value":[{"attributes":{}}]}`, "")}, false},
		{"no attributes", &hostile{answer: lists(`{"value":[{"id":"https://v.example.com/secrets/a"}]}`, "")}, false},
		{"null for an object", &hostile{answer: lists(`{"value":[null]}`, "")}, false},
		{"no JSON", &hostile{answer: lists(`<html>`, "")}, false},
		{"a challenge of another form", &hostile{challenge: `Bearer authorization="x", resource="https://example.com"`, answer: lists(fine, "")}, false},
		{"a challenge for another resource", &hostile{challenge: `Bearer authorization="https://login.example.com/t", resource="https://management.azure.com"`, answer: lists(fine, "")}, false},
		{"an object that is empty", &hostile{answer: lists(fine, `{}`)}, true},
		{"an object that is a list", &hostile{answer: lists(fine, `[]`)}, true},
		{"an object without attributes", &hostile{answer: lists(fine, `{"id":"https://v.example.com/secrets/a","value":"v"}`)}, true},
	} {
		for _, kind := range Kinds() {
			side := tt.h.side(t)
			other := Side{URL: "https://w.example.com", Credential: bearer("other"), Client: side.Client}
			report, err := Run(t.Context(), Options{From: side, To: other, Kinds: []Kind{kind}})
			if (err == nil) != tt.listed && (tt.listed || report.Count(Failed)+report.Count(Left) == 0) {
				t.Errorf("%s: %s: %v and the steps %+v, want an error: %v", tt.what, kind, err, report.Steps, !tt.listed)
			}
			for host := range tt.h.asked {
				if host != "v.example.com" && host != "w.example.com" {
					t.Errorf("%s: %s was asked", tt.what, host)
				}
			}
		}
	}
}

// TestHostileTexts: what a vault says of a failure is one short line without
// control characters.
func TestHostileTexts(t *testing.T) {
	h := &hostile{answer: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":{"code":"Forbidden","message":"\u001b[2J\u009b31m\u2028`+strings.Repeat("x", 10_000)+`"}}`)
	}}
	side := h.side(t)
	_, err := Run(t.Context(), Options{From: side, To: Side{URL: "https://w.example.com", Credential: bearer("other"), Client: side.Client}})
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\u009b\u2028\n") || len(err.Error()) > 600 {
		t.Errorf("Run = %q, want one short line", err)
	}
}

func TestBounds(t *testing.T) {
	b := &bounded{io.NopCloser(strings.NewReader(strings.Repeat("x", 100))), 60}
	if n, err := io.Copy(io.Discard, b); n != 60 || err == nil {
		t.Errorf("reading a long answer = %d, %v, want its beginning and an error", n, err)
	}
	for _, tt := range []struct {
		pages int
		ok    bool
	}{{1, true}, {maxPages, true}, {maxPages + 1, false}} {
		read := 0
		pager := runtime.NewPager(runtime.PagingHandler[int]{More: func(n int) bool { return n < tt.pages },
			Fetcher: func(context.Context, *int) (int, error) { read++; return read, nil }})
		_, err := roll(t.Context(), pager, func(int) []entry { return nil })
		if (err == nil) != tt.ok || read > maxPages {
			t.Errorf("a list of %d pages: %d read, %v, want ok %v", tt.pages, read, err, tt.ok)
		}
	}
	own := errors.New("own")
	if err := understood(func() error { return own }); err != own {
		t.Errorf("understood(%v) = %v", own, err)
	}
	func() {
		defer func() {
			if p := recover(); p != own {
				t.Errorf("a panic of another sort = %v, want it passed on", p)
			}
		}()
		_ = understood(func() error { panic(own) })
	}()
}
