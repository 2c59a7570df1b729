package upkeep_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/posterntest"
)

const day = 24 * time.Hour

// listener is a webhook: it confirms the handshake and writes down what it
// is told. While broken it answers 503.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	events []string
	ids    []string
	broken bool
}

func newListener(t *testing.T) *listener {
	l := &listener{}
	l.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var events []struct {
			ID, Subject, EventType string
			Data                   struct{ ValidationCode, VaultName, Version string }
		}
		if err := json.Unmarshal(body, &events); err != nil || len(events) != 1 || r.Header.Get("X-Key") != "word" {
			t.Errorf("the webhook got %s with %v", body, r.Header)
			return
		}
		if l.broken {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if code := events[0].Data.ValidationCode; code != "" {
			fmt.Fprintf(w, `{"validationResponse":%q}`, code)
			return
		}
		l.ids = append(l.ids, events[0].ID)
		l.events = append(l.events, strings.TrimPrefix(events[0].EventType, "Microsoft.KeyVault.")+" "+events[0].Data.VaultName+"/"+events[0].Subject)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) breakDown(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
}

// told is what the webhook was told since the last time, sorted.
func (l *listener) told() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.events
	l.events = nil
	slices.Sort(list)
	return list
}

// settings are those of a server that tells the webhook.
func (l *listener) settings(t *testing.T, more string) posterntest.Option {
	t.Helper()
	dir := t.TempDir()
	ca, word := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "word")
	for name, data := range map[string][]byte{ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Certificate().Raw}), word: []byte("word\n")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return posterntest.WithSetting("events.webhooks", fmt.Sprintf(`[{"name":"sink","url":%q,"caFile":%q,"header":"X-Key","headerFile":%q%s}]`, l.URL, ca, word, more))
}

// ask sends a request of the data plane that must succeed.
func ask(t *testing.T, p *posterntest.Postern, method, target string, body string) map[string]any {
	t.Helper()
	var sent any
	if body != "" {
		sent = []byte(body)
	}
	status, answer := p.Do(method, target+"?api-version=2025-07-01", sent)
	if status/100 != 2 {
		t.Fatalf("%s %s = %d %s", method, target, status, answer)
	}
	var got map[string]any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &got); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

func versions(t *testing.T, p *posterntest.Postern, target string) int {
	t.Helper()
	return len(ask(t, p, "GET", target+"/versions", "")["value"].([]any))
}

// TestYear lives through most of a year of a vault: keys are rotated,
// certificates renewed, everybody is told once, and what was deleted goes at
// its time.
func TestYear(t *testing.T) {
	hook, clock := newListener(t), &posterntest.Clock{}
	p := posterntest.Start(t, hook.settings(t, ""), posterntest.WithClock(clock.Now))
	v := p.CreateVault("kv1")
	in := func(d time.Duration) int64 { return clock.Now().Add(d).Unix() }
	ask(t, p, "PUT", v.URL+"/secrets/soon", fmt.Sprintf(`{"value":"1","attributes":{"exp":%d}}`, in(40*day)))
	ask(t, p, "PUT", v.URL+"/secrets/off", fmt.Sprintf(`{"value":"1","attributes":{"exp":%d,"enabled":false}}`, in(40*day)))
	ask(t, p, "PUT", v.URL+"/secrets/ever", `{"value":"1"}`)
	ask(t, p, "POST", v.URL+"/keys/turn/create", `{"kty":"EC"}`)
	ask(t, p, "PUT", v.URL+"/keys/turn/rotationpolicy", `{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P100D"},"action":{"type":"Rotate"}}],"attributes":{"expiryTime":"P200D"}}`)
	ask(t, p, "POST", v.URL+"/certificates/web/create", `{"policy":{"issuer":{"name":"Self"},"x509_props":{"subject":"CN=web","validity_months":12},`+
		`"key_props":{"kty":"EC","crv":"P-256","exportable":true},"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"AutoRenew"}}]}}`)
	ask(t, p, "PUT", v.URL+"/secrets/gone", `{"value":"1"}`)
	ask(t, p, "DELETE", v.URL+"/secrets/gone", "")
	for _, tt := range []struct {
		after              time.Duration
		keys, certificates int
		deleted            bool
		told               []string
	}{
		{0, 1, 1, true, []string{"CertificateNewVersionCreated kv1/web", "KeyNewVersionCreated kv1/turn", "SecretNewVersionCreated kv1/ever",
			"SecretNewVersionCreated kv1/gone", "SecretNewVersionCreated kv1/off", "SecretNewVersionCreated kv1/soon"}},
		{9 * day, 1, 1, true, nil},
		{2 * day, 1, 1, true, []string{"SecretNearExpiry kv1/soon"}},
		{30 * day, 1, 1, true, []string{"SecretExpired kv1/soon"}},
		{58 * day, 1, 1, false, nil}, // day 99; what was deleted is kept for 90
		{2 * day, 2, 1, false, []string{"KeyNewVersionCreated kv1/turn"}},
		{99 * day, 2, 1, false, nil},
		{2 * day, 3, 1, false, []string{"KeyNewVersionCreated kv1/turn"}},
		{90 * day, 3, 2, false, []string{"CertificateNewVersionCreated kv1/web"}}, // day 292 is 80 % of a year
	} {
		clock.Move(tt.after)
		p.Upkeep()
		p.Upkeep() // what was begun is gone on with, and nothing is told twice
		at := clock.Now().Format(time.DateOnly)
		if got := versions(t, p, v.URL+"/keys/turn"); got != tt.keys {
			t.Errorf("%s: %d versions of the key, want %d", at, got, tt.keys)
		}
		if got := versions(t, p, v.URL+"/certificates/web"); got != tt.certificates {
			t.Errorf("%s: %d versions of the certificate, want %d", at, got, tt.certificates)
		}
		status, _ := p.Do("GET", v.URL+"/deletedsecrets/gone?api-version=7.4", nil)
		if got := status == http.StatusOK; got != tt.deleted {
			t.Errorf("%s: deletedsecrets/gone = %d, want it there: %v", at, status, tt.deleted)
		}
		if diff := cmp.Diff(tt.told, hook.told()); diff != "" {
			t.Errorf("%s: the webhook was told (-want +got):\n%s", at, diff)
		}
	}
	latest := ask(t, p, "GET", v.URL+"/keys/turn", "")["attributes"].(map[string]any)
	if got := int64(latest["exp"].(float64)) - int64(latest["created"].(float64)); got != int64(200*day/time.Second) {
		t.Errorf("the rotated key expires after %d s, want the 200 days of its policy", got)
	}
	log := journal(t, p)
	for _, want := range []string{"KeyRotateIfDue", "CertificateRenewIfDue", "SecretNearExpiryEventGridNotification", "SecretExpiredEventGridNotification", "SecretPurge"} {
		if !strings.Contains(log, `"`+want+`"`) {
			t.Errorf("the journal has no record of %s", want)
		}
	}
}

