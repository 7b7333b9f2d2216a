package upkeep

import (
	"context"
	"path/filepath"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/internal/deployment"
)

// Config is what the pages need.
type Config struct {
	Folder      *deployment.Folder // with the published packages
	Servers     []programs.Remote  // each after those that it needs
	Phone       programs.Remote
	Runner      *jobs.Runner
	Gate        *access.Gate
	DropTraffic func(context.Context) error
}

// Upkeep is the pages.
type Upkeep struct {
	Config
	packages map[string]string // file name → path
}

// New finds the packages.
func New(cfg Config) *Upkeep {
	u := &Upkeep{Config: cfg, packages: map[string]string{}}
	for _, file := range cfg.Folder.Packages() {
		u.packages[filepath.Base(file)] = file
	}
	return u
}

// Mount adds the routes.
func (u *Upkeep) Mount(e *echo.Echo) {
	e.GET("/packages/:file", u.packageFile)

	in := u.Gate.SignedIn
	e.GET("/releases", u.releasesPage, in)
	e.GET("/audit", u.auditPage, in)
	e.GET("/reset", u.resetPage, in)
	e.POST("/reset", u.reset, in)
}
