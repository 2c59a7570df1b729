package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"postern/internal/pki"
	"postern/internal/server"
)

// environment is the command line of env.
type environment struct {
	world       *world
	data, shell string
	public, az  bool
	trust       bool
	vault       string
}

func newEnvCommand(w *world) *cobra.Command {
	e := &environment{world: w}
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the variables that unmodified clients need",
		Long: `Print the variables that unmodified clients need, as commands for a shell.

The client secret is not printed: the shell reads it from its file. Without
--public the clients reach the server by its private names, through its CONNECT
proxy where the machine does not resolve them; with --public they reach it by
the names of the public cloud, through the proxy, so that documents' commands
run as they are printed.`,
		Example: "  eval \"$(postern env)\"\n  postern env --shell fish | source\n  postern env --shell powershell | Out-String | Invoke-Expression\n  eval \"$(postern env --az)\"",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return e.run() },
	}
	dataFlag(cmd, w, &e.data)
	cmd.Flags().StringVar(&e.shell, "shell", "sh", "shell to print for: sh, fish, powershell")
	cmd.Flags().BoolVar(&e.public, "public", false, "use the names of the public cloud, through the CONNECT proxy")
	cmd.Flags().BoolVar(&e.az, "az", false, "print the commands that register the server as a cloud of the az CLI")
	cmd.Flags().BoolVar(&e.trust, "trust", false, "say how to make each kind of client trust the server's certificates")
	cmd.Flags().StringVar(&e.vault, "vault", server.DemoVault, "vault for POSTERN_VAULT_URL")
	return cmd
}

// A shell knows how to set a variable to a text, to what a file holds, how
// to unset one, and how to comment.
type shell struct{ set, file, unset string }

var shells = map[string]shell{
	"sh":         {"export %s=%s\n", "export %s=\"$(cat %s)\"\n", "unset %s\n"},
	"fish":       {"set -gx %s %s\n", "set -gx %s (cat %s)\n", "set -e %s\n"},
	"powershell": {"$env:%s = %s\n", "$env:%s = Get-Content -Raw %s\n", "Remove-Item -ErrorAction SilentlyContinue env:%s\n"},
}

func (e *environment) run() error {
	sh, ok := shells[e.shell]
	if !ok {
		return usage(fmt.Errorf("unknown shell %q", e.shell), "--shell sh, fish or powershell")
	}
	info, err := server.ReadInfo(e.data)
	if errors.Is(err, server.ErrNotRunning) {
		return failure(fmt.Errorf("%w: %s", err, e.data), "start it with: postern serve --data "+quote(e.data))
	}
	if err != nil {
		return failure(err, "")
	}
	dir, err := filepath.Abs(e.data)
	if err != nil {
		return failure(err, "")
	}
	switch {
	case e.trust:
		printTrust(e.world.stdout, dir)
	case e.az:
		printAz(e.world.stdout, info, dir, e.shell)
	default:
		return e.print(sh, info, dir)
	}
	return nil
}

// print writes the variables.
func (e *environment) print(sh shell, info *server.Info, dir string) error {
	out, n := e.world.stdout, info.Names()
	set := func(name, value string) { fmt.Fprintf(out, sh.set, name, e.quote(value)) }
	set("AZURE_TENANT_ID", info.Admin.TenantID)
	set("AZURE_CLIENT_ID", info.Admin.ClientID)
	fmt.Fprintf(out, sh.file, "AZURE_CLIENT_SECRET", e.quote(filepath.Join(dir, server.AdminSecretFile)))
	set("AZURE_SUBSCRIPTION_ID", info.Admin.SubscriptionID)
	family := n.Private
	if e.public {
		family = n.Public
	}
	set("AZURE_AUTHORITY_HOST", family.LoginURL()+"/")
	set("POSTERN_VAULT_URL", family.VaultURL(e.vault))
	set("POSTERN_MANAGEMENT_URL", family.ManagementURL())
	switch {
	case info.ProxyURL() != "":
		// Client libraries ask login.microsoftonline.com about authorities
		// they do not know; through the proxy the server answers that too,
		// and private names need no resolver.
		set("HTTPS_PROXY", info.ProxyURL())
		set("https_proxy", info.ProxyURL())
		// The identity endpoint of a machine is asked directly.
		set("NO_PROXY", "169.254.169.254")
		set("no_proxy", "169.254.169.254")
	case e.public:
		return failure(errors.New("the public names need the CONNECT proxy, and it is off"), "start the server with --proxy HOST:PORT")
	}
	ca, bundle := filepath.Join(dir, pki.CertificateFile), filepath.Join(dir, pki.BundleFile)
	set("SSL_CERT_FILE", bundle)
	set("NODE_EXTRA_CA_CERTS", ca)
	set("REQUESTS_CA_BUNDLE", bundle)
	set("CURL_CA_BUNDLE", bundle)
	set("JAVA_TOOL_OPTIONS", javaOptions(info, dir))
	return nil
}

