package connect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/internal/names"
)

// rig is a proxy whose own hosts echo, and one host that is listed.
func rig(t *testing.T) (address, listed string) {
	t.Helper()
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := far.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	p := &Proxy{Names: names.New("postern.localhost", 8443), Log: slog.New(slog.DiscardHandler),
		PassThrough: func() []string { return []string{far.Addr().String(), "127.0.0.1:1"} },
		Own: func(_ context.Context, target string) (func(net.Conn), error) {
			if strings.HasPrefix(target, "lost.") {
				return nil, errors.New("the name leads nowhere")
			}
			return func(c net.Conn) { defer c.Close(); fmt.Fprintf(c, "%s: ", target); _, _ = io.Copy(c, c) }, nil
		}}
	s := httptest.NewServer(p)
	t.Cleanup(func() { s.Close(); far.Close() })
	return strings.TrimPrefix(s.URL, "http://"), far.Addr().String()
}

// TestTargets: what is sent right behind the request, before the tunnel
// stands, is not lost; whoever is refused is told why.
func TestTargets(t *testing.T) {
	address, listed := rig(t)
	for _, tt := range []struct {
		target string
		status int
		want   string
	}{
		{"kv1.vault.azure.net:443", 200, "kv1.vault.azure.net:443: early"},
		{"KV1.Vault.Postern.Localhost:8443", 200, "KV1.Vault.Postern.Localhost:8443: early"},
		{listed, 200, "early"},
		{"lost.vault.azure.net:443", 502, "postern: the name leads nowhere"},
		{"127.0.0.1:1", 502, "postern: the host cannot be reached"},
		{"example.org:443", 403, "proxy.passThrough"},
		{"kv1.vault.azure.net", 400, "HOST:PORT"},
		{"kv1.vault.azure.net:x", 400, ""},
		{strings.Repeat("a", 300) + ".vault.azure.net:443", 400, "HOST:PORT"},
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\nearly", tt.target)
		r := bufio.NewReader(c)
		answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if answer.StatusCode == http.StatusOK {
			text := make([]byte, len(tt.want))
			_, err = io.ReadFull(r, text)
			got = string(text)
		} else {
			// A client reads no body of a refused CONNECT; it is there all the same.
			var text []byte
			text, err = io.ReadAll(io.LimitReader(r, answer.ContentLength))
			got = string(text)
		}
		if answer.StatusCode != tt.status || !strings.Contains(got, tt.want) {
			t.Errorf("CONNECT %.40s = %d %q, %v, want %d %q", tt.target, answer.StatusCode, got, err, tt.status, tt.want)
		}
		c.Close()
	}
	answer, err := http.Get("http://" + address + "/")
	if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
		t.Fatalf("GET = %v, %v, want 405", answer, err)
	}
	answer.Body.Close()
}

// TestJoinEndsBoth: what ends one side ends the other.
func TestJoinEndsBoth(t *testing.T) {
	near, a := net.Pipe()
	far, b := net.Pipe()
	done := make(chan struct{})
	go func() { Join(a, b); close(done) }()
	go func() { _, _ = near.Write([]byte("x")) }()
	var x [1]byte
	if _, err := far.Read(x[:]); err != nil || x[0] != 'x' {
		t.Fatalf("read %q, %v", x, err)
	}
	near.Close()
	<-done
	if _, err := far.Read(x[:]); !errors.Is(err, io.EOF) {
		t.Errorf("the other side: %v, want the end", err)
	}
}
