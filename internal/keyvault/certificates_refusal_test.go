package keyvault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/enrollment"
	"postern/internal/issuance/acme"
	"postern/internal/store/memory"
)

// refusedAs is the body of a refusal without an inner error.
func refusedAs(code, message string) string { return body(code, message, "") }

func TestCertificateErrors(t *testing.T) {
	r := newRig(t)
	none := strings.Repeat("0", 32)
	r.create(t, "live", "Self")
	r.create(t, "off", "Self")
	r.do("PATCH", "/certificates/off", `{"attributes":{"enabled":false}}`).want(t, 200)
	r.create(t, "gone", "Self")
	r.do("DELETE", "/certificates/gone", "").want(t, 200)
	r.create(t, "waiting", "Unknown")
	r.do("PUT", "/secrets/secret", `{"value":"x"}`).want(t, 200)
	r.do("POST", "/keys/key/create", `{"kty":"EC"}`).want(t, 200)
	blob := r.do("POST", "/certificates/live/backup", "").want(t, 200).body
	secretBlob := r.do("POST", "/secrets/secret/backup", "").want(t, 200).body
	create := `{"policy":` + ecPolicy("Self") + `}`
	notFound := func(id string) string {
		return refusedAs("CertificateNotFound", "A certificate with (name/id) "+id+" was not found in this key vault. If you recently deleted this certificate you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182")
	}
	managed := func(operation, kind string) string {
		return body("Forbidden", `Operation "`+operation+`" is not allowed as this object's lifetime is managed by Key Vault.`, kind+"ManagedByKeyVault")
	}
	bad := func(message string) string { return refusedAs("BadParameter", message) }
	inProgress := refusedAs("Conflict", "A new key vault certificate can not be created or imported while a pending key vault certificate's status is inProgress.")
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string // "" is not looked at
	}{
		{"GET", "/certificates/nothing", "", 404, notFound("nothing")},
		{"GET", "/certificates/live/" + none, "", 404, notFound("live/" + none)},
		{"GET", "/certificates/nothing/versions", "", 404, notFound("nothing")},
		{"GET", "/certificates/nothing/policy", "", 404, notFound("nothing")},
		{"PATCH", "/certificates/nothing/policy", "{}", 404, notFound("nothing")},
		{"PATCH", "/certificates/nothing/", "{}", 404, notFound("nothing")},
		{"DELETE", "/certificates/nothing", "", 404, notFound("nothing")},
		{"POST", "/certificates/nothing/backup", "", 404, notFound("nothing")},
		{"POST", "/deletedcertificates/nothing/recover", "", 404, notFound("nothing")},
		{"GET", "/deletedcertificates/nothing", "", 404, refusedAs("CertificateNotFound", "Deleted Certificate not found: nothing")},
		{"DELETE", "/deletedcertificates/live", "", 404, refusedAs("CertificateNotFound", "Deleted Certificate not found: live")},
		{"GET", "/certificates/nothing/pending", "", 404, refusedAs("PendingCertificateNotFound", "Pending certificate not found: nothing")},
		{"GET", "/certificates/waiting/pending?request_id=" + none, "", 404, refusedAs("PendingCertificateNotFound", "Pending certificate not found: waiting")},
		{"DELETE", "/certificates/waiting/pending?request_id=" + none, "", 404, refusedAs("PendingCertificateNotFound", "Pending certificate not found: waiting")},
		{"PATCH", "/certificates/waiting/pending?request_id=" + none, `{"cancellation_requested":true}`, 404, ""},
		{"PATCH", "/certificates/nothing/pending", `{"cancellation_requested":true}`, 404, refusedAs("PendingCertificateNotFound", "Pending certificate not found: nothing")},
		{"POST", "/certificates/nothing/pending/merge", `{"x5c":["AA=="]}`, 404, refusedAs("PendingCertificateNotFound", "Pending certificate not found: nothing")},
		{"PATCH", "/certificates/live/pending", `{"cancellation_requested":true}`, 403, refusedAs("Forbidden", "Pending status must be in progress to allow update.")},
		{"PATCH", "/certificates/waiting/pending", `{}`, 400, bad("Property cancellation_requested has invalid value: it is required.")},
		{"PATCH", "/certificates/waiting/pending", `{"cancellation_requested":"yes"}`, 400, ""},
		{"POST", "/certificates/waiting/create", create, 409, inProgress},
		{"POST", "/certificates/waiting/import", importBody(), 409, inProgress},
		{"POST", "/certificates/gone/create", create, 409, body("Conflict", "Certificate gone is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the certificate can only be recovered or purged.", "ObjectIsDeletedButRecoverable")},
		{"POST", "/certificates/gone/import", importBody(), 409, ""},
		{"POST", "/certificates/secret/create", create, 409, refusedAs("Conflict", "The name secret is in use by a key or a secret of its own; a certificate needs it for all three.")},
		{"POST", "/certificates/key/create", create, 409, refusedAs("Conflict", "The name key is in use by a key or a secret of its own; a certificate needs it for all three.")},
		{"POST", "/certificates/secret/import", importBody(), 409, ""},
		{"POST", "/certificates/key/import", importBody(), 409, ""},
		{"PUT", "/secrets/live", `{"value":"x"}`, 403, managed("set", "Secret")},
		{"PATCH", "/secrets/live", `{"tags":{}}`, 403, ""},
		{"DELETE", "/secrets/live", "", 403, managed("delete", "Secret")},
		{"POST", "/keys/live/create", `{"kty":"EC"}`, 403, managed("create", "Key")},
		{"POST", "/keys/live/rotate", "", 403, managed("rotate", "Key")},
		{"PATCH", "/keys/live", `{"tags":{}}`, 403, managed("update", "Key")},
		{"DELETE", "/keys/live", "", 403, managed("delete", "Key")},
		{"POST", "/deletedsecrets/gone/recover", "", 403, managed("recover", "Secret")},
		{"DELETE", "/deletedkeys/gone", "", 403, managed("purge", "Key")},
		{"PUT", "/secrets/gone", `{"value":"x"}`, 409, ""},
		{"GET", "/secrets/off", "", 403, body("Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")},
		{"GET", "/certificates/off", "", 200, ""},
		{"POST", "/certificates/restore", blob, 409, ""},
		{"POST", "/certificates/restore", secretBlob, 400, refusedAs("Malformed backup blob", "Backup blob is corrupt.")},
		{"POST", "/secrets/restore", blob, 400, refusedAs("Malformed backup blob", "Backup blob is corrupt.")},
		{"POST", "/certificates/restore", `{"value":"*"}`, 400, refusedAs("Malformed backup blob", "Backup blob is corrupt.")},
		{"POST", "/certificates/restore", `{}`, 400, ""},
		{"POST", "/certificates/new/create", `{}`, 400, bad("Property policy has invalid value: it is required.")},
		{"POST", "/certificates/new/create", `{"policy":null}`, 400, bad("Property policy has invalid value: it is required.")},
		{"POST", "/certificates/new/create", `{"policy":[]}`, 400, bad("Property policy has invalid value: it has the wrong type.")},
		{"POST", "/certificates/new/create", `{"policy":{}}`, 400, ""},
		{"POST", "/certificates/new/create", `{"policy":` + strings.Replace(ecPolicy("Self"), "P-256", "P-256K", 1) + `}`, 400, ""},
		{"POST", "/certificates/new/create", `{"policy":` + strings.Replace(ecPolicy("Self"), "CN=test", "no name", 1) + `}`, 400, ""},
		{"POST", "/certificates/new/create", `{"policy":{"key_props":{"kty":"RSA","key_size":1024},"x509_props":{"subject":"CN=x"}}}`, 400, ""},
		{"POST", "/certificates/new/create", `{"policy":{"key_props":{"kty":"oct"},"x509_props":{"subject":"CN=x"}}}`, 400, ""},
		{"POST", "/certificates/new/create", `{"policy":{"key_props":{"kty":"RSA-HSM","exportable":false},"x509_props":{"subject":"CN=x"}}}`, 400, bad(textNoHardware)},
		{"POST", "/certificates/new/create", `{"policy":{"x509_props":{"subject":"CN=x","validity_months":-1}}}`, 400, ""},
		{"POST", "/certificates/new/create", `{"policy":` + ecPolicy("nobody") + `}`, 404, refusedAs("CertificateIssuerNotFound", "Issuer not found")},
		{"POST", "/certificates/new/create", `{"policy":` + ecPolicy("Self") + `,"tags":{"a":1}}`, 400, ""},
		{"POST", "/certificates/new/create", `{"policy":` + ecPolicy("Self") + `,"preserveCertOrder":1}`, 400, ""},
		{"POST", "/certificates/new/create", `garbage`, 400, ""},
		{"POST", "/certificates/a_b/create", create, 400, bad("The request URI contains an invalid name: a_b")},
		{"POST", "/certificates//create", create, 405, refusedAs("MethodNotAllowed", "HTTP POST not allowed")},
		{"PATCH", "/certificates/live/policy", `{"key_props":{"kty":"RSA-HSM","exportable":false}}`, 400, bad(textNoHardware)},
		{"PATCH", "/certificates/live/policy", `{"issuer":{"name":5}}`, 400, ""},
		{"PATCH", "/certificates/live/policy", `[]`, 400, ""},
		{"PATCH", "/certificates/live/" + none, `{"policy":{}}`, 400, ""},
		{"PATCH", "/certificates/live/", `{"attributes":{"exp":-1}}`, 400, ""},
		{"PATCH", "/certificates/live/", `{"policy":{"lifetime_actions":[{"trigger":{},"action":{"action_type":"AutoRenew"}}]}}`, 400, ""},
	} {
		got := r.do(tt.method, tt.path, tt.body)
		if got.status != tt.status || tt.want != "" && got.body != tt.want {
			t.Errorf("%s %s %.60s = %d %s\nwant %d %s", tt.method, tt.path, tt.body, got.status, got.body, tt.status, tt.want)
		}
		if rec := r.ledger.last(); rec.Status != tt.status || tt.status >= 400 && rec.ResultDescription == "" {
			t.Errorf("%s %s is recorded as %d %q", tt.method, tt.path, rec.Status, rec.ResultDescription)
		}
	}
	if got := r.do("GET", "/certificates?includePending=true", "").body; strings.Contains(got, "/new") {
		t.Errorf("a refused creation is listed: %s", got)
	}
	// What goes with a certificate is not among the deleted by itself.
	for _, list := range []string{"/deletedsecrets", "/deletedkeys"} {
		if got := r.do("GET", list, "").want(t, 200).body; strings.Contains(got, "/gone") {
			t.Errorf("GET %s = %s, want nothing of a certificate", list, got)
		}
	}
}

