package manage

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// listed is what all pages with a long list show around it.
type listed struct {
	List    ui.List
	Silence string // why the list can't be shown
	Hidden  int    // entries of the workshop's, where those are not listed
	Strip   jobs.Strip
	Prefix  string // of the paths of the server's pages
	Tabs    ui.Tabs
}

// listed begins a page with a list. The genuine app can be run at the stages that fit.
func (a section) listed(c echo.Context, path, title string, columns []ui.Column, usual string, filters []string, fits func(catalog.Policies) bool) listed {
	return listed{
		List: ui.ReadList(c, columns, usual, filters...), Prefix: a.prefix, Tabs: a.tabs.At(path, title),
		Strip: a.Runner.Strip(c, func(p catalog.Policies) bool { return fits(p) && a.has(p) }),
	}
}

// list reads the part of a list that a page shows, and shows the page.
func (a section) list(c echo.Context, page *listed, read func(manage.Part) (total int, err error)) ui.Page {
	if err := page.List.Load(read); err != nil {
		page.Silence = ui.InWords(err)
	}
	p := a.Gate.Page(c, page.Tabs.Title, a.nav)
	p.Waiting = page.Strip.Panel.Job != nil
	return p
}

// kind is a kind of entries from which a page lets people choose, to do something to them.
// T is an entry, and F says which of them are asked for.
type kind[T, F any] struct {
	One, Many string
	Filters   []string           // of the page's address
	States    []ui.NavItem       // choices of the filter "state", if there is one
	Filter    func(url.Values) F // what the filters mean; what is not set has the list's default
	Search    func(id string) F  // an entry by its ID, and perhaps others
	Read      func(context.Context, programs.Remote, F, manage.Part) (found []T, total int, err error)
	ID, Stage func(T) string
	Words     func(T) string // what an entry is called
	// Selection tells the program which are meant, where many can be changed at once.
	Selection func(s selection, filter F) any
}

// list reads the part that a page shows of those that fit, and shows the page.
func (k kind[T, F]) list(a section, c echo.Context, page *listed) (found []T, p ui.Page, err error) {
	ctx, filter := c.Request().Context(), k.Filter(page.List.Filter)
	p = a.list(c, page, func(part manage.Part) (total int, err error) {
		found, total, err = k.Read(ctx, a.server, filter, part)
		return total, err
	})
	if page.Silence == "" && slices.Contains(k.Filters, "by") && page.List.Filter.Get("by") == "" {
		workshops := maps.Clone(page.List.Filter)
		workshops.Set("by", string(manage.Workshop))
		_, page.Hidden, err = k.Read(ctx, a.server, k.Filter(workshops), manage.Part{Limit: 1})
	}
	return found, p, err
}

// find is some of those that are selected, and how many there are in all.
func (k kind[T, F]) find(a section, c echo.Context, s selection) (found []T, total int, err error) {
	ctx, some := c.Request().Context(), manage.Part{Limit: named}
	if s.All {
		return k.Read(ctx, a.server, k.Filter(s.Filter), some)
	}
	for _, id := range s.IDs[:min(len(s.IDs), named)] {
		fit, _, err := k.Read(ctx, a.server, k.Search(id), some)
		if err != nil {
			return nil, 0, err
		}
		if i := slices.IndexFunc(fit, func(one T) bool { return k.ID(one) == id }); i >= 0 {
			found = append(found, fit[i])
		}
	}
	return found, len(s.IDs), nil
}

// asks asks before something is done to those that a page's address selects.
func (k kind[T, F]) asks(a section, c echo.Context, verb, text, action string) error {
	selection, any := chosen(c.QueryParams(), k.Filters...)
	if !any {
		return a.nothingChosen(c)
	}
	return k.ask(a, c, selection, verb, text, action)
}

// change makes a change of those that a form has selected.
func (k kind[T, F]) change(a section, c echo.Context, change change, done func(count int) string) error {
	selection, any := chosen(c.Request().PostForm, k.Filters...)
	if !any {
		return a.nothingChosen(c)
	}
	k.name(a, c, selection, &change)
	return a.takeMany(c, change, k.Selection(selection, k.Filter(selection.Filter)), done)
}

// goodUnlessSaid is the state by which a list is filtered: without one, what is good is listed.
func goodUnlessSaid(values url.Values) string {
	switch state := values.Get("state"); state {
	case "":
		return "good"
	case "any":
		return ""
	default:
		return state
	}
}

// ask asks before something is done to those that are selected.
func (k kind[T, F]) ask(a section, c echo.Context, s selection, verb, text, action string) error {
	found, total, err := k.find(a, c, s)
	if err != nil {
		return err
	}
	does := verb + " " + ui.Plural(total, k.One, k.Many)
	return a.ask(c, ui.Question{
		Title: does + "?", Text: text, About: k.lines(found), More: total - len(found), Nothing: total == 0,
		Action: action, Fields: s.fields(), Button: does,
	})
}

func (k kind[T, F]) lines(found []T) []string {
	lines := make([]string, len(found))
	for i, one := range found {
		lines[i] = k.Words(one)
	}
	return lines
}

// name says in a change which entries it is about. Only words depend on it: whether there is
// such an entry is the program's to say.
func (k kind[T, F]) name(a section, c echo.Context, s selection, change *change) {
	change.Subject = k.selected(s)
	if len(s.IDs) != 1 {
		return
	}
	change.Subject = s.IDs[0]
	if found, _, err := k.find(a, c, s); err == nil && len(found) == 1 {
		change.Subject, change.Stage = k.Words(found[0])+" ("+s.IDs[0]+")", k.Stage(found[0])
	}
}

// selected is what the audit log calls a selection that is more than one entry.
func (k kind[T, F]) selected(s selection) string {
	if !s.All {
		return ui.Plural(len(s.IDs), "chosen one", "chosen "+k.Many)
	}
	words := "all " + k.Many
	if slices.Contains(k.Filters, "by") {
		switch maker(s.Filter.Get("by")) {
		case manage.NotWorkshop:
			words += " but for the workshop's"
		case manage.Workshop:
			words += " of the workshop"
		}
	}
	if search := s.Filter.Get("search"); search != "" {
		words += " with “" + search + "”"
	}
	if stage := s.Filter.Get("stage"); stage != "" {
		words += " at " + stage
	}
	for _, state := range k.States {
		if state.Path == s.Filter.Get("state") && state.Label != "any" {
			words += " that are " + state.Label
		}
	}
	return words
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

// nothingChosen goes back and says so.
func (a section) nothingChosen(c echo.Context) error {
	a.Gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: "Choose some first, with the boxes in their rows. Nothing was done."})
	return c.Redirect(http.StatusSeeOther, access.OwnPath(cmp.Or(c.FormValue("back"), a.nav)))
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
