// Command tally runs the steps of a test run one after the other, shows how
// they go, and ends with one line: "N passed, N failed".
//
//	tally 'product: go test -json ./...' 'races: go test -race ./internal/store'
//
// A step is a name and a shell command. The events of `go test -json` on a
// command's output are counted test by test: a test that has subtests is
// counted through them. A command that prints no events counts as one. A
// test that was skipped shows nothing and counts as failed. What a test logs
// that begins with "note: " or "left out: " is shown.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, time.Now))
}

// run is main without the process: the exit status is 0 when nothing failed.
func run(args []string, out io.Writer, now func() time.Time) int {
	if len(args) == 0 {
		fmt.Fprintln(out, "usage: tally 'NAME: COMMAND'...")
		return 2
	}
	total := count{}
	for _, arg := range args {
		name, command, ok := strings.Cut(arg, ": ")
		if !ok {
			fmt.Fprintf(out, "tally: %q is not NAME: COMMAND\n", arg)
			return 2
		}
		start := now()
		fmt.Fprintf(out, "== %s\n", name)
		c := step(name, command, out)
		fmt.Fprintf(out, "== %s: %d passed, %d failed, %s\n", name, c.passed, c.failed, now().Sub(start).Round(time.Second))
		total.passed += c.passed
		total.failed += c.failed
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", total.passed, total.failed)
	if total.failed > 0 || total.passed == 0 {
		return 1
	}
	return 0
}

// step runs one command and counts what it ran. A command that failed
// without a failed test of its own counts as one failure.
func step(name, command string, out io.Writer) count {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", command)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		fmt.Fprintf(out, "FAIL %s: %v\n", name, err)
		return count{failed: 1}
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(out, "FAIL %s: %v\n", name, err)
		return count{failed: 1}
	}
	l := newLedger(out)
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			l.line(strings.TrimRight(line, "\n"))
		}
		if err != nil {
			break
		}
	}
	err = cmd.Wait()
	c := l.close()
	switch {
	case err != nil && c.failed == 0:
		fmt.Fprintf(out, "FAIL %s: %v\n", name, err)
		c.failed = 1
	case err == nil && c == (count{}) && !l.events:
		c.passed = 1
	}
	return c
}
