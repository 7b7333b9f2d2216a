package manage

import (
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
	Folder   *deployment.Folder // with the public addresses
	Stages   catalog.Set
	Resource programs.Remote
	Auth     programs.Remote
	Phone    programs.Remote
	Runner   *jobs.Runner
	Gate     *access.Gate
	Now      func() time.Time
}

// Administration is the pages.
type Administration struct{ Config }

// New makes the pages.
func New(cfg Config) *Administration { return &Administration{cfg} }

// Mount adds the routes.
func (a *Administration) Mount(e *echo.Echo) {
	in := a.Gate.SignedIn
	a.resource().mountResource(e, in)
	a.authorization().mountAuthorization(e, in)
}
