package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
)

// count is how many tests passed and failed.
type count struct{ passed, failed int }

// event is one line of `go test -json`, as `go doc test2json` describes it.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// remark is a line of a test's log that is shown though the test passed.
var remark = regexp.MustCompile(`^\s*[\w-]+\.go:\d+: ((?:note|left out): .*)`)

// keep is how many bytes of a test's output are kept for the case that it
// fails: the last ones.
const keep = 16 << 10

// ledger counts the events of one step.
type ledger struct {
	out    io.Writer
	events bool
	// results holds the outcome of every test by package and name, and of
	// every package by its path.
	results map[string]string
	output  map[string]string
}

func newLedger(out io.Writer) *ledger {
	return &ledger{out: out, results: map[string]string{}, output: map[string]string{}}
}

// line takes one line of a command's output: an event, or text to show.
func (l *ledger) line(text string) {
	var e event
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &e) != nil || e.Action == "" {
		fmt.Fprintln(l.out, text)
		return
	}
	l.events = true
	key := e.Package + "\t" + e.Test
	switch e.Action {
	case "output", "build-output":
		if e.Action == "build-output" {
			fmt.Fprint(l.out, e.Output)
		}
		if said := remark.FindStringSubmatch(e.Output); said != nil {
			fmt.Fprintln(l.out, said[1])
		}
		kept := l.output[key] + e.Output
		l.output[key] = kept[max(0, len(kept)-keep):]
	case "pass", "fail", "skip":
		l.results[key] = e.Action
		l.show(key, e)
	}
}

// show says how a package or a failed test ended.
func (l *ledger) show(key string, e event) {
	if e.Test == "" && e.Action != "skip" {
		fmt.Fprintf(l.out, "%-4s %s (%.1f s)\n", e.Action, e.Package, e.Elapsed)
	}
	if e.Action == "fail" || e.Action == "skip" && e.Test != "" {
		fmt.Fprintf(l.out, "--- %s %s %s\n%s", e.Action, e.Package, e.Test, l.output[key])
	}
	delete(l.output, key)
}

// close counts the tests that have no subtests, the failed ones whose
// subtests all passed, and the packages that failed without a failed test.
func (l *ledger) close() count {
	keys := make([]string, 0, len(l.results))
	for k := range l.results {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	parents, blamed := map[string]bool{}, map[string]bool{}
	for _, k := range keys {
		for p, ok := above(k); ok; p, ok = above(p) {
			if !strings.HasSuffix(p, "\t") {
				parents[p] = true
			}
			if l.results[k] != "pass" && !strings.HasSuffix(k, "\t") {
				blamed[p] = true
			}
		}
	}
	var c count
	for _, k := range keys {
		isPackage := strings.HasSuffix(k, "\t")
		switch failed := l.results[k] == "fail" || l.results[k] == "skip" && !isPackage; {
		case failed && !blamed[k]:
			c.failed++
		case !failed && !parents[k] && !isPackage:
			c.passed++
		}
	}
	return c
}

// above is the test that a test is a subtest of, and a test's package.
func above(key string) (string, bool) {
	pkg, test, _ := strings.Cut(key, "\t")
	if test == "" {
		return "", false
	}
	if i := strings.LastIndexByte(test, '/'); i >= 0 {
		return pkg + "\t" + test[:i], true
	}
	return pkg + "\t", true
}
