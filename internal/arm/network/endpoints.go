package network

import (
	"net/http"
	"strconv"
	"strings"

	"postern/internal/arm"
	"postern/internal/arm/privatelink"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// putEndpoint creates a private endpoint with its network interface and its
// connection on the vault's side, or changes the tags of one (spec:
// PrivateEndpoints_CreateOrUpdate).
func putEndpoint(c *arm.Call) (*arm.Answer, error) {
	name := c.Vars["endpoint"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	o, err := readOrder(id(c.Vars, estate.TypePrivateEndpoint, "endpoint"), sent.Object("properties"))
	if err != nil {
		return nil, err
	}
	if err := c.AuthorizeLinked(joinSubnet, o.subnet); err != nil {
		return nil, err
	}
	fresh, err := newMarks(c)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, exists := s.Resource(id(c.Vars, estate.TypePrivateEndpoint, "endpoint"))
		if !exists {
			old = nil
		}
		place, err := c.Location(estate.TypePrivateEndpoint, sent, old)
		if err != nil {
			return nil, err
		}
		if exists {
			return updateEndpoint(c, d, old, o, tags, fresh)
		}
		next := &estate.Resource{ID: newID(c, s, estate.TypePrivateEndpoint, name), Type: estate.TypePrivateEndpoint, Name: name,
			Location: place, Tags: tags, Created: c.Now, Changed: c.Now}
		return createEndpoint(c, s, d, next, o, sent, fresh)
	})
}

// createEndpoint puts endpoint, interface and connection into the draft.
func createEndpoint(c *arm.Call, s *estate.Snapshot, d *estate.Draft, res *estate.Resource, o *order, sent *ordered.Object, fresh marks) (*arm.Answer, error) {
	subnet, err := findSubnet(s, res, o.subnet)
	if err != nil {
		return nil, err
	}
	vault, err := findVault(s, res, o.target)
	if err != nil {
		return nil, err
	}
	card, err := newCard(c, s, res, vault, subnet, o, fresh)
	if err != nil {
		return nil, err
	}
	link, err := linkNumber(s, fresh)
	if err != nil {
		return nil, err
	}
	state := privatelink.Change{Status: privatelink.Pending, Description: o.message, Tag: fresh.version, At: c.Now}
	if !o.manual && c.May(approve, vault.ID) {
		state.Status, state.Description = privatelink.Approved, ""
	}
	connection, err := privatelink.Connect(d, vault, res.ID, o.connection, link, state)
	if err != nil {
		return nil, err
	}
	res.Body = endpointDocument(res, vault, subnet, o, sent, card, state, fresh).Bytes()
	d.Put(card.resource)
	d.Put(res)
	c.Note("privateEndpointConnection.id", vault.ID+"/privateEndpointConnections/"+connection)
	c.Note("privateEndpointConnection.status", state.Status)
	return answer(http.StatusCreated, arm.Document(res)), nil
}

// findSubnet finds the subnet of an endpoint: the network and the endpoint
// are in one region.
func findSubnet(s *estate.Snapshot, endpoint *estate.Resource, id string) (*estate.Subnet, error) {
	missing := func(what string) error {
		return fault.New(http.StatusBadRequest, "InvalidResourceReference", "Resource %s referenced by resource %s was not found. Please make sure"+
			" that the referenced resource exists, and that both resources are in the same region.", what, endpoint.ID)
	}
	network := id[:strings.LastIndex(strings.ToLower(id), "/subnets/")]
	res, ok := s.Resource(network)
	if !ok || !strings.EqualFold(res.Location, endpoint.Location) {
		return nil, missing(network)
	}
	subnet, ok := s.Network().Subnet(id)
	if !ok {
		return nil, missing(id)
	}
	return subnet, nil
}

// findVault finds the vault that an endpoint is for.
func findVault(s *estate.Snapshot, endpoint *estate.Resource, id string) (*estate.Resource, error) {
	res, ok := s.Resource(id)
	if !ok || !strings.EqualFold(res.Type, estate.TypeVault) {
		return nil, fault.New(http.StatusBadRequest, "InvalidResourceReference", "Resource %s referenced by resource %s was not found. Please make"+
			" sure that the referenced resource exists, and that both resources are in the same region.", id, endpoint.ID).
			WithHint("a private endpoint can be made for a vault of this server, in any region")
	}
	return res, nil
}

// linkNumber is the number of a new connection: not 0, and no other's.
func linkNumber(s *estate.Snapshot, fresh marks) (uint32, error) {
	for i := 0; i+8 <= len(fresh.link); i += 8 {
		n, err := strconv.ParseUint(fresh.link[i:i+8], 16, 32)
		if err != nil {
			return 0, err
		}
		if _, taken := s.Network().EndpointByLink(uint32(n)); n != 0 && !taken {
			return uint32(n), nil
		}
	}
	return 0, fault.New(http.StatusServiceUnavailable, "ServiceUnavailable", "The service is unavailable now. Retry the request later.")
}

