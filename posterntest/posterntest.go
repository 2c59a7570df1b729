// Package posterntest starts a whole postern inside a test, the way httptest
// starts a server: real sockets, real TLS, real tokens, a real store in a
// folder that goes away with the test.
//
//	p := posterntest.Start(t)
//	kv := p.CreateVault("kv1")
//	client, err := azsecrets.NewClient(kv.URL, credential, &azsecrets.ClientOptions{
//		ClientOptions: azcore.ClientOptions{Transport: p.Client()}})
//
// The clients of a test need no name resolution and no proxy: Client dials
// the server for every name it serves, the public names included.
package posterntest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/config"
	"postern/internal/names"
	"postern/internal/pki"
	"postern/internal/server"
)

// Option changes how a server is started.
type Option func(*setup)

type setup struct {
	now    func() time.Time
	change []func(*config.Config)
	data   string
	log    io.Writer
}

// WithClock gives the server another clock.
func WithClock(now func() time.Time) Option { return func(s *setup) { s.now = now } }

// WithData starts the server on a folder of the caller's, to be found there
// by the next.
func WithData(dir string) Option { return func(s *setup) { s.data = dir } }

// WithThrottle limits every vault to so many operations in ten seconds.
func WithThrottle(operations int) Option {
	return func(s *setup) {
		s.change = append(s.change, func(c *config.Config) { c.Throttle.Operations = operations })
	}
}

// WithSetting sets one setting of the configuration (docs/configuration.md):
// WithSetting("propagation.firewall", "90s"). It panics on one that does not
// exist or cannot have the value.
func WithSetting(key, value string) Option {
	return func(s *setup) {
		s.change = append(s.change, func(c *config.Config) {
			for _, setting := range c.Settings() {
				if setting.Key == key {
					if err := setting.Set(value); err != nil {
						panic("posterntest: " + key + ": " + err.Error())
					}
					return
				}
			}
			panic("posterntest: no setting " + key)
		})
	}
}

// WithProfile chooses the profile: "azure" or "documents".
func WithProfile(name string) Option {
	return func(s *setup) { s.change = append(s.change, func(c *config.Config) { c.Profile = name }) }
}

// WithMetrics opens the metrics listener.
func WithMetrics() Option {
	return func(s *setup) {
		s.change = append(s.change, func(c *config.Config) { c.Metrics.Listen = "127.0.0.1:0" })
	}
}

// WithDNS opens the name server. The public names stand for the address of
// the server.
func WithDNS() Option {
	return func(s *setup) {
		s.change = append(s.change, func(c *config.Config) { c.DNS.Listen = "127.0.0.1:0" })
	}
}

// WithLog sends the server's log to a writer, instead of the test's log.
func WithLog(w io.Writer) Option { return func(s *setup) { s.log = w } }

// Postern is a running server.
type Postern struct {
	// TenantID, SubscriptionID, ClientID and ObjectID are the
	// administrator's; ClientSecret is its secret.
	TenantID, SubscriptionID, ClientID, ObjectID, ClientSecret string
	// LoginURL and ManagementURL are the private names of the planes.
	LoginURL, ManagementURL string
	// Proxy is the URL of the CONNECT proxy, Metrics that of the metrics
	// ("" unless WithMetrics).
	Proxy, Metrics string
	// DNS is HOST:PORT of the name server ("" unless WithDNS).
	DNS string
	// Data is the data folder.
	Data string

	t      testing.TB
	server *server.Server
	names  *names.Names
	client *http.Client
	stop   func()
}

// Start starts a server; it is stopped when the test ends.
func Start(t testing.TB, options ...Option) *Postern {
	t.Helper()
	s := setup{log: t.Output()}
	for _, o := range options {
		o(&s)
	}
	if s.data == "" {
		s.data = t.TempDir()
	}
	c := config.Default()
	c.Listen = []string{"127.0.0.1:0"}
	c.Proxy.Listen = "127.0.0.1:0"
	for _, change := range s.change {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv, err := server.New(ctx, server.Options{Config: c, Data: s.data, Now: s.now, Version: "test",
		Log: slog.New(slog.NewTextHandler(s.log, nil))})
	if err != nil {
		cancel()
		t.Fatalf("posterntest: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	p := newPostern(t, srv, s.data)
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		p.client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("posterntest: stopping: %v", err)
		}
	}
	t.Cleanup(p.stop)
	return p
}

func newPostern(t testing.TB, srv *server.Server, data string) *Postern {
	info := srv.Info()
	n := info.Names()
	secret, err := os.ReadFile(filepath.Join(data, server.AdminSecretFile))
	if err != nil {
		t.Fatalf("posterntest: %v", err)
	}
	p := &Postern{TenantID: info.Admin.TenantID, SubscriptionID: info.Admin.SubscriptionID, ClientID: info.Admin.ClientID,
		ObjectID: info.Admin.ObjectID, ClientSecret: string(secret), LoginURL: n.Private.LoginURL(),
		ManagementURL: n.Private.ManagementURL(), Proxy: info.ProxyURL(), DNS: info.DNS, Data: data, t: t, server: srv, names: n}
	if info.Metrics != "" {
		p.Metrics = "http://" + info.Metrics + "/metrics"
	}
	p.client = p.NewClient()
	return p
}

// Stop stops the server before the end of the test.
func (p *Postern) Stop() { p.stop() }

// Client is an HTTP client that trusts the server and reaches it by every
// name it serves. It is an azcore Transport.
func (p *Postern) Client() *http.Client { return p.client }

// NewClient is a further client, with connections of its own.
func (p *Postern) NewClient() *http.Client {
	address := p.server.Info().Listen[0]
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: p.server.Authority().Pool(), MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, target string) (net.Conn, error) {
			if p.names.Resolve(target).Plane == names.None && !strings.HasPrefix(target, "127.0.0.1:") {
				return nil, fmt.Errorf("posterntest: %s is not a name of the server", target)
			}
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}}}
}

