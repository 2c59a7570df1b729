package nsp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/internal/journal"
	"postern/posterntest"
)

// rig is a server with a vault, and the paths of a perimeter for it.
type rig struct {
	t                                      *testing.T
	p                                      *posterntest.Postern
	perimeter, profile, association, vault string
}

func newRig(t *testing.T) *rig {
	p := posterntest.Start(t)
	perimeter := "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + posterntest.Group + "/providers/Microsoft.Network/networkSecurityPerimeters/nsp"
	return &rig{t, p, perimeter, perimeter + "/profiles/p1", perimeter + "/resourceAssociations/a1", p.CreateVault("kv-one").ID}
}

type object = map[string]any

func (r *rig) send(token, method, id, body string) (int, object, string) {
	r.t.Helper()
	query := "?api-version=2025-05-01"
	if strings.Contains(id, "?") {
		query = "&" + query[1:]
	}
	status, text := r.p.DoAs(token, method, r.p.ManagementURL+id+query, []byte(body))
	var o object
	_ = json.Unmarshal(text, &o) // some answers have no body
	return status, o, string(text)
}

// ok sends a request as the administrator that must have a status.
func (r *rig) ok(want int, method, id, body string) object {
	r.t.Helper()
	status, o, text := r.send(r.p.Token(r.p.ManagementURL), method, id, body)
	if status != want {
		r.t.Fatalf("%s %s = %d %s, want %d", method, id, status, text, want)
	}
	return o
}

func (r *rig) refused(want int, code, words, method, id, body string) {
	r.t.Helper()
	status, o, text := r.send(r.p.Token(r.p.ManagementURL), method, id, body)
	e, _ := o["error"].(object)
	message, _ := e["message"].(string)
	if status != want || e["code"] != code || !strings.Contains(message, words) {
		r.t.Errorf("%s %s %s = %d %s, want %d %s: %s", method, id, body, status, text, want, code, words)
	}
}

// build makes the perimeter with its profile and puts the vault into it.
func (r *rig) build(mode string) {
	r.t.Helper()
	r.ok(200, "PUT", r.perimeter, `{"location":"eastus"}`)
	r.ok(200, "PUT", r.profile, `{}`)
	r.associate(mode)
}

func (r *rig) associate(mode string) object {
	r.t.Helper()
	return r.ok(200, "PUT", r.association, r.body(mode))
}

func (r *rig) body(mode string) string {
	return `{"properties":{"accessMode":"` + mode + `","privateLinkResource":{"id":"` + r.vault + `"},"profile":{"id":"` + r.profile + `"}}}`
}

func (r *rig) rule(name, properties string) object {
	r.t.Helper()
	return r.ok(200, "PUT", r.profile+"/accessRules/"+name, `{"properties":{`+properties+`}}`)
}

// reads asks the vault for its secrets, as anybody in the subscription's
// tenant with the right would.
func (r *rig) reads(want int, words string) {
	r.t.Helper()
	status, text := r.p.Do("GET", r.p.VaultURL("kv-one")+"/secrets?api-version=7.4", nil)
	if status != want || !strings.Contains(string(text), words) {
		r.t.Errorf("list of secrets = %d %s, want %d %s", status, text, want, words)
	}
}

func (r *rig) grantSecrets() {
	r.t.Helper()
	const officer = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
	r.ok(201, "PUT", r.vault+"/providers/Microsoft.Authorization/roleAssignments/11111111-2222-3333-4444-555555555555",
		`{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/`+officer+`","principalId":"`+r.p.ObjectID+`"}}`)
}

var written = cmpopts.IgnoreMapEntries(func(name string, _ any) bool { return name == "systemData" || name == "perimeterGuid" })

