package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"postern/internal/journal"
)

func newJournalCommand(w *world) *cobra.Command {
	cmd := &cobra.Command{Use: "journal", Short: "Look after the audit journal"}
	cmd.AddCommand(newJournalVerifyCommand(w))
	return cmd
}

func newJournalVerifyCommand(w *world) *cobra.Command {
	var data, output string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that no record was altered, removed or reordered",
		Long: `Walk the hash chain over all files of the journal. The exit code is 0 when it
holds and 1 when a line was altered, removed or reordered, the end was cut off,
or a file is missing. It can run beside the server.`,
		Example: "  postern journal verify --data ./data",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usage(fmt.Errorf("unknown form %q", output), "--output text or json")
			}
			report, err := journal.Verify(filepath.Join(data, "journal"))
			if err != nil {
				return usage(err, "name the data folder with --data")
			}
			if output == "json" {
				enc := json.NewEncoder(w.stdout)
				enc.SetIndent("", "  ")
				if err := enc.Encode(report); err != nil {
					return failure(err, "")
				}
			} else {
				fmt.Fprintln(w.stdout, report)
			}
			if !report.OK() {
				return silent(ExitFindings)
			}
			return nil
		},
	}
	dataFlag(cmd, w, &data)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}
