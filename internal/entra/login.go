package entra

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"postern/access"
	"postern/internal/names"
)

// login is the handler of the login hosts.
type login struct {
	directory *Directory
	names     *names.Names
	log       *slog.Logger
	resources map[string]bool
	seen      replays
	devices   devices
}

// Login answers on the login hosts as login.microsoftonline.com and, below
// /adfs, as an AD FS server does. Every URL in an answer is of the family of
// names by which the request came.
func (d *Directory) Login(n *names.Names, log *slog.Logger) http.Handler {
	l := &login{directory: d, names: n, log: log, resources: map[string]bool{}}
	for _, audiences := range [][]string{VaultAudiences(n), ManagementAudiences(n), GraphAudiences(n)} {
		for _, a := range audiences {
			l.resources[a] = true
		}
	}
	return l
}

// place is where in the directory a request was sent.
type place struct {
	family *names.Family
	// tenant is what the path names; zero for everyone's: "common",
	// "organizations", or the AD FS forms without a tenant.
	tenant Tenant
	// base is the path before the route, as a client of these forms expects
	// it: "/common", "/<tenant>", "/adfs".
	base string
	// adfs marks the AD FS forms.
	adfs bool
}

// everyone reports whether the place is no tenant's own.
func (p *place) everyone() bool { return p.tenant.ID.IsZero() }

// loginRoute is one route below a tenant.
type loginRoute struct {
	method, path string
	handler      func(*login, *attempt, http.ResponseWriter, *http.Request) error
}

// loginRoutes are the routes that every tenant and every AD FS form has.
// OpenID Connect Discovery 1.0 §4; the token endpoint is RFC 6749 §3.2.
var loginRoutes = []loginRoute{
	{http.MethodGet, "/v2.0/.well-known/openid-configuration", (*login).openid},
	{http.MethodGet, "/.well-known/openid-configuration", (*login).openid},
	{http.MethodGet, "/discovery/v2.0/keys", (*login).keys},
	{http.MethodGet, "/discovery/keys", (*login).keys},
	{http.MethodPost, "/oauth2/v2.0/token", (*login).token},
	{http.MethodPost, "/oauth2/token", (*login).tokenV1},
	{http.MethodPost, "/oauth2/v2.0/devicecode", (*login).deviceCode},
	{http.MethodPost, "/oauth2/devicecode", (*login).deviceCodeV1},
	{http.MethodGet, "/oauth2/deviceauth", (*login).deviceForm},
	{http.MethodPost, "/oauth2/deviceauth", (*login).deviceApprove},
}

// ServeHTTP finds the route, and writes what it returns as an error.
func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &attempt{correlation: correlation(r), place: place{family: l.names.Private}}
	if id, err := l.directory.newGUID(); err == nil {
		a.trace = id.String()
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("x-ms-request-id", a.trace)
	h.Set("client-request-id", a.correlation)
	if host := l.names.Resolve(r.Host); host.Plane == names.Login {
		a.place.family = host.Family
	}
	if err := l.serve(a, w, r); err != nil {
		l.refuse(r.Context(), a, w, err)
	}
}

