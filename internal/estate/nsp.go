package estate

import (
	"encoding/json"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"postern/access"
)

// The types of resource that a network security perimeter is made of, beside
// TypePerimeter itself.
const (
	TypePerimeterProfile     = TypePerimeter + "/profiles"
	TypePerimeterRule        = TypePerimeter + "/profiles/accessRules"
	TypePerimeterAssociation = TypePerimeter + "/resourceAssociations"
)

// isPerimeterType reports whether perimeters are compiled from a type.
func isPerimeterType(typ string) bool {
	n := len(TypePerimeter)
	return len(typ) >= n && strings.EqualFold(typ[:n], TypePerimeter) && (len(typ) == n || typ[n] == '/')
}

// perimeterModes are the access modes of an association. Audit logs and does
// not block, which is what Transition does; Learning was Transition's name
// when the profile learned from it.
var perimeterModes = map[string]access.PerimeterMode{"Enforced": access.PerimeterEnforced,
	"Learning": access.PerimeterTransition, "Audit": access.PerimeterTransition, "Transition": access.PerimeterTransition}

// association is a resource association (spec: NspAssociation).
type association struct {
	resource *Resource
	// vault and profile are Keys.
	vault, profile string
	mode           access.PerimeterMode
}

func (r *reading) association(res *Resource) association {
	var doc struct {
		Properties struct {
			Resource struct {
				ID string `json:"id"`
			} `json:"privateLinkResource"`
			Profile struct {
				ID string `json:"id"`
			} `json:"profile"`
			Mode *string `json:"accessMode"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(res.Body, &doc); err != nil {
		r.problem("properties", "cannot be read: %v", err)
	}
	p := &doc.Properties
	return association{res, Key(p.Resource.ID), Key(p.Profile.ID),
		word(r, "properties.accessMode", p.Mode, access.PerimeterTransition, access.PerimeterEnforced, perimeterModes)}
}

// inbound is what the rules of one profile let in.
type inbound struct {
	prefixes      []netip.Prefix
	subscriptions []access.GUID
}

// rule reads an access rule (spec: NspAccessRule). What cannot be read lets
// nobody in; an outbound rule says nothing of who may come.
func (r *reading) rule(res *Resource, in *inbound) {
	var doc struct {
		Properties struct {
			Direction     string   `json:"direction"`
			Prefixes      []string `json:"addressPrefixes"`
			Subscriptions []struct {
				ID string `json:"id"`
			} `json:"subscriptions"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(res.Body, &doc); err != nil {
		r.problem("properties", "cannot be read: %v", err)
		return
	}
	if !strings.EqualFold(doc.Properties.Direction, "Inbound") {
		return
	}
	for _, text := range doc.Properties.Prefixes {
		prefix, err := ParseIPRule(text)
		if err != nil {
			r.problem("properties.addressPrefixes", "%q is not an address or a range", text)
			continue
		}
		in.prefixes = append(in.prefixes, prefix)
	}
	for _, s := range doc.Properties.Subscriptions {
		id, ok := strings.CutPrefix(Key(s.ID), "/subscriptions/")
		if !ok {
			id = s.ID
		}
		if g := r.guid("properties.subscriptions", id); !g.IsZero() {
			in.subscriptions = append(in.subscriptions, g)
		}
	}
}

// compilePerimeters reads all perimeters: what each vault is under, by its
// Key. The result replaces what was there.
func (s *Snapshot) compilePerimeters() []Problem {
	var associations []association
	profiles := map[string]*inbound{}
	var problems []Problem
	for _, key := range s.order {
		r := &reading{resource: s.resources[key]}
		switch res := r.resource; {
		case !isPerimeterType(res.Type):
			continue
		case strings.EqualFold(res.Type, TypePerimeterAssociation):
			associations = append(associations, r.association(res))
		case strings.EqualFold(res.Type, TypePerimeterRule):
			profile := above(key)
			if profiles[profile] == nil {
				profiles[profile] = &inbound{}
			}
			r.rule(res, profiles[profile])
		}
		problems = append(problems, r.problems...)
	}
	s.perimeters = map[string]access.Perimeter{}
	for _, a := range associations {
		p := access.Perimeter{Mode: a.mode, ID: above(Key(a.resource.ID))}
		if in := profiles[a.profile]; in != nil {
			p.Prefixes, p.Subscriptions = in.prefixes, in.subscriptions
		}
		if before, twice := s.perimeters[a.vault]; twice {
			// The service allows one; files may hold two. Nobody can tell
			// which rules hold, so none lets in.
			problems = append(problems, Problem{a.resource, "properties.privateLinkResource.id", "the resource is associated with " +
				before.ID + " already: the rules of neither let anybody in"})
			p = access.Perimeter{Mode: max(before.Mode, p.Mode)}
		}
		s.perimeters[a.vault] = p
	}
	return problems
}

// above is the Key of the resource that a Key is a child of.
func above(key string) string {
	for range 2 {
		key = key[:max(0, strings.LastIndexByte(key, '/'))]
	}
	return key
}

// differing are the keys of the resources whose perimeter is not the same in
// two states.
func differing(a, b map[string]access.Perimeter) []string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(a)) {
		if other, ok := b[key]; !ok || !reflect.DeepEqual(a[key], other) {
			list = append(list, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[key]; !ok {
			list = append(list, key)
		}
	}
	return list
}

// Association finds the association that a resource (by id) is under a
// perimeter with; the first in the order of ids.
func (s *Snapshot) Association(resource string) (*Resource, bool) {
	if _, ok := s.perimeters[Key(resource)]; !ok {
		return nil, false
	}
	for _, res := range s.Under("", TypePerimeterAssociation) {
		if (&reading{resource: res}).association(res).vault == Key(resource) {
			return res, true
		}
	}
	return nil, false
}
