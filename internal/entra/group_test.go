package entra

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/access"
	"postern/internal/store"
)

// TestGroups: memberships reach through groups, circles end, what is deleted
// is a member no more, and all of it survives reopening.
func TestGroups(t *testing.T) {
	w := newWorld(t)
	e, ctx := w.Edit(nil), t.Context()
	group := func(name string) access.GUID {
		return must(e.CreateGroup(ctx, w.home.ID, name, "", ""))(t).Object
	}
	inner, middle, outer, other := group("inner"), group("middle"), group("outer"), group("other")
	user := must(e.CreateUser(ctx, w.home.ID, "Bob@home.example", "Bob", "correct horse"))(t)
	join := func(g, m access.GUID) {
		t.Helper()
		if err := e.AddMember(ctx, g, m); err != nil {
			t.Fatal(err)
		}
	}
	join(inner, w.alice.Object)
	join(inner, user.Object)
	join(middle, inner)
	join(outer, middle)
	join(inner, outer) // a circle
	want := []access.GUID{inner, middle, outer}
	slices.SortFunc(want, func(a, b access.GUID) int { return slices.Compare(a[:], b[:]) })
	check := func(when string, object access.GUID, want []access.GUID) {
		t.Helper()
		if got := w.Groups(object); len(got)+len(want) > 0 && cmp.Diff(want, got) != "" {
			t.Errorf("%s: groups: %s", when, cmp.Diff(want, got))
		}
	}
	check("at first", w.alice.Object, want)
	check("a user", user.Object, want)
	check("nobody", w.stranger.Object, nil)
	v := w.Verifier([]string{vaultAudience})
	if got := v.Verify(w.bearer(t, w.alice, vaultAudience)); got.Token != valid || cmp.Diff(want, got.Groups) != "" {
		t.Errorf("the token's groups = %v, %v", got.Token, got.Groups)
	}
	for _, row := range []struct {
		name      string
		got, want error
	}{
		{"twice", e.AddMember(ctx, inner, w.alice.Object), ErrMember},
		{"itself", e.AddMember(ctx, inner, inner), ErrMember},
		{"of another tenant", e.AddMember(ctx, inner, w.stranger.Object), ErrMember},
		{"nobody", e.AddMember(ctx, inner, w.home.ID), ErrNotFound},
		{"of no group", e.AddMember(ctx, w.alice.Object, user.Object), ErrNotFound},
		{"no member", e.RemoveMember(ctx, other, user.Object), ErrNotFound},
		{"name taken", second(e.CreateUser(ctx, w.away.ID, "BOB@home.example", "x", "")), ErrUserTaken},
		{"no domain", second(e.CreateUser(ctx, w.home.ID, "bob", "x", "")), ErrUPN},
		{"short password", second(e.CreateUser(ctx, w.home.ID, "b@home.example", "x", "short")), ErrPassword},
		{"no name", second(e.CreateGroup(ctx, w.home.ID, "", "", "")), ErrName},
		{"no tenant", second(e.CreateGroup(ctx, inner, "x", "", "")), ErrNoTenant},
	} {
		if !errors.Is(row.got, row.want) {
			t.Errorf("%s = %v, want %v", row.name, row.got, row.want)
		}
	}
	w.reopen(t)
	e = w.Edit(nil)
	check("after reopening", w.alice.Object, want)
	if err := e.Delete(ctx, middle); err != nil {
		t.Fatal(err)
	}
	check("without the middle", w.alice.Object, slices.DeleteFunc(slices.Clone(want), func(g access.GUID) bool { return g != inner }))
	if err := e.Delete(ctx, user.Object); err != nil {
		t.Fatal(err)
	}
	if got := w.Members(inner); len(got) != 2 {
		t.Errorf("members = %v, want alice and outer", got)
	}
	w.reopen(t)
	check("after deleting and reopening", user.Object, nil)
	if _, ok := w.PrincipalByObject(user.Object); ok {
		t.Error("a deleted user is found")
	}
}

func second[T any](_ T, err error) error { return err }

// TestOverage: with more than 200 groups a token says only that there are
// more, and the directory is asked for them.
func TestOverage(t *testing.T) {
	w := newWorld(t)
	e, ctx := w.Edit(nil), t.Context()
	v := w.Verifier([]string{vaultAudience})
	for i := range maxTokenGroups + 1 {
		g := must(e.CreateGroup(ctx, w.home.ID, fmt.Sprint("g", i), "", ""))(t)
		if err := e.AddMember(ctx, g.Object, w.alice.Object); err != nil {
			t.Fatal(err)
		}
		if i < maxTokenGroups-1 {
			continue
		}
		got := v.Verify(w.bearer(t, w.alice, vaultAudience))
		if got.Token != valid || len(got.Groups) != i+1 || got.Overage != (i == maxTokenGroups) {
			t.Errorf("%d groups: %v with %d groups, overage %v", i+1, got.Token, len(got.Groups), got.Overage)
		}
	}
}

