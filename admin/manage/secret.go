package manage

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// secretData is what the page of a key's secret shows. The secret itself is never asked
// for.
type secretData struct {
	App   manage.App
	Key   manage.Key
	Strip jobs.Strip
	Cured *catalog.Stage // the first whose app holds no secret
}

// findKey is a key that has a secret, and its app.
func (a section) findKey(c echo.Context) (manage.App, manage.Key, error) {
	apps, err := a.server.Apps(c.Request().Context())
	if err != nil {
		return manage.App{}, manage.Key{}, err
	}
	for _, app := range apps {
		i := slices.IndexFunc(app.Keys, func(key manage.Key) bool { return key.ID == c.Param("key") })
		if i < 0 {
			continue
		}
		if app.Kind == manage.Partner {
			return app, app.Keys[i], echo.NewHTTPError(http.StatusNotFound, "A partner's server has no secret: it proves itself with its certificate.")
		}
		return app, app.Keys[i], nil
	}
	return manage.App{}, manage.Key{}, echo.NewHTTPError(http.StatusNotFound, "There is no such key. “Apps and keys” lists them all.")
}

func (a section) secretPage(c echo.Context) error {
	app, key, err := a.findKey(c)
	if err != nil {
		return err
	}
	data := secretData{App: app, Key: key, Strip: a.Runner.Strip(c, signsCalls)}
	if i := slices.IndexFunc(a.Stages, func(stage catalog.Stage) bool { return stage.Package.Release >= catalog.SecretlessRelease }); i >= 0 {
		data.Cured = &a.Stages[i]
	}
	p := a.Gate.Page(c, "The secret of "+key.ID, "/apps")
	p.Waiting = data.Strip.Panel.Job != nil
	return ui.Render(c, http.StatusOK, secretView(p, data))
}

func (a section) rotateSecret(c echo.Context) error {
	key := c.Param("key")
	return a.take(c, change{
		Action: "rotate a secret", Subject: key,
		Done: "The key " + key + " has a new secret, and the old one is dead. An app that was packed before is refused wherever calls are signed with this key; further down is what mends it.",
		Path: "/keys/" + url.PathEscape(key) + "/secret",
	})
}
