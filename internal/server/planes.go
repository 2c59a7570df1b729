package server

import (
	"crypto"
	"io"
	"log"
	"net/http"
	"slices"
	"time"

	"postern/access"
	"postern/internal/arm"
	armauthorization "postern/internal/arm/authorization"
	armkeyvault "postern/internal/arm/keyvault"
	armmanagement "postern/internal/arm/management"
	armnetwork "postern/internal/arm/network"
	armnsp "postern/internal/arm/nsp"
	armprivatedns "postern/internal/arm/privatedns"
	armresources "postern/internal/arm/resources"
	"postern/internal/entra"
	"postern/internal/fault"
	"postern/internal/keyvault"
	"postern/internal/names"
	"postern/internal/profile"
	"postern/internal/roles"
)

// Limits of connections and requests. A client that is slower is cut off.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 120 * time.Second
	maxHeader     = 64 << 10
)

func newHTTPServer(h http.Handler, errorLog *log.Logger) *http.Server {
	return &http.Server{Handler: h, ErrorLog: errorLog, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		// OPTIONS * would be answered before any plane is asked.
		DisableGeneralOptionsHandler: true}
}

// denialNote is what the log adds to a refusal by the network rules, so that
// a query for these words finds them and nothing else.
const denialNote = "The request is not allowed by the network rules of the vault."

// role finds a role definition for the estate.
func role(guid string) (*access.Role, bool) {
	d, ok := roles.ByName(guid)
	if !ok {
		return nil, false
	}
	return d.Role(), true
}

// hosts routes a request to its plane by the name it was sent to.
type hosts struct {
	names  *names.Names
	count  *metrics
	planes [names.Vault + 1]http.Handler
}

// ServeHTTP implements http.Handler.
func (h *hosts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	plane := h.names.Resolve(r.Host).Plane
	h.count.request(plane)
	h.planes[plane].ServeHTTP(w, r)
}

// administrator tells whether somebody holds the directory's one role.
func (s *Server) administrator(tenant, object access.GUID) bool {
	return slices.ContainsFunc(s.directory.Administrators(tenant), func(p entra.Principal) bool { return p.Object == object })
}

// misdirected answers requests to names that are not the server's.
func (s *Server) misdirected(w http.ResponseWriter, r *http.Request) {
	e := fault.New(http.StatusMisdirectedRequest, "MisdirectedRequest", "This server has no such host name.")
	if r.URL.Path == "/healthstatus" && r.Method == http.MethodGet {
		// Documentation: it "doesn't care if you are using the hostname or
		// IP address".
		w.Header().Set("x-ms-keyvault-network-info", keyvault.NetworkInfo(s.perimeter.Origin(r)))
		_, _ = io.WriteString(w, `"OK"`)
		return
	}
	// It belongs to no vault's log; the server's has it.
	s.options.Log.Info("no such host", "host", r.Host[:min(len(r.Host), 256)], "from", r.RemoteAddr)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(e.Status)
	_, _ = w.Write(e.ARM())
}

// planes makes the handlers of all planes.
func (s *Server) planes(prof *profile.Profile) http.Handler {
	h := &hosts{names: s.names, count: s.metrics}
	h.planes[names.None] = http.HandlerFunc(s.misdirected)
	h.planes[names.Login] = s.directory.Login(s.names, s.options.Log)
	h.planes[names.Graph] = s.directory.Graph(s.names, s.directory.Verifier(entra.GraphAudiences(s.names)), s.recordDirectory)
	h.planes[names.Management] = s.management(prof)
	h.planes[names.Vault] = keyvault.Handler(keyvault.Deps{
		Snapshot: s.estate.Effective, Verify: s.directory.Verifier(entra.VaultAudiences(s.names)).Verify,
		Origin: s.perimeter.Origin, Admission: s.admission, Names: s.names, Now: s.options.Now,
		Random: s.options.Random, Log: s.options.Log, DenialNote: denialNote, Desk: s.desk, Attested: s.directory.Attested,
		Notary:     func() (crypto.Signer, [][]byte, error) { return s.authority.Notary() },
		RetryAfter: func() int { return int(s.retryAfter.Load()) },
	})
	return h
}

// management makes the control plane.
func (s *Server) management(prof *profile.Profile) http.Handler {
	return arm.New(arm.Deps{
		Estate: s.estate, Admission: s.admission, Names: s.names, Profile: prof, Origin: s.perimeter.Origin,
		Verifier: s.directory.Verifier(entra.ManagementAudiences(s.names)),
		Tenants: func() []arm.Tenant {
			var list []arm.Tenant
			for _, t := range s.directory.Tenants() {
				list = append(list, arm.Tenant{ID: t.ID, Name: t.Name, Domain: t.Domain})
			}
			return list
		},
		Principal: func(tenant, object access.GUID) (string, bool) {
			p, ok := s.directory.PrincipalByObject(object)
			return string(p.Kind), ok && p.Tenant == tenant
		},
		Application: func(object access.GUID) (access.GUID, bool) {
			p, ok := s.directory.PrincipalByObject(object)
			return p.App, ok
		},
		Manage: s.directory.Manage, Groups: s.directory.Groups, Now: s.options.Now, Random: s.options.Random, Log: s.options.Log,
	}, append(identityProviders(), armresources.Provider(), armkeyvault.Provider(s.desk.NewKey), armnetwork.Provider(), armauthorization.Provider(), armauthorization.Elevation(s.administrator), armmanagement.Provider(),
		armprivatedns.Provider(),
		armnsp.Provider(), armnsp.Vaults())...)
}
