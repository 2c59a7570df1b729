package lab

import (
	"encoding/json"
	"net/http"
	"path"
	"testing"
)

// The data plane as tests prepare it, as the administrator.

// Key makes a key, or a new version of it, and returns the version.
func (p *Postern) Key(t testing.TB, vault, name string, body map[string]any) string {
	t.Helper()
	var made struct{ Key struct{ KID string } }
	p.object(t, vault, http.MethodPost, "/keys/"+name+"/create", body, &made)
	return path.Base(made.Key.KID)
}

// DisableKey disables a version of a key.
func (p *Postern) DisableKey(t testing.TB, vault, name, version string) {
	t.Helper()
	p.object(t, vault, http.MethodPatch, "/keys/"+name+"/"+version, map[string]any{"attributes": map[string]any{"enabled": false}}, nil)
}

// Secret makes a secret, or a new version of it, and returns the version.
func (p *Postern) Secret(t testing.TB, vault, name, value string) string {
	t.Helper()
	var made struct{ ID string }
	p.object(t, vault, http.MethodPut, "/secrets/"+name, map[string]any{"value": value}, &made)
	return path.Base(made.ID)
}

// Call sends a request to a vault as the administrator; a nil body is none.
func (p *Postern) Call(t testing.TB, vault, method, path string, body any) (status int, answer []byte) {
	t.Helper()
	c := p.Control(t)
	c.base = p.VaultURL(Private, vault)
	c.token = c.Token(t, "https://"+p.suffix()+p.port())
	return c.Call(t, method, path+"?api-version=2026-04-01", body)
}

// object sends a request to a vault, which must succeed.
func (p *Postern) object(t testing.TB, vault, method, path string, body, into any) {
	t.Helper()
	status, answer := p.Call(t, vault, method, path, body)
	if status/100 != 2 {
		t.Fatalf("%s %s = %d: %s", method, path, status, answer)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
}
