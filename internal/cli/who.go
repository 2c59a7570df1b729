package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/iac"
	"postern/internal/iac/live"
	"postern/internal/posture/who"
	"postern/internal/profile"
	"postern/internal/server"
)

// whoOptions are the flags of postern who.
type whoOptions struct {
	remote
	vault, object, do, output string
	expect                    []string
	strict                    bool // --expect was given
}

// newWhoCommand is postern who.
func newWhoCommand(w *world) *cobra.Command {
	var o whoOptions
	cmd := &cobra.Command{
		Use:   "who --vault V [--object NAME] [FILE… | --server URL | --data DIR]",
		Short: "Tell who reaches the objects of a vault, and who could by writing configuration",
		Long: `Who names every principal that reaches the objects of a vault now, and every
one that could let itself, or somebody of its choice, in by writing configuration:
the vault's tenant, its permission model, its access policies, its network and its
perimeter, role assignments and custom roles, an administrator's access to every
subscription, the management group, a private endpoint, a template deployment; and by
acting as somebody else: an identity given to a resource or made to trust an issuer,
the resource that has it, a group or an application that one owns, a password. Each
comes with its steps, the action that each step needs, what would stop it, and from
where the objects can be reached afterwards. docs/who.md says what is not searched.

The answer is what the server's own decision says of the configuration as it would
be after each step. Nothing is written. A group stands for each of its members; a
principal that the directory does not know may be the identity of a trusted service.
Of files the directory is not known: groups, owners and administrators are read of a
server alone.

With --expect the exit code is 1 when somebody else is found than the principals it
names, and 0 when not; it is 2 when that cannot be told.`,
		Example: `  postern who --data ./data --vault myvault --object db
  az keyvault show --name myvault | postern who - roles.json
  postern who --data ./data --vault myvault --expect my-app --expect postern-admin`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.strict = cmd.Flags().Changed("expect")
			return w.who(cmd.Context(), args, &o)
		},
	}
	flags := cmd.Flags()
	o.remote.flags(flags)
	flags.StringVar(&o.vault, "vault", "", "name of the vault; not needed when only one is read")
	flags.StringVar(&o.object, "object", "", "name of the secret, key or certificate; any when not given")
	flags.StringVar(&o.do, "do", "secrets/get", "what counts as reaching: secrets/get, KeyDecrypt, or a data action")
	flags.StringSliceVar(&o.expect, "expect", nil, "object id, application id or name of a principal that may; may be repeated")
	outputFlag(cmd, &o.output, "text", "json")
	return cmd
}

// who reads, asks and prints.
func (w *world) who(ctx context.Context, args []string, o *whoOptions) error {
	q, err := o.question(args)
	if err != nil {
		return err
	}
	var resources []*iac.Resource
	var notes []string
	var groups []live.Descendant
	if o.isSet() {
		resources, groups, notes, err = w.whoServer(ctx, o, &q)
	} else {
		resources, err = w.whoFiles(args)
	}
	if err != nil {
		return err
	}
	services, err := o.services()
	if err != nil {
		return err
	}
	list, err := whoEstate(resources, groups)
	if err != nil {
		return err
	}
	options := estateOptions(services)
	snapshot, problems := estate.New(list, options)
	name, err := whoVault(snapshot, o.vault)
	if err != nil {
		return err
	}
	for _, p := range problems {
		if typ := p.Resource.Type; strings.EqualFold(typ, estate.TypeRoleAssignment) || strings.EqualFold(p.Resource.Name, name) {
			notes = append(notes, fmt.Sprintf("%s, %s: %s", p.Resource.ID, p.Path, p.Message))
		}
	}
	if !o.isSet() && !slices.ContainsFunc(list, func(r *estate.Resource) bool { return strings.EqualFold(r.Type, estate.TypeRoleAssignment) }) {
		notes = append(notes, "no role assignment was read, so nobody is known who may write configuration: add the output of az role assignment list --all")
	}
	answer, err := who.Ask(snapshot, name, q, options)
	if err != nil {
		return usage(err, "")
	}
	view := whoView{answer, q, notes, o}
	if err := view.write(w, o.output); err != nil {
		return usage(fmt.Errorf("writing the answer: %w", err), "")
	}
	if o.strict && len(view.unexpected()) > 0 {
		return silent(ExitFindings)
	}
	return nil
}

