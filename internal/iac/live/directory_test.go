package live

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/access"
	"postern/internal/iac"
)

// guid is an id that ends in some digits.
func guid(end string) string { return "00000000-0000-0000-0000-000000000000"[:36-len(end)] + end }

// TestDirectory: who there is, who administers, and, from those that matter
// on, who is a member of what and who owns it.
func TestDirectory(t *testing.T) {
	c := newCloud(t)
	const at = "GET /graph/v1.0/"
	c.says(at+"servicePrincipals", `{"value":[{"id":"`+guid("1")+`","appId":"`+app+`","displayName":"shop"}],"@odata.nextLink":"URL/graph/page2"}`)
	c.says("GET /graph/page2", `{"value":[{"id":"`+guid("2")+`","appId":"`+app+`","displayName":"vm","alternativeNames":["isExplicit=False","/subscriptions/s/vm"]}]}`)
	c.says(at+"users", `{"value":[{"id":"`+guid("3")+`","displayName":"Ann","userPrincipalName":"ann@x.example"},{"id":"`+guid("4")+`","displayName":"Bob","userPrincipalName":"bob@x.example"}]}`)
	c.says(at+"groups", `{"value":[{"id":"`+guid("5")+`","displayName":"outer"},{"id":"`+guid("6")+`","displayName":"inner"},{"id":"`+guid("7")+`","displayName":"other"}]}`)
	c.says(at+"directoryRoles", `{"value":[{"id":"`+guid("9")+`","roleTemplateId":"`+administratorRole+`"}]}`)
	c.says(at+"directoryRoles/"+guid("9")+"/members", `{"value":[{"id":"`+guid("4")+`"}]}`)
	c.says(at+"groups/"+guid("5")+"/members", `{"value":[{"id":"`+guid("6")+`"}]}`)
	c.says(at+"groups/"+guid("5")+"/owners", `{"value":[{"id":"`+guid("1")+`"}]}`)
	c.says(at+"groups/"+guid("6")+"/members", `{"value":[{"id":"`+guid("3")+`"},{"id":"`+guid("5")+`"}]}`)
	c.says(at+"groups/"+guid("6")+"/owners", `{"value":[]}`)
	c.says(at+"servicePrincipals/"+guid("1")+"/owners", `{"value":[]}`)
	c.says(at+"applications", `{"value":[{"id":"`+guid("8")+`","appId":"`+app+`"}]}`)
	c.says(at+"applications/"+guid("8")+"/owners", `{"value":[{"id":"`+guid("3")+`"}]}`)
	d, err := open(t, c.config()).Directory(context.Background(), []access.GUID{access.MustGUID(guid("5")), access.MustGUID(guid("ff"))})
	if err != nil || len(d.Unread) > 0 {
		t.Fatalf("Directory = %v, unread %q", err, d.Unread)
	}
	var got []string
	for _, p := range d.Principals {
		var words []string
		for _, list := range [][]access.GUID{p.Groups, p.Owners} {
			ends := ""
			for _, id := range list {
				ends += id.String()[35:]
			}
			words = append(words, ends)
		}
		kind := map[bool]string{p.User: "user", p.Group: "group", p.Resource != "": "managed", p.Administrator: "administrator"}[true]
		got = append(got, strings.Join(append([]string{p.Name, kind}, words...), "|"))
	}
	want := []string{"shop|||3", "vm|managed||", "ann@x.example|user|65|", "bob@x.example|administrator||", "outer|group|6|1", "inner|group|5|", "other|group||"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Directory (-want +got):\n%s", diff)
	}

	c.routes[at+"users"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	if d, err = open(t, c.config()).Directory(context.Background(), nil); err != nil || len(d.Unread) != 1 || !strings.Contains(d.Unread[0], "users were not read") {
		t.Errorf("Directory without users = %v, unread %q, want that said", err, d.Unread)
	}
	c.says(at+"groups", `{"value":[],"@odata.nextLink":"https://elsewhere.example/x"}`)
	if _, err := open(t, c.config()).Directory(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("Directory with a foreign next page = %v, want an error", err)
	}
}

// TestManagementGroups: the tree, and what is in which.
func TestManagementGroups(t *testing.T) {
	c := newCloud(t)
	const groups = "/providers/Microsoft.Management/managementGroups/"
	c.says("GET "+groups+tenant+"/descendants", `{"value":[
		{"id":"`+groups+`a","type":"Microsoft.Management/managementGroups","name":"a","properties":{"parent":{"id":"`+groups+tenant+`"}}},
		{"id":"/subscriptions/s","type":"/subscriptions","name":"s","properties":{"parent":{"id":"`+groups+`a"}}}]}`)
	got, err := open(t, c.config()).ManagementGroups(context.Background())
	want := []Descendant{{ID: groups + "a", Name: "a", Parent: tenant}, {ID: "/subscriptions/s", Name: "s", Parent: "a", Subscription: true}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ManagementGroups = %v:\n%s", err, diff)
	}
}

// TestIdentities: a kind of resource that the server does not know is told.
func TestIdentities(t *testing.T) {
	c := newCloud(t)
	c.says("GET /subscriptions/s/providers/Microsoft.ManagedIdentity/userAssignedIdentities", `{"value":[{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i",
		"type":"Microsoft.ManagedIdentity/userAssignedIdentities","properties":{"principalId":"`+object+`"}}]}`)
	list, unread, err := open(t, c.config()).Identities(context.Background(), []*iac.Resource{{Type: iac.TypeSubscription, ID: "/subscriptions/s"}})
	if err != nil || len(list) != 1 || list[0].Body.Get("properties").Get("principalId").Text != object || len(unread) != len(workloads) {
		t.Errorf("Identities = %v, %q, %v, want one and %d kinds unread", list, unread, err, len(workloads))
	}
}
