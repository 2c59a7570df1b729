package network

import (
	"net/http"
	"net/netip"

	"postern/internal/arm"
	"postern/internal/arm/privatelink"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// card is the network interface of a new endpoint.
type card struct {
	resource *estate.Resource
	addr     netip.Addr
}

// newCard makes the network interface of an endpoint (spec:
// NetworkInterface; recorded): named as asked, or after the endpoint.
func newCard(c *arm.Call, s *estate.Snapshot, endpoint, vault *estate.Resource, subnet *estate.Subnet, o *order, fresh marks) (*card, error) {
	name := o.card
	if name == "" {
		name = endpoint.Name + ".nic." + privatelink.GUID(fresh.guid)
	}
	res := &estate.Resource{ID: newID(c, s, estate.TypeInterface, name), Type: estate.TypeInterface, Name: name, Location: endpoint.Location,
		Tags: endpoint.Tags, Created: c.Now, Changed: c.Now}
	if other, taken := s.Resource(res.ID); taken {
		return nil, fault.New(http.StatusBadRequest, "PrivateEndpointCustomNetworkInterfaceNameInUse", "The network interface name '%s' of private"+
			" endpoint %s is that of an existing network interface %s.", name, endpoint.ID, other.ID)
	}
	configuration, method := "privateEndpointIpConfig."+privatelink.GUID(fresh.configuration), "Dynamic"
	if o.address.IsValid() {
		configuration, method = o.configuration, "Static"
	}
	configurationID := res.ID + "/ipConfigurations/" + configuration
	addr, err := place(o, subnet, occupants(s)[subnet.Key], configurationID)
	if err != nil {
		return nil, err
	}
	doc := ordered.New(field("name", name), field("id", res.ID), field("etag", fresh.etag()), field("type", res.Type), field("location", res.Location))
	if res.Tags != nil {
		doc.Set("tags", arm.TagObject(res.Tags))
	}
	doc.Set("properties", ordered.New(
		field("provisioningState", "Succeeded"),
		field("resourceGuid", privatelink.GUID(fresh.version)),
		field("ipConfigurations", []any{ordered.New(field("name", configuration), field("id", configurationID), field("etag", fresh.etag()),
			field("type", "Microsoft.Network/networkInterfaces/ipConfigurations"),
			field("properties", ordered.New(
				field("provisioningState", "Succeeded"),
				field("privateIPAddress", addr.String()),
				field("privateIPAllocationMethod", method),
				field("subnet", reference(subnet.ID)),
				field("primary", true),
				field("privateIPAddressVersion", "IPv4"),
				field("privateLinkConnectionProperties", ordered.New(field("groupId", privatelink.Group),
					field("requiredMemberName", privatelink.Member), field("fqdns", []any{privatelink.Host(vault.Name)}))))))}),
		field("dnsSettings", ordered.New(field("dnsServers", []any{}), field("appliedDnsServers", []any{}))),
		field("macAddress", ""),
		field("enableAcceleratedNetworking", false),
		field("vnetEncryptionSupported", false),
		field("enableIPForwarding", false),
		field("privateEndpoint", reference(endpoint.ID)),
		field("hostedWorkloads", []any{}),
		field("tapConfigurations", []any{}),
		field("nicType", "Standard"),
		field("allowPort25Out", false),
		field("auxiliaryMode", "None"),
		field("auxiliarySku", "None")))
	doc.Set("kind", "Regular")
	res.Body = doc.Bytes()
	return &card{res, addr}, nil
}

// putInterface refuses: the interfaces that there are belong to private
// endpoints and cannot be changed, and others are not made here (spec:
// NetworkInterfaces_CreateOrUpdate).
func putInterface(c *arm.Call) (*arm.Answer, error) {
	res, ok := c.Snapshot().Resource(id(c.Vars, estate.TypeInterface, "interface"))
	if !ok {
		return nil, fault.New(http.StatusBadRequest, "OperationNotAllowed", "Network interfaces are created with a private endpoint here, and not by themselves.")
	}
	return nil, fault.New(http.StatusBadRequest, "CannotModifyNicAttachedToPrivateEndpoint", "Network interface %s cannot be modified by user since it"+
		" is attached to private endpoint %s.", res.ID, endpointOf(res))
}

// patchInterface replaces the tags (spec: NetworkInterfaces_UpdateTags).
func patchInterface(c *arm.Call) (*arm.Answer, error) {
	return patchTags(c, estate.TypeInterface, "interface")
}

// removeInterface refuses while the endpoint is there, so always (spec:
// NetworkInterfaces_Delete).
func removeInterface(c *arm.Call) (*arm.Answer, error) {
	res, ok := c.Snapshot().Resource(id(c.Vars, estate.TypeInterface, "interface"))
	if !ok {
		return &arm.Answer{Status: http.StatusNoContent}, nil
	}
	return nil, fault.New(http.StatusBadRequest, "NicInUseWithPrivateEndpoint", "Network interface %s is currently in use with an private endpoint"+
		" (%s). Network interfaces which are attached to an private endpoint cannot be deleted.", res.ID, endpointOf(res))
}

// endpointOf is the id of the endpoint that an interface belongs to.
func endpointOf(nic *estate.Resource) string {
	return arm.Document(nic).Object("properties").Object("privateEndpoint").Text("id")
}
