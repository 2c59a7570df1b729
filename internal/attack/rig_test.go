package attack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/journal"
	"postern/internal/roles"
	"postern/internal/seal"
	"postern/internal/store/bolt"
	"postern/posterntest"
)

// api is put behind every path of the data plane, armAPI behind those of the
// control plane.
const (
	api    = "?api-version=7.4"
	armAPI = "?api-version=2023-07-01"
	// vaultResource is the audience that holds whatever the port is.
	vaultResource = "https://vault.azure.net"
	// patience bounds what should end by itself; no test waits for it.
	patience = 30 * time.Second
)

// serial numbers the requests: it is how their records are found.
var serial atomic.Int64

func nextID() string { return fmt.Sprintf("attack-%06d", serial.Add(1)) }

// answer is what came back for one request.
type answer struct {
	status int
	body   string
	header http.Header
	// id is the x-ms-client-request-id that was sent.
	id string
}

// request is one request to a running server, over its own host name.
type request struct {
	method, url, token, body string
	header                   http.Header
	host                     string
}

// send sends a request; nothing is followed, nothing is tried again.
func send(t testing.TB, c *http.Client, q request) answer {
	t.Helper()
	a, err := trySend(c, q)
	if err != nil {
		t.Fatalf("%s %s: %v", q.method, q.url, err)
	}
	return a
}

func trySend(c *http.Client, q request) (answer, error) {
	r, err := http.NewRequest(q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	id := nextID()
	if r.Header.Get("x-ms-client-request-id") == "" {
		r.Header.Set("x-ms-client-request-id", id)
	}
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.host != "" {
		r.Host = q.host
	}
	got, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{got.StatusCode, string(body), got.Header, id}, nil
}

// dial opens a TLS connection to the server.
func dial(t testing.TB, p *posterntest.Postern, sni string, protocols ...string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", p.Address(), &tls.Config{RootCAs: pool(t, p), ServerName: sni, NextProtos: protocols})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func pool(t testing.TB, p *posterntest.Postern) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(p.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the CA file")
	}
	return roots
}

// exchange writes raw bytes and reads answers until the server closes the
// connection; the last request should ask it to.
func exchange(conn net.Conn, raw string) (answers []answer) {
	// A server that has refused may close before it has read all.
	_, _ = io.WriteString(conn, raw)
	r := bufio.NewReader(conn)
	for {
		got, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers
		}
		body, err := io.ReadAll(got.Body)
		got.Body.Close()
		answers = append(answers, answer{status: got.StatusCode, body: string(body), header: got.Header})
		if err != nil || got.Close {
			return answers
		}
	}
}

