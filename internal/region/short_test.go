package region

import (
	"strings"
	"testing"
)

func TestShort(t *testing.T) {
	rows := []struct {
		name, want string
		ok         bool
	}{
		{"eastus", "eus", true},
		{"East US 2", "eus2", true},
		{"westeurope", "weu", true},
		{"southcentralus", "scus", true},
		{"southeastasia", "seas", true},
		{"southafricanorth", "zan", true},
		{"southindia", "sin", true},
		{"uksouth", "uks", true},
		{"australiacentral2", "auc2", true},
		{"newzealandnorth", "nzn", true},
		{"germanywestcentral", "dewc", true},
		{"atlantis", "", false},
	}
	for _, row := range rows {
		if got, ok := Short(row.name); got != row.want || ok != row.ok {
			t.Errorf("Short(%q) = %q, %v, want %q, %v", row.name, got, ok, row.want, row.ok)
		}
	}
}

// TestShortNamesDiffer: a short name stands in a DNS name and means one
// region.
func TestShortNamesDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, r := range All() {
		s, _ := Short(r.Name)
		if other := seen[s]; other != "" || len(s) < 3 || len(s) > 5 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Errorf("Short(%s) = %q, which is no short name, or that of %q", r.Name, s, other)
		}
		seen[s] = r.Name
	}
}
