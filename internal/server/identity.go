package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	"postern/internal/arm"
	armidentity "postern/internal/arm/identity"
	armworkload "postern/internal/arm/workload"
	"postern/internal/config"
	"postern/internal/estate"
	"postern/internal/identityendpoint"
	"postern/internal/operator"
	"postern/internal/store"
)

// identityProviders are the providers of what has managed identities.
func identityProviders() []arm.Provider {
	return append(armworkload.Providers(), armidentity.Provider())
}

// headerKey is where the key stands from which the headers of sites are made.
const headerKey = "i/header"

// openIdentity opens the endpoints of managed identities, unless they are
// off.
func (s *Server) openIdentity(ctx context.Context) error {
	if s.config.Identity.Listen == config.Off {
		return nil
	}
	key, err := s.siteKey(ctx)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	if s.identityAt, err = lc.Listen(ctx, "tcp", s.config.Identity.Listen); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	s.closers = append(s.closers, s.identityAt)
	arc := &identityendpoint.Arc{Folder: s.config.Identity.ArcTokens, Now: s.options.Now, Random: s.options.Random, Log: s.options.Log}
	s.closers = append(s.closers, arc)
	h := identityendpoint.Handler(identityendpoint.Options{Snapshot: s.estate.Snapshot, Directory: s.directory, Arc: arc,
		Header: func(site *estate.Resource) string { return siteHeader(key, site) }, Now: s.options.Now, Log: s.options.Log})
	s.others = append(s.others, plainServer{newHTTPServer(h, slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn)), s.identityAt})
	return nil
}

// siteKey is the key of the sites' headers, which is made when there is none.
func (s *Server) siteKey(ctx context.Context) ([]byte, error) {
	sealing := s.root.Key("identity")
	item, err := s.store.Get(ctx, headerKey)
	if err == nil {
		return sealing.Open(headerKey, item.Value)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("reading the key of the sites: %w", err)
	}
	key := make([]byte, 32)
	if _, err := io.ReadFull(s.options.Random, key); err != nil {
		return nil, fmt.Errorf("making the key of the sites: %w", err)
	}
	var tx store.Tx
	tx.Absent(headerKey)
	tx.Put(headerKey, sealing.Seal(headerKey, key))
	if err := s.store.Commit(ctx, &tx); err != nil {
		return nil, fmt.Errorf("keeping the key of the sites: %w", err)
	}
	return key, nil
}

// siteHeader is what the programs of a site show; a site that is made anew
// has another.
func siteHeader(key []byte, site *estate.Resource) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s\n%d", estate.Key(site.ID), site.Created.UnixNano())
	return hex.EncodeToString(mac.Sum(nil))
}

// SiteEnvironment is what App Service puts into the environment of a site's
// programs: IDENTITY_ENDPOINT and IDENTITY_HEADER.
func (s *Server) SiteEnvironment(ctx context.Context, id string) (operator.SiteEnvironment, error) {
	site, ok := s.estate.Snapshot().Resource(id)
	if !ok || site.Type != armworkload.TypeSite {
		return operator.SiteEnvironment{}, fmt.Errorf("there is no site %s", id)
	}
	if s.identityAt == nil {
		return operator.SiteEnvironment{}, errors.New("the endpoints of managed identities are off (identity.listen)")
	}
	key, err := s.siteKey(ctx)
	if err != nil {
		return operator.SiteEnvironment{}, err
	}
	return operator.SiteEnvironment{Endpoint: "http://" + s.identityAt.Addr().String() + identityendpoint.AppServicePath,
		Header: siteHeader(key, site)}, nil
}