func (l *login) serve(a *attempt, w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path == "/common/discovery/instance" {
		if !reads(r.Method) {
			return refuseMethod(http.MethodGet, r.Method)
		}
		return l.instance(a, w, r)
	}
	tenant, base, rest := cutPlace(r.URL.Path)
	other := ""
	for _, route := range loginRoutes {
		if rest != route.path {
			continue
		}
		if r.Method != route.method && !(route.method == http.MethodGet && reads(r.Method)) {
			other = route.method
			continue
		}
		a.place.base, a.place.adfs = base, strings.HasPrefix(base, "/adfs")
		if tenant != "" && tenant != "common" && tenant != "organizations" {
			t, ok := l.directory.TenantByName(tenant)
			if !ok {
				return refuseTenant(tenant)
			}
			a.place.tenant = t
		}
		return route.handler(l, a, w, r)
	}
	if other != "" {
		return refuseMethod(other, r.Method)
	}
	return refuseRoute()
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// cutPlace divides a path into what names the tenant and the route below
// it: /{tenant}/…, /adfs/… (no tenant) and /adfs/aad/{tenant}/…. az adds the
// tenant to a login endpoint that ends in /adfs/aad, and takes anything
// below /adfs for an authority that needs no instance discovery.
func cutPlace(path string) (tenant, base, rest string) {
	prefix := ""
	switch {
	case strings.HasPrefix(path, "/adfs/aad/"):
		prefix = "/adfs/aad"
	case strings.HasPrefix(path, "/adfs/"):
		return "", "/adfs", path[len("/adfs"):]
	}
	tenant, rest, ok := strings.Cut(strings.TrimPrefix(path[len(prefix):], "/"), "/")
	if !ok || tenant == "" {
		return "", "", ""
	}
	return tenant, prefix + "/" + tenant, "/" + rest
}

// openidDocument is the provider metadata (OpenID Connect Discovery 1.0 §3)
// with Entra's additions.
type openidDocument struct {
	TokenEndpoint    string   `json:"token_endpoint"`
	TokenAuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	JWKS             string   `json:"jwks_uri"`
	ResponseModes    []string `json:"response_modes_supported"`
	SubjectTypes     []string `json:"subject_types_supported"`
	Algorithms       []string `json:"id_token_signing_alg_values_supported"`
	ResponseTypes    []string `json:"response_types_supported"`
	Scopes           []string `json:"scopes_supported"`
	Issuer           string   `json:"issuer"`
	RequestURI       bool     `json:"request_uri_parameter_supported"`
	Authorization    string   `json:"authorization_endpoint"`
	Device           string   `json:"device_authorization_endpoint"`
	EndSession       string   `json:"end_session_endpoint"`
	Claims           []string `json:"claims_supported"`
	Region           *string  `json:"tenant_region_scope"`
	Instance         string   `json:"cloud_instance_name"`
	GraphHost        string   `json:"msgraph_host"`
}

// openid answers with the provider metadata of a tenant. In the AD FS forms
// the endpoints are those of the tenant where the path names one; MSAL takes
// the first path segment of the token endpoint for the realm of its cache.
func (l *login) openid(a *attempt, w http.ResponseWriter, r *http.Request) error {
	p := &a.place
	family := p.family
	base := family.LoginURL() + p.base
	if !p.everyone() {
		base = family.LoginURL() + "/" + p.tenant.ID.String()
	}
	version, issuer := "/v2.0", base+"/v2.0"
	switch {
	case p.adfs && p.everyone():
		// The routes below /adfs/aad/{tenant} are as those of a tenant.
		if p.base == "/adfs" {
			version, issuer = "", base
		}
	case p.everyone():
		issuer = family.LoginURL() + "/{tenantid}/v2.0" // Entra's placeholder, as it is
	case !p.adfs && !strings.Contains(r.URL.Path, "/v2.0/"):
		version, issuer = "", Issuer(p.tenant.ID)
	}
	return writeJSON(w, http.StatusOK, openidDocument{
		TokenEndpoint:    base + "/oauth2" + version + "/token",
		TokenAuthMethods: []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		JWKS:             base + "/discovery" + version + "/keys",
		ResponseModes:    []string{"query", "fragment", "form_post"},
		SubjectTypes:     []string{"pairwise"},
		Algorithms:       []string{"RS256"},
		ResponseTypes:    []string{"code", "id_token", "code id_token", "id_token token"},
		Scopes:           []string{"openid", "profile", "email", "offline_access"},
		Issuer:           issuer,
		Authorization:    base + "/oauth2" + version + "/authorize",
		Device:           base + "/oauth2" + version + "/devicecode",
		EndSession:       base + "/oauth2" + version + "/logout",
		Claims:           []string{"sub", "iss", "aud", "exp", "iat", "nbf", "tid", "oid", "appid", "idtyp", "ver"},
		Instance:         strings.TrimPrefix(family.LoginURL(), "https://login."),
		GraphHost:        strings.TrimPrefix(family.GraphURL(), "https://"),
	})
}

// keys answers with the JWK set (RFC 7517 §5).
func (l *login) keys(a *attempt, w http.ResponseWriter, _ *http.Request) error {
	issuer := a.place.family.LoginURL() + "/{tenantid}/v2.0"
	if !a.place.everyone() {
		issuer = a.place.family.LoginURL() + "/" + a.place.tenant.ID.String() + "/v2.0"
	}
	return writeJSON(w, http.StatusOK, map[string][]jwk{"keys": l.directory.jwks(issuer)})
}

// instanceDocument is the answer of instance discovery, 1.0 and 1.1.
type instanceDocument struct {
	Discovery string          `json:"tenant_discovery_endpoint"`
	Version   string          `json:"api-version"`
	Metadata  []instanceNames `json:"metadata"`
}

// instanceNames are host names that stand for one authority.
type instanceNames struct {
	Network string   `json:"preferred_network"`
	Cache   string   `json:"preferred_cache"`
	Aliases []string `json:"aliases"`
}

// instance answers instance discovery, which MSAL asks of
// login.microsoftonline.com whatever authority it was given. An authority
// of this server is answered in its own family: the URL that comes back is
// where the client goes next. Of others nothing is taken but the tenant.
func (l *login) instance(a *attempt, w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	version := query.Get("api-version")
	if version == "" {
		version = "1.0"
	}
	if version != "1.0" && version != "1.1" {
		return refuseVersion(version)
	}
	family, tenant := a.place.family, "common"
	if authority, err := url.Parse(query.Get("authorization_endpoint")); err == nil {
		if host := l.names.Resolve(authority.Host); host.Plane == names.Login {
			family = host.Family
		}
		tenant = l.authorityTenant(authority.Path)
	}
	private := strings.TrimPrefix(l.names.Private.LoginURL(), "https://")
	return writeJSON(w, http.StatusOK, instanceDocument{
		Discovery: family.LoginURL() + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		Version:   version,
		Metadata: []instanceNames{
			{Network: "login.microsoftonline.com", Cache: "login.windows.net",
				Aliases: []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}},
			{Network: private, Cache: private, Aliases: []string{private}},
		},
	})
}

// authorityTenant is what the path of an authority names: a tenant of this
// directory, "organizations", and "common" for everything else.
func (l *login) authorityTenant(path string) string {
	segment, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if t, ok := l.directory.TenantByName(segment); ok {
		return t.ID.String()
	}
	if segment == "organizations" {
		return segment
	}
	return "common"
}

// writeJSON writes an answer.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that went away is no failure of ours
	return nil
}

// correlation is the client's own id of the request when it is a GUID.
func correlation(r *http.Request) string {
	if id, err := access.ParseGUID(r.Header.Get("client-request-id")); err == nil {
		return id.String()
	}
	return ""
}
