package management

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// subscription finds the subscription of the path, if it is one of the
// caller's tenant, and the name of the group that it is in.
func subscription(c *arm.Call, s *estate.Snapshot) (res *estate.Resource, in string, err error) {
	id := c.Vars["subscription"]
	res, ok := s.Resource("/subscriptions/" + id)
	if ok && arm.SubscriptionTenant(res) == c.Caller.Tenant {
		if above := s.Above(res.ID); len(above) > 1 {
			return res, lastSegment(above[0]), nil
		}
	}
	return nil, "", fault.New(http.StatusNotFound, "SubscriptionNotFound", "The subscription '%s' could not be found.", strings.ToLower(id))
}

// membership is a subscription in a group (spec:
// SubscriptionUnderManagementGroup).
func membership(c *arm.Call, res *estate.Resource, in managed) *ordered.Object {
	doc := arm.Document(res)
	return ordered.New(
		ordered.Member{Name: "id", Value: groups + "/" + in.name + "/subscriptions/" + res.Subscription()},
		ordered.Member{Name: "type", Value: estate.TypeManagementGroup + "/subscriptions"},
		ordered.Member{Name: "name", Value: res.Subscription()},
		ordered.Member{Name: "properties", Value: ordered.New(
			ordered.Member{Name: "tenant", Value: c.Caller.Tenant.String()},
			ordered.Member{Name: "displayName", Value: doc.Text("displayName")},
			ordered.Member{Name: "parent", Value: ordered.New(ordered.Member{Name: "id", Value: groups + "/" + in.name})},
			ordered.Member{Name: "state", Value: "Active"})})
}

// listMembers lists the subscriptions directly in a group (spec:
// ManagementGroupSubscriptions_GetSubscriptionsUnderManagementGroup).
func listMembers(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	g, ok := find(c, s, c.Vars["managed"])
	if !ok {
		return nil, notFound(c.Vars["managed"])
	}
	list := []*ordered.Object{}
	for _, key := range s.Below(estate.ManagementGroup(c.Caller.Tenant, g.name)) {
		if res, ok := s.Resource(key); ok && strings.EqualFold(res.Type, estate.TypeSubscription) {
			list = append(list, membership(c, res, g))
		}
	}
	return arm.List(list), nil
}

// getMember is one of them (spec:
// ManagementGroupSubscriptions_GetSubscription).
func getMember(c *arm.Call) (*arm.Answer, error) {
	s := c.Snapshot()
	g, ok := find(c, s, c.Vars["managed"])
	res, in, err := subscription(c, s)
	if !ok || err == nil && !strings.EqualFold(in, g.name) {
		return nil, notFound(c.Vars["managed"])
	}
	if err != nil {
		return nil, err
	}
	return arm.OK(membership(c, res, g)), nil
}

// putMember moves a subscription into a group (spec:
// ManagementGroupSubscriptions_Create).
func putMember(c *arm.Call) (*arm.Answer, error) { return moveMember(c, c.Vars["managed"]) }

// removeMember moves a subscription out of its group, into the root group
// (spec: ManagementGroupSubscriptions_Delete).
func removeMember(c *arm.Call) (*arm.Answer, error) { return moveMember(c, "") }

func moveMember(c *arm.Call, to string) (*arm.Answer, error) {
	id := "/subscriptions/" + c.Vars["subscription"]
	// The rights at the subscription come first: nothing is told of others'.
	if err := c.Authorize(assign, id); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, from, err := subscription(c, s)
		if err != nil {
			return nil, err
		}
		name := to
		if name == "" {
			if name = c.Caller.Tenant.String(); !strings.EqualFold(from, c.Vars["managed"]) {
				return &arm.Answer{Status: http.StatusNoContent}, nil
			}
		}
		if err := move(c, res.ID, from, name, writeGroup); err != nil {
			return nil, err
		}
		g, ok := find(c, s, name)
		if !ok {
			return nil, notFound(name)
		}
		doc := arm.Document(res)
		doc.Set("managementGroup", g.name)
		next := *res
		next.Body, next.Changed = doc.Bytes(), c.Now
		d.Put(&next)
		if to == "" {
			return &arm.Answer{Status: http.StatusOK}, nil
		}
		return arm.OK(membership(c, res, g)), nil
	})
}
