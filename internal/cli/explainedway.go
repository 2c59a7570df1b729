package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/dns"
	"postern/internal/posture"
	"postern/internal/posture/report"
)

// from is the place, with the address that stands for it.
func (x explained) from() string {
	p, addr := x.Way.Place, x.Request.Origin.Addr
	if p.Kind == posture.ByAddress {
		return addr.String()
	}
	name := p.Name
	switch {
	case x.Way.Place.Kind == posture.BySubnet && x.Way.Subnet != nil:
		name = x.Way.Subnet.Network.Name + "/" + x.Way.Subnet.Name
	case p.Kind == posture.ByEndpoint && x.Way.Endpoint != nil:
		name = x.Way.Endpoint.Name
	case p.Kind == posture.ByService:
		name = x.Request.Origin.Service
	}
	text := p.Kind.String() + ":" + name
	if p.Addr.IsValid() || x.Way.Subnet != nil {
		text += "@" + addr.String()
	}
	return text
}

// where prints where the caller is, unless the address says it all.
func (x explained) where(b *strings.Builder) {
	w, o := x.Way, &x.Request.Origin
	if w.Place.Kind == posture.ByAddress && w.Subnet == nil && w.Endpoint == nil {
		return
	}
	line := func(what, format string, args ...any) {
		fmt.Fprintf(b, "  %-16s  %s\n", what, report.Printable(fmt.Sprintf(format, args...)))
	}
	if s := w.Subnet; s != nil {
		line("network", "%s (%s)", s.Network.Name, joined(s.Network.Prefixes))
		line("subnet", "%s (%s)", s.Name, joined(s.Prefixes))
		line("service endpoint", "Microsoft.KeyVault is %s", map[bool]string{true: "on", false: "off"}[s.KeyVault])
	}
	if e := w.Endpoint; e != nil {
		line("private endpoint", "%s, %s, leads to %s", e.Name, address(e.Addr), last(e.Vault))
	}
	if o.Service != "" {
		line("trusted service", "%s, on its own compute", o.Service)
	}
	if o.Perimeter != "" {
		line("perimeter", "a resource in %s", last(o.Perimeter))
	}
	line("the vault sees", "%s", x.sees())
	b.WriteByte('\n')
}

// sees is what the vault sees of the connection.
func (x explained) sees() string {
	o := &x.Request.Origin
	at := address(o.Addr)
	switch {
	case x.Way.Lost != "":
		return "nothing: no connection is made"
	case o.Path == access.PathPrivateEndpoint:
		return at + ", through the private endpoint " + x.Way.Endpoint.Name
	case o.Path == access.PathSubnet:
		return at + ", through the service endpoint of the subnet " + x.Way.Subnet.Name
	case o.Subnet != "":
		return at + ", from an unknown subnet"
	}
	return at
}

