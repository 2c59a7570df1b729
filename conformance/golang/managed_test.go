package golang

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"

	"postern/posterntest"
)

// TestFederatedManagedIdentity: the SDK makes a user-assigned identity that
// trusts the accounts of a cluster, and gives it a role; a program of the
// cluster shows its account's token and works as the identity, whose resource
// is in the token. When the trust goes, so do new tokens.
func TestFederatedManagedIdentity(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("federated")
	const issuer, subject = "https://cluster.example/tenant", "system:serviceaccount:default:app"
	key := cluster(t, p, issuer)
	options := &arm.ClientOptions{ClientOptions: login(p)}
	options.Cloud.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: p.ManagementURL, Audience: p.ManagementURL}}
	administrator, err := azidentity.NewClientSecretCredential(p.TenantID, p.ClientID, p.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: login(p)})
	if err != nil {
		t.Fatal(err)
	}
	identities, err := armmsi.NewClientFactory(p.SubscriptionID, administrator, options)
	if err != nil {
		t.Fatal(err)
	}
	made, err := identities.NewUserAssignedIdentitiesClient().CreateOrUpdate(t.Context(), posterntest.Group, "app", armmsi.Identity{Location: to("eastus")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	trust := identities.NewFederatedIdentityCredentialsClient()
	if _, err := trust.CreateOrUpdate(t.Context(), posterntest.Group, "app", "cluster", armmsi.FederatedIdentityCredential{Properties: &armmsi.FederatedIdentityCredentialProperties{
		Issuer: to(issuer), Subject: to(subject), Audiences: []*string{to("api://AzureADTokenExchange")}}}, nil); err != nil {
		t.Fatal(err)
	}
	roles, err := armauthorization.NewRoleAssignmentsClient(p.SubscriptionID, administrator, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := roles.Create(t.Context(), kv.ID, *made.Properties.PrincipalID, armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		PrincipalID: made.Properties.PrincipalID, PrincipalType: to(armauthorization.PrincipalTypeServicePrincipal),
		RoleDefinitionID: to("/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/b86a8fe4-44ce-4948-aee5-eccb2c155cd7")}}, nil); err != nil {
		t.Fatal(err)
	}
	program := func(subject string) *azidentity.WorkloadIdentityCredential {
		t.Helper()
		credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: login(p),
			ClientID: *made.Properties.ClientID, TenantID: p.TenantID, TokenFilePath: account(t, key, issuer, subject)})
		if err != nil {
			t.Fatal(err)
		}
		return credential
	}
	trySecret(t, p, program(subject), kv.URL, "mine")
	scope := policy.TokenRequestOptions{Scopes: []string{strings.Replace(kv.URL, kv.Name+".", "", 1) + "/.default"}}
	token, err := program(subject).GetToken(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Object   string `json:"oid"`
		Resource string `json:"xms_mirid"`
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Token, ".")[1])
	if err != nil || json.Unmarshal(text, &claims) != nil || claims.Object != *made.Properties.PrincipalID || !strings.EqualFold(claims.Resource, *made.ID) {
		t.Errorf("the token says %s, %v, want the identity %s", text, err, *made.ID)
	}
	for _, other := range []string{"system:serviceaccount:default:other", ""} {
		if other == "" { // what is trusted is gone
			if _, err := trust.Delete(t.Context(), posterntest.Group, "app", "cluster", nil); err != nil {
				t.Fatal(err)
			}
			other = subject
		}
		if _, err := program(other).GetToken(t.Context(), scope); err == nil || !strings.Contains(err.Error(), "AADSTS7002") {
			t.Errorf("the account %s = %v, want AADSTS7002…", other, err)
		}
	}
}
