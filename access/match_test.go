package access

import (
	"regexp"
	"strings"
	"testing"
)

func TestMatchAction(t *testing.T) {
	for _, c := range []struct {
		pattern, action string
		want            bool
	}{
		{"*", vaults + "secrets/getSecret/action", true},
		{vaults + "*", vaults + "secrets/delete", true},
		{vaults + "*/read", vaults + "keys/read", true},
		{vaults + "*/read", vaults + "secrets/getSecret/action", false},
		{vaults + "*/read", vaults + "keys/read/action", false},
		{vaults + "secrets/*", vaults + "secretsofothers/read", false},
		{"microsoft.keyvault/VAULTS/keys/READ", vaults + "keys/read", true},
		{"*/secrets/*/action", vaults + "secrets/getSecret/action", true},
		{"*/backup/action", vaults + "keys/backup/action", true},
		{"*a*b*c", "xxaxxbxxc", true},
		{"*a*b*c", "xxaxxbxxcx", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"**", "anything", true},
		{"a**b", "ab", true},
		{"", "a", false},
		{"", "", true},
		{"*", "", true},
		{"a", "", false},
		{"a*", "a", true},
		{"a", "A", true},
		{"ab", "a", false},
		{"a", "ab", false},
		{"é", "É", false},
		{"[", "[", true},
		{"a@`", "A`@", false},
	} {
		if got := matchAction(c.pattern, c.action); got != c.want {
			t.Errorf("matchAction(%q, %q) = %v, want %v", c.pattern, c.action, got, c.want)
		}
	}
}

// FuzzMatchAction holds matchAction to what a regular expression says.
func FuzzMatchAction(f *testing.F) {
	for _, seed := range [][2]string{{"*", "a/b"}, {"*a*ab", "aabaab"}, {vaults + "*/read", vaults + "keys/read"}, {"", ""}, {"A*", "a"}, {"***", "x"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, action string) {
		pattern, action = ascii(pattern), ascii(action)
		form := "(?is)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
		if got, want := matchAction(pattern, action), regexp.MustCompile(form).MatchString(action); got != want {
			t.Errorf("matchAction(%q, %q) = %v, want %v", pattern, action, got, want)
		}
	})
}

func ascii(s string) string {
	return strings.Map(func(r rune) rune { return r & 0x7f }, s)
}

