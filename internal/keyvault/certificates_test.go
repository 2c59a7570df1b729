package keyvault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// ecPolicy is the policy of a certificate whose key is made at once.
func ecPolicy(issuer string) string {
	return `{"key_props":{"kty":"EC","crv":"P-256"},"x509_props":{"subject":"CN=test"},"issuer":{"name":"` + issuer + `"}}`
}

func (r *rig) create(tb testing.TB, name, issuer string) answer {
	tb.Helper()
	return r.do("POST", "/certificates/"+name+"/create", `{"policy":`+ecPolicy(issuer)+`}`).want(tb, 202)
}

// varying is what is another each time: identifiers, and what keys make.
var varying = regexp.MustCompile(`"(cer|csr|x5t|value)":"[^"]*"|[0-9a-f]{32}`)

// steady replaces what is another each time; identifiers are numbered in the
// order of their first appearance.
func steady(seen map[string]string, text string) string {
	return varying.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, `"`) {
			return s[:strings.Index(s, ":")+2] + `"`
		}
		if seen[s] == "" {
			seen[s] = fmt.Sprintf("ID%d", len(seen)+1)
		}
		return seen[s]
	})
}

// TestCertificateLife walks a certificate through its operations, and holds
// every answer to its bytes, but for keys and identifiers.
func TestCertificateLife(t *testing.T) {
	r := newRig(t)
	const base = "https://" + host + "/certificates/My-Cert"
	id := func(n string) string {
		return `"id":"` + base + "/" + n + `","kid":"https://` + host + `/keys/My-Cert/` + n + `","sid":"https://` + host + `/secrets/My-Cert/` + n + `","x5t":"","cer":"",`
	}
	attributes := `"attributes":{"enabled":true,"nbf":1699999400,"exp":1731622400,"created":1700000000,"updated":1700000000,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90},"tags":{"b":"1","a":"2"}`
	policy := `{"id":"` + base + `/policy","key_props":{"exportable":true,"kty":"EC","key_size":256,"reuse_key":false,"crv":"P-256"},"secret_props":{"contentType":"application/x-pkcs12"},"x509_props":{"subject":"CN=test","ekus":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.2"],"key_usage":["digitalSignature","keyEncipherment"],"validity_months":12,"basic_constraints":{"ca":false}},"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"AutoRenew"}}],"issuer":{"name":"Self"},"attributes":{"enabled":true,"created":1700000000,"updated":1700000000}}`
	pending := `"pending":{"id":"` + base + `/pending"}`
	operation := `{"id":"` + base + `/pending","issuer":{"name":"Self"},"csr":"","cancellation_requested":false,"status":`
	gone := `"recoveryId":"https://` + host + `/deletedcertificates/My-Cert","deletedDate":1700000000,"scheduledPurgeDate":1707776000,`
	deletedItem := `"x5t":"",` + attributes + `,"subject":""}`
	item := strings.Replace(deletedItem, `,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90`, "", 1)
	seen := map[string]string{}
	var blob string
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/certificates/My-Cert/create?api-version=7.4", `{"policy":` + ecPolicy("Self") + `,"tags":{"b":"1","a":"2"}}`, 202,
			operation + `"inProgress","status_details":"Pending certificate created. Certificate request is in progress. This may take some time based on the issuer provider. Please check again later.","request_id":"ID1"}`},
		{"GET", "/certificates/my-cert/pending?api-version=7.4", "", 200, operation + `"completed","target":"` + base + `","request_id":"ID1"}`},
		{"GET", "/certificates//my-cert/?api-version=7.4", "", 200, `{` + id("ID2") + attributes + `,"policy":` + policy + `,` + pending + `}`},
		{"GET", "/certificates/my-cert/ID2?api-version=2026-04-01", "", 200, `{` + id("ID2") + attributes + `,"policy":` + policy + `,` + pending + `,"preserveCertOrder":false}`},
		{"GET", "/certificates/my-cert/policy?api-version=7.4", "", 200, policy},
		{"GET", "/certificates?api-version=7.4", "", 200, `{"value":[{"id":"` + base + `",` + item + `],"nextLink":null}`},
		{"GET", "/certificates/MY-CERT/versions?api-version=7.4", "", 200, `{"value":[{"id":"` + base + `/ID2",` + item + `],"nextLink":null}`},
		{"PATCH", "/certificates/my-cert/policy?api-version=7.4", `{"key_props":{"reuse_key":true}}`, 200, strings.Replace(policy, `"reuse_key":false`, `"reuse_key":true`, 1)},
		{"PATCH", "/certificates/my-cert/?api-version=7.4", `{"attributes":{"enabled":false},"tags":{},"policy":{"key_props":{"reuse_key":false}}}`, 200,
			strings.Replace(strings.Replace(`{`+id("ID2")+attributes+`,"policy":`+policy+`,`+pending+`}`, `"enabled":true`, `"enabled":false`, 1), `{"b":"1","a":"2"}`, `{}`, 1)},
		{"PATCH", "/certificates/my-cert/ID2?api-version=7.4", `{"attributes":{"enabled":true},"tags":{"b":"1","a":"2"}}`, 200, `{` + id("ID2") + attributes + `,"policy":` + policy + `,` + pending + `}`},
		{"DELETE", "/certificates/my-cert/pending?api-version=2026-04-01", "", 200, operation + `"completed","target":"` + base + `","request_id":"ID1"}`},
		{"POST", "/certificates/my-cert/backup?api-version=7.4", "", 200, `{"value":""}`},
		{"DELETE", "/certificates/my-cert?api-version=7.4", "", 200, `{` + gone + id("ID2") + attributes + `,"policy":` + policy + `}`},
		{"GET", "/deletedcertificates?api-version=7.4", "", 200, `{"value":[{` + gone + `"id":"` + base + `",` + deletedItem + `],"nextLink":null}`},
		{"GET", "/deletedcertificates/my-cert?api-version=7.4", "", 200, `{` + gone + id("ID2") + attributes + `,"policy":` + policy + `}`},
		{"POST", "/deletedcertificates/my-cert/recover?api-version=7.4", "", 200, `{` + id("ID2") + attributes + `,"policy":` + policy + `}`},
		{"DELETE", "/certificates/my-cert?api-version=7.4", "", 200, `{` + gone + id("ID2") + attributes + `,"policy":` + policy + `}`},
		{"DELETE", "/deletedcertificates/my-cert?api-version=7.4", "", 204, ``},
		{"POST", "/certificates/restore?api-version=7.4", `{"value":"BLOB"}`, 200, `{` + id("ID2") + attributes + `,"policy":` + policy + `}`},
	} {
		path := tt.path
		for real, label := range seen {
			path = strings.Replace(path, label, real, 1)
		}
		got := r.send(host, "officer", tt.method, path, strings.Replace(tt.body, "BLOB", blob, 1))
		if strings.HasSuffix(strings.Split(path, "?")[0], "/backup") {
			blob, _ = got.object(t)["value"].(string)
		}
		if text := steady(seen, got.body); got.status != tt.status || text != tt.want {
			t.Errorf("%s %s = %d\n got %s\nwant %s", tt.method, tt.path, got.status, text, tt.want)
		}
	}
}

