package azcli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
	"postern/conformance/transcript"
)

// The transcripts, in the order in which they run.
var transcripts = []string{"document-000", "document-003", "connections", "more", "keys", "certificates", "authorization"}

func TestRecipeA(t *testing.T) {
	t.Parallel()
	recipe(t, lab.Private, "recipe-a")
}

func TestRecipeB(t *testing.T) {
	t.Parallel()
	recipe(t, lab.Public, "recipe-b")
}

// recipe runs all transcripts in one shell against a server of its own.
func recipe(t *testing.T, family lab.Family, login string) {
	programs := lab.Python(t, "az", "requirements.txt")
	p := lab.Start(t)
	c := p.Client(t, family)
	c.Set("PATH", programs+":"+filepath.Dir(lab.Program(t))+":"+c.Get("PATH"))
	for name, value := range map[string]string{
		"DATA": p.Data, "CICD_IP": "192.0.2.7",
		"AZURE_CONFIG_DIR": filepath.Join(t.TempDir(), "azure"), "AZURE_CORE_COLLECT_TELEMETRY": "false",
		"AZURE_CORE_NO_COLOR": "true", "AZURE_CORE_ONLY_SHOW_ERRORS": "true", "AZURE_CORE_DISABLE_PROGRESS_BAR": "true",
		"AZURE_CORE_LOGIN_EXPERIENCE_V2": "false", "AZURE_EXTENSION_DIR": filepath.Join(t.TempDir(), "extensions"),
	} {
		c.Set(name, value)
	}
	bash := c.Command(t.Context(), "bash", transcript.Arguments...)
	bash.Dir = t.TempDir()
	shell, err := transcript.Open(bash, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	for _, step := range parse(t, read(t, login)+"\n"+read(t, "prepare")) {
		if err := run(t, shell, step); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range transcripts {
		for _, step := range parse(t, read(t, name)) {
			t.Run(fmt.Sprintf("%s line %d %s", name, step.Line, title(step)), func(t *testing.T) {
				if err := run(t, shell, step); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// run runs one command. The az CLI imports its modules in two threads, and
// now and then they lock each other out before any request was sent: that
// is not postern's, and the command is run again.
func run(t *testing.T, shell *transcript.Shell, step transcript.Step) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for attempt := 1; ; attempt++ {
		result, err := shell.Run(ctx, step.Command)
		if err != nil {
			return err
		}
		race := strings.Contains(result.Stderr, "_DeadlockError") || strings.Contains(result.Stderr, "partially initialized module")
		if err = step.Check(result); err == nil || !race || attempt == 4 {
			return err
		}
		t.Logf("note: az lost its import race, running it again: %s", title(step))
	}
}

// title is the command's first words.
func title(step transcript.Step) string {
	words := strings.Fields(strings.ReplaceAll(step.Command, `\`, ""))
	return strings.Join(words[:min(len(words), 9)], " ")
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t *testing.T, text string) []transcript.Step {
	t.Helper()
	steps, err := transcript.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
