package identity

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"postern/posterntest"
)

// inside marks the process that runs in the namespace.
const inside = "POSTERN_TEST_INSIDE"

// The addresses in the namespace: that of the metadata service, and that of
// the machine.
const metadata, machine = "169.254.169.254", "10.9.0.4"

// clean takes away what would choose another credential.
func clean(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT",
		"IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

// site makes a vault with a secret, a workload at an address, and lets the
// workload read; it returns the workload's id.
func site(t *testing.T, p *posterntest.Postern, typ, address string) (kv posterntest.Vault, id string) {
	t.Helper()
	kv = p.CreateVault("identity")
	must := func(method, target string, body any) []byte {
		t.Helper()
		status, answer := p.Do(method, target, body)
		if status/100 != 2 {
			t.Fatalf("%s %s = %d %s", method, target, status, answer)
		}
		return answer
	}
	must(http.MethodPut, kv.URL+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
	id = "/subscriptions/" + p.SubscriptionID + "/resourceGroups/" + posterntest.Group + "/providers/" + typ + "/app"
	answer := must(http.MethodPut, p.ManagementURL+id+"?api-version=2024-11-01", map[string]any{"location": "eastus",
		"identity": map[string]any{"type": "SystemAssigned"}, "properties": map[string]any{"postern": map[string]any{"addresses": []any{address}}}})
	_, rest, _ := strings.Cut(string(answer), `"principalId":"`)
	principal, _, _ := strings.Cut(rest, `"`)
	must(http.MethodPut, p.ManagementURL+kv.ID+"/providers/Microsoft.Authorization/roleAssignments/6a4f2f66-5a0b-4c7c-8f55-1d3f2a9b7e01?api-version=2022-04-01",
		map[string]any{"properties": map[string]any{"principalId": principal, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}})
	return kv, id
}

// reads has a credential read the secret.
func reads(t *testing.T, p *posterntest.Postern, kv posterntest.Vault, credential azcore.TokenCredential) {
	t.Helper()
	for _, url := range []string{kv.URL, p.PublicVaultURL(kv.Name)} {
		client, err := azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: p.Client()}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.GetSecret(t.Context(), "a", "", nil)
		if err != nil || *got.Value != "v" {
			t.Errorf("%s: GetSecret = %v, %v", url, got.Value, err)
		}
	}
}

// credentials are the two ways of a program without secrets.
func credentials(t *testing.T, clientID azidentity.ManagedIDKind) map[string]azcore.TokenCredential {
	t.Helper()
	chain, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ID: clientID})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]azcore.TokenCredential{"DefaultAzureCredential": chain, "ManagedIdentityCredential": own}
}

// scope asks for a token for vaults.
func scope(kv posterntest.Vault) policy.TokenRequestOptions {
	_, domain, _ := strings.Cut(kv.URL, kv.Name+".")
	return policy.TokenRequestOptions{Scopes: []string{"https://" + domain + "/.default"}}
}

// TestAppService: a site's programs, by IDENTITY_ENDPOINT and
// IDENTITY_HEADER.
func TestAppService(t *testing.T) {
	clean(t)
	p := posterntest.Start(t, posterntest.WithIdentity())
	kv, id := site(t, p, "Microsoft.Web/sites", "127.0.0.1")
	for name, value := range p.SiteEnvironment(id) {
		t.Setenv(name, value)
	}
	for name, credential := range credentials(t, nil) {
		t.Run(name, func(t *testing.T) { reads(t, p, kv, credential) })
	}
	t.Run("somebody else's client id", func(t *testing.T) {
		_, err := credentials(t, azidentity.ClientID(p.ClientID))["ManagedIdentityCredential"].GetToken(t.Context(), scope(kv))
		if err == nil {
			t.Error("the site has a token for the administrator's client id")
		}
	})
}

// TestMetadata runs the tests that are named TestInside… in namespaces of
// their own, where 169.254.169.254:80 is the server's and the folder of the
// agent of Azure Arc is empty.
func TestMetadata(t *testing.T) {
	if out, err := exec.Command("unshare", "-n", "-m", "true").CombinedOutput(); err != nil {
		t.Fatalf("NOT SHOWN: managed identities by 169.254.169.254 and Azure Arc need namespaces, which takes root: unshare -n -m: %v %s", err, out)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	environment := prepare(t).environment(t)
	script := strings.Join([]string{"ip link set lo up", "ip addr add " + machine + "/32 dev lo", "ip addr add " + metadata + "/32 dev lo",
		"ip route replace local " + metadata + " dev lo table local src " + machine, "mount -t tmpfs none /var/opt",
		`exec "$0" -test.run '^TestInside' -test.v -test.timeout 5m`}, " && ")
	cmd := exec.CommandContext(t.Context(), "unshare", "-n", "-m", "sh", "-euc", script, program)
	cmd.Env, cmd.WaitDelay = slices.Concat(os.Environ(), environment, []string{inside + "=1"}), 5*time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in the namespaces: %v\n%s", err, out)
	}
	for _, name := range []string{"TestInside", "TestInsideClients", "TestInsideArc"} {
		if !bytes.Contains(out, []byte("\n--- PASS: "+name+" ")) {
			t.Errorf("%s did not pass in the namespaces", name)
		}
	}
}

// TestInside is the part of TestMetadata in the namespace; outside of it
// there is nothing to do.
func TestInside(t *testing.T) {
	if os.Getenv(inside) == "" {
		return
	}
	clean(t)
	p := posterntest.Start(t, posterntest.WithSetting("identity.listen", metadata+":80"))
	kv, _ := site(t, p, "Microsoft.Compute/virtualMachines", machine)
	for name, credential := range credentials(t, nil) {
		t.Run(name, func(t *testing.T) { reads(t, p, kv, credential) })
	}
	t.Run("somebody else's client id", func(t *testing.T) {
		_, err := credentials(t, azidentity.ClientID(p.ClientID))["ManagedIdentityCredential"].GetToken(t.Context(), scope(kv))
		if err == nil {
			t.Error("the machine has a token for the administrator's client id")
		}
	})
}
