package attack

import (
	"io"
	"net"
	"testing"
	"time"
)

// plain writes bytes to an address and reads until the other side closes.
func plain(t *testing.T, address, bytes string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	// Whoever refuses may close before everything is read.
	_, _ = io.WriteString(conn, bytes)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	got, _ := io.ReadAll(conn)
	return string(got)
}
