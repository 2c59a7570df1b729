package identity

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

// The cases of managed.mjs and managed.py.
var cases = []string{"DefaultAzureCredential", "ManagedIdentityCredential", "somebody else's client id"}

// What the process in the namespace is told of what was installed outside,
// where there are registries.
const (
	pythonPrograms = "POSTERN_TEST_PYTHON"
	nodeModules    = "POSTERN_TEST_NODE"
)

// prepare installs what the clients need, and builds the server.
func prepare(t *testing.T) (environment []string) {
	t.Helper()
	return []string{pythonPrograms + "=" + lab.Python(t, "sdk", filepath.Join("..", "python", "requirements.txt")),
		nodeModules + "=" + install(t), "POSTERN_BIN=" + lab.Program(t)}
}

// install puts the script beside its packages, in the cache: those of the
// tests of the JavaScript SDK.
func install(t *testing.T) string {
	t.Helper()
	lab.Tool(t, "node", "nodejs")
	lab.Tool(t, "npm", "npm")
	dir := lab.Cache(t, "javascript-identity")
	defer lab.Lock(t, "javascript-identity")()
	packages := filepath.Join("..", "javascript")
	for _, path := range []string{filepath.Join(packages, "package.json"), filepath.Join(packages, "package-lock.json"), filepath.Join(packages, ".npmrc"), "managed.mjs"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lab.Do(t, 5*time.Minute, dir, "npm", "ci", "--no-progress", "--ignore-scripts")
	return dir
}

// TestInsideClients is TestInside for the clients of other languages, with
// the program itself.
func TestInsideClients(t *testing.T) {
	if os.Getenv(inside) == "" {
		return
	}
	p := lab.Start(t, "--identity", metadata+":80")
	p.Vault(t, "identity", nil)
	c := p.Control(t)
	group := "/subscriptions/" + c.Subscription + "/resourceGroups/" + lab.Group + "/providers/"
	vault := group + "Microsoft.KeyVault/vaults/identity"
	c.Put(t, vault+"/secrets/a?api-version=2026-02-01", map[string]any{"properties": map[string]any{"value": lab.Planted + "v"}})
	answer := c.Put(t, group+"Microsoft.Compute/virtualMachines/app?api-version=2024-11-01", map[string]any{"location": "eastus",
		"identity": map[string]any{"type": "SystemAssigned"}, "properties": map[string]any{"postern": map[string]any{"addresses": []any{machine}}}})
	_, rest, _ := strings.Cut(string(answer), `"principalId":"`)
	principal, _, _ := strings.Cut(rest, `"`)
	if status, text := c.Call(t, http.MethodPut, vault+"/providers/Microsoft.Authorization/roleAssignments/6a4f2f66-5a0b-4c7c-8f55-1d3f2a9b7e01?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": principal, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + c.Subscription + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}}); status/100 != 2 {
		t.Fatalf("assigning a role = %d %s", status, text)
	}
	for name, command := range map[string][]string{
		"Python":     {filepath.Join(os.Getenv(pythonPrograms), "python"), "managed.py"},
		"JavaScript": {"node", filepath.Join(os.Getenv(nodeModules), "managed.mjs")},
	} {
		for _, family := range lab.Families {
			t.Run(name+" "+string(family), func(t *testing.T) {
				client := p.Client(t, family)
				client.Env = slices.DeleteFunc(client.Env, func(kv string) bool {
					return strings.HasPrefix(kv, "AZURE_CLIENT_") || strings.HasPrefix(kv, "AZURE_TENANT_ID=")
				})
				// As on every machine behind a proxy: azure-core for JavaScript
				// sends plain HTTP through HTTPS_PROXY, too.
				client.Set("NO_PROXY", metadata)
				client.Set("no_proxy", metadata)
				out, err := client.Command(t.Context(), command[0], append(slices.Clone(command[1:]), p.VaultURL(family, "identity"), c.Client)...).CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v", command, err)
				}
				lab.Report(t, string(out), cases)
			})
		}
	}
}
