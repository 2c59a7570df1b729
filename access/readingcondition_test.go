package access_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"postern/access"
)

// said is what the conditions of the estates say, as they were made up: the
// package parses their text, the reading never does.
var said = map[*access.Condition]*sentence{}

// sentence is a condition as its author has it in mind.
type sentence struct {
	word        string // and, or, not, action, sub, exists, absent, compare
	parts       []*sentence
	name        string // the pattern of action, the attribute of exists and absent
	left, right side
	operator    string
	each, with  string // quantifiers of the left and the right side: "", Any, All
}

// side is an attribute, or values.
type side struct {
	attribute string
	values    []string
	set       bool
}

const (
	vaultAttribute     = "@Resource[Microsoft.KeyVault/vaults:name]"
	secretAttribute    = "@Resource[Microsoft.KeyVault/vaults/secrets:name]"
	requestAttribute   = "@Request[Microsoft.KeyVault/vaults/secrets:name]"
	principalAttribute = "@Principal[Microsoft.Directory/CustomSecurityAttributes/Id:team_name]"
)

// attributes are those that the documents say an operation has: the vault's
// name for all that is done to secrets, the secret's where there is one, and
// the requested name where one is given to a secret.
func (x reading) attributes(about about) map[string]string {
	if about.kind != "secrets" {
		return nil
	}
	name := strings.ToLower(x.r.Object)
	if x.r.Operation == access.SecretSet {
		return map[string]string{vaultAttribute: x.rules.Name, requestAttribute: name}
	}
	if about.named {
		return map[string]string{vaultAttribute: x.rules.Name, secretAttribute: name}
	}
	return map[string]string{vaultAttribute: x.rules.Name}
}

// about is "true", "false" or "unknown".
func (s *sentence) about(attributes map[string]string, action string) string {
	var parts []string
	for _, p := range s.parts {
		parts = append(parts, p.about(attributes, action))
	}
	switch s.word {
	case "and":
		return all(parts)
	case "or":
		return some(parts)
	case "not":
		return opposite(parts[0])
	case "action":
		return strconv.FormatBool(wildcard(s.name, action))
	case "exists":
		return strconv.FormatBool(attributes[s.name] != "")
	case "absent":
		return strconv.FormatBool(attributes[s.name] == "")
	case "sub":
		return "false"
	}
	left, right := s.left.of(attributes, s.right), s.right.of(attributes, s.left)
	if left == nil || right == nil {
		return "unknown"
	}
	var rows []string
	for _, a := range left {
		var row []string
		for _, b := range right {
			row = append(row, compared(s.operator, a, b))
		}
		if s.with == "Any" {
			rows = append(rows, some(row))
		} else {
			rows = append(rows, all(row))
		}
	}
	if s.each == "Any" {
		return some(rows)
	}
	return all(rows)
}

// of are the values of a side; nil for an attribute that is absent. What is
// compared with the name of a secret is compared as names are: in lower case.
func (v side) of(attributes map[string]string, with side) []string {
	if v.attribute != "" {
		if attributes[v.attribute] == "" {
			return nil
		}
		return []string{attributes[v.attribute]}
	}
	if with.attribute != secretAttribute && with.attribute != requestAttribute {
		return v.values
	}
	var lower []string
	for _, w := range v.values {
		lower = append(lower, strings.ToLower(w))
	}
	return lower
}

func opposite(s string) string {
	return map[string]string{"true": "false", "false": "true", "unknown": "unknown"}[s]
}

func all(parts []string) string {
	for _, worst := range []string{"false", "unknown"} {
		if slices.Contains(parts, worst) {
			return worst
		}
	}
	return "true"
}

func some(parts []string) string {
	for _, best := range []string{"true", "unknown"} {
		if slices.Contains(parts, best) {
			return best
		}
	}
	return "false"
}

// compared is one value against one other, by the documents' operators.
func compared(operator, a, b string) string {
	if plain, negated := strings.CutPrefix(operator, "StringNot"); negated {
		return opposite(compared("String"+plain, a, b))
	}
	if operator == "GuidNotEquals" || operator == "BoolNotEquals" || operator == "NumericNotEquals" {
		return opposite(compared(strings.Replace(operator, "Not", "", 1), a, b))
	}
	if plain, fold := strings.CutSuffix(operator, "IgnoreCase"); fold {
		return compared(plain, strings.ToLower(a), strings.ToLower(b))
	}
	switch operator {
	case "StringEquals":
		return strconv.FormatBool(a == b)
	case "StringStartsWith":
		return strconv.FormatBool(strings.HasPrefix(a, b))
	case "StringLike":
		return strconv.FormatBool(likeness(b).MatchString(a))
	case "BoolEquals":
		return strconv.FormatBool(strings.EqualFold(a, b))
	case "GuidEquals":
		if len(a) != 36 || len(b) != 36 {
			return "unknown"
		}
		return strconv.FormatBool(strings.EqualFold(a, b))
	}
	x, err1 := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil {
		return "unknown"
	}
	return strconv.FormatBool(map[string]bool{"NumericEquals": x == y, "NumericGreaterThan": x > y, "NumericGreaterThanEquals": x >= y,
		"NumericLessThan": x < y, "NumericLessThanEquals": x <= y}[operator])
}

