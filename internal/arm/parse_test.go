package arm

import (
	"net/url"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	rows := []struct{ in, want string }{
		{"/", "/"},
		{"//subscriptions///x/", "/subscriptions/x"},
		{"/a%20b", "/a b"},
		{"/%61", "/a"},
		{"", "error"}, {"a", "error"}, {"/a/../b", "error"}, {"/a/./b", "error"}, {"/%2e%2e", "error"}, {"/a%2fb", "error"},
		{"/a%5Cb", "error"}, {"/a%00", "error"}, {"/a%0ab", "error"}, {"/%", "error"}, {"/%zz", "error"}, {"/%252e", "error"},
		{"/é", "error"}, {"/a%3Fb", "error"}, {"/" + strings.Repeat("a/", MaxSegments+1), "error"}, {"/" + strings.Repeat("a", MaxPath), "error"},
	}
	for _, row := range rows {
		path, err := ParsePath(row.in)
		got := join(path)
		if err != nil {
			got = "error"
		}
		if got != row.want {
			t.Errorf("ParsePath(%.60q) = %s, want %s", row.in, got, row.want)
		}
	}
}

// FuzzParsePath: what is accepted means the same to everybody: escaped and
// parsed again it is the same path, and no segment can leave it.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"/", "//a//b/", "/a%2fb", "/..", "/%2e%2e", "/a b", "/subscriptions/x/resourceGroups/y", "/a%00", "/%c3%a9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		path, err := ParsePath(in)
		if err != nil {
			return
		}
		for _, s := range path {
			if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\\%?#\x00") {
				t.Errorf("ParsePath(%q) has the segment %q", in, s)
			}
		}
		again, err := ParsePath((&url.URL{Path: join(path)}).EscapedPath())
		if err != nil || join(again) != join(path) {
			t.Errorf("ParsePath(%q) = %q, and of that %q, %v", in, path, again, err)
		}
		_ = resourceScope(path)
	})
}

func TestResourceScope(t *testing.T) {
	rows := []struct{ in, want string }{
		{"/", "/"},
		{"/subscriptions", "/"},
		{"/subscriptions/s", "/subscriptions/s"},
		{"/subscriptions/s/resourceGroups", "/subscriptions/s"},
		{"/subscriptions/s/resourceGroups/g", "/subscriptions/s/resourceGroups/g"},
		{"/subscriptions/s/resourceGroups/g/resources", "/subscriptions/s/resourceGroups/g"},
		{"/subscriptions/s/providers/P", "/subscriptions/s"},
		{"/subscriptions/s/providers/P/vaults", "/subscriptions/s"},
		{"/subscriptions/s/resourceGroups/g/providers/P/vaults", "/subscriptions/s/resourceGroups/g"},
		{"/subscriptions/s/resourceGroups/g/providers/P/vaults/v", "/subscriptions/s/resourceGroups/g/providers/P/vaults/v"},
		{"/subscriptions/s/resourceGroups/g/providers/P/vaults/v/secrets", "/subscriptions/s/resourceGroups/g/providers/P/vaults/v"},
		{"/subscriptions/s/resourceGroups/g/providers/P/vaults/v/secrets/x", "/subscriptions/s/resourceGroups/g/providers/P/vaults/v/secrets/x"},
	}
	for _, row := range rows {
		path, err := ParsePath(row.in)
		if got := resourceScope(path); err != nil || got != row.want {
			t.Errorf("resourceScope(%s) = %s, want %s", row.in, got, row.want)
		}
	}
}

