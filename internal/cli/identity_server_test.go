package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postern/posterntest"
)

// TestIdentityEnv: what the command prints gives a shell the variables of
// the site; the header is in a file of its owner's and on no terminal.
func TestIdentityEnv(t *testing.T) {
	p := posterntest.Start(t, posterntest.WithIdentity())
	p.CreateVault("main") // makes the group, too
	site := "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + posterntest.Group + "/providers/Microsoft.Web/sites/it's"
	if status, answer := p.Do("PUT", p.ManagementURL+site+"?api-version=2024-11-01", map[string]any{"location": "eastus"}); status != 400 {
		t.Errorf("a site with a quote in its name = %d %s", status, answer)
	}
	site = strings.Replace(site, "it's", "app", 1)
	if status, answer := p.Do("PUT", p.ManagementURL+site+"?api-version=2024-11-01", map[string]any{"location": "eastus", "identity": map[string]any{"type": "SystemAssigned"},
		"properties": map[string]any{"postern": map[string]any{"addresses": []any{"127.0.0.1"}}}}); status/100 != 2 {
		t.Fatalf("PUT = %d %s", status, answer)
	}
	want := p.SiteEnvironment(site)
	var out, errs bytes.Buffer
	if code := Run(context.Background(), []string{"identity", "env", site, "--data", p.Data}, []string{}, strings.NewReader(""), &out, &errs); code != ExitOK {
		t.Fatalf("identity env = exit %d: %s", code, errs.String())
	}
	if strings.Contains(out.String(), want["IDENTITY_HEADER"]) {
		t.Errorf("the header is printed: %s", out.String())
	}
	got, err := exec.Command("sh", "-euc", `eval "$0"; printf '%s %s' "$IDENTITY_ENDPOINT" "$IDENTITY_HEADER"`, out.String()).Output()
	if err != nil || string(got) != want["IDENTITY_ENDPOINT"]+" "+want["IDENTITY_HEADER"] {
		t.Errorf("the shell has %q, %v, want %v", got, err, want)
	}
	files, err := filepath.Glob(filepath.Join(p.Data, "identity", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v, want one", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file %v, %v, want mode 0600", info.Mode(), err)
	}
}
