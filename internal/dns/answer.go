// Package dns answers the names that the server serves, as the service's own
// resolver answers them: the public chain of a vault, with the privatelink
// alias while a private endpoint connection is approved, and the private
// zones to those alone who ask from a network that they are linked to.
//
// Resolve computes an answer and touches nothing: no socket, no clock, no
// lock. Trace walks the same way and says why, hop by hop. Server speaks the
// wire around it, and passes on what it has no answer for, if it is told to.
//
// Who asks is known by the address that the question came from, and by
// nothing in the question: client subnet options are not read. A question
// that a forwarder passes on is the forwarder's: on-premises clients see the
// zones of the network that their forwarder's address stands in.
//
// A name is looked for in this order:
//
//  1. the longest private zone that holds it and is linked to the client's
//     network. What the zone does not have does not exist (NXDOMAIN), unless
//     the link falls back to the internet (NxDomainRedirect);
//  2. the names that the server serves: vaults, planes, and the names that
//     their aliases lead through;
//  3. a configured forwarder or upstream.
//
// A forwarded domain takes the place of a zone that it is as long as, or
// longer than. An alias starts the order anew with the name it leads to.
package dns

import (
	"net/netip"
	"strconv"

	"postern/internal/estate"
	"postern/internal/names"
)

// Type is a type of record, by its number on the wire.
type Type uint16

// The types that have a meaning here; of others, nothing exists.
const (
	TypeA     Type = 1
	TypeCNAME Type = 5
	TypeSOA   Type = 6
	TypeAAAA  Type = 28
	TypeANY   Type = 255
)

