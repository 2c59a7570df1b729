package issuance

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// check looks at each value that a client's policy has, and writes the words
// of the specification in its own spelling.
func (p *Policy) check() error {
	if err := p.Key.check(); err != nil {
		return err
	}
	if !spell(&p.Secret.ContentType, PKCS12, PEM) {
		return invalid("policy.secret_props.contentType", "is %q", clip(p.Secret.ContentType)).hinted("use " + PKCS12 + " or " + PEM)
	}
	if err := p.X509.check(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range p.Actions {
		a := &p.Actions[i]
		if err := a.check(); err != nil {
			return err
		}
		if seen[a.Action.Type] {
			return invalid("policy.lifetime_actions", "has two actions of the type %s", a.Action.Type)
		}
		seen[a.Action.Type] = true
	}
	if len(p.Issuer.Name) > 127 {
		return invalid("policy.issuer.name", "has more than 127 characters")
	}
	return nil
}

// spell writes a word as one of those that are known; "" stays.
func spell(word *string, known ...string) bool {
	if *word == "" {
		return true
	}
	for _, k := range known {
		if strings.EqualFold(*word, k) {
			*word = k
			return true
		}
	}
	return false
}

// clip is the beginning of a client's word, for a message.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func (k *KeyProperties) check() error {
	if !spell(&k.Type, "RSA", "RSA-HSM", "EC", "EC-HSM") {
		return invalid("policy.key_props.kty", "is %q; a certificate's key is RSA, RSA-HSM, EC or EC-HSM", clip(k.Type))
	}
	if !spell(&k.Curve, "P-256", "P-384", "P-521", "P-256K") {
		return invalid("policy.key_props.crv", "is %q; the curves are P-256, P-384, P-521 and P-256K", clip(k.Curve))
	}
	return nil
}

func (a *LifetimeAction) check() error {
	const path = "policy.lifetime_actions."
	if a.Action.Type == "" || !spell(&a.Action.Type, AutoRenew, EmailContacts) {
		return invalid(path+"action.action_type", "is %q", clip(a.Action.Type)).hinted("use AutoRenew or EmailContacts")
	}
	switch p, d := a.Trigger.Percentage, a.Trigger.DaysBefore; {
	case (p == nil) == (d == nil):
		return invalid(path+"trigger", "has to have either lifetime_percentage or days_before_expiry")
	case p != nil && (*p < 1 || *p > 99):
		return invalid(path+"trigger.lifetime_percentage", "is %d; it is from 1 to 99", *p)
	case d != nil && *d < 1:
		return invalid(path+"trigger.days_before_expiry", "is %d, less than 1", *d)
	}
	return nil
}

func (x *X509Properties) check() error {
	const path = "policy.x509_props."
	if x.Subject != "" {
		if _, err := parseSubject(x.Subject); err != nil {
			return err
		}
	}
	if err := x.Names.check(); err != nil {
		return err
	}
	for _, u := range x.ExtendedUsages {
		if _, ok := parseOID(u); !ok {
			return invalid(path+"ekus", "has %q, which is no object identifier", clip(u)).hinted("write it in numbers: 1.3.6.1.5.5.7.3.1 is a server of TLS")
		}
	}
	for i := range x.Usages {
		if x.Usages[i] == "" || !spell(&x.Usages[i], usages...) {
			return invalid(path+"key_usage", "has %q, which is no key usage", clip(x.Usages[i])).hinted("the usages are " + strings.Join(usages, ", "))
		}
	}
	if m := x.Months; m != nil && (*m < 0 || *m > maxMonths) {
		return invalid(path+"validity_months", "is %d; it is from 1 to %d", *m, maxMonths)
	}
	if b := x.BasicConstraints; b != nil && b.PathLength != nil && (!b.CA || *b.PathLength < 0 || *b.PathLength > 255) {
		return invalid(path+"basic_constraints", "has a path length that makes no sense")
	}
	return nil
}

// check looks at each alternative name. Apart from user principal names they
// are ASCII on the wire (RFC 5280 §4.2.1.6).
func (n *SubjectAlternativeNames) check() error {
	if n == nil {
		return nil
	}
	const path = "policy.x509_props.sans."
	for _, k := range []struct {
		kind  string
		names []string
		ok    func(string) bool
		hint  string
	}{
		{"dns_names", n.DNSNames, isHost, "a host name such as www.contoso.com or *.contoso.com; other scripts are written in their xn-- form"},
		{"emails", n.Emails, isMailbox, "an address such as someone@contoso.com"},
		{"upns", n.UPNs, isText, "a user principal name such as someone@contoso.com"},
		{"uris", n.URIs, isURI, "a whole URI such as https://contoso.com/path"},
		{"ipAddresses", n.IPAddresses, isAddress, "an address such as 192.0.2.1 or 2001:db8::1, without a prefix length"},
	} {
		if i := slices.IndexFunc(k.names, func(s string) bool { return !k.ok(s) }); i >= 0 {
			return invalid(path+k.kind, "has %q", clip(k.names[i])).hinted("each entry is " + k.hint)
		}
	}
	return nil
}

// isHost accepts what certificates in use have: a first label that is a star,
// and underscores.
func isHost(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func isMailbox(s string) bool {
	local, host, ok := strings.Cut(s, "@")
	return ok && local != "" && len(s) <= 320 && isASCII(s) && isHost(host)
}

func isText(s string) bool {
	return s != "" && len(s) <= 1024 && utf8.ValidString(s) && !strings.ContainsFunc(s, isControl)
}

func isURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "" || u.Path != "") && len(s) <= 2048 && isASCII(s)
}

func isAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// parseOID reads an object identifier in numbers.
func parseOID(s string) ([]int, bool) {
	parts := strings.Split(s, ".")
	if len(s) > 128 || len(parts) < 2 || len(parts) > 32 {
		return nil, false
	}
	oid := make([]int, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || len(p) > 1 && p[0] == '0' {
			return nil, false
		}
		oid[i] = int(n)
	}
	return oid, oid[0] < 2 && oid[1] < 40 || oid[0] == 2 && oid[1] < 1<<31-81
}
