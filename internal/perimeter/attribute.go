package perimeter

import (
	"postern/access"
	"postern/internal/estate"
)

// Attribute is the origin of a connection of which exactly this is proved:
// what an Attributor says of a connection behind such a header. It asks
// nothing but the networks, so that a connection can be judged that nobody
// has made.
func Attribute(n *estate.Network, h Hop) access.Origin {
	c := &connection{source: h.Source.Addr(), destination: h.Destination.Addr(), hop: h}
	o := c.place(n)
	o.Service, o.Perimeter = h.Service, h.Perimeter
	return o
}
