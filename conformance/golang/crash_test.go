package golang

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"postern/conformance/lab"
)

// TestCrash writes through the SDK, kills the server with SIGKILL as soon as
// the write is answered, and ensures that what was answered is there when it
// runs again, for a client that goes on with the token it has.
func TestCrash(t *testing.T) {
	const rounds = 5
	p := lab.Start(t)
	p.Vault(t, "crash", nil)
	env := p.Client(t, lab.Public)
	pem, err := os.ReadFile(filepath.Join(p.Data, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: p.Proxy}),
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	options := azcore.ClientOptions{Transport: &http.Client{Transport: transport, Timeout: time.Minute}}
	credential, err := azidentity.NewClientSecretCredential(env.Get("AZURE_TENANT_ID"), env.Get("AZURE_CLIENT_ID"),
		env.Get("AZURE_CLIENT_SECRET"), &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azsecrets.NewClient(p.VaultURL(lab.Public, "crash"), credential, &azsecrets.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		name := "s" + strconv.Itoa(round)
		if _, err := client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: to(lab.Planted + name)}, nil); err != nil {
			t.Fatal(err)
		}
		p.Crash(t)
		for i := range round + 1 {
			name := "s" + strconv.Itoa(i)
			got, err := client.GetSecret(t.Context(), name, "", nil)
			if err != nil {
				t.Fatalf("after crash %d: %v", round+1, err)
			}
			if *got.Value != lab.Planted+name {
				t.Errorf("after crash %d: GetSecret(%s) = %q, want %q", round+1, name, *got.Value, lab.Planted+name)
			}
		}
	}
}
