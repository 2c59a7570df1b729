package entra

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The limits of forms and queries.
const (
	maxForm       = 64 << 10
	maxQuery      = 16 << 10
	maxParameters = 64
	maxClaims     = 16 << 10
)

// readQuery decodes a query under the rules of a form: names are decoded
// too, and each occurs once.
func readQuery(raw string) (url.Values, error) {
	if len(raw) > maxQuery {
		return nil, refuseInput("the query is too long.")
	}
	return parseForm(raw)
}

// readForm reads the body of a token request: application/x-www-form-
// urlencoded (RFC 6749 appendix B), at most 64 KiB.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, refuseInput("the content type is not application/x-www-form-urlencoded.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refusal := refuseInput("the body is larger than %d bytes.", maxForm)
		refusal.fault.Status = http.StatusRequestEntityTooLarge
		return nil, refusal
	case err != nil:
		refusal := refuseInput("the body could not be read.")
		refusal.fault.Cause = err
		return nil, refusal
	}
	return parseForm(string(body))
}

// parseForm decodes a form. A parameter that occurs twice is refused (RFC
// 6749 §3.2): two readers might take two different ones.
func parseForm(text string) (url.Values, error) {
	if strings.Count(text, "&") >= maxParameters {
		return nil, refuseInput("there are more than %d parameters.", maxParameters)
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, refuseInput("the parameters are malformed.")
	}
	for name, v := range values {
		if !utf8.ValidString(name) || !utf8.ValidString(v[0]) {
			return nil, refuseInput("a parameter is not UTF-8.")
		}
		if len(v) > 1 {
			return nil, refuseInput("the parameter '%s' occurs more than once.", clip(name))
		}
	}
	return values, nil
}

// credentials are who a client says it is. They come in the body or as Basic
// authorization (RFC 6749 §2.3.1: both parts form-encoded), not in both.
type credentials struct{ id, secret string }

func readCredentials(r *http.Request, form url.Values) (credentials, error) {
	c := credentials{form.Get("client_id"), form.Get("client_secret")}
	header := r.Header.Get("Authorization")
	if header == "" {
		return c, nil
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return credentials{}, refuseInput("the Authorization header is not Basic.")
	}
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	if idErr != nil || secretErr != nil || !utf8.ValidString(id) {
		return credentials{}, refuseInput("the Basic authorization is malformed.")
	}
	if form.Has("client_secret") || c.id != "" && !strings.EqualFold(c.id, id) {
		return credentials{}, refuseInput("the client authenticates in more than one way.")
	}
	return credentials{id, secret}, nil
}

// resourceOf is the one resource that a scope asks for (the .default scope
// of the Microsoft identity platform). Exactly the suffix /.default is taken
// away: a resource that ends in a slash keeps it. People may also ask for the
// one permission that there is, user_impersonation.
func resourceOf(scope string, delegated bool) (string, error) {
	resource := ""
	for s := range strings.FieldsSeq(scope) {
		switch s {
		case "openid", "profile", "email", "offline_access":
			continue
		}
		r, ok := strings.CutSuffix(s, "/.default")
		if !ok && delegated {
			r, ok = strings.CutSuffix(s, "/user_impersonation")
		}
		if !ok || r == "" {
			return "", refuseScope(s)
		}
		if resource != "" {
			return "", refuseScopes(scope)
		}
		resource = r
	}
	if resource == "" {
		return "", refuseScope(scope)
	}
	return resource, nil
}
