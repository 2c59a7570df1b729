package keyvault

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/internal/journal"
)

// TestLife walks one secret through all twelve operations over real TLS and
// HTTP/2, and holds every body to its bytes.
func TestLife(t *testing.T) {
	r := newRig(t)
	ids := 0
	r.deps.Random = countingReader{&ids}
	server := httptest.NewUnstartedServer(Handler(r.deps))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	do := func(method, path, body string) (int, string) {
		t.Helper()
		req := must(http.NewRequest(method, server.URL+path, strings.NewReader(body)))
		req.Host = host
		req.Header.Set("Authorization", "Bearer officer")
		resp := must(server.Client().Do(req))
		defer resp.Body.Close()
		data := must(io.ReadAll(resp.Body))
		if resp.ProtoMajor != 2 || resp.ContentLength != int64(len(data)) {
			t.Errorf("%s %s: HTTP/%d with Content-Length %d, want HTTP/2 with %d", method, path, resp.ProtoMajor, resp.ContentLength, len(data))
		}
		return resp.StatusCode, string(data)
	}
	const base = "https://kv.vault.postern.localhost:8443"
	attributes := `"attributes":{"enabled":true,"nbf":1,"exp":2,"created":1700000000,"updated":1700000000,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}`
	plain := `"attributes":{"enabled":true,"created":1700000000,"updated":1700000000,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}`
	gone := `"recoveryId":"` + base + `/deletedsecrets/My-Name","deletedDate":1700000000,"scheduledPurgeDate":1707776000,`
	v1, v2 := fmt.Sprintf("%032x", 0x02), fmt.Sprintf("%032x", 0x07)
	var blob string
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/secrets/My-Name?api-version=2026-04-01", `{"value":"a<b>&\"ä","contentType":"text","tags":{"z":"1","a":"2"},"attributes":{"nbf":1,"exp":2}}`, 200,
			`{"value":"a<b>&\"ä","contentType":"text","id":"` + base + `/secrets/My-Name/V1",` + attributes + `,"tags":{"z":"1","a":"2"}}`},
		{"GET", "/secrets/my-name/?api-version=2026-04-01", "", 200,
			`{"value":"a<b>&\"ä","contentType":"text","id":"` + base + `/secrets/My-Name/V1",` + attributes + `,"tags":{"z":"1","a":"2"}}`},
		{"PATCH", "//secrets//my-name?api%2Dversion=7.4", `{"tags":{}}`, 200,
			`{"contentType":"text","id":"` + base + `/secrets/My-Name/V1",` + attributes + `,"tags":{}}`},
		{"PUT", "/secrets/my-name?api-version=7.6", `{"value":"second"}`, 200,
			`{"value":"second","id":"` + base + `/secrets/My-Name/V2",` + plain + `}`},
		{"GET", "/secrets/my-name/V1?api-version=7.0", "", 200,
			`{"value":"a<b>&\"ä","contentType":"text","id":"` + base + `/secrets/My-Name/V1",` + strings.Replace(attributes, `,"recoverableDays":90`, "", 1) + `,"tags":{}}`},
		{"GET", "/secrets?api-version=7.4", "", 200,
			`{"value":[{"id":"` + base + `/secrets/My-Name",` + plain + `}],"nextLink":null}`},
		{"GET", "/secrets/my-name/versions?api-version=7.4", "", 200,
			`{"value":[{"contentType":"text","id":"` + base + `/secrets/My-Name/V1",` + attributes + `,"tags":{}},{"id":"` + base + `/secrets/My-Name/V2",` + plain + `}],"nextLink":null}`},
		{"POST", "/secrets/my-name/backup?api-version=7.4", "", 200, "BLOB"},
		{"DELETE", "/secrets/my-name?api-version=7.4", "", 200,
			`{` + gone + `"id":"` + base + `/secrets/My-Name/V2",` + plain + `}`},
		{"GET", "/deletedsecrets?api-version=7.4", "", 200,
			`{"value":[{` + gone + `"id":"` + base + `/secrets/My-Name",` + plain + `}],"nextLink":null}`},
		{"GET", "/deletedsecrets/my-name?api-version=7.4", "", 200,
			`{` + gone + `"id":"` + base + `/secrets/My-Name/V2",` + plain + `}`},
		{"POST", "/deletedsecrets/my-name/recover?api-version=7.4", "", 200,
			`{"id":"` + base + `/secrets/My-Name/V2",` + plain + `}`},
		{"DELETE", "/secrets/my-name?api-version=7.4", "", 200,
			`{` + gone + `"id":"` + base + `/secrets/My-Name/V2",` + plain + `}`},
		{"DELETE", "/deletedsecrets/my-name?api-version=7.4", "", 204, ``},
		{"POST", "/secrets/restore?api-version=7.4", `{"value":"BLOB"}`, 200,
			`{"id":"` + base + `/secrets/My-Name/V2",` + plain + `}`},
		{"GET", "/secrets/my-name/V1?api-version=2016-10-01", "", 200,
			`{"value":"a<b>&\"ä","contentType":"text","id":"` + base + `/secrets/My-Name/V1",` + strings.Replace(attributes, `,"recoverableDays":90`, "", 1) + `,"tags":{}}`},
	} {
		ids := strings.NewReplacer("V1", v1, "V2", v2, "BLOB", blob)
		status, got := do(tt.method, ids.Replace(tt.path), ids.Replace(tt.body))
		if tt.want == "BLOB" {
			blob = strings.TrimSuffix(strings.TrimPrefix(got, `{"value":"`), `"}`)
			got = "BLOB"
		} else {
			tt.want = ids.Replace(tt.want)
		}
		if status != tt.status || got != tt.want {
			t.Errorf("%s %s = %d\n got %s\nwant %s", tt.method, tt.path, status, got, tt.want)
		}
	}
}

// countingReader is randomness that counts: the n-th read is n.
type countingReader struct{ n *int }

func (c countingReader) Read(b []byte) (int, error) {
	*c.n++
	clear(b)
	b[len(b)-1], b[len(b)-2] = byte(*c.n), byte(*c.n>>8)
	return len(b), nil
}

func TestPaging(t *testing.T) {
	r := newRig(t)
	for i := range 60 {
		r.do("PUT", fmt.Sprintf("/secrets/s%02d", i), `{"value":"x"}`).want(t, 200)
	}
	for _, tt := range []struct {
		query string
		want  []int
	}{
		{"", []int{25, 25, 10}},
		{"?maxresults=25", []int{25, 25, 10}},
		{"?maxresults=20", []int{20, 20, 20}},
		{"?maxresults=24", []int{24, 24, 12}},
	} {
		var got []int
		seen := map[string]bool{}
		target := "/secrets" + tt.query
		for target != "" && len(got) < 9 {
			page := r.do("GET", target, "").want(t, 200).object(t)
			items := page["value"].([]any)
			got = append(got, len(items))
			for _, item := range items {
				seen[item.(map[string]any)["id"].(string)] = true
			}
			link, _ := page["nextLink"].(string)
			if link != "" && !strings.HasPrefix(link, "https://kv.vault.postern.localhost:8443/secrets?api-version=2026-04-01&$skiptoken=") {
				t.Errorf("nextLink %q", link)
			}
			target = strings.TrimPrefix(link, "https://"+host)
			target = strings.Replace(target, "api-version=2026-04-01&", "", 1)
		}
		if !cmp.Equal(got, tt.want) || len(seen) != 60 {
			t.Errorf("pages of %q hold %v items, %d different ones, want %v and 60", tt.query, got, len(seen), tt.want)
		}
	}
	public := r.send("kv.vault.azure.net", "officer", "GET", "/secrets?api-version=7.4&maxresults=1", "").want(t, 200).object(t)
	if link := public["nextLink"].(string); !strings.HasPrefix(link, "https://kv.vault.azure.net:443/secrets?api-version=7.4&$skiptoken=") || !strings.HasSuffix(link, "&maxresults=1") {
		t.Errorf("nextLink of the public name is %q", link)
	}
}

// TestForeignSkipToken: a token opens the one list it was made for.
func TestForeignSkipToken(t *testing.T) {
	r := newRig(t)
	for _, n := range []string{"a", "b"} {
		r.do("PUT", "/secrets/"+n, `{"value":"1"}`).want(t, 200)
		r.do("PUT", "/secrets/"+n, `{"value":"2"}`).want(t, 200)
		r.send(vaultHost("policies"), "officer", "PUT", "/secrets/"+n+"?api-version=7.4", `{"value":"1"}`).want(t, 200)
	}
	token := func(a answer) string {
		link := a.want(t, 200).object(t)["nextLink"].(string)
		_, rest, _ := strings.Cut(link, "$skiptoken=")
		token, _, _ := strings.Cut(rest, "&")
		return token
	}
	list := token(r.do("GET", "/secrets?maxresults=1", ""))
	versions := token(r.do("GET", "/secrets/a/versions?maxresults=1", ""))
	other := token(r.send(vaultHost("policies"), "officer", "GET", "/secrets?maxresults=1&api-version=7.4", ""))
	bent := []byte(list)
	bent[len(bent)/2] ^= 1
	for _, tt := range []struct {
		path, token string
		status      int
	}{
		{"/secrets", list, 200},
		{"/secrets/A/versions", versions, 200},
		{"/secrets/b/versions", versions, 400},
		{"/deletedsecrets", list, 400},
		{"/secrets", versions, 400},
		{"/secrets", other, 400},
		{"/secrets", string(bent), 400},
		{"/secrets", list[:len(list)-2], 400},
		{"/secrets", "x", 400},
		{"/secrets", strings.Repeat("A", 5000), 400},
	} {
		if got := r.do("GET", tt.path+"?%24skiptoken="+tt.token, ""); got.status != tt.status {
			t.Errorf("GET %s with token %.12s… = %d %s, want %d", tt.path, tt.token, got.status, got.body, tt.status)
		}
	}
}

func TestObjectErrors(t *testing.T) {
	r := newRig(t)
	version := strings.Repeat("0", 32)
	r.do("PUT", "/secrets/off", `{"value":"x","attributes":{"enabled":false}}`).want(t, 200)
	r.do("PUT", "/secrets/gone", `{"value":"x"}`).want(t, 200)
	r.do("DELETE", "/secrets/gone", "").want(t, 200)
	r.do("PUT", "/secrets/live", `{"value":"x"}`).want(t, 200)
	blob := r.do("POST", "/secrets/live/backup", "").want(t, 200).body
	protected := vaultHost("protected")
	r.send(protected, "officer", "PUT", "/secrets/a?api-version=7.4", `{"value":"x"}`).want(t, 200)
	r.send(protected, "officer", "DELETE", "/secrets/a?api-version=7.4", "").want(t, 200)
	notFound := func(id string) string {
		return `{"error":{"code":"SecretNotFound","message":"A secret with (name/id) ` + id + ` was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"}}`
	}
	for _, tt := range []struct {
		method, path, body string
		status, length     int // length 0: not recorded
		want               string
	}{
		{"GET", "/secrets/secret-that-does-not-exist", "", 404, 323, notFound("secret-that-does-not-exist")},
		{"GET", "/secrets/live/" + version, "", 404, 0, notFound("live/" + version)},
		{"PATCH", "/secrets/Nothing", "{}", 404, 0, notFound("Nothing")},
		{"POST", "/deletedsecrets/nothing/recover", "", 404, 0, notFound("nothing")},
		{"GET", "/deletedsecrets/secret518723441", "", 404, 89, `{"error":{"code":"SecretNotFound","message":"Deleted Secret not found: secret518723441"}}`},
		{"DELETE", "/deletedsecrets/n", "", 404, 0, `{"error":{"code":"SecretNotFound","message":"Deleted Secret not found: n"}}`},
		{"GET", "/secrets/off", "", 403, 132, `{"error":{"code":"Forbidden","message":"Operation get is not allowed on a disabled secret.","innererror":{"code":"SecretDisabled"}}}`},
		{"PUT", "/secrets/gone", `{"value":"x"}`, 409, 0, `{"error":{"code":"Conflict","message":"Secret gone is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged.","innererror":{"code":"ObjectIsDeletedButRecoverable"}}}`},
		{"POST", "/secrets/restore", blob, 409, 0, `{"error":{"code":"Conflict","message":"Secret live exists already; a backup can be restored only where its name is free."}}`},
		{"POST", "/secrets/restore", `{"value":"AAAA"}`, 400, 78, `{"error":{"code":"Malformed backup blob","message":"Backup blob is corrupt."}}`},
		{"POST", "/secrets/restore", `{"value":"*"}`, 400, 78, `{"error":{"code":"Malformed backup blob","message":"Backup blob is corrupt."}}`},
		{"PUT", "/secrets/", `{"value":"x"}`, 405, 70, `{"error":{"code":"MethodNotAllowed","message":"HTTP PUT not allowed"}}`},
		{"PUT", "/secrets/a_b", `{"value":"x"}`, 400, 0, `{"error":{"code":"BadParameter","message":"The request URI contains an invalid name: a_b"}}`},
		{"PUT", "/secrets/live", `{"value":1}`, 400, 0, `{"error":{"code":"BadParameter","message":"Property value has invalid value: it has the wrong type."}}`},
	} {
		got := r.do(tt.method, tt.path, tt.body)
		if got.status != tt.status || got.body != tt.want {
			t.Errorf("%s %s = %d %s\nwant %d %s", tt.method, tt.path, got.status, got.body, tt.status, tt.want)
		}
		if tt.length != 0 && len(got.body) != tt.length {
			t.Errorf("%s %s: Content-Length %d, want the recorded %d", tt.method, tt.path, len(got.body), tt.length)
		}
		if rec := r.ledger.last(); rec.Status != tt.status || rec.ResultDescription == "" {
			t.Errorf("%s %s is recorded as %d %q", tt.method, tt.path, rec.Status, rec.ResultDescription)
		}
	}
	want := `{"error":{"code":"Forbidden","message":"Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service will automatically purge it after the retention period has passed.\r\nVault: protected;location=eastus"}}`
	if got := r.send(protected, "officer", "DELETE", "/deletedsecrets/a?api-version=7.4", ""); got.status != 403 || got.body != want {
		t.Errorf("purge where it is protected = %d %s, want 403 %s", got.status, got.body, want)
	}
	foreign := vaultNamed("elsewhere", rbac)
	foreign.Location = "westeurope"
	other := newRig(t, foreign)
	want = `{"error":{"code":"BadParameter","message":"Cannot decrypt backup blob"}}`
	if got := other.send(vaultHost("elsewhere"), "officer", "POST", "/secrets/restore?api-version=7.4", blob); got.status != 400 || got.body != want {
		t.Errorf("restore in another geography = %d %s, want 400 %s", got.status, got.body, want)
	}
}

func TestRecords(t *testing.T) {
	r := newRig(t)
	put := r.do("PUT", "/secrets/a", `{"value":"planted"}`).want(t, 200).object(t)
	id := put["id"].(string)
	set := r.ledger.last()
	r.do("GET", "/secrets/a", "").want(t, 200)
	get := r.ledger.last()
	r.send(host, "", "GET", "/secrets/a?api-version=7.4", "").want(t, 401)
	unknown := r.ledger.last()
	r.send(host, "stranger", "DELETE", "/secrets/a?api-version=7.4", "").want(t, 403)
	denied := r.ledger.last()
	for _, tt := range []struct {
		got  journal.Record
		want string
	}{
		{set, "SecretSet 2026-04-01 200 " + id + " " + officer + " 203.0.113.7 PublicIP"},
		{get, "SecretGet 2026-04-01 200 " + id + " " + officer + " 203.0.113.7 PublicIP"},
		{unknown, "Authentication 7.4 401 https://" + host + "/secrets/a  203.0.113.7 PublicIP"},
		{denied, "SecretDelete 7.4 403 https://" + host + "/secrets/a " + stranger + " 203.0.113.7 PublicIP"},
	} {
		rec := tt.got
		got := strings.Join([]string{rec.OperationName, rec.OperationVersion, fmt.Sprint(rec.Status), rec.ID, rec.Identity.Object, rec.CallerIP.String(), rec.AddrAuthType}, " ")
		if got != tt.want {
			t.Errorf("record %q, want %q", got, tt.want)
		}
		if text := fmt.Sprintf("%+v", rec); strings.Contains(text, "planted") {
			t.Errorf("record holds the value: %s", text)
		}
	}
}

// TestBrokenJournal: nothing is served and nothing changes while the audit
// log cannot be written.
func TestBrokenJournal(t *testing.T) {
	r := newRig(t)
	r.do("PUT", "/secrets/a", `{"value":"1"}`).want(t, 200)
	r.ledger.broken = fmt.Errorf("disk full")
	for _, tt := range []struct{ token, method, path, body string }{
		{"officer", "GET", "/secrets/a", ""},
		{"officer", "PUT", "/secrets/a", `{"value":"2"}`},
		{"officer", "GET", "/secrets/none", ""},
		{"stranger", "GET", "/secrets/a", ""},
		{"", "GET", "/secrets/a", ""},
	} {
		got := r.send(host, tt.token, tt.method, tt.path+"?api-version=7.4", tt.body)
		if got.status != 503 || strings.Contains(got.body, "value") || strings.Contains(got.body, "disk") {
			t.Errorf("%s %s as %q = %d %s, want 503 and nothing said", tt.method, tt.path, tt.token, got.status, got.body)
		}
	}
	r.ledger.broken = nil
	if v := r.do("GET", "/secrets/a", "").want(t, 200).object(t)["value"]; v != "1" {
		t.Errorf("value %q after the journal broke, want 1", v)
	}
}
