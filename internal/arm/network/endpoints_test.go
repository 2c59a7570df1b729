package network_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postern/posterntest"
)

// TestEndpoint: an endpoint as az makes it: approved at once, with an
// interface that has the first free address, and its connection on the
// vault, named as the request said (recorded).
func TestEndpoint(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("MyVault")
	path, vault := b.id("privateEndpoints", "kv-private-endpoint"), b.p.VaultID("MyVault")
	a := b.put(path, b.wish(automatic, "kv-pe-connection", "MyVault"), 201)
	nic := a.at("properties.networkInterfaces.0.id").(string)
	if !strings.HasPrefix(nic, b.id("networkInterfaces", "kv-private-endpoint.nic.")) {
		t.Errorf("the interface is %s", nic)
	}
	want := `{"name":"kv-private-endpoint","id":"` + path + `","etag":"W/\"GUID\"","type":"Microsoft.Network/privateEndpoints","location":"eastus","properties":{` +
		`"provisioningState":"Succeeded","resourceGuid":"GUID","privateLinkServiceConnections":[{"name":"kv-pe-connection","id":"` + path + `/privateLinkServiceConnections/kv-pe-connection","etag":"W/\"GUID\"",` +
		`"properties":{"provisioningState":"Succeeded","privateLinkServiceId":"` + vault + `","groupIds":["vault"],"privateLinkServiceConnectionState":{"status":"Approved","description":"","actionsRequired":"None"}},` +
		`"type":"Microsoft.Network/privateEndpoints/privateLinkServiceConnections"}],"manualPrivateLinkServiceConnections":[],"customNetworkInterfaceName":"","subnet":{"id":"` + b.subnet("pe-subnet") + `"},` +
		`"ipConfigurations":[],"networkInterfaces":[{"id":"` + nic + `"}],"customDnsConfigs":[{"fqdn":"myvault.vault.azure.net","ipAddresses":["10.0.3.4"]}]}}`
	if diff := cmp.Diff(plain(want), plain(a.text)); diff != "" {
		t.Errorf("the endpoint (-want +got):\n%s", diff)
	}
	connection := vault + "/privateEndpointConnections/kv-pe-connection"
	item := `{"id":"` + connection + `","etag":"TAG","properties":{"provisioningState":"Succeeded","privateEndpoint":{"id":"` + path + `"},"privateLinkServiceConnectionState":{"status":"Approved","actionsRequired":"None"},"groupIds":["vault"],"linkIdentifier":"LINK"}}`
	of := b.get(vault)
	link := of.at("properties.privateEndpointConnections.0.properties.linkIdentifier").(string)
	got := strings.NewReplacer(of.at("properties.privateEndpointConnections.0.etag").(string), "TAG", `"`+link+`"`, `"LINK"`).Replace(of.text)
	if !strings.Contains(got, `"privateEndpointConnections":[`+item+`]`) {
		t.Errorf("the vault = %s, want the connection %s", got, item)
	}
	single := b.get(connection)
	if single.at("name") != "kv-pe-connection" || single.at("type") != "Microsoft.KeyVault/vaults/privateEndpointConnections" || single.at("location") != "eastus" {
		t.Errorf("the connection = %s", single.text)
	}
	if list := b.get(vault + "/privateEndpointConnections"); list.text != `{"value":[`+single.text+`]}` {
		t.Errorf("the list of connections = %s", list.text)
	}
	card := b.get(nic)
	for path, want := range map[string]any{"properties.privateEndpoint.id": path, "properties.ipConfigurations.0.properties.privateIPAddress": "10.0.3.4",
		"properties.ipConfigurations.0.properties.privateIPAllocationMethod": "Dynamic", "properties.ipConfigurations.0.properties.subnet.id": b.subnet("pe-subnet"),
		"properties.ipConfigurations.0.properties.privateLinkConnectionProperties.fqdns.0":            "myvault.vault.azure.net",
		"properties.ipConfigurations.0.properties.privateLinkConnectionProperties.requiredMemberName": "default", "kind": "Regular"} {
		if got := card.at(path); got != want {
			t.Errorf("the interface's %s = %v, want %v", path, got, want)
		}
	}
	if a := b.get(b.group(posterntest.Group) + "/providers/Microsoft.Network/networkInterfaces"); a.at("value.0.id") != nic {
		t.Errorf("the list of interfaces = %s", a.text)
	}
	if a := b.get("/subscriptions/" + b.p.SubscriptionID + "/providers/Microsoft.Network/privateEndpoints"); a.at("value.0.id") != path {
		t.Errorf("the list of endpoints = %s", a.text)
	}
	b.remove(path, 200)
	b.remove(path, 204)
	b.refused("GET", nic, "", 404, "ResourceNotFound", "networkInterfaces")
	if v := b.get(vault).at("properties.privateEndpointConnections"); len(v.([]any)) != 0 {
		t.Errorf("the vault's connections after the endpoint's deletion = %v", v)
	}
}

