package keyvault

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/access"
	"postern/internal/fault"
	"postern/internal/vault"
)

// Route is one row of the data plane: what the documentation of permissions,
// the explanation and the tests of coverage are made of.
type Route struct {
	Method string
	// Pattern is the path of the specification. A {version} may be left out:
	// that is the latest one.
	Pattern string
	// Operation is access.NoOperation where a vault has no such thing.
	Operation access.Operation
	// Since is the first api-version that has it.
	Since apiVersion
	// Body bounds the request's body in bytes; 0 where none is read.
	Body int64

	serve func(x *exchange, b []byte) ([]byte, int, error)
	parts []string
	// versioned is whether the pattern has a {version}.
	versioned bool
	// collection is where the objects of the row are: the word of their kind
	// in URLs.
	collection string
}

const (
	// bodySet leaves room for a value at its limit with every character
	// escaped, and for content type and tags.
	bodySet = 512 << 10
	// bodyUpdate is the same without a value.
	bodyUpdate = 256 << 10
	// bodyRestore is a backup blob in base64url, and the JSON around it.
	bodyRestore = vault.MaxBlob/3*4 + 4096
)

// secretRoutes are the rows of Secrets in the specification, 12 operations.
// Where two rows fit a path the earlier one wins.
var secretRoutes = []Route{
	{Method: "GET", Pattern: "/secrets", Operation: access.SecretList, serve: listSecrets},
	{Method: "PUT", Pattern: "/secrets/{name}", Operation: access.SecretSet, Body: bodySet, serve: setSecret},
	{Method: "DELETE", Pattern: "/secrets/{name}", Operation: access.SecretDelete, serve: deleteSecret},
	{Method: "GET", Pattern: "/secrets/{name}/versions", Operation: access.SecretListVersions, serve: listSecretVersions},
	{Method: "GET", Pattern: "/secrets/{name}/{version}", Operation: access.SecretGet, serve: getSecret},
	{Method: "PATCH", Pattern: "/secrets/{name}/{version}", Operation: access.SecretUpdate, Body: bodyUpdate, serve: updateSecret},
	{Method: "POST", Pattern: "/secrets/{name}/backup", Operation: access.SecretBackup, serve: backUpSecret},
	{Method: "POST", Pattern: "/secrets/restore", Operation: access.SecretRestore, Body: bodyRestore, serve: restoreSecret},
	{Method: "GET", Pattern: "/deletedsecrets", Operation: access.SecretListDeleted, serve: listDeletedSecrets},
	{Method: "GET", Pattern: "/deletedsecrets/{name}", Operation: access.SecretGetDeleted, serve: getDeletedSecret},
	{Method: "DELETE", Pattern: "/deletedsecrets/{name}", Operation: access.SecretPurge, serve: purgeSecret},
	{Method: "POST", Pattern: "/deletedsecrets/{name}/recover", Operation: access.SecretRecover, serve: recoverSecret},
}

// hardwareRoutes are the operations that only a managed HSM has. No right
// allows them on a vault, and whoever has passed the other gates is told so.
var hardwareRoutes = []Route{
	{Method: "POST", Pattern: "/rng"},
	{Method: "GET", Pattern: "/keys/{name}/{version}/attestation"},
	{Method: "POST", Pattern: "/keys/{name}/{version}/securewrapkey"},
	{Method: "POST", Pattern: "/keys/{name}/{version}/secureunwrapkey"},
}

// routes is the whole table.
var routes = slices.Concat(hardwareRoutes, secretRoutes, keyRoutes, certificateRoutes)

// roots finds the rows of a path by its first segment.
var roots = map[string][]*Route{}

func init() {
	for i := range routes {
		r := &routes[i]
		r.parts = strings.Split(r.Pattern[1:], "/")
		r.versioned = slices.Contains(r.parts, "{version}")
		r.collection = r.Operation.Info().Kind.String()
		if strings.HasPrefix(r.Pattern, "/certificates/issuers/") {
			r.collection = "certificates/issuers"
		}
		roots[r.parts[0]] = append(roots[r.parts[0]], r)
	}
}

