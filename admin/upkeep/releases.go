package upkeep

import (
	"log/slog"
	"net/http"
	"path/filepath"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/mobileclient/release"
)

// published is a package of the folder, as the store hands it out.
type published struct {
	Filename string
	Package  *release.Package // nil: it is damaged
}

func readPublished(folder *deployment.Folder) []published {
	var list []published
	for _, path := range folder.Packages() {
		p, err := release.Open(path)
		if err != nil {
			slog.Error("admin UI: a published package", "error", err)
		}
		list = append(list, published{Filename: filepath.Base(path), Package: p})
	}
	return list
}

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

func (u *Upkeep) releasesPage(c echo.Context) error {
	// Read anew: apps are packed again while the UI runs, under the same names.
	data := releasesData{Published: readPublished(u.Folder)}
	phone, err := u.Phone.Phone(c.Request().Context())
	if err != nil {
		data.Silence = ui.InWords(err)
	}
	data.Installed = phone.Packages
	return ui.Render(c, http.StatusOK, releasesView(u.Gate.Page(c, "Releases", "/releases"), data))
}

func (u *Upkeep) packageFile(c echo.Context) error {
	file, ok := u.packages[c.Param("file")]
	if !ok {
		return echo.ErrNotFound
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="`+filepath.Base(file)+`"`)
	c.Response().Header().Set("Content-Type", "application/octet-stream")
	http.ServeFile(c.Response(), c.Request(), file)
	return nil
}