// TestSelfSigned: what is created is there after the answer, whether or not
// anybody polls.
func TestSelfSigned(t *testing.T) {
	r := newRig(t)
	created := r.create(t, "My-Cert", "self")
	request := created.object(t)["request_id"].(string)
	if got, want := created.header["Location"][0], "https://"+host+"/certificates/My-Cert/pending?api-version=2026-04-01&request_id="+request; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
	if got := created.header["Retry-After"]; len(got) != 1 || got[0] != "0" {
		t.Errorf("Retry-After %q, want 0", got)
	}
	leaf := certificateIn(t, r.do("GET", "/certificates/my-cert", "").want(t, 200))
	if err := leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature); err != nil || leaf.Subject.String() != "CN=test" {
		t.Errorf("the certificate is of %v (%v), want one of CN=test signed by itself", leaf.Subject, err)
	}
	done := r.do("GET", "/certificates/my-cert/pending?request_id="+request, "").want(t, 200)
	if _, ok := done.header["Retry-After"]; ok {
		t.Error("an operation that is done has a Retry-After")
	}
	// The three are one, and only the certificate changes them.
	secret := r.do("GET", "/secrets/my-cert", "").want(t, 200).object(t)
	if secret["managed"] != true || secret["contentType"] != "application/x-pkcs12" || !strings.HasPrefix(secret["kid"].(string), "https://"+host+"/keys/My-Cert/") {
		t.Errorf("the secret is %v, want it managed, with its key", secret)
	}
	key := r.do("GET", "/keys/my-cert", "").want(t, 200).object(t)
	if key["managed"] != true || key["key"].(map[string]any)["kid"] != secret["kid"] {
		t.Errorf("the key is %v, want it managed and %v", key, secret["kid"])
	}
	r.create(t, "my-cert", "Self")
	if next := r.do("GET", "/secrets/my-cert", "").want(t, 200).object(t); next["id"] != "https://"+host+"/secrets/My-Cert/"+versionIn(next) || next["previousVersion"] != versionIn(secret) {
		t.Errorf("the next secret is %v, want the version before it named", next)
	}
	if list := r.do("GET", "/secrets", "").want(t, 200).body; !strings.Contains(list, `"contentType":"application/x-pkcs12","id":"https://`+host+`/secrets/My-Cert","managed":true,"attributes"`) || strings.Contains(list, "kid") {
		t.Errorf("the secrets are %s, want the managed one as recorded", list)
	}
}

