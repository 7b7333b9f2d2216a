package manage

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

// releasesData is what the page of the releases shows.
type releasesData struct {
	Published []published
	Installed []manage.Package
	Silence   string // why the installed ones can't be shown
}

// samePublished is the published package with these bytes.
func (d releasesData) samePublished(installed manage.Package) (published, bool) {
	for _, p := range d.Published {
		if p.Package != nil && p.Package.SHA256 == installed.SHA256 {
			return p, true
		}
	}
	return published{}, false
}

func (a *Administration) releasesPage(c echo.Context) error {
	// Read anew: apps are packed again while the UI runs, under the same names.
	data := releasesData{Published: readPublished(a.Folder)}
	phone, err := a.Phone.Phone(c.Request().Context())
	if err != nil {
		data.Silence = ui.InWords(err)
	}
	data.Installed = phone.Packages
	return ui.Render(c, http.StatusOK, releasesView(a.Gate.Page(c, "Releases", "/releases"), data))
}

var auditColumns = []ui.Column{
	{Name: "at", Label: "When", LatestFirst: true},
	{Name: "action", Label: "Action"},
	{Name: "subject", Label: "Of what"},
	{Name: "outcome", Label: "Outcome"},
	{Name: "who", Label: "Who"},
}

// auditOutcomes are the outcomes to choose from.
func auditOutcomes() []ui.NavItem {
	options := []ui.NavItem{{Path: "", Label: "any"}}
	for _, outcome := range access.Outcomes() {
		options = append(options, ui.NavItem{Path: string(outcome), Label: string(outcome)})
	}
	return options
}

func (a *Administration) auditPage(c echo.Context) error {
	list := ui.ReadList(c, auditColumns, "-at", "search", "outcome")
	var entries []access.Entry
	err := list.Load(func(part manage.Part) (total int, err error) {
		entries, total, err = a.Gate.Audit(access.AuditQuery{
			Search: list.Filter.Get("search"), Outcome: access.Outcome(list.Filter.Get("outcome")), Part: part,
		})
		return total, err
	})
	if err != nil {
		return err
	}
	return ui.Render(c, http.StatusOK, auditView(a.Gate.Page(c, "Audit", "/audit"), list, entries))
}

func (a *Administration) resetPage(c echo.Context) error {
	return ui.Render(c, http.StatusOK, resetView(a.Gate.Page(c, "Reset", "/reset"), ""))
}

func (a *Administration) reset(c echo.Context) error {
	if c.Request().PostForm.Get("confirm") != "RESET" {
		return ui.Render(c, http.StatusUnprocessableEntity, resetView(a.Gate.Page(c, "Reset", "/reset"),
			"Nothing was reset. To confirm, type RESET in capital letters."))
	}
	ctx := c.Request().Context()
	err := a.Gate.Act(c, "reset", "ledger, apps, clients, sessions, tokens, devices, usage and traffic", "Ledger, apps, clients and usage are as they were seeded. Sessions, consents, tokens and devices are forgotten, and the traffic is cleared.", func() error {
		for _, server := range []programs.Remote{a.Auth, a.Resource} { // what comes of another first
			if err := server.Quick(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
				return err
			}
		}
		return a.DropTraffic(ctx)
	})
	if err != nil {
		return err
	}
	a.Runner.Changed()
	return c.Redirect(http.StatusSeeOther, "/stages")
}
