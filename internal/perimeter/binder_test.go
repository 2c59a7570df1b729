package perimeter

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"postern/access"
	"postern/internal/estate"
)

// TestBinder: an address is bound while an endpoint has it and this machine
// does; the others are left alone.
func TestBinder(t *testing.T) {
	n := drawing(t, "Approved")
	probe, err := net.Listen("tcp", "127.0.3.4:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).AddrPort().Port()
	served := make(chan net.Conn)
	b := &Binder{Network: func() *estate.Network { return n }, Port: port, Log: slog.New(slog.DiscardHandler), Serve: func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served <- c
		}
	}}
	b.Step(t.Context(), true)
	if got := b.Addrs(); len(got) != 0 {
		t.Fatalf("bound %v while another has the address", got)
	}
	probe.Close()
	b.Step(t.Context(), false)
	if got := b.Addrs(); len(got) != 0 {
		t.Fatalf("bound %v though nothing changed", got)
	}
	b.Step(t.Context(), true)
	want := netip.AddrPortFrom(netip.MustParseAddr("127.0.3.4"), port)
	if got := b.Addrs(); len(got) != 1 || got[0] != want {
		t.Fatalf("bound %v, want %v alone", got, want)
	}
	client, err := net.Dial("tcp", want.String())
	if err != nil {
		t.Fatal(err)
	}
	c := <-served
	a := New(Options{Network: b.Network})
	if got := a.Origin(request(a, c)); got.Path != access.PathPrivateEndpoint {
		t.Errorf("Origin = %+v, want the endpoint", got)
	}
	s, _ := estate.New(nil, estate.Options{})
	n = s.Network()
	b.Step(t.Context(), false)
	if _, err := net.Dial("tcp", want.String()); err == nil || len(b.Addrs()) != 0 {
		t.Errorf("the address of an endpoint that went is still bound: %v", b.Addrs())
	}
	c.Close()
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("reading from a closed connection: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = drawing(t, "Approved")
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	cancel()
	<-done
	if _, err := net.Dial("tcp", want.String()); err == nil {
		t.Error("bound after the end")
	}
}
