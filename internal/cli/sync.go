package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/spf13/cobra"

	"postern/internal/mirror"
	"postern/internal/posture/report"
)

// syncOptions are the flags of sync.
type syncOptions struct {
	world                  *world
	from, to               string
	kinds, names           []string
	state, ca, output      string
	delete, dryRun, strict bool
	every                  time.Duration
}

func newSyncCommand(w *world) *cobra.Command {
	o := &syncOptions{world: w}
	cmd := &cobra.Command{
		Use:   "sync --from URL --to URL",
		Short: "Keep secrets, certificates and keys of two vaults equal",
		Long: `Make the latest versions of the second vault's objects equal to those of the
first: secrets with their values, certificates with their keys where those may
leave and with their policies, keys as backups, which are restored within one
subscription and geography alone. Either vault may be one of Azure. What cannot
be copied is left, and named with its reason.

Nothing is deleted without --delete, and nothing is purged. --dry-run reads and
compares, and writes nothing. With --state a file remembers what is equal
already, so that the next run reads lists and changes only; it holds no values.
A run that was broken off is begun again with the same command.

Credentials are those that programs find in their environment: AZURE_TENANT_ID,
AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH, a
federated token, a managed identity, az login; AZURE_AUTHORITY_HOST names another
login. The same names with POSTERN_SYNC_FROM_ or POSTERN_SYNC_TO_ in front of
TENANT_ID, CLIENT_ID, CLIENT_SECRET, CLIENT_CERTIFICATE_PATH and AUTHORITY_HOST are
for one vault alone.

The exit code is 0 when the vaults are equal, but for what cannot be copied; 1
when something failed, or with --strict was left; 2 when it could not begin.`,
		Example: `  postern sync --from https://eastus.vault.azure.net --to https://westus.vault.azure.net --dry-run
  postern sync --from https://prod.vault.azure.net --to https://myvault.vault.postern.localhost:8443 --kind secrets --state sync.state
  postern sync --from https://eastus.vault.azure.net --to https://westus.vault.azure.net --every 5m --state sync.state`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "", "URL of the vault that is read")
	flags.StringVar(&o.to, "to", "", "URL of the vault that is made equal")
	flags.StringSliceVar(&o.kinds, "kind", nil, "kinds to copy: certificates, secrets, keys (default all)")
	flags.StringSliceVar(&o.names, "name", nil, "names to copy; * stands for any characters (default all)")
	flags.StringVar(&o.state, "state", "", "file that remembers what is equal already")
	flags.StringVar(&o.ca, "ca", "", "file of certificates to trust beside the system's")
	flags.BoolVar(&o.delete, "delete", false, "delete from the second vault what the first does not have; it can be recovered")
	flags.BoolVar(&o.dryRun, "dry-run", false, "say what would be done")
	flags.BoolVar(&o.strict, "strict", false, "exit with 1 when something cannot be copied")
	flags.DurationVar(&o.every, "every", 0, "go on, with a run so often")
	outputFlag(cmd, &o.output, "text", "json")
	return cmd
}

func (o *syncOptions) validate() error {
	for flag, address := range map[string]string{"from": o.from, "to": o.to} {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return usage(fmt.Errorf("--%s %q is not the URL of a vault", flag, address), "it looks like https://myvault.vault.azure.net")
		}
	}
	for _, k := range o.kinds {
		if !slices.Contains(mirror.Kinds(), mirror.Kind(k)) {
			return usage(fmt.Errorf("unknown kind %q", k), "--kind certificates, secrets, keys")
		}
	}
	for _, n := range o.names {
		if _, err := path.Match(n, ""); err != nil {
			return usage(fmt.Errorf("--name %q: %w", n, err), "a name, with * for any characters")
		}
	}
	switch {
	case o.output != "text" && o.output != "json":
		return usage(fmt.Errorf("unknown form %q", o.output), "--output text or json")
	case o.every < 0 || o.every > 0 && o.every < time.Second:
		return usage(errors.New("--every is too short"), "a second or longer: 5m")
	}
	return nil
}

func (o *syncOptions) run(ctx context.Context) error {
	if err := o.validate(); err != nil {
		return err
	}
	client, err := o.client()
	if err != nil {
		return err
	}
	options := mirror.Options{Delete: o.delete, DryRun: o.dryRun, State: o.state, Matches: o.matches()}
	for _, k := range o.kinds {
		options.Kinds = append(options.Kinds, mirror.Kind(k))
	}
	if options.From, err = o.side(o.from, "POSTERN_SYNC_FROM_", client); err != nil {
		return err
	}
	if options.To, err = o.side(o.to, "POSTERN_SYNC_TO_", client); err != nil {
		return err
	}
	progress := o.world.progress()
	options.Progress = func(k mirror.Kind, done, all int) { progress(fmt.Sprintf("%s %d of %d", k, done, all)) }
	for {
		err := o.once(ctx, options)
		if o.every == 0 || ctx.Err() != nil {
			return err
		}
		if exit := new(exitError); errors.As(err, &exit) && exit.err != nil {
			o.world.complain(exit.err, exit.hint)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.every):
		}
	}
}

