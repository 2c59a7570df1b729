package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"postern/internal/posture"
)

// words and colours of the verdicts in the table.
var (
	tableWords  = [...]string{posture.CannotTell: "CANNOT TELL", posture.Fail: "FAIL", posture.Accepted: "ACCEPTED", posture.Pass: "PASS"}
	tableColors = [...]string{posture.CannotTell: "\x1b[33m", posture.Fail: "\x1b[31m", posture.Accepted: "\x1b[36m", posture.Pass: "\x1b[32m"}
)

const colorEnd = "\x1b[0m"

// table is for people: what failed, what could not be told, and of the rest
// the numbers.
func (r *Report) table(w io.Writer) error {
	out := bufio.NewWriter(w)
	findings := append([]posture.Finding(nil), r.Findings...)
	posture.Sort(findings)
	check, vault := 0, 0
	for i := range findings {
		if f := &findings[i]; !f.Quiet() {
			check, vault = max(check, len(f.Check.ID)), max(vault, len(Printable(f.Vault)))
		}
	}
	for i := range findings {
		if f := &findings[i]; !f.Quiet() {
			r.row(out, f, check, vault)
		}
	}
	fmt.Fprintln(out, r.summary())
	return out.Flush()
}

func (r *Report) row(out *bufio.Writer, f *posture.Finding, check, vault int) {
	word := fmt.Sprintf("%-11s", tableWords[f.Verdict])
	if r.Color {
		word = tableColors[f.Verdict] + word + colorEnd
	}
	fmt.Fprintf(out, "%s  %-6s  %-*s  %-*s  %s\n", word, f.Check.Severity, check, f.Check.ID, vault, Printable(f.Vault), Printable(f.At.String()))
	indented(out, Printable(f.Message))
	if f.Note != "" {
		indented(out, "note: "+Printable(f.Note))
	}
	if a := f.Acceptance; a != nil && f.Verdict == posture.Accepted {
		indented(out, Printable(fmt.Sprintf("accepted by %s until %s: %s", a.Owner, a.Until, a.Reason)))
	}
	if r.Fix && f.Verdict != posture.Accepted {
		block(out, "az", f.Fix.AZ)
		block(out, "terraform", f.Fix.Terraform)
		block(out, "bicep", f.Fix.Bicep)
	}
	fmt.Fprintln(out)
}

const (
	indent = "             "
	width  = 96
)

// indented writes text in lines of a bearable width.
func indented(out *bufio.Writer, text string) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > len(indent)+width {
			fmt.Fprintln(out, line)
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(out, line)
}

func block(out *bufio.Writer, language, text string) {
	fmt.Fprintf(out, "%s%s:\n", indent, language)
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(out, "%s  %s\n", indent, Printable(line))
	}
}

func (r *Report) summary() string {
	vaults := "1 vault"
	if r.Vaults != 1 {
		vaults = fmt.Sprintf("%d vaults", r.Vaults)
	}
	return fmt.Sprintf("%s: %d failed, %d cannot tell, %d accepted, %d passed", vaults,
		r.count(posture.Fail), r.count(posture.CannotTell), r.count(posture.Accepted), r.count(posture.Pass))
}
