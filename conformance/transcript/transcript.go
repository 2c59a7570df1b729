// Package transcript runs what a terminal shows and compares what comes out.
//
// A transcript is text of this form:
//
//	# a comment
//	$ command, which goes on in the next line when it ends in \
//	what it prints
//	[exit 3]
//
// All commands of a transcript run in one shell, so that variables last.
// When nothing is given below a command its output is not compared. In what
// is given, "…" stands for any text within a line, and alone in a line for
// any lines. When it is JSON, it is compared as JSON: "…" stands for any
// value, and a member named "…" for any further members or, in a list, the
// string for any further elements. The last line "[exit N]" is the exit
// status, which is otherwise 0.
package transcript

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Step is one command and what is expected of it.
type Step struct {
	// Line is where the command stands in the text, from 1.
	Line    int
	Command string
	// Want is the expected output, "" when it is not compared.
	Want string
	Exit int
	// Comment is the comment lines directly above.
	Comment string
}

// Check compares what a command did with what is expected of it. JSON is
// looked for in the standard output alone, text in both outputs.
func (s Step) Check(r Result) error {
	if r.Exit != s.Exit {
		return fmt.Errorf("$ %s\nexit status %d, want %d\n%s", s.Command, r.Exit, s.Exit, r.Output())
	}
	if s.Want == "" {
		return nil
	}
	got := r.Output()
	if isJSON(s.Want) {
		got = r.Stdout
	}
	if err := Match(s.Want, got); err != nil {
		return fmt.Errorf("$ %s\n%w", s.Command, err)
	}
	return nil
}

var exitLine = regexp.MustCompile(`^\[exit (\d{1,3})\]$`)

// Parse reads a transcript. Text before the first command is an error,
// unless it is comments and empty lines.
func Parse(text string) ([]Step, error) {
	var steps []Step
	var comment []string
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case ok:
			step := Step{Line: i + 1, Command: command, Comment: strings.Join(comment, "\n")}
			for strings.HasSuffix(lines[i], `\`) && i+1 < len(lines) {
				i++
				step.Command += "\n" + lines[i]
			}
			steps, comment = append(steps, step), nil
		case strings.HasPrefix(line, "# "):
			comment = append(comment, line[2:])
		case len(steps) == 0 && strings.TrimSpace(line) != "":
			return nil, fmt.Errorf("transcript line %d: text before the first command: %q", i+1, line)
		case len(steps) == 0:
		case exitLine.MatchString(line):
			steps[len(steps)-1].Exit, _ = strconv.Atoi(exitLine.FindStringSubmatch(line)[1])
		default:
			steps[len(steps)-1].Want += line + "\n"
		}
	}
	for i := range steps {
		steps[i].Want = strings.TrimSpace(steps[i].Want)
	}
	return steps, nil
}
