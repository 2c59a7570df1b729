package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/config"
	"postern/internal/seal"
	"postern/internal/server"
)

// serving is the command line of serve.
type serving struct {
	world      *world
	data, file string
	demo       bool
	flags      map[string]string // settings given on the command line
}

func newServeCommand(w *world) *cobra.Command {
	s := &serving{world: w, flags: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server on a data folder, which is made when it does not exist.

The configuration comes from, in rising order: defaults, the file given with
--config, the environment, flags. SIGHUP reads it again; SIGINT and SIGTERM
let running requests finish and stop.`,
		Example: "  postern serve --data ./data --demo\n  eval \"$(postern env --data ./data)\"",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context()) },
	}
	dataFlag(cmd, w, &s.data)
	cmd.Flags().StringVar(&s.file, "config", "", "configuration file, YAML (environment: POSTERN_CONFIG)")
	cmd.Flags().BoolVar(&s.demo, "demo", false, "make a resource group, a vault and a secret to try things on")
	defaults := config.Default()
	for _, setting := range defaults.Settings() {
		if setting.Flag != "" {
			usage := setting.Doc + " (environment: " + setting.Env + ")"
			cmd.Flags().Var(&given{setting, s.flags}, setting.Flag, usage)
		}
	}
	return cmd
}

// given notes a setting of the command line, to be applied after those of
// file and environment.
type given struct {
	config.Setting
	flags map[string]string
}

// Set implements pflag.Value.
func (g *given) Set(text string) error {
	g.flags[g.Key] = text
	return g.Setting.Set(text)
}

// config reads the configuration from all its sources.
func (s *serving) config() (config.Config, error) {
	c := config.Default()
	file := s.file
	if file == "" {
		file, _ = s.world.variable("POSTERN_CONFIG")
	}
	if file != "" {
		if err := c.Load(file); err != nil {
			return c, err
		}
	}
	if err := c.Environment(s.world.variable); err != nil {
		return c, err
	}
	for _, setting := range c.Settings() {
		if text, ok := s.flags[setting.Key]; ok {
			if err := setting.Set(text); err != nil {
				return c, err
			}
		}
	}
	return c, c.Check()
}

func (s *serving) run(ctx context.Context) error {
	c, err := s.config()
	if err != nil {
		return usage(err, "docs/configuration.md lists the settings and their values")
	}
	level := new(slog.LevelVar)
	log := newLog(s.world, c.Log, level)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	srv, err := server.New(ctx, server.Options{Config: c, Data: s.data, Log: log, Level: level, Version: Version})
	if err != nil {
		return failure(err, startHint(err))
	}
	if _, set := s.world.variable("GOGC"); !set {
		// The heap is small; collecting it less often saves a twelfth of the
		// CPU time of a GET and costs some twenty megabytes under load.
		debug.SetGCPercent(400)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	if s.demo {
		if err := srv.Demo(ctx); err != nil {
			stop()
			return failure(errors.Join(fmt.Errorf("making the demo: %w", err), <-done), "")
		}
	}
	info := srv.Info()
	log.Info("serving", "data", s.data, "listen", info.Listen, "proxy", info.Proxy, "profile", c.Profile, "version", Version)
	greet(s.world.stdout, s.data, info, s.demo)
	for {
		select {
		case <-hangup:
			s.reload(srv, log)
		case err := <-done:
			if err != nil {
				return failure(err, "")
			}
			log.Info("stopped")
			return nil
		}
	}
}

// reload applies the configuration anew; a broken one changes nothing.
func (s *serving) reload(srv *server.Server, log *slog.Logger) {
	c, err := s.config()
	if err != nil {
		log.Error("configuration not applied", "error", err)
		return
	}
	waiting, err := srv.Reload(c)
	if err != nil {
		log.Error("configuration not applied", "error", err)
		return
	}
	log.Info("configuration applied", "needs a restart", waiting)
}

// startHint tells what to do about a start that failed.
func startHint(err error) string {
	var sealed *seal.Error
	switch {
	case errors.As(err, &sealed):
		return sealed.Hint
	case errors.Is(err, syscall.EADDRINUSE):
		return "another server has the port; choose one with --listen and --proxy"
	case errors.Is(err, syscall.EACCES):
		return "the data folder or the port is not this user's; choose others with --data and --listen"
	}
	return ""
}

// greet says what to do next, in lines that can be pasted.
func greet(out io.Writer, data string, info *server.Info, demo bool) {
	vault, secret := "NAME", "NAME"
	if demo {
		vault, secret = server.DemoVault, server.DemoSecret
	}
	names, me := info.Names(), quote(program())
	fmt.Fprintf(out, "postern is serving %s\n\n", names.Private.VaultURL(vault))
	fmt.Fprintln(out, "next, in another terminal:")
	fmt.Fprintf(out, "  eval \"$(%s env --data %s)\"\n", me, quote(data))
	fmt.Fprintf(out, "  %s explain --data %s --vault %s --from 203.0.113.7 --as postern-admin --do secrets/get --object %s\n",
		me, quote(data), vault, secret)
	fmt.Fprintf(out, "  %s check --data %s --server %s\n", me, quote(data), names.Private.ManagementURL())
}

// program is what a person types to run this program: its name where the
// shell finds it, else its path.
func program() string {
	path, err := os.Executable()
	if err != nil {
		return "postern"
	}
	name := filepath.Base(path)
	if found, err := exec.LookPath(name); err == nil && sameFile(found, path) {
		return name
	}
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(relative) {
			return relative
		}
	}
	return path
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// newLog makes the server's log. Under systemd its lines have no time, and
// begin with the priority that the system's journal reads.
func newLog(w *world, c config.Log, level *slog.LevelVar) *slog.Logger {
	l, _ := c.Slog()
	level.Set(l)
	options := &slog.HandlerOptions{Level: level}
	if _, systemd := w.variable("JOURNAL_STREAM"); systemd && c.Format == "text" {
		options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		return slog.New(slog.NewTextHandler(&priorities{w.stderr}, options))
	}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w.stderr, options))
	}
	return slog.New(slog.NewTextHandler(w.stderr, options))
}

// waitFor is how long a command waits for an answer of a server.
const waitFor = 10 * time.Second
