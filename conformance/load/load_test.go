package load

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"postern/conformance/lab"
)

// The test's sizes: connections that have made a request and wait, and
// connections that never say anything; and the memory of the server, in
// bytes, that may be in use for all of them.
const (
	waiting = 6000
	silent  = 4000
	bound   = 800 << 20
)

// info is what the server says of itself.
type info struct {
	PID    int      `json:"pid"`
	Listen []string `json:"listen"`
}

// TestTenThousandConnections: ten thousand idle connections take bounded
// memory, and everybody else is served.
func TestTenThousandConnections(t *testing.T) {
	roomFor(t, waiting+silent+500)
	p := lab.Start(t)
	server := read(t, p.Data)
	config := &tls.Config{RootCAs: roots(t, p.Data), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	var held sync.Map
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > waiting+silent {
					return
				}
				conn, err := open(server.Listen[0], config, i <= waiting)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				held.Store(i, conn)
			}
		})
	}
	wg.Wait()
	if used := memory(t, server.PID); used > bound {
		t.Errorf("the server uses %d MiB, want at most %d", used>>20, bound>>20)
	} else {
		t.Logf("%d connections: the server uses %d MiB", waiting+silent, used>>20)
	}
	for range 20 {
		conn, err := open(server.Listen[0], config, true)
		if err != nil {
			t.Fatalf("among them: %v", err)
		}
		conn.Close()
	}
	held.Range(func(_, conn any) bool { conn.(net.Conn).Close(); return true })
}

// open opens a connection and, if it is to talk, makes one request.
func open(address string, config *tls.Config, talk bool) (net.Conn, error) {
	if !talk {
		return net.Dial("tcp", address)
	}
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprint(conn, "GET /healthstatus HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %s", answer.Status)
	}
	return conn, nil
}

// roomFor raises the limit of open files as far as it goes.
func roomFor(t *testing.T, files uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < files && limit.Max >= files {
		limit.Cur = files
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	if limit.Cur < files {
		t.Fatalf("this machine allows %d open files, the test needs %d: raise it with ulimit -n", limit.Cur, files)
	}
}

func read(t *testing.T, data string) info {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "server.json"))
	if err != nil {
		t.Fatal(err)
	}
	var i info
	if err := json.Unmarshal(text, &i); err != nil {
		t.Fatal(err)
	}
	return i
}

func roots(t *testing.T, data string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// memory is the resident memory of a process in bytes.
func memory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
