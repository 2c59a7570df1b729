package attack

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"postern/internal/keyvault"
	"postern/posterntest"
)

// TestBodiesWait: no operation asks for its body before all gates are
// passed, and none waits for one that does not come.
func TestBodiesWait(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	p.CreateVault("vault-f5", closedVaults["vault-f5"])
	stranger := p.CreatePrincipal("bodies")
	mine, admin := p.TokenFor(stranger.ClientID, stranger.Secret, vaultResource), p.Token(vaultResource)
	tried := 0
	for _, route := range keyvault.Routes() {
		if route.Body == 0 {
			continue
		}
		path := strings.NewReplacer("{version}", strings.Repeat("0", 32), "{name}", "a").Replace(route.Pattern)
		for _, tt := range []struct{ who, vault, bearer, want string }{
			{"nobody", "kv1", "", "401"}, {"a forger", "kv1", "x.y.z", "401"}, {"a stranger", "kv1", mine, "403"}, {"who is outside", "vault-f5", admin, "403"}, {"who may", "kv1", admin, "100"},
		} {
			text := fmt.Sprintf("%s %s%s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nConnection: close\r\n", route.Method, path, api, host(p, tt.vault))
			if tt.bearer != "" {
				text += "Authorization: Bearer " + tt.bearer + "\r\n"
			}
			conn := dial(t, p, host(p, tt.vault), "http/1.1")
			if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 12)
			if _, err := io.ReadFull(conn, first); err != nil || string(first[9:]) != tt.want {
				t.Errorf("%s: %s %s is answered %q, %v, want %s first", tt.who, route.Method, path, first, err, tt.want)
			}
			conn.Close()
			tried++
		}
	}
	if tried < 100 {
		t.Errorf("%d tries: this tries nothing", tried)
	}
}