// Routes are the rows of the operations that a vault has.
func Routes() []Route { return slices.Concat(secretRoutes, keyRoutes, certificateRoutes) }

// maxSegments is more than any route has.
const maxSegments = 5

// target is what a request's method and path name.
type target struct {
	// route is nil when there is no such operation; allow then lists the
	// methods that the path has.
	route *Route
	allow []string
	// health is true for /healthstatus.
	health        bool
	method        string
	name, version string
}

// find reads the path: empty segments do not count, so that // and a slash
// at the end mean nothing; letter case of the fixed words does not matter.
// The escaped form is taken apart before it is decoded, so that %2f does not
// make a new segment.
func find(method string, u *url.URL) target {
	t := target{method: method}
	var segments [maxSegments]string
	n, ok := split(u, &segments)
	if !ok || n == 0 {
		return t
	}
	root := strings.ToLower(segments[0])
	if n == 1 && root == "healthstatus" {
		t.health = method == http.MethodGet || method == http.MethodHead
		t.allow = []string{http.MethodGet, http.MethodHead}
		return t
	}
	for _, r := range roots[root] {
		if r.Method != method {
			continue
		}
		if name, version, fits := r.match(segments[:n]); fits {
			t.route, t.name, t.version = r, name, version
			return t
		}
	}
	for _, r := range roots[root] {
		if _, _, fits := r.match(segments[:n]); fits {
			t.allow = append(t.allow, r.Method)
		}
	}
	return t
}

// split cuts a path into its segments, decoded. It fails when there are too
// many, or when an escape is wrong.
func split(u *url.URL, segments *[maxSegments]string) (n int, ok bool) {
	path, escaped := u.Path, u.RawPath != ""
	if escaped {
		path = u.RawPath
	}
	if !strings.HasPrefix(path, "/") {
		return 0, false
	}
	for path != "" {
		segment := path
		if i := strings.IndexByte(path, '/'); i >= 0 {
			segment, path = path[:i], path[i+1:]
		} else {
			path = ""
		}
		if segment == "" {
			continue
		}
		if n == maxSegments {
			return 0, false
		}
		if escaped {
			decoded, err := url.PathUnescape(segment)
			if err != nil {
				return 0, false
			}
			segment = decoded
		}
		segments[n] = segment
		n++
	}
	return n, true
}

// match compares the segments with the row; the first is known to fit.
func (r *Route) match(segments []string) (name, version string, ok bool) {
	missing := len(r.parts) - len(segments)
	if missing != 0 && (missing != 1 || !r.versioned) {
		return "", "", false
	}
	at := 1
	for _, part := range r.parts[1:] {
		if part == "{version}" && missing == 1 {
			continue
		}
		s := segments[at]
		at++
		switch part {
		case "{name}":
			name = s
		case "{version}":
			version = s
		default:
			if !strings.EqualFold(part, s) {
				return "", "", false
			}
		}
	}
	return name, version, true
}

// kind is the word of the object's kind in URLs.
func (t *target) kind() string { return t.route.collection }

// validName is the object's name if it can be one, else "".
func (t *target) validName() string {
	if vault.ValidName(t.name) {
		return t.name
	}
	return ""
}

// auditName is the operation in the log.
func (t *target) auditName() string {
	if !t.exists() {
		return "Unknown"
	}
	return t.route.Operation.String()
}

// exists reports whether a vault has the operation.
func (t *target) exists() bool { return t.route != nil && t.route.Operation != access.NoOperation }

// missing says that there is no such operation.
func (t *target) missing() *fault.Error {
	if t.route != nil {
		return hardwareOnly
	}
	if len(t.allow) > 0 {
		return methodNotAllowed(t.method, t.allow)
	}
	return noSuchPath
}
