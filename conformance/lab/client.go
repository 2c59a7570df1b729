package lab

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Family is a family of names.
type Family string

// The two families.
const (
	Private Family = "private"
	Public  Family = "public"
)

// Families is both, for tests that run through each.
var Families = []Family{Private, Public}

// Client is the environment of an unmodified client.
type Client struct {
	// Env is the whole environment: the little that programs need, and
	// what `postern env` exports.
	Env []string
}

// Client is the environment of clients that use one family of names.
func (p *Postern) Client(t testing.TB, family Family) *Client {
	t.Helper()
	return &Client{Env: p.environment(t, family)}
}

// environment is what a shell exports after eval "$(postern env ...)", on
// top of the little that programs need.
func (p *Postern) environment(t testing.TB, family Family) []string {
	t.Helper()
	args := []string{"env"}
	if family == Public {
		args = append(args, "--public")
	}
	exports := p.Run(t, args...)
	cmd := exec.Command("bash", "--noprofile", "--norc", "-euc", exports+"\nunset _ SHLVL PWD OLDPWD; exec env -0")
	cmd.Env = []string{"LANG=C.UTF-8"}
	for _, name := range []string{"PATH", "HOME", "GOPATH", "GOCACHE", "GOMODCACHE"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("what postern env prints cannot be evaluated: %v\n%s", err, exports)
	}
	return strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
}

// Get is a variable of the client's environment.
func (c *Client) Get(name string) string {
	for _, kv := range c.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// Set sets a variable of the client's environment.
func (c *Client) Set(name, value string) {
	for i, kv := range c.Env {
		if strings.HasPrefix(kv, name+"=") {
			c.Env[i] = name + "=" + value
			return
		}
	}
	c.Env = append(c.Env, name+"="+value)
}

// Command is a program that will run as this client.
func (c *Client) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = c.Env
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// VaultURL is a vault's URL in a family of names, without a slash at its
// end.
func (p *Postern) VaultURL(family Family, vault string) string {
	if family == Public {
		return "https://" + vault + ".vault.azure.net"
	}
	return "https://" + vault + "." + p.suffix() + p.port()
}
