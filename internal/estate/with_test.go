package estate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/access"
)

// What is made of changes is what would have been made of everything at once,
// and nothing that did not change is read again.
func TestWith(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	role := &access.Role{ID: "r", Actions: []string{"*"}}
	reads := 0
	options := Options{Role: func(string) (*access.Role, bool) { reads++; return role, true }}
	const sub = "/subscriptions/11111111-1111-1111-1111-111111111111"
	make := func(n int) *Resource {
		vault := fmt.Sprintf("%s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v%d", sub, n%3)
		switch r.IntN(4) {
		case 0:
			return &Resource{ID: vault, Type: TypeVault, Name: fmt.Sprintf("v%d", n%3), Body: []byte(`{"properties":{"tenantId":"22222222-2222-2222-2222-222222222222"}}`)}
		case 1:
			return &Resource{ID: sub, Type: TypeSubscription, Body: []byte(`{"tenantId":"22222222-2222-2222-2222-222222222222"}`)}
		}
		return &Resource{ID: fmt.Sprintf("%s/providers/%s/%d", vault, TypeRoleAssignment, n), Type: TypeRoleAssignment, Name: fmt.Sprint(n),
			Body: fmt.Appendf(nil, `{"properties":{"principalId":"00000000-0000-0000-0000-%012d","roleDefinitionId":"/x/r"}}`, r.IntN(9))}
	}
	all := map[string]*Resource{}
	s, _ := New(nil, options)
	for n := range 200 {
		res := make(n % 40)
		all[Key(res.ID)] = res
		if gone := r.IntN(4) == 0; gone {
			delete(all, Key(res.ID))
			s = s.With(nil, res.ID)
		} else {
			s = s.With([]*Resource{res})
		}
		var list []*Resource
		for _, each := range all {
			list = append(list, each)
		}
		whole, _ := New(list, options)
		for _, v := range whole.Vaults() {
			got, ok := s.Vault(v.Resource.Name)
			if !ok {
				t.Fatalf("change %d: With lost %s", n, v.Resource.Name)
			}
			if d := cmp.Diff(v.Rules, got.Rules, cmp.AllowUnexported(access.Condition{})); d != "" {
				t.Fatalf("change %d: With differs from New:\n%s", n, d)
			}
		}
	}
	reads = 0
	s.With([]*Resource{{ID: sub + "/providers/" + TypeRoleAssignment + "/new", Type: TypeRoleAssignment, Name: "new",
		Body: []byte(`{"properties":{"principalId":"00000000-0000-0000-0000-000000000001","roleDefinitionId":"/x/r"}}`)}})
	if reads != 1 {
		t.Errorf("With one more assignment read %d, want 1", reads)
	}
}

// What reaches a vault is looked up, and is what looking at every scope
// finds.
func TestReaching(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	parts := []string{"a", "b", "ab", "a-b", "providers"}
	for range 2000 {
		var scopes []string
		for range r.IntN(30) {
			scope := ""
			for range r.IntN(6) {
				scope += "/" + parts[r.IntN(len(parts))]
			}
			scopes = append(scopes, scope)
		}
		slices.Sort(scopes)
		vault := "/a"
		for range r.IntN(4) {
			vault += "/" + parts[r.IntN(len(parts))]
		}
		want := slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return !concerns(scope, vault) })
		if got := reaching(scopes, scopes, vault); !slices.Equal(got, want) {
			t.Fatalf("reaching(%q, %q) = %q, want %q", scopes, vault, got, want)
		}
	}
}