// importBody is an import that works where the name is free.
func importBody() string {
	_, _, text := files(newAuthority())
	return bodyOf(map[string]any{"value": text})
}

// TestCancel: an operation that nobody can end by itself ends with the next
// look at it, and makes room.
func TestCancel(t *testing.T) {
	r := newRig(t)
	r.create(t, "c", "Unknown")
	if got := r.do("PATCH", "/certificates/c/pending", `{"cancellation_requested":true}`).want(t, 200).object(t); got["cancellation_requested"] != true || got["status"] != "inProgress" {
		t.Errorf("PATCH = %v, want it asked for and still in progress", got)
	}
	if got := r.do("GET", "/certificates/c/pending", "").want(t, 200).object(t); got["cancellation_requested"] != true || got["status"] != "cancelled" || got["target"] != nil {
		t.Errorf("after it pending = %v, want it cancelled", got)
	}
	r.do("POST", "/certificates/c/pending/merge", `{"x5c":["AA=="]}`).want(t, 403)
	r.create(t, "c", "Unknown")
	dropped := r.do("DELETE", "/certificates/c/pending", "").want(t, 200)
	if got := dropped.object(t); got["status"] != "inProgress" || got["preserveCertOrder"] != nil {
		t.Errorf("DELETE = %v, want the operation as it was, without preserveCertOrder", got)
	}
	r.do("DELETE", "/certificates/c/pending", "").want(t, 404)
	r.do("GET", "/certificates/c", "").want(t, 200)
	r.create(t, "c", "Self")
	if got := r.do("GET", "/certificates/c/versions", "").want(t, 200).object(t)["value"].([]any); len(got) != 1 {
		t.Errorf("%d versions, want the one that was issued", len(got))
	}
}

