package drawing

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"postern/conformance/lab"
)

// The versions of the APIs, as the az CLI asks for them.
const (
	versionGroups  = "?api-version=2021-04-01"
	versionVaults  = "?api-version=2023-07-01"
	versionNetwork = "?api-version=2024-05-01"
	versionZones   = "?api-version=2020-06-01"
	versionLinks   = "?api-version=2024-06-01"
	versionRoles   = "?api-version=2022-04-01"
)

// A body is a JSON document.
type body = map[string]any

// azure changes the estate through the control plane, as the administrator.
type azure struct {
	*lab.Control
	t testing.TB
}

// id is the id of a resource in a group.
func (a azure) id(group, provider string) string {
	return "/subscriptions/" + a.Subscription + "/resourceGroups/" + group + "/providers/" + provider
}

func (a azure) put(id, version string, doc body) body {
	a.t.Helper()
	var answer body
	if err := json.Unmarshal(a.Put(a.t, id+version, doc), &answer); err != nil {
		a.t.Fatalf("PUT %s: %v", id, err)
	}
	return answer
}

func (a azure) get(id, version string) body {
	a.t.Helper()
	status, text := a.Call(a.t, http.MethodGet, id+version, nil)
	var answer body
	if err := json.Unmarshal(text, &answer); status != http.StatusOK || err != nil {
		a.t.Fatalf("GET %s = %d: %s", id, status, text)
	}
	return answer
}

func (a azure) remove(id, version string) {
	a.t.Helper()
	if status, text := a.Call(a.t, http.MethodDelete, id+version, nil); status/100 != 2 {
		a.t.Fatalf("DELETE %s = %d: %s", id, status, text)
	}
}

func (a azure) group(name, location string) {
	a.t.Helper()
	a.put("/subscriptions/"+a.Subscription+"/resourceGroups/"+name, versionGroups, body{"location": location})
}

// vault makes a vault as the guide finds it: open to everybody.
func (a azure) vault(group, name, location string) string {
	a.t.Helper()
	id := a.id(group, "Microsoft.KeyVault/vaults/"+name)
	a.put(id, versionVaults, body{"location": location, "properties": body{"tenantId": a.Tenant, "enableRbacAuthorization": true,
		"sku": body{"family": "A", "name": "standard"}, "softDeleteRetentionInDays": 7}})
	return id
}

// update changes properties of a vault.
func (a azure) update(vault string, properties body) {
	a.t.Helper()
	if status, text := a.Call(a.t, http.MethodPatch, vault+versionVaults, body{"properties": properties}); status/100 != 2 {
		a.t.Fatalf("PATCH %s = %d: %s", vault, status, text)
	}
}

// firewall is the rules of a vault: addresses and ids of subnets.
func firewall(action string, addresses, subnets []string) body {
	ips, nets := []body{}, []body{}
	for _, a := range addresses {
		ips = append(ips, body{"value": a})
	}
	for _, s := range subnets {
		nets = append(nets, body{"id": s, "ignoreMissingVnetServiceEndpoint": true})
	}
	return body{"defaultAction": action, "bypass": "AzureServices", "ipRules": ips, "virtualNetworkRules": nets}
}

// network makes a virtual network with subnets, NAME PREFIX each.
func (a azure) network(group, name, location, prefix string, subnets ...string) string {
	a.t.Helper()
	id := a.id(group, "Microsoft.Network/virtualNetworks/"+name)
	a.put(id, versionNetwork, body{"location": location, "properties": body{"addressSpace": body{"addressPrefixes": []string{prefix}}}})
	for _, s := range subnets {
		sub, prefix, _ := strings.Cut(s, " ")
		a.put(id+"/subnets/"+sub, versionNetwork, body{"properties": body{"addressPrefix": prefix}})
	}
	return id
}

// serviceEndpoint turns the service endpoint of a subnet on or off.
func (a azure) serviceEndpoint(subnet string, on bool) {
	a.t.Helper()
	doc := a.get(subnet, versionNetwork)
	list := []body{}
	if on {
		list = append(list, body{"service": "Microsoft.KeyVault"})
	}
	doc["properties"].(body)["serviceEndpoints"] = list
	a.put(subnet, versionNetwork, doc)
}

// privateEndpoint makes a private endpoint; a manual one waits for approval.
func (a azure) privateEndpoint(group, name, location, subnet, vault string, manual bool) string {
	a.t.Helper()
	list := "privateLinkServiceConnections"
	if manual {
		list = "manualPrivateLinkServiceConnections"
	}
	id := a.id(group, "Microsoft.Network/privateEndpoints/"+name)
	a.put(id, versionNetwork, body{"location": location, "properties": body{"subnet": body{"id": subnet},
		list: []body{{"name": name + "-connection", "properties": body{"privateLinkServiceId": vault, "groupIds": []string{"vault"}}}}}})
	return id
}

// connection is the id of the one connection of a vault.
func (a azure) connection(vault string) string {
	a.t.Helper()
	list, _ := a.get(vault, versionVaults)["properties"].(body)["privateEndpointConnections"].([]any)
	if len(list) != 1 {
		a.t.Fatalf("%s has %d private endpoint connections, want 1", vault, len(list))
	}
	return list[0].(body)["id"].(string)
}

// decide approves or rejects a connection.
func (a azure) decide(connection, status string) {
	a.t.Helper()
	a.put(connection, versionVaults, body{"properties": body{"privateLinkServiceConnectionState": body{"status": status, "description": "by the owner"}}})
}

// zone makes the private DNS zone of vaults in a group.
func (a azure) zone(group string) string {
	a.t.Helper()
	id := a.id(group, "Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net")
	a.put(id, versionZones, body{"location": "global"})
	return id
}

// link shows a zone to a virtual network.
func (a azure) link(zone, name, network string) string {
	a.t.Helper()
	id := zone + "/virtualNetworkLinks/" + name
	a.put(id, versionLinks, body{"location": "global", "properties": body{"registrationEnabled": false, "virtualNetwork": body{"id": network}}})
	return id
}

// zoneGroup has the records of an endpoint kept in a zone.
func (a azure) zoneGroup(endpoint, zone string) string {
	a.t.Helper()
	id := endpoint + "/privateDnsZoneGroups/kv-dns-zone-group"
	a.put(id, versionNetwork, body{"properties": body{"privateDnsZoneConfigs": []body{
		{"name": "keyvault", "properties": body{"privateDnsZoneId": zone}}}}})
	return id
}

// vaultRole is the administrator's role assignment that reaches secrets, and
// what it takes to make it again.
func (a azure) vaultRole() (id string, again body) {
	a.t.Helper()
	const administrator = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
	list, _ := a.get("/subscriptions/"+a.Subscription+"/providers/Microsoft.Authorization/roleAssignments", versionRoles)["value"].([]any)
	for _, item := range list {
		properties := item.(body)["properties"].(body)
		if strings.HasSuffix(properties["roleDefinitionId"].(string), administrator) {
			return item.(body)["id"].(string), body{"properties": body{"roleDefinitionId": properties["roleDefinitionId"],
				"principalId": properties["principalId"], "principalType": "ServicePrincipal"}}
		}
	}
	a.t.Fatalf("no assignment of Key Vault Administrator among %v", list)
	return "", nil
}
