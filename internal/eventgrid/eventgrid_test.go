package eventgrid

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKnown(t *testing.T) {
	for _, tt := range []struct {
		name string
		want Type
		ok   bool
	}{
		{"Microsoft.KeyVault.SecretNearExpiry", SecretNearExpiry, true},
		{"microsoft.keyvault.secretnearexpiry", SecretNearExpiry, true},
		{"KeyExpired", KeyExpired, true},
		{"", "", false},
		{"Microsoft.KeyVault.", "", false},
		{"VaultAccessPolicyChanged", "", false},
	} {
		if got, ok := Known(tt.name); got != tt.want || ok != tt.ok {
			t.Errorf("Known(%q) = %q, %v, want %q, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestWants(t *testing.T) {
	for _, tt := range []struct {
		filter Filter
		want   bool
	}{
		{Filter{}, true},
		{Filter{Vaults: []string{"other"}}, false},
		{Filter{Vaults: []string{"other", "KV"}}, true},
		{Filter{Types: []Type{SecretExpired}}, false},
		{Filter{Types: []Type{SecretExpired, KeyNearExpiry}}, true},
		{Filter{Vaults: []string{"other"}, Types: []Type{KeyNearExpiry}}, false},
	} {
		if got := tt.filter.Wants("kv", KeyNearExpiry); got != tt.want {
			t.Errorf("%+v.Wants(kv, KeyNearExpiry) = %v, want %v", tt.filter, got, tt.want)
		}
	}
}

// hook is a webhook that is there: what it got, and what it answers.
type hook struct {
	*httptest.Server
	got    []*http.Request
	bodies []string
	answer func(n int, body string) (status int, header http.Header, answer string)
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.got, h.bodies = append(h.got, r), append(h.bodies, string(body))
		status, header, answer := h.answer(len(h.got), string(body))
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(h.Close)
	return h
}

// polite confirms the handshake, then answers as it is told.
func polite(then int) func(int, string) (int, http.Header, string) {
	return func(_ int, body string) (int, http.Header, string) {
		var events []struct {
			EventType string
			Data      struct{ ValidationCode string }
		}
		if json.Unmarshal([]byte(body), &events) == nil && len(events) == 1 && events[0].Data.ValidationCode != "" {
			return 200, nil, `{"validationResponse":"` + events[0].Data.ValidationCode + `"}`
		}
		return then, nil, ""
	}
}

func (h *hook) open(t *testing.T, schema Schema) *Hook {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(h.Certificate())
	made := &Hook{Name: "sink", URL: h.URL + "/events?code=k", Schema: schema, Roots: roots, Header: "X-Key", Value: "s3cret"}
	if err := made.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(made.Close)
	return made
}

func anEvent() *Event {
	expires := int64(1900000000)
	return &Event{ID: "00000000-0000-4000-8000-000000000001", Type: SecretNearExpiry, Time: time.Unix(1700000000, 0), Vault: "kv",
		Topic: "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv", URL: "https://kv.vault.azure.net/secrets/db/1",
		Name: "db", Version: "1", Expires: &expires}
}

func TestSend(t *testing.T) {
	h := newHook(t)
	h.answer = polite(200)
	sink := h.open(t, GridSchema)
	for attempt := range 2 {
		if err := sink.Send(t.Context(), anEvent(), attempt); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.got) != 3 {
		t.Fatalf("%d requests, want the handshake once and two events", len(h.got))
	}
	want := `[{"id":"00000000-0000-4000-8000-000000000001","topic":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv",` +
		`"subject":"db","eventType":"Microsoft.KeyVault.SecretNearExpiry","data":{"Id":"https://kv.vault.azure.net/secrets/db/1","VaultName":"kv",` +
		`"ObjectType":"Secret","ObjectName":"db","Version":"1","NBF":null,"EXP":1900000000},"dataVersion":"1","metadataVersion":"1",` +
		`"eventTime":"2023-11-14T22:13:20.0000000Z"}]`
	if diff := cmp.Diff(want, h.bodies[1]); diff != "" {
		t.Errorf("the event (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		request      int
		header, want string
	}{
		{0, "Aeg-Event-Type", "SubscriptionValidation"}, {1, "Aeg-Event-Type", "Notification"}, {1, "Aeg-Delivery-Count", "0"},
		{2, "Aeg-Delivery-Count", "1"}, {1, "Aeg-Subscription-Name", "SINK"}, {1, "X-Key", "s3cret"}, {1, "Content-Type", "application/json; charset=utf-8"},
	} {
		if got := h.got[tt.request].Header.Get(tt.header); got != tt.want {
			t.Errorf("request %d: %s = %q, want %q", tt.request, tt.header, got, tt.want)
		}
	}
}

func TestSendCloudEvent(t *testing.T) {
	h := newHook(t)
	h.answer = func(n int, _ string) (int, http.Header, string) {
		return 200, http.Header{"Webhook-Allowed-Origin": {"eventgrid.azure.net"}}, ""
	}
	if err := h.open(t, CloudSchema).Send(t.Context(), anEvent(), 0); err != nil {
		t.Fatal(err)
	}
	if h.got[0].Method != "OPTIONS" || h.got[0].Header.Get("Webhook-Request-Origin") == "" {
		t.Errorf("the handshake is %s %v", h.got[0].Method, h.got[0].Header)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(h.bodies[1]), &got); err != nil || got["specversion"] != "1.0" || got["type"] != string(SecretNearExpiry) || got["subject"] != "db" {
		t.Errorf("cloud event = %s, %v", h.bodies[1], err)
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name    string
		schema  Schema
		answer  func(int, string) (int, http.Header, string)
		dropped bool
	}{
		{"no handshake", GridSchema, func(int, string) (int, http.Header, string) { return 200, nil, "{}" }, false},
		{"another's code", GridSchema, func(int, string) (int, http.Header, string) { return 200, nil, `{"validationResponse":"x"}` }, false},
		{"no origin", CloudSchema, func(int, string) (int, http.Header, string) { return 200, nil, "" }, false},
		{"moved", GridSchema, polite(302), false},
		{"busy", GridSchema, polite(503), false},
		{"throttled", GridSchema, polite(429), false},
		{"bad request", GridSchema, polite(400), true},
		{"gone", GridSchema, polite(404), true},
		{"too large", GridSchema, polite(413), true},
	} {
		h := newHook(t)
		h.answer = tt.answer
		err := h.open(t, tt.schema).Send(t.Context(), anEvent(), 0)
		if dropped := new(Dropped); err == nil || errors.As(err, &dropped) != tt.dropped {
			t.Errorf("%s: %v, want an error that is final: %v", tt.name, err, tt.dropped)
		} else if strings.Contains(err.Error(), "code=k") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error gives away a key: %v", tt.name, err)
		}
	}
	h := newHook(t)
	sink := h.open(t, GridSchema)
	h.Close()
	if err := sink.Send(t.Context(), anEvent(), 0); err == nil || strings.Contains(err.Error(), "code=k") {
		t.Errorf("a webhook that is gone: %v", err)
	}
}

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		url string
		ok  bool
	}{
		{"https://host/path", true}, {"http://127.0.0.1:8080/", true}, {"http://localhost/", true}, {"http://host/", false},
		{"", false}, {"https://", false}, {"ftp://host/", false}, {"https://user:word@host/", false}, {"://", false},
	} {
		if err := (&Hook{Name: "h", URL: tt.url}).Open(); (err == nil) != tt.ok {
			t.Errorf("Open(%q) = %v, want ok %v", tt.url, err, tt.ok)
		}
	}
}

func TestWait(t *testing.T) {
	for _, tt := range []struct {
		attempts int
		want     time.Duration
	}{{0, 10 * time.Second}, {1, 10 * time.Second}, {2, 30 * time.Second}, {10, 12 * time.Hour}, {99, 12 * time.Hour}} {
		if got := Wait(tt.attempts); got != tt.want {
			t.Errorf("Wait(%d) = %v, want %v", tt.attempts, got, tt.want)
		}
	}
}
