package network

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// theNetwork is the network of the path.
func theNetwork(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(id(c.Vars, estate.TypeVirtualNetwork, "network"))
	if !ok {
		return nil, notFound(c, estate.TypeVirtualNetwork, c.Vars["network"])
	}
	return res, nil
}

// networkBody is a network as it is answered: what is kept, and in every
// subnet what is in it.
func networkBody(s *estate.Snapshot) func(*estate.Resource) *ordered.Object {
	in := occupants(s)
	return func(res *estate.Resource) *ordered.Object {
		doc := arm.Document(res)
		list, err := objects(doc.Object("properties"), "subnets")
		if err != nil {
			return doc
		}
		for _, subnet := range list {
			in.show(subnet)
		}
		return doc
	}
}

// getNetwork is VirtualNetworks_Get of the specification.
func getNetwork(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	res, err := theNetwork(c, s)
	if err != nil {
		return nil, err
	}
	return answer(http.StatusOK, networkBody(s)(res)), nil
}

// listNetworks is VirtualNetworks_List and VirtualNetworks_ListAll.
func listNetworks(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	return page(c, s.Under(scope(c), estate.TypeVirtualNetwork), networkBody(s))
}

// putNetwork creates a network or replaces its configuration (spec:
// VirtualNetworks_CreateOrUpdate).
func putNetwork(c *arm.Call) (*arm.Answer, error) {
	name := c.Vars["network"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	fresh, err := newMarks(c)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		status := http.StatusCreated
		next := &estate.Resource{ID: newID(c, s, estate.TypeVirtualNetwork, name), Type: estate.TypeVirtualNetwork, Name: name, Created: c.Now}
		old, exists := s.Resource(next.ID)
		if exists {
			status, *next = http.StatusOK, *old
		}
		if next.Location, err = c.Location(estate.TypeVirtualNetwork, sent, old); err != nil {
			return nil, err
		}
		if next.Tags, err = arm.Tags(sent); err != nil {
			return nil, err
		}
		return write(c, s, d, next, old, sent, fresh, status)
	})
}

// write checks the document of a network, puts it into the draft, and
// answers it.
func write(c *arm.Call, s *estate.Snapshot, d *estate.Draft, next, old *estate.Resource, sent *ordered.Object, fresh marks, status int) (*arm.Answer, error) {
	p := plan{id: next.ID, name: next.Name, location: next.Location, marks: fresh}
	if old != nil {
		p.old = arm.Document(old).Object("properties")
	}
	done, err := p.complete(sent.Object("properties"))
	if err != nil {
		return nil, err
	}
	if err := occupants(s).leave(p.old, done); err != nil {
		return nil, err
	}
	doc := ordered.New(field("name", next.Name), field("id", next.ID), field("etag", fresh.etag()), field("type", next.Type),
		field("location", next.Location))
	if next.Tags != nil {
		doc.Set("tags", arm.TagObject(next.Tags))
	}
	doc.Set("properties", done)
	keep(doc, sent)
	next.Body, next.Changed = doc.Bytes(), c.Now
	if len(next.Body) > maxBody {
		return nil, fault.New(http.StatusRequestEntityTooLarge, "RequestContentTooLarge", "The virtual network's configuration exceeds the maximum size of %d bytes.", maxBody)
	}
	d.Put(next)
	return answer(status, networkBody(s)(next)), nil
}

// keep adds to a document what was sent and is not known, so that it
// survives.
func keep(doc, sent *ordered.Object) {
	for _, m := range sent.Clone().Members() {
		if _, known := doc.Get(m.Name); !known && m.Value != nil && !strings.EqualFold(m.Name, "tags") {
			doc.Set(m.Name, m.Value)
		}
	}
}

// patchNetwork replaces the tags of a network (spec:
// VirtualNetworks_UpdateTags).
func patchNetwork(c *arm.Call) (*arm.Answer, error) {
	return patchTags(c, estate.TypeVirtualNetwork, "network")
}

// patchTags replaces the tags of a resource, if the request has any.
func patchTags(c *arm.Call, typ, variable string) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	fresh, err := newMarks(c)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, ok := s.Resource(id(c.Vars, typ, variable))
		if !ok {
			return nil, notFound(c, typ, c.Vars[variable])
		}
		if tags == nil {
			return answer(http.StatusOK, arm.Document(old)), nil
		}
		next, doc := *old, arm.Document(old)
		doc.Set("tags", arm.TagObject(tags))
		doc.Set("etag", fresh.etag())
		next.Tags, next.Body, next.Changed = tags, doc.Bytes(), c.Now
		d.Put(&next)
		return answer(http.StatusOK, doc), nil
	})
}

// removeNetwork deletes a network that nothing is in (spec:
// VirtualNetworks_Delete); 204 when there is none.
func removeNetwork(c *arm.Call) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, ok := s.Resource(id(c.Vars, estate.TypeVirtualNetwork, "network"))
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if err := networkRemovable(s, res, func(*estate.Resource) bool { return false }); err != nil {
			return nil, err
		}
		c.Discard(d, res)
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}

