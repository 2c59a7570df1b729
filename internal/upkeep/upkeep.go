// Package upkeep does what vaults want done without being asked: deleted
// objects are purged at their time, keys are rotated and certificates renewed
// as their policies say, issuers are asked how far they are, and whoever
// wants to know is told of new versions and of expiry.
//
// What is due is found in the indexes of package vault, so a pass costs what
// there is to do and not what the vaults hold. Each act is one transaction
// with its record in the journal, and is done once: after a crash the next
// pass goes on where this one ended. What fails is put off and tried again.
package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"postern/internal/admission"
	"postern/internal/enrollment"
	"postern/internal/estate"
	"postern/internal/eventgrid"
	"postern/internal/keysmith"
	"postern/internal/names"
	"postern/internal/vault"
)

// How often is looked for what is due, how much of a vault is done in one
// pass and for how long, so that others have their turn, and how long after a
// failure it is tried again.
const (
	Every  = time.Minute
	batch  = 1000
	share  = Every / 2
	putOff = 10 * time.Minute
)

// Keeper keeps the vaults of an estate.
type Keeper struct {
	Snapshot  func() *estate.Snapshot
	Admission *admission.Controller
	// Desk makes keys and renews certificates.
	Desk *enrollment.Desk
	// Hooks are told of events.
	Hooks []*eventgrid.Hook
	Names *names.Names
	// NewVersion makes 32 random lower-case hex digits.
	NewVersion func() string
	Now        func() time.Time
	Log        *slog.Logger

	opened sync.Once
	// posts is changed by one delivery at a time.
	telling sync.Mutex
	posts   []*post
	page    int // events that are read at once
	// woken has the vaults in which something happened since the last look.
	mu    sync.Mutex
	woken map[string]bool
	wake  chan struct{}
}

// Run looks after the vaults until the context ends; what it has begun is
// finished first.
func (k *Keeper) Run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { k.deliver(ctx) })
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			group.Wait()
			return
		case <-tick.C:
			k.Pass(ctx)
		}
	}
}

// Pass does once what is due in all vaults.
func (k *Keeper) Pass(ctx context.Context) {
	for _, v := range k.Snapshot().Vaults() {
		if ctx.Err() != nil {
			return
		}
		if err := k.purge(ctx, v); err != nil {
			k.failed(v, "purging deleted objects", err)
		}
		if err := k.act(ctx, v); err != nil {
			k.failed(v, "looking for what is due", err)
		}
	}
}

func (k *Keeper) failed(v *estate.Vault, what string, err error) {
	if !errors.Is(err, context.Canceled) {
		k.Log.Error(what, "vault", v.Resource.Name, "error", err)
	}
}

// kind is the words of one kind of object.
type kind struct {
	// audit is the word in the names of the log's operations.
	audit string
	// near, expired and newVersion are its events.
	near, expired, newVersion eventgrid.Type
}

var kinds = map[string]kind{
	"secrets":      {"Secret", eventgrid.SecretNearExpiry, eventgrid.SecretExpired, eventgrid.SecretNewVersion},
	"keys":         {"Key", eventgrid.KeyNearExpiry, eventgrid.KeyExpired, eventgrid.KeyNewVersion},
	"certificates": {"Certificate", eventgrid.CertificateNearExpiry, eventgrid.CertificateExpired, eventgrid.CertificateNewVersion},
}

// operation is how the log names an act (documentation: logging; Notify and
// the names of a certificate's renewal are our own).
func operation(d vault.DueObject, a vault.Action) string {
	word := kinds[d.Kind].audit
	switch a {
	case vault.NearExpiry:
		return word + "NearExpiryEventGridNotification"
	case vault.Expiry:
		return word + "ExpiredEventGridNotification"
	case vault.Rotation:
		return "KeyRotateIfDue"
	case vault.Renewal:
		return "CertificateRenewIfDue"
	case vault.Poll:
		return "CertificatePendingAdvance"
	}
	return word + "Notify"
}

