package resource

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
)

// routes is the API: what there is, and what a call needs.
//
//keyladder:code resource-routes
func (s *Server) routes(e *echo.Echo, g *guard.Guard) {
	for _, r := range []struct {
		guard.Route
		handler guard.Handler
	}{
		{guard.Route{Method: http.MethodGet, Path: "/v1/rates", Scope: "rates:read", User: guard.NobodyNeeded}, s.getRates},
		{guard.Route{Method: http.MethodGet, Path: "/v1/accounts", Scope: "accounts:read"}, s.getAccounts},
		{guard.Route{Method: http.MethodGet, Path: "/v1/accounts/:id", Scope: "accounts:read"}, s.getAccount},
		{guard.Route{Method: http.MethodGet, Path: "/v1/accounts/:id/transfers", Scope: "accounts:read"}, s.getTransfers},
		{guard.Route{Method: http.MethodPost, Path: "/v1/transfers", Scope: "transfers:write"}, s.postTransfer},
		{guard.Route{Method: http.MethodPost, Path: "/v1/accounts/:id/freeze", Scope: "accounts:freeze"}, s.postFreeze},
		{guard.Route{
			Method: http.MethodPost, Path: "/v1/devices", Scope: guard.AnyScope,
			User: guard.NobodyNeeded, WithoutDevice: true, At: withDevices,
		}, s.postDevice},
		{guard.Route{Method: http.MethodPost, Path: "/v1/session", Scope: guard.AnyScope, User: guard.ByPassword, At: withSessions}, s.postSession},
		{guard.Route{Method: http.MethodDelete, Path: "/v1/session", Scope: guard.AnyScope, At: withSessions}, s.deleteSession},
		{guard.Route{Method: http.MethodGet, Path: "/partner/v1/settlements", Scope: "settlements:read", Partner: true}, s.getSettlements},
	} {
		g.Handle(e, r.Route, r.handler)
	}
}

func withDevices(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }

func withSessions(p catalog.Policies) bool { return p.Call.UserProof == catalog.UserSession }

// writeJSON answers with JSON. Echo's own way looks for `pretty` in the query first, which has
// to be parsed for that; the API's answers do not depend on it.
func writeJSON(c echo.Context, status int, value any) error { return c.JSONPretty(status, value, "") }
