package posture

import (
	"fmt"
	"regexp"
	"strings"

	"postern/internal/iac"
)

// A vault's name as the service allows it. Any other text, which a document
// may hold, is never put into a command that somebody will paste.
var (
	vaultName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{1,23}$`)
	groupName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,88}[A-Za-z0-9_-]$|^[A-Za-z0-9_]$`)
	plainID   = regexp.MustCompile(`^(/[A-Za-z0-9_][A-Za-z0-9._-]*)+$`)
)

// name is the vault's name for a command.
func (s *subject) name() string {
	if s.Name.Kind == iac.String && vaultName.MatchString(s.Name.Text) {
		return s.Name.Text
	}
	return "VAULT"
}

func (s *subject) group() string {
	if groupName.MatchString(s.Group) {
		return s.Group
	}
	return "GROUP"
}

func (s *subject) scope() string {
	if s.ID != "" && plainID.MatchString(s.ID) {
		return s.ID
	}
	return "VAULT-ID"
}

// update is "az keyvault update" with options.
func (s *subject) update(options string) string {
	return fmt.Sprintf("az keyvault update --name %s --resource-group %s %s", s.name(), s.group(), options)
}

func lines(l ...string) string { return strings.Join(l, "\n") }

func fixTrustedServices(s *subject) Fix {
	return Fix{
		AZ:        s.update("--bypass AzureServices --default-action Deny"),
		Terraform: lines("network_acls {", `  default_action = "Deny"`, `  bypass         = "AzureServices"`, "}"),
		Bicep:     lines("networkAcls: {", "  defaultAction: 'Deny'", "  bypass: 'AzureServices'", "}"),
	}
}

func fixDefaultAllow(s *subject) Fix {
	return Fix{
		AZ: lines(fmt.Sprintf("az keyvault network-rule add --name %s --resource-group %s --ip-address ADDRESS/PREFIX", s.name(), s.group()),
			s.update("--bypass AzureServices --default-action Deny")),
		Terraform: lines("network_acls {", `  default_action = "Deny"`, `  bypass         = "AzureServices"`, `  ip_rules       = ["ADDRESS/PREFIX"]`, "}"),
		Bicep: lines("networkAcls: {", "  defaultAction: 'Deny'", "  bypass: 'AzureServices'",
			"  ipRules: [", "    { value: 'ADDRESS/PREFIX' }", "  ]", "}"),
	}
}

func fixPublicWithoutRules(s *subject) Fix {
	return Fix{
		AZ:        s.update("--public-network-access Disabled"),
		Terraform: "public_network_access_enabled = false",
		Bicep:     "publicNetworkAccess: 'Disabled'",
	}
}

func fixAccessPolicyMode(s *subject) Fix {
	return Fix{
		AZ: lines(fmt.Sprintf(`az role assignment create --role "Key Vault Secrets User" --assignee OBJECT-ID --scope %s`, s.scope()),
			s.update("--enable-rbac-authorization true")),
		Terraform: "rbac_authorization_enabled = true # enable_rbac_authorization before azurerm 5",
		Bicep:     "enableRbacAuthorization: true",
	}
}

func fixPurgeProtection(s *subject) Fix {
	return Fix{
		AZ:        s.update("--enable-purge-protection true"),
		Terraform: "purge_protection_enabled = true",
		Bicep:     "enablePurgeProtection: true",
	}
}

func fixForeignTenant(s *subject) Fix {
	return Fix{
		AZ: lines(fmt.Sprintf("az keyvault delete-policy --name %s --resource-group %s --object-id OBJECT-ID", s.name(), s.group()),
			s.update(`--set properties.tenantId="$(az account show --query tenantId -o tsv)"`)),
		Terraform: "tenant_id = data.azurerm_client_config.current.tenant_id",
		Bicep:     "tenantId: subscription().tenantId",
	}
}