// Address is HOST:PORT of the TLS listener.
func (p *Postern) Address() string { return p.server.Info().Listen[0] }

// CAFile is the file of the certificate authority, PEM.
func (p *Postern) CAFile() string { return filepath.Join(p.Data, pki.CertificateFile) }

// VaultURL is the private URL of a vault, without a slash.
func (p *Postern) VaultURL(name string) string { return p.names.Private.VaultURL(name) }

// PublicVaultURL is the public URL of a vault, without a slash.
func (p *Postern) PublicVaultURL(name string) string { return p.names.Public.VaultURL(name) }

// Vault is a vault that a test made.
type Vault struct {
	// Name is its name, URL its private URL, ID its ARM id.
	Name, URL, ID string
}

// Group is the resource group that the first start makes.
const Group = "postern"

// VaultID is the ARM id of a vault in Group.
func (p *Postern) VaultID(name string) string {
	return "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + Group + "/providers/Microsoft.KeyVault/vaults/" + name
}

// CreateVault makes a vault with role assignments; properties are laid over
// its own, so that a test can set networkAcls and the like.
func (p *Postern) CreateVault(name string, properties ...map[string]any) Vault {
	p.t.Helper()
	all := map[string]any{"tenantId": p.TenantID, "sku": map[string]any{"family": "A", "name": "standard"}, "enableRbacAuthorization": true}
	for _, more := range properties {
		for k, v := range more {
			all[k] = v
		}
	}
	status, answer := p.Do(http.MethodPut, p.ManagementURL+p.VaultID(name)+"?api-version=2026-02-01", map[string]any{"location": "eastus", "properties": all})
	if status/100 != 2 {
		p.t.Fatalf("posterntest: creating vault %s: %d %s", name, status, answer)
	}
	return Vault{name, p.VaultURL(name), p.VaultID(name)}
}

// Do sends a request as the administrator, with a token for the host it
// goes to. The body is sent as JSON unless it is nil or []byte.
func (p *Postern) Do(method, target string, body any) (status int, answer []byte) {
	p.t.Helper()
	return p.DoAs(p.Token(p.audience(target)), method, target, body)
}

// DoAs is Do with a token of the caller's; none for "".
func (p *Postern) DoAs(token, method, target string, body any) (status int, answer []byte) {
	p.t.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		text = b
	default:
		var err error
		if text, err = json.Marshal(body); err != nil {
			p.t.Fatalf("posterntest: %v", err)
		}
	}
	r, err := http.NewRequest(method, target, bytes.NewReader(text))
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	got, err := p.client.Do(r)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	defer got.Body.Close()
	answer, err = io.ReadAll(got.Body)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	return got.StatusCode, answer
}

func (p *Postern) audience(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	switch h := p.names.Resolve(u.Host); h.Plane {
	case names.Vault:
		return h.Family.VaultResource()
	case names.Graph:
		return h.Family.GraphURL()
	}
	return p.names.Private.ManagementURL()
}

// Token gets a token for a resource ("https://vault.azure.net") from the
// login endpoint, with the administrator's secret.
func (p *Postern) Token(resource string) string {
	p.t.Helper()
	return p.TokenFor(p.ClientID, p.ClientSecret, resource)
}

// TokenFor gets a token with other credentials of the tenant.
func (p *Postern) TokenFor(clientID, secret, resource string) string {
	p.t.Helper()
	answer, err := p.client.PostForm(p.LoginURL+"/"+p.TenantID+"/oauth2/v2.0/token", url.Values{"grant_type": {"client_credentials"},
		"client_id": {clientID}, "client_secret": {secret}, "scope": {resource + "/.default"}})
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	defer answer.Body.Close()
	var got struct {
		AccessToken string `json:"access_token"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || got.AccessToken == "" {
		p.t.Fatalf("posterntest: no token for %s: %d %s %v", resource, answer.StatusCode, got.Description, err)
	}
	return got.AccessToken
}

// Principal is a service principal that a test made.
type Principal struct{ ClientID, ObjectID, Secret string }

// CreatePrincipal makes a service principal without any rights.
func (p *Postern) CreatePrincipal(name string) Principal {
	p.t.Helper()
	clientID, objectID, secret, err := p.server.CreatePrincipal(context.Background(), p.TenantID, name)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	return Principal{clientID, objectID, secret}
}
