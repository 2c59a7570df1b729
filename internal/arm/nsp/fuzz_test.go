package nsp

import (
	"encoding/json"
	"strings"
	"testing"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/ordered"
)

// FuzzRule: a rule that is let in means to the estate what it says: as many
// ranges and subscriptions, nothing that could not be read, and nobody
// through an outbound rule. It is let in again as it was written.
func FuzzRule(f *testing.F) {
	for _, seed := range []string{
		`{"addressPrefixes":["203.0.113.0/24","2001:db8::1"]}`, `{"direction":"inbound","subscriptions":[{"id":"/Subscriptions/33350DB6-1dbd-4e15-8f79-4d61f3bb3961/"}]}`,
		`{"direction":"Outbound","fullyQualifiedDomainNames":["a.example"],"addressPrefixes":[]}`, `{"direction":null,"addressPrefixes":["0.0.0.0/0"]}`,
		`{"addressPrefixes":["::ffff:1.2.3.4","fe80::1%eth0"]}`, `{"serviceTags":[],"emailAddresses":["a@b"]}`, `{"addressPrefixes":[null]}`, `{"subscriptions":[{}]}`,
	} {
		f.Add(seed)
	}
	const vault = "/subscriptions/33350db6-1dbd-4e15-8f79-4d61f3bb3961/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v"
	const perimeter = "/subscriptions/x/providers/" + estate.TypePerimeter + "/n"
	f.Fuzz(func(t *testing.T, body string) {
		sent, err := ordered.ParseObject([]byte(body), 32)
		if err != nil {
			return
		}
		props, err := completeRule(sent)
		if err != nil {
			return
		}
		s, problems := estate.New([]*estate.Resource{
			{ID: vault, Type: estate.TypeVault, Name: "v", Body: json.RawMessage(`{"properties":{"tenantId":"33350db6-1dbd-4e15-8f79-4d61f3bb3961"}}`)},
			{ID: perimeter + "/profiles/p/accessRules/r", Type: estate.TypePerimeterRule, Name: "r", Body: ordered.New(ordered.Member{Name: "properties", Value: props}).Bytes()},
			{ID: perimeter + "/resourceAssociations/a", Type: estate.TypePerimeterAssociation, Name: "a", Body: json.RawMessage(
				`{"properties":{"accessMode":"Enforced","privateLinkResource":{"id":"` + vault + `"},"profile":{"id":"` + perimeter + `/profiles/p"}}}`)},
		}, estate.Options{})
		v, ok := s.Vault("v")
		if !ok || len(problems) > 0 || v.Rules.Perimeter.Mode != access.PerimeterEnforced {
			t.Fatalf("completeRule(%s) = %s, of which the estate says %v", body, props.Bytes(), problems)
		}
		want := func(name string) int {
			list, _ := props.Get(name)
			if strings.EqualFold(props.Text("direction"), "Outbound") {
				return 0
			}
			return len(list.([]any))
		}
		if p := v.Rules.Perimeter; len(p.Prefixes) != want("addressPrefixes") || len(p.Subscriptions) != want("subscriptions") {
			t.Errorf("completeRule(%s) compiles to %v", body, p)
		}
		again, err := completeRule(props)
		if err != nil || string(again.Bytes()) != string(props.Bytes()) {
			t.Errorf("completeRule of %s = %s, %v", props.Bytes(), again.Bytes(), err)
		}
	})
}
