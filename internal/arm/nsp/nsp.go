// Package nsp is network security perimeters: the resources of the provider
// Microsoft.Network that say who may reach what is inside of one, and what of
// it a vault shows.
//
//	perimeter ─┬─ profile ── accessRules        who may come in
//	           └─ resourceAssociation ──────────▶ a vault, with one profile, Learning or Enforced
//
// The estate compiles associations and rules into the rules of the vault;
// nothing here decides over a request to one.
package nsp

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

const (
	namespace       = "/providers/Microsoft.Network"
	inGroup         = "/subscriptions/{subscription}/resourceGroups/{group}" + namespace
	perimeterPath   = inGroup + "/networkSecurityPerimeters/{perimeter}"
	profilePath     = perimeterPath + "/profiles/{profile}"
	rulePath        = profilePath + "/accessRules/{rule}"
	associationPath = perimeterPath + "/resourceAssociations/{association}"
	ofVault         = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}/networkSecurityPerimeterConfigurations"
)

// The actions (documentation: permissions of Microsoft.Network and of
// Microsoft.KeyVault). joinProfile and joinVault are what an association
// needs on both of its sides.
const (
	readPerimeter     = estate.TypePerimeter + "/read"
	writePerimeter    = estate.TypePerimeter + "/write"
	deletePerimeter   = estate.TypePerimeter + "/delete"
	readProfile       = estate.TypePerimeterProfile + "/read"
	writeProfile      = estate.TypePerimeterProfile + "/write"
	deleteProfile     = estate.TypePerimeterProfile + "/delete"
	joinProfile       = estate.TypePerimeterProfile + "/join/action"
	readRule          = estate.TypePerimeterRule + "/read"
	writeRule         = estate.TypePerimeterRule + "/write"
	deleteRule        = estate.TypePerimeterRule + "/delete"
	readAssociation   = estate.TypePerimeterAssociation + "/read"
	writeAssociation  = estate.TypePerimeterAssociation + "/write"
	deleteAssociation = estate.TypePerimeterAssociation + "/delete"
	joinVault         = estate.TypeVault + "/joinPerimeter/action"
	readTypes         = "Microsoft.Network/locations/perimeterAssociableResourceTypes/read"
	readConfig        = estate.TypeVault + "/networkSecurityPerimeterConfigurations/read"
	reconcileConfig   = estate.TypeVault + "/networkSecurityPerimeterConfigurations/reconcile/action"
)

// versions are those that clients are known to send, newest first.
var versions = []string{"2025-05-01", "2025-01-01", "2024-10-01", "2024-07-01", "2023-08-01-preview"}

// vaultVersions are those of the provider Microsoft.KeyVault that have the
// configurations of a vault.
var vaultVersions = []string{"2026-04-01", "2024-04-01-preview"}

// Provider is the table of the operations on perimeters.
func Provider() arm.Provider {
	subscription := func(v arm.Vars) string { return "/subscriptions/" + v["subscription"] }
	return arm.Provider{
		Namespace: "Microsoft.Network",
		Types: []arm.Type{
			{Name: "networkSecurityPerimeters", APIVersions: versions, Located: true},
			{Name: "networkSecurityPerimeters/profiles", APIVersions: versions},
			{Name: "networkSecurityPerimeters/profiles/accessRules", APIVersions: versions},
			{Name: "networkSecurityPerimeters/resourceAssociations", APIVersions: versions},
			{Name: "locations/perimeterAssociableResourceTypes", APIVersions: versions, Located: true},
		},
		Routes: []arm.Route{
			{Name: writePerimeter, Method: http.MethodPut, Pattern: perimeterPath, Action: writePerimeter, Body: arm.MaxBody, Handle: putPerimeter},
			{Name: writePerimeter, Method: http.MethodPatch, Pattern: perimeterPath, Action: writePerimeter, Body: arm.MaxBody, Handle: patchPerimeter},
			{Name: readPerimeter, Method: http.MethodGet, Pattern: perimeterPath, Action: readPerimeter, Handle: getPerimeter},
			{Name: deletePerimeter, Method: http.MethodDelete, Pattern: perimeterPath, Action: deletePerimeter, Handle: removePerimeter},
			{Name: readPerimeter, Method: http.MethodGet, Pattern: inGroup + "/networkSecurityPerimeters", Action: readPerimeter, Handle: listPerimeters},
			{Name: readPerimeter, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}" + namespace + "/networkSecurityPerimeters",
				Action: readPerimeter, Handle: listPerimeters},
			{Name: readTypes, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}" + namespace + "/locations/{location}/perimeterAssociableResourceTypes",
				Action: readTypes, Scope: subscription, Handle: listTypes},

			{Name: writeProfile, Method: http.MethodPut, Pattern: profilePath, Action: writeProfile, Body: arm.MaxBody, Handle: putProfile},
			{Name: readProfile, Method: http.MethodGet, Pattern: profilePath, Action: readProfile, Handle: getProfile},
			{Name: deleteProfile, Method: http.MethodDelete, Pattern: profilePath, Action: deleteProfile, Handle: removeProfile},
			{Name: readProfile, Method: http.MethodGet, Pattern: perimeterPath + "/profiles", Action: readProfile, Handle: listProfiles},

			{Name: writeRule, Method: http.MethodPut, Pattern: rulePath, Action: writeRule, Body: arm.MaxBody, Handle: putRule},
			{Name: readRule, Method: http.MethodGet, Pattern: rulePath, Action: readRule, Handle: getRule},
			{Name: deleteRule, Method: http.MethodDelete, Pattern: rulePath, Action: deleteRule, Handle: removeRule},
			{Name: readRule, Method: http.MethodGet, Pattern: profilePath + "/accessRules", Action: readRule, Handle: listRules},

			{Name: writeAssociation, Method: http.MethodPut, Pattern: associationPath, Action: writeAssociation, Body: arm.MaxBody, Handle: putAssociation},
			{Name: readAssociation, Method: http.MethodGet, Pattern: associationPath, Action: readAssociation, Handle: getAssociation},
			{Name: deleteAssociation, Method: http.MethodDelete, Pattern: associationPath, Action: deleteAssociation, Handle: removeAssociation},
			{Name: readAssociation, Method: http.MethodGet, Pattern: perimeterPath + "/resourceAssociations", Action: readAssociation, Handle: listAssociations},
		},
	}
}