// TestSecretLife: a secret counts between its start and its end, and ends at
// once when it is removed.
func TestSecretLife(t *testing.T) {
	w := newWorld(t)
	noted := []string{}
	e, ctx := w.Edit(func(_ *store.Tx, operation string, p Principal) { noted = append(noted, operation+" "+p.DisplayName) }), t.Context()
	app := must(e.CreateApplication(ctx, w.home.ID, "shop", true, access.GUID{}))(t)
	here := must(e.CreatePrincipal(ctx, w.home.ID, app.App))(t)
	there := must(e.CreatePrincipal(ctx, w.away.ID, app.App))(t)
	info, text, err := e.CreateSecret(ctx, app.Object, "first", time.Time{}, start.Add(time.Hour))
	if err != nil || info.Hint != text[:3] || len(text) != secretLength {
		t.Fatalf("CreateSecret = %+v, %v", info, err)
	}
	held := func(p Principal) []*proofs { s := w.state.Load(); return s.held(s.objects[p.Object]) }
	for _, p := range []Principal{here, there} {
		for _, row := range []struct {
			at   time.Duration
			want acceptance
		}{{0, rightSecret}, {time.Hour - 1, rightSecret}, {time.Hour, expiredSecret}, {-time.Minute, expiredSecret}} {
			if got := accepts(text, start.Add(row.at), held(p)...); got != row.want {
				t.Errorf("after %v = %v, want %v", row.at, got, row.want)
			}
		}
	}
	if _, _, err := e.CreateSecret(ctx, app.Object, "", time.Time{}, start); !errors.Is(err, ErrLife) {
		t.Errorf("a secret of the past = %v, want %v", err, ErrLife)
	}
	if err := e.RemoveSecret(ctx, app.Object, info.ID); err != nil {
		t.Fatal(err)
	}
	if got := accepts(text, start, held(here)...); got != wrongSecret {
		t.Errorf("a removed secret = %v, want %v", got, wrongSecret)
	}
	single := must(e.CreateApplication(ctx, w.home.ID, "single", false, access.GUID{}))(t)
	if _, err := e.CreatePrincipal(ctx, w.away.ID, single.App); !errors.Is(err, ErrSingleTenant) {
		t.Errorf("a principal elsewhere = %v, want %v", err, ErrSingleTenant)
	}
	if _, err := e.CreatePrincipal(ctx, w.home.ID, app.App); !errors.Is(err, ErrExists) {
		t.Errorf("a second principal = %v, want %v", err, ErrExists)
	}
	if err := e.Delete(ctx, app.Object); err != nil {
		t.Fatal(err)
	}
	_, homeLeft := w.PrincipalByObject(here.Object)
	_, awayLeft := w.PrincipalByApp(access.GUID{}, app.App)
	if homeLeft || !awayLeft {
		t.Errorf("after the registration: at home %v, elsewhere %v; want the other tenant's alone", homeLeft, awayLeft)
	}
	want := []string{"CreateApplication shop", "CreateServicePrincipal shop", "CreateServicePrincipal shop", "AddPassword shop", "RemovePassword shop", "CreateApplication single", "DeleteObject shop"}
	if diff := cmp.Diff(want, noted); diff != "" {
		t.Errorf("noted: %s", diff)
	}
}

// TestRevocation: what was issued before does not hold, what is issued after
// does, at once, and a claims challenge says from when.
func TestRevocation(t *testing.T) {
	w := newWorld(t)
	e, ctx := w.Edit(nil), t.Context()
	v := w.Verifier([]string{vaultAudience})
	before := w.bearer(t, w.alice, vaultAudience)
	if got := v.Verify(before).Token; got != valid {
		t.Fatal(got)
	}
	if err := e.Revoke(ctx, w.alice.Object); err != nil {
		t.Fatal(err)
	}
	if got := v.Verify(before); got.Token != expired || got.Claims != `{"access_token":{"nbf":{"essential":true,"value":"1795341601"}}}` {
		t.Errorf("before = %v, claims %s", got.Token, got.Claims)
	}
	after := w.bearer(t, w.alice, vaultAudience)
	if got := v.Verify(after); got.Token != valid || got.Claims != "" {
		t.Errorf("after = %v, claims %s", got.Token, got.Claims)
	}
	if err := e.Revoke(ctx, w.alice.Object); err != nil { // in the same second
		t.Fatal(err)
	}
	if got := v.Verify(after).Token; got != expired {
		t.Errorf("after once more = %v, want %v", got, expired)
	}
	after = w.bearer(t, w.alice, vaultAudience)
	w.reopen(t)
	v = w.Verifier([]string{vaultAudience})
	if a, b := v.Verify(before).Token, v.Verify(after).Token; a != expired || b != valid {
		t.Errorf("after reopening = %v, %v", a, b)
	}
	if err := w.Edit(nil).Delete(ctx, w.alice.Object); err != nil {
		t.Fatal(err)
	}
	if got := v.Verify(after).Token; got != expired {
		t.Errorf("of a deleted principal = %v, want %v", got, expired)
	}
}
