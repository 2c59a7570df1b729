package keyvault

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/enrollment"
	"postern/internal/vault"
)

func TestFindCertificates(t *testing.T) {
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/certificates", "CertificateList  "},
		{"GET", "/Certificates/a", "CertificateGet a "},
		{"GET", "/certificates//a//b/", "CertificateGet a b"},
		{"GET", "/certificates/a/policy", "CertificatePolicyGet a "},
		{"PATCH", "/certificates/a/policy", "CertificatePolicyUpdate a "},
		{"PATCH", "/certificates/a/b", "CertificateUpdate a b"},
		{"PATCH", "/certificates/a/", "CertificateUpdate a "},
		{"GET", "/certificates/a/PENDING", "CertificatePendingGet a "},
		{"PATCH", "/certificates/a/pending", "CertificatePendingUpdate a "},
		{"DELETE", "/certificates/a/pending", "CertificatePendingDelete a "},
		{"POST", "/certificates/a/pending/merge", "CertificatePendingMerge a "},
		{"GET", "/certificates/contacts", "CertificateContactsGet  "},
		{"PUT", "/certificates/contacts/", "CertificateContactsSet  "},
		{"DELETE", "/certificates/contacts", "CertificateContactsDelete  "},
		{"GET", "/certificates/contacts/versions", "CertificateListVersions contacts "},
		{"GET", "/certificates/issuers", "CertificateIssuersList  "},
		{"GET", "/certificates/issuers/a", "CertificateIssuerGet a "},
		{"PATCH", "/certificates/issuers/a", "CertificateIssuerUpdate a "},
		{"DELETE", "/certificates/issuers", "CertificateDelete issuers "},
		{"POST", "/certificates/restore", "CertificateRestore  "},
		{"POST", "/certificates/restore/create", "CertificateCreate restore "},
		{"POST", "/deletedcertificates/a/recover", "CertificateRecover a "},
		{"POST", "/certificates//create", ""},
		{"PUT", "/certificates/a", ""},
		{"GET", "/certificates/a/pending/merge", ""},
		{"GET", "/certificates/a/b/c/d/e", ""},
	} {
		target := find(tt.method, must(url.ParseRequestURI(tt.path)))
		got := ""
		if target.route != nil {
			got = target.route.Operation.String() + " " + target.name + " " + target.version
		}
		if got != tt.want {
			t.Errorf("find(%s %s) = %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestCertificateBodies(t *testing.T) {
	text := func(s string) *string { return &s }
	yes := true
	for _, tt := range []struct {
		body string
		want any // a certificateBody, or a word of the refusal
	}{
		{`{}`, certificateBody{}},
		{`{"policy":null,"value":null,"pwd":null,"x5c":null,"preserveCertOrder":null,"attributes":null,"tags":null,"x":[1]}`, certificateBody{}},
		{`{"policy": {"a" : [ 1 ] , "b":"\u00e4"} ,"preserveCertOrder":true}`, certificateBody{policy: `{"a" : [ 1 ] , "b":"\u00e4"}`, preserve: &yes}},
		{`{"value":"v","pwd":"","tags":{"a":"b"},"attributes":{"enabled":false,"exp":5}}`, certificateBody{value: text("v"), password: text(""),
			description: description{enabled: vault.No, expires: vault.At(5), tags: []vault.Tag{{Name: "a", Value: "b"}}}}},
		{`{"x5c":["AAE=",""],"cancellation_requested":true}`, certificateBody{x5c: [][]byte{{0, 1}, {}}, cancel: &yes}},
		{`[]`, "JSON object"},
		{`{"policy":"{}"}`, "Property policy"},
		{`{"policy":{"a":1,"a":2}}`, "twice"},
		{`{"policy":{"a":01}}`, "JSON object"},
		{`{"policy":` + strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 21), "deeply"},
		{`{"x5c":["AAE"]}`, "no base64"},
		{`{"x5c":["_-=="]}`, "no base64"},
		{`{"value":1}`, "Property value"},
		{`{"pwd":true}`, "Property pwd"},
		{`{"preserveCertOrder":"true"}`, "Property preserveCertOrder"},
		{`{"cancellation_requested":1}`, "Property cancellation_requested"},
	} {
		got, err := readCertificate([]byte(tt.body))
		if word, refused := tt.want.(string); refused {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("readCertificate(%.60s) = %v, want a refusal with %q", tt.body, err, word)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, any(got), cmp.AllowUnexported(certificateBody{}, description{})); err != nil || diff != "" {
			t.Errorf("readCertificate(%.60s): %v (-want +got):\n%s", tt.body, err, diff)
		}
	}
}

// FuzzCertificateBodies: what is accepted is JSON, and says what
// encoding/json reads.
func FuzzCertificateBodies(f *testing.F) {
	for _, s := range []string{
		`{"policy":{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=a","sans":{"dns_names":["b"]}},"issuer":{"name":"Self"}},"attributes":{"enabled":true},"tags":{"a":"b"},"preserveCertOrder":false}`,
		`{"value":"MIIJ","pwd":"p"}`, `{"x5c":["AAEC"]}`, `{"cancellation_requested":true}`, `{"contacts":[{"email":"a@b","name":"c","phone":"1"}]}`,
		`{"provider":"Test","credentials":{"account_id":"a","pwd":"b"},"org_details":{"id":"1","admin_details":[{"first_name":"J","last_name":"D","email":"e","phone":"4"}]},"attributes":{"enabled":false}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want struct {
			Policy   json.RawMessage
			Value    *string
			X5C      []string
			Contacts []contact
			Provider *string
		}
		got, err := readCertificate(data)
		if err == nil {
			if err := json.Unmarshal(data, &map[string]any{}); err != nil {
				t.Fatalf("readCertificate(%q) accepts what is no JSON: %v", data, err)
			}
			if json.Unmarshal(data, &want) == nil && !folded(data) {
				for i, der := range got.x5c {
					if base64.StdEncoding.EncodeToString(der) == "" && want.X5C[i] != "" {
						t.Errorf("readCertificate(%q) reads certificate %d as nothing", data, i)
					}
				}
				if got.policy != "" && got.policy != string(want.Policy) || (got.value == nil) != (want.Value == nil) || len(got.x5c) != len(want.X5C) {
					t.Errorf("readCertificate(%q) = %+v, want %+v", data, got, want)
				}
			}
		}
		if list, err := readContacts(data); err == nil && json.Unmarshal(data, &want) == nil && !folded(data) && len(list) != len(want.Contacts) {
			t.Errorf("readContacts(%q) reads %d contacts, want %d", data, len(list), len(want.Contacts))
		}
		if i, err := readIssuer(data); err == nil {
			if json.Unmarshal(data, &want) == nil && !folded(data) && (i.provider == nil) != (want.Provider == nil) {
				t.Errorf("readIssuer(%q) reads provider %v, want %v", data, i.provider, want.Provider)
			}
			kept := &enrollment.Issuer{}
			i.over(kept, 1)
			x := &exchange{base: "https://x"}
			if answer := x.appendIssuer(nil, kept); !json.Valid(answer) {
				t.Errorf("the issuer of %q is answered with %s", data, answer)
			}
		}
		if text, err := readPolicy(data); err == nil && !json.Valid([]byte(text)) {
			t.Errorf("readPolicy(%q) = %q, which is no JSON", data, text)
		}
	})
}

// folded reports whether a document has members that differ from those that
// are known in letter case alone: encoding/json takes them.
func folded(data []byte) bool {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(data, &m)
	for name := range m {
		for _, known := range []string{"policy", "value", "x5c", "contacts", "provider"} {
			if name != known && strings.EqualFold(name, known) {
				return true
			}
		}
	}
	return false
}
