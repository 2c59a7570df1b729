// Package cli is the commands of postern, one file each.
//
// What a person reads goes by these rules: results go to standard output,
// everything else to standard error; an error is "postern: error: …", what to
// do about it a line "postern: hint: …" below; neither has a capital at the
// start or a full stop at the end; colour only on a terminal, and not when
// NO_COLOR is set. Every command that prints results has --output json.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// Version is the version of the program, set when it is built.
var Version = "0.1.0-dev"

// The exit codes of all commands.
const (
	ExitOK       = 0
	ExitFindings = 1 // check found something; any command failed
	ExitUsage    = 2 // the command line, or what it names, cannot be used
	ExitDenied   = 3 // explain: the request would be refused
)

// world is what a command may touch outside itself.
type world struct {
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	w := &world{env, stdin, stdout, stderr}
	root := newRootCommand(w)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		// What is left are cobra's own complaints about the command line.
		exit = &exitError{code: ExitUsage, err: err}
	}
	if exit.err != nil {
		fmt.Fprintf(stderr, "postern: error: %v\n", exit.err)
	}
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(stderr, "postern: hint: %s\n", hint)
	}
	return exit.code
}

func newRootCommand(w *world) *cobra.Command {
	root := &cobra.Command{
		Use:           "postern",
		Short:         "A Key Vault that anyone can run, and that enforces and explains the whole access path",
		Version:       Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("postern {{.Version}}\n")
	root.AddCommand(newServeCommand(w), newEnvCommand(w), newStatusCommand(w), newExplainCommand(w), newWhoCommand(w), newMigrateCommand(w), newCheckCommand(w),
		newJournalCommand(w), newPlatformCommand(w), newVantageCommand(w), newDirectoryCommand(w), newIdentityCommand(w), newSyncCommand(w))
	return root
}

// variable looks a variable of the environment up; the last setting counts.
func (w *world) variable(name string) (string, bool) {
	for i := len(w.env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(w.env[i], name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// colour reports whether what is written may be coloured.
func (w *world) colour(to io.Writer) bool {
	if no, _ := w.variable("NO_COLOR"); no != "" {
		return false
	}
	return isTerminal(to)
}

// isTerminal reports whether a writer is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// dataFlag adds the flag that names the data folder.
func dataFlag(cmd *cobra.Command, w *world, target *string) {
	folder := "postern-data"
	if set, ok := w.variable("POSTERN_DATA"); ok && set != "" {
		folder = set
	}
	cmd.Flags().StringVar(target, "data", folder, "data folder (environment: POSTERN_DATA)")
}

// outputFlag adds the flag that chooses the form of the results.
func outputFlag(cmd *cobra.Command, target *string, forms ...string) {
	cmd.Flags().StringVarP(target, "output", "o", forms[0], "form of the output: "+strings.Join(forms, ", "))
}
