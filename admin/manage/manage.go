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
	Auth        programs.Remote
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
	a.resource().mountResource(e, in)
	a.authorization().mountAuthorization(e, in)
	e.GET("/callers", a.callersPage, in)
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
