package access

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// fewestCases is how many cases the corpus holds at least.
const fewestCases = 460

// corpusCase is one case of testdata/corpus: an estate, one request, what is
// to come of it, and the sentence it comes from.
type corpusCase struct {
	name     string // file:case
	source   string // who says so
	sentence string // what is said
	rules    *Rules
	request  *Request
	want     string
}

// TestCorpus puts every case to both forms of the decision.
func TestCorpus(t *testing.T) {
	cases := readCorpus(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := describe(Explain(c.rules, c.request).Decision); got != c.want {
				t.Errorf("%s: Explain = %s, want %s (%s: %s)", c.name, got, c.want, c.source, c.sentence)
			}
			if got := describe(Compile(c.rules).Decide(c.request)); got != c.want {
				t.Errorf("%s: Decide = %s, want %s (%s: %s)", c.name, got, c.want, c.source, c.sentence)
			}
		})
	}
	if len(cases) < fewestCases {
		t.Errorf("corpus has %d cases, want %d or more", len(cases), fewestCases)
	}
}

// TestCorpusReachesEveryReason keeps the corpus broad: every reason, every
// way through the network gate and every gate is some case's outcome.
func TestCorpusReachesEveryReason(t *testing.T) {
	seen := map[string]int{}
	for _, c := range readCorpus(t) {
		for _, word := range strings.Fields(c.want) {
			seen[word]++
			if admitted, _, found := strings.Cut(word, "/"); found {
				seen[admitted]++
			}
		}
	}
	for r := NoToken; r <= ByFlag; r++ {
		if seen[r.String()] == 0 {
			t.Errorf("no case of the corpus comes to %s", r)
		}
	}
	for g := GateToken; g <= GatePermission; g++ {
		if seen[g.String()] == 0 {
			t.Errorf("no case of the corpus is decided at gate %s", g)
		}
	}
	for _, a := range admissionNames {
		if seen["admitted="+a] == 0 {
			t.Errorf("no case of the corpus is admitted=%s", a)
		}
	}
}

// TestCorpusSentences looks every sentence up where it is said to stand:
// those of this package in its comments, the others in the reference texts
// when they are at hand.
func TestCorpusSentences(t *testing.T) {
	texts := map[string]string{"access": ownComments(t)}
	dir := sharedDir()
	for label, pattern := range map[string]string{
		"S0": "documents/000_*.txt", "S1": "documents/001_*.txt", "S2": "documents/002_*.txt", "S3": "documents/003_*.txt",
		"semantics": "reference/semantics.md",
	} {
		if files, _ := filepath.Glob(filepath.Join(dir, pattern)); len(files) == 1 {
			texts[label] = squeeze(readText(t, files[0]))
		}
	}
	missing := 0
	for _, c := range readCorpus(t) {
		label, _, _ := strings.Cut(c.source, " ")
		if label == "Docs" || label == "ARM" || label == "observed" {
			label = "semantics" // which quotes them
		}
		text, ok := texts[label]
		if !ok {
			missing++
			continue
		}
		for _, part := range strings.Split(c.sentence, "…") {
			if part = squeeze(part); !strings.Contains(text, part) {
				t.Errorf("%s: %s does not say %q", c.name, c.source, part)
			}
		}
	}
	if missing > 0 {
		t.Logf("left out: the sentences of %d cases were not looked up, their texts are not at hand (POSTERN_SHARED)", missing)
	}
}

// sharedDir is where the reference material lies, when it does.
func sharedDir() string {
	if dir := os.Getenv("POSTERN_SHARED"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "shared")
}

// ownComments is the text of the comments of this package's code.
func ownComments(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for line := range strings.Lines(readText(t, f)) {
			if _, comment, ok := strings.Cut(line, "//"); ok {
				b.WriteString(comment)
			}
		}
	}
	return squeeze(b.String())
}

