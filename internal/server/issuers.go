package server

import (
	"fmt"

	"postern/internal/config"
	"postern/internal/entra"
)

// trustIssuers has the directory accept the tokens of the foreign issuers of
// the configuration, and the attestations of its authorities.
func (s *Server) trustIssuers(c *config.Config) error {
	trusted := make([]entra.ForeignIssuer, len(c.Issuers))
	for i := range c.Issuers {
		trusted[i] = entra.ForeignIssuer(c.Issuers[i])
	}
	attesters := make([]entra.AttestationAuthority, len(c.Attestation))
	for i := range c.Attestation {
		attesters[i] = entra.AttestationAuthority(c.Attestation[i])
	}
	if err := s.directory.TrustIssuers(trusted); err != nil {
		return fmt.Errorf("issuers: %w", err)
	}
	if err := s.directory.TrustAttestation(attesters); err != nil {
		return fmt.Errorf("attestation: %w", err)
	}
	return nil
}