// grant is the way to a vault's objects for one act on one object.
func (k *Keeper) grant(v *estate.Vault, operation string, d vault.DueObject) *admission.Grant {
	g := k.Admission.Maintain(v, operation)
	if d.Name != "" {
		g.About(k.url(v, d.Kind, d.Name, ""))
	}
	return g
}

func (k *Keeper) upkeep(g *admission.Grant) *vault.Upkeep {
	return &vault.Upkeep{Terms: g.Terms(), Space: g, Key: g.Key(), Now: k.Now(), NewVersion: k.NewVersion}
}

// url is the identifier of an object, or of a version of it.
func (k *Keeper) url(v *estate.Vault, kind, name, version string) string {
	if kind == "pending" {
		return k.Names.Private.VaultURL(v.Resource.Name) + "/certificates/" + name + "/pending"
	}
	url := k.Names.Private.VaultURL(v.Resource.Name) + "/" + kind + "/" + name
	if version != "" {
		url += "/" + version
	}
	return url
}

// purge removes the objects of a vault whose time has come.
func (k *Keeper) purge(ctx context.Context, v *estate.Vault) error {
	u := k.upkeep(k.grant(v, "VaultIndex", vault.DueObject{}))
	switch indexed, err := u.Indexed(ctx); {
	case err != nil:
		return err
	case !indexed:
		if err := u.Index(ctx); err != nil {
			return err
		}
	}
	list, err := vault.Outlived(ctx, u.Space, k.Now(), batch)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := k.upkeep(k.grant(v, kinds[d.Kind].audit+"Purge", d)).Purge(ctx, d); err != nil {
			return err
		}
	}
	_, err = k.upkeep(k.grant(v, "VaultClear", vault.DueObject{})).Clear(ctx, batch)
	return err
}

// act does what is due for the objects of a vault.
func (k *Keeper) act(ctx context.Context, v *estate.Vault) error {
	u := k.upkeep(k.grant(v, "VaultUpkeep", vault.DueObject{}))
	list, err := vault.Due(ctx, u.Space, k.Now(), batch)
	if err != nil {
		return err
	}
	begun := k.Now()
	for _, d := range list {
		if ctx.Err() != nil || k.Now().Sub(begun) > share {
			return ctx.Err() // the next pass goes on
		}
		_, moments, err := u.Moments(ctx, d)
		for _, m := range moments {
			if err = k.do(ctx, v, d, m.Action); err != nil {
				break
			}
		}
		if err == nil {
			continue
		}
		k.Log.Warn("what is due is put off", "vault", v.Resource.Name, "kind", d.Kind, "name", d.Name, "until", k.Now().Add(putOff), "error", err)
		if errors.As(err, new(*enrollment.Unanswered)) {
			continue // when it is asked again is noted already
		}
		if err := u.Postpone(ctx, d, k.Now().Add(putOff)); err != nil {
			return err
		}
	}
	return nil
}

// do is one act on one object.
func (k *Keeper) do(ctx context.Context, v *estate.Vault, d vault.DueObject, a vault.Action) error {
	g := k.grant(v, operation(d, a), d)
	var err error
	switch a {
	case vault.Rotation:
		keys := &vault.Keys{Terms: g.Terms(), Space: g, Key: g.Key(), Now: k.Now(), NewVersion: k.NewVersion}
		_, _, err = keys.RotateIfDue(ctx, d.Name, keysmith.Next(ctx, k.Desk.NewKey))
	case vault.Renewal:
		_, _, err = k.Desk.Renew(ctx, k.certificates(g), d.Name)
	case vault.Poll:
		_, err = k.Desk.Advance(ctx, k.certificates(g), d.Name)
	default:
		_, err = k.upkeep(g).Announce(ctx, d, a)
	}
	return err
}

func (k *Keeper) certificates(g *admission.Grant) *vault.Certificates {
	return &vault.Certificates{Terms: g.Terms(), Space: g, Key: g.Key(), Now: k.Now(), NewVersion: k.NewVersion}
}