// TestStates: a manual connection through all its states, decided with what
// az sends: the endpoint's id is lost on the way.
func TestStates(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.put(b.id("privateEndpoints", "pe"), strings.Replace(b.wish(manual, "c", "kv1"), `"groupIds"`, `"requestMessage":"please","groupIds"`, 1), 201)
	connection := b.p.VaultID("kv1") + "/privateEndpointConnections/c"
	b.expect("pe", "kv1", "Pending", "Pending")
	if a := b.get(connection); a.at("properties.privateLinkServiceConnectionState.description") != "please" {
		t.Errorf("the request's message is not shown to the vault's owner: %s", a.text)
	}
	decide := func(status string) answer {
		t.Helper()
		etag := b.get(connection).at("etag")
		return b.put(connection, fmt.Sprintf(`{"etag":%q,"properties":{"privateEndpoint":{},"privateLinkServiceConnectionState":{"status":%q,"description":"because","actionsRequired":"None"},"provisioningState":"Succeeded"}}`, etag, status), 200)
	}
	for _, status := range []string{"Approved", "rejected", "Approved", "Approved", "Rejected"} {
		before := b.get(connection).at("etag")
		a := decide(status)
		status = strings.ToUpper(status[:1]) + status[1:]
		if a.at("properties.privateEndpoint.id") != b.id("privateEndpoints", "pe") || a.at("properties.provisioningState") != "Succeeded" || a.at("etag") == before {
			t.Errorf("the decision %s = %s", status, a.text)
		}
		b.expect("pe", "kv1", status, status)
	}
	// What else a client may send is no decision.
	for _, status := range []string{`"Pending"`, `"Disconnected"`, `""`, `7`, `null`} {
		b.refused("PUT", connection, `{"properties":{"privateLinkServiceConnectionState":{"status":`+status+`}}}`, 400, "BadRequest", "privateLinkServiceConnectionState.status")
	}
	b.refused("PUT", connection+"2", `{"properties":{"privateLinkServiceConnectionState":{"status":"Approved"}}}`, 404, "PrivateEndpointConnectionNotFound", "c2")
	b.expect("pe", "kv1", "Rejected", "Rejected")
	decide("Approved")
	if a := b.remove(connection, 200); a.at("properties.provisioningState") != "Disconnected" {
		t.Errorf("the deletion = %s", a.text)
	}
	b.remove(connection, 204)
	b.expect("pe", "kv1", "Disconnected", nil)
	// The endpoint stays disconnected, whatever is sent to it.
	b.put(b.id("privateEndpoints", "pe"), b.wish(manual, "c", "kv1"), 200)
	b.expect("pe", "kv1", "Disconnected", nil)
	b.remove(b.id("privateEndpoints", "pe"), 200)
	b.put(b.id("privateEndpoints", "pe"), b.wish(manual, "c", "kv1"), 201)
	b.expect("pe", "kv1", "Pending", "Pending")
}

