package who

import (
	"encoding/json"
	"strings"

	"postern/access"
	"postern/internal/estate"
)

// ownPerimeter is a perimeter of the writer's own, in a subscription of its own.
const ownPerimeter = "/subscriptions/f0f0f0f0-0000-4000-8000-00000000aaaa/resourceGroups/own/providers/" + estate.TypePerimeter + "/who-own"

// under is the vault's perimeter.
type under struct {
	association *estate.Resource
	// perimeter and profile are ids.
	perimeter, profile string
}

func (t *trial) under() (under, bool) {
	if t.vault.Rules.Perimeter.Mode == access.PerimeterNone {
		return under{}, false
	}
	a, ok := t.snapshot.Association(t.id())
	if !ok {
		return under{}, false
	}
	var doc struct {
		Properties struct {
			Profile struct {
				ID string `json:"id"`
			} `json:"profile"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(a.Body, &doc) // a profile that cannot be read is none
	at := strings.LastIndexByte(a.ID, '/')
	return under{a, a.ID[:strings.LastIndexByte(a.ID[:at], '/')], doc.Properties.Profile.ID}, true
}

// takePerimeterRole assigns Owner at the perimeter, or else at the
// association with it.
func (t *trial) takePerimeterRole(d *done) bool {
	u, ok := t.under()
	if !ok || t.may(actionAssociation, u.association.ID) != nil && t.may(actionRule, u.profile+"/accessRules/*") != nil {
		return false
	}
	for _, scope := range append(t.over(u.perimeter), u.association.ID, u.profile) {
		if t.assign(roleOwner, nil, scope, d) {
			return true
		}
	}
	return false
}

// openRule is an inbound rule for every address.
func openRule(profile string) *estate.Resource {
	return &estate.Resource{ID: profile + "/accessRules/who-own", Type: estate.TypePerimeterRule, Name: "who-own",
		Body: []byte(`{"properties":{"direction":"Inbound","addressPrefixes":["0.0.0.0/0","::/0"]}}`)}
}

// openPerimeter adds the rule to the profile that the vault has.
func (t *trial) openPerimeter(d *done) bool {
	u, ok := t.under()
	if !ok {
		return false
	}
	_, ok = t.snapshot.Resource(u.profile)
	return ok && t.take(d, actionRule, u.profile+"/accessRules/*") && t.with([]*estate.Resource{openRule(u.profile)})
}

// relaxPerimeter has the association only learn.
func (t *trial) relaxPerimeter(d *done) bool {
	u, ok := t.under()
	return ok && t.vault.Rules.Perimeter.Mode != access.PerimeterTransition &&
		t.take(d, actionAssociate, u.association.ID, need{actionProfile, u.profile}, need{actionJoin, t.id()}) &&
		t.editOf(u.association, func(properties map[string]any) bool { properties["accessMode"] = "Learning"; return true })
}

// leavePerimeter deletes the association of the vault, the perimeter with
// all of them, or the resource group that it is in.
func (t *trial) leavePerimeter(d *done) bool {
	u, ok := t.under()
	if !ok {
		return false
	}
	if t.take(d, actionAssociation, u.association.ID) {
		return t.with(nil, u.association.ID)
	}
	scopes := ancestors(u.perimeter)
	group := scopes[min(1, len(scopes)-1)]
	inside := estate.Key(ancestors(t.id())[1]) == estate.Key(group)
	if !t.take(d, actionDropNetwork, u.perimeter) && (inside || !t.take(d, actionDropGroup, group)) {
		return false
	}
	var gone []string
	for _, r := range t.snapshot.Under(d.scope, "") {
		gone = append(gone, r.ID)
	}
	return t.with(nil, gone...)
}

// joinPerimeter associates a vault that is under none with a perimeter of
// the writer's own, enforced, whose rule lets every address in.
func (t *trial) joinPerimeter(d *done) bool {
	if t.vault.Rules.Perimeter.Mode != access.PerimeterNone || !t.take(d, actionJoin, t.id()) {
		return false
	}
	profile := ownPerimeter + "/profiles/who-own"
	body, err := json.Marshal(map[string]any{"properties": map[string]any{"accessMode": "Enforced",
		"privateLinkResource": map[string]any{"id": t.id()}, "profile": map[string]any{"id": profile}}})
	return err == nil && t.with([]*estate.Resource{
		{ID: ownPerimeter, Type: estate.TypePerimeter, Name: "who-own", Body: []byte(`{}`)},
		{ID: profile, Type: estate.TypePerimeterProfile, Name: "who-own", Body: []byte(`{}`)},
		openRule(profile),
		{ID: ownPerimeter + "/resourceAssociations/who-own", Type: estate.TypePerimeterAssociation, Name: "who-own", Body: body}})
}
