package network

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"postern/internal/arm/privatelink"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// maxMessage bounds the message to the owner of a vault (spec:
// PrivateLinkServiceConnectionProperties).
const maxMessage = 140

// order is what a request for a private endpoint asks for.
type order struct {
	// manual says in which list the connection stands.
	manual bool
	// connection is its name; target is the id of the vault; message is for
	// the vault's owner.
	connection, target, message string
	subnet                      string
	// card is the name that the network interface shall have; "" for one of
	// the service's.
	card string
	// configuration is the name of the static IP configuration, and address
	// its address; both empty for any address.
	configuration string
	address       netip.Addr
}

// list is the name of the list that the connection stands in.
func (o *order) list() string {
	if o.manual {
		return privatelink.Manual
	}
	return privatelink.Automatic
}

// readOrder reads the properties of a private endpoint (spec:
// PrivateEndpointProperties). id is the endpoint's.
func readOrder(id string, props *ordered.Object) (*order, error) {
	if props == nil {
		return nil, malformed("properties must be an object")
	}
	o := &order{subnet: strings.TrimRight(props.Object("subnet").Text("id"), "/"), card: props.Text("customNetworkInterfaceName")}
	if !isSubnet(o.subnet) {
		return nil, malformed("properties.subnet.id must be the id of a subnet")
	}
	if o.card != "" {
		if err := checkName(o.card); err != nil {
			return nil, err
		}
	}
	if err := o.readConnection(id, props); err != nil {
		return nil, err
	}
	return o, o.readAddress(id, props)
}

// isSubnet holds for the ARM id of a subnet.
func isSubnet(id string) bool {
	const want = "/subscriptions/*/resourcegroups/*/providers/microsoft.network/virtualnetworks/*/subnets/*"
	pattern, parts := strings.Split(want, "/"), strings.Split(estate.Key(id), "/")
	if len(id) > 1024 || len(parts) != len(pattern) {
		return false
	}
	for i, p := range pattern {
		if p == "*" && parts[i] == "" || p != "*" && parts[i] != p {
			return false
		}
	}
	return true
}

// readConnection reads the one connection of an endpoint.
func (o *order) readConnection(id string, props *ordered.Object) error {
	automatic, err := objects(props, privatelink.Automatic)
	if err != nil {
		return err
	}
	manual, err := objects(props, privatelink.Manual)
	if err != nil {
		return err
	}
	o.manual = len(manual) > 0
	if len(automatic)+len(manual) != 1 {
		return malformed("a private endpoint has one connection: in " + privatelink.Automatic + " or in " + privatelink.Manual)
	}
	each := append(automatic, manual...)[0]
	o.connection = each.Text("name")
	if o.connection == "" {
		return malformed("a connection needs a name")
	}
	if err := checkName(o.connection); err != nil {
		return err
	}
	p := each.Object("properties")
	o.target, o.message = strings.TrimRight(p.Text("privateLinkServiceId"), "/"), p.Text("requestMessage")
	if o.target == "" || len(o.target) > 1024 || !strings.HasPrefix(o.target, "/") {
		return malformed("a connection needs a privateLinkServiceId")
	}
	if len([]rune(o.message)) > maxMessage {
		return malformed(fmt.Sprintf("requestMessage is limited to %d characters", maxMessage))
	}
	groups, err := texts(p, "groupIds")
	if err != nil {
		return err
	}
	return o.checkGroups(id+"/"+o.list()+"/"+o.connection, groups)
}

// checkGroups: the one group that a vault has.
func (o *order) checkGroups(connection string, groups []string) error {
	switch {
	case len(groups) == 0:
		return fault.New(http.StatusBadRequest, "MissingParameterOnPrivateLinkServiceConnection", "Private link service connection %s is missing"+
			" required parameter 'group Id'.", connection)
	case len(groups) > 1:
		return fault.New(http.StatusBadRequest, "OnlyOneGroupIdPermitted", "Private link service connection %s has the following group Ids: %.200s."+
			" Only one group Id is permitted when connecting to a first-party resource (%s).", connection, strings.Join(groups, ", "), o.target)
	case !strings.EqualFold(groups[0], privatelink.Group):
		return fault.New(http.StatusBadRequest, "BadRequest", "Call to Microsoft.KeyVault/vaults failed. Error message: Invalid groupId").
			WithHint("the group of a vault is " + privatelink.Group)
	}
	return nil
}

// readAddress reads the static address, which must be the one that a vault
// needs.
func (o *order) readAddress(id string, props *ordered.Object) error {
	list, err := objects(props, "ipConfigurations")
	if err != nil || len(list) == 0 {
		return err
	}
	var asked []string
	for _, each := range list {
		p := each.Object("properties")
		text := p.Text("privateIPAddress")
		addr, err := netip.ParseAddr(text)
		if err != nil || !addr.Is4() {
			return fault.New(http.StatusBadRequest, "InvalidIPAddressFormat", "IP address %.60s is not formatted correctly.", text)
		}
		asked = append(asked, fmt.Sprintf("[PrivateIPAddress: %s, GroupId: %.100s, MemberName: %.100s]", addr, p.Text("groupId"), p.Text("memberName")))
		if strings.EqualFold(p.Text("groupId"), privatelink.Group) && strings.EqualFold(p.Text("memberName"), privatelink.Member) {
			o.configuration, o.address = each.Text("name"), addr
		}
	}
	if len(list) == 1 && o.address.IsValid() {
		return checkName(o.configuration)
	}
	return fault.New(http.StatusBadRequest, "PrivateEndpointIpConfigurationMissingMemberNamesRequiredByFps", "Private Endpoint %s contains static"+
		" ipconfigurations: %s and its missing these membernames/groupids requested by Private Link service [GroupId: %s, MemberName: %s]."+
		" Private Endpoint needs to be reconfigured with missing memberNames.", id, strings.Join(asked, ", "), privatelink.Group, privatelink.Member)
}
