package drawing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An open is a connection that is kept.
type open struct {
	http   *http.Client
	header string
	reused bool
}

// keep makes an open connection; it connects when it is first read through.
func (c *programs) keep(t testing.TB, connect dialer) *open {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(c.postern.Data, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	header, err := os.ReadFile(c.token)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx) }}
	t.Cleanup(transport.CloseIdleConnections)
	_, token, _ := strings.Cut(strings.TrimSpace(string(header)), ": ")
	return &open{http: &http.Client{Transport: transport, Timeout: 5 * time.Second}, header: token}
}

// read reads the secret, and tells whether over the connection of before.
func (o *open) read(t *testing.T) string {
	t.Helper()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { o.reused = i.Reused }})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, vaultURL+"/secrets/"+secretName+"?api-version=7.4", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", o.header)
	response, err := o.http.Do(request)
	if err != nil {
		return noConnection + ": " + err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		return in
	}
	return refusal(response.StatusCode, text)
}

// TestStates is the guide's section 10.3: the states of a connection are
// asked at each request, of connections that are open too.
func TestStates(t *testing.T) {
	w, a := newWorld(t, "")
	e := newEstate(t, w, a)
	w.secret(t, vaultURL)
	e.eastEndpoint(true)
	e.update(e.vault, body{"publicNetworkAccess": "Disabled"})
	connection := e.connection(e.vault)
	kept := w.keep(t, w.dialer(t, "app", endpointAddress))
	steps := []struct {
		state            string
		change           func()
		resolves, answer string
	}{
		{"Pending, public access disabled", func() {}, toPublic, byConnection},
		{"Approved", func() { e.decide(connection, "Approved") }, toLeaked, in},
		{"Rejected", func() { e.decide(connection, "Rejected") }, toPublic, byConnection},
		{"Approved again", func() { e.decide(connection, "Approved") }, toLeaked, in},
		{"Approved, public access enabled and denied", func() {
			e.update(e.vault, body{"publicNetworkAccess": "Enabled", "networkAcls": body{"defaultAction": "Deny"}})
		}, toLeaked, in},
		{"Rejected, public access enabled and denied", func() { e.decide(connection, "Rejected") }, toPublic, byFirewall},
		{"Approved once more", func() { e.decide(connection, "Approved") }, toLeaked, in},
		{"Disconnected: removed by the vault's owner", func() { e.remove(connection, versionVaults) }, toPublic, byFirewall},
		{"deleted: the endpoint itself", func() { e.remove(e.endpointID, versionNetwork) }, toPublic, byFirewall},
	}
	e.b.text("a connection to the endpoint that stays open, from the app subnet\n  state\tthe internet resolves to\tthe open connection's answer\tsame connection")
	for i, s := range steps {
		s.change()
		resolves, answer := w.dig(t, "stranger"), kept.read(t)
		e.b.text("  %s\t%s\t%s\t%t", s.state, resolves, answer, kept.reused)
		if resolves != notAsked && resolves != s.resolves {
			t.Errorf("%s: the vault resolves to %q, want %q", s.state, resolves, s.resolves)
		}
		if answer != s.answer {
			t.Errorf("%s: the open connection's answer = %q, want %q", s.state, answer, s.answer)
		}
		if i > 0 && !kept.reused {
			t.Errorf("%s: it was another connection, want the open one", s.state)
		}
	}
}
