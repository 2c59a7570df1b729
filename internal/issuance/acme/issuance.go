package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

// issuance is what is remembered between two calls of Poll. It holds the
// account's key, so whoever keeps it seals it.
//
//	{"account":{…},"names":[{"dns":"contoso.com"}],"registered":"https://…/acct/1",
//	 "order":"https://…/order/1","answers":{"token":"token.thumbprint"},"restarts":0,"deadline":1767225600}
type issuance struct {
	Account    Account           `json:"account"`
	Names      []identifier      `json:"names"`
	Registered string            `json:"registered,omitempty"` // the account's address
	Order      string            `json:"order,omitempty"`
	Answers    map[string]string `json:"answers,omitempty"` // tokens in progress
	Restarts   int               `json:"restarts,omitempty"`
	Deadline   int64             `json:"deadline"`
}

// identifier is a name to prove control over: one of the two.
type identifier struct {
	DNS     string `json:"dns,omitempty"`
	Address string `json:"ip,omitempty"`
}

// until is when an issuance is given up.
func (i *issuance) until() time.Time { return time.Unix(i.Deadline, 0) }

func (i *issuance) encode() ([]byte, error) { return json.Marshal(i) }

func decode(state []byte) (*issuance, error) {
	i := new(issuance)
	if err := json.Unmarshal(state, i); err != nil || len(i.Names) == 0 {
		return nil, errors.New("acme: the kept state of an issuance cannot be read\nhint: delete the pending operation and create the certificate again")
	}
	return i, nil
}

// identifiers are the names of a request. A common name that is no
// alternative name is one more: authorities compare the order with all of
// them.
func identifiers(csr []byte) ([]identifier, error) {
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, errors.New("acme: the request cannot be read")
	}
	var list []identifier
	add := func(i identifier) {
		if !slices.Contains(list, i) {
			list = append(list, i)
		}
	}
	names := slices.Clone(r.DNSNames)
	if cn := r.Subject.CommonName; cn != "" {
		names = append(names, cn)
	}
	for _, n := range names {
		n = strings.ToLower(n)
		if a, err := netip.ParseAddr(n); err == nil {
			add(identifier{Address: a.String()})
			continue
		}
		if strings.HasPrefix(n, "*.") {
			return nil, refused("The name %s cannot be shown to be yours by http-01.", n).
				hinted("name each host; this server proves control over HTTP, which no wildcard can be proved by")
		}
		if !strings.Contains(n, ".") || strings.ContainsAny(n, " @/:*_,") || strings.HasSuffix(n, ".") {
			return nil, refused("The name %q is not a host name that an authority certifies.", n).
				hinted("set the policy's subject to CN= and a public host name, or leave the common name out and list hosts in sans.dns_names")
		}
		add(identifier{DNS: n})
	}
	for _, ip := range r.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			add(identifier{Address: a.Unmap().String()})
		}
	}
	switch {
	case len(r.EmailAddresses)+len(r.URIs) > 0:
		return nil, refused("An authority that speaks ACME certifies hosts, not mailboxes and URIs.").hinted("take emails and uris out of the policy's sans")
	case len(list) == 0:
		return nil, refused("The request names no host.").hinted("set sans.dns_names in the policy")
	case len(list) > maxNames:
		return nil, refused("The request has %d names, more than %d.", len(list), maxNames).hinted("divide them among several certificates")
	}
	return list, nil
}

func refused(reason string, args ...any) *Refused {
	return &Refused{Reason: fmt.Sprintf(reason, args...)}
}

func (r *Refused) hinted(hint string) *Refused { r.Hint = hint; return r }

