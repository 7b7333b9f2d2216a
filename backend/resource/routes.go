package resource

import (
	"github.com/labstack/echo/v4"

	"keyladder/backend/api"
	"keyladder/backend/guard"
)

// routes are the handlers of the API. Package api says what a call of each needs.
//
//keyladder:code resource-routes
func (s *Server) routes(e *echo.Echo, g *guard.Guard) {
	handlers := map[string]guard.Handler{
		"GET /v1/rates":                  s.getRates,
		"GET /v1/accounts":               s.getAccounts,
		"GET /v1/accounts/:id":           s.getAccount,
		"GET /v1/accounts/:id/transfers": s.getTransfers,
		"POST /v1/transfers":             s.postTransfer,
		"POST /v1/accounts/:id/freeze":   s.postFreeze,
		"POST /v1/devices":               s.postDevice,
		"POST /v1/session":               s.postSession,
		"DELETE /v1/session":             s.deleteSession,
		"GET /partner/v1/settlements":    s.getSettlements,
	}
	for _, r := range api.Routes() {
		handler, ok := handlers[r.Method+" "+r.Path]
		if !ok {
			panic("resource: nothing answers " + r.Method + " " + r.Path)
		}
		g.Handle(e, r, handler)
	}
}

// writeJSON answers with JSON. Echo's own way looks for `pretty` in the query first, which has
// to be parsed for that; the API's answers do not depend on it.
func writeJSON(c echo.Context, status int, value any) error { return c.JSONPretty(status, value, "") }
