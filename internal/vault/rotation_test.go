package vault

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRotationPolicyNormal(t *testing.T) {
	rotate := func(after, before string) RotationAction {
		return RotationAction{Type: "rotate", AfterCreate: after, BeforeExpiry: before}
	}
	notify := func(after, before string) RotationAction {
		return RotationAction{Type: "NOTIFY", AfterCreate: after, BeforeExpiry: before}
	}
	for _, tt := range []struct {
		expiry  string
		actions []RotationAction
		want    string // the property that is wrong; "" for none
	}{
		{"", nil, ""},
		{"P28D", nil, ""},
		{"P4W", nil, ""},
		{"P1M", nil, ""},
		{"P2Y", []RotationAction{rotate("P1Y", ""), notify("", "P30D")}, ""},
		{"", []RotationAction{rotate("P7D", "")}, ""},
		{"", []RotationAction{rotate("", "P7D")}, ""},
		{"P28D", []RotationAction{rotate("P21D", "")}, ""},
		{"P28D", []RotationAction{rotate("", "P21D")}, ""},
		{"P90D", []RotationAction{rotate("", "P30D"), notify("", "P7D")}, ""},
		{"P27D", nil, "expiryTime"},
		{"P27DT23H", nil, "expiryTime"},
		{"28 days", nil, "expiryTime"},
		{"", []RotationAction{rotate("P6D", "")}, "timeAfterCreate"},
		{"", []RotationAction{rotate("", "P6D")}, "timeBeforeExpiry"},
		{"", []RotationAction{notify("", "P6D")}, "timeBeforeExpiry"},
		{"", []RotationAction{notify("P30D", "")}, "timeAfterCreate"},
		{"", []RotationAction{rotate("soon", "")}, "timeAfterCreate"},
		{"", []RotationAction{rotate("", "soon")}, "timeBeforeExpiry"},
		{"P28D", []RotationAction{rotate("P22D", "")}, "timeAfterCreate"},
		{"P28D", []RotationAction{rotate("", "P22D")}, "timeBeforeExpiry"},
		{"", []RotationAction{rotate("P7D", "P7D")}, "lifetimeActions"},
		{"", []RotationAction{rotate("", "")}, "lifetimeActions"},
		{"", []RotationAction{rotate("P7D", ""), rotate("P8D", "")}, "lifetimeActions"},
		{"", []RotationAction{notify("", "P7D"), notify("", "P8D")}, "lifetimeActions"},
		{"", []RotationAction{{Type: "Dance", AfterCreate: "P7D"}}, "lifetimeActions"},
	} {
		p, err := RotationPolicy{ExpiryTime: tt.expiry, Actions: tt.actions}.normal()
		got := ""
		if invalid := new(Invalid); errors.As(err, &invalid) {
			got = invalid.Property
		} else if err != nil {
			t.Errorf("normal(%q, %v) = %v", tt.expiry, tt.actions, err)
		}
		if got != tt.want {
			t.Errorf("normal(%q, %v) refuses %q, want %q", tt.expiry, tt.actions, got, tt.want)
		}
		for _, a := range p.Actions {
			if err == nil && a.Type != RotateAction && a.Type != NotifyAction {
				t.Errorf("normal(%q, %v) keeps the type %q", tt.expiry, tt.actions, a.Type)
			}
		}
	}
}

func TestRotationPolicyKept(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	_ = must2(r.keys().Add(ctx, "a", KeyInput{Content: someKey("1")}))
	_, got, err := r.keys().RotationPolicy(ctx, "A")
	if want := defaultRotation(); !cmp.Equal(got, want) || err != nil {
		t.Errorf("RotationPolicy of a key without one = %v, %v, want %v", got, err, want)
	}
	_, set, err := r.keys().SetRotationPolicy(ctx, "a", RotationPolicy{ExpiryTime: "P90D", Actions: []RotationAction{{Type: "rotate", AfterCreate: "P30D"}}})
	want := RotationPolicy{ExpiryTime: "P90D", Created: r.Now.Unix(), Updated: r.Now.Unix(),
		Actions: []RotationAction{{Type: "Rotate", AfterCreate: "P30D"}, {Type: "Notify", BeforeExpiry: "P30D"}}}
	if diff := cmp.Diff(want, set); diff != "" || err != nil {
		t.Errorf("SetRotationPolicy = %v (-want +got):\n%s", err, diff)
	}
	first := r.Now.Unix()
	r.Now = r.Now.AddDate(0, 0, 1)
	if _, _, err := r.keys().SetRotationPolicy(ctx, "a", RotationPolicy{}); err != nil {
		t.Fatal(err)
	}
	o, got, err := r.keys().RotationPolicy(ctx, "a")
	if got.Created != first || got.Updated != r.Now.Unix() || got.ExpiryTime != "" || err != nil {
		t.Errorf("RotationPolicy after a change = %+v, %v, want it created at first and updated now", got, err)
	}
	if o.Version.Updated != first {
		t.Errorf("the version was updated at %d by its policy, want %d", o.Version.Updated, first)
	}
	if _, _, err := r.keys().RotationPolicy(ctx, "none"); !errors.Is(err, NotFound) {
		t.Errorf("RotationPolicy of nothing = %v, want %v", err, NotFound)
	}
}

