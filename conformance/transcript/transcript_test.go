package transcript

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	text := "# what\n$ a \\\n  b\nout\n\nmore\n$ c\n# why\n$ d\n[exit 3]\n"
	want := []Step{
		{Line: 2, Command: "a \\\n  b", Want: "out\n\nmore", Comment: "what"},
		{Line: 7, Command: "c"},
		{Line: 9, Command: "d", Exit: 3, Comment: "why"},
	}
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Parse(%q) (-want +got):\n%s", text, d)
	}
	if _, err := Parse("text\n$ a\n"); err == nil {
		t.Error("Parse(text before the first command) = nil, want an error")
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		want, got string
		ok        bool
	}{
		{"a", "a\n", true},
		{"a", "b", false},
		{"a…c", "abc", true},
		{"a…c", "ab\nc", false},
		{"a\n…\nc", "a\nb\nb\nc", true},
		{"a\n…\nc", "a\nc", true},
		{"a\n…", "a", true},
		{"…\nc", "a\nb\nc", true},
		{"…\nc", "a\nbc", false},
		{"…", "a\nb", true},
		{"a.c", "abc", false},
		{`{"a":1}`, `{ "a": 1 }`, true},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"a":1,"…":"…"}`, `{"a":1,"b":2}`, true},
		{`{"a":1,"…":"…"}`, `{"b":2}`, false},
		{`{"a":"…"}`, `{"a":[1]}`, true},
		{`{"a":"x…"}`, `{"a":"xyz"}`, true},
		{`{"a":null}`, `{"a":[]}`, false},
		{`[1,"…"]`, `[1,2,3]`, true},
		{`[1]`, `[1,2]`, false},
		{`[]`, `null`, false},
		{`{"a":1}`, `not`, false},
	}
	for _, test := range tests {
		if err := Match(test.want, test.got); (err == nil) != test.ok {
			t.Errorf("Match(%q, %q) = %v, want match %v", test.want, test.got, err, test.ok)
		}
	}
}

func TestShell(t *testing.T) {
	s, err := Open(exec.Command("bash", Arguments...), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tests := []struct {
		command string
		want    Result
	}{
		{"echo out; echo err >&2", Result{"out\n", "err\n", 0}},
		{"x=kept", Result{}},
		{"echo $x; false", Result{"kept\n", "", 1}},
		{"echo a \\\n  b", Result{"a b\n", "", 0}},
		{"cat", Result{}},
		{"(exit 7)", Result{Exit: 7}},
	}
	for _, test := range tests {
		got, err := s.Run(context.Background(), test.command)
		if err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("Run(%q) = %+v, want %+v", test.command, got, test.want)
		}
	}
}

func TestShellEnds(t *testing.T) {
	s, err := Open(exec.Command("bash", Arguments...), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Run(context.Background(), "exit 3"); !errors.Is(err, ErrEnded) {
		t.Errorf("Run(exit) = %v, want %v", err, ErrEnded)
	}
}

func TestShellIsKilled(t *testing.T) {
	s, err := Open(exec.Command("bash", Arguments...), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Run(ctx, "sleep 1000"); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("Run(sleep) = %v, want it canceled", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("# c\n$ a \\\nb\nout\n[exit 2]\n")
	f.Fuzz(func(t *testing.T, text string) {
		steps, err := Parse(text)
		if err != nil {
			return
		}
		for _, s := range steps {
			_ = Match(s.Want, s.Want)
		}
	})
}