// versionIn is the version in the id of an answer.
func versionIn(m map[string]any) string {
	id := m["id"].(string)
	return id[strings.LastIndexByte(id, '/')+1:]
}

// TestExpired: a certificate that has expired is shown, and so is its secret;
// its key does not sign any more.
func TestExpired(t *testing.T) {
	r := newRig(t)
	r.create(t, "c", "Self")
	digest := `{"alg":"ES256","value":"` + strings.Repeat("A", 43) + `"}`
	r.do("POST", "/keys/c/sign", digest).want(t, 200)
	r.now = r.now.AddDate(2, 0, 0)
	r.do("GET", "/certificates/c", "").want(t, 200)
	r.do("GET", "/secrets/c", "").want(t, 200)
	r.do("POST", "/keys/c/sign", digest).want(t, 403)
	r.do("PATCH", "/certificates/c", `{"attributes":{"exp":2000000000}}`).want(t, 200)
	r.do("POST", "/keys/c/sign", digest).want(t, 200)
	r.do("PATCH", "/certificates/c", `{"attributes":{"enabled":false}}`).want(t, 200)
	r.do("POST", "/keys/c/sign", digest).want(t, 403)
	r.do("GET", "/secrets/c", "").want(t, 403)
	r.do("GET", "/certificates/c", "").want(t, 200)
}

// TestRecordedCreation: what the JavaScript SDK sends makes the policy that
// the service answered with (recorded answers), and what az and the Java SDK
// send is taken.
func TestRecordedCreation(t *testing.T) {
	r := newRig(t)
	for i, sent := range []string{
		`{"policy":{"key_props":{},"secret_props":{},"x509_props":{"subject":"cn=MyCert","sans":{}},"issuer":{"name":"Self"},"attributes":{}},"attributes":{}}`,
		`{"policy":{"attributes":{"created":null,"enabled":true,"expires":null,"notBefore":null,"updated":null},"issuer":{"certificateTransparency":null,"cty":null,"name":"Self"},"key_props":{"crv":null,"exportable":true,"key_size":2048,"kty":"RSA","reuse_key":true},"lifetime_actions":[{"action":{"action_type":"AutoRenew"},"trigger":{"days_before_expiry":90}}],"secret_props":{"contentType":"application/x-pkcs12"},"x509_props":{"key_usage":["cRLSign","dataEncipherment","digitalSignature","keyEncipherment","keyAgreement","keyCertSign"],"subject":"CN=CLIGetDefaultPolicy","validity_months":12}}}`,
		`{"policy":{"key_props":{"exportable":true,"kty":"EC","crv":"P-384"},"x509_props":{"subject":"CN=SelfSignedJavaPkcs12"},"issuer":{"name":"Self"}},"attributes":{"enabled":false},"tags":null}`,
	} {
		name := fmt.Sprintf("c%d", i)
		r.send(host, "officer", "POST", "/certificates/"+name+"/create?api-version=7.2", sent).want(t, 202)
		if rec := r.ledger.last(); rec.Status != 202 || rec.OperationName != "CertificateCreate" {
			t.Errorf("the creation is recorded as %s %d, want CertificateCreate 202", rec.OperationName, rec.Status)
		}
		if got := r.do("GET", "/certificates/"+name+"/pending", "").want(t, 200).object(t)["status"]; got != "completed" {
			t.Errorf("creation %d is %v, want it completed", i, got)
		}
	}
	want := `{"id":"https://` + host + `/certificates/c0/policy","key_props":{"exportable":true,"kty":"RSA","key_size":2048,"reuse_key":false},"secret_props":{"contentType":"application/x-pkcs12"},"x509_props":{"subject":"cn=MyCert","sans":{},"ekus":["1.3.6.1.5.5.7.3.1","1.3.6.1.5.5.7.3.2"],"key_usage":["digitalSignature","keyEncipherment"],"validity_months":12,"basic_constraints":{"ca":false}},"lifetime_actions":[{"trigger":{"lifetime_percentage":80},"action":{"action_type":"AutoRenew"}}],"issuer":{"name":"Self"},"attributes":{"enabled":true,"created":1700000000,"updated":1700000000}}`
	if got := r.do("GET", "/certificates/c0/policy", "").want(t, 200).body; got != want {
		t.Errorf("policy\n got %s\nwant %s", got, want)
	}
	if got := r.do("GET", "/certificates/c2", "").want(t, 200).object(t)["attributes"].(map[string]any)["enabled"]; got != false {
		t.Errorf("a certificate created disabled is enabled: %v", got)
	}
}

