package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"postern/posterntest"
)

// inUse is the memory in use after a collection.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestManyConnections: two thousand idle connections and five hundred
// handshakes that never end cost what they cost, which is bounded, and
// nobody else notices. The bound counts both ends of every connection.
func TestManyConnections(t *testing.T) {
	const idle, stuck, bound = 2000, 500, 400 << 20
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	setSecret(t, p, "kv1", "a", "v")
	admin := p.Token(vaultResource)
	before := inUse()
	var held []net.Conn
	var mu sync.Mutex
	each(t, 8, idle+stuck, func(i int) error {
		var conn net.Conn
		var err error
		if i%5 == 0 { // 500 of 2500
			if conn, err = net.Dial("tcp", p.Address()); err == nil {
				_, err = io.WriteString(conn, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half a hello")
			}
		} else {
			c := dial(t, p, host(p, "kv1"), "http/1.1")
			_, err = io.WriteString(c, "GET /healthstatus HTTP/1.1\r\nHost: x\r\n\r\n")
			if err == nil {
				_, err = io.ReadFull(c, make([]byte, 12))
			}
			conn = c
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		held = append(held, conn)
		return nil
	})
	if after := inUse(); after > before+bound {
		t.Errorf("%d connections take %d MiB, want at most %d", len(held), (after-before)>>20, bound>>20)
	}
	c := p.NewClient()
	for range 50 {
		if a := send(t, c, request{method: "GET", url: p.VaultURL("kv1") + "/secrets/a" + api, token: admin}); a.status != 200 {
			t.Fatalf("among %d connections: %d %s", len(held), a.status, a.body)
		}
	}
	c.CloseIdleConnections()
	for _, conn := range held {
		conn.Close()
	}
	alive(t, p, "many connections")
}

// each runs n pieces of work by so many workers.
func each(t *testing.T, workers, n int, work func(i int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := work(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestSlowRequests: a request that never ends is cut off, whoever sends it,
// and takes no more room than it has said.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	own := host(p, "kv1")
	ended := make(chan string, 2)
	for what, begin := range map[string]string{
		"headers": "GET /secrets/a HTTP/1.1\r\nHost: " + own + "\r\nX: ",
		"nothing": "",
	} {
		conn := dial(t, p, own, "http/1.1")
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
		go func() {
			// It ends when the server has had enough; the deadline of the
			// connection is longer than that.
			_, err := io.Copy(io.Discard, conn)
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Errorf("%s: the server still waits after %v", what, patience)
			}
			ended <- what
		}()
	}
	<-ended
	<-ended
	alive(t, p, "slow requests")
}

// TestLargeBodies: many large bodies at once, announced or not, allowed or
// not, take a bounded room and are refused.
func TestLargeBodies(t *testing.T) {
	const workers, rounds, bound = 64, 256, 512 << 20
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		admin, manager := p.Token(vaultResource), p.Token(p.ManagementURL)
		value := strings.Repeat("v", 400<<10)
		before := inUse()
		var most atomic.Uint64
		c := p.NewClient()
		defer c.CloseIdleConnections()
		each(t, workers, rounds, func(i int) error {
			q := request{method: "PUT", url: p.VaultURL("kv1") + "/secrets/landed" + api, token: admin, body: `{"value":"` + value + `"}`}
			switch i % 4 {
			case 1:
				q.url, q.token = p.ManagementURL+p.VaultID("kv1")+"/secrets/landed"+armAPI, manager
				q.body = `{"properties":{"value":"` + value + `"}}`
			case 2:
				q.token = ""
			case 3:
				q.url, q.method = p.LoginURL+"/"+p.TenantID+"/oauth2/v2.0/token", "POST"
				q.header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
			}
			a, err := trySend(c, q)
			if err == nil && (a.status < 400 || a.status >= 500) {
				err = fmt.Errorf("%s %s = %d %s, want a refusal", q.method, q.url, a.status, a.body)
			}
			if i%64 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				for old := most.Load(); m.HeapInuse > old && !most.CompareAndSwap(old, m.HeapInuse); old = most.Load() {
				}
			}
			return err
		})
		if got := most.Load(); got > before+bound {
			t.Errorf("large bodies take %d MiB, want at most %d", (got-before)>>20, bound>>20)
		}
		// Announced, and never sent: what is announced too large is refused
		// without waiting for it.
		got := raw(t, p, "PUT /secrets/landed"+api+" HTTP/1.1\r\nHost: "+host(p, "kv1")+"\r\nAuthorization: Bearer "+admin+"\r\nContent-Length: 1000000000000\r\n\r\n")
		if statuses(got) != "413" {
			t.Errorf("a body of a terabyte = %s, want 413", statuses(got))
		}
		alive(t, p, "large bodies")
	})
}

// TestClientsThatLeave: a client that goes away in the middle takes nothing
// with it.
func TestClientsThatLeave(t *testing.T) {
	t.Parallel()
	nothingLanded(t, withSecret(t), func(p *posterntest.Postern) {
		admin := p.Token(vaultResource)
		for i := range 50 {
			conn := dial(t, p, host(p, "kv1"), "http/1.1")
			_, _ = io.WriteString(conn, fmt.Sprintf("PUT /secrets/left%d%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{\"value\":\"v\"", i, api, host(p, "kv1"), admin))
			conn.Close()
		}
		c := p.NewClient() // HTTP/2: a stream that is reset
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			body, w := io.Pipe()
			r, err := http.NewRequestWithContext(ctx, "PUT", p.VaultURL("kv1")+"/secrets/left"+api, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+admin)
			go func() {
				_, _ = io.WriteString(w, `{"value":"v"`)
				cancel()
			}()
			if got, err := c.Do(r); err == nil {
				got.Body.Close()
				t.Errorf("half a request = %s, want an error", got.Status)
			}
			w.Close()
		}
		c.CloseIdleConnections()
		alive(t, p, "clients that leave")
	})
}

// TestManyStreams: one HTTP/2 connection with very many requests at once is
// served like many connections.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t, posterntest.WithThrottle(0))
	p.CreateVault("kv1")
	setSecret(t, p, "kv1", "a", "v")
	admin := p.Token(vaultResource)
	var ok atomic.Int64
	each(t, 300, 1500, func(int) error {
		a, err := trySend(p.Client(), request{method: "GET", url: p.VaultURL("kv1") + "/secrets/a" + api, token: admin})
		if err == nil && a.status == 200 {
			ok.Add(1)
		}
		return err
	})
	if ok.Load() != 1500 {
		t.Errorf("%d of 1500 requests were answered", ok.Load())
	}
}
