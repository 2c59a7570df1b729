package posterntest

import "context"

// WithIdentity opens the endpoints of managed identities.
func WithIdentity() Option { return WithSetting("identity.listen", "127.0.0.1:0") }

// Identity is the URL of the endpoints of managed identities, without a
// slash; "" without WithIdentity.
func (p *Postern) Identity() string {
	if at := p.server.Info().Identity; at != "" {
		return "http://" + at
	}
	return ""
}

// SiteEnvironment is IDENTITY_ENDPOINT and IDENTITY_HEADER for the programs
// of a site, by its ARM id.
func (p *Postern) SiteEnvironment(id string) map[string]string {
	p.t.Helper()
	env, err := p.Operator().Site(context.Background(), id)
	if err != nil {
		p.t.Fatalf("posterntest: %v", err)
	}
	return map[string]string{"IDENTITY_ENDPOINT": env.Endpoint, "IDENTITY_HEADER": env.Header}
}