// certificateIn is the leaf of an answer.
func certificateIn(tb testing.TB, a answer) *x509.Certificate {
	tb.Helper()
	cer, err := base64.StdEncoding.DecodeString(a.object(tb)["cer"].(string))
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cer)
	if err != nil {
		tb.Fatal(err)
	}
	return leaf
}

// TestOutContentType: a secret that holds PKCS#12 comes as PEM on demand.
func TestOutContentType(t *testing.T) {
	r := newRig(t)
	r.create(t, "c", "Self")
	r.do("PUT", "/secrets/plain", `{"value":"x"}`).want(t, 200)
	get := func(name, version, to string, status int) answer {
		t.Helper()
		return r.send(host, "officer", "GET", "/secrets/"+name+"?api-version="+version+"&outContentType="+to, "").want(t, status)
	}
	as := get("c", "2025-07-01", "application/x-pem-file", 200).object(t)
	if text := as["value"].(string); as["contentType"] != "application/x-pem-file" || !strings.HasPrefix(text, "-----BEGIN PRIVATE KEY-----\n") || strings.Count(text, "BEGIN CERTIFICATE") != 1 {
		t.Errorf("as PEM the secret is %v of %v", as["contentType"], len(text))
	}
	for _, tt := range []struct {
		name, version, to string
		status            int
	}{{"c", "2025-07-01", "application/x-pkcs12", 200}, {"c", "7.6", "nonsense", 200}, {"c", "2025-07-01", "nonsense", 400}, {"plain", "2026-04-01", "application/x-pem-file", 400}} {
		get(tt.name, tt.version, tt.to, tt.status)
	}
}

// authority issues certificates outside of any vault.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority() *authority {
	a := &authority{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Unix(1_600_000_000, 0),
		NotAfter: time.Unix(1_900_000_000, 0), IsCA: true, BasicConstraintsValid: true}
	a.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key))))
	return a
}

// issue certifies a public key.
func (a *authority) issue(public any) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "issued"}, NotBefore: time.Unix(1_650_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0), DNSNames: []string{"issued.test"}}
	return must(x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key))
}

// requestIn is the request of a pending operation.
func requestIn(tb testing.TB, a answer) *x509.CertificateRequest {
	tb.Helper()
	der, err := base64.StdEncoding.DecodeString(a.object(tb)["csr"].(string))
	if err != nil {
		tb.Fatal(err)
	}
	return must(x509.ParseCertificateRequest(der))
}

func x5c(ders ...[]byte) string {
	return `{"x5c":` + string(must(json.Marshal(ders))) + `}`
}

