package golang

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"postern/posterntest"
)

// TestCertificateIsKeyAndSecret makes a certificate as a program's own test
// would, and signs with its key what its leaf verifies.
func TestCertificateIsKeyAndSecret(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("golang")
	credential, err := azidentity.NewClientSecretCredential(p.TenantID, p.ClientID, p.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: login(p)})
	if err != nil {
		t.Fatal(err)
	}
	options := azcore.ClientOptions{Transport: p.Client()}
	certificates, err := azcertificates.NewClient(kv.URL, credential, &azcertificates.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := azkeys.NewClient(kv.URL, credential, &azkeys.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	_, err = certificates.CreateCertificate(t.Context(), "site", azcertificates.CreateCertificateParameters{CertificatePolicy: &azcertificates.CertificatePolicy{
		IssuerParameters:          &azcertificates.IssuerParameters{Name: to("Self")},
		X509CertificateProperties: &azcertificates.X509CertificateProperties{Subject: to("CN=site.example")},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	made := complete(t, certificates, "site")
	leaf, err := x509.ParseCertificate(made.CER)
	if err != nil {
		t.Fatal(err)
	}
	public := leaf.PublicKey.(*rsa.PublicKey)
	key, err := keys.GetKey(t.Context(), "site", made.ID.Version(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(*key.Key.KID) != string(*made.KID) || new(big.Int).SetBytes(key.Key.N).Cmp(public.N) != 0 {
		t.Errorf("GetKey(site) = %s, another key than the certificate's %s", *key.Key.KID, *made.KID)
	}
	sum := sha256.Sum256([]byte("x"))
	signed, err := keys.Sign(t.Context(), "site", "", azkeys.SignParameters{Algorithm: to(azkeys.SignatureAlgorithmRS256), Value: sum[:]}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signed.Result); err != nil {
		t.Errorf("what the key signed: %v", err)
	}
	secret, err := connect(t, p, kv.URL, p.ClientID, p.ClientSecret).GetSecret(t.Context(), "site", "", nil)
	if err != nil || string(*secret.ID) != string(*made.SID) || *secret.ContentType != "application/x-pkcs12" {
		t.Errorf("GetSecret(site) = %v, %v, want %s", secret.ID, err, *made.SID)
	}
	if _, err := connect(t, p, kv.URL, p.ClientID, p.ClientSecret).SetSecret(t.Context(), "site", azsecrets.SetSecretParameters{Value: to("x")}, nil); err == nil {
		t.Error("SetSecret of a certificate's secret = nil, want a refusal")
	}
}

// complete waits for a certificate.
func complete(t *testing.T, client *azcertificates.Client, name string) azcertificates.GetCertificateResponse {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		pending, err := client.GetCertificateOperation(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if *pending.Status == "inProgress" {
			continue
		}
		got, err := client.GetCertificate(t.Context(), name, "", nil)
		if err != nil {
			t.Fatalf("%s: %v", *pending.Status, err)
		}
		return got
	}
	t.Fatalf("the certificate %s was not issued", name)
	return azcertificates.GetCertificateResponse{}
}
