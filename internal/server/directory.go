package server

import (
	"fmt"
	"net/http"

	"postern/internal/entra"
	"postern/internal/journal"
	"postern/internal/store"
)

// recordDirectory puts the record of a change through Graph into its
// transaction; without a journal nothing changes.
func (s *Server) recordDirectory(tx *store.Tx, r *http.Request, by *entra.Identity, operation string, p entra.Principal) (func() error, error) {
	if err := s.journal.Broken(); err != nil {
		return nil, fmt.Errorf("the journal cannot be written: %w", err)
	}
	rec := &journal.Record{Time: s.options.Now(), ResourceID: "/providers/Postern.Platform/directory/" + p.Object.String(),
		OperationName: "Directory" + operation, Category: "Platform", ClientInfo: r.UserAgent(), CallerIP: s.perimeter.Origin(r).Addr,
		Identity:   journal.Identity{Object: by.ObjectID, App: by.AppID, Issuer: by.Issuer, UPN: by.UPN, Type: by.IDType, ResourceID: by.ResourceID},
		Properties: []journal.Property{{Name: "tenant", Value: p.Tenant.String()}, {Name: "name", Value: p.DisplayName}}}
	rec.Answered(http.StatusOK)
	key, value := s.journal.Outbox(rec)
	tx.Put(key, value)
	return func() error { return s.journal.Deliver(rec, key) }, nil
}
