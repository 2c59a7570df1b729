package scenario

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/journal"
	"postern/posterntest"
)

// The texts of the refusals.
const (
	notTrusted = "403 Forbidden ForbiddenByFirewall: Client address is not authorized and caller is not a trusted service."
	byPolicy   = "403 Forbidden ForbiddenByPolicy: "
	byRBAC     = "403 Forbidden ForbiddenByRbac: "
	foreign    = "401 Unauthorized : AKV10032: Invalid issuer."
)

// The addresses from which those of the experiment come: each is one that
// nobody listed.
const (
	virtualMachine    = "20.50.2.9"   // of the machine that runs the extension
	containerInstance = "20.61.40.7"  // of the group that runs a deployment script
	runtime           = "20.42.131.5" // of the integration runtime
	office            = "203.0.113.7" // of the owner, and of the attacker
)

// factoryService is the trusted service of the article.
const factoryService = "Azure Data Factory"

// fineprint is document 001, "Read the Fine Print": a vault of ours, a
// factory of theirs, and somebody with nothing but vaults/write.
type fineprint struct {
	t        *testing.T
	p        *posterntest.Postern
	them     elsewhere
	kv       posterntest.Vault
	secrets  map[string]string
	attacker posterntest.Principal
	compute  *posterntest.Postern
	target   *target
}

func newFineprint(t *testing.T) *fineprint {
	folder := posterntest.WithData(t.TempDir())
	balancers := posterntest.WithBalancers("127.0.0.1")
	first := posterntest.Start(t, folder, balancers)
	first.Stop()
	s := &fineprint{t: t, them: planted(t, first.Data), secrets: map[string]string{"/db": "pa55w0rd", "/sas": "sv=2024&sig=dummy", "/key": "hunter2", "/api": "0000", "/tls": "none"}}
	s.p = posterntest.Start(t, folder, balancers)
	s.kv = s.p.CreateVault("sse-kv", object{"enableRbacAuthorization": false, "accessPolicies": []any{s.entry(s.p.TenantID, s.p.ObjectID, "all")}})
	for name, value := range s.secrets {
		do(t, s.p, http.MethodPut, s.kv.URL+"/secrets"+name+api, object{"value": value})
	}
	do(t, s.p, http.MethodPatch, s.vault(), object{"properties": object{"networkAcls": object{"defaultAction": "Deny", "bypass": "AzureServices"}}})
	s.attacker = s.p.CreatePrincipal("intern")
	s.onlyWrite()
	certificate := s.p.IssueCertificate(factoryService, 0).Certificate
	s.compute = at(t, s.p, runtime, &certificate)
	s.target = newTarget(t)
	return s
}

// vault is the vault on the control plane.
func (s *fineprint) vault() string { return s.p.ManagementURL + s.kv.ID + vaultAPI }

func (s *fineprint) entry(tenant, who string, permissions ...string) object {
	return object{"tenantId": tenant, "objectId": who, "permissions": object{"secrets": permissions}}
}

// onlyWrite gives the attacker a role of one action at the vault:
// Microsoft.KeyVault/vaults/write.
func (s *fineprint) onlyWrite() {
	const role, assignment = "5ce00000-0000-4000-8000-000000000001", "5ce00000-0000-4000-8000-000000000002"
	sub := "/subscriptions/" + s.p.SubscriptionID
	do(s.t, s.p, http.MethodPut, s.p.ManagementURL+sub+"/providers/Microsoft.Authorization/roleDefinitions/"+role+roleAPI, object{"properties": object{
		"roleName": "Vault Writer", "type": "CustomRole", "assignableScopes": []string{sub}, "permissions": []any{object{"actions": []string{"Microsoft.KeyVault/vaults/write"}}}}})
	do(s.t, s.p, http.MethodPut, s.p.ManagementURL+s.kv.ID+"/providers/Microsoft.Authorization/roleAssignments/"+assignment+roleAPI, object{"properties": object{
		"principalId": s.attacker.ObjectID, "principalType": "ServicePrincipal", "roleDefinitionId": sub + "/providers/Microsoft.Authorization/roleDefinitions/" + role}})
}

// write is a write of the attacker's on the control plane.
func (s *fineprint) write(method, target string, body any) (int, []byte) {
	return s.p.DoAs(s.p.TokenFor(s.attacker.ClientID, s.attacker.Secret, s.p.ManagementURL), method, target, body)
}

// patch is the attacker's PATCH of the vault's properties.
func (s *fineprint) patch(properties object) string {
	status, text := s.write(http.MethodPatch, s.vault(), object{"properties": properties})
	if status == http.StatusOK {
		return ""
	}
	return refusal(status, text)
}

