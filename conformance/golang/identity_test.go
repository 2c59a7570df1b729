package golang

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"postern/internal/operator"
	"postern/posterntest"
)

// direct changes the directory.
func direct(t *testing.T, p *posterntest.Postern, in operator.Direct) operator.Directed {
	t.Helper()
	got, err := p.Operator().Direct(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// login is the SDK's way to a private login name.
func login(p *posterntest.Postern) azcore.ClientOptions {
	return azcore.ClientOptions{Transport: p.Client(), Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: p.LoginURL}}
}

// trySecret writes and reads a secret.
func trySecret(t *testing.T, p *posterntest.Postern, credential azcore.TokenCredential, url, name string) {
	t.Helper()
	client, err := azsecrets.NewClient(url, credential, &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: p.Client()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.SetSecret(t.Context(), name, azsecrets.SetSecretParameters{Value: to("one")}, nil); err != nil {
		t.Fatal(err)
	}
	got, err := client.GetSecret(t.Context(), name, "", nil)
	if err != nil || *got.Value != "one" {
		t.Errorf("GetSecret = %v, %v", got.Value, err)
	}
}

// TestCertificateCredential: the SDK proves the administrator with a
// certificate in place of its secret.
func TestCertificateCredential(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("certified")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	direct(t, p, operator.Direct{Action: "secret certificate", Object: p.ClientID,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))})
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range []bool{false, true} {
		credential, err := azidentity.NewClientCertificateCredential(p.TenantID, p.ClientID, []*x509.Certificate{certificate}, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: login(p), SendCertificateChain: chain})
		if err != nil {
			t.Fatal(err)
		}
		trySecret(t, p, credential, kv.URL, fmt.Sprintf("chain-%v", chain))
	}
}

// TestWorkloadIdentityCredential: the SDK shows the token of a cluster, read
// from a file, in place of a secret.
func TestWorkloadIdentityCredential(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("workload")
	const issuer, subject = "https://cluster.example/tenant", "system:serviceaccount:default:app"
	key := cluster(t, p, issuer)
	direct(t, p, operator.Direct{Action: "federate add", Object: p.ClientID, Name: "cluster", Issuer: issuer, Subject: subject})
	file := account(t, key, issuer, subject)
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: login(p), ClientID: p.ClientID, TenantID: p.TenantID, TokenFilePath: file})
	if err != nil {
		t.Fatal(err)
	}
	trySecret(t, p, credential, kv.URL, "federated")
}

// cluster makes an issuer known by a new key.
func cluster(t *testing.T, p *posterntest.Postern, issuer string) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "kid": "1", "n": encode(key.N.Bytes()), "e": "AQAB"}}})
	if err != nil {
		t.Fatal(err)
	}
	direct(t, p, operator.Direct{Action: "federate issuer", Issuer: issuer, Keys: set})
	return key
}

// account is the file with the token of an account of the cluster.
func account(t *testing.T, key *rsa.PrivateKey, issuer, subject string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	input := encode([]byte(`{"alg":"RS256","kid":"1"}`)) + "." +
		encode(fmt.Appendf(nil, `{"iss":%q,"sub":%q,"aud":["api://AzureADTokenExchange"],"iat":%d,"nbf":%d,"exp":%d}`, issuer, subject, now, now, now+3600))
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(input+"."+encode(signature)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// counted counts the requests of an SDK client that were answered 401.
type counted struct {
	*http.Client
	challenged, asked atomic.Int32
}

func (c *counted) Do(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/token") {
		c.asked.Add(1)
	}
	answer, err := c.Client.Do(r)
	if err == nil && answer.StatusCode == http.StatusUnauthorized && strings.Contains(answer.Header.Get("WWW-Authenticate"), "insufficient_claims") {
		c.challenged.Add(1)
	}
	return answer, err
}

// TestRevokedSession: after the sessions were revoked the SDK is told so,
// asks for a new token with the claims of the challenge, and goes on.
func TestRevokedSession(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("revoked")
	through := &counted{Client: p.Client()}
	options := login(p)
	options.Transport = through
	credential, err := azidentity.NewClientSecretCredential(p.TenantID, p.ClientID, p.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	client, err := azsecrets.NewClient(kv.URL, credential, &azsecrets.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: through}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := client.SetSecret(t.Context(), "name", azsecrets.SetSecretParameters{Value: to("one")}, nil); err != nil {
			t.Fatalf("after %d revocations: %v", i, err)
		}
		if challenged, asked := int(through.challenged.Load()), int(through.asked.Load()); challenged != i || asked != i+1 {
			t.Errorf("after %d revocations: %d challenges with claims, %d tokens", i, challenged, asked)
		}
		direct(t, p, operator.Direct{Action: "app revoke", Object: p.ClientID})
	}
}

// TestDeviceCodeCredential: a person signs in at a terminal and approves it on
// the page; the SDK gets its tokens, and refreshes them by itself.
func TestDeviceCodeCredential(t *testing.T) {
	p := posterntest.Start(t)
	kv := p.CreateVault("device")
	user := direct(t, p, operator.Direct{Action: "user create", UPN: "ann@home.example", Password: "correct horse"}).Entries[0]
	assign(t, p, kv, user.ID)
	credential, err := azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{ClientOptions: login(p), TenantID: p.TenantID,
		UserPrompt: func(_ context.Context, message azidentity.DeviceCodeMessage) error {
			go approve(t, p.NewClient(), message.VerificationURL, message.UserCode, "ann@home.example", "correct horse")
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	trySecret(t, p, credential, kv.URL, "by-hand")
	direct(t, p, operator.Direct{Action: "user revoke", Object: user.ID})
}

// assign lets a user work with the secrets of a vault.
func assign(t *testing.T, p *posterntest.Postern, kv posterntest.Vault, object string) {
	t.Helper()
	const officer = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7" // Key Vault Secrets Officer
	id := kv.ID + "/providers/Microsoft.Authorization/roleAssignments/5a1f7d0c-7a52-4b0e-9a63-2a4d0f2d9c11?api-version=2022-04-01"
	status, answer := p.Do(http.MethodPut, p.ManagementURL+id, map[string]any{"properties": map[string]any{"principalId": object, "principalType": "User",
		"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + officer}})
	if status != http.StatusCreated {
		t.Fatalf("assigning = %d %s", status, answer)
	}
}

// guardOf finds the guard of the page for devices.
var guardOf = regexp.MustCompile(`name="guard" value="([^"]+)"`)

// approve does with the page what a person does with it in a browser.
func approve(t *testing.T, client *http.Client, where, code, user, password string) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Error(err)
		return
	}
	client.Jar = jar
	guard := ""
	for _, form := range []url.Values{nil, {"code": {code}}, {"code": {code}, "answer": {"approve"}, "username": {user}, "password": {password}}} {
		var answer *http.Response
		if form == nil {
			answer, err = client.Get(where)
		} else {
			form.Set("guard", guard)
			answer, err = client.PostForm(where, form)
		}
		if err != nil {
			t.Error(err)
			return
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("the page answers %d %s, %v", answer.StatusCode, text, err)
			return
		}
		if m := guardOf.FindSubmatch(text); m != nil {
			guard = string(m[1])
		}
	}
}
