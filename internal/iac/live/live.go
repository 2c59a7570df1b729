// Package live reads the configuration of a running server over its ARM API,
// with the credentials of a service principal: what a person with az would
// see, and no more. It writes where a command is asked to: role assignments
// and the permission model, when a vault leaves access policies behind.
//
// The client secret goes to the token endpoint alone, over TLS, and never
// into an error. Redirects are not followed.
package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"postern/internal/iac"
	"postern/internal/iac/arm"
)

// The limits of what a server is read for.
const (
	maxAnswer = 32 << 20
	maxPages  = 1000
	timeout   = 30 * time.Second
)

// The api-versions that are asked for.
const (
	metadataVersion     = "2022-09-01"
	subscriptionVersion = "2022-12-01"
	vaultVersion        = "2023-07-01"
	assignmentVersion   = "2022-04-01"
)

// Config says which server, and as whom.
type Config struct {
	// URL is where the ARM API answers: "https://management.example:8443".
	URL string
	// Address is the HOST:PORT at which every name of the server is reached,
	// without resolver and proxy; "" for the usual way.
	Address string
	// Authority is where tokens are issued; "" asks the server.
	Authority                      string
	Tenant, ClientID, ClientSecret string
	// Roots are PEM certificates to trust instead of the system's; nil for
	// the system's.
	Roots []byte
	// Progress is told what is being read; nil for nobody.
	Progress func(string)
}

// Client reads one server.
type Client struct {
	config                 Config
	http                   *http.Client
	base                   *url.URL
	login, audience, graph string
	tokens                 map[string]string // by scope
}

// Open asks a server for its endpoints.
func Open(ctx context.Context, config Config) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(config.URL, "/"))
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, fmt.Errorf("%q is not the https URL of a server", config.URL)
	}
	transport, err := newTransport(config.Roots, config.Address)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config, base: base, tokens: map[string]string{}, http: &http.Client{Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if err := c.endpoints(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Close lets the connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// newTransport trusts the roots. It finds the server at its address where
// that is given, and names below localhost where RFC 6761 §6.3 puts them,
// whatever the resolver says.
func newTransport(roots []byte, at string) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if roots != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(roots) {
			return nil, errors.New("no certificate in the CA file")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	dialer := &net.Dialer{Timeout: timeout}
	if at != "" {
		t.Proxy = nil
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, at)
		}
		return t, nil
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(strings.ToLower(host), ".localhost") {
			address = net.JoinHostPort("localhost", port)
		}
		return dialer.DialContext(ctx, network, address)
	}
	return t, nil
}

// endpoints reads /metadata/endpoints (reference: az-cli §2.4).
func (c *Client) endpoints(ctx context.Context) error {
	var doc struct {
		Authentication struct {
			LoginEndpoint string   `json:"loginEndpoint"`
			Audiences     []string `json:"audiences"`
		} `json:"authentication"`
		Graph string `json:"microsoftGraphResourceId"`
	}
	data, err := c.get(ctx, c.base.String()+"/metadata/endpoints?api-version="+metadataVersion, "")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &doc); err != nil || len(doc.Authentication.Audiences) == 0 {
		return fmt.Errorf("%s does not say its endpoints: it is not a server of this kind", c.base)
	}
	c.audience, c.graph = doc.Authentication.Audiences[0], strings.TrimRight(doc.Graph, "/")
	c.login = c.config.Authority
	if c.login == "" {
		c.login = doc.Authentication.LoginEndpoint
	}
	c.login = strings.TrimRight(c.login, "/")
	if !strings.HasPrefix(c.login, "https://") {
		return fmt.Errorf("the login endpoint %q is not https", c.login)
	}
	return nil
}

// token gets a token for a resource (RFC 6749 §4.4), once.
func (c *Client) token(ctx context.Context, resource string) (string, error) {
	if t, ok := c.tokens[resource]; ok {
		return t, nil
	}
	if c.config.Tenant == "" || c.config.ClientID == "" || c.config.ClientSecret == "" {
		return "", errors.New("AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET are not all set")
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.config.ClientID}, "client_secret": {c.config.ClientSecret},
		"scope": {strings.TrimRight(resource, "/") + "/.default"}}
	endpoint := c.login + "/" + url.PathEscape(c.config.Tenant) + "/oauth2/v2.0/token"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("the login endpoint %q is not a URL", c.login)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	data, err := c.do(req)
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Token == "" {
		return "", errors.New("signing in: the answer holds no token")
	}
	c.tokens[resource] = answer.Token
	return answer.Token, nil
}

// get reads a URL, with a token for the resource when there is one.
func (c *Client) get(ctx context.Context, address, resource string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL", address)
	}
	if resource != "" {
		token, err := c.token(ctx, resource)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.do(req)
}

func (c *Client) do(req *http.Request) ([]byte, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err // url.Error: the method and the URL, neither of which holds the secret
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer of %s: %w", req.URL.Redacted(), err)
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("the answer of %s is larger than %d MiB", req.URL.Redacted(), maxAnswer>>20)
	case resp.StatusCode != http.StatusOK:
		return nil, &StatusError{URL: req.URL.Redacted(), Status: resp.StatusCode, Says: says(data)}
	}
	return data, nil
}

// StatusError is an answer other than 200.
type StatusError struct {
	URL    string
	Status int
	// Says is the code and the message of the answer.
	Says string
}

// Error is the URL, the status and what the answer says.
func (e *StatusError) Error() string { return fmt.Sprintf("%s: %d %s", e.URL, e.Status, e.Says) }

// says takes the code and the message out of an ARM or OAuth error.
func says(data []byte) string {
	var arm struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(data, &arm) == nil && arm.Error.Code != "" {
		return arm.Error.Code + ": " + arm.Error.Message
	}
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(data, &oauth) == nil && oauth.Error != "" {
		return oauth.Error + ": " + oauth.Description
	}
	return "(no error in the answer)"
}

// list reads all pages of a list.
func (c *Client) list(ctx context.Context, path string) ([]*iac.Resource, error) {
	var all []*iac.Resource
	next := c.base.String() + path
	for range maxPages {
		data, err := c.get(ctx, next, c.audience)
		if err != nil {
			return nil, err
		}
		doc, err := arm.ReadAnswer(c.base.String(), data)
		if err != nil {
			return nil, err
		}
		all = append(all, doc.Resources...)
		var page struct {
			Next string `json:"nextLink"`
		}
		if err := json.Unmarshal(data, &page); err != nil || page.Next == "" {
			return all, nil
		}
		// A token must not follow a link to another host.
		if u, err := url.Parse(page.Next); err != nil || u.Scheme != "https" || !strings.EqualFold(u.Host, c.base.Host) {
			return nil, fmt.Errorf("the next page is at another host: %q", page.Next)
		}
		next = page.Next
	}
	return nil, fmt.Errorf("%s has more than %d pages", path, maxPages)
}

func (c *Client) progress(format string, args ...any) {
	if c.config.Progress != nil {
		c.config.Progress(fmt.Sprintf(format, args...))
	}
}
