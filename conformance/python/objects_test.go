package python

import (
	"path/filepath"
	"testing"

	"postern/conformance/lab"
)

var premium = map[string]any{"sku": map[string]any{"family": "A", "name": "premium"}}

// The cases of keys.py and certificates.py.
var (
	keyCases = []string{
		"create", "create in hardware", "import", "get", "get a version", "list", "versions", "update", "encrypt and decrypt", "wrap and unwrap",
		"sign and verify", "sign and verify with curves", "what was made without the vault", "rotation policy", "rotate", "delete",
		"the name of a deleted key is taken", "recover", "backup", "purge", "restore", "a broken backup", "404", "403 of a disabled key",
		"403 of an operation that the key does not have", "404 of an operation", "what only hardware has", "older api-versions",
	}
	certificateCases = []string{
		"create", "create with curves", "get", "get a version", "its key and its secret", "list", "versions", "update", "policy",
		"import PKCS#12", "import PEM", "merge", "pending operations", "contacts", "issuers", "delete",
		"the name of a deleted certificate is taken", "recover", "backup", "purge", "restore", "a broken backup", "404", "older api-versions",
	}
)

func TestKeys(t *testing.T) {
	script(t, "keys.py", keyCases)
}

func TestCertificates(t *testing.T) {
	script(t, "certificates.py", certificateCases)
}

// script runs a script through both families of names.
func script(t *testing.T, name string, cases []string) {
	programs := lab.Python(t, "sdk", "requirements.txt")
	for _, family := range lab.Families {
		t.Run(string(family), func(t *testing.T) {
			p := lab.Start(t)
			p.Vault(t, "python", premium)
			args := []string{name, p.VaultURL(family, "python")}
			if name == "keys.py" {
				p.BlindVault(t, "blind")
				args = append(args, p.VaultURL(family, "blind"))
			}
			out, err := p.Client(t, family).Command(t.Context(), filepath.Join(programs, "python"), args...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			lab.Report(t, string(out), cases)
		})
	}
}