func TestRotate(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	release := &ReleasePolicy{ContentType: "c", Data: []byte("d")}
	first := someKey("1")
	first.Exportable, first.Release = true, release
	old := must2(r.keys().Add(ctx, "a", KeyInput{Content: first, Enabled: No, Expires: At(5), Tags: []Tag{{"a", "b"}}}))
	_ = must2(r.keys().SetRotationPolicy(ctx, "a", RotationPolicy{ExpiryTime: "P1Y"}))
	o, content, err := r.keys().Rotate(ctx, "A", func(latest KeyContent) (KeyInput, error) {
		if string(latest.Material) != "1" {
			t.Errorf("Rotate gives the material %q, want that of the latest", latest.Material)
		}
		return KeyInput{Content: KeyContent{Type: "RSA", Size: 3072, Material: []byte("2")}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := KeyContent{Type: "RSA", Size: 3072, Operations: first.Operations, Exportable: true, Release: release, Material: []byte("2"), Public: []byte{}}
	if diff := cmp.Diff(want, content); diff != "" {
		t.Errorf("Rotate makes (-want +got):\n%s", diff)
	}
	v := o.Version
	if v.ID == old.Version.ID || !v.Enabled || v.Expires != At(r.Now.AddDate(1, 0, 0).Unix()) || !cmp.Equal(v.Tags, []Tag{{"a", "b"}}) {
		t.Errorf("Rotate makes the version %+v", v)
	}
	refusal := errors.New("no entropy")
	before := r.dump(t)
	if _, _, err := r.keys().Rotate(ctx, "a", func(KeyContent) (KeyInput, error) { return KeyInput{}, refusal }); !errors.Is(err, refusal) {
		t.Errorf("Rotate whose fn fails = %v, want %v", err, refusal)
	}
	if diff := cmp.Diff(before, r.dump(t)); diff != "" {
		t.Errorf("Rotate whose fn fails changes the store:\n%s", diff)
	}
	if _, _, err := r.keys().Rotate(ctx, "none", nil); !errors.Is(err, NotFound) {
		t.Errorf("Rotate of nothing = %v, want %v", err, NotFound)
	}
}

// TestRotateUnderContention: a key is not made again because somebody else
// changed an attribute, and is when there is a newer version.
func TestRotateUnderContention(t *testing.T) {
	r := newRig()
	ctx := t.Context()
	_ = must2(r.keys().Add(ctx, "a", KeyInput{Content: someKey("1")}))
	other := *r.keys()
	other.Space = r.store
	rounds, made := 0, 0
	r.calls.before = func() {
		switch rounds++; rounds {
		case 1:
			_ = must2(other.Update(ctx, "a", "", KeyPatch{Enabled: No}))
		case 2:
			_ = must2(other.Add(ctx, "a", KeyInput{Content: someKey("2")}))
		}
	}
	_, _, err := r.keys().Rotate(ctx, "a", func(latest KeyContent) (KeyInput, error) {
		made++
		return KeyInput{Content: someKey(string(latest.Material) + "+")}, nil
	})
	_, content, _ := r.keys().Get(ctx, "a", "")
	if err != nil || made != 2 || string(content.Material) != "2+" {
		t.Errorf("Rotate = %v with %d keys made, the latest %q, want 2 and 2+", err, made, content.Material)
	}
}

// TestRotateStaysInTheCalendar: a version of a very long life expires at the
// end of the service's dates, which clients can read.
func TestRotateStaysInTheCalendar(t *testing.T) {
	r := newRig()
	_ = must2(r.keys().Add(t.Context(), "a", KeyInput{Content: someKey("1")}))
	_ = must2(r.keys().SetRotationPolicy(t.Context(), "a", RotationPolicy{ExpiryTime: "P99999Y"}))
	o, _, err := r.keys().Rotate(t.Context(), "a", func(latest KeyContent) (KeyInput, error) { return KeyInput{Content: latest}, nil })
	if err != nil || o.Version.Expires != At(lastDate) {
		t.Errorf("Rotate with a life of 99999 years expires at %v, %v, want %v", o.Version.Expires, err, At(lastDate))
	}
}
