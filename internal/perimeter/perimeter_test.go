package perimeter

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/access"
)

// TestOriginIsTheSocket: what a client says of itself changes nothing.
func TestOriginIsTheSocket(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", listen)
		if err != nil {
			t.Logf("no listener on %s: %v", listen, err)
			continue
		}
		var got access.Origin
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = Origin(r) }))
		srv.Listener.Close()
		srv.Listener = l
		srv.Config.ConnContext = ConnContext
		srv.StartTLS()
		r, _ := http.NewRequest("GET", srv.URL, nil)
		for _, h := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP", "X-Azure-ClientIP"} {
			r.Header.Set(h, "203.0.113.9")
		}
		answer, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		srv.Close()
		if got.Path != access.PathPublic || !got.Addr.IsLoopback() {
			t.Errorf("origin on %s = %+v, want the loopback address", listen, got)
		}
	}
}

func TestUnknownOrigins(t *testing.T) {
	if o := Origin(httptest.NewRequest("GET", "/", nil)); o.Path != access.PathUnknown {
		t.Errorf("a request without a connection comes from %+v, want unknown", o)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if o := Of(a); o.Path != access.PathUnknown {
		t.Errorf("a pipe comes from %+v, want unknown", o)
	}
	mapped := fakeConn{addr: &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1}}
	if o := Of(mapped); !o.Addr.Is4() {
		t.Errorf("a mapped address comes from %v, want IPv4", o.Addr)
	}
}

type fakeConn struct {
	net.Conn
	addr net.Addr
}

func (c fakeConn) RemoteAddr() net.Addr { return c.addr }
