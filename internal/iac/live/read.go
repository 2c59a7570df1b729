package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"postern/access"
	"postern/internal/iac"
)

// Vaults reads the subscriptions and every vault in them that the caller
// may see.
func (c *Client) Vaults(ctx context.Context) ([]*iac.Resource, error) {
	c.progress("reading subscriptions")
	all, err := c.list(ctx, "/subscriptions?api-version="+subscriptionVersion)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Type != iac.TypeSubscription {
			continue
		}
		c.progress("reading the vaults of %s", s.ID)
		vaults, err := c.list(ctx, escaped(s.ID)+"/providers/Microsoft.KeyVault/vaults?api-version="+vaultVersion)
		if err != nil {
			return nil, err
		}
		all = append(all, vaults...)
	}
	return all, nil
}

// Assignments reads the role assignments that reach a vault.
func (c *Client) Assignments(ctx context.Context, vault string) ([]*iac.Resource, error) {
	c.progress("reading the role assignments of %s", vault)
	return c.list(ctx, escaped(vault)+"/providers/Microsoft.Authorization/roleAssignments?api-version="+assignmentVersion)
}

// escaped is an id as a path: its segments escaped, its slashes kept.
func escaped(id string) string {
	parts := strings.Split(id, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// Principal is an identity of the server's directory.
type Principal struct {
	Object, App access.GUID
	Tenant      access.GUID
	Name        string
	// Resource is the id of the resource that a managed identity belongs to;
	// "" for others.
	Resource string
	// User and Group tell what it is; neither is a service principal.
	// Administrator is true for an administrator of the directory.
	User, Group, Administrator bool
	// Groups are those that it is a member of, also through others; Owners
	// may change a group, or an application.
	Groups, Owners []access.GUID
}

// ErrNoPrincipal is returned when the directory does not have the principal.
var ErrNoPrincipal = errors.New("the principal is not in the directory")

// Principal finds a service principal by its object id, its application id
// or its display name.
func (c *Client) Principal(ctx context.Context, who string) (Principal, error) {
	if c.graph == "" {
		return Principal{}, errors.New("the server does not say where its directory is")
	}
	if _, err := access.ParseGUID(who); err == nil {
		p, err := c.principalByObject(ctx, who)
		if err == nil || !errors.Is(err, ErrNoPrincipal) {
			return p, err
		}
		return c.principalBy(ctx, "servicePrincipalNames/any(c:c eq '"+who+"')", who)
	}
	return c.principalBy(ctx, "displayName eq '"+strings.ReplaceAll(who, "'", "''")+"'", who)
}

// graphPrincipal is the resource type servicePrincipal of Graph.
type graphPrincipal struct {
	ID    string `json:"id"`
	App   string `json:"appId"`
	Name  string `json:"displayName"`
	Owner string `json:"appOwnerOrganizationId"`
	// Template is that of a role.
	Template string `json:"roleTemplateId"`
	// Names hold, for a managed identity, the id of its resource.
	Names []string `json:"alternativeNames"`
}

// principal makes the identities of it; the tenant is the caller's own,
// whose directory was asked.
func (g graphPrincipal) principal(tenant string) (Principal, error) {
	p := Principal{Name: g.Name}
	for _, name := range g.Names {
		if strings.HasPrefix(name, "/subscriptions/") {
			p.Resource = name
		}
	}
	var err error
	if p.Object, err = access.ParseGUID(g.ID); err != nil {
		return Principal{}, fmt.Errorf("the directory names an object %q", g.ID)
	}
	if p.App, err = access.ParseGUID(g.App); err != nil {
		return Principal{}, fmt.Errorf("the directory names an application %q", g.App)
	}
	p.Tenant, err = access.ParseGUID(tenant)
	if err != nil {
		return Principal{}, fmt.Errorf("the tenant %q is not a GUID", tenant)
	}
	return p, nil
}

func (c *Client) principalByObject(ctx context.Context, object string) (Principal, error) {
	data, err := c.get(ctx, c.graph+"/v1.0/servicePrincipals/"+url.PathEscape(object), c.graph)
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusNotFound {
		return Principal{}, ErrNoPrincipal
	}
	if err != nil {
		return Principal{}, err
	}
	var g graphPrincipal
	if err := json.Unmarshal(data, &g); err != nil {
		return Principal{}, errors.New("the directory's answer cannot be read")
	}
	return g.principal(c.config.Tenant)
}

func (c *Client) principalBy(ctx context.Context, filter, who string) (Principal, error) {
	data, err := c.get(ctx, c.graph+"/v1.0/servicePrincipals?$filter="+url.QueryEscape(filter), c.graph)
	if err != nil {
		return Principal{}, err
	}
	var page struct {
		Value []graphPrincipal `json:"value"`
	}
	if err := json.Unmarshal(data, &page); err != nil {
		return Principal{}, errors.New("the directory's answer cannot be read")
	}
	switch len(page.Value) {
	case 0:
		return Principal{}, fmt.Errorf("%w: %s", ErrNoPrincipal, who)
	case 1:
		return page.Value[0].principal(c.config.Tenant)
	}
	return Principal{}, fmt.Errorf("%d principals are called %s; the object id says which", len(page.Value), who)
}