// token gets a token of any tenant over the login endpoint.
func token(t testing.TB, p *posterntest.Postern, tenant, client, secret, resource string) string {
	t.Helper()
	got, err := p.Client().PostForm(p.LoginURL+"/"+tenant+"/oauth2/v2.0/token", url.Values{"grant_type": {"client_credentials"},
		"client_id": {client}, "client_secret": {secret}, "scope": {resource + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var a struct {
		Token string `json:"access_token"`
		Error string `json:"error_description"`
	}
	if err := json.NewDecoder(got.Body).Decode(&a); err != nil || a.Token == "" {
		t.Fatalf("no token of tenant %s: %s %v", tenant, a.Error, err)
	}
	return a.Token
}

// closedFolder is the data folder of a server that was stopped.
type closedFolder struct {
	store *bolt.Store
	root  *seal.Root
}

// open looks into the data folder of a stopped server, and closes it again.
func open(t testing.TB, dir string, look func(closedFolder)) {
	t.Helper()
	st, err := bolt.Open(filepath.Join(dir, "postern.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	root, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	look(closedFolder{st, root})
}

func (f closedFolder) directory(t testing.TB, now func() time.Time) *entra.Directory {
	t.Helper()
	d, err := entra.Open(context.Background(), f.store, f.root, entra.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (f closedFolder) estate(t testing.TB) *estate.Snapshot {
	t.Helper()
	r, err := estate.Open(context.Background(), f.store, estate.Options{Role: func(guid string) (*access.Role, bool) {
		d, ok := roles.ByName(guid)
		if !ok {
			return nil, false
		}
		return d.Role(), true
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Snapshot()
}

// state is what a stopped server has stored, apart from its outbox.
func state(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	open(t, dir, func(f closedFolder) {
		items, err := f.store.Range(context.Background(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			if !strings.HasPrefix(i.Key, "j/") {
				all[i.Key] = string(i.Value)
			}
		}
	})
	return all
}

// nothingLanded runs an attack on a server that others have set up, and
// compares what is stored before and after.
func nothingLanded(t *testing.T, setUp, attack func(p *posterntest.Postern), options ...posterntest.Option) *posterntest.Postern {
	t.Helper()
	options = append(options, posterntest.WithData(t.TempDir()))
	p := posterntest.Start(t, options...)
	setUp(p)
	p.Stop()
	before := state(t, p.Data)
	p = posterntest.Start(t, options...)
	attack(p)
	p.Stop()
	after := state(t, p.Data)
	for key, value := range after {
		if old, ok := before[key]; !ok {
			t.Errorf("the attack stored %s", key)
		} else if old != value {
			t.Errorf("the attack changed %s", key)
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			t.Errorf("the attack removed %s", key)
		}
	}
	if report, err := journal.Verify(filepath.Join(p.Data, "journal")); err != nil {
		t.Errorf("the journal after the attack: %v %+v", err, report)
	}
	return p
}

// records are those of the journal so far, by their correlation id.
func records(t testing.TB, dir string) map[string][]*journal.Record {
	t.Helper()
	all := map[string][]*journal.Record{}
	if err := journal.Read(filepath.Join(dir, "journal"), func(r *journal.Record) error {
		all[r.CorrelationID] = append(all[r.CorrelationID], r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// recorded checks that each answer has exactly one record, of its status.
func recorded(t testing.TB, dir string, answers []answer) {
	t.Helper()
	all := records(t, dir)
	for _, a := range answers {
		if got := all[a.id]; len(got) != 1 || got[0].Status != a.status {
			t.Errorf("request %s was answered %d %.120s, recorded as %+v, want one record of that status", a.id, a.status, a.body, got)
		}
	}
}

// alive checks that the server still serves.
func alive(t testing.TB, p *posterntest.Postern, after string) {
	t.Helper()
	c := p.NewClient()
	defer c.CloseIdleConnections()
	if a := send(t, c, request{method: "GET", url: p.VaultURL("kv1") + "/healthstatus"}); a.status != http.StatusOK {
		t.Fatalf("after %s the server answers %d %s", after, a.status, a.body)
	}
}

// assign gives a principal a role at a scope.
func assign(t testing.TB, p *posterntest.Postern, principal posterntest.Principal, role, scope string) {
	t.Helper()
	d, ok := roles.ByRoleName(role)
	if !ok {
		t.Fatalf("no role %q", role)
	}
	name := fmt.Sprintf("%08x-0000-4000-8000-000000000000", serial.Add(1))
	must(t, p, http.MethodPut, p.ManagementURL+scope+"/providers/Microsoft.Authorization/roleAssignments/"+name+"?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": principal.ObjectID, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + d.Name}})
}

// must does as the administrator what has to succeed.
func must(t testing.TB, p *posterntest.Postern, method, target string, body any) string {
	t.Helper()
	status, text := p.Do(method, target, body)
	if status/100 != 2 {
		t.Fatalf("%s %s = %d %s", method, target, status, text)
	}
	return string(text)
}

// setSecret sets a secret as the administrator.
func setSecret(t testing.TB, p *posterntest.Postern, vault, name, value string) string {
	t.Helper()
	return must(t, p, http.MethodPut, p.VaultURL(vault)+"/secrets/"+name+api, map[string]string{"value": value})
}

// clock is a clock that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time             { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) move(d time.Duration)       { c.ahead.Add(int64(d)) }
func (c *clock) option() posterntest.Option { return posterntest.WithClock(c.now) }

// safeBuffer is a log that a server may write to while a test reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}
