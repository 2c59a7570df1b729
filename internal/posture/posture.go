// Package posture asks questions of a configuration: whether a vault passes
// the built-in checks (Check), and what would become of one request and why
// (Explain).
//
// A question has four answers. Pass and Fail are given only for values that
// were read; a value that is parameterised, missing from a fragment or of no
// meaning to the service makes CannotTell, never a guess. Accepted is a Fail
// that somebody answers for, with a reason and an end.
package posture

import "postern/internal/iac"

// Verdict is the answer of a check. The zero value knows nothing.
type Verdict uint8

// The verdicts.
const (
	// CannotTell: a value that decides could not be read.
	CannotTell Verdict = iota
	// Fail: the check found what it looks for.
	Fail
	// Accepted: so it did, and .postern.yaml accepts it.
	Accepted
	// Pass: it did not.
	Pass
)

// String is the verdict in reports.
func (v Verdict) String() string { return [...]string{"cannot-tell", "fail", "accepted", "pass"}[v] }

// Severity is how much a finding matters. The zero value is the highest.
type Severity uint8

// The severities.
const (
	High Severity = iota
	Medium
	Low
)

// String is the severity in reports.
func (s Severity) String() string { return [...]string{"high", "medium", "low"}[s] }

// Fix is what changes a finding, in three languages.
type Fix struct {
	AZ        string `json:"az"`
	Terraform string `json:"terraform"`
	Bicep     string `json:"bicep"`
}

// Finding is the answer of one check for one vault.
type Finding struct {
	Check   *Check
	Verdict Verdict
	// Vault is the name to show, Resource where it comes from.
	Vault    string
	Resource *iac.Resource
	// At is where the value stands that decided.
	At iac.Position
	// Message says what was found and what it means.
	Message string
	// Note is said besides: of an acceptance, or of a condition.
	Note string
	// Acceptance is the entry that accepts it, or that did so until it ended.
	Acceptance *Acceptance
	Fix        Fix
}

// Quiet reports whether a reader need not be told: what passes, and what is
// accepted with nothing to add.
func (f *Finding) Quiet() bool {
	return f.Verdict == Pass || f.Verdict == Accepted && f.Note == ""
}