// TestApproval: a connection is approved by itself only for who may approve
// connections of that vault.
func TestApproval(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.put(b.group("net"), `{"location":"eastus"}`, 201)
	who := b.as(b.newcomer("networker", contributor, b.group("net"), contributor, b.id("virtualNetworks", "myvnet")))
	endpoint := b.group("net") + "/providers/Microsoft.Network/privateEndpoints/pe"
	a := who.put(endpoint, b.wish(automatic, "c", "kv1"), 201)
	const state = "properties.privateLinkServiceConnections.0.properties.privateLinkServiceConnectionState.status"
	if a.at(state) != "Pending" {
		t.Errorf("without the right to approve the connection is %v, want Pending", a.at(state))
	}
	who.refused("PUT", b.p.VaultID("kv1")+"/privateEndpointConnections/c", `{"properties":{"privateLinkServiceConnectionState":{"status":"Approved"}}}`, 403, "AuthorizationFailed", "privateEndpointConnections/write")
	b.put(b.p.VaultID("kv1")+"/privateEndpointConnections/c", `{"properties":{"privateLinkServiceConnectionState":{"status":"Approved"}}}`, 200)
	if a := who.get(endpoint); a.at(state) != "Approved" {
		t.Errorf("after the approval the endpoint says %v", a.at(state))
	}
}

// TestVaultGoes: the deletion of a vault disconnects its endpoints, and its
// recovery does not connect them again.
func TestVaultGoes(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.put(b.id("privateEndpoints", "one"), b.wish(automatic, "c", "kv1"), 201)
	b.put(b.id("privateEndpoints", "two"), b.wish(manual, "c", "kv1"), 201)
	if a := b.get(b.p.VaultID("kv1") + "/privateEndpointConnections"); a.at("value.0.name") != "c" || !strings.HasPrefix(a.at("value.1.name").(string), "c-") {
		t.Errorf("two connections of one name = %s", a.text)
	}
	b.remove(b.p.VaultID("kv1")+"?api-version=2023-07-01", 200)
	b.put(b.p.VaultID("kv1")+"?api-version=2023-07-01", `{"location":"eastus","properties":{"createMode":"recover","tenantId":"`+b.p.TenantID+`","sku":{"family":"A","name":"standard"}}}`, 200)
	b.expect("one", "kv1", "Disconnected", nil)
	b.expect("two", "kv1", "Disconnected", nil)
	b.remove(b.id("privateEndpoints", "one"), 200)
	b.remove(b.id("privateEndpoints", "two"), 200)
}

// TestAddresses: addresses are given out in order and given back, asked-for
// ones are honoured, and nobody gets another's.
func TestAddresses(t *testing.T) {
	b := start(t)
	b.drawing()
	b.put(b.subnet("pe-subnet"), `{"properties":{"addressPrefix":"10.0.3.0/29"}}`, 200)
	b.p.CreateVault("kv1")
	static := func(address string) string {
		return `,"customNetworkInterfaceName":"card-` + address + `","ipConfigurations":[{"name":"ip","properties":{"groupId":"vault","memberName":"default","privateIPAddress":"` + address + `"}}]`
	}
	address := func(name string) any {
		return b.get(b.id("privateEndpoints", name)).at("properties.customDnsConfigs.0.ipAddresses.0")
	}
	b.put(b.id("privateEndpoints", "fixed"), b.wish(automatic, "fixed", "kv1", static("10.0.3.5")), 201)
	card := b.get(b.id("networkInterfaces", "card-10.0.3.5"))
	if card.at("properties.ipConfigurations.0.name") != "ip" || card.at("properties.ipConfigurations.0.properties.privateIPAllocationMethod") != "Static" || address("fixed") != "10.0.3.5" {
		t.Errorf("the interface with a fixed address = %s", card.text)
	}
	b.refused("PUT", b.id("privateEndpoints", "rival"), b.wish(automatic, "rival", "kv1", strings.Replace(static("10.0.3.5"), "card-", "rival-", 1)), 400, "PrivateIPAddressIsAllocated",
		"IP configuration "+b.id("networkInterfaces", "rival-10.0.3.5")+"/ipConfigurations/ip is using the private IP address 10.0.3.5 which is already allocated to resource "+b.id("networkInterfaces", "card-10.0.3.5")+"/ipConfigurations/ip.")
	b.refused("PUT", b.id("privateEndpoints", "rival"), b.wish(automatic, "rival", "kv1", strings.Replace(static("10.0.3.6"), "card-10.0.3.6", "card-10.0.3.5", 1)), 400, "PrivateEndpointCustomNetworkInterfaceNameInUse", "card-10.0.3.5")
	for name, want := range map[string]string{"first": "10.0.3.4"} {
		b.put(b.id("privateEndpoints", name), b.wish(automatic, name, "kv1"), 201)
		if got := address(name); got != want {
			t.Errorf("the address of %s = %v, want %v", name, got, want)
		}
	}
	b.put(b.id("privateEndpoints", "second"), b.wish(automatic, "second", "kv1"), 201)
	b.refused("PUT", b.id("privateEndpoints", "third"), b.wish(automatic, "third", "kv1"), 400, "SubnetIsFull", "10.0.3.0/29 does not have enough capacity")
	b.remove(b.id("privateEndpoints", "first"), 200)
	b.put(b.id("privateEndpoints", "third"), b.wish(automatic, "third", "kv1"), 201)
	if got := address("third"); got != "10.0.3.4" {
		t.Errorf("the address that was given back = %v, want 10.0.3.4", got)
	}
}

