package nsp

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// association is what a resource association says.
type association struct {
	vault, profile, mode string
}

// associationOf reads a stored association.
func associationOf(res *estate.Resource) association {
	return readAssociationProperties(arm.Document(res).Object("properties"))
}

func readAssociationProperties(props *ordered.Object) association {
	return association{strings.TrimRight(props.Object("privateLinkResource").Text("id"), "/"),
		strings.TrimRight(props.Object("profile").Text("id"), "/"), props.Text("accessMode")}
}

// modes are the access modes (spec: AssociationAccessMode). Transition is
// what the documentation calls Learning now.
var modes = map[string]string{"": "Learning", "learning": "Learning", "transition": "Learning", "enforced": "Enforced", "audit": "Audit"}

// maxID bounds the ids in a body.
const maxID = 1024

// putAssociation puts a vault under a perimeter, or changes how (spec:
// NetworkSecurityPerimeterAssociations_CreateOrUpdate).
func putAssociation(c *arm.Call) (*arm.Answer, error) {
	if err := named(c.Vars["association"]); err != nil {
		return nil, err
	}
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	a := readAssociationProperties(sent.Object("properties"))
	mode, ok := modes[strings.ToLower(a.mode)]
	switch v, _ := sent.Object("properties").Get("accessMode"); {
	case !ok, v != nil && a.mode == "":
		return nil, badRequest("The property 'accessMode' is 'Learning', 'Enforced' or 'Audit'.")
	case a.vault == "" || len(a.vault) > maxID:
		return nil, badRequest("The property 'privateLinkResource.id' is missing, or too long.")
	case a.profile == "" || len(a.profile) > maxID:
		return nil, badRequest("The property 'profile.id' is missing, or too long.")
	}
	a.mode = mode
	if err := c.AuthorizeLinked(joinProfile, a.profile); err != nil {
		return nil, err
	}
	if err := c.AuthorizeLinked(joinVault, a.vault); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) { return a.write(c, s, d) })
}

// write checks an association against the estate and puts it into the draft.
func (a *association) write(c *arm.Call, s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
	perimeter, err := find(c, s)
	if err != nil {
		return nil, err
	}
	id := perimeter.ID + "/resourceAssociations/" + c.Vars["association"]
	vault, ok := s.Resource(a.vault)
	if !ok || !strings.EqualFold(vault.Type, estate.TypeVault) {
		return nil, missing(a.vault, "privateLinkResource.id", "a vault")
	}
	profile, ok := s.Resource(a.profile)
	if !ok || estate.Key(profile.ID) != estate.Key(perimeter.ID+"/profiles/"+profile.Name) {
		return nil, missing(a.profile, "profile.id", "a profile of the perimeter")
	}
	old, _ := s.Resource(id)
	if old != nil && estate.Key(associationOf(old).vault) != estate.Key(vault.ID) {
		return nil, badRequest("The resource of the association '%s' cannot be changed.", old.Name)
	}
	// The service answers so for two associations in learning mode (issue
	// Azure/bicep-registry-modules#6120); here a vault is under one
	// perimeter at a time whatever the mode.
	if other, taken := s.Association(vault.ID); taken && estate.Key(other.ID) != estate.Key(id) {
		used := strings.ToLower(associationOf(other).mode)
		return nil, fault.New(http.StatusConflict, "Conflict", "Only a single association with access mode '%s' is allowed. Association '%s'"+
			" already uses access mode '%s' on %s.", used, other.Name, used, vault.ID)
	}
	next, doc := draw(c, old, id, estate.TypePerimeterAssociation, ordered.New(
		ordered.Member{Name: "privateLinkResource", Value: ordered.New(ordered.Member{Name: "id", Value: vault.ID})},
		ordered.Member{Name: "profile", Value: ordered.New(ordered.Member{Name: "id", Value: profile.ID})},
		ordered.Member{Name: "accessMode", Value: a.mode}, ordered.Member{Name: "provisioningState", Value: "Succeeded"},
		ordered.Member{Name: "hasProvisioningIssues", Value: "no"}))
	d.Put(next)
	return arm.OK(doc), nil
}

// missing is the answer for a resource that a body names and that is not
// there.
func missing(id, path, what string) error {
	return fault.New(http.StatusNotFound, "ResourceNotFound", "The resource '%s' of '%s' was not found, or is not %s.", id, path, what)
}

// getAssociation is NetworkSecurityPerimeterAssociations_Get.
func getAssociation(c *arm.Call) (*arm.Answer, error) {
	return shown(c, "resourceAssociations", c.Vars["association"])
}

// listAssociations is NetworkSecurityPerimeterAssociations_List.
func listAssociations(c *arm.Call) (*arm.Answer, error) {
	return listed(c, estate.TypePerimeterAssociation)
}

