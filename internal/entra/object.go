package entra

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// maxDepth is how deep JSON of clients may be nested.
const maxDepth = 8

var errObject = errors.New("entra: not one JSON object of unique keys")

// readObject reads exactly one JSON object, by the exact names of its
// members. It refuses what encoding/json lets pass: a key that occurs twice
// at any depth, and text that is not UTF-8. Names are never matched without
// regard to letter case.
func readObject(data []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(data) {
		return nil, errObject
	}
	if err := checkUnique(data); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return nil, errObject
	}
	return members, nil
}

// checkUnique walks the tokens of a JSON text and keeps the keys of each
// object that is open.
func checkUnique(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	type level struct {
		keys  map[string]bool // nil in an array
		value bool            // the next token is a value, not a key
	}
	var open []level
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return nil
		}
		if err != nil {
			return errObject
		}
		if n := len(open); n > 0 && open[n-1].keys != nil && !open[n-1].value && t != json.Delim('}') {
			key, ok := t.(string)
			if !ok || open[n-1].keys[key] {
				return errObject
			}
			open[n-1].keys[key], open[n-1].value = true, true
			continue
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if len(open) == maxDepth {
				return errObject
			}
			next := level{}
			if t == json.Delim('{') {
				next.keys = map[string]bool{}
			}
			open = append(open, next)
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if n := len(open); n > 0 {
			open[n-1].value = false
		}
	}
}

// text is the string member name of an object; false when it is missing or
// no string.
func text(members map[string]json.RawMessage, name string) (string, bool) {
	raw, ok := members[name]
	if !ok || len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// maxSeconds is the last second of the year 9999.
const maxSeconds = 253402300799

// seconds is the NumericDate member name of an object (RFC 7519 §2), as a
// plain integer: this directory issues no other, and fractions and exponents
// are where parsers differ.
func seconds(members map[string]json.RawMessage, name string) (n int64, present, ok bool) {
	raw, present := members[name]
	if !present {
		return 0, false, true
	}
	if len(raw) == 0 || len(raw) > 12 {
		return 0, true, false
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, true, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true, n <= maxSeconds
}
