package resources

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/fault"
	"postern/internal/ordered"
	"postern/internal/region"
)

// listLocations lists the regions (spec: Subscriptions_ListLocations).
func listLocations(c *arm.Call) (*arm.Answer, error) {
	var list []*ordered.Object
	id := "/subscriptions/" + c.Vars["subscription"] + "/locations/"
	for _, r := range region.All() {
		pairs := []any{}
		if r.Paired != "" {
			pairs = append(pairs, ordered.New(ordered.Member{Name: "name", Value: r.Paired}, ordered.Member{Name: "id", Value: id + r.Paired}))
		}
		list = append(list, ordered.New(
			ordered.Member{Name: "id", Value: id + r.Name},
			ordered.Member{Name: "name", Value: r.Name},
			ordered.Member{Name: "type", Value: "Region"},
			ordered.Member{Name: "displayName", Value: r.DisplayName},
			ordered.Member{Name: "regionalDisplayName", Value: "(" + r.Group + ") " + r.DisplayName},
			ordered.Member{Name: "metadata", Value: ordered.New(
				ordered.Member{Name: "regionType", Value: "Physical"},
				ordered.Member{Name: "regionCategory", Value: "Recommended"},
				ordered.Member{Name: "geography", Value: r.Geography},
				ordered.Member{Name: "geographyGroup", Value: r.Group},
				ordered.Member{Name: "pairedRegion", Value: pairs})}))
	}
	return arm.List(list), nil
}

// providerBody is a provider with its types (spec: Provider).
func providerBody(c *arm.Call, p arm.Provider) *ordered.Object {
	id := "/providers/" + p.Namespace
	if s, ok := c.Vars["subscription"]; ok {
		id = "/subscriptions/" + s + id
	}
	var names []any
	for _, r := range region.All() {
		names = append(names, r.DisplayName)
	}
	types := []any{}
	for _, t := range p.Types {
		locations := []any{}
		if t.Located {
			locations = names
		}
		versions := make([]any, len(t.APIVersions))
		for i, v := range t.APIVersions {
			versions[i] = v
		}
		o := ordered.New(
			ordered.Member{Name: "resourceType", Value: t.Name},
			ordered.Member{Name: "locations", Value: locations},
			ordered.Member{Name: "apiVersions", Value: versions},
			ordered.Member{Name: "capabilities", Value: "None"})
		if len(t.APIVersions) > 0 {
			o.Set("defaultApiVersion", t.APIVersions[0])
		}
		types = append(types, o)
	}
	return ordered.New(
		ordered.Member{Name: "id", Value: id},
		ordered.Member{Name: "namespace", Value: p.Namespace},
		ordered.Member{Name: "registrationPolicy", Value: "RegistrationFree"},
		ordered.Member{Name: "registrationState", Value: "Registered"},
		ordered.Member{Name: "resourceTypes", Value: types})
}

func listProviders(c *arm.Call) (*arm.Answer, error) {
	var list []*ordered.Object
	for _, p := range c.Providers() {
		list = append(list, providerBody(c, p))
	}
	return arm.List(list), nil
}

func findProvider(c *arm.Call) (arm.Provider, error) {
	for _, p := range c.Providers() {
		if strings.EqualFold(p.Namespace, c.Vars["namespace"]) {
			return p, nil
		}
	}
	return arm.Provider{}, fault.New(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", c.Vars["namespace"])
}

func getProvider(c *arm.Call) (*arm.Answer, error) {
	p, err := findProvider(c)
	if err != nil {
		return nil, err
	}
	return arm.OK(providerBody(c, p)), nil
}

// register answers that a provider is registered, which all of them are
// (spec: Providers_Register). The action is the provider's own.
func register(c *arm.Call) (*arm.Answer, error) {
	p, err := findProvider(c)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(p.Namespace+"/register/action", "/subscriptions/"+c.Vars["subscription"]); err != nil {
		return nil, err
	}
	return arm.OK(providerBody(c, p)), nil
}
