package javascript

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/conformance/lab"
)

// The cases of secrets.mjs.
var cases = []string{
	"set", "get", "get a version", "list", "versions", "update", "delete", "the name of a deleted secret is taken", "recover",
	"backup", "purge", "restore", "a broken backup", "404", "403 of a disabled secret", "403 of the firewall",
}

func TestSecrets(t *testing.T) {
	dir := install(t)
	for _, family := range lab.Families {
		t.Run(string(family), func(t *testing.T) {
			p := lab.Start(t)
			p.Vault(t, "javascript", nil)
			p.Vault(t, "locked", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices"}})
			client := p.Client(t, family)
			cmd := client.Command(t.Context(), "node", "secrets.mjs", p.VaultURL(family, "javascript"), p.VaultURL(family, "locked"))
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("node secrets.mjs: %v", err)
			}
			lab.Report(t, string(out), cases)
		})
	}
}

// install puts the scripts beside their packages, in the cache.
func install(t *testing.T) string {
	t.Helper()
	lab.Tool(t, "node", "nodejs")
	lab.Tool(t, "npm", "npm")
	dir := lab.Cache(t, "javascript")
	defer lab.Lock(t, "javascript")()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "harness.mjs", "secrets.mjs", "keys.mjs", "certificates.mjs"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lab.Do(t, 5*time.Minute, dir, "npm", "ci", "--no-progress", "--ignore-scripts")
	return dir
}
