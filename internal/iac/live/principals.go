package live

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"postern/internal/iac"
)

// Principals lists the service principals of the caller's tenant.
func (c *Client) Principals(ctx context.Context) ([]Principal, error) {
	if c.graph == "" {
		return nil, errors.New("the server does not say where its directory is")
	}
	c.progress("reading the directory")
	data, err := c.get(ctx, c.graph+"/v1.0/servicePrincipals", c.graph)
	if err != nil {
		return nil, err
	}
	var page struct {
		Value []graphPrincipal `json:"value"`
	}
	if err := json.Unmarshal(data, &page); err != nil {
		return nil, errors.New("the directory's answer cannot be read")
	}
	var list []Principal
	for _, g := range page.Value {
		p, err := g.principal(c.config.Tenant)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// Denies reads the deny assignments that reach a scope.
func (c *Client) Denies(ctx context.Context, scope string) ([]*iac.Resource, error) {
	return c.known(ctx, escaped(scope)+"/providers/Microsoft.Authorization/denyAssignments?api-version="+assignmentVersion)
}

// Roles reads the role definitions of the tenant's own that hold at a scope.
func (c *Client) Roles(ctx context.Context, scope string) ([]*iac.Resource, error) {
	return c.known(ctx, escaped(scope)+"/providers/Microsoft.Authorization/roleDefinitions?$filter="+
		url.QueryEscape("type eq 'CustomRole'")+"&api-version="+assignmentVersion)
}

// known is list, of a server that may not know what is listed.
func (c *Client) known(ctx context.Context, path string) ([]*iac.Resource, error) {
	list, err := c.list(ctx, path)
	var status *StatusError
	if errors.As(err, &status) && status.Status == http.StatusNotFound {
		return nil, nil
	}
	return list, err
}