func (e *environment) quote(s string) string {
	if e.shell == "powershell" {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return quote(s)
}

// quote makes one word of a POSIX shell, readable where nothing needs it.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,="
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// javaOptions points Java at the trust store and the proxy.
func javaOptions(info *server.Info, dir string) string {
	options := "-Djavax.net.ssl.trustStore=" + filepath.Join(dir, pki.TrustStoreFile) + " -Djavax.net.ssl.trustStorePassword=postern"
	if host, port, ok := cutLast(info.Proxy, ":"); ok {
		options += " -Dhttps.proxyHost=" + strings.Trim(host, "[]") + " -Dhttps.proxyPort=" + port + " -Dhttp.nonProxyHosts="
	}
	return options
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// printAz prints the registration as a cloud of the az CLI.
func printAz(out io.Writer, info *server.Info, dir, shellName string) {
	n := info.Names()
	secret := map[string]string{"sh": `"$(cat %s)"`, "fish": "(cat %s)", "powershell": "(Get-Content -Raw %s)"}[shellName]
	secret = fmt.Sprintf(secret, quote(filepath.Join(dir, server.AdminSecretFile)))
	set := shells[shellName].set
	fmt.Fprintf(out, set, "REQUESTS_CA_BUNDLE", quote(filepath.Join(dir, pki.BundleFile)))
	if info.ProxyURL() != "" {
		fmt.Fprintf(out, set, "HTTPS_PROXY", quote(info.ProxyURL()))
	}
	fmt.Fprintf(out, "az cloud register -n Postern --endpoint-resource-manager %s\n", n.Private.ManagementURL())
	fmt.Fprintln(out, "az cloud set -n Postern")
	fmt.Fprintf(out, "az login --service-principal -u %s -p %s --tenant %s\n", info.Admin.ClientID, secret, info.Admin.TenantID)
}

// printTrust says how to trust the authority, a client a line.
func printTrust(out io.Writer, dir string) {
	ca, bundle := filepath.Join(dir, pki.CertificateFile), filepath.Join(dir, pki.BundleFile)
	fmt.Fprintf(out, `# The authority's certificate vouches for the names this server serves and for no others.
# one process:
#   curl            CURL_CA_BUNDLE=%[2]s
#   Go              SSL_CERT_FILE=%[2]s
#   Node            NODE_EXTRA_CA_CERTS=%[1]s
#   Python, az      REQUESTS_CA_BUNDLE=%[2]s
#   Java            -Djavax.net.ssl.trustStore=%[3]s -Djavax.net.ssl.trustStorePassword=postern
# a whole machine:
#   Debian, Ubuntu  cp %[1]s /usr/local/share/ca-certificates/postern.crt && update-ca-certificates
#   Fedora, RHEL    trust anchor --store %[1]s
#   macOS           security add-trusted-cert -k ~/Library/Keychains/login.keychain-db %[1]s
#   Windows         certutil -addstore -user Root %[1]s
`, quote(ca), quote(bundle), quote(filepath.Join(dir, pki.TrustStoreFile)))
}
