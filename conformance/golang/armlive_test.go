package golang

import (
	"bytes"
	"testing"

	"postern/conformance/lab"
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
