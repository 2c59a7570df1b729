package posterntest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// the texts by which the refusals are told apart.
const (
	f1 = "Client address is not authorized and caller is not a trusted service."
	f2 = "Client address is not authorized and caller was ignored because bypass is set to None"
	f4 = "Public network access is disabled and request is not from a trusted service nor via an approved private link."
	f5 = "Connection is not an approved private link and caller was ignored because bypass is not set to 'AzureServices'"
	a1 = "Caller is not authorized to perform action on resource."
)

// closed is a vault that nobody reaches by address, with a bypass or none.
func closed(bypass, public string) map[string]any {
	return map[string]any{"publicNetworkAccess": public, "networkAcls": map[string]any{"defaultAction": "Deny", "bypass": bypass}}
}

// assign gives a role on a vault, by the id of its definition.
func (p *Postern) assign(kv Vault, role, object string, n int) {
	p.t.Helper()
	status, answer := p.Do("PUT", fmt.Sprintf("%s%s/providers/Microsoft.Authorization/roleAssignments/00000000-0000-0000-0000-%012d?api-version=2022-04-01", p.ManagementURL, kv.ID, n),
		map[string]any{"properties": map[string]any{"principalId": object, "principalType": "ServicePrincipal",
			"roleDefinitionId": "/subscriptions/" + p.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + role}})
	if status/100 != 2 {
		p.t.Fatalf("assigning a role = %d %s", status, answer)
	}
}

const administrator = "00482a5a-887f-4fb3-b363-3b7fe8e74483" // Key Vault Administrator

// TestTrustedServices: identity and proof and operation, each of them
// missing once, at vaults of every kind. Nothing is opened by trust but the
// network.
func TestTrustedServices(t *testing.T) {
	p := Start(t)
	backup, batch, stranger := p.Service("Azure Backup"), p.Service("Azure Batch"), p.CreatePrincipal("stranger")
	vaults := map[string]Vault{}
	for i, v := range []struct{ name, bypass, public string }{{"bypass", "AzureServices", "Enabled"}, {"none", "None", "Enabled"},
		{"disabled", "AzureServices", "Disabled"}, {"shut", "None", "Disabled"}} {
		kv := p.CreateVault("kv-"+v.name, closed(v.bypass, v.public))
		vaults[v.name] = kv
		for j, who := range []Principal{backup, batch, stranger} {
			if who != batch || v.name != "bypass" { // one trusted service without any right
				p.assign(kv, administrator, who.ObjectID, i*10+j)
			}
		}
	}
	foreign := p.CreateVault("kv-foreign", closed("AzureServices", "Enabled"))
	p.assign(foreign, administrator, backup.ObjectID, 99)
	status, answer := p.Do("PATCH", p.ManagementURL+foreign.ID+"?api-version=2026-02-01", map[string]any{"properties": map[string]any{"tenantId": "0f3df0f9-0000-0000-0000-000000000000"}})
	if status != http.StatusOK {
		t.Fatalf("PATCH = %d %s", status, answer)
	}
	vaults["foreign"] = foreign

	plain, proof, other := p, p.Showing(p.IssueCertificate("Azure Backup", 0).Certificate), p.Showing(p.IssueCertificate("Azure Batch", 0).Certificate)
	const read, write = "GET", "PUT"
	for _, tt := range []struct {
		name   string
		over   *Postern
		who    Principal
		vault  string
		method string
		status int
		text   string
	}{
		{"identity, proof and operation", proof, backup, "bypass", read, 404, "SecretNotFound"},
		{"no proof", plain, backup, "bypass", read, 403, f1},
		{"another service's proof", other, backup, "bypass", read, 403, f1},
		{"another service's identity", proof, batch, "bypass", read, 403, f1},
		{"nobody's identity", proof, stranger, "bypass", read, 403, f1},
		{"an operation outside of the scenario", proof, backup, "bypass", write, 403, f1},
		{"an operation of the other's scenario", other, batch, "none", write, 403, f2},
		{"trusted without a right", other, batch, "bypass", read, 403, a1},
		{"bypass None", proof, backup, "none", read, 403, f2},
		{"disabled, with the bypass", proof, backup, "disabled", read, 404, "SecretNotFound"},
		{"disabled, no proof", plain, backup, "disabled", read, 403, f4},
		{"disabled, wrong operation", proof, backup, "disabled", write, 403, f4},
		{"disabled, bypass None", proof, backup, "shut", read, 403, f5},
		{"a vault of another tenant", proof, backup, "foreign", read, 401, "AKV10032"},
		{"a vault of another tenant, no proof", plain, backup, "foreign", read, 403, f1},
	} {
		token := p.TokenFor(tt.who.ClientID, tt.who.Secret, resourceOf(vaults[tt.vault]))
		status, answer := tt.over.DoAs(token, tt.method, vaults[tt.vault].URL+"/secrets/a?api-version=7.4", map[string]any{"value": "v"})
		if status != tt.status || !strings.Contains(string(answer), tt.text) {
			t.Errorf("%s = %d %s\nwant %d %s", tt.name, status, answer, tt.status, tt.text)
		}
	}
	journal := p.journal()
	for _, want := range []string{`"trustedService":"Azure Backup"`, `"addrAuthType":"TrustedService"`, `"operationName":"PlatformCertificateIssue"`, `"operationName":"PlatformPrincipalCreate"`} {
		if !strings.Contains(journal, want) {
			t.Errorf("the journal has no %s", want)
		}
	}
	if strings.Contains(journal, backup.Secret) || strings.Contains(journal, "BEGIN") {
		t.Error("the journal holds a secret or a certificate")
	}
	if n := strings.Count(journal, `"trustedService":`); n != 4 { // two reads, one without a right, one at a vault of another tenant
		t.Errorf("the journal names a trusted service %d times, want 4:\n%s", n, journal)
	}
}

