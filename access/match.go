package access

import (
	"net/netip"
	"strings"
)

// matchAction reports whether an action pattern of a role covers an action:
// letter case does not matter, and * stands for any run of characters,
// slashes included.
func matchAction(pattern, action string) bool {
	p, a, star, mark := 0, 0, -1, 0
	for a < len(action) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, a
			p++
		case p < len(pattern) && lower(pattern[p]) == lower(action[a]):
			p++
			a++
		case star >= 0:
			mark++
			p, a = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// grants reports whether the list of patterns less the second one covers an
// action.
func grants(allow, except []string, action string) bool {
	return anyMatch(allow, action) && !anyMatch(except, action)
}

func anyMatch(patterns []string, action string) bool {
	for _, p := range patterns {
		if matchAction(p, action) {
			return true
		}
	}
	return false
}

// covers reports whether a scope is the resource or a parent of it. Both are
// ARM ids; letter case does not matter; "/" covers everything, "" nothing.
func covers(scope, resource string) bool {
	if scope == "/" {
		return true
	}
	if scope == "" || len(resource) < len(scope) || !same(resource[:len(scope)], scope) {
		return false
	}
	return len(resource) == len(scope) || resource[len(scope)] == '/'
}

// reaches reports whether a scope covers a resource of the vault: the vault
// or above it, or the very object.
func (rules *Rules) reaches(scope, resource string) bool {
	return rules.placed() && (covers(scope, rules.ID) || same(scope, resource))
}

// placed reports whether the vault has an id at all: without one nothing
// can be said of what covers it.
func (rules *Rules) placed() bool { return len(rules.ID) > 1 }

// object is the request's object in lower case: names do not differ by the
// case of letters. It allocates only for a name that is not in lower case.
func (r *Request) object() string {
	for i := range len(r.Object) {
		if lower(r.Object[i]) != r.Object[i] {
			return folded(r.Object)
		}
	}
	return r.Object
}

// same compares without regard to the case of ASCII letters.
func same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// folded is s with ASCII letters in lower case.
func folded(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

// isPrincipal reports whether id is the caller or one of the caller's groups.
func (c *Caller) isPrincipal(id GUID) bool {
	if id.IsZero() {
		return false
	}
	if id == c.Object {
		return true
	}
	for _, g := range c.Groups {
		if g == id {
			return true
		}
	}
	return false
}

// isOfType reports whether an ARM id is of a resource of the given type
// ("microsoft.datafactory/factories"); letter case does not matter.
func isOfType(id, typ string) bool {
	const providers = "/providers/"
	at := -1
	for i := 0; i+len(providers) <= len(id); i++ {
		if same(id[i:i+len(providers)], providers) {
			at = i + len(providers)
		}
	}
	if at < 0 || typ == "" {
		return false
	}
	// The id reads namespace/type/name[/type/name…]; the type is every
	// segment but the names.
	rest := id[at:]
	for n := 0; ; n++ {
		segment, more, _ := strings.Cut(rest, "/")
		isName := n >= 2 && n%2 == 0
		if !isName {
			want, left, deeper := strings.Cut(typ, "/")
			if !same(segment, want) {
				return false
			}
			if !deeper {
				// All of the type is used up: one name may follow.
				name := strings.TrimSuffix(more, "/")
				return n > 0 && name != "" && !strings.Contains(name, "/")
			}
			typ = left
		}
		if more == "" {
			return false
		}
		rest = more
	}
}

// plain is an address in the form rules are compared in: without a zone,
// and IPv4 as IPv4 even where it was written as IPv6.
func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// plainPrefix is a prefix in that form.
func plainPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}

// holdsWord reports whether a permission list holds the word or "all".
func holdsWord(list []string, word string) bool {
	for _, w := range list {
		if same(w, word) || same(w, "all") {
			return true
		}
	}
	return false
}

// permissions is the policy's list for a kind of object.
func (p *Policy) permissions(k Kind) []string {
	switch k {
	case KindSecret:
		return p.Secrets
	case KindKey:
		return p.Keys
	case KindCertificate:
		return p.Certificates
	}
	return nil
}

// permits reports whether the policy's words cover the operation.
func (p *Policy) permits(o Operation) bool {
	info := o.Info()
	list := p.permissions(info.Kind)
	return info.Permission != "" && (holdsWord(list, info.Permission) || info.Also != "" && holdsWord(list, info.Also))
}
