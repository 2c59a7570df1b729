package entra

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const graphURL = "https://graph.microsoft.com"

func TestGraph(t *testing.T) {
	w := newWorld(t)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), nil)
	bob, _, err := w.CreateServicePrincipal(t.Context(), w.home.ID, "O'Brien's")
	if err != nil {
		t.Fatal(err)
	}
	alice, stranger := w.alice, w.stranger
	bearer := w.bearer(t, alice, graphURL)
	names := func(p Principal) string {
		return "/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:c%20eq%20'" + p.App.String() + "')"
	}
	for _, row := range []struct {
		path string
		want []Principal
	}{
		{names(alice), []Principal{alice}},
		{names(stranger), nil},
		{"/v1.0/servicePrincipals?%24filter=servicePrincipalNames%2Fany%28c%3Ac+eq+%27" + alice.App.String() + "%27%29", []Principal{alice}},
		{"/v1.0/servicePrincipals?$filter=appId%20eq%20'" + strings.ToUpper(alice.App.String()) + "'&$select=id&$top=5", []Principal{alice}},
		{"/v1.0/servicePrincipals?$filter=displayName+eq+'ALICE'", []Principal{alice}},
		{"/v1.0/servicePrincipals?$filter=displayName+eq+'O''Brien''s'", []Principal{bob}},
		{"/v1.0/servicePrincipals", []Principal{bob, alice}},
		{"/v1.0/servicePrincipals?$filter=displayName+eq+'stranger'", nil},
	} {
		r := get(graphURL + row.path)
		r.Header.Set("Authorization", bearer)
		status, body := ask(t, h, r)
		want := []any{}
		for _, p := range row.want {
			want = append(want, p.Object.String())
		}
		got := []any{}
		for _, v := range asList(body["value"]) {
			got = append(got, v.(map[string]any)["id"])
		}
		if diff := cmp.Diff(want, got); status != 200 || diff != "" {
			t.Errorf("GET %s = %d: %s", row.path, status, diff)
		}
	}
	r := get("https://graph.postern.localhost:8443/v1.0/servicePrincipals/" + alice.Object.String())
	r.Header.Set("Authorization", bearer)
	app := alice.App.String()
	want := map[string]any{"@odata.context": "https://graph.postern.localhost:8443/v1.0/$metadata#servicePrincipals/$entity", "id": alice.Object.String(),
		"accountEnabled": true, "displayName": "alice", "appDisplayName": "alice", "appId": app, "appOwnerOrganizationId": w.home.ID.String(),
		"servicePrincipalNames": []any{app}, "servicePrincipalType": "Application", "alternativeNames": []any{}}
	if status, body := ask(t, h, r); status != 200 || cmp.Diff(want, body) != "" {
		t.Errorf("one = %d: %s", status, cmp.Diff(want, body))
	}
}

func asList(v any) []any { list, _ := v.([]any); return list }

