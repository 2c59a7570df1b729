package entra

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/store"
)

// TestGraphWrites is what az and Terraform do to the directory, in order:
// each row is a request with its answer; $name in a request is a value of an
// earlier answer.
func TestGraphWrites(t *testing.T) {
	w := newWorld(t)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), nil)
	if err := w.Edit(nil).SetAdministrator(t.Context(), w.alice.Object, true); err != nil {
		t.Fatal(err)
	}
	_, der := newCertificate(t, start, start.AddDate(1, 0, 0))
	bearer := w.bearer(t, w.alice, graphURL)
	held := map[string]string{"cert": base64.StdEncoding.EncodeToString(der), "alice": w.alice.Object.String(), "stranger": w.stranger.Object.String()}
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string // a part of the answer
		keep, member       string // what to keep of it
	}{
		{"POST", "/users", `{"displayName":"Bob","userPrincipalName":"bob@home.example","mailNickname":"bob","accountEnabled":true,"passwordProfile":{"password":"correct horse"}}`, 201, `"userPrincipalName":"bob@home.example"`, "bob", "id"},
		{"POST", "/users", `{"displayName":"Bob","userPrincipalName":"BOB@home.example"}`, 409, "Request_MultipleObjectsWithSameKeyValue", "", ""},
		{"POST", "/users", `{"displayName":"Bob","userPrincipalName":"x"}`, 400, "Request_BadRequest", "", ""},
		{"POST", "/users", `{"displayName":1}`, 400, "displayName", "", ""},
		{"POST", "/users", `{"displayName":"a","displayName":"b"}`, 400, "BadRequest", "", ""},
		{"GET", "/users/bob@home.example", "", 200, `"displayName":"Bob"`, "", ""},
		{"GET", "/users?$filter=userPrincipalName%20eq%20'bob@home.example'", "", 200, `"value":[{`, "", ""},
		{"GET", "/users?$filter=startswith(displayName,'bo')", "", 200, `"value":[{`, "", ""},
		{"PATCH", "/users/$bob", `{"displayName":"Robert","accountEnabled":false}`, 204, "", "", ""},
		{"GET", "/users/$bob", "", 200, `"accountEnabled":false`, "", ""},
		{"PATCH", "/users/$bob", `{"accountEnabled":true,"passwordProfile":{"password":"battery staple"}}`, 204, "", "", ""},
		{"POST", "/groups", `{"displayName":"inner","mailEnabled":false,"mailNickname":"inner","securityEnabled":true,"members@odata.bind":["https://graph.microsoft.com/v1.0/directoryObjects/$bob"]}`, 201, `"securityEnabled":true`, "inner", "id"},
		{"POST", "/groups", `{"displayName":"outer","description":"all"}`, 201, `"description":"all"`, "outer", "id"},
		{"POST", "/groups/$outer/members/$ref", `{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/$inner"}`, 204, "", "", ""},
		{"POST", "/groups/$outer/members/$ref", `{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/$inner"}`, 400, "already exist", "", ""},
		{"POST", "/groups/$outer/members/$ref", `{"@odata.id":"https://graph.microsoft.com/v1.0/directoryObjects/$stranger"}`, 400, "Request_BadRequest", "", ""},
		{"GET", "/groups/$outer/members", "", 200, `"displayName":"inner"`, "", ""},
		{"POST", "/users/$bob/getMemberGroups", `{"securityEnabledOnly":true}`, 200, "$outer", "", ""},
		{"POST", "/directoryObjects/$bob/checkMemberGroups", `{"groupIds":["$outer"]}`, 200, `["$outer"]`, "", ""},
		{"DELETE", "/groups/$outer/members/$inner/$ref", "", 204, "", "", ""},
		{"POST", "/users/$bob/getMemberGroups", `{}`, 200, `"value":["$inner"]`, "", ""},
		{"POST", "/applications", `{"displayName":"shop","signInAudience":"AzureADMultipleOrgs"}`, 201, `"signInAudience":"AzureADMultipleOrgs"`, "app", "id"},
		{"GET", "/applications/$app", "", 200, `"appId"`, "appid", "appId"},
		{"GET", "/applications(appId='$appid')", "", 200, `"displayName":"shop"`, "", ""},
		{"GET", "/applications?$filter=appId%20eq%20'$appid'", "", 200, `"displayName":"shop"`, "", ""},
		{"POST", "/servicePrincipals", `{"appId":"$appid","accountEnabled":true}`, 201, `"servicePrincipalType":"Application"`, "sp", "id"},
		{"POST", "/servicePrincipals", `{"appId":"$appid"}`, 409, "", "", ""},
		{"POST", "/servicePrincipals", `{"appId":"$alice"}`, 400, "backing application", "", ""},
		{"POST", "/applications/$app/addPassword", `{"passwordCredential":{"endDateTime":"9999-12-31T23:59:59-23:59"}}`, 400, `"error"`, "", ""},
		{"POST", "/applications/$app/addPassword", `{"passwordCredential":{"startDateTime":"0000-01-01T00:00:00+23:59","endDateTime":"2027-11-22T00:00:00Z"}}`, 400, `"error"`, "", ""},
		{"POST", "/applications/$app/addPassword", `{"passwordCredential":{"displayName":"rbac","endDateTime":"2027-11-22T00:00:00Z"}}`, 200, `"secretText":"`, "key", "keyId"},
		{"GET", "/applications/$app", "", 200, `"keyId":"$key"`, "", ""},
		{"GET", "/applications/$app", "", 200, `"secretText":null`, "", ""},
		{"POST", "/applications/$app/removePassword", `{"keyId":"$key"}`, 204, "", "", ""},
		{"POST", "/applications/$app/removePassword", `{"keyId":"$key"}`, 400, "No password credential", "", ""},
		{"POST", "/applications/$app/addPassword", `{"passwordCredential":{"endDateTime":"2020-11-22T00:00:00Z"}}`, 400, "past", "", ""},
		{"PATCH", "/applications/$app", `{"keyCredentials":[{"displayName":"c","key":"$cert","type":"AsymmetricX509Cert","usage":"Verify"}],"identifierUris":["api://shop"]}`, 204, "", "", ""},
		{"GET", "/applications?$filter=identifierUris/any(s:s%20eq%20'api://shop')", "", 200, `"type":"AsymmetricX509Cert"`, "", ""},
		{"PATCH", "/applications/$app", `{"keyCredentials":[]}`, 204, "", "", ""},
		{"GET", "/applications/$app", "", 200, `"keyCredentials":[]`, "", ""},
		{"PATCH", "/applications/$app", `{"keyCredentials":[{"key":"AAAA"}]}`, 400, "RSA", "", ""},
		{"POST", "/applications/$app/federatedIdentityCredentials", `{"name":"k8s","issuer":"https://cluster.example/","subject":"s","audiences":["api://AzureADTokenExchange"]}`, 201, `"name":"k8s"`, "fed", "id"},
		{"GET", "/applications/$app/federatedIdentityCredentials", "", 200, `"subject":"s"`, "", ""},
		{"GET", "/applications/$app/federatedIdentityCredentials/$fed", "", 200, `"subject":"s"`, "", ""},
		{"DELETE", "/applications/$app/federatedIdentityCredentials/$fed", "", 204, "", "", ""},
		{"GET", "/applications/$app/federatedIdentityCredentials/$fed", "", 404, "", "", ""},
		{"GET", "/organization", "", 200, `"name":"home.example"`, "", ""},
		{"DELETE", "/applications/$app", "", 204, "", "", ""},
		{"GET", "/servicePrincipals/$sp", "", 404, "", "", ""},
		{"DELETE", "/users/$bob", "", 204, "", "", ""},
		{"GET", "/groups/$inner/members", "", 200, `"value":[]`, "", ""},
		{"GET", "/groups/$stranger", "", 404, "", "", ""},
		{"DELETE", "/servicePrincipals/$stranger", "", 404, "", "", ""},
		{"DELETE", "/servicePrincipals/$alice/nothing", "", 404, "", "", ""},
	} {
		expand := func(s string) string {
			s = strings.ReplaceAll(s, "/$ref", "/\x00")
			for name, value := range held {
				s = strings.ReplaceAll(s, "$"+name+`"`, value+`"`)
				s = strings.ReplaceAll(s, "$"+name+`'`, value+`'`)
				s = strings.ReplaceAll(s, "$"+name+`/`, value+`/`)
				if strings.HasSuffix(s, "$"+name) {
					s = strings.TrimSuffix(s, "$"+name) + value
				}
			}
			return strings.ReplaceAll(s, "\x00", "$ref")
		}
		r := httptest.NewRequest(row.method, graphURL+"/v1.0"+expand(row.path), strings.NewReader(expand(row.body)))
		r.Header.Set("Authorization", bearer)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if text := rec.Body.String(); rec.Code != row.status || !strings.Contains(text, expand(row.want)) {
			t.Errorf("%s %s = %d %s, want %d and %s", row.method, row.path, rec.Code, text, row.status, expand(row.want))
		}
		if row.keep != "" {
			_, rest, _ := strings.Cut(rec.Body.String(), `"`+row.member+`":"`)
			held[row.keep], _, _ = strings.Cut(rest, `"`)
		}
	}
}

