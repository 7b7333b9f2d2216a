package gateway

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/mediator/marketrates"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// MarketRates gets a third party's rates, such as a [*marketrates.Client].
type MarketRates interface {
	// Get returns JSON, for a call that is made at a stage. The error is an [*marketrates.Unavailable],
	// or that the call was given up.
	Get(from *http.Request, stage string) ([]byte, error)
	State() manage.GatewayRates
	Close() // connections that wait for the next question
}

// ratesRoute is the one that the gateway answers itself, and so asks for rights, too.
var ratesRoute = guard.Route{Method: http.MethodGet, Path: "/v1/market-rates", Scope: "rates:read", User: guard.NobodyNeeded, AtGateway: true}

// marketRates answers with a third party's rates. The key for them is added here, and no app has it.
//
//keyladder:code gateway-rates
func (g *Gateway) marketRates(c echo.Context, caller guard.Caller) error {
	if isSubrequest(c.Request()) {
		return g.allow(c, caller)
	}
	body, err := g.config.Rates.Get(c.Request(), caller.Stage().Slug)
	if why, ok := errors.AsType[*marketrates.Unavailable](err); ok {
		return &guard.Refusal{Check: catalog.CheckUpstream, Problem: why.Problem, Reason: why.Reason}
	}
	if err != nil {
		return gone(c.Request(), err)
	}
	return c.JSONBlob(http.StatusOK, body)
}
