package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/operator"
	"postern/internal/pki"
	"postern/internal/server"
)

func newPlatformCommand(w *world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "platform",
		Short: "Play a trusted service: certificates that prove its own compute",
		Long: `A trusted service passes the firewall of a vault with the bypass AzureServices
when three things come together: an identity of the service, the proof that its
own compute is calling, and an operation of the documented scenario. The proof
is a client certificate that the server's platform authority issued. It grants
no right: a role assignment or an access policy is still needed.`,
	}
	cmd.AddCommand(newPlatformIssueCommand(w), newPlatformRevokeCommand(w), newPlatformListCommand(w))
	return cmd
}

// platformIssue is the command line of platform issue.
type platformIssue struct {
	world                              *world
	data, service, tenant, out, output string
	life                               time.Duration
}

// issuedFiles is what platform issue has made.
type issuedFiles struct {
	Service     string    `json:"service"`
	Serial      string    `json:"serial"`
	Until       time.Time `json:"until"`
	Certificate string    `json:"certificate"`
	Key         string    `json:"key"`
	TenantID    string    `json:"tenantId"`
	ClientID    string    `json:"clientId"`
	ObjectID    string    `json:"objectId"`
	SecretFile  string    `json:"secretFile"`
}

func newPlatformIssueCommand(w *world) *cobra.Command {
	p := &platformIssue{world: w}
	cmd := &cobra.Command{
		Use:   "issue --service NAME",
		Short: "Issue a short-lived client certificate for the compute of a service",
		Long: `Issue a short-lived client certificate for the compute of a trusted service,
and make the service's principal in the tenant when it is not there yet. The
certificate, its key and the client secret are written to files that only their
owner can read; the key never leaves this process but for its file.`,
		Example: "  postern platform issue --service \"Azure Backup\"\n  postern platform issue --service \"Azure Data Factory\" --for 1h --out ./factory",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context()) },
	}
	dataFlag(cmd, w, &p.data)
	outputFlag(cmd, &p.output, "text", "json")
	cmd.Flags().StringVar(&p.service, "service", "", "name of the trusted service, such as \"Azure Backup\"")
	cmd.Flags().StringVar(&p.tenant, "tenant", "", "tenant of the service's principal, id or domain (default the administrator's)")
	cmd.Flags().StringVar(&p.out, "out", "", "folder for the files (default the folder platform in the data folder)")
	cmd.Flags().DurationVar(&p.life, "for", pki.PlatformLife, "how long the certificate lasts, at most "+pki.MaxPlatformLife.String())
	return cmd
}

func (p *platformIssue) run(ctx context.Context) error {
	switch {
	case p.service == "":
		return usage(errors.New("--service is missing"), "postern platform list --services shows the list")
	case p.output != "text" && p.output != "json":
		return usage(fmt.Errorf("unknown form %q", p.output), "--output text or json")
	}
	if p.out == "" {
		p.out = filepath.Join(p.data, "platform")
	}
	client := operatorClient(p.data, "platform issue")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return failure(err, "")
	}
	public, err := pemOf("PUBLIC KEY", x509.MarshalPKIXPublicKey, any(&key.PublicKey))
	if err != nil {
		return failure(err, "")
	}
	// The certificate comes first: a service that is not on the list, or a
	// life that is too long, must leave nothing behind.
	certificate, err := client.Issue(ctx, operator.Issue{Service: p.service, Seconds: int64(p.life / time.Second), PublicKey: string(public)})
	if err != nil {
		return operatorFailure(err, p.data)
	}
	files, err := p.write(ctx, client, key, certificate)
	if err != nil {
		return operatorFailure(err, p.data)
	}
	if p.output == "json" {
		return printJSON(p.world, files)
	}
	return p.tell(files)
}

// write writes the files, and has the principal made.
func (p *platformIssue) write(ctx context.Context, client *operator.Client, key *ecdsa.PrivateKey, c operator.Certificate) (issuedFiles, error) {
	stem := filepath.Join(p.out, slug(c.Service))
	files := issuedFiles{Service: c.Service, Serial: c.Serial, Until: c.Until, Certificate: stem + ".pem", Key: stem + ".key", SecretFile: stem + ".secret"}
	private, err := pemOf("PRIVATE KEY", x509.MarshalPKCS8PrivateKey, any(key))
	if err != nil {
		return files, err
	}
	if err := os.MkdirAll(p.out, 0o700); err != nil {
		return files, err
	}
	if err := errors.Join(writePrivate(files.Key, private), writePrivate(files.Certificate, []byte(c.PEM))); err != nil {
		return files, err
	}
	_, err = os.Stat(files.SecretFile)
	principal, err := client.Enrol(ctx, operator.Enrol{Service: c.Service, Tenant: p.tenant, Secret: errors.Is(err, fs.ErrNotExist)})
	if err != nil {
		return files, err
	}
	files.TenantID, files.ClientID, files.ObjectID = principal.TenantID, principal.ClientID, principal.ObjectID
	if principal.Secret != "" {
		err = writePrivate(files.SecretFile, []byte(principal.Secret))
	}
	return files, err
}

