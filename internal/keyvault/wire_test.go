package keyvault

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/access"
	"postern/internal/throttle"
	"postern/internal/vault"
)

func TestFind(t *testing.T) {
	for _, tt := range []struct{ method, path, want string }{
		{"GET", "/secrets", "SecretList"},
		{"GET", "/secrets/", "SecretList"},
		{"GET", "//secrets//a//", "SecretGet a"},
		{"GET", "/Secrets/a", "SecretGet a"},
		{"GET", "/secrets/a/b", "SecretGet a b"},
		{"GET", "/secrets/a/versions", "SecretListVersions a"},
		{"GET", "/secrets/restore", "SecretGet restore"},
		{"PUT", "/secrets/restore", "SecretSet restore"},
		{"POST", "/secrets/restore", "SecretRestore"},
		{"POST", "/secrets/a/backup", "SecretBackup a"},
		{"PATCH", "/secrets/a/", "SecretUpdate a"},
		{"DELETE", "/deletedsecrets/a", "SecretPurge a"},
		{"POST", "/deletedsecrets/a/recover", "SecretRecover a"},
		{"GET", "/secrets/a%2fb", "SecretGet a/b"},
		{"GET", "/secrets/..", "SecretGet .."},
		{"GET", "/secrets/%2e%2e/x", "SecretGet .. x"},
		{"GET", "/secrets/a%00", "SecretGet a\x00"},
		{"PUT", "/secrets/", "405 GET"},
		{"PUT", "/secrets/a/b", "405 GET PATCH"},
		{"HEAD", "/secrets/a", "405 PUT DELETE GET PATCH"},
		{"POST", "/healthstatus", "405 GET HEAD"},
		{"GET", "/healthstatus", "health"},
		{"GET", "/healthstatus/", "health"},
		{"GET", "/healthstatus/x", "404"},
		{"GET", "/", "404"},
		{"GET", "/keys/a", "KeyGet a"},
		{"POST", "/keys/a/sign", "KeySign a"},
		{"POST", "/keys/a//sign/", "KeySign a"},
		{"POST", "/Keys/a/b/unwrapKey", "KeyUnwrap a b"},
		{"GET", "/keys/a/rotationpolicy", "KeyRotationPolicyGet a"},
		{"POST", "/keys/restore", "KeyRestore"},
		{"GET", "/keysa/a", "404"},
		{"GET", "/secrets/a/b/c", "404"},
		{"GET", "/secrets/a/b/c/d/e/f", "404"},
		{"POST", "/rng", "managed HSM"},
		{"GET", "/keys/a/attestation", "managed HSM"},
		{"GET", "/keys/a/b/attestation", "managed HSM"},
		{"POST", "/keys/a//securewrapkey", "managed HSM"},
		{"GET", "/a/../secrets/a", "404"},
	} {
		u := must(url.ParseRequestURI(tt.path))
		target := find(tt.method, u)
		got := "404"
		switch {
		case target.health:
			got = "health"
		case target.route != nil && !target.exists():
			got = "managed HSM"
		case target.route != nil:
			got = strings.TrimSpace(target.route.Operation.String() + " " + strings.TrimSpace(target.name+" "+target.version))
		case len(target.allow) > 0:
			got = "405 " + strings.Join(target.allow, " ")
		}
		if got != tt.want {
			t.Errorf("find(%s %s) = %q, want %q", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestShape(t *testing.T) {
	r := newRig(t)
	r.do("PUT", "/secrets/a", `{"value":"x"}`).want(t, 200)
	ask := func(method, target string) answer { return r.send(host, "officer", method, target, "") }
	for _, tt := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/secrets/a?api-version=7.4", 200},
		{"GET", "/secrets/a?api%2Dversion=2025-07-01", 200},
		{"GET", "/secrets/a?API-Version=7.4-preview.1&client-request-id=1&%zz=1", 200},
		{"GET", "/secrets/a?api-version=7.4&api-version=7.4", 200},
		{"GET", "/secrets/a?api-version=7.4&api-version=7.5", 400},
		{"GET", "/secrets/a", 400},
		{"GET", "/secrets/a?api-version=", 400},
		{"GET", "/secrets/a?api-version=6.9", 400},
		{"GET", "/secrets/a?api-version=7.4%00", 400},
		{"GET", "/secrets?api-version=7.4&maxresults=0", 400},
		{"GET", "/secrets?api-version=7.4&maxresults=26", 400},
		{"GET", "/secrets?api-version=7.4&maxresults=x", 400},
		{"GET", "/secrets?api-version=7.4&maxresults=1", 200},
		{"GET", "/secrets/a%2fb?api-version=7.4", 400},
		{"GET", "/secrets/..?api-version=7.4", 400},
		{"GET", "/secrets/a/..?api-version=7.4", 404},
		{"GET", "/secrets/" + strings.Repeat("a", 128) + "?api-version=7.4", 400},
		{"GET", "/secrets/a/b/c?api-version=7.4", 404},
		{"GET", "/?api-version=7.4", 404},
		{"POST", "/rng?api-version=7.4", 400},
		{"GET", "/keys/a/b/attestation?api-version=7.6", 400},
		{"POST", "/secrets/a?api-version=7.4", 405},
		{"PUT", "/secrets/?api-version=7.4", 405},
		{"PUT", "/secrets/a?api-version=7.4", 400},
	} {
		got := ask(tt.method, tt.target)
		if got.status != tt.status || got.status >= 400 && !json.Valid([]byte(got.body)) {
			t.Errorf("%s %s = %d %s, want %d", tt.method, tt.target, got.status, got.body, tt.status)
		}
		if rec := r.ledger.last(); rec.Status != tt.status {
			t.Errorf("%s %s is recorded with %d, want %d", tt.method, tt.target, rec.Status, tt.status)
		}
	}
	if got := ask("PUT", "/secrets/a/b?api-version=7.4").header["Allow"]; len(got) != 1 || got[0] != "GET, PATCH" {
		t.Errorf("Allow %q, want GET, PATCH", got)
	}
}

func TestHealthStatusAndUnknownVault(t *testing.T) {
	r := newRig(t)
	for _, v := range []string{"kv", "closed", "private"} {
		got := r.send(vaultHost(v), "", "GET", "/healthstatus", "").want(t, 200)
		if len(got.body) != 4 || got.header["x-ms-keyvault-network-info"][0] != "conn_type=Ipv4;addr=203.0.113.7;act_addr_fam=InterNetwork;" {
			t.Errorf("healthstatus of %s: %q %q", v, got.body, got.header["x-ms-keyvault-network-info"])
		}
	}
	for _, h := range []string{vaultHost("none"), "postern.localhost", "login.postern.localhost:8443", "", "kv.vault.example.com", "a.kv.vault.azure.net"} {
		got := r.send(h, "officer", "GET", "/secrets/a?api-version=7.4", "").want(t, 404)
		if _, ok := got.object(t)["error"]; !ok {
			t.Errorf("host %q: %s, want an error in JSON", h, got.body)
		}
	}
}

func TestNetworkInfo(t *testing.T) {
	for _, tt := range []struct {
		path access.Path
		addr string
		want string
	}{
		{access.PathPublic, "198.51.100.42", "conn_type=Ipv4;addr=198.51.100.42;act_addr_fam=InterNetwork;"},
		{access.PathPublic, "2001:db8::1", "conn_type=Ipv6;addr=2001:db8::1;act_addr_fam=InterNetworkV6;"},
		{access.PathPrivateEndpoint, "10.4.5.6", "addr=10.4.5.6;act_addr_fam=InterNetworkV6;"},
		{access.PathSubnet, "10.4.5.6", "addr=10.4.5.6;act_addr_fam=InterNetworkV6;"},
		{access.PathUnknown, "", "conn_type=Unknown;"},
	} {
		addr, _ := netip.ParseAddr(tt.addr)
		if got := NetworkInfo(access.Origin{Path: tt.path, Addr: addr}); got != tt.want {
			t.Errorf("NetworkInfo(%v, %s) = %q, want %q", tt.path, tt.addr, got, tt.want)
		}
	}
}

func TestBodies(t *testing.T) {
	yes := vault.SecretInput{Value: "v", Enabled: vault.Yes, NotBefore: vault.At(1), Expires: vault.At(2), ContentType: "t", Tags: []vault.Tag{{Name: "b", Value: "1"}, {Name: "a", Value: ""}}}
	deep := strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)
	for _, tt := range []struct {
		body string
		want any // a SecretInput, or a word of the refusal
	}{
		{`{"value":"v"}`, vault.SecretInput{Value: "v"}},
		{` {"value" : "v" , "attributes":{"enabled":true,"nbf":1,"exp":2,"created":9},"contentType":"t","tags":{"b":"1","a":null},"x":[{}]} `, yes},
		{`{"value":"","tags":{},"attributes":null,"contentType":null}`, vault.SecretInput{Tags: []vault.Tag{}}},
		{`{"value":"\u00e4\ud83d\ude00\n\"\/"}`, vault.SecretInput{Value: "ä😀\n\"/"}},
		{``, "JSON object"},
		{`[]`, "JSON object"},
		{`null`, "JSON object"},
		{`{"value":"v"} x`, "JSON object"},
		{`{"value":"v"`, "JSON object"},
		{`{"value":"v",}`, "JSON object"},
		{"{\"value\":\"\xff\"}", "JSON object"},
		{"{\"value\":\"\n\"}", "JSON object"},
		{`{"value":"\ud83d"}`, "JSON object"},
		{`{"value":"\ude00\ud83d"}`, "JSON object"},
		{`{"value":"\x"}`, "JSON object"},
		{`{"value":"v","x":01}`, "JSON object"},
		{`{"value":"v","value":"w"}`, "twice"},
		{`{"value":"v","attributes":{"exp":1,"exp":2}}`, "twice"},
		{`{"value":"v","x":{"y":1,"y":2}}`, "twice"},
		{`{"value":"v","tags":{"a":"1","a":"2"}}`, "twice"},
		{`{"value":"v","x":` + deep + `}`, "deeply"},
		{`{"value":"v","x":` + strings.Repeat("[", 1000) + `}`, "deeply"},
		{`{}`, "Property value"},
		{`{"value":null}`, "Property value"},
		{`{"value":1}`, "Property value"},
		{`{"value":{"a":"b"}}`, "Property value"},
		{`{"value":"v","contentType":1}`, "Property contentType"},
		{`{"value":"v","tags":[]}`, "Property tags"},
		{`{"value":"v","tags":{"a":1}}`, "Property tags"},
		{`{"value":"v","attributes":"x"}`, "Property attributes"},
		{`{"value":"v","attributes":{"enabled":"true"}}`, "Property enabled"},
		{`{"value":"v","attributes":{"nbf":1.5}}`, "Property nbf"},
		{`{"value":"v","attributes":{"exp":-1}}`, "Property exp"},
		{`{"value":"v","attributes":{"exp":253402300800}}`, "Property exp"},
		{`{"value":"v","attributes":{"exp":99999999999999999999}}`, "Property exp"},
	} {
		got, err := readSecretSet([]byte(tt.body))
		if word, refused := tt.want.(string); refused {
			if err == nil || !strings.Contains(err.Error(), word) || !strings.HasPrefix(err.Error(), "BadParameter") {
				t.Errorf("readSecretSet(%.60s) = %v, want a refusal with %q", tt.body, err, word)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, any(got)); err != nil || diff != "" {
			t.Errorf("readSecretSet(%.60s): %v (-want +got):\n%s", tt.body, err, diff)
		}
	}
}

func TestBodyTooLarge(t *testing.T) {
	r := newRig(t)
	large := `{"value":"` + strings.Repeat("x", bodySet) + `"}`
	r.do("PUT", "/secrets/a", large).want(t, 413)
	chunked := httptest.NewRequest("PUT", "/secrets/a?api-version=7.4", strings.NewReader(large))
	chunked.Host, chunked.ContentLength = host, -1
	chunked.Header.Set("Authorization", "Bearer officer")
	r.answer(chunked).want(t, 413)
	r.do("PUT", "/secrets/a", `{"value":"`+strings.Repeat("x", 25600)+`"}`).want(t, 200)
	r.do("PUT", "/secrets/a", `{"value":"`+strings.Repeat("x", 25601)+`"}`).want(t, 400)
}

// FuzzBody: what is accepted is JSON, and says what encoding/json reads.
func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"value":"v"}`, `{"value":"\ud83d\ude00","attributes":{"enabled":true,"nbf":1,"exp":2},"tags":{"a":"b"},"contentType":"x","y":[1,-0.5e+3,null]}`, `{`, `{"value":"a","value":"b"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readSecretSet(data)
		_, _ = readSecretUpdate(data)
		_, _ = readRestore(data)
		if err != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("readSecretSet(%q) accepts what is no JSON: %v", data, err)
		}
		if want["value"] != got.Value {
			t.Errorf("readSecretSet(%q) reads value %q, want %q", data, got.Value, want["value"])
		}
		tags, _ := want["tags"].(map[string]any)
		if len(tags) != len(got.Tags) {
			t.Errorf("readSecretSet(%q) reads %d tags, want %d", data, len(got.Tags), len(tags))
		}
		for _, tag := range got.Tags {
			if v, _ := tags[tag.Name].(string); v != tag.Value {
				t.Errorf("readSecretSet(%q) reads tag %q as %q, want %q", data, tag.Name, tag.Value, v)
			}
		}
	})
}

