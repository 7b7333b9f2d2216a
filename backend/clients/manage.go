package clients

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// Manage adds the management of clients, tiers and secrets.
func (r *Registry) Manage(routes manage.Routes) {
	routes.GET("/apps", func(c echo.Context) error { return c.JSON(http.StatusOK, r.Apps()) })
	routes.POST("/apps", func(c echo.Context) error {
		app, err := manage.Read[manage.App](c)
		if err != nil {
			return err
		}
		return answer(c, http.StatusCreated)(r.Register(c.Request().Context(), app))
	})
	routes.PATCH("/apps/:id", changing("id", r.Change))
	routes.GET("/tiers", func(c echo.Context) error { return c.JSON(http.StatusOK, r.Tiers()) })
	routes.PATCH("/tiers/:name", changing("name", r.ChangeTier))
	routes.POST("/keys/:id/revoke", acting(http.StatusOK, r.Revoke))
	routes.POST("/keys/:id/restore", acting(http.StatusOK, r.Restore))
	routes.POST("/keys/:id/secret", acting(http.StatusOK, r.RotateSecret))
	routes.GET("/keys/:id/secret", acting(http.StatusOK, func(_ context.Context, id string) (manage.Secret, error) { return r.Secret(id) }))
}

// ManageKeys adds the routes that give an app further keys. A client of OAuth has none: it is
// known by its ID.
func (r *Registry) ManageKeys(routes manage.Routes) {
	routes.POST("/apps/:id/keys", acting(http.StatusCreated, r.Issue))
	routes.POST("/apps/:id/rotate", acting(http.StatusCreated, r.Rotate))
}

// acting does something to what the path names.
func acting[T any](status int, act func(ctx context.Context, id string) (T, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		return answer(c, status)(act(c.Request().Context(), c.Param("id")))
	}
}

// changing changes what the path names as the body says.
func changing[C, T any](name string, change func(ctx context.Context, id string, to C) (T, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		to, err := manage.Read[C](c)
		if err != nil {
			return err
		}
		return answer(c, http.StatusOK)(change(c.Request().Context(), c.Param(name), to))
	}
}

// answer tells the admin what came of it, or what was wrong; other errors are ours.
func answer(c echo.Context, status int) func(any, error) error {
	return func(v any, err error) error {
		switch {
		case errors.Is(err, ErrNoApp), errors.Is(err, ErrNoTier), errors.Is(err, ErrNoKey):
			return manage.NothingToChange(err.Error())
		case errors.Is(err, ErrTaken), errors.Is(err, ErrPin):
			return problem.New(http.StatusConflict, "taken", "There is such an app already", err.Error())
		case errors.Is(err, ErrInvalid):
			return manage.Unprocessable("%v", err)
		case err != nil:
			return err
		}
		return c.JSON(status, v)
	}
}
