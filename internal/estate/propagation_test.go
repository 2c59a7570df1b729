package estate

import (
	"context"
	"testing"
	"time"

	"postern/access"
	"postern/internal/store/memory"
)

func TestPropagation(t *testing.T) {
	ctx, now := context.Background(), time.Unix(1_700_000_000, 0)
	o := options
	o.Delays = Delays{Firewall: time.Minute, RoleAssignment: 5 * time.Minute}
	o.Now = func() time.Time { return now }
	r, err := Open(ctx, memory.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	change := func(res ...*Resource) {
		t.Helper()
		err := r.Change(ctx, func(_ *Snapshot, d *Draft) error {
			for _, x := range res {
				d.Put(x)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := func(when string, action access.Verdict, tenantPolicies, assignments int) {
		t.Helper()
		v, ok := r.Effective().Vault("v")
		if !ok || v.Rules.DefaultAction != action || len(v.Rules.Policies) != tenantPolicies || len(v.Rules.Assignments) != assignments {
			t.Fatalf("%s: decisions see %+v", when, v)
		}
	}
	const deny, policy = `,"networkAcls":{"defaultAction":"Deny"}`, `,"accessPolicies":[{"tenantId":"` + tenant + `","objectId":"` + principal + `"}]`
	change(vaultResource("v", ""))
	seen("a new vault", access.Allow, 0, 0)
	change(vaultResource("v", deny))
	seen("a firewall under way", access.Allow, 0, 0)
	now = now.Add(30 * time.Second)
	change(vaultResource("v", deny+policy), assignmentResource(group, "a"))
	seen("what has no delay is seen at once", access.Allow, 1, 0)
	if v, _ := r.Snapshot().Vault("v"); v.Rules.DefaultAction != access.Deny || len(v.Rules.Assignments) != 1 {
		t.Fatalf("the control plane sees %+v", v.Rules)
	}
	now = now.Add(30 * time.Second)
	seen("the firewall has come into force", access.Deny, 1, 0)
	change(vaultResource("v", policy))
	seen("the rollback is under way", access.Deny, 1, 0)
	now = now.Add(4 * time.Minute)
	seen("the rollback has come into force", access.Allow, 1, 0)
	now = now.Add(30 * time.Second)
	seen("the assignment has come into force", access.Allow, 1, 1)
	if e := r.effective.Load(); e.until != 0 || e.snapshot != r.Snapshot() || len(r.propagation.waiting) != 0 {
		t.Fatalf("something is still under way: %+v", e)
	}
}

// TestVersionsComeOneByOne: two changes within the delay are seen in turn.
func TestVersionsComeOneByOne(t *testing.T) {
	ctx, now := context.Background(), time.Unix(1_700_000_000, 0)
	o := options
	o.Delays, o.Now = Delays{Firewall: time.Minute}, func() time.Time { return now }
	r, err := Open(ctx, memory.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	put := func(properties string) {
		_ = r.Change(ctx, func(_ *Snapshot, d *Draft) error { d.Put(vaultResource("v", properties)); return nil })
	}
	put(`,"networkAcls":{"ipRules":[]}`)
	put(`,"networkAcls":{"ipRules":[{"value":"1.1.1.1"}]}`)
	now = now.Add(20 * time.Second)
	put(`,"networkAcls":{"ipRules":[{"value":"1.1.1.1"},{"value":"2.2.2.2"}]}`)
	for _, want := range []int{0, 0, 1, 2, 2} {
		v, _ := r.Effective().Vault("v")
		if got := len(v.Rules.IPRules); got != want {
			t.Fatalf("at %s decisions see %d rules, want %d", now, got, want)
		}
		now = now.Add(20 * time.Second)
	}
	_ = r.Change(ctx, func(_ *Snapshot, d *Draft) error { d.Delete(vaultResource("v", "").ID); return nil })
	if _, ok := r.Effective().Vault("v"); ok {
		t.Fatal("a deleted vault is still seen")
	}
}

func TestEffectiveWithoutDelays(t *testing.T) {
	r, err := Open(context.Background(), memory.New(), options)
	if err != nil {
		t.Fatal(err)
	}
	if r.Effective() != r.Snapshot() {
		t.Fatal("without delays decisions see another snapshot")
	}
	if n := testing.AllocsPerRun(100, func() { r.Effective() }); n != 0 {
		t.Fatalf("Effective allocates %v times, want 0", n)
	}
}

func TestPublished(t *testing.T) {
	r, err := Open(context.Background(), memory.New(), options)
	if err != nil {
		t.Fatal(err)
	}
	told := r.Published()
	for range 2 {
		_ = r.Change(context.Background(), func(_ *Snapshot, d *Draft) error { d.Put(vaultResource("v", "")); return nil })
	}
	<-told
	select {
	case <-told:
		t.Fatal("two changes that nobody looked at were told twice")
	default:
	}
}

// TestAtOnce: what a server makes itself is not held back.
func TestAtOnce(t *testing.T) {
	o := options
	o.Delays = Delays{RoleAssignment: time.Hour}
	r, err := Open(context.Background(), memory.New(), o)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Change(context.Background(), func(_ *Snapshot, d *Draft) error {
		d.AtOnce()
		d.Put(vaultResource("v", ""))
		d.Put(assignmentResource(group, "a"))
		return nil
	})
	if v, ok := r.Effective().Vault("v"); !ok || len(v.Rules.Assignments) != 1 {
		t.Fatalf("decisions see %+v", v)
	}
}
