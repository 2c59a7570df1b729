package posture

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"postern/internal/iac"
)

// FileName is the name of the file that accepts findings.
const FileName = ".postern.yaml"

// maxAcceptances bounds the file, in bytes.
const maxAcceptances = 1 << 20

// Acceptance is a finding that somebody answers for. Every field but Vault
// and File is required, and one of these two is.
type Acceptance struct {
	// Check is the id of the check.
	Check string `yaml:"check" json:"check"`
	// Vault is the name or the ARM id of the vault, in any letter case.
	Vault string `yaml:"vault" json:"vault,omitempty"`
	// File is the file that configures it, relative to .postern.yaml; for
	// documents that do not name a vault.
	File string `yaml:"file" json:"file,omitempty"`
	// Owner is who answers for it, Reason why it may stay.
	Owner  string `yaml:"owner" json:"owner"`
	Reason string `yaml:"reason" json:"reason"`
	// Until is the last day on which it counts, as 2027-03-31.
	Until string `yaml:"until" json:"until"`

	until time.Time
	// needed is set when it covered a finding, passed when the check that it
	// is for did not find anything.
	needed, passed bool
}

// Acceptances is a .postern.yaml.
type Acceptances struct {
	// Accepted are the entries.
	Accepted []*Acceptance `yaml:"accepted"`

	path string
}

// ReadAcceptances reads a .postern.yaml that lies at path. Unknown keys,
// missing fields and checks that do not exist are errors.
func ReadAcceptances(path string, data []byte) (*Acceptances, error) {
	a := &Acceptances{path: path}
	if len(data) > maxAcceptances {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxAcceptances)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return a, nil
	}
	if err := yaml.Load(data, a, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for i, e := range a.Accepted {
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("%s: accepted[%d]: %w", path, i, err)
		}
	}
	return a, nil
}

// check completes an entry.
func (e *Acceptance) check() error {
	if e == nil {
		return errors.New("empty")
	}
	if _, ok := CheckNamed(e.Check); !ok {
		return fmt.Errorf("check %q does not exist", e.Check)
	}
	for _, field := range []struct{ name, value string }{{"owner", e.Owner}, {"reason", e.Reason}, {"until", e.Until}, {"vault or file", e.Vault + e.File}} {
		if strings.TrimSpace(field.value) == "" {
			return errors.New(field.name + " is missing")
		}
	}
	day, err := time.Parse(time.DateOnly, e.Until)
	if err != nil {
		return fmt.Errorf("until %q is not a day of the form 2027-03-31", e.Until)
	}
	e.until = day
	return nil
}

// covers reports whether the entry speaks of the finding.
func (e *Acceptance) covers(f *Finding, s *subject, dir string) bool {
	if e.Check != f.Check.ID {
		return false
	}
	if e.Vault != "" {
		named := s.Name.Kind == iac.String && iac.SameFold(e.Vault, s.Name.Text)
		if !named && !(s.ID != "" && iac.SameFold(e.Vault, s.ID)) {
			return false
		}
	}
	return e.File == "" || sameFile(filepath.Join(dir, filepath.FromSlash(e.File)), s.Body.At.File)
}

func sameFile(a, b string) bool {
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}

// apply turns a Fail into Accepted where an entry that has not ended covers
// it. An entry that has ended leaves the Fail, with a note. For a Pass it
// remembers that an entry was not needed.
func (a *Acceptances) apply(f *Finding, s *subject, today time.Time) {
	if a == nil {
		return
	}
	for _, e := range a.Accepted {
		if !e.covers(f, s, filepath.Dir(a.path)) {
			continue
		}
		if f.Verdict != Fail {
			e.passed = e.passed || f.Verdict == Pass
			continue
		}
		e.needed, f.Acceptance = true, e
		if !today.Before(e.until.AddDate(0, 0, 1)) {
			f.Note = joined(f.Note, fmt.Sprintf("%s accepted it until %s; that has passed", e.Owner, e.Until))
			continue
		}
		f.Verdict = Accepted
		f.Note = acceptedNote(f, s)
		return
	}
}

// acceptedNote says what the reason for keyvault_notrustedservices does not
// cover: the finding is defensible for a vault without a public endpoint, so
// for any other its acceptance stays visible.
func acceptedNote(f *Finding, s *subject) string {
	if f.Check.ID != "keyvault_notrustedservices" {
		return ""
	}
	if reaches, sure := s.reachable(); sure && !reaches {
		return ""
	}
	return "accepted although the public endpoint is, or may be, reachable"
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// Obsolete lists the entries for vaults that were asked and pass without.
func (a *Acceptances) Obsolete() []*Acceptance {
	var list []*Acceptance
	for _, e := range a.Accepted {
		if e.passed && !e.needed {
			list = append(list, e)
		}
	}
	return list
}

// Path is where the file lies.
func (a *Acceptances) Path() string { return a.path }
