package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/iac/arm"
	"postern/internal/posture"
)

var update = flag.Bool("update", false, "write the golden files anew")

const estate = `[
 {"id":"/subscriptions/11111111-1111-1111-1111-111111111111","subscriptionId":"11111111-1111-1111-1111-111111111111","tenantId":"22222222-2222-2222-2222-222222222222"},
 {"id":"/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/open",
  "type":"Microsoft.KeyVault/vaults","name":"open",
  "properties":{"tenantId":"22222222-2222-2222-2222-222222222222","enableRbacAuthorization":true,"enablePurgeProtection":true}},
 {"id":"/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/shut",
  "type":"Microsoft.KeyVault/vaults","name":"shut",
  "properties":{"tenantId":"22222222-2222-2222-2222-222222222222","enableRbacAuthorization":true,"enablePurgeProtection":true,
   "publicNetworkAccess":"Disabled",
   "networkAcls":{"defaultAction":"Deny","bypass":"None"}}},
 {"type":"Microsoft.KeyVault/vaults","apiVersion":"2023-07-01","name":"mean\u001b[2Jname","properties":{"networkAcls":{"defaultAction":"Deny","bypass":"[parameters('x')]"}}}
]`

func run(t *testing.T) *Report {
	t.Helper()
	doc, err := arm.Read("infra/vaults.json", []byte(estate))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := posture.ReadAcceptances(".postern.yaml", []byte("accepted:\n- {check: keyvault_notrustedservices, vault: shut, owner: team, reason: nothing of the platform uses it, until: 2027-01-31}\n"))
	if err != nil {
		t.Fatal(err)
	}
	findings := posture.Run(doc.Resources, posture.Options{Accepted: func(string) *posture.Acceptances { return accepted },
		Today: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)})
	return &Report{Findings: findings, Vaults: posture.Vaults(doc.Resources)}
}

func TestFormats(t *testing.T) {
	for _, format := range append([]string{"fix"}, Formats...) {
		r := run(t)
		name := format
		if format == "fix" {
			r.Fix, format = true, "table"
		}
		var out bytes.Buffer
		if err := r.Write(&out, format); err != nil {
			t.Fatalf("Write(%s): %v", format, err)
		}
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out.String()); diff != "" {
			t.Errorf("Write(%s) (-want +got):\n%s", name, diff)
		}
		if strings.ContainsRune(out.String(), '\x1b') {
			t.Errorf("Write(%s) lets a control character of a document through", name)
		}
	}
}

func TestWriteRefusesUnknownFormats(t *testing.T) {
	if err := run(t).Write(new(bytes.Buffer), "yaml"); err == nil {
		t.Error("Write(yaml) = nil, want an error")
	}
}

func TestColorIsForTheVerdictAlone(t *testing.T) {
	r := run(t)
	r.Color = true
	var out bytes.Buffer
	if err := r.Write(&out, "table"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\x1b"); n == 0 || n != 2*strings.Count(out.String(), "\x1b[0m") {
		t.Errorf("%d escape sequences, want a pair for each verdict", n)
	}
}

func TestClean(t *testing.T) {
	accepted, unknown := posture.Finding{Verdict: posture.Accepted}, posture.Finding{Verdict: posture.CannotTell}
	for _, test := range []struct {
		report Report
		want   bool
	}{
		{Report{}, true},
		{Report{Findings: []posture.Finding{accepted, {Verdict: posture.Pass}}}, true},
		{Report{Findings: []posture.Finding{{Verdict: posture.Fail}}}, false},
		{Report{Findings: []posture.Finding{unknown}}, true},
		{Report{Findings: []posture.Finding{unknown}, Strict: true}, false},
	} {
		if got := test.report.Clean(); got != test.want {
			t.Errorf("Clean(%v, strict %v) = %v, want %v", test.report.Findings, test.report.Strict, got, test.want)
		}
	}
}

// TestSARIFStructure holds the output to the rules of SARIF 2.1.0 that its
// readers depend on (OASIS, sections 3.13, 3.14, 3.19, 3.27, 3.35, 3.49).
func TestSARIFStructure(t *testing.T) {
	var out bytes.Buffer
	if err := run(t).Write(&out, "sarif"); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(out.Bytes()))
	dec.DisallowUnknownFields()
	var log sarifLog
	if err := dec.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("version %q, %d runs, driver %q", log.Version, len(log.Runs), log.Runs[0].Tool.Driver.Name)
	}
	run := log.Runs[0]
	ids := map[string]bool{}
	for _, rule := range run.Tool.Driver.Rules {
		if ids[rule.ID] || !regexp.MustCompile(`^keyvault_[a-z_]+$`).MatchString(rule.ID) || rule.ShortDescription.Text == "" {
			t.Errorf("rule %+v is not unique, or not described", rule)
		}
		ids[rule.ID] = true
	}
	prints := map[string]bool{}
	for _, r := range run.Results {
		if r.RuleIndex < 0 || r.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("ruleIndex %d does not name %s", r.RuleIndex, r.RuleID)
		}
		if r.Kind != "fail" && r.Level != "none" {
			t.Errorf("kind %s has level %s, want none (3.27.10)", r.Kind, r.Level)
		}
		if r.Kind == "fail" && r.Level != "error" && r.Level != "warning" && r.Level != "note" {
			t.Errorf("kind fail has level %s", r.Level)
		}
		if r.Message.Text == "" || len(r.Locations) != 1 {
			t.Errorf("%s has %d locations, and says %q", r.RuleID, len(r.Locations), r.Message.Text)
		}
		place := r.Locations[0].Physical
		if place.Artifact.URI == "" || strings.ContainsAny(place.Artifact.URI, " \\") || place.Region == nil || place.Region.StartLine < 1 {
			t.Errorf("%s stands at %+v", r.RuleID, place)
		}
		for _, s := range r.Suppressions {
			if s.Kind != "external" || s.Status != "accepted" || s.Justification == "" {
				t.Errorf("suppression %+v", s)
			}
		}
		if f := r.Fingerprints["posternFinding/v1"]; f == "" || prints[f] {
			t.Errorf("fingerprint %q is empty or not unique", f)
		} else {
			prints[f] = true
		}
	}
	if len(run.Results) == 0 {
		t.Error("no results")
	}
}

func TestJUnitCountsAddUp(t *testing.T) {
	r := run(t)
	r.Strict = true
	var out bytes.Buffer
	if err := r.Write(&out, "junit"); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	tests, failures := 0, 0
	for _, s := range suites.Suites {
		for _, c := range s.Cases {
			tests++
			if c.Failure != nil {
				failures++
			}
		}
	}
	if tests != suites.Tests || failures != suites.Failures || failures != r.count(posture.Fail)+r.count(posture.CannotTell) {
		t.Errorf("%d tests and %d failures, but the attributes say %d and %d", tests, failures, suites.Tests, suites.Failures)
	}
}
