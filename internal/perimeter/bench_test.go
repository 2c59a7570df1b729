package perimeter

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"testing"

	"postern/access"
	"postern/internal/estate"
)

// large is 1,000 subnets, and a vault with 10,000 rules.
func large(b *testing.B) *estate.Network {
	body := `{"properties":{"subnets":[`
	for i := range 1000 {
		if i > 0 {
			body += ","
		}
		body += fmt.Sprintf(`{"name":"s%d","properties":{"addressPrefix":"10.%d.%d.0/24","serviceEndpoints":[{"service":"Microsoft.KeyVault"}]}}`, i, i>>8, i&255)
	}
	rules := `{"properties":{"tenantId":"aaaaaaaa-0000-0000-0000-000000000001","networkAcls":{"defaultAction":"Deny","ipRules":[`
	for i := range 10_000 {
		if i > 0 {
			rules += ","
		}
		rules += fmt.Sprintf(`{"value":"20.%d.%d.0/24"}`, i>>8, i&255)
	}
	s, problems := estate.New([]*estate.Resource{resource(vnet, estate.TypeVirtualNetwork, "vnet", body+"]}}"),
		resource(vaultID, estate.TypeVault, "kv", rules+"]}}}")}, estate.Options{})
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	return s.Network()
}

// benchmarked is a request as http.Server makes it: the connection's
// context lies a few layers deep.
func benchmarked(a *Attributor) *http.Request {
	r := request(a, socket("10.3.200.9", "192.0.2.1"))
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), http.LocalAddrContextKey, "x"))
	_ = cancel
	ctx, cancel = context.WithCancel(ctx)
	_ = cancel
	return r.WithContext(ctx)
}

func BenchmarkOrigin(b *testing.B) {
	small, _ := estate.New(nil, estate.Options{})
	for _, c := range []struct {
		name string
		n    *estate.Network
	}{{"small", small.Network()}, {"subnets=1000,rules=10000", large(b)}} {
		b.Run(c.name, func(b *testing.B) {
			a := New(Options{Network: func() *estate.Network { return c.n }})
			r := benchmarked(a)
			var o access.Origin
			b.ReportAllocs()
			for b.Loop() {
				o = a.Origin(r)
			}
			if o.Addr != netip.MustParseAddr("10.3.200.9") {
				b.Fatal(o)
			}
		})
	}
}

// BenchmarkFirstOrigin is the first request of a connection, and the first
// after the networks changed.
func BenchmarkFirstOrigin(b *testing.B) {
	n := large(b)
	a := New(Options{Network: func() *estate.Network { return n }})
	r := benchmarked(a)
	c := r.Context().Value(connectionKey{}).(*connection)
	b.ReportAllocs()
	for b.Loop() {
		c.last.Store(nil)
		a.Origin(r)
	}
}

func BenchmarkReadHeader(b *testing.B) {
	text := []byte(raw(0x21, 0x11, addresses4, azure7))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseHop(text, false); err != nil {
			b.Fatal(err)
		}
	}
}
