package golang

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/conformance/lab"
	"postern/internal/operator"
)

// exampleRole is the role definition of the examples.
const exampleRole = "0b5fe924-9a61-425c-96af-cfe6e287ca2d"

// The clients of the module whose examples run; the others' are left out:
// classicadministrators (retired in the cloud, too), and those of Privileged
// Identity Management: eligiblechildresources, roleassignmentschedule…,
// roleeligibility…, rolemanagementpolic….
var exampleClients = []string{"denyassignments", "globaladministrator", "permissions", "provideroperationsmetadata", "roleassignments", "roledefinitions"}

// The examples in the order in which one finds what another made.
var exampleOrder = []string{
	"GlobalAdministratorClient_ElevateAccess",
	"RoleDefinitionsClient_CreateOrUpdate", "RoleDefinitionsClient_Get", "RoleDefinitionsClient_GetByID", "RoleDefinitionsClient_NewListPager",
	"RoleAssignmentsClient_Create_createRoleAssignmentForSubscription",
	"RoleAssignmentsClient_CreateByID", "RoleAssignmentsClient_DeleteByID", "RoleAssignmentsClient_CreateByID", "RoleAssignmentsClient_Delete",
	"RoleAssignmentsClient_CreateByID", "RoleAssignmentsClient_Get", "RoleAssignmentsClient_GetByID",
	"RoleAssignmentsClient_Create_createRoleAssignmentForResourceGroup", "RoleAssignmentsClient_Create_createRoleAssignmentForResource",
	"RoleAssignmentsClient_NewListForSubscriptionPager", "RoleAssignmentsClient_NewListForScopePager",
	"RoleAssignmentsClient_NewListForResourceGroupPager", "RoleAssignmentsClient_NewListForResourcePager",
	"DenyAssignmentsClient_Get", "DenyAssignmentsClient_GetByID", "DenyAssignmentsClient_NewListPager",
	"DenyAssignmentsClient_NewListForResourceGroupPager", "DenyAssignmentsClient_NewListForResourcePager", "DenyAssignmentsClient_NewListForScopePager",
	"PermissionsClient_NewListForResourceGroupPager", "PermissionsClient_NewListForResourcePager",
	"ProviderOperationsMetadataClient_Get", "ProviderOperationsMetadataClient_NewListPager",
	"RoleDefinitionsClient_Delete",
}

