package keyvault

import (
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/ordered"
)

// listLinks tells what a private endpoint can be connected to (spec:
// PrivateLinkResources_ListByVault).
func listLinks(c *arm.Call) (*arm.Answer, error) {
	res, err := theVault(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	return arm.List([]*ordered.Object{ordered.New(
		ordered.Member{Name: "id", Value: res.ID + "/privateLinkResources/vault"},
		ordered.Member{Name: "name", Value: "vault"},
		ordered.Member{Name: "type", Value: "Microsoft.KeyVault/vaults/privateLinkResources"},
		ordered.Member{Name: "properties", Value: ordered.New(
			ordered.Member{Name: "groupId", Value: "vault"},
			ordered.Member{Name: "requiredMembers", Value: []any{"default"}},
			ordered.Member{Name: "requiredZoneNames", Value: []any{"privatelink.vaultcore.azure.net"}})})}), nil
}

// checkVaultName is Vaults_CheckNameAvailability of the specification.
func checkVaultName(c *arm.Call) (*arm.Answer, error) {
	return checkNameOf(c, "Microsoft.KeyVault/vaults", func(name string) bool {
		res, taken := c.Snapshot().Taken(name)
		return taken && !expired(res, c.Now)
	})
}

// checkHSMName is ManagedHsms_CheckMhsmNameAvailability: there are none.
func checkHSMName(c *arm.Call) (*arm.Answer, error) {
	return checkNameOf(c, "", func(string) bool { return false })
}

func checkNameOf(c *arm.Call, typ string, taken func(name string) bool) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	name := sent.Text("name")
	if got := sent.Text("type"); typ != "" && !strings.EqualFold(got, typ) {
		return nil, badRequest("An invalid value was provided for 'type'.")
	}
	unavailable := func(reason, message string) (*arm.Answer, error) {
		return arm.OK(ordered.New(
			ordered.Member{Name: "nameAvailable", Value: false},
			ordered.Member{Name: "reason", Value: reason},
			ordered.Member{Name: "message", Value: message})), nil
	}
	switch {
	case !validName(name):
		return unavailable("AccountNameInvalid", nameText(name))
	case taken(name):
		return unavailable("AlreadyExists", takenText(name))
	}
	return arm.OK(ordered.New(ordered.Member{Name: "nameAvailable", Value: true})), nil
}

// listOperations lists the actions and data actions of the provider (spec:
// Operations_List).
func listOperations(*arm.Call) (*arm.Answer, error) {
	var data []string
	for _, o := range access.Operations() {
		data = append(data, o.Info().DataAction)
	}
	return arm.Operations("Microsoft Key Vault", Provider(nil).Routes, data), nil
}
