package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/estate"
	"postern/internal/iac"
	"postern/internal/iac/live"
	"postern/internal/posture/who"
)

// whoReading reads a server for a question, and keeps what it could not read.
type whoReading struct {
	client    *live.Client
	ctx       context.Context
	resources []*iac.Resource
	notes     []string
}

// whoServer reads the vaults, who may do what in their subscriptions and in
// those of identities, the perimeters, the management groups and the
// directory.
func (w *world) whoServer(ctx context.Context, o *whoOptions, q *who.Question) (resources []*iac.Resource, groups []live.Descendant, notes []string, err error) {
	client, err := w.connect(ctx, &o.remote)
	if err != nil {
		return nil, nil, nil, err
	}
	defer client.Close()
	defer w.progress()("")
	r := &whoReading{client: client, ctx: ctx}
	for _, read := range []func(*whoOptions) error{r.configuration, r.rights} {
		if err := read(o); err != nil {
			return nil, nil, nil, usage(err, "")
		}
	}
	if groups, err = client.ManagementGroups(ctx); r.left("the management groups were not read: ", err) != nil {
		return nil, nil, nil, usage(err, "")
	}
	directory, err := client.Directory(ctx, r.matter())
	if r.left("the directory was not read: ", err) != nil {
		return nil, nil, nil, usage(err, "")
	}
	for _, p := range directory.Principals {
		q.Principals = append(q.Principals, who.Principal{Tenant: p.Tenant, Object: p.Object, App: p.App, User: p.User, Group: p.Group, Groups: p.Groups,
			Owners: p.Owners, Administrator: p.Administrator, Resource: p.Resource, Known: true, Name: p.Name})
	}
	return r.resources, groups, append(r.notes, directory.Unread...), nil
}

// left notes what the server would not tell; any other error is one.
func (r *whoReading) left(what string, err error) error {
	var status *live.StatusError
	if errors.As(err, &status) {
		r.notes = append(r.notes, what+err.Error())
		return nil
	}
	return err
}

// configuration reads the vaults, the perimeters and the identities.
func (r *whoReading) configuration(*whoOptions) error {
	all, err := r.client.Vaults(r.ctx)
	if err != nil {
		return err
	}
	networks, err := r.client.Networks(r.ctx, all)
	if err != nil {
		return err
	}
	identities, unread, err := r.client.Identities(r.ctx, all)
	if err != nil {
		return err
	}
	r.resources = slices.Concat(all, networks.Resources, identities)
	r.notes = append(r.notes, networks.UnreadPerimeters...)
	for _, note := range unread {
		if !strings.Contains(note, ": 404 ") { // a server without that kind of resource has none
			r.notes = append(r.notes, note)
		}
	}
	return nil
}

