package python

import (
	"path/filepath"
	"testing"

	"postern/conformance/lab"
)

// The cases of client.py.
var cases = []string{
	"set", "get", "get a version", "list", "versions", "update", "delete", "the name of a deleted secret is taken", "recover",
	"backup", "purge", "restore", "a broken backup", "404", "403 of a disabled secret", "403 of the firewall",
}

func TestSecrets(t *testing.T) {
	programs := lab.Python(t, "sdk", "requirements.txt")
	for _, family := range lab.Families {
		t.Run(string(family), func(t *testing.T) {
			p := lab.Start(t)
			p.Vault(t, "python", nil)
			p.Vault(t, "locked", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices"}})
			client := p.Client(t, family)
			out, err := client.Command(t.Context(), filepath.Join(programs, "python"), "client.py",
				p.VaultURL(family, "python"), p.VaultURL(family, "locked")).CombinedOutput()
			if err != nil {
				t.Errorf("client.py: %v", err)
			}
			lab.Report(t, string(out), cases)
		})
	}
}
