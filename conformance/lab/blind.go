package lab

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
)

// BlindVault makes a vault with access policies in which the administrator
// may make and use keys but may not read them: an SDK then cannot fetch the
// public part, and asks the vault for everything.
func (p *Postern) BlindVault(t testing.TB, name string) {
	t.Helper()
	c := p.Control(t)
	p.Vault(t, name, map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{
		"tenantId": c.Tenant, "objectId": c.object(t), "permissions": map[string]any{
			"keys": []string{"create", "import", "encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"}}}}})
}

// object is the administrator's object id, as its token says it.
func (c *Control) object(t testing.TB) string {
	t.Helper()
	parts := strings.Split(c.token, ".")
	if len(parts) != 3 {
		t.Fatal("the token is not one of three parts")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ OID string }
	if err := json.Unmarshal(text, &claims); err != nil || claims.OID == "" {
		t.Fatalf("the token names no object: %v", err)
	}
	return claims.OID
}
