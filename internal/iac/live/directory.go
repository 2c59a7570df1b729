package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/iac"
)

// The limits of what a directory is read for.
const (
	maxObjects = 100_000
	// maxRelations is how many groups are asked for their members, and how
	// many objects for their owners.
	maxRelations = 2_000
)

// administratorRole is the template of the role Global Administrator.
const administratorRole = "62e90394-69f5-4237-9190-012177145e10"

// Directory is the principals of the caller's tenant, and what could not be
// read of them.
type Directory struct {
	Principals []Principal
	Unread     []string
}

// graphObject is a user, a group or a service principal.
type graphObject struct {
	graphPrincipal
	UPN string `json:"userPrincipalName"`
}

// directoryReader reads a directory until something fails.
type directoryReader struct {
	client *Client
	ctx    context.Context
	all    map[access.GUID]*Principal
	order  []access.GUID
	unread []string
	asked  map[string]int
	err    error
}

// Directory lists the users, groups and service principals, and who
// administers the directory. Of those that matter, by their object ids, and
// of everybody who comes to matter by it, it reads the members and the owners.
func (c *Client) Directory(ctx context.Context, matter []access.GUID) (Directory, error) {
	if c.graph == "" {
		return Directory{Unread: []string{"the directory was not read: the server does not say where it is"}}, nil
	}
	c.progress("reading the directory")
	r := &directoryReader{client: c, ctx: ctx, all: map[access.GUID]*Principal{}, asked: map[string]int{}}
	for _, kind := range []string{"servicePrincipals", "users", "groups"} {
		for _, o := range r.list(kind) {
			p, err := o.principal(c.config.Tenant, kind)
			if err != nil {
				return Directory{}, err
			}
			if len(r.order) == maxObjects {
				return Directory{}, fmt.Errorf("the directory has more than %d objects", maxObjects)
			}
			r.all[p.Object] = &p
			r.order = append(r.order, p.Object)
		}
	}
	for _, o := range r.list("directoryRoles/" + r.role() + "/members") {
		if p := r.find(o.ID); p != nil {
			p.Administrator = true
		}
	}
	r.relations(matter)
	r.nest()
	d := Directory{Unread: r.unread}
	for _, id := range r.order {
		d.Principals = append(d.Principals, *r.all[id])
	}
	return d, r.err
}

// principal makes a principal of an object of a collection.
func (o *graphObject) principal(tenant, kind string) (Principal, error) {
	if kind == "servicePrincipals" {
		return o.graphPrincipal.principal(tenant)
	}
	p := Principal{Name: o.Name, User: kind == "users", Group: kind == "groups"}
	if o.UPN != "" {
		p.Name = o.UPN
	}
	var err error
	if p.Object, err = access.ParseGUID(o.ID); err != nil {
		return Principal{}, fmt.Errorf("the directory names an object %q", o.ID)
	}
	if p.Tenant, err = access.ParseGUID(tenant); err != nil {
		return Principal{}, fmt.Errorf("the tenant %q is not a GUID", tenant)
	}
	return p, nil
}

func (r *directoryReader) find(id string) *Principal {
	g, err := access.ParseGUID(id)
	if err != nil {
		return nil
	}
	return r.all[g]
}

// role is the id of the administrators' role in this directory.
func (r *directoryReader) role() string {
	for _, o := range r.list("directoryRoles") {
		if strings.EqualFold(o.Template, administratorRole) {
			return o.ID
		}
	}
	return administratorRole
}

// list reads all pages of a collection. Not to be allowed to see it, or not
// to be known to the server, is no failure.
func (r *directoryReader) list(path string) []graphObject {
	var all []graphObject
	base := r.client.graph + "/v1.0/"
	next := base + path
	for page := 0; r.err == nil && next != ""; page++ {
		data, err := r.client.get(r.ctx, next, r.client.graph)
		var status *StatusError
		if errors.As(err, &status) && (status.Status == http.StatusForbidden || status.Status == http.StatusNotFound) {
			kind, _, _ := strings.Cut(path, "/")
			if r.asked[kind]++; r.asked[kind] == 1 {
				r.unread = append(r.unread, fmt.Sprintf("of the directory, %s were not read: %v", kind, err))
			}
			return nil
		}
		var answer struct {
			Value []graphObject `json:"value"`
			Next  string        `json:"@odata.nextLink"`
		}
		if err == nil && json.Unmarshal(data, &answer) != nil {
			err = errors.New("the directory's answer cannot be read")
		}
		// A token must not follow a link to another host.
		u, bad := url.Parse(answer.Next)
		switch {
		case err != nil:
		case page == maxPages:
			err = fmt.Errorf("%s has more than %d pages", path, maxPages)
		case answer.Next != "" && (bad != nil || u.Scheme != "https" || !strings.HasPrefix(answer.Next, r.client.graph+"/")):
			err = fmt.Errorf("the next page is at another host: %q", answer.Next)
		}
		if r.err = err; err != nil {
			return nil
		}
		all, next = append(all, answer.Value...), answer.Next
	}
	return all
}

