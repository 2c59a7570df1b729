package posterntest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const (
	identityVersion = "?api-version=2024-11-30"
	machineVersion  = "?api-version=2024-11-01"
	machines        = "Microsoft.Compute/virtualMachines/"
	identitiesOf    = "Microsoft.ManagedIdentity/userAssignedIdentities/"
)

// inGroup is the URL of a resource of Group.
func (p *Postern) inGroup(path string) string {
	return p.ManagementURL + "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + Group + "/providers/" + path
}

func (p *Postern) id(path string) string { return strings.TrimPrefix(p.inGroup(path), p.ManagementURL) }

// held is what tests read of documents with identities.
type held struct {
	Identity struct {
		Type         string `json:"type"`
		PrincipalID  string `json:"principalId"`
		TenantID     string `json:"tenantId"`
		UserAssigned map[string]struct {
			PrincipalID string `json:"principalId"`
			ClientID    string `json:"clientId"`
		} `json:"userAssignedIdentities"`
	} `json:"identity"`
	Properties struct {
		PrincipalID string `json:"principalId"`
		ClientID    string `json:"clientId"`
		TenantID    string `json:"tenantId"`
	} `json:"properties"`
}

func read(t *testing.T, text []byte) held {
	t.Helper()
	var h held
	if err := json.Unmarshal(text, &h); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return h
}