func TestGraphByIDs(t *testing.T) {
	w := newWorld(t)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), nil)
	alice, stranger := w.alice.Object.String(), w.stranger.Object.String()
	many := strings.TrimSuffix(strings.Repeat(`"`+alice+`",`, maxIDs+1), ",")
	for _, row := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"ids":["` + alice + `"],"types":["user","group","servicePrincipal","directoryObjectPartnerReference"]}`, 200, "[" + alice + " alice #microsoft.graph.servicePrincipal]"},
		{`{"ids":["` + stranger + `","` + alice + `","` + alice + `"]}`, 200, "[" + alice + " alice #microsoft.graph.servicePrincipal]"},
		{`{"ids":["` + alice + `"],"types":["user"]}`, 200, ""},
		{`{"ids":[]}`, 200, ""},
		{`{"ids":["alice"]}`, 400, ""},
		{`{"ids":"` + alice + `"}`, 400, ""},
		{`{}`, 400, ""},
		{`{"ids":[],"ids":[]}`, 400, ""},
		{`{"ids":[` + many + `]}`, 400, ""},
		{`{"ids":[],"types":1}`, 400, ""},
		{`[]`, 400, ""},
		{``, 400, ""},
		{`{"ids":[],"x":"` + strings.Repeat("x", maxGraphBody) + `"}`, 400, ""},
	} {
		r := httptest.NewRequest("POST", graphURL+"/v1.0/directoryObjects/getByIds", strings.NewReader(row.body))
		r.Header.Set("Authorization", w.bearer(t, w.alice, graphURL))
		status, body := ask(t, h, r)
		got := ""
		for _, v := range asList(body["value"]) {
			m := v.(map[string]any)
			got += fmt.Sprint([]any{m["id"], m["displayName"], m["@odata.type"]})
		}
		if status != row.status || got != row.want {
			t.Errorf("getByIds(%.60s) = %d %s, want %d %s", row.body, status, got, row.status, row.want)
		}
	}
}

func TestGraphRefused(t *testing.T) {
	w := newWorld(t)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), nil)
	good := w.bearer(t, w.alice, graphURL)
	sp := "/v1.0/servicePrincipals"
	for _, row := range []struct {
		method, path, bearer string
		status               int
		code                 string
	}{
		{"GET", "/v1.0/me", good, 400, "BadRequest"},
		{"GET", "/v1.0/me", "", 401, "InvalidAuthenticationToken"},
		{"GET", "/v1.0/me", "PoP x", 401, "InvalidAuthenticationToken"},
		{"GET", "/v1.0/me", "Bearer x", 401, "InvalidAuthenticationToken"},
		{"GET", sp, w.bearer(t, w.alice, vaultAudience), 401, "InvalidAuthenticationToken"},
		{"GET", sp + "?$filter=", good, 400, "Request_UnsupportedQuery"},
		{"GET", sp + "?$filter=id+ne+'x'", good, 400, "Request_UnsupportedQuery"},
		{"GET", sp + "?$filter=appId+eq+'x'+or+1+eq+1", good, 400, "Request_UnsupportedQuery"},
		{"GET", sp + "?$filter=appId+eq+'x'&$filter=appId+eq+'y'", good, 400, "BadRequest"},
		{"GET", sp + "/" + w.stranger.Object.String(), good, 404, "Request_ResourceNotFound"},
		{"GET", sp + "/alice", good, 400, "Request_BadRequest"},
		{"GET", sp + "/a/b", good, 404, "BadRequest"},
		{"POST", sp, good, 400, "Request_BadRequest"},
		{"PUT", sp, good, 405, "Request_BadRequest"},
		{"DELETE", sp + "/" + w.alice.Object.String(), good, 403, "Authorization_RequestDenied"},
		{"POST", "/v1.0/users", good, 403, "Authorization_RequestDenied"},
		{"POST", "/v1.0/groups", good, 403, "Authorization_RequestDenied"},
		{"POST", "/v1.0/applications", good, 403, "Authorization_RequestDenied"},
		{"POST", sp + "/" + w.alice.Object.String() + "/addPassword", good, 403, "Authorization_RequestDenied"},
		{"DELETE", sp + "/" + w.stranger.Object.String(), good, 404, "Request_ResourceNotFound"},
		{"GET", "/v1.0/users/nobody@home.example", good, 404, "Request_ResourceNotFound"},
		{"GET", "/v1.0/directoryObjects/getByIds", good, 405, "Request_BadRequest"},
		{"GET", "/v1.0/devices", good, 404, "BadRequest"},
		{"GET", "/beta/me", good, 404, "BadRequest"},
		{"GET", "/", good, 404, "BadRequest"},
	} {
		r := httptest.NewRequest(row.method, graphURL+row.path, nil)
		if row.bearer != "" {
			r.Header.Set("Authorization", row.bearer)
		}
		status, body := ask(t, h, r)
		e, _ := body["error"].(map[string]any)
		if status != row.status || e["code"] != row.code || e["message"] == "" {
			t.Errorf("%s %s = %d %v, want %d %s", row.method, row.path, status, body, row.status, row.code)
		}
	}
	twice := get(graphURL + sp)
	twice.Header["Authorization"] = []string{good, good}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, twice)
	if rec.Code != http.StatusUnauthorized || !strings.HasPrefix(rec.Header().Get("WWW-Authenticate"), `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"`) {
		t.Errorf("two headers = %d %v, want 401 and a challenge", rec.Code, rec.Header())
	}
}