// FuzzEncode: a bundle is what encoding/json writes for the same.
func FuzzEncode(f *testing.F) {
	f.Add("value", "text", "name", "tag", int64(5), true)
	f.Add("<&>\"\\\u2028\u2029\x00\x1f\x7f\b\f\n\r\t", "", "ä", "\xff\xfe", int64(-1), false)
	type attributes struct {
		Enabled bool   `json:"enabled"`
		NBF     *int64 `json:"nbf,omitempty"`
		Created int64  `json:"created"`
		Updated int64  `json:"updated"`
		Level   string `json:"recoveryLevel"`
		Days    int    `json:"recoverableDays"`
	}
	type secret struct {
		Value       string            `json:"value"`
		ContentType string            `json:"contentType,omitempty"`
		ID          string            `json:"id"`
		Attributes  attributes        `json:"attributes"`
		Tags        map[string]string `json:"tags"`
		Previous    string            `json:"previousVersion,omitempty"`
	}
	r := newRig(f)
	v, _ := r.deps.Snapshot().Vault("kv")
	x := &exchange{vault: v, api: api2026, grant: r.deps.Admission.Maintain(v, "")}
	x.terms = x.grant.Terms()
	f.Fuzz(func(t *testing.T, value, contentType, id, tag string, at int64, on bool) {
		want := secret{value, contentType, id, attributes{Enabled: on, Created: at, Updated: at, Level: "Recoverable+Purgeable", Days: 90}, map[string]string{tag: value}, id}
		o := vault.Object{Version: vault.Version{Enabled: on, Created: at, Updated: at, ContentType: contentType, Value: value, Previous: id, Tags: []vault.Tag{{Name: tag, Value: value}}}}
		if on {
			want.Attributes.NBF, o.Version.NotBefore = &at, vault.At(at)
		}
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(want); err != nil {
			t.Fatal(err)
		}
		got := x.appendBundle(nil, bundle{object: &o, id: id, value: true, previous: true})
		if string(got) != strings.TrimSuffix(buf.String(), "\n") {
			t.Errorf("appendBundle differs from encoding/json:\n got %q\nwant %q", got, buf.String())
		}
	})
}

