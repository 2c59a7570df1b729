package arm

import (
	"net/http"

	"postern/access"
	"postern/internal/entra"
	"postern/internal/estate"
	"postern/internal/fault"
)

// Managed is the change of the directory that belongs to the change of the
// estate which is being made: both are committed in one transaction, so that
// a principal lives and dies with its resource. For the handler of Change
// and what it calls.
func (c *Call) Managed(d *estate.Draft) (*entra.Managing, error) {
	if c.managing == nil {
		if c.plane.deps.Manage == nil {
			return nil, fault.New(http.StatusNotImplemented, "NotSupported", "This server has no managed identities.")
		}
		c.managing = c.plane.deps.Manage(d.Tx())
	}
	return c.managing, nil
}

// settle ends the change of the directory, if there is one.
func (c *Call) settle(committed, uncertain bool) {
	if c.managing != nil {
		c.managing.Finish(c.Request.Context(), committed, uncertain)
		c.managing = nil
	}
}

// Fail has the change that is being made fail, for what cannot return an
// error: the removal of one resource of many.
func (c *Call) Fail(err error) {
	if c.failed == nil {
		c.failed = err
	}
}

// Tenant is the tenant of the subscription that the path names.
func (c *Call) Tenant() access.GUID {
	id, _ := c.subscriptionID()
	res, ok := c.Snapshot().Resource("/subscriptions/" + id)
	if !ok {
		return access.GUID{}
	}
	return SubscriptionTenant(res)
}
