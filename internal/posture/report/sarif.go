package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"

	"postern/internal/posture"
)

// The parts of SARIF 2.1.0 (OASIS standard) that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri,omitempty"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID               string          `json:"id"`
		ShortDescription sarifText       `json:"shortDescription"`
		FullDescription  sarifText       `json:"fullDescription"`
		Default          sarifDefault    `json:"defaultConfiguration"`
		Properties       sarifProperties `json:"properties"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifProperties struct {
		SecuritySeverity string   `json:"security-severity"`
		Tags             []string `json:"tags"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Kind         string             `json:"kind"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name          string `json:"name"`
		QualifiedName string `json:"fullyQualifiedName,omitempty"`
		Kind          string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// Levels and scores by severity.
var (
	sarifLevels = [...]string{posture.High: "error", posture.Medium: "warning", posture.Low: "note"}
	sarifScores = [...]string{posture.High: "8.0", posture.Medium: "5.0", posture.Low: "2.0"}
)

const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

// sarif holds what failed, what is accepted (suppressed) and what cannot be
// told (kind "open": the rule was evaluated and the information was not
// enough). What passed is left out.
func (r *Report) sarif(w io.Writer) error {
	driver := sarifDriver{Name: "postern", Rules: []sarifRule{}}
	index := map[string]int{}
	for i, c := range posture.Checks() {
		index[c.ID] = i
		driver.Rules = append(driver.Rules, sarifRule{ID: c.ID, ShortDescription: sarifText{c.Title}, FullDescription: sarifText{c.Title + ". " + c.Source},
			Default: sarifDefault{sarifLevels[c.Severity]}, Properties: sarifProperties{sarifScores[c.Severity], []string{"security", "key-vault"}}})
	}
	run := sarifRun{Tool: sarifTool{driver}, ColumnKind: "utf16CodeUnits", Results: []sarifResult{}}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Verdict != posture.Pass {
			run.Results = append(run.Results, r.sarifResult(f, index[f.Check.ID]))
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

func (r *Report) sarifResult(f *posture.Finding, rule int) sarifResult {
	out := sarifResult{RuleID: f.Check.ID, RuleIndex: rule, Kind: "fail", Level: sarifLevels[f.Check.Severity], Message: sarifText{sentence(f)}}
	if f.Verdict == posture.CannotTell {
		out.Kind, out.Level = "open", "none"
	}
	physical := sarifPhysical{Artifact: sarifArtifact{uri(f.At)}}
	if f.At.Line > 0 {
		physical.Region = &sarifRegion{f.At.Line}
	}
	out.Locations = []sarifLocation{{Physical: physical, Logical: []sarifLogical{{Name: f.Vault, QualifiedName: f.Resource.ID, Kind: "resource"}}}}
	out.Fingerprints = map[string]string{"posternFinding/v1": fingerprint(f)}
	if a := f.Acceptance; a != nil && f.Verdict == posture.Accepted {
		out.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: a.Owner + ", until " + a.Until + ": " + a.Reason}}
	}
	return out
}

// fingerprint stays the same when lines move.
func fingerprint(f *posture.Finding) string {
	sum := sha256.Sum256([]byte(f.Check.ID + "\x00" + f.Vault + "\x00" + f.Resource.ID + "\x00" + uri(f.At)))
	return hex.EncodeToString(sum[:16])
}
