package drawing

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
)

// vaultName is the vault of the guide, secretName the one in it.
const (
	vaultName  = "myvault"
	vaultURL   = "https://" + vaultName + ".vault.azure.net"
	secretName = "test-secret"
	readLine   = vaultURL + " " + secretName
)

// programs is unmodified clients that can be run on every host of a world.
type programs struct {
	postern *lab.Postern
	token   string // file with the header that has a token
	probes  map[string][2]*talker
	// command is a program on a host, with the variables that clients need.
	command func(t testing.TB, host, name string, args ...string) *exec.Cmd
}

func newPrograms(t *testing.T, p *lab.Postern, command func(t testing.TB, host, name string, args ...string) *exec.Cmd) (*programs, azure) {
	t.Helper()
	c := &programs{postern: p, token: filepath.Join(t.TempDir(), "token"), probes: map[string][2]*talker{}, command: command}
	a := azure{p.Control(t), t}
	if err := os.WriteFile(c.token, []byte("Authorization: Bearer "+a.Token(t, "https://vault.azure.net")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c, a
}

// secret stores the secret that is read, from the internet, while the vault
// is open.
func (c *programs) secret(t testing.TB, url string) {
	t.Helper()
	cmd := c.command(t, "stranger", "curl", "-sS", "-f", "-X", "PUT", "-H", "@"+c.token, "-H", "Content-Type: application/json",
		"-d", `{"value":"`+lab.Planted+`drawing"}`, url+"/secrets/"+secretName+"?api-version=7.4")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("storing the secret: %v\n%s", err, out)
	}
}

// prepare starts the SDKs on hosts.
func (c *programs) prepare(t testing.TB, hosts ...string) {
	t.Helper()
	python := filepath.Join(lab.Python(t, "sdk", "../python/requirements.txt"), "python")
	for _, host := range hosts {
		golang := c.command(t, host, os.Args[0])
		golang.Env = append(golang.Env, clientVariable+"=probe")
		c.probes[host] = [2]*talker{talk(t, golang), talk(t, c.command(t, host, python, "probe.py"))}
	}
}

// sdks reads the secret with the Go SDK and the Python SDK, on a host where
// they are prepared.
func (c *programs) sdks(host string) (golang, python string) {
	k, ok := c.probes[host]
	if !ok {
		return notAsked, notAsked
	}
	return k[0].ask(readLine), k[1].ask(readLine)
}

// curl reads the secret with curl.
func (c *programs) curl(cmd *exec.Cmd) (verdict, went, seen string) {
	cmd.Args = append(cmd.Args, "-sS", "--max-time", "20", "--connect-timeout", "10", "-H", "@"+c.token,
		"-w", "\n%{http_code} %{remote_ip} %header{x-ms-keyvault-network-info}", vaultURL+"/secrets/"+secretName+"?api-version=7.4")
	out, err := cmd.Output()
	return curled(string(out), err)
}

// explained runs postern explain about the secret; cmd is postern, without
// arguments.
func (c *programs) explained(t testing.TB, cmd *exec.Cmd, from string) (answer string) {
	t.Helper()
	cmd.Args = append(cmd.Args, "explain", "--data", c.postern.Data, "--vault", vaultName, "--as", "postern-admin",
		"--do", "secrets/get", "--object", secretName, "--from", from)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		t.Errorf("%s: %v", strings.Join(cmd.Args, " "), err)
		if exit != nil {
			t.Logf("%s", exit.Stderr)
		}
	}
	return string(out)
}

// curled reads what curl printed: the answer, and in the last line status,
// the address it went to and what the vault says of its connection.
func curled(out string, err error) (verdict, went, seen string) {
	went, seen = "-", "-"
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		switch exit.ExitCode() {
		case 6:
			return noName, went, seen
		case 7, 28:
			return noConnection, went, seen
		}
	}
	if err != nil {
		return err.Error(), went, seen
	}
	text, last, _ := strings.Cut(strings.TrimRight(out, "\n"), "\n")
	f := strings.Fields(last)
	if len(f) < 2 {
		return "curl printed " + strconv.Quote(out), went, seen
	}
	went = f[1]
	if len(f) > 2 {
		seen = networkInfo(f[2])
	}
	if f[0] == "200" {
		return in, went, seen
	}
	status, _ := strconv.Atoi(f[0])
	return refusal(status, []byte(text)), went, seen
}

// networkInfo reads the header by which a vault tells how it sees a
// connection (documentation: private-link-diagnostics): its address, and
// "private" when it came through a private endpoint or a service endpoint.
func networkInfo(header string) string {
	_, rest, _ := strings.Cut(header, "addr=")
	address, rest, _ := strings.Cut(rest, ";")
	if strings.Contains(rest, "InterNetworkV6") && !strings.Contains(address, ":") || !strings.HasPrefix(header, "conn_type") {
		address += " private"
	}
	return address
}

// A reading is a program that reads the secret all the time.
type reading struct{ *talker }

// readers starts a reading on a host.
func (c *programs) readers(t testing.TB, host string) reading {
	t.Helper()
	cmd := c.command(t, host, os.Args[0])
	cmd.Env = append(cmd.Env, clientVariable+"=reader "+readLine)
	r := reading{talk(t, cmd)}
	if line := r.line(); line != "reading" {
		t.Fatalf("the readers said %q\n%s", line, &r.err)
	}
	return r
}

// renew waits until the program has let go of its connections, but for the
// one that it keeps: what confirms that all use the new way.
func (r reading) renew(t testing.TB) {
	t.Helper()
	if line := r.ask("renew"); line != "renewed" {
		t.Fatalf("the readers said %q\n%s", line, &r.err)
	}
}

// stop ends the program and returns what it saw.
func (r reading) stop(t testing.TB) []history {
	t.Helper()
	_ = r.in.Close()
	var all []history
	if err := json.Unmarshal([]byte(r.line()), &all); err != nil {
		t.Fatalf("what the readers saw: %v", err)
	}
	return all
}

// A talker is a program that answers a line with a line.
type talker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err strings.Builder
}

func talk(t testing.TB, cmd *exec.Cmd) *talker {
	t.Helper()
	k := &talker{cmd: cmd}
	cmd.Stderr = &k.err
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.in, k.out = in, bufio.NewReader(out)
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &k.err)
		}
	})
	return k
}

// ask sends a line and returns the answer.
func (k *talker) ask(line string) string {
	if _, err := io.WriteString(k.in, line+"\n"); err != nil {
		return err.Error()
	}
	return k.line()
}

func (k *talker) line() string {
	late := time.AfterFunc(30*time.Second, func() { _ = k.cmd.Process.Kill() })
	defer late.Stop()
	answer, err := k.out.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(answer)
}
