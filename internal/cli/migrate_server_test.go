package cli

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"postern/posterntest"
)

// runs is a command on the server of a data folder.
func runs(p *posterntest.Postern, env []string, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	code = Run(context.Background(), args, env, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// TestMigrateServer: a vault is taken from policies to roles: first it is
// only said, then somebody who may not is stopped before the first write,
// then it is done, and everybody reaches what was said.
func TestMigrateServer(t *testing.T) {
	p := posterntest.Start(t)
	reader, signer, writer := p.CreatePrincipal("reader"), p.CreatePrincipal("signer"), p.CreatePrincipal("writer")
	entry := func(who posterntest.Principal, kind string, words ...string) map[string]any {
		return map[string]any{"tenantId": p.TenantID, "objectId": who.ObjectID, "permissions": map[string]any{kind: words}}
	}
	kv := p.CreateVault("old", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{entry(reader, "secrets", "get", "list"), entry(signer, "keys", "get", "list", "sign")}})
	const contributor = "f25e0fa2-a7c8-4377-a976-54943a77a395"
	if status, text := p.Do(http.MethodPut, p.ManagementURL+"/subscriptions/"+p.SubscriptionID+"/providers/Microsoft.Authorization/roleAssignments/00000000-0000-4000-8000-000000000001?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": writer.ObjectID, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + contributor}}); status/100 != 2 {
		t.Fatalf("assigning a role = %d %s", status, text)
	}
	lists := func() int {
		status, _ := ask(t, p, reader, kv.URL+"/secrets?api-version=7.4")
		return status
	}
	model := func() string {
		_, text := p.Do(http.MethodGet, p.ManagementURL+kv.ID+"?api-version=2023-07-01", nil)
		if strings.Contains(string(text), `"enableRbacAuthorization":true`) {
			return "roles"
		}
		return "policies"
	}
	command := []string{"migrate", "access-policies", "--data", p.Data, "--vault", "old"}

	code, out, errs := runs(p, nil, command...)
	for _, want := range []string{reader.ObjectID + " (reader)\n", "  assign  Key Vault Secrets User\n", "  assign  Key Vault Crypto User\n", "  gained  KeyUpdate", "  2  enableRbacAuthorization: true\n"} {
		if code != ExitOK || !strings.Contains(out, want) {
			t.Errorf("the proposal = exit %d %s%s, want %q in it", code, out, errs, want)
		}
	}
	if model() != "policies" || lists() != http.StatusOK {
		t.Error("the proposal changed something")
	}

	env := []string{"AZURE_TENANT_ID=" + p.TenantID, "AZURE_CLIENT_ID=" + writer.ClientID, "AZURE_CLIENT_SECRET=" + writer.Secret}
	code, _, errs = runs(p, env, append(command, "--apply")...)
	if code != ExitFindings || !strings.Contains(errs, "nothing was changed: the caller "+writer.ObjectID+" lacks Microsoft.Authorization/roleAssignments/write for ") || model() != "policies" {
		t.Errorf("by who may not assign = exit %d %s", code, errs)
	}

	code, _, errs = runs(p, nil, append(command, "--apply")...)
	if code != ExitOK || !strings.Contains(errs, "2 role assignments were made, and old goes by role assignments") {
		t.Fatalf("--apply = exit %d %s", code, errs)
	}
	if model() != "roles" || lists() != http.StatusOK {
		t.Errorf("after --apply the model is %s, and the reader gets %d", model(), lists())
	}
	if status, _ := ask(t, p, signer, kv.URL+"/secrets?api-version=7.4"); status != http.StatusForbidden {
		t.Errorf("the signer lists secrets: %d, want 403", status)
	}
	code, out, _ = runs(p, nil, append(command, "--apply")...)
	if code != ExitOK || !strings.Contains(out, "goes by role assignments already") {
		t.Errorf("once more = exit %d %s", code, out)
	}
}

