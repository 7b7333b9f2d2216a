package jobs

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/ui"
)

// Change is a change that a page was asked for.
type Change struct {
	Action, Subject string // for the audit log
	Stage           string // at which the app shows it; empty: at any
	Undo            *ui.Undo
}

// CarryOut carries out a change, and goes back to the page that asked for it, which says what came
// of it. Results of the app from before do not count any more.
func (r *Runner) CarryOut(c echo.Context, change Change, do func() (done string, err error)) error {
	var done string
	err := r.Gate.Act(c, change.Action, change.Subject, "", func() (err error) {
		done, err = do()
		return err
	})
	switch {
	case err == nil:
		r.Gate.Notify(c, ui.Notice{Kind: ui.Done, Text: done, Undo: change.Undo})
		r.Changed()
	case ui.Refusal(err) != nil:
		r.Gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: ui.InWords(err)})
	default:
		return err
	}
	return c.Redirect(http.StatusSeeOther, access.Back(c, change.Stage, ""))
}
