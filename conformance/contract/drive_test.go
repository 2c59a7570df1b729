package contract

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"postern/conformance/attestation"
	"postern/conformance/lab"
	"postern/internal/config"
	"postern/internal/keyvault"
	"postern/posterntest"
)

// driver sends requests to one vault in one api-version and judges every
// answer.
type driver struct {
	t       *testing.T
	p       *posterntest.Postern
	base    string
	version string
	token   string
	// spec is nil when the documents are not there.
	spec *specification
	rows *coverage
	// authority attests environments to which keys are released.
	authority *attestation.Authority
}

// start starts a server that trusts an attestation authority.
func start(t *testing.T) (*posterntest.Postern, *attestation.Authority) {
	t.Helper()
	authority := attestation.Start(t)
	list, err := json.Marshal([]config.Attester{{Issuer: authority.URL, CAFile: authority.File(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return posterntest.Start(t, posterntest.WithSetting("attestation", string(list))), authority
}

// answer is what came back.
type answer struct {
	t      *testing.T
	what   string
	status int
	body   []byte
	value  any
}

// fields is a JSON object.
type fields = map[string]any

// at is the driver with the given test, for a subtest.
func (d driver) at(t *testing.T) driver { d.t = t; return d }

// send sends a request and expects a status; 0 is any. The body is sent as
// JSON unless it is nil or []byte.
func (d driver) send(status int, method, path string, body any) answer {
	d.t.Helper()
	u, err := url.Parse(d.base + path)
	if err != nil {
		d.t.Fatal(err)
	}
	q := u.Query()
	if d.version != "" && !q.Has("api-version") {
		q.Set("api-version", d.version)
	}
	u.RawQuery = q.Encode()
	return d.sendTo(status, method, u, body)
}

// sendTo is send for a whole URL.
func (d driver) sendTo(status int, method string, u *url.URL, body any) answer {
	d.t.Helper()
	text, ok := body.([]byte)
	if !ok && body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			d.t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(d.t.Context(), method, u.String(), bytes.NewReader(text))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if d.token != "" {
		request.Header.Set("Authorization", "Bearer "+d.token)
	}
	response, err := d.p.Client().Do(request)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, u, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, u, err)
	}
	a := answer{t: d.t, what: method + " " + u.RequestURI(), status: response.StatusCode, body: got}
	if len(got) > 0 {
		if err := json.Unmarshal(got, &a.value); err != nil {
			d.t.Errorf("%s: %v: %s", a.what, err, got)
		}
	}
	d.judge(method, u.Path, response, a)
	if status != 0 && a.status != status {
		d.t.Errorf("%s = %d, want %d\n%s\nthe request's body: %.300s", a.what, a.status, status, got, text)
	}
	return a
}

// judge holds the answer against the documents and remembers it.
func (d driver) judge(method, path string, response *http.Response, a answer) {
	d.t.Helper()
	for _, name := range []string{"X-Ms-Request-Id", "X-Ms-Keyvault-Service-Version", "Strict-Transport-Security"} {
		if response.Header.Get(name) == "" {
			d.t.Errorf("%s: the answer has no %s", a.what, name)
		}
	}
	method, pattern := d.rows.saw(method, path, a.status)
	if d.spec == nil {
		return
	}
	if err := d.spec.judge(method, pattern, a.status, response.Header, a.body); err != nil {
		d.t.Errorf("%s: %v", a.what, err)
	}
	if o := d.spec.operations[key(method, pattern)]; o != nil && a.status < 300 {
		d.rows.granted[d.version+" "+o.id] = true
	}
}

// get finds a value in the answer: "attributes.enabled", "value.0.id".
func (a answer) get(path string) any {
	v := a.value
	for _, part := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// text is get for a string that must be there.
func (a answer) text(path string) string {
	a.t.Helper()
	s, ok := a.get(path).(string)
	if !ok || s == "" {
		a.t.Fatalf("%s: there is no %s in %s", a.what, path, a.body)
	}
	return s
}

// expect compares a value of the answer.
func (a answer) expect(path string, want any) {
	a.t.Helper()
	got, err := json.Marshal(a.get(path))
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := json.Marshal(want)
	if err != nil {
		a.t.Fatal(err)
	}
	if !bytes.Equal(got, text) {
		a.t.Errorf("%s: %s = %s, want %s", a.what, path, got, text)
	}
}

// version is the last part of an id.
func (a answer) versionOf(path string) string {
	a.t.Helper()
	id := a.text(path)
	return id[strings.LastIndexByte(id, '/')+1:]
}

// all follows a list from page to page.
func (d driver) all(path string) []any {
	d.t.Helper()
	var items []any
	a := d.send(200, "GET", path, nil)
	for {
		page, ok := a.get("value").([]any)
		if !ok {
			d.t.Fatalf("%s: there is no list in %s", a.what, a.body)
		}
		items = append(items, page...)
		next, ok := a.get("nextLink").(string)
		if !ok || next == "" {
			return items
		}
		u, err := url.Parse(next)
		if err != nil {
			d.t.Fatal(err)
		}
		a = d.sendTo(200, "GET", u, nil)
	}
}

// coverage is which operation answered what.
type coverage struct {
	routes []keyvault.Route
	// statuses is by route, granted by api-version and operationId.
	statuses map[string]map[int]bool
	granted  map[string]bool
}

func newCoverage() *coverage {
	routes := keyvault.Routes()
	for _, o := range hardware {
		method, pattern, _ := strings.Cut(o, " ")
		routes = append(routes, keyvault.Route{Method: method, Pattern: pattern})
	}
	return &coverage{routes: routes, statuses: map[string]map[int]bool{}, granted: map[string]bool{}}
}

// saw finds the row of the route table that a request belongs to, by itself
// and not as the server does: of those that fit, the one with the most fixed
// words.
func (c *coverage) saw(method, path string, status int) (string, string) {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	pattern, best := "", -1
	for _, r := range c.routes {
		if n := fits(strings.Split(r.Pattern[1:], "/"), segments); r.Method == method && n > best {
			pattern, best = r.Pattern, n
		}
	}
	if best >= 0 {
		name := method + " " + pattern
		if c.statuses[name] == nil {
			c.statuses[name] = map[int]bool{}
		}
		c.statuses[name][status] = true
	}
	return method, pattern
}

// fits counts the fixed words of a pattern that fits; -1 is that it does
// not.
func fits(parts, segments []string) int {
	if len(parts) == len(segments)+1 {
		for i, part := range parts {
			if part == "{version}" {
				segments = append(append(append([]string{}, segments[:i]...), "x"), segments[i:]...)
				break
			}
		}
	}
	if len(parts) != len(segments) {
		return -1
	}
	n := 0
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			continue
		}
		if part != segments[i] {
			return -1
		}
		n++
	}
	return n
}

// shared is the folder of the documents, "" when they are not there.
func shared(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("POSTERN_SHARED")
	if folder == "" {
		folder = filepath.Join(lab.Repository(t), "..", "shared")
	}
	folder = filepath.Join(folder, "specs", "keyvault", "data-plane")
	if _, err := os.Stat(folder); err != nil {
		t.Log("left out: answers are not compared with the OpenAPI documents, which are neither in POSTERN_SHARED nor in ../shared")
		return ""
	}
	return folder
}
