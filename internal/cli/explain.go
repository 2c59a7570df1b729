package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/iac"
	"postern/internal/iac/live"
	"postern/internal/posture"
	"postern/internal/profile"
	"postern/internal/roles"
	"postern/internal/server"
	"postern/internal/trusted"
)

// explainOptions are the flags of postern explain.
type explainOptions struct {
	remote
	vault, from, as, do, object, tenant, output, resolver string
	groups                                                []string
}

// newExplainCommand is postern explain.
func newExplainCommand(w *world) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain --vault V --from PLACE --as PRINCIPAL --do OPERATION [FILE… | --server URL | --data DIR]",
		Short: "Tell what would become of one request, gate by gate, and why",
		Long: `Explain puts one request to the decision of a vault and prints what each gate
says of it, in their order: the rule that decides and where it stands, the exact
answer that the client would get, and the command that changes it. Nothing is
sent to the vault.

A place is an address, or subnet:NETWORK/SUBNET, endpoint:NAME, service:NAME,
perimeter:NAME; with @ADDRESS behind the name for one address of it. A caller
in a declared network goes where the vault's name leads there: the name is
looked up as the network's DNS would, and the explanation says why it leads to
the private endpoint or to the public address. --resolver names a forwarder
that asks instead of the caller, as on-premises.

The vault is read from ARM exports, templates and the output of az ("-" is the
standard input), or from a running server. Roles need the role assignments as
well: az role assignment list --all; places by name need the networks: az
network vnet list, private-endpoint list, private-dns zone list, private-dns
link vnet list, private-dns record-set list.

The exit code is 0 when the request would be served, 3 when it would be refused,
and 2 when that cannot be told or something could not be read.`,
		Example: `  postern explain --data ./data --vault myvault --from 203.0.113.7 --as postern-admin --do secrets/get --object db
  postern explain --data ./data --vault myvault --from subnet:myvnet/app-subnet --as my-app --do secrets/get
  az keyvault show --name myvault | postern explain --from 203.0.113.7 --as 3f0c… --do secrets/get -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return w.explain(cmd.Context(), args, &o) },
	}
	flags := cmd.Flags()
	o.remote.flags(flags)
	flags.StringVar(&o.vault, "vault", "", "name of the vault; not needed when only one is read")
	flags.StringVar(&o.from, "from", "", "where the request comes from: an address, subnet:NAME, endpoint:NAME, service:NAME, perimeter:NAME")
	flags.StringVar(&o.resolver, "resolver", "", "address of the DNS server that asks for the caller; that of the caller's network when not given")
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
	question.Request.Caller.Object, question.Request.Caller.App, question.Request.Caller.IdentityResource = who.object, who.app, who.resource
	question.Unknown, question.Unread, question.UnreadPerimeters = who.unknown, who.unread, who.unreadPerimeters
	settings, err := o.settings()
	if err != nil {
		return err
	}
	question.Services, question.RoleDelay, question.Now = settings.services, settings.roleDelay, time.Now()
	if !who.tenant.IsZero() && !question.TenantKnown {
		question.Request.Caller.Tenant, question.TenantKnown = who.tenant, true
	}
	question.Whole = o.isSet()
	e, err := posture.Explain(resources, question, estateOptions(settings.services))
	var unknown *posture.UnknownPlaceError
	switch {
	case errors.As(err, &unknown):
		return usage(fmt.Errorf("--from: %w", err), unknown.Hint())
	case errors.Is(err, posture.ErrNoVault):
		return usage(err, "--vault names one of the vaults that were read")
	case err != nil:
		return usage(err, "")
	}
	e.Notes = append(e.Notes, append(who.notes, settings.notes...)...)
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

// estateOptions are what an estate read from elsewhere is compiled with;
// services names the list of trusted services.
func estateOptions(services string) estate.Options {
	list, _ := trusted.List(services)
	return estate.Options{Trusted: list, Role: func(guid string) (*access.Role, bool) {
		d, ok := roles.ByName(strings.ToLower(guid))
		if !ok {
			return nil, false
		}
		return d.Role(), true
	}}
}

// settings are what explain has to know of a server beyond its resources.
type settings struct {
	services  string // the list of trusted services
	roleDelay time.Duration
	notes     []string
}

// usualRoleDelay is how long a role assignment may take to count in Azure.
const usualRoleDelay = 10 * time.Minute

// settings are those of the server of a data folder; of others, the usual.
func (o *explainOptions) settings() (settings, error) {
	s := settings{services: profile.Azure().TrustedServices}
	if o.data == "" {
		if !o.isSet() {
			s.roleDelay = usualRoleDelay
		}
		return s, nil
	}
	info, err := server.ReadInfo(o.data)
	if err != nil {
		return s, usage(err, "")
	}
	if p, ok := profile.Named(info.Profile); ok {
		s.services = p.TrustedServices
	}
	s.roleDelay = info.Propagation.RoleAssignment
	for _, d := range []struct {
		what  string
		takes time.Duration
	}{{"the firewall", info.Propagation.Firewall}, {"virtual networks", info.Propagation.ServiceEndpoint},
		{"private endpoints", info.Propagation.PrivateEndpoint}, {"private DNS", info.Propagation.DNS}} {
		if d.takes > 0 {
			s.notes = append(s.notes, fmt.Sprintf("this server lets changes of %s count after %s; what is said here is what will be then", d.what, d.takes))
		}
	}
	return s, nil
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
	var err error
	if q.Place, err = posture.ParsePlace(o.from); err != nil {
		return q, usage(fmt.Errorf("--from %w", err), posture.PlaceForms)
	}
	if o.resolver != "" {
		resolver, err := posture.ParsePlace(o.resolver)
		if err != nil || resolver.Kind != posture.ByAddress {
			return q, usage(fmt.Errorf("--resolver %q is not an address", o.resolver), "the address by which the forwarder is known to the DNS: 10.0.3.53")
		}
		q.Resolver = resolver.Addr
	}
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
	// resource is that of a managed identity; "" when it is not known.
	name, resource string
	// unknown is true when the directory does not know the object id.
	unknown bool
	notes   []string
	// unread and unreadPerimeters are what of the networks could not be read.
	unread, unreadPerimeters []string
}

// askFiles reads the files, and takes --as for an object id.
func (w *world) askFiles(args []string, o *explainOptions) ([]*iac.Resource, asker, error) {
	object, err := access.ParseGUID(o.as)
	if err != nil {
		return nil, asker{}, usage(fmt.Errorf("--as %q is not an object id", o.as), "names are found by a running server; az ad sp show --id NAME --query id prints the object id")
	}
	s := &source{world: w, progress: w.progress(), networks: true}
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
	networks, err := client.Networks(ctx, resources)
	if err != nil {
		return nil, asker{}, usage(err, "")
	}
	who, err := w.principal(ctx, client, o.as)
	who.unread, who.unreadPerimeters = networks.Unread, networks.UnreadPerimeters
	who.notes = append(who.notes, append(networks.Unread, networks.UnreadPerimeters...)...)
	return append(resources, networks.Resources...), who, err
}

// principal asks the server's directory. An object id that it does not know
// is taken as it is: it may be a group's, or of another tenant.
func (w *world) principal(ctx context.Context, client *live.Client, as string) (asker, error) {
	p, err := client.Principal(ctx, as)
	object, notGUID := access.ParseGUID(as)
	switch {
	case err == nil:
		return asker{object: p.Object, app: p.App, tenant: p.Tenant, name: p.Name, resource: p.Resource}, nil
	case errors.Is(err, live.ErrNoPrincipal) && notGUID == nil:
		return asker{object: object, name: as, unknown: true, notes: []string{"the directory does not know " + as + "; it is taken for an object id"}}, nil
	case errors.Is(err, live.ErrNoPrincipal):
		return asker{}, usage(err, "--as takes an object id, an application id or a display name of the server's directory")
	}
	return asker{}, usage(err, "")
}
