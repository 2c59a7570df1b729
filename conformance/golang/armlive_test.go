package golang

import (
	"bytes"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/keyvault/armkeyvault"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"postern/conformance/lab"
	"postern/posterntest"
)

// managedIdentity is the suite of armmsi and its tests.
var managedIdentity = []string{"TestManagedIdentityTestSuite/TestFederatedIdentityCredentials",
	"TestManagedIdentityTestSuite/TestOperations", "TestManagedIdentityTestSuite/TestUserAssignedIdentities"}

// TestManagedIdentitySuite runs the SDK's own suite of
// Microsoft.ManagedIdentity, unmodified and in its live mode: it makes a
// resource group, identities and federated credentials, and removes them.
func TestManagedIdentitySuite(t *testing.T) {
	dir, suite := compile(t, "resourcemanager/msi/armmsi")
	p := lab.Start(t)
	c := p.Client(t, lab.Public)
	c.Set("AZURE_RECORD_MODE", "live")
	c.Set("LOCATION", "eastus")
	cmd := c.Command(t.Context(), suite, "-test.v", "-test.timeout=5m", "-test.run=^TestManagedIdentityTestSuite$")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the suite ended with %v:\n%s", err, out)
	}
	for _, name := range managedIdentity {
		t.Run(name, func(t *testing.T) {
			if !bytes.Contains(out, []byte("\n    --- PASS: "+name+" ")) {
				t.Errorf("%s did not pass:\n%s", name, out)
			}
		})
	}
}

// management is the suites of armkeyvault and their tests.
var management = []string{"TestKeysClient/TestKeysCRUD", "TestSecretsClient/TestSecretsCRUD", "TestVaultsClient/TestVaultsCRUD"}

// TestVaultManagementSuite runs the SDK's own suites of Microsoft.KeyVault,
// unmodified and in their live mode: vaults, and the secrets and keys that
// the resource manager makes in them.
func TestVaultManagementSuite(t *testing.T) {
	dir, suite := compile(t, "resourcemanager/keyvault/armkeyvault")
	p := lab.Start(t)
	c := p.Client(t, lab.Public)
	c.Set("AZURE_RECORD_MODE", "live")
	c.Set("LOCATION", "eastus")
	cmd := c.Command(t.Context(), suite, "-test.v", "-test.timeout=5m", "-test.run=Client$")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the suites ended with %v:\n%s", err, out)
	}
	for _, name := range management {
		t.Run(name, func(t *testing.T) {
			if !bytes.Contains(out, []byte("\n    --- PASS: "+name+" ")) {
				t.Errorf("%s did not pass:\n%s", name, out)
			}
		})
	}
}

// TestKeyOfBothPlanes: a key that the resource manager has made is rotated
// by its policy and used on the vault, and asking for it again changes
// nothing.
func TestKeyOfBothPlanes(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("planes")
	credential, err := azidentity.NewClientSecretCredential(p.TenantID, p.ClientID, p.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: login(p)})
	if err != nil {
		t.Fatal(err)
	}
	options := &arm.ClientOptions{ClientOptions: login(p)}
	options.Cloud.Services = map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: p.ManagementURL, Audience: p.ManagementURL}}
	management, err := armkeyvault.NewKeysClient(p.SubscriptionID, credential, options)
	if err != nil {
		t.Fatal(err)
	}
	wanted := armkeyvault.KeyCreateParameters{Properties: &armkeyvault.KeyProperties{Kty: to(armkeyvault.JSONWebKeyTypeEC),
		RotationPolicy: &armkeyvault.RotationPolicy{Attributes: &armkeyvault.KeyRotationPolicyAttributes{ExpiryTime: to("P90D")}}}}
	made, err := management.CreateIfNotExist(t.Context(), posterntest.Group, kv.Name, "k", wanted, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := azkeys.NewClient(kv.URL, credential, &azkeys.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: p.Client()}})
	if err != nil {
		t.Fatal(err)
	}
	found, err := keys.GetKey(t.Context(), "k", "", nil)
	if err != nil || string(*found.Key.KID) != *made.Properties.KeyURIWithVersion {
		t.Fatalf("GetKey = %v, %v, want %s", found.Key, err, *made.Properties.KeyURIWithVersion)
	}
	rotated, err := keys.RotateKey(t.Context(), "k", nil)
	if err != nil || *rotated.Key.KID == *found.Key.KID || rotated.Attributes.Expires == nil {
		t.Fatalf("RotateKey = %v, %v, want another version, with an end", rotated.Key, err)
	}
	again, err := management.CreateIfNotExist(t.Context(), posterntest.Group, kv.Name, "k", wanted, nil)
	if err != nil || *again.Properties.KeyURIWithVersion != string(*rotated.Key.KID) {
		t.Errorf("CreateIfNotExist again = %v, %v, want the version %s", again.Properties, err, *rotated.Key.KID)
	}
}