// TestPropertyGates: what an api-version does not know is neither taken nor
// shown.
func TestPropertyGates(t *testing.T) {
	r := newRig(t)
	policy := strings.Replace(ecPolicy("Self"), `"subject":"CN=test"`, `"subject":"CN=test","sans":{"dns_names":["a.test"],"uris":["https://a.test"],"ipAddresses":["192.0.2.1"]}`, 1)
	policy = strings.TrimSuffix(policy, "}") + `,"platformManaged":{"certificateUsage":"x"},"vendor":{"y":1}}`
	properties := []string{"preserveCertOrder\":true", "uris", "ipAddresses", "platformManaged", "vendor"}
	create := func(name, version string) {
		r.send(host, "officer", "POST", "/certificates/"+name+"/create?api-version="+version, `{"policy":`+policy+`,"preserveCertOrder":true}`).want(t, 202)
	}
	create("newest", "2026-04-01")
	for i, tt := range []struct {
		version string
		known   [5]bool // of the properties
	}{
		{"7.0", [5]bool{false, false, false, false, true}},
		{"7.5", [5]bool{false, false, false, false, true}},
		{"7.6", [5]bool{true, false, false, false, true}},
		{"2025-07-01", [5]bool{true, true, true, false, true}},
		{"2026-04-01", [5]bool{true, true, true, true, true}},
	} {
		name := fmt.Sprintf("c%d", i)
		create(name, tt.version)
		taken := r.do("GET", "/certificates/"+name, "").want(t, 200).body
		shown := r.send(host, "officer", "GET", "/certificates/newest?api-version="+tt.version, "").want(t, 200).body
		for n, property := range properties {
			if got := strings.Contains(taken, `"`+property); got != tt.known[n] {
				t.Errorf("%s at %s is taken: %v, want %v", property, tt.version, got, tt.known[n])
			}
			if got := strings.Contains(shown, `"`+property); got != tt.known[n] {
				t.Errorf("%s at %s is shown: %v, want %v", property, tt.version, got, tt.known[n])
			}
		}
	}
}

