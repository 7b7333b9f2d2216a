package manage

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

// change is one that a program is asked for.
type change struct {
	Action, Subject string // for the audit log
	Done            string // what the next page says
	Path            string // of the program's management API
	Stage           string // at which the app shows it; empty: at any
	Undo            *ui.Undo
}

// take carries out a change and goes back to the page that asked for it, where a button
// lets the app run at the stage.
func (a section) take(c echo.Context, change change) error {
	return a.carryOut(c, change, func() (string, error) {
		return change.Done, a.server.Quick(c.Request().Context(), http.MethodPost, change.Path, nil, nil)
	})
}

// takeMany is take for what is about many; done says what came of how many.
func (a section) takeMany(c echo.Context, change change, selection any, done func(count int) string) error {
	return a.carryOut(c, change, func() (string, error) {
		var changed manage.Changed
		err := a.server.Quick(c.Request().Context(), http.MethodPost, change.Path, selection, &changed)
		return done(changed.Changed), err
	})
}

func (a section) carryOut(c echo.Context, change change, do func() (done string, err error)) error {
	return a.Runner.CarryOut(c, jobs.Change{Action: change.Action, Subject: change.Subject, Stage: change.Stage, Undo: change.Undo}, do)
}

// ask shows the page that asks first, which comes back to where it was opened.
func (a section) ask(c echo.Context, q ui.Question) error { return a.Gate.Ask(c, q, a.nav) }
