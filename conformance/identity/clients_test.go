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

// The cases of the clients: with a secret of some kind, and with a managed
// identity.
var (
	cases    = []string{"DefaultAzureCredential"}
	managed  = []string{"DefaultAzureCredential", "ManagedIdentityCredential", "somebody else's client id"}
	loggedIn = []string{"az login", "somebody else's client id"}
)

// programs is where the clients are, which were installed where there are
// registries. A process in a namespace is told by these variables.
type programs struct{ python, node, golang, az string }

var told = map[string]func(*programs) *string{
	"POSTERN_TEST_PYTHON": func(p *programs) *string { return &p.python },
	"POSTERN_TEST_NODE":   func(p *programs) *string { return &p.node },
	"POSTERN_TEST_GO":     func(p *programs) *string { return &p.golang },
	"POSTERN_TEST_AZ":     func(p *programs) *string { return &p.az },
}

// prepare installs what the clients need.
func prepare(t *testing.T) *programs {
	t.Helper()
	return &programs{python: lab.Python(t, "sdk", filepath.Join("..", "python", "requirements.txt")), node: install(t),
		golang: build(t), az: lab.Python(t, "az", filepath.Join("..", "azcli", "requirements.txt"))}
}

// environment tells a process in a namespace where the programs are.
func (p *programs) environment(t *testing.T) []string {
	env := []string{"POSTERN_BIN=" + lab.Program(t)}
	for name, of := range told {
		env = append(env, name+"="+*of(p))
	}
	return env
}

// prepared is what the process outside has prepared.
func prepared() *programs {
	p := &programs{}
	for name, of := range told {
		*of(p) = os.Getenv(name)
	}
	return p
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
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "@azure", "keyvault-secrets")); err != nil {
		lab.Do(t, 5*time.Minute, dir, "npm", "ci", "--no-progress", "--ignore-scripts")
	}
	return dir
}

// build compiles the client in Go.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "client")
	lab.Do(t, 5*time.Minute, "", "go", "build", "-o", program, "./client")
	return program
}

// languages are the clients by their languages.
func (p *programs) languages() map[string][]string {
	return map[string][]string{
		"Go":         {p.golang},
		"Python":     {filepath.Join(p.python, "python"), "managed.py"},
		"JavaScript": {"node", filepath.Join(p.node, "managed.mjs")},
	}
}

// place is a running server with a vault of one secret, "a".
type place struct {
	*lab.Postern
	control *lab.Control
	group   string
	vault   string
}

func open(t *testing.T, args ...string) *place {
	t.Helper()
	p := lab.Start(t, args...)
	p.Vault(t, "identity", nil)
	c := p.Control(t)
	at := &place{Postern: p, control: c, group: "/subscriptions/" + c.Subscription + "/resourceGroups/" + lab.Group + "/providers/"}
	at.vault = at.group + "Microsoft.KeyVault/vaults/identity"
	c.Put(t, at.vault+"/secrets/a?api-version=2026-02-01", map[string]any{"properties": map[string]any{"value": lab.Planted + "v"}})
	return at
}

// lets a principal read the secrets of the vault.
func (at *place) lets(t *testing.T, principal string) {
	t.Helper()
	const user = "4633458b-17de-408a-b874-0445c86b69e6" // Key Vault Secrets User
	if status, text := at.control.Call(t, http.MethodPut, at.vault+"/providers/Microsoft.Authorization/roleAssignments/"+principal+"?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": principal, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + at.control.Subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + user}}); status/100 != 2 {
		t.Fatalf("assigning a role = %d %s", status, text)
	}
}

// workload makes a workload at an address, whose own identity may read, and
// returns its id.
func (at *place) workload(t *testing.T, typ, version, address string) string {
	t.Helper()
	id := at.group + typ + "/app"
	answer := at.control.Put(t, id+"?api-version="+version, map[string]any{"location": "eastus",
		"identity": map[string]any{"type": "SystemAssigned"}, "properties": map[string]any{"postern": map[string]any{"addresses": []any{address}}}})
	at.lets(t, member(string(answer), "principalId"))
	return id
}

// member is the first member of a name in a document.
func member(text, name string) string {
	_, rest, _ := strings.Cut(text, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// client is the environment of a client that has no credentials but env;
// direct is what it asks without the proxy, as on every machine behind one:
// azure-core for JavaScript sends plain HTTP through HTTPS_PROXY, too.
func (at *place) client(t *testing.T, family lab.Family, direct string, env map[string]string) *lab.Client {
	t.Helper()
	c := at.Client(t, family)
	c.Env = slices.DeleteFunc(c.Env, func(kv string) bool {
		return strings.HasPrefix(kv, "AZURE_CLIENT_") || strings.HasPrefix(kv, "AZURE_TENANT_ID=")
	})
	c.Set("NO_PROXY", direct)
	c.Set("no_proxy", direct)
	for name, value := range env {
		c.Set(name, value)
	}
	return c
}

// run runs the clients of all languages by both families of names.
func (at *place) run(t *testing.T, p *programs, want []string, direct string, env map[string]string) {
	t.Helper()
	for name, command := range p.languages() {
		for _, family := range lab.Families {
			t.Run(name+" "+string(family), func(t *testing.T) {
				args := append(slices.Clone(command[1:]), at.VaultURL(family, "identity"))
				if len(want) > 1 {
					args = append(args, at.control.Client)
				}
				out, err := at.client(t, family, direct, env).Command(t.Context(), command[0], args...).CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v", command, err)
				}
				lab.Report(t, string(out), want)
			})
		}
	}
}

// az logs in by the public names: by the token of a cluster, or else with a
// managed identity.
func (at *place) az(t *testing.T, p *programs, direct string, env map[string]string) {
	t.Helper()
	t.Run("az", func(t *testing.T) {
		c := at.client(t, lab.Public, direct, env)
		c.Set("PATH", p.az+":"+c.Get("PATH"))
		out, err := c.Command(t.Context(), "bash", "managed.sh", "identity", at.control.Client).CombinedOutput()
		if err != nil {
			t.Errorf("managed.sh: %v", err)
		}
		lab.Report(t, string(out), loggedIn)
	})
}

// TestInsideClients is TestInside for clients of all languages, with the
// program itself.
func TestInsideClients(t *testing.T) {
	if os.Getenv(inside) == "" {
		return
	}
	at := open(t, "--identity", metadata+":80")
	at.workload(t, "Microsoft.Compute/virtualMachines", "2024-11-01", machine)
	at.run(t, prepared(), managed, metadata, nil)
	at.az(t, prepared(), metadata, nil)
}

// TestInsideArc: machines with Azure Arc show what they read of the agent's
// folder.
func TestInsideArc(t *testing.T) {
	if os.Getenv(inside) == "" {
		return
	}
	at := open(t, "--identity", machine+":40342")
	at.workload(t, "Microsoft.HybridCompute/machines", "2024-07-10", machine)
	at.run(t, prepared(), managed, machine, map[string]string{
		"IDENTITY_ENDPOINT": "http://" + machine + ":40342/metadata/identity/oauth2/token", "IMDS_ENDPOINT": "http://" + machine + ":40342"})
}