// TestAuthorizationExamples runs the examples of the SDK's own module for
// Microsoft.Authorization: their requests as they stand there but for the
// names, and their answers, decoded by the SDK, held against what the
// examples say comes back.
func TestAuthorizationExamples(t *testing.T) {
	p := lab.Start(t)
	p.Vault(t, "examples", nil)
	control := p.Control(t)
	in := "/subscriptions/" + control.Subscription
	definition := in + "/providers/Microsoft.Authorization/roleDefinitions/" + exampleRole + "?api-version=2022-04-01"
	program := examples(t, control.Subscription, denies(t, p, in))
	c := p.Client(t, lab.Public)
	for _, name := range exampleOrder {
		t.Run(name, func(t *testing.T) {
			c.Set("EXAMPLE", "Example"+name)
			out, err := c.Command(t.Context(), program, "-test.run=^TestExample$").CombinedOutput()
			switch name {
			case "RoleDefinitionsClient_CreateOrUpdate":
				// Its definition is empty, which nothing accepts.
				if err == nil || !bytes.Contains(out, []byte("RESPONSE 400")) {
					t.Errorf("an empty definition: %v %s, want 400", err, out)
				}
				control.Put(t, definition, map[string]any{"properties": map[string]any{"roleName": "Role name", "description": "Role description", "type": "CustomRole",
					"assignableScopes": []any{in}, "permissions": []any{map[string]any{"actions": []any{"Microsoft.KeyVault/vaults/read"},
						"notActions": []any{}, "dataActions": []any{"Microsoft.KeyVault/vaults/secrets/getSecret/action"}, "notDataActions": []any{}}}}})
				return
			case "RoleDefinitionsClient_Delete":
				if err == nil || !bytes.Contains(out, []byte("RoleDefinitionHasAssignments")) {
					t.Errorf("deleting a definition in use: %v %s", err, out)
				}
				for _, at := range []string{in + "/providers/Microsoft.Authorization/roleAssignments/b0f43c54-e787-4862-89b1-a653fa9cf747", in + "/resourceGroups/" + lab.Group +
					"/providers/Microsoft.Authorization/roleAssignments/05c5a614-a7d6-4502-b150-c2fb455033ff", in + "/resourceGroups/" + lab.Group +
					"/providers/Microsoft.KeyVault/vaults/examples/providers/Microsoft.Authorization/roleAssignments/05c5a614-a7d6-4502-b150-c2fb455033ff"} {
					if status, answer := control.Call(t, http.MethodDelete, at+"?api-version=2022-04-01", nil); status != http.StatusOK {
						t.Errorf("DELETE %s = %d %s", at, status, answer)
					}
				}
				out, err = c.Command(t.Context(), program, "-test.run=^TestExample$").CombinedOutput()
			case "RoleAssignmentsClient_Create_createRoleAssignmentForSubscription":
				// Another example makes the same one under another name.
				control.Call(t, http.MethodDelete, in+"/providers/Microsoft.Authorization/roleAssignments/05c5a614-a7d6-4502-b150-c2fb455033ff?api-version=2022-04-01", nil)
			}
			if err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// denies makes the deny assignments of the examples, which no client can,
// and returns where they are.
func denies(t *testing.T, p *lab.Postern, subscription string) (at [3]string) {
	t.Helper()
	group := subscription + "/resourcegroups/" + lab.Group
	for i, scope := range []string{subscription, group, group + "/providers/Microsoft.KeyVault/vaults/examples/secrets/resourceName"} {
		made, err := operator.NewClient(p.Data, "conformance").Deny(t.Context(), operator.Deny{Name: "Deny assignment name", Scope: scope,
			Actions: []string{"Microsoft.KeyVault/vaults/read"}, DataActions: []string{"Microsoft.KeyVault/vaults/read"},
			Principals: []string{"7f2c1f62-3c6b-4f3a-9d53-4b1d6a0f9a01"}, Exclude: []string{"7f2c1f62-3c6b-4f3a-9d53-4b1d6a0f9a02"}})
		if err != nil {
			t.Fatal(err)
		}
		at[i] = made.Name
	}
	return at
}

// examples makes a program of the module's examples: each compares what it
// got with what its comment says, and one of them runs.
func examples(t *testing.T, subscription string, denies [3]string) (program string) {
	t.Helper()
	source, dir := copyOf(t, "resourcemanager/authorization/armauthorization/v2")
	// Where an example names nothing that could exist, a name of what does;
	// "" where it says nothing that could be known.
	const deny = "/providers/Microsoft.Authorization/denyAssignments/"
	named := strings.NewReplacer("<subscription-id>", subscription, "a925f2f7-5c63-4b7b-8799-25a5f97bc3b2", subscription,
		"testrg", lab.Group, "Microsoft.DocumentDb", "Microsoft.KeyVault", "databaseAccounts", "vaults", "test-db-account", "examples",
		"96786e4b-dede-4c2e-8736-8ab911987f08", "05c5a614-a7d6-4502-b150-c2fb455033ff",
		`GetByID(ctx, "roleDefinitionId"`, `GetByID(ctx, "subscriptions/`+subscription+"/providers/Microsoft.Authorization/roleDefinitions/"+exampleRole+`"`,
		`"roleDefinitionId"`, `"`+exampleRole+`"`, `/roleDefinitionId"`, `/`+exampleRole+`"`, `"scope"`, `"subscriptions/`+subscription+`"`,
		"roletype", "CustomRole", `"action"`, `"Microsoft.KeyVault/vaults/read"`, `"dataAction"`, `"Microsoft.KeyVault/vaults/secrets/getSecret/action"`,
		"resourceName"+deny+"denyAssignmentId", "resourceName"+deny+denies[2], "rgname"+deny+"denyAssignmentId", lab.Group+deny+denies[1],
		"rgname"+deny+"daId", lab.Group+deny+denies[1], "subId"+deny+"denyAssignmentId", subscription+deny+denies[0],
		`rgname", "denyAssignmentId"`, lab.Group+`", "`+denies[1]+`"`, "denyAssignmentId", "", "daId", "",
		"Deny assignment description", "", "principalType1", "", "principalType2", "", "principalId1", "7f2c1f62-3c6b-4f3a-9d53-4b1d6a0f9a01",
		"principalId2", "7f2c1f62-3c6b-4f3a-9d53-4b1d6a0f9a02", "subId", subscription, "subID", subscription, "rgname", lab.Group,
		"resourceProviderNamespace", "Microsoft.KeyVault", "rpnamespace", "Microsoft.KeyVault", "parentResourcePath", "vaults/examples", `"resourceType"`, `"secrets"`,
		"/resourceType/", "/secrets/")
	table := "var examples = map[string]func(){\n"
	for _, client := range exampleClients {
		name := client + "_client_example_test.go"
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		runs := compared(named.Replace(string(text)))
		for _, m := range exampleName.FindAllStringSubmatch(runs, -1) {
			if table += "\t\"" + m[1] + "\": " + m[1] + ",\n"; !slices.Contains(exampleOrder, strings.TrimPrefix(m[1], "Example")) {
				t.Errorf("the module has %s, which does not run", m[1])
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(runs), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "run_test.go"), []byte(runner+table+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "examples.test")
	build(t, dir, program)
	return program
}

var exampleName = regexp.MustCompile(`(?m)^func (Example\w+)\(\)`)

// providerName is how the examples of provideroperationsmetadata call a
// provider.
var providerName = regexp.MustCompile(`Name: to\.Ptr\("name"\),(\s*//\s*)Type: to\.Ptr\("type"\),\s*//\s*DisplayName: to\.Ptr\("displayName"\),\s*//\s*ID: to\.Ptr\("id"\)`)

// compared makes statements of the comments that say what comes back, and
// has each example compare.
func compared(text string) string {
	if !strings.Contains(text, "azcore/to\"") && strings.Contains(text, "to.Ptr(") {
		const first = "\"github.com/Azure/azure-sdk-for-go/sdk/azidentity\""
		text = strings.Replace(text, first, "\"github.com/Azure/azure-sdk-for-go/sdk/azcore/to\"\n\t"+first, 1)
	}
	text = providerName.ReplaceAllString(text, `Name: to.Ptr("Microsoft.KeyVault"),${1}Type: to.Ptr("Microsoft.Authorization/providerOperations"),${1}DisplayName: to.Ptr("Microsoft.KeyVault"),${1}ID: to.Ptr("/providers/Microsoft.Authorization/providerOperations/Microsoft.KeyVault")`)
	text = strings.ReplaceAll(text, `to.Ptr("name")`, `to.Ptr("vaults")`)
	var b bytes.Buffer
	said, value := false, ""
	for line := range strings.Lines(text) {
		bare := strings.TrimLeft(line, "\t")
		switch {
		case strings.HasPrefix(bare, "// If the HTTP response code is 200"):
			said = true
			if value = "res"; strings.Contains(bare, "your page structure") {
				value = "page"
			}
			b.WriteString("got := " + value + "\n")
		case said && strings.HasPrefix(bare, "// "):
			b.WriteString(strings.TrimPrefix(bare, "// "))
		case said:
			said = false
			b.WriteString("same(got, " + value + ")\n" + line)
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// runner is the part of the examples' program that is not theirs: every
// member that an example says must be in the answer, and in a list one such
// item.
const runner = `package armauthorization_test

import (
	"encoding/json"
	"log"
	"os"
	"strings"
	"testing"
)

func TestExample(t *testing.T) { examples[os.Getenv("EXAMPLE")]() }

func same(got, want any) {
	g, w := plain(got), plain(want)
	if !covers(w, g) {
		a, _ := json.Marshal(g)
		b, _ := json.Marshal(w)
		log.Fatalf("got  %s\nwant %s", a, b)
	}
}

func plain(v any) (out any) {
	text, err := json.Marshal(v)
	if err != nil || json.Unmarshal(text, &out) != nil {
		log.Fatalf("%v cannot be compared", v)
	}
	return out
}

func covers(want, got any) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for name, v := range w {
			a, b := v, g[name]
			if name == "roleDefinitionId" {
				// In the examples it is that of the root, in the cloud's answers that of the subscription.
				a, b = last(a), last(b)
			}
			ok = ok && covers(a, b)
		}
		return ok
	case []any:
		g, ok := got.([]any)
		for _, v := range w {
			found := false
			for _, other := range g {
				found = found || covers(v, other)
			}
			ok = ok && found
		}
		return ok
	case string:
		g, ok := got.(string)
		return w == "" || ok && strings.EqualFold(g, w)
	}
	return want == got
}

func last(v any) any {
	text, _ := v.(string)
	return text[strings.LastIndexByte(text, '/')+1:]
}

`
