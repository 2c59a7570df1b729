package network

import (
	"net/http"
	"slices"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// subnetOf finds the subnet of the path in its network.
func subnetOf(c *arm.Call, network *estate.Resource) (list []*ordered.Object, i int, err error) {
	list, err = objects(arm.Document(network).Object("properties"), "subnets")
	return list, slices.IndexFunc(list, func(o *ordered.Object) bool { return strings.EqualFold(o.Text("name"), c.Vars["subnet"]) }), err
}

// getSubnet is Subnets_Get of the specification.
func getSubnet(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	network, err := theNetwork(c, s)
	if err != nil {
		return nil, err
	}
	list, i, err := subnetOf(c, network)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return nil, fault.New(http.StatusNotFound, "NotFound", "Resource %s/subnets/%s not found.", network.ID, c.Vars["subnet"])
	}
	occupants(s).show(list[i])
	return answer(http.StatusOK, list[i]), nil
}

// listSubnets is Subnets_List of the specification.
func listSubnets(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	network, err := theNetwork(c, s)
	if err != nil {
		return nil, err
	}
	list, err := objects(arm.Document(network).Object("properties"), "subnets")
	if err != nil {
		return nil, err
	}
	in := occupants(s)
	slices.SortStableFunc(list, func(a, b *ordered.Object) int { return strings.Compare(subnetKey(a), subnetKey(b)) })
	a, err := arm.Page(c, list, subnetKey)
	if err != nil {
		return nil, err
	}
	return arm.MapPage(a, func(o *ordered.Object) *ordered.Object { in.show(o); return o }), nil
}

func subnetKey(o *ordered.Object) string { return estate.Key(o.Text("id")) }

// putSubnet creates or replaces a subnet (spec: Subnets_CreateOrUpdate).
func putSubnet(c *arm.Call) (*arm.Answer, error) {
	name := c.Vars["subnet"]
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	props := sent.Object("properties")
	if props == nil {
		return nil, malformed("properties must be an object")
	}
	fresh, err := newMarks(c)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		network, err := theNetwork(c, s)
		if err != nil {
			return nil, parentNotFound("write", id(c.Vars, estate.TypeVirtualNetwork, "network"))
		}
		list, i, err := subnetOf(c, network)
		if err != nil {
			return nil, err
		}
		status := http.StatusCreated
		if i >= 0 {
			// The spelling of a name is that of the first request.
			status, name = http.StatusOK, list[i].Text("name")
		} else {
			i, list = len(list), append(list, nil)
		}
		list[i] = ordered.New(field("name", name), field("properties", props))
		return writeSubnets(c, s, d, network, list, i, fresh, status)
	})
}

func parentNotFound(verb, parent string) error {
	return fault.New(http.StatusNotFound, "ParentResourceNotFound", "Failed to perform '%s' on resource(s) of type 'virtualNetworks/subnets',"+
		" because the parent resource '%s' could not be found.", verb, parent)
}

// writeSubnets replaces the subnets of a network, and answers the one at i.
func writeSubnets(c *arm.Call, s *estate.Snapshot, d *estate.Draft, network *estate.Resource, list []*ordered.Object, i int, fresh marks, status int) (*arm.Answer, error) {
	doc, next := arm.Document(network), *network
	doc.Object("properties").Set("subnets", values(list))
	a, err := write(c, s, d, &next, network, doc, fresh, status)
	if err != nil || i < 0 {
		return a, err
	}
	whole, _ := a.Body.(*ordered.Object)
	now, err := objects(whole.Object("properties"), "subnets")
	if err != nil {
		return nil, err
	}
	return answer(status, now[i]), nil
}

// removeSubnet deletes a subnet that nothing is in (spec: Subnets_Delete);
// 204 when there is none.
func removeSubnet(c *arm.Call) (*arm.Answer, error) {
	fresh, err := newMarks(c)
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		network, ok := s.Resource(id(c.Vars, estate.TypeVirtualNetwork, "network"))
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		list, i, err := subnetOf(c, network)
		if err != nil {
			return nil, err
		}
		if i < 0 {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if _, err := writeSubnets(c, s, d, network, slices.Delete(list, i, i+1), -1, fresh, http.StatusOK); err != nil {
			return nil, err
		}
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}
