package who

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/roles"
	"postern/internal/trusted"
)

// guidOf is the GUID of a built-in role.
func guidOf(name string) string {
	d, _ := roles.ByRoleName(name)
	return d.Name
}

// narrowed are the roles of one action, by the action.
func narrowed(action string) string {
	for guid, r := range narrow {
		if slices.Contains(r.Actions, action) {
			return guid
		}
	}
	panic(action)
}

func known(id string, change func(*Principal)) Principal {
	p := Principal{Tenant: access.MustGUID(home), Object: access.MustGUID(id), Known: true}
	change(&p)
	return p
}

// shutVault lets private endpoints in and nobody else.
func shutVault() *estate.Resource {
	return resource(vaultID, estate.TypeVault, map[string]any{"properties": map[string]any{"tenantId": home, "enableRbacAuthorization": true,
		"publicNetworkAccess": "Disabled", "networkAcls": map[string]any{"bypass": "None", "defaultAction": "Deny"}}})
}

func subscriptionIn(mg string) *estate.Resource {
	return resource(subscription, estate.TypeSubscription, map[string]any{"tenantId": home, "managementGroup": mg})
}

func customOf(scope string, actions ...string) *estate.Resource {
	return resource(customID, estate.TypeRoleDefinition, map[string]any{"properties": map[string]any{"assignableScopes": []string{scope},
		"permissions": []any{map[string]any{"actions": actions, "dataActions": []any{}}}}})
}

// underPerimeter is the resources of a perimeter whose rules admit nobody.
func underPerimeter() []*estate.Resource {
	return []*estate.Resource{resource(perimeterID, estate.TypePerimeter, map[string]any{}), resource(perimeterID+"/profiles/p", estate.TypePerimeterProfile, map[string]any{}),
		resource(association, estate.TypePerimeterAssociation, map[string]any{"properties": map[string]any{"accessMode": "Enforced",
			"privateLinkResource": map[string]any{"id": vaultID}, "profile": map[string]any{"id": perimeterID + "/profiles/p"}}})}
}

var identityOfD = resource(identityID, typeIdentity, map[string]any{"properties": map[string]any{"principalId": people[3]}})

