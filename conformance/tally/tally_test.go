package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	tests := []struct {
		name   string
		events string
		want   count
	}{
		{"a test", `pass p T`, count{1, 0}},
		{"subtests count, their parent does not", "pass p T/a|pass p T/b|pass p T", count{2, 0}},
		{"a failed subtest is one failure", "fail p T/a|pass p T/b|fail p T|fail p ", count{1, 1}},
		{"a parent can fail by itself", "pass p T/a|fail p T|fail p ", count{1, 1}},
		{"names with slashes", "pass p T/a/b|pass p T/a|pass p T", count{1, 0}},
		{"a package that does not build", "fail p ", count{0, 1}},
		{"a package without tests", "skip p ", count{0, 0}},
		{"a skipped test", "skip p T|pass p ", count{0, 1}},
		{"a package may be named like a test of another", "pass p T|pass p/T U", count{2, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(&bytes.Buffer{})
			for _, e := range strings.Split(test.events, "|") {
				f := strings.Split(e, " ")
				l.line(`{"Action":"` + f[0] + `","Package":"` + f[1] + `","Test":"` + f[2] + `"}`)
			}
			if got := l.close(); got != test.want {
				t.Errorf("close() = %v, want %v", got, test.want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	tests := []struct {
		name  string
		steps []string
		want  string
		exit  int
	}{
		{"a command that passes", []string{"a: true"}, "1 passed, 0 failed", 0},
		{"a command that fails", []string{"a: true", "b: false"}, "1 passed, 1 failed", 1},
		{"events", []string{`a: echo '{"Action":"pass","Package":"p","Test":"T"}'`}, "1 passed, 0 failed", 0},
		{"events of a command that broke afterwards", []string{`a: echo '{"Action":"pass","Package":"p","Test":"T"}'; exit 3`}, "1 passed, 1 failed", 1},
		{"no tests at all", []string{`a: echo '{"Action":"skip","Package":"p"}'`}, "0 passed, 0 failed", 1},
		{"a failure in a pipe", []string{"a: false | true"}, "0 passed, 1 failed", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			exit := run(test.steps, &out, time.Now)
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if got := lines[len(lines)-1]; got != test.want || exit != test.exit {
				t.Errorf("run(%q) = %d, %q, want %d, %q", test.steps, exit, got, test.exit, test.want)
			}
		})
	}
}

func TestRemarks(t *testing.T) {
	tests := []struct{ output, want string }{
		{`    a_test.go:3: note: x\n`, "note: x\n"},
		{`    a_test.go:3: left out: x\n`, "left out: x\n"},
		{`    a_test.go:3: x\n`, ""},
		{`        note: what a program prints\n`, ""},
	}
	for _, test := range tests {
		var out bytes.Buffer
		newLedger(&out).line(`{"Action":"output","Package":"p","Test":"T","Output":"` + test.output + `"}`)
		if got := out.String(); got != test.want {
			t.Errorf("line(%q) printed %q, want %q", test.output, got, test.want)
		}
	}
}
