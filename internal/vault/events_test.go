package vault

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postern/internal/store/memory"
)

func TestEvents(t *testing.T) {
	r := newRig()
	r.Terms.Events = true
	ctx := t.Context()
	exp := r.Now.AddDate(0, 0, 40).Unix()
	o := must(r.Set(ctx, "My-Secret", SecretInput{NotBefore: At(1), Expires: At(exp)}))
	_ = must2(r.keys().Add(ctx, "k", KeyInput{Content: someKey("1")}))
	must(r.certificates().Begin(ctx, "c", Pending{Request: "r", Key: someKey("1")}, nil))
	_ = must2(r.certificates().Complete(ctx, "c", "r", someCertificate("1")))
	r.Now = r.Now.AddDate(0, 0, 10)
	due := must(Due(ctx, r.Space, r.Now, 10))
	if len(due) != 1 {
		t.Fatalf("Due = %v, want the secret", due)
	}
	got, moments, err := r.upkeep().Moments(ctx, due[0])
	if err != nil || got.Version.ID != o.Version.ID || !cmp.Equal(moments, []Moment{{NearExpiry, exp - nearExpiry}}) {
		t.Errorf("Moments = %+v, %v, %v", got, moments, err)
	}
	for _, want := range []bool{true, false} {
		if done, err := r.upkeep().Announce(ctx, due[0], NearExpiry); done != want || err != nil {
			t.Errorf("Announce = %v, %v, want %v", done, err, want)
		}
	}
	events := must(r.upkeep().Events(ctx, nil, 10))
	var told []string
	for _, e := range events {
		told = append(told, fmt.Sprintf("%s %s %s", e.Kind, e.Name, e.News))
		if !validVersion(e.ID) || !validVersion(e.Version) {
			t.Errorf("the event %+v has a wrong identifier or version", e)
		}
	}
	slices.Sort(told[:3])
	if want := []string{"certificates c NewVersionCreated", "keys k NewVersionCreated", "secrets My-Secret NewVersionCreated", "secrets My-Secret NearExpiry"}; !cmp.Equal(told, want) {
		t.Errorf("the events are %q, want %q", told, want)
	}
	if e := events[3]; e.Version != o.Version.ID || e.NotBefore != At(1) || e.Expires != At(exp) || e.Time != r.Now.Unix() {
		t.Errorf("the event says %+v", e)
	}
	if err := r.upkeep().Delivered(ctx, events[:3]...); err != nil {
		t.Fatal(err)
	}
	if left := must(r.upkeep().Events(ctx, nil, 10)); !cmp.Equal(left, events[3:]) {
		t.Errorf("after the delivery of three %v is left", left)
	}
	for _, item := range r.dump(t) {
		if strings.Contains(string(item.Value), "NearExpiry") {
			t.Errorf("%s is not sealed", item.Key)
		}
	}
}

// TestNoEvents: nothing is kept for nobody, and what was due is done all the
// same.
func TestNoEvents(t *testing.T) {
	r := newRig()
	must(r.Set(t.Context(), "a", SecretInput{Expires: At(r.Now.Unix() - 1)}))
	due := must(Due(t.Context(), r.Space, r.Now, 10))
	if done, err := r.upkeep().Announce(t.Context(), due[0], Expiry); !done || err != nil {
		t.Errorf("Announce = %v, %v, want true", done, err)
	}
	if events := must(r.upkeep().Events(t.Context(), nil, 10)); len(events) != 0 {
		t.Errorf("Events = %v, want none", events)
	}
	if due := must(Due(t.Context(), r.Space, r.Now.AddDate(100, 0, 0), 10)); len(due) != 0 {
		t.Errorf("Due after all was done = %v, want nothing", due)
	}
}