// TestNextVersion: without a policy the next version has that of the
// certificate, whatever the api-version knows of it.
func TestNextVersion(t *testing.T) {
	r := newRig(t)
	policy := strings.Replace(ecPolicy("Self"), `"subject":"CN=test"`, `"subject":"CN=test","sans":{"uris":["https://a.test"]}`, 1)
	r.do("POST", "/certificates/c/create", `{"policy":`+policy+`}`).want(t, 202)
	before := r.do("GET", "/certificates/c/policy", "").want(t, 200).body
	r.now = r.now.AddDate(0, 0, 1)
	r.send(host, "officer", "POST", "/certificates/c/create?api-version=7.0", `{}`).want(t, 202)
	if got := r.do("GET", "/certificates/c/policy", "").want(t, 200).body; got != before {
		t.Errorf("the policy becomes\n%s, was\n%s", got, before)
	}
	leaf := certificateIn(t, r.do("GET", "/certificates/c", "").want(t, 200))
	if len(leaf.URIs) != 1 || !leaf.NotBefore.Equal(r.now.Add(-10*time.Minute)) {
		t.Errorf("the next version is of %v with %v", leaf.NotBefore, leaf.URIs)
	}
}

// TestCertificatePaging: pages follow one another, with pending ones where
// they are asked for, and without.
func TestCertificatePaging(t *testing.T) {
	r := newRig(t)
	for i := range 7 {
		r.create(t, fmt.Sprintf("c%d", i), []string{"Self", "Unknown"}[i%2])
	}
	r.create(t, "c0", "Self")
	r.create(t, "c0", "Self")
	follow := func(path string) (names []string, pages int) {
		for target := path + "maxresults=2&api-version=2025-07-01"; target != ""; pages++ {
			page := r.send(host, "officer", "GET", target, "").want(t, 200).object(t)
			for _, item := range page["value"].([]any) {
				id := item.(map[string]any)["id"].(string)
				names = append(names, strings.TrimPrefix(id, "https://"+host))
			}
			link, _ := page["nextLink"].(string)
			target = strings.TrimPrefix(link, "https://"+host)
		}
		return names, pages
	}
	for _, tt := range []struct {
		path        string
		items       int
		first, last string
	}{
		{"/certificates?includePending=true&", 7, "/certificates/c0", "/certificates/c6"},
		{"/certificates?includePending=True&", 7, "/certificates/c0", "/certificates/c6"},
		{"/certificates?includePending=false&", 4, "/certificates/c0", "/certificates/c6"},
		{"/certificates?", 4, "/certificates/c0", "/certificates/c6"},
		{"/certificates/c0/versions?", 3, "/certificates/c0/", "/certificates/c0/"},
		{"/certificates/c1/versions?", 0, "", ""},
	} {
		names, pages := follow(tt.path)
		if len(names) != tt.items || pages > 4 || tt.items > 0 && (!strings.HasPrefix(names[0], tt.first) || !strings.HasPrefix(names[len(names)-1], tt.last)) {
			t.Errorf("%s lists %v on %d pages, want %d from %s to %s", tt.path, names, pages, tt.items, tt.first, tt.last)
		}
	}
	for i := range 7 {
		r.do("DELETE", fmt.Sprintf("/certificates/c%d", i), "").want(t, 200)
	}
	if all, _ := follow("/deletedcertificates?includePending=true&"); len(all) != 7 {
		t.Errorf("the deleted with pending ones are %v, want 7", all)
	}
	if issued, _ := follow("/deletedcertificates?"); len(issued) != 4 {
		t.Errorf("the deleted are %v, want the 4 that were issued", issued)
	}
	for _, bad := range []string{"0", "26", "x"} {
		for _, path := range []string{"/certificates", "/deletedcertificates", "/certificates/issuers", "/certificates/c0/versions"} {
			r.do("GET", path+"?maxresults="+bad, "").want(t, 400)
		}
	}
}

