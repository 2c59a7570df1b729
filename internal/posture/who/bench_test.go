package who

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// BenchmarkEstate asks all of 1,000 vaults that 10,000 principals hold
// something at.
func BenchmarkEstate(b *testing.B) {
	s, _ := estate.New(large(1000, 10000), rigOptions())
	b.ResetTimer()
	for b.Loop() {
		if answers := AskAll(s, Question{Object: "db"}, rigOptions()); len(answers) != 1000 {
			b.Fatalf("%d answers", len(answers))
		}
	}
}

// BenchmarkDirectory asks of one of the vaults with all of the principals
// known, five of them administrators, and two hundred of them identities.
func BenchmarkDirectory(b *testing.B) {
	list := large(1000, 10000)
	for n := range 10 {
		list = append(list, resource(fmt.Sprintf("/subscriptions/11111111-1111-1111-1111-%012d", n), estate.TypeSubscription, map[string]any{"tenantId": home}))
	}
	q := Question{Object: "db"}
	for n := range 10000 {
		q.Principals = append(q.Principals, Principal{Tenant: access.MustGUID(home), Object: access.MustGUID(fmt.Sprintf("00000000-0000-0000-0001-%012d", n)), Known: true, Administrator: n < 5})
	}
	for n := range 200 {
		id := fmt.Sprintf("/subscriptions/11111111-1111-1111-1111-%012d/resourceGroups/rg%d/providers/%s/i%d", n%10, n%100, typeIdentity, n)
		p := &q.Principals[9000+n]
		list = append(list, resource(id, typeIdentity, map[string]any{"properties": map[string]any{"principalId": p.Object.String()}}))
		p.Resource = id
	}
	s, _ := estate.New(list, rigOptions())
	b.ResetTimer()
	for b.Loop() {
		if a, err := Ask(s, "v20", q, rigOptions()); err != nil || len(a.Findings) == 0 {
			b.Fatalf("%v", err)
		}
	}
}

// What is compiled grows with the cases there are, and not with the vaults
// times the principals.
func TestCompiled(t *testing.T) {
	s, _ := estate.New(large(1000, 10000), rigOptions())
	x := newSearch(s, Question{Object: "db"}, rigOptions())
	findings := 0
	for _, v := range s.Vaults() {
		findings += len(x.vault(v).Findings)
	}
	if most := 10 * 1000; x.compiled > most || findings < most {
		t.Errorf("%d states compiled for %d findings, want at most %d for at least as many", x.compiled, findings, most)
	}
}

// large makes an estate of ten subscriptions: one assignment in ten is at a
// subscription, two are at a group, the others at a vault.
func large(vaults, principals int) []*estate.Resource {
	r := rand.New(rand.NewPCG(1, 2))
	var list []*estate.Resource
	var ids []string
	for n := range vaults {
		sub := fmt.Sprintf("/subscriptions/11111111-1111-1111-1111-%012d", n%10)
		id := fmt.Sprintf("%s/resourceGroups/rg%d/providers/Microsoft.KeyVault/vaults/v%d", sub, n%100, n)
		ids = append(ids, id)
		v := randomEstate(r)[0]
		v.ID, v.Name = id, fmt.Sprintf("v%d", n)
		list = append(list, v)
	}
	for n := range principals {
		scope := pick(r, ids...)
		switch at := r.IntN(10); {
		case at == 0:
			scope = scope[:strings.Index(scope, "/resourceGroups/")]
		case at < 3:
			scope = scope[:strings.Index(scope, "/providers/")]
		}
		d, _ := roles.ByRoleName(pick(r, roleNames...))
		list = append(list, assignmentOf(n, d.Name, fmt.Sprintf("00000000-0000-0000-0001-%012d", n), scope))
	}
	return list
}
