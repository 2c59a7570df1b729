package who

import (
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
)

// conditional is an assignment of a built-in role under a condition.
func conditional(role, principal, condition string) *estate.Resource {
	d, _ := roles.ByRoleName(role)
	return resource(vaultID+"/providers/"+estate.TypeRoleAssignment+"/c", estate.TypeRoleAssignment, map[string]any{"properties": map[string]any{
		"principalId": principal, "scope": vaultID, "roleDefinitionId": "/x/" + d.Name, "condition": condition, "conditionVersion": "2.0"}})
}

func openVault(rbac bool) *estate.Resource {
	return resource(vaultID, estate.TypeVault, map[string]any{"properties": map[string]any{"tenantId": home, "enableRbacAuthorization": rbac}})
}

func answered(t *testing.T, q Question, list ...*estate.Resource) *Answer {
	t.Helper()
	s, problems := estate.New(list, rigOptions())
	if len(problems) > 0 {
		t.Fatalf("estate.New = %v", problems)
	}
	a, err := Ask(s, "main", q, rigOptions())
	if err != nil {
		t.Fatalf("Ask = %v", err)
	}
	return a
}

// A writer who may assign roles to one principal alone lets that one in, and
// nobody else.
func TestConstrainedWriter(t *testing.T) {
	list := []*estate.Resource{openVault(true), conditional("User Access Administrator", people[0],
		"((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request[Microsoft.Authorization/roleAssignments:PrincipalId] ForAnyOfAnyValues:GuidEquals {"+people[1]+"}))")}
	a := answered(t, Question{Object: "db"}, list...)
	if len(a.Findings) != 1 {
		t.Fatalf("Ask = %d findings, want 1", len(a.Findings))
	}
	for _, p := range a.Findings[0].Paths {
		if p.Reader != Another || p.To != access.MustGUID(people[1]) || len(p.Steps()) != 1 {
			t.Errorf("path of %v for %v: %+v, want one step for %s", p.Reader, p.To, p.Steps(), people[1])
		}
	}
	if len(a.Findings[0].Paths) == 0 {
		t.Error("no path for the principal that the condition names")
	}
}

// A right under a condition on names is told with a name.
func TestConditionOnNames(t *testing.T) {
	list := []*estate.Resource{openVault(true), conditional("Key Vault Secrets User", people[0],
		"((!(ActionMatches{'Microsoft.KeyVault/vaults/secrets/getSecret/action'})) OR (@Resource[Microsoft.KeyVault/vaults/secrets:name] StringLike 'app-*'))")}
	a := answered(t, Question{}, list...)
	if len(a.Findings) != 1 || !a.Findings[0].Now() || a.Findings[0].Paths[0].Object != "app-" {
		t.Fatalf("Ask = %+v, want one who reads now, by a name that begins with app-", a.Findings)
	}
	if a := answered(t, Question{Object: "db"}, list...); len(a.Findings) != 0 {
		t.Errorf("Ask of db = %+v, want nobody", a.Findings)
	}
}

// Members of a group hold what the group holds.
func TestGroups(t *testing.T) {
	list := []*estate.Resource{openVault(false), assignmentOf(1, "e0000000-0000-0000-0000-000000000001", people[2], group)}
	q := Question{Object: "db", Principals: []Principal{{Tenant: access.MustGUID(home), Object: access.MustGUID(people[0]), Known: true,
		Groups: []access.GUID{access.MustGUID(people[2])}, Name: "member"}}}
	a := answered(t, q, list...)
	for _, want := range []string{people[0], people[2]} {
		if len(pathsOf(a, Principal{Tenant: access.MustGUID(home), Object: access.MustGUID(want)})) == 0 {
			t.Errorf("%s has no path, want one through accessPolicies/write", want)
		}
	}
}
