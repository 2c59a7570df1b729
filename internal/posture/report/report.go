// Package report writes findings down for people and for programs: a table,
// JSON, SARIF 2.1.0 and JUnit.
//
// What a document says is not trusted: control characters never reach a
// terminal, and each format escapes by its own encoder.
package report

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"

	"postern/internal/iac"
	"postern/internal/posture"
)

// Report is what one run of the checks found.
type Report struct {
	Findings []posture.Finding
	// Vaults is how many vaults were asked.
	Vaults int
	// Strict makes a cannot-tell count as a failure.
	Strict bool
	// Fix shows how each finding is changed.
	Fix bool
	// Color uses the colours of a terminal, in the table alone.
	Color bool
}

// Formats are the names that Write knows.
var Formats = []string{"table", "json", "sarif", "junit"}

// Write writes the report in a format.
func (r *Report) Write(w io.Writer, format string) error {
	switch format {
	case "table":
		return r.table(w)
	case "json":
		return r.json(w)
	case "sarif":
		return r.sarif(w)
	case "junit":
		return r.junit(w)
	}
	return fmt.Errorf("the format %q does not exist", format)
}

// Clean reports whether there is nothing to act upon.
func (r *Report) Clean() bool {
	for i := range r.Findings {
		if r.counts(r.Findings[i].Verdict) {
			return false
		}
	}
	return true
}

// counts reports whether a verdict makes the run fail.
func (r *Report) counts(v posture.Verdict) bool {
	return v == posture.Fail || r.Strict && v == posture.CannotTell
}

// count is how many findings have a verdict.
func (r *Report) count(v posture.Verdict) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Verdict == v {
			n++
		}
	}
	return n
}

// Printable is text without control characters and without characters that
// turn the direction of what follows.
func Printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == '\u2028' || c == '\u2029' {
			return '\uFFFD'
		}
		return c
	}, s)
}

// sentence is the message with the note.
func sentence(f *posture.Finding) string {
	if f.Note == "" {
		return f.Message
	}
	return f.Message + " (" + f.Note + ")"
}

// uri is a file as SARIF wants it: relative with slashes, or a URL as it is.
func uri(at iac.Position) string {
	if strings.HasPrefix(at.File, "https://") {
		return at.File
	}
	if at.File == "-" {
		return "stdin"
	}
	path := filepath.ToSlash(filepath.Clean(at.File))
	u := url.URL{Path: path}
	if filepath.IsAbs(at.File) {
		u.Scheme = "file"
	}
	return u.String()
}
