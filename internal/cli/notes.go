package cli

import (
	"fmt"

	"postern/internal/posture/report"
)

// value is a variable of the environment; "" when it is not set.
func (w *world) value(name string) string {
	value, _ := w.variable(name)
	return value
}

// progress shows what is being done, on a terminal only; the last line is
// wiped by an empty text.
func (w *world) progress() func(string) {
	if !isTerminal(w.stderr) {
		return func(string) {}
	}
	return func(text string) { fmt.Fprintf(w.stderr, "\r\x1b[K%s", text) }
}

// note says something that is neither an answer nor an error.
func (w *world) note(format string, args ...any) {
	fmt.Fprintf(w.stderr, "postern: note: %s\n", report.Printable(fmt.Sprintf(format, args...)))
}

// complain says what went wrong, and what to try next.
func (w *world) complain(err error, hint string) {
	fmt.Fprintf(w.stderr, "postern: error: %s\n", report.Printable(err.Error()))
	if hint != "" {
		fmt.Fprintf(w.stderr, "postern: hint: %s\n", report.Printable(hint))
	}
}
