package attack

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/posterntest"
)

// TestVaultGoesWhole: nothing is rotated, renewed or told of in a vault that
// is deleted; a purged one leaves nothing behind, and the next one of its name
// has nothing of it.
func TestVaultGoesWhole(t *testing.T) {
	t.Parallel()
	c := &clock{}
	p := posterntest.Start(t, c.option(), posterntest.WithThrottle(0))
	p.CreateVault("kv1")
	h := &hand{t, p, "kv1", p.Token(vaultResource)}
	h.want(202, "POST", "/certificates/c/create", ellipticPolicy("Self", true, true))
	h.want(202, "POST", "/certificates/waiting/create", ellipticPolicy("Unknown", true, true))
	h.want(202, "POST", "/certificates/gone/create", ellipticPolicy("Self", true, true))
	h.want(200, "DELETE", "/certificates/gone", "")
	h.want(200, "PUT", "/certificates/issuers/i", `{"provider":"p","credentials":{"pwd":"x"}}`)
	h.want(200, "PUT", "/certificates/contacts", `{"contacts":[{"email":"a@b.example"}]}`)
	h.want(200, "POST", "/keys/k/create", fmt.Sprintf(`{"kty":"EC","attributes":{"exp":%d}}`, time.Now().Add(40*24*time.Hour).Unix()))
	h.want(200, "PUT", "/keys/k/rotationpolicy", `{"lifetimeActions":[{"trigger":{"timeBeforeExpiry":"P30D"},"action":{"type":"Rotate"}}]}`)
	blob := h.want(200, "POST", "/keys/k/backup", "").body
	must(t, p, "DELETE", p.ManagementURL+p.VaultID("kv1")+armAPI, nil)
	c.move(20 * 24 * time.Hour)
	p.Upkeep()
	must(t, p, "PUT", p.ManagementURL+p.VaultID("kv1")+armAPI, map[string]any{"location": "eastus", "properties": map[string]any{"tenantId": p.TenantID, "createMode": "recover",
		"sku": map[string]any{"family": "A", "name": "standard"}}})
	h.bearer = p.Token(vaultResource)
	if ids, _ := h.versionsOf("keys", "k"); len(strings.Fields(ids)) != 1 {
		t.Errorf("while its vault was deleted the key came to the versions %q, want one", ids)
	}
	p.Upkeep()
	if ids, _ := h.versionsOf("keys", "k"); len(strings.Fields(ids)) != 2 {
		t.Errorf("after its vault came back the key has the versions %q, want two", ids)
	}
	must(t, p, "DELETE", p.ManagementURL+p.VaultID("kv1")+armAPI, nil)
	must(t, p, "POST", p.ManagementURL+"/subscriptions/"+p.SubscriptionID+"/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv1/purge"+armAPI, nil)
	p.Upkeep()
	p.CreateVault("kv1")
	for _, path := range []string{"/keys/k", "/certificates/c", "/certificates/waiting/pending", "/deletedcertificates/gone", "/certificates/issuers/i", "/certificates/contacts", "/secrets/c"} {
		h.want(404, "GET", path, "")
	}
	h.want(200, "POST", "/keys/restore", blob)
	h.want(200, "DELETE", "/keys/k", "")
	h.want(204, "DELETE", "/deletedkeys/k", "")
	p.Stop()
	for key := range state(t, p.Data) {
		if strings.HasPrefix(key, "o/") && !strings.HasSuffix(key, "/indexed") {
			t.Errorf("%s is left of a vault that was purged", key)
		}
	}
}
