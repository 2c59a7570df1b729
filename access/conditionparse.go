package access

import (
	"errors"
	"strconv"
	"strings"
)

// Limits of a condition.
const (
	// MaxCondition is the longest condition in bytes (documented: 8 KB).
	MaxCondition      = 8 << 10
	maxConditionDepth = 40
	maxConditionNodes = 500
)

// ParseCondition reads a condition of version 2.0. Its error says what was
// found at which byte.
func ParseCondition(text string) (*Condition, error) {
	if len(text) > MaxCondition {
		return nil, errors.New("access: a condition has at most " + strconv.Itoa(MaxCondition) + " bytes")
	}
	p := &conditionParser{text: text}
	root, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.at < len(p.text) {
		return nil, p.expected("the end, AND or OR")
	}
	return &Condition{root: root, text: text}, nil
}

type conditionParser struct {
	text  string
	at    int
	nodes int
}

func (p *conditionParser) expected(what string) error {
	found := p.text[min(p.at, len(p.text)):]
	if len(found) > 20 {
		found = found[:20] + "…"
	}
	return errors.New("access: condition, byte " + strconv.Itoa(p.at) + ": expected " + what + ", found " + strconv.Quote(found))
}

func (p *conditionParser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// sign takes a mark such as "(" or "&&".
func (p *conditionParser) sign(s string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.at:], s) {
		return false
	}
	p.at += len(s)
	return true
}

// word takes a word, letter case ignored, that ends where it ends.
func (p *conditionParser) word(w string) bool {
	p.space()
	end := p.at + len(w)
	if end > len(p.text) || !same(p.text[p.at:end], w) || end < len(p.text) && isWordByte(p.text[end]) {
		return false
	}
	p.at = end
	return true
}

func isWordByte(c byte) bool {
	return c == '_' || c == '-' || c == '.' || c >= '0' && c <= '9' || lower(c) >= 'a' && lower(c) <= 'z'
}

// name takes the longest run of word characters.
func (p *conditionParser) name() string {
	p.space()
	begin := p.at
	for p.at < len(p.text) && isWordByte(p.text[p.at]) {
		p.at++
	}
	return p.text[begin:p.at]
}

func (p *conditionParser) grow(depth int) error {
	if p.nodes++; depth > maxConditionDepth || p.nodes > maxConditionNodes {
		return errors.New("access: condition, byte " + strconv.Itoa(p.at) + ": nested too deeply, or too many parts")
	}
	return nil
}

func (p *conditionParser) or(depth int) (node, error) {
	first, err := p.and(depth)
	if err != nil {
		return node{}, err
	}
	all := node{kind: or, of: []node{first}}
	for p.word("OR") || p.sign("||") {
		next, err := p.and(depth)
		if err != nil {
			return node{}, err
		}
		all.of = append(all.of, next)
	}
	if len(all.of) == 1 {
		return first, nil
	}
	return all, nil
}

func (p *conditionParser) and(depth int) (node, error) {
	first, err := p.unary(depth)
	if err != nil {
		return node{}, err
	}
	all := node{kind: and, of: []node{first}}
	for p.word("AND") || p.sign("&&") {
		next, err := p.unary(depth)
		if err != nil {
			return node{}, err
		}
		all.of = append(all.of, next)
	}
	if len(all.of) == 1 {
		return first, nil
	}
	return all, nil
}

func (p *conditionParser) unary(depth int) (node, error) {
	if err := p.grow(depth); err != nil {
		return node{}, err
	}
	if p.sign("!") || p.word("NOT") {
		of, err := p.unary(depth + 1)
		return node{kind: not, of: []node{of}}, err
	}
	if p.sign("(") {
		of, err := p.or(depth + 1)
		if err != nil {
			return node{}, err
		}
		if !p.sign(")") {
			return node{}, p.expected(")")
		}
		return of, nil
	}
	return p.primary()
}

func (p *conditionParser) primary() (node, error) {
	switch {
	case p.word("ActionMatches"):
		if !p.sign("{") {
			return node{}, p.expected("{")
		}
		p.space()
		pattern, err := p.quoted()
		if err != nil {
			return node{}, err
		}
		if !p.sign("}") {
			return node{}, p.expected("}")
		}
		return node{kind: actionMatches, action: pattern, operations: matching(pattern)}, nil
	case p.word("SubOperationMatches"):
		// No operation of a vault has sub-operations: it matches none.
		if !p.sign("{") {
			return node{}, p.expected("{")
		}
		p.space()
		if _, err := p.quoted(); err != nil {
			return node{}, err
		}
		if !p.sign("}") {
			return node{}, p.expected("}")
		}
		return node{kind: never}, nil
	case p.word("NotExists"):
		a, err := p.attribute()
		return node{kind: not, of: []node{{kind: has, exists: a}}}, err
	case p.word("Exists"):
		a, err := p.attribute()
		return node{kind: has, exists: a}, err
	}
	return p.comparison()
}

