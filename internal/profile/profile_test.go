package profile

import "testing"

func TestNamed(t *testing.T) {
	rows := []struct {
		name, want string
		ok         bool
	}{
		{"", "azure", true},
		{"azure", "azure", true},
		{"Documents", "documents", true},
		{"2019", "", false},
	}
	for _, row := range rows {
		p, ok := Named(row.name)
		if ok != row.ok || ok && p.Name != row.want {
			t.Errorf("Named(%q) = %v, %v, want %q, %v", row.name, p, ok, row.want, row.ok)
		}
	}
}

func TestProfilesAreCopies(t *testing.T) {
	Azure().MaxIPRules = 1
	if got, want := Azure().MaxIPRules, 1000; got != want {
		t.Errorf("Azure().MaxIPRules = %d, want %d", got, want)
	}
	if got, want := Documents().MaxSubnetRules, 127; got != want {
		t.Errorf("Documents().MaxSubnetRules = %d, want %d", got, want)
	}
}
