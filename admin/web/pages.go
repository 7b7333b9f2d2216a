package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

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

func (s *Server) releasesPage(c echo.Context) error {
	// Read anew: apps are packed again while the UI runs, under the same names.
	data := releasesData{Published: readPublished(s.cfg.Folder)}
	phone, err := s.phone.phone(c.Request().Context())
	if err != nil {
		data.Silence = s.inWords(err)
	}
	data.Installed = phone.Packages
	return render(c, http.StatusOK, releasesView(s.page(c, "Releases", "/releases"), data))
}

// auditData is what the audit page shows.
type auditData struct {
	Entries []auditEntry
	Older   uint64 // entries below this ID are on the next page; 0: there are none
	Now     time.Time
}

func (s *Server) auditPage(c echo.Context) error {
	before, _ := strconv.ParseUint(c.QueryParam("before"), 10, 64) // 0, the newest, where it is no number
	entries, more, err := s.audit.page(before)
	if err != nil {
		return err
	}
	data := auditData{Entries: entries, Now: s.now()}
	if more {
		data.Older = entries[len(entries)-1].ID
	}
	return render(c, http.StatusOK, auditView(s.page(c, "Audit", "/audit"), data))
}

func (s *Server) resetPage(c echo.Context) error {
	return render(c, http.StatusOK, resetView(s.page(c, "Reset", "/reset"), ""))
}

func (s *Server) reset(c echo.Context) error {
	if c.Request().PostForm.Get("confirm") != "RESET" {
		return render(c, http.StatusUnprocessableEntity, resetView(s.page(c, "Reset", "/reset"),
			"Nothing was reset. To confirm, type RESET in capital letters."))
	}
	ctx := c.Request().Context()
	err := s.act(c, "reset", "ledger, apps, sessions, devices, usage and traffic", "Ledger, apps and usage are as they were seeded. Sessions and devices are forgotten, and the traffic is cleared.", func() error {
		if err := s.resource.quick(ctx, http.MethodPost, "/reset", nil, nil); err != nil {
			return err
		}
		return s.dropTraffic(ctx)
	})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/stages")
}
