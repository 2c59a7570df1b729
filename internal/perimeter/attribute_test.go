package perimeter

import (
	"testing"

	"postern/internal/estate"
)

// TestAttribute: a connection that nobody has made is judged like one that
// somebody did.
func TestAttribute(t *testing.T) {
	n := drawing(t, "Approved")
	a := New(Options{Network: func() *estate.Network { return n }})
	named := hop("10.0.1.200", "")
	named.Subnet, named.Service, named.Perimeter = estate.Key(vnet+"/subnets/app"), "Azure Backup", "/nsp"
	linked := hop("10.0.1.7", "")
	linked.Link = 7
	for _, h := range []Hop{hop("203.0.113.7", ""), hop("10.0.1.7", ""), hop("10.0.2.7", ""), hop("10.0.1.200", ""), hop("10.0.1.7", "10.0.3.4"),
		hop("10.0.1.7", "10.0.3.9"), hop("fd00:1::7", ""), named, linked, {}} {
		if got, want := Attribute(n, h), a.Origin(request(a, through(h))); got != want {
			t.Errorf("Attribute(%+v) = %+v, want %+v", h, got, want)
		}
	}
}
