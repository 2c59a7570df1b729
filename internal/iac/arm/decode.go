package arm

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"unicode/utf16"

	"postern/internal/iac"
)

// The limits of a document. Exports of large subscriptions stay far below
// them.
const (
	maxBytes = 32 << 20
	maxDepth = 100
	maxNodes = 2_000_000
)

// SyntaxError is a document that is not JSON, or not JSON within the limits.
type SyntaxError struct {
	At  iac.Position
	Why string
}

// Error is file:line: why.
func (e *SyntaxError) Error() string { return e.At.String() + ": " + e.Why }

// decoder builds nodes from the tokens of encoding/json and remembers where
// each began.
type decoder struct {
	file  string
	data  []byte
	lines []int // offsets at which lines begin
	json  *json.Decoder
	nodes int
	// unlined is set for an answer of a server: it has no lines to look up.
	unlined bool
}

// decode reads one JSON document. Comments, which ARM templates may have, are
// blanked first; lines keep their numbers. nodes is how many values it has.
func decode(file string, data []byte, unlined bool) (root *iac.Node, nodes int, err error) {
	if len(data) > maxBytes {
		return nil, 0, &SyntaxError{iac.Position{File: file}, fmt.Sprintf("larger than %d MiB", maxBytes>>20)}
	}
	data = blankComments(bytes.TrimPrefix(utf8Text(data), []byte("\ufeff")))
	d := &decoder{file: file, data: data, lines: []int{0}, unlined: unlined}
	for i, c := range data {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, 0, &SyntaxError{iac.Position{File: file}, "empty"}
	}
	// The whole is checked first, so that the walk below meets valid JSON.
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, 0, d.syntax(err)
	}
	d.json = json.NewDecoder(bytes.NewReader(data))
	d.json.UseNumber()
	root, err = d.value(0)
	return root, d.nodes, err
}

// utf8Text turns UTF-16 with a byte order mark, which is what redirecting az
// writes in Windows PowerShell, into UTF-8.
func utf8Text(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i+1 < len(data); i += 2 {
		units = append(units, order.Uint16(data[i:]))
	}
	return []byte(string(utf16.Decode(units)))
}

func (d *decoder) syntax(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at := max(int(syntax.Offset)-1, 0)
		return &SyntaxError{d.position(at), "not JSON: " + syntax.Error()}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &SyntaxError{d.position(len(d.data)), "not JSON: it ends too early"}
	}
	return &SyntaxError{iac.Position{File: d.file}, "not JSON: " + err.Error()}
}

// position finds the line of an offset.
func (d *decoder) position(offset int) iac.Position {
	if d.unlined {
		return iac.Position{File: d.file}
	}
	line := sort.SearchInts(d.lines, offset+1)
	return iac.Position{File: d.file, Line: line, Column: offset - d.lines[line-1] + 1}
}

// next is where the next token begins.
func (d *decoder) next() iac.Position {
	at := int(d.json.InputOffset())
	for at < len(d.data) && bytes.IndexByte([]byte(" \t\r\n,:"), d.data[at]) >= 0 {
		at++
	}
	return d.position(at)
}

func (d *decoder) value(depth int) (*iac.Node, error) {
	at := d.next()
	if depth > maxDepth {
		return nil, &SyntaxError{at, "nested deeper than " + strconv.Itoa(maxDepth)}
	}
	if d.nodes++; d.nodes > maxNodes {
		return nil, &SyntaxError{at, "more than " + strconv.Itoa(maxNodes) + " values"}
	}
	token, err := d.json.Token()
	if err != nil {
		return nil, d.syntax(err)
	}
	switch v := token.(type) {
	case string:
		return &iac.Node{Kind: iac.String, Text: v, At: at}, nil
	case json.Number:
		return &iac.Node{Kind: iac.Number, Text: v.String(), At: at}, nil
	case bool:
		return &iac.Node{Kind: iac.Bool, Text: strconv.FormatBool(v), At: at}, nil
	case json.Delim:
		if v == '[' {
			return d.array(at, depth)
		}
		return d.object(at, depth)
	}
	return &iac.Node{Kind: iac.Null, At: at}, nil
}

func (d *decoder) array(at iac.Position, depth int) (*iac.Node, error) {
	n := &iac.Node{Kind: iac.Array, At: at}
	for d.json.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, item)
	}
	return n, d.end()
}

func (d *decoder) object(at iac.Position, depth int) (*iac.Node, error) {
	n := &iac.Node{Kind: iac.Object, At: at}
	for d.json.More() {
		token, err := d.json.Token()
		if err != nil {
			return nil, d.syntax(err)
		}
		name, _ := token.(string) // a valid document has strings for names
		value, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Members = append(n.Members, iac.Member{Name: name, Value: value})
	}
	return n, d.end()
}

// end takes the closing bracket.
func (d *decoder) end() error {
	if _, err := d.json.Token(); err != nil {
		return d.syntax(err)
	}
	return nil
}

// blankComments replaces // and /* */ outside of strings by blanks.
func blankComments(data []byte) []byte {
	if !bytes.Contains(data, []byte("//")) && !bytes.Contains(data, []byte("/*")) {
		return data
	}
	out := bytes.Clone(data)
	for i := 0; i < len(out); i++ {
		switch {
		case out[i] == '"':
			i = endOfString(out, i)
		case bytes.HasPrefix(out[i:], []byte("//")):
			for ; i < len(out) && out[i] != '\n'; i++ {
				out[i] = ' '
			}
		case bytes.HasPrefix(out[i:], []byte("/*")):
			end := bytes.Index(out[i+2:], []byte("*/"))
			if end < 0 {
				return out // not closed: it stays and is a syntax error
			}
			for stop := i + 2 + end + 2; i < stop; i++ {
				if out[i] != '\n' {
					out[i] = ' '
				}
			}
			i--
		}
	}
	return out
}

// endOfString is the offset of the quote that closes the string which opens
// at i, or the last offset.
func endOfString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(data) - 1
}