// likeness: * is any run of characters, ? is one, \ takes the next literally.
func likeness(pattern string) *regexp.Regexp {
	if e := expressions["like "+pattern]; e != nil {
		return e
	}
	e := "(?s)^"
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '*':
			e += ".*"
		case pattern[i] == '?':
			e += "."
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			fallthrough
		default:
			e += regexp.QuoteMeta(pattern[i : i+1])
		}
	}
	expressions["like "+pattern] = regexp.MustCompile(e + "$")
	return expressions["like "+pattern]
}

// author makes conditions up and writes them down.
type author struct{ *rand.Rand }

func (w author) one(of ...string) string { return of[w.IntN(len(of))] }

func (w author) sentence(depth int) *sentence {
	word := w.one("compare", "compare", "compare", "action", "action", "exists", "absent", "sub")
	if depth > 0 {
		word = w.one("and", "and", "or", "or", "not", "not", "compare", "action")
	}
	s := &sentence{word: word}
	switch word {
	case "and", "or":
		for range 2 + w.IntN(2) {
			s.parts = append(s.parts, w.sentence(depth-1))
		}
	case "not":
		s.parts = []*sentence{w.sentence(depth - 1)}
	case "action":
		s.name = w.one("Microsoft.KeyVault/vaults/secrets/getSecret/action", "microsoft.keyvault/vaults/SECRETS/*", "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
			"Microsoft.KeyVault/vaults/secrets/setSecret/action", "*/read", "*", "Microsoft.KeyVault/vaults/keys/*/action")
	case "exists", "absent":
		s.name = w.one(vaultAttribute, secretAttribute, requestAttribute, principalAttribute)
	case "compare":
		w.comparison(s)
	}
	return s
}

func (w author) comparison(s *sentence) {
	literals := []string{"a", "b", "A", "Kv", "kv", "a*", "?", `\?`, "K?", "", "it's", "*", "a\\"}
	number := []string{"1", "2", "3", "-7"}
	switch w.IntN(8) {
	case 0:
		s.operator = "Numeric" + w.one("Equals", "NotEquals", "GreaterThan", "GreaterThanEquals", "LessThan", "LessThanEquals")
		literals = number
	case 1:
		s.operator = "Guid" + w.one("Equals", "NotEquals")
		literals = []string{"4633458b-17de-408a-b874-0445c86b69e6", "4633458B-17DE-408A-B874-0445C86B69E6", "00000000-0000-0000-0000-000000000000"}
	case 2:
		s.operator = "Bool" + w.one("Equals", "NotEquals")
		literals = []string{"true", "false", "True"}
	default:
		s.operator = "String" + w.one("", "Not") + w.one("Equals", "StartsWith", "Like") + w.one("", "IgnoreCase")
	}
	attribute := side{attribute: w.one(vaultAttribute, secretAttribute, secretAttribute, secretAttribute, requestAttribute, principalAttribute)}
	values := func(most int) (v side) {
		for range 1 + w.IntN(most) {
			v.values = append(v.values, w.one(literals...))
		}
		v.set = len(v.values) > 1
		return v
	}
	s.left, s.right = attribute, values(1)
	if w.IntN(2) == 0 {
		s.right, s.each, s.with = values(3), w.one("Any", "All"), w.one("Any", "All")
	}
	if s.operator[0] != 'S' || w.IntN(6) == 0 {
		s.left = values(1)
		if s.each != "" {
			s.left = values(3)
		}
	}
	if w.IntN(6) == 0 {
		s.left, s.right = s.right, s.left
	}
}

// text writes a sentence down, in one of the ways there are.
func (w author) text(s *sentence) string {
	var parts []string
	for _, p := range s.parts {
		t := w.text(p)
		if p.word == "or" || p.word == "compare" && s.word == "not" || p.word == "and" && s.word == "not" || w.IntN(3) == 0 {
			t = "(" + t + ")"
		}
		parts = append(parts, t)
	}
	switch s.word {
	case "and":
		return strings.Join(parts, w.one(" AND ", " && ", " and ", "&&"))
	case "or":
		return strings.Join(parts, w.one(" OR ", " || ", " Or ", "||"))
	case "not":
		return w.one("!", "NOT ", "! ") + parts[0]
	case "action":
		return "ActionMatches{'" + s.name + "'}"
	case "sub":
		return "SubOperationMatches{'Blob.List'}"
	case "exists":
		return "Exists " + s.name
	case "absent":
		return "NotExists " + s.name
	}
	operator := s.operator
	if s.each != "" {
		operator = "For" + s.each + "Of" + s.with + "Values:" + operator
	}
	return w.side(s.left) + " " + operator + " " + w.side(s.right)
}

func (w author) side(v side) string {
	if v.attribute != "" {
		return w.one(v.attribute, strings.ToLower(v.attribute), strings.ToUpper(v.attribute))
	}
	var values []string
	for _, x := range v.values {
		values = append(values, "'"+strings.ReplaceAll(x, "'", "''")+"'")
	}
	if v.set {
		return "{" + strings.Join(values, w.one(", ", ",")) + "}"
	}
	return values[0]
}