// TestMigrateLoss: what would be lost is lost only when somebody says so,
// and a principal that nobody knows stops it before the model changes.
func TestMigrateLoss(t *testing.T) {
	p := posterntest.Start(t)
	reader := p.CreatePrincipal("reader")
	policies := func(entries ...any) map[string]any {
		return map[string]any{"enableRbacAuthorization": false, "accessPolicies": entries}
	}
	secrets := map[string]any{"secrets": []string{"get", "list"}}
	p.CreateVault("compound", policies(map[string]any{"tenantId": p.TenantID, "objectId": reader.ObjectID, "applicationId": p.ClientID, "permissions": secrets}))
	p.CreateVault("ghost", policies(map[string]any{"tenantId": p.TenantID, "objectId": "99999999-9999-4999-8999-999999999999", "permissions": secrets}))
	for _, tt := range []struct {
		vault string
		more  []string
		code  int
		says  string
	}{
		{"compound", nil, ExitFindings, "nothing was changed: somebody would lose something"},
		{"ghost", nil, ExitFindings, "PrincipalNotFound"},
		{"ghost", nil, ExitFindings, "the vault goes by access policies as before"},
		{"compound", []string{"--accept-loss"}, ExitOK, "0 role assignments were made"},
	} {
		code, _, errs := runs(p, nil, append([]string{"migrate", "access-policies", "--data", p.Data, "--vault", tt.vault, "--apply"}, tt.more...)...)
		if code != tt.code || !strings.Contains(errs, tt.says) {
			t.Errorf("%s %v = exit %d %s, want %d %q", tt.vault, tt.more, code, errs, tt.code, tt.says)
		}
	}
}

// TestMigrateCustomRole: a role that is not built in counts for who holds it
// already: nothing more is assigned, and who may assign by one may apply.
func TestMigrateCustomRole(t *testing.T) {
	p := posterntest.Start(t)
	reader, mover := p.CreatePrincipal("reader"), p.CreatePrincipal("mover")
	sub := "/subscriptions/" + p.SubscriptionID
	kv := p.CreateVault("custom", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{"tenantId": p.TenantID,
		"objectId": reader.ObjectID, "permissions": map[string]any{"secrets": []string{"get"}}}}})
	for i, role := range []struct {
		who     posterntest.Principal
		actions map[string]any
	}{
		{reader, map[string]any{"dataActions": []string{"Microsoft.KeyVault/vaults/secrets/getSecret/action", "Microsoft.KeyVault/vaults/secrets/readMetadata/action"}}},
		{mover, map[string]any{"actions": []string{"Microsoft.KeyVault/vaults/*", "Microsoft.Authorization/*", "Microsoft.Resources/subscriptions/read"}}},
	} {
		name := "5ce00000-0000-4000-8000-00000000000" + string(rune('1'+i))
		if status, text := p.Do(http.MethodPut, p.ManagementURL+sub+"/providers/Microsoft.Authorization/roleDefinitions/"+name+"?api-version=2022-04-01", map[string]any{"properties": map[string]any{
			"roleName": role.who.ClientID, "type": "CustomRole", "assignableScopes": []string{sub}, "permissions": []any{role.actions}}}); status/100 != 2 {
			t.Fatalf("the role = %d %s", status, text)
		}
		assign(t, p, sub, name, role.who.ObjectID, i+1)
	}
	env := []string{"AZURE_TENANT_ID=" + p.TenantID, "AZURE_CLIENT_ID=" + mover.ClientID, "AZURE_CLIENT_SECRET=" + mover.Secret}
	code, out, errs := runs(p, env, "migrate", "access-policies", "--data", p.Data, "--vault", "custom", "--apply")
	if code != ExitOK || !strings.Contains(out, "  assign  nothing\n") || !strings.Contains(out, "  gained  SecretList SecretListVersions SecretListDeleted\n") || !strings.Contains(errs, "0 role assignments were made") {
		t.Errorf("with custom roles = exit %d %s%s", code, out, errs)
	}
	if status, _ := ask(t, p, reader, kv.URL+"/secrets/db?api-version=7.4"); status != http.StatusNotFound {
		t.Errorf("the reader afterwards = %d, want %d: the secret is not there, and not refused", status, http.StatusNotFound)
	}
}

// TestMigrateWaits: where role assignments take time until they count, the
// model is not changed before they do: nobody is without both.
func TestMigrateWaits(t *testing.T) {
	p := posterntest.Start(t, posterntest.WithSetting("propagation.roleAssignment", "1h"))
	reader := p.CreatePrincipal("reader")
	kv := p.CreateVault("slow", map[string]any{"enableRbacAuthorization": false, "accessPolicies": []any{map[string]any{"tenantId": p.TenantID,
		"objectId": reader.ObjectID, "permissions": map[string]any{"secrets": []string{"get", "list"}}}}})
	for range 2 {
		code, out, errs := runs(p, nil, "migrate", "access-policies", "--data", p.Data, "--vault", "slow", "--apply")
		if code != ExitFindings || !strings.Contains(errs, "the vault goes by access policies until then") {
			t.Errorf("--apply = exit %d %s%s, want to be told to wait", code, out, errs)
		}
		if status, _ := ask(t, p, reader, kv.URL+"/secrets?api-version=7.4"); status != http.StatusOK {
			t.Errorf("meanwhile the reader gets %d, want %d", status, http.StatusOK)
		}
	}
}
