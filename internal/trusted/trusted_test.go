package trusted

import (
	"slices"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/profile"
)

// TestLists: every profile has its list, and every entry of a list is
// whole, has a name and an application of its own, and does no more than
// its scenario.
func TestLists(t *testing.T) {
	counts := map[string]int{"azure": 39, "documents": 15}
	for _, p := range []*profile.Profile{profile.Azure(), profile.Documents()} {
		services, ok := Services(p.TrustedServices)
		rules, also := List(p.TrustedServices)
		if !ok || !also || len(services) != counts[p.Name] || len(rules) != len(services) {
			t.Errorf("list %s has %d services and %d rules, want %d", p.TrustedServices, len(services), len(rules), counts[p.Name])
		}
		names := map[string]bool{}
		for i, s := range services {
			r := rules[i]
			if s.Name == "" || s.Scenario == "" || s.Source == "" || names[strings.ToLower(s.Name)] || r.Name != s.Name {
				t.Errorf("%s: %q is not whole or not the only one", p.Name, s.Name)
			}
			names[strings.ToLower(s.Name)] = true
			if len(r.Apps) == 0 || r.Apps[0] != s.App || slices.ContainsFunc(r.Apps, access.GUID.IsZero) {
				t.Errorf("%s: %s has the applications %v", p.Name, s.Name, r.Apps)
			}
			for _, typ := range r.ResourceTypes {
				if typ != strings.ToLower(typ) || strings.Count(typ, "/") != 1 || !strings.HasPrefix(typ, "microsoft.") {
					t.Errorf("%s: %s has the resource type %q", p.Name, s.Name, typ)
				}
			}
			if len(r.Operations) == 0 || slices.Contains(r.Operations, access.NoOperation) {
				t.Errorf("%s: %s has the operations %v", p.Name, s.Name, r.Operations)
			}
			for _, o := range r.Operations {
				if strings.Contains(o.String(), "Purge") || o == access.KeyDelete || o == access.KeyCreate {
					t.Errorf("%s: %s may %s", p.Name, s.Name, o)
				}
			}
			if found, ok := Named(p.TrustedServices, strings.ToUpper(s.Name)); !ok || found.Name != s.Name {
				t.Errorf("Named(%q) = %q, %v", s.Name, found.Name, ok)
			}
		}
	}
	if _, ok := List("nobody"); ok {
		t.Error("there is a list of nobody")
	}
}

// TestRulesAreCopies: what a decision holds, nobody else changes.
func TestRulesAreCopies(t *testing.T) {
	a, _ := List("azure")
	a[0].Operations[0], a[0].Apps[0] = access.SecretPurge, access.GUID{}
	b, _ := List("azure")
	if b[0].Operations[0] == access.SecretPurge || b[0].Apps[0].IsZero() {
		t.Error("a list was changed through a copy")
	}
}

// TestOwnIdentifiersStay: they stand in role assignments.
func TestOwnIdentifiersStay(t *testing.T) {
	s, _ := Named("azure", "Azure Data Factory")
	if got := s.App.String(); got != "4335e506-fab2-8e29-b7b3-362074073754" || s.Published {
		t.Errorf("Azure Data Factory is %s, published %v", got, s.Published)
	}
}

func TestNear(t *testing.T) {
	for _, tt := range []struct{ list, name, first string }{
		{"azure", "backup", "Azure Backup"},
		{"azure", "Azure Bakup", "Azure Backup"},
		{"azure", "data factory", "Azure Data Factory"},
		{"azure", "Factory", "Azure Data Factory"},
		{"azure", "sql", "Azure SQL Database"},
		{"azure", "Frontdoor", "Azure Front Door Classic"},
		{"azure", "eventgrid", "Azure Event Hubs"},
		{"documents", "eventgrid", "Event Grid"},
		{"documents", "devops", "Azure DevOps"},
		{"azure", "zzz", ""},
		{"azure", "", ""},
		{"azure", "Azure", ""},
		{"nobody", "backup", ""},
	} {
		first := ""
		if got := Near(tt.list, tt.name); len(got) > 0 {
			first = got[0]
		}
		if first != tt.first {
			t.Errorf("Near(%s, %q) = %q first, want %q", tt.list, tt.name, first, tt.first)
		}
	}
}
