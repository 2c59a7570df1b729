package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"postern/access"
	"postern/internal/dns"
	"postern/internal/names"
	"postern/internal/operator"
	"postern/internal/posture"
	"postern/internal/profile"
)

// openOperator makes the sockets of the owner of the data folder: the API,
// and the one whose connections say where they come from. A file system that
// has no sockets is no reason not to serve.
func (s *Server) openOperator() {
	api, err := operator.Listen(s.options.Data, operator.Socket)
	if err == nil {
		s.operatorAt = api
		s.closers = append(s.closers, api)
		api, err = operator.Listen(s.options.Data, operator.VantageSocket)
	}
	if err != nil {
		s.options.Log.Warn("postern platform and postern vantage will not reach this server", "why", err)
		return
	}
	s.serveHops(s.perimeter.OperatorListener(api, operator.Owner))
}

// operatorAPI is what the API needs.
func (s *Server) operatorAPI() operator.Deps {
	prof, _ := profile.Named(s.config.Profile)
	tenant, _ := access.ParseGUID(s.admin.TenantID)
	return operator.Deps{Platform: s.platform, Directory: s.directory, Journal: s.journal, Trusted: prof.TrustedServices, Tenant: tenant,
		Estate: s.estate, Identifier: func() (string, error) { return newGUID(s.options.Random) },
		Place: s.place, Way: s.way, Site: s.SiteEnvironment, PassThrough: s.proxy.PassThrough, Now: s.options.Now, Log: s.options.Log}
}

// place finds a place on the networks by its name.
func (s *Server) place(name string) (*operator.Place, error) {
	p, err := posture.ParsePlace(name)
	if err != nil {
		return nil, &operator.Error{Status: http.StatusBadRequest, Message: err.Error(), Hint: posture.PlaceForms}
	}
	prof, _ := profile.Named(s.config.Profile)
	at, err := p.Stand(s.estate.Effective(), prof.TrustedServices)
	var unknown *posture.UnknownPlaceError
	switch {
	case errors.As(err, &unknown):
		return nil, &operator.Error{Status: http.StatusNotFound, Message: err.Error(), Hint: unknown.Hint()}
	case err != nil:
		return nil, &operator.Error{Status: http.StatusBadRequest, Message: err.Error()}
	}
	return &operator.Place{Where: name, Title: at.Title, Source: at.Hop.Source.Addr(), Destination: at.Hop.Destination.Addr(), Link: at.Hop.Link,
		Subnet: at.Hop.Subnet, Service: at.Hop.Service, Perimeter: at.Hop.Perimeter, Resolves: at.Resolves, Notes: at.Notes}, nil
}

// platformDNS is the resolver that the service has in every network.
var platformDNS = netip.MustParseAddr("168.63.129.16")

// anywhere stands for the public address: no private endpoint has it.
var anywhere = netip.IPv4Unspecified()

// way tells where a host leads for a client in a network: what the network's
// DNS says, as explain and the name server say it.
func (s *Server) way(w operator.Way) operator.Lead {
	snapshot := s.estate.Effective()
	n := snapshot.Network()
	subnet, ok := n.Subnet(w.Subnet)
	if w.Subnet == "" {
		subnet, ok = n.SubnetOf(w.Source)
	}
	if !ok || s.names.Resolve(w.Host).Plane != names.Vault {
		return operator.Lead{} // the internet; planes have no private endpoints
	}
	asks := w.Source
	if servers := subnet.Network.Servers; len(servers) > 0 && servers[0] != platformDNS {
		asks = servers[0]
	}
	host := strings.TrimSuffix(strings.ToLower(w.Host), ".") + "."
	answer := dns.Resolve(&dns.View{Snapshot: snapshot, Names: s.names, Public: anywhere, TTL: uint32(s.config.DNS.TTL), Client: asks},
		dns.Question{Name: host, Type: dns.TypeA})
	for _, r := range answer.Records {
		switch {
		case !r.Addr.IsValid():
		case r.Addr == anywhere:
			return operator.Lead{}
		default:
			if _, ok := n.EndpointAt(r.Addr); !ok {
				return operator.Lead{Lost: fmt.Sprintf("there, %s leads to %s, which is no private endpoint: nothing of the vault answers", w.Host, r.Addr)}
			}
			return operator.Lead{Address: r.Addr}
		}
	}
	switch {
	case answer.Elsewhere != "":
		return operator.Lead{Lost: fmt.Sprintf("there, %s leads to %s, which another resolver answers", w.Host, answer.Elsewhere)}
	case answer.Code == dns.Success:
		return operator.Lead{Lost: fmt.Sprintf("there, %s has no address", w.Host)}
	}
	return operator.Lead{Lost: fmt.Sprintf("there, %s has no answer: %s", w.Host, answer.Code)}
}
