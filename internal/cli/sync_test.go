package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/posterntest"
)

// TestSync runs the program itself, as its own process, with the environment
// that postern env prints.
func TestSync(t *testing.T) {
	p := posterntest.Start(t)
	first, second := p.CreateVault("first"), p.CreateVault("second")
	for name, value := range map[string]string{"a": "1", "b": "2", "other": "3"} {
		if status, answer := p.Do("PUT", first.URL+"/secrets/"+name+"?api-version=7.4", map[string]any{"value": value}); status != 200 {
			t.Fatalf("setting %s: %d %s", name, status, answer)
		}
	}
	sync := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		executable, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		var out, failures strings.Builder
		c := exec.Command(executable)
		c.Args = append([]string{"postern", "sync", "--from", first.URL, "--to", second.URL, "--ca", p.CAFile()}, args...)
		c.Env = append(os.Environ(), "HTTPS_PROXY="+p.Proxy, "AZURE_AUTHORITY_HOST="+p.LoginURL, "AZURE_TENANT_ID="+p.TenantID,
			"AZURE_CLIENT_ID="+p.ClientID, "AZURE_CLIENT_SECRET=wrong", "POSTERN_SYNC_FROM_TENANT_ID="+p.TenantID, "POSTERN_SYNC_FROM_CLIENT_ID="+p.ClientID,
			"POSTERN_SYNC_FROM_CLIENT_SECRET="+p.ClientSecret, "POSTERN_SYNC_TO_TENANT_ID="+p.TenantID, "POSTERN_SYNC_TO_CLIENT_ID="+p.ClientID,
			"POSTERN_SYNC_TO_CLIENT_SECRET="+p.ClientSecret)
		c.Stdout, c.Stderr = &out, &failures
		_ = c.Run() // the code says it
		return out.String(), failures.String(), c.ProcessState.ExitCode()
	}
	state := filepath.Join(t.TempDir(), "sync.state")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--kind", "secrets", "--dry-run"}, "create   secrets/a\ncreate   secrets/b\ncreate   secrets/other\ndry run, nothing was written: 3 create\n"},
		{[]string{"--kind", "secrets", "--name", "?", "--state", state}, "create   secrets/a\ncreate   secrets/b\n2 create\n"},
		{[]string{"--kind", "secrets", "--state", state}, "create   secrets/other\n1 create, 2 same\n"},
		{[]string{"--kind", "secrets", "--state", state, "--strict"}, "3 same\n"},
	} {
		if out, failures, code := sync(tt.args...); out != tt.want || code != 0 {
			t.Errorf("sync %v = %q, exit %d, want %q\n%s", tt.args, out, code, tt.want, failures)
		}
	}
	if out, _, code := sync("--kind", "secrets", "-o", "json"); code != 0 || !strings.Contains(out, `"action": "same"`) {
		t.Errorf("sync -o json = %s, exit %d", out, code)
	}
	p.Do("DELETE", p.ManagementURL+second.ID+"?api-version=2026-02-01", nil)
	if out, failures, code := sync("--kind", "secrets"); out != "" || code != 2 || !strings.Contains(failures, "listing the secrets of "+second.URL) || !strings.Contains(failures, "postern: hint: ") {
		t.Errorf("to a vault that is gone: exit %d, %s", code, failures)
	}
}