func TestResources(t *testing.T) {
	r := newRig(t)
	want := object{"name": "nsp", "id": r.perimeter, "type": "Microsoft.Network/networkSecurityPerimeters", "location": "eastus", "tags": object{"a": "b"},
		"properties": object{"provisioningState": "Succeeded"}}
	got := r.ok(200, "PUT", r.perimeter, `{"location":"East US","tags":{"a":"b"}}`)
	if diff := cmp.Diff(want, got, written); diff != "" {
		t.Errorf("perimeter (-want +got):\n%s", diff)
	}
	guid := got["properties"].(object)["perimeterGuid"].(string)
	if again := r.ok(200, "PATCH", r.perimeter, `{"tags":{"c":"d"}}`); len(guid) != 36 || again["properties"].(object)["perimeterGuid"] != guid || again["tags"].(object)["c"] != "d" {
		t.Errorf("PATCH = %v, want the GUID %s", again, guid)
	}
	r.ok(200, "PUT", r.profile, `{}`)
	got = r.rule("ip", `"addressPrefixes":["10.10.0.0/16"]`)
	want = object{"name": "ip", "id": r.profile + "/accessRules/ip", "type": "Microsoft.Network/networkSecurityPerimeters/profiles/accessRules",
		"properties": object{"provisioningState": "Succeeded", "direction": "Inbound", "addressPrefixes": []any{"10.10.0.0/16"}, "fullyQualifiedDomainNames": []any{},
			"subscriptions": []any{}, "networkSecurityPerimeters": []any{}, "emailAddresses": []any{}, "phoneNumbers": []any{}}}
	if diff := cmp.Diff(want, got, written); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}
	r.rule("sub", `"direction":"inbound","subscriptions":[{"id":"/subscriptions/`+strings.ToUpper(r.p.SubscriptionID)+`"}]`)
	r.rule("out", `"direction":"Outbound","fullyQualifiedDomainNames":["www.contoso.example"]`)
	if p := r.ok(200, "GET", r.profile, ""); p["properties"].(object)["accessRulesVersion"] != "3" {
		t.Errorf("profile = %v, want version 3 of its rules", p)
	}
	want = object{"name": "a1", "id": r.association, "type": "Microsoft.Network/networkSecurityPerimeters/resourceAssociations",
		"properties": object{"privateLinkResource": object{"id": r.vault}, "profile": object{"id": r.profile}, "accessMode": "Learning",
			"provisioningState": "Succeeded", "hasProvisioningIssues": "no"}}
	if diff := cmp.Diff(want, r.associate("transition"), written); diff != "" {
		t.Errorf("association (-want +got):\n%s", diff)
	}
	for path, want := range map[string]int{"": 1, "/nsp/profiles": 1, "/nsp/profiles/p1/accessRules": 3, "/nsp/resourceAssociations": 1} {
		list, _ := r.ok(200, "GET", strings.TrimSuffix(r.perimeter, "/nsp")+path, "")["value"].([]any)
		if len(list) != want {
			t.Errorf("list %q has %d items, want %d", path, len(list), want)
		}
	}
	r.ok(200, "GET", "/subscriptions/"+r.p.SubscriptionID+"/providers/Microsoft.Network/locations/eastus/perimeterAssociableResourceTypes", "")
	r.configuration(guid)
	// Nothing that is in use goes away, unless it is forced.
	r.refused(409, "CannotDeleteResource", "'"+r.association+"'", "DELETE", r.perimeter, "")
	r.refused(409, "CannotDeleteResource", "profile 'p1'", "DELETE", r.profile, "")
	r.ok(200, "DELETE", r.profile+"/accessRules/ip", "")
	r.ok(204, "DELETE", r.profile+"/accessRules/ip", "")
	r.ok(200, "DELETE", r.perimeter+"?forceDeletion=true", "")
	for _, id := range []string{r.perimeter, r.profile, r.association, r.profile + "/accessRules/sub"} {
		r.refused(404, "ResourceNotFound", "networkSecurityPerimeters/nsp'", "GET", id, "")
		r.ok(204, "DELETE", id, "")
	}
}