func TestContacts(t *testing.T) {
	r := newRig(t)
	id := `{"id":"https://` + host + `/certificates/contacts","contacts":[`
	both := id + `{"email":"one@test.com","name":"One","phone":"1"},{"email":"two@test.com"}]}`
	for _, tt := range []struct {
		method, body string
		status       int
		want         string
	}{
		{"GET", "", 404, refusedAs("ContactsNotFound", "Contacts not found")},
		{"DELETE", "", 404, refusedAs("ContactsNotFound", "Contacts not found")},
		{"PUT", `{"contacts":[{"email":"one@test.com","name":"One","phone":"1","x":1},{"email":"two@test.com"}]}`, 200, both},
		{"GET", "", 200, both},
		{"PUT", `{"contacts":[{"name":"x"}]}`, 400, refusedAs("BadParameter", "Property email has invalid value: it is required.")},
		{"PUT", `{"contacts":{}}`, 400, ""},
		{"PUT", `{"contacts":[` + strings.Repeat(`{"email":"a@b"},`, maxContacts) + `{"email":"a@b"}]}`, 400, ""},
		{"PUT", `{"contacts":[5]}`, 400, ""},
		{"GET", "", 200, both},
		{"DELETE", "", 200, both},
		{"GET", "", 404, ""},
		{"PUT", `{}`, 200, id + `]}`},
	} {
		if got := r.do(tt.method, "/certificates/contacts", tt.body); got.status != tt.status || tt.want != "" && got.body != tt.want {
			t.Errorf("%s contacts %s = %d %s\nwant %d %s", tt.method, tt.body, got.status, got.body, tt.status, tt.want)
		}
	}
}

