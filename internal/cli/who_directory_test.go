package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"postern/posterntest"
)

// Who asked of a running server knows its directory, its identities and its
// management groups; and what it tells of taking an identity over comes true.
func TestWhoOfADirectory(t *testing.T) {
	p := posterntest.Start(t)
	member, giver, far := p.CreatePrincipal("member"), p.CreatePrincipal("giver"), p.CreatePrincipal("far")
	vault := p.CreateVault("watched", map[string]any{"enableRbacAuthorization": true})
	const reads, gives = "4633458b-17de-408a-b874-0445c86b69e6", "b24988ac-6180-42a0-ab88-20f7382dd24c" // Key Vault Secrets User, Contributor
	must := func(method, url string, body any, to any) {
		t.Helper()
		status, text := p.Do(method, url, body)
		if status/100 != 2 {
			t.Fatalf("%s %s = %d %s", method, url, status, text)
		}
		if to != nil && json.Unmarshal(text, to) != nil {
			t.Fatalf("%s %s = %s", method, url, text)
		}
	}
	graph := strings.Replace(p.ManagementURL, "management.", "graph.", 1) + "/v1.0"
	var group, application, principal struct{ ID, AppID string }
	must(http.MethodPost, graph+"/groups", map[string]any{"displayName": "readers", "mailNickname": "readers", "mailEnabled": false, "securityEnabled": true}, &group)
	must(http.MethodPost, graph+"/groups/"+group.ID+"/members/$ref", map[string]any{"@odata.id": graph + "/directoryObjects/" + member.ObjectID}, nil)
	assign(t, p, vault.ID, reads, group.ID, 1)

	// An identity that reads, and somebody who may give it to a machine.
	resources, _, _ := strings.Cut(vault.ID, "/providers/")
	var identity struct {
		ID         string
		Properties struct{ PrincipalID string }
	}
	must(http.MethodPut, p.ManagementURL+resources+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one?api-version=2024-11-30", map[string]any{"location": "eastus"}, &identity)
	assign(t, p, vault.ID, reads, identity.Properties.PrincipalID, 2)
	assign(t, p, identity.ID, gives, giver.ObjectID, 3)

	// An application that reads.
	must(http.MethodPost, graph+"/applications", map[string]any{"displayName": "shop"}, &application)
	must(http.MethodPost, graph+"/servicePrincipals", map[string]any{"appId": application.AppID}, &principal)
	assign(t, p, vault.ID, reads, principal.ID, 4)

	// A management group above the subscription, and somebody who reads there.
	const groups = "/providers/Microsoft.Management/managementGroups/above"
	must(http.MethodPost, p.ManagementURL+"/providers/Microsoft.Authorization/elevateAccess?api-version=2017-05-01", nil, nil)
	assign(t, p, "", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", p.ObjectID, 5)
	must(http.MethodPut, p.ManagementURL+groups+"?api-version=2020-05-01", map[string]any{"properties": map[string]any{"displayName": "above"}}, nil)
	must(http.MethodPut, p.ManagementURL+groups+"/subscriptions/"+p.SubscriptionID+"?api-version=2020-05-01", nil, nil)
	assign(t, p, groups, reads, far.ObjectID, 6)

	said, _ := whoJSON(t, p)
	if len(said.Notes) > 0 {
		t.Errorf("who: notes %q, want none", said.Notes)
	}
	for _, name := range []string{"member", "readers", "one", "shop", "far"} {
		if f := said.of(name); f == nil || !f.Now {
			t.Errorf("who: %s is %+v, want now", name, f)
		}
	}
	f := said.of("giver")
	if f == nil || f.Now || len(f.Paths[0].Steps) != 1 || f.Paths[0].Steps[0].Write != "take-identity" || f.Paths[0].As != identity.Properties.PrincipalID {
		t.Fatalf("who: the giver is %+v, want one who takes the identity", f)
	}
	token := p.TokenFor(giver.ClientID, giver.Secret, p.ManagementURL)
	federated := map[string]any{"properties": map[string]any{"issuer": "https://mine.example", "subject": "me", "audiences": []string{"api://AzureADTokenExchange"}}}
	if status, text := p.DoAs(token, http.MethodPut, p.ManagementURL+identity.ID+"/federatedIdentityCredentials/mine?api-version=2024-11-30", federated); status != http.StatusCreated {
		t.Errorf("the giver's write = %d %s, want %d", status, text, http.StatusCreated)
	}
}