// TestEndpointRefused: what an endpoint cannot be made for, and what of one
// cannot be changed.
func TestEndpointRefused(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	b.p.CreateVault("kv2")
	path := b.id("privateEndpoints", "pe")
	wish := b.wish(automatic, "c", "kv1")
	const missing = "was not found. Please make sure that the referenced resource exists, and that both resources are in the same region."
	b.refused("PUT", path, strings.Replace(wish, "/myvnet/", "/other/", 1), 400, "InvalidResourceReference", "Resource "+b.id("virtualNetworks", "other")+" referenced by resource "+path+" "+missing)
	b.refused("PUT", path, strings.Replace(wish, "eastus", "westus", 1), 400, "InvalidResourceReference", "Resource "+b.id("virtualNetworks", "myvnet")+" referenced by resource "+path+" "+missing)
	b.refused("PUT", path, strings.Replace(wish, "pe-subnet", "no-subnet", 1), 400, "InvalidResourceReference", "Resource "+b.subnet("no-subnet")+" referenced by resource "+path+" "+missing)
	b.refused("PUT", path, b.wish(automatic, "c", "none"), 400, "InvalidResourceReference", "Resource "+b.p.VaultID("none")+" referenced by")
	b.refused("PUT", path, strings.Replace(wish, b.p.VaultID("kv1"), b.id("virtualNetworks", "myvnet"), 1), 400, "InvalidResourceReference", missing)
	b.refused("PUT", path, strings.Replace(wish, `["vault"]`, `["managedHsm"]`, 1), 400, "BadRequest", "Call to Microsoft.KeyVault/vaults failed. Error message: Invalid groupId")
	b.refused("PUT", path+".", wish, 400, "InvalidResourceName", "Resource name pe. is invalid.")
	b.refused("GET", path, "", 404, "ResourceNotFound", "Microsoft.Network/privateEndpoints/pe")
	a := b.put(path, wish, 201)
	// az private-endpoint update: what GET answered, with tags.
	if next := b.put(path, strings.Replace(a.text, `"location"`, `"tags":{"a":"b"},"location"`, 1), 200); next.at("tags.a") != "b" || next.at("properties.networkInterfaces.0.id") != a.at("properties.networkInterfaces.0.id") {
		t.Errorf("an update = %s", next.text)
	}
	b.refused("PUT", path, strings.Replace(wish, "pe-subnet", "app-subnet", 1), 400, "CannotChangeSubnetOnExistingPrivateEndpoint", "Current subnet: '"+b.subnet("pe-subnet")+".' Requested subnet: '"+b.subnet("app-subnet")+".'")
	const change = "Please ensure you are not updating the details of existing private link connection: '"
	b.refused("PUT", path, b.wish(automatic, "d", "kv1"), 400, "CannotChangePrivateLinkConnectionOnPrivateEndpoint", change+path+"/privateLinkServiceConnections/c'. That is not allowed.")
	b.refused("PUT", path, b.wish(automatic, "c", "kv2"), 400, "CannotChangePrivateLinkConnectionOnPrivateEndpoint", change)
	b.refused("PUT", path, b.wish(manual, "c", "kv1"), 400, "CannotChangePrivateLinkConnectionOnPrivateEndpoint", change)
	b.refused("PUT", path, strings.Replace(wish, "eastus", "westus", 1), 409, "InvalidResourceLocation", "already exists in location 'eastus'")
}

