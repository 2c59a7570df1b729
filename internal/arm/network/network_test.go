package network_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/posterntest"
)

var guids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// plain is an answer without what differs from run to run.
func plain(text string) string { return guids.ReplaceAllString(text, "GUID") }

// TestNetwork: a network from its creation to its end, with the requests of
// az network vnet.
func TestNetwork(t *testing.T) {
	b := start(t)
	path := b.id("virtualNetworks", "myvnet")
	a := b.put(path, `{"location":"East US","tags":{"a":"b"},"properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"enableDdosProtection":false,"subnets":[{"name":"app","properties":{"addressPrefix":"10.0.1.0/24"}}]}}`, 201)
	want := `{"name":"myvnet","id":"` + path + `","etag":"W/\"GUID\"","type":"Microsoft.Network/virtualNetworks","location":"eastus","tags":{"a":"b"},` +
		`"properties":{"provisioningState":"Succeeded","resourceGuid":"GUID","addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[` +
		`{"name":"app","id":"` + path + `/subnets/app","etag":"W/\"GUID\"","properties":{"provisioningState":"Succeeded","addressPrefix":"10.0.1.0/24",` +
		`"delegations":[],"privateEndpointNetworkPolicies":"Disabled","privateLinkServiceNetworkPolicies":"Enabled"},"type":"Microsoft.Network/virtualNetworks/subnets"}],` +
		`"virtualNetworkPeerings":[],"enableDdosProtection":false,"privateEndpointVNetPolicies":"Disabled"}}`
	if diff := cmp.Diff(plain(want), plain(a.text)); diff != "" {
		t.Errorf("the network (-want +got):\n%s", diff)
	}
	if got := b.get(strings.ToUpper(path)).text; got != a.text {
		t.Errorf("GET = %s, want what PUT answered: %s", got, a.text)
	}
	for _, list := range []string{b.group(posterntest.Group), "/subscriptions/" + b.p.SubscriptionID} {
		if got := b.get(list + "/providers/Microsoft.Network/virtualNetworks").text; got != `{"value":[`+a.text+`]}` {
			t.Errorf("the list of %s = %s", list, got)
		}
	}
	b.put(path, `{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16","10.9.0.0/16"]}}}`, 200)
	if a := b.get(path); a.at("properties.subnets.0.name") != "app" || a.at("tags") != nil {
		t.Errorf("after a PUT without subnets and tags: %s", a.text)
	}
	if a := b.do("PATCH", path, `{"tags":{"x":"y"}}`, 200); a.at("tags.x") != "y" || a.at("properties.subnets.0.name") != "app" {
		t.Errorf("PATCH of tags = %s", a.text)
	}
	b.refused("PUT", path, `{"location":"westus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}`, 409, "InvalidResourceLocation", "already exists in location 'eastus'")
	b.refused("PUT", path, `{"properties":{"addressSpace":{"addressPrefixes":["10.9.0.0/16"]}}}`, 400, "NetcfgSubnetRangeOutsideVnet", "Subnet 'app'")
	b.refused("PUT", path+"2", `{"properties":{}}`, 400, "LocationRequired", "location")
	b.refused("PUT", path+"2", `{"location":"mars","properties":{}}`, 400, "LocationNotAvailableForResourceType", "Microsoft.Network/virtualNetworks")
	b.refused("PUT", path+"-", `{"location":"eastus","properties":{}}`, 400, "InvalidResourceName", "Resource name myvnet- is invalid.")
	b.refused("PUT", path, `{"location":`, 400, "InvalidRequestContent", "")
	b.remove(path, 200)
	b.remove(path, 204)
	b.refused("GET", path, "", 404, "ResourceNotFound", "The Resource 'Microsoft.Network/virtualNetworks/myvnet' under resource group 'postern' was not found.")
}