func TestMerge(t *testing.T) {
	r, a := newRig(t), newAuthority()
	csr := requestIn(t, r.create(t, "c", "Unknown"))
	waiting := r.do("GET", "/certificates/c/pending", "").want(t, 200)
	if got := waiting.object(t); got["status_details"] != textPerformMerge || waiting.header["Retry-After"][0] != "10" {
		t.Errorf("pending = %v, want it to ask for a merge", got)
	}
	// Until then there is a certificate that says nothing of itself.
	early := r.do("GET", "/certificates/c", "").want(t, 200).object(t)
	if early["cer"] != nil || early["kid"] != nil || early["attributes"].(map[string]any)["enabled"] != false {
		t.Errorf("before the merge the certificate is %v", early)
	}
	for _, path := range []string{"/secrets/c", "/keys/c"} {
		r.do("GET", path, "").want(t, 404)
	}
	if hidden, shown := r.do("GET", "/certificates", "").body, r.do("GET", "/certificates?includePending=true", "").body; strings.Contains(hidden, "/certificates/c") || !strings.Contains(shown, "/certificates/c") {
		t.Errorf("lists without and with pending: %s %s", hidden, shown)
	}
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for _, tt := range []struct{ what, body, want string }{
		{"another's certificate", x5c(a.issue(other.Public())), "Property x5c"},
		{"no certificate", `{"x5c":[]}`, "Property x5c has invalid value: it is required."},
		{"null", `{"x5c":null}`, "Property x5c"},
		{"no DER", x5c([]byte("x")), "Property x5c"},
		{"no base64", `{"x5c":["*"]}`, "no base64"},
		{"a number", `{"x5c":[5]}`, "wrong type"},
		{"a text", `{"x5c":"x"}`, "wrong type"},
		{"too many", x5c(slices.Repeat([][]byte{{1}}, maxChain+1)...), "more than 32"},
	} {
		if got := r.do("POST", "/certificates/c/pending/merge", tt.body); got.status != 400 || !strings.Contains(got.body, tt.want) {
			t.Errorf("merge of %s = %d %s, want 400 with %q", tt.what, got.status, got.body, tt.want)
		}
	}
	merged := r.do("POST", "/certificates/c/pending/merge", strings.TrimSuffix(x5c(a.cert.Raw, a.issue(csr.PublicKey)), "}")+`,"tags":{"a":"b"}}`).want(t, 201)
	if leaf := certificateIn(t, merged); leaf.Subject.CommonName != "issued" || merged.object(t)["tags"].(map[string]any)["a"] != "b" {
		t.Errorf("merge = %s, want the leaf and its tag", merged.body)
	}
	if rec := r.ledger.last(); rec.Status != 201 || rec.ID != merged.object(t)["id"] {
		t.Errorf("the merge is recorded as %d %s, want 201 %v", rec.Status, rec.ID, merged.object(t)["id"])
	}
	// The chain is in the secret, the leaf first.
	der := must(base64.StdEncoding.DecodeString(r.do("GET", "/secrets/c", "").want(t, 200).object(t)["value"].(string)))
	_, leaf, chain, err := pkcs12.DecodeChain(der, "")
	if err != nil || leaf.Subject.CommonName != "issued" || len(chain) != 1 || chain[0].Subject.CommonName != "authority" {
		t.Errorf("the secret holds %v and %d more (%v), want the leaf and its authority", leaf, len(chain), err)
	}
	r.do("POST", "/certificates/c/pending/merge", x5c(a.issue(csr.PublicKey))).want(t, 403)
}

// files are certificates with their key, in the forms that can be imported.
func files(a *authority) (key *ecdsa.PrivateKey, pfx, text string) {
	key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := must(x509.ParseCertificate(a.issue(key.Public())))
	pfx = base64.StdEncoding.EncodeToString(must(pkcs12.Modern.Encode(key, leaf, []*x509.Certificate{a.cert}, "open")))
	var b strings.Builder
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: leaf.Raw}, {Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}, {Type: "CERTIFICATE", Bytes: a.cert.Raw}} {
		b.Write(pem.EncodeToMemory(block))
	}
	return key, pfx, b.String()
}

func bodyOf(members map[string]any) string { return string(must(json.Marshal(members))) }

func TestImport(t *testing.T) {
	r := newRig(t)
	_, pfx, text := files(newAuthority())
	for _, tt := range []struct {
		name        string
		body        map[string]any
		contentType string
		exportable  bool
	}{
		{"pfx", map[string]any{"value": pfx, "pwd": "open"}, "application/x-pkcs12", true},
		{"pem", map[string]any{"value": text}, "application/x-pem-file", true},
		{"pem64", map[string]any{"value": base64.StdEncoding.EncodeToString([]byte(text)), "policy": map[string]any{"secret_props": map[string]any{"contentType": "application/x-pem-file"}}}, "application/x-pem-file", true},
		{"kept", map[string]any{"value": pfx, "pwd": "open", "preserveCertOrder": true, "policy": map[string]any{"key_props": map[string]any{"exportable": false}}}, "application/x-pkcs12", false},
	} {
		got := r.do("POST", "/certificates/"+tt.name+"/import", bodyOf(tt.body)).want(t, 200)
		leaf, m := certificateIn(t, got), got.object(t)
		if leaf.Subject.CommonName != "issued" || m["policy"].(map[string]any)["issuer"].(map[string]any)["name"] != "Unknown" {
			t.Errorf("import of %s = %s", tt.name, got.body)
		}
		attributes := m["attributes"].(map[string]any)
		if attributes["nbf"] != float64(leaf.NotBefore.Unix()) || attributes["exp"] != float64(leaf.NotAfter.Unix()) {
			t.Errorf("import of %s has the dates %v, want those of the certificate", tt.name, attributes)
		}
		if rec := r.ledger.last(); rec.ID != m["id"] {
			t.Errorf("the import is recorded as %s, want %v", rec.ID, m["id"])
		}
		secret := r.do("GET", "/secrets/"+tt.name, "").want(t, 200).object(t)
		value := secret["value"].(string)
		private := strings.Contains(value, "BEGIN PRIVATE KEY")
		if tt.contentType == "application/x-pkcs12" {
			_, _, _, err := pkcs12.DecodeChain(must(base64.StdEncoding.DecodeString(value)), "")
			private = err == nil
		}
		if secret["contentType"] != tt.contentType || private != tt.exportable {
			t.Errorf("the secret of %s is %v with its key %v, want %s and %v", tt.name, secret["contentType"], private, tt.contentType, tt.exportable)
		}
		r.do("GET", "/certificates/"+tt.name+"/pending", "").want(t, 404)
	}
}

