package arm_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"postern/internal/profile"
)

// TestPermissions: everybody sees what the roles give that reach a scope, and
// of others' scopes nothing.
func TestPermissions(t *testing.T) {
	r := newRig(t, profile.Azure())

	for _, row := range []struct{ who, scope, want string }{
		{"owner", inSub, `[["*"]]`},
		{"owner", inGroup, `[["*"]]`},
		{"reader", inGroup, `[["*/read"]]`},
		{"reader", theVault, `[["*/read"]]`},
		{"reader", inSub, `[]`},
		{"stranger", inGroup, `[]`},
		{"stranger", inSub + "/resourceGroups/none", `[]`},
	} {
		a := r.ok(row.who, "GET", row.scope+"/providers/Microsoft.Authorization/permissions", "", 200)
		actions := []any{}
		for _, item := range a.items() {
			actions = append(actions, item["actions"])
		}
		if got := string(must(json.Marshal(actions))); got != row.want {
			t.Errorf("permissions of %s at %s = %s, want %s", row.who, row.scope, got, row.want)
		}
	}
	r.refused("foreigner", "GET", inSub+"/providers/Microsoft.Authorization/permissions", "", 401, "InvalidAuthenticationTokenTenant", "")
	r.grant("stranger", "Key Vault Data Access Administrator", inGroup)
	a := r.ok("stranger", "GET", inGroup+"/providers/Microsoft.Authorization/permissions", "", 200)
	conditional := 0
	for _, item := range a.items() {
		if item["condition"] != nil {
			conditional++
		}
	}
	if conditional != 1 {
		t.Errorf("permissions that hold under a condition = %s, want one with its condition", a.text)
	}
}

// TestProviderOperations: what can be allowed, with the data actions of
// vaults, each once.
func TestProviderOperations(t *testing.T) {
	r := newRig(t, profile.Azure())
	const at = "/providers/Microsoft.Authorization/providerOperations"
	a := r.ok("stranger", "GET", at+"/microsoft.keyvault", "", 200)
	found := map[string]string{}
	for _, typ := range a.body["resourceTypes"].([]any) {
		for _, o := range typ.(map[string]any)["operations"].([]any) {
			op := o.(map[string]any)
			if name := fmt.Sprint(op["name"]); found[name] != "" {
				t.Errorf("%s is listed twice", name)
			}
			found[fmt.Sprint(op["name"])] = fmt.Sprint(typ.(map[string]any)["name"], " ", op["isDataAction"])
		}
	}
	for name, want := range map[string]string{"Microsoft.KeyVault/vaults/write": "vaults false", "Microsoft.KeyVault/vaults/accessPolicies/write": "vaults/accessPolicies false",
		"Microsoft.KeyVault/vaults/secrets/getSecret/action": "vaults/secrets true", "Microsoft.KeyVault/vaults/keys/wrap/action": "vaults/keys true"} {
		if found[name] != want {
			t.Errorf("%s is %q, want %q", name, found[name], want)
		}
	}
	if n := len(r.ok("stranger", "GET", at, "", 200).items()); n < 3 {
		t.Errorf("%d providers", n)
	}
	r.refused("stranger", "GET", at+"/Microsoft.Nothing", "", 404, "ProviderNotFound", "")
}