// TestSubnet: a subnet as a resource of its own, with the requests of az
// network vnet subnet.
func TestSubnet(t *testing.T) {
	b := start(t)
	b.refused("PUT", b.subnet("x"), `{"properties":{"addressPrefix":"10.0.9.0/24"}}`, 404, "ParentResourceNotFound", b.id("virtualNetworks", "myvnet")+"' could not be found.")
	b.drawing()
	a := b.put(b.subnet("Extra"), `{"properties":{"addressPrefixes":["10.0.9.0/24"]}}`, 201)
	if a.at("name") != "Extra" || a.at("id") != b.subnet("Extra") || a.at("properties.provisioningState") != "Succeeded" {
		t.Errorf("the new subnet = %s", a.text)
	}
	// az subnet update: what GET answered, with the service endpoint.
	before := b.get(b.subnet("extra"))
	a = b.put(b.subnet("extra"), strings.Replace(before.text, `"delegations":[]`, `"delegations":[],"serviceEndpoints":[{"service":"Microsoft.KeyVault"}]`, 1), 200)
	if a.at("name") != "Extra" || a.at("properties.serviceEndpoints.0.provisioningState") != "Succeeded" || a.at("properties.serviceEndpoints.0.locations.0") != "*" {
		t.Errorf("the subnet with the service endpoint = %s", a.text)
	}
	if list := b.get(b.id("virtualNetworks", "myvnet") + "/subnets"); len(list.doc["value"].([]any)) != 4 || list.at("value.2.name") != "Extra" {
		t.Errorf("the list = %s", list.text)
	}
	b.refused("PUT", b.subnet("y"), `{"properties":{"addressPrefix":"10.0.9.128/25"}}`, 400, "NetcfgSubnetRangesOverlap", "Subnet 'y'")
	b.refused("PUT", b.subnet("y"), `{"properties":[]}`, 400, "InvalidRequestFormat", "")
	b.refused("GET", b.subnet("y"), "", 404, "NotFound", "Resource "+b.subnet("y")+" not found.")
	b.remove(b.subnet("EXTRA"), 200)
	b.remove(b.subnet("extra"), 204)
	if list := b.get(b.id("virtualNetworks", "myvnet")); strings.Contains(list.text, "Extra") {
		t.Errorf("the network after the subnet's deletion = %s", list.text)
	}
}

// TestInUse: what an endpoint is in cannot be deleted, nor its range be
// taken away; a rule of a vault keeps nothing.
func TestInUse(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.put(b.id("privateEndpoints", "pe"), b.wish(automatic, "c", "kv1"), 201)
	nic := b.get(b.id("privateEndpoints", "pe")).at("properties.networkInterfaces.0.id").(string)
	configuration := b.get(nic).at("properties.ipConfigurations.0.id").(string)
	const tail = " and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet."
	text := "Subnet pe-subnet is in use by " + configuration + tail
	network := b.id("virtualNetworks", "myvnet")
	b.refused("DELETE", b.subnet("pe-subnet"), "", 400, "InUseSubnetCannotBeDeleted", text)
	b.refused("DELETE", network, "", 400, "InUseSubnetCannotBeDeleted", text)
	b.refused("PUT", network, `{"location":"eastus","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[]}}`, 400, "InUseSubnetCannotBeDeleted", text)
	b.refused("PUT", b.subnet("pe-subnet"), `{"properties":{"addressPrefix":"10.0.4.0/24"}}`, 400, "InUsePrefixCannotBeDeleted", "IpPrefix 10.0.3.0/24 on Subnet pe-subnet has active allocations and cannot be deleted.")
	b.put(b.subnet("pe-subnet"), `{"properties":{"addressPrefix":"10.0.3.0/25"}}`, 200)
	shown := b.get(b.subnet("pe-subnet"))
	if shown.at("properties.ipConfigurations.0.id") != configuration || shown.at("properties.privateEndpoints.0.id") != b.id("privateEndpoints", "pe") {
		t.Errorf("the subnet = %s, want what is in it", shown.text)
	}
	b.refused("DELETE", nic, "", 400, "NicInUseWithPrivateEndpoint", nic)
	b.refused("PUT", nic, `{"location":"eastus","properties":{}}`, 400, "CannotModifyNicAttachedToPrivateEndpoint", b.id("privateEndpoints", "pe"))
	b.do("PATCH", nic, `{"tags":{"x":"y"}}`, 200)

	b.put(b.subnet("app-subnet"), `{"properties":{"addressPrefix":"10.0.1.0/24","serviceEndpoints":[{"service":"Microsoft.KeyVault"}]}}`, 200)
	b.do("PATCH", b.p.VaultID("kv1")+"?api-version=2023-07-01", fmt.Sprintf(`{"properties":{"networkAcls":{"virtualNetworkRules":[{"id":%q}]}}}`, b.subnet("app-subnet")), 200)
	b.remove(b.subnet("app-subnet"), 200)
	if rules := b.get(b.p.VaultID("kv1")).at("properties.networkAcls.virtualNetworkRules.0.id"); rules != strings.ToLower(b.subnet("app-subnet")) {
		t.Errorf("the rule after the subnet's deletion = %v", rules)
	}

	b.remove(b.id("privateEndpoints", "pe"), 200)
	b.remove(b.subnet("pe-subnet"), 200)
	b.remove(network, 200)
}