func TestGrants(t *testing.T) {
	for _, c := range []struct {
		allow, except []string
		want          bool
	}{
		{nil, nil, false},
		{[]string{"*"}, nil, true},
		{[]string{"b", "a"}, nil, true},
		{[]string{"a"}, []string{"a"}, false},
		{[]string{"a"}, []string{"b", "*"}, false},
		{nil, []string{"b"}, false},
		{[]string{"a"}, []string{""}, true},
	} {
		if got := grants(c.allow, c.except, "a"); got != c.want {
			t.Errorf("grants(%q, %q, a) = %v, want %v", c.allow, c.except, got, c.want)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		scope, resource string
		want            bool
	}{
		{"/", vaultID, true},
		{"/", "", true},
		{"", vaultID, false},
		{"", "", false},
		{vaultID, vaultID, true},
		{strings.ToUpper(vaultID), vaultID, true},
		{vaultID, strings.ToUpper(vaultID), true},
		{vaultID, vaultID + "/secrets/a", true},
		{vaultID, vaultID + "2", false},
		{vaultID, vaultID + "2/secrets/a", false},
		{vaultID + "/", vaultID, false},
		{vaultID + "/", vaultID + "/secrets/a", false},
		{vaultID + "/secrets/a", vaultID, false},
		{"/subscriptions/s", vaultID, true},
		{"/subscriptions/S/resourceGroups/RG", vaultID, true},
		{"/subscriptions/s/resourceGroups/r", vaultID, false},
		{"/subscriptions", vaultID, true},
		{"subscriptions/s", vaultID, false},
		{"//", vaultID, false},
	} {
		if got := covers(c.scope, c.resource); got != c.want {
			t.Errorf("covers(%q, %q) = %v, want %v", c.scope, c.resource, got, c.want)
		}
	}
}

func TestReach(t *testing.T) {
	rules := &Rules{ID: vaultID}
	for _, c := range []struct {
		scope, want string
	}{
		{"/", "everything"}, {vaultID, "everything"}, {"/subscriptions/s", "everything"},
		{vaultID + "/secrets/A", "secrets a"}, {vaultID + "/KEYS/a", "keys a"}, {vaultID + "/certificates/a", "certificates a"},
		{vaultID + "/secrets/a/b", "secrets a/b"},
		{"", "nothing"}, {vaultID + "/", "nothing"}, {vaultID + "/secrets", "nothing"}, {vaultID + "/secrets/", "nothing"},
		{vaultID + "/storage/a", "nothing"}, {vaultID + "//a", "nothing"}, {vaultID + "2", "nothing"}, {"/subscriptions/s2", "nothing"},
	} {
		kind, object, ok := rules.reach(c.scope)
		got := kind.String() + " " + object
		if !ok {
			got = "nothing"
		} else if kind == KindNone {
			got = "everything"
		}
		if got != c.want {
			t.Errorf("reach(%q) = %q, want %q", c.scope, got, c.want)
		}
	}
}

func TestIsOfType(t *testing.T) {
	const group = "/subscriptions/s/resourcegroups/rg/providers/"
	for _, c := range []struct {
		id, typ string
		want    bool
	}{
		{group + "microsoft.datafactory/factories/f", "microsoft.datafactory/factories", true},
		{group + "Microsoft.DataFactory/Factories/F", "microsoft.datafactory/factories", true},
		{strings.ToUpper(group) + "microsoft.datafactory/factories/f", "microsoft.datafactory/factories", true},
		{group + "microsoft.datafactory/factories/f/", "microsoft.datafactory/factories", true},
		{group + "microsoft.datafactory/factories/f/pipelines/p", "microsoft.datafactory/factories", false},
		{group + "microsoft.datafactory/factories/f/pipelines/p", "microsoft.datafactory/factories/pipelines", true},
		{group + "microsoft.datafactory/factories/f", "microsoft.datafactory/factories/pipelines", false},
		{group + "microsoft.datafactory/factories/f", "microsoft.datafactory", false},
		{group + "microsoft.datafactory/factories", "microsoft.datafactory/factories", false},
		{group + "microsoft.datafactory/factories/", "microsoft.datafactory/factories", false},
		{group + "microsoft.datafactory2/factories/f", "microsoft.datafactory/factories", false},
		{group + "microsoft.web/sites/microsoft.datafactory", "microsoft.datafactory/factories", false},
		{group + "microsoft.web/sites/w/providers/microsoft.datafactory/factories/f", "microsoft.datafactory/factories", true},
		{group + "microsoft.datafactory/factories/f/providers/microsoft.web/sites/w", "microsoft.datafactory/factories", false},
		{group + "", "microsoft.datafactory/factories", false},
		{group, "", false},
		{group + "a/b/c", "", false},
		{"/subscriptions/s", "microsoft.datafactory/factories", false},
		{"", "microsoft.datafactory/factories", false},
		{"microsoft.datafactory/factories/f", "microsoft.datafactory/factories", false},
	} {
		if got := isOfType(c.id, c.typ); got != c.want {
			t.Errorf("isOfType(%q, %q) = %v, want %v", c.id, c.typ, got, c.want)
		}
	}
}

func TestGUID(t *testing.T) {
	const text = "01234567-89ab-cdef-0123-456789abcdef"
	for _, c := range []struct {
		text string
		want string // "" for an error
	}{
		{text, text},
		{strings.ToUpper(text), text},
		{"", ""},
		{text[:35], ""},
		{text + "0", ""},
		{"{" + text[:34] + "}", ""},
		{strings.ReplaceAll(text, "-", "0"), ""},
		{strings.Replace(text, "-", "_", 1), ""},
		{strings.Replace(text, "f", "g", 1), ""},
		{strings.Replace(text, "ef", "é", 1), ""},
		{"0123456-789ab-cdef-0123-456789abcdef", ""},
		{"01234567-89a-bcdef-0123-456789abcdef", ""},
		{"01234567-89ab-cde-f0123-456789abcdef", ""},
		{"01234567-89ab-cdef-012-3456789abcdef", ""},
	} {
		g, err := ParseGUID(c.text)
		if g.String() != c.want || (err == nil) != (c.want != "") {
			t.Errorf("ParseGUID(%q) = %q, %v, want %q", c.text, g, err, c.want)
		}
	}
	if g, err := ParseGUID("00000000-0000-0000-0000-000000000000"); err != nil || !g.IsZero() || g.String() != "" {
		t.Errorf("ParseGUID(zeros) = %q, %v, want the zero value", g, err)
	}
	if got := MustGUID(text).String(); got != text {
		t.Errorf("MustGUID(%q) = %q, want the same", text, got)
	}
	defer func() {
		if recover() == nil {
			t.Error("MustGUID(bad) did not panic, want a panic")
		}
	}()
	MustGUID("bad")
}

// FuzzParseGUID: what is read is written alike, and nothing else is read.
func FuzzParseGUID(f *testing.F) {
	f.Add("01234567-89ab-cdef-0123-456789abcdef")
	f.Add("01234567-89AB-cdef-0123-456789abcdef")
	f.Add("00000000-0000-0000-0000-000000000000")
	f.Add("01234567_89ab-cdef-0123-456789abcdef")
	form := regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	f.Fuzz(func(t *testing.T, s string) {
		g, err := ParseGUID(s)
		if want := form.MatchString(s); (err == nil) != want {
			t.Fatalf("ParseGUID(%q) = %v, want ok %v", s, err, want)
		}
		if err == nil && !g.IsZero() && g.String() != strings.ToLower(s) {
			t.Errorf("ParseGUID(%q) = %q, want the same", s, g)
		}
		if err != nil && !g.IsZero() {
			t.Errorf("ParseGUID(%q) = %v with an error, want the zero value", s, g)
		}
	})
}
