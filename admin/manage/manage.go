package manage

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
)

// Config is what the pages need.
type Config struct {
	Folder   *deployment.Folder // with the public addresses
	Stages   catalog.Set
	Resource programs.Remote
	Auth     programs.Remote
	Lite     programs.Remote // another company's authorization server
	Mediator programs.Remote
	Phone    programs.Remote
	Runner   *jobs.Runner
	Gate     *access.Gate
	Now      func() time.Time
	Stopped  context.Context // pages stop to wait for what is new when it ends
}

// Administration is the pages.
type Administration struct{ Config }

// New makes the pages.
func New(cfg Config) *Administration { return &Administration{cfg} }

// Mount adds the routes.
func (a *Administration) Mount(e *echo.Echo) {
	in := a.Gate.SignedIn
	a.resource().mountResource(e, in)
	for _, server := range a.authorization() {
		server.mountAuthorization(e, in)
	}
	a.mediated().mountMediated(e, in)
}

// section is the pages about one of the servers. All of them know access tokens, and most apps and
// users, and their pages are made by the same handlers.
type section struct {
	*Administration
	server programs.Remote
	issuer catalog.Issuer              // that the server is, where it issues tokens to apps of others
	prefix string                      // of the pages' paths
	nav    string                      // the part of the site that they belong to
	tabs   ui.Tabs                     // that lead from one to the others
	has    func(catalog.Policies) bool // stages that the server is about
}

// resource is what the resource server knows by itself.
func (a *Administration) resource() section {
	return section{
		Administration: a, server: a.Resource, nav: "/users", has: func(p catalog.Policies) bool { return !offeredBy(catalog.AuthServer)(p) },
		tabs: ui.Tabs{Label: "Users, access tokens and devices", Pages: []ui.NavItem{
			{Path: "/users", Label: "Users"},
			{Path: "/sessions", Label: "Sessions"},
			{Path: "/tokens", Label: "Access tokens"},
			{Path: "/devices", Label: "Devices"},
		}},
	}
}

// authorization is what authorization servers know: the bank's, and that of another company.
func (a *Administration) authorization() []section {
	servers := []section{
		{server: a.Auth, issuer: catalog.AuthServer, prefix: "/auth"},
		{server: a.Lite, issuer: catalog.LiteServer, prefix: "/lite"},
	}
	var companies []ui.NavItem
	for _, s := range servers {
		companies = append(companies, ui.NavItem{Path: s.prefix, Label: s.issuer.Company()})
	}
	for i := range servers {
		s := &servers[i]
		s.Administration, s.nav, s.has = a, "/auth/clients", offeredBy(s.issuer)
		s.tabs = ui.Tabs{Label: "The authorization server's", Servers: companies, Server: s.prefix, Pages: []ui.NavItem{
			{Path: s.prefix + "/clients", Label: "Clients"},
			{Path: s.prefix + "/users", Label: "Users"},
			{Path: s.prefix + "/consents", Label: "Consents"},
			{Path: s.prefix + "/families", Label: "Refresh tokens"},
			{Path: s.prefix + "/tokens", Label: "Access tokens"},
		}}
	}
	servers[0].tabs.Pages = append(servers[0].tabs.Pages, ui.NavItem{Path: "/stolen-codes", Label: "Stolen codes"}) // in package workshop
	return servers
}

// ofAuth says whether a section is an authorization server's.
func (a section) ofAuth() bool { return a.issuer != "" }

// offeredBy says whether a server issues tokens at a stage, be they the app's or those of a mediator
// whose provider it is.
func offeredBy(issuer catalog.Issuer) func(catalog.Policies) bool {
	return func(p catalog.Policies) bool {
		_, offers := p.Provider(issuer)
		return offers
	}
}

// opaque says whether the server's access tokens say nothing themselves.
func (a section) opaque() bool {
	return slices.ContainsFunc(a.Stages, func(stage catalog.Stage) bool {
		offer, offers := stage.Provider(a.issuer)
		return offers && offer.TokenForm == catalog.OpaqueTokens
	})
}

// mountTokens adds the pages about access tokens and about the keys that sign them.
func (a section) mountTokens(e *echo.Echo, in echo.MiddlewareFunc) {
	e.GET(a.prefix+"/tokens", a.tokensPage, in)
	e.GET(a.prefix+"/tokens/revoke", a.askRevokeTokens, in)
	e.POST(a.prefix+"/tokens/revoke", a.revokeTokens, in)
	e.GET(a.prefix+"/tokens/:token", a.tokenPage, in)
	if a.opaque() { // nothing is signed
		return
	}
	e.GET(a.prefix+"/signing-keys/:stage/rotate", a.askRotate, in)
	e.POST(a.prefix+"/signing-keys/:stage/rotate", a.rotate, in)
	e.GET(a.prefix+"/signing-keys/:key/withdraw", a.askWithdraw, in)
	e.POST(a.prefix+"/signing-keys/:key/withdraw", a.withdraw, in)
}

