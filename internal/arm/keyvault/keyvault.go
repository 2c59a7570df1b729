// Package keyvault is the provider Microsoft.KeyVault: vaults with their
// whole configuration, their access policies, deleted vaults, and the
// secrets and keys that are written through the resource manager.
package keyvault

import (
	"net/http"
	"slices"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/keysmith"
)

const (
	namespace = "/providers/Microsoft.KeyVault"
	root      = "/subscriptions/{subscription}" + namespace
	inGroup   = "/subscriptions/{subscription}/resourceGroups/{group}" + namespace
	vaultPath = inGroup + "/vaults/{vault}"

	connectionPath = vaultPath + "/privateEndpointConnections/{connection}"

	deleted = root + "/locations/{location}/deletedVaults/{deleted}"
)

// The actions of the provider (documentation: permissions of
// Microsoft.KeyVault).
const (
	readVault     = "Microsoft.KeyVault/vaults/read"
	writeVault    = "Microsoft.KeyVault/vaults/write"
	deleteVault   = "Microsoft.KeyVault/vaults/delete"
	writePolicies = "Microsoft.KeyVault/vaults/accessPolicies/write"
	readSecret    = "Microsoft.KeyVault/vaults/secrets/read"
	writeSecret   = "Microsoft.KeyVault/vaults/secrets/write"
	readKey       = "Microsoft.KeyVault/vaults/keys/read"
	writeKey      = "Microsoft.KeyVault/vaults/keys/write"
	readLinks     = "Microsoft.KeyVault/vaults/privateLinkResources/read"
	readEndpoints = "Microsoft.KeyVault/vaults/privateEndpointConnections/read"
	setEndpoint   = "Microsoft.KeyVault/vaults/privateEndpointConnections/write"
	cutEndpoint   = "Microsoft.KeyVault/vaults/privateEndpointConnections/delete"
	joinSubnet    = "Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action"
	listDeletedOf = "Microsoft.KeyVault/deletedVaults/read"
	readDeleted   = "Microsoft.KeyVault/locations/deletedVaults/read"
	purgeDeleted  = "Microsoft.KeyVault/locations/deletedVaults/purge/action"
	readResult    = "Microsoft.KeyVault/locations/operationResults/read"
	checkName     = "Microsoft.KeyVault/checkNameAvailability/read"
	readHSM       = "Microsoft.KeyVault/managedHSMs/read"
	readOperation = "Microsoft.KeyVault/operations/read"
)

// Body limits: a vault can hold 1,024 access policies and 1,200 rules.
const (
	maxVaultBody = 2 << 20
	maxDocument  = 3 << 20
)

// versions of the provider, newest stable first: clients that ask for the
// newest take the first.
var versions = []string{"2026-02-01", "2025-05-01", "2024-11-01", "2023-07-01", "2023-02-01", "2022-11-01", "2022-07-01", "2021-10-01",
	"2019-09-01", "2018-02-14", "2016-10-01", "2015-06-01"}

// Provider is the table of the operations; makeKey makes the key pairs of
// new keys.
func Provider(makeKey keysmith.Maker) arm.Provider {
	subscription := func(v arm.Vars) string { return "/subscriptions/" + v["subscription"] }
	return arm.Provider{
		Namespace: "Microsoft.KeyVault",
		Types: []arm.Type{
			{Name: "vaults", APIVersions: versions, Located: true, Delete: softDelete},
			{Name: "vaults/secrets", APIVersions: versions, Located: true},
			{Name: "vaults/keys", APIVersions: versions, Located: true},
			{Name: "vaults/accessPolicies", APIVersions: versions, Located: true},
			{Name: "vaults/privateEndpointConnections", APIVersions: versions, Located: true},
			{Name: "vaults/privateLinkResources", APIVersions: versions, Located: true},
			{Name: "deletedVaults", APIVersions: versions},
			{Name: "locations", APIVersions: versions},
			{Name: "locations/deletedVaults", APIVersions: versions, Located: true},
			{Name: "locations/operationResults", APIVersions: versions, Located: true},
			{Name: "checkNameAvailability", APIVersions: versions},
			{Name: "operations", APIVersions: versions},
			{Name: "managedHSMs", APIVersions: versions, Located: true},
		},
		Routes: slices.Concat(vaultRoutes(), keyRoutes(makeKey), []arm.Route{
			{Name: "VaultListDeleted", Method: http.MethodGet, Pattern: root + "/deletedVaults", Action: listDeletedOf, Handle: listDeleted},
			{Name: "VaultGetDeleted", Method: http.MethodGet, Pattern: deleted, Action: readDeleted, Scope: subscription, Handle: getDeleted},
			{Name: "VaultPurge", Method: http.MethodPost, Pattern: deleted + "/purge", Action: purgeDeleted, Scope: subscription, Handle: purge},
			{Name: readResult, Method: http.MethodGet, Pattern: root + "/locations/{location}/operationResults/{operation}", Action: readResult,
				Scope: subscription, Handle: operationResult},
			{Name: checkName, Method: http.MethodPost, Pattern: root + "/checkNameAvailability", Action: checkName, Scope: subscription,
				Body: arm.MaxBody, Handle: checkVaultName},
			{Name: checkName, Method: http.MethodPost, Pattern: root + "/checkMhsmNameAvailability", Action: checkName, Scope: subscription,
				Body: arm.MaxBody, Handle: checkHSMName},
			{Name: readHSM, Method: http.MethodGet, Pattern: root + "/managedHSMs", Action: readHSM, Handle: none},
			{Name: readHSM, Method: http.MethodGet, Pattern: inGroup + "/managedHSMs", Action: readHSM, Handle: none},
			{Name: readHSM, Method: http.MethodGet, Pattern: root + "/deletedManagedHSMs", Action: readHSM, Handle: none},
			{Name: readOperation, Method: http.MethodGet, Pattern: namespace + "/operations", Handle: listOperations},
		}),
	}
}

