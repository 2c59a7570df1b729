package lab

import (
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
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Group is the resource group that Vault uses.
const Group = "conformance"

// Vault makes a vault through the control plane, as the administrator. The
// properties are those of the ARM document besides the ones that every
// vault has; nil is none.
func (p *Postern) Vault(t testing.TB, name string, properties map[string]any) {
	t.Helper()
	c := p.Control(t)
	group := "/subscriptions/" + c.Subscription + "/resourceGroups/" + Group
	c.Put(t, group+"?api-version=2021-04-01", map[string]any{"location": "eastus"})
	all := map[string]any{
		"tenantId": c.Tenant, "sku": map[string]any{"family": "A", "name": "standard"},
		"enableRbacAuthorization": true, "softDeleteRetentionInDays": 7,
	}
	for k, v := range properties {
		all[k] = v
	}
	c.Put(t, group+"/providers/Microsoft.KeyVault/vaults/"+name+"?api-version=2026-02-01",
		map[string]any{"location": "eastus", "properties": all})
}

// Control is a small client of our own for the control plane, for
// preparations; the real clients are what is tested.
type Control struct {
	// Tenant and Subscription are those of the first start, Client is the
	// administrator.
	Tenant, Subscription, Client string

	http                *http.Client
	base, login, secret string
	token               string
}

// Control signs in as the administrator.
func (p *Postern) Control(t testing.TB) *Control {
	t.Helper()
	env := p.Client(t, Private)
	pem, err := os.ReadFile(filepath.Join(p.Data, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, "tcp", p.Listen) },
	}
	t.Cleanup(transport.CloseIdleConnections)
	c := &Control{
		http:   &http.Client{Timeout: 30 * time.Second, Transport: transport},
		base:   "https://management.postern.localhost" + p.port(),
		login:  "https://login.postern.localhost" + p.port(),
		Tenant: env.Get("AZURE_TENANT_ID"), Subscription: env.Get("AZURE_SUBSCRIPTION_ID"),
		Client: env.Get("AZURE_CLIENT_ID"), secret: env.Get("AZURE_CLIENT_SECRET"),
	}
	c.token = c.Token(t, c.base)
	return c
}

// Token is a token of the administrator's for a resource.
func (c *Control) Token(t testing.TB, resource string) string {
	t.Helper()
	response, err := c.http.PostForm(c.login+"/"+c.Tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "scope": {resource + "/.default"},
		"client_id": {c.Client}, "client_secret": {c.secret},
	})
	if err != nil {
		t.Fatalf("asking for a token: %v", err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Token == "" {
		t.Fatalf("asking for a token: %s: %s", response.Status, text)
	}
	return answer.Token
}

// Put makes or changes a resource, which must succeed, and returns it.
func (c *Control) Put(t testing.TB, path string, body any) []byte {
	t.Helper()
	status, answer := c.Call(t, http.MethodPut, path, body)
	if status/100 != 2 {
		t.Fatalf("PUT %s = %d: %s", path, status, answer)
	}
	return answer
}

// Call sends a request to the control plane; a nil body is none.
func (c *Control) Call(t testing.TB, method, path string, body any) (status int, answer []byte) {
	t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.base+path, content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	if answer, err = io.ReadAll(response.Body); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, answer
}

// Tool makes sure that a program is there: on Debian, as root, it installs
// the package that has it.
func Tool(t testing.TB, program, debian string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	Package(t, debian)
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s is needed and the package %s does not have it", program, debian)
	}
	return path
}

// Package installs a Debian package.
func Package(t testing.TB, debian string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatalf("the Debian package %s is needed; installing it takes root", debian)
	}
	unlock := Lock(t, "apt")
	defer unlock()
	Do(t, 5*time.Minute, "", "apt-get", "update", "-q")
	Do(t, 10*time.Minute, "", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends", debian)
}

// Report turns what a client's script prints, a line "ok NAME" or
// "FAIL NAME: WHY" for each case, into subtests. Every case that is
// expected must be there.
func Report(t *testing.T, out string, cases []string) {
	t.Helper()
	verdicts := map[string]string{}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "ok "); ok {
			verdicts[name] = ""
		} else if rest, ok := strings.CutPrefix(line, "FAIL "); ok {
			name, why, _ := strings.Cut(rest, ": ")
			verdicts[name] = why
		}
	}
	missing := fmt.Sprintf("did not run; the client printed:\n%s", tail(out, 30))
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			why, ran := verdicts[name]
			if !ran {
				why = missing
			}
			if why != "" {
				t.Error(why)
			}
		})
	}
}
