package nsp

import (
	"net/http"
	"strconv"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// putPerimeter creates a perimeter or replaces its tags (spec:
// NetworkSecurityPerimeters_CreateOrUpdate; 200 for both is recorded).
func putPerimeter(c *arm.Call) (*arm.Answer, error) {
	if err := named(c.Vars["perimeter"]); err != nil {
		return nil, err
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return changePerimeter(c, sent, false)
}

// patchPerimeter replaces the tags of a perimeter (spec:
// NetworkSecurityPerimeters_Patch).
func patchPerimeter(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	return changePerimeter(c, sent, true)
}

func changePerimeter(c *arm.Call, sent *ordered.Object, patch bool) (*arm.Answer, error) {
	tags, err := arm.Tags(sent)
	if err != nil {
		return nil, err
	}
	id, err := c.Identifier()
	if err != nil {
		return nil, err
	}
	guid := id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		old, err := find(c, s)
		if err != nil && patch {
			return nil, err
		}
		where, err := c.Location(estate.TypePerimeter, sent, old)
		if err != nil {
			return nil, err
		}
		if old != nil {
			if guid = perimeterGUID(old); patch && tags == nil {
				tags = old.Tags
			}
		}
		if tags == nil {
			tags = map[string]string{}
		}
		next, doc := draw(c, old, arm.NewID(c, s, estate.TypePerimeter, c.Vars["perimeter"]), estate.TypePerimeter, ordered.New(ordered.Member{Name: "perimeterGuid", Value: guid},
			ordered.Member{Name: "provisioningState", Value: "Succeeded"}))
		next.Location, next.Tags = where, tags
		doc.Set("location", where)
		doc.Set("tags", arm.TagObject(tags))
		next.Body = doc.Bytes()
		d.Put(next)
		return arm.OK(doc), nil
	})
}

// perimeterGUID is what names a perimeter on the vault's side.
func perimeterGUID(res *estate.Resource) string {
	return arm.Document(res).Object("properties").Text("perimeterGuid")
}

// getPerimeter is NetworkSecurityPerimeters_Get of the specification.
func getPerimeter(c *arm.Call) (*arm.Answer, error) { return shown(c) }

// listPerimeters is NetworkSecurityPerimeters_List and _ListBySubscription.
func listPerimeters(c *arm.Call) (*arm.Answer, error) {
	scope := "/subscriptions/" + c.Vars["subscription"]
	if group, ok := c.Vars["group"]; ok {
		scope = arm.GroupID(c.Vars["subscription"], group)
	}
	return arm.Resources(c, c.Snapshot().Under(scope, estate.TypePerimeter), arm.Document)
}

// removePerimeter removes a perimeter with its profiles. While resources are
// associated it is refused, unless forceDeletion takes them out too (spec:
// NetworkSecurityPerimeters_Delete; the refusal's words are our own).
func removePerimeter(c *arm.Call) (*arm.Answer, error) {
	force, _ := strconv.ParseBool(c.Param("forcedeletion"))
	return remove(c, nil, func(s *estate.Snapshot, _ *estate.Draft, res *estate.Resource) error {
		if list := s.Under(res.ID, estate.TypePerimeterAssociation); len(list) > 0 && !force {
			return inUse("network security perimeter", res, list[0])
		}
		return nil
	})
}

// inUse is the answer while something holds on to a resource.
func inUse(what string, res, by *estate.Resource) error {
	return fault.New(http.StatusConflict, "CannotDeleteResource", "Cannot delete the %s '%s' while resources are associated with it: '%s'.",
		what, res.Name, by.ID).WithHint("az network perimeter association delete --perimeter-name PERIMETER -g GROUP -n " + by.Name)
}

// putProfile makes a profile; one that is there stays as it is (spec:
// NetworkSecurityPerimeterProfiles_CreateOrUpdate).
func putProfile(c *arm.Call) (*arm.Answer, error) {
	if err := named(c.Vars["profile"]); err != nil {
		return nil, err
	}
	if _, err := c.Object(); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		perimeter, err := find(c, s)
		if err != nil {
			return nil, err
		}
		old, err := find(c, s, "profiles", c.Vars["profile"])
		rules := 0
		if err == nil {
			rules = ruleVersion(old)
		}
		next, doc := draw(c, old, perimeter.ID+"/profiles/"+c.Vars["profile"], estate.TypePerimeterProfile, profileProperties(rules))
		d.Put(next)
		return arm.OK(doc), nil
	})
}

func profileProperties(rules int) *ordered.Object {
	return ordered.New(ordered.Member{Name: "accessRulesVersion", Value: strconv.Itoa(rules)},
		ordered.Member{Name: "diagnosticSettingsVersion", Value: "0"})
}

// ruleVersion counts how often the rules of a profile were changed.
func ruleVersion(profile *estate.Resource) int {
	n, _ := strconv.Atoi(arm.Document(profile).Object("properties").Text("accessRulesVersion"))
	return n
}

// touch counts a change of the rules of a profile.
func touch(d *estate.Draft, profile *estate.Resource) {
	next, doc := *profile, arm.Document(profile)
	doc.Set("properties", profileProperties(ruleVersion(profile)+1))
	next.Body = doc.Bytes()
	d.Put(&next)
}

// getProfile is NetworkSecurityPerimeterProfiles_Get of the specification.
func getProfile(c *arm.Call) (*arm.Answer, error) { return shown(c, "profiles", c.Vars["profile"]) }

// listProfiles is NetworkSecurityPerimeterProfiles_List.
func listProfiles(c *arm.Call) (*arm.Answer, error) { return listed(c, estate.TypePerimeterProfile) }

// removeProfile removes a profile with its rules, unless an association
// names it (spec: NetworkSecurityPerimeterProfiles_Delete).
func removeProfile(c *arm.Call) (*arm.Answer, error) {
	return remove(c, []string{"profiles", c.Vars["profile"]}, func(s *estate.Snapshot, _ *estate.Draft, res *estate.Resource) error {
		for _, a := range s.Under(perimeterID(c), estate.TypePerimeterAssociation) {
			if estate.Key(associationOf(a).profile) == estate.Key(res.ID) {
				return inUse("profile", res, a)
			}
		}
		return nil
	})
}

// listTypes lists what can be associated: vaults (spec:
// NetworkSecurityPerimeterAssociableResourceTypes_List).
func listTypes(c *arm.Call) (*arm.Answer, error) {
	id := "/subscriptions/" + strings.ToLower(c.Vars["subscription"]) + namespace + "/locations/" + c.Vars["location"] + "/perimeterAssociableResourceTypes/"
	return arm.List([]*ordered.Object{ordered.New(ordered.Member{Name: "name", Value: "Microsoft.KeyVault.vaults"},
		ordered.Member{Name: "id", Value: id + "Microsoft.KeyVault.vaults"},
		ordered.Member{Name: "type", Value: "Microsoft.Network/PerimeterAssociableResourceTypes"},
		ordered.Member{Name: "properties", Value: ordered.New(ordered.Member{Name: "displayName", Value: estate.TypeVault},
			ordered.Member{Name: "resourceType", Value: estate.TypeVault},
			ordered.Member{Name: "publicDnsZones", Value: []any{"vault.azure.net", "vaultcore.azure.net"}})})}), nil
}
