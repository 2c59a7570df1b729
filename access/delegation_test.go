package access

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// fewestDelegations is how many cases of delegation there are at least.
const fewestDelegations = 24

// delegated are the roles that cases write, by the GUIDs that conditions say.
var delegated = map[string]string{
	"secrets-user": "4633458b-17de-408a-b874-0445c86b69e6", "reader": "21090545-7ca7-4776-b22c-e363652d74d2", "owner": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
}

// delegation is one case of testdata/delegation: assignments, and one that
// somebody writes or deletes.
//
//	writes ROLE to PRINCIPAL TYPE as CALLER at SCOPE
//	deletes ROLE of PRINCIPAL TYPE as CALLER at SCOPE
//	want Allow|Deny REASON rule=N|none
type delegation struct {
	reader
	action, scope, want string
	caller              Caller
	written             Written
}

var writtenForm = regexp.MustCompile(`^(writes|deletes) (\S+) (?:to|of) (\S+) (\S+) as (\S+) at (\S+)$`)

func parseDelegation(text string) (*delegation, error) {
	d := &delegation{reader: reader{roles: map[string]*Role{}, said: map[string]*Condition{}}}
	d.c.rules = &Rules{ID: corpusVault, Name: "myvault"}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch m := writtenForm.FindStringSubmatch(line); {
		case line == "":
		case sourceForm.MatchString(line) && d.c.source == "":
			m := sourceForm.FindStringSubmatch(line)
			d.c.source, d.c.sentence = m[1], m[2]
		case m != nil && d.action == "":
			d.action = "Microsoft.Authorization/roleAssignments/" + map[string]string{"writes": "write", "deletes": "delete"}[m[1]]
			d.written = Written{Role: look(&d.reader, "role", m[2], delegated), Principal: d.principal(m[3]).String(), Type: m[4], Deleting: m[1] == "deletes"}
			d.one("type", m[4], "User", "Group", "ServicePrincipal", "unknown")
			if m[4] == "unknown" {
				d.written.Type = ""
			}
			d.caller, d.scope = look(&d.reader, "caller", m[5], corpusCallers), d.reader.scope(m[6])
		case word == "want" && d.want == "":
			d.want = rest
		case word == "role" || word == "condition" || word == "assign" || word == "deny":
			d.line(word, strings.Fields(rest))
		default:
			d.fail("unknown line %q", line)
		}
	}
	if d.c.source == "" || d.action == "" || d.want == "" {
		d.fail("a provenance, a writes or deletes line and a want line are needed")
	}
	return d, d.err
}

// outcome is what comes of a case.
func (d *delegation) outcome() string {
	got := NewAuthority(d.c.rules.Assignments, d.c.rules.DenyAssignments).AuthorizeAssignment(&d.caller, d.action, d.scope, d.written)
	verdict, rule := "Deny", "none"
	if got.Allowed() {
		verdict = "Allow"
	}
	if got.Rule != NoRule {
		rule = fmt.Sprint(got.Rule)
	}
	return fmt.Sprintf("%s %s rule=%s", verdict, got.Reason, rule)
}

// TestDelegationCorpus: who may assign which roles to whom, case by case,
// each with the sentence it comes from.
func TestDelegationCorpus(t *testing.T) {
	texts := map[string]string{"access": ownComments(t)}
	if files, _ := filepath.Glob(filepath.Join(sharedDir(), "reference/semantics.md")); len(files) == 1 {
		texts["semantics"] = squeeze(readText(t, files[0]))
	} else {
		t.Log("left out: the sentences of the reference were not looked up, it is not at hand (POSTERN_SHARED)")
	}
	files, err := filepath.Glob("testdata/delegation/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	count := 0
	for _, f := range files {
		archive, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range archive.Files {
			name := strings.TrimSuffix(filepath.Base(f), ".txtar") + ":" + part.Name
			count++
			d, err := parseDelegation(string(part.Data))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := d.outcome(); got != d.want {
				t.Errorf("%s: AuthorizeAssignment = %s, want %s (%s: %s)", name, got, d.want, d.c.source, d.c.sentence)
			}
			label, _, _ := strings.Cut(d.c.source, " ")
			for _, piece := range strings.Split(d.c.sentence, "…") {
				if text, ok := texts[label]; ok && !strings.Contains(text, squeeze(piece)) {
					t.Errorf("%s: %s does not say %q", name, d.c.source, piece)
				}
			}
		}
	}
	if count < fewestDelegations {
		t.Errorf("%d cases, want %d or more", count, fewestDelegations)
	}
}

// TestDelegationIsStrict holds the reader to refusing what it does not know.
func TestDelegationIsStrict(t *testing.T) {
	const good = "access | Deny assignments come first\nassign alice owner vault\nwrites owner to bob User as alice at vault\nwant Allow ByAssignment rule=0\n"
	if _, err := parseDelegation(good); err != nil {
		t.Fatalf("parseDelegation(good) = %v, want no error", err)
	}
	for _, c := range []struct{ old, new string }{
		{"access | Deny assignments come first\n", ""}, {"writes owner to bob User as alice at vault\n", ""}, {"want Allow ByAssignment rule=0\n", ""},
		{"writes owner", "writes emperor"}, {"bob", "mallory"}, {"User", "Robot"}, {"as alice", "as mallory"}, {"at vault", "at nowhere"},
		{"assign alice owner vault", "policy alice secrets=get"}, {"assign alice owner vault", "assign alice owner vault if nothing"},
	} {
		if _, err := parseDelegation(strings.Replace(good, c.old, c.new, 1)); err == nil {
			t.Errorf("parseDelegation with %q for %q = no error", c.new, c.old)
		}
	}
}