// squeeze makes texts comparable: no markup, single blanks.
func squeeze(s string) string {
	s = strings.NewReplacer("**", "", "`", "").Replace(s)
	return strings.Join(strings.Fields(s), " ")
}

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readCorpus(t *testing.T) []corpusCase {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var cases []corpusCase
	for _, f := range files {
		archive, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, part := range archive.Files {
			c, err := parseCase(string(part.Data))
			c.name = strings.TrimSuffix(filepath.Base(f), ".txtar") + ":" + part.Name
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if seen[part.Name] {
				t.Errorf("%s: a second case of that name", c.name)
			}
			seen[part.Name] = true
			cases = append(cases, c)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return cases
}

// describe writes a decision as the corpus does.
func describe(d Decision) string {
	verdict, admitted, rule, note := "Deny", admissionNames[d.Admitted], "none", ""
	if d.Allowed() {
		verdict = "Allow"
	}
	if d.NetworkRule != NoRule {
		admitted += fmt.Sprintf("/%d", d.NetworkRule)
	}
	if d.Rule != NoRule {
		rule = fmt.Sprint(d.Rule)
	}
	if d.WouldDeny {
		note = " would-deny"
	}
	return fmt.Sprintf("%s %s %s admitted=%s rule=%s%s", verdict, d.Gate, d.Reason, admitted, rule, note)
}

var admissionNames = [...]string{"no", "PrivateEndpoint", "Open", "IP", "Subnet", "Trusted", "Perimeter"}

// wantForm is the form of a want line. Reasons are checked apart.
var wantForm = regexp.MustCompile(`^(Allow|Deny) (token|network|identity|throttle|permission) ([A-Za-z]+) ` +
	`admitted=(no|Open|Perimeter|(?:PrivateEndpoint|IP|Subnet|Trusted)/\d+) rule=(none|\d+)( would-deny)?$`)

// sourceForm is the form of a provenance line: label | sentence.
var sourceForm = regexp.MustCompile(`^(S[0-3]|Docs|ARM|observed|access|semantics §\d(?:\.\d)?) \| (\S.{9,})$`)

func checkWant(want string) error {
	m := wantForm.FindStringSubmatch(want)
	if m == nil {
		return fmt.Errorf("want line %q has not the form <verdict> <gate> <reason> admitted=<how> rule=<index>", want)
	}
	for r := NoToken; r <= ByFlag; r++ {
		if r.String() == m[3] {
			return nil
		}
	}
	return fmt.Errorf("unknown reason %q", m[3])
}

// TestCorpusIsStrict holds the reader to refusing what it does not know.
func TestCorpusIsStrict(t *testing.T) {
	const good = "S2 | Only IPv4 addresses are supported at this time.\nvault Enabled Deny None RBAC\nip 203.0.113.7\n" +
		"request SecretGet db as=alice from=203.0.113.7\nwant Deny permission NoAssignment admitted=IP/0 rule=none\n"
	if _, err := parseCase(good); err != nil {
		t.Fatalf("parseCase(good) = %v, want no error", err)
	}
	for _, c := range []struct{ old, new string }{
		{"S2 | Only IPv4 addresses are supported at this time.\n", ""},
		{"S2 | Only IPv4 addresses are supported at this time.", "S2 |"},
		{"S2 |", "S9 |"},
		{"S2 |", "hearsay |"},
		{"vault Enabled Deny None RBAC", "vault Enabled Deny None"},
		{"vault Enabled Deny None RBAC", "vault Enabled Deny None rbac"},
		{"vault Enabled Deny None RBAC", "vault Enabled Deny None RBAC tenant=elsewhere"},
		{"vault Enabled Deny None RBAC\n", ""},
		{"ip 203.0.113.7", "ip 203.0.113.300"},
		{"ip 203.0.113.7", "ipp 203.0.113.7"},
		{"ip 203.0.113.7", "subnet nowhere"},
		{"ip 203.0.113.7", "endpoint kv-pe approved"},
		{"ip 203.0.113.7", "trusted Nobody"},
		{"ip 203.0.113.7", "enabled enabledForDeployment Nobody"},
		{"ip 203.0.113.7", "enabled enabledForEverything Backup"},
		{"ip 203.0.113.7", "assign alice secrets-user nowhere"},
		{"ip 203.0.113.7", "assign alice no-such-role vault"},
		{"ip 203.0.113.7", "assign mallory secrets-user vault"},
		{"ip 203.0.113.7", "assign alice secrets-user vault sometimes"},
		{"ip 203.0.113.7", "assign alice secrets-user vault if nothing"},
		{"ip 203.0.113.7", "condition c 'a' StringEquals"},
		{"ip 203.0.113.7", "deny alice secrets-user vault unless bob"},
		{"ip 203.0.113.7", "policy alice secrets=get,fetch"},
		{"ip 203.0.113.7", "policy alice storage=get"},
		{"ip 203.0.113.7", "perimeter Maybe nsp"},
		{"ip 203.0.113.7", "perimeter-subscription nowhere"},
		{"ip 203.0.113.7", "role x data"},
		{"SecretGet db", "SecretFetch db"},
		{"as=alice", "as=mallory"},
		{"from=203.0.113.7", "from=nowhere"},
		{"from=203.0.113.7", ""},
		{"from=203.0.113.7", "from=203.0.113.7 in-a-hurry"},
		{"from=203.0.113.7", "from=203.0.113.7 token=Odd"},
		{"NoAssignment", "NoReason"},
		{"rule=none", "rule=none maybe"},
		{"want ", "wants "},
		{"admitted=IP/0", "admitted=IP"},
		{"request ", "request SecretGet db as=alice from=203.0.113.7\nrequest "},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("the good case does not hold %q", c.old)
		}
		if _, err := parseCase(strings.Replace(good, c.old, c.new, 1)); err == nil {
			t.Errorf("parseCase with %q for %q = no error, want one", c.new, c.old)
		}
	}
}
