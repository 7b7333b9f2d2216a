package manage

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
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
	var done string
	err := a.Gate.Act(c, change.Action, change.Subject, "", func() (err error) {
		done, err = do()
		return err
	})
	switch {
	case err == nil:
		a.Gate.Notify(c, ui.Notice{Kind: ui.Done, Text: done, Undo: change.Undo})
		a.Runner.Changed()
	case ui.Refusal(err) != nil:
		a.Gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: ui.InWords(err)})
	default:
		return err
	}
	return c.Redirect(http.StatusSeeOther, access.Back(c, change.Stage, ""))
}

// ask shows the page that asks first, which comes back to where it was opened.
func (a section) ask(c echo.Context, q ui.Question) error {
	q.Back = access.OwnPath(cmp.Or(c.QueryParam("back"), a.nav))
	q.Fields = maps.Clone(q.Fields)
	if q.Fields == nil {
		q.Fields = url.Values{}
	}
	q.Fields.Set("back", q.Back)
	return ui.Render(c, http.StatusOK, ui.QuestionView(a.Gate.Page(c, strings.TrimSuffix(q.Title, "?"), a.nav), q))
}
