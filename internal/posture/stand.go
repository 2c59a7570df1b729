package posture

import (
	"fmt"
	"net/netip"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/perimeter"
)

// Standing is what a connection from a place says of itself: by it an
// unmodified client can be put there.
type Standing struct {
	// Title is what the place was found to be.
	Title string
	Hop   perimeter.Hop
	// Resolves tells whether names mean what the place's DNS says: they do
	// for clients in networks, not for an endpoint, which was dialled
	// already, nor for a service.
	Resolves bool
	// Notes say what somebody should know who stands there.
	Notes []string
}

// nowhere is the address of a caller of which none is known (RFC 5737, an
// address of documents).
var nowhere = netip.MustParseAddr("192.0.2.1")

// Stand finds a place in an estate; services names the list of trusted
// services.
func (p Place) Stand(s *estate.Snapshot, services string) (Standing, error) {
	at, err := p.find(s, services)
	if err != nil {
		return Standing{}, err
	}
	if !at.addr.IsValid() {
		at.addr = nowhere
	}
	st := Standing{Hop: perimeter.Hop{Source: netip.AddrPortFrom(at.addr, 0), Service: at.service}}
	switch {
	case at.endpoint != nil:
		st.through(s.Network(), at.endpoint)
	case at.perimeter != nil:
		st.Title, st.Hop.Perimeter = "a member of the network security perimeter "+at.perimeter.Name, estate.Key(at.perimeter.ID)
	case at.service != "":
		st.Title = "the compute of " + at.service
		st.note("the proof alone opens nothing: the token must be the service's, the operation one of its scenario, and a right is needed")
	case at.subnet != nil:
		st.Title, st.Resolves = "the subnet "+subnetName(at.subnet), true
		if p.Kind == BySubnet {
			st.Hop.Subnet = at.subnet.Key
		}
		if !at.subnet.KeyVault {
			st.note("the service endpoint %s is off there: subnet rules do not match, and the address is a private one", estate.KeyVaultEndpoint)
		}
	default:
		st.Title, st.Resolves = "the internet", true
		if at.addr.IsPrivate() || at.addr.IsLoopback() {
			st.Title = "a private address in no declared subnet"
		}
	}
	return st, nil
}

// through makes the standing of a client that has dialled an endpoint.
func (st *Standing) through(n *estate.Network, e *estate.Endpoint) {
	st.Title = "the private endpoint " + e.Name
	if found, ok := n.EndpointAt(e.Addr); ok && found == e {
		st.Hop.Destination = netip.AddrPortFrom(e.Addr, 443)
	} else if e.Link == 0 {
		st.note("the endpoint has neither an address of its own nor a link: no vault knows a connection through it")
	}
	st.Hop.Link = e.Link
	switch e.State {
	case access.EndpointApproved:
	case access.EndpointPending:
		st.note("its connection is Pending: it carries no traffic until it is approved")
	case access.EndpointRejected:
		st.note("its connection was Rejected: it carries no traffic")
	default:
		st.note("its connection is Disconnected: it carries no traffic, and a new endpoint is needed")
	}
}

func (st *Standing) note(format string, args ...any) {
	st.Notes = append(st.Notes, fmt.Sprintf(format, args...))
}
