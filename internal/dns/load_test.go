package dns

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// TestFlood: fifty thousand packets, whole ones, broken ones and ones that
// would be passed on, each of which the server reads, and as many again that
// come faster than it reads. They leave behind what there was before: the
// same goroutines, no heap of packets, and a server that answers.
func TestFlood(t *testing.T) {
	hole, err := net.ListenPacket("udp", "127.0.0.1:0") // a resolver that never answers
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	s := run(t, "127.0.0.1:0", func(o *Options) { o.Upstream, o.Patience = hole.LocalAddr().String(), 100*time.Millisecond })
	exchangeWith(t, s, appClient, "udp", query("plain.vault.azure.net.", wire.TypeA))
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	conn, err := net.Dial("udp", s.options.Sockets.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const packets, window = 50_000, 32
	start := read(s)
	for i := range 2 * packets {
		// A full buffer of the receiver loses packets, as it should.
		_, _ = conn.Write(hostile(i))
		if i < packets && i%window == window-1 {
			await(t, s, start+uint64(i)+1)
		}
		// A question passed on is a goroutine, and those of its timers for a
		// moment when they fire.
		if n := runtime.NumGoroutine(); n > goroutines+4*maxErrands {
			t.Fatalf("%d goroutines after %d packets, %d before", n, i, goroutines)
		}
	}
	a := exchangeWith(t, s, appClient, "tcp", query("myvault.vault.azure.net.", wire.TypeA))
	if !strings.HasSuffix(summary(a), "A 10.0.3.4") {
		t.Errorf("the answer after the flood = %s", a)
	}
	runtime.GC()
	runtime.ReadMemStats(&now)
	if grown := int64(now.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	c := s.Counts()
	if c.MostForwarding > maxErrands || read(s) < packets || c.Malformed == 0 || c.Dropped == 0 || c.Busy == 0 {
		t.Errorf("Counts = %+v", c)
	}
	t.Logf("of %d packets: %+v", 2*packets, c)
}

var good, _ = query("myvault.vault.azure.net.", wire.TypeA).Pack()

// hostile is one packet of a flood.
func hostile(i int) []byte {
	switch i % 4 {
	case 1:
		return good[:len(good)-i%len(good)]
	case 2:
		return slices.Repeat([]byte{byte(i)}, i%1400)
	case 3:
		p, _ := query(fmt.Sprintf("n%d.example.com.", i), wire.TypeA).Pack()
		return p
	}
	return good
}

// read is how many messages the server has read.
func read(s *Server) uint64 {
	c := s.Counts()
	return c.Answered + c.Malformed + c.Dropped
}

// await waits until the server has read so many messages.
func await(t *testing.T, s *Server, n uint64) {
	t.Helper()
	for began := time.Now(); read(s) < n; runtime.Gosched() {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the server has read %d messages of %d", read(s), n)
		}
	}
}

// BenchmarkAnswerWire asks through a socket of the loopback. The processor's
// time is that of the whole process, the asking included.
func BenchmarkAnswerWire(b *testing.B) {
	for _, c := range []struct{ what, from, name string }{{"private", appClient, "myvault.vault.azure.net."}, {"public", awayClient, "myvault.vault.azure.net."}} {
		b.Run(c.what, func(b *testing.B) {
			s := start(b)
			packet, _ := query(c.name, wire.TypeA).Pack()
			const window = 64
			conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(c.from)}}).Dial("udp", s.options.Sockets.Addr())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			answer := make([]byte, 2048)
			began := processorTime()
			b.ReportAllocs()
			b.ResetTimer()
			for sent, got := 0, 0; got < b.N; got++ {
				for ; sent < b.N && sent-got < window; sent++ {
					if _, err := conn.Write(packet); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := conn.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
			b.ReportMetric(float64(b.N)/(processorTime()-began).Seconds(), "answers/cpu-s")
		})
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
