package libraries

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

// start starts a server with a vault and an RSA key in it; the client uses
// the public names.
func start(t *testing.T, vault string) (*lab.Postern, *lab.Client) {
	t.Helper()
	p := lab.Start(t)
	p.Vault(t, vault, nil)
	p.Key(t, vault, "wrap", map[string]any{"kty": "RSA"})
	return p, p.Client(t, lab.Public)
}

func TestStep(t *testing.T) {
	program := build(t, "step")
	_, c := start(t, "step")
	if out, err := c.Command(t.Context(), program, "step").CombinedOutput(); err != nil {
		t.Errorf("step: %v\n%s", err, out)
	}
}

func TestGocloud(t *testing.T) {
	program := build(t, "gocloud")
	p, c := start(t, "gocloud")
	for _, family := range lab.Families {
		host := strings.TrimPrefix(p.VaultURL(family, "gocloud"), "https://")
		if family == lab.Private {
			c = p.Client(t, family)
			// Its pattern of a key's name has no port.
			if strings.Contains(host, ":") {
				continue
			}
		}
		if out, err := c.Command(t.Context(), program, host, "wrap").CombinedOutput(); err != nil {
			t.Errorf("gocloud %s: %v\n%s", host, err, out)
		}
	}
}

// TestVaultUnseal runs the acceptance test of the wrapper by which Vault and
// OpenBao unseal themselves, from a copy of its own module.
func TestVaultUnseal(t *testing.T) {
	dir, suite := compile(t, "github.com/hashicorp/go-kms-wrapping/wrappers/azurekeyvault/v2")
	_, c := start(t, "unseal")
	c.Set("VAULT_ACC", "1")
	c.Set("VAULT_AZUREKEYVAULT_VAULT_NAME", "unseal")
	c.Set("VAULT_AZUREKEYVAULT_KEY_NAME", "wrap")
	cmd := c.Command(t.Context(), suite, "-test.v", "-test.timeout=2m", "-test.run=^TestAzureKeyVault_Lifecycle$")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestAzureKeyVault_Lifecycle ") {
		t.Errorf("the wrapper's acceptance test: %v\n%s", err, out)
	}
}

// build builds a program of this folder.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", program, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return program
}

// compile makes the program of a module's own tests, in a copy of it.
func compile(t *testing.T, module string) (dir, suite string) {
	t.Helper()
	source := strings.TrimSpace(lab.Do(t, 5*time.Minute, "", "go", "list", "-m", "-f", "{{.Dir}}", module))
	defer lab.Lock(t, strings.ReplaceAll(module, "/", "-"))()
	dir = filepath.Join(lab.Cache(t, "golang"), strings.ReplaceAll(module, "/", "-")+filepath.Base(source))
	suite = filepath.Join(dir, "suite.test")
	if _, err := os.Stat(dir); err != nil {
		partial := dir + ".partial"
		lab.Do(t, time.Minute, "", "rm", "-rf", partial)
		lab.Do(t, time.Minute, "", "cp", "-r", source, partial)
		lab.Do(t, time.Minute, "", "chmod", "-R", "u+w", partial)
		if err := os.Rename(partial, dir); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-c", "-o", suite, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compiling the tests of %s: %v\n%s", module, err, out)
	}
	return dir, suite
}