// relations reads the members of groups, and the owners of groups and
// applications, from those that matter on.
func (r *directoryReader) relations(open []access.GUID) {
	seen := map[access.GUID]bool{}
	owned, read := map[string]string{}, 0
	for len(open) > 0 && r.err == nil {
		id := open[0]
		p := r.all[id]
		if open = open[1:]; p == nil || seen[id] || p.User || p.Resource != "" {
			continue
		}
		seen[id] = true
		if read++; read > maxRelations {
			r.unread = append(r.unread, fmt.Sprintf("of the directory, members and owners of %d objects alone were read", maxRelations))
			return
		}
		kind := "servicePrincipals"
		if p.Group {
			kind = "groups"
			for _, m := range r.list("groups/" + id.String() + "/members") {
				if member := r.find(m.ID); member != nil {
					member.Groups = append(member.Groups, id)
					open = append(open, member.Object)
				}
			}
		} else if len(owned) == 0 {
			for _, a := range r.list("applications") {
				owned[a.App] = a.ID
			}
			owned[""] = "" // it was read
		}
		owners := r.list(kind + "/" + id.String() + "/owners")
		if at := owned[p.App.String()]; at != "" {
			owners = append(owners, r.list("applications/"+at+"/owners")...)
		}
		for _, o := range owners {
			if owner := r.find(o.ID); owner != nil && !slices.Contains(p.Owners, owner.Object) {
				p.Owners = append(p.Owners, owner.Object)
				open = append(open, owner.Object)
			}
		}
	}
}

// nest gives everybody the groups of its groups, too.
func (r *directoryReader) nest() {
	for _, p := range r.all {
		for i := 0; i < len(p.Groups); i++ {
			for _, above := range r.all[p.Groups[i]].Groups {
				if above != p.Object && !slices.Contains(p.Groups, above) {
					p.Groups = append(p.Groups, above)
				}
			}
		}
	}
}

// managementVersion is the api-version of management groups.
const managementVersion = "2020-05-01"

// Descendant is a management group or a subscription, with the name of the
// management group that it is in.
type Descendant struct {
	ID, Name, Parent string
	Subscription     bool
}

// ManagementGroups reads what is below the tenant's root group (spec:
// ManagementGroups_GetDescendants).
func (c *Client) ManagementGroups(ctx context.Context) ([]Descendant, error) {
	c.progress("reading the management groups")
	const groups = "/providers/Microsoft.Management/managementGroups/"
	var list []Descendant
	next := c.base.String() + groups + url.PathEscape(c.config.Tenant) + "/descendants?api-version=" + managementVersion
	for range maxPages {
		data, err := c.get(ctx, next, c.audience)
		if err != nil {
			return nil, err
		}
		var page struct {
			Value []struct {
				ID, Type, Name string
				Properties     struct{ Parent struct{ ID string } }
			}
			Next string `json:"nextLink"`
		}
		if err := json.Unmarshal(data, &page); err != nil {
			return nil, errors.New("the answer with the management groups cannot be read")
		}
		for _, v := range page.Value {
			d := Descendant{ID: v.ID, Name: v.Name, Parent: v.Properties.Parent.ID[strings.LastIndexByte(v.Properties.Parent.ID, '/')+1:]}
			d.Subscription = !strings.HasPrefix(strings.ToLower(v.ID), strings.ToLower(groups))
			list = append(list, d)
		}
		if page.Next == "" {
			return list, nil
		}
		if u, err := url.Parse(page.Next); err != nil || u.Scheme != "https" || !strings.EqualFold(u.Host, c.base.Host) {
			return nil, fmt.Errorf("the next page is at another host: %q", page.Next)
		}
		next = page.Next
	}
	return nil, fmt.Errorf("the management groups have more than %d pages", maxPages)
}

// workloads are the types of resource that have identities of their own.
var workloads = []string{"Microsoft.Compute/virtualMachines", "Microsoft.Web/sites", "Microsoft.DataFactory/factories",
	"Microsoft.ContainerService/managedClusters", "Microsoft.HybridCompute/machines"}

// workloadVersions are the api-versions that are asked for.
var workloadVersions = map[string]string{"Microsoft.Compute/virtualMachines": "2024-07-01", "Microsoft.Web/sites": "2023-12-01",
	"Microsoft.DataFactory/factories": "2018-06-01", "Microsoft.ContainerService/managedClusters": "2024-09-01", "Microsoft.HybridCompute/machines": "2024-07-10",
	typeIdentity: "2023-01-31"}

// typeIdentity is an identity that is a resource.
const typeIdentity = "Microsoft.ManagedIdentity/userAssignedIdentities"

// Identities reads the resources that are identities or have some, and what
// could not be read of them.
func (c *Client) Identities(ctx context.Context, subscriptions []*iac.Resource) (resources []*iac.Resource, unread []string, err error) {
	r := &networkReader{client: c, ctx: ctx}
	for _, s := range subscriptions {
		if s.Type != iac.TypeSubscription {
			continue
		}
		c.progress("reading the identities of %s", s.ID)
		for _, typ := range append([]string{typeIdentity}, workloads...) {
			r.list(escaped(s.ID)+"/providers/"+typ, workloadVersions[typ])
		}
	}
	return r.all, r.unread, r.err
}
