package golang

import (
	"bytes"
	"testing"

	"postern/conformance/attestation"
	"postern/conformance/lab"
)

// suites are the SDK's own suites of the data plane, and their tests that
// reach a vault; the others talk to themselves, or to a managed HSM.
var suites = []struct {
	module string
	tests  []string
}{
	{"azsecrets", []string{"TestBackupRestore", "TestCRUD", "TestListDeletedSecrets", "TestListSecrets", "TestListSecretVersions", "TestRecover"}},
	{"azkeys", []string{"TestBackupRestore/KV", "TestCRUD/EC", "TestCRUD/RSA", "TestEncryptDecrypt/KV", "TestImportKey/KV", "TestListDeletedKeys/KV",
		"TestListKeys/KV", "TestListKeyVersions/KV", "TestRecoverDeletedKey/KV", "TestReleaseKey/KV", "TestReleaseKey/MHSM", "TestRotateKey/KV",
		"TestSignVerify/KV", "TestWrapUnwrap/KV"}},
	{"azcertificates", []string{"TestBackupRestore", "TestContactsCRUD", "TestCRUD", "TestDeleteRecover", "TestImportCertificate", "TestIssuerCRUD",
		"TestListCertificates", "TestListCertificateVersions", "TestMergeCertificate", "TestOperationCRUD", "TestUpdateCertificatePolicy",
		"TestSubjectAlternativeNames"}},
}

// TestLiveSuite compiles each suite from a copy of its own module, with its
// own dependencies, and runs it in its live mode by the public names.
func TestLiveSuite(t *testing.T) {
	total, passed := 0, 0
	for _, suite := range suites {
		total += len(suite.tests)
		t.Run(suite.module, func(t *testing.T) {
			dir, program := compile(t, "security/keyvault/"+suite.module)
			authority := attestation.Start(t)
			p := lab.Start(t, authority.Arguments(t)...)
			p.Vault(t, suite.module, map[string]any{"sku": map[string]any{"family": "A", "name": "premium"}})
			c := p.Client(t, lab.Public)
			for name, value := range map[string]string{"AZURE_RECORD_MODE": "live", "AZURE_KEYVAULT_URL": p.VaultURL(lab.Public, suite.module),
				"AZURE_KEYVAULT_ATTESTATION_URL": authority.URL, "AZURE_SERVICE_DIRECTORY": "LAB", "LAB_CLIENT_ID": c.Get("AZURE_CLIENT_ID"),
				"LAB_CLIENT_SECRET": c.Get("AZURE_CLIENT_SECRET"), "LAB_TENANT_ID": c.Get("AZURE_TENANT_ID")} {
				c.Set(name, value)
			}
			cmd := c.Command(t.Context(), program, "-test.v", "-test.timeout=8m")
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("the suite ended with %v:\n%s", err, out)
			}
			for _, name := range suite.tests {
				t.Run(name, func(t *testing.T) {
					if !bytes.Contains(out, []byte("--- PASS: "+name+" ")) {
						t.Fatalf("%s did not pass:\n%s", name, out)
					}
					passed++
				})
			}
		})
	}
	if passed != total {
		t.Errorf("%d of %d tests of the SDK's live suites passed", passed, total)
	}
}
