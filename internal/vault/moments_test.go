package vault

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMoments is the table of what is to be done about an object and when.
func TestMoments(t *testing.T) {
	const created, day = 1_700_000_000, int64(86400)
	exp := created + 100*day
	policy := func(actions string) string { return `{"issuer":{"name":"Self"},"lifetime_actions":[` + actions + `]}` }
	auto := func(trigger string) string {
		return `{"trigger":{` + trigger + `},"action":{"action_type":"AutoRenew"}}`
	}
	mail := func(trigger string) string {
		return `{"trigger":{` + trigger + `},"action":{"action_type":"emailcontacts"}}`
	}
	near, over := Moment{NearExpiry, exp - 30*day}, Moment{Expiry, exp}
	for _, tt := range []struct {
		what, kind string
		change     func(o *Object)
		want       []Moment
	}{
		{"no expiry", kindSecrets, func(o *Object) { o.Version.Expires = Stamp{} }, nil},
		{"a secret", kindSecrets, func(*Object) {}, []Moment{near, over}},
		{"a shorter life than 30 days", kindSecrets, func(o *Object) { o.Version.Expires = At(created + day) }, []Moment{{NearExpiry, created - 29*day}, {Expiry, created + day}}},
		{"an expiry before all time", kindSecrets, func(o *Object) { o.Version.Expires = At(-5) }, []Moment{{NearExpiry, 1}, {Expiry, 1}}},
		{"an expiry that fits no calendar", kindSecrets, func(o *Object) { o.Version.Expires = At(lastMoment + 1) }, nil},
		{"disabled", kindSecrets, func(o *Object) { o.Version.Enabled = false }, nil},
		{"deleted", kindSecrets, func(o *Object) { o.Deleted = 1 }, nil},
		{"of a certificate", kindSecrets, func(o *Object) { o.Version.Managed = true }, nil},
		{"a key without a policy", kindKeys, func(*Object) {}, []Moment{near, over}},
		{"a key told of earlier", kindKeys, func(o *Object) { o.Policy = `{"actions":[{"type":"Notify","before":"P10D"}]}` }, []Moment{{NearExpiry, exp - 10*day}, over}},
		{"a key rotated by its age", kindKeys, func(o *Object) { o.Policy = `{"actions":[{"type":"Rotate","after":"P50D"}]}` }, []Moment{{Rotation, created + 50*day}, near, over}},
		{"a key rotated by its expiry", kindKeys, func(o *Object) {
			o.Policy = `{"actions":[{"type":"Rotate","before":"P7D"},{"type":"Notify","before":"P30D"}]}`
		}, []Moment{{Rotation, exp - 7*day}, near, over}},
		{"a key without an expiry, by its expiry", kindKeys, func(o *Object) {
			o.Version.Expires, o.Policy = Stamp{}, `{"actions":[{"type":"Rotate","before":"P7D"}]}`
		}, nil},
		{"a key without an expiry, by its age", kindKeys, func(o *Object) {
			o.Version.Expires, o.Policy = Stamp{}, `{"actions":[{"type":"Rotate","after":"P7D"}]}`
		}, []Moment{{Rotation, created + 7*day}}},
		{"a key that is disabled", kindKeys, func(o *Object) {
			o.Version.Enabled, o.Policy = false, `{"actions":[{"type":"Rotate","after":"P7D"}]}`
		}, nil},
		{"a key with a damaged policy", kindKeys, func(o *Object) { o.Policy = `{` }, []Moment{near, over}},
		{"a certificate without a policy", kindCertificates, func(*Object) {}, []Moment{near, over}},
		{"renewed by days", kindCertificates, func(o *Object) { o.Policy = policy(auto(`"days_before_expiry":20`)) }, []Moment{{Renewal, exp - 20*day}, near, over}},
		{"renewed by more days than it lives", kindCertificates, func(o *Object) { o.Policy = policy(auto(`"days_before_expiry":120`)) }, []Moment{{Renewal, created + 80*day}, near, over}},
		{"renewed as soon as it is there", kindCertificates, func(o *Object) { o.Policy = policy(auto(`"days_before_expiry":99`)) }, []Moment{{Renewal, created + 80*day}, near, over}},
		{"mail about a short life", kindCertificates, func(o *Object) { o.Policy = policy(mail(`"days_before_expiry":120`)) }, []Moment{{Notice, created - 20*day}, near, over}},
		{"renewed by percentage", kindCertificates, func(o *Object) { o.Policy = policy(auto(`"lifetime_percentage":80`)) }, []Moment{{Renewal, created + 80*day}, near, over}},
		{"renewed by percentage from its nbf", kindCertificates, func(o *Object) {
			o.Version.NotBefore, o.Policy = At(created-100*day), policy(auto(`"lifetime_percentage":75`))
		}, []Moment{{Renewal, created + 50*day}, near, over}},
		{"mail to the contacts", kindCertificates, func(o *Object) { o.Policy = policy(mail(`"days_before_expiry":5`)) }, []Moment{{Notice, exp - 5*day}, near, over}},
		{"both", kindCertificates, func(o *Object) {
			o.Policy = policy(mail(`"days_before_expiry":5`) + "," + auto(`"days_before_expiry":7`))
		}, []Moment{{Notice, exp - 5*day}, {Renewal, exp - 7*day}, near, over}},
		{"one twice", kindCertificates, func(o *Object) {
			o.Policy = policy(auto(`"days_before_expiry":5`) + "," + auto(`"days_before_expiry":7`))
		}, []Moment{{Renewal, exp - 5*day}, near, over}},
		{"an unknown issuer", kindCertificates, func(o *Object) {
			o.Policy = `{"issuer":{"name":"unknown"},"lifetime_actions":[` + auto(`"days_before_expiry":5`) + `]}`
		}, []Moment{near, over}},
		{"no trigger", kindCertificates, func(o *Object) { o.Policy = policy(auto(``)) }, []Moment{near, over}},
		{"a percentage of nothing", kindCertificates, func(o *Object) {
			o.Version.NotBefore, o.Policy = At(exp+1), policy(auto(`"lifetime_percentage":80`))
		}, []Moment{near, over}},
		{"a percentage too large", kindCertificates, func(o *Object) { o.Policy = policy(auto(`"lifetime_percentage":101`)) }, []Moment{near, over}},
		{"an unknown action", kindCertificates, func(o *Object) { o.Policy = policy(`{"action":{"action_type":"Dance"}}`) }, []Moment{near, over}},
	} {
		o := Object{Name: "a", Version: Version{Enabled: true, Created: created, Expires: At(exp)}}
		tt.change(&o)
		if diff := cmp.Diff(tt.want, moments(tt.kind, &o)); diff != "" && len(tt.want)+len(moments(tt.kind, &o)) > 0 {
			t.Errorf("moments of %s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// TestNext: the index has the first moment that was not acted on, or a later
// one when that was put off.
func TestNext(t *testing.T) {
	const day = 86400
	o := Object{Name: "a", Version: Version{Enabled: true, Expires: At(100 * day)}}
	for _, tt := range []struct {
		what   string
		change func()
		want   string
	}{
		{"first", func() {}, "due/000006048000/secrets/a"},
		{"put off", func() { o.retry = 71 * day }, "due/000006134400/secrets/a"},
		{"near expiry announced", func() { o.retry, o.handled[NearExpiry] = 0, 70*day }, "due/000008640000/secrets/a"},
		{"all announced", func() { o.handled[Expiry] = 100 * day }, ""},
		{"a new expiry", func() { o.Version.Expires = At(200 * day) }, "due/000014688000/secrets/a"},
		{"deleted", func() { o.Deleted, o.Purge = 50*day, 57*day }, "purge/000004924800/secrets/a"},
		{"deleted with its certificate", func() { o.Version.Managed = true }, ""},
	} {
		tt.change()
		if got := (&collection{kind: kindSecrets}).indexKey(&o); got != tt.want {
			t.Errorf("%s: indexKey = %q, want %q", tt.what, got, tt.want)
		}
	}
}

func TestActionsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for a := NearExpiry; a <= Poll; a++ {
		if a.String() == "" || seen[a.String()] {
			t.Errorf("Action %d reads %q", a, a)
		}
		seen[a.String()] = true
	}
}

// FuzzMoments: whatever a record says, its moments fit the index.
func FuzzMoments(f *testing.F) {
	f.Add(int64(1), int64(2), int64(3), `{"actions":[{"type":"Rotate","before":"P99999Y"}]}`)
	f.Add(int64(-1<<63), int64(1<<62), int64(1<<39), `{"lifetime_actions":[{"trigger":{"lifetime_percentage":99},"action":{"action_type":"AutoRenew"}}]}`)
	f.Add(int64(0), int64(-1<<62), int64(0), `{"lifetime_actions":[{"trigger":{"days_before_expiry":99999},"action":{"action_type":"EmailContacts"}}]}`)
	f.Fuzz(func(t *testing.T, notBefore, expires, created int64, policy string) {
		o := Object{Name: "a", Policy: policy, Version: Version{Enabled: true, Created: created, NotBefore: At(notBefore), Expires: At(expires)}}
		for _, kind := range []string{kindSecrets, kindKeys, kindCertificates} {
			for _, m := range moments(kind, &o) {
				if m.At < 1 || m.At > lastMoment || m.Action >= actions {
					t.Errorf("moments of %s %+v has %v", kind, o, m)
				}
			}
			key := (&collection{kind: kind}).indexKey(&o)
			if d, ok := parseDue(duePrefix, key); key != "" && (!ok || d.key(duePrefix) != key) {
				t.Errorf("the key %q reads as %v, %v", key, d, ok)
			}
		}
	})
}

func TestTimeKeysSort(t *testing.T) {
	last := ""
	for _, at := range []int64{-1 << 63, 1, 9, 10, 1_699_999_999, time.Now().Unix(), lastMoment - 1, 1 << 62} {
		if k := timeKey(at); len(k) != 12 || k <= last {
			t.Errorf("timeKey(%d) = %q after %q, want 12 digits and more", at, k, last)
		} else {
			last = k
		}
	}
}