// advance does what can be done now.
func (a *Issuer) advance(ctx context.Context, i *issuance, csr []byte) ([][]byte, error) {
	if a.now().After(i.until()) {
		return nil, refused("The authority did not issue within %v.", patience).hinted("see the server's log for what stood in the way, then create the certificate again")
	}
	key, err := i.Account.signer()
	if err != nil {
		return nil, err
	}
	client, err := a.client(key, i.Registered)
	if err != nil {
		return nil, err
	}
	if err := a.Responder.present(i.Answers, i.until()); err != nil {
		return nil, err
	}
	if i.Registered == "" {
		if err := a.register(ctx, client, i); err != nil {
			return nil, a.judge(err, i)
		}
	}
	if i.Order == "" {
		order, err := client.AuthorizeOrder(ctx, i.order())
		if err != nil {
			return nil, a.judge(err, i)
		}
		i.Order = order.URI
	}
	chain, err := a.follow(ctx, client, i, csr)
	if err != nil {
		return nil, a.judge(err, i)
	}
	return chain, nil
}

// order is the list of names as the protocol has it.
func (i *issuance) order() []acme.AuthzID {
	var list []acme.AuthzID
	for _, n := range i.Names {
		if n.Address != "" {
			list = append(list, acme.AuthzID{Type: "ip", Value: n.Address})
			continue
		}
		list = append(list, acme.AuthzID{Type: "dns", Value: n.DNS})
	}
	return list
}

// register makes the account, or finds it by its key.
func (a *Issuer) register(ctx context.Context, client *acme.Client, i *issuance) error {
	directory, err := client.Discover(ctx)
	if err != nil {
		return err
	}
	if directory.Terms != "" && !a.AgreeTerms {
		return refused("The authority has terms of service that nobody has agreed to: %s", clip(directory.Terms)).
			hinted("read them and agree in the server's configuration")
	}
	binding, err := i.Account.binding()
	if err != nil {
		return err
	}
	if directory.ExternalAccountRequired && binding == nil {
		return refused("The authority registers only accounts that it knows from elsewhere.").
			hinted("set the issuer's account_id and pwd to the key identifier and the HMAC key that the authority gives for external account binding")
	}
	account := &acme.Account{ExternalAccountBinding: binding}
	for _, c := range i.Account.Contacts {
		account.Contact = append(account.Contact, "mailto:"+c)
	}
	_, err = client.Register(ctx, account, func(string) bool { return true })
	if err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
		return err
	}
	i.Registered = string(client.KID)
	return nil
}

