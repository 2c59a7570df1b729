// Package ordered is JSON that is read, changed in places and written again
// with everything else as it was: members keep their order, numbers their
// digits, and names that nobody knows survive.
//
// Names are compared without regard to letter case, as the resource manager
// does, and two members of one object whose names differ only in that are
// refused: no two readers can then see two different documents.
package ordered

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Errors of Parse.
var (
	// ErrSyntax: not one JSON value in UTF-8.
	ErrSyntax = errors.New("not a JSON document")
	// ErrDepth: nested deeper than allowed.
	ErrDepth = errors.New("nested too deeply")
	// ErrDuplicate: an object names a member twice.
	ErrDuplicate = errors.New("a member is named twice")
)

// Member is one member of an object. The value is an *Object, a []any, a
// string, a json.Number, a bool or nil.
type Member struct {
	Name  string
	Value any
}

// Object is a JSON object. The zero value is empty and ready. A nil *Object
// reads as an empty one.
type Object struct {
	members []Member
}

// Parse reads one JSON value, nested at most depth deep.
func Parse(data []byte, depth int) (any, error) {
	if !utf8.Valid(data) || !json.Valid(data) || !paired(data) {
		return nil, ErrSyntax
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return value(dec, depth)
}

// paired reports whether every escaped surrogate of a valid document stands
// in a pair. The decoder would put U+FFFD in the place of another, and what
// is kept would not be what was sent.
func paired(data []byte) bool {
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 {
			return true
		}
		data = data[i:]
		unit, ok := escapedUnit(data)
		if !ok {
			data = data[2:] // an escape of one character
			continue
		}
		data = data[6:]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		second, ok := escapedUnit(data)
		if !ok || utf16.DecodeRune(unit, second) == unicode.ReplacementChar {
			return false
		}
		data = data[6:]
	}
}

// escapedUnit reads \uXXXX at the beginning of data.
func escapedUnit(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}

// ParseObject reads one JSON object, nested at most depth deep.
func ParseObject(data []byte, depth int) (*Object, error) {
	v, err := Parse(data, depth)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*Object)
	if !ok {
		return nil, fmt.Errorf("%w: an object is expected", ErrSyntax)
	}
	return o, nil
}

func value(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, ErrSyntax
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth <= 0 {
		return nil, ErrDepth
	}
	if delim == '[' {
		return array(dec, depth)
	}
	return object(dec, depth)
}

func array(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := value(dec, depth-1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

func object(dec *json.Decoder, depth int) (any, error) {
	o := &Object{}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, ErrSyntax
		}
		name, ok := token.(string)
		if !ok {
			return nil, ErrSyntax
		}
		folded := fold(name)
		if seen[folded] {
			return nil, fmt.Errorf("%w: %q", ErrDuplicate, name)
		}
		seen[folded] = true
		v, err := value(dec, depth-1)
		if err != nil {
			return nil, err
		}
		o.members = append(o.members, Member{name, v})
	}
	_, err := dec.Token()
	return o, err
}

// fold is equal for two names exactly when strings.EqualFold says so, which
// strings.ToLower is not: there are other letters that fold to k and s.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}

// New makes an object of members.
func New(members ...Member) *Object { return &Object{members: members} }

func (o *Object) find(name string) int {
	if o == nil {
		return -1
	}
	return slices.IndexFunc(o.members, func(m Member) bool { return strings.EqualFold(m.Name, name) })
}

// Get is the value of a member.
func (o *Object) Get(name string) (any, bool) {
	if i := o.find(name); i >= 0 {
		return o.members[i].Value, true
	}
	return nil, false
}

// Has reports whether the member is there and not null.
func (o *Object) Has(name string) bool {
	v, ok := o.Get(name)
	return ok && v != nil
}

// Object is the value of a member that is an object; nil for any other.
func (o *Object) Object(name string) *Object {
	v, _ := o.Get(name)
	child, _ := v.(*Object)
	return child
}

// Text is the value of a member that is a string; "" for any other.
func (o *Object) Text(name string) string {
	v, _ := o.Get(name)
	s, _ := v.(string)
	return s
}

// Set puts a member where one of that name is, under the spelling given
// here, or at the end.
func (o *Object) Set(name string, v any) {
	if i := o.find(name); i >= 0 {
		o.members[i] = Member{name, v}
		return
	}
	o.members = append(o.members, Member{name, v})
}

// Delete removes a member if it is there.
func (o *Object) Delete(name string) {
	if i := o.find(name); i >= 0 {
		o.members = slices.Delete(o.members, i, i+1)
	}
}

// Members are the members in their order. They must not be changed.
func (o *Object) Members() []Member {
	if o == nil {
		return nil
	}
	return o.members
}

// Len is the number of members.
func (o *Object) Len() int { return len(o.Members()) }

// Clone is a copy that shares nothing that can be changed.
func (o *Object) Clone() *Object {
	if o == nil {
		return nil
	}
	next := &Object{members: make([]Member, len(o.members))}
	for i, m := range o.members {
		next.members[i] = Member{m.Name, clone(m.Value)}
	}
	return next
}

func clone(v any) any {
	switch v := v.(type) {
	case *Object:
		return v.Clone()
	case []any:
		next := make([]any, len(v))
		for i := range v {
			next[i] = clone(v[i])
		}
		return next
	}
	return v
}

// Merge applies patch as RFC 7396 says: objects member by member, null
// removes, everything else replaces.
func (o *Object) Merge(patch *Object) {
	for _, m := range patch.Members() {
		child, isObject := m.Value.(*Object)
		switch {
		case m.Value == nil:
			o.Delete(m.Name)
		case isObject && o.Object(m.Name) != nil:
			o.Object(m.Name).Merge(child)
		default:
			o.Set(m.Name, clone(m.Value))
		}
	}
}

// Bytes is the object as compact JSON; <, > and & stay as they are.
func (o *Object) Bytes() []byte { return appendValue(nil, o) }

// MarshalJSON is Bytes, for encoding/json.
func (o *Object) MarshalJSON() ([]byte, error) { return o.Bytes(), nil }

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case *Object:
		if v == nil {
			return append(b, "null"...)
		}
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, m.Name), ':')
			b = appendValue(b, m.Value)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, v[i])
		}
		return append(b, ']')
	case json.Number:
		return append(b, v...)
	case string:
		return appendText(b, v)
	case nil:
		return append(b, "null"...)
	}
	// What is left is what encoding/json knows: bools, ints and structs
	// that a handler has put in.
	return appendEncoded(b, v)
}

func appendText(b []byte, s string) []byte { return appendEncoded(b, s) }

func appendEncoded(b []byte, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return append(b, "null"...)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
