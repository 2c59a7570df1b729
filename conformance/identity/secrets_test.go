package identity

import (
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
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/conformance/lab"
	"postern/internal/operator"
)

// TestPrograms: DefaultAzureCredential by everything that it takes from the
// environment, and managed identities by the endpoint of App Service.
func TestPrograms(t *testing.T) {
	listen := lab.Address(t)
	at := open(t, "--identity", listen)
	programs := prepare(t)
	host, _, _ := strings.Cut(listen, ":")
	site := at.workload(t, "Microsoft.Web/sites", "2024-11-01", host)
	for name, env := range map[string]map[string]string{
		"secret":                           at.secret(t),
		"certificate":                      at.certificate(t),
		"federation":                       at.federation(t),
		"federation of a managed identity": at.federatedIdentity(t),
	} {
		t.Run(name, func(t *testing.T) {
			at.run(t, programs, cases, metadata, env)
			if env["AZURE_FEDERATED_TOKEN_FILE"] != "" {
				at.az(t, programs, metadata, env)
			}
		})
	}
	t.Run("App Service", func(t *testing.T) {
		given, err := operator.NewClient(at.Data, "conformance").Site(t.Context(), site)
		if err != nil {
			t.Fatal(err)
		}
		env := map[string]string{"IDENTITY_ENDPOINT": given.Endpoint, "IDENTITY_HEADER": given.Header}
		at.run(t, programs, managed, host, env)
		at.az(t, programs, host, env)
	})
}

// TestReadme holds the README's table to what runs here.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(lab.Repository(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"a secret", "a certificate", "federation", "federation of a managed identity", "App Service", "169.254.169.254", "Azure Arc"} {
		if row := "\n| " + by + " | yes | yes | yes |"; !strings.Contains(string(text), row) {
			t.Errorf("README.md has no line %q", row)
		}
	}
}

// secret is the environment of a program with a secret: the administrator's,
// whom the vault lets in.
func (at *place) secret(t *testing.T) map[string]string {
	c := at.Client(t, lab.Private)
	return map[string]string{"AZURE_TENANT_ID": at.control.Tenant, "AZURE_CLIENT_ID": at.control.Client, "AZURE_CLIENT_SECRET": c.Get("AZURE_CLIENT_SECRET")}
}

// direct changes the directory.
func (at *place) direct(t *testing.T, in operator.Direct) operator.Directed {
	t.Helper()
	got, err := operator.NewClient(at.Data, "conformance").Direct(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// application makes an application that may read, and returns its client id.
func (at *place) application(t *testing.T, name string) string {
	t.Helper()
	made := at.direct(t, operator.Direct{Action: "app create", Name: name}).Entries
	at.lets(t, made[len(made)-1].ID)
	return made[0].ClientID
}

// certificate is the environment of a program with a certificate.
func (at *place) certificate(t *testing.T) map[string]string {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	app := at.application(t, "certified")
	at.direct(t, operator.Direct{Action: "secret certificate", Object: app, Certificate: string(certificate)})
	file := keep(t, append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), certificate...))
	return map[string]string{"AZURE_TENANT_ID": at.control.Tenant, "AZURE_CLIENT_ID": app, "AZURE_CLIENT_CERTIFICATE_PATH": file}
}

// federation is the environment of a program in a cluster, whose account an
// application trusts.
func (at *place) federation(t *testing.T) map[string]string {
	t.Helper()
	const issuer, subject = "https://cluster.example/one", "system:serviceaccount:default:app"
	file := at.cluster(t, issuer, subject)
	app := at.application(t, "trusting")
	at.direct(t, operator.Direct{Action: "federate add", Object: app, Name: "cluster", Issuer: issuer, Subject: subject})
	return map[string]string{"AZURE_TENANT_ID": at.control.Tenant, "AZURE_CLIENT_ID": app, "AZURE_FEDERATED_TOKEN_FILE": file}
}

// federatedIdentity is federation with a managed identity.
func (at *place) federatedIdentity(t *testing.T) map[string]string {
	t.Helper()
	const issuer, subject = "https://cluster.example/two", "system:serviceaccount:default:other"
	file := at.cluster(t, issuer, subject)
	id := at.group + "Microsoft.ManagedIdentity/userAssignedIdentities/other"
	made := string(at.control.Put(t, id+"?api-version=2024-11-30", map[string]any{"location": "eastus"}))
	at.control.Put(t, id+"/federatedIdentityCredentials/cluster?api-version=2024-11-30", map[string]any{"properties": map[string]any{
		"issuer": issuer, "subject": subject, "audiences": []any{"api://AzureADTokenExchange"}}})
	at.lets(t, member(made, "principalId"))
	return map[string]string{"AZURE_TENANT_ID": at.control.Tenant, "AZURE_CLIENT_ID": member(made, "clientId"), "AZURE_FEDERATED_TOKEN_FILE": file}
}

// cluster makes an issuer known, and returns the file with a token of it.
func (at *place) cluster(t *testing.T, issuer, subject string) string {
	t.Helper()
	key := newKey(t)
	encode := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{"kty": "RSA", "use": "sig", "kid": "1", "n": encode(key.N.Bytes()), "e": "AQAB"}}})
	if err != nil {
		t.Fatal(err)
	}
	at.direct(t, operator.Direct{Action: "federate issuer", Issuer: issuer, Keys: set})
	now := time.Now().Unix()
	input := encode([]byte(`{"alg":"RS256","kid":"1"}`)) + "." +
		encode(fmt.Appendf(nil, `{"iss":%q,"sub":%q,"aud":["api://AzureADTokenExchange"],"iat":%d,"nbf":%d,"exp":%d}`, issuer, subject, now, now, now+3600))
	sum := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return keep(t, []byte(input+"."+encode(signature)))
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keep(t *testing.T, text []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
