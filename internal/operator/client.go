package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// ErrNotRunning: no server answers on the data folder.
var ErrNotRunning = errors.New("no server is running on this data folder")

// Client asks the server of a data folder.
type Client struct {
	dir       string
	userAgent string
	http      *http.Client
}

// NewClient makes a client; userAgent names the program in the journal.
func NewClient(dir, userAgent string) *Client {
	return &Client{dir, userAgent, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return Dial(ctx, dir, Socket)
		}}}}
}

// Services lists the trusted services of the server's profile.
func (c *Client) Services(ctx context.Context) ([]Service, error) {
	return ask[[]Service](ctx, c, http.MethodGet, "services", nil)
}

// Certificates lists what was issued.
func (c *Client) Certificates(ctx context.Context) ([]Certificate, error) {
	return ask[[]Certificate](ctx, c, http.MethodGet, "certificates", nil)
}

// Issue asks for a certificate.
func (c *Client) Issue(ctx context.Context, in Issue) (Certificate, error) {
	return ask[Certificate](ctx, c, http.MethodPost, "certificates", in)
}

// Revoke revokes a certificate.
func (c *Client) Revoke(ctx context.Context, serial string) (Certificate, error) {
	return ask[Certificate](ctx, c, http.MethodPost, "certificates/"+url.PathEscape(serial)+"/revoke", none{})
}

// Enrol asks for the principal of a service.
func (c *Client) Enrol(ctx context.Context, in Enrol) (Principal, error) {
	return ask[Principal](ctx, c, http.MethodPost, "principals", in)
}

// Places finds places by their names.
func (c *Client) Places(ctx context.Context, where ...string) (Found, error) {
	return ask[Found](ctx, c, http.MethodPost, "places", Places{where})
}

// Way asks where a host leads.
func (c *Client) Way(ctx context.Context, in Way) (Lead, error) {
	return ask[Lead](ctx, c, http.MethodPost, "ways", in)
}

// maxAnswer bounds an answer.
const maxAnswer = 16 << 20

// ask sends one request. What the server refuses comes back as *Error.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var answer T
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return answer, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://postern/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return answer, err
	}
	r.Header.Set("User-Agent", c.userAgent)
	got, err := c.http.Do(r)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return answer, ErrNotRunning
	}
	if err != nil {
		return answer, fmt.Errorf("asking the server: %w", err)
	}
	defer got.Body.Close()
	text, err = io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	if err != nil {
		return answer, fmt.Errorf("asking the server: %w", err)
	}
	if got.StatusCode != http.StatusOK {
		e := &Error{}
		if json.Unmarshal(text, e) != nil || e.Message == "" {
			e.Message = "the server answers " + got.Status
		}
		e.Status = got.StatusCode
		return answer, e
	}
	return answer, json.Unmarshal(text, &answer)
}