func TestParseFilter(t *testing.T) {
	names := []string{"name", "resourceType", "atScope()", "assignedTo()"}
	rows := []struct{ in, want string }{
		{"", "all"},
		{"  ", "all"},
		{"name eq 'a'", "name=a"},
		{"NAME EQ 'A b'", "name=A b"},
		{"name eq 'it''s'", "name=it's"},
		{"name eq ''", "name="},
		{"resourceType eq 'X/y' and name eq 'b'", "(resourceType=X/y and name=b)"},
		{"name eq 'a' or name eq 'b' and name eq 'c'", "(name=a or (name=b and name=c))"},
		{"(name eq 'a' or name eq 'b') and name eq 'c'", "((name=a or name=b) and name=c)"},
		{"atScope()", "atScope()"},
		{"assignedTo('x')", "assignedTo(x)"},
		{"atScope() and assignedTo( 'x' )", "(atScope() and assignedTo(x))"},
		{"name", "error"}, {"name eq", "error"}, {"name eq a", "error"}, {"name eq 'a", "error"}, {"name ne 'a'", "error"}, {"other eq 'a'", "error"},
		{"name eq 'a' name eq 'b'", "error"}, {"name eq 'a' and", "error"}, {"(name eq 'a'", "error"}, {"name eq 'a')", "error"}, {"atScope", "error"},
		{"name()", "error"}, {"atScope eq 'x'", "error"}, {"nameeq 'a'", "error"}, {"name eq 'a'or name eq 'b'", "(name=a or name=b)"},
		{strings.Repeat("(", 5000), "error"}, {strings.Repeat("(", 100) + "name eq 'a'" + strings.Repeat(")", 100), "error"},
		{strings.Repeat("name eq 'a' and ", 40) + "name eq 'a'", "error"},
	}
	for _, row := range rows {
		f, err := ParseFilter(row.in, names...)
		got := show(f)
		if err != nil {
			got = "error"
		}
		if got != row.want {
			t.Errorf("ParseFilter(%.60q) = %s, want %s", row.in, got, row.want)
		}
	}
}

func show(f *Filter) string {
	switch {
	case f == nil:
		return "all"
	case f.Join != "":
		return "(" + show(f.Left) + " " + f.Join + " " + show(f.Right) + ")"
	case f.Function:
		return f.Name + "(" + f.Value + ")"
	}
	return f.Name + "=" + f.Value
}

// FuzzParseFilter: what is accepted can be written again and reads the same.
func FuzzParseFilter(f *testing.F) {
	for _, seed := range []string{"name eq 'a'", "name eq 'a''b' and (atScope() or name eq '')", "atScope('x')", "((((", "name eq 'a' or"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		filter, err := ParseFilter(in, "name", "atScope()")
		if err != nil {
			return
		}
		filter.Match(func(*Filter) bool { return true })
		again, err := ParseFilter(write(filter), "name", "atScope()")
		if len(write(filter)) <= maxFilter && (err != nil && !strings.Contains(write(filter), "((((((((") || err == nil && show(again) != show(filter)) {
			t.Errorf("ParseFilter(%q) = %s, and of that %s, %v", in, show(filter), show(again), err)
		}
	})
}

// write is the filter as a client would write it, with as few parentheses as
// keep its shape.
func write(f *Filter) string {
	switch {
	case f == nil:
		return ""
	case f.Join == "or":
		right := write(f.Right)
		if f.Right.Join == "or" {
			right = "(" + right + ")"
		}
		return write(f.Left) + " or " + right
	case f.Join == "and":
		left, right := write(f.Left), write(f.Right)
		if f.Left.Join == "or" {
			left = "(" + left + ")"
		}
		if f.Right.Join != "" {
			right = "(" + right + ")"
		}
		return left + " and " + right
	case f.Function && f.Value == "":
		return f.Name + "()"
	case f.Function:
		return f.Name + "('" + strings.ReplaceAll(f.Value, "'", "''") + "')"
	}
	return f.Name + " eq '" + strings.ReplaceAll(f.Value, "'", "''") + "'"
}

func TestVersion(t *testing.T) {
	rows := []struct {
		in string
		ok bool
	}{
		{"2015-01-01", true}, {"2026-02-01", true}, {"2018-01-01-preview", true}, {"2018-01-01-PREVIEW", true}, {"2024-04-01-privatepreview", true},
		{"", false}, {"latest", false}, {"2015-1-01", false}, {"2015-00-01", false}, {"2015-01-32", false}, {"2015-01-01-", false},
		{"2015-01-01-x", false}, {"2015/01/01", false}, {"20150101", false}, {"2015-01-01preview", false},
	}
	for _, row := range rows {
		if got := validVersion(row.in); got != row.ok {
			t.Errorf("validVersion(%q) = %v, want %v", row.in, got, row.ok)
		}
	}
}