func TestFilter(t *testing.T) {
	for _, row := range []struct {
		text string
		want filter
		ok   bool
	}{
		{"servicePrincipalNames/any(c:c eq 'x')", filter{byServicePrincipalName, "x"}, true},
		{"servicePrincipalNames/any(name: name eq 'x')", filter{byServicePrincipalName, "x"}, true},
		{" appId eq 'x' ", filter{byAppID, "x"}, true},
		{"appId  eq  'x'", filter{byAppID, "x"}, true},
		{"displayName eq ''''", filter{byDisplayName, "'"}, true},
		{"displayName eq ''", filter{byDisplayName, ""}, true},
		{"displayName eq 'a) or (b'", filter{byDisplayName, "a) or (b"}, true},
		{"", filter{}, false},
		{"appId eq x", filter{}, false},
		{"appId eq 'x", filter{}, false},
		{"appId eq '''", filter{}, false},
		{"appId eq 'a'b'", filter{}, false},
		{"appId eq 'a' or appId eq 'b'", filter{}, false},
		{"appIdeq 'a'", filter{}, false},
		{"appId eq'a'", filter{}, false},
		{"APPID eq 'a'", filter{}, false},
		{"not appId eq 'a'", filter{}, false},
		{"servicePrincipalNames/any(c:d eq 'x')", filter{}, false},
		{"servicePrincipalNames/any(:c eq 'x')", filter{}, false},
		{"servicePrincipalNames/any(1:1 eq 'x')", filter{}, false},
		{"servicePrincipalNames/any(c:c eq 'x'", filter{}, false},
		{"servicePrincipalNames/any(c:c eq 'x'))", filter{}, false},
		{"servicePrincipalNames/all(c:c eq 'x')", filter{}, false},
		{"displayName eq 'x" + strings.Repeat("y", maxFilter) + "'", filter{}, false},
		{"displayName eq '\xff'", filter{}, false},
	} {
		got, err := parseFilter(row.text)
		if got != row.want || (err == nil) != row.ok {
			t.Errorf("parseFilter(%q) = %v, %v, want %v, ok %v", row.text, got, err, row.want, row.ok)
		}
	}
}

// TestFilters: conditions joined by and, however they are quoted.
func TestFilters(t *testing.T) {
	for _, row := range []struct {
		text string
		want string
	}{
		{"displayName eq 'a'", "[{3 a}]"},
		{"displayName eq 'a' and mailNickname eq 'b'", "[{3 a} {9 b}]"},
		{"displayName eq 'a and b' and id eq 'c'", "[{3 a and b} {7 c}]"},
		{"displayName eq 'a'' and ''b'", "[{3 a' and 'b}]"},
		{"displayName eq 'a' and ", "[]"},
		{" and displayName eq 'a'", "[]"},
		{"displayName eq 'a' and and id eq 'c'", "[]"},
		{"displayName eq 'a' or id eq 'c'", "[]"},
		{"displayName eq 'a and id eq 'c'", "[]"},
		{"", "[]"},
	} {
		if got, _ := parseFilters(row.text); fmt.Sprint(got) != row.want {
			t.Errorf("parseFilters(%q) = %v, want %v", row.text, got, row.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"servicePrincipalNames/any(c:c eq 'x')", "appId eq 'x'", "displayName eq 'O''Brien'", "'", "''", "appId eq ''''", "servicePrincipalNames/any(", "a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseFilter(text)
		if err != nil {
			return
		}
		quoted := "'" + strings.ReplaceAll(got.value, "'", "''") + "'"
		again := map[filterProperty]string{byDisplayNamePrefix: "startswith(displayName," + quoted + ")", byUserName: "userPrincipalName eq " + quoted,
			byMail: "mail eq " + quoted, byNickname: "mailNickname eq " + quoted, byObject: "id eq " + quoted, byIdentifierURI: "identifierUris/any(c:c eq " + quoted + ")", byServicePrincipalName: "servicePrincipalNames/any(c:c eq " + quoted + ")",
			byAppID: "appId eq " + quoted, byDisplayName: "displayName eq " + quoted}[got.property]
		if back, err := parseFilter(again); err != nil || back != got {
			t.Errorf("parseFilter(%q) = %v, but written as %q it is %v, %v", text, got, again, back, err)
		}
	})
}
