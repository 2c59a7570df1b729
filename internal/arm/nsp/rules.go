package nsp

import (
	"net/netip"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/ordered"
)

// maxElements is how many elements a rule may have (documentation: limits of
// perimeters).
const maxElements = 200

// The lists of a rule: those of inbound rules and those of outbound ones.
// Perimeters are filled in by links, which there are none of.
var (
	inboundLists  = []string{"addressPrefixes", "subscriptions"}
	outboundLists = []string{"fullyQualifiedDomainNames", "emailAddresses", "phoneNumbers"}
	shownLists    = []string{"addressPrefixes", "fullyQualifiedDomainNames", "subscriptions", "networkSecurityPerimeters", "emailAddresses", "phoneNumbers"}
)

// completeRule checks the properties of an access rule and fills them in
// (spec: NspAccessRuleProperties; form: recorded). Service tags are refused:
// which addresses are meant is not known here, and a rule that silently
// admits nobody helps nobody.
func completeRule(sent *ordered.Object) (*ordered.Object, error) {
	if sent == nil {
		return nil, badRequest("The property 'properties' is missing.")
	}
	direction := sent.Text("direction")
	lists, others := inboundLists, outboundLists
	switch {
	case !sent.Has("direction"), strings.EqualFold(direction, "Inbound"):
		direction = "Inbound"
	case strings.EqualFold(direction, "Outbound"):
		direction, lists, others = "Outbound", outboundLists, inboundLists
	default:
		return nil, badRequest("The property 'direction' is 'Inbound' or 'Outbound'.")
	}
	if v, _ := sent.Get("serviceTags"); v != nil {
		if list, ok := v.([]any); !ok || len(list) > 0 {
			return nil, badRequest("Service tags are not supported in access rules: name the addresses.")
		}
	}
	next := ordered.New(ordered.Member{Name: "provisioningState", Value: "Succeeded"}, ordered.Member{Name: "direction", Value: direction})
	used := ""
	for _, name := range shownLists {
		next.Set(name, []any{})
	}
	for _, name := range append(lists[:len(lists):len(lists)], others...) {
		list, err := elements(sent, name)
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			continue
		}
		for _, other := range others {
			if name == other {
				return nil, badRequest("An access rule with the direction '%s' cannot have '%s'.", direction, name)
			}
		}
		if used != "" {
			return nil, badRequest("An access rule has one kind of elements, not both '%s' and '%s'.", used, name)
		}
		used = name
		next.Set(name, list)
	}
	if used == "" {
		return nil, badRequest("An access rule with the direction '%s' has one of '%s'.", direction, strings.Join(lists, "', '"))
	}
	return next, nil
}

// elements is a checked list of a rule.
func elements(sent *ordered.Object, name string) ([]any, error) {
	v, _ := sent.Get(name)
	list, ok := v.([]any)
	if v != nil && !ok || len(list) > maxElements {
		return nil, badRequest("The property '%s' is a list of at most %d elements.", name, maxElements)
	}
	var next []any
	for i, item := range list {
		element, ok := readElement(name, item)
		if !ok {
			return nil, badRequest("The value %s[%d] is not valid.", name, i)
		}
		next = append(next, element)
	}
	return next, nil
}

// readElement reads one element: a range, a subscription, or a text.
func readElement(name string, item any) (any, bool) {
	text, isText := item.(string)
	switch name {
	case "addressPrefixes":
		prefix, err := estate.ParseIPRule(text)
		return text, err == nil && isText && len(text) <= 49 && !strings.Contains(text, "%") && prefix.IsValid() && !mapped(prefix)
	case "subscriptions":
		o, _ := item.(*ordered.Object)
		id, ok := strings.CutPrefix(estate.Key(o.Text("id")), "/subscriptions/")
		_, err := access.ParseGUID(id)
		return ordered.New(ordered.Member{Name: "id", Value: "/subscriptions/" + id}), ok && err == nil
	}
	return text, isText && text != "" && len(text) <= 253
}

// mapped holds for IPv4 ranges that are written as IPv6: no address of a
// connection is in one, so a rule for one says something else than it does.
func mapped(p netip.Prefix) bool { return p.Addr().Is4In6() }

// putRule makes or replaces an access rule (spec:
// NetworkSecurityPerimeterAccessRules_CreateOrUpdate).
func putRule(c *arm.Call) (*arm.Answer, error) {
	if err := named(c.Vars["rule"]); err != nil {
		return nil, err
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	props, err := completeRule(sent.Object("properties"))
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		profile, err := find(c, s, "profiles", c.Vars["profile"])
		if err != nil {
			return nil, err
		}
		old, err := find(c, s, "profiles", c.Vars["profile"], "accessRules", c.Vars["rule"])
		if err != nil && len(s.Under(profile.ID, estate.TypePerimeterRule)) >= maxElements {
			return nil, badRequest("The profile has %d access rules, and cannot have more.", maxElements)
		}
		next, doc := draw(c, old, profile.ID+"/accessRules/"+c.Vars["rule"], estate.TypePerimeterRule, props)
		d.Put(next)
		touch(d, profile)
		return arm.OK(doc), nil
	})
}

// getRule is NetworkSecurityPerimeterAccessRules_Get of the specification.
func getRule(c *arm.Call) (*arm.Answer, error) {
	return shown(c, "profiles", c.Vars["profile"], "accessRules", c.Vars["rule"])
}

// listRules is NetworkSecurityPerimeterAccessRules_List.
func listRules(c *arm.Call) (*arm.Answer, error) {
	return listed(c, estate.TypePerimeterRule, "profiles", c.Vars["profile"])
}

// removeRule is NetworkSecurityPerimeterAccessRules_Delete.
func removeRule(c *arm.Call) (*arm.Answer, error) {
	return remove(c, []string{"profiles", c.Vars["profile"], "accessRules", c.Vars["rule"]},
		func(s *estate.Snapshot, d *estate.Draft, _ *estate.Resource) error {
			profile, err := find(c, s, "profiles", c.Vars["profile"])
			if err == nil {
				touch(d, profile)
			}
			return err
		})
}