// TestLimit: 64 connections, whether they are approved or not.
func TestLimit(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	links := map[any]bool{}
	for i := range 64 {
		b.put(b.id("privateEndpoints", fmt.Sprint("pe", i)), b.wish([]string{automatic, manual}[i%2], fmt.Sprint("c", i), "kv1"), 201)
	}
	b.refused("PUT", b.id("privateEndpoints", "more"), b.wish(manual, "more", "kv1"), 400, "BadRequest", "has 64 private endpoint connections, which is the limit.")
	list := b.get(b.p.VaultID("kv1") + "/privateEndpointConnections")
	for i := range 64 {
		links[list.at(fmt.Sprintf("value.%d.properties.linkIdentifier", i))] = true
	}
	if len(links) != 64 {
		t.Errorf("%d link identifiers of 64 connections: some are the same", len(links))
	}
}

// TestVaultRules: a rule is checked against the subnet, with the network's
// own words; the flag leaves out the service endpoint alone.
func TestVaultRules(t *testing.T) {
	b := start(t)
	b.drawing()
	b.p.CreateVault("kv1")
	vault := b.p.VaultID("kv1") + "?api-version=2023-07-01"
	rule := func(subnet, more string) string {
		return fmt.Sprintf(`{"properties":{"networkAcls":{"virtualNetworkRules":[{"id":%q%s}]}}}`, subnet, more)
	}
	const stem = "Operation on Virtual Network could not be performed. StatusCode: "
	b.refused("PATCH", vault, rule(strings.ToUpper(b.subnet("app-subnet")), ""), 400, "VirtualNetworkNotValid", stem+"400 (BadRequest). Error Code: SubnetsHaveNoServiceEndpointsConfigured."+
		" Error Message: Subnets app-subnet of virtual network "+b.id("virtualNetworks", "myvnet")+" do not have ServiceEndpoints for Microsoft.KeyVault resources configured."+
		" Add Microsoft.KeyVault to subnet's ServiceEndpoints collection before trying to ACL Microsoft.KeyVault resources to these subnets..")
	b.refused("PATCH", vault, rule(b.subnet("none"), ""), 400, "VirtualNetworkNotValid", stem+"400 (BadRequest). Error Code: SubnetsNotFound. Error Message: Virtual network "+b.id("virtualNetworks", "myvnet")+" does not have subnets with names none..")
	b.refused("PATCH", vault, rule(strings.Replace(b.subnet("a"), "myvnet", "none", 1), ""), 400, "VirtualNetworkNotValid", stem+"404 (NotFound). Error Code: ResourceNotFound. Error Message: The Resource 'Microsoft.Network/virtualNetworks/none' under resource group 'postern' was not found.")
	a := b.do("PATCH", vault, rule(b.subnet("app-subnet"), `,"ignoreMissingVnetServiceEndpoint":true`), 200)
	if strings.Contains(a.text, "ignoreMissing") || a.at("properties.networkAcls.virtualNetworkRules.0.id") != strings.ToLower(b.subnet("app-subnet")) {
		t.Errorf("the rule with the flag = %s", a.text)
	}
	b.put(b.subnet("aks-subnet"), `{"properties":{"addressPrefix":"10.0.2.0/24","serviceEndpoints":[{"service":"Microsoft.KeyVault"}]}}`, 200)
	b.do("PATCH", vault, rule(b.subnet("aks-subnet"), ""), 200)
	b.refused("PATCH", vault, rule(b.subnet("app-subnet"), ""), 400, "VirtualNetworkNotValid", "SubnetsHaveNoServiceEndpointsConfigured")
}
