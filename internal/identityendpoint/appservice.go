package identityendpoint

import (
	"crypto/subtle"
	"net/http"
	"strconv"
	"strings"

	"postern/internal/arm/workload"
)

// appService is the endpoint of App Service, version 2019-08-01: its callers
// are at a site, and show the header that the site's programs were given
// (documentation: REST endpoint reference of managed identities).
func (e *endpoint) appService(w http.ResponseWriter, r *http.Request) {
	refuse := func(p *problem) {
		write(w, p.status, map[string]any{"statusCode": p.status, "message": p.text})
	}
	q, ok := query(r)
	s, res := e.caller(r)
	switch {
	case r.Method != http.MethodGet:
		refuse(&problem{status: http.StatusMethodNotAllowed, text: "The method is not allowed"})
		return
	case res == nil || !strings.EqualFold(res.Type, workload.TypeSite) ||
		subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Identity-Header")), []byte(e.Header(res))) != 1:
		refuse(&problem{status: http.StatusUnauthorized, text: "The header X-IDENTITY-HEADER is not that of a site at this address"})
		return
	case !ok || q.Get("api-version") != "2019-08-01":
		refuse(&problem{status: http.StatusBadRequest, text: "The query is not valid: api-version is 2019-08-01, and no parameter comes twice"})
		return
	}
	g, failed := e.issue(r, s, res, q)
	if failed != nil {
		refuse(failed)
		return
	}
	write(w, http.StatusOK, map[string]string{"access_token": g.token, "client_id": g.app,
		"expires_on": strconv.FormatInt(g.expires.Unix(), 10), "resource": g.resource, "token_type": "Bearer"})
}
