package readme

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
	"postern/conformance/transcript"
)

// A block is a fenced block of the README whose language is console. All
// blocks run in one shell in a copy of the repository, in their order. With
// the word "server" behind the language the block's last command is one
// that does not end: it goes on in the background once its output is what
// the block shows.
type block struct {
	line   int
	server bool
	text   string
}

func blocks(markdown string) []block {
	var all []block
	var open *block
	for i, line := range strings.Split(markdown, "\n") {
		language, fence := strings.CutPrefix(line, "```")
		words := strings.Fields(language)
		switch {
		case open != nil && fence:
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line + "\n"
		case fence:
			open = &block{line: i + 1}
			if len(words) == 0 || words[0] != "console" {
				open.line = 0
			}
			open.server = len(words) > 1 && words[1] == "server"
		}
	}
	kept := all[:0]
	for _, b := range all {
		if b.line > 0 {
			kept = append(kept, b)
		}
	}
	return kept
}

func TestBlocks(t *testing.T) {
	got := blocks("a\n```console\n$ b\n```\n```go\n$ no\n```\n```console server\n$ c\nd\n```\n")
	want := []block{{2, false, "$ b\n"}, {8, true, "$ c\nd\n"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("blocks(...) = %v, want %v", got, want)
	}
}

// TestReadme runs the README's transcript on the ports that it names.
func TestReadme(t *testing.T) {
	lab.Tool(t, "curl", "curl")
	root := lab.Repository(t)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := blocks(string(text))
	if len(all) == 0 {
		t.Fatal("README.md has no console block")
	}
	for _, address := range []string{"127.0.0.1:8443", "127.0.0.1:8442"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatalf("the README's address is taken on this machine: %v", err)
		}
		l.Close()
	}
	shell := open(t, root)
	defer shell.Close()
	for _, b := range all {
		steps, err := transcript.Parse(b.text)
		if err != nil {
			t.Fatalf("README.md line %d: %v", b.line, err)
		}
		for i, step := range steps {
			t.Run(fmt.Sprintf("line %d %s", b.line+step.Line, firstLine(step.Command)), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				if b.server && i == len(steps)-1 {
					serve(ctx, t, shell, step)
					return
				}
				result, err := shell.Run(ctx, step.Command)
				if err == nil {
					err = step.Check(result)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// open starts the shell of a fresh user in a copy of the repository.
func open(t *testing.T, root string) *transcript.Shell {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "postern")
	if err := copyTree(root, dir); err != nil {
		t.Fatal(err)
	}
	bash := exec.Command("bash", transcript.Arguments...)
	bash.Dir = dir
	for _, name := range []string{"HOME", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS"} {
		if v := os.Getenv(name); v != "" {
			bash.Env = append(bash.Env, name+"="+v)
		}
	}
	bash.Env = append(bash.Env, "LANG=C.UTF-8", "PATH="+filepath.Dir(lab.Program(t))+":"+os.Getenv("PATH"))
	shell, err := transcript.Open(bash, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return shell
}

// serve runs a command in the background until its standard output is what
// the transcript shows; its log is not compared.
func serve(ctx context.Context, t *testing.T, shell *transcript.Shell, step transcript.Step) {
	t.Helper()
	dir := t.TempDir()
	if _, err := shell.Run(ctx, "{ "+step.Command+"\n} >'"+dir+"/out' 2>'"+dir+"/log' &"); err != nil {
		t.Fatal(err)
	}
	var err error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		printed, _ := os.ReadFile(dir + "/out")
		if err = transcript.Match(step.Want, string(printed)); err == nil && len(printed) > 0 {
			return
		}
	}
	log, _ := os.ReadFile(dir + "/log")
	t.Errorf("$ %s\n%v\nits log:\n%s", step.Command, err, log)
}

// copyTree copies the files of a repository without what was made in it.
func copyTree(from, to string) error {
	made := map[string]bool{".git": true, "bin": true, "data": true, "node_modules": true}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, relative); {
		case d.IsDir() && made[relative]:
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case d.Type().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			return os.WriteFile(target, text, info.Mode().Perm())
		}
		return nil
	})
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
