package server

import (
	"fmt"

	"postern/internal/config"
	"postern/internal/entra"
)

// trustIssuers has the directory accept the tokens of the foreign issuers of
// the configuration.
func (s *Server) trustIssuers(list []config.Issuer) error {
	trusted := make([]entra.ForeignIssuer, len(list))
	for i := range list {
		trusted[i] = entra.ForeignIssuer(list[i])
	}
	if err := s.directory.TrustIssuers(trusted); err != nil {
		return fmt.Errorf("issuers: %w", err)
	}
	return nil
}