// TestImportRefused: what cannot be read is refused in the service's words,
// and nothing is made of it.
func TestImportRefused(t *testing.T) {
	r, a := newRig(t), newAuthority()
	_, pfx, text := files(a)
	_, _, foreign := files(a)
	key := text[strings.Index(text, "-----BEGIN PRIVATE"):strings.LastIndex(text, "-----BEGIN CERT")]
	cert := foreign[:strings.Index(foreign, "-----BEGIN PRIVATE")]
	for _, tt := range []struct {
		what string
		body map[string]any
		want string
	}{
		{"nothing", map[string]any{}, "Property value has invalid value: it is required."},
		{"null", map[string]any{"value": nil}, "Property value"},
		{"the empty text", map[string]any{"value": ""}, textPKCS12},
		{"a wrong password", map[string]any{"value": pfx, "pwd": "shut"}, textPKCS12},
		{"no password", map[string]any{"value": pfx}, textPKCS12},
		{"half a file", map[string]any{"value": pfx[:len(pfx)/8*4], "pwd": "open"}, textPKCS12},
		{"no base64", map[string]any{"value": "*"}, textPKCS12},
		{"damaged PEM", map[string]any{"value": text[:len(text)-30]}, "content"},
		{"a key without a certificate", map[string]any{"value": key}, "The specified X.509 certificate content is invalid. Error: it has no certificate."},
		{"a certificate without a key", map[string]any{"value": cert}, "it has no private key"},
		{"another's key", map[string]any{"value": cert + key}, "whose public key belongs to the private key"},
		{"two keys", map[string]any{"value": text + key}, "more than one private key"},
		{"another form than the policy says", map[string]any{"value": text, "policy": map[string]any{"secret_props": map[string]any{"contentType": "application/x-pkcs12"}}}, "content"},
		{"another key than the policy says", map[string]any{"value": text, "policy": map[string]any{"key_props": map[string]any{"kty": "RSA", "key_size": 2048}}}, "policy.key_props"},
		{"a policy that is a list", map[string]any{"value": text, "policy": []int{}}, "Property policy"},
		{"a key in hardware", map[string]any{"value": text, "policy": map[string]any{"key_props": map[string]any{"kty": "EC-HSM", "exportable": false}}}, textNoHardware},
		{"what is too long", map[string]any{"value": strings.Repeat("A", 300<<10)}, "content"},
		{"a password that is too long", map[string]any{"value": pfx, "pwd": strings.Repeat("A", 2000)}, "content"},
	} {
		got := r.do("POST", "/certificates/c/import", bodyOf(tt.body))
		if message, _ := got.object(t)["error"].(map[string]any)["message"].(string); got.status != 400 || !strings.Contains(message, tt.want) {
			t.Errorf("import of %s = %d %s, want 400 with %q", tt.what, got.status, got.body, tt.want)
		}
	}
	if items := must(r.store.Range(t.Context(), "o/", "", 0)); len(items) != 0 {
		t.Errorf("refused imports left %d items", len(items))
	}
	r.do("POST", "/certificates/c/import", `{"value":"`+strings.Repeat("x", bodyImport)+`"}`).want(t, 413)
	r.send(vaultHost("premium"), "officer", "POST", "/certificates/c/import?api-version=7.4", bodyOf(map[string]any{"value": text, "policy": map[string]any{"key_props": map[string]any{"kty": "EC-HSM", "exportable": false}}})).want(t, 200)
}