func journal(t *testing.T, p *posterntest.Postern) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.Data, "journal", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	return text.String()
}

// TestWebhookOutage: what a webhook misses it is told later, also by the
// server that starts after this one, each event with its own id; what has
// become too old is not told any more.
func TestWebhookOutage(t *testing.T) {
	hook, clock, data := newListener(t), &posterntest.Clock{}, t.TempDir()
	hook.breakDown(true)
	settings := hook.settings(t, "")
	p := posterntest.Start(t, settings, posterntest.WithClock(clock.Now), posterntest.WithData(data))
	v := p.CreateVault("kv1")
	for i := range 3 {
		ask(t, p, "PUT", fmt.Sprintf("%s/secrets/s%d", v.URL, i), `{"value":"1"}`)
	}
	p.Upkeep()
	if got := hook.told(); got != nil {
		t.Errorf("while it is broken the webhook was told %v", got)
	}
	p.Stop()
	hook.breakDown(false)
	p = posterntest.Start(t, settings, posterntest.WithClock(clock.Now), posterntest.WithData(data))
	v.URL = p.VaultURL("kv1")
	p.Upkeep()
	want := []string{"SecretNewVersionCreated kv1/s0", "SecretNewVersionCreated kv1/s1", "SecretNewVersionCreated kv1/s2"}
	if diff := cmp.Diff(want, hook.told()); diff != "" {
		t.Errorf("after it the webhook was told (-want +got):\n%s", diff)
	}
	slices.Sort(hook.ids)
	if got := len(slices.Compact(hook.ids)); got != 3 {
		t.Errorf("%d different ids, want 3", got)
	}
	hook.breakDown(true)
	ask(t, p, "PUT", v.URL+"/secrets/late", `{"value":"1"}`)
	p.Upkeep()
	hook.breakDown(false)
	clock.Move(25 * time.Hour)
	p.Upkeep()
	if got := hook.told(); got != nil {
		t.Errorf("a day later the webhook was told %v, want nothing", got)
	}
}

// TestFilter: a webhook hears of the vaults and the types that it wants.
func TestFilter(t *testing.T) {
	hook := newListener(t)
	p := posterntest.Start(t, hook.settings(t, `,"vaults":["one"],"types":["SecretNewVersionCreated"]`))
	one, two := p.CreateVault("one"), p.CreateVault("two")
	ask(t, p, "PUT", one.URL+"/secrets/a", `{"value":"1"}`)
	ask(t, p, "PUT", two.URL+"/secrets/b", `{"value":"1"}`)
	ask(t, p, "POST", one.URL+"/keys/k/create", `{"kty":"EC"}`)
	p.Upkeep()
	if diff := cmp.Diff([]string{"SecretNewVersionCreated one/a"}, hook.told()); diff != "" {
		t.Errorf("the webhook was told (-want +got):\n%s", diff)
	}
}