func (a section) mountResource(e *echo.Echo, in echo.MiddlewareFunc) {
	a.mountTokens(e, in)
	e.POST("/users/:user/failed-sign-ins/clear", a.clearFailedSignIns, in)
	e.GET("/apps", a.appsPage, in)
	e.POST("/apps", a.registerApp, in)
	e.POST("/apps/run", a.runApp, in)
	e.POST("/tiers/:tier", a.changeTier, in)
	e.GET("/apps/:app", a.appPage, in)
	e.POST("/apps/:app", a.changeApp, in)
	e.POST("/apps/:app/keys", a.issueKey, in)
	e.POST("/apps/:app/rotate", a.rotateKeys, in)
	e.POST("/keys/:key/revoke", a.revokeKey, in)
	e.POST("/keys/:key/restore", a.restoreKey, in)
	e.GET("/keys/:key/secret", a.secretPage, in)
	e.POST("/keys/:key/secret", a.rotateSecret, in)
	e.GET("/users", a.usersPage, in)
	e.GET("/users/:user/sessions/end", a.askEndSessionsOf, in)
	e.POST("/users/:user/sessions/end", a.endSessionsOf, in)
	e.GET("/sessions", a.sessionsPage, in)
	e.GET("/sessions/end", a.askEndSessions, in)
	e.POST("/sessions/end", a.endSessions, in)
	e.GET("/revocation-checks/:stage/off", a.askServeRevoked, in)
	e.POST("/revocation-checks/:stage/off", a.switchCheck(false), in)
	e.POST("/revocation-checks/:stage/on", a.switchCheck(true), in)
	e.GET("/devices", a.devicesPage, in)
	e.POST("/devices/:device/ban", a.banDevice, in)
	e.POST("/devices/:device/allow", a.allowDevice, in)
	e.GET(banning.Path, a.askDevices(banning), in)
	e.POST(banning.Path, a.changeDevices(banning), in)
	e.POST(allowing.Path, a.changeDevices(allowing), in)
	e.GET(removing.Path, a.askDevices(removing), in)
	e.POST(removing.Path, a.changeDevices(removing), in)
}

func (a section) mountAuthorization(e *echo.Echo, in echo.MiddlewareFunc) {
	a.mountTokens(e, in)
	e.GET(a.prefix, func(c echo.Context) error { return c.Redirect(http.StatusSeeOther, a.prefix+"/clients") }, in)
	e.GET(a.prefix+"/clients", a.clientsPage, in)
	e.POST(a.prefix+"/clients", a.registerClient, in)
	e.GET(a.prefix+"/clients/:app", a.clientPage, in)
	e.POST(a.prefix+"/clients/:app", a.changeClient, in)
	e.POST(a.prefix+"/clients/:app/revoke", a.revokeClient, in)
	e.POST(a.prefix+"/clients/:app/restore", a.restoreClient, in)
	e.POST(a.prefix+"/clients/:app/secret", a.showSecret, in)
	e.GET(a.prefix+"/clients/:app/secret/rotate", a.askRotateClientSecret, in)
	e.POST(a.prefix+"/clients/:app/secret/rotate", a.rotateClientSecret, in)
	e.GET(a.prefix+"/clients/:app/servers/rotate", a.askRotateServersSecret, in)
	e.POST(a.prefix+"/clients/:app/servers/rotate", a.rotateServersSecret, in)
	e.GET(a.prefix+"/users", a.accountsPage, in)
	e.POST(a.prefix+"/users/:user/failed-sign-ins/clear", a.clearFailedSignIns, in)
	e.GET(a.prefix+"/users/:user/end", a.askEndAll, in)
	e.POST(a.prefix+"/users/:user/end", a.endAll, in)
	e.GET(a.prefix+"/consents", a.consentsPage, in)
	e.GET(a.prefix+"/consents/withdraw", a.askWithdrawConsents, in)
	e.POST(a.prefix+"/consents/withdraw", a.withdrawConsents, in)
	e.GET(a.prefix+"/families", a.familiesPage, in)
	e.GET(a.prefix+"/families/revoke", a.askRevokeFamilies, in)
	e.POST(a.prefix+"/families/revoke", a.revokeFamilies, in)
	e.GET(a.prefix+"/families/:family", a.familyPage, in)
}
