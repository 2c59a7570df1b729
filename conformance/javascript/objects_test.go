package javascript

import (
	"testing"

	"postern/conformance/lab"
)

var premium = map[string]any{"sku": map[string]any{"family": "A", "name": "premium"}}

// The cases of keys.mjs and certificates.mjs.
var (
	keyCases = []string{
		"create", "create in hardware", "import", "get", "get a version", "list", "versions", "update", "encrypt and decrypt", "wrap and unwrap",
		"sign and verify", "sign and verify with curves", "what was made without the vault", "rotation policy", "rotate", "delete",
		"the name of a deleted key is taken", "recover", "backup", "purge", "restore", "a broken backup", "404", "403 of a disabled key",
		"403 of an operation that the key does not have", "what only hardware has",
	}
	certificateCases = []string{
		"create", "get", "get a version", "its key and its secret", "list", "versions", "update", "policy", "import PKCS#12", "import PEM",
		"merge", "pending operations", "contacts", "issuers", "delete", "the name of a deleted certificate is taken", "recover", "backup",
		"purge", "restore", "404",
	}
)

func TestKeys(t *testing.T) {
	script(t, "keys.mjs", keyCases, func(t *testing.T, p *lab.Postern, family lab.Family) string {
		p.BlindVault(t, "blind")
		return p.VaultURL(family, "blind")
	})
}

func TestCertificates(t *testing.T) {
	lab.Tool(t, "openssl", "openssl")
	script(t, "certificates.mjs", certificateCases, func(t *testing.T, _ *lab.Postern, _ lab.Family) string { return t.TempDir() })
}

// script runs a script through both families of names, with the vault's URL
// and one argument more.
func script(t *testing.T, name string, cases []string, prepare func(*testing.T, *lab.Postern, lab.Family) string) {
	dir := install(t)
	for _, family := range lab.Families {
		t.Run(string(family), func(t *testing.T) {
			p := lab.Start(t)
			p.Vault(t, "javascript", premium)
			cmd := p.Client(t, family).Command(t.Context(), "node", name, p.VaultURL(family, "javascript"), prepare(t, p, family))
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("node %s: %v", name, err)
			}
			lab.Report(t, string(out), cases)
		})
	}
}
