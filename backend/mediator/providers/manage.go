package providers

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// Manage adds the management of providers. See [manage.ProvidersPath].
func (s *Store) Manage(routes manage.Routes) {
	const one = manage.ProvidersPath + "/:name"
	routes.GET(manage.ProvidersPath, func(c echo.Context) error { return c.JSON(http.StatusOK, s.list()) })
	routes.POST(manage.ProvidersPath, func(c echo.Context) error {
		p, err := manage.Read[manage.Provider](c)
		if err == nil {
			err = s.Add(c.Request().Context(), p)
		}
		return s.show(c, http.StatusCreated, p.Name, err)
	})
	routes.GET(one, func(c echo.Context) error { return s.show(c, http.StatusOK, c.Param("name"), nil) })
	routes.POST(one, func(c echo.Context) error {
		p, err := manage.Read[manage.Provider](c)
		if err == nil && p.Name != c.Param("name") {
			err = manage.Unprocessable("The name of a provider stays: it is in redirect URIs.")
		}
		if err == nil {
			err = s.Change(c.Request().Context(), p)
		}
		return s.show(c, http.StatusOK, p.Name, err)
	})
	for action, enabled := range map[string]bool{"/enable": true, "/disable": false} {
		routes.POST(one+action, func(c echo.Context) error {
			name := c.Param("name")
			return s.show(c, http.StatusOK, name, s.Enable(c.Request().Context(), name, enabled))
		})
	}
	routes.GET(one+"/versions", s.listVersions)
}

func (s *Store) listVersions(c echo.Context) error {
	versions, err := s.Versions(c.Request().Context(), c.Param("name"))
	if err != nil {
		return s.show(c, 0, "", err)
	}
	return c.JSON(http.StatusOK, versions)
}

// show answers with a provider, or with what was wrong.
func (s *Store) show(c echo.Context, status int, name string, err error) error {
	p, ok := (*s.all.Load())[name]
	wrong, isWrong := errors.AsType[*InvalidError](err)
	switch {
	case errors.Is(err, ErrNone), err == nil && !ok:
		return manage.NothingToChange("there is no provider of that name")
	case errors.Is(err, ErrTaken):
		taken := problem.New(http.StatusConflict, "taken", "There is such a provider already", "Choose another name.")
		taken.Field = "name"
		return taken
	case errors.Is(err, ErrVersion):
		return problem.New(http.StatusConflict, "changed-meanwhile", "The provider was changed meanwhile", "Look at it as it is now, and change that.")
	case isWrong:
		refusal := problem.New(http.StatusUnprocessableEntity, "unprocessable", "The provider can't be like that", wrong.Why+".")
		refusal.Field = wrong.Field
		return refusal
	case err != nil:
		return err
	}
	return c.JSON(status, s.shown(withoutSecrets(p)))
}

// list is all providers by name, without secrets.
func (s *Store) list() []manage.Provider {
	all := []manage.Provider{}
	for _, name := range s.names() {
		all = append(all, s.shown(withoutSecrets((*s.all.Load())[name])))
	}
	return all
}

// shown is a provider with the redirect URI that has to be registered there.
func (s *Store) shown(p manage.Provider) manage.Provider {
	p.RedirectURI = s.RedirectURI(p.Name, stagePlace)
	return p
}