// FuzzRouter: whatever the request line is, a caller without a right gets no
// success, and everybody gets an answer in JSON.
func FuzzRouter(f *testing.F) {
	for _, s := range []string{"/secrets/a", "//secrets//a//?api-version=7.4", "/secrets/%2e%2e/%2f", "/secrets/a/versions?maxresults=3&$skiptoken=x", "/healthstatus", "/%zz", "*", "/secrets/\x00", "/certificates/a/pending/merge", "/certificates/issuers/Self", "/deletedcertificates/a"} {
		f.Add("GET", s, host)
		f.Add("PUT", s, vaultHost("closed"))
	}
	r := newRig(f)
	f.Fuzz(func(t *testing.T, method, target, host string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		for _, token := range []string{"Bearer stranger", "Bearer officer", ""} {
			req := (&http.Request{Method: method, URL: u, RequestURI: target, Host: host, Header: http.Header{"Authorization": {token}}, Body: http.NoBody}).WithContext(t.Context())
			got := r.answer(req)
			found := find(method, u)
			if got.status < 400 && !found.health && token != "Bearer officer" {
				t.Errorf("%q %q at %q as %q = %d, want a refusal", method, target, host, token, got.status)
			}
			if got.status >= 500 || !found.health && got.body != "" && !json.Valid([]byte(got.body)) {
				t.Errorf("%q %q at %q as %q = %d %q", method, target, host, token, got.status, got.body)
			}
		}
	})
}

