package attack

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/posterntest"
)

// TestConnectTargets: the proxy connects nobody to anything but the server
// itself: not to the machine, its network, its cloud's metadata, or a name
// that looks like one of the server's.
func TestConnectTargets(t *testing.T) {
	t.Parallel()
	// A stranger's service on this machine, which nobody may reach through
	// the proxy.
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	reached := make(chan string, 100)
	go func() {
		for {
			conn, err := trap.Accept()
			if err != nil {
				return
			}
			reached <- conn.RemoteAddr().String()
			conn.Close()
		}
	}()
	_, trapPort, _ := net.SplitHostPort(trap.Addr().String())
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		proxy := strings.TrimPrefix(p.Proxy, "http://")
		metrics := strings.TrimSuffix(strings.TrimPrefix(p.Metrics, "http://"), "/metrics")
		own := host(p, "kv1")
		for _, tt := range []struct {
			target string
			want   int
		}{
			{own + ":443", 200}, {strings.ToUpper(own) + ":443", 200}, {own + ".:443", 200}, {own + ":" + trapPort, 403}, {own + ":22", 403}, {own + port(p), 200}, {"kv1.vault.azure.net:443", 200}, {"login.microsoftonline.com:443", 200}, {"nothere.vault.azure.net:443", 200},
			{"127.0.0.1:" + trapPort, 403}, {"localhost:" + trapPort, 403}, {"LOCALHOST.:" + trapPort, 403}, {"[::1]:" + trapPort, 403}, {"[::ffff:127.0.0.1]:" + trapPort, 403}, {"0.0.0.0:" + trapPort, 403}, {"0:" + trapPort, 403}, {"127.1:" + trapPort, 403}, {"2130706433:" + trapPort, 403}, {"0x7f000001:" + trapPort, 403},
			{proxy, 403}, {metrics, 403}, {p.Address(), 403}, {"169.254.169.254:80", 403}, {"[fd00:ec2::254]:80", 403}, {"168.63.129.16:80", 403}, {"metadata.google.internal:80", 403}, {"example.org:443", 403}, {"evil-vault.azure.net:443", 403}, {"kv1.vault.azure.net.evil.example:443", 403}, {"a.b.vault.azure.net:443", 403}, {"vault.azure.net:443", 403},
			{"postern.localhost:" + trapPort, 403}, {"xpostern.localhost:443", 403}, {"127.0.0.1:" + trapPort + "@" + own + ":443", 200}, {own + ":443@127.0.0.1:" + trapPort, 403}, {own + "@127.0.0.1:" + trapPort, 403}, {"http://127.0.0.1:" + trapPort, 400}, {"http://127.0.0.1:" + trapPort + "/", 400},
			{own, 400}, {own + ":", 400}, {":443", 400}, {"", 400}, {own + ":x", 400}, {own + ":-1", 400}, {own + ":+443", 400}, {own + ":443:443", 400}, {"127.0.0.1%00." + own + ":443", 400}, {"127.0.0.1%2f" + own + ":443", 400}, {"[::1%25lo]:" + trapPort, 400}, {strings.Repeat("a", 300) + ".vault.azure.net:443", 400},
			{"127.0.0.1\\@" + own + ":443", 400}, {"127.0.0.1#" + own + ":443", 400}, {"127.0.0.1?" + own + ":443", 400}, {"/", 400}, {"*", 400}, {"127.0.0.1:" + trapPort + " " + own + ":443", 400},
		} {
			line := fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", tt.target, "x")
			if got := connect(t, proxy, line); got != tt.want {
				t.Errorf("CONNECT %.80q = %d, want %d", tt.target, got, tt.want)
			}
		}
		for _, tt := range []struct {
			line string
			want int
		}{
			{"GET http://127.0.0.1:" + trapPort + "/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405}, {"GET http://" + own + "/secrets/a HTTP/1.1\r\nHost: " + own + "\r\n\r\n", 405}, {"GET / HTTP/1.1\r\nHost: " + own + "\r\n\r\n", 405}, {"POST http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405},
			{"CONNECT " + own + ":443\r\nHost: x HTTP/1.1\r\n\r\n", 400}, {"CONNECT " + own + ":443 HTTP/1.1\r\nHost: 127.0.0.1:" + trapPort + "\r\n\r\n", 200}, {"CONNECT 127.0.0.1:" + trapPort + " HTTP/1.1\r\nHost: " + own + ":443\r\n\r\n", 403}, {"CONNECT " + own + ":443 HTTP/1.0\r\n\r\n", 200},
			{"connect " + own + ":443 HTTP/1.1\r\nHost: x\r\n\r\n", 405}, {"\x16\x03\x01\x00\x00\r\n\r\n", 400}, {"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n\r\n", 400}, {"CONNECT " + own + ":443 HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 200<<10) + "\r\n\r\n", 431},
		} {
			if got := connect(t, proxy, tt.line); got != tt.want {
				t.Errorf("proxy: %.80q = %d, want %d", tt.line, got, tt.want)
			}
		}
		alive(t, p, "CONNECT to anywhere")
	}, posterntest.WithMetrics())
	close(reached)
	for from := range reached {
		t.Errorf("the proxy connected %s to another service", from)
	}
}

// port is that of the TLS listener, with its colon.
func port(p *posterntest.Postern) string {
	return p.Address()[strings.LastIndex(p.Address(), ":"):]
}

// connect sends a request to the proxy and returns the status; the tunnel
// that may stand is closed.
func connect(t *testing.T, proxy, line string) int {
	t.Helper()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, line)
	got, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return 0
	}
	got.Body.Close()
	return got.StatusCode
}

// TestTunnelGivesNothing: through the tunnel there is the same server with
// the same gates, whatever was asked for with CONNECT, and what was written
// before the tunnel stood is read as if after.
func TestTunnelGivesNothing(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	p.CreateVault("closed", closedVaults["vault-f2"])
	setSecret(t, p, "kv1", "a", "v")
	admin := p.Token(vaultResource)
	for _, target := range []string{"login.microsoftonline.com:443", "kv1.vault.azure.net:443"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.Proxy, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "CONNECT "+target+" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if got, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil || got.StatusCode != 200 {
			t.Fatalf("CONNECT %s = %v %v", target, got, err)
		}
		secure := tls.Client(conn, &tls.Config{RootCAs: pool(t, p), ServerName: "kv1.vault.azure.net", NextProtos: []string{"http/1.1"}})
		got := exchange(secure, "GET /secrets/a"+api+" HTTP/1.1\r\nHost: kv1.vault.azure.net\r\n\r\n"+
			"GET /secrets/a"+api+" HTTP/1.1\r\nHost: closed.vault.azure.net\r\nAuthorization: Bearer "+admin+"\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"+
			"GET /secrets/a"+api+" HTTP/1.1\r\nHost: kv1.vault.azure.net\r\nAuthorization: Bearer "+admin+"\r\nConnection: close\r\n\r\n")
		if statuses(got) != "401 403 200" {
			t.Errorf("through the tunnel to %s = %s, want 401 403 200", target, statuses(got))
		}
	}
}
