// Package identityendpoint is where programs get the tokens of managed
// identities without having a secret: the instance metadata service of
// virtual machines and clusters, the endpoint of App Service, and that of
// machines connected by Azure Arc.
//
// Which identities a caller can choose from follows from where it is, and
// from nothing else: its connection comes from an address that a workload
// declares. What it says chooses among the identities of that workload.
// Headers keep others from being led here: none of them is a proof.
//
// The listener speaks plain HTTP, as 169.254.169.254 does. It belongs into
// networks that carry no foreign source addresses.
package identityendpoint

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"postern/access"
	"postern/internal/arm/workload"
	"postern/internal/entra"
	"postern/internal/estate"
)

// Directory is what is needed of the directory; *entra.Directory is it.
type Directory interface {
	ManagedToken(object access.GUID, audience string) (token string, expires time.Time, err error)
	PrincipalByObject(object access.GUID) (entra.Principal, bool)
}

// Options is what the endpoints are made of.
type Options struct {
	Snapshot  func() *estate.Snapshot
	Directory Directory
	// Header is what the programs of a site show (IDENTITY_HEADER).
	Header func(site *estate.Resource) string
	// Arc is where the proofs of machines with Azure Arc are put.
	Arc *Arc
	Now func() time.Time
	Log *slog.Logger
}

// The paths of the endpoints.
const (
	MetadataPath   = "/metadata/identity/oauth2/token"
	AppServicePath = "/msi/token"
)

type endpoint struct {
	Options
	index atomic.Pointer[index]
}

// Handler serves all endpoints.
func Handler(o Options) http.Handler {
	e := &endpoint{Options: o}
	mux := http.NewServeMux()
	mux.HandleFunc(MetadataPath, e.metadata)
	mux.HandleFunc(AppServicePath, e.appService)
	return mux
}

// index is the workloads of a snapshot by where they are; nil for an address
// of several, from which nobody is anything.
type index struct {
	snapshot *estate.Snapshot
	at       map[netip.Addr]*estate.Resource
}

// caller is the workload from which a request comes.
func (e *endpoint) caller(r *http.Request) (*estate.Snapshot, *estate.Resource) {
	s := e.Snapshot()
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return s, nil
	}
	i := e.index.Load()
	if i == nil || i.snapshot != s {
		i = &index{s, map[netip.Addr]*estate.Resource{}}
		for _, typ := range workload.Types() {
			for _, res := range s.Under("/", typ) {
				list, _ := workload.Addresses(res)
				for _, a := range list {
					if other, taken := i.at[a]; taken && other != res {
						i.at[a] = nil
						continue
					}
					i.at[a] = res
				}
			}
		}
		e.index.Store(i)
	}
	return s, i.at[addr.Unmap()]
}

// problem is why there is no token.
type problem struct {
	status     int
	code, text string
}