func TestIssuers(t *testing.T) {
	r := newRig(t)
	bundle := func(name, account, org string, enabled bool, created, updated int64) string {
		return fmt.Sprintf(`{"id":"https://%s/certificates/issuers/%s","provider":"Test","credentials":{%s}%s,"attributes":{"enabled":%v,"created":%d,"updated":%d}}`, host, name, account, org, enabled, created, updated)
	}
	org := `,"org_details":{"id":"1","admin_details":[{"first_name":"John","last_name":"Doe","email":"admin@test.com","phone":"42"}]}`
	begin := r.now.Unix()
	for _, tt := range []struct {
		method, name, body string
		status             int
		want               string
	}{
		{"GET", "One", "", 404, refusedAs("CertificateIssuerNotFound", "Issuer not found")},
		{"PATCH", "One", "{}", 404, refusedAs("CertificateIssuerNotFound", "Issuer not found")},
		{"DELETE", "One", "", 404, refusedAs("CertificateIssuerNotFound", "Issuer not found")},
		{"PUT", "One", `{"provider":"Test","credentials":{"account_id":"user","pwd":"planted"}` + org + `}`, 200, bundle("One", `"account_id":"user"`, org, true, begin, begin)},
		{"GET", "one", "", 200, bundle("One", `"account_id":"user"`, org, true, begin, begin)},
		{"PATCH", "ONE", `{"attributes":{"enabled":false}}`, 200, bundle("One", `"account_id":"user"`, org, false, begin, begin)},
		{"PATCH", "one", `{"credentials":{"account_id":"other"},"org_details":{},"attributes":{"enabled":true}}`, 200, bundle("One", `"account_id":"other"`, `,"org_details":{}`, true, begin, begin)},
		{"PUT", "one", `{"provider":"Test"}`, 200, strings.Replace(bundle("One", ``, ``, true, begin, begin), `"credentials":{},`, ``, 1)},
		{"PUT", "two", `{"provider":"Test","credentials":{"pwd":"planted"}}`, 200, bundle("two", ``, ``, true, begin, begin)},
		{"PUT", "bad", `{}`, 400, refusedAs("BadParameter", "Property provider has invalid value: it is required.")},
		{"PUT", "bad", `{"provider":""}`, 400, ""},
		{"PUT", "bad", `{"provider":5}`, 400, ""},
		{"PUT", "bad", `{"provider":"x","credentials":[]}`, 400, ""},
		{"PUT", "bad", `{"provider":"x","org_details":{"admin_details":{}}}`, 400, ""},
		{"PUT", "bad", `{"provider":"x","org_details":{"admin_details":[` + strings.Repeat(`{},`, maxAdmins) + `{}]}}`, 400, ""},
		{"PUT", "a_b", `{"provider":"x"}`, 400, ""},
		{"PUT", "Self", `{"provider":"x"}`, 400, ""},
		{"PUT", "unknown", `{"provider":"x"}`, 400, ""},
		{"PATCH", "SELF", `{"provider":"x"}`, 400, ""},
	} {
		got := r.do(tt.method, "/certificates/issuers/"+tt.name, tt.body)
		if got.status != tt.status || tt.want != "" && got.body != tt.want {
			t.Errorf("%s %s %s = %d %s\nwant %d %s", tt.method, tt.name, tt.body, got.status, got.body, tt.status, tt.want)
		}
		rec := r.ledger.last()
		if !strings.HasPrefix(rec.ID, "https://"+host+"/certificates/issuers/") {
			t.Errorf("%s %s is recorded for %q, want the issuer", tt.method, tt.name, rec.ID)
		}
		if strings.Contains(got.body+fmt.Sprintf("%+v", rec), "planted") {
			t.Errorf("%s %s tells the password: %s %+v", tt.method, tt.name, got.body, rec)
		}
	}
	list := `{"value":[{"id":"https://` + host + `/certificates/issuers/One","provider":"Test"}],"nextLink":`
	first := r.do("GET", "/certificates/issuers?maxresults=1", "").want(t, 200)
	if !strings.HasPrefix(first.body, list+`"https://`+host+`/certificates/issuers?api-version=2026-04-01&$skiptoken=`) {
		t.Errorf("the first page is %s", first.body)
	}
	link := strings.TrimPrefix(first.object(t)["nextLink"].(string), "https://"+host)
	if got := r.send(host, "officer", "GET", link, "").want(t, 200).body; got != strings.ReplaceAll(list, "/One", "/two")+"null}" {
		t.Errorf("the second page is %s", got)
	}
	// A certificate of an issuer that nobody here can ask fails in its body.
	r.create(t, "c", "two")
	got := r.do("GET", "/certificates/c/pending", "").want(t, 200).object(t)
	if failure, _ := got["error"].(map[string]any); got["status"] != "failed" || failure["code"] != "Certificate issuer error" || !strings.Contains(failure["message"].(string), "the provider Test") {
		t.Errorf("pending = %v, want it failed, with the provider named", got)
	}
	r.do("PATCH", "/certificates/issuers/two", `{"attributes":{"enabled":false}}`).want(t, 200)
	r.do("POST", "/certificates/c/create", `{"policy":`+ecPolicy("two")+`}`).want(t, 403)
}

// slow is a provider that is never done, or refuses.
type slow struct {
	state  string
	refuse bool
	polls  int
	forgot string
}

func (s *slow) Begin(acme.Account, []byte) ([]byte, error) { return []byte("begun"), nil }
func (s *slow) Poll(context.Context, []byte, []byte) ([]byte, [][]byte, error) {
	s.polls++
	if s.refuse {
		return []byte(s.state), nil, &acme.Refused{Reason: "Not for you.", Hint: "ask somebody else"}
	}
	if s.state == "" {
		return []byte("begun"), nil, errors.New("planted: down")
	}
	return []byte(s.state), nil, nil
}
func (s *slow) Forget(state []byte) { s.forgot = string(state) }

