package report

import (
	"encoding/json"
	"io"

	"postern/internal/posture"
)

type jsonReport struct {
	Vaults   int           `json:"vaults"`
	Summary  jsonSummary   `json:"summary"`
	Findings []jsonFinding `json:"findings"`
}

type jsonSummary struct {
	Fail       int `json:"fail"`
	CannotTell int `json:"cannotTell"`
	Accepted   int `json:"accepted"`
	Pass       int `json:"pass"`
}

type jsonFinding struct {
	Check      string              `json:"check"`
	Title      string              `json:"title"`
	Severity   string              `json:"severity"`
	Verdict    string              `json:"verdict"`
	Vault      string              `json:"vault"`
	ID         string              `json:"id,omitempty"`
	File       string              `json:"file"`
	Line       int                 `json:"line,omitempty"`
	Message    string              `json:"message"`
	Note       string              `json:"note,omitempty"`
	Acceptance *posture.Acceptance `json:"acceptance,omitempty"`
	Fix        *posture.Fix        `json:"fix,omitempty"`
}

// json holds every answer, those that passed included.
func (r *Report) json(w io.Writer) error {
	out := jsonReport{Vaults: r.Vaults, Findings: make([]jsonFinding, 0, len(r.Findings)), Summary: jsonSummary{
		Fail: r.count(posture.Fail), CannotTell: r.count(posture.CannotTell), Accepted: r.count(posture.Accepted), Pass: r.count(posture.Pass)}}
	for i := range r.Findings {
		f := &r.Findings[i]
		j := jsonFinding{Check: f.Check.ID, Title: f.Check.Title, Severity: f.Check.Severity.String(), Verdict: f.Verdict.String(),
			Vault: f.Vault, ID: f.Resource.ID, File: f.At.File, Line: f.At.Line, Message: f.Message, Note: f.Note, Acceptance: f.Acceptance}
		if f.Verdict != posture.Pass {
			j.Fix = &f.Fix
		}
		out.Findings = append(out.Findings, j)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