// follow does what the order's status asks for (RFC 8555 §7.1.6).
func (a *Issuer) follow(ctx context.Context, client *acme.Client, i *issuance, csr []byte) ([][]byte, error) {
	order, err := client.GetOrder(ctx, i.Order)
	if err != nil {
		return nil, err
	}
	if order.Status == acme.StatusPending {
		if err := a.authorize(ctx, client, i, order); err != nil {
			return nil, err
		}
		if order, err = client.GetOrder(ctx, i.Order); err != nil {
			return nil, err
		}
	}
	var chain [][]byte
	switch order.Status {
	case acme.StatusReady:
		order.URI = i.Order
		chain, _, err = client.CreateCertFromOrder(ctx, order, csr, true)
	case acme.StatusValid:
		chain, err = client.FetchCert(ctx, order.CertURL, true)
	case acme.StatusInvalid:
		return nil, a.failed(ctx, client, order)
	default: // pending or processing: later
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return chain, fits(chain, csr)
}

// authorize presents what is asked for and says so to the authority. A
// challenge that it has been told of is left alone.
func (a *Issuer) authorize(ctx context.Context, client *acme.Client, i *issuance, order *acme.Order) error {
	if len(order.AuthzURLs) > maxNames {
		return refused("The authority asks for %d proofs, more than %d.", len(order.AuthzURLs), maxNames).hinted("ask the authority")
	}
	for _, at := range order.AuthzURLs {
		authorization, err := client.GetAuthorization(ctx, at)
		if err != nil {
			return err
		}
		if authorization.Status != acme.StatusPending {
			continue
		}
		n := slices.IndexFunc(authorization.Challenges, func(c *acme.Challenge) bool { return c.Type == "http-01" })
		if n < 0 {
			return refused("The authority takes no proof by http-01 for %s.", clip(authorization.Identifier.Value)).
				hinted("use an authority that does, or merge a certificate with the issuer Unknown")
		}
		challenge := authorization.Challenges[n]
		answer, err := client.HTTP01ChallengeResponse(challenge.Token)
		if err != nil {
			return err
		}
		if i.Answers == nil {
			i.Answers = map[string]string{}
		}
		i.Answers[challenge.Token] = answer
		if err := a.Responder.present(i.Answers, i.until()); err != nil {
			return err
		}
		if challenge.Status != acme.StatusPending {
			continue
		}
		if _, err := client.Accept(ctx, challenge); err != nil {
			return err
		}
	}
	return nil
}

// failed is why an order is invalid: the order's own error, or that of the
// challenge that was not met.
func (a *Issuer) failed(ctx context.Context, client *acme.Client, order *acme.Order) error {
	for _, at := range order.AuthzURLs {
		authorization, err := client.GetAuthorization(ctx, at)
		if err != nil {
			return err
		}
		for _, c := range authorization.Challenges {
			var problem *acme.Error
			if authorization.Status == acme.StatusInvalid && errors.As(c.Error, &problem) {
				return &Refused{problem.ProblemType, fmt.Sprintf("The authority did not find the proof for %s: %s", clip(authorization.Identifier.Value), clip(problem.Detail)),
					"the host has to lead to this server on port 80, path /.well-known/acme-challenge/; then create the certificate again"}
			}
		}
	}
	if order.Error != nil {
		return &Refused{order.Error.ProblemType, "The authority refused the order: " + clip(order.Error.Detail), "change the policy accordingly, then create the certificate again"}
	}
	return refused("The authority declared the order invalid and gave no reason.").hinted("create the certificate again")
}

// judge tells what ends an issuance from what passes. An authority that has
// forgotten the account or the order is asked anew.
func (a *Issuer) judge(err error, i *issuance) error {
	var end *Refused
	var problem *acme.Error
	switch {
	case errors.As(err, &end):
		return err
	case !errors.As(err, &problem):
		return fmt.Errorf("asking the authority: %w\nhint: it is asked again by itself; see that the directory of the server's configuration can be reached", err)
	case problem.StatusCode >= 500 || problem.StatusCode == 429 || strings.HasSuffix(problem.ProblemType, ":badNonce") || strings.HasSuffix(problem.ProblemType, ":rateLimited"):
		return fmt.Errorf("the authority cannot do it now: %s\nhint: it is asked again by itself", clip(problem.Detail))
	}
	forgotten := strings.HasSuffix(problem.ProblemType, ":accountDoesNotExist") || problem.StatusCode == 404
	if forgotten && i.Restarts < maxRestarts {
		a.Responder.forget(i.Answers)
		i.Registered, i.Order, i.Answers = "", "", nil
		i.Restarts++
		return fmt.Errorf("the authority knows nothing of the order any more: %s\nhint: a new one is made by itself", clip(problem.Detail))
	}
	return &Refused{problem.ProblemType, "The authority refused: " + clip(problem.Detail), "change the policy or the issuer accordingly, then create the certificate again"}
}

// fits reports whether a chain is one for the request's key.
func fits(chain [][]byte, csr []byte) error {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return err
	}
	if len(chain) == 0 || len(chain) > maxChainSize {
		return refused("The authority answered with %d certificates.", len(chain)).hinted("ask the authority")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return refused("The authority's certificate cannot be read.").hinted("ask the authority")
	}
	key, ok := request.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !key.Equal(leaf.PublicKey) {
		return refused("The authority's certificate is for another key.").hinted("ask the authority")
	}
	return nil
}

// clip makes an authority's text fit for a message: one line, not too long.
func clip(s string) string {
	const most = 400
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