// removeAssociation is NetworkSecurityPerimeterAssociations_Delete.
func removeAssociation(c *arm.Call) (*arm.Answer, error) {
	return remove(c, []string{"resourceAssociations", c.Vars["association"]}, nil)
}

// theVault is the vault of the path.
func theVault(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(arm.VaultID(c.Vars))
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], estate.TypeVault+"/"+c.Vars["vault"])
	}
	return res, nil
}

// configurations are what a vault shows of the perimeter it is under: one,
// or none (spec: NetworkSecurityPerimeterConfiguration).
func configurations(c *arm.Call) ([]*ordered.Object, error) {
	s := c.Snapshot()
	vault, err := theVault(c, s)
	if err != nil {
		return nil, err
	}
	res, ok := s.Association(vault.ID)
	if !ok {
		return nil, nil
	}
	a := associationOf(res)
	parent := res.ID[:max(0, strings.LastIndex(strings.ToLower(res.ID), "/resourceassociations/"))]
	guid, where := "", ""
	if perimeter, ok := s.Resource(parent); ok {
		guid, where = perimeterGUID(perimeter), perimeter.Location
	}
	version := 0
	if profile, ok := s.Resource(a.profile); ok {
		version = ruleVersion(profile)
	}
	rules := []any{}
	for _, rule := range s.Under(a.profile, estate.TypePerimeterRule) {
		rules = append(rules, ordered.New(ordered.Member{Name: "name", Value: rule.Name},
			ordered.Member{Name: "properties", Value: ruleOf(rule)}))
	}
	name := guid + "." + res.Name
	return []*ordered.Object{ordered.New(
		ordered.Member{Name: "id", Value: vault.ID + "/networkSecurityPerimeterConfigurations/" + name},
		ordered.Member{Name: "name", Value: name},
		ordered.Member{Name: "type", Value: estate.TypeVault + "/networkSecurityPerimeterConfigurations"},
		ordered.Member{Name: "properties", Value: ordered.New(
			ordered.Member{Name: "provisioningState", Value: "Succeeded"}, ordered.Member{Name: "provisioningIssues", Value: []any{}},
			ordered.Member{Name: "networkSecurityPerimeter", Value: ordered.New(ordered.Member{Name: "id", Value: parent},
				ordered.Member{Name: "perimeterGuid", Value: guid}, ordered.Member{Name: "location", Value: where})},
			ordered.Member{Name: "resourceAssociation", Value: ordered.New(ordered.Member{Name: "name", Value: res.Name},
				ordered.Member{Name: "accessMode", Value: a.mode})},
			ordered.Member{Name: "profile", Value: ordered.New(ordered.Member{Name: "name", Value: a.profile[strings.LastIndexByte(a.profile, '/')+1:]},
				ordered.Member{Name: "accessRulesVersion", Value: version}, ordered.Member{Name: "accessRules", Value: rules},
				ordered.Member{Name: "diagnosticSettingsVersion", Value: 0}, ordered.Member{Name: "enabledLogCategories", Value: []any{}})})})}, nil
}

// ruleOf is a rule as the vault's side shows it.
func ruleOf(rule *estate.Resource) *ordered.Object {
	props := arm.Document(rule).Object("properties")
	next := &ordered.Object{}
	for _, name := range append([]string{"direction"}, shownLists...) {
		if v, ok := props.Get(name); ok {
			next.Set(name, v)
		}
	}
	return next
}

// listConfigurations is NetworkSecurityPerimeterConfigurations_ListConfigurations.
func listConfigurations(c *arm.Call) (*arm.Answer, error) {
	list, err := configurations(c)
	if err != nil {
		return nil, err
	}
	return arm.List(list), nil
}

// theConfiguration is the configuration of the path.
func theConfiguration(c *arm.Call) (*ordered.Object, error) {
	list, err := configurations(c)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		if strings.EqualFold(o.Text("name"), c.Vars["configuration"]) {
			return o, nil
		}
	}
	return nil, arm.NotFound(c.Vars["group"], estate.TypeVault+"/"+c.Vars["vault"]+"/networkSecurityPerimeterConfigurations/"+c.Vars["configuration"])
}

// getConfiguration is NetworkSecurityPerimeterConfigurations_GetConfiguration.
func getConfiguration(c *arm.Call) (*arm.Answer, error) {
	o, err := theConfiguration(c)
	if err != nil {
		return nil, err
	}
	return arm.OK(o), nil
}

// reconcile brings the vault's side up to date, which it always is: 204
// (spec: NetworkSecurityPerimeterConfigurations_ReconcileConfiguration).
func reconcile(c *arm.Call) (*arm.Answer, error) {
	if _, err := theConfiguration(c); err != nil {
		return nil, err
	}
	return &arm.Answer{Status: http.StatusNoContent}, nil
}
