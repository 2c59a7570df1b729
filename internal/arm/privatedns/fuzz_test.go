package privatedns

import (
	"net/netip"
	"strings"
	"testing"

	"postern/internal/ordered"
)

// FuzzRecordSet: whatever is let in has the form that the DNS server reads,
// and is let in again as it was written.
func FuzzRecordSet(f *testing.F) {
	for _, seed := range []struct{ kind, name, body string }{
		{"A", "@", `{"ttl":10,"aRecords":[{"ipv4Address":"10.0.3.4"}]}`}, {"A", "*.a", `{"ttl":1,"metadata":{"a":"b"}}`},
		{"AAAA", "x", `{"ttl":10,"aaaaRecords":[{"ipv6Address":"::ffff:10.0.0.1"}]}`}, {"CNAME", "x", `{"ttl":1,"cnameRecord":{"cname":"a.b."}}`},
		{"MX", "x", `{"ttl":1,"mxRecords":[{"preference":1,"exchange":"a"}]}`}, {"SRV", "_a._b", `{"ttl":1,"srvRecords":[{"priority":0,"weight":0,"port":1,"target":"a"}]}`},
		{"TXT", "x", `{"ttl":1,"txtRecords":[{"value":["a","\u0000"]}]}`}, {"SOA", "@", `{"ttl":1,"soaRecord":{}}`}, {"PTR", "4.3", `{"ttl":1e3}`},
		{"A", "A..b", `{"ttl":1,"TTL":2}`}, {"A", strings.Repeat("a", 300), `{"ttl":null}`}, {"A", "x", `{"ttl":1,"aRecords":[null]}`},
	} {
		f.Add(seed.kind, seed.name, seed.body)
	}
	f.Fuzz(func(t *testing.T, name, record, body string) {
		k := kindOf(name)
		sent, err := ordered.ParseObject([]byte(body), 32)
		if k == nil || err != nil {
			return
		}
		const zone = "privatelink.vaultcore.azure.net"
		before := string(sent.Bytes())
		props, err := k.complete(record, zone, sent)
		if string(sent.Bytes()) != before {
			t.Fatalf("complete changed what was sent: %s", sent.Bytes())
		}
		if err != nil {
			return
		}
		if n, ok := integer(first(ordered.New(ordered.Member{Value: mustGet(props, "ttl")}))); !ok || n < 1 {
			t.Errorf("complete(%q, %q) lets the ttl %d in", record, body, n)
		}
		if whole := props.Text("fqdn"); len(whole) > 254 || !strings.HasSuffix(whole, zone+".") {
			t.Errorf("complete(%q, %q) makes the name %q", record, body, whole)
		}
		for _, a := range objects(props, "aRecords") {
			if addr, err := netip.ParseAddr(a.Text("ipv4Address")); err != nil || !addr.Is4() {
				t.Errorf("complete(%q, %q) lets %q in", record, body, a.Text("ipv4Address"))
			}
		}
		again, err := k.complete(record, zone, props)
		if err != nil || string(again.Bytes()) != string(props.Bytes()) {
			t.Errorf("complete of %s = %s, %v", props.Bytes(), again.Bytes(), err)
		}
	})
}

func mustGet(o *ordered.Object, name string) any { v, _ := o.Get(name); return v }
