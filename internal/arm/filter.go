package arm

import (
	"net/http"
	"strings"

	"postern/internal/fault"
)

// Filter is a parsed $filter: a term, or two filters joined. A nil *Filter
// is the absence of one.
type Filter struct {
	// Name is the property of a comparison ("resourceType") or the name of
	// a function ("atScope"); Value is what it is compared with, or the
	// argument. Function tells which.
	Name, Value string
	Function    bool
	// Join is "and" or "or" for a filter of two others.
	Join        string
	Left, Right *Filter
}

// Limits of a filter.
const (
	maxFilter = 2048
	maxTerms  = 32
)

// ParseFilter reads the part of OData that clients send:
//
//	filter = all { "or" all }
//	all    = term { "and" term }
//	term   = name "eq" 'value' | name "(" [ 'value' ] ")" | "(" filter ")"
//
// Values are in single quotes; two of them stand for one. Names are among
// the given ones, in any letter case; functions end in "()" there.
func ParseFilter(text string, names ...string) (*Filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p := &filterParser{rest: text, names: names}
	if len(text) > maxFilter {
		return nil, p.refuse()
	}
	f, ok := p.any()
	if p.space(); !ok || p.rest != "" {
		return nil, p.refuse()
	}
	return f, nil
}

type filterParser struct {
	rest  string
	names []string
	terms int
}

func (p *filterParser) refuse() error {
	return fault.New(http.StatusBadRequest, "InvalidFilterInQueryString", "Invalid $filter specified in the query string."+
		" What can be filtered by here: %s; with eq, and, or.", strings.Join(p.names, ", "))
}

func (p *filterParser) space() { p.rest = strings.TrimLeft(p.rest, " ") }

// take consumes a token if it is next.
func (p *filterParser) take(token string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

// keyword consumes a word if it is next and ends there.
func (p *filterParser) keyword(word string) bool {
	p.space()
	if len(p.rest) < len(word) || !strings.EqualFold(p.rest[:len(word)], word) {
		return false
	}
	if rest := p.rest[len(word):]; rest == "" || !isNameByte(rest[0]) {
		p.rest = rest
		return true
	}
	return false
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.'
}

func (p *filterParser) any() (*Filter, bool) { return p.joined("or", p.all) }
func (p *filterParser) all() (*Filter, bool) { return p.joined("and", p.term) }

func (p *filterParser) joined(word string, next func() (*Filter, bool)) (*Filter, bool) {
	left, ok := next()
	for ok && p.keyword(word) {
		var right *Filter
		right, ok = next()
		left = &Filter{Join: word, Left: left, Right: right}
	}
	return left, ok
}

func (p *filterParser) term() (*Filter, bool) {
	if p.terms++; p.terms > maxTerms {
		return nil, false
	}
	if p.take("(") {
		f, ok := p.any()
		return f, ok && p.take(")")
	}
	p.space()
	n := 0
	for n < len(p.rest) && isNameByte(p.rest[n]) {
		n++
	}
	name := p.rest[:n]
	p.rest = p.rest[n:]
	if strings.HasPrefix(p.rest, "(") {
		return p.function(name)
	}
	known, ok := p.known(name)
	if !ok || !p.keyword("eq") {
		return nil, false
	}
	value, ok := p.value()
	return &Filter{Name: known, Value: value}, ok
}

func (p *filterParser) function(name string) (*Filter, bool) {
	known, ok := p.known(name + "()")
	if !ok || !p.take("(") {
		return nil, false
	}
	f := &Filter{Name: strings.TrimSuffix(known, "()"), Function: true}
	if p.take(")") {
		return f, true
	}
	f.Value, ok = p.value()
	return f, ok && p.take(")")
}

func (p *filterParser) known(name string) (string, bool) {
	for _, n := range p.names {
		if strings.EqualFold(n, name) {
			return n, true
		}
	}
	return "", false
}

// value reads a quoted value.
func (p *filterParser) value() (string, bool) {
	if !p.take("'") {
		return "", false
	}
	var b strings.Builder
	for {
		part, rest, ok := strings.Cut(p.rest, "'")
		if !ok {
			return "", false
		}
		b.WriteString(part)
		p.rest = rest
		if !strings.HasPrefix(rest, "'") {
			return b.String(), true
		}
		b.WriteByte('\'')
		p.rest = rest[1:]
	}
}

// Match evaluates the filter; test decides one term. A nil filter matches.
func (f *Filter) Match(test func(term *Filter) bool) bool {
	switch {
	case f == nil:
		return true
	case f.Join == "and":
		return f.Left.Match(test) && f.Right.Match(test)
	case f.Join == "or":
		return f.Left.Match(test) || f.Right.Match(test)
	}
	return test(f)
}
