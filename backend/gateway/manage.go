package gateway

import (
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Manage adds what an admin sees of the gateway, and the switch of its firewall:
//
//	GET   /gateway       what there is, how the API is, and what has become of calls
//	PATCH /gateway/waf   switch the firewall
//
// See [manage.GatewayPath].
func (g *Gateway) Manage(routes manage.Routes, stages catalog.Set) {
	routes.GET(manage.GatewayPath, func(c echo.Context) error {
		state := g.State()
		if g.config.Rates != nil {
			state.Rates = g.config.Rates.State()
		}
		for _, stage := range stages.Built() {
			if Before(stage.Policies) {
				state.Stages = append(state.Stages, stage.Slug)
				state.Routes = g.listed(stage.Policies)
			}
		}
		return c.JSON(http.StatusOK, state)
	})
	routes.PATCH(manage.GatewayPath+"/waf", func(c echo.Context) error {
		change, err := manage.Read[manage.WAFChange](c)
		if err != nil {
			return err
		}
		if err := g.waf.Switch(c.Request().Context(), change.On); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, g.waf.State())
	})
}

// listed are the routes that are there at a stage.
func (g *Gateway) listed(p catalog.Policies) []manage.GatewayRoute {
	var routes []manage.GatewayRoute
	for _, r := range g.routes {
		if r.At == nil || r.At(p) {
			routes = append(routes, manage.GatewayRoute{Method: r.Method, Path: braces.ReplaceAllString(r.Path, "{$1}"), By: string(r.by)})
		}
	}
	return routes
}

// braces turn Echo's parameters into what people write: /v1/accounts/{id}.
var braces = regexp.MustCompile(`:(\w+)`)