// FuzzSkipToken: a token that this list did not hand out never opens.
func FuzzSkipToken(f *testing.F) {
	r := newRig(f)
	for _, n := range []string{"a", "b"} {
		r.do("PUT", "/secrets/"+n, `{"value":"x"}`)
	}
	link := r.do("GET", "/secrets?maxresults=1", "").object(f)["nextLink"].(string)
	_, rest, _ := strings.Cut(link, "$skiptoken=")
	token, _, _ := strings.Cut(rest, "&")
	f.Add(token)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		got := r.do("GET", "/secrets?$skiptoken="+url.QueryEscape(s), "")
		if want := 400; s != "" && s != token && got.status != want {
			t.Errorf("skip token %q = %d %s, want %d", s, got.status, got.body, want)
		}
	})
}

func TestThrottled(t *testing.T) {
	r := newRig(t)
	r.deps.Admission.Budget = throttle.New(throttle.Flat(2), nil, r.deps.Now)
	for i, want := range []int{404, 404, 429} {
		got := r.do("GET", "/secrets/a", "")
		if got.status != want {
			t.Errorf("request %d = %d %s, want %d", i+1, got.status, got.body, want)
		}
		if _, ok := got.header["Retry-After"]; ok {
			t.Error("the recorded 429 has no Retry-After")
		}
	}
	// Strangers do not spend the budget of others.
	r.send(host, "", "GET", "/secrets/a?api-version=7.4", "").want(t, 401)
}

// TestDeletedVaultIsRecorded: whoever still asks for a deleted vault stands
// in its log.
func TestDeletedVaultIsRecorded(t *testing.T) {
	r := newRig(t)
	if rec := r.ledger.last(); rec.Status != 0 {
		t.Fatalf("the journal begins with %+v", rec)
	}
	r.send(vaultHost("removed"), "officer", "GET", "/secrets/a?api-version=7.4", "").want(t, 404)
	if rec := r.ledger.last(); rec.Status != 404 || rec.OperationName != "SecretGet" {
		t.Errorf("a request to a deleted vault is recorded as %+v", rec)
	}
}
