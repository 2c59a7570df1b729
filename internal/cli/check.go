package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/access"
	"postern/internal/iac"
	"postern/internal/posture"
	"postern/internal/posture/report"
)

// checkOptions are the flags of postern check.
type checkOptions struct {
	remote
	output, config, tenant string
	strict, fix, list      bool
}

// newCheckCommand is postern check.
func newCheckCommand(w *world) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check PATH… | --server URL | --data DIR",
		Short: "Check the configuration of vaults",
		Long: `Check asks the built-in checks of every vault that it finds in ARM templates,
exports, the output of az ("-" is the standard input), or on a running server.

Each answer is fail, pass, accepted (by an entry of .postern.yaml, with an
owner, a reason and an end), or "cannot tell" when a value is decided elsewhere.

Entries of .postern.yaml, of which the nearest in the folder of a file or above
it counts:

  accepted:
    - check: keyvault_notrustedservices
      vault: my-vault        # name or ARM id; or file: path of the document
      owner: platform team
      reason: reached by private endpoints alone
      until: 2027-03-31      # the last day on which it counts

The exit code is 0 when nothing was found, 1 when something was, and 2 when
something could not be read. With --strict a "cannot tell" counts as found.`,
		Example: `  postern check infra/
  az keyvault show --name myvault | postern check -
  postern check --server https://management.postern.localhost:8443 --output sarif`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return w.check(cmd.Context(), args, &o) },
	}
	flags := cmd.Flags()
	o.remote.flags(flags)
	outputFlag(cmd, &o.output, report.Formats...)
	flags.StringVar(&o.config, "config", "", "file of accepted findings, instead of the "+posture.FileName+" found upward from each path")
	flags.StringVar(&o.tenant, "tenant", "", "tenant of the subscriptions, where the input does not say it")
	flags.BoolVar(&o.strict, "strict", false, "count \"cannot tell\" as found")
	flags.BoolVar(&o.fix, "fix", false, "show for each finding what changes it: az, Terraform, Bicep")
	flags.BoolVar(&o.list, "list", false, "list the built-in checks and end")
	return cmd
}

// validate looks at the flags before anything is read.
func (o *checkOptions) validate(args []string) error {
	switch {
	case !slices.Contains(report.Formats, o.output):
		return usage(fmt.Errorf("unknown form %q", o.output), "--output "+strings.Join(report.Formats, ", "))
	case len(args) == 0 && !o.isSet():
		return usage(errors.New("nothing to check was named"), "name files or folders, - for the standard input, or --server URL")
	case len(args) > 0 && o.isSet():
		return usage(errors.New("paths and a server were both named"), "check them one after the other")
	}
	if _, err := access.ParseGUID(o.tenant); o.tenant != "" && err != nil {
		return usage(fmt.Errorf("--tenant %q is not a GUID", o.tenant), "az account show --query tenantId prints it")
	}
	return nil
}

func (w *world) check(ctx context.Context, args []string, o *checkOptions) error {
	if o.list {
		for _, check := range posture.Checks() {
			fmt.Fprintf(w.stdout, "%-30s  %-6s  %s\n", check.ID, check.Severity, check.Title)
		}
		return nil
	}
	if err := o.validate(args); err != nil {
		return err
	}
	accepted, err := newAcceptances(o.config)
	if err != nil {
		return err
	}
	resources, failures, err := w.gather(ctx, args, &o.remote)
	if err != nil {
		return err
	}
	return w.answer(resources, failures, accepted, o)
}

// gather reads the resources; failures are inputs that could not be read,
// while others were.
func (w *world) gather(ctx context.Context, args []string, o *remote) ([]*iac.Resource, []error, error) {
	if o.isSet() {
		client, err := w.connect(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		defer client.Close()
		resources, err := client.Vaults(ctx)
		w.progress()("")
		if err != nil {
			return nil, nil, usage(err, "")
		}
		return resources, nil, nil
	}
	s := &source{world: w, progress: w.progress()}
	for _, path := range args {
		s.add(path)
	}
	s.progress("")
	return s.resources, s.failures, nil
}

// answer asks the checks and reports.
func (w *world) answer(resources []*iac.Resource, failures []error, accepted *acceptances, o *checkOptions) error {
	vaults := posture.Vaults(resources)
	if vaults == 0 && len(failures) == 0 {
		return usage(errors.New("no vault was found, so nothing was checked"), "az keyvault show prints a vault in a form that is understood")
	}
	findings := posture.Run(resources, posture.Options{Tenant: strings.ToLower(o.tenant), Accepted: accepted.of, Today: time.Now()})
	if accepted.err != nil {
		return usage(accepted.err, "every accepted finding has a check, a vault or a file, an owner, a reason and a day until which it counts")
	}
	r := &report.Report{Findings: findings, Vaults: vaults, Strict: o.strict, Fix: o.fix, Color: w.colour(w.stdout)}
	if vaults > 0 {
		if err := r.Write(w.stdout, o.output); err != nil {
			return usage(fmt.Errorf("writing the report: %w", err), "")
		}
	}
	accepted.obsolete(w)
	if len(failures) > 0 {
		for _, err := range failures[:len(failures)-1] {
			w.complain(err, "")
		}
		last := failures[len(failures)-1]
		return usage(last, sourceHint(last))
	}
	if !r.Clean() {
		return silent(ExitFindings)
	}
	return nil
}

// sourceHint says what to do about an input that could not be read.
func sourceHint(err error) string {
	if errors.Is(err, errNotRead) {
		return "bicep build makes an ARM template of a Bicep file; az keyvault show prints the vault as it is"
	}
	return ""
}
