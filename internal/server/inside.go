package server

import (
	"context"

	"postern/access"
	"postern/internal/pki"
)

// Authority is the certificate authority of the server's names.
func (s *Server) Authority() *pki.Authority { return s.authority }

// CreatePrincipal makes a service principal in a tenant of the directory,
// and tells its client secret once.
func (s *Server) CreatePrincipal(ctx context.Context, tenant, name string) (clientID, objectID, secret string, err error) {
	id, err := access.ParseGUID(tenant)
	if err != nil {
		return "", "", "", err
	}
	p, secret, err := s.directory.CreateServicePrincipal(ctx, id, name)
	return p.App.String(), p.Object.String(), secret, err
}
