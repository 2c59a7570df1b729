package identity

import (
	"net/http"
	"strings"

	"postern/access"
	"postern/internal/arm"
	"postern/internal/fault"
	"postern/internal/ordered"
)

// getDefault is the system-assigned identity of a resource, as a resource of
// its own (spec: SystemAssignedIdentities_GetByScope).
func getDefault(c *arm.Call) (*arm.Answer, error) {
	above, ok := c.Snapshot().Resource(c.Place(c.Vars["scope"]))
	if !ok {
		return nil, fault.New(http.StatusNotFound, "ResourceNotFound", "The Resource '%s' was not found.", strings.TrimPrefix(c.Vars["scope"], "/"))
	}
	held := arm.Document(above).Object("identity")
	object, err := access.ParseGUID(held.Text("principalId"))
	app, there := c.Application(object)
	if err != nil || !there {
		return nil, fault.New(http.StatusNotFound, "ResourceNotFound", "The resource '%s' has no system-assigned identity.", above.ID)
	}
	return arm.OK(ordered.New(ordered.Member{Name: "location", Value: above.Location}, ordered.Member{Name: "tags", Value: arm.TagObject(above.Tags)},
		ordered.Member{Name: "id", Value: above.ID + "/providers/Microsoft.ManagedIdentity/identities/default"},
		ordered.Member{Name: "name", Value: "default"}, ordered.Member{Name: "type", Value: "Microsoft.ManagedIdentity/identities"},
		ordered.Member{Name: "properties", Value: ordered.New(ordered.Member{Name: "tenantId", Value: held.Text("tenantId")},
			ordered.Member{Name: "principalId", Value: object.String()}, ordered.Member{Name: "clientId", Value: app.String()})})), nil
}
