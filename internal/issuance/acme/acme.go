// Package acme gets certificates from an authority that speaks ACME (RFC
// 8555), one step at a time.
//
// An issuance is a value: Begin makes it without a word to anybody, Poll takes
// it as far as it goes at the moment and gives it back, and whoever keeps it
// can go on after a restart, or after days in which the authority was down.
// Control over a name is shown with the challenge http-01, by the Responder.
//
// The one address that is dialled is the directory of the server's
// configuration. What the authority answers with may lead to the same host
// and nowhere else; nothing that a vault's user writes is ever an address.
package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

// The times an issuance may take.
const (
	patience     = 24 * time.Hour   // from Begin to the certificate
	pollTime     = time.Minute      // one Poll
	answerTime   = 20 * time.Second // one answer
	maxRestarts  = 3                // times the authority may forget account or order
	maxBackoff   = 3                // attempts of one request
	backoffStep  = 200 * time.Millisecond
	maxNames     = 100 // names in one certificate, as most authorities have it
	maxChainSize = 20  // certificates in an answer
)

// Issuer is an authority as the server's configuration names it.
type Issuer struct {
	// Directory is the address of the authority's directory: https, and in
	// the server's own configuration.
	Directory string
	// Roots vouch for the directory's host; nil is the system's.
	Roots *x509.CertPool
	// AgreeTerms says that the operator agrees to the authority's terms of
	// service. Without it an authority that has terms registers nobody.
	AgreeTerms bool
	// Hosts are those that certificates may be asked for: contoso.com is
	// itself, *.contoso.com what is below it, * every host. An address is
	// listed as it is. What is not listed is refused: whoever may create
	// certificates in a vault could otherwise have one for any name that
	// leads to this server.
	Hosts []string
	// Served reports whether the server itself answers by a name. Such a name
	// is never certified for a vault, whatever Hosts says. Nil is none.
	Served func(host string) bool
	// Responder answers the authority's challenges.
	Responder *Responder
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Account is who asks the authority for certificates.
type Account struct {
	// Key is what NewAccountKey made. It is to be kept, sealed: the same key
	// is the same account.
	Key []byte
	// ID and Secret bind the account to one that the authority knows from
	// elsewhere (RFC 8555 §7.3.4): the identifier of the MAC key and the key
	// in base64url. Both are "" for an authority that asks for none.
	ID, Secret string
	// Contacts are e-mail addresses that the authority may write to.
	Contacts []string
}

// Refused is the end of an issuance: it cannot succeed any more. Any other
// error of Poll passes; the issuance is polled again later.
type Refused struct {
	// Problem is the authority's word for it (RFC 8555 §6.7), such as
	// urn:ietf:params:acme:error:unauthorized; "" when it was not the
	// authority that refused.
	Problem string
	// Reason is a sentence.
	Reason string
	// Hint is what to do next.
	Hint string
}

// Error is the reason and the hint.
func (r *Refused) Error() string { return r.Reason + "\nhint: " + r.Hint }

// NewAccountKey makes the key of an account.
func NewAccountKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of an account: %w", err)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// Check says what is wrong with an account's credentials before anything is
// asked with them.
func (a Account) Check() error {
	if _, err := a.signer(); err != nil {
		return err
	}
	if (a.ID == "") != (a.Secret == "") {
		return &Refused{Reason: "The issuer's credentials are half there.",
			Hint: "set both account_id and pwd to what the authority gave for external account binding, or neither"}
	}
	if _, err := a.binding(); err != nil {
		return err
	}
	for _, c := range a.Contacts {
		if len(c) > 320 || !strings.Contains(c, "@") || strings.ContainsFunc(c, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' || r == '?' }) {
			return &Refused{Reason: "A contact of the issuer is not an e-mail address.", Hint: "correct the addresses of the issuer's administrators"}
		}
	}
	return nil
}

func (a Account) signer() (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(a.Key)
	if signer, ok := key.(crypto.Signer); err == nil && ok {
		return signer, nil
	}
	return nil, errors.New("acme: the key of the account cannot be read\nhint: restore the issuer from a backup, or write it anew")
}

// binding is the external account binding, nil for none. Authorities write
// the key in either alphabet of base64.
func (a Account) binding() (*acme.ExternalAccountBinding, error) {
	if a.ID == "" {
		return nil, nil
	}
	text := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(a.Secret, "="))
	key, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(key) == 0 || len(key) > 1024 || len(a.ID) > 1024 {
		return nil, &Refused{Reason: "The issuer's pwd is not a MAC key.", Hint: "set pwd to the HMAC key that the authority gave, in base64url"}
	}
	return &acme.ExternalAccountBinding{KID: a.ID, Key: key}, nil
}

