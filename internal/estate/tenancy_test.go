package estate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/access"
)

const (
	managed = "/providers/Microsoft.Management/managementGroups/"
	custom  = "dddddddd-0000-0000-0000-000000000001"
	foreign = "aaaaaaaa-0000-0000-0000-000000000002"
)

func inTenant(id string) string {
	return Place(access.MustGUID(tenant), "/"+strings.TrimPrefix(id, "/"))
}

func subscriptionResource(tenant, in string) *Resource {
	id := group[:strings.Index(group, "/resourceGroups")]
	return &Resource{ID: id, Type: TypeSubscription, Name: "s", Body: json.RawMessage(fmt.Sprintf(`{"tenantId":%q,"managementGroup":%q}`, tenant, in))}
}

func managementResource(name, parent string) *Resource {
	body := fmt.Sprintf(`{"properties":{"details":{"parent":{"id":%q}}}}`, managed+parent)
	return &Resource{ID: inTenant(managed + name), Type: TypeManagementGroup, Name: name, Body: json.RawMessage(body)}
}

func roleResource(name, blocks string) *Resource {
	return &Resource{ID: inTenant("/providers/" + TypeRoleDefinition + "/" + name), Type: TypeRoleDefinition, Name: name,
		Body: json.RawMessage(`{"properties":{"roleName":"Custom","permissions":[` + blocks + `]}}`)}
}

func denyResource(scope, name, principal string) *Resource {
	return &Resource{ID: strings.TrimRight(scope, "/") + "/providers/" + TypeDenyAssignment + "/" + name, Type: TypeDenyAssignment, Name: name,
		Body: json.RawMessage(`{"properties":{"denyAssignmentName":"D","permissions":[{"dataActions":["*"]}],"principals":[{"id":"` + principal + `"}]}}`)}
}

func estateOf(resources ...*Resource) *Snapshot { s, _ := New(resources, options); return s }

// TestAssignmentsFromAbove: an assignment reaches a vault from every
// management group above it and from its tenant's root, and from no other.
func TestAssignmentsFromAbove(t *testing.T) {
	in := func(tenant, at string) []*Resource {
		return []*Resource{subscriptionResource(tenant, at), managementResource("top", ""), managementResource("mid", "TOP"), managementResource("low", "mid"),
			managementResource("other", "top"), managementResource("c1", "c2"), managementResource("c2", "c1"), vaultResource("v", `,"enableRbacAuthorization":true`)}
	}
	rows := []struct {
		tenant, group, scope string
		want                 bool
	}{
		{tenant, "low", inTenant(managed + "low"), true},
		{tenant, "Low", inTenant(managed + "MID"), true},
		{tenant, "low", inTenant(managed + "top"), true},
		{tenant, "low", inTenant(managed + tenant), true},
		{tenant, "low", inTenant(""), true},
		{tenant, "low", inTenant(managed + "other"), false},
		{tenant, "mid", inTenant(managed + "low"), false},
		{tenant, "", inTenant(managed + tenant), true},
		{tenant, "", inTenant(managed + "top"), false},
		{tenant, "none", inTenant(managed + "none"), true}, // see below
		{tenant, "c1", inTenant(managed + "c1"), true},
		{tenant, "c1", inTenant(managed + "c2"), true},
		{tenant, "c1", inTenant(""), false},
		{foreign, "low", inTenant(managed + "low"), false},
		{foreign, "low", inTenant(managed + tenant), false},
		{foreign, "", inTenant(""), false},
		{"", "low", inTenant(""), false},
	}
	for _, row := range rows {
		if row.group == "none" {
			row.want = false // a group that does not exist reaches nothing
		}
		s := estateOf(append(in(row.tenant, row.group), assignmentResource(row.scope, "a"))...)
		v, _ := s.Vault("v")
		if got := len(v.Rules.Assignments) == 1; got != row.want {
			t.Errorf("a subscription of %q in %q: an assignment at %s reaches the vault: %v, want %v", row.tenant, row.group, row.scope, got, row.want)
		}
		caller := &access.Caller{Token: access.TokenValid, Object: access.MustGUID(principal)}
		if d := s.Authority().Authorize(caller, "Microsoft.KeyVault/vaults/read", v.Resource.ID); d.Allowed() {
			t.Errorf("a role without actions allows one from %s", row.scope)
		}
		s = estateOf(append(in(row.tenant, row.group), denyResource(row.scope, "d", principal))...)
		if v, _ = s.Vault("v"); (len(v.Rules.DenyAssignments) == 1) != row.want {
			t.Errorf("a subscription of %q in %q: a deny assignment at %s reaches the vault: %v, want %v", row.tenant, row.group, row.scope, !row.want, row.want)
		}
	}
	s := estateOf(in(tenant, "low")...)
	want := []string{Key(inTenant(managed + "low")), Key(inTenant(managed + "mid")), Key(inTenant(managed + "top")), Key(inTenant(managed + tenant)), Key(inTenant(""))}
	if diff := cmp.Diff(want, s.Above(subscriptionResource("", "").ID)); diff != "" {
		t.Errorf("above the subscription (-want +got):\n%s", diff)
	}
	if !s.Covers(inTenant(managed+"top"), vaultResource("v", "").ID) || s.Covers(inTenant(managed+"other"), group) || !s.Covers(group, group+"/x") || s.Covers(group+"/x", group) {
		t.Error("Covers does not follow the hierarchy")
	}
}

