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
// Operations_List); they are no secret.
func listOperations(*arm.Call) (*arm.Answer, error) {
	var list []*ordered.Object
	seen := map[string]bool{}
	add := func(action string, data bool) {
		if action == "" || seen[action] {
			return
		}
		seen[action] = true
		parts := strings.Split(action, "/")
		list = append(list, ordered.New(
			ordered.Member{Name: "name", Value: action},
			ordered.Member{Name: "isDataAction", Value: data},
			ordered.Member{Name: "origin", Value: "user,system"},
			ordered.Member{Name: "display", Value: ordered.New(
				ordered.Member{Name: "provider", Value: "Microsoft Key Vault"},
				ordered.Member{Name: "resource", Value: strings.Join(parts[1:len(parts)-1], "/")},
				ordered.Member{Name: "operation", Value: parts[len(parts)-1]},
				ordered.Member{Name: "description", Value: action})}))
	}
	for _, r := range Provider().Routes {
		add(r.Action, false)
	}
	for _, o := range access.Operations() {
		add(o.Info().DataAction, true)
	}
	return arm.List(list), nil
}
