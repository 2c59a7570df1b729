package arm

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"postern/internal/fault"
)

// Vars are the variables of a pattern, as the client wrote them.
type Vars map[string]string

// route is a Route with its pattern taken apart.
type route struct {
	Route
	segments []string
	// anyScope is set for a pattern that begins with {scope}.
	anyScope bool
}

func newRoute(r Route) route {
	segments := strings.Split(strings.Trim(r.Pattern, "/"), "/")
	if segments[0] == "" {
		segments = nil
	}
	anyScope := len(segments) > 0 && segments[0] == "{scope}"
	if anyScope {
		segments = segments[1:]
	}
	return route{Route: r, segments: segments, anyScope: anyScope}
}

// match reports whether the path is one of the route's, and what its
// variables are. Literal segments match in any letter case.
func (r *route) match(path []string) (Vars, bool) {
	skip := len(path) - len(r.segments)
	if skip < 0 || skip > 0 && !r.anyScope {
		return nil, false
	}
	vars := Vars{}
	if r.anyScope {
		vars["scope"] = join(path[:skip])
	}
	for i, want := range r.segments {
		got := path[skip+i]
		if name, ok := variable(want); ok {
			vars[name] = got
		} else if !strings.EqualFold(want, got) {
			return nil, false
		}
	}
	return vars, true
}

func variable(segment string) (string, bool) {
	name, ok := strings.CutPrefix(segment, "{")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}

// join is the path of segments, "/" for none.
func join(segments []string) string { return "/" + strings.Join(segments, "/") }

// errPath is the answer to a path that is not read any further.
var errPath = fault.New(http.StatusBadRequest, "InvalidRequestUri", "The path of the request is not valid.")

// ParsePath splits the path of a request, as it was escaped, into its
// segments: empty ones are dropped (clients write //subscriptions), and
// segments that would mean something else to another reader are refused.
func ParsePath(escaped string) ([]string, error) {
	if len(escaped) > MaxPath || !strings.HasPrefix(escaped, "/") {
		return nil, errPath
	}
	var path []string
	for part := range strings.SplitSeq(escaped, "/") {
		if part == "" {
			continue
		}
		segment, err := url.PathUnescape(part)
		if err != nil || !plainSegment(segment) {
			return nil, errPath
		}
		path = append(path, segment)
	}
	if len(path) > MaxSegments {
		return nil, errPath
	}
	return path, nil
}

// plainSegment refuses what could be taken for more than one segment, for
// another directory, or for the end of the path, and anything outside of
// printable ASCII: no resource name needs it but tags and filters, which
// are no part of a path.
func plainSegment(s string) bool {
	if s == "" || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '/' || c == '\\' || c == '%' || c == '?' || c == '#' {
			return false
		}
	}
	return true
}

// find looks the path up. Without a route it answers as the resource manager
// does for a provider or a type that it does not know, or for a method that
// the resource does not have.
func (p *Plane) find(method string, path []string) (*route, Vars, error) {
	var allowed []string
	for i := range p.routes {
		r := &p.routes[i]
		vars, ok := r.match(path)
		if !ok {
			continue
		}
		if r.Method == method {
			return r, vars, nil
		}
		if !slices.Contains(allowed, r.Method) {
			allowed = append(allowed, r.Method)
		}
	}
	if allowed != nil {
		slices.Sort(allowed)
		f := fault.New(http.StatusMethodNotAllowed, "MethodNotAllowed", "The request method '%s' is not allowed for this resource.", method)
		f.Header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
		return nil, nil, f
	}
	return nil, nil, p.unknown(path)
}

// unknown says what is not known of a path: the namespace, or the type in
// it.
func (p *Plane) unknown(path []string) error {
	at := -1
	for i, segment := range path {
		if strings.EqualFold(segment, "providers") {
			at = i
		}
	}
	if at < 0 || at+1 >= len(path) {
		return fault.New(http.StatusNotFound, "NotFound", "The resource at '%s' could not be found.", join(path))
	}
	namespace := path[at+1]
	for _, provider := range p.providers {
		if strings.EqualFold(provider.Namespace, namespace) {
			var typ []string
			for i := at + 2; i < len(path); i += 2 {
				typ = append(typ, path[i])
			}
			return fault.New(http.StatusNotFound, "InvalidResourceType", "The resource type '%s' could not be found in the namespace '%s'.",
				strings.Join(typ, "/"), provider.Namespace)
		}
	}
	return fault.New(http.StatusNotFound, "InvalidResourceNamespace", "The resource namespace '%s' is invalid.", namespace)
}

// resourceScope is the ARM id of the resource that a path is about: a
// collection belongs to its parent.
func resourceScope(path []string) string {
	n := len(path)
	at := -1
	for i, segment := range path {
		if strings.EqualFold(segment, "providers") {
			at = i
		}
	}
	switch {
	case at < 0:
		n -= n % 2
	case n <= at+3:
		// …/providers/Namespace/types: the collection's parent.
		n = at
	default:
		// …/providers/Namespace/type/name[/type/name…]
		n -= (n - at - 2) % 2
	}
	return join(path[:n])
}

// parameters are the parameters that an operation of this plane may look at,
// lower-case: the log has the values of no others.
var parameters = []string{"api-version", "$expand", "$filter", "$orderby", "$select", "$skip", "$skiptoken", "$top"}

// parseQuery reads a query. The names of parameters come in any letter case;
// one that comes twice is refused, so that no two readers can take different
// ones.
func parseQuery(raw string) (url.Values, error) {
	parsed, err := url.ParseQuery(raw)
	query := url.Values{}
	for name, values := range parsed {
		name = strings.ToLower(name)
		if len(values) != 1 || query.Has(name) {
			err = errQuery
		}
		query[name] = values
	}
	if err != nil {
		return url.Values{}, errQuery
	}
	return query, nil
}

// errQuery is the answer to a query that is not read any further.
var errQuery = fault.New(http.StatusBadRequest, "InvalidRequestUri", "The query of the request is not valid.")

// version checks the api-version of a request: present, and of the form of
// one. Which ones exist is not asked: clients of one session use twenty.
func version(query url.Values) (string, error) {
	v := query.Get("api-version")
	if v == "" {
		return "", fault.New(http.StatusBadRequest, "MissingApiVersionParameter",
			"The api-version query parameter (?api-version=) is required for all requests.")
	}
	if !validVersion(v) {
		return "", fault.New(http.StatusBadRequest, "InvalidApiVersionParameter",
			"The api-version '%.40s' is invalid. An api-version has the form yyyy-mm-dd, or yyyy-mm-dd-preview.", v)
	}
	return v, nil
}

// validVersion holds for 2022-07-01, 2018-01-01-preview and the few
// alpha, beta and privatepreview forms that were ever used.
func validVersion(v string) bool {
	if len(v) < 10 {
		return false
	}
	for i, c := range []byte(v[:10]) {
		if i == 4 || i == 7 {
			if c != '-' {
				return false
			}
		} else if c < '0' || c > '9' {
			return false
		}
	}
	if month, day := v[5:7], v[8:10]; month < "01" || month > "12" || day < "01" || day > "31" {
		return false
	}
	switch strings.ToLower(v[10:]) {
	case "", "-preview", "-alpha", "-beta", "-privatepreview":
		return true
	}
	return false
}
