package authorization

import (
	"net/http"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
	"postern/internal/roles"
)

// elevateAccess is the action of the one operation of Elevation.
const elevateAccess = "Microsoft.Authorization/elevateAccess/action"

// Elevation lets the administrators of a directory give themselves User
// Access Administrator at their tenant's root: nobody holds anything there
// at first (spec: GlobalAdministrator_ElevateAccess; documentation:
// elevate-access-global-admin).
func Elevation(administrator func(tenant, object access.GUID) bool) arm.Provider {
	return arm.Provider{
		Namespace: "Microsoft.Authorization",
		Types:     []arm.Type{{Name: "elevateAccess", APIVersions: []string{"2017-05-01", "2016-07-01", "2015-07-01"}}},
		Routes: []arm.Route{{Name: elevateAccess, Method: http.MethodPost, Pattern: "/providers/Microsoft.Authorization/elevateAccess", Decides: true,
			Handle: func(c *arm.Call) (*arm.Answer, error) {
				if !administrator(c.Caller.Tenant, c.Caller.Object) {
					return nil, c.Forbidden(elevateAccess, "/")
				}
				return elevate(c)
			}}},
	}
}

func elevate(c *arm.Call) (*arm.Answer, error) {
	d, ok := roles.ByRoleName("User Access Administrator")
	id, err := c.Identifier()
	if err != nil || !ok {
		return nil, fault.New(http.StatusInternalServerError, "InternalServerError", "The service has no identifier to give.").Because(err)
	}
	r := &request{name: id[:8] + "-" + id[8:12] + "-4" + id[13:16] + "-8" + id[17:20] + "-" + id[20:], scope: "/",
		role: role{name: d.Name, roleName: d.RoleName, builtIn: d}, principal: c.Caller.Object}
	if err := r.resolve(c); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, draft *estate.Draft) (*arm.Answer, error) {
		if r.twin(c, s) == nil {
			res, _ := r.resource(c)
			draft.Put(res)
		}
		return &arm.Answer{Status: http.StatusOK}, nil
	})
}
