package arm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/profile"
)

func TestManagedSecrets(t *testing.T) {
	r := newRig(t, profile.Azure())
	secrets := theVault + "/secrets"
	r.ok("owner", "PUT", theVault, r.vaultBody(`"networkAcls":{"defaultAction":"Deny","bypass":"None"}`), 201)
	a := r.ok("owner", "PUT", secrets+"/Pass", `{"tags":{"a":"b"},"properties":{"value":"planted-secret-2","contentType":"text/plain","attributes":{"enabled":false,"nbf":10,"exp":20}}}`, 201)
	want := map[string]any{"enabled": false, "nbf": 10.0, "exp": 20.0, "created": float64(r.now().Unix()), "updated": float64(r.now().Unix())}
	if diff := cmp.Diff(any(want), a.at("properties.attributes")); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	uri, _ := a.at("properties.secretUri").(string)
	versioned, _ := a.at("properties.secretUriWithVersion").(string)
	if uri != "https://kv-one.vault.postern.localhost:8443/secrets/Pass" || len(versioned) != len(uri)+33 || a.at("tags.a") != "b" || a.at("id") != secrets+"/Pass" {
		t.Errorf("secret = %s", a.text)
	}
	// Disabled, and yet told of: the value is never.
	for _, path := range []string{secrets + "/pass", secrets} {
		if a := r.ok("owner", "GET", path, "", 200); strings.Contains(a.text, "planted") || !strings.Contains(a.text, versioned) {
			t.Errorf("GET %s = %s", path, a.text)
		}
	}
	b := r.ok("owner", "PATCH", secrets+"/Pass", `{"properties":{"attributes":{"enabled":true}}}`, 200)
	if b.at("properties.secretUriWithVersion") != versioned || b.at("properties.attributes.enabled") != true || b.at("properties.contentType") != "text/plain" {
		t.Errorf("PATCH = %s, want the same version enabled", b.text)
	}
	if c := r.ok("owner", "PATCH", secrets+"/Pass", `{"properties":{"value":"planted-secret-3"}}`, 200); c.at("properties.secretUriWithVersion") == versioned {
		t.Errorf("PATCH of the value = %s, want a new version", c.text)
	}
	r.ok("owner", "PUT", secrets+"/Pass", `{"properties":{"value":"planted-secret-4"}}`, 200)
	rows := []struct {
		who, method, path, body string
		status                  int
		code                    string
	}{
		{"owner", "PUT", secrets + "/s", `{"properties":{}}`, 400, "BadRequest"},
		{"owner", "PUT", secrets + "/s", `{}`, 400, "BadRequest"},
		{"owner", "PUT", secrets + "/s", `{"properties":{"value":{"planted-secret-5":1}}}`, 400, "BadRequest"},
		{"owner", "PUT", secrets + "/a_b", `{"properties":{"value":"x"}}`, 400, "BadRequest"},
		{"owner", "PUT", secrets + "/s", `{"properties":{"value":"` + strings.Repeat("x", 25<<10+1) + `"}}`, 400, "BadRequest"},
		{"owner", "PUT", secrets + "/s", `{"properties":{"value":"x","attributes":{"exp":"soon"}}}`, 400, "BadRequest"},
		{"owner", "GET", secrets + "/none", ``, 404, "SecretNotFound"},
		{"owner", "PATCH", secrets + "/none", `{"properties":{"value":"x"}}`, 404, "SecretNotFound"},
		{"owner", "PATCH", secrets + "/none", `{"properties":{}}`, 404, "SecretNotFound"},
		{"owner", "PUT", vaultsOf + "/none/secrets/s", `{"properties":{"value":"x"}}`, 404, "ResourceNotFound"},
		{"reader", "PUT", secrets + "/s", `{"properties":{"value":"x"}}`, 403, "AuthorizationFailed"},
		{"owner", "PUT", theVault + "/keys/k", `{"properties":{"kty":"RSA"}}`, 400, "BadRequest"},
		{"owner", "GET", theVault + "/keys/k", ``, 404, "KeyNotFound"},
	}
	for _, row := range rows {
		a := r.do(row.who, row.method, row.path, row.body)
		if a.status != row.status || a.code() != row.code || strings.Contains(a.text, "planted") {
			t.Errorf("%s %s %.60s = %d %s, want %d %s", row.method, row.path, row.body, a.status, a.text, row.status, row.code)
		}
	}
	if list := r.ok("owner", "GET", theVault+"/keys", "", 200).items(); len(list) != 0 {
		t.Errorf("%d keys, want none", len(list))
	}
	r.grep("planted-secret")
}

func TestListsOfTheProvider(t *testing.T) {
	r := newRig(t, profile.Azure())
	for i := range 5 {
		r.ok("owner", "PUT", fmt.Sprintf("%s/kv-%d", vaultsOf, i), r.vaultBody(""), 201)
	}
	for _, path := range []string{vaultsOf, inSub + "/providers/Microsoft.KeyVault/vaults"} {
		var got []string
		for next := path + "?$top=2&api-version=" + newest; next != ""; {
			a := r.ok("owner", "GET", next, "", 200)
			for _, item := range a.items() {
				got = append(got, item["name"].(string))
			}
			link, _ := a.body["nextLink"].(string)
			if next = strings.TrimPrefix(link, "https://"+privateARM); link != "" && next == link {
				t.Fatalf("nextLink = %q is not of this host", link)
			}
		}
		if want := "kv-0 kv-1 kv-2 kv-3 kv-4"; strings.Join(got, " ") != want {
			t.Errorf("pages of %s = %v, want %s", path, got, want)
		}
	}
	one := vaultsOf + "/kv-0"
	rows := []struct {
		path string
		want int
	}{
		{inSub + "/providers/Microsoft.KeyVault/managedHSMs", 0},
		{inGroup + "/providers/Microsoft.KeyVault/managedHSMs", 0},
		{one + "/privateEndpointConnections", 0},
		{one + "/privateLinkResources", 1},
		{one + "/networkSecurityPerimeterConfigurations", 0},
	}
	for _, row := range rows {
		if got := len(r.ok("owner", "GET", row.path, "", 200).items()); got != row.want {
			t.Errorf("GET %s = %d items, want %d", row.path, got, row.want)
		}
	}
	operations := r.ok("stranger", "GET", "/providers/Microsoft.KeyVault/operations", "", 200).text
	for _, want := range []string{`"name":"Microsoft.KeyVault/vaults/write","isDataAction":false`, `"name":"Microsoft.KeyVault/vaults/secrets/getSecret/action","isDataAction":true`} {
		if !strings.Contains(operations, want) {
			t.Errorf("operations lack %s", want)
		}
	}
	link := r.ok("owner", "GET", one+"/privateLinkResources", "", 200)
	if !strings.Contains(link.text, `"requiredZoneNames":["privatelink.vaultcore.azure.net"]`) {
		t.Errorf("privateLinkResources = %s", link.text)
	}
	r.refused("owner", "GET", one+"/privateEndpointConnections/c", "", 404, "PrivateEndpointConnectionNotFound", "")
	r.ok("owner", "POST", inSub+"/providers/Microsoft.KeyVault/checkMhsmNameAvailability", `{"name":"hsm-one"}`, 200)
}
