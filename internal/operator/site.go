package operator

import (
	"context"
	"net/http"
)

// Site names a site by its ARM id.
type Site struct {
	ID string `json:"id"`
}

// SiteEnvironment is what the programs of a site are given, to get tokens of
// its identities.
type SiteEnvironment struct {
	Endpoint string `json:"identityEndpoint"`
	Header   string `json:"identityHeader"`
}

func (a *api) site(r *http.Request, in Site) (any, error) {
	env, err := a.Site(r.Context(), in.ID)
	if err != nil {
		return nil, wrong(http.StatusNotFound, "a site is a resource Microsoft.Web/sites; the endpoints are opened by postern serve --identity HOST:PORT", "%v", err)
	}
	return env, nil
}

// Site asks for the environment of a site's programs.
func (c *Client) Site(ctx context.Context, id string) (SiteEnvironment, error) {
	return ask[SiteEnvironment](ctx, c, http.MethodPost, "sites", Site{id})
}
