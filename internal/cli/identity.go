package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newIdentityCommand(w *world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "Managed identities of programs",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newIdentityEnvCommand(w))
	return cmd
}

func newIdentityEnvCommand(w *world) *cobra.Command {
	data := ""
	cmd := &cobra.Command{
		Use:   "env SITE",
		Short: "Print the variables by which the programs of a site get their tokens",
		Long: `Print the variables by which the programs of a site (the ARM id of a resource
Microsoft.Web/sites) get the tokens of its managed identities, as commands for
a shell: IDENTITY_ENDPOINT and IDENTITY_HEADER, which the shell reads from a
file that only its owner can read. They work at the addresses that the site
declares in properties.postern.addresses, and nowhere else.`,
		Example: "  eval \"$(postern identity env /subscriptions/…/providers/Microsoft.Web/sites/app)\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			env, err := operatorClient(data, "identity env").Site(cmd.Context(), args[0])
			if err != nil {
				return operatorFailure(err, data)
			}
			dir, err := filepath.Abs(filepath.Join(data, "identity"))
			if err != nil {
				return failure(err, "")
			}
			file := filepath.Join(dir, slug(args[0])+".header")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return failure(err, "")
			}
			if err := writePrivate(file, []byte(env.Header)); err != nil {
				return failure(err, "")
			}
			sh := shells["sh"]
			fmt.Fprintf(w.stdout, sh.set, "IDENTITY_ENDPOINT", quote(env.Endpoint))
			fmt.Fprintf(w.stdout, sh.file, "IDENTITY_HEADER", quote(file))
			return nil
		},
	}
	dataFlag(cmd, w, &data)
	return cmd
}