// TestProvider: what an issuer's provider says is what the operation says.
func TestProvider(t *testing.T) {
	r, s := newRig(t), &slow{}
	r.deps.Desk = enrollment.New(nil, map[string]enrollment.Provider{"test": s})
	r.Handler = Handler(r.deps)
	r.do("PUT", "/certificates/issuers/ca", `{"provider":"TEST"}`).want(t, 200)
	r.create(t, "c", "ca")
	poll := func(want string, polls int) answer {
		t.Helper()
		got := r.do("GET", "/certificates/c/pending", "").want(t, 200)
		if status := got.object(t)["status"]; status != want || s.polls != polls || strings.Contains(got.body, "planted") {
			t.Errorf("pending is %v after %d questions, want %s after %d: %s", status, s.polls, want, polls, got.body)
		}
		return got
	}
	poll("inProgress", 1) // down
	poll("inProgress", 1) // not asked again at once
	for _, wish := range []string{"true", "false"} {
		r.do("PATCH", "/certificates/c/pending", `{"cancellation_requested":`+wish+`}`).want(t, 200)
	}
	poll("inProgress", 1) // nor because a wish was taken back
	s.state = "ordered"
	r.now = r.now.Add(61e9)
	poll("inProgress", 2)
	r.do("POST", "/certificates/c/pending/merge", `{"x5c":["AA=="]}`).want(t, 403)
	if want := refusedAs("Forbidden", "Merge is forbidden on pending object created with issuer : ca while it is in progess."); r.do("POST", "/certificates/c/pending/merge", `{"x5c":["AA=="]}`).body != want {
		t.Errorf("merge with an issuer is refused otherwise than as recorded")
	}
	s.refuse = true
	r.now = r.now.Add(61e9)
	got := poll("failed", 3).object(t)["error"].(map[string]any)
	if got["code"] != "Request rejected" || got["message"] != "Not for you. (ask somebody else)" {
		t.Errorf("the error is %v", got)
	}
	r.create(t, "c", "ca")
	r.do("PATCH", "/certificates/c/pending", `{"cancellation_requested":true}`).want(t, 200)
	poll("cancelled", 3)
	if s.forgot != "begun" {
		t.Errorf("the provider was told to forget %q, want what was begun", s.forgot)
	}
}

// TestCertificateDies lets the store fail at each call of a creation in
// turn. Whatever was answered, the next attempt goes on from what is there,
// and in the end there is one certificate with its key and secret.
func TestCertificateDies(t *testing.T) {
	for _, how := range []memory.Fault{memory.Fail, memory.Lose} {
		for failing := 1; ; failing++ {
			r := newRig(t)
			calls := 0
			r.store.Faults = func(memory.Call) memory.Fault {
				if calls++; calls == failing {
					return how
				}
				return memory.Work
			}
			first := r.do("POST", "/certificates/c/create", `{"policy":`+ecPolicy("Self")+`}`)
			r.store.Faults = nil
			if calls < failing {
				break
			}
			// Everything in memory is gone: another server over the same store.
			r.Handler = Handler(r.deps)
			switch first.status {
			case 202:
			case 500:
				if got := r.do("POST", "/certificates/c/create", `{"policy":`+ecPolicy("Self")+`}`); got.status != 202 && got.status != 409 {
					t.Fatalf("fault %v at call %d: the next creation = %d %s", how, failing, got.status, got.body)
				}
			default:
				t.Fatalf("fault %v at call %d = %d %s", how, failing, first.status, first.body)
			}
			if got := r.do("GET", "/certificates/c/pending", "").want(t, 200).object(t); got["status"] != "completed" {
				t.Errorf("fault %v at call %d: pending = %v, want it completed", how, failing, got)
			}
			id := r.do("GET", "/certificates/c", "").want(t, 200).object(t)
			for kind, member := range map[string]string{"keys": "kid", "secrets": "sid"} {
				if got := r.do("GET", "/"+kind+"/c/versions", "").want(t, 200).body; !strings.Contains(got, id[member].(string)) {
					t.Errorf("fault %v at call %d: %s are %s, want %v", how, failing, kind, got, id[member])
				}
			}
		}
	}
}
