package access

import (
	"strconv"
	"strings"
)

// Condition is the condition of a role assignment, parsed once (documented:
// conditions-format). It is immutable. A nil *Condition always holds.
type Condition struct {
	root node
	text string
}

// String is the condition as it was written.
func (c *Condition) String() string { return c.text }

// logic is the value of a condition: an attribute that is absent makes
// neither true nor false of what is said about it.
type logic uint8

const (
	unknown logic = iota
	no
	yes
)

func logicOf(b bool) logic {
	if b {
		return yes
	}
	return no
}

func (t logic) not() logic {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

// facts are what a condition may speak of; "" is an attribute that is
// absent.
type facts struct {
	// action is the data action or the action that is asked for; operation,
	// where it is one of the data plane, says the same faster.
	action    string
	operation Operation
	// vault and secret are @Resource names, requested the @Request name.
	vault, secret, requested string
	// role, principal and principalType are of the role assignment that is
	// written (@Request) or deleted (@Resource).
	role, principal, principalType string
	deleting                       bool
}

// holds reports whether a condition is true of the facts; unknown is not.
func (c *Condition) holds(f *facts) bool { return c == nil || c.root.value(f) == yes }

// tell fills in the facts of an operation of the data plane (documented:
// rbac-abac): conditions speak of secrets alone, of the resource where there
// is one already, of the request where a name is being given.
func (f *facts) tell(vault string, r *Request) {
	info := &operationTable[min(r.Operation, operations-1)]
	f.action, f.operation = info.DataAction, r.Operation
	if info.Kind != KindSecret {
		return
	}
	f.vault = vault
	switch {
	case r.Operation == SecretSet:
		f.requested = r.object()
	case info.Named:
		f.secret = r.object()
	}
}

// node is one node of a condition. It is no interface, so that the facts it
// is asked about need not be on the heap.
type node struct {
	kind nodeKind
	// of are the parts of and, or, not.
	of []node
	// action is the pattern of actionMatches, operations those of the data
	// plane that it covers.
	action     string
	operations opset
	// exists is the attribute of has.
	exists attribute
	// compare is the comparison of compares.
	compare *compare
}

type nodeKind uint8

const (
	never nodeKind = iota // the zero value is false
	and
	or
	not
	actionMatches
	has
	compares
)

func (n *node) value(f *facts) logic {
	switch n.kind {
	case and:
		return n.over(f, no)
	case or:
		return n.over(f, yes)
	case not:
		return n.of[0].value(f).not()
	case actionMatches:
		if f.operation != NoOperation {
			return logicOf(n.operations.has(f.operation))
		}
		return logicOf(matchAction(n.action, f.action))
	case has:
		return logicOf(n.exists.text(f) != "")
	case compares:
		return n.compare.value(f)
	}
	return no
}

// matching is the set of operations whose data action a pattern covers.
func matching(pattern string) (s opset) {
	for _, o := range Operations() {
		if matchAction(pattern, o.Info().DataAction) {
			s.add(o)
		}
	}
	return s
}

// over is and, which one no decides, or or, which one yes decides.
func (n *node) over(f *facts, decisive logic) logic {
	result := decisive.not()
	for i := range n.of {
		switch n.of[i].value(f) {
		case decisive:
			return decisive
		case unknown:
			result = unknown
		}
	}
	return result
}

// attribute is one that conditions may name; those that are not known are
// absent.
type attribute uint8

const (
	attributeUnknown attribute = iota
	vaultName
	secretName
	requestedSecretName
	requestedRole
	requestedPrincipal
	requestedPrincipalType
	resourceRole
	resourcePrincipal
	resourcePrincipalType
)

// attributes are the attributes by their names, lower-case.
var attributes = map[string]attribute{
	"@resource[microsoft.keyvault/vaults:name]":                           vaultName,
	"@resource[microsoft.keyvault/vaults/secrets:name]":                   secretName,
	"@request[microsoft.keyvault/vaults/secrets:name]":                    requestedSecretName,
	"@request[microsoft.authorization/roleassignments:roledefinitionid]":  requestedRole,
	"@request[microsoft.authorization/roleassignments:principalid]":       requestedPrincipal,
	"@request[microsoft.authorization/roleassignments:principaltype]":     requestedPrincipalType,
	"@resource[microsoft.authorization/roleassignments:roledefinitionid]": resourceRole,
	"@resource[microsoft.authorization/roleassignments:principalid]":      resourcePrincipal,
	"@resource[microsoft.authorization/roleassignments:principaltype]":    resourcePrincipalType,
}

// text is the value of an attribute, "" when it is absent.
func (a attribute) text(f *facts) string {
	switch a {
	case vaultName:
		return f.vault
	case secretName:
		return f.secret
	case requestedSecretName:
		return f.requested
	}
	if f.deleting != (a >= resourceRole) {
		return ""
	}
	switch a {
	case requestedRole, resourceRole:
		return f.role
	case requestedPrincipal, resourcePrincipal:
		return f.principal
	case requestedPrincipalType, resourcePrincipalType:
		return f.principalType
	}
	return ""
}

// operand is one side of a comparison: an attribute, or literals.
type operand struct {
	attribute attribute
	literals  []string
	set       bool // written in braces
	literal   bool
}

// each calls fn with the values of the operand until it returns false; ok is
// false when there is none.
func (o *operand) values(f *facts) (one string, many []string) {
	if o.literal {
		return "", o.literals
	}
	return o.attribute.text(f), nil
}

// compare is one comparison: a test between two values, and how many of
// either side it must hold for.
type compare struct {
	left, right      operand
	test             func(a, b string) logic
	negated          bool
	anyLeft, anyWith bool // quantifiers: left side, right side
}

// value applies the test. Without quantifiers both sides are single values.
func (c *compare) value(f *facts) logic {
	a, as := c.left.values(f)
	b, bs := c.right.values(f)
	if as == nil && a == "" || bs == nil && b == "" || as != nil && len(as) == 0 || bs != nil && len(bs) == 0 {
		return unknown
	}
	left := func(x string) logic { return overRight(c, x, b, bs) }
	if as == nil {
		return left(a)
	}
	return among(len(as), c.anyLeft, func(i int) logic { return left(as[i]) })
}

// among is whether a test holds for one (any) or for each of so many values.
// The order of the values does not matter: one that decides, decides, and
// only without it one that cannot be told leaves the whole untold.
func among(n int, any bool, test func(i int) logic) logic {
	decisive := logicOf(any)
	result := decisive.not()
	for i := range n {
		switch test(i) {
		case decisive:
			return decisive
		case unknown:
			result = unknown
		}
	}
	return result
}

// overRight is the test of one left value against the right side.
func overRight(c *compare, x, b string, bs []string) logic {
	if bs == nil {
		return c.one(x, b)
	}
	return among(len(bs), c.anyWith, func(i int) logic { return c.one(x, bs[i]) })
}

func (c *compare) one(x, y string) logic {
	if t := c.test(x, y); c.negated {
		return t.not()
	} else {
		return t
	}
}

// operators are the tests by name; a name with Not in it negates, one that
// ends in IgnoreCase compares without regard to letter case.
var operators = map[string]func(a, b string) logic{
	"StringEquals":               func(a, b string) logic { return logicOf(a == b) },
	"StringEqualsIgnoreCase":     func(a, b string) logic { return logicOf(same(a, b)) },
	"StringStartsWith":           func(a, b string) logic { return logicOf(strings.HasPrefix(a, b)) },
	"StringStartsWithIgnoreCase": func(a, b string) logic { return logicOf(len(a) >= len(b) && same(a[:len(b)], b)) },
	"StringLike":                 func(a, b string) logic { return logicOf(like(b, a, false)) },
	"StringLikeIgnoreCase":       func(a, b string) logic { return logicOf(like(b, a, true)) },
	"GuidEquals":                 sameGUID,
	"BoolEquals":                 func(a, b string) logic { return logicOf(same(a, b)) },
	"NumericEquals":              numeric(func(a, b float64) bool { return a == b }),
	"NumericGreaterThan":         numeric(func(a, b float64) bool { return a > b }),
	"NumericGreaterThanEquals":   numeric(func(a, b float64) bool { return a >= b }),
	"NumericLessThan":            numeric(func(a, b float64) bool { return a < b }),
	"NumericLessThanEquals":      numeric(func(a, b float64) bool { return a <= b }),
}

// sameGUID compares identifiers; an ARM id counts as its last segment.
func sameGUID(a, b string) logic {
	x, err1 := ParseGUID(a[strings.LastIndexByte(a, '/')+1:])
	y, err2 := ParseGUID(b[strings.LastIndexByte(b, '/')+1:])
	if err1 != nil || err2 != nil {
		return unknown
	}
	return logicOf(x == y)
}

func numeric(test func(a, b float64) bool) func(a, b string) logic {
	return func(a, b string) logic {
		x, err1 := strconv.ParseFloat(a, 64)
		y, err2 := strconv.ParseFloat(b, 64)
		if err1 != nil || err2 != nil {
			return unknown
		}
		return logicOf(test(x, y))
	}
}

// like matches a pattern of StringLike: * stands for any run of characters,
// ? for one, and a backslash takes the next as it is.
func like(pattern, text string, fold bool) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, t
			p++
			continue
		}
		if width := likeOne(pattern[p:], text[t], fold); width > 0 {
			p += width
			t++
			continue
		}
		if star < 0 {
			return false
		}
		mark++
		p, t = star+1, mark
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// likeOne matches one character; the result is how much of the pattern it
// took, 0 for no match.
func likeOne(pattern string, c byte, fold bool) int {
	if pattern == "" {
		return 0
	}
	want, width := pattern[0], 1
	switch {
	case want == '?':
		return 1
	case want == '\\' && len(pattern) > 1:
		want, width = pattern[1], 2
	}
	if want == c || fold && lower(want) == lower(c) {
		return width
	}
	return 0
}