// quoted takes a text in single quotes; a quote in it is written twice.
func (p *conditionParser) quoted() (string, error) {
	if p.at >= len(p.text) || p.text[p.at] != '\'' {
		return "", p.expected("a text in single quotes")
	}
	var b strings.Builder
	for i := p.at + 1; i < len(p.text); i++ {
		if p.text[i] != '\'' {
			b.WriteByte(p.text[i])
			continue
		}
		if i+1 < len(p.text) && p.text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		p.at = i + 1
		return b.String(), nil
	}
	return "", p.expected("a text that ends")
}

// attribute takes @Resource[…], @Request[…], @Principal[…] or
// @Environment[…]. One that is not known is always absent.
func (p *conditionParser) attribute() (attribute, error) {
	p.space()
	end := strings.IndexByte(p.text[p.at:], ']')
	open := strings.IndexByte(p.text[p.at:], '[')
	if end < 0 || open < 0 || open > end || p.text[p.at] != '@' {
		return 0, p.expected("an attribute such as @Resource[type:name]")
	}
	source := p.text[p.at : p.at+open]
	if !same(source, "@Resource") && !same(source, "@Request") && !same(source, "@Principal") && !same(source, "@Environment") {
		return 0, p.expected("@Resource, @Request, @Principal or @Environment")
	}
	name := folded(p.text[p.at : p.at+end+1])
	p.at += end + 1
	return attributes[name], nil
}

// operand takes an attribute, a literal, or a set of literals in braces.
func (p *conditionParser) operand() (operand, error) {
	if p.space(); p.at < len(p.text) && p.text[p.at] == '@' {
		a, err := p.attribute()
		return operand{attribute: a}, err
	}
	if !p.sign("{") {
		one, err := p.literal()
		return operand{literal: true, literals: []string{one}}, err
	}
	o := operand{literal: true, set: true, literals: []string{}}
	for {
		one, err := p.literal()
		if err != nil {
			return o, err
		}
		if o.literals = append(o.literals, one); p.sign("}") {
			return o, nil
		}
		if !p.sign(",") {
			return o, p.expected(", or }")
		}
	}
}

// foldFor folds literals that are compared with the name of a secret.
func (o *operand) foldFor(with attribute) {
	if with != secretName && with != requestedSecretName {
		return
	}
	for i, l := range o.literals {
		o.literals[i] = folded(l)
	}
}

// literal takes a text in quotes, a number, a truth value or a GUID.
func (p *conditionParser) literal() (string, error) {
	if p.space(); p.at < len(p.text) && p.text[p.at] == '\'' {
		return p.quoted()
	}
	if n := p.name(); n != "" {
		return n, nil
	}
	return "", p.expected("a value")
}

// comparison takes operand, operator and operand.
func (p *conditionParser) comparison() (node, error) {
	left, err := p.operand()
	if err != nil {
		return node{}, err
	}
	c := &compare{left: left}
	begin := p.at
	name := p.name()
	quantified := false
	if p.sign(":") {
		quantified = true
		switch name {
		case "ForAnyOfAnyValues":
			c.anyLeft, c.anyWith = true, true
		case "ForAllOfAnyValues":
			c.anyWith = true
		case "ForAnyOfAllValues":
			c.anyLeft = true
		case "ForAllOfAllValues":
		default:
			p.at = begin
			return node{}, p.expected("ForAnyOfAnyValues, ForAllOfAnyValues, ForAnyOfAllValues or ForAllOfAllValues")
		}
		begin = p.at
		name = p.name()
	}
	positive := strings.Replace(name, "Not", "", 1)
	c.negated = positive != name
	if c.test = operators[positive]; c.test == nil {
		p.at = begin
		return node{}, p.expected("an operator such as StringEquals")
	}
	if c.right, err = p.operand(); err != nil {
		return node{}, err
	}
	// Names of secrets do not differ by the case of letters, and requests
	// have them in lower case.
	c.right.foldFor(c.left.attribute)
	c.left.foldFor(c.right.attribute)
	if (c.left.set || c.right.set) && !quantified {
		return node{}, p.expected("a quantifier such as ForAnyOfAnyValues: before an operator with a set")
	}
	return node{kind: compares, compare: c}, nil
}
