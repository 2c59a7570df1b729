package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// Step is one hop of the way to an answer, in words.
type Step struct {
	// Name is the name that was looked up, without the dot at its end.
	Name string `json:"name"`
	// Answer is what was found: "CNAME x", "A 10.0.3.4", "NXDOMAIN", "no A
	// record", or "elsewhere".
	Answer []string `json:"answer"`
	// Zone is the name of the zone that answered; ZoneID is its ARM id when
	// it is a private one.
	Zone   string `json:"zone,omitempty"`
	ZoneID string `json:"zoneId,omitempty"`
	// Why says by what the answer came about.
	Why string `json:"why"`
}

// Diagnosis is what a client would resolve, and what is wrong with it.
type Diagnosis struct {
	// Name is without the dot at its end.
	Name   string     `json:"name"`
	Client netip.Addr `json:"client"`
	// Subnet and Network are the ids of those that the client asks from; ""
	// for a client in no declared network.
	Subnet  string `json:"subnet,omitempty"`
	Network string `json:"network,omitempty"`
	Steps   []Step `json:"steps"`
	// Code and Addresses are the outcome.
	Code      string       `json:"code"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	// Private is true when all addresses are those of approved endpoints of
	// the vault.
	Private bool `json:"private"`
	// Findings are why the answer is not the address of a private endpoint
	// although the vault has one; none when nothing is wrong.
	Findings []Finding `json:"findings,omitempty"`
}

// Trace follows a name as Resolve does, from the view's client, and says for
// each hop why. The name may lack the dot at its end.
func Trace(v *View, name string) *Diagnosis {
	name = strings.TrimSuffix(name, ".") + "."
	d := &Diagnosis{Name: shown(name), Client: v.Client}
	subnet, ok := v.Snapshot.Network().SubnetOf(v.Client.Unmap())
	if ok {
		d.Subnet, d.Network = subnet.ID, subnet.Network.ID
	}
	n := narrator{view: v, subnet: subnet}
	a := walk(v, Question{name, TypeA}, func(h hop) { d.Steps = append(d.Steps, n.step(h)) })
	d.Code = a.Code.String()
	for _, r := range a.Records {
		if r.Addr.IsValid() {
			d.Addresses = append(d.Addresses, r.Addr)
		}
	}
	if x := n.examine(name); x != nil {
		d.Private = x.private(d.Addresses)
		d.Findings = x.findings(d)
	}
	return d
}

// shown is a name as people write it.
func shown(name string) string {
	if name == "." {
		return name
	}
	return strings.TrimSuffix(name, ".")
}

// narrator puts hops into words.
type narrator struct {
	view   *View
	subnet *estate.Subnet // of the client; nil for none
}

func (n *narrator) step(h hop) Step {
	s := Step{Name: shown(h.name), Why: n.why(h)}
	if h.authority != nil {
		s.Zone = shown(h.authority.Zone)
	}
	switch {
	case h.fell:
		s.Why = fmt.Sprintf("private zone %s has no such name and its link to network %s falls back to the internet (NxDomainRedirect); %s",
			h.link.zone.Name, n.subnet.Network.Name, s.Why)
	case h.link != nil:
		s.ZoneID = h.link.zone.ID
	}
	switch {
	case h.elsewhere:
		s.Answer = []string{"elsewhere"}
	case h.target != "":
		s.Answer = []string{"CNAME " + shown(h.target)}
	case h.addr.IsValid():
		s.Answer = []string{fmt.Sprintf("%s %s", addressType(h.addr), h.addr)}
	case len(h.set) > 0:
		for _, a := range h.set {
			s.Answer = append(s.Answer, fmt.Sprintf("%s %s", addressType(a), a))
		}
	case h.exists:
		s.Answer = []string{"no A record"}
	default:
		s.Answer = []string{NoSuchName.String()}
	}
	return s
}

// why is the reason of a hop.
func (n *narrator) why(h hop) string {
	label, _, _ := strings.Cut(h.name, ".")
	switch h.why {
	case whyHost:
		return "a name of the service itself"
	case whyApproved:
		return fmt.Sprintf("vault %s has an approved private endpoint connection, so its name is an alias of its privatelink name", label)
	case whyNoApproved:
		return fmt.Sprintf("vault %s has no approved private endpoint connection (%s), so its name is public", label, n.connections(label))
	case whyNoVault:
		return "there is no vault of this name"
	case whyDeleted:
		return fmt.Sprintf("vault %s is soft-deleted: its name does not resolve until it is recovered", label)
	case whyLinked:
		return n.blind() + ", so the privatelink name leads on to the public address"
	case whyNotLinked:
		return fmt.Sprintf("there is no vault %s with an approved private endpoint connection", label)
	case whyRegion:
		return "the public entrance of the vault's region"
	case whyNothing:
		return "nothing has this name"
	case whyRecord, whyWildcard, whyNoRecord, whyNoType:
		return n.private(h)
	case whyForward:
		return "the configuration forwards this domain to another resolver"
	}
	return "this server does not serve the name: it is the upstream resolver's, if one is configured"
}

// private is the reason of a hop that a private zone answered.
func (n *narrator) private(h hop) string {
	what := map[why]string{whyRecord: "has a record set of this name", whyWildcard: "has a wildcard that covers this name",
		whyNoRecord: "does not have this name", whyNoType: "has the name, but no address for it"}[h.why]
	return fmt.Sprintf("private zone %s, linked to network %s that %s asks from, %s", h.link.zone.Name, n.subnet.Network.Name, n.view.Client, what)
}

// blind says why no private zone answered.
func (n *narrator) blind() string {
	if n.subnet == nil {
		return fmt.Sprintf("%s is in %s and sees no private zone", n.view.Client, n.nowhere())
	}
	return fmt.Sprintf("no private zone that is linked to network %s holds the name", n.subnet.Network.Name)
}

// nowhere says why the client's address proves no network.
func (n *narrator) nowhere() string {
	for _, v := range n.view.Snapshot.Network().Networks {
		for _, s := range v.Subnets {
			if slices.ContainsFunc(s.Prefixes, func(p netip.Prefix) bool { return p.Contains(n.view.Client.Unmap()) }) {
				return "subnets of several networks, which proves none,"
			}
		}
	}
	return "no declared network"
}

// connections lists the connections of a vault and their states.
func (n *narrator) connections(name string) string {
	v, ok := n.view.Snapshot.Vault(name)
	if !ok || len(v.Rules.Connections) == 0 {
		return "it has none"
	}
	var list []string
	for _, c := range v.Rules.Connections {
		list = append(list, c.ID[strings.LastIndexByte(c.ID, '/')+1:]+": "+stateWord(c.State))
	}
	return strings.Join(list, ", ")
}

// stateWord is a state as the service writes it.
func stateWord(s access.EndpointState) string {
	switch s {
	case access.EndpointApproved:
		return "Approved"
	case access.EndpointRejected:
		return "Rejected"
	case access.EndpointDisconnected:
		return "Disconnected"
	}
	return "Pending"
}
