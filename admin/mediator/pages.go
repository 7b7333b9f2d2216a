package mediator

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/stages/catalog"
)

// Config is what the pages need.
type Config struct {
	Stages   catalog.Set
	Mediator programs.Remote
	Rates    programs.Remote // the third party's rates API
	Runner   *jobs.Runner
	Gate     *access.Gate
	Now      func() time.Time
}

// Pages are the pages.
type Pages struct{ Config }

// New makes the pages.
func New(cfg Config) *Pages { return &Pages{cfg} }

// Prefix is of the paths of all pages about the mediator, and Home the first of them.
const (
	Prefix       = "/mediator"
	Home         = Prefix + "/providers"
	SessionsPath = Prefix + "/sessions"
	gatewayPath  = Prefix + "/gateway"
)

// Tabs lead from one of the pages about the mediator to the others.
var Tabs = ui.Tabs{Label: "The mediator's", Pages: []ui.NavItem{
	{Path: Home, Label: "Providers"},
	{Path: SessionsPath, Label: "Sign-ins"},
	{Path: Prefix + "/tokens", Label: "Access tokens"},
	{Path: gatewayPath, Label: "Gateway"},
}}

// Mount adds the routes.
func (p *Pages) Mount(e *echo.Echo) {
	in := p.Gate.SignedIn
	e.GET(Prefix, func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, Home) }, in)
	e.GET(Home, p.providersPage, in)
	e.POST(Home, p.addProvider, in)
	e.GET(Home+"/:name", p.providerPage, in)
	e.POST(Home+"/:name", p.changeProvider, in)
	e.POST(Home+"/:name/adjust", p.adjustProvider, in)
	e.GET(Home+"/:name/disable", p.askDisable, in)
	e.POST(Home+"/:name/disable", p.disableProvider, in)
	e.POST(Home+"/:name/enable", p.enableProvider, in)
	e.GET(gatewayPath, p.gatewayPage, in)
	e.POST(gatewayPath+"/waf", p.switchWAF, in)
}

// Issues says whether the mediator issues the app's tokens at a stage.
func Issues(p catalog.Policies) bool { return p.Auth.Issuer == catalog.MediatorIssuer }

// AsksProviders says whether the mediator speaks to providers that are described to it.
func AsksProviders(p catalog.Policies) bool {
	return p.Call.Providers == catalog.ChosenInApp || p.Call.Providers == catalog.ChosenAtMediator
}