// question makes the question of the flags.
func (o *whoOptions) question(args []string) (q who.Question, err error) {
	switch {
	case o.output != "text" && o.output != "json":
		return q, usage(fmt.Errorf("unknown form %q", o.output), "--output text or json")
	case len(args) == 0 && !o.isSet():
		return q, usage(errors.New("no configuration was named"), "name the files to read, - for the standard input, or --server URL")
	case len(args) > 0 && o.isSet():
		return q, usage(errors.New("files and a server were both named"), "ask them one after the other")
	}
	if q.Operation, err = parseOperation(o.do); err != nil {
		return q, err
	}
	q.Object, err = parseObject(o.object, q.Operation)
	return q, err
}

// services names the list of trusted services.
func (o *whoOptions) services() (string, error) {
	list := profile.Azure().TrustedServices
	if o.data == "" {
		return list, nil
	}
	info, err := server.ReadInfo(o.data)
	if err != nil {
		return "", usage(err, "")
	}
	if p, ok := profile.Named(info.Profile); ok {
		list = p.TrustedServices
	}
	return list, nil
}

func (w *world) whoFiles(args []string) ([]*iac.Resource, error) {
	s := &source{world: w, progress: w.progress(), networks: true}
	for _, path := range args {
		s.add(path)
	}
	s.progress("")
	if len(s.failures) > 0 {
		return nil, usage(s.failures[0], sourceHint(s.failures[0]))
	}
	return s.resources, nil
}

// whoEstate is what was read as resources of an estate. A value that could
// not be read may be what lets somebody in, so that it cannot be left out.
func whoEstate(resources []*iac.Resource, groups []live.Descendant) ([]*estate.Resource, error) {
	var list []*estate.Resource
	for _, r := range resources {
		body, unread := r.Body.JSON()
		matters := r.Type == iac.TypeVault || r.Type == iac.TypeRoleAssignment
		if matters && len(unread) > 0 {
			return nil, usage(fmt.Errorf("%s: %s is not known: %s", unread[0].Node.At, strings.TrimPrefix(unread[0].Path, "."), unread[0].Node.Why),
				"who needs the configuration as it is deployed: az keyvault show, az role assignment list --all")
		}
		if r.ID == "" {
			if r.Type == iac.TypeVault {
				return nil, usage(fmt.Errorf("%s: the vault has no id", r.Body.At), "az keyvault show prints it whole")
			}
			continue
		}
		if !strings.EqualFold(r.Type, estate.TypeSubscription) || r.Body.Get("tenantId").Text != "" {
			list = append(list, &estate.Resource{ID: r.ID, Type: r.Type, Name: r.ID[strings.LastIndexByte(r.ID, '/')+1:],
				Location: r.Body.Get("location").Text, Body: body, Source: r.Body.At.String()})
		}
	}
	return underGroups(list, groups), nil
}

// whoVault finds the vault of the flag, or the only one there is.
func whoVault(s *estate.Snapshot, name string) (string, error) {
	vaults := s.Vaults()
	var names []string
	for _, v := range vaults {
		if iac.SameFold(v.Resource.Name, name) || iac.SameFold(v.Resource.ID, name) || name == "" && len(vaults) == 1 {
			return strings.ToLower(v.Resource.Name), nil
		}
		names = append(names, v.Resource.Name)
	}
	switch {
	case len(vaults) == 0:
		return "", usage(errors.New("no vault was read"), "")
	case name == "":
		return "", usage(fmt.Errorf("%d vaults were read", len(vaults)), "--vault names one of them")
	}
	return "", usage(fmt.Errorf("%w: %q", who.ErrNoVault, name), "there is "+strings.Join(names[:min(8, len(names))], ", "))
}

// isExpected reports whether --expect names a principal.
func (o *whoOptions) isExpected(p *who.Principal) bool {
	return slices.ContainsFunc(o.expect, func(text string) bool {
		id, err := access.ParseGUID(text)
		return err == nil && !id.IsZero() && (id == p.Object || id == p.App) || p.Name != "" && p.Name == text
	})
}
