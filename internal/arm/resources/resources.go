// Package resources is the provider Microsoft.Resources: subscriptions,
// tenants, locations, resource groups, the list of all resources, and the
// providers themselves.
package resources

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/ordered"
)

const group = "/subscriptions/{subscription}/resourceGroups/{group}"

// The actions of the provider (documentation: permissions of
// Microsoft.Resources).
const (
	readSubscription = "Microsoft.Resources/subscriptions/read"
	readGroup        = "Microsoft.Resources/subscriptions/resourceGroups/read"
	writeGroup       = "Microsoft.Resources/subscriptions/resourceGroups/write"
	deleteGroup      = "Microsoft.Resources/subscriptions/resourceGroups/delete"
	readResources    = "Microsoft.Resources/subscriptions/resources/read"
	readInGroup      = "Microsoft.Resources/subscriptions/resourceGroups/resources/read"
	readLocations    = "Microsoft.Resources/subscriptions/locations/read"
	readProviders    = "Microsoft.Resources/subscriptions/providers/read"
)

// Provider is the table of the operations.
func Provider() arm.Provider {
	return arm.Provider{
		Namespace: "Microsoft.Resources",
		Types: []arm.Type{
			{Name: "subscriptions", APIVersions: versions},
			{Name: "resourceGroups", APIVersions: versions, Located: true},
			{Name: "resources", APIVersions: versions},
			{Name: "tenants", APIVersions: versions},
			{Name: "providers", APIVersions: versions},
		},
		Routes: []arm.Route{
			{Name: readSubscription, Method: http.MethodGet, Pattern: "/subscriptions", Handle: listSubscriptions},
			{Name: readSubscription, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}", Action: readSubscription, Handle: getSubscription},
			{Name: "Microsoft.Resources/tenants/read", Method: http.MethodGet, Pattern: "/tenants", Handle: listTenants},
			{Name: readLocations, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}/locations", Action: readLocations, Handle: listLocations},

			{Name: readResources, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}/resources", Handle: listResources},
			{Name: readInGroup, Method: http.MethodGet, Pattern: group + "/resources", Handle: listResources},

			{Name: readGroup, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}/resourceGroups", Handle: listGroups},
			{Name: readGroup, Method: http.MethodGet, Pattern: group, Action: readGroup, Handle: getGroup},
			{Name: readGroup, Method: http.MethodHead, Pattern: group, Action: readGroup, GroupMayBeMissing: true, Handle: headGroup},
			{Name: writeGroup, Method: http.MethodPut, Pattern: group, Action: writeGroup, GroupMayBeMissing: true, Body: arm.MaxBody, Handle: putGroup},
			{Name: writeGroup, Method: http.MethodPatch, Pattern: group, Action: writeGroup, Body: arm.MaxBody, Handle: patchGroup},
			{Name: deleteGroup, Method: http.MethodDelete, Pattern: group, Action: deleteGroup, Handle: removeGroup},

			{Name: readProviders, Method: http.MethodGet, Pattern: "/providers", Handle: listProviders},
			{Name: readProviders, Method: http.MethodGet, Pattern: "/providers/{namespace}", Handle: getProvider},
			{Name: readProviders, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}/providers", Action: readProviders, Handle: listProviders},
			{Name: readProviders, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}/providers/{namespace}", Action: readProviders, Handle: getProvider},
			{Name: "Microsoft.Resources/subscriptions/providers/register/action", Method: http.MethodPost, Pattern: "/subscriptions/{subscription}/providers/{namespace}/register", Decides: true, Handle: register},
		},
	}
}

// versions are those that clients are known to send; a client that asks for
// the newest takes the first.
var versions = []string{"2025-04-01", "2024-11-01", "2024-03-01", "2022-12-01", "2022-09-01", "2021-04-01", "2021-01-01",
	"2020-10-01", "2019-11-01", "2019-10-01", "2018-05-01", "2016-09-01", "2016-06-01", "2015-11-01", "2015-01-01"}

