package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// Limits of what is passed on.
const (
	// maxErrands is how many questions are asked of other resolvers at the
	// same time; those beyond are answered SERVFAIL at once.
	maxErrands = 256
	// patience is how long one packet is waited for, and tries how often it
	// is sent: stub resolvers give up after five seconds.
	patience = 1500 * time.Millisecond
	tries    = 3
)

// routes says which resolver is asked for what. It is replaced, never
// changed.
type routes struct {
	upstream string
	rules    []rule
	domains  []string // of the rules
}

type rule struct{ domain, address string }

// newRoutes reads the settings: upstream is HOST:PORT or "", forward a list
// of DOMAIN=HOST:PORT. An entry that cannot be read, which the configuration
// refuses, counts for nothing.
func newRoutes(upstream string, forward []string) *routes {
	r := &routes{upstream: upstream}
	for _, f := range forward {
		domain, address, ok := strings.Cut(f, "=")
		domain = wire.CanonicalName(strings.TrimPrefix(strings.TrimSpace(domain), "."))
		if ok && address != "" {
			r.rules = append(r.rules, rule{domain, strings.TrimSpace(address)})
			r.domains = append(r.domains, domain)
		}
	}
	return r
}

// to is the resolver that is asked for a name: that of the longest domain
// that holds it, else the upstream; "" for none.
func (r *routes) to(name string) string {
	best, address := -1, r.upstream
	for _, rule := range r.rules {
		if within(name, rule.domain) && len(rule.domain) > best {
			best, address = len(rule.domain), rule.address
		}
	}
	return address
}

// errand is a question whose answer another resolver has to give or to
// complete.
type errand struct {
	view   View
	routes *routes
	// reply is the answer as far as it goes; room is its size at the most.
	reply *wire.Msg
	room  int
	typ   Type
	// next is the name to go on with.
	next string
}

// run completes the reply. A name that an alias of the other resolver leads
// to is looked up here first: it may be one of ours, or of a domain that is
// forwarded somewhere else.
func (s *Server) run(ctx context.Context, e *errand) {
	ctx, cancel := context.WithTimeout(ctx, tries*s.flights.patience)
	defer cancel()
	for range maxHops {
		address := e.routes.to(e.next)
		if address == "" {
			return
		}
		got, err := s.flights.ask(ctx, address, e.next, e.typ)
		if err != nil {
			s.options.Log.Debug("dns: a resolver did not answer", "resolver", address, "name", e.next, "error", err)
			break
		}
		if e.follow(got, address) {
			return
		}
	}
	e.reply.Rcode, e.reply.Answer, e.reply.Ns = wire.RcodeServerFailure, nil, nil
}

// follow takes over what another resolver answered, from alias to alias, and
// reports whether the reply is complete.
func (e *errand) follow(got *wire.Msg, address string) bool {
	for range got.Answer {
		alias := aliasOf(got, e.next)
		if alias == nil || e.typ == TypeCNAME {
			break
		}
		e.add(alias)
		e.next = lower(alias.Target)
		here := Resolve(&e.view, Question{e.next, e.typ})
		if len(here.Records) == 0 && here.Elsewhere != "" && e.routes.to(e.next) == address {
			continue // the other resolver knows that one too
		}
		// A desk of its own: the records outlive the next question.
		d, part := newDesk(), wire.Msg{}
		d.fill(&part, here)
		e.reply.Answer = append(e.reply.Answer, part.Answer...)
		e.reply.Ns, e.reply.Rcode = part.Ns, part.Rcode
		if here.Elsewhere == "" {
			return true
		}
		e.reply.Rcode = wire.RcodeSuccess
		e.next = here.Elsewhere
		return false
	}
	for _, rr := range got.Answer {
		if h := rr.Header(); lower(h.Name) == e.next && (h.Rrtype == uint16(e.typ) || e.typ == TypeANY) {
			e.add(rr)
		}
	}
	e.reply.Rcode, e.reply.Ns = got.Rcode, got.Ns
	return true
}

// add adds a record of another resolver. The first owner is written as the
// client wrote it.
func (e *errand) add(rr wire.RR) {
	if h := rr.Header(); strings.EqualFold(h.Name, e.reply.Question[0].Name) {
		h.Name = e.reply.Question[0].Name
	}
	e.reply.Answer = append(e.reply.Answer, rr)
}

func aliasOf(m *wire.Msg, name string) *wire.CNAME {
	for _, rr := range m.Answer {
		if c, ok := rr.(*wire.CNAME); ok && lower(c.Hdr.Name) == name {
			return c
		}
	}
	return nil
}

// flights are the questions that are under way to other resolvers. The same
// question is asked once, however many wait for it: a resolver that asks
// back what it was asked gets no second packet, so there are no loops.
type flights struct {
	patience time.Duration

	mu      sync.Mutex // guards what follows
	flying  map[flightKey]*flight
	mostNow int // the most that were under way at one time
}

type flightKey struct {
	address, name string
	typ           Type
}

type flight struct {
	done   chan struct{} // closed when answer and err are set
	answer *wire.Msg
	err    error
}

// ask asks a resolver, or waits for the answer to the same question.
func (f *flights) ask(ctx context.Context, address, name string, t Type) (*wire.Msg, error) {
	key := flightKey{address, name, t}
	f.mu.Lock()
	one, waiting := f.flying[key]
	if !waiting {
		one = &flight{done: make(chan struct{})}
		if f.flying == nil {
			f.flying = map[flightKey]*flight{}
		}
		f.flying[key] = one
		f.mostNow = max(f.mostNow, len(f.flying))
	}
	f.mu.Unlock()
	if !waiting {
		one.answer, one.err = f.exchange(ctx, address, name, t)
		f.mu.Lock()
		delete(f.flying, key)
		f.mu.Unlock()
		close(one.done)
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if one.err != nil {
		return nil, one.err
	}
	return one.answer.Copy(), nil
}

var errOther = errors.New("the answer is to another question")

// exchange asks one question of a resolver, over UDP and, when the answer is
// cut, over TCP. Each goes from a port of its own and with a random number.
func (f *flights) exchange(ctx context.Context, address, name string, t Type) (*wire.Msg, error) {
	q := new(wire.Msg)
	q.SetQuestion(name, uint16(t))
	q.SetEdns0(maxUDP, false)
	var errs error
	network := "udp"
	for range tries {
		c := wire.Client{Net: network, Timeout: f.patience, UDPSize: maxUDP}
		a, _, err := c.ExchangeContext(ctx, q, address)
		switch {
		case err != nil:
		case !a.Response || len(a.Question) != 1 || lower(a.Question[0].Name) != name || a.Question[0].Qtype != uint16(t):
			err = errOther
		case a.Truncated && network == "udp":
			network = "tcp"
			continue
		default:
			return a, nil
		}
		errs = errors.Join(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("asking %s: %w", address, errs)
}
