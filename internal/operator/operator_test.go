package operator_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/operator"
	"postern/posterntest"
)

// send sends text to the API as it is.
func send(t *testing.T, p *posterntest.Postern, method, path, body string) (int, operator.Error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return operator.Dial(ctx, p.Data, operator.Socket)
	}}}
	r, err := http.NewRequest(method, "http://postern/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var e operator.Error
	_ = json.Unmarshal(text, &e) // lists and mux errors are none
	return answer.StatusCode, e
}

// publicKey is a new public key, as it stands in a JSON string.
func publicKey(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), "\n", `\n`)
}

func TestRefusals(t *testing.T) {
	p := posterntest.Start(t)
	key := publicKey(t)
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		message, hint            string
	}{
		{"not JSON", "POST", "certificates", "{", 400, "cannot be read", ""},
		{"an unknown field", "POST", "certificates", `{"servce":"x"}`, 400, "servce", ""},
		{"two values", "POST", "certificates", `{} {}`, 400, "more than one", ""},
		{"too long", "POST", "certificates", `{"service":"` + strings.Repeat("x", 65<<10) + `"}`, 400, "too large", ""},
		{"a service that is not there", "POST", "certificates", `{"service":"Backup"}`, 404, `"Backup" is not a trusted service`, "did you mean: Azure Backup"},
		{"a service like none", "POST", "certificates", `{"service":"zzz"}`, 404, "zzz", "postern platform list --services"},
		{"no key", "POST", "certificates", `{"service":"Azure Backup"}`, 400, "not PEM", ""},
		{"a key that is none", "POST", "certificates", `{"service":"Azure Backup","publicKey":"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}`, 400, "cannot be read", ""},
		{"too long a life", "POST", "certificates", `{"service":"Azure Backup","seconds":604801,"publicKey":"` + key + `"}`, 400, "lasts between", "--for"},
		{"a life beyond all numbers", "POST", "certificates", `{"service":"Azure Backup","seconds":9223372036854775807,"publicKey":"` + key + `"}`, 400, "lasts between", "--for"},
		{"too short a life", "POST", "certificates", `{"service":"Azure Backup","seconds":1,"publicKey":"` + key + `"}`, 400, "lasts between", "--for"},
		{"no such certificate", "POST", "certificates/12/revoke", `{}`, 404, `"12"`, "platform list"},
		{"no such tenant", "POST", "principals", `{"service":"Azure Backup","tenant":"x"}`, 404, `no tenant "x"`, ""},
		{"no such place", "POST", "places", `{"where":["subnet:x"]}`, 404, "", ""},
		{"too many places", "POST", "places", `{"where":[` + strings.Repeat(`"a",`, 256) + `"a"]}`, 400, "more than 256", ""},
		{"no such path", "POST", "nothing", `{}`, 404, "", ""},
		{"another method", "DELETE", "certificates", `{}`, 405, "", ""},
	} {
		status, e := send(t, p, tt.method, tt.path, tt.body)
		if status != tt.status || !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%s = %d %q, hint %q; want %d %q, hint %q", tt.name, status, e.Message, e.Hint, tt.status, tt.message, tt.hint)
		}
	}
	if list, err := p.Operator().Certificates(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("certificates after nothing but refusals: %v, %v", list, err)
	}
}

// TestPrincipals: one in a tenant, with as many secrets as are asked for.
func TestPrincipals(t *testing.T) {
	p := posterntest.Start(t)
	enrol := func(secret bool) operator.Principal {
		t.Helper()
		got, err := p.Operator().Enrol(t.Context(), operator.Enrol{Service: "azure backup", Tenant: p.TenantID, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first, second, third := enrol(false), enrol(false), enrol(true)
	if !first.Created || first.Secret == "" || first.ClientID != "262044b1-e2ce-469f-a196-69ab7ada62d3" || first.Service != "Azure Backup" {
		t.Errorf("first = %+v, want a new one with a secret", first)
	}
	if second.Created || second.Secret != "" || second.ObjectID != first.ObjectID {
		t.Errorf("second = %+v, want the same without a secret", second)
	}
	if third.Created || third.Secret == "" || third.Secret == first.Secret || third.ObjectID != first.ObjectID {
		t.Errorf("third = %+v, want the same with another secret", third)
	}
	for _, secret := range []string{first.Secret, third.Secret} {
		if p.TokenFor(first.ClientID, secret, "https://vault.azure.net") == "" {
			t.Error("no token")
		}
	}
	for range 6 {
		enrol(true)
	}
	_, err := p.Operator().Enrol(t.Context(), operator.Enrol{Service: "Azure Backup", Secret: true})
	var told *operator.Error
	if !errors.As(err, &told) || told.Status != http.StatusConflict {
		t.Errorf("one secret too many = %v", err)
	}
}

func TestServices(t *testing.T) {
	for list, want := range map[string]int{"azure": 39, "documents": 15} {
		p := posterntest.Start(t, posterntest.WithProfile(list))
		got, err := p.Operator().Services(t.Context())
		if err != nil || len(got) != want {
			t.Errorf("profile %s: %d services, %v, want %d", list, len(got), err, want)
		}
	}
}

// TestSockets: the owner alone, at any length of the folder's name, gone
// with the server, and one that was left behind is no obstacle.
func TestSockets(t *testing.T) {
	for _, name := range []string{"short", strings.Repeat("long", 40)} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, operator.Socket)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := operator.Listen(dir, operator.Socket)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Mode()&os.ModeSocket == 0 {
			t.Errorf("%s: the socket is %v, %v", name, info, err)
		}
		go func() {
			if c, err := operator.Dial(t.Context(), dir, operator.Socket); err == nil {
				io.WriteString(c, "hello")
				c.Close()
			}
		}()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(c); err != nil || string(text) != "hello" {
			t.Errorf("%s: read %q, %v", name, text, err)
		}
		if err := operator.Owner(c); err != nil {
			t.Errorf("%s: Owner = %v", name, err)
		}
		c.Close()
		if err := l.Close(); err != nil {
			t.Errorf("%s: Close = %v", name, err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the socket is left: %v", name, err)
		}
		if _, err := operator.NewClient(dir, "test").Services(t.Context()); !errors.Is(err, operator.ErrNotRunning) {
			t.Errorf("%s: asking nobody = %v, want ErrNotRunning", name, err)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if operator.Owner(a) == nil {
		t.Error("a pipe belongs to the owner")
	}
}
