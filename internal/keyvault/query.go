package keyvault

import (
	"net/url"
	"strconv"
	"strings"

	"postern/internal/vault"
)

// query is the parameters the data plane knows. All others are ignored:
// clients send their own.
type query struct {
	apiVersion, maxResults, skipToken         string
	includePending, requestID, outContentType string
	// repeated is set when api-version stands there with two values.
	repeated bool
}

// parameters are their names, as the log needs them.
var parameters = []string{"api-version", "maxresults", "$skiptoken", "includePending", "request_id", "outContentType"}

// readQuery reads a query string without a map of it. Names are decoded:
// some clients escape the hyphen. What cannot be decoded is unknown, and so
// ignored.
func readQuery(raw string) (q query) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, ok := unescape(name)
		if !ok {
			continue
		}
		var to *string
		switch strings.ToLower(name) {
		case "api-version":
			to = &q.apiVersion
		case "maxresults":
			to = &q.maxResults
		case "$skiptoken":
			to = &q.skipToken
		case "includepending":
			to = &q.includePending
		case "request_id":
			to = &q.requestID
		case "outcontenttype":
			to = &q.outContentType
		default:
			continue
		}
		decoded, ok := unescape(value)
		if !ok {
			decoded = value
		}
		if to == &q.apiVersion && q.apiVersion != "" && q.apiVersion != decoded {
			q.repeated = true
		}
		*to = decoded
	}
	return q
}

func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s, true
	}
	decoded, err := url.QueryUnescape(s)
	return decoded, err == nil
}

// pageSize is how many items a page may hold: 1 to 25, 25 unless said.
func (q *query) pageSize() (int, error) {
	if q.maxResults == "" {
		return vault.MaxPage, nil
	}
	n, err := strconv.Atoi(q.maxResults)
	if err != nil || n < 1 || n > vault.MaxPage {
		return 0, invalidMaxResults
	}
	return n, nil
}
