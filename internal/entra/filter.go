package entra

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// filter is one condition on principals: a property equals a value.
type filter struct {
	property filterProperty
	value    string
}

type filterProperty uint8

const (
	byServicePrincipalName filterProperty = iota + 1
	byAppID
	byDisplayName
	byDisplayNamePrefix
	byUserName
	byMail
	byObject
	byIdentifierURI
	byNickname
	byType
)

// maxFilter is how long a filter may be.
const maxFilter = 1 << 10

var errFilter = errors.New("entra: not a filter that is understood")

// parseFilter reads the filters that the clients send (OData 4.01 ABNF,
// boolCommonExpr, of which these are the words):
//
//	servicePrincipalNames/any(c:c eq 'value')
//	appId eq 'value'
//	displayName eq 'value'
//	startswith(displayName,'value')
//	userPrincipalName eq 'value', mail eq 'value', mailNickname eq 'value', id eq 'value', servicePrincipalType eq 'value'
//	identifierUris/any(c:c eq 'value')
//
// with any lambda variable, spaces around its colon, and quotes within the
// value doubled. Everything else is refused: a filter that is half
// understood would find the wrong principal.
func parseFilter(s string) (filter, error) {
	if len(s) > maxFilter || !utf8.ValidString(s) {
		return filter{}, errFilter
	}
	s = strings.Trim(s, " ")
	if rest, ok := strings.CutPrefix(s, "startswith(displayName,"); ok {
		body, ok := strings.CutSuffix(rest, ")")
		value, whole := literal(strings.Trim(body, " "))
		if !ok || !whole {
			return filter{}, errFilter
		}
		return filter{byDisplayNamePrefix, value}, nil
	}
	for list, property := range map[string]filterProperty{"servicePrincipalNames/any(": byServicePrincipalName, "identifierUris/any(": byIdentifierURI} {
		rest, ok := strings.CutPrefix(s, list)
		if !ok {
			continue
		}
		body, ok := strings.CutSuffix(rest, ")")
		variable, condition, colon := strings.Cut(body, ":")
		variable = strings.Trim(variable, " ")
		if !ok || !colon || !identifier(variable) {
			return filter{}, errFilter
		}
		value, ok := equals(strings.Trim(condition, " "), variable)
		if !ok {
			return filter{}, errFilter
		}
		return filter{property, value}, nil
	}
	for _, p := range []struct {
		name     string
		property filterProperty
	}{{"appId", byAppID}, {"displayName", byDisplayName}, {"userPrincipalName", byUserName}, {"mail", byMail}, {"id", byObject}, {"mailNickname", byNickname},
		{"servicePrincipalType", byType}} {
		if value, ok := equals(s, p.name); ok {
			return filter{p.property, value}, nil
		}
	}
	return filter{}, errFilter
}

// parseFilters reads conditions that must all hold, with " and " between them.
func parseFilters(s string) ([]filter, error) {
	if len(s) > maxFilter {
		return nil, errFilter
	}
	var out []filter
	quoted, from := false, 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] == '\'' {
			quoted = !quoted
		}
		if i < len(s) && (quoted || !strings.HasPrefix(s[i:], " and ")) {
			continue
		}
		f, err := parseFilter(s[from:i])
		if err != nil {
			return nil, err
		}
		out = append(out, f)
		i += len(" and") // the blank may begin the next
		from = i
	}
	return out, nil
}

// equals reads "name eq 'value'".
func equals(s, name string) (value string, ok bool) {
	s, ok = strings.CutPrefix(s, name)
	if !ok || !strings.HasPrefix(s, " ") {
		return "", false
	}
	s, ok = strings.CutPrefix(strings.TrimLeft(s, " "), "eq ")
	if !ok {
		return "", false
	}
	return literal(strings.TrimLeft(s, " "))
}

// literal reads a whole string literal: quotes within are doubled.
func literal(s string) (string, bool) {
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return "", false
	}
	pairs := strings.Split(s[1:len(s)-1], "''")
	for _, p := range pairs {
		if strings.Contains(p, "'") {
			return "", false
		}
	}
	return strings.Join(pairs, "'"), true
}

// identifier reports whether s is a lambda variable: a letter or an
// underscore, then letters, digits and underscores.
func identifier(s string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// matches reports whether the condition holds for a principal. Ids and names
// are compared without regard to letter case, as in Entra.
func (f filter) matches(p Principal) bool {
	switch f.property {
	case byServicePrincipalName, byAppID:
		return strings.EqualFold(p.App.String(), f.value)
	case byDisplayName:
		return strings.EqualFold(p.DisplayName, f.value)
	case byDisplayNamePrefix:
		return strings.HasPrefix(strings.ToLower(p.DisplayName), strings.ToLower(f.value))
	case byObject:
		return strings.EqualFold(p.Object.String(), f.value)
	}
	return false
}
