package arm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/internal/profile"
)

// specification is what the test reads of an OpenAPI document.
type specification struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Examples    map[string]struct {
			Ref string `json:"$ref"`
		} `json:"x-ms-examples"`
		Responses map[string]any `json:"responses"`
	} `json:"paths"`
}

// example is one example of the specification.
type example struct {
	Parameters map[string]any `json:"parameters"`
	Responses  map[string]struct {
		Body map[string]any `json:"body"`
	} `json:"responses"`
}

// otherwise are the examples that are answered in another way than the
// specification's, with the status and the reason.
var otherwise = map[string]struct {
	status int
	reason string
}{
	"createVaultWithNetworkAcls":   {400, "its second IP rule is in quotes, and it names no access policies"},
	"getKeyVersion":                {404, "the version is one that this vault did not make"},
	"getPrivateEndpointConnection": {404, "the vault has no private endpoint"},
	"putPrivateEndpointConnection": {404, "the vault has no private endpoint"},
}

// TestSpecificationExamples replays the requests of the specification's
// examples against the plane.
func TestSpecificationExamples(t *testing.T) {
	shared := os.Getenv("POSTERN_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	root := filepath.Join(shared, "specs", "keyvault", "resource-manager", "Microsoft.KeyVault", "stable")
	folders, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil || len(folders) == 0 {
		t.Log("left out: the examples of the specification, which are not here")
		return
	}
	r := newRig(t, profile.Azure())
	replayed, left := 0, map[string]int{}
	for _, folder := range folders {
		for _, file := range []string{"keyvault.json", "keys.json", "secrets.json", "providers.json"} {
			var spec specification
			if err := json.Unmarshal(must(os.ReadFile(filepath.Join(folder, file))), &spec); err != nil {
				t.Fatal(err)
			}
			for _, path := range slices.Sorted(maps.Keys(spec.Paths)) {
				for _, method := range slices.Sorted(maps.Keys(spec.Paths[path])) {
					op := spec.Paths[path][method]
					for _, ref := range op.Examples {
						var ex example
						if err := json.Unmarshal(must(os.ReadFile(filepath.Join(folder, ref.Ref))), &ex); err != nil {
							t.Fatal(err)
						}
						name := strings.TrimSuffix(filepath.Base(ref.Ref), ".json")
						if o, ok := otherwise[name]; ok {
							left[o.reason]++
						}
						r.replay(name, strings.ToUpper(method), path, &ex, op.Responses)
						replayed++
					}
				}
			}
		}
	}
	t.Logf("replayed %d examples; answered otherwise: %v; left out: Managed HSM, and the derived versions, which have none", replayed, left)
}

// replay sends one example and compares the answer's status and shape.
func (r *rig) replay(name, method, path string, ex *example, responses map[string]any) {
	r.t.Helper()
	if strings.HasPrefix(name, "ManagedHsm") || strings.HasPrefix(name, "DeletedManagedHsm") || strings.HasPrefix(name, "managedHsm") {
		return
	}
	fixed := map[string]string{"subscriptionId": sub, "resourceGroupName": "rg", "vaultName": "sample-vault", "location": "westus"}
	body := ""
	query := url.Values{}
	for key, v := range ex.Parameters {
		text, isText := v.(string)
		switch {
		case strings.Contains(path, "{"+key+"}"):
			if f, ok := fixed[key]; ok {
				text = f
			}
			path = strings.ReplaceAll(path, "{"+key+"}", text)
		case strings.HasPrefix(key, "$") || key == "api-version":
			query.Set(key, fmt.Sprint(v))
		case !isText:
			body = strings.ReplaceAll(string(must(json.Marshal(v))), "00000000-0000-0000-0000-000000000000", r.tenant.ID.String())
		}
	}
	r.state(name)
	a := r.do("owner", method, path+"?"+query.Encode(), body)
	if o, ok := otherwise[name]; ok {
		if a.status != o.status {
			r.t.Errorf("example %s = %d %s, want %d because %s", name, a.status, a.text, o.status, o.reason)
		}
		return
	}
	status := fmt.Sprint(a.status)
	if _, ok := responses[status]; !ok || a.status >= 400 {
		r.t.Errorf("example %s: %s %s = %d %s, want one of %v", name, method, path, a.status, a.text, slices.Sorted(maps.Keys(responses)))
		return
	}
	want := ex.Responses[status].Body
	for _, key := range []string{"id", "name", "type", "location", "properties", "value", "nameAvailable"} {
		if _, ok := want[key]; ok && a.body[key] == nil {
			r.t.Errorf("example %s: the answer has no %s: %s", name, key, a.text)
		}
	}
	if typ, ok := want["type"]; ok && a.body["type"] != typ {
		r.t.Errorf("example %s: type = %v, want %v", name, a.body["type"], typ)
	}
}

// state brings the rig into the state an example begins with: a vault with
// a secret, or a deleted one.
func (r *rig) state(name string) {
	r.t.Helper()
	vault := vaultsOf + "/sample-vault"
	deleted := inSub + "/providers/Microsoft.KeyVault/locations/westus/deletedVaults/sample-vault"
	r.do("owner", "DELETE", vault, "")
	r.do("owner", "POST", deleted+"/purge", "")
	if name == "checkVaultNameAvailability" || name == "createVault" || name == "createVaultWithNetworkAcls" {
		return
	}
	r.ok("owner", "PUT", vault, strings.Replace(r.vaultBody(`"enableRbacAuthorization":false,"accessPolicies":[]`), "westeurope", "westus", 1), 201)
	r.ok("owner", "PUT", vault+"/secrets/secret-name", `{"properties":{"value":"v"}}`, 201)
	if name == "getKey" || name == "listKeys" || name == "listKeyVersions" {
		r.ok("owner", "PUT", vault+"/keys/sample-key-name", `{"properties":{"kty":"RSA"}}`, 200)
	}
	if strings.Contains(name, "Deleted") {
		r.ok("owner", "DELETE", vault, "", 200)
	}
}