// once is one run and its report.
func (o *syncOptions) once(ctx context.Context, options mirror.Options) error {
	r, err := mirror.Run(ctx, options)
	o.world.progress()("")
	// A run that could not begin has nothing to report.
	if err == nil || len(r.Steps) > 0 {
		if printed := o.print(r); printed != nil {
			return usage(fmt.Errorf("writing the report: %w", printed), "")
		}
	}
	switch {
	case err != nil:
		return usage(err, "each vault needs a principal that may list and get, the second one that may set, import, restore and recover")
	case r.Count(mirror.Failed) > 0, o.strict && r.Count(mirror.Left) > 0:
		return silent(ExitFindings)
	}
	return nil
}

func (o *syncOptions) matches() func(string) bool {
	if len(o.names) == 0 {
		return nil
	}
	return func(name string) bool {
		return slices.ContainsFunc(o.names, func(pattern string) bool {
			ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(name))
			return err == nil && ok
		})
	}
}

// client trusts what is named beside the system's authorities.
func (o *syncOptions) client() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.ca != "" {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		data, err := os.ReadFile(o.ca)
		if err != nil {
			return nil, usage(fmt.Errorf("--ca: %w", err), "")
		}
		if !roots.AppendCertsFromPEM(data) {
			return nil, usage(fmt.Errorf("--ca %s holds no certificate", o.ca), "a PEM file: ca.pem of a data folder")
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	return &http.Client{Transport: transport}, nil
}

// side is one vault with the credentials for it.
func (o *syncOptions) side(address, prefix string, client *http.Client) (mirror.Side, error) {
	credential, err := o.credential(prefix, client)
	if err != nil {
		return mirror.Side{}, usage(err, "set "+prefix+"TENANT_ID, "+prefix+"CLIENT_ID and "+prefix+"CLIENT_SECRET, or the same with AZURE_ in front")
	}
	return mirror.Side{URL: strings.TrimRight(address, "/"), Credential: credential, Client: client}, nil
}

// credential is the principal of one vault: its own variables, else what
// every program of the environment would take.
func (o *syncOptions) credential(prefix string, client *http.Client) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{Transport: client}
	host := o.world.value(prefix + "AUTHORITY_HOST")
	if host == "" {
		host = o.world.value("AZURE_AUTHORITY_HOST")
	}
	if host != "" {
		options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: host}
	}
	tenant, id := o.world.value(prefix+"TENANT_ID"), o.world.value(prefix+"CLIENT_ID")
	anyTenant := []string{"*"}
	switch secret, file := o.world.value(prefix+"CLIENT_SECRET"), o.world.value(prefix+"CLIENT_CERTIFICATE_PATH"); {
	case secret != "":
		return azidentity.NewClientSecretCredential(tenant, id, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options,
			AdditionallyAllowedTenants: anyTenant, DisableInstanceDiscovery: host != ""})
	case file != "":
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		chain, key, err := azidentity.ParseCertificates(data, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return azidentity.NewClientCertificateCredential(tenant, id, chain, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: options,
			AdditionallyAllowedTenants: anyTenant, DisableInstanceDiscovery: host != ""})
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options, AdditionallyAllowedTenants: anyTenant,
		DisableInstanceDiscovery: host != ""})
}

// syncColors are the colours of actions on a terminal.
var syncColors = map[mirror.Action]string{mirror.Create: "\x1b[32m", mirror.Update: "\x1b[32m", mirror.Amend: "\x1b[32m", mirror.Recover: "\x1b[32m",
	mirror.Delete: "\x1b[33m", mirror.Left: "\x1b[33m", mirror.Failed: "\x1b[31m"}

// print writes what has changed, and counts the rest.
func (o *syncOptions) print(r *mirror.Report) error {
	out := o.world.stdout
	if o.output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	color := o.world.colour(out)
	for _, s := range r.Steps {
		if s.Action == mirror.Same {
			continue
		}
		word := fmt.Sprintf("%-7s", s.Action)
		if color {
			word = syncColors[s.Action] + word + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%s  %s/%s", word, s.Kind, report.Printable(s.Name))
		if s.Reason != "" {
			fmt.Fprintf(&b, ": %s", report.Printable(s.Reason))
		}
		b.WriteByte('\n')
	}
	var counts []string
	for _, a := range mirror.Actions() {
		if n := r.Count(a); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, a))
		}
	}
	if len(counts) == 0 {
		counts = []string{"nothing to copy"}
	}
	dry := ""
	if r.DryRun {
		dry = "dry run, nothing was written: "
	}
	fmt.Fprintf(&b, "%s%s\n", dry, strings.Join(counts, ", "))
	_, err := out.Write([]byte(b.String()))
	return err
}