// subscription is a subscription as it is listed (spec: Subscription).
func subscription(res *estate.Resource) *ordered.Object {
	doc := arm.Document(res)
	id := doc.Text("subscriptionId")
	if id == "" {
		id = res.Subscription()
	}
	name := doc.Text("displayName")
	if name == "" {
		name = res.Name
	}
	tenant := doc.Text("tenantId")
	o := ordered.New(
		ordered.Member{Name: "id", Value: "/subscriptions/" + id},
		ordered.Member{Name: "authorizationSource", Value: "RoleBased"},
		ordered.Member{Name: "managedByTenants", Value: []any{}},
		ordered.Member{Name: "subscriptionId", Value: id},
		ordered.Member{Name: "tenantId", Value: tenant},
		ordered.Member{Name: "displayName", Value: name},
		ordered.Member{Name: "state", Value: "Enabled"},
		ordered.Member{Name: "subscriptionPolicies", Value: ordered.New(
			ordered.Member{Name: "locationPlacementId", Value: "Public_2014-09-01"},
			ordered.Member{Name: "quotaId", Value: "PayAsYouGo_2014-09-01"},
			ordered.Member{Name: "spendingLimit", Value: "Off"})},
	)
	if len(res.Tags) > 0 {
		o.Set("tags", arm.TagObject(res.Tags))
	}
	return o
}

// listSubscriptions lists those that the caller may read, or has anything
// readable in, of the tenant of the token (spec: Subscriptions_List).
func listSubscriptions(c *arm.Call) (*arm.Answer, error) {
	var list []*ordered.Object
	for _, res := range c.Snapshot().Under("/subscriptions", estate.TypeSubscription) {
		if visible(c, res) {
			list = append(list, subscription(res))
		}
	}
	return arm.List(list), nil
}

// visible reports whether a subscription is of the caller's tenant and the
// caller may read it or a group in it.
func visible(c *arm.Call, res *estate.Resource) bool {
	tenant := arm.SubscriptionTenant(res)
	if tenant.IsZero() || tenant != c.Caller.Tenant {
		return false
	}
	if c.May(readSubscription, res.ID) {
		return true
	}
	for _, r := range c.Snapshot().Under(res.ID, "") {
		if readable(c, r) {
			return true
		}
	}
	return false
}

// readable reports whether the caller may read a resource.
func readable(c *arm.Call, r *estate.Resource) bool {
	switch {
	case strings.EqualFold(r.Type, estate.TypeSubscription):
		return c.May(readSubscription, r.ID)
	case strings.EqualFold(r.Type, estate.TypeResourceGroup):
		return c.May(readGroup, r.ID)
	}
	return c.May(r.Type+"/read", r.ID)
}

func getSubscription(c *arm.Call) (*arm.Answer, error) {
	res, _ := c.Snapshot().Resource("/subscriptions/" + c.Vars["subscription"])
	return arm.OK(subscription(res)), nil
}

// listTenants lists the tenant of the token (spec: Tenants_List).
func listTenants(c *arm.Call) (*arm.Answer, error) {
	type tenant struct {
		ID             string   `json:"id"`
		TenantID       string   `json:"tenantId"`
		CountryCode    string   `json:"countryCode"`
		DisplayName    string   `json:"displayName"`
		Domains        []string `json:"domains"`
		TenantCategory string   `json:"tenantCategory"`
		DefaultDomain  string   `json:"defaultDomain"`
		TenantType     string   `json:"tenantType"`
	}
	var list []tenant
	for _, t := range c.Tenants() {
		if t.ID == c.Caller.Tenant {
			list = append(list, tenant{ID: "/tenants/" + t.ID.String(), TenantID: t.ID.String(), CountryCode: "US", DisplayName: t.Name,
				Domains: []string{t.Domain}, TenantCategory: "Home", DefaultDomain: t.Domain, TenantType: "AAD"})
		}
	}
	return arm.List(list), nil
}
