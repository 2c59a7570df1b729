package golang

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

// The SDK's modules; go.mod names their versions.
const sdk = "github.com/Azure/azure-sdk-for-go/sdk/"

// compile makes a writable copy of a module of the SDK in the cache and the
// program of its own suite.
func compile(t *testing.T, module string) (dir, suite string) {
	t.Helper()
	defer lab.Lock(t, strings.ReplaceAll(module, "/", "-"))()
	_, dir = copyOf(t, module)
	suite = filepath.Join(dir, "suite.test")
	build(t, dir, suite)
	return dir, suite
}

// copyOf makes a writable copy of a module of the SDK in the cache.
func copyOf(t *testing.T, module string) (source, dir string) {
	t.Helper()
	source = strings.TrimSpace(lab.Do(t, 5*time.Minute, "", "go", "list", "-m", "-f", "{{.Dir}}", sdk+module))
	dir = filepath.Join(lab.Cache(t, "golang"), strings.ReplaceAll(strings.TrimPrefix(module, "security/keyvault/"), "/", "-")+source[strings.LastIndexByte(source, '@'):])
	if _, err := os.Stat(dir); err != nil {
		partial := dir + ".partial"
		lab.Do(t, time.Minute, "", "rm", "-rf", partial)
		lab.Do(t, time.Minute, "", "cp", "-r", source, partial)
		lab.Do(t, time.Minute, "", "chmod", "-R", "u+w", partial)
		if err := os.Rename(partial, dir); err != nil {
			t.Fatal(err)
		}
	}
	return source, dir
}

// build compiles the tests of a copied module.
func build(t *testing.T, dir, program string) {
	t.Helper()
	cmd := exec.Command("go", "test", "-c", "-o", program, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compiling the tests of %s: %v\n%s", dir, err, out)
	}
}
