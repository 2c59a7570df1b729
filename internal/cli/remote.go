package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"postern/internal/iac/live"
	"postern/internal/server"
)

// remote says which running server is meant.
type remote struct {
	server, data string
}

func (r *remote) flags(flags *pflag.FlagSet) {
	flags.StringVar(&r.server, "server", "", "URL of a server's ARM API; credentials come from AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET")
	flags.StringVar(&r.data, "data", "", "data folder of a running server: its address, its CA and its administrator")
}

// isSet reports whether a server is named at all.
func (r *remote) isSet() bool { return r.server != "" || r.data != "" }

// connect opens the server that is meant.
func (w *world) connect(ctx context.Context, r *remote) (*live.Client, error) {
	config := live.Config{URL: r.server, Authority: w.value("AZURE_AUTHORITY_HOST"), Tenant: w.value("AZURE_TENANT_ID"),
		ClientID: w.value("AZURE_CLIENT_ID"), ClientSecret: w.value("AZURE_CLIENT_SECRET"), Progress: w.progress()}
	if r.data != "" {
		if err := fromData(&config, r.data); err != nil {
			return nil, err
		}
	}
	if file := w.value("SSL_CERT_FILE"); file != "" && config.Roots == nil {
		roots, err := os.ReadFile(file)
		if err != nil {
			return nil, usage(fmt.Errorf("SSL_CERT_FILE: %w", err), "")
		}
		config.Roots = roots
	}
	client, err := live.Open(ctx, config)
	if err != nil {
		w.progress()("")
		return nil, usage(err, "--data DIR takes address, CA and administrator from the data folder of a server on this machine")
	}
	return client, nil
}

// fromData fills in what the data folder of a running server says. What the
// command line and the environment say stays.
func fromData(config *live.Config, dir string) error {
	info, err := server.ReadInfo(dir)
	switch {
	case errors.Is(err, server.ErrNotRunning):
		return usage(err, "postern serve --data "+dir+" starts one")
	case err != nil:
		return usage(err, "")
	}
	if config.Roots, err = os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil {
		return usage(err, "")
	}
	own := info.Names().Private.ManagementURL()
	if config.URL == "" {
		config.URL = own
	}
	if config.URL == own && len(info.Listen) > 0 {
		config.Address = info.Listen[0]
	}
	if config.ClientSecret != "" {
		return nil
	}
	secret, err := os.ReadFile(filepath.Join(dir, server.AdminSecretFile))
	if err != nil {
		return usage(err, "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET name another principal")
	}
	// The administrator's secret belongs to this server's own login.
	config.Authority = ""
	config.Tenant, config.ClientID, config.ClientSecret = info.Admin.TenantID, info.Admin.ClientID, strings.TrimSpace(string(secret))
	return nil
}
