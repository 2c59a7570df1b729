package vault

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func sample() Object {
	return Object{Name: "My-Secret", life: "l", versions: 3, Deleted: 5, Purge: 6, Version: Version{ID: "id", Enabled: true,
		NotBefore: At(-1), Expires: At(1 << 40), Created: 3, Updated: 4, ContentType: "text", Tags: []Tag{{"a", "b"}, {"", ""}},
		Previous: "p", Value: "v"}}
}

// extendedSample has all that the first format has no room for.
func extendedSample() Object {
	o := sample()
	o.Policy, o.retry, o.handled, o.Version.Managed = "{}", 7, [actions]int64{1, -2, 3, 4, 5}, true
	return o
}

func TestRecordFormat(t *testing.T) {
	policy, retry, handled, managed := sample(), sample(), sample(), sample()
	policy.Policy, retry.retry, handled.handled[4], managed.Version.Managed = "p", 1, 1, true
	for _, tt := range []struct {
		what string
		o    Object
		want byte
	}{
		{"an object of the first format", sample(), 1},
		{"one with a policy", policy, 2},
		{"one that was put off", retry, 2},
		{"one that was acted on", handled, 2},
		{"one that is managed", managed, 2},
	} {
		if got := appendObject(nil, &tt.o)[0]; got != tt.want {
			t.Errorf("%s has the format %d, want %d", tt.what, got, tt.want)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	noTags, emptyTags := sample(), sample()
	noTags.Version.Tags, emptyTags.Version.Tags = nil, []Tag{}
	for _, want := range []Object{{}, sample(), noTags, emptyTags, extendedSample()} {
		got, err := decodeObject(string(appendObject(nil, &want)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Object{})); diff != "" {
			t.Errorf("record changed on its way (-want +got):\n%s", diff)
		}
	}
}

func TestRecordCutOrLonger(t *testing.T) {
	for _, o := range []Object{sample(), extendedSample()} {
		whole := string(appendObject(nil, &o))
		for n := range whole {
			if _, err := decodeObject(whole[:n]); !errors.Is(err, errRecord) {
				t.Errorf("decodeObject(first %d of %d bytes) = %v, want %v", n, len(whole), err, errRecord)
			}
		}
		if _, err := decodeObject(whole + "x"); !errors.Is(err, errRecord) {
			t.Errorf("decodeObject(one byte more) = %v, want %v", err, errRecord)
		}
		if _, err := decodeObject("\x03" + whole[1:]); !errors.Is(err, errRecord) {
			t.Errorf("decodeObject(another format) = %v, want %v", err, errRecord)
		}
	}
}

func FuzzRecord(f *testing.F) {
	o := sample()
	f.Add(string(appendObject(nil, &o)))
	f.Add(string(appendVersion(nil, &o.Version)))
	o = extendedSample()
	f.Add(string(appendObject(nil, &o)))
	f.Add(string(appendVersion(nil, &o.Version)))
	f.Add("")
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := decodeObject(s); err == nil {
			again, err := decodeObject(string(appendObject(nil, &o)))
			if err != nil || !cmp.Equal(o, again, cmp.AllowUnexported(Object{}), cmpopts.EquateEmpty()) {
				t.Errorf("decodeObject(%q) does not survive: %v", s, err)
			}
		}
		if v, err := decodeVersion(s); err == nil {
			again, err := decodeVersion(string(appendVersion(nil, &v)))
			if err != nil || !cmp.Equal(v, again, cmpopts.EquateEmpty()) {
				t.Errorf("decodeVersion(%q) does not survive: %v", s, err)
			}
		}
	})
}