// changes prints what stands in the way, with the commands that remove it:
// the whole can be pasted into a shell.
func (x explained) changes(b *strings.Builder) {
	if len(x.Causes) == 0 && x.Advice == "" {
		return
	}
	title := "what changes it"
	if x.Outcome != posture.Refused {
		title = "what to look at all the same"
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	w := x.Way
	plain := len(x.Causes) == 1 && w.Place.Kind == posture.ByAddress && w.Subnet == nil && w.DNS == nil && len(x.Causes[0].Fix) > 0
	for _, c := range x.Causes {
		if !plain {
			fmt.Fprintf(b, "  # %s: %s\n", c.Code, report.Printable(c.Text))
		}
		for _, command := range c.Fix {
			fmt.Fprintf(b, "  %s\n", report.Printable(command))
		}
	}
	switch {
	case x.Advice != "" && plain:
		fmt.Fprintf(b, "  %s\n", report.Printable(x.Advice))
	case x.Advice != "":
		fmt.Fprintf(b, "  # %s\n", report.Printable(x.Advice))
	}
}

// resolved prints what the name means where the caller is.
func (x explained) resolved(b *strings.Builder) {
	w := x.Way
	if w.DNSDoubt != "" {
		fmt.Fprintf(b, "\nwhat the name means there: cannot tell: %s\n", report.Printable(w.DNSDoubt))
	}
	if w.DNS == nil {
		return
	}
	asks := ""
	if w.Resolver != x.Request.Origin.Addr {
		asks = ", asked by " + w.Resolver.String()
	}
	fmt.Fprintf(b, "\nwhat the name means there%s:\n", asks)
	for _, s := range x.steps() {
		fmt.Fprintf(b, "  %s  %s\n%6s%s\n", report.Printable(s.Name), report.Printable(strings.Join(s.Answer, ", ")), "", report.Printable(s.Why))
	}
	fmt.Fprintf(b, "  it leads to %s\n", report.Printable(x.leads()))
}

// leads is where the name leads.
func (x explained) leads() string {
	w := x.Way
	switch {
	case w.Lost != "":
		return "no vault: " + w.Lost
	case w.DNSDoubt != "":
		return "a name that is not known here"
	case w.DNS.Private && w.Endpoint != nil && slices.Contains(w.DNS.Addresses, w.Endpoint.Addr):
		return "the private endpoint " + w.Endpoint.Name
	case w.Place.Kind != posture.ByEndpoint && w.Endpoint != nil:
		return "the private endpoint " + w.Endpoint.Name + ", which does not carry it to the vault"
	case w.DNS.Private:
		return "a private endpoint of the vault"
	}
	return "the public address of the vault"
}

// publicWord stands where only the service knows the address.
const publicWord = "the public address"

// steps are the hops with words in place of the public address.
func (x explained) steps() []dns.Step {
	list := slices.Clone(x.Way.DNS.Steps)
	for i := range list {
		list[i].Answer = slices.Clone(list[i].Answer)
		for k, a := range list[i].Answer {
			if a == "A "+netip.IPv4Unspecified().String() {
				list[i].Answer[k] = "A " + publicWord
			}
		}
	}
	return list
}

func joined(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	if len(texts) == 0 {
		return "no prefix"
	}
	return strings.Join(texts, ", ")
}

// address is an address, or that it is not known.
func address(a netip.Addr) string {
	if !a.IsValid() {
		return "an address that is not known"
	}
	return a.String()
}

// last is the last segment of an id.
func last(id string) string { return id[strings.LastIndexByte(id, '/')+1:] }

// The JSON form of the way.
type (
	jsonPlace struct {
		// Path is public, subnet or privateEndpoint; none when no connection
		// is made.
		Path            string `json:"path"`
		Address         string `json:"address,omitempty"`
		Network         string `json:"network,omitempty"`
		Subnet          string `json:"subnet,omitempty"`
		ServiceEndpoint *bool  `json:"serviceEndpoint,omitempty"`
		Endpoint        string `json:"privateEndpoint,omitempty"`
		State           string `json:"privateEndpointState,omitempty"`
		Service         string `json:"trustedService,omitempty"`
		Perimeter       string `json:"perimeter,omitempty"`
	}
	jsonDNS struct {
		Name     string     `json:"name,omitempty"`
		Resolver string     `json:"resolver,omitempty"`
		Steps    []dns.Step `json:"steps"`
		Code     string     `json:"code,omitempty"`
		Private  bool       `json:"private"`
		LeadsTo  string     `json:"leadsTo,omitempty"`
		Doubt    string     `json:"doubt,omitempty"`
	}
)

var paths = map[access.Path]string{access.PathUnknown: "unknown", access.PathPublic: "public", access.PathSubnet: "subnet", access.PathPrivateEndpoint: "privateEndpoint"}

var endpointStates = map[access.EndpointState]string{access.EndpointPending: "Pending", access.EndpointApproved: "Approved",
	access.EndpointRejected: "Rejected", access.EndpointDisconnected: "Disconnected"}

func (x explained) place() jsonPlace {
	w, o := x.Way, &x.Request.Origin
	j := jsonPlace{Path: paths[o.Path], Service: o.Service, Perimeter: o.Perimeter}
	if w.Lost != "" {
		j.Path = "none"
	}
	if o.Addr.IsValid() {
		j.Address = o.Addr.String()
	}
	if s := w.Subnet; s != nil {
		j.Network, j.Subnet, j.ServiceEndpoint = s.Network.ID, s.ID, &s.KeyVault
	}
	if e := w.Endpoint; e != nil {
		j.Endpoint, j.State = e.ID, endpointStates[e.State]
	}
	return j
}

func (x explained) dns() *jsonDNS {
	w := x.Way
	if w.DNS == nil {
		if w.DNSDoubt == "" {
			return nil
		}
		return &jsonDNS{Steps: []dns.Step{}, Doubt: w.DNSDoubt}
	}
	return &jsonDNS{Name: w.DNS.Name, Resolver: w.Resolver.String(), Steps: x.steps(), Code: w.DNS.Code, Private: w.DNS.Private, LeadsTo: x.leads(), Doubt: w.DNSDoubt}
}

// causes are never null, nor are their commands.
func (x explained) causes() []posture.Cause {
	list := make([]posture.Cause, 0, len(x.Causes))
	for _, c := range x.Causes {
		c.Fix = nonNil(c.Fix)
		list = append(list, c)
	}
	return list
}