// TestGraphRecords: a change through Graph is recorded with who made it, in
// its transaction; one that cannot be recorded is not made.
func TestGraphRecords(t *testing.T) {
	w := newWorld(t)
	var recorded []string
	done, broken := 0, error(nil)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), func(tx *store.Tx, _ *http.Request, by *Identity, operation string, p Principal) (func() error, error) {
		recorded = append(recorded, by.ObjectID+" "+operation+" "+p.DisplayName)
		tx.Put("j/"+p.Object.String(), nil)
		return func() error { done++; return nil }, broken
	})
	if err := w.Edit(nil).SetAdministrator(t.Context(), w.alice.Object, true); err != nil {
		t.Fatal(err)
	}
	create := func() int {
		r := httptest.NewRequest("POST", graphURL+"/v1.0/groups", strings.NewReader(`{"displayName":"readers"}`))
		r.Header.Set("Authorization", w.bearer(t, w.alice, graphURL))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec.Code
	}
	if got := create(); got != 201 || done != 1 || fmt.Sprint(recorded) != "["+w.alice.Object.String()+" CreateGroup readers]" {
		t.Errorf("create = %d, recorded %v, done %d times", got, recorded, done)
	}
	broken = errors.New("no room")
	if got := create(); got != 500 || done != 1 {
		t.Errorf("create without a record = %d, done %d times", got, done)
	}
	if _, ok := w.PrincipalByName(w.home.ID, "readers"); !ok {
		t.Error("there are two groups, want the recorded one alone")
	}
	items, err := w.store.Range(t.Context(), "j/", "", 0)
	if err != nil || len(items) != 1 {
		t.Errorf("records in the store: %d, %v", len(items), err)
	}
}

