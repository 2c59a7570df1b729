package journal

import (
	"strings"
	"testing"
)

var someKnown = []string{"api-version", "$skiptoken"}

func TestAddress(t *testing.T) {
	for _, tt := range []struct{ uri, want string }{
		{"", ""},
		{"/", "/"},
		{"/secrets/a", "/secrets/a"},
		{"/secrets/a?", "/secrets/a?"},
		{"/secrets/a?api-version=7.4", "/secrets/a?api-version=7.4"},
		{"/secrets?API-Version=7.4&$skiptoken=abc=", "/secrets?API-Version=7.4&$skiptoken=abc="},
		{"/secrets?api%2Dversion=7.4&%24skiptoken=x", "/secrets?api%2Dversion=7.4&%24skiptoken=x"},
		{"/secrets?api-version=7.4&&", "/secrets?api-version=7.4&&"},
		{"/secrets?api-version=7.4&access_token=eyJ0.eyJ1.x", "/secrets?api-version=7.4&access_token=REDACTED"},
		{"/secrets?sig=a%3D&api-version=7.4&se=2026", "/secrets?sig=REDACTED&api-version=7.4&se=REDACTED"},
		{"/secrets?api-version=7.4&hunter2", "/secrets?api-version=7.4&REDACTED"},
		{"/secrets?api-version=7.4&hunter2=", "/secrets?api-version=7.4&REDACTED"},
		{"/secrets?=hunter2", "/secrets?REDACTED"},
		{"/secrets?x;api-version=hunter2", "/secrets?REDACTED"},
		{"/secrets?%zz=hunter2", "/secrets?REDACTED"},
		{"/secrets?" + strings.Repeat("n", 33) + "=hunter2", "/secrets?REDACTED"},
		{"/secrets?a=1?api-version=hunter2", "/secrets?a=REDACTED"},
	} {
		if got := Address(tt.uri, someKnown); got != tt.want {
			t.Errorf("Address(%q) = %q, want %q", tt.uri, got, tt.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Address("/secrets/a?api-version=7.4", someKnown) }); n != 0 {
		t.Errorf("Address allocates %v times for what is known, want 0", n)
	}
}

// FuzzAddress: no value of an unknown parameter is left, and what is left
// stays as it is.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"/a?x=1", "/?api-version=7.4&x", "/?%61pi-version=1&=&%=2", "?&&=", "/a?b?c=d", "/a#b?c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got := Address(uri, someKnown)
		if again := Address(got, someKnown); again != got {
			t.Errorf("Address(%q) = %q, and once more %q", uri, got, again)
		}
		_, query, _ := strings.Cut(got, "?")
		for _, parameter := range strings.Split(query, "&") {
			if _, value, _ := strings.Cut(parameter, "="); !knows(someKnown, parameter) && value != redacted && parameter != redacted {
				t.Errorf("Address(%q) = %q, which tells %q", uri, got, parameter)
			}
		}
	})
}

func TestUnsigned(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"https://kv/secrets/a?api-version=7.4", "https://kv/secrets/a?api-version=7.4"},
		{"/secrets/eyJhbGciOi.eyJhdWQi.c2ln/x", "/secrets/REDACTED/x"},
		{"eyJa.b.c eyJd.e.f", "REDACTED eyJd.e.f"[:9] + "REDACTED"},
		{"eyJa.b", "eyJa.b"},
		{"eyJ", "eyJ"},
	} {
		if got := Unsigned(c.text); got != c.want {
			t.Errorf("Unsigned(%q) = %q, want %q", c.text, got, c.want)
		}
	}
}