// TestLeftOverKeys: a key of an index that its object does not have any more
// is removed, and one of an object that is there again is not.
func TestLeftOverKeys(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	exp := At(r.Now.Unix())
	must(r.Set(ctx, "a", SecretInput{Expires: exp}))
	r.set(t, "b", "1")
	must(r.Delete(ctx, "b"))
	for _, key := range []string{"due/000000000007/secrets/a", "due/000000000007/secrets/none", "due/000000000007/keys/a", "due/000000000007/pending/a",
		"purge/000000000007/secrets/b", "purge/000000000007/certificates/a", "purge/000000000007/secrets/a"} {
		r.overwrite(t, key, []byte{1})
	}
	for _, d := range must(Due(ctx, r.Space, r.Now, 10)) {
		if _, moments, err := r.upkeep().Moments(ctx, d); err != nil || len(moments) != map[bool]int{true: 1}[d.Name == "a" && d.Kind == kindSecrets] {
			t.Errorf("Moments(%v) = %v, %v", d, moments, err)
		}
	}
	if done, err := r.upkeep().Announce(ctx, DueObject{kindSecrets, "a", 7}, Expiry); !done || err != nil {
		t.Errorf("Announce = %v, %v", done, err)
	}
	for _, d := range must(Due(ctx, r.Space, r.Now, 10)) {
		if _, moments, err := r.upkeep().Moments(ctx, d); err != nil || moments != nil {
			t.Errorf("Moments(%v) = %v, %v, want nothing", d, moments, err)
		}
	}
	r.sweep(ctx)
	checkIndexes(t, r)
	must(r.GetDeleted(ctx, "b"))
}

// TestNewVersionIsToldOfAnew: a new version is near its expiry by itself,
// even when it expires with the one before.
func TestNewVersionIsToldOfAnew(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	for range 2 {
		must(r.Set(ctx, "a", SecretInput{Expires: At(r.Now.Unix() + 60)}))
		checkIndexes(t, r)
		d := must(Due(ctx, r.Space, r.Now, 10))
		if len(d) != 1 {
			t.Fatalf("Due = %v, want the new version", d)
		}
		if done, err := r.upkeep().Announce(ctx, d[0], NearExpiry); !done || err != nil {
			t.Errorf("Announce = %v, %v, want true", done, err)
		}
	}
}

// TestPostpone: what failed does not stand in the way of others, and comes
// again.
func TestPostpone(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	must(r.Set(ctx, "a", SecretInput{Expires: At(r.Now.Unix())}))
	d := must(Due(ctx, r.Space, r.Now, 10))[0]
	if err := r.upkeep().Postpone(ctx, d, r.Now.Add(3600e9)); err != nil {
		t.Fatal(err)
	}
	checkIndexes(t, r)
	if due := must(Due(ctx, r.Space, r.Now.Add(3599e9), 10)); len(due) != 0 {
		t.Errorf("Due before it is time again = %v", due)
	}
	if done, err := r.upkeep().Announce(ctx, d, Expiry); done || err != nil {
		t.Errorf("Announce before it is time again = %v, %v, want false", done, err)
	}
	must(r.Update(ctx, "a", "", SecretPatch{Expires: At(r.Now.Unix() - 1)}))
	if due := must(Due(ctx, r.Space, r.Now, 10)); len(due) != 1 {
		t.Errorf("Due after a change = %v, want it tried again", due)
	}
	if err := r.upkeep().Postpone(ctx, d, r.Now.Add(3600e9)); err != nil {
		t.Fatal(err)
	}
	r.Now = r.Now.Add(3600e9)
	if due := must(Due(ctx, r.Space, r.Now, 10)); len(due) != 1 {
		t.Errorf("Due when it is time again = %v", due)
	}
	if done, err := r.upkeep().Announce(ctx, d, Expiry); !done || err != nil {
		t.Errorf("Announce when it is time again = %v, %v, want true", done, err)
	}
	for _, d := range []DueObject{d, {kindKeys, "none", 1}, {kindPending, "none", 1}} {
		if err := r.upkeep().Postpone(ctx, d, r.Now); err != nil {
			t.Errorf("Postpone of what is not due = %v", err)
		}
	}
	checkIndexes(t, r)
}

