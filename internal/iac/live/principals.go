package live

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"postern/internal/iac"
)

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
