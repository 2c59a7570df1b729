package entra

import (
	"context"
	"errors"
	"testing"

	"postern/access"
	"postern/internal/store"
)

// TestServicesInTenants: a first-party service has its well-known id in
// every tenant, once, with a principal and a secret of its own in each.
func TestServicesInTenants(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	app := access.MustGUID("262044b1-e2ce-469f-a196-69ab7ada62d3")
	noted := 0
	note := func(tx *store.Tx, p Principal) { noted++; tx.Put("j/"+p.Object.String(), []byte(p.DisplayName)) }
	here, secret, err := w.CreateServicePrincipalAs(ctx, w.home.ID, app, "Azure Backup", note)
	if err != nil || here.App != app || secret == "" || noted != 1 {
		t.Fatalf("CreateServicePrincipalAs = %+v, %v, noted %d times", here, err, noted)
	}
	there, other, err := w.CreateServicePrincipalAs(ctx, w.away.ID, app, "Azure Backup", nil)
	if err != nil || there.App != app || there.Object == here.Object || other == secret {
		t.Fatalf("CreateServicePrincipalAs elsewhere = %+v, %v", there, err)
	}
	if item, err := w.store.Get(ctx, "j/"+here.Object.String()); err != nil || string(item.Value) != "Azure Backup" {
		t.Errorf("the record is %q, %v", item.Value, err)
	}
	home, _ := w.PrincipalByApp(access.GUID{}, app)
	w.reopen(t)
	for _, tt := range []struct {
		tenant access.GUID
		want   Principal
	}{{w.home.ID, here}, {w.away.ID, there}, {access.GUID{}, home}} {
		if got, ok := w.PrincipalByApp(tt.tenant, app); !ok || got != tt.want {
			t.Errorf("PrincipalByApp(%v) = %+v, %v, want %+v", tt.tenant, got, ok, tt.want)
		}
	}
	for _, tt := range []struct {
		name        string
		tenant, app access.GUID
		want        error
	}{{"twice", w.home.ID, app, ErrExists}, {"nobody", w.home.ID, access.GUID{}, ErrNoPrincipal}, {"nowhere", app, app, ErrNoTenant}} {
		if _, _, err := w.CreateServicePrincipalAs(ctx, tt.tenant, tt.app, "x", note); !errors.Is(err, tt.want) {
			t.Errorf("CreateServicePrincipalAs (%s) = %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := w.AddSecret(ctx, here.Object, note); err != nil || noted != 2 {
		t.Errorf("AddSecret = %v, noted %d times, want 2", err, noted)
	}
}
