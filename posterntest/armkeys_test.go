package posterntest

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

// TestReleasePoliciesOfResources: a release policy that cannot be used is the
// client's mistake in the control plane, too.
func TestReleasePoliciesOfResources(t *testing.T) {
	p := Start(t)
	p.CreateVault("premium", map[string]any{"sku": map[string]any{"family": "A", "name": "premium"}})
	for _, policy := range []map[string]any{
		{"data": base64.RawURLEncoding.EncodeToString([]byte("x"))}, {"data": ""}, {"contentType": "text/plain"},
		{"data": base64.RawURLEncoding.EncodeToString([]byte(`{"version":"1.0.0","anyOf":[]}`))},
	} {
		status, answer := p.Do(http.MethodPut, p.ManagementURL+p.VaultID("premium")+"/keys/k?api-version=2024-11-01", map[string]any{
			"properties": map[string]any{"kty": "EC-HSM", "attributes": map[string]any{"exportable": true}, "release_policy": policy}})
		if status != http.StatusBadRequest || !strings.Contains(string(answer), "release policy") {
			t.Errorf("PUT with %v = %d %s, want 400 that names the policy", policy, status, answer)
		}
	}
}