// assignable reports whether the directory knows a principal: a role can be
// assigned to it.
func (p *Postern) assignable(object string) bool {
	p.t.Helper()
	at := p.ManagementURL + "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleAssignments/" + object + "?api-version=2022-04-01"
	status, answer := p.Do("PUT", at, map[string]any{"properties": map[string]any{"principalId": object,
		"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}})
	if status/100 == 2 {
		p.must("DELETE", at, nil)
		return true
	}
	if !strings.Contains(string(answer), "PrincipalNotFound") {
		p.t.Fatalf("assigning a role to %s = %d %s", object, status, answer)
	}
	return false
}

// TestUserAssignedIdentity: the document of an identity, and its principal,
// which comes and goes with it.
func TestUserAssignedIdentity(t *testing.T) {
	p := Start(t)
	at := p.inGroup(identitiesOf+"one") + identityVersion
	status, text := p.Do("PUT", at, map[string]any{"location": "East US", "tags": map[string]any{"a": "b"}})
	made := read(t, text).Properties
	if status != 201 || made.TenantID != p.TenantID || made.PrincipalID == "" || made.ClientID == "" {
		t.Fatalf("PUT = %d %s", status, text)
	}
	if !p.assignable(made.PrincipalID) {
		t.Error("no role can be assigned to the principal")
	}
	for _, tt := range []struct {
		method, path string
		body         any
		status       int
		contains     string
	}{
		{"PUT", identitiesOf + "one", map[string]any{"location": "eastus"}, 200, made.PrincipalID},
		{"PUT", identitiesOf + "one", map[string]any{"location": "westus"}, 409, "InvalidResourceLocation"},
		{"PUT", identitiesOf + "x", map[string]any{"location": "eastus"}, 400, "InvalidResourceName"},
		{"PUT", identitiesOf + "two", map[string]any{}, 400, "LocationRequired"},
		{"PATCH", identitiesOf + "one", map[string]any{"tags": map[string]any{"k": "v"}}, 200, `"k":"v"`},
		{"PATCH", identitiesOf + "two", map[string]any{}, 404, "ResourceNotFound"},
		{"GET", identitiesOf + "one", nil, 200, `"k":"v"`},
		{"GET", strings.TrimSuffix(identitiesOf, "/"), nil, 200, made.ClientID},
		{"PUT", identitiesOf + "one/federatedIdentityCredentials/fic", fic("https://issuer.example", "s"), 201, `"subject":"s"`},
		{"PUT", identitiesOf + "one/federatedIdentityCredentials/fic", fic("https://issuer.example", "t"), 200, `"subject":"t"`},
		{"PUT", identitiesOf + "one/federatedIdentityCredentials/again", fic("https://issuer.example", "t"), 400, "BadRequest"},
		{"PUT", identitiesOf + "one/federatedIdentityCredentials/plain", fic("http://issuer.example", "u"), 400, "BadRequest"},
		{"GET", identitiesOf + "one/federatedIdentityCredentials", nil, 200, `"name":"fic"`},
		{"GET", identitiesOf + "one/federatedIdentityCredentials/again", nil, 404, "ResourceNotFound"},
		{"DELETE", identitiesOf + "one/federatedIdentityCredentials/fic", nil, 200, ""},
		{"DELETE", identitiesOf + "one/federatedIdentityCredentials/fic", nil, 204, ""},
		{"PUT", identitiesOf + "one/federatedIdentityCredentials/fic2", fic("https://issuer.example", "t"), 201, `"subject":"t"`},
		{"DELETE", identitiesOf + "one", nil, 200, ""},
		{"DELETE", identitiesOf + "one", nil, 204, ""},
	} {
		if status, answer := p.Do(tt.method, p.inGroup(tt.path)+identityVersion, tt.body); status != tt.status || !strings.Contains(string(answer), tt.contains) {
			t.Errorf("%s %s = %d %s, want %d with %s", tt.method, tt.path, status, answer, tt.status, tt.contains)
		}
	}
	if p.assignable(made.PrincipalID) {
		t.Error("a role can be assigned to the principal of an identity that is gone")
	}
	_, text = p.Do("PUT", at, map[string]any{"location": "eastus"})
	if again := read(t, text).Properties; again.PrincipalID == made.PrincipalID || again.ClientID == made.ClientID {
		t.Error("an identity that is made anew has the principal of the old one")
	}
}

func fic(issuer, subject string) map[string]any {
	return map[string]any{"properties": map[string]any{"issuer": issuer, "subject": subject, "audiences": []any{"api://AzureADTokenExchange"}}}
}

// TestWorkloadIdentities: the member identity of a workload through its
// changes.
func TestWorkloadIdentities(t *testing.T) {
	p := Start(t)
	_, text := p.Do("PUT", p.inGroup(identitiesOf+"one")+identityVersion, map[string]any{"location": "eastus"})
	one := read(t, text).Properties
	p.Do("PUT", p.inGroup(identitiesOf+"two")+identityVersion, map[string]any{"location": "eastus"})
	a, b := p.id(identitiesOf+"one"), p.id(identitiesOf+"two")
	put := func(method string, identity any) (int, held) {
		body := map[string]any{"location": "eastus", "properties": map[string]any{"hardwareProfile": map[string]any{"vmSize": "Standard_D2s_v3"},
			"osProfile": map[string]any{"adminUsername": "u", "adminPassword": "planted-password"}}}
		if identity != nil {
			body["identity"] = identity
		}
		status, text := p.Do(method, p.inGroup(machines+"vm")+machineVersion, body)
		if strings.Contains(string(text), "planted") || status/100 == 2 && !strings.Contains(string(text), "Standard_D2s_v3") {
			t.Errorf("%s = %d %s", method, status, text)
		}
		return status, read(t, text)
	}
	status, none := put("PUT", nil)
	if status != 201 || none.Identity.Type != "" {
		t.Fatalf("without an identity: %d %+v", status, none)
	}
	_, own := put("PUT", map[string]any{"type": "SystemAssigned"})
	principal := own.Identity.PrincipalID
	if principal == "" || own.Identity.TenantID != p.TenantID || !p.assignable(principal) {
		t.Fatalf("SystemAssigned: %+v", own)
	}
	if _, h := put("PUT", nil); h.Identity.PrincipalID != principal {
		t.Errorf("a document that does not mention the identity changed it: %+v", h)
	}
	status, text = p.Do("GET", p.inGroup(machines+"vm")+"/providers/Microsoft.ManagedIdentity/identities/default"+identityVersion, nil)
	if h := read(t, text).Properties; status != 200 || h.PrincipalID != principal || h.ClientID == "" || h.ClientID == principal || h.TenantID != p.TenantID {
		t.Errorf("identities/default = %d %s", status, text)
	}
	_, both := put("PATCH", map[string]any{"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": map[string]any{a: map[string]any{}}})
	if both.Identity.PrincipalID != principal || both.Identity.UserAssigned[a].PrincipalID != one.PrincipalID || both.Identity.UserAssigned[a].ClientID != one.ClientID {
		t.Errorf("both: %+v", both)
	}
	if _, h := put("PATCH", map[string]any{"userAssignedIdentities": map[string]any{b: map[string]any{}}}); len(h.Identity.UserAssigned) != 2 {
		t.Errorf("a second: %+v", h)
	}
	if _, h := put("PATCH", map[string]any{"type": "UserAssigned", "userAssignedIdentities": map[string]any{b: nil}}); len(h.Identity.UserAssigned) != 1 || h.Identity.PrincipalID != "" {
		t.Errorf("one away: %+v", h)
	}
	if p.assignable(principal) {
		t.Error("the principal of the machine outlived SystemAssigned")
	}
	if status, text = p.Do("GET", p.inGroup(machines+"vm")+"/providers/Microsoft.ManagedIdentity/identities/default"+identityVersion, nil); status != 404 {
		t.Errorf("identities/default without SystemAssigned = %d %s, want 404", status, text)
	}
	for _, tt := range []any{map[string]any{"type": "Nonsense"}, map[string]any{"type": "UserAssigned"}, "SystemAssigned",
		map[string]any{"type": "SystemAssigned", "userAssignedIdentities": map[string]any{a: map[string]any{}}},
		map[string]any{"type": "UserAssigned", "userAssignedIdentities": map[string]any{a + "x": map[string]any{}}}} {
		if status, _ := put("PUT", tt); status != 400 {
			t.Errorf("PUT identity %v = %d, want 400", tt, status)
		}
	}
	_, again := put("PUT", map[string]any{"type": "SystemAssigned"})
	if again.Identity.PrincipalID == principal || !p.assignable(again.Identity.PrincipalID) {
		t.Errorf("SystemAssigned again: %+v", again)
	}
	p.Do("PUT", p.inGroup("Microsoft.Web/sites/app")+"?api-version=2024-11-01", map[string]any{"location": "eastus",
		"identity": map[string]any{"type": "SystemAssigned"}})
	p.must("DELETE", p.ManagementURL+"/subscriptions/"+p.SubscriptionID+"/resourceGroups/"+Group+"?api-version=2021-04-01", nil)
	if p.assignable(again.Identity.PrincipalID) || p.assignable(one.PrincipalID) {
		t.Error("principals outlived their resource group")
	}
	// They are gone after a restart, too, and what is there still is.
	p.Stop()
	if q := Start(t, WithData(p.Data)); q.assignable(again.Identity.PrincipalID) {
		t.Error("the principal came back with the next start")
	}
}

// TestAssigningTakesARight: whoever may write a machine may not give it any
// identity.
func TestAssigningTakesARight(t *testing.T) {
	p := Start(t)
	p.must("PUT", p.inGroup(identitiesOf+"one")+identityVersion, map[string]any{"location": "eastus"})
	p.must("PUT", p.inGroup(machines+"vm")+machineVersion, map[string]any{"location": "eastus"})
	writer := p.CreatePrincipal("writer")
	// Contributor, at the machine alone.
	p.must("PUT", p.inGroup(machines+"vm")+"/providers/Microsoft.Authorization/roleAssignments/5b1f2f66-5a0b-4c7c-8f55-1d3f2a9b7e01?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": writer.ObjectID, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c"}})
	token := p.TokenFor(writer.ClientID, writer.Secret, p.ManagementURL)
	for _, tt := range []struct {
		identity map[string]any
		want     string
	}{
		{map[string]any{"type": "SystemAssigned"}, "200"},
		{map[string]any{"type": "UserAssigned", "userAssignedIdentities": map[string]any{p.id(identitiesOf + "one"): map[string]any{}}}, "403 LinkedAuthorizationFailed"},
	} {
		status, answer := p.DoAs(token, "PATCH", p.inGroup(machines+"vm")+machineVersion, map[string]any{"identity": tt.identity})
		if got := fmt.Sprint(status, " ", string(answer)); !strings.HasPrefix(got, tt.want[:3]) || !strings.Contains(got, strings.TrimSpace(tt.want[3:])) {
			t.Errorf("PATCH identity %v = %s, want %s", tt.identity, got, tt.want)
		}
	}
}
