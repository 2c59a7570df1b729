package roles

// observer is the list of control-plane actions that most of the vault roles
// share: they see vaults and what is assigned on them.
func observer() []string {
	return []string{
		"Microsoft.Authorization/*/read",
		"Microsoft.Insights/alertRules/*",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.Support/*",
		"Microsoft.KeyVault/checkNameAvailability/read",
		"Microsoft.KeyVault/deletedVaults/read",
		"Microsoft.KeyVault/locations/*/read",
		"Microsoft.KeyVault/vaults/*/read",
		"Microsoft.KeyVault/operations/read",
	}
}

// builtin is the table of built-in definitions, sorted by display name.
//
// The Key Vault roles are transcribed from the published definitions; the
// action lists of Key Vault Purge Operator, Owner, Contributor, Reader and
// User Access Administrator are rebuilt from their documentation.
func builtin() []*Definition {
	return []*Definition{
		{
			Name: "b24988ac-6180-42a0-ab88-20f7382dd24c", RoleName: "Contributor",
			Description: "Grants full access to manage all resources, but does not allow you to assign roles in Azure RBAC, manage assignments in Azure Blueprints, or share image galleries.",
			Actions:     []string{"*"},
			NotActions: []string{
				"Microsoft.Authorization/*/Delete",
				"Microsoft.Authorization/*/Write",
				"Microsoft.Authorization/elevateAccess/Action",
				"Microsoft.Blueprint/blueprintAssignments/write",
				"Microsoft.Blueprint/blueprintAssignments/delete",
				"Microsoft.Compute/galleries/share/action",
				"Microsoft.Purview/consents/write",
				"Microsoft.Purview/consents/delete",
				"Microsoft.Resources/deploymentStacks/manageDenySetting/action",
			},
		},
		{
			Name: "00482a5a-887f-4fb3-b363-3b7fe8e74483", RoleName: "Key Vault Administrator",
			Description: "Perform all data plane operations on a key vault and all objects in it, including certificates, keys, and secrets. Cannot manage key vault resources or manage role assignments. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			Actions:     observer(),
			DataActions: []string{"Microsoft.KeyVault/vaults/*"},
		},
		{
			Name: "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", RoleName: "Key Vault Certificate User",
			Description: "Read certificate contents. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			DataActions: []string{
				"Microsoft.KeyVault/vaults/certificates/read",
				"Microsoft.KeyVault/vaults/secrets/getSecret/action",
				"Microsoft.KeyVault/vaults/secrets/readMetadata/action",
				"Microsoft.KeyVault/vaults/keys/read",
			},
		},
		{
			Name: "a4417e6f-fecd-4de8-b567-7b0420556985", RoleName: "Key Vault Certificates Officer",
			Description: "Perform any action on the certificates of a key vault, except manage permissions. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			Actions:     observer(),
			DataActions: []string{
				"Microsoft.KeyVault/vaults/certificatecas/*",
				"Microsoft.KeyVault/vaults/certificates/*",
				"Microsoft.KeyVault/vaults/certificatecontacts/write",
			},
		},
		{
			Name: "f25e0fa2-a7c8-4377-a976-54943a77a395", RoleName: "Key Vault Contributor",
			Description: "Lets you manage key vaults, but not access to them.",
			Actions: []string{
				"Microsoft.Authorization/*/read",
				"Microsoft.Insights/alertRules/*",
				"Microsoft.KeyVault/*",
				"Microsoft.Resources/deployments/*",
				"Microsoft.Resources/subscriptions/resourceGroups/read",
				"Microsoft.Support/*",
			},
			NotActions: []string{
				"Microsoft.KeyVault/locations/deletedVaults/purge/action",
				"Microsoft.KeyVault/hsmPools/*",
				"Microsoft.KeyVault/managedHsms/*",
			},
		},
		{
			Name: "14b46e9e-c2b7-41b4-b07b-48a6ebf60603", RoleName: "Key Vault Crypto Officer",
			Description: "Perform any action on the keys of a key vault, except manage permissions. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			Actions:     observer(),
			DataActions: []string{
				"Microsoft.KeyVault/vaults/keys/*",
				"Microsoft.KeyVault/vaults/keyrotationpolicies/*",
			},
		},
		{
			Name: "e147488a-f6f5-4113-8e2d-b22465e65bf6", RoleName: "Key Vault Crypto Service Encryption User",
			Description: "Read metadata of keys and perform wrap/unwrap operations. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			Actions: []string{
				"Microsoft.EventGrid/eventSubscriptions/write",
				"Microsoft.EventGrid/eventSubscriptions/read",
				"Microsoft.EventGrid/eventSubscriptions/delete",
			},
			DataActions: []string{
				"Microsoft.KeyVault/vaults/keys/read",
				"Microsoft.KeyVault/vaults/keys/wrap/action",
				"Microsoft.KeyVault/vaults/keys/unwrap/action",
			},
		},
		{
			Name: "08bbd89e-9f13-488c-ac41-acfcb10c90ab", RoleName: "Key Vault Crypto Service Release User",
			Description: "Release keys. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			DataActions: []string{"Microsoft.KeyVault/vaults/keys/release/action"},
		},
		{
			Name: "12338af0-0e69-4776-bea7-57ae8d297424", RoleName: "Key Vault Crypto User",
			Description: "Perform cryptographic operations using keys. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			DataActions: []string{
				"Microsoft.KeyVault/vaults/keys/read",
				"Microsoft.KeyVault/vaults/keys/update/action",
				"Microsoft.KeyVault/vaults/keys/backup/action",
				"Microsoft.KeyVault/vaults/keys/encrypt/action",
				"Microsoft.KeyVault/vaults/keys/decrypt/action",
				"Microsoft.KeyVault/vaults/keys/wrap/action",
				"Microsoft.KeyVault/vaults/keys/unwrap/action",
				"Microsoft.KeyVault/vaults/keys/sign/action",
				"Microsoft.KeyVault/vaults/keys/verify/action",
			},
		},
		{
			Name: "8b54135c-b56d-4d72-a534-26097cfdc8d8", RoleName: "Key Vault Data Access Administrator",
			Description: "Manage access to Azure Key Vault by adding or removing role assignments for the Key Vault Administrator, Key Vault Certificates Officer, Key Vault Crypto Officer, Key Vault Crypto Service Encryption User, Key Vault Crypto User, Key Vault Reader, Key Vault Secrets Officer, or Key Vault Secrets User roles. Includes an ABAC condition to constrain role assignments.",
			Actions: []string{
				"Microsoft.Authorization/roleAssignments/write",
				"Microsoft.Authorization/roleAssignments/delete",
				"Microsoft.Authorization/*/read",
				"Microsoft.Resources/deployments/*",
				"Microsoft.Resources/subscriptions/resourceGroups/read",
				"Microsoft.Resources/subscriptions/read",
				"Microsoft.Management/managementGroups/read",
				"Microsoft.Support/*",
				"Microsoft.KeyVault/vaults/*/read",
			},
			Condition:        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals{00482a5a-887f-4fb3-b363-3b7fe8e74483, a4417e6f-fecd-4de8-b567-7b0420556985, 14b46e9e-c2b7-41b4-b07b-48a6ebf60603, e147488a-f6f5-4113-8e2d-b22465e65bf6, 12338af0-0e69-4776-bea7-57ae8d297424, 21090545-7ca7-4776-b22c-e363652d74d2, b86a8fe4-44ce-4948-aee5-eccb2c155cd7, 4633458b-17de-408a-b874-0445c86b69e6})) AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR (@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals{00482a5a-887f-4fb3-b363-3b7fe8e74483, a4417e6f-fecd-4de8-b567-7b0420556985, 14b46e9e-c2b7-41b4-b07b-48a6ebf60603, e147488a-f6f5-4113-8e2d-b22465e65bf6, 12338af0-0e69-4776-bea7-57ae8d297424, 21090545-7ca7-4776-b22c-e363652d74d2, b86a8fe4-44ce-4948-aee5-eccb2c155cd7, 4633458b-17de-408a-b874-0445c86b69e6}))",
			ConditionVersion: "2.0",
			Conditioned:      []string{"Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"},
			Delegates: []string{
				"00482a5a-887f-4fb3-b363-3b7fe8e74483",
				"a4417e6f-fecd-4de8-b567-7b0420556985",
				"14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
				"e147488a-f6f5-4113-8e2d-b22465e65bf6",
				"12338af0-0e69-4776-bea7-57ae8d297424",
				"21090545-7ca7-4776-b22c-e363652d74d2",
				"b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
				"4633458b-17de-408a-b874-0445c86b69e6",
			},
		},
		{
			Name: "a68e7c17-0ab2-4c09-9a58-125dae29748c", RoleName: "Key Vault Purge Operator",
			Description: "Allows permanent deletion of soft-deleted vaults.",
			Actions: []string{
				"Microsoft.KeyVault/locations/deletedVaults/read",
				"Microsoft.KeyVault/locations/deletedVaults/purge/action",
				"Microsoft.KeyVault/locations/operationResults/read",
			},
		},
		{
			Name: "21090545-7ca7-4776-b22c-e363652d74d2", RoleName: "Key Vault Reader",
			Description: "Read metadata of key vaults and its certificates, keys, and secrets. Cannot read sensitive values such as secret contents or key material. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			Actions:     observer(),
			DataActions: []string{
				"Microsoft.KeyVault/vaults/*/read",
				"Microsoft.KeyVault/vaults/secrets/readMetadata/action",
			},
		},
		{
			Name: "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", RoleName: "Key Vault Secrets Officer",
			Description: "Perform any action on the secrets of a key vault, except manage permissions. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			Actions:     observer(),
			DataActions: []string{"Microsoft.KeyVault/vaults/secrets/*"},
		},
		{
			Name: "4633458b-17de-408a-b874-0445c86b69e6", RoleName: "Key Vault Secrets User",
			Description: "Read secret contents. Only works for key vaults that use the 'Azure role-based access control' permission model.",
			DataActions: []string{
				"Microsoft.KeyVault/vaults/secrets/getSecret/action",
				"Microsoft.KeyVault/vaults/secrets/readMetadata/action",
			},
		},
		{
			Name: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", RoleName: "Owner",
			Description: "Grants full access to manage all resources, including the ability to assign roles in Azure RBAC.",
			Actions:     []string{"*"},
		},
		{
			Name: "acdd72a7-3385-48ef-bd42-f606fba81ae7", RoleName: "Reader",
			Description: "View all resources, but does not allow you to make any changes.",
			Actions:     []string{"*/read"},
		},
		{
			Name: "f58310d9-a9f6-439a-9e8d-f62e7b41a168", RoleName: "Role Based Access Control Administrator",
			Description: "Manage access to Azure resources by assigning roles using Azure RBAC. This role does not allow you to manage access using other ways, such as Azure Policy.",
			Actions: []string{"Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete", "*/read",
				"Microsoft.Support/*"},
		},
		{
			Name: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", RoleName: "User Access Administrator",
			Description: "Lets you manage user access to Azure resources.",
			Actions: []string{
				"*/read",
				"Microsoft.Authorization/*",
				"Microsoft.Support/*",
			},
		},
	}
}