// TestRenewalIsTriedAgain: a renewal that failed is due again after a while;
// one that somebody cancelled or took away is not.
func TestRenewalIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		what string
		end  func(c *Certificates) error
		want bool
	}{
		{"failed", func(c *Certificates) error {
			return only(c.ChangePending(t.Context(), "A", func(p *Pending) error { p.Status = StatusFailed; return nil }))
		}, true},
		{"cancelled", func(c *Certificates) error {
			return only(c.ChangePending(t.Context(), "a", func(p *Pending) error { p.Status = StatusCancelled; return nil }))
		}, false},
		{"taken away", func(c *Certificates) error { return only(c.DropPending(t.Context(), "a")) }, false},
	} {
		r := newRig()
		in := someCertificate("1")
		in.Expires = At(r.Now.AddDate(0, 0, 100).Unix())
		in.Policy = []byte(`{"issuer":{"name":"i"},"lifetime_actions":[{"trigger":{"days_before_expiry":20},"action":{"action_type":"AutoRenew"}}]}`)
		_ = must2(r.certificates().Import(t.Context(), "a", in))
		r.Now = r.Now.AddDate(0, 0, 81)
		renew := func() bool {
			t.Helper()
			_, done, err := r.certificates().RenewIfDue(t.Context(), "a", func(Object) (Pending, error) { return Pending{Request: "r", Key: someKey("2")}, nil })
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		if !renew() {
			t.Fatalf("%s: no renewal was due: this tries nothing", tt.what)
		}
		if err := tt.end(r.certificates()); err != nil {
			t.Fatal(err)
		}
		checkIndexes(t, r)
		if renew() {
			t.Errorf("a renewal that was %s is tried again at once", tt.what)
		}
		r.Now = r.Now.Add(renewalPause * time.Second)
		if got := renew(); got != tt.want {
			t.Errorf("after a while a renewal that was %s is tried again: %v, want %v", tt.what, got, tt.want)
		}
		checkIndexes(t, r)
	}
}

func TestRenewIfDue(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	in := someCertificate("1")
	in.Expires = At(r.Now.AddDate(0, 0, 100).Unix())
	in.Policy = []byte(`{"issuer":{"name":"Self"},"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"AutoRenew"}}]}`)
	_ = must2(r.certificates().Import(ctx, "a", in))
	renew := func(o Object) (Pending, error) { return Pending{Request: "r", Key: someKey("2")}, nil }
	if _, done, err := r.certificates().RenewIfDue(ctx, "a", renew); done || err != nil {
		t.Errorf("RenewIfDue too early = %v, %v, want false", done, err)
	}
	r.Now = r.Now.AddDate(0, 0, 80)
	refusal := errors.New("no")
	if _, done, err := r.certificates().RenewIfDue(ctx, "a", func(Object) (Pending, error) { return Pending{}, refusal }); done || !errors.Is(err, refusal) {
		t.Errorf("RenewIfDue whose fn fails = %v, %v", done, err)
	}
	p, done, err := r.certificates().RenewIfDue(ctx, "a", renew)
	if !done || err != nil || !p.Renewal {
		t.Errorf("RenewIfDue = %+v, %v, %v", p, done, err)
	}
	checkIndexes(t, r)
	if _, done, err := r.certificates().RenewIfDue(ctx, "a", renew); done || err != nil && !errors.Is(err, InProgress) {
		t.Errorf("RenewIfDue twice = %v, %v, want false", done, err)
	}
	in2 := someCertificate("2")
	in2.Expires = At(r.Now.AddDate(0, 0, 100).Unix())
	_ = must2(r.certificates().Complete(ctx, "a", "r", in2))
	if _, done, err := r.certificates().RenewIfDue(ctx, "a", renew); done || err != nil {
		t.Errorf("RenewIfDue of a new version = %v, %v, want false", done, err)
	}
	for _, name := range []string{"none"} {
		if _, done, err := r.certificates().RenewIfDue(ctx, name, renew); done || err != nil {
			t.Errorf("RenewIfDue(%q) = %v, %v, want false", name, done, err)
		}
	}
	checkIndexes(t, r)
}

