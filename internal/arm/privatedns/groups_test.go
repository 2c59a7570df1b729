package privatedns_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func groupBody(zones ...string) string {
	var list []string
	for i, id := range zones {
		list = append(list, `{"name":"z`+string(rune('0'+i))+`","properties":{"privateDnsZoneId":"`+id+`"}}`)
	}
	return `{"properties":{"privateDnsZoneConfigs":[` + strings.Join(list, ",") + `]}}`
}

// TestZoneGroup: the records of a zone group come and go with it and with
// its endpoint.
func TestZoneGroup(t *testing.T) {
	r := newRig(t)
	r.p.CreateVault("kv-one")
	zone, second := r.zone(vaultZone), r.zone("second.example")
	endpoint := r.endpoint("pe", r.network("one", "10.1"), "kv-one")
	group := endpoint + "/privateDnsZoneGroups/kv-dns-zone-group"
	address := r.ok(200, "GET", endpoint, "").at("properties/customDnsConfigs/0/ipAddresses/0")
	a := r.ok(201, "PUT", group, groupBody(zone))
	want := map[string]any{"name": "z0", "id": group + "/privateDnsZoneConfigs/z0", "type": "Microsoft.Network/privateEndpoints/privateDnsZoneGroups/privateDnsZoneConfigs",
		"properties": map[string]any{"provisioningState": "Succeeded", "privateDnsZoneId": zone, "recordSets": []any{map[string]any{
			"recordType": "A", "recordSetName": "kv-one", "fqdn": "kv-one." + vaultZone, "ttl": 10.0, "provisioningState": "Succeeded", "ipAddresses": []any{address}}}}}
	if diff := cmp.Diff(any(want), a.at("properties/privateDnsZoneConfigs/0")); diff != "" {
		t.Errorf("zone config (-want +got):\n%s", diff)
	}
	rec := r.ok(200, "GET", zone+"/A/kv-one", "")
	if rec.at("properties/ttl") != 10.0 || rec.at("properties/aRecords/0/ipv4Address") != address || !strings.HasPrefix(rec.at("properties/metadata/creator").(string), "created by private endpoint pe") {
		t.Errorf("record = %s", rec.text)
	}
	if got := r.ok(200, "GET", group, ""); cmp.Diff(a.body, got.body) != "" {
		t.Errorf("GET = %s, want what PUT answered", got.text)
	}
	if list, _ := r.ok(200, "GET", endpoint+"/privateDnsZoneGroups", "").body["value"].([]any); len(list) != 1 {
		t.Errorf("%d groups, want 1", len(list))
	}
	// Other zones: the record moves.
	r.ok(200, "PUT", group, groupBody(second))
	r.refused(404, "NotFound", "", "GET", zone+"/A/kv-one", "")
	r.ok(200, "GET", second+"/A/kv-one", "")
	r.ok(200, "PUT", group, groupBody(zone, second))
	// A record that somebody has taken over stays.
	r.ok(200, "PUT", second+"/A/kv-one", `{"properties":{"ttl":60,"aRecords":[{"ipv4Address":"10.9.9.9"}]}}`)
	r.ok(200, "DELETE", group, "")
	r.ok(204, "DELETE", group, "")
	r.refused(404, "NotFound", "", "GET", zone+"/A/kv-one", "")
	r.ok(200, "GET", second+"/A/kv-one", "")
	// With the endpoint.
	r.ok(201, "PUT", group, groupBody(zone))
	r.ok(200, "DELETE", endpoint, "")
	r.refused(404, "NotFound", "", "GET", zone+"/A/kv-one", "")
	r.refused(404, "ResourceNotFound", "privateEndpoints/pe'", "GET", group, "")
}

// TestZoneGroupOfAnotherGroup: the zones of a company are in one resource
// group, the endpoints in others; deleting one of those cleans up.
func TestZoneGroupOfAnotherGroup(t *testing.T) {
	r := newRig(t)
	r.p.CreateVault("kv-one")
	zone, network := r.zone(vaultZone), r.network("one", "10.1")
	home := r.group
	r.group = "/subscriptions/" + r.p.SubscriptionID + "/resourceGroups/spoke"
	r.ok(201, "PUT", r.group, `{"location":"eastus"}`)
	endpoint := r.endpoint("pe", network, "kv-one")
	r.ok(201, "PUT", endpoint+"/privateDnsZoneGroups/default", groupBody(zone))
	r.ok(200, "GET", zone+"/A/kv-one", "")
	r.ok(200, "DELETE", r.group, "")
	r.group = home
	r.refused(404, "NotFound", "", "GET", zone+"/A/kv-one", "")
}