// tell says what was made and what to do with it.
func (p *platformIssue) tell(f issuedFiles) error {
	info, err := server.ReadInfo(p.data)
	if err != nil {
		return failure(err, "")
	}
	out, n := p.world.stdout, info.Names()
	fmt.Fprintf(out, "service      %s\ncertificate  %s, until %s\nkey          %s\ntenant       %s\nclient id    %s\nobject id    %s\nsecret       in %s\n\n",
		f.Service, f.Certificate, f.Until.Format(time.RFC3339), f.Key, f.TenantID, f.ClientID, f.ObjectID, f.SecretFile)
	fmt.Fprintln(out, "the certificate is the proof, and no right. next:")
	fmt.Fprintf(out, "  az role assignment create --assignee-object-id %s --assignee-principal-type ServicePrincipal --role ROLE --scope VAULT\n", f.ObjectID)
	fmt.Fprintf(out, "  curl --cert %s --key %s -H \"Authorization: Bearer $TOKEN\" %s/…\n", quote(f.Certificate), quote(f.Key), n.Private.VaultURL("NAME"))
	fmt.Fprintf(out, "  postern platform revoke --data %s %s\n", quote(p.data), f.Serial)
	return nil
}

func newPlatformRevokeCommand(w *world) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "revoke SERIAL…",
		Short:   "Revoke certificates, at once and for connections that are open too",
		Example: "  postern platform revoke 1f0c5a…",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client := operatorClient(data, "platform revoke")
			for _, serial := range args {
				c, err := client.Revoke(cmd.Context(), serial)
				if err != nil {
					return operatorFailure(err, data)
				}
				fmt.Fprintf(w.stdout, "revoked %s of %s\n", c.Serial, c.Service)
			}
			return nil
		},
	}
	dataFlag(cmd, w, &data)
	return cmd
}

func newPlatformListCommand(w *world) *cobra.Command {
	var data, output string
	var services bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the certificates that were issued, or the trusted services",
		Example: "  postern platform list\n  postern platform list --services",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return usage(fmt.Errorf("unknown form %q", output), "--output text or json")
			}
			client := operatorClient(data, "platform list")
			if services {
				list, err := client.Services(cmd.Context())
				if err != nil {
					return operatorFailure(err, data)
				}
				return printServices(w, list, output)
			}
			list, err := client.Certificates(cmd.Context())
			if err != nil {
				return operatorFailure(err, data)
			}
			return printCertificates(w, list, output)
		},
	}
	dataFlag(cmd, w, &data)
	outputFlag(cmd, &output, "text", "json")
	cmd.Flags().BoolVar(&services, "services", false, "list the trusted services of the server's profile")
	return cmd
}

func printServices(w *world, list []operator.Service, output string) error {
	if output == "json" {
		return printJSON(w, list)
	}
	t := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tCLIENT ID\tOPERATIONS")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, s.ClientID, strings.Join(s.Operations, " "))
	}
	return t.Flush()
}

func printCertificates(w *world, list []operator.Certificate, output string) error {
	if output == "json" {
		return printJSON(w, list)
	}
	t := tabwriter.NewWriter(w.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERIAL\tSERVICE\tUNTIL\tSTATE")
	for _, c := range list {
		state := "valid"
		switch {
		case !c.Revoked.IsZero():
			state = "revoked " + c.Revoked.Format(time.RFC3339)
		case !time.Now().Before(c.Until):
			state = "over"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Serial, c.Service, c.Until.Format(time.RFC3339), state)
	}
	return t.Flush()
}

// operatorClient asks the server of a data folder on behalf of a command.
func operatorClient(data, command string) *operator.Client {
	return operator.NewClient(data, "postern/"+Version+" "+command)
}

// operatorFailure puts an error of the operator's API into the form of the
// commands.
func operatorFailure(err error, data string) error {
	var told *operator.Error
	switch {
	case errors.Is(err, operator.ErrNotRunning):
		return failure(fmt.Errorf("%w: %s", err, data), "start it with: postern serve --data "+quote(data))
	case errors.Is(err, fs.ErrPermission):
		return failure(err, "the server's data folder belongs to another user")
	case errors.As(err, &told) && told.Status < 500:
		return usage(told, told.Hint)
	case errors.As(err, &told):
		return failure(told, told.Hint)
	}
	return failure(err, "")
}

func printJSON(w *world, v any) error {
	enc := json.NewEncoder(w.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return failure(err, "")
	}
	return nil
}

// pemOf encodes a key.
func pemOf(kind string, encode func(any) ([]byte, error), key any) ([]byte, error) {
	der, err := encode(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), nil
}

// slug is a name as it stands in the name of a file: "azure-backup".
func slug(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
	return strings.Join(words, "-")
}

// writePrivate writes a file that only its owner can read, whole or not at
// all.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