var (
	errNone     = &problem{http.StatusBadRequest, "invalid_request", "Identity not found"}
	errSeveral  = &problem{http.StatusBadRequest, "invalid_request", "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}
	errResource = &problem{http.StatusBadRequest, "invalid_request", "Required query variable 'resource' is missing"}
	errInternal = &problem{http.StatusInternalServerError, "unknown", "Failed to retrieve token from the Active directory. For details see logs in the server"}
)

// grant is a token and whom it is for.
type grant struct {
	token, resource string
	expires         time.Time
	object, app     string
}

// maxResource bounds what a token is asked for.
const maxResource = 1024

// issue issues a token to a workload, and logs for whom it was or why there
// is none; of the token itself, nothing.
func (e *endpoint) issue(r *http.Request, s *estate.Snapshot, res *estate.Resource, q url.Values) (*grant, *problem) {
	g, failed := e.grant(s, res, q)
	where := []any{"from", r.RemoteAddr, "workload", ""}
	if res != nil {
		where[3] = res.ID
	}
	if failed != nil {
		e.Log.Info("identity token refused", append(where, "audience", clip(q.Get("resource")), "why", failed.text)...)
		return nil, failed
	}
	e.Log.Info("identity token issued", append(where, "audience", g.resource, "principal", g.object, "app", g.app)...)
	return g, nil
}

// clip bounds what of a client's text goes into the log.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 256)], "") }

func (e *endpoint) grant(s *estate.Snapshot, res *estate.Resource, q url.Values) (*grant, *problem) {
	audience := q.Get("resource")
	switch {
	case audience == "":
		return nil, errResource
	case len(audience) > maxResource || strings.ContainsFunc(audience, func(c rune) bool { return c <= ' ' || c > '~' }):
		return nil, &problem{http.StatusBadRequest, "invalid_resource", "The resource is not valid"}
	case res == nil:
		return nil, errNone
	}
	p, failed := e.choose(workload.Identities(s, res), q)
	if failed != nil {
		return nil, failed
	}
	token, expires, err := e.Directory.ManagedToken(p.Object, audience)
	if errors.Is(err, entra.ErrNoPrincipal) {
		return nil, errNone
	}
	if err != nil {
		e.Log.Error("identity endpoint", "resource", res.ID, "error", err)
		return nil, errInternal
	}
	return &grant{token, audience, expires, p.Object.String(), p.App.String()}, nil
}

// choose finds the identity that a request names among those of its
// workload: the workload's own when it names none, or else the only one.
func (e *endpoint) choose(list []workload.Identity, q url.Values) (entra.Principal, *problem) {
	name, value := "", ""
	for _, n := range []string{"client_id", "object_id", "principal_id", "msi_res_id", "mi_res_id"} {
		if !q.Has(n) {
			continue
		}
		if name != "" {
			return entra.Principal{}, &problem{http.StatusBadRequest, "invalid_request", "More than one identity is asked for"}
		}
		name, value = n, q.Get(n)
	}
	if name == "" && len(list) > 0 && (list[0].Resource == "" || len(list) == 1) {
		p, ok := e.Directory.PrincipalByObject(list[0].Object)
		if !ok {
			return entra.Principal{}, errNone
		}
		return p, nil
	}
	if name == "" && len(list) > 1 {
		return entra.Principal{}, errSeveral
	}
	for _, i := range list {
		p, ok := e.Directory.PrincipalByObject(i.Object)
		if !ok {
			continue
		}
		switch name {
		case "client_id":
			ok = strings.EqualFold(value, p.App.String())
		case "object_id", "principal_id":
			ok = strings.EqualFold(value, p.Object.String())
		default:
			ok = i.Resource != "" && estate.Key(value) == estate.Key(i.Resource)
		}
		if ok {
			return p, nil
		}
	}
	return entra.Principal{}, errNone
}

// query reads a query in which no parameter comes twice.
func query(r *http.Request) (url.Values, bool) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	for _, v := range q {
		if len(v) != 1 {
			return nil, false
		}
	}
	return q, err == nil
}

// metadata is the instance metadata service, and Azure Arc's, which differs
// by the version that is asked for and by a proof.
func (e *endpoint) metadata(w http.ResponseWriter, r *http.Request) {
	refuse := func(p *problem) {
		write(w, p.status, map[string]string{"error": p.code, "error_description": p.text})
	}
	q, ok := query(r)
	switch {
	case r.Method != http.MethodGet:
		refuse(&problem{http.StatusMethodNotAllowed, "invalid_request", "The method is not allowed"})
		return
	case !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		refuse(&problem{http.StatusBadRequest, "invalid_request", "Required metadata header not specified"})
		return
	case len(r.Header.Values("X-Forwarded-For")) > 0 || len(r.Header.Values("Forwarded")) > 0:
		// Documentation: requests with X-Forwarded-For are refused.
		refuse(&problem{http.StatusBadRequest, "invalid_request", "Requests that were forwarded are not served"})
		return
	case !ok:
		refuse(&problem{http.StatusBadRequest, "invalid_request", "The query is not valid"})
		return
	}
	s, res := e.caller(r)
	arc := false
	switch v := q.Get("api-version"); v {
	case "2018-02-01", "2018-10-01", "2019-02-01", "2019-03-11", "2019-06-01", "2019-06-04", "2019-08-01", "2019-08-15", "2021-02-01":
	case "2019-11-01", "2020-06-01":
		arc = res != nil && strings.EqualFold(res.Type, workload.TypeArc)
	default:
		refuse(&problem{http.StatusBadRequest, "invalid_request", "Required query variable 'api-version' is missing or not supported"})
		return
	}
	if res != nil && strings.EqualFold(res.Type, workload.TypeArc) != arc || res != nil && strings.EqualFold(res.Type, workload.TypeSite) {
		res = nil // a machine elsewhere has no other endpoint, a site its own
	}
	if arc && !e.Arc.proven(w, r, res.ID) {
		return
	}
	g, failed := e.issue(r, s, res, q)
	if failed != nil {
		refuse(failed)
		return
	}
	now := e.Now()
	in := strconv.FormatInt(int64(g.expires.Sub(now)/time.Second), 10)
	write(w, http.StatusOK, map[string]string{"access_token": g.token, "client_id": g.app, "expires_in": in, "ext_expires_in": in,
		"expires_on": strconv.FormatInt(g.expires.Unix(), 10), "not_before": strconv.FormatInt(now.Unix(), 10), "resource": g.resource, "token_type": "Bearer"})
}

// write writes an answer, which nobody may keep.
func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error here is a client that went away.
	_ = json.NewEncoder(w).Encode(body)
}
