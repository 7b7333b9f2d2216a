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
func (a *Administration) take(c echo.Context, change change) error {
	return a.carryOut(c, change, func() (string, error) {
		return change.Done, a.Resource.Quick(c.Request().Context(), http.MethodPost, change.Path, nil, nil)
	})
}

// takeMany is take for what is about many; done says what came of how many.
func (a *Administration) takeMany(c echo.Context, change change, selection any, done func(count int) string) error {
	return a.carryOut(c, change, func() (string, error) {
		var changed manage.Changed
		err := a.Resource.Quick(c.Request().Context(), http.MethodPost, change.Path, selection, &changed)
		return done(changed.Changed), err
	})
}

func (a *Administration) carryOut(c echo.Context, change change, do func() (done string, err error)) error {
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
func (a *Administration) ask(c echo.Context, q ui.Question) error {
	q.Back = access.OwnPath(cmp.Or(c.QueryParam("back"), "/users"))
	q.Fields = maps.Clone(q.Fields)
	if q.Fields == nil {
		q.Fields = url.Values{}
	}
	q.Fields.Set("back", q.Back)
	return ui.Render(c, http.StatusOK, ui.QuestionView(a.Gate.Page(c, strings.TrimSuffix(q.Title, "?"), "/users"), q))
}

// selection says which entries of a list are meant: those that were chosen, or all that match.
type selection struct {
	IDs    []string
	All    bool
	Filter url.Values // of the list, where all are meant
}

// chosen reads a selection from a form or an address. There may be none.
func chosen(values url.Values, filters ...string) (s selection, any bool) {
	s.IDs, s.Filter = values["id"], url.Values{}
	s.All = len(s.IDs) == 0 && values.Get("all") != ""
	for _, name := range filters {
		if value := values.Get(name); s.All && value != "" {
			s.Filter.Set(name, value)
		}
	}
	return s, s.All || len(s.IDs) > 0
}

// fields carry a selection through a form.
func (s selection) fields() url.Values {
	fields := maps.Clone(s.Filter)
	if s.All {
		fields.Set("all", "1")
	} else {
		fields["id"] = s.IDs
	}
	return fields
}

// words are what the audit log calls a selection that is more than one entry.
func (s selection) words(what string) string {
	if !s.All {
		return ui.Plural(len(s.IDs), "chosen one", "chosen "+what)
	}
	var conditions []string
	switch s.Filter.Get("by") {
	case "":
		conditions = append(conditions, "but for the workshop's")
	case string(manage.Workshop):
		conditions = append(conditions, "of the workshop")
	}
	if search := s.Filter.Get("search"); search != "" {
		conditions = append(conditions, "with “"+search+"”")
	}
	if stage := s.Filter.Get("stage"); stage != "" {
		conditions = append(conditions, "at "+stage)
	}
	if state := s.Filter.Get("state"); state != "" {
		conditions = append(conditions, "that are "+state)
	}
	return strings.TrimSpace("all " + what + " " + strings.Join(conditions, " "))
}

// nothingChosen goes back and says so.
func (a *Administration) nothingChosen(c echo.Context) error {
	a.Gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: "Choose some first, with the boxes in their rows. Nothing was done."})
	return c.Redirect(http.StatusSeeOther, access.OwnPath(cmp.Or(c.FormValue("back"), "/users")))
}

// named is how many entries a question names.
const named = 5

// maker is whose entries a page lists: without those of the workshop, unless it is asked for them.
func maker(by string) manage.Maker {
	switch by {
	case "":
		return manage.NotWorkshop
	case string(manage.Workshop):
		return manage.Workshop
	}
	return manage.Anyone
}

// makers are the choices.
var makers = []ui.NavItem{
	{Path: "", Label: "without the workshop's"},
	{Path: "all", Label: "with the workshop's"},
	{Path: string(manage.Workshop), Label: "the workshop's alone"},
}