// Vaults is the table of the operations on what a vault shows of the
// perimeter that it is under.
func Vaults() arm.Provider {
	return arm.Provider{
		Namespace: "Microsoft.KeyVault",
		Types:     []arm.Type{{Name: "vaults/networkSecurityPerimeterConfigurations", APIVersions: vaultVersions, Located: true}},
		Routes: []arm.Route{
			{Name: readConfig, Method: http.MethodGet, Pattern: ofVault, Action: readConfig, Handle: listConfigurations},
			{Name: readConfig, Method: http.MethodGet, Pattern: ofVault + "/{configuration}", Action: readConfig, Handle: getConfiguration},
			{Name: reconcileConfig, Method: http.MethodPost, Pattern: ofVault + "/{configuration}/reconcile", Action: reconcileConfig, Handle: reconcile},
		},
	}
}

// perimeterID is the id of the perimeter that the path names; what else the
// path names is below it.
func perimeterID(c *arm.Call) string {
	return arm.GroupID(c.Vars["subscription"], c.Vars["group"]) + "/providers/" + estate.TypePerimeter + "/" + c.Vars["perimeter"]
}

// find finds a resource at or below the perimeter of the path, which must
// be there with everything in between. The path below is of types and names.
func find(c *arm.Call, s *estate.Snapshot, below ...string) (*estate.Resource, error) {
	id, what := perimeterID(c), estate.TypePerimeter+"/"+c.Vars["perimeter"]
	res, ok := s.Resource(id)
	for i := 0; ok && i < len(below); i += 2 {
		id = res.ID + "/" + below[i] + "/" + below[i+1]
		what += "/" + below[i] + "/" + below[i+1]
		res, ok = s.Resource(id)
	}
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], what)
	}
	return res, nil
}

// validName holds for the names of perimeters and of what is in them (spec:
// letters and digits at the ends, underscores, dots and hyphens between).
func validName(name string) bool {
	if name == "" || len(name) > 80 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '_' && i > 0:
		case (c == '.' || c == '-') && i > 0 && i < len(name)-1:
		default:
			return false
		}
	}
	return true
}

func badRequest(format string, args ...any) error {
	return fault.New(http.StatusBadRequest, "BadRequest", format, args...)
}

// named checks the name of what a request makes.
func named(name string) error {
	if validName(name) {
		return nil
	}
	return fault.New(http.StatusBadRequest, "InvalidResourceName", "Resource name '%.100s' is invalid. The name can be up to 80 characters"+
		" long. It must begin with a letter or digit, and it must end with a letter, digit or with '_'. The name may contain letters, digits"+
		" or '.', '-', '_'.", name)
}

// draw makes the resource of a document: id, name and type in front, then
// the properties and who wrote them.
func draw(c *arm.Call, old *estate.Resource, id, typ string, props *ordered.Object) (*estate.Resource, *ordered.Object) {
	next := &estate.Resource{ID: id, Type: typ, Name: id[strings.LastIndexByte(id, '/')+1:], Created: c.Now, Changed: c.Now}
	var before *ordered.Object
	if old != nil {
		next.ID, next.Name, next.Created, next.Tags, next.Location = old.ID, old.Name, old.Created, old.Tags, old.Location
		before = arm.Document(old).Object("systemData")
	}
	doc := ordered.New(ordered.Member{Name: "name", Value: next.Name}, ordered.Member{Name: "id", Value: next.ID},
		ordered.Member{Name: "type", Value: typ}, ordered.Member{Name: "properties", Value: props},
		ordered.Member{Name: "systemData", Value: c.SystemData(before)})
	next.Body = doc.Bytes()
	return next, doc
}

// remove removes a resource with what is below it, in a change; 204 when it
// is not there.
func remove(c *arm.Call, below []string, may func(s *estate.Snapshot, d *estate.Draft, res *estate.Resource) error) (*arm.Answer, error) {
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, err := find(c, s, below...)
		if err != nil {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		if may != nil {
			if err := may(s, d, res); err != nil {
				return nil, err
			}
		}
		for _, child := range s.Under(res.ID, "") {
			d.Delete(child.ID)
		}
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}

// shown is the answer with a resource of the path.
func shown(c *arm.Call, below ...string) (*arm.Answer, error) {
	res, err := find(c, c.Snapshot(), below...)
	if err != nil {
		return nil, err
	}
	return arm.OK(arm.Document(res)), nil
}

// listed is the answer with what is right below a resource of the path.
func listed(c *arm.Call, typ string, below ...string) (*arm.Answer, error) {
	s := c.Snapshot()
	res, err := find(c, s, below...)
	if err != nil {
		return nil, err
	}
	return arm.Resources(c, s.Under(res.ID, typ), arm.Document)
}
