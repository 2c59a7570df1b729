package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"postern/internal/pki"
	"postern/internal/server"
)

// liveness is what the status command found.
type liveness struct {
	Running bool          `json:"running"`
	Info    *server.Info  `json:"server,omitempty"`
	Answer  time.Duration `json:"answerNanoseconds,omitempty"`
}

func newStatusCommand(w *world) *cobra.Command {
	var data, output string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Tell whether the server of a data folder runs and answers",
		Long:    "Tell whether the server of a data folder runs and answers. The exit code is 0 if it does and 1 if not.",
		Example: "  postern status --data ./data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return usage(fmt.Errorf("unknown form %q", output), "--output text or json")
			}
			st, err := readStatus(cmd.Context(), data)
			if err != nil && output == "text" {
				return failure(err, "start it with: postern serve --data "+quote(data))
			}
			return printStatus(w, st, output)
		},
	}
	dataFlag(cmd, w, &data)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

func printStatus(w *world, st liveness, output string) error {
	if output == "json" {
		enc := json.NewEncoder(w.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(st); err != nil {
			return failure(err, "")
		}
		if !st.Running {
			return silent(ExitFindings)
		}
		return nil
	}
	n := st.Info.Names()
	fmt.Fprintf(w.stdout, "running   pid %d, version %s, since %s\n", st.Info.PID, st.Info.Version, st.Info.Started.Format(time.RFC3339))
	fmt.Fprintf(w.stdout, "answers   in %s\n", st.Answer.Round(time.Microsecond))
	for _, l := range st.Info.Listen {
		fmt.Fprintf(w.stdout, "listens   %s\n", l)
	}
	fmt.Fprintf(w.stdout, "vaults    %s\n", n.Private.VaultURL("NAME"))
	if st.Info.Proxy != "" {
		fmt.Fprintf(w.stdout, "proxy     %s\n", st.Info.ProxyURL())
	}
	if st.Info.Metrics != "" {
		fmt.Fprintf(w.stdout, "metrics   http://%s/metrics\n", st.Info.Metrics)
	}
	return nil
}

// readStatus reads where the server is and asks it for a sign of life.
func readStatus(ctx context.Context, data string) (liveness, error) {
	info, err := server.ReadInfo(data)
	if err != nil {
		return liveness{}, fmt.Errorf("%w: %s", err, data)
	}
	st := liveness{Info: info}
	ca, err := os.ReadFile(filepath.Join(data, pki.CertificateFile))
	if err != nil {
		return st, fmt.Errorf("reading the server's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Timeout: waitFor, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, info.Listen[0])
		}}}
	defer client.CloseIdleConnections()
	begin := time.Now()
	// Any name does (documentation: it "doesn't care if you are using the
	// hostname or IP address").
	url := "https://localhost/healthstatus"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return st, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return st, fmt.Errorf("the server does not answer: %w", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return st, errors.New("the server answers " + answer.Status)
	}
	st.Running, st.Answer = true, time.Since(begin)
	return st, nil
}