// vaultRoutes are the operations on vaults and what is below them.
func vaultRoutes() []arm.Route {
	return []arm.Route{
		{Name: "VaultPut", Method: http.MethodPut, Pattern: vaultPath, Action: writeVault, Body: maxVaultBody, Handle: putVault},
		{Name: "VaultPatch", Method: http.MethodPatch, Pattern: vaultPath, Action: writeVault, Body: maxVaultBody, Handle: patchVault},
		{Name: "VaultDelete", Method: http.MethodDelete, Pattern: vaultPath, Action: deleteVault, Handle: removeVault},
		{Name: "VaultGet", Method: http.MethodGet, Pattern: vaultPath, Action: readVault, Handle: getVault},
		{Name: "VaultList", Method: http.MethodGet, Pattern: inGroup + "/vaults", Action: readVault, Handle: listVaults},
		{Name: "VaultList", Method: http.MethodGet, Pattern: root + "/vaults", Action: readVault, Handle: listVaults},
		{Name: "VaultPatch", Method: http.MethodPut, Pattern: vaultPath + "/accessPolicies/{change}", Action: writePolicies,
			Body: maxVaultBody, Handle: putPolicies},
		{Name: "GetPrivateLinkResources", Method: http.MethodGet, Pattern: vaultPath + "/privateLinkResources", Action: readLinks, Handle: listLinks},
		{Name: readEndpoints, Method: http.MethodGet, Pattern: vaultPath + "/privateEndpointConnections", Action: readEndpoints, Handle: listConnections},
		{Name: readEndpoints, Method: http.MethodGet, Pattern: connectionPath, Action: readEndpoints, Handle: getConnection},
		{Name: setEndpoint, Method: http.MethodPut, Pattern: connectionPath, Action: setEndpoint, Body: arm.MaxBody, Handle: putConnection},
		{Name: cutEndpoint, Method: http.MethodDelete, Pattern: connectionPath, Action: cutEndpoint, Handle: removeConnection},
		{Name: "SecretSet", Method: http.MethodPut, Pattern: vaultPath + "/secrets/{secret}", Action: writeSecret, Body: arm.MaxBody, Handle: putSecret},
		{Name: "SecretUpdate", Method: http.MethodPatch, Pattern: vaultPath + "/secrets/{secret}", Action: writeSecret, Body: arm.MaxBody,
			Handle: patchSecret},
		{Name: "SecretGet", Method: http.MethodGet, Pattern: vaultPath + "/secrets/{secret}", Action: readSecret, Handle: getSecret},
		{Name: "SecretList", Method: http.MethodGet, Pattern: vaultPath + "/secrets", Action: readSecret, Handle: listSecrets},
	}
}

// none is an empty list.
func none(*arm.Call) (*arm.Answer, error) { return arm.List[any](nil), nil }

// theVault is the vault of the path.
func theVault(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(arm.VaultID(c.Vars))
	if !ok {
		return nil, notFound(c, "Microsoft.KeyVault/vaults/"+c.Vars["vault"])
	}
	return res, nil
}