// configuration checks what the vault shows (spec example of
// NetworkSecurityPerimeterConfiguration).
func (r *rig) configuration(guid string) {
	r.t.Helper()
	of := r.vault + "/networkSecurityPerimeterConfigurations"
	list, _ := r.ok(200, "GET", of, "")["value"].([]any)
	if len(list) != 1 {
		r.t.Fatalf("%d configurations, want 1", len(list))
	}
	name := guid + ".a1"
	got := r.ok(200, "GET", of+"/"+strings.ToUpper(name), "")
	none := []any{}
	rule := func(name, direction string) object {
		return object{"name": name, "properties": object{"direction": direction, "addressPrefixes": none, "fullyQualifiedDomainNames": none, "subscriptions": none,
			"networkSecurityPerimeters": none, "emailAddresses": none, "phoneNumbers": none}}
	}
	ip, out, sub := rule("ip", "Inbound"), rule("out", "Outbound"), rule("sub", "Inbound")
	ip["properties"].(object)["addressPrefixes"] = []any{"10.10.0.0/16"}
	out["properties"].(object)["fullyQualifiedDomainNames"] = []any{"www.contoso.example"}
	sub["properties"].(object)["subscriptions"] = []any{object{"id": "/subscriptions/" + r.p.SubscriptionID}}
	want := object{"id": of + "/" + name, "name": name, "type": "Microsoft.KeyVault/vaults/networkSecurityPerimeterConfigurations", "properties": object{
		"provisioningState": "Succeeded", "provisioningIssues": none,
		"networkSecurityPerimeter": object{"id": r.perimeter, "perimeterGuid": guid, "location": "eastus"},
		"resourceAssociation":      object{"name": "a1", "accessMode": "Learning"},
		"profile": object{"name": "p1", "accessRulesVersion": 3.0, "accessRules": []any{ip, out, sub},
			"diagnosticSettingsVersion": 0.0, "enabledLogCategories": none}}}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(list[0], any(got)); diff != "" {
		r.t.Errorf("the list and the one differ:\n%s", diff)
	}
	r.ok(204, "POST", of+"/"+name+"/reconcile", "")
	r.refused(404, "ResourceNotFound", "networkSecurityPerimeterConfigurations/x'", "POST", of+"/x/reconcile", "")
	r.refused(404, "ResourceNotFound", "vaults/none'", "GET", strings.Replace(of, "kv-one", "none", 1), "")
}

// TestPerimeterOverrides: what the documents say of perimeters, through a
// whole server. A client of the test comes from the loopback address.
func TestPerimeterOverrides(t *testing.T) {
	r := newRig(t)
	r.grantSecrets()
	const denied = "Request was not allowed by NSP rules"
	r.reads(200, "value")
	r.build("Enforced")
	r.reads(403, denied)
	r.rule("elsewhere", `"addressPrefixes":["203.0.113.0/24"]`)
	r.reads(403, denied)
	r.rule("here", `"addressPrefixes":["127.0.0.0/8"]`)
	r.reads(200, "value")
	r.rule("here", `"direction":"Outbound","fullyQualifiedDomainNames":["a.example"]`)
	r.reads(403, denied)
	r.rule("here", `"addressPrefixes":["127.0.0.1"]`)
	r.reads(200, "value")
	r.ok(200, "DELETE", r.profile+"/accessRules/here", "")
	r.reads(403, denied)
	r.associate("Learning")
	r.reads(200, "value")
	r.associate("Enforced")
	r.ok(200, "DELETE", r.association, "")
	r.reads(200, "value")
	// SecuredByPerimeter without one lets nobody in.
	r.ok(200, "PATCH", r.vault, `{"properties":{"publicNetworkAccess":"SecuredByPerimeter"}}`)
	r.reads(403, denied)
	r.associate("Learning")
	r.reads(403, denied)
	r.rule("here", `"addressPrefixes":["127.0.0.0/8"]`)
	r.reads(200, "value")
	r.ok(200, "DELETE", r.perimeter+"?forceDeletion=true", "")
	r.reads(403, denied)
}

