package entra

import (
	"net/http"
	"strings"
)

// administratorRole is the template of the directory's one role, Global
// Administrator, which is its id here too (Microsoft Entra built-in roles).
const administratorRole = "62e90394-69f5-4237-9190-012177145e10"

// roles is GET /directoryRoles, /directoryRoles/{id} and
// /directoryRoles/{id}/members (Microsoft Graph directoryRole resource type).
func (c *graphCall) roles(rest []string) error {
	role := map[string]any{"id": administratorRole, "roleTemplateId": administratorRole, "displayName": "Global Administrator",
		"description": "Can manage all aspects of the directory, and give itself access to every subscription."}
	if len(rest) == 0 {
		return c.collection("directoryRoles", []any{role})
	}
	if !strings.EqualFold(rest[0], administratorRole) {
		return wrong(ErrNotFound)
	}
	switch {
	case len(rest) == 1:
		role["@odata.context"] = c.context("directoryRoles/$entity")
		return writeJSON(c.w, http.StatusOK, role)
	case len(rest) == 2 && rest[1] == "members":
		value := []any{}
		s := c.directory.state.Load()
		for _, p := range c.directory.Administrators(c.caller.Tenant) {
			if o := s.objects[p.Object]; o != nil {
				value = append(value, c.document(o))
			}
		}
		return c.collection("directoryObjects", value)
	}
	return noSegment(c.r.URL.Path)
}
