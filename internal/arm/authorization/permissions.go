package authorization

import (
	"net/http"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// listPermissions lists the permissions that the caller has at a scope: the
// blocks of the roles that are assigned to it or its groups there or above.
// Who has none learns nothing, not even whether the scope exists (spec:
// Permissions_ListForResourceGroup, Permissions_ListForResource).
func listPermissions(c *arm.Call) (*arm.Answer, error) {
	s, scope := c.Snapshot(), c.Vars["scope"]
	var list []any
	seen := map[string]bool{}
	for _, res := range around(c, s, estate.TypeRoleAssignment, scope) {
		props := arm.Document(res).Object("properties")
		r, ok := findRole(c, s, props.Text("roleDefinitionId"))
		if !ok || seen[r.name] || !s.Covers(res.Scope(), c.Place(scope)) || !isCaller(c, props.Text("principalId")) {
			continue
		}
		seen[r.name] = true
		blocks, _ := r.body(scope).Object("properties").Get("permissions")
		all, _ := blocks.([]any)
		list = append(list, all...)
	}
	return arm.List(list), nil
}

// isCaller reports whether a principal is the caller or a group of its.
func isCaller(c *arm.Call, principal string) bool {
	g, err := access.ParseGUID(principal)
	return err == nil && (g == c.Caller.Object || slices.Contains(c.Caller.Groups, g))
}

// listProviderOperations lists what there is to allow, provider by provider
// (spec: ProviderOperationsMetadata_List).
func listProviderOperations(c *arm.Call) (*arm.Answer, error) {
	var list []*ordered.Object
	for _, p := range c.Providers() {
		list = append(list, providerOperations(p))
	}
	return arm.List(list), nil
}

// getProviderOperations is what there is to allow of one provider (spec:
// ProviderOperationsMetadata_Get).
func getProviderOperations(c *arm.Call) (*arm.Answer, error) {
	for _, p := range c.Providers() {
		if strings.EqualFold(p.Namespace, c.Vars["namespace"]) {
			return arm.OK(providerOperations(p)), nil
		}
	}
	return nil, fault.New(http.StatusNotFound, "ProviderNotFound", "Provider '%s' not found.", c.Vars["namespace"])
}

// providerOperations is the actions that the operations of a provider
// demand, and for vaults the data actions, by their types of resource.
func providerOperations(p arm.Provider) *ordered.Object {
	types := map[string][]any{}
	var order []string
	seen := map[string]bool{}
	add := func(action string, data bool) {
		typ, ok := strings.CutPrefix(action, p.Namespace+"/")
		if !ok || seen[action] {
			return
		}
		seen[action] = true
		// …/read and …/write are of a type; so is …/purge/action.
		typ = strings.TrimSuffix(typ, "/action")
		typ = typ[:max(0, strings.LastIndexByte(typ, '/'))]
		if types[typ] == nil {
			order = append(order, typ)
		}
		types[typ] = append(types[typ], ordered.New(ordered.Member{Name: "name", Value: action}, ordered.Member{Name: "displayName", Value: action},
			ordered.Member{Name: "description", Value: action}, ordered.Member{Name: "origin", Value: "user,system"}, ordered.Member{Name: "isDataAction", Value: data}))
	}
	for _, r := range p.Routes {
		// Some operations decide for themselves; they are called by their action.
		add(r.Action, false)
		add(r.Name, false)
	}
	for _, o := range access.Operations() {
		add(o.Info().DataAction, true)
	}
	own, all := types[""], []any{}
	for _, typ := range order {
		if typ != "" {
			all = append(all, ordered.New(ordered.Member{Name: "name", Value: typ}, ordered.Member{Name: "displayName", Value: typ},
				ordered.Member{Name: "operations", Value: types[typ]}))
		}
	}
	if own == nil {
		own = []any{}
	}
	return ordered.New(ordered.Member{Name: "displayName", Value: p.Namespace}, ordered.Member{Name: "operations", Value: own},
		ordered.Member{Name: "resourceTypes", Value: all},
		ordered.Member{Name: "id", Value: "/providers/Microsoft.Authorization/providerOperations/" + p.Namespace},
		ordered.Member{Name: "type", Value: "Microsoft.Authorization/providerOperations"}, ordered.Member{Name: "name", Value: p.Namespace})
}