// TestGroups: a group that has a network in use from elsewhere stays; one
// that holds both sides goes, and its vault is deleted and not half alive.
func TestGroups(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.put(b.group("other"), `{"location":"eastus"}`, 201)
	endpoint := b.group("other") + "/providers/Microsoft.Network/privateEndpoints/pe"
	b.put(endpoint, b.wish(automatic, "c", "kv1"), 201)
	b.refused("DELETE", b.group(posterntest.Group), "", 400, "InUseSubnetCannotBeDeleted", "Subnet pe-subnet is in use by "+b.group("other")+"/providers/Microsoft.Network/networkInterfaces/pe.nic.")
	b.remove(b.group("other"), 200)
	if v := b.get(b.p.VaultID("kv1")).at("properties.privateEndpointConnections"); len(v.([]any)) != 0 {
		t.Errorf("the vault's connections after the deletion of the endpoint's group = %v", v)
	}
	b.put(b.id("privateEndpoints", "pe"), b.wish(automatic, "c", "kv1"), 201)
	b.remove(b.group(posterntest.Group), 200)
	list := b.get("/subscriptions/" + b.p.SubscriptionID + "/resources?api-version=2021-04-01")
	if strings.Contains(list.text, "Microsoft.") {
		t.Errorf("resources after the deletion of their group = %s", list.text)
	}
	deleted := b.get("/subscriptions/" + b.p.SubscriptionID + "/providers/Microsoft.KeyVault/deletedVaults?api-version=2023-07-01")
	if deleted.at("value.0.name") != "kv1" {
		t.Errorf("deleted vaults = %s, want kv1", deleted.text)
	}
}

// TestZonesFollow: the records of an endpoint go with it, and the links of
// zones to a network with the network.
func TestZonesFollow(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.put(b.id("privateEndpoints", "pe"), b.wish(automatic, "c", "kv1"), 201)
	zone := b.id("privateDnsZones", "privatelink.vaultcore.azure.net")
	b.put(zone, `{"location":"global"}`, 201)
	b.put(zone+"/virtualNetworkLinks/link", fmt.Sprintf(`{"location":"global","properties":{"registrationEnabled":false,"virtualNetwork":{"id":%q}}}`, b.id("virtualNetworks", "myvnet")), 201)
	b.put(b.id("privateEndpoints", "pe")+"/privateDnsZoneGroups/default", fmt.Sprintf(`{"properties":{"privateDnsZoneConfigs":[{"name":"kv","properties":{"privateDnsZoneId":%q}}]}}`, zone), 201)
	if a := b.get(zone + "/A/kv1"); a.at("properties.aRecords.0.ipv4Address") != "10.0.3.4" {
		t.Errorf("the record of the endpoint = %s", a.text)
	}
	b.remove(b.id("privateEndpoints", "pe"), 200)
	b.do("GET", zone+"/A/kv1", "", 404)
	b.get(zone + "/virtualNetworkLinks/link")
	b.remove(b.id("virtualNetworks", "myvnet"), 200)
	b.do("GET", zone+"/virtualNetworkLinks/link", "", 404)
}

