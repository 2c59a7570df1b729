package eventgrid

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of delivery (documentation: delivery-and-retry): an answer must
// come within half a minute, an event is tried thirty times in a day.
const (
	Timeout     = 30 * time.Second
	MaxAttempts = 30
	MaxAge      = 24 * time.Hour
	maxAnswer   = 64 << 10
)

// waits are the pauses before the next attempt; the last one repeats.
var waits = [...]time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour,
	3 * time.Hour, 6 * time.Hour, 12 * time.Hour}

// Wait is the pause after so many failed attempts.
func Wait(attempts int) time.Duration { return waits[min(max(attempts, 1), len(waits))-1] }

// Hook is one webhook.
type Hook struct {
	// Name tells it from others; it is the name of the subscription in the
	// headers.
	Name string
	// URL is where events are sent: https, or http to a loopback address.
	URL    string
	Schema Schema
	Filter Filter
	// Roots are the authorities trusted beside the system's; nil for none.
	Roots *x509.CertPool
	// Header and Value are sent with every request where Header is not "":
	// Value is secret.
	Header, Value string

	client *http.Client
	// greeted is set when the webhook has shown that it wants events.
	greeted atomic.Bool
}

// Open checks the webhook's settings and makes it ready.
func (h *Hook) Open() error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("eventgrid: webhook %s: the URL cannot be used; hint: it looks like https://host/path", h.Name)
	}
	local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("eventgrid: webhook %s: events are sent over https; hint: http is for this machine alone", h.Name)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: h.Roots, MinVersion: tls.VersionTLS12}
	h.client = &http.Client{Transport: transport, Timeout: Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// Close ends the connections to the webhook.
func (h *Hook) Close() { h.client.CloseIdleConnections() }

// Dropped is an error that another attempt would not mend: the webhook has
// said that it does not want the event.
type Dropped struct{ Status int }

// Error says it in a sentence.
func (d *Dropped) Error() string {
	return "eventgrid: the webhook refuses the event with " + strconv.Itoa(d.Status)
}

// final are the answers after which an event is not sent again.
func final(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge:
		return true
	}
	return false
}

var errHandshake = errors.New("eventgrid: the webhook does not confirm that it wants events; " +
	"hint: it answers the event Microsoft.EventGrid.SubscriptionValidationEvent with its validationCode as validationResponse, " +
	"or OPTIONS with WebHook-Allowed-Origin for cloud events")

// Send delivers one event; attempt counts from 0. The first event of all is
// preceded by the handshake. A *Dropped error is final.
func (h *Hook) Send(ctx context.Context, e *Event, attempt int) error {
	if !h.greeted.Load() {
		if err := h.greet(ctx, e); err != nil {
			return err
		}
		h.greeted.Store(true)
	}
	body, err := h.Schema.encode(e)
	if err != nil {
		return fmt.Errorf("eventgrid: %w", err)
	}
	status, _, _, err := h.post(ctx, http.MethodPost, "Notification", body, attempt)
	switch {
	case err != nil:
		return err
	case status >= 200 && status < 300:
		return nil
	case final(status):
		return &Dropped{status}
	}
	return fmt.Errorf("eventgrid: webhook %s answers %d", h.Name, status)
}

// greet is the handshake of the schema (documentation: endpoint-validation;
// CloudEvents: HTTP webhook specification).
func (h *Hook) greet(ctx context.Context, e *Event) error {
	if h.Schema == CloudSchema {
		status, header, _, err := h.post(ctx, http.MethodOptions, "", nil, 0)
		if err != nil {
			return err
		}
		if allowed := header.Get("WebHook-Allowed-Origin"); status != http.StatusOK || allowed != "*" && allowed != origin {
			return errHandshake
		}
		return nil
	}
	code := validationCode()
	body, err := json.Marshal([]any{map[string]any{"id": code, "topic": e.Topic, "subject": "", "data": map[string]string{"validationCode": code},
		"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "eventTime": stamp(e.Time),
		"metadataVersion": "1", "dataVersion": "2"}})
	if err != nil {
		return fmt.Errorf("eventgrid: %w", err)
	}
	status, _, answer, err := h.post(ctx, http.MethodPost, "SubscriptionValidation", body, 0)
	if err != nil {
		return err
	}
	var said struct {
		Code string `json:"validationResponse"`
	}
	if status != http.StatusOK || json.Unmarshal(answer, &said) != nil || said.Code != code {
		return errHandshake
	}
	return nil
}

// origin is who sends cloud events.
const origin = "eventgrid.azure.net"

func (h *Hook) post(ctx context.Context, method, kind string, body []byte, attempt int) (int, http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, h.URL, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("eventgrid: webhook %s: %w", h.Name, err)
	}
	if method == http.MethodOptions {
		r.Header.Set("WebHook-Request-Origin", origin)
	} else {
		r.Header.Set("Content-Type", h.Schema.contentType())
		r.Header.Set("aeg-event-type", kind)
		r.Header.Set("aeg-subscription-name", strings.ToUpper(h.Name))
		r.Header.Set("aeg-delivery-count", strconv.Itoa(attempt))
		r.Header.Set("aeg-data-version", "1")
		r.Header.Set("aeg-metadata-version", "1")
	}
	if h.Header != "" {
		r.Header.Set(h.Header, h.Value)
	}
	res, err := h.client.Do(r)
	if err != nil {
		// The error of the client has the URL in it, which can hold a key.
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return 0, nil, nil, fmt.Errorf("eventgrid: webhook %s cannot be reached: %w", h.Name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("eventgrid: webhook %s: %w", h.Name, err)
	}
	return res.StatusCode, res.Header, answer, nil
}

// validationCode is a random GUID.
func validationCode() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
