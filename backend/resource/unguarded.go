package resource

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/serving"
)

// ServeUnguarded answers two routes as [Server.Serve] does, but asks no guard: the rates,
// and an account. Anybody gets everything there, so it is for one thing alone, to measure
// what the guard costs. No program but `stages bench` calls it.
func (s *Server) ServeUnguarded(ctx context.Context, kind guard.Listener, listener net.Listener) error {
	if kind == guard.TLS {
		listener = tls.NewListener(listener, s.tls)
	}
	return serving.Serve(ctx, kind, s.unguarded(), listener, s.config.Logger)
}

// unguarded is the API's handler without the guard.
func (s *Server) unguarded() http.Handler {
	e := serving.Echo(s.config.Logger)
	e.GET("/:stage/v1/rates", func(c echo.Context) error { return s.getRates(c, guard.Caller{}) })
	e.GET("/:stage/v1/accounts/:id", func(c echo.Context) error {
		found, err := s.ledger.Account(c.Request().Context(), c.Param("id"))
		if err != nil {
			return err
		}
		return writeJSON(c, http.StatusOK, accountOf(found))
	})
	return e
}
