// Package api says what routes Harbour Bank's API has, and what a call of each needs. The resource
// server answers them, and the gateway in front of it lets calls of them through.
package api

import (
	"net/http"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
)

// Routes are the routes of the API, under every stage.
//
//keyladder:code api-routes
func Routes() []guard.Route {
	return []guard.Route{
		{Method: http.MethodGet, Path: "/v1/rates", Scope: "rates:read", User: guard.NobodyNeeded},
		{Method: http.MethodGet, Path: "/v1/accounts", Scope: "accounts:read"},
		{Method: http.MethodGet, Path: "/v1/accounts/:id", Scope: "accounts:read"},
		{Method: http.MethodGet, Path: "/v1/accounts/:id/transfers", Scope: "accounts:read"},
		{Method: http.MethodPost, Path: "/v1/transfers", Scope: "transfers:write"},
		{Method: http.MethodPost, Path: "/v1/accounts/:id/freeze", Scope: "accounts:freeze"},
		{Method: http.MethodPost, Path: "/v1/devices", Scope: guard.AnyScope, User: guard.NobodyNeeded, WithoutDevice: true, At: withDevices},
		{Method: http.MethodPost, Path: "/v1/session", Scope: guard.AnyScope, User: guard.ByPassword, At: catalog.Policies.HasSessions},
		{Method: http.MethodDelete, Path: "/v1/session", Scope: guard.AnyScope, At: catalog.Policies.HasSessions},
		{Method: http.MethodGet, Path: "/partner/v1/settlements", Scope: "settlements:read", Partner: true},
	}
}

func withDevices(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }
