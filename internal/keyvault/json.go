package keyvault

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bodies are read strictly: one JSON object in UTF-8, every member once,
// surrogates in pairs. The standard decoder lets the last of two members win
// and puts U+FFFD where text is not text; a secret must never be stored as
// something else than what was sent.

// The limits of a body's structure.
const (
	maxDepth   = 16
	maxMembers = 64
)

// The reasons for which a body is refused.
var (
	errSyntax    = errors.New("is not one JSON object in UTF-8")
	errDepth     = errors.New("is nested too deeply or has too many members")
	errDuplicate = errors.New("names a member twice")
	errType      = errors.New("has the wrong type")
)

// reader reads JSON from its front.
type reader struct {
	rest  string
	depth int
}

// readObject reads a document that is one object; member is called for
// every member and reads its value.
func readObject(data []byte, member func(r *reader, name string) error) error {
	if !utf8.Valid(data) {
		return errSyntax
	}
	r := &reader{rest: string(data)}
	if r.next() != '{' {
		return errSyntax
	}
	if err := r.object(member); err != nil {
		return err
	}
	if r.next() != 0 || r.rest != "" {
		return errSyntax
	}
	return nil
}

// next skips white space and looks at what follows; 0 is the end.
func (r *reader) next() byte {
	for r.rest != "" {
		switch c := r.rest[0]; c {
		case ' ', '\t', '\n', '\r':
			r.rest = r.rest[1:]
		default:
			return c
		}
	}
	return 0
}

// take consumes one character if it is the next one.
func (r *reader) take(c byte) bool {
	if r.next() != c || r.rest == "" {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// object reads an object whose members are given to member.
func (r *reader) object(member func(r *reader, name string) error) error {
	if !r.take('{') {
		return errType
	}
	if r.depth++; r.depth > maxDepth {
		return errDepth
	}
	defer func() { r.depth-- }()
	if r.take('}') {
		return nil
	}
	var buf [8]string
	seen := buf[:0]
	for {
		if r.next() != '"' {
			return errSyntax
		}
		name, err := r.string()
		if err != nil {
			return err
		}
		if slices.Contains(seen, name) {
			return errDuplicate
		}
		if seen = append(seen, name); len(seen) > maxMembers {
			return errDepth
		}
		if !r.take(':') {
			return errSyntax
		}
		if err := member(r, name); err != nil {
			return err
		}
		if r.take('}') {
			return nil
		}
		if !r.take(',') {
			return errSyntax
		}
	}
}

// array reads an array; item is called for every item and reads it.
func (r *reader) array(item func(r *reader) error) error {
	if !r.take('[') {
		return errType
	}
	if r.depth++; r.depth > maxDepth {
		return errDepth
	}
	defer func() { r.depth-- }()
	if r.take(']') {
		return nil
	}
	for {
		if err := item(r); err != nil {
			return err
		}
		if r.take(']') {
			return nil
		}
		if !r.take(',') {
			return errSyntax
		}
	}
}

// skip reads any value and forgets it.
func (r *reader) skip() error {
	switch c := r.next(); {
	case c == '{':
		return r.object(func(r *reader, _ string) error { return r.skip() })
	case c == '[':
		return r.array((*reader).skip)
	case c == '"':
		_, err := r.string()
		return err
	case c == '-' || c >= '0' && c <= '9':
		_, err := r.number()
		return err
	case r.word("true") || r.word("false") || r.word("null"):
		return nil
	}
	return errSyntax
}

// raw reads any value and hands it out as it stands in the document.
func (r *reader) raw() (string, error) {
	r.next()
	from := r.rest
	if err := r.skip(); err != nil {
		return "", err
	}
	return from[:len(from)-len(r.rest)], nil
}

// word consumes a literal if it is the next thing.
func (r *reader) word(w string) bool {
	r.next()
	rest, ok := strings.CutPrefix(r.rest, w)
	if ok {
		r.rest = rest
	}
	return ok
}

// null consumes null if it is the next thing: a member that is null is as
// good as none.
func (r *reader) null() bool { return r.word("null") }

// bool reads true or false.
func (r *reader) bool() (bool, error) {
	if r.word("true") {
		return true, nil
	}
	if r.word("false") {
		return false, nil
	}
	return false, errType
}

// integer reads a whole number.
func (r *reader) integer() (int64, error) {
	if c := r.next(); c != '-' && (c < '0' || c > '9') {
		return 0, errType
	}
	text, err := r.number()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errType
	}
	return n, nil
}

// number reads the text of a number (RFC 8259 §6).
func (r *reader) number() (string, error) {
	s, i := r.rest, 0
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return "", errSyntax
	}
	if i < len(s) && s[i] == '.' {
		if i++; !digits() {
			return "", errSyntax
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return "", errSyntax
		}
	}
	r.rest = s[i:]
	return s[:i], nil
}

// string reads a string; one without escapes is a piece of the document.
func (r *reader) string() (string, error) {
	if !r.take('"') {
		return "", errType
	}
	for i := 0; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			s := r.rest[:i]
			r.rest = r.rest[i+1:]
			return s, nil
		case c == '\\':
			return r.escaped(i)
		case c < ' ':
			return "", errSyntax
		}
	}
	return "", errSyntax
}

// escaped reads the rest of a string whose first escape is at i.
func (r *reader) escaped(i int) (string, error) {
	b := append(make([]byte, 0, len(r.rest)), r.rest[:i]...)
	s := r.rest[i:]
	for s != "" {
		c := s[0]
		s = s[1:]
		switch {
		case c == '"':
			r.rest = s
			return string(b), nil
		case c < ' ':
			return "", errSyntax
		case c != '\\':
			b = append(b, c)
			continue
		}
		var ok bool
		if b, s, ok = unquote(b, s); !ok {
			return "", errSyntax
		}
	}
	return "", errSyntax
}

// unquote appends what stands behind a backslash.
func unquote(b []byte, s string) (_ []byte, rest string, ok bool) {
	if s == "" {
		return b, s, false
	}
	if i := strings.IndexByte(`"\/bfnrt`, s[0]); i >= 0 {
		return append(b, "\"\\/\b\f\n\r\t"[i]), s[1:], true
	}
	if s[0] != 'u' {
		return b, s, false
	}
	first, s, ok := unit(s[1:])
	if !ok {
		return b, s, false
	}
	if !utf16.IsSurrogate(first) {
		return utf8.AppendRune(b, first), s, true
	}
	if !strings.HasPrefix(s, `\u`) {
		return b, s, false
	}
	second, s, ok := unit(s[2:])
	whole := utf16.DecodeRune(first, second)
	if !ok || whole == utf8.RuneError {
		return b, s, false
	}
	return utf8.AppendRune(b, whole), s, true
}

// unit reads four hexadecimal digits.
func unit(s string) (rune, string, bool) {
	if len(s) < 4 {
		return 0, s, false
	}
	var r rune
	for i := range 4 {
		d := strings.IndexByte(hexDigits, s[i]|0x20)
		if s[i] >= '0' && s[i] <= '9' {
			d = int(s[i] - '0')
		} else if d < 10 {
			return 0, s, false
		}
		r = r<<4 | rune(d)
	}
	return r, s[4:], true
}