// TestWouldDeny: in transition the log tells what an enforced perimeter
// would have refused, and only that.
func TestWouldDeny(t *testing.T) {
	r := newRig(t)
	r.grantSecrets()
	r.build("Learning")
	r.reads(200, "value")
	r.rule("here", `"addressPrefixes":["127.0.0.0/8"]`)
	r.reads(200, "value")
	r.ok(200, "DELETE", r.profile+"/accessRules/here", "")
	if status, _ := r.p.DoAs("", "GET", r.p.VaultURL("kv-one")+"/secrets?api-version=7.4", nil); status != http.StatusUnauthorized {
		t.Errorf("without a token = %d, want 401", status)
	}
	r.p.Stop()
	var got []string
	err := journal.Read(filepath.Join(r.p.Data, "journal"), func(rec *journal.Record) error {
		if rec.OperationName != "SecretList" && rec.Status != http.StatusUnauthorized {
			return nil
		}
		noted := "quiet"
		for _, p := range rec.Properties {
			if p.Name == "nspWouldDeny" {
				noted = p.Value
			}
		}
		got = append(got, http.StatusText(rec.Status)+" "+noted)
		return nil
	})
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"OK true", "OK quiet", "Unauthorized quiet"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t)
	r.build("Learning")
	second := r.p.CreateVault("kv-two").ID
	other := strings.Replace(r.perimeter, "/nsp", "/other", 1)
	r.ok(200, "PUT", other, `{"location":"eastus"}`)
	r.ok(200, "PUT", other+"/profiles/p1", `{}`)
	long := `["` + strings.Repeat(`10.0.0.0/8","`, 200) + `10.0.0.0/8"]`
	rules := []struct{ properties, words string }{
		{`"direction":"Sideways"`, "'direction'"}, {`"direction":"Inbound"`, "has one of"}, {`"addressPrefixes":["10.0.0.0/33"]`, "addressPrefixes[0]"},
		{`"addressPrefixes":["10.0.0.0/8","x"]`, "addressPrefixes[1]"}, {`"addressPrefixes":[1]`, "addressPrefixes[0]"}, {`"addressPrefixes":["::ffff:10.0.0.0/104"]`, "addressPrefixes[0]"}, {`"addressPrefixes":["fe80::1%eth0"]`, "addressPrefixes[0]"},
		{`"addressPrefixes":{}`, "'addressPrefixes'"}, {`"addressPrefixes":` + long, "at most 200"}, {`"subscriptions":[{"id":"x"}]`, "subscriptions[0]"}, {`"subscriptions":["x"]`, "subscriptions[0]"},
		{`"addressPrefixes":["10.0.0.0/8"],"subscriptions":[{"id":"/subscriptions/` + r.p.SubscriptionID + `"}]`, "not both"}, {`"serviceTags":["Internet"]`, "Service tags"},
		{`"emailAddresses":["a@b.example"]`, "cannot have 'emailAddresses'"}, {`"direction":"Outbound","addressPrefixes":["10.0.0.0/8"]`, "cannot have 'addressPrefixes'"}, {`"direction":"Outbound","phoneNumbers":[""]`, "phoneNumbers[0]"},
	}
	for _, row := range rules {
		r.refused(400, "BadRequest", row.words, "PUT", r.profile+"/accessRules/x", `{"properties":{`+row.properties+`}}`)
	}
	r.refused(400, "BadRequest", "'properties'", "PUT", r.profile+"/accessRules/x", `{}`)
	change := func(old, now string) string { return strings.ReplaceAll(r.body("Enforced"), old, now) }
	rows := []struct {
		status          int
		code, words, id string
		body            string
	}{
		{400, "BadRequest", "'accessMode'", r.association, r.body("Off")},
		{400, "BadRequest", "'accessMode'", r.association, change(`"Enforced"`, `1`)},
		{400, "BadRequest", "'privateLinkResource.id'", r.association, `{"properties":{"profile":{"id":"x"}}}`},
		{400, "BadRequest", "'profile.id'", r.association, `{"properties":{"privateLinkResource":{"id":"x"}}}`},
		{400, "BadRequest", "cannot be changed", r.association, change(r.vault, second)},
		{404, "ResourceNotFound", "a vault", r.association + "2", change(r.vault, r.vault+"9")},
		{404, "ResourceNotFound", "a vault", r.association + "2", change(r.vault, r.perimeter)},
		{404, "ResourceNotFound", "a profile of the perimeter", r.association + "2", change("/p1", "/p2")},
		{404, "ResourceNotFound", "a profile of the perimeter", r.association + "2", change(r.profile, other+"/profiles/p1")},
		{409, "Conflict", "Only a single association with access mode 'learning' is allowed. Association 'a1' already uses access mode 'learning' on", r.association + "2", r.body("Enforced")},
		{409, "Conflict", "Only a single association", other + "/resourceAssociations/x", change(r.profile, other+"/profiles/p1")},
		{404, "ResourceNotFound", "networkSecurityPerimeters/none'", strings.Replace(r.association, "/nsp/", "/none/", 1), r.body("Enforced")},
		{404, "ResourceNotFound", "networkSecurityPerimeters/none'", strings.Replace(r.profile, "/nsp/", "/none/", 1), `{}`},
		{404, "ResourceNotFound", "nsp/profiles/none'", r.perimeter + "/profiles/none/accessRules/x", `{"properties":{"addressPrefixes":["10.0.0.0/8"]}}`},
		{400, "InvalidResourceName", "'-x'", strings.Replace(r.perimeter, "/nsp", "/-x", 1), `{"location":"eastus"}`},
		{400, "InvalidResourceName", "'x.'", r.perimeter + "/profiles/x.", `{}`},
		{400, "LocationRequired", "", r.perimeter + "2", `{}`},
		{400, "LocationNotAvailableForResourceType", "'Mars'", r.perimeter + "2", `{"location":"Mars"}`},
		{409, "InvalidResourceLocation", "'eastus'", r.perimeter, `{"location":"westeurope"}`},
	}
	for _, row := range rows {
		r.refused(row.status, row.code, row.words, "PUT", row.id, row.body)
	}
	if list, _ := r.ok(200, "GET", r.perimeter+"/resourceAssociations", "")["value"].([]any); len(list) != 1 {
		t.Errorf("%d associations, want 1: nothing refused may land", len(list))
	}
}

// TestJoining: putting a vault under a perimeter needs rights on both sides.
func TestJoining(t *testing.T) {
	r := newRig(t)
	r.ok(200, "PUT", r.perimeter, `{"location":"eastus"}`)
	r.ok(200, "PUT", r.profile, `{}`)
	clerk := r.p.CreatePrincipal("clerk")
	token := r.p.TokenFor(clerk.ClientID, clerk.Secret, r.p.ManagementURL)
	try := func(want int, code string) {
		t.Helper()
		status, o, text := r.send(token, "PUT", r.association, r.body("Learning"))
		if e, _ := o["error"].(object); status != want || code != "" && e["code"] != code {
			t.Errorf("PUT = %d %s, want %d %s", status, text, want, code)
		}
	}
	grant := func(scope string) {
		r.ok(201, "PUT", scope+"/providers/Microsoft.Authorization/roleAssignments/11111111-2222-3333-4444-555555555555",
			`{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c","principalId":"`+clerk.ObjectID+`"}}`)
	}
	try(403, "AuthorizationFailed")
	grant(r.perimeter)
	try(403, "LinkedAuthorizationFailed")
	grant(r.vault)
	try(200, "")
}