// networkRemovable refuses while something that stays is in one of the
// network's subnets.
func networkRemovable(s *estate.Snapshot, res *estate.Resource, goes func(*estate.Resource) bool) error {
	in := occupants(s)
	in.forget(goes)
	return in.leave(arm.Document(res).Object("properties"), nil)
}

// dropNetwork removes a network, and the links of zones to it: they are
// deleted with it (documentation: virtual network links).
func dropNetwork(c *arm.Call, d *estate.Draft, res *estate.Resource) {
	for _, link := range c.Snapshot().Under("", estate.TypeZoneLink) {
		target := arm.Document(link).Object("properties").Object("virtualNetwork").Text("id")
		if _, live := d.Resource(link.ID); live && estate.Key(target) == estate.Key(res.ID) {
			c.Discard(d, link)
		}
	}
	d.Delete(res.ID)
}

// occupant is an IP configuration in a subnet.
type occupant struct {
	id, endpoint string
	addr         netip.Addr
	owner        *estate.Resource
}

// occupancy is what is in which subnet, by the key of the subnet.
type occupancy map[string][]occupant

// occupants finds out what is in all subnets: the configurations of network
// interfaces.
func occupants(s *estate.Snapshot) occupancy {
	in := occupancy{}
	for _, nic := range s.Under("", estate.TypeInterface) {
		props := arm.Document(nic).Object("properties")
		list, err := objects(props, "ipConfigurations")
		if err != nil {
			continue
		}
		for _, each := range list {
			p := each.Object("properties")
			addr, _ := netip.ParseAddr(p.Text("privateIPAddress"))
			key := estate.Key(p.Object("subnet").Text("id"))
			in[key] = append(in[key], occupant{each.Text("id"), props.Object("privateEndpoint").Text("id"), addr, nic})
		}
	}
	return in
}

// forget leaves out what goes away together with the subnets.
func (in occupancy) forget(goes func(*estate.Resource) bool) {
	for key, list := range in {
		in[key] = slices.DeleteFunc(list, func(o occupant) bool { return goes(o.owner) })
	}
}

// show adds to a subnet's document what is in it, as the service answers it
// to those who read.
func (in occupancy) show(subnet *ordered.Object) {
	list := in[estate.Key(subnet.Text("id"))]
	if len(list) == 0 {
		return
	}
	var configurations, endpoints []*ordered.Object
	for _, o := range list {
		configurations = append(configurations, reference(o.id))
		if o.endpoint != "" {
			endpoints = append(endpoints, reference(o.endpoint))
		}
	}
	props := subnet.Object("properties")
	props.Set("ipConfigurations", values(configurations))
	if endpoints != nil {
		props.Set("privateEndpoints", values(endpoints))
	}
}

// leave checks that the subnets which are gone after a change, or have lost
// an address range, were not in use. Rules of vaults do not count: a rule
// for a subnet that is gone matches nothing.
func (in occupancy) leave(before, after *ordered.Object) error {
	old, err := objects(before, "subnets")
	if err != nil {
		return err
	}
	now, err := objects(after, "subnets")
	if err != nil {
		return err
	}
	for _, subnet := range old {
		list := in[estate.Key(subnet.Text("id"))]
		if len(list) == 0 {
			continue
		}
		i := slices.IndexFunc(now, func(o *ordered.Object) bool { return strings.EqualFold(o.Text("name"), subnet.Text("name")) })
		if i < 0 {
			return inUse(subnet.Text("name"), list[0])
		}
		kept := prefixesOf(now[i])
		for _, o := range list {
			if !slices.ContainsFunc(kept, func(p netip.Prefix) bool { return p.Contains(o.addr) }) {
				return fault.New(http.StatusBadRequest, "InUsePrefixCannotBeDeleted", "IpPrefix %s on Subnet %s has active allocations and cannot be deleted.",
					holding(prefixesOf(subnet), o.addr), subnet.Text("name"))
			}
		}
	}
	return nil
}

// inUse is the service's answer to the deletion of a subnet that is in use.
func inUse(subnet string, by occupant) error {
	return fault.New(http.StatusBadRequest, "InUseSubnetCannotBeDeleted", "Subnet %s is in use by %s and cannot be deleted. In order to delete"+
		" the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.", subnet, by.id)
}

// prefixesOf reads the prefixes of a subnet that is kept.
func prefixesOf(subnet *ordered.Object) []netip.Prefix {
	props := subnet.Object("properties")
	list, _ := texts(props, "addressPrefixes")
	var prefixes []netip.Prefix
	for _, text := range append(list, props.Text("addressPrefix")) {
		if p, err := netip.ParsePrefix(text); err == nil && !slices.Contains(prefixes, p) {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// holding is the prefix that an address is in.
func holding(prefixes []netip.Prefix, addr netip.Addr) string {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return p.String()
		}
	}
	return addr.String()
}
