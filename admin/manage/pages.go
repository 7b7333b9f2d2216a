package manage

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
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

// auditData is what the audit page shows.
type auditData struct {
	Entries []access.Entry
	Older   uint64 // entries below this ID are on the next page; 0: there are none
	Now     time.Time
}

func (a *Administration) auditPage(c echo.Context) error {
	before, _ := strconv.ParseUint(c.QueryParam("before"), 10, 64) // 0, the newest, where it is no number
	entries, more, err := a.Gate.Audit(before)
	if err != nil {
		return err
	}
	data := auditData{Entries: entries, Now: a.Now()}
	if more {
		data.Older = entries[len(entries)-1].ID
	}
	return ui.Render(c, http.StatusOK, auditView(a.Gate.Page(c, "Audit", "/audit"), data))
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
	err := a.Gate.Act(c, "reset", "ledger, apps, sessions, devices, usage and traffic", "Ledger, apps and usage are as they were seeded. Sessions and devices are forgotten, and the traffic is cleared.", func() error {
		if err := a.Resource.Quick(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
			return err
		}
		return a.DropTraffic(ctx)
	})
	if err != nil {
		return err
	}
	a.Runner.Changed()
	return c.Redirect(http.StatusSeeOther, "/stages")
}
