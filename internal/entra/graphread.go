package entra

import (
	"net/http"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/fault"
)

// kinds are the collections of principals, by the segment that names them.
var kinds = map[string]Kind{"users": User, "groups": Group, "servicePrincipals": ServicePrincipal}

// document is an object of the directory as Graph shows it.
func (c *graphCall) document(o any) any {
	s := c.directory.state.Load()
	switch o := o.(type) {
	case *application:
		audience := "AzureADMyOrg"
		if o.MultiTenant {
			audience = "AzureADMultipleOrgs"
		}
		passwords, keys := c.proofsOf(o.Object)
		return map[string]any{"@odata.type": "#microsoft.graph.application", "id": o.Object.String(), "appId": o.App.String(), "displayName": o.DisplayName, "signInAudience": audience,
			"identifierUris": append([]string{}, o.uris...), "publisherDomain": nullable(s.tenants[o.Tenant].Domain), "passwordCredentials": passwords, "keyCredentials": keys,
			"appRoles": []any{}, "requiredResourceAccess": []any{}, "tags": []any{}}
	case *principal:
		switch o.Kind {
		case User:
			return map[string]any{"@odata.type": "#microsoft.graph.user", "id": o.Object.String(), "displayName": o.DisplayName, "userPrincipalName": o.user.UPN,
				"accountEnabled": !o.disabled, "mail": nullable(o.user.Mail), "userType": "Member"}
		case Group:
			return map[string]any{"@odata.type": "#microsoft.graph.group", "id": o.Object.String(), "displayName": o.DisplayName, "description": nullable(o.group.Description),
				"mailNickname": nullable(o.group.Nickname), "mailEnabled": false, "securityEnabled": true, "groupTypes": []any{}}
		}
		out := present(o.Principal)
		out.Enabled, out.DataType = !o.disabled, "#microsoft.graph.servicePrincipal"
		if a := s.registered[o.App]; a != nil {
			out.Owner = a.Tenant.String() // another tenant than the principal's shows a foreign application
			out.AppName = a.DisplayName
			out.Names = append(out.Names, a.uris...)
		}
		if o.managed != nil {
			o.managed.presentManaged(&out)
		}
		return out
	}
	return nil
}

// proofsOf are the credentials of an object as Graph shows them.
func (c *graphCall) proofsOf(object access.GUID) (passwords, keys []any) {
	secrets, certificates, _ := c.directory.Credentials(object)
	passwords, keys = []any{}, []any{}
	for _, s := range secrets {
		passwords = append(passwords, passwordOf(s))
	}
	for _, k := range certificates {
		keys = append(keys, keyOf(k))
	}
	return passwords, keys
}

// find is the object of a collection that a path names: by object id, by
// (appId='…'), or a user by name. Objects of other tenants do not exist.
func (c *graphCall) find(collection, id string) (any, error) {
	s := c.directory.state.Load()
	missing := fault.New(http.StatusNotFound, "Request_ResourceNotFound", "Resource '%s' does not exist or one of its queried reference-property objects are not present.", clip(id))
	if app, ok := strings.CutPrefix(id, "(appId='"); ok {
		g, err := access.ParseGUID(strings.TrimSuffix(app, "')"))
		if err != nil {
			return nil, missing
		}
		if a := s.registered[g]; collection == "applications" && a != nil && a.Tenant == c.caller.Tenant {
			return a, nil
		}
		if p := s.apps[appKey{c.caller.Tenant, g}]; collection == "servicePrincipals" && p != nil {
			return p, nil
		}
		return nil, missing
	}
	if p := s.upns[strings.ToLower(id)]; collection == "users" && p != nil && p.Tenant == c.caller.Tenant {
		return p, nil
	}
	g, err := access.ParseGUID(id)
	if err != nil {
		if collection == "users" && strings.Contains(id, "@") {
			return nil, missing
		}
		return nil, fault.New(http.StatusBadRequest, "Request_BadRequest", "Invalid object identifier '%s'.", clip(id))
	}
	if a := s.registrations[g]; (collection == "applications" || collection == "directoryObjects") && a != nil && a.Tenant == c.caller.Tenant {
		return a, nil
	}
	if p := s.objects[g]; p != nil && p.Tenant == c.caller.Tenant && (kinds[collection] == p.Kind || collection == "directoryObjects") {
		return p, nil
	}
	return nil, missing
}

// list is GET of a collection, with or without $filter. Other query options
// change the form of an answer, not whom it holds: all properties of all
// matches in one page satisfy them.
func (c *graphCall) list(name string) error {
	query, err := readQuery(c.r.URL.RawQuery)
	if err != nil {
		return fault.New(http.StatusBadRequest, "BadRequest", "The query is malformed.").Because(err)
	}
	matches := func(any) bool { return true }
	if query.Has("$filter") {
		all, err := parseFilters(query.Get("$filter"))
		if err != nil {
			return fault.New(http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.").Because(err)
		}
		matches = func(o any) bool { return !slices.ContainsFunc(all, func(f filter) bool { return !f.holds(o) }) }
	}
	s := c.directory.state.Load()
	value := []any{}
	if name == "applications" {
		for _, a := range c.directory.Applications(c.caller.Tenant) {
			if o := s.registrations[a.Object]; o != nil && matches(o) {
				value = append(value, c.document(o))
			}
		}
		return c.collection(name, value)
	}
	for _, p := range c.directory.Principals(c.caller.Tenant) {
		if o := s.objects[p.Object]; o != nil && o.Kind == kinds[name] && matches(o) {
			value = append(value, c.document(o))
		}
	}
	return c.collection(name, value)
}

// holds reports whether the condition holds for an object.
func (f filter) holds(o any) bool {
	switch o := o.(type) {
	case *application:
		if f.property == byIdentifierURI {
			return slices.ContainsFunc(o.uris, func(u string) bool { return strings.EqualFold(u, f.value) })
		}
		return f.matches(Principal{Object: o.Object, App: o.App, DisplayName: o.DisplayName})
	case *principal:
		switch f.property {
		case byUserName:
			return o.user != nil && strings.EqualFold(o.user.UPN, f.value)
		case byMail:
			return o.user != nil && o.user.Mail != "" && strings.EqualFold(o.user.Mail, f.value)
		case byNickname:
			return o.group != nil && strings.EqualFold(o.group.Nickname, f.value)
		case byType:
			return o.Kind == ServicePrincipal && strings.EqualFold(f.value, o.servicePrincipalType())
		}
		return f.matches(o.Principal)
	}
	return false
}

// principals answers with a list of principals.
func (c *graphCall) principals(list []access.GUID) error {
	s := c.directory.state.Load()
	value := []any{}
	for _, id := range list {
		if p := s.objects[id]; p != nil {
			value = append(value, c.document(p))
		}
	}
	return c.collection("directoryObjects", value)
}

// organization is the caller's tenant.
func (c *graphCall) organization() error {
	t, _ := c.directory.Tenant(c.caller.Tenant)
	domains := []any{}
	if t.Domain != "" {
		domains = append(domains, map[string]any{"name": t.Domain, "isDefault": true, "isInitial": true, "type": "Managed"})
	}
	return c.collection("organization", []any{map[string]any{"id": t.ID.String(), "displayName": t.Name, "verifiedDomains": domains}})
}
