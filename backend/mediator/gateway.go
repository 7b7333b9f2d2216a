package mediator

import (
	"context"
	"net/http"
	"slices"

	"keyladder/backend/gateway"
	"keyladder/backend/mediator/marketrates"
	"keyladder/stages/catalog"
)

// newGateway makes the gateway in front of the API. Nil: no stage has one.
func (s *Server) newGateway() (*gateway.Gateway, error) {
	if !slices.ContainsFunc(s.config.Stages.Built(), func(stage catalog.Stage) bool { return gateway.Before(stage.Policies) }) {
		return nil, nil
	}
	rates, err := marketrates.New(marketrates.Config{Folder: s.config.Folder, Log: s.config.Log, Logger: s.config.Logger, Now: s.config.Now})
	if err != nil {
		return nil, err
	}
	return gateway.New(gateway.Config{Folder: s.config.Folder, DB: s.db, Log: s.config.Log, Rates: rates, Logger: s.config.Logger, Now: s.config.Now})
}

// resetGateway switches off what is off at first.
func (s *Server) resetGateway(ctx context.Context) error {
	if s.gateway == nil {
		return nil
	}
	return s.gateway.WAF().Switch(ctx, false)
}

// handler is what answers: the guarded routes, and the questions of other gateways about them.
func (s *Server) handler() http.Handler {
	if s.gateway == nil {
		return s.echo
	}
	return gateway.Subrequests(s.config.Stages, s.echo)
}
