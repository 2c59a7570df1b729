package arm

import (
	"regexp"
	"strings"

	"postern/internal/iac"
)

// scope is where the expressions of a template are evaluated.
type scope struct {
	// declared and variables are the template's own, nil or Absent for none;
	// given are the values that a deployment hands over, by lower-case name.
	declared, variables *iac.Node
	given               map[string]*iac.Node
	// nesting counts templates, following counts variables in variables.
	nesting, following int
	// budget is how many values may still be resolved in the document, so
	// that variables which double each other end.
	budget *int
}

// The bounds of what is followed: variables made of variables, and values
// resolved in one document of so many values.
const (
	maxFollowing  = 32
	resolvedSpare = 100_000
	resolvedEach  = 4
)

// A reference is a whole expression that names one parameter or variable,
// with members below it.
var reference = regexp.MustCompile(`^\[\s*(?i:(parameters|variables))\s*\(\s*'((?:[^']|'')*)'\s*\)((?:\s*\.\s*\w+)*)\s*\]$`)

// constants are expressions of which the value is certain.
var constants = map[string]iac.Node{
	"[null()]":        {Kind: iac.Null},
	"[json('null')]":  {Kind: iac.Null},
	"[true()]":        {Kind: iac.Bool, Text: "true"},
	"[json('true')]":  {Kind: iac.Bool, Text: "true"},
	"[false()]":       {Kind: iac.Bool, Text: "false"},
	"[json('false')]": {Kind: iac.Bool, Text: "false"},
}

// isExpression follows ARM: in brackets, and not escaped by a second one.
func isExpression(s string) bool {
	return strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") && !strings.HasPrefix(s, "[[")
}

// resolve is n with the expressions in it replaced by their values or by
// Unknown.
func (s *scope) resolve(n *iac.Node) *iac.Node {
	if *s.budget--; *s.budget < 0 {
		return unknown(n, "the expressions of the document are too many to follow")
	}
	switch n.Kind {
	case iac.String:
		return s.text(n)
	case iac.Array:
		out := &iac.Node{Kind: iac.Array, At: n.At, Items: make([]*iac.Node, len(n.Items))}
		for i, item := range n.Items {
			out.Items[i] = s.resolve(item)
		}
		return out
	case iac.Object:
		return s.object(n)
	}
	return n
}

// object resolves the members, and those that a copy loop will make.
func (s *scope) object(n *iac.Node) *iac.Node {
	out := &iac.Node{Kind: iac.Object, At: n.At, Members: make([]iac.Member, 0, len(n.Members))}
	for _, m := range n.Members {
		switch {
		case isExpression(m.Name):
			return &iac.Node{Kind: iac.Unknown, Text: m.Name, At: m.Value.At, Why: "the name " + m.Name + " is an expression"}
		case iac.SameFold(m.Name, "copy") && m.Value.Kind == iac.Array:
			for _, loop := range m.Value.Items {
				name := s.resolve(loop.Get("name"))
				if name.Kind != iac.String {
					return &iac.Node{Kind: iac.Unknown, Text: "copy", At: loop.At, Why: "a copy loop makes members whose names cannot be told"}
				}
				out.Members = append(out.Members, iac.Member{Name: name.Text,
					Value: &iac.Node{Kind: iac.Unknown, Text: "copy", At: loop.At, Why: "it is made by a copy loop"}})
			}
		default:
			out.Members = append(out.Members, iac.Member{Name: m.Name, Value: s.resolve(m.Value)})
		}
	}
	return out
}

func (s *scope) text(n *iac.Node) *iac.Node {
	if strings.HasPrefix(n.Text, "[[") {
		return &iac.Node{Kind: iac.String, Text: n.Text[1:], At: n.At}
	}
	if !isExpression(n.Text) {
		return n
	}
	if c, ok := constants[strings.ToLower(strings.ReplaceAll(n.Text, " ", ""))]; ok {
		c.At = n.At
		return &c
	}
	m := reference.FindStringSubmatch(n.Text)
	if m == nil {
		return unknown(n, "it is the expression "+n.Text)
	}
	name := strings.ReplaceAll(m[2], "''", "'")
	if strings.EqualFold(m[1], "parameters") {
		return s.parameter(n, name, members(m[3]))
	}
	return s.variable(n, name, members(m[3]))
}

func members(path string) []string {
	var names []string
	for part := range strings.SplitSeq(path, ".") {
		if part = strings.TrimSpace(part); part != "" {
			names = append(names, part)
		}
	}
	return names
}

// parameter is a value that was handed over; any other is decided at
// deployment, whatever its default is.
func (s *scope) parameter(n *iac.Node, name string, path []string) *iac.Node {
	if v, ok := s.given[strings.ToLower(name)]; ok {
		return below(n, v, path)
	}
	why := "it is decided at deployment by the parameter " + name
	if v := s.declared.Get(name, "defaultValue"); v.Kind == iac.String || v.Kind == iac.Bool || v.Kind == iac.Number {
		why += " (default " + v.Text + ")"
	}
	return unknown(n, why)
}

func (s *scope) variable(n *iac.Node, name string, path []string) *iac.Node {
	if s.following >= maxFollowing {
		return unknown(n, "variables refer to one another in a circle or too deeply")
	}
	deeper := *s
	deeper.following++
	v := s.variables.Get(name)
	for _, member := range path {
		if v.Kind == iac.String {
			v = deeper.resolve(v)
		}
		v = v.Get(member)
	}
	switch {
	case s.variables.Get("copy").Kind == iac.Array:
		return unknown(n, "variables are made by a copy loop")
	case v.Kind == iac.Absent:
		return unknown(n, "it is the expression "+n.Text)
	}
	return deeper.resolve(v)
}

func below(n, v *iac.Node, path []string) *iac.Node {
	v = v.Get(path...)
	if v.Kind == iac.Absent {
		return unknown(n, "it is the expression "+n.Text)
	}
	return v
}

func unknown(n *iac.Node, why string) *iac.Node {
	return &iac.Node{Kind: iac.Unknown, Text: n.Text, Why: why, At: n.At}
}
