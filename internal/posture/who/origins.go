package who

import (
	"net/netip"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// Origins is a set of places from where the network admits a request.
type Origins uint16

// The places.
const (
	// AnyAddress: every address on the internet. It holds all the others.
	AnyAddress Origins = 1 << iota
	// ListedAddress and ListedSubnet: those of the vault's rules, or of its
	// perimeter's.
	ListedAddress
	ListedSubnet
	// Endpoint: a private endpoint that is approved; NewEndpoint: one of the
	// writer's own, in a network of its own.
	Endpoint
	NewEndpoint
	// Perimeter: the resources inside the network security perimeter, and
	// identities of a subscription that it names.
	Perimeter
	// Trusted: the compute of a trusted service, for an identity of that
	// service.
	Trusted
	// Deployment: a template deployment, whose service reads.
	Deployment
)

// Holds reports whether every place of other is one of o.
func (o Origins) Holds(other Origins) bool { return o&AnyAddress != 0 || other&^o == 0 }

// Words names the places.
func (o Origins) Words() []string {
	if o&AnyAddress != 0 {
		return []string{"any address"}
	}
	var list []string
	for i, word := range []string{"", "the listed addresses", "the listed subnets", "the approved private endpoints",
		"a private endpoint in a network of its own", "resources inside the network security perimeter", "the compute of a trusted service, as an identity of it", "a template deployment"} {
		if o&(1<<i) != 0 {
			list = append(list, word)
		}
	}
	return list
}

// String joins the words.
func (o Origins) String() string {
	if o == 0 {
		return "nowhere"
	}
	return strings.Join(o.Words(), "; ")
}

// every4 and every6 hold all addresses.
var every4, every6 = netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")

// admits asks the network gate alone.
func admits(rules *access.Rules, r access.Request) bool {
	for _, step := range access.Explain(rules, &r).Steps {
		if step.Gate == access.GateNetwork {
			return step.Outcome == access.Passed
		}
	}
	return false
}

// origins asks the network gate for every place there is.
func (x *search) origins(rules *access.Rules, p *Principal) Origins {
	r := access.Request{Caller: p.caller(), Operation: x.question.Operation}
	from := func(o access.Origin) bool { r.Origin = o; return admits(rules, r) }
	if from(access.Origin{Path: access.PathPublic}) {
		return AnyAddress
	}
	var found Origins
	prefix := func(p netip.Prefix) bool { return from(access.Origin{Path: access.PathPublic, Addr: p.Addr()}) }
	all := func(p netip.Prefix) bool { return slices.Contains(rules.Perimeter.Prefixes, p) && prefix(p) }
	if all(every4) && all(every6) {
		return AnyAddress
	}
	if slices.ContainsFunc(rules.IPRules, func(i access.IPRule) bool { return prefix(i.Prefix) }) || slices.ContainsFunc(rules.Perimeter.Prefixes, prefix) {
		found |= ListedAddress
	}
	if slices.ContainsFunc(rules.SubnetRules, func(s access.SubnetRule) bool {
		return from(access.Origin{Path: access.PathSubnet, Subnet: s.Subnet})
	}) {
		found |= ListedSubnet
	}
	for _, c := range rules.Connections {
		if from(access.Origin{Path: access.PathPrivateEndpoint, Endpoint: c.ID}) {
			if strings.HasSuffix(c.ID, ownConnection) {
				found |= NewEndpoint
			} else {
				found |= Endpoint
			}
		}
	}
	if from(access.Origin{Path: access.PathPublic, Perimeter: rules.Perimeter.ID}) {
		found |= Perimeter
	}
	for _, s := range rules.Perimeter.Subscriptions {
		r.Caller.Subscription = s
		if !p.Known && from(access.Origin{Path: access.PathPublic}) {
			found |= Perimeter
		}
		r.Caller.Subscription = access.GUID{}
	}
	if x.trusted(rules, p, r) {
		found |= Trusted
	}
	return found
}

// trusted asks for each service, as an identity of that service when the
// directory does not say what the principal is.
func (x *search) trusted(rules *access.Rules, p *Principal, r access.Request) bool {
	for i := range rules.Trusted {
		s := &rules.Trusted[i]
		r.Origin = access.Origin{Path: access.PathPublic, Service: s.Name}
		r.Caller = p.caller()
		if !p.Known {
			r.Caller = posing(r.Caller, s)
		}
		if admits(rules, r) {
			return true
		}
	}
	return false
}

// posing is the caller as an identity of a service.
func posing(c access.Caller, s *access.TrustedService) access.Caller {
	switch {
	case len(s.ResourceTypes) > 0:
		c.IdentityResource = "/subscriptions/s/resourcegroups/g/providers/" + s.ResourceTypes[0] + "/own"
	case len(s.Apps) > 0:
		c.App = s.Apps[0]
	}
	return c
}

// served asks for each flag of the vault whether its service comes through
// all gates.
func (x *search) served(v *estate.Vault) []Served {
	var list []Served
	for i := range v.Rules.Enabled {
		e := &v.Rules.Enabled[i]
		r := access.Request{Operation: x.question.Operation, Object: x.question.Object, Origin: access.Origin{Path: access.PathPublic, Service: e.Service.Name},
			Caller: posing(access.Caller{Token: access.TokenValid, Tenant: v.Rules.Tenant}, &e.Service)}
		if d := access.Explain(v.Rules, &r).Decision; d.Allowed() {
			list = append(list, Served{e.Flag, e.Service.Name})
		}
	}
	return list
}

// permitted asks the gates of identity and permission, and names an object
// for which they pass.
func (x *search) permitted(rules *access.Rules, p *Principal, objects []string) (string, bool) {
	r := access.Request{Caller: p.caller(), Operation: x.question.Operation}
	for _, r.Object = range objects {
		passed := 0
		for _, step := range access.Explain(rules, &r).Steps {
			if (step.Gate == access.GateIdentity || step.Gate == access.GatePermission) && step.Outcome == access.Passed {
				passed++
			}
		}
		if passed == 2 {
			return r.Object, true
		}
	}
	return "", false
}

// deploymentService is the service that reads for a template deployment.
const deploymentService = "Azure Resource Manager template deployment service"

// templateOrigins is from where a template deployment reads: its service
// passes the network gate as any trusted service does.
func (x *search) templateOrigins(v *estate.Vault) Origins {
	if f := v.Properties.EnabledForTemplateDeployment; f == nil || !*f {
		return 0
	}
	r := access.Request{Operation: x.question.Operation, Caller: access.Caller{Token: access.TokenValid, Tenant: v.Rules.Tenant}}
	for i := range v.Rules.Trusted {
		if s := &v.Rules.Trusted[i]; s.Name == deploymentService {
			r.Origin, r.Caller = access.Origin{Path: access.PathPublic, Service: s.Name}, posing(r.Caller, s)
			if admits(v.Rules, r) {
				return Deployment
			}
		}
	}
	r.Origin = access.Origin{Path: access.PathPublic, Addr: every4.Addr()}
	if admits(v.Rules, r) {
		return Deployment
	}
	return 0
}
