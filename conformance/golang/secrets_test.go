package golang

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"

	"postern/posterntest"
)

// connect is how a program's own test would use postern: the SDK as it is,
// with the resource check on, and posterntest's transport.
func connect(t *testing.T, p *posterntest.Postern, url, clientID, secret string) *azsecrets.Client {
	t.Helper()
	options := azcore.ClientOptions{Transport: p.Client()}
	login := options
	if !strings.HasSuffix(url, ".vault.azure.net") {
		login.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: p.LoginURL}
	}
	credential, err := azidentity.NewClientSecretCredential(p.TenantID, clientID, secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: login})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func to[T any](v T) *T { return &v }

func TestSecrets(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("golang")
	urls := map[string]string{"private": kv.URL, "public": p.PublicVaultURL("golang")}
	for _, family := range []string{"private", "public"} {
		t.Run(family, func(t *testing.T) {
			client, ctx := connect(t, p, urls[family], p.ClientID, p.ClientSecret), t.Context()
			name := "go-" + family
			set, err := client.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: to("one"), Tags: map[string]*string{"a": to("b")}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(*set.ID), urls[family]+"/secrets/"+name+"/"+set.ID.Version(); got != want {
				t.Errorf("SetSecret(...).ID = %q, want %q", got, want)
			}
			if _, err := client.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: to("two")}, nil); err != nil {
				t.Fatal(err)
			}
			for version, want := range map[string]string{"": "two", set.ID.Version(): "one"} {
				got, err := client.GetSecret(ctx, name, version, nil)
				if err != nil {
					t.Fatal(err)
				}
				if *got.Value != want {
					t.Errorf("GetSecret(%q) = %q, want %q", version, *got.Value, want)
				}
			}
			if got := versions(ctx, t, client, name); got != 2 {
				t.Errorf("%d versions, want 2", got)
			}
			cycle(ctx, t, client, name)
		})
	}
}

func versions(ctx context.Context, t *testing.T, client *azsecrets.Client, name string) int {
	t.Helper()
	n := 0
	for pager := client.NewListSecretPropertiesVersionsPager(name, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Value)
	}
	return n
}

// cycle deletes, recovers, backs up, purges and restores a secret of two
// versions.
func cycle(ctx context.Context, t *testing.T, client *azsecrets.Client, name string) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := client.DeleteSecret(ctx, name, nil)
	must("DeleteSecret", err)
	_, err = client.GetDeletedSecret(ctx, name, nil)
	must("GetDeletedSecret", err)
	_, err = client.RecoverDeletedSecret(ctx, name, nil)
	must("RecoverDeletedSecret", err)
	backup, err := client.BackupSecret(ctx, name, nil)
	must("BackupSecret", err)
	_, err = client.DeleteSecret(ctx, name, nil)
	must("DeleteSecret", err)
	_, err = client.PurgeDeletedSecret(ctx, name, nil)
	must("PurgeDeletedSecret", err)
	_, err = client.RestoreSecret(ctx, azsecrets.RestoreSecretParameters{SecretBackup: backup.Value}, nil)
	must("RestoreSecret", err)
	got, err := client.GetSecret(ctx, name, "", nil)
	must("GetSecret", err)
	if *got.Value != "two" || versions(ctx, t, client, name) != 2 {
		t.Errorf("after restoring: %q in %d versions, want %q in 2", *got.Value, versions(ctx, t, client, name), "two")
	}
}

// TestRefusals looks at refusals as a program sees them: azcore's error with
// its status and code, and the text.
func TestRefusals(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("golang")
	locked := p.CreateVault("locked", map[string]any{"networkAcls": map[string]any{"defaultAction": "Deny", "bypass": "AzureServices"}})
	closed := p.CreateVault("closed", map[string]any{"publicNetworkAccess": "Disabled"})
	nobody := p.CreatePrincipal("nobody")
	tests := []struct {
		name, url, client, secret string
		status                    int
		code, text                string
	}{
		{"no such secret", kv.URL, p.ClientID, p.ClientSecret, 404, "SecretNotFound", "A secret with (name/id) nothing was not found in this key vault."},
		{"no role", kv.URL, nobody.ClientID, nobody.Secret, 403, "Forbidden", "ForbiddenByRbac"},
		{"firewall", locked.URL, p.ClientID, p.ClientSecret, 403, "Forbidden", "ForbiddenByFirewall"},
		{"public access disabled", closed.URL, p.ClientID, p.ClientSecret, 403, "Forbidden", "ForbiddenByConnection"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := connect(t, p, test.url, test.client, test.secret).GetSecret(t.Context(), "nothing", "", nil)
			var got *azcore.ResponseError
			if !errors.As(err, &got) {
				t.Fatalf("GetSecret(...) = %v, want a refusal", err)
			}
			if d := cmp.Diff([]any{test.status, test.code}, []any{got.StatusCode, got.ErrorCode}); d != "" {
				t.Errorf("GetSecret(...) (-want +got):\n%s", d)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("GetSecret(...) = %v, want %q in it", err, test.text)
			}
		})
	}
}

// TestRole gives a principal a role and takes it away again: what it may do
// changes with the next request.
func TestRole(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("golang")
	reader := p.CreatePrincipal("reader")
	if _, err := connect(t, p, kv.URL, p.ClientID, p.ClientSecret).SetSecret(t.Context(), "x", azsecrets.SetSecretParameters{Value: to("v")}, nil); err != nil {
		t.Fatal(err)
	}
	assignment := p.ManagementURL + kv.ID + "/providers/Microsoft.Authorization/roleAssignments/6a4f2f66-5a0b-4c7c-8f55-1d3f2a9b7e01?api-version=2022-04-01"
	// Key Vault Secrets User.
	body := map[string]any{"properties": map[string]any{"principalId": reader.ObjectID, "principalType": "ServicePrincipal",
		"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}}
	client := connect(t, p, kv.URL, reader.ClientID, reader.Secret)
	expect := func(when string, allowed bool) {
		t.Helper()
		if _, err := client.GetSecret(t.Context(), "x", "", nil); (err == nil) != allowed {
			t.Errorf("%s: GetSecret(x) = %v, want allowed %v", when, err, allowed)
		}
	}
	expect("before", false)
	if status, answer := p.Do(http.MethodPut, assignment, body); status != http.StatusCreated {
		t.Fatalf("PUT the assignment = %d %s, want 201", status, answer)
	}
	expect("with the role", true)
	if _, err := client.SetSecret(t.Context(), "x", azsecrets.SetSecretParameters{Value: to("w")}, nil); err == nil {
		t.Error("SetSecret(x) with a reader's role = nil, want a refusal")
	}
	if status, answer := p.Do(http.MethodDelete, assignment, nil); status != http.StatusOK {
		t.Fatalf("DELETE the assignment = %d %s, want 200", status, answer)
	}
	expect("afterwards", false)
}