func TestZoneGroupRefusals(t *testing.T) {
	r := newRig(t)
	r.p.CreateVault("kv-one")
	zone := r.zone(vaultZone)
	endpoint := r.endpoint("pe", r.network("one", "10.1"), "kv-one")
	group := endpoint + "/privateDnsZoneGroups/g"
	none := r.id("privateDnsZones/none.example")
	rows := []struct {
		status           int
		code, text, path string
		put              string
	}{
		{400, "InvalidPrivateDnsZoneIds", "Private Dns Zone group " + group + " has invalid private dns zone ids " + none + ".", group, groupBody(none)},
		{400, "InvalidPrivateDnsZoneIds", "has invalid private dns zone ids .", group, groupBody()},
		{400, "InvalidPrivateDnsZoneIds", "", group, `{}`},
		{400, "InvalidPrivateDnsZoneIds", "", group, groupBody(zone, zone)},
		{400, "InvalidPrivateDnsZoneIds", "", group, groupBody("nonsense")},
		{400, "InvalidPrivateDnsZoneIds", "", group, groupBody(endpoint)},
		{400, "BadRequest", "privateDnsZoneConfigs[0]", group, strings.Replace(groupBody(zone), "z0", "", 1)},
		{400, "BadRequest", "name of the private DNS zone group", endpoint + "/privateDnsZoneGroups/$", groupBody(zone)},
		{404, "ResourceNotFound", "'Microsoft.Network/privateEndpoints/none'", r.id("privateEndpoints/none/privateDnsZoneGroups/g"), groupBody(zone)},
	}
	for _, row := range rows {
		r.refused(row.status, row.code, row.text, "PUT", row.path, row.put)
	}
	r.refused(404, "ResourceNotFound", "", "GET", group, "")
	r.ok(201, "PUT", group, groupBody(zone))
	r.refused(400, "MoreThanOnePrivateDnsZoneGroupPerPrivateEndpointNotAllowed", "Cannot create more than one private dns zone groups", "PUT", endpoint+"/privateDnsZoneGroups/h", groupBody(zone))
	r.ok(200, "GET", zone+"/A/kv-one", "")
}

// TestRoles: every operation needs its own action, and a link or a group
// also the right to join.
func TestRoles(t *testing.T) {
	r := newRig(t)
	r.p.CreateVault("kv-one")
	zone, network := r.zone(vaultZone), r.network("one", "10.1")
	endpoint := r.endpoint("pe", network, "kv-one")
	reader := r.p.CreatePrincipal("reader")
	grant := func(scope, role string) {
		r.ok(201, "PUT", scope+"/providers/Microsoft.Authorization/roleAssignments/11111111-2222-3333-4444-"+role[24:],
			`{"properties":{"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/`+role+`","principalId":"`+reader.ObjectID+`"}}`)
	}
	const readerRole, contributor = "acdd72a7-3385-48ef-bd42-f606fba81ae7", "b24988ac-6180-42a0-ab88-20f7382dd24c"
	token := r.p.TokenFor(reader.ClientID, reader.Secret, r.p.ManagementURL)
	try := func(want int, code, method, id, body string) {
		t.Helper()
		if a := r.send(token, method, id, body); a.status != want || code != "" && a.at("error/code") != code {
			t.Errorf("%s %s = %d %s, want %d %s", method, id, a.status, a.text, want, code)
		}
	}
	link := zone + "/virtualNetworkLinks/l"
	linkBody := `{"location":"global","properties":{"virtualNetwork":{"id":"` + network + `"}}}`
	all := []struct{ method, id, body string }{{"PUT", zone, `{"location":"global"}`}, {"PATCH", zone, "{}"}, {"DELETE", zone, ""}, {"PUT", zone + "/A/x", `{"properties":{"ttl":1}}`},
		{"DELETE", zone + "/A/x", ""}, {"PUT", link, linkBody}, {"DELETE", link, ""}, {"PUT", endpoint + "/privateDnsZoneGroups/g", groupBody(zone)}, {"DELETE", endpoint + "/privateDnsZoneGroups/g", ""}}
	for _, op := range all {
		try(403, "AuthorizationFailed", op.method, op.id, op.body)
	}
	try(403, "AuthorizationFailed", "GET", zone, "")
	grant(zone, readerRole)
	try(200, "", "GET", zone, "")
	try(200, "", "GET", zone+"/ALL", "")
	for _, op := range all {
		try(403, "AuthorizationFailed", op.method, op.id, op.body)
	}
	grant(zone, contributor)
	try(403, "LinkedAuthorizationFailed", "PUT", link, linkBody)
	grant(endpoint, contributor)
	try(201, "", "PUT", endpoint+"/privateDnsZoneGroups/g", groupBody(zone))
	grant(network, contributor)
	try(201, "", "PUT", link, linkBody)
}
