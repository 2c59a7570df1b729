package estate

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"postern/access"
)

const perimeter = group + "/providers/Microsoft.Network/networkSecurityPerimeters/Nsp"

func associationResource(name, vault, profile, mode string) *Resource {
	body := fmt.Sprintf(`{"properties":{"privateLinkResource":{"id":%q},"profile":{"id":%q},"accessMode":%q}}`,
		strings.ToUpper(vaultResource(vault, "").ID), perimeter+"/profiles/"+profile, mode)
	return &Resource{ID: perimeter + "/resourceAssociations/" + name, Type: TypePerimeterAssociation, Name: name, Body: json.RawMessage(body)}
}

func ruleResource(profile, name, properties string) *Resource {
	if !strings.Contains(properties, "direction") {
		properties = `"direction":"Inbound",` + properties
	}
	return &Resource{ID: perimeter + "/profiles/" + profile + "/accessRules/" + name, Type: TypePerimeterRule, Name: name,
		Body: json.RawMessage(`{"properties":{` + properties + `}}`)}
}

func TestPerimeterOfAVault(t *testing.T) {
	const sub = "dddddddd-0000-0000-0000-000000000001"
	rules := []*Resource{
		ruleResource("p", "a", `"addressPrefixes":["203.0.113.0/24","2001:db8::/32","nonsense"]`),
		ruleResource("p", "b", `"subscriptions":[{"id":"/subscriptions/`+strings.ToUpper(sub)+`"},{"id":"x"}]`),
		ruleResource("p", "c", `"direction":"Outbound","addressPrefixes":["0.0.0.0/0"]`),
		ruleResource("p", "d", `"direction":"","addressPrefixes":["0.0.0.0/0"]`),
		ruleResource("other", "a", `"addressPrefixes":["198.51.100.0/24"]`),
		{ID: perimeter + "/profiles/p/accessRules/bad", Type: TypePerimeterRule, Name: "bad", Body: json.RawMessage(`{"properties":[]}`)},
	}
	inside := access.Perimeter{ID: Key(perimeter), Subscriptions: []access.GUID{access.MustGUID(sub)},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}}
	in := func(mode access.PerimeterMode) access.Perimeter { p := inside; p.Mode = mode; return p }
	rows := []struct {
		what         string
		associations []*Resource
		want         access.Perimeter
	}{
		{"none", nil, access.Perimeter{}},
		{"another vault's", []*Resource{associationResource("x", "v2", "p", "Enforced")}, access.Perimeter{}},
		{"enforced", []*Resource{associationResource("x", "v", "p", "enforced")}, in(access.PerimeterEnforced)},
		{"learning", []*Resource{associationResource("x", "v", "p", "Learning")}, in(access.PerimeterTransition)},
		{"transition", []*Resource{associationResource("x", "v", "p", "Transition")}, in(access.PerimeterTransition)},
		{"audit", []*Resource{associationResource("x", "v", "p", "Audit")}, in(access.PerimeterTransition)},
		{"a word that means nothing", []*Resource{associationResource("x", "v", "p", "Off")}, in(access.PerimeterEnforced)},
		{"no such profile", []*Resource{associationResource("x", "v", "none", "Enforced")}, access.Perimeter{Mode: access.PerimeterEnforced, ID: Key(perimeter)}},
		{"two", []*Resource{associationResource("x", "v", "p", "Enforced"), associationResource("y", "v", "p", "Learning")}, access.Perimeter{Mode: access.PerimeterEnforced}},
	}
	for _, row := range rows {
		s, problems := New(append(append([]*Resource{vaultResource("v", "")}, rules...), row.associations...), options)
		v, _ := s.Vault("v")
		if diff := cmp.Diff(row.want, v.Rules.Perimeter, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.what, diff)
		}
		if len(problems) < 3 {
			t.Errorf("%s: problems = %v, want one for each text that cannot be read", row.what, problems)
		}
		if a, ok := s.Association(strings.ToUpper(v.Resource.ID)); ok != (row.want.Mode != access.PerimeterNone) || ok && a.Name != "x" {
			t.Errorf("%s: Association = %v, %v", row.what, a, ok)
		}
	}
}

// TestPerimeterDecides: what was compiled is what decides.
func TestPerimeterDecides(t *testing.T) {
	s, _ := New([]*Resource{vaultResource("v", `,"enableRbacAuthorization":true`), ruleResource("p", "a", `"addressPrefixes":["203.0.113.0/24"]`),
		associationResource("x", "v", "p", "Enforced"), assignmentResource(group, "a1")}, options)
	v, _ := s.Vault("v")
	for _, row := range []struct{ addr, want string }{{"203.0.113.9", "ByAssignment"}, {"198.51.100.9", "PerimeterDenied"}} {
		r := &access.Request{Operation: access.SecretGet, Object: "x", Origin: access.Origin{Path: access.PathPublic, Addr: netip.MustParseAddr(row.addr)},
			Caller: access.Caller{Token: access.TokenValid, Tenant: access.MustGUID(tenant), Object: access.MustGUID(principal)}}
		if got := v.Compiled.Decide(r).Reason.String(); got != row.want {
			t.Errorf("Decide from %s = %s, want %s", row.addr, got, row.want)
		}
	}
}
