package attack

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"postern/internal/keyvault"
	"postern/posterntest"
)

// bentNames are what stands where a name or a version should: none of it can
// be either.
var bentNames = []string{"%2e%2e", "..", ".", "%00", "a%00", "a%2fb", "a%2Fversions", "a%5cb", "a\\b", "%C3%A4", "\xff", "a_b", "a.b", "a%20b", "a;b", "a,b", "a%0d%0aX:y", "%25", "a+b", "a*", "(a)", "a'b", "a%3Fb", "a%23b", "-%ff-", strings.Repeat("a", 128), strings.Repeat("a", 5000), "%u0061", "＆"}

// wire sends raw requests over one connection after the other.
type wire struct {
	t    *testing.T
	p    *posterntest.Postern
	conn *tls.Conn
	in   *bufio.Reader
}

func (w *wire) send(text string) answer {
	w.t.Helper()
	if w.conn == nil {
		w.conn = dial(w.t, w.p, host(w.p, "kv1"), "http/1.1")
		w.in = bufio.NewReader(w.conn)
	}
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Fatal(err)
	}
	got, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.t.Fatalf("%.100q: %v", text, err)
	}
	body, err := io.ReadAll(got.Body)
	got.Body.Close()
	if err != nil {
		w.t.Fatal(err)
	}
	if got.Close {
		w.conn.Close()
		w.conn = nil
	}
	return answer{status: got.StatusCode, body: string(body), header: got.Header}
}

// TestBentNames: every operation with names and versions of every odd form is
// refused, writes nothing, and is recorded in a line of a sane length.
func TestBentNames(t *testing.T) {
	t.Parallel()
	var answers []answer
	p := nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		admin, own, w := p.Token(vaultResource), host(p, "kv1"), &wire{t: t, p: p}
		const body = `{"kty":"EC","value":"AA","alg":"RS256","digest":"AA","target":"x","key":{"kty":"EC"},"x5c":["AA"],"cancellation_requested":true,"provider":"x","policy":{}}`
		for _, route := range keyvault.Routes() {
			if !strings.Contains(route.Pattern, "{name}") {
				continue
			}
			for _, bent := range bentNames {
				paths := []string{strings.NewReplacer("{name}", bent, "/{version}", "").Replace(route.Pattern)}
				if strings.Contains(route.Pattern, "{version}") {
					paths = append(paths, strings.NewReplacer("{name}", "missing", "{version}", bent).Replace(route.Pattern))
				}
				for _, path := range paths {
					sent := ""
					if route.Body > 0 {
						sent = body
					}
					id := nextID()
					a := w.send(fmt.Sprintf("%s %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nx-ms-client-request-id: %s\r\nContent-Length: %d\r\n\r\n%s", route.Method, path, newest, own, admin, id, len(sent), sent))
					if a.status < 400 || a.status >= 500 || a.status == 401 {
						t.Errorf("%s %.80q = %d %.200s, want a refusal", route.Method, path, a.status, a.body)
					}
					if a.header.Get("x-ms-request-id") != "" { // else net/http refused it
						a.id = id
						answers = append(answers, a)
					}
				}
			}
		}
	})
	if len(answers) < 1000 {
		t.Errorf("%d answers: this tries nothing", len(answers))
	}
	recorded(t, p.Data, answers)
	for _, list := range records(t, p.Data) {
		for _, r := range list {
			if len(r.ID)+len(r.RequestURI) > 6<<10 {
				t.Errorf("a record of %.200q, %d bytes", r.ID+r.RequestURI, len(r.ID+r.RequestURI))
			}
		}
	}
}

// TestWordsAsNames: a word of the paths is a name like any other; whoever is
// called so can be had, and no request for it does what the word says.
func TestWordsAsNames(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	for _, word := range []string{"create", "restore", "import", "pending", "policy", "versions", "backup", "recover", "rotate", "rotationpolicy", "merge", "keys", "secrets"} {
		h.want(202, "POST", "/certificates/"+word+"/create", ellipticPolicy("Self", true, false))
		for _, path := range []string{"/certificates/", "/keys/", "/secrets/"} {
			if a := h.want(200, "GET", path+word, ""); !strings.Contains(a.body, path+word+"/") {
				t.Errorf("GET %s%s = %s, want the object of that name", path, word, a.body)
			}
		}
		h.want(200, "POST", "/certificates/"+word+"/backup", "")
		h.want(200, "GET", "/certificates/"+word+"/policy", "")
		h.want(200, "GET", "/certificates/"+word+"/versions", "")
		h.want(200, "DELETE", "/certificates/"+strings.ToUpper(word), "")
		h.want(204, "DELETE", "/deletedcertificates/"+word, "")
		h.want(200, "POST", "/keys/"+word+"/create", `{"kty":"EC"}`)
		h.want(200, "POST", "/keys/"+word+"/rotate", "")
		h.want(200, "DELETE", "/keys/"+word, "")
		h.want(204, "DELETE", "/deletedkeys/"+word, "")
		h.whole(word)
	}
}
