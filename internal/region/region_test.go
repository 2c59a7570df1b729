package region

import "testing"

func TestTable(t *testing.T) {
	if len(byName) != len(table) {
		t.Fatalf("%d names of %d regions: one is listed twice", len(byName), len(table))
	}
	for _, r := range All() {
		if normal(r.DisplayName) != r.Name {
			t.Errorf("%s: display name %q does not belong to it", r.Name, r.DisplayName)
		}
		if r.Geography == "" || r.Group == "" {
			t.Errorf("%s: no geography", r.Name)
		}
		pair, ok := Find(r.Paired)
		if r.Paired != "" && !ok {
			t.Errorf("%s: paired with %q, which is not listed", r.Name, r.Paired)
		}
		if ok && pair.Geography != r.Geography && r.Name != "brazilsouth" {
			t.Errorf("%s: paired with %s of another geography", r.Name, r.Paired)
		}
	}
}

func TestFind(t *testing.T) {
	rows := []struct {
		name, want string
		ok         bool
	}{
		{"westeurope", "westeurope", true},
		{"West Europe", "westeurope", true},
		{"WESTEUROPE", "westeurope", true},
		{"atlantis", "", false},
		{"", "", false},
	}
	for _, row := range rows {
		if r, ok := Find(row.name); r.Name != row.want || ok != row.ok {
			t.Errorf("Find(%q) = %q, %v, want %q, %v", row.name, r.Name, ok, row.want, row.ok)
		}
	}
}