// TestActedOnOnce lets a scheduler work on random objects while commits fail
// or lose their answers. Whatever happens, each moment is acted on once:
// counted is what was really applied to the store.
func TestActedOnOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig()
		r.Terms.Events = true
		ctx := t.Context()
		applied := map[string]int{}
		fault := memory.Work
		r.store.Faults = func(c memory.Call) memory.Fault {
			if c.Verb != memory.Commit {
				return memory.Work
			}
			if fault != memory.Fail {
				for _, op := range c.Tx.Operations {
					if strings.HasPrefix(op.Key, "events/") && !op.Delete {
						applied[op.Key[len("events/000000000000/"):]]++
					}
				}
			}
			return fault
		}
		policies := []RotationPolicy{{}, {ExpiryTime: "P60D", Actions: []RotationAction{{Type: "Rotate", AfterCreate: "P20D"}}},
			{ExpiryTime: "P60D", Actions: []RotationAction{{Type: "Rotate", BeforeExpiry: "P15D"}, {Type: "Notify", BeforeExpiry: "P10D"}}}}
		for i := range rapid.IntRange(1, 3).Draw(t, "secrets") {
			days := rapid.IntRange(-5, 90).Draw(t, "days")
			must(r.Set(ctx, fmt.Sprint("s", i), SecretInput{Expires: At(r.Now.AddDate(0, 0, days).Unix())}))
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "keys") {
			_ = must2(r.keys().Add(ctx, fmt.Sprint("k", i), KeyInput{Content: someKey("x"), Expires: At(r.Now.AddDate(0, 0, 50).Unix())}))
			_ = must2(r.keys().SetRotationPolicy(ctx, fmt.Sprint("k", i), rapid.SampledFrom(policies).Draw(t, "policy")))
		}
		rotated := 0
		run := func() (failed bool) {
			for _, d := range must(Due(ctx, r.Space, r.Now, 100)) {
				_, all, err := r.upkeep().Moments(ctx, d)
				if err != nil {
					failed = true
				}
				for _, m := range all {
					fault = rapid.SampledFrom([]memory.Fault{memory.Work, memory.Work, memory.Fail, memory.Lose}).Draw(t, "fault")
					if m.Action == Rotation {
						_, _, err = r.keys().RotateIfDue(ctx, d.Name, func(k KeyContent) (KeyInput, error) { return KeyInput{Content: k}, nil })
						if fault != memory.Fail {
							rotated++
						}
					} else {
						_, err = r.upkeep().Announce(ctx, d, m.Action)
					}
					failed = failed || err != nil
					fault = memory.Work
				}
				checkIndexes(t, r)
			}
			return failed
		}
		var times []int64
		for range rapid.IntRange(1, 6).Draw(t, "runs") {
			r.Now = r.Now.AddDate(0, 0, rapid.IntRange(0, 25).Draw(t, "later"))
			times = append(times, r.Now.Unix())
			for run() {
			}
			if due := must(Due(ctx, r.Space, r.Now, 100)); len(due) != 0 {
				t.Fatalf("after a run without a failure %v is due", due)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(applied)) {
			if applied[id] != 1 {
				t.Errorf("the event %s was made %d times, want once", id, applied[id])
			}
		}
		checkTold(t, r, times)
		if got := len(must(r.keys().List(ctx, "", 25)).Keys); got > 0 && versionsOf(t, r) != got+rotated {
			t.Errorf("the keys have %d versions, want %d and one for each of %d rotations", versionsOf(t, r), got, rotated)
		}
	})
}

// versionsOf counts the versions of all keys.
func versionsOf(t *rapid.T, r *rig) (n int) {
	for _, k := range must(r.keys().List(t.Context(), "", 25)).Keys {
		n += k.Object.versions
	}
	return n
}

// checkTold holds what was told of the secrets to the times at which the
// scheduler ran: near its expiry if it ran in the 30 days before, expired if
// it ran after.
func checkTold(t *rapid.T, r *rig, times []int64) {
	t.Helper()
	want, got := map[string]bool{}, map[string]bool{}
	for _, o := range must(r.List(t.Context(), "", 25)).Objects {
		exp := o.Version.Expires.Unix
		for _, at := range times {
			switch {
			case at >= exp:
				want[o.Name+" Expired"] = true
			case at >= exp-30*86400:
				want[o.Name+" NearExpiry"] = true
			}
		}
	}
	for _, e := range must(r.upkeep().Events(t.Context(), nil, 1000)) {
		if e.Kind == kindSecrets && e.News != NewVersion {
			got[e.Name+" "+string(e.News)] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was told of the secrets (-want +got):\n%s", diff)
	}
}
