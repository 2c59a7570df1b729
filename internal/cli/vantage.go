package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"postern/internal/config"
	"postern/internal/operator"
	"postern/internal/pki"
	"postern/internal/server"
	"postern/internal/vantage"
)

// viewing is the command line of vantage.
type viewing struct {
	world           *world
	data, output    string
	forward, tunnel string
	exec            bool
	command         []string
}

// viewpoint is one place with its listeners, as the results show it.
type viewpoint struct {
	Where   string     `json:"where"`
	Title   string     `json:"title"`
	Source  netip.Addr `json:"source"`
	Forward string     `json:"forward,omitempty"`
	Proxy   string     `json:"proxy,omitempty"`
	Notes   []string   `json:"notes,omitempty"`

	place          *operator.Place
	forwardAt, hub net.Listener
}

func newVantageCommand(w *world) *cobra.Command {
	v := &viewing{world: w}
	cmd := &cobra.Command{
		Use:   "vantage WHERE…",
		Short: "Put unmodified clients at a place on the network",
		Long: `Open addresses from which any unmodified client appears at a place on the
network: in a subnet, behind a private endpoint, at an address, on the compute
of a trusted service, in a network security perimeter. The server sees what it
would see there, and decides by it. No rights are needed but those of the data
folder's owner.

A place has two addresses. The forward goes on to the server as it is, TLS
included. The proxy is for HTTPS_PROXY: it puts a whole program at the place,
the public names included, and leads each name where the place's DNS says.

WHERE is an address, subnet:NETWORK/SUBNET, endpoint:NAME,
service:"Azure Backup" or perimeter:NAME; a name can be an ARM id, and be
followed by @ADDRESS to choose the client's address there.`,
		Example: "  postern vantage subnet:app\n  postern vantage endpoint:kv-pe 203.0.113.7 service:\"Azure Backup\"\n  postern vantage subnet:app@10.0.1.7 --exec -- curl https://myvault.vault.azure.net/healthstatus",
		RunE: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args, v.command = args[:n], args[n:]
			}
			return v.run(cmd.Context(), args)
		},
	}
	dataFlag(cmd, w, &v.data)
	outputFlag(cmd, &v.output, "text", "json")
	cmd.Flags().StringVar(&v.forward, "listen", "127.0.0.1:0", "address of the forward, HOST:PORT, or off")
	cmd.Flags().StringVar(&v.tunnel, "connect", "127.0.0.1:0", "address of the CONNECT proxy, HOST:PORT, or off")
	cmd.Flags().BoolVar(&v.exec, "exec", false, "run the command behind -- at the place, and exit with its code")
	return cmd
}

func (v *viewing) run(ctx context.Context, where []string) error {
	if err := v.check(where); err != nil {
		return err
	}
	info, err := server.ReadInfo(v.data)
	if errors.Is(err, server.ErrNotRunning) {
		return operatorFailure(operator.ErrNotRunning, v.data)
	}
	if err != nil {
		return failure(err, "")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	client := operatorClient(v.data, "vantage")
	found, err := client.Places(ctx, where...)
	if err != nil {
		return operatorFailure(err, v.data)
	}
	points, err := v.listen(ctx, found.Places)
	if err != nil {
		return err
	}
	serving, end := context.WithCancel(ctx)
	var running sync.WaitGroup
	failed := make(chan error, len(points))
	far := vantage.Local(v.data, client, info.Names(), found.PassThrough)
	log := slog.New(slog.NewTextHandler(v.world.stderr, nil))
	for _, p := range points {
		one := &vantage.Vantage{Server: far, Place: p.place, Log: log}
		running.Go(func() {
			if err := one.Serve(serving, p.forwardAt, p.hub); err != nil {
				failed <- err
			}
		})
	}
	defer running.Wait()
	defer end()
	if v.exec {
		return v.execute(ctx, points[0], info)
	}
	if err := v.tell(points); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return failure(err, "")
	}
}