// TestTold: small estates, and the writes of a path of people[0] that each
// of them has.
func TestTold(t *testing.T) {
	a, b, d := people[0], people[1], people[3]
	reads := func(who string) *estate.Resource {
		return assignmentOf(50, guidOf("Key Vault Secrets User"), who, vaultID)
	}
	may := func(n int, action, scope string) *estate.Resource { return assignmentOf(n, narrowed(action), a, scope) }
	only := func(role string) string {
		return "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {" + role + "}))"
	}
	rows := []struct {
		name  string
		list  []*estate.Resource
		known []Principal
		want  string
	}{
		{"an administrator of the directory", []*estate.Resource{openVault(true), subscriptionIn("")}, []Principal{known(a, func(p *Principal) { p.Administrator = true })}, "elevate assign-role"},
		{"a custom role that one holds", []*estate.Resource{openVault(true), subscriptionIn(""), customOf(group, "Microsoft.KeyVault/vaults/read"), assignmentOf(1, custom, a, vaultID), may(2, actionDefine, group)}, nil, "widen-role"},
		{"a custom role that somebody else holds", []*estate.Resource{openVault(true), subscriptionIn(""), customOf(group, "Microsoft.KeyVault/vaults/read"), assignmentOf(1, custom, b, vaultID), may(2, actionDefine, group)}, nil, "widen-role → " + b},
		{"a custom role that one may assign alone", []*estate.Resource{openVault(true), subscriptionIn(""), customOf(group, "Microsoft.KeyVault/vaults/read"), may(2, actionDefine, group), conditional("User Access Administrator", a, only(custom))}, nil, "widen-role assign-role"},
		{"a role of the control plane that one may assign alone", []*estate.Resource{openVault(false), conditional("User Access Administrator", a, only(guidOf("Contributor")))}, nil, "take-role add-policy"},
		{"a role by which one may assign others", []*estate.Resource{openVault(false), conditional("User Access Administrator", a, only(guidOf("User Access Administrator")))}, nil, "take-role take-more add-policy"},
		{"a denied subscription that one may move", []*estate.Resource{openVault(true), subscriptionIn("mg"), resource(managed, estate.TypeManagementGroup, map[string]any{}), assignmentOf(1, guidOf("Owner"), a, subscription), assignmentOf(2, guidOf("Contributor"), a, managed),
			resource(managed+"/providers/"+estate.TypeDenyAssignment+"/d", estate.TypeDenyAssignment, map[string]any{"properties": map[string]any{"denyAssignmentName": "d", "principals": []any{map[string]any{"id": "00000000-0000-0000-0000-000000000000"}}, "permissions": []any{map[string]any{"dataActions": []any{"*"}}}}})}, nil, "move-subscription assign-role"},
		{"a perimeter of one's own", []*estate.Resource{shutVault(), reads(a), may(1, actionJoin, vaultID)}, nil, "join-perimeter"},
		{"the rules of the vault's perimeter", append(underPerimeter(), openVault(true), reads(a), may(1, actionRule, perimeterID)), nil, "open-perimeter"},
		{"the mode of the association", append(underPerimeter(), openVault(true), reads(a), assignmentOf(1, guidOf("Contributor"), a, group)), nil, "relax-perimeter"},
		{"the association", append(underPerimeter(), openVault(true), reads(a), may(1, actionAssociation, association)), nil, "leave-perimeter"},
		{"an identity that one may give to a resource", []*estate.Resource{openVault(true), subscriptionIn(""), reads(d), identityOfD, may(1, actionGiveIdentity, other)}, nil, "take-identity"},
		{"an identity that may be made to trust an issuer", []*estate.Resource{openVault(true), subscriptionIn(""), reads(d), identityOfD, may(1, actionFederate, identityID)}, nil, "federate"},
		{"an identity over which one may take a role", []*estate.Resource{openVault(true), subscriptionIn(""), reads(d), identityOfD, assignmentOf(1, guidOf("User Access Administrator"), a, other)}, nil, "take-role take-identity"},
		{"a machine that has the identity", []*estate.Resource{openVault(true), subscriptionIn(""), reads(d), resource(machineID, "Microsoft.Compute/virtualMachines", map[string]any{"identity": map[string]any{"userAssignedIdentities": map[string]any{identityID: map[string]any{"principalId": d}}}}),
			assignmentOf(1, guidOf("Contributor"), a, machineID)}, nil, "take-workload"},
		{"a machine that may give itself the identity", []*estate.Resource{openVault(true), subscriptionIn(""), reads(d), identityOfD, resource(machineID, "Microsoft.Compute/virtualMachines", map[string]any{"identity": map[string]any{"principalId": b}}),
			assignmentOf(1, guidOf("Contributor"), a, machineID), assignmentOf(2, narrowed(actionGiveIdentity), b, identityID)}, nil, "take-workload take-identity"},
		{"an identity that reads, and a network that one opens oneself", []*estate.Resource{shutVault(), subscriptionIn(""), reads(d), identityOfD, may(1, actionGiveIdentity, other), may(2, actionJoin, vaultID)}, nil, "take-identity join-perimeter"},
		{"a group that one owns", []*estate.Resource{openVault(true), reads(team)}, []Principal{known(a, func(*Principal) {}), known(team, func(p *Principal) { p.Group, p.Owners = true, []access.GUID{access.MustGUID(a)} })}, "join-group"},
		{"an application that one owns", []*estate.Resource{openVault(true), reads(d)}, []Principal{known(a, func(*Principal) {}), known(d, func(p *Principal) { p.Owners = []access.GUID{access.MustGUID(a)} })}, "add-credential"},
		{"a user of the directory that one administers", []*estate.Resource{openVault(true), subscriptionIn(""), reads(d)}, []Principal{known(a, func(p *Principal) { p.Administrator = true }), known(d, func(p *Principal) { p.User = true })}, "set-password"},
	}
	for _, row := range rows {
		s, problems := estate.New(row.list, rigOptions())
		if len(problems) > 0 {
			t.Fatalf("%s: estate.New = %v", row.name, problems)
		}
		answer, err := Ask(s, "main", Question{Object: "db", Principals: row.known}, rigOptions())
		if err != nil {
			t.Fatalf("%s: Ask = %v", row.name, err)
		}
		actor := Principal{Tenant: access.MustGUID(home), Object: access.MustGUID(a)}
		w := &world{list: row.list, principals: row.known}
		var got []string
		for _, p := range pathsOf(answer, actor) {
			var words []string
			for _, step := range p.Steps() {
				words = append(words, step.Write.String())
			}
			if !p.To.IsZero() {
				words = append(words, "→ "+p.To.String())
			}
			if text := strings.Join(words, " "); p.Reader == Itself || !p.To.IsZero() {
				got = append(got, text)
			}
			if why := w.walk(&p, actor, answer, nil); why != "" {
				t.Errorf("%s: %s: %s", row.name, described([]Path{p}), why)
			}
		}
		if !slices.Contains(got, row.want) {
			t.Errorf("%s: paths %q, want %q among them", row.name, got, row.want)
		}
	}
}

// TestServed: the services that flags let in are told, where they come
// through the other gates, too, and for what is theirs.
func TestServed(t *testing.T) {
	options := rigOptions()
	options.Trusted, _ = trusted.List("azure")
	const flags = `"enabledForDeployment":true,"enabledForDiskEncryption":true,"enabledForTemplateDeployment":false`
	for _, tt := range []struct {
		name, properties string
		operation        access.Operation
		want             string
	}{
		{"open", flags, access.SecretGet, "enabledForDeployment enabledForDiskEncryption"},
		{"open, to write", flags, access.SecretSet, "enabledForDiskEncryption"},
		{"open, to delete", flags, access.SecretDelete, ""},
		{"shut", flags + `,"networkAcls":{"defaultAction":"Deny","bypass":"AzureServices"}`, access.SecretGet, "enabledForDeployment enabledForDiskEncryption"},
		{"shut, no bypass", flags + `,"networkAcls":{"defaultAction":"Deny","bypass":"None"}`, access.SecretGet, ""},
		{"no flags", `"sku":{}`, access.SecretGet, ""},
	} {
		var properties map[string]any
		if err := json.Unmarshal([]byte("{"+tt.properties+"}"), &properties); err != nil {
			t.Fatal(err)
		}
		properties["tenantId"] = home
		s, problems := estate.New([]*estate.Resource{resource(vaultID, estate.TypeVault, map[string]any{"properties": properties})}, options)
		if len(problems) > 0 {
			t.Fatalf("%s: estate.New = %v", tt.name, problems)
		}
		answer, err := Ask(s, "main", Question{Operation: tt.operation, Object: "db"}, options)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range answer.Served {
			got = append(got, s.Flag)
		}
		if text := strings.Join(got, " "); text != tt.want {
			t.Errorf("%s: served by %q, want %q", tt.name, text, tt.want)
		}
	}
}