// TestCustomRoles: a role of the estate's own is found within its tenant.
func TestCustomRoles(t *testing.T) {
	role := roleResource(custom, `{"dataActions":["Microsoft.KeyVault/vaults/secrets/*"],"notDataActions":["*/delete"]},{"dataActions":["a/b"]},{"dataActions":["*"],"condition":"x"}`)
	a := assignmentResource(group, "a")
	a.Body = json.RawMessage(strings.Replace(string(a.Body), user, strings.ToUpper(custom), 1))
	want := &access.Role{ID: custom, Name: "Custom", DataActions: []string{"Microsoft.KeyVault/vaults/secrets/*"}, NotDataActions: []string{"*/delete"},
		More: []access.Permissions{{DataActions: []string{"a/b"}}}}
	for _, row := range []struct {
		tenant string
		want   *access.Role
	}{{tenant, want}, {foreign, nil}, {"", nil}} {
		s := estateOf(role, a, subscriptionResource(row.tenant, ""), vaultResource("v", ""))
		v, _ := s.Vault("v")
		if diff := cmp.Diff(row.want, v.Rules.Assignments[0].Role); diff != "" {
			t.Errorf("the role in a subscription of %q (-want +got):\n%s", row.tenant, diff)
		}
	}
	role.Body = json.RawMessage(`{"properties":[]}`)
	s, problems := New([]*Resource{role, a, subscriptionResource(tenant, ""), vaultResource("v", "")}, options)
	if v, _ := s.Vault("v"); v.Rules.Assignments[0].Role != nil || len(problems) != 2 {
		t.Errorf("a role that cannot be read: %+v, problems %v", v.Rules.Assignments[0], problems)
	}
}

// TestDeniesAreStrict: what cannot be read of a deny assignment denies more,
// never less.
func TestDeniesAreStrict(t *testing.T) {
	p := access.MustGUID(principal)
	rows := []struct {
		properties string
		everyone   bool
		role       bool
		exclude    int
	}{
		{`{"permissions":[{"dataActions":["*"]}],"principals":[{"id":"` + principal + `"}]}`, false, true, 0},
		{`{"permissions":[{"dataActions":["*"]}],"principals":[{"id":"00000000-0000-0000-0000-000000000000"}],"excludePrincipals":[{"id":"` + principal + `"},{"id":"x"}]}`, true, true, 1},
		{`{"permissions":[{"dataActions":["*"]}],"principals":[{"id":"bob"}]}`, true, true, 0},
		{`{"permissions":[{"dataActions":["*"]}],"principals":[]}`, true, false, 0},
		{`{"permissions":[],"principals":[{"id":"` + principal + `"}]}`, true, false, 0},
		{`[]`, true, false, 0},
	}
	for _, row := range rows {
		d := denyResource(group, "d", "")
		d.Body = json.RawMessage(`{"properties":` + row.properties + `}`)
		v, _ := estateOf(d, vaultResource("v", "")).Vault("v")
		got := v.Rules.DenyAssignments[0]
		if got.Everyone != row.everyone || (got.Role != nil) != row.role || len(got.Exclude) != row.exclude || !got.Everyone && got.Principals[0] != p {
			t.Errorf("%s = %+v", row.properties, got)
		}
	}
}

func TestPlace(t *testing.T) {
	g := access.MustGUID(tenant)
	for _, row := range []struct{ id, place string }{
		{"/", "/tenants/" + tenant}, {managed + "x", "/tenants/" + tenant + managed + "x"}, {"/Subscriptions/a/b", "/Subscriptions/a/b"},
		{"/subscriptions/", "/tenants/" + tenant + "/subscriptions"}, {"/tenants/" + foreign, "/tenants/" + tenant + "/tenants/" + foreign},
	} {
		if got := Place(g, row.id); got != row.place {
			t.Errorf("Place(%q) = %q, want %q", row.id, got, row.place)
		}
	}
	if got := Shown(Place(g, managed+"x")); got != managed+"x" {
		t.Errorf("Shown = %q", got)
	}
	if got := Shown(Place(g, "/")); got != "/" {
		t.Errorf("Shown = %q", got)
	}
}