func (a *Issuer) now() time.Time {
	if a.Now == nil {
		return time.Now()
	}
	return a.Now()
}

// client is a client of the authority that goes nowhere else.
func (a *Issuer) client(key crypto.Signer, account string) (*acme.Client, error) {
	u, err := url.Parse(a.Directory)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("acme: the address of the directory is not an https URL\nhint: correct it in the server's configuration")
	}
	return &acme.Client{
		Key: key, KID: acme.KeyID(account), DirectoryURL: a.Directory, UserAgent: "postern",
		HTTPClient:   &http.Client{Transport: newFence(u.Host, a.Roots), Timeout: answerTime, CheckRedirect: noRedirect},
		RetryBackoff: backoff,
	}, nil
}

// backoff tries a request again that met a used nonce or a passing fault, a
// few times; a longer wait is the caller's.
func backoff(n int, _ *http.Request, res *http.Response) time.Duration {
	if n > maxBackoff || res != nil && res.StatusCode == http.StatusTooManyRequests {
		return -1
	}
	return time.Duration(n) * backoffStep
}

// Begin is a new issuance for the names of a request (PKCS#10). It asks nobody
// anything: what it refuses is what no authority would grant.
func (a *Issuer) Begin(account Account, csr []byte) (state []byte, err error) {
	if err := account.Check(); err != nil {
		return nil, err
	}
	names, err := identifiers(csr)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if err := a.allows(n); err != nil {
			return nil, err
		}
	}
	return (&issuance{Account: account, Names: names, Deadline: a.now().Add(patience).Unix()}).encode()
}

// allows reports whether a name may be certified.
func (a *Issuer) allows(n identifier) error {
	name := n.DNS + n.Address
	listed := slices.ContainsFunc(a.Hosts, func(h string) bool {
		h = strings.ToLower(h)
		below, any := strings.CutPrefix(h, "*.")
		return h == "*" || h == name || any && n.DNS != "" && strings.HasSuffix(name, "."+below)
	})
	if !listed || a.Served != nil && a.Served(name) {
		return refused("The operator of this server does not let %s be certified.", name).
			hinted("ask the operator to list the host in certificates.acme.hosts; names of the server itself are never certified")
	}
	return nil
}

// Poll takes an issuance as far as it goes: it registers the account, orders,
// answers challenges, hands the request in and fetches the chain, the
// certificate first. Until there is one, chain is nil. The state that comes
// back replaces the old one, also when there is an error: a *Refused is the
// end of it, after any other error Poll is called again later.
func (a *Issuer) Poll(ctx context.Context, state, csr []byte) (next []byte, chain [][]byte, err error) {
	i, err := decode(state)
	if err != nil {
		return state, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	chain, err = a.advance(ctx, i, csr)
	var end *Refused
	if chain != nil || errors.As(err, &end) {
		a.Responder.forget(i.Answers)
		i.Answers = nil
	}
	next, encodeErr := i.encode()
	if encodeErr != nil {
		return state, nil, encodeErr
	}
	return next, chain, err
}

// Forget stops answering the challenges of an issuance that was given up.
func (a *Issuer) Forget(state []byte) {
	if i, err := decode(state); err == nil {
		a.Responder.forget(i.Answers)
	}
}