// endpointDocument is a private endpoint as it is kept and answered (spec:
// PrivateEndpoint; recorded).
func endpointDocument(res, vault *estate.Resource, subnet *estate.Subnet, o *order, sent *ordered.Object, card *card,
	state privatelink.Change, fresh marks) *ordered.Object {
	properties := ordered.New(
		field("provisioningState", "Succeeded"),
		field("privateLinkServiceId", vault.ID),
		field("groupIds", []any{privatelink.Group}))
	if o.message != "" {
		properties.Set("requestMessage", o.message)
	}
	properties.Set("privateLinkServiceConnectionState", ordered.New(field("status", state.Status), field("description", state.Description),
		field("actionsRequired", "None")))
	connection := ordered.New(field("name", o.connection), field("id", res.ID+"/"+o.list()+"/"+o.connection), field("etag", fresh.etag()),
		field("properties", properties), field("type", "Microsoft.Network/privateEndpoints/"+o.list()))
	props := ordered.New(field("provisioningState", "Succeeded"), field("resourceGuid", privatelink.GUID(fresh.guid)),
		field(privatelink.Automatic, []any{}), field(privatelink.Manual, []any{}),
		field("customNetworkInterfaceName", o.card), field("subnet", reference(subnet.ID)),
		field("ipConfigurations", []any{}), field("networkInterfaces", []any{reference(card.resource.ID)}),
		field("customDnsConfigs", []any{ordered.New(field("fqdn", privatelink.Host(vault.Name)), field("ipAddresses", []any{card.addr.String()}))}))
	props.Set(o.list(), []any{connection})
	if o.address.IsValid() {
		props.Set("ipConfigurations", []any{ordered.New(field("name", o.configuration), field("id", res.ID+"/ipConfigurations/"+o.configuration),
			field("etag", fresh.etag()), field("properties", ordered.New(field("provisioningState", "Succeeded"),
				field("groupId", privatelink.Group), field("memberName", privatelink.Member), field("privateIPAddress", o.address.String()))),
			field("type", "Microsoft.Network/privateEndpoints/ipConfigurations"))})
	}
	keep(props, sent.Object("properties"))
	doc := ordered.New(field("name", res.Name), field("id", res.ID), field("etag", fresh.etag()), field("type", res.Type), field("location", res.Location))
	if res.Tags != nil {
		doc.Set("tags", arm.TagObject(res.Tags))
	}
	doc.Set("properties", props)
	keep(doc, sent)
	return doc
}

// updateEndpoint changes the tags of an endpoint. Where it is and what it is
// connected to cannot be changed.
func updateEndpoint(c *arm.Call, d *estate.Draft, old *estate.Resource, o *order, tags map[string]string, fresh marks) (*arm.Answer, error) {
	doc := arm.Document(old)
	current := doc.Object("properties").Object("subnet").Text("id")
	if estate.Key(current) != estate.Key(o.subnet) {
		return nil, fault.New(http.StatusBadRequest, "CannotChangeSubnetOnExistingPrivateEndpoint", "Cannot change the subnet in which the network"+
			" interface for private endpoint %s is created. Current subnet: '%s.' Requested subnet: '%s.'", old.ID, current, o.subnet)
	}
	target, name := privatelink.Target(old)
	was, _ := objects(doc.Object("properties"), o.list())
	if estate.Key(target) != estate.Key(o.target) || !strings.EqualFold(name, o.connection) || len(was) != 1 {
		return nil, fault.New(http.StatusBadRequest, "CannotChangePrivateLinkConnectionOnPrivateEndpoint", "Cannot change the private link connection"+
			" on private endpoint %s. Please ensure you are not updating the details of existing private link connection: '%s/%s/%s'. That is"+
			" not allowed.", old.ID, old.ID, o.list(), name)
	}
	next := *old
	doc.Set("etag", fresh.etag())
	if next.Tags = tags; tags == nil {
		doc.Delete("tags")
	} else {
		doc.Set("tags", arm.TagObject(tags))
	}
	next.Body, next.Changed = doc.Bytes(), c.Now
	d.Put(&next)
	return answer(http.StatusOK, doc), nil
}

// removeEndpoint deletes a private endpoint with all that came with it
// (spec: PrivateEndpoints_Delete); 204 when there is none.
func removeEndpoint(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, ok := s.Resource(id(c.Vars, estate.TypePrivateEndpoint, "endpoint"))
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		c.Discard(d, res)
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}

// dropEndpoint removes an endpoint, its network interface, and its
// connection on the vault's side.
func dropEndpoint(c *arm.Call, d *estate.Draft, res *estate.Resource) {
	privatelink.Drop(d, res, c.Now)
	list, err := objects(arm.Document(res).Object("properties"), "networkInterfaces")
	if err == nil {
		for _, each := range list {
			d.Delete(each.Text("id"))
		}
	}
	d.Delete(res.ID)
}
