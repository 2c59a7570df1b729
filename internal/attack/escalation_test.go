package attack

import (
	"strings"
	"testing"

	"postern/posterntest"
)

// TestEscalation: who may give rights at a place gives none beyond it, and
// who may give some rights gives no others.
func TestEscalation(t *testing.T) {
	t.Parallel()
	p, foreign := withForeigner(t)
	p.CreateVault("kv1")
	p.CreateVault("other")
	setSecret(t, p, "other", "a", "v")
	giver, delegate, writer := p.CreatePrincipal("giver"), p.CreatePrincipal("delegate"), p.CreatePrincipal("writer")
	assign(t, p, giver, "User Access Administrator", p.VaultID("kv1"))
	assign(t, p, delegate, "Key Vault Data Access Administrator", p.VaultID("kv1"))
	assign(t, p, writer, "Contributor", p.VaultID("kv1"))
	sub := "/subscriptions/" + p.SubscriptionID
	const owner, secretsUser, accessAdministrator = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "4633458b-17de-408a-b874-0445c86b69e6", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	serials := 0
	give := func(who posterntest.Principal, scope, role string, more string) answer {
		serials++
		name := "22222222-2222-4222-8222-" + strings.Repeat("0", 10) + string(rune('0'+serials/10)) + string(rune('0'+serials%10))
		return send(t, p.Client(), request{method: "PUT", url: p.ManagementURL + scope + "/providers/Microsoft.Authorization/roleAssignments/" + name + "?api-version=2022-04-01",
			token: p.TokenFor(who.ClientID, who.Secret, p.ManagementURL),
			body:  `{"properties":{"principalId":"` + who.ObjectID + `","principalType":"ServicePrincipal","roleDefinitionId":"` + sub + `/providers/Microsoft.Authorization/roleDefinitions/` + role + `"` + more + `}}`})
	}
	for _, tt := range []struct {
		what        string
		who         posterntest.Principal
		scope, role string
		more        string
		want        bool
	}{
		{"a right at the place", giver, p.VaultID("kv1"), secretsUser, "", true},
		{"any right at the place", giver, p.VaultID("kv1"), owner, "", true},
		{"a right at a secret of the place", giver, p.VaultID("kv1") + "/secrets/x", secretsUser, "", true},
		{"a right at another vault", giver, p.VaultID("other"), secretsUser, "", false},
		{"a right at the group", giver, sub + "/resourceGroups/postern", secretsUser, "", false},
		{"a right at the subscription", giver, sub, secretsUser, "", false},
		{"a right at the root", giver, "", secretsUser, "", false},
		{"a right at a vault whose name begins so", giver, p.VaultID("kv1x"), secretsUser, "", false},
		{"a larger scope in the body", giver, p.VaultID("kv1"), secretsUser, `,"scope":"` + sub + `"`, false},
		{"a delegated right", delegate, p.VaultID("kv1"), secretsUser, "", true},
		{"a right that is not delegated", delegate, p.VaultID("kv1"), owner, "", false},
		{"the right to give", delegate, p.VaultID("kv1"), accessAdministrator, "", false},
		{"a delegated right elsewhere", delegate, p.VaultID("other"), secretsUser, "", false},
		{"a right by who may only write", writer, p.VaultID("kv1"), secretsUser, "", false},
	} {
		if a := give(tt.who, tt.scope, tt.role, tt.more); (a.status/100 == 2) != tt.want {
			// A body's scope may also be ignored; what counts is what was given.
			if tt.more == "" || !strings.Contains(a.body, `"scope":"`+p.VaultID("kv1")+`"`) {
				t.Errorf("%s = %d %s, want success %v", tt.what, a.status, a.body, tt.want)
			}
		}
	}
	for name, who := range map[string]posterntest.Principal{"giver": giver, "delegate": delegate, "writer": writer} {
		if a := send(t, p.Client(), request{method: "GET", url: p.VaultURL("other") + "/secrets/a" + api, token: p.TokenFor(who.ClientID, who.Secret, vaultResource)}); a.status != 403 {
			t.Errorf("%s reads another vault: %d %s", name, a.status, a.body)
		}
	}
	// Who writes a vault may not move it to where another one is, hand it to
	// another tenant's people under its own tenant, or take another's name.
	manager := p.TokenFor(writer.ClientID, writer.Secret, p.ManagementURL)
	policy := `{"tenantId":"` + foreign.tenant + `","objectId":"` + foreign.object + `","permissions":{"secrets":["all"]}}`
	for _, q := range []request{
		{method: "PUT", url: p.ManagementURL + p.VaultID("other") + armAPI, body: `{"location":"eastus","properties":{"tenantId":"` + p.TenantID + `","sku":{"family":"A","name":"standard"}}}`},
		{method: "PATCH", url: p.ManagementURL + p.VaultID("other") + armAPI, body: `{"properties":{"enableRbacAuthorization":false}}`},
		{method: "PUT", url: p.ManagementURL + p.VaultID("kv1") + "/accessPolicies/add" + armAPI, body: `{"properties":{"accessPolicies":[` + policy + `]}}`},
		{method: "PATCH", url: p.ManagementURL + p.VaultID("kv1") + armAPI, body: `{"properties":{"accessPolicies":[` + policy + `]}}`},
		{method: "PATCH", url: p.ManagementURL + p.VaultID("kv1") + armAPI, body: `{"properties":{"enablePurgeProtection":false}}`},
		{method: "DELETE", url: p.ManagementURL + p.VaultID("other") + armAPI},
		{method: "DELETE", url: p.ManagementURL + sub + "/resourceGroups/postern" + armAPI},
		{method: "POST", url: p.ManagementURL + sub + "/providers/Microsoft.KeyVault/locations/eastus/deletedVaults/kv1/purge" + armAPI},
		{method: "PUT", url: p.ManagementURL + p.VaultID("other") + "/secrets/a" + armAPI, body: `{"properties":{"value":"w"}}`},
	} {
		q.token = manager
		a := send(t, p.Client(), q)
		recorded(t, p.Data, []answer{a})
		if a.status < 400 || a.status >= 500 {
			t.Errorf("%s %s = %d %s, want a refusal", q.method, q.url, a.status, a.body)
		}
	}
}

// TestBigHeadersInRecords: nobody, least of all a stranger, fills the
// journal with more than a few kilobytes by one request.
func TestBigHeadersInRecords(t *testing.T) {
	t.Parallel()
	p := posterntest.Start(t)
	p.CreateVault("kv1")
	big := strings.Repeat("u", 50<<10)
	var answers []answer
	for _, target := range []string{p.VaultURL("kv1") + "/secrets/a" + api, p.ManagementURL + p.VaultID("kv1") + armAPI} {
		a := send(t, p.Client(), request{method: "GET", url: target + "&api-version=" + big[:9000], header: map[string][]string{"User-Agent": {big}}})
		answers = append(answers, a)
		if a.status < 400 || a.status >= 500 {
			t.Errorf("GET %s = %d %s, want a refusal", target, a.status, a.body)
		}
	}
	recorded(t, p.Data, answers)
	p.Stop()
	for name, data := range files(t, p.Data) {
		if strings.HasSuffix(name, ".jsonl") {
			for line := range strings.Lines(string(data)) {
				if len(line) > 6<<10 {
					t.Errorf("a record of %d bytes: %.100s…", len(line), line)
				}
			}
		}
	}
}
