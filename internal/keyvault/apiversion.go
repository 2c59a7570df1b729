package keyvault

import (
	"strings"
)

// apiVersion is an api-version of the data plane in the order of their
// appearance. Previews count as the version they became part of.
type apiVersion uint8

// The versions that something depends on.
const (
	api2016 apiVersion = iota
	api70
	api71
	api72
	api73
	api74
	api75
	api76
	api2025
	api2026
)

// apiVersions are the accepted words (spec: the folders of the data plane;
// previews: those that SDKs are known to send).
var apiVersions = map[string]apiVersion{
	"2016-10-01": api2016,
	"7.0":        api70, "7.0-preview": api70,
	"7.1": api71, "7.1-preview": api71,
	"7.2": api72, "7.2-preview": api72,
	"7.3": api73, "7.3-preview": api73,
	"7.4": api74, "7.4-preview.1": api74,
	"7.5": api75, "7.5-preview.1": api75,
	"7.6": api76, "7.6-preview.1": api76, "7.6-preview.2": api76,
	"2025-07-01": api2025, "2025-06-01-preview.1": api2025,
	"2026-04-01": api2026, "2026-01-01-preview": api2025, "2026-03-01-preview": api2026,
}

// parseAPIVersion finds the version a client asks for. There is no default.
func parseAPIVersion(q *query) (apiVersion, error) {
	if q.apiVersion == "" || q.repeated {
		return 0, missingAPIVersion
	}
	v, ok := apiVersions[q.apiVersion]
	if !ok {
		v, ok = apiVersions[strings.ToLower(q.apiVersion)]
	}
	if !ok {
		return 0, unsupportedAPIVersion(q.apiVersion)
	}
	return v, nil
}
