package journal

import (
	"net/url"
	"strings"
)

// redacted stands in a record for what is not recorded.
const redacted = "REDACTED"

// Address is the path and query of a request as they are recorded: the
// values of parameters that the plane does not know are left out. It ignores
// them, so they explain nothing, and this is where tokens and signatures are
// put by mistake. Parameters without a value, or with a name that could be
// one, are left out whole. The names in known are lower-case; what has only
// known parameters is returned as it is.
func Address(uri string, known []string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	for rest := query; rest != ""; {
		var parameter string
		parameter, rest, _ = strings.Cut(rest, "&")
		if !knows(known, parameter) {
			return path + "?" + redact(query, known)
		}
	}
	return uri
}

// redact writes the parameters that may be recorded.
func redact(query string, known []string) string {
	parameters := strings.Split(query, "&")
	for i, parameter := range parameters {
		if knows(known, parameter) {
			continue
		}
		name, value, _ := strings.Cut(parameter, "=")
		if value == "" || !plainName(name) {
			parameters[i] = redacted
		} else {
			parameters[i] = name + "=" + redacted
		}
	}
	return strings.Join(parameters, "&")
}

// knows reports whether a parameter is empty or has one of the names, which
// clients write in any case and may escape.
func knows(known []string, parameter string) bool {
	name, _, _ := strings.Cut(parameter, "=")
	if strings.IndexByte(name, '%') >= 0 {
		decoded, err := url.QueryUnescape(name)
		if err != nil {
			return false
		}
		name = decoded
	}
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return true
		}
	}
	return parameter == ""
}

// plainName reports whether a name is one that a person gave.
func plainName(name string) bool {
	if len(name) > 32 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != '$' {
			return false
		}
	}
	return name != ""
}

// Unsigned is a text without what looks like a token: three parts of
// base64url, the first of which begins as a JOSE header does. Clients put
// tokens into names, paths and User-Agents by mistake.
func Unsigned(text string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], "eyJ")
		if i < 0 {
			return text
		}
		begin := from + i
		end, dots := begin, 0
		for ; end < len(text) && (text[end] == '.' || isBase64URL(text[end])); end++ {
			if text[end] == '.' {
				dots++
			}
		}
		if dots >= 2 {
			text = text[:begin] + redacted + text[end:]
			from = begin + len(redacted)
			continue
		}
		from = end
	}
}

func isBase64URL(c byte) bool {
	return c == '-' || c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
