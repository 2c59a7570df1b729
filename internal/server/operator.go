package server

import (
	"errors"

	"postern/access"
	"postern/internal/operator"
	"postern/internal/profile"
)

// openOperator makes the sockets of the owner of the data folder: the API,
// and the one whose connections say where they come from. A file system that
// has no sockets is no reason not to serve.
func (s *Server) openOperator() {
	api, err := operator.Listen(s.options.Data, operator.Socket)
	if err == nil {
		s.operatorAt = api
		s.closers = append(s.closers, api)
		api, err = operator.Listen(s.options.Data, operator.VantageSocket)
	}
	if err != nil {
		s.options.Log.Warn("postern platform and postern vantage will not reach this server", "why", err)
		return
	}
	s.serveHops(s.perimeter.OperatorListener(api, operator.Owner))
}

// operatorAPI is what the API needs.
func (s *Server) operatorAPI() operator.Deps {
	prof, _ := profile.Named(s.config.Profile)
	tenant, _ := access.ParseGUID(s.admin.TenantID)
	return operator.Deps{Platform: s.platform, Directory: s.directory, Journal: s.journal, Trusted: prof.TrustedServices, Tenant: tenant,
		Place:       func(string) (*operator.Place, error) { return nil, errors.New("no place is known") },
		PassThrough: s.proxy.PassThrough, Now: s.options.Now, Log: s.options.Log}
}