func resourceOf(v Vault) string {
	_, parent, _ := strings.Cut(strings.TrimPrefix(v.URL, "https://"), ".")
	return "https://" + parent
}

// TestProofsThatDoNotHold: a certificate that is forged, revoked or over is
// no proof; the handshake goes on, and so does everything else.
func TestProofsThatDoNotHold(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	p := Start(t, WithClock(func() time.Time { return time.Unix(0, now.Load()) }))
	elsewhere := Start(t)
	backup := p.Service("Azure Backup")
	kv := p.CreateVault("kv1", closed("AzureServices", "Enabled"))
	p.assign(kv, administrator, backup.ObjectID, 1)
	token := p.TokenFor(backup.ClientID, backup.Secret, resourceOf(kv))
	get := func(over *Postern) string {
		t.Helper()
		status, answer := over.DoAs(token, "GET", kv.URL+"/secrets/a?api-version=7.4", nil)
		return fmt.Sprint(status, " ", string(answer))
	}
	want := func(when, got, text string) {
		t.Helper()
		if !strings.Contains(got, text) {
			t.Errorf("%s: %s\nwant %s", when, got, text)
		}
	}
	real := p.IssueCertificate("Azure Backup", 0)
	open := p.Showing(real.Certificate)
	want("the real one", get(open), "404")
	want("self-signed", get(p.Showing(selfSigned(t, "Azure Backup"))), f1)
	want("another server's", get(p.Showing(elsewhere.IssueCertificate("Azure Backup", 0).Certificate)), f1)
	p.RevokeCertificate(real.Serial)
	want("revoked, over a connection that was open", get(open), f1)
	want("revoked, over a new one", get(p.Showing(real.Certificate)), f1)
	short := p.Showing(p.IssueCertificate("Azure Backup", time.Minute).Certificate)
	want("a short one", get(short), "404")
	now.Add(int64(61 * time.Second))
	want("over, on a connection that was open", get(short), f1)
	if status, answer := p.Showing(selfSigned(t, "x")).Do("GET", p.ManagementURL+kv.ID+"?api-version=2026-02-01", nil); status != http.StatusOK {
		t.Errorf("the control plane with a certificate of nobody = %d %s", status, answer)
	}
}

func selfSigned(t *testing.T, service string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: service}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		URIs: []*url.URL{{Scheme: "postern", Host: "service", Path: "/" + service}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// journal is the text of the journal's first file.
func (p *Postern) journal() string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.Data, "journal", "000000000001.jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}
