package manage

import (
	"context"
	"net/http"
	"path/filepath"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
)

// Config is what the pages need.
type Config struct {
	Folder      *deployment.Folder // with the published packages
	Stages      catalog.Set
	Resource    programs.Remote
	Phone       programs.Remote
	Runner      *jobs.Runner
	Gate        *access.Gate
	DropTraffic func(context.Context) error
	Now         func() time.Time
}

// Administration is the pages.
type Administration struct {
	Config
	packages map[string]string // file name → path
}

// New finds the packages.
func New(cfg Config) *Administration {
	a := &Administration{Config: cfg, packages: map[string]string{}}
	for _, file := range cfg.Folder.Packages() {
		a.packages[filepath.Base(file)] = file
	}
	return a
}

// Mount adds the routes.
func (a *Administration) Mount(e *echo.Echo) {
	e.GET("/packages/:file", a.packageFile)

	in := a.Gate.SignedIn
	e.GET("/apps", a.appsPage, in)
	e.POST("/apps", a.registerApp, in)
	e.POST("/apps/run", a.runApp, in)
	e.GET("/callers", a.callersPage, in)
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
	e.POST("/users/:user/failed-sign-ins/clear", a.clearFailedSignIns, in)
	e.GET("/sessions", a.sessionsPage, in)
	e.GET("/sessions/end", a.askEndSessions, in)
	e.POST("/sessions/end", a.endSessions, in)
	e.GET("/tokens", a.tokensPage, in)
	e.GET("/tokens/revoke", a.askRevokeTokens, in)
	e.POST("/tokens/revoke", a.revokeTokens, in)
	e.GET("/tokens/:token", a.tokenPage, in)
	e.GET("/revocation-checks/:stage/off", a.askServeRevoked, in)
	e.POST("/revocation-checks/:stage/off", a.switchCheck(false), in)
	e.POST("/revocation-checks/:stage/on", a.switchCheck(true), in)
	e.GET("/signing-keys/:stage/rotate", a.askRotate, in)
	e.POST("/signing-keys/:stage/rotate", a.rotate, in)
	e.GET("/signing-keys/:key/withdraw", a.askWithdraw, in)
	e.POST("/signing-keys/:key/withdraw", a.withdraw, in)
	e.GET("/devices", a.devicesPage, in)
	e.POST("/devices/:device/ban", a.banDevice, in)
	e.POST("/devices/:device/allow", a.allowDevice, in)
	e.GET(banning.Path, a.askDevices(banning), in)
	e.POST(banning.Path, a.changeDevices(banning), in)
	e.POST(allowing.Path, a.changeDevices(allowing), in)
	e.GET(removing.Path, a.askDevices(removing), in)
	e.POST(removing.Path, a.changeDevices(removing), in)
	e.GET("/releases", a.releasesPage, in)
	e.GET("/audit", a.auditPage, in)
	e.GET("/reset", a.resetPage, in)
	e.POST("/reset", a.reset, in)
}

func (a *Administration) packageFile(c echo.Context) error {
	file, ok := a.packages[c.Param("file")]
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="`+filepath.Base(file)+`"`)
	c.Response().Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(c.Response(), c.Request(), file)
	return nil
}
