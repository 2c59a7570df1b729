package posterntest

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestWholePath walks the thin path: a vault, a firewall, a secret, a
// refusal with the service's own words, and the record of it.
func TestWholePath(t *testing.T) {
	p := Start(t)
	kv := p.CreateVault("kv1")
	for _, base := range []string{kv.URL, p.PublicVaultURL("kv1")} {
		status, answer := p.Do("PUT", base+"/secrets/a?api-version=7.4", map[string]any{"value": "s3cret"})
		if status != http.StatusOK {
			t.Fatalf("PUT = %d %s", status, answer)
		}
		status, answer = p.Do("GET", base+"/secrets/a/?api-version=7.4", nil)
		var got struct{ Value, ID string }
		if err := json.Unmarshal(answer, &got); err != nil || status != http.StatusOK || got.Value != "s3cret" || !strings.HasPrefix(got.ID, base+"/secrets/a/") {
			t.Fatalf("GET = %d %s", status, answer)
		}
	}
	status, answer := p.Do("PATCH", p.ManagementURL+kv.ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{
		"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "None", "ipRules": []any{map[string]any{"value": "203.0.113.0/24"}}}}})
	if status != http.StatusOK {
		t.Fatalf("PATCH = %d %s", status, answer)
	}
	status, answer = p.Do("GET", kv.URL+"/secrets/a/?api-version=7.4", nil)
	want := `{"error":{"code":"Forbidden","message":"Client address is not authorized and caller was ignored because bypass is set to None\r\nClient address: 127.0.0.1\r\nCaller: appid=` +
		p.ClientID + `;oid=` + p.ObjectID + `;iss=https://sts.windows.net/` + p.TenantID + `/\r\nVault: kv1;location=eastus","innererror":{"code":"ForbiddenByFirewall"}}}`
	if status != http.StatusForbidden || string(answer) != want {
		t.Fatalf("GET from an address that is not listed = %d\n%s, want\n%s", status, answer, want)
	}
	p.Stop()
	journal, err := os.ReadFile(filepath.Join(p.Data, "journal", "000000000001.jsonl"))
	if err != nil || !strings.Contains(string(journal), "ForbiddenByFirewall") && !strings.Contains(string(journal), "request is not allowed") {
		t.Fatalf("the journal has no record of the refusal: %v\n%s", err, journal)
	}
	if strings.Contains(string(journal), "s3cret") {
		t.Fatal("the journal holds the secret")
	}
}

// TestRestart: what was acknowledged is there after a restart, under the
// same names and for the same administrator.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	p := Start(t, WithData(dir))
	p.CreateVault("kv1")
	p.Do("PUT", p.VaultURL("kv1")+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
	p.Stop()
	again := Start(t, WithData(dir))
	if status, answer := again.Do("GET", again.VaultURL("kv1")+"/secrets/a?api-version=7.4", nil); status != http.StatusOK {
		t.Fatalf("GET after a restart = %d %s", status, answer)
	}
	if again.TenantID != p.TenantID || again.ClientSecret != p.ClientSecret {
		t.Fatal("the restart made another administrator")
	}
}

// TestPropagation: with a delay, decisions see a change when it has come
// into force, the control plane at once.
func TestPropagation(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	p := Start(t, WithSetting("propagation.firewall", "90s"), WithClock(func() time.Time { return time.Unix(0, now.Load()) }))
	kv := p.CreateVault("kv1")
	p.Do("PUT", kv.URL+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
	p.Do("PATCH", p.ManagementURL+kv.ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny"}}})
	if _, answer := p.Do("GET", p.ManagementURL+kv.ID+"?api-version=2026-02-01", nil); !strings.Contains(string(answer), `"defaultAction":"Deny"`) {
		t.Fatalf("the control plane does not show the change: %s", answer)
	}
	if status, answer := p.Do("GET", kv.URL+"/secrets/a?api-version=7.4", nil); status != http.StatusOK {
		t.Fatalf("GET while the firewall is under way = %d %s", status, answer)
	}
	now.Add(int64(91 * time.Second))
	if status, answer := p.Do("GET", kv.URL+"/secrets/a?api-version=7.4", nil); status != http.StatusForbidden {
		t.Fatalf("GET after it = %d %s", status, answer)
	}
}

// TestCondition: an assignment with a condition grants what it says.
func TestCondition(t *testing.T) {
	p := Start(t)
	kv := p.CreateVault("kv1")
	reader := p.CreatePrincipal("reader")
	for _, name := range []string{"mine", "yours"} {
		p.Do("PUT", kv.URL+"/secrets/"+name+"?api-version=7.4", map[string]any{"value": "v"})
	}
	status, answer := p.Do("PUT", p.ManagementURL+kv.ID+"/providers/Microsoft.Authorization/roleAssignments/11111111-1111-1111-1111-111111111111?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": reader.ObjectID, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6", "conditionVersion": "2.0",
			"condition": "((!(ActionMatches{'Microsoft.KeyVault/vaults/secrets/getSecret/action'})) OR (@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 'mine'))"}})
	if status != http.StatusCreated {
		t.Fatalf("assigning = %d %s", status, answer)
	}
	token := p.TokenFor(reader.ClientID, reader.Secret, p.names.Private.VaultResource())
	for path, want := range map[string]int{"/secrets/mine": 200, "/secrets/yours": 403, "/secrets": 200} {
		if status, answer := p.DoAs(token, "GET", kv.URL+path+"?api-version=7.4", nil); status != want {
			t.Errorf("GET %s = %d %s, want %d", path, status, answer, want)
		}
	}
}

// TestRetryAfter: the service sends none; an operator may.
func TestRetryAfter(t *testing.T) {
	for _, c := range []struct{ seconds, want string }{{"0", ""}, {"3", "3"}} {
		p := Start(t, WithThrottle(1), WithSetting("throttle.retryAfter", c.seconds))
		kv := p.CreateVault("kv1")
		var answer *http.Response
		for range 2 {
			r, err := http.NewRequest("GET", kv.URL+"/secrets?api-version=7.4", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+p.Token(p.names.Private.VaultResource()))
			if answer, err = p.Client().Do(r); err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
		}
		if got := answer.Header.Get("Retry-After"); answer.StatusCode != http.StatusTooManyRequests || got != c.want {
			t.Errorf("retryAfter %s: %d with Retry-After %q, want 429 with %q", c.seconds, answer.StatusCode, got, c.want)
		}
		p.Stop()
	}
}

// TestMetrics: the counters are on a listener of their own.
func TestMetrics(t *testing.T) {
	p := Start(t, WithMetrics())
	kv := p.CreateVault("kv1")
	p.DoAs("", "GET", kv.URL+"/secrets/a?api-version=7.4", nil)
	answer, err := http.Get(p.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`postern_decisions_total{reason="NoToken"} 1`, `postern_requests_total{plane="vault"} 1`, "postern_journal_broken 0", "postern_vaults 1"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if status, _ := p.Do("GET", p.ManagementURL+"/metrics?api-version=2020-01-01", nil); status == http.StatusOK {
		t.Error("the metrics are served to everybody who reaches the vaults")
	}
}

// TestForeignHostIsLogged: a request to a name that is not the server's is
// in nobody's journal, but in the server's log, and bounded there.
func TestForeignHostIsLogged(t *testing.T) {
	var log lockedLog
	p := Start(t, WithLog(&log))
	r, err := http.NewRequest("GET", p.VaultURL("kv1")+"/secrets/a?api-version=7.4", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = strings.Repeat("x", 1000) + ".example.test"
	answer, err := p.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	p.Stop()
	text := log.text()
	if answer.StatusCode != http.StatusMisdirectedRequest || !strings.Contains(text, "no such host") || strings.Contains(text, strings.Repeat("x", 300)) {
		t.Errorf("answered %d, logged %q", answer.StatusCode, text)
	}
}

// lockedLog is a log that several goroutines write.
type lockedLog struct {
	mu  sync.Mutex // guards buf
	buf strings.Builder
}

// Write implements io.Writer.
func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lockedLog) text() string { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }
