package azcli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/conformance/lab"
)

// TestWordForWord holds the transcripts to the guides: every az command of
// a guide is in its transcript, or in the list of what comes later; and a
// command of a transcript that is not in the guide says so.
func TestWordForWord(t *testing.T) {
	later := strings.Split(strings.TrimSpace(read(t, "later")), "\n")
	t.Logf("note: az, not run, because postern does not have what they configure yet: %s", strings.Join(later, "; "))
	for _, number := range []string{"000", "001", "002", "003"} {
		guide := document(t, number)
		if guide == "" {
			t.Logf("note: the az commands are not compared with guide %s: it is neither in POSTERN_SHARED nor in ../shared", number)
			continue
		}
		ran := map[string]bool{}
		text := "" // guides without a transcript must have no command
		if slices.Contains(transcripts, "document-"+number) {
			text = read(t, "document-"+number)
		}
		for _, step := range parse(t, text) {
			command := plain(step.Command)
			ran[command] = true
			if !strings.HasPrefix(step.Comment, "not in the document") && !strings.Contains(plain(guide), command) {
				t.Errorf("the transcript has %q, and guide %s has not", command, number)
			}
		}
		for _, command := range invocations(guide) {
			if !ran[command] && !comesLater(later, command) {
				t.Errorf("guide %s has %q, and neither the transcript nor later.txt has it", number, command)
			}
		}
	}
}

func comesLater(later []string, command string) bool {
	_, command, _ = strings.Cut("$("+command, "$(az ")
	for _, l := range later {
		if strings.HasPrefix("az "+command, l) {
			return true
		}
	}
	return false
}

// invocations finds the commands of a guide that run az: lines that begin
// with it or assign what it prints, and the lines they go on in.
func invocations(guide string) []string {
	var all []string
	lines := strings.Split(guide, "\n")
	for i := 0; i < len(lines); i++ {
		command := lines[i]
		if !strings.HasPrefix(command, "az ") && !strings.Contains(command, "=$(az ") {
			continue
		}
		for (strings.HasSuffix(lines[i], `\`) || strings.Count(command, "'")%2 == 1) && i+1 < len(lines) {
			i++
			command += "\n" + lines[i]
		}
		all = append(all, plain(command))
	}
	return all
}

// plain is a command in one line.
func plain(command string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(command, "\\\n", " ")), " ")
}

func document(t *testing.T, number string) string {
	t.Helper()
	shared := os.Getenv("POSTERN_SHARED")
	if shared == "" {
		shared = filepath.Join(lab.Repository(t), "..", "shared")
	}
	files, err := filepath.Glob(filepath.Join(shared, "documents", number+"_*"))
	if err != nil || len(files) != 1 {
		return ""
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
