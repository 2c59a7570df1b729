package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"postern/internal/config"
	"postern/internal/names"
)

// Info is where a running server is found; it stands in InfoFile.
type Info struct {
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Listen are the bound addresses; Proxy, Metrics, ProxyProtocol and DNS
	// are "" when off.
	Listen        []string `json:"listen"`
	Proxy         string   `json:"proxy,omitempty"`
	Metrics       string   `json:"metrics,omitempty"`
	ProxyProtocol string   `json:"proxyProtocol,omitempty"`
	DNS           string   `json:"dns,omitempty"`
	// Identity is the address of the endpoints of managed identities.
	Identity string `json:"identity,omitempty"`
	Suffix   string `json:"suffix"`
	Port     int    `json:"port"`
	Admin    Admin  `json:"admin"`
	// Profile is what the service is held to, Propagation how long changes
	// take until decisions see them.
	Profile     string             `json:"profile"`
	Propagation config.Propagation `json:"propagation,omitzero"`
}

// Names are the names by which the server is reached.
func (i *Info) Names() *names.Names { return names.New(i.Suffix, i.Port) }

// ProxyURL is the value for HTTPS_PROXY; "" when the proxy is off.
func (i *Info) ProxyURL() string {
	if i.Proxy == "" {
		return ""
	}
	return (&url.URL{Scheme: "http", Host: i.Proxy}).String()
}

// ErrNotRunning: no server is running on the data folder.
var ErrNotRunning = errors.New("no server is running on this data folder")

// ReadInfo reads where the server of a data folder is found.
func ReadInfo(dir string) (*Info, error) {
	text, err := os.ReadFile(filepath.Join(dir, InfoFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("reading the server's addresses: %w", err)
	}
	var i Info
	if err := json.Unmarshal(text, &i); err != nil {
		return nil, fmt.Errorf("reading the server's addresses: %w", err)
	}
	return &i, nil
}

// Info is where this server is found.
func (s *Server) Info() *Info {
	i := &Info{PID: os.Getpid(), Version: s.options.Version, Started: s.options.Now().UTC(), Suffix: s.config.Suffix, DNS: s.dnsAt,
		Port: s.listeners[0].Addr().(*net.TCPAddr).Port, Admin: s.admin, Profile: s.config.Profile, Propagation: s.config.Propagation}
	for _, l := range s.listeners {
		i.Listen = append(i.Listen, l.Addr().String())
	}
	if s.proxyAt != nil {
		i.Proxy = s.proxyAt.Addr().String()
	}
	if s.metricsAt != nil {
		i.Metrics = s.metricsAt.Addr().String()
	}
	if s.identityAt != nil {
		i.Identity = s.identityAt.Addr().String()
	}
	if s.hopsAt != nil {
		i.ProxyProtocol = s.hopsAt.Addr().String()
	}
	return i
}

// writeInfo writes InfoFile and has it removed at the end.
func (s *Server) writeInfo(context.Context) error {
	text, err := json.MarshalIndent(s.Info(), "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(s.options.Data, InfoFile)
	if err := writePrivate(path, append(text, '\n')); err != nil {
		return err
	}
	s.closers = append(s.closers, removal(path))
	return nil
}

// removal removes a file when it is closed.
type removal string

var _ io.Closer = removal("")

// Close implements io.Closer.
func (r removal) Close() error {
	if err := os.Remove(string(r)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
