package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"postern/internal/config"
	"postern/internal/enrollment"
	"postern/internal/issuance/acme"
	"postern/internal/names"
)

// openCertificates makes the desk where certificates are applied for, with
// the providers of the configuration, and binds the listener that an
// authority asks.
func (s *Server) openCertificates(ctx context.Context) error {
	a := s.config.Certificates.ACME
	providers := map[string]enrollment.Provider{}
	if a.Directory != "" {
		roots, err := authorities(a.CAFile)
		if err != nil {
			return fmt.Errorf("certificates.acme.caFile: %w", err)
		}
		s.responder = &acme.Responder{Now: s.options.Now}
		providers["acme"] = &acme.Issuer{Directory: a.Directory, Roots: roots, AgreeTerms: a.Terms == config.TermsAccepted,
			Hosts: a.Hosts, Served: func(host string) bool { return s.names.Resolve(host).Plane != names.None }, Responder: s.responder, Now: s.options.Now}
		var lc net.ListenConfig
		if s.challengeAt, err = lc.Listen(ctx, "tcp", a.Challenge); err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		s.closers = append(s.closers, s.challengeAt)
	}
	s.desk = enrollment.New(s.options.Random, providers)
	return nil
}

// authorities reads a file of certificates; nil, the system's, without one.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}
