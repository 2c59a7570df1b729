package access

import "net/netip"

// Path is the way by which a connection reached the vault. The zero value
// is unknown: no default action, no address and no subnet admits it.
type Path uint8

const (
	// PathUnknown: nothing could be proved of the connection.
	PathUnknown Path = iota
	// PathPublic: the public endpoint, known by source address.
	PathPublic
	// PathSubnet: the public endpoint, through the service endpoint of a
	// subnet; the subnet is proved.
	PathSubnet
	// PathPrivateEndpoint: a private endpoint connection.
	PathPrivateEndpoint
)

// known reports whether something is proved of the path.
func (p Path) known() bool { return p == PathPublic || p == PathSubnet || p == PathPrivateEndpoint }

// Origin is where a connection comes from, as far as it is proved. It is
// made by the perimeter alone, from the connection and never from anything
// the client says in a request.
type Origin struct {
	Path Path
	// Addr is the client's address: public, or private for a subnet and a
	// private endpoint.
	Addr netip.Addr
	// Subnet is the ARM id of the subnet, lower-case, under PathSubnet. Under
	// PathPublic it is the declared subnet whose prefix holds the address
	// but whose service endpoint is off: it admits nothing, and the refusal
	// tells the client that it comes from an unknown subnet.
	Subnet string
	// Endpoint is the ARM id of the private endpoint connection of the
	// vault, lower-case, under PathPrivateEndpoint.
	Endpoint string
	// Service is the name of the trusted service whose own compute proved
	// that it is calling; "" for everybody else.
	Service string
	// Perimeter is the id of the network security perimeter that the
	// calling resource is a member of, lower-case; "" for none.
	Perimeter string
}

// EndpointState is the state of a private endpoint connection.
type EndpointState uint8

// The four states of a private endpoint connection; only Approved carries
// traffic.
const (
	EndpointPending EndpointState = iota
	EndpointApproved
	EndpointRejected
	EndpointDisconnected
)
