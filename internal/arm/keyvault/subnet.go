package keyvault

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
)

// subnetRule checks that a rule can be made for a subnet: the caller may join
// it, it is there, and it has the service endpoint of Key Vault unless the
// rule says that it need not.
func subnetRule(c *arm.Call, s *estate.Snapshot) func(id string, ignore bool) error {
	return func(id string, ignore bool) error {
		if err := c.AuthorizeLinked(joinSubnet, id); err != nil || ignore {
			return err
		}
		subnet, ok := s.Network().Subnet(id)
		switch {
		case !ok:
			return noSubnet(s, id)
		case !subnet.KeyVault:
			return networkFault("400 (BadRequest)", "SubnetsHaveNoServiceEndpointsConfigured", "Subnets "+subnet.Name+" of virtual network "+
				subnet.Network.ID+" do not have ServiceEndpoints for Microsoft.KeyVault resources configured. Add Microsoft.KeyVault to"+
				" subnet's ServiceEndpoints collection before trying to ACL Microsoft.KeyVault resources to these subnets.").
				WithHint("az network vnet subnet update --ids " + subnet.ID + " --service-endpoints Microsoft.KeyVault")
		}
		return nil
	}
}

// networkFault is what the service answers when the network refuses a rule:
// the network's own answer, and a full stop behind it.
func networkFault(status, code, message string) *fault.Error {
	return fault.New(http.StatusBadRequest, "VirtualNetworkNotValid", "Operation on Virtual Network could not be performed. StatusCode: %s."+
		" Error Code: %s. Error Message: %s.", status, code, message)
}

// noSubnet is the answer for a subnet that is not there, or whose network is
// not.
func noSubnet(s *estate.Snapshot, id string) error {
	at := strings.LastIndex(estate.Key(id), "/subnets/")
	network, name := id[:at], strings.TrimRight(id[at+len("/subnets/"):], "/")
	if res, ok := s.Resource(network); ok {
		return networkFault("400 (BadRequest)", "SubnetsNotFound", "Virtual network "+res.ID+" does not have subnets with names "+name+".")
	}
	parts := strings.Split(network, "/")
	return networkFault("404 (NotFound)", "ResourceNotFound", "The Resource 'Microsoft.Network/virtualNetworks/"+parts[len(parts)-1]+
		"' under resource group '"+parts[4]+"' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix")
}
