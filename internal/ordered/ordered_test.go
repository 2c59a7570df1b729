package ordered

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	rows := []struct {
		in   string
		want string
		err  error
	}{
		{`{"b":1,"a":[true,null,"x"],"c":{"d":1.50,"e":1e400}}`, `{"b":1,"a":[true,null,"x"],"c":{"d":1.50,"e":1e400}}`, nil},
		{` { "a" : "<&>" } `, `{"a":"<&>"}`, nil},
		{`{"a":12345678901234567890123}`, `{"a":12345678901234567890123}`, nil},
		{`{"a":1,"a":2}`, "", ErrDuplicate},
		{`{"a":1,"A":2}`, "", ErrDuplicate},
		{`{"x":[{"a":1,"\u0061":2}]}`, "", ErrDuplicate},
		{`{"sku":1,"\u017fku":2}`, "", ErrDuplicate},
		{`{"sku":1,"s\u212au":2}`, "", ErrDuplicate},
		{`[]`, "", ErrSyntax},
		{`{} {}`, "", ErrSyntax},
		{`{"a":1,}`, "", ErrSyntax},
		{`{'a':1}`, "", ErrSyntax},
		{`{"a":NaN}`, "", ErrSyntax},
		{"{\"a\":\"\xff\"}", "", ErrSyntax},
		{"", "", ErrSyntax},
		{`{"a":{"a":{"a":{"a":1}}}}`, "", ErrDepth},
		{`{"a":[[[[]]]]}`, "", ErrDepth},
		{`{"a":` + strings.Repeat("[", 100000), "", ErrSyntax},
	}
	for _, row := range rows {
		o, err := ParseObject([]byte(row.in), 3)
		if !errors.Is(err, row.err) || err == nil && string(o.Bytes()) != row.want {
			t.Errorf("ParseObject(%.40q) = %s, %v, want %s, %v", row.in, o.Bytes(), err, row.want, row.err)
		}
	}
}

func TestChange(t *testing.T) {
	o, err := ParseObject([]byte(`{"One":1,"two":{"x":1,"y":2},"three":[1]}`), 8)
	if err != nil {
		t.Fatal(err)
	}
	before := o.Clone()
	o.Set("one", "first")
	o.Set("four", true)
	o.Object("TWO").Delete("X")
	o.Delete("nothing")
	if got, want := string(o.Bytes()), `{"one":"first","two":{"y":2},"three":[1],"four":true}`; got != want {
		t.Errorf("changed = %s, want %s", got, want)
	}
	if got, want := string(before.Bytes()), `{"One":1,"two":{"x":1,"y":2},"three":[1]}`; got != want {
		t.Errorf("the clone changed too: %s, want %s", got, want)
	}
	var none *Object
	if none.Has("x") || none.Len() != 0 || none.Text("x") != "" || none.Object("x") != nil {
		t.Error("a nil object does not read as an empty one")
	}
}

func TestMerge(t *testing.T) {
	rows := []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":{"b":"c","d":1}}`, `{"A":{"b":"d","x":null}}`, `{"a":{"b":"d","d":1}}`},
		{`{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
	}
	for _, row := range rows {
		target, _ := ParseObject([]byte(row.target), 8)
		patch, _ := ParseObject([]byte(row.patch), 8)
		target.Merge(patch)
		if got := string(target.Bytes()); got != row.want {
			t.Errorf("%s merged with %s = %s, want %s", row.target, row.patch, got, row.want)
		}
	}
}

// FuzzParse: what is accepted reads the same for encoding/json, before and
// after a round trip.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"c":null}],"d":"\ud800é<"}`))
	f.Add([]byte(`{"a":1,"A":2}`))
	f.Add([]byte(`[[[[1e5]]]]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data, 16)
		if err != nil {
			return
		}
		var before, after any
		if err := json.Unmarshal(data, &before); err != nil {
			// A number outside of float64's range is no fault of ours.
			return
		}
		out := appendValue(nil, v)
		if err := json.Unmarshal(out, &after); err != nil {
			t.Fatalf("Parse(%q) writes %q, which cannot be read: %v", data, out, err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("Parse(%q) reads differently afterwards (-before +after):\n%s", data, diff)
		}
	})
}

// TestSurrogates: half a character is refused, not replaced.
func TestSurrogates(t *testing.T) {
	for _, tt := range []struct {
		text string
		ok   bool
	}{
		{`"\ud83d\ude00"`, true},
		{`"\u0041\ud83d\ude00\n\\"`, true},
		{`"\\ud800"`, true},
		{`"\uFFFD"`, true},
		{`"\ud800"`, false},
		{`"\udc00\ud800"`, false},
		{`"\ud800\ud800\udc00"`, false},
		{`"\ud800x\udc00"`, false},
		{`"\ud800\n"`, false},
		{`"\\\ud800"`, false},
		{`{"\uDFFF":1}`, false},
	} {
		if _, err := Parse([]byte(tt.text), 4); (err == nil) != tt.ok {
			t.Errorf("Parse(%s) = %v, want ok %v", tt.text, err, tt.ok)
		}
	}
}
