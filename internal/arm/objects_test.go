package arm_test

import (
	"fmt"
	"strings"
	"sync"
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
		{"owner", "GET", theVault + "/keys/k", ``, 404, "KeyNotFound"},
	}
	for _, row := range rows {
		a := r.do(row.who, row.method, row.path, row.body)
		if a.status != row.status || a.code() != row.code || strings.Contains(a.text, "planted") {
			t.Errorf("%s %s %.60s = %d %s, want %d %s", row.method, row.path, row.body, a.status, a.text, row.status, row.code)
		}
	}
	r.grep("planted-secret")
}

// TestManagedKeys: keys through the resource manager are made once, and
// told of without more than their public properties.
func TestManagedKeys(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(`"networkAcls":{"defaultAction":"Deny","bypass":"None"}`), 201)
	premium := strings.Replace(theVault, "kv-one", "kv-premium", 1)
	r.ok("owner", "PUT", premium, strings.Replace(r.vaultBody(""), `"standard"`, `"premium"`, 1), 201)
	keys := theVault + "/keys"
	const body = `{"tags":{"a":"b"},"properties":{"kty":"EC","curveName":"P-384","keyOps":["sign","release"],"attributes":{"enabled":false,"nbf":10,"exp":20},` +
		`"rotationPolicy":{"attributes":{"expiryTime":"P90D"},"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"rotate"}}]}}}`
	a := r.ok("owner", "PUT", keys+"/My-Key", body, 200)
	at := float64(r.now().Unix())
	uri, _ := a.at("properties.keyUri").(string)
	versioned, _ := a.at("properties.keyUriWithVersion").(string)
	want := map[string]any{
		"attributes": map[string]any{"enabled": false, "nbf": 10.0, "exp": 20.0, "created": at, "updated": at, "recoveryLevel": "Recoverable+Purgeable", "exportable": false},
		"kty":        "EC", "keyOps": []any{"sign", "release"}, "curveName": "P-384", "keyUri": uri, "keyUriWithVersion": versioned,
		"rotationPolicy": map[string]any{"attributes": map[string]any{"expiryTime": "P90D", "created": at, "updated": at}, "lifetimeActions": []any{
			map[string]any{"trigger": map[string]any{"timeAfterCreate": "P30D"}, "action": map[string]any{"type": "rotate"}},
			map[string]any{"trigger": map[string]any{"timeBeforeExpiry": "P30D"}, "action": map[string]any{"type": "notify"}}}},
	}
	if diff := cmp.Diff(any(want), a.at("properties")); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	if uri != "https://kv-one.vault.postern.localhost:8443/keys/My-Key" || len(versioned) != len(uri)+33 || a.at("tags.a") != "b" || a.at("id") != keys+"/My-Key" {
		t.Errorf("key = %s", a.text)
	}
	// What is there stays as it is, whatever is asked for.
	for _, again := range []string{body, `{"properties":{"kty":"RSA"}}`} {
		if b := r.ok("owner", "PUT", keys+"/my-key", again, 200); b.text != a.text {
			t.Errorf("PUT again = %s, want the key as it was", b.text)
		}
	}
	if b := r.ok("owner", "GET", keys+"/my-key", "", 200); b.text != a.text {
		t.Errorf("GET = %s, want %s", b.text, a.text)
	}
	version := versioned[len(uri)+1:]
	one := r.ok("owner", "GET", keys+"/my-key/versions/"+version, "", 200)
	if one.at("name") != version || one.at("type") != "Microsoft.KeyVault/vaults/keys/versions" || one.at("id") != keys+"/My-Key/versions/"+version {
		t.Errorf("version = %s", one.text)
	}
	for path, want := range map[string]string{keys: uri, keys + "/my-key/versions": versioned} {
		if list := r.ok("owner", "GET", path, "", 200); len(list.items()) != 1 || !strings.Contains(list.text, want) || strings.Contains(list.text, "kty") {
			t.Errorf("GET %s = %s", path, list.text)
		}
	}
	rsa := r.ok("owner", "PUT", premium+"/keys/rsa", `{"properties":{"kty":"RSA-HSM"}}`, 200)
	if rsa.at("properties.keySize") != 2048.0 || len(rsa.at("properties.keyOps").([]any)) != 6 {
		t.Errorf("RSA key = %s", rsa.text)
	}
}

// TestManagedKeyOnce: many ask for one key, and there is one version of it.
func TestManagedKeyOnce(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	texts := make([]string, 8)
	var all sync.WaitGroup
	for i := range texts {
		all.Go(func() { texts[i] = r.do("owner", "PUT", theVault+"/keys/k", `{"properties":{"kty":"EC"}}`).text })
	}
	all.Wait()
	for _, text := range texts[1:] {
		if text != texts[0] {
			t.Errorf("PUT = %s and %s, want one key", text, texts[0])
		}
	}
	if list := r.ok("owner", "GET", theVault+"/keys/k/versions", "", 200).items(); len(list) != 1 {
		t.Errorf("%d versions, want 1", len(list))
	}
}

func TestManagedKeysRefused(t *testing.T) {
	r := newRig(t, profile.Azure())
	r.ok("owner", "PUT", theVault, r.vaultBody(""), 201)
	premium := strings.Replace(theVault, "kv-one", "kv-premium", 1)
	r.ok("owner", "PUT", premium, strings.Replace(r.vaultBody(""), `"standard"`, `"premium"`, 1), 201)
	keys := theVault + "/keys"
	r.ok("owner", "PUT", keys+"/my-key", `{"properties":{"kty":"EC"}}`, 200)
	for _, row := range []struct {
		who, method, path, body string
		status                  int
		code                    string
	}{
		{"owner", "PUT", keys + "/k", `{}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"oct"}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"RSA-HSM"}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"RSA","keySize":1024}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"RSA","keySize":"2048"}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"EC","curveName":"P-1"}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"EC","keyOps":["fly"]}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"EC","keyOps":"sign"}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"EC","attributes":{"exp":"soon"}}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"EC","rotationPolicy":{"attributes":{"expiryTime":"P1D"}}}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"EC","rotationPolicy":{"lifetimeActions":7}}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/k", `{"properties":{"kty":"EC","attributes":{"exportable":true}}}`, 400, "BadRequest"},
		{"owner", "PUT", premium + "/keys/k", `{"properties":{"kty":"EC-HSM","attributes":{"exportable":true}}}`, 400, "BadRequest"},
		{"owner", "PUT", keys + "/a_b", `{"properties":{"kty":"EC"}}`, 400, "BadRequest"},
		{"owner", "GET", keys + "/none", ``, 404, "KeyNotFound"},
		{"owner", "GET", keys + "/none/versions", ``, 404, "KeyNotFound"},
		{"owner", "GET", keys + "/my-key/versions/" + strings.Repeat("0", 32), ``, 404, "KeyNotFound"},
		{"owner", "PUT", vaultsOf + "/none/keys/k", `{"properties":{"kty":"EC"}}`, 404, "ResourceNotFound"},
		{"reader", "PUT", keys + "/k", `{"properties":{"kty":"EC"}}`, 403, "AuthorizationFailed"},
	} {
		if a := r.do(row.who, row.method, row.path, row.body); a.status != row.status || a.code() != row.code {
			t.Errorf("%s %s %.60s = %d %s, want %d %s", row.method, row.path, row.body, a.status, a.text, row.status, row.code)
		}
	}
	if list := r.ok("owner", "GET", keys, "", 200).items(); len(list) != 1 {
		t.Errorf("%d keys after refused requests, want 1", len(list))
	}
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