// TestGraphOwners: who registered an application may change it; others may
// not, and nobody sees into another tenant.
func TestGraphOwners(t *testing.T) {
	w := newWorld(t)
	h := w.Graph(testName, w.Verifier(GraphAudiences(testName)), nil)
	e, ctx := w.Edit(nil), t.Context()
	mine := must(e.CreateApplication(ctx, w.home.ID, "mine", true, w.alice.Object))(t)
	other := must(e.CreateApplication(ctx, w.home.ID, "other", false, access.GUID{}))(t)
	away := must(e.CreateApplication(ctx, w.away.ID, "away", true, w.stranger.Object))(t)
	foreign := must(e.CreatePrincipal(ctx, w.home.ID, away.App))(t)
	for _, row := range []struct {
		who          Principal
		method, path string
		status       int
	}{
		{w.alice, "POST", "/applications/" + mine.Object.String() + "/addPassword", 200},
		{w.alice, "POST", "/applications/" + other.Object.String() + "/addPassword", 403},
		{w.alice, "POST", "/applications/" + away.Object.String() + "/addPassword", 404},
		{w.stranger, "POST", "/applications/" + mine.Object.String() + "/addPassword", 404},
		{w.stranger, "POST", "/applications/" + away.Object.String() + "/addPassword", 200},
		{w.stranger, "POST", "/servicePrincipals/" + foreign.Object.String() + "/addPassword", 404},
		{w.alice, "POST", "/servicePrincipals/" + foreign.Object.String() + "/addPassword", 403},
		{w.alice, "DELETE", "/applications/" + other.Object.String(), 403},
		{w.alice, "POST", "/servicePrincipals/" + w.alice.Object.String() + "/addPassword", 403},
		{w.alice, "DELETE", "/applications/" + mine.Object.String(), 204},
	} {
		r := httptest.NewRequest(row.method, graphURL+"/v1.0"+row.path, strings.NewReader("{}"))
		r.Header.Set("Authorization", w.bearer(t, row.who, graphURL))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != row.status {
			t.Errorf("%s: %s %s = %d %s, want %d", row.who.DisplayName, row.method, row.path, rec.Code, rec.Body, row.status)
		}
	}
	doc := fmt.Sprint((&graphCall{graph: &graph{directory: w.Directory}}).document(w.state.Load().objects[foreign.Object]))
	if !strings.Contains(doc, w.away.ID.String()) {
		t.Errorf("a foreign application's principal = %s, want the tenant of its maker in it", doc)
	}
}
