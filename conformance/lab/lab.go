// Package lab runs the postern program as an operator would, and hands out
// the environment in which real, unmodified clients reach it.
//
// Two families of names lead to a postern: the public ones (myvault
// .vault.azure.net and so on) and the private ones (myvault
// .vault.postern.localhost:PORT). Few machines resolve a name below
// .localhost, so clients use neither a resolver nor a hosts file here: they
// get what `postern env` prints, which names the CONNECT proxy for both
// families and needs no right on the machine. The same SDK without a proxy
// is what posterntest shows, and curl, which resolves .localhost itself.
package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Postern is one running server.
type Postern struct {
	// Data is its data folder, Listen and Proxy its addresses.
	Data, Listen, Proxy string

	dial    dialer
	run     []string
	program string
	args    []string
	log     *bytes.Buffer
	// The process of this moment: ended is closed when it has ended, and
	// state is then how.
	process *os.Process
	ended   chan struct{}
	state   error
}

// Start runs `postern serve` on free ports of the loopback with an empty
// data folder and waits until it answers. When the test ends the server is
// asked to stop, and it is an error when it does not, or not with status 0.
func Start(t testing.TB, args ...string) *Postern {
	t.Helper()
	return StartAt(t, Site{Listen: Address(t), Proxy: Address(t)}, args...)
}

// A dialer connects to an address, as net.Dialer.DialContext does.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// Site is where a server runs.
type Site struct {
	// Run is put before the command line, such as "ip netns exec NAME".
	Run []string
	// Listen and Proxy are the server's addresses.
	Listen, Proxy string
	// Dial reaches the server from the test; nil means as it is.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// StartAt is Start at another place.
func StartAt(t testing.TB, site Site, args ...string) *Postern {
	t.Helper()
	p := &Postern{Data: filepath.Join(t.TempDir(), "data"), Listen: site.Listen, Proxy: site.Proxy, dial: site.Dial,
		run: site.Run, program: Program(t), args: args, log: &bytes.Buffer{}}
	if p.dial == nil {
		p.dial = new(net.Dialer).DialContext
	}
	p.start(t)
	t.Cleanup(func() { p.stop(t) })
	return p
}

// Crash kills the server as a power cut does and starts it again on the
// same data folder and addresses.
func (p *Postern) Crash(t testing.TB) {
	t.Helper()
	if err := p.process.Kill(); err != nil {
		t.Fatalf("killing postern: %v", err)
	}
	<-p.ended
	p.start(t)
}

func (p *Postern) start(t testing.TB) {
	t.Helper()
	line := slices.Concat(p.run, []string{p.program, "serve", "--data", p.Data, "--listen", p.Listen, "--proxy", p.Proxy}, p.args)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting postern: %v", err)
	}
	ended := make(chan struct{})
	p.process, p.ended = cmd.Process, ended
	go func() {
		p.state = cmd.Wait()
		close(ended)
	}()
	p.await(t)
}

// await asks for /healthstatus until there is an answer.
func (p *Postern) await(t testing.TB) {
	t.Helper()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "any." + p.suffix()}, DialContext: p.dial,
	}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		response, err := client.Get("https://" + p.Listen + "/healthstatus")
		if err == nil {
			response.Body.Close()
			return
		}
		select {
		case <-p.ended:
			t.Fatalf("postern serve ended by itself: %v\n%s", p.state, p.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("postern serve does not answer: %v", err)
		}
	}
}

func (p *Postern) stop(t testing.TB) {
	_ = p.process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		if p.state != nil {
			t.Errorf("postern serve ended with %v, want status 0", p.state)
		}
	case <-time.After(15 * time.Second):
		_ = p.process.Kill()
		<-p.ended
		t.Errorf("postern serve did not stop within 15 s of SIGTERM")
	}
	p.audit(t)
	if t.Failed() {
		t.Logf("the server's log, its last lines:\n%s", tail(p.log.String(), 40))
	}
}

// Planted begins the secret values that the clients store, by which they
// would be found where they must not be.
const Planted = "planted-"

// audit looks at what a stopped server leaves behind: a journal whose chain
// holds, and no secret in clear, neither in the log nor in the data folder.
func (p *Postern) audit(t testing.TB) {
	p.Run(t, "journal", "verify")
	client, err := os.ReadFile(filepath.Join(p.Data, "admin.secret"))
	if err != nil {
		t.Errorf("reading the administrator's secret: %v", err)
		return
	}
	look := func(where string, text []byte) {
		for _, secret := range [][]byte{[]byte(Planted), bytes.TrimSpace(client)} {
			if bytes.Contains(text, secret) {
				t.Errorf("%s holds a secret in clear", where)
			}
		}
	}
	look("the log", p.log.Bytes())
	err = filepath.WalkDir(p.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "admin.secret" {
			return err
		}
		text, err := os.ReadFile(path)
		look(path, text)
		return err
	})
	if err != nil {
		t.Errorf("looking through the data folder: %v", err)
	}
}

// suffix is the private domain of the vaults.
func (p *Postern) suffix() string { return "vault.postern.localhost" }

// port is what follows the private names: a colon and the port, or nothing.
func (p *Postern) port() string {
	_, port, _ := net.SplitHostPort(p.Listen)
	if port == "443" {
		return ""
	}
	return ":" + port
}

// Run runs a command of postern on the server's data folder, which must
// succeed, and returns what it prints.
func (p *Postern) Run(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(p.program, append(args, "--data", p.Data)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("postern %s: %v\n%s%s", strings.Join(args, " "), err, out, &errs)
	}
	return string(out)
}

// Repository is the folder of the product's module.
func Repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && bytes.HasPrefix(text, []byte("module postern\n")) {
			return dir
		}
	}
	t.Fatal("the repository was not found above the working directory")
	return ""
}

var build struct {
	sync.Mutex
	program string
}

// Program is the postern program: the one that POSTERN_BIN names, or one
// that is built now.
func Program(t testing.TB) string {
	t.Helper()
	if program := os.Getenv("POSTERN_BIN"); program != "" {
		return program
	}
	build.Lock()
	defer build.Unlock()
	if build.program != "" {
		return build.program
	}
	unlock := Lock(t, "build")
	defer unlock()
	program := filepath.Join(Cache(t, "bin"), "postern")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/postern")
	cmd.Dir = Repository(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building postern: %v\n%s", err, out)
	}
	build.program = program
	return program
}

// Cache is a folder for what is fetched once and used again: below
// POSTERN_CACHE, or .cache/postern in the home folder.
func Cache(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("POSTERN_CACHE")
	if root == "" {
		home, err := os.UserCacheDir()
		if err != nil {
			home = os.TempDir()
		}
		root = filepath.Join(home, "postern")
	}
	dir := filepath.Join(root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("making the cache: %v", err)
	}
	return dir
}

// Lock keeps other test processes out until the function it returns is
// called.
func Lock(t testing.TB, name string) func() {
	t.Helper()
	f, err := os.Create(filepath.Join(Cache(t, "locks"), name))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// Do runs a command that must succeed, for preparations: it is killed when
// it takes longer than limit.
func Do(t testing.TB, limit time.Duration, dir, name string, args ...string) string {
	t.Helper()
	out, err := Try(limit, dir, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(out, 30))
	}
	return out
}

// Try is Do for a command that may fail.
func Try(limit time.Duration, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w (limit %s)", err, limit)
	}
	return string(out), err
}

// Address is a loopback address that was free a moment ago.
func Address(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
