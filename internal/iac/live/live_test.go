package live

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/iac"
)

const (
	tenant = "22222222-2222-2222-2222-222222222222"
	secret = "a-secret-that-must-not-be-seen"
	object = "44444444-4444-4444-4444-444444444444"
	app    = "77777777-7777-7777-7777-777777777777"
)

// cloud is a small server with the answers of one: login, management and
// directory on one host.
type cloud struct {
	*httptest.Server
	routes map[string]func(w http.ResponseWriter, r *http.Request)
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{routes: map[string]func(http.ResponseWriter, *http.Request){}}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, ok := c.routes[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"error":{"code":"ResourceNotFound","message":"nothing at %s"}}`, r.URL.Path)
			return
		}
		if r.URL.Path != "/metadata/endpoints" && r.Method == http.MethodGet && r.Header.Get("Authorization") != "Bearer t0ken" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		route(w, r)
	}))
	t.Cleanup(c.Close)
	c.says("GET /metadata/endpoints", `{"authentication":{"loginEndpoint":"URL/login/","audiences":["URL"]},"microsoftGraphResourceId":"URL/graph/"}`)
	c.routes["POST /login/"+tenant+"/oauth2/v2.0/token"] = func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_secret") != secret || r.FormValue("grant_type") != "client_credentials" || !strings.HasSuffix(r.FormValue("scope"), "/.default") {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}`)
			return
		}
		fmt.Fprint(w, `{"access_token":"t0ken","expires_in":3599}`)
	}
	return c
}

// says makes a route answer with text, in which URL is the server's.
func (c *cloud) says(route, text string) {
	c.routes[route] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.ReplaceAll(text, "URL", c.URL)) }
}

func (c *cloud) config() Config {
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	return Config{URL: c.URL, Tenant: tenant, ClientID: app, ClientSecret: secret, Roots: roots}
}

func open(t *testing.T, config Config) *Client {
	t.Helper()
	client, err := Open(context.Background(), config)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestVaults(t *testing.T) {
	c := newCloud(t)
	c.says("GET /subscriptions", `{"value":[{"id":"/subscriptions/s","subscriptionId":"s","tenantId":"`+tenant+`","displayName":"S"}]}`)
	c.says("GET /subscriptions/s/providers/Microsoft.KeyVault/vaults", `{"value":[{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/a",
		"name":"a","type":"Microsoft.KeyVault/vaults","properties":{}}],"nextLink":"URL/page2?$skiptoken=x"}`)
	c.says("GET /page2", `{"value":[{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/b","name":"b","type":"Microsoft.KeyVault/vaults","properties":{}}]}`)
	resources, err := open(t, c.config()).Vaults(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range resources {
		got = append(got, r.Type+" "+r.ID)
		if r.Body.At.Line != 0 || r.Body.At.File != c.URL {
			t.Errorf("%s stands at %v, want the server", r.ID, r.Body.At)
		}
	}
	want := []string{iac.TypeSubscription + " /subscriptions/s", iac.TypeVault + " /subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/a",
		iac.TypeVault + " /subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Vaults (-want +got):\n%s", diff)
	}
}

// The token goes to no other host, and a redirect is not followed.
func TestTheTokenStaysHere(t *testing.T) {
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") }))
	defer other.Close()
	c := newCloud(t)
	c.says("GET /subscriptions", `{"value":[],"nextLink":"`+other.URL+`/x"}`)
	if _, err := open(t, c.config()).Vaults(context.Background()); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("Vaults with a foreign next page = %v, want an error", err)
	}
	c.routes["GET /subscriptions"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) }
	if _, err := open(t, c.config()).Vaults(context.Background()); err == nil {
		t.Error("Vaults with a redirect = nil, want an error")
	}
	c.routes["POST /login/"+tenant+"/oauth2/v2.0/token"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}
	if _, err := open(t, c.config()).Vaults(context.Background()); err == nil {
		t.Error("a redirected login = nil, want an error")
	}
}

func TestErrorsNeverHoldTheSecret(t *testing.T) {
	c := newCloud(t)
	wrong := c.config()
	wrong.ClientSecret = "wrong-" + secret
	_, err := open(t, wrong).Vaults(context.Background())
	if err == nil || !strings.Contains(err.Error(), "AADSTS7000215") || strings.Contains(err.Error(), secret) {
		t.Errorf("Vaults with a wrong secret = %v, want what the server says and no secret", err)
	}
	missing := c.config()
	missing.ClientID = ""
	if _, err := open(t, missing).Vaults(context.Background()); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Vaults without credentials = %v", err)
	}
	c.Close()
	if _, err := Open(context.Background(), c.config()); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("Open of nothing = %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	c := newCloud(t)
	for _, url := range []string{"", "http://localhost", "localhost:8443", "https://", "https://user:pw@localhost", "ftp://x", "://"} {
		config := c.config()
		config.URL = url
		if _, err := Open(context.Background(), config); err == nil {
			t.Errorf("Open(%q) = nil, want an error", url)
		}
	}
	untrusted := c.config()
	untrusted.Roots = nil
	if _, err := Open(context.Background(), untrusted); err == nil {
		t.Error("Open of a server that nobody vouches for = nil, want an error")
	}
	c.says("GET /metadata/endpoints", `{}`)
	if _, err := Open(context.Background(), c.config()); err == nil {
		t.Error("Open of another kind of server = nil, want an error")
	}
	c.says("GET /metadata/endpoints", `{"authentication":{"loginEndpoint":"http://x","audiences":["a"]}}`)
	if _, err := Open(context.Background(), c.config()); err == nil {
		t.Error("Open with a login in the clear = nil, want an error")
	}
}

func TestPrincipal(t *testing.T) {
	c := newCloud(t)
	one := `{"id":"` + object + `","appId":"` + app + `","displayName":"o'brien"}`
	c.says("GET /graph/v1.0/servicePrincipals/"+object, one)
	c.routes["GET /graph/v1.0/servicePrincipals"] = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("$filter") {
		case "servicePrincipalNames/any(c:c eq '" + app + "')", "displayName eq 'o''brien'":
			fmt.Fprintf(w, `{"value":[%s]}`, one)
		case "displayName eq 'twins'":
			fmt.Fprintf(w, `{"value":[%s,%s]}`, one, one)
		default:
			fmt.Fprint(w, `{"value":[]}`)
		}
	}
	client := open(t, c.config())
	for _, who := range []string{object, app, "o'brien"} {
		p, err := client.Principal(context.Background(), who)
		if err != nil || p.Object.String() != object || p.App.String() != app || p.Tenant.String() != tenant {
			t.Errorf("Principal(%s) = %+v, %v", who, p, err)
		}
	}
	if _, err := client.Principal(context.Background(), "nobody"); !errors.Is(err, ErrNoPrincipal) {
		t.Errorf("Principal(nobody) = %v, want ErrNoPrincipal", err)
	}
	if _, err := client.Principal(context.Background(), "twins"); err == nil || errors.Is(err, ErrNoPrincipal) {
		t.Errorf("Principal(twins) = %v, want an error about two", err)
	}
}