// get reads a secret with a token; "" when it is served.
func (s *fineprint) get(over *posterntest.Postern, token string) string {
	status, text := over.DoAs(token, http.MethodGet, s.kv.URL+"/secrets/db"+api, nil)
	if status == http.StatusOK && strings.Contains(string(text), `"pa55w0rd"`) {
		return ""
	}
	return refusal(status, text)
}

// expect compares an answer with how it must begin; "" is served.
func (s *fineprint) expect(what, got, want string) {
	s.t.Helper()
	if want == "" && got != "" || !strings.HasPrefix(got, want) {
		s.t.Errorf("%s = %q, want %q", what, got, want)
	}
}

// TestFinePrint is the article from its first sentence to its last.
func TestFinePrint(t *testing.T) {
	t.Parallel()
	s := newFineprint(t)
	s.before()
	s.predicted()
	s.flip()
	s.expect("the pipeline", message(pipeline(s.compute, s.them.factoryToken, s.kv.URL, s.target)), "")
	s.dumped()
	s.seen()
	s.experiment()
	s.logged()
	s.shutOut()
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// before: nobody is in, and the policy for the foreign factory is refused.
func (s *fineprint) before() {
	own := s.p.TokenFor(s.attacker.ClientID, s.attacker.Secret, vaultResource)
	s.expect("the attacker", s.get(at(s.t, s.p, office, nil), own), notTrusted)
	s.expect("the owner from an address that is not listed", s.get(at(s.t, s.p, office, nil), s.p.Token(vaultResource)), notTrusted)
	s.expect("the factory", s.get(s.compute, s.them.factoryToken), foreign)
	const refused = "400 BadRequest : An invalid value was provided for 'accessPolicies'."
	policy := []any{s.entry(s.them.tenant, s.them.factory.String(), "get", "list")}
	if got := s.patch(object{"accessPolicies": policy}); got != refused {
		s.t.Errorf("the policy for the foreign factory = %q, want %q", got, refused)
	}
	status, text := s.write(http.MethodPut, s.p.ManagementURL+s.kv.ID+"/accessPolicies/add"+vaultAPI, object{"properties": object{"accessPolicies": policy}})
	if status != http.StatusForbidden || !strings.Contains(string(text), "Microsoft.KeyVault/vaults/accessPolicies/write") {
		s.t.Errorf("accessPolicies/add with vaults/write alone = %d %s, want 403", status, text)
	}
	status, text = s.write(http.MethodGet, s.vault(), nil)
	if status != http.StatusForbidden {
		s.t.Errorf("reading the vault with vaults/write alone = %d %s, want 403", status, text)
	}
	s.expect("the pipeline before", message(pipeline(s.compute, s.them.factoryToken, s.kv.URL, s.target)), "list: "+foreign)
}

// flip: the article's two writes.
func (s *fineprint) flip() {
	s.expect("the tenantId", s.patch(object{"tenantId": s.them.tenant, "accessPolicies": []any{}}), "")
	s.expect("the factory without a policy", s.get(s.compute, s.them.factoryToken), byPolicy)
	s.expect("the policies", s.patch(object{"accessPolicies": []any{
		s.entry(s.them.tenant, s.them.factory.String(), "get", "list"), s.entry(s.them.tenant, s.them.spn, "get", "list")}}), "")
}

// dumped: the target has everything, and nothing else.
func (s *fineprint) dumped() {
	want := map[string]string{}
	for name, value := range s.secrets {
		want["/secrets"+name] = value
	}
	if !maps.Equal(s.target.dump, want) {
		s.t.Errorf("the target has %v, want %v", s.target.dump, want)
	}
}

// experiment is the article's table, each row with the identity and from the
// network that it would really have.
func (s *fineprint) experiment() {
	spn := tokenOf(s.t, s.p, s.them.tenant, s.them.client, s.them.key)
	backup := s.p.IssueCertificate("Azure Backup", 0).Certificate
	for _, row := range []struct {
		scenario string
		over     *posterntest.Postern
		token    string
		want     string
	}{
		{"VM script extension: an SPN authorized in access policy, from the machine", at(s.t, s.p, virtualMachine, nil), spn, notTrusted},
		{"ARM deployment script: an SPN authorized in access policy, from its container", at(s.t, s.p, containerInstance, nil), spn, notTrusted},
		{"ADF linked service: the factory's identity, from the factory's compute", s.compute, s.them.factoryToken, ""},
		{"ADF Web activity: the factory's identity, not from where the service proves itself", at(s.t, s.p, runtime, nil), s.them.factoryToken, notTrusted},
		{"the SPN, from the factory's compute", s.compute, spn, notTrusted},
		{"the factory's identity, from another service's compute", at(s.t, s.p, runtime, &backup), s.them.factoryToken, notTrusted},
		{"the owner, from the office", at(s.t, s.p, office, nil), s.p.Token(vaultResource), notTrusted},
	} {
		s.expect(row.scenario, s.get(row.over, row.token), row.want)
	}
	// The operation must be of the scenario: the factory fetches.
	status, text := s.compute.DoAs(s.them.factoryToken, http.MethodPut, s.kv.URL+"/secrets/db"+api, object{"value": "x"})
	s.expect("the factory sets a secret", refusal(status, text), notTrusted)
	// "within the firewall's whitelisted networks" the SPN reads.
	do(s.t, s.p, http.MethodPatch, s.vault(), object{"properties": object{"networkAcls": object{"defaultAction": "Deny", "bypass": "AzureServices",
		"ipRules": []any{object{"value": virtualMachine}}}}})
	s.expect("the SPN from a listed address", s.get(at(s.t, s.p, virtualMachine, nil), spn), "")
	do(s.t, s.p, http.MethodPatch, s.vault(), object{"properties": object{"networkAcls": object{"defaultAction": "Deny", "bypass": "AzureServices", "ipRules": []any{}}}})
}

// logged: the article's query, "where isnotempty(trustedService_s)", finds
// the reads of the factory, with who it was and of which tenant.
func (s *fineprint) logged() {
	reads, lists := map[string]bool{}, 0
	for _, r := range recorded(s.t, s.p) {
		if r.TrustedService == "" || r.Status != http.StatusOK {
			continue
		}
		want := journal.Identity{Object: s.them.factory.String(), App: r.Identity.App, Issuer: entra.Issuer(access.MustGUID(s.them.tenant)), Type: "app", ResourceID: s.them.factoryResource}
		if r.TrustedService != factoryService || r.AddrAuthType != "TrustedService" || r.Identity != want || r.CallerIP.String() != runtime || r.PolicyMatch != journal.Yes {
			s.t.Errorf("the log has %+v of %+v, want the factory of the other tenant by name", r, r.Identity)
		}
		switch r.OperationName {
		case "SecretGet":
			_, name, _ := strings.Cut(r.ID, "/secrets")
			name, _, _ = strings.Cut(name[1:], "/")
			reads["/"+name] = true
		case "SecretList":
			lists++
		default:
			s.t.Errorf("the log has %s by a trusted service", r.OperationName)
		}
	}
	for name := range s.secrets {
		if !reads[name] {
			s.t.Errorf("the log does not show that %s was read; it has %v", name, reads)
		}
	}
	if lists == 0 {
		s.t.Error("the log does not show the list")
	}
}

// shutOut: the bypass taken away, and the article's recommendation. With role assignments the factory
// is out, whoever gives it a role: the vault takes tokens of its tenant, of
// which nobody can be assigned one here.
func (s *fineprint) shutOut() {
	for bypass, want := range map[string]string{"None": "403 Forbidden ForbiddenByFirewall: Client address is not authorized and caller was ignored because bypass is set to None", "AzureServices": ""} {
		do(s.t, s.p, http.MethodPatch, s.vault(), object{"properties": object{"networkAcls": object{"defaultAction": "Deny", "bypass": bypass}}})
		s.expect("the factory, with bypass "+bypass, s.get(s.compute, s.them.factoryToken), want)
	}
	do(s.t, s.p, http.MethodPatch, s.vault(), object{"properties": object{"networkAcls": object{"defaultAction": "Deny", "bypass": "AzureServices"}}})
	do(s.t, s.p, http.MethodPatch, s.vault(), object{"properties": object{"enableRbacAuthorization": true}})
	s.expect("the factory, with role assignments", s.get(s.compute, s.them.factoryToken), byRBAC)
	s.expect("the pipeline, with role assignments", message(pipeline(s.compute, s.them.factoryToken, s.kv.URL, s.target)), "list: "+byRBAC)
	status, text := s.p.Do(http.MethodPut, s.p.ManagementURL+s.kv.ID+"/providers/Microsoft.Authorization/roleAssignments/5ce00000-0000-4000-8000-000000000003"+roleAPI, object{"properties": object{
		"principalId": s.them.factory.String(), "roleDefinitionId": "/subscriptions/" + s.p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}})
	s.expect("a role for the foreign factory", refusal(status, text), "400 PrincipalNotFound")
	// And with its own tenant again, its tokens are worth nothing at all.
	do(s.t, s.p, http.MethodPatch, s.vault(), object{"properties": object{"tenantId": s.p.TenantID, "accessPolicies": []any{}}})
	s.expect("the factory, at our tenant", s.get(s.compute, s.them.factoryToken), foreign)
}
