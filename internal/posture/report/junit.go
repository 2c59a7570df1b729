package report

import (
	"encoding/xml"
	"io"

	"postern/internal/posture"
)

// The elements of JUnit's XML that build servers read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`

		vault any
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Failure *junitOutcome `xml:"failure"`
		Skipped *junitOutcome `xml:"skipped"`
	}
	junitOutcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// junit has a suite for each vault and a case for each check. A cannot-tell
// is a skipped case, or a failure when the run is strict.
func (r *Report) junit(w io.Writer) error {
	out := junitSuites{Name: "postern check"}
	for i := range r.Findings {
		f := &r.Findings[i]
		if n := len(out.Suites); n == 0 || out.Suites[n-1].vault != any(f.Resource) {
			out.Suites = append(out.Suites, junitSuite{Name: Printable(f.Vault), vault: f.Resource})
		}
		suite := &out.Suites[len(out.Suites)-1]
		c := junitCase{Name: f.Check.ID, Class: Printable(f.Vault), File: Printable(f.At.File), Line: f.At.Line}
		outcome := &junitOutcome{Message: Printable(f.Message), Text: Printable(sentence(f)) + "\n" + f.Fix.AZ}
		suite.Tests++
		switch {
		case r.counts(f.Verdict):
			outcome.Type = f.Check.Severity.String()
			c.Failure = outcome
			suite.Failures++
		case f.Verdict != posture.Pass:
			outcome.Message = f.Verdict.String() + ": " + outcome.Message
			c.Skipped = outcome
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, c)
	}
	for _, s := range out.Suites {
		out.Tests, out.Failures, out.Skipped = out.Tests+s.Tests, out.Failures+s.Failures, out.Skipped+s.Skipped
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
