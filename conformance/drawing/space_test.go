package drawing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"postern/conformance/lab"
)

// prefix begins the names of all namespaces; the process's id and the place
// follow.
const prefix = "postern-"

// worldVariable chooses the world of headers, when it is "headers", where
// there could be that of namespaces.
const worldVariable = "POSTERN_DRAWING"

// A space is one network namespace. The tools of iproute2 know it by its
// name.
type space string

// A wire is a pair of interfaces. An address is written as `ip address add`
// takes it.
type wire struct {
	at, device, address     string
	to, toDevice, toAddress string
}

// land is namespaces that belong together.
type land struct {
	id     string
	spaces map[string]space
}

// impossible says why there can be no namespaces here; nil means there can.
// The programs that the drawing needs are installed where that is missing
// alone.
func impossible(t *testing.T) error {
	t.Helper()
	if os.Getenv(worldVariable) == "headers" {
		return errors.New(worldVariable + " asks for headers")
	}
	if os.Geteuid() != 0 {
		return errors.New("making network namespaces takes root")
	}
	if err := unshare(); err != nil {
		return fmt.Errorf("this machine makes no network namespaces: %w", err)
	}
	for _, tool := range []struct{ program, debian string }{
		{"ip", "iproute2"}, {"nft", "nftables"}, {"dig", "bind9-dnsutils"}, {"nslookup", "bind9-dnsutils"}, {"curl", "curl"}, {"dnsmasq", "dnsmasq-base"},
	} {
		lab.Tool(t, tool.program, tool.debian)
	}
	name := fmt.Sprintf("%s%d-try", prefix, os.Getpid())
	defer func() { _, _ = lab.Try(10*time.Second, "", "ip", "netns", "delete", name) }()
	for _, line := range [][]string{
		{"ip", "netns", "add", name},
		{"ip", "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two"},
		{"ip", "netns", "exec", name, "nft", "add table ip try; add chain ip try nat { type nat hook postrouting priority 100; }; add rule ip try nat masquerade"},
	} {
		if out, err := lab.Try(10*time.Second, "", line[0], line[1:]...); err != nil {
			return fmt.Errorf("this machine does not let %s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(out))
		}
	}
	return nil
}

// unshare makes a namespace that goes away at once.
func unshare() error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		failed <- unix.Unshare(unix.CLONE_NEWNET)
	}()
	return <-failed
}

// newLand makes empty namespaces, and sees to it that they go away: at the
// end of the test, and those of a process that was killed now.
func newLand(t *testing.T, names ...string) *land {
	t.Helper()
	sweep(t)
	l := &land{id: fmt.Sprintf("%s%d-", prefix, os.Getpid()), spaces: map[string]space{}}
	t.Cleanup(func() {
		for _, s := range l.spaces {
			s.remove(t)
		}
	})
	for _, name := range names {
		s := space(l.id + name)
		l.spaces[name] = s
		lab.Do(t, 10*time.Second, "", "ip", "netns", "add", string(s))
		s.write(t, "/proc/sys/net/ipv4/ip_forward", "1")
		// Answers may come another way than questions go.
		s.write(t, "/proc/sys/net/ipv4/conf/all/rp_filter", "0")
		s.write(t, "/proc/sys/net/ipv4/conf/default/rp_filter", "0")
		s.ip(t, "link set lo up")
	}
	return l
}

// sweep removes the namespaces of test processes that are gone, and what
// still runs in them.
func sweep(t *testing.T) {
	names, _ := filepath.Glob("/run/netns/" + prefix + "*")
	resolvers, _ := filepath.Glob("/etc/netns/" + prefix + "*")
	for _, path := range append(names, resolvers...) {
		s := space(filepath.Base(path))
		pid, _, _ := strings.Cut(strings.TrimPrefix(string(s), prefix), "-")
		if n, err := strconv.Atoi(pid); err != nil || unix.Kill(n, 0) == nil {
			continue
		}
		left, _ := lab.Try(10*time.Second, "", "ip", "netns", "pids", string(s))
		for _, pid := range strings.Fields(left) {
			if n, err := strconv.Atoi(pid); err == nil {
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
		s.remove(t)
	}
}

func (s space) remove(t *testing.T) {
	if out, err := lab.Try(10*time.Second, "", "ip", "netns", "delete", string(s)); err != nil && !strings.Contains(out, "No such file") {
		t.Errorf("removing the namespace %s: %v\n%s", s, err, out)
	}
	if err := os.RemoveAll(filepath.Join("/etc/netns", string(s))); err != nil {
		t.Error(err)
	}
	// Fails while other namespaces have something there.
	_ = os.Remove("/etc/netns")
}

// lay lays wires.
func (l *land) lay(t testing.TB, wires []wire) {
	t.Helper()
	for _, w := range wires {
		at, to := l.spaces[w.at], l.spaces[w.to]
		at.ip(t, "link add "+w.device+" type veth peer name "+w.toDevice+" netns "+string(to),
			"address add "+w.address+" dev "+w.device, "link set "+w.device+" up")
		to.ip(t, "address add "+w.toAddress+" dev "+w.toDevice, "link set "+w.toDevice+" up")
	}
}

// ip runs commands of ip(8) in the namespace.
func (s space) ip(t testing.TB, commands ...string) {
	t.Helper()
	s.feed(t, strings.Join(commands, "\n"), "ip", "-n", string(s), "-batch", "-")
}

// nft runs commands of nft(8) in the namespace.
func (s space) nft(t testing.TB, commands ...string) {
	t.Helper()
	s.feed(t, strings.Join(commands, "\n"), "ip", "netns", "exec", string(s), "nft", "-f", "-")
}

func (s space) feed(t testing.TB, input string, line ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(line, " "), err, input, out)
	}
}

// write writes a setting of the namespace's network.
func (s space) write(t testing.TB, path, value string) {
	t.Helper()
	if err := s.enter(func() error { return os.WriteFile(path, []byte(value), 0o644) }); err != nil {
		t.Fatal(err)
	}
}

// resolver writes the resolv.conf that programs in the namespace see.
func (s space) resolver(t testing.TB, address string) {
	t.Helper()
	dir := filepath.Join("/etc/netns", string(s))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "nameserver " + address + "\noptions timeout:2 attempts:3\n"
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run is what is put before a command line that shall run in the namespace.
func (s space) run() []string { return []string{"ip", "netns", "exec", string(s)} }

// enter calls fn on a thread that is in the namespace.
func (s space) enter(fn func() error) error {
	failed := make(chan error)
	go func() {
		// The thread ends with the goroutine: nothing else gets to run in
		// the namespace.
		runtime.LockOSThread()
		fd, err := unix.Open("/run/netns/"+string(s), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			_ = unix.Close(fd)
		}
		if err == nil {
			err = fn()
		}
		failed <- err
	}()
	return <-failed
}

// dial connects from the namespace to an address (not a name: a resolver
// would run on other threads).
func (s space) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = s.enter(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