// check looks at the command line.
func (v *viewing) check(where []string) error {
	several := func(address string) bool {
		_, port, _ := net.SplitHostPort(address)
		return len(where) > 1 && address != config.Off && port != "0"
	}
	switch {
	case v.output != "text" && v.output != "json":
		return usage(fmt.Errorf("unknown form %q", v.output), "--output text or json")
	case len(where) == 0:
		return usage(errors.New("no place is named"), "postern vantage subnet:NAME, endpoint:NAME, 203.0.113.7, service:\"Azure Backup\" or perimeter:NAME")
	case several(v.forward) || several(v.tunnel):
		return usage(errors.New("several places cannot have one port"), "leave --listen and --connect out, or give port 0")
	case !v.exec && len(v.command) > 0:
		return usage(fmt.Errorf("%q is not a place", v.command[0]), "--exec runs what stands behind --")
	case v.exec && len(v.command) == 0:
		return usage(errors.New("--exec without a command"), "postern vantage WHERE --exec -- COMMAND ARGUMENTS…")
	case v.exec && len(where) > 1:
		return usage(errors.New("a command runs at one place"), "")
	case v.exec && v.tunnel == config.Off:
		return usage(errors.New("--exec needs the proxy"), "leave --connect out")
	}
	return nil
}

// listen opens the addresses of all places.
func (v *viewing) listen(ctx context.Context, places []*operator.Place) ([]*viewpoint, error) {
	var points []*viewpoint
	var lc net.ListenConfig
	for _, place := range places {
		p := &viewpoint{Where: place.Where, Title: place.Title, Source: place.Source, Notes: place.Notes, place: place}
		for _, l := range []struct {
			address string
			at      *net.Listener
			shown   *string
		}{{v.forward, &p.forwardAt, &p.Forward}, {v.tunnel, &p.hub, &p.Proxy}} {
			if l.address == config.Off || v.exec && l.at == &p.forwardAt {
				continue
			}
			at, err := lc.Listen(ctx, "tcp", l.address)
			if err != nil {
				return nil, failure(err, "choose another address with --listen and --connect")
			}
			*l.at, *l.shown = at, at.Addr().String()
			if ap, err := netip.ParseAddrPort(*l.shown); err == nil && !ap.Addr().IsLoopback() {
				p.Notes = append(p.Notes, "whoever reaches "+*l.shown+" is at this place")
			}
		}
		if p.Proxy != "" {
			p.Proxy = (&url.URL{Scheme: "http", Host: p.Proxy}).String()
		}
		points = append(points, p)
	}
	return points, nil
}

// tell shows the addresses.
func (v *viewing) tell(points []*viewpoint) error {
	if v.output == "json" {
		return printJSON(v.world, points)
	}
	out := v.world.stdout
	for _, p := range points {
		fmt.Fprintf(out, "%s: %s, as %s\n", p.Where, p.Title, p.Source)
		if p.Forward != "" {
			fmt.Fprintf(out, "  forward  %s\n", p.Forward)
		}
		if p.Proxy != "" {
			fmt.Fprintf(out, "  proxy    %s\n", p.Proxy)
		}
		for _, note := range p.Notes {
			fmt.Fprintf(out, "  note     %s\n", note)
		}
	}
	if p := points[0]; p.Proxy != "" {
		fmt.Fprintf(out, "\nnext, in another terminal:\n  eval \"$(postern env --data %s --public)\"; export HTTPS_PROXY=%s\n", quote(v.data), p.Proxy)
	}
	return nil
}

// execute runs the command at the place and takes over its exit code.
func (v *viewing) execute(ctx context.Context, p *viewpoint, info *server.Info) error {
	for _, note := range p.Notes {
		v.world.note("%s", note)
	}
	dir, err := filepath.Abs(v.data)
	if err != nil {
		return failure(err, "")
	}
	cmd := exec.CommandContext(ctx, v.command[0], v.command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = v.world.stdin, v.world.stdout, v.world.stderr
	cmd.Env = append(append([]string(nil), v.world.env...), there(p, info, dir)...)
	// A terminal sends its signals to the command as well; it decides.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = waitFor
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return silent(128 + int(status.Signal()))
		}
		return silent(exit.ExitCode())
	case ctx.Err() != nil:
		return silent(128 + int(syscall.SIGINT))
	case err != nil:
		return usage(err, "")
	}
	return nil
}

// there is the variables that lead a program through the place's proxy and
// have it trust the server.
func there(p *viewpoint, info *server.Info, dir string) []string {
	bundle := filepath.Join(dir, pki.BundleFile)
	at := *info
	at.Proxy = strings.TrimPrefix(p.Proxy, "http://")
	return []string{"HTTPS_PROXY=" + p.Proxy, "https_proxy=" + p.Proxy, "NO_PROXY=", "no_proxy=",
		"SSL_CERT_FILE=" + bundle, "REQUESTS_CA_BUNDLE=" + bundle, "CURL_CA_BUNDLE=" + bundle,
		"NODE_EXTRA_CA_CERTS=" + filepath.Join(dir, pki.CertificateFile), "JAVA_TOOL_OPTIONS=" + javaOptions(&at, dir)}
}
