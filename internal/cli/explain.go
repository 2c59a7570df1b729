package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/iac"
	"postern/internal/iac/live"
	"postern/internal/posture"
	"postern/internal/roles"
)

// explainOptions are the flags of postern explain.
type explainOptions struct {
	remote
	vault, from, as, do, object, tenant, output string
	groups                                      []string
}

// newExplainCommand is postern explain.
func newExplainCommand(w *world) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain --vault V --from IP --as PRINCIPAL --do OPERATION [FILE… | --server URL | --data DIR]",
		Short: "Tell what would become of one request, gate by gate, and why",
		Long: `Explain puts one request to the decision of a vault and prints what each gate
says of it, in their order: the rule that decides and where it stands, the exact
answer that the client would get, and the command that changes it. Nothing is
sent to the vault.

The vault is read from ARM templates, exports and the output of az ("-" is the
standard input), or from a running server. Roles need the role assignments as
well: az role assignment list --all.

The exit code is 0 when the request would be served, 3 when it would be refused,
and 2 when that cannot be told or something could not be read.`,
		Example: `  postern explain --data ./data --vault myvault --from 203.0.113.7 --as postern-admin --do secrets/get --object db
  az keyvault show --name myvault | postern explain --from 203.0.113.7 --as 3f0c… --do secrets/get -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return w.explain(cmd.Context(), args, &o) },
	}
	flags := cmd.Flags()
	o.remote.flags(flags)
	flags.StringVar(&o.vault, "vault", "", "name of the vault; not needed when only one is read")
	flags.StringVar(&o.from, "from", "", "address that the request comes from (IPv4 or IPv6)")
	flags.StringVar(&o.as, "as", "", "who asks: object id; with a server also application id or display name")
	flags.StringVar(&o.do, "do", "", "operation: secrets/get, SecretGet, or a data action")
	flags.StringVar(&o.object, "object", "", "name of the secret, key or certificate")
	flags.StringVar(&o.tenant, "tenant", "", "tenant of the caller; the vault's when not given")
	flags.StringSliceVar(&o.groups, "group", nil, "object id of a group of the caller; may be repeated")
	outputFlag(cmd, &o.output, "text", "json")
	return cmd
}

// explain reads, asks and prints.
func (w *world) explain(ctx context.Context, args []string, o *explainOptions) error {
	question, err := o.question(args)
	if err != nil {
		return err
	}
	who := asker{}
	var resources []*iac.Resource
	if o.isSet() {
		resources, who, err = w.askServer(ctx, o)
	} else {
		resources, who, err = w.askFiles(args, o)
	}
	if err != nil {
		return err
	}
	question.Request.Caller.Object, question.Request.Caller.App = who.object, who.app
	if !who.tenant.IsZero() && !question.TenantKnown {
		question.Request.Caller.Tenant, question.TenantKnown = who.tenant, true
	}
	question.Whole = o.isSet()
	e, err := posture.Explain(resources, question, estateOptions())
	if err != nil {
		return usage(err, "--vault names one of the vaults that were read")
	}
	e.Notes = append(e.Notes, who.notes...)
	view := explained{e, who.name}
	if err := view.write(w, o.output); err != nil {
		return usage(fmt.Errorf("writing the explanation: %w", err), "")
	}
	switch e.Outcome {
	case posture.Served:
		return nil
	case posture.Refused:
		return silent(ExitDenied)
	}
	return silent(ExitUsage)
}

// estateOptions are what an estate read from elsewhere is compiled with.
func estateOptions() estate.Options {
	return estate.Options{Role: func(guid string) (*access.Role, bool) {
		d, ok := roles.ByName(strings.ToLower(guid))
		if !ok {
			return nil, false
		}
		return d.Role(), true
	}}
}

// question makes the request of the flags.
func (o *explainOptions) question(args []string) (posture.Question, error) {
	q := posture.Question{Vault: o.vault}
	switch {
	case o.output != "text" && o.output != "json":
		return q, usage(fmt.Errorf("unknown form %q", o.output), "--output text or json")
	case len(args) == 0 && !o.isSet():
		return q, usage(errors.New("no configuration was named"), "name the files to read, - for the standard input, or --server URL")
	case len(args) > 0 && o.isSet():
		return q, usage(errors.New("files and a server were both named"), "ask them one after the other")
	case o.from == "" || o.as == "" || o.do == "":
		return q, usage(errors.New("--from, --as and --do are needed"), "for example --from 203.0.113.7 --as OBJECT-ID --do secrets/get")
	}
	addr, err := parseFrom(o.from)
	if err != nil {
		return q, err
	}
	q.Request.Origin = access.Origin{Path: access.PathPublic, Addr: addr}
	if q.Request.Operation, err = parseOperation(o.do); err != nil {
		return q, err
	}
	if q.Request.Object, err = parseObject(o.object, q.Request.Operation); err != nil {
		return q, err
	}
	q.Request.Caller.Token = access.TokenValid
	if q.TenantKnown = o.tenant != ""; q.TenantKnown {
		if q.Request.Caller.Tenant, err = access.ParseGUID(o.tenant); err != nil {
			return q, usage(fmt.Errorf("--tenant %q is not a GUID", o.tenant), "az account show --query tenantId prints it")
		}
	}
	for _, g := range o.groups {
		group, err := access.ParseGUID(g)
		if err != nil {
			return q, usage(fmt.Errorf("--group %q is not a GUID", g), "az ad group show --group NAME --query id prints it")
		}
		q.Request.Caller.Groups = append(q.Request.Caller.Groups, group)
	}
	return q, nil
}

// parseFrom reads --from. The other kinds of place have their words
// already, so that nobody takes them for host names.
func parseFrom(text string) (netip.Addr, error) {
	for _, kind := range []string{"subnet:", "endpoint:", "service:"} {
		if strings.HasPrefix(text, kind) {
			return netip.Addr{}, usage(fmt.Errorf("--from %s… cannot be explained in this version", kind), "--from takes an address: 203.0.113.7, 2001:db8::7")
		}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, usage(fmt.Errorf("--from %q is not an address", text), "one IPv4 or IPv6 address without range and zone: 203.0.113.7, 2001:db8::7")
	}
	return addr.Unmap(), nil
}

// maxObject is how long the name of an object may be (semantics §6).
const maxObject = 127

// parseObject reads --object for an operation.
func parseObject(name string, o access.Operation) (string, error) {
	if name == "" {
		return "", nil
	}
	if !o.Info().Named {
		return "", usage(fmt.Errorf("%s is asked of the whole vault, not of --object %q", o, name), "leave --object out")
	}
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
	if !plain || len(name) > maxObject {
		return "", usage(fmt.Errorf("--object %q is not the name of an object", name), "1 to 127 letters, digits and hyphens, without the version")
	}
	return strings.ToLower(name), nil
}

// parseOperation reads --do in its three forms: the audit name; the kind
// and what is done, in the words of the API or of access policies; the data
// action, of which the first operation that needs it is meant.
func parseOperation(text string) (access.Operation, error) {
	kind, verb, _ := strings.Cut(text, "/")
	for _, fits := range []func(access.OperationInfo) bool{
		func(i access.OperationInfo) bool { return strings.EqualFold(i.Name, text) },
		func(i access.OperationInfo) bool {
			return strings.EqualFold(i.Kind.String(), kind) && strings.EqualFold(i.Name, strings.TrimSuffix(i.Kind.String(), "s")+verb)
		},
		func(i access.OperationInfo) bool {
			return strings.EqualFold(i.Kind.String(), kind) && strings.EqualFold(i.Permission, verb)
		},
		func(i access.OperationInfo) bool { return strings.EqualFold(i.DataAction, text) },
	} {
		for _, o := range access.Operations() {
			if fits(o.Info()) {
				return o, nil
			}
		}
	}
	return access.NoOperation, usage(fmt.Errorf("--do %q is not an operation", text), "for example secrets/get, secrets/list, keys/sign, SecretSet, or Microsoft.KeyVault/vaults/secrets/getSecret/action")
}

// asker is who asks, as far as it was found out.
type asker struct {
	object, app, tenant access.GUID
	name                string
	notes               []string
}

// askFiles reads the files, and takes --as for an object id.
func (w *world) askFiles(args []string, o *explainOptions) ([]*iac.Resource, asker, error) {
	object, err := access.ParseGUID(o.as)
	if err != nil {
		return nil, asker{}, usage(fmt.Errorf("--as %q is not an object id", o.as), "names are found by a running server; az ad sp show --id NAME --query id prints the object id")
	}
	s := &source{world: w, progress: w.progress()}
	for _, path := range args {
		s.add(path)
	}
	s.progress("")
	if len(s.failures) > 0 {
		return nil, asker{}, usage(s.failures[0], sourceHint(s.failures[0]))
	}
	return s.resources, asker{object: object, name: o.as}, nil
}

// askServer reads the vaults, the role assignments and the principal.
func (w *world) askServer(ctx context.Context, o *explainOptions) ([]*iac.Resource, asker, error) {
	client, err := w.connect(ctx, &o.remote)
	if err != nil {
		return nil, asker{}, err
	}
	defer client.Close()
	defer w.progress()("")
	resources, err := client.Vaults(ctx)
	if err != nil {
		return nil, asker{}, usage(err, "")
	}
	for _, r := range resources {
		if r.Type != iac.TypeVault || o.vault != "" && !iac.SameFold(r.Label(), o.vault) && !iac.SameFold(r.ID, o.vault) {
			continue
		}
		assignments, err := client.Assignments(ctx, r.ID)
		if err != nil {
			return nil, asker{}, usage(err, "")
		}
		resources = append(resources, assignments...)
	}
	who, err := w.principal(ctx, client, o.as)
	return resources, who, err
}

// principal asks the server's directory. An object id that it does not know
// is taken as it is: it may be a group's, or of another tenant.
func (w *world) principal(ctx context.Context, client *live.Client, as string) (asker, error) {
	p, err := client.Principal(ctx, as)
	object, notGUID := access.ParseGUID(as)
	switch {
	case err == nil:
		return asker{object: p.Object, app: p.App, tenant: p.Tenant, name: p.Name}, nil
	case errors.Is(err, live.ErrNoPrincipal) && notGUID == nil:
		return asker{object: object, name: as, notes: []string{"the directory does not know " + as + "; it is taken for an object id"}}, nil
	case errors.Is(err, live.ErrNoPrincipal):
		return asker{}, usage(err, "--as takes an object id, an application id or a display name of the server's directory")
	}
	return asker{}, usage(err, "")
}
