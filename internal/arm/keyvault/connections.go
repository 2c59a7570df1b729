package keyvault

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/arm/privatelink"
	"postern/internal/estate"
	"postern/internal/ordered"
)

// listConnections is PrivateEndpointConnections_ListByResource of the
// specification.
func listConnections(c *arm.Call) (*arm.Answer, error) {
	res, err := theVault(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	var list []*ordered.Object
	for _, connection := range privatelink.Of(res) {
		list = append(list, privatelink.Resource(res, connection))
	}
	return arm.List(list), nil
}

// getConnection is PrivateEndpointConnections_Get of the specification.
func getConnection(c *arm.Call) (*arm.Answer, error) {
	res, err := theVault(c, c.Snapshot())
	if err != nil {
		return nil, err
	}
	connection, ok := privatelink.Find(res, c.Vars["connection"])
	if !ok {
		return nil, privatelink.NotFound(res, c.Vars["connection"])
	}
	return arm.OK(privatelink.Resource(res, connection)), nil
}

// maxDescription bounds what is said about a decision.
const maxDescription = 1024

// putConnection approves or rejects a connection (spec:
// PrivateEndpointConnections_Put). Nothing else of what is sent counts: az
// loses the endpoint's id on the way.
func putConnection(c *arm.Call) (*arm.Answer, error) {
	sent, err := c.Object()
	if err != nil {
		return nil, err
	}
	state := sent.Object("properties").Object("privateLinkServiceConnectionState")
	change := privatelink.Change{Description: state.Text("description"), At: c.Now}
	for _, status := range []string{privatelink.Approved, privatelink.Rejected} {
		if strings.EqualFold(state.Text("status"), status) {
			change.Status = status
		}
	}
	if change.Status == "" {
		v, _ := state.Get("status")
		return nil, invalidValue("properties.privateLinkServiceConnectionState.status", describe(v))
	}
	if len(change.Description) > maxDescription {
		return nil, invalidValue("properties.privateLinkServiceConnectionState.description", describe(change.Description))
	}
	if change.Tag, err = c.Identifier(); err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, err := theVault(c, s)
		if err != nil {
			return nil, err
		}
		connection, err := privatelink.Decide(d, res, c.Vars["connection"], change)
		if err != nil {
			return nil, err
		}
		c.Note("privateEndpointConnection.id", connection.Text("id"))
		c.Note("privateEndpointConnection.status", change.Status)
		return arm.OK(privatelink.Resource(res, connection)), nil
	})
}

// removeConnection removes a connection, which leaves its endpoint
// disconnected; 204 when there is none (spec:
// PrivateEndpointConnections_Delete).
func removeConnection(c *arm.Call) (*arm.Answer, error) {
	tag, err := c.Identifier()
	if err != nil {
		return nil, err
	}
	return c.Change(func(s *estate.Snapshot, d *estate.Draft) (*arm.Answer, error) {
		res, err := theVault(c, s)
		if err != nil {
			return nil, err
		}
		connection, ok := privatelink.Remove(d, res, c.Vars["connection"], tag, c.Now)
		if !ok {
			return &arm.Answer{Status: http.StatusNoContent}, nil
		}
		c.Note("privateEndpointConnection.id", connection.Text("id"))
		c.Note("privateEndpointConnection.status", privatelink.Disconnected)
		body := privatelink.Resource(res, connection)
		body.Set("properties", ordered.New(ordered.Member{Name: "provisioningState", Value: "Disconnected"}))
		return arm.OK(body), nil
	})
}