// rights reads the assignments of roles, what is denied, and the roles: of
// the subscriptions of the vaults that are asked for, or where that may not
// be read of the vaults, and of those that have identities or perimeters.
func (r *whoReading) rights(o *whoOptions) error {
	vaults := map[string][]string{} // by subscription
	var subscriptions []string
	add := func(id, vault string) {
		s := "/subscriptions/" + (&estate.Resource{ID: id}).Subscription()
		if _, had := vaults[s]; !had {
			subscriptions = append(subscriptions, s)
		}
		vaults[s] = append(vaults[s], vault)
	}
	for _, res := range r.resources {
		switch typ := strings.ToLower(res.Type); {
		case res.Type == iac.TypeVault && (o.vault == "" || iac.SameFold(res.Label(), o.vault) || iac.SameFold(res.ID, o.vault)):
			add(res.ID, res.ID)
		case res.Type != iac.TypeVault && res.Type != iac.TypeSubscription && (!strings.HasPrefix(typ, "microsoft.network/") || strings.HasPrefix(typ, strings.ToLower(estate.TypePerimeter))):
			add(res.ID, "")
		}
	}
	for _, s := range subscriptions {
		err := r.at(s)
		var status *live.StatusError
		if !errors.As(err, &status) || status.Status != http.StatusForbidden {
			if err != nil {
				return err
			}
			continue
		}
		r.notes = append(r.notes, "the role assignments of "+s+" were not read: "+err.Error())
		for _, id := range vaults[s] {
			if id == "" {
				continue
			}
			if err := r.at(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// at reads them at, above and below a scope.
func (r *whoReading) at(scope string) error {
	var all []*iac.Resource
	for _, read := range []func(context.Context, string) ([]*iac.Resource, error){r.client.Assignments, r.client.Denies, r.client.Roles} {
		list, err := read(r.ctx, scope)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	r.resources = append(r.resources, all...)
	return nil
}

// matter are the principals that assignments and policies name.
func (r *whoReading) matter() []access.GUID {
	var list []access.GUID
	seen := map[access.GUID]bool{}
	add := func(text string) {
		if id, err := access.ParseGUID(text); err == nil && !seen[id] {
			seen[id] = true
			list = append(list, id)
		}
	}
	for _, res := range r.resources {
		properties := res.Body.Get("properties")
		add(properties.Get("principalId").Text)
		add(res.Body.Get("identity").Get("principalId").Text)
		if res.Type == iac.TypeVault {
			for _, p := range properties.Get("accessPolicies").Items {
				add(p.Get("objectId").Text)
			}
		}
	}
	return list
}

// underGroups puts what stands at management groups into the estate, and the
// groups. Where they were not read, those that the vault's own lists speak of
// are above it.
func underGroups(list []*estate.Resource, tree []live.Descendant) []*estate.Resource {
	if len(tree) > 0 {
		return placedIn(list, tree)
	}
	const groups = "/providers/microsoft.management/managementgroups/"
	var vault *estate.Resource
	var above []string
	for _, r := range list {
		if strings.EqualFold(r.Type, estate.TypeVault) && vault == nil {
			vault = r
		}
		if rest, ok := strings.CutPrefix(estate.Key(r.ID), groups); ok {
			if name, _, inside := strings.Cut(rest, "/"); inside && !slices.Contains(above, name) {
				above = append(above, name)
			}
		}
	}
	if len(above) == 0 || vault == nil {
		return list
	}
	at := "/subscriptions/" + vault.Subscription()
	var doc map[string]any
	i := slices.IndexFunc(list, func(r *estate.Resource) bool { return estate.Key(r.ID) == estate.Key(at) })
	if i < 0 {
		i = len(list)
		list = append(list, &estate.Resource{ID: at, Type: estate.TypeSubscription, Body: vaultTenant(vault)})
	}
	if json.Unmarshal(list[i].Body, &doc) != nil {
		return list
	}
	text, _ := doc["tenantId"].(string)
	tenant, err := access.ParseGUID(text)
	if err != nil {
		return list
	}
	for n, r := range list {
		if strings.HasPrefix(estate.Key(r.ID), groups) {
			placed := *r
			placed.ID = estate.Place(tenant, r.ID)
			list[n] = &placed
		}
	}
	doc["managementGroup"] = above[0]
	body, err := json.Marshal(doc)
	if err != nil {
		return list
	}
	list[i] = &estate.Resource{ID: list[i].ID, Type: estate.TypeSubscription, Name: list[i].Name, Body: body}
	for n, name := range above {
		parent := ""
		if n+1 < len(above) {
			parent = "/providers/" + estate.TypeManagementGroup + "/" + above[n+1]
		}
		body, err := json.Marshal(map[string]any{"properties": map[string]any{"details": map[string]any{"parent": map[string]any{"id": parent}}}})
		if err != nil {
			return list
		}
		list = append(list, &estate.Resource{ID: estate.ManagementGroup(tenant, name), Type: estate.TypeManagementGroup, Name: name, Body: body})
	}
	return list
}

// vaultTenant is the document of a subscription of which nothing was read
// but a vault in it.
func vaultTenant(vault *estate.Resource) []byte {
	var doc struct {
		Properties struct {
			TenantID string `json:"tenantId"`
		} `json:"properties"`
	}
	_ = json.Unmarshal(vault.Body, &doc) // a vault that cannot be read has no tenant
	body, _ := json.Marshal(map[string]string{"tenantId": doc.Properties.TenantID})
	return body
}

// placedIn puts the management groups that were read into the estate, and
// the subscriptions into them.
func placedIn(list []*estate.Resource, tree []live.Descendant) []*estate.Resource {
	const groups = "/providers/microsoft.management/managementgroups/"
	parents := map[string]string{} // of subscriptions
	for _, d := range tree {
		if d.Subscription {
			parents["/subscriptions/"+strings.ToLower(d.Name)] = d.Parent
		}
	}
	var tenant access.GUID
	for i, r := range list {
		if !strings.EqualFold(r.Type, estate.TypeSubscription) {
			continue
		}
		var doc map[string]any
		if json.Unmarshal(r.Body, &doc) != nil {
			continue
		}
		text, _ := doc["tenantId"].(string)
		if t, err := access.ParseGUID(text); err == nil {
			tenant = t
		}
		doc["managementGroup"] = parents[estate.Key(r.ID)]
		if body, err := json.Marshal(doc); err == nil {
			next := *r
			next.Body = body
			list[i] = &next
		}
	}
	for i, r := range list {
		key := estate.Key(r.ID)
		if strings.HasPrefix(key, groups) || strings.HasPrefix(key, "/providers/microsoft.authorization/") && !tenant.IsZero() {
			next := *r
			next.ID = estate.Place(tenant, r.ID)
			list[i] = &next
		}
	}
	for _, d := range tree {
		if d.Subscription {
			continue
		}
		body, err := json.Marshal(map[string]any{"properties": map[string]any{"details": map[string]any{"parent": map[string]any{
			"id": "/providers/" + estate.TypeManagementGroup + "/" + d.Parent}}}})
		if err == nil {
			list = append(list, &estate.Resource{ID: estate.ManagementGroup(tenant, d.Name), Type: estate.TypeManagementGroup, Name: d.Name, Body: body})
		}
	}
	return list
}
