package azcli

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"postern/conformance/lab"
	"postern/conformance/transcript"
)

// TestDirectory: az logs in by certificate and device code, and changes the
// directory.
func TestDirectory(t *testing.T) {
	t.Parallel()
	alone(t, "directory")
}

// TestIdentity: az makes managed identities and logs in with them, by the
// endpoint of App Service.
func TestIdentity(t *testing.T) {
	t.Parallel()
	alone(t, "identity", "--identity", lab.Address(t))
}

// TestDelegation: who may assign some roles, and what az is told otherwise.
func TestDelegation(t *testing.T) {
	t.Parallel()
	alone(t, "delegation")
}

// alone runs one transcript by the public names against a server of its own.
func alone(t *testing.T, name string, args ...string) {
	t.Helper()
	programs := lab.Python(t, "az", "requirements.txt")
	p := lab.Start(t, args...)
	c := p.Client(t, lab.Public)
	c.Set("PATH", programs+":"+filepath.Dir(lab.Program(t))+":"+c.Get("PATH"))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{
		"DATA": p.Data, "HERE": filepath.Join(here, "testdata"),
		"AZURE_CONFIG_DIR": filepath.Join(t.TempDir(), "azure"), "AZURE_CORE_COLLECT_TELEMETRY": "false",
		"AZURE_CORE_NO_COLOR": "true", "AZURE_CORE_ONLY_SHOW_ERRORS": "true", "AZURE_CORE_DISABLE_PROGRESS_BAR": "true",
		"AZURE_CORE_LOGIN_EXPERIENCE_V2": "false", "AZURE_EXTENSION_DIR": filepath.Join(t.TempDir(), "extensions"),
	} {
		c.Set(variable, value)
	}
	bash := c.Command(t.Context(), "bash", transcript.Arguments...)
	bash.Dir = t.TempDir()
	shell, err := transcript.Open(bash, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	for _, step := range parse(t, read(t, name)) {
		t.Run(fmt.Sprintf("line %d %s", step.Line, title(step)), func(t *testing.T) {
			if err := run(t, shell, step); err != nil {
				t.Error(err)
			}
		})
	}
}