// String is the type as zone files have it.
func (t Type) String() string {
	switch t {
	case TypeA:
		return "A"
	case TypeCNAME:
		return "CNAME"
	case TypeSOA:
		return "SOA"
	case TypeAAAA:
		return "AAAA"
	case TypeANY:
		return "ANY"
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// Code is what became of a question, by its number on the wire.
type Code uint8

// The codes of answers.
const (
	Success       Code = 0
	ServerFailure Code = 2
	NoSuchName    Code = 3
	Refused       Code = 5
)

// String is the code as dig prints it.
func (c Code) String() string {
	switch c {
	case Success:
		return "NOERROR"
	case ServerFailure:
		return "SERVFAIL"
	case NoSuchName:
		return "NXDOMAIN"
	case Refused:
		return "REFUSED"
	}
	return "RCODE" + strconv.Itoa(int(c))
}

// Question is what is asked. Class is always IN.
type Question struct {
	// Name is absolute: it ends in a dot. Letter case does not matter.
	Name string
	Type Type
}

// Record is one record of an answer. Its names are absolute and lower-case,
// the first one apart, which is as it was asked.
type Record struct {
	Name string
	Type Type
	// TTL is in seconds.
	TTL uint32
	// Addr is set for A and AAAA, Target for CNAME, Authority for SOA.
	Addr      netip.Addr
	Target    string
	Authority *Authority
}

// Authority is a zone and its SOA record, which stands in every negative
// answer.
type Authority struct {
	// Zone is the name of the zone, absolute and lower-case.
	Zone            string
	Master, Mailbox string
	TTL             uint32
	Serial, Refresh uint32
	Retry, Expire   uint32
	Minimum         uint32
}

// Answer is what Resolve found.
type Answer struct {
	Code Code
	// Records are the aliases in the order in which they were followed, then
	// the records of the type that was asked for.
	Records []Record
	// Authority is set when there is none of that type.
	Authority *Authority
	// Elsewhere is the name that only another resolver can answer; the
	// answer goes on from there. "" for an answer that is whole.
	Elsewhere string
	// Own is true when all that is answered is the server's own.
	Own bool
}

// View is what an answer is computed from.
type View struct {
	Snapshot *estate.Snapshot
	Names    *names.Names
	// Public is the address that the public names stand for.
	Public netip.Addr
	// TTL, in seconds, is that of public answers, and of private records
	// that do not say.
	TTL uint32
	// Forward are the domains that are asked of other resolvers, absolute
	// and lower-case.
	Forward []string
	// Client is the address that asks.
	Client netip.Addr

	// What follows is made from Names and Snapshot when it is not given.
	served  *served
	private *private
}

// prepared is the view with everything made from it that is needed.
func (v *View) prepared() (*served, map[string]*link) {
	s, p := v.served, v.private
	if s == nil {
		s = serve(v.Names)
	}
	if p == nil {
		p = compile(v.Snapshot)
	}
	subnet, ok := v.Snapshot.Network().SubnetOf(v.Client.Unmap())
	if !ok {
		return s, nil
	}
	return s, p.links[subnet.Network]
}

// maxHops bounds the names that one question leads through, so an answer has
// at most seven aliases and the records of one name. The longest chain of
// the service has four names.
const maxHops = 8

// Resolve answers a question. It always ends: an alias that leads on for too
// long, or in a circle, is a server failure.
func Resolve(v *View, q Question) Answer { return walk(v, q, nil) }

// walk follows the aliases from the name asked for; visit, if not nil, sees
// every hop.
func walk(v *View, q Question, visit func(hop)) Answer {
	w := walker{view: v}
	w.served, w.links = v.prepared()
	a := Answer{Own: true}
	name, owner := lower(q.Name), q.Name
	for range maxHops {
		h := w.hop(name, q.Type)
		if visit != nil {
			visit(h)
		}
		switch {
		case h.elsewhere:
			a.Elsewhere, a.Own = name, len(a.Records) > 0
			if len(a.Records) == 0 {
				a.Code = Refused
			}
			return a
		case h.target != "":
			a.Records = append(room(a.Records), Record{Name: owner, Type: TypeCNAME, TTL: h.ttl, Target: h.target})
			if q.Type == TypeCNAME || q.Type == TypeANY {
				return a
			}
			name, owner = h.target, h.target
		default:
			finish(&a, &h, q.Type, owner)
			return a
		}
	}
	return Answer{Code: ServerFailure}
}

// room makes the records of an answer at once.
func room(records []Record) []Record {
	if records == nil {
		return make([]Record, 0, 4)
	}
	return records
}

// finish puts the records of the last name into the answer, or says that
// there are none.
func finish(a *Answer, h *hop, t Type, owner string) {
	if t == TypeSOA && h.exists && h.authority.Zone == h.name {
		a.Records = append(a.Records, Record{Name: owner, Type: TypeSOA, TTL: h.authority.TTL, Authority: h.authority})
		return
	}
	if h.addr.IsValid() {
		a.Records = append(room(a.Records), Record{Name: owner, Type: addressType(h.addr), TTL: h.ttl, Addr: h.addr})
	}
	for _, addr := range h.set {
		a.Records = append(room(a.Records), Record{Name: owner, Type: addressType(addr), TTL: h.ttl, Addr: addr})
	}
	if h.addr.IsValid() || len(h.set) > 0 {
		return
	}
	a.Authority = h.authority
	if !h.exists {
		a.Code = NoSuchName
	}
}

func addressType(a netip.Addr) Type {
	if a.Is4() {
		return TypeA
	}
	return TypeAAAA
}

// lower is a name in lower case; one that is in it already is not copied.
func lower(name string) string {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			b := []byte(name)
			for ; i < len(b); i++ {
				if c := b[i]; 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return name
}

// below gives what stands in front of a zone in a name; ok is false for a
// name that is not below it. A dot that is part of a label, "\.", does not
// end one.
func below(name, zone string) (rel string, ok bool) {
	n := len(name) - len(zone) - 1
	if n < 1 || name[n] != '.' || name[n+1:] != zone {
		return "", false
	}
	escapes := 0
	for i := n - 1; i >= 0 && name[i] == '\\'; i-- {
		escapes++
	}
	return name[:n], escapes%2 == 0
}

// parent cuts the first label off a name; "" when it was the last.
func parent(name string) string {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case '.':
			return name[i+1:]
		}
	}
	return ""
}
