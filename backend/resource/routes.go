package resource

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
)

// routes is the API: what there is, and the scope that it needs.
//
//keyladder:code resource-routes
func (s *Server) routes(e *echo.Echo, g *guard.Guard) {
	g.Handle(e, http.MethodGet, "/v1/rates", "rates:read", s.getRates)
	g.Handle(e, http.MethodGet, "/v1/accounts", "accounts:read", s.getAccounts)
	g.Handle(e, http.MethodGet, "/v1/accounts/:id", "accounts:read", s.getAccount)
	g.Handle(e, http.MethodGet, "/v1/accounts/:id/transfers", "accounts:read", s.getTransfers)
	g.Handle(e, http.MethodPost, "/v1/transfers", "transfers:write", s.postTransfer)
	g.Handle(e, http.MethodPost, "/v1/accounts/:id/freeze", "accounts:freeze", s.postFreeze)
}
