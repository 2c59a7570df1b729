// Package privatedns is the part of the provider Microsoft.Network that names
// things: private DNS zones with their record sets, the links by which
// virtual networks see them, and the zone groups by which a private endpoint
// gets its records.
//
// A zone answers no query here: the estate compiles zones, A records and
// links, and the DNS server asks it. Virtual machines do not exist, so
// registrationEnabled is kept and checked, and nothing registers itself.
package privatedns

import (
	"net/http"
	"strings"

	"postern/internal/arm"
	"postern/internal/estate"
	"postern/internal/fault"
)

const (
	namespace = "/providers/Microsoft.Network"
	inGroup   = "/subscriptions/{subscription}/resourceGroups/{group}" + namespace
	zonePath  = inGroup + "/privateDnsZones/{zone}"
	linkPath  = zonePath + "/virtualNetworkLinks/{link}"
	groupPath = inGroup + "/privateEndpoints/{endpoint}/privateDnsZoneGroups/{zoneGroup}"
)

// The actions of the provider (documentation: permissions of
// Microsoft.Network). Those on record sets end in the type of record.
const (
	readZone    = estate.TypePrivateZone + "/read"
	writeZone   = estate.TypePrivateZone + "/write"
	deleteZone  = estate.TypePrivateZone + "/delete"
	joinZone    = estate.TypePrivateZone + "/join/action"
	readAll     = estate.TypePrivateZone + "/ALL/read"
	readLink    = estate.TypeZoneLink + "/read"
	writeLink   = estate.TypeZoneLink + "/write"
	deleteLink  = estate.TypeZoneLink + "/delete"
	joinNetwork = estate.TypeVirtualNetwork + "/join/action"
	readGroup   = estate.TypeZoneGroup + "/read"
	writeGroup  = estate.TypeZoneGroup + "/write"
	deleteGroup = estate.TypeZoneGroup + "/delete"
)

// versions are those that clients are known to send, newest first.
var (
	versions      = []string{"2024-06-01", "2020-06-01", "2020-01-01", "2018-09-01"}
	groupVersions = []string{"2025-01-01", "2024-07-01", "2024-05-01", "2023-11-01", "2023-09-01", "2022-07-01", "2022-01-01", "2021-02-01", "2020-11-01"}
)

// Provider is the table of the operations.
func Provider() arm.Provider {
	p := arm.Provider{
		Namespace: "Microsoft.Network",
		Types: []arm.Type{
			{Name: "privateDnsZones", APIVersions: versions},
			{Name: "privateDnsZones/virtualNetworkLinks", APIVersions: versions},
			{Name: "privateDnsZones/ALL", APIVersions: versions},
			{Name: "privateEndpoints/privateDnsZoneGroups", APIVersions: groupVersions, Delete: forgetGroup},
		},
		Routes: []arm.Route{
			{Name: writeZone, Method: http.MethodPut, Pattern: zonePath, Action: writeZone, Body: arm.MaxBody, Handle: putZone},
			{Name: writeZone, Method: http.MethodPatch, Pattern: zonePath, Action: writeZone, Body: arm.MaxBody, Handle: patchZone},
			{Name: readZone, Method: http.MethodGet, Pattern: zonePath, Action: readZone, Handle: getZone},
			{Name: deleteZone, Method: http.MethodDelete, Pattern: zonePath, Action: deleteZone, Handle: removeZone},
			{Name: readZone, Method: http.MethodGet, Pattern: inGroup + "/privateDnsZones", Action: readZone, Handle: listZones},
			{Name: readZone, Method: http.MethodGet, Pattern: "/subscriptions/{subscription}" + namespace + "/privateDnsZones", Action: readZone, Handle: listZones},

			{Name: writeLink, Method: http.MethodPut, Pattern: linkPath, Action: writeLink, Body: arm.MaxBody, Handle: putLink},
			{Name: writeLink, Method: http.MethodPatch, Pattern: linkPath, Action: writeLink, Body: arm.MaxBody, Handle: patchLink},
			{Name: readLink, Method: http.MethodGet, Pattern: linkPath, Action: readLink, Handle: getLink},
			{Name: deleteLink, Method: http.MethodDelete, Pattern: linkPath, Action: deleteLink, Handle: removeLink},
			{Name: readLink, Method: http.MethodGet, Pattern: zonePath + "/virtualNetworkLinks", Action: readLink, Handle: listLinks},

			{Name: readAll, Method: http.MethodGet, Pattern: zonePath + "/ALL", Action: readAll, Handle: listRecordSets("")},

			{Name: writeGroup, Method: http.MethodPut, Pattern: groupPath, Action: writeGroup, Body: arm.MaxBody, Handle: putGroup},
			{Name: readGroup, Method: http.MethodGet, Pattern: groupPath, Action: readGroup, Handle: getGroup},
			{Name: deleteGroup, Method: http.MethodDelete, Pattern: groupPath, Action: deleteGroup, Handle: removeGroup},
			{Name: readGroup, Method: http.MethodGet, Pattern: inGroup + "/privateEndpoints/{endpoint}/privateDnsZoneGroups", Action: readGroup, Handle: listGroups},
		},
	}
	for _, k := range kinds {
		p.Types = append(p.Types, arm.Type{Name: "privateDnsZones/" + k.name, APIVersions: versions})
		p.Routes = append(p.Routes, recordRoutes(k)...)
	}
	return p
}

// recordRoutes are the operations on record sets of one type.
func recordRoutes(k *kind) []arm.Route {
	read, write, remove := k.typ()+"/read", k.typ()+"/write", k.typ()+"/delete"
	path := zonePath + "/" + k.name + "/{record}"
	return []arm.Route{
		{Name: write, Method: http.MethodPut, Pattern: path, Action: write, Body: arm.MaxBody, Handle: putRecordSet(k)},
		{Name: write, Method: http.MethodPatch, Pattern: path, Action: write, Body: arm.MaxBody, Handle: patchRecordSet(k)},
		{Name: read, Method: http.MethodGet, Pattern: path, Action: read, Handle: getRecordSet(k)},
		{Name: remove, Method: http.MethodDelete, Pattern: path, Action: remove, Handle: removeRecordSet(k)},
		{Name: read, Method: http.MethodGet, Pattern: zonePath + "/" + k.name, Action: read, Handle: listRecordSets(k.typ())},
	}
}

// zoneID is the id of the zone that the path names.
func zoneID(c *arm.Call) string {
	return arm.GroupID(c.Vars["subscription"], c.Vars["group"]) + "/providers/" + estate.TypePrivateZone + "/" + strings.ToLower(c.Vars["zone"])
}

// theZone is the zone of the path.
func theZone(c *arm.Call, s *estate.Snapshot) (*estate.Resource, error) {
	res, ok := s.Resource(zoneID(c))
	if !ok {
		return nil, arm.NotFound(c.Vars["group"], estate.TypePrivateZone+"/"+c.Vars["zone"])
	}
	return res, nil
}

func badRequest(format string, args ...any) error {
	return fault.New(http.StatusBadRequest, "BadRequest", format, args...)
}
