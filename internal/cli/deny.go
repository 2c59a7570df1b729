package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"postern/internal/operator"
)

// newDenyCommand is postern directory deny: deny assignments, which clients
// of the control plane can read and not write.
func newDenyCommand(w *world) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deny",
		Short:   "Deny assignments: what nobody may, whatever roles say",
		Example: "  postern directory deny add keep-out --scope /subscriptions/… --data-actions '*'",
	}
	cmd.AddCommand(newDenyAddCommand(w), newDenyRemoveCommand(w))
	return cmd
}

func newDenyAddCommand(w *world) *cobra.Command {
	var data, output string
	var in operator.Deny
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a deny assignment; without --principals it denies everybody",
		Long: `Make a deny assignment at a scope: a resource, a subscription, a management
group or the root of a tenant ("/"). It comes before every role assignment. In
the cloud such assignments are made by the platform; az and Terraform read them.`,
		Example: "  postern directory deny add keep-out --scope /subscriptions/…/vaults/kv1 --data-actions '*' --exclude 91d2…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return usage(fmt.Errorf("unknown form %q", output), "--output text or json")
			}
			in.Name = args[0]
			made, err := operatorClient(data, "directory deny add").Deny(cmd.Context(), in)
			if err != nil {
				return operatorFailure(err, data)
			}
			if output == "json" {
				return printJSON(w, made)
			}
			fmt.Fprintf(w.stdout, "%s is denied at %s: %s\n", in.Name, in.Scope, made.Name)
			return nil
		},
	}
	dataFlag(cmd, w, &data)
	outputFlag(cmd, &output, "text", "json")
	flags := cmd.Flags()
	flags.StringVar(&in.Scope, "scope", "", "where it stands: an ARM id, or \"/\"")
	flags.StringVar(&in.Tenant, "tenant", "", "tenant of \"/\" and of management groups, id or domain (default the administrator's)")
	flags.StringSliceVar(&in.Actions, "actions", nil, "actions of the control plane that are denied")
	flags.StringSliceVar(&in.NotActions, "not-actions", nil, "actions that are left out of these")
	flags.StringSliceVar(&in.DataActions, "data-actions", nil, "actions of the data plane that are denied")
	flags.StringSliceVar(&in.NotDataActions, "not-data-actions", nil, "actions that are left out of these")
	flags.StringSliceVar(&in.Principals, "principals", nil, "object ids of whom it denies (default everybody)")
	flags.StringSliceVar(&in.Exclude, "exclude", nil, "object ids of whom it does not deny")
	return cmd
}

func newDenyRemoveCommand(w *world) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "remove ID",
		Short:   "Take a deny assignment away, by the id that add told",
		Example: "  postern directory deny remove 91d2…",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			gone, err := operatorClient(data, "directory deny remove").RemoveDeny(cmd.Context(), args[0])
			if err != nil {
				return operatorFailure(err, data)
			}
			fmt.Fprintf(w.stdout, "%s no longer denies anything\n", gone.Name)
			return nil
		},
	}
	dataFlag(cmd, w, &data)
	return cmd
}