// TestRights: each operation asks for its action, and what is named in a
// body for the right to join it.
func TestRights(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.put(b.group("mine"), `{"location":"eastus"}`, 201)
	look := b.as(b.newcomer("looks", reader, b.group(posterntest.Group)))
	look.get(b.id("virtualNetworks", "myvnet"))
	look.get(b.subnet("app-subnet"))
	for _, row := range []struct{ method, path, body, action string }{
		{"PUT", b.id("virtualNetworks", "myvnet"), `{}`, "Microsoft.Network/virtualNetworks/write"},
		{"PATCH", b.id("virtualNetworks", "myvnet"), `{}`, "Microsoft.Network/virtualNetworks/write"},
		{"DELETE", b.id("virtualNetworks", "myvnet"), "", "Microsoft.Network/virtualNetworks/delete"},
		{"PUT", b.subnet("app-subnet"), `{}`, "Microsoft.Network/virtualNetworks/subnets/write"},
		{"DELETE", b.subnet("app-subnet"), "", "Microsoft.Network/virtualNetworks/subnets/delete"},
		{"PUT", b.id("privateEndpoints", "pe"), `{}`, "Microsoft.Network/privateEndpoints/write"},
		{"DELETE", b.id("privateEndpoints", "pe"), "", "Microsoft.Network/privateEndpoints/delete"},
		{"PATCH", b.id("networkInterfaces", "n"), `{}`, "Microsoft.Network/networkInterfaces/write"},
		{"DELETE", b.id("networkInterfaces", "n"), "", "Microsoft.Network/networkInterfaces/delete"},
		{"PUT", b.p.VaultID("kv1") + "/privateEndpointConnections/c", `{}`, "Microsoft.KeyVault/vaults/privateEndpointConnections/write"},
		{"DELETE", b.p.VaultID("kv1") + "/privateEndpointConnections/c", "", "Microsoft.KeyVault/vaults/privateEndpointConnections/delete"},
	} {
		look.refused(row.method, row.path, row.body, 403, "AuthorizationFailed", "perform action '"+row.action+"' over scope")
	}
	mine := b.as(b.newcomer("works", contributor, b.group("mine"), reader, b.group(posterntest.Group)))
	mine.refused("PUT", b.group("mine")+"/providers/Microsoft.Network/privateEndpoints/pe", b.wish(automatic, "c", "kv1"), 403, "LinkedAuthorizationFailed",
		"has permission to perform action 'Microsoft.Network/privateEndpoints/write' on scope '"+b.group("mine")+"/providers/Microsoft.Network/privateEndpoints/pe';"+
			" however, it does not have permission to perform action(s) 'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked scope(s) '"+b.subnet("pe-subnet")+"'")
	vault := strings.Replace(b.p.VaultID("kv2"), "/"+posterntest.Group+"/", "/mine/", 1)
	rule := fmt.Sprintf(`{"location":"eastus","properties":{"tenantId":%q,"sku":{"family":"A","name":"standard"},"enableRbacAuthorization":true,"networkAcls":{"virtualNetworkRules":[{"id":%q,"ignoreMissingVnetServiceEndpoint":true}]}}}`, b.p.TenantID, b.subnet("app-subnet"))
	mine.refused("PUT", vault, rule, 403, "LinkedAuthorizationFailed", "perform action(s) 'Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action' on the linked scope(s)")
	b.put(vault, rule, 200)
	mine.do("PATCH", vault, `{"properties":{"publicNetworkAccess":"Disabled"}}`, 200)
}
